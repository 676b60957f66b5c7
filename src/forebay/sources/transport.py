"""The guarded HTTP request of all sources: few at a time, deadline, growing waits, size limit, typed errors.

Sources do not use this module's HTTP client directly. They take a `Send`, so that tests can fetch without a server.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import version
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from forebay.errors import SourceError
from forebay.log import write
from forebay.sources.http_errors import check_status, failure, read_body
from forebay.text import public_url, without_secrets

if TYPE_CHECKING:
    import httpx2

    from forebay.settings import HttpSettings
    from forebay.sources.request import Request, Send

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5

_slots: dict[tuple[str, int], threading.BoundedSemaphore] = {}
"""(host, maximal number of requests at a time) → slots for requests, for the whole process."""


@contextmanager
def open_transport(limits: HttpSettings) -> Iterator[Send]:
    """A `Send` over HTTP within `limits`; it reuses its connection until the block ends.

    It retries after status 408, 429, 502, 503 and 504, time-outs and broken connections, up to `limits.attempts`
    attempts. The waits grow from `first_wait_s`, with jitter, or follow the service's Retry-After; the maximum is
    `longest_wait_s`. No host has more than `requests_at_once` requests at a time in this process. A request that waits
    for its next attempt keeps its slot, so that a host in trouble gets no other requests in the meantime.
    """
    import httpx2
    import stamina

    # Without any handler, Python would print each retry over a progress bar.
    logging.getLogger("stamina").addHandler(logging.NullHandler())
    for library in ("httpx2", "httpcore2.http11"):
        logging.getLogger(library).addFilter(_hide_secrets)  # a function is added once
    timeout = httpx2.Timeout(limits.read_timeout_s, connect=limits.connect_timeout_s)
    agent = {"User-Agent": f"forebay/{version('forebay')}"}

    def wait(error: Exception) -> bool | float:
        if not isinstance(error, SourceError) or not error.retryable:
            return False
        return True if error.retry_after is None else min(error.retry_after, limits.longest_wait_s)

    tls_context = _tls_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    with httpx2.Client(timeout=timeout, headers=agent, verify=tls_context) as client:
        guarded = _Guarded(client, limits)

        def send(request: Request, /) -> bytes:
            with _request_slots(request.host, limits.requests_at_once):
                for attempt in stamina.retry_context(
                    on=wait,
                    attempts=limits.attempts,
                    timeout=None,
                    wait_initial=limits.first_wait_s,
                    wait_max=limits.longest_wait_s,
                    wait_jitter=limits.first_wait_s,
                ):
                    with attempt, _logged(request, attempt.num):
                        return guarded.answer(request)
            raise AssertionError("stamina raises the last error itself")

        yield send


@contextmanager
def _logged(request: Request, attempt: int) -> Iterator[None]:
    """Record of one attempt: debug if it succeeds, info if it fails and may be repeated."""
    start = monotonic()
    fields: dict[str, object] = {"host": request.host, "attempt": attempt}
    try:
        yield
    except SourceError as error:
        error.args = (request.without_secrets(str(error)),)
        seconds = round(monotonic() - start, 3)
        write(logging.INFO, "request", fields | {"seconds": seconds, "retryable": error.retryable}, str(error))
        raise
    write(logging.DEBUG, "request", fields | {"seconds": round(monotonic() - start, 3)})


def _hide_secrets(record: logging.LogRecord) -> bool:
    """Remove secrets from a record of the HTTP library, which has whole URLs; the record stays."""
    record.msg, record.args = without_secrets(record.getMessage()), ()
    return True


@lru_cache(maxsize=4)
def _tls_context(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """TLS context with the trusted certificates of these environment variables; cached, because reading takes 35 ms."""
    import httpx2

    return httpx2.create_ssl_context()


def _request_slots(host: str, at_once: int) -> threading.BoundedSemaphore:
    return _slots.setdefault((host, at_once), threading.BoundedSemaphore(at_once))  # setdefault is atomic


class _Guarded:
    """One attempt at a time with one client."""

    def __init__(self, client: httpx2.Client, limits: HttpSettings) -> None:
        self.client = client
        self.limits = limits
        self.connection: Any = None  # Any: httpcore2's network stream, which only its trace shows
        self.is_late = False

    def answer(self, request: Request) -> bytes:
        """Body of the answer; follows redirects on the same host, with the same method and body."""
        for _ in range(MAX_REDIRECTS + 1):
            body, location = self._attempt(request)
            if location is None:
                if request.check is not None:
                    request.check(body)
                return body
            request = _redirected(request, location)
        raise SourceError(
            f"{request.host} redirected more than {MAX_REDIRECTS} times; check the service's URL in the settings"
        )

    def _attempt(self, request: Request) -> tuple[bytes, str | None]:
        """Body and redirect location of one answer, within the deadline.

        The client's time-outs apply to a single read, so a slow answer might never end. A timer closes the connection.
        """
        import httpx2

        self.is_late = False
        timer = threading.Timer(self.limits.deadline_s, self._cut)
        timer.daemon = True
        timer.start()
        answer: tuple[bytes, str | None] = (b"", None)
        try:
            answer = self._exchange(request)
        except httpx2.InvalidURL:
            raise SourceError(f"{public_url(request.url)!r} is not a URL; check it in the settings") from None
        except httpx2.HTTPError as error:
            if not self.is_late:
                raise failure(request, error, self.limits) from error
        finally:
            timer.cancel()
        if self.is_late:  # also if the cut looks like the regular end of an answer of unknown length
            raise SourceError(
                f"{request.host} did not complete its answer within {self.limits.deadline_s:g} s (http.deadline_s); "
                "try again later, or raise the limit",
                retryable=True,
            )
        return answer

    def _exchange(self, request: Request) -> tuple[bytes, str | None]:
        method = "GET" if request.body is None else "POST"
        extensions = {"trace": self._trace}
        headers = {**request.headers, **request.secret_headers}
        with self.client.stream(
            method, request.secret_url, content=request.body, headers=headers, extensions=extensions
        ) as response:
            location = response.headers.get("location")
            if response.status_code in REDIRECTS and location:
                return b"", location
            check_status(request, response)
            return read_body(request, response, self.limits.max_bytes), None

    def _trace(self, _event: str, info: Mapping[str, Any]) -> None:  # Any: see connection
        stream = info.get("return_value")
        if hasattr(stream, "get_extra_info"):
            self.connection = stream
            if self.is_late:
                self._cut()

    def _cut(self) -> None:
        """Close the connection from the timer's thread: a pending read returns at once."""
        self.is_late = True
        tcp_socket = self.connection and self.connection.get_extra_info("socket")
        if tcp_socket is not None:
            with suppress(OSError):  # it may be closed already
                socket.socket.shutdown(
                    tcp_socket, socket.SHUT_RDWR
                )  # ssl's own shutdown is not safe from another thread


def is_same_host(url: str, target: str) -> bool:
    """Whether `target` has the host, port and user of `url`, with the same scheme or https: it may get the key.

    >>> is_same_host("https://host/a", "https://host/b"), is_same_host("https://host/a", "http://host/b")
    (True, False)

    Raises
    ------
    ValueError
        If one of them is not a URL.
    """
    old, new = urlsplit(url), urlsplit(target)
    is_upgrade = old.hostname == new.hostname and (old.scheme, new.scheme) == ("http", "https")
    return is_upgrade or (old.scheme, old.netloc) == (new.scheme, new.netloc)


def _redirected(request: Request, location: str) -> Request:
    """The request at the redirect's target, which must be on the same host, with the same scheme or https."""
    try:
        target = replace(request, url=urljoin(request.url, location))
        stays = is_same_host(request.url, target.url)
    except ValueError:
        raise SourceError(
            f"{request.host} redirects to {public_url(location)!r}, which is not a URL; try again later"
        ) from None
    if not stays:
        raise SourceError(
            f"{request.host} redirects to {public_url(target.url)!r} on another host; only redirects on the same host "
            "are followed; if the service has moved, set its new URL in the settings"
        )
    return target
