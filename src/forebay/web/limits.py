"""Limits of the server as ASGI middleware: hosts, sizes, requests at once, headers of every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders

from forebay.web.events import PATH as STREAM_PATH
from forebay.web.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 64 << 10
MAX_URL_BYTES = 8 << 10
MAX_REQUESTS_AT_ONCE = 64
"""Requests in work; others are refused at once with the time after which to try again."""
TICK_S, MAX_REQUESTS_PER_TICK = 0.05, 200
"""Requests that are answered between two ticks of the event loop: in a surge most are refused, and the others do not
wait. At 200 requests a second the loop may be 1 s behind before any is refused."""
RETRY_AFTER_S = 2
BODY_S = 10.0
"""Seconds in which the body of a request must arrive."""
_TOO_LONG = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is longer than {MAX_BODY_BYTES} bytes.")
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Frame-Options": "DENY",
}
"""Headers of every answer of the API, which loads nothing."""


class Limits:
    """Refuses what no client of the API needs, before the request reaches it.

    Parameters
    ----------
    hosts
        Allowed values of the header Host, without a port: a page of another site cannot read the API by a name that
        it lets point to this machine (DNS rebinding).
    counts
        Number of requests by outcome, which this counts: answered, refused, shed.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], counts: dict[str, int]) -> None:
        self._app, self._hosts, self._counts = app, frozenset(host.lower() for host in hosts), counts
        self._count, self._admitted, self._is_ticking = 0, 0, False
        detail = f"The server has more requests than it can answer; try again in {RETRY_AFTER_S} s."
        self._busy = problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": str(RETRY_AFTER_S)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal, body = self._refusal(scope), b""
        if refusal is None and _has_body(scope):
            body, refusal = await _read_body(receive)
        if refusal is not None:
            self._counts["refused"] += 1
            await problem(*refusal)(scope, receive, _with_headers(send))
            return
        if scope["path"] == STREAM_PATH:  # it has a limit of its own
            await self._app(scope, receive, _with_headers(send))
            return
        is_full = self._count >= MAX_REQUESTS_AT_ONCE or not self._admits()
        self._counts["shed" if is_full else "answered"] += 1
        if is_full:
            await self._busy(scope, receive, _with_headers(send))
            return
        if scope["method"] == "HEAD":  # as GET; the server itself leaves the body out
            scope = {**scope, "method": "GET"}
        self._count += 1
        try:
            await self._app(scope, _replayed(body, receive), _with_headers(send))
        finally:
            self._count -= 1

    def _admits(self) -> bool:
        """Whether fewer than `MAX_REQUESTS_PER_TICK` requests came since the last tick of the event loop.

        A loop that is behind ticks late, however long `TICK_S` is, because it first handles what has come.
        """
        if not self._is_ticking:
            self._is_ticking = True
            asyncio.get_running_loop().call_later(TICK_S, self._tick)
        self._admitted += 1
        return self._admitted <= MAX_REQUESTS_PER_TICK

    def _tick(self) -> None:
        self._is_ticking, self._admitted = False, 0

    def _refusal(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
        if host.lower() not in self._hosts:
            allowed = ", ".join(sorted(self._hosts))
            return HTTPStatus.BAD_REQUEST, f"This server is not {host[:80]!r}; its names are {allowed} (--allow-host)."
        if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_URL_BYTES:
            return HTTPStatus.REQUEST_URI_TOO_LONG, f"The address is longer than {MAX_URL_BYTES} bytes."
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return _TOO_LONG
        return None


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def _read_body(receive: Receive) -> tuple[bytes, tuple[HTTPStatus, str] | None]:
    """The body of a request, or why it is refused; a client that sends slowly takes no place of another one."""
    try:
        body = await asyncio.wait_for(_whole_body(receive), BODY_S)
    except TimeoutError:
        return b"", (HTTPStatus.REQUEST_TIMEOUT, f"The body did not arrive within {BODY_S:g} s.")
    if body is None:
        return b"", _TOO_LONG
    return body, None


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers


async def _whole_body(receive: Receive) -> bytes | None:
    """The body of a request; None if it is longer than `MAX_BODY_BYTES`."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body"):
            return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` that first gives a body that was read."""
    is_due = True

    async def receive_replayed() -> Message:
        nonlocal is_due
        if is_due:
            is_due = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return receive_replayed
