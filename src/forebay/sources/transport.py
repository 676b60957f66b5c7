"""The one guarded HTTP request: few at a time, a deadline per answer, growing waits, a size limit, typed errors.

Sources do not know this module's client: they are given a `Send`, so that parsing and fetching can be tried without a
server.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from email.utils import parsedate_to_datetime
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urljoin, urlsplit

from forebay.errors import SourceError
from forebay.settings import HttpSettings, without_password

if TYPE_CHECKING:
    import httpx2

RETRIED_STATUS = frozenset({408, 429, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5

_places: dict[tuple[str, int], threading.BoundedSemaphore] = {}
"""The requests that a host may have at a time, for the whole process: by host and their number."""


@dataclass(frozen=True)
class Request:
    """A GET of `url`, or a POST where there is a `body`.

    `check` is told the answer, and raises `SourceError` where that is none; if it may be one on another try, the
    service is asked again.
    """

    url: str
    body: bytes | None = None
    check: Callable[[bytes], object] | None = None

    @property
    def host(self) -> str:
        """Host (and port, where one is given) that is asked."""
        return self.url.partition("//")[2].partition("/")[0].rpartition("@")[2]


@dataclass(frozen=True)
class PlannedRequest:
    """A request that a fetch would send: the host, its content, the first and the last interval (station-local).

    Both intervals are None where it requests no readings. `first` is None where the record's start is not known yet.
    `host` is None where no service is asked.
    """

    host: str | None
    asks: str
    first: datetime | None
    last: datetime | None


def plan_local_read(content: str, since: date | None, until: date) -> list[PlannedRequest]:
    """The plan of a source without a service: one read."""
    first = None if since is None else datetime.combine(since, time(0))
    return [PlannedRequest(None, content, first, datetime.combine(until, time(0)))]


class Send(Protocol):
    """How a source asks its service."""

    def __call__(self, request: Request, /) -> bytes:
        """The body of the answer to `request`; raises `SourceError` where there is none."""
        ...


@contextmanager
def open_transport(limits: HttpSettings) -> Iterator[Send]:
    """A `Send` over HTTP within `limits`; its connection is kept from request to request, until the block ends.

    It tries again after status 408, 429, 502, 503 and 504, time-outs and broken connections, `limits.attempts` times in
    all. The waits grow from `first_wait_s`, with jitter, or are what the service asks for (Retry-After), at most
    `longest_wait_s`. No host has more than `requests_at_once` requests at a time in this process; one that waits for
    its next attempt keeps its place, so that a host in trouble is not asked by others meanwhile.
    """
    import httpx2
    import stamina

    # Without a handler of the application's own, Python would print each retry over a progress bar.
    logging.getLogger("stamina").addHandler(logging.NullHandler())
    timeout = httpx2.Timeout(limits.read_timeout_s, connect=limits.connect_timeout_s)
    agent = {"User-Agent": f"forebay/{version('forebay')}"}

    def wait(error: Exception) -> bool | float:
        if not isinstance(error, SourceError) or not error.retryable:
            return False
        return True if error.retry_after is None else min(error.retry_after, limits.longest_wait_s)

    trusted = _trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    with httpx2.Client(timeout=timeout, headers=agent, verify=trusted) as client:
        guarded = _Guarded(client, limits)

        def send(request: Request, /) -> bytes:
            with _place(request.host, limits.requests_at_once):
                for attempt in stamina.retry_context(
                    on=wait,
                    attempts=limits.attempts,
                    timeout=None,
                    wait_initial=limits.first_wait_s,
                    wait_max=limits.longest_wait_s,
                    wait_jitter=limits.first_wait_s,
                ):
                    with attempt:
                        return guarded.answer(request)
            raise AssertionError("stamina raises the last error itself")

        yield send


@lru_cache(maxsize=4)
def _trusted(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """Whom to trust, as these variables of the environment say; reading it takes 35 ms, so it is shared."""
    import httpx2

    return httpx2.create_ssl_context()


def _place(host: str, at_once: int) -> threading.BoundedSemaphore:
    return _places.setdefault((host, at_once), threading.BoundedSemaphore(at_once))  # setdefault is atomic


class _Guarded:
    """One attempt at a time over one client."""

    def __init__(self, client: httpx2.Client, limits: HttpSettings) -> None:
        self.client = client
        self.limits = limits
        self.connection: Any = None  # Any: httpcore2's network stream, which only its trace shows
        self.late = False

    def answer(self, request: Request) -> bytes:
        """The body of the answer; a redirect is followed on the same host, with the same method and body."""
        for _ in range(MAX_REDIRECTS + 1):
            body, location = self._once(request)
            if location is None:
                if request.check is not None:
                    request.check(body)
                return body
            request = _redirected(request, location)
        raise SourceError(
            f"{request.host} redirected more than {MAX_REDIRECTS} times; check the service's URL in the settings"
        )

    def _once(self, request: Request) -> tuple[bytes, str | None]:
        """Body and redirect's location of one answer, within the deadline.

        The client's time-outs hold for a single read, so a slow drip would never end; here a timer ends the connection.
        """
        import httpx2

        self.late = False
        timer = threading.Timer(self.limits.deadline_s, self._cut)
        timer.daemon = True
        timer.start()
        answer: tuple[bytes, str | None] = (b"", None)
        try:
            answer = self._exchange(request)
        except httpx2.InvalidURL:
            raise SourceError(f"{without_password(request.url)!r} is not a URL; check it in the settings") from None
        except httpx2.HTTPError as error:
            if not self.late:
                raise _failure(request, error, self.limits) from error
        finally:
            timer.cancel()
        if self.late:  # also where the cut looks like the regular end of an answer of undeclared length
            raise SourceError(
                f"{request.host} had not sent its whole answer after {self.limits.deadline_s:g} s (http.deadline_s); "
                "try again later, or raise the limit",
                retryable=True,
            )
        return answer

    def _exchange(self, request: Request) -> tuple[bytes, str | None]:
        method = "GET" if request.body is None else "POST"
        watched = {"trace": self._trace}
        with self.client.stream(method, request.url, content=request.body, extensions=watched) as response:
            location = response.headers.get("location")
            if response.status_code in REDIRECTS and location:
                return b"", location
            _check_status(request, response)
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > self.limits.max_bytes:
                    raise SourceError(
                        f"{request.host} sent more than {self.limits.max_bytes} bytes (http.max_bytes); ask for a "
                        "shorter period, or raise the limit"
                    )
        return bytes(body), None

    def _trace(self, _event: str, info: Mapping[str, Any]) -> None:  # Any: see connection
        made = info.get("return_value")
        if hasattr(made, "get_extra_info"):
            self.connection = made
            if self.late:
                self._cut()

    def _cut(self) -> None:
        """End the connection, from the timer's thread: the read that waits on it returns at once."""
        self.late = True
        wire = self.connection and self.connection.get_extra_info("socket")
        if wire is not None:
            with suppress(OSError):  # it may have ended by itself
                socket.socket.shutdown(wire, socket.SHUT_RDWR)  # ssl's own shutdown is not safe from another thread


def _check_status(request: Request, response: httpx2.Response) -> None:
    status = response.status_code
    if status in RETRIED_STATUS:
        raise SourceError(
            f"{request.host} answered with status {status} ({response.reason_phrase}): it is busy or down; try again "
            "later",
            retryable=True,
            retry_after=_retry_after(response.headers.get("retry-after"), datetime.now(UTC)),
        )
    if not response.is_success:
        raise SourceError(
            f"{request.host} answered with status {status} ({response.reason_phrase}) to {urlsplit(request.url).path}; "
            "check the service's URL in the settings"
        )


def _retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header (seconds or a date) asks to wait.

    >>> _retry_after("Wed, 01 Jan 2020 00:00:30 GMT", datetime(2020, 1, 1, tzinfo=UTC))
    30.0
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def _redirected(request: Request, location: str) -> Request:
    """The same request at the redirect's target, which must be the same host, or the same host over https."""
    try:
        target = replace(request, url=urljoin(request.url, location))
        old, new = urlsplit(request.url), urlsplit(target.url)
    except ValueError as error:
        raise SourceError(f"{request.host} redirects to {location!r}, which is no URL ({error}); try later") from None
    secured = old.hostname == new.hostname and (old.scheme, new.scheme) == ("http", "https")
    if not (secured or (old.scheme, old.netloc) == (new.scheme, new.netloc)):
        raise SourceError(
            f"{request.host} redirects to {target.url!r}, another host, which is not followed; if the service has "
            "moved, set its new URL in the settings"
        )
    return target


def _failure(request: Request, error: httpx2.HTTPError, limits: HttpSettings) -> SourceError:
    """What went wrong on the way, and whether to try again."""
    import httpx2

    if isinstance(error, httpx2.ConnectTimeout):
        reason = f"took no connection within {limits.connect_timeout_s:g} s (http.connect_timeout_s)"
    elif isinstance(error, httpx2.TimeoutException):
        reason = f"sent nothing for {limits.read_timeout_s:g} s (http.read_timeout_s)"
    elif "CERTIFICATE_VERIFY_FAILED" in str(error):
        return SourceError(f"{request.host} shows a certificate that is not trusted ({error}); its answer is not read")
    elif isinstance(error, httpx2.ConnectError):
        reason = f"cannot be reached ({error})"
    elif isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError | httpx2.DecodingError):
        reason = f"broke off its answer ({error})"
    else:
        return SourceError(f"{request.host} cannot be asked ({error}); check the service's URL and the proxy")
    return SourceError(f"{request.host} {reason}; check the network, or try again later", retryable=True)
