"""A service on loopback whose answers a function gives; it records what it receives, and may misbehave."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.hydstra_server import Handler, Server


@dataclass(frozen=True)
class Received:
    """A request: its method, path, query (the last value of each key), headers in small letters, and body."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Received], Reply]
Misbehave = Callable[[Any, bytes], None]  # Any: the handler, as `tests.faulty_server` describes it
Choose = Callable[[Received], Misbehave | None]
"""The misbehaviour on a request, or None for the correct answer."""


class ServiceHandler(Handler):
    """Answers each request by `answer`, or misbehaves as `choose` says."""

    def __init__(
        self,
        *connection: Any,  # Any: the server's arguments
        answer_to: Answer,
        choose: Choose,
        received: list[Received],
    ) -> None:
        self.answer_to, self.choose, self.received = answer_to, choose, received
        super().__init__(*connection, last_day=None)  # type: ignore[arg-type]  # of the Hydstra server only

    def do_GET(self) -> None:
        """Answer a GET."""
        self._reply(b"")

    def do_POST(self) -> None:
        """Answer a POST."""
        self._reply(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _reply(self, body: bytes) -> None:
        place = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(place.query, keep_blank_values=True))
        request = Received(self.command, place.path, query, headers, body)
        self.received.append(request)
        if not headers.get("user-agent"):
            self.send_whole(502, b"Bad Gateway")
            return
        reply = self.answer_to(request)
        misbehave = self.choose(request)
        with suppress(OSError):  # the client has closed the connection
            if misbehave is not None:
                misbehave(self, reply.body)
            else:
                self.send_whole(reply.status, reply.body, **{k.replace("-", "_"): v for k, v in reply.headers.items()})


@contextmanager
def loopback_server(
    answer: Answer, *, choose: Choose = lambda _: None, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[Received]]]:
    """URL of the service without a slash at its end, and the requests that it receives until the block ends."""
    received: list[Received] = []
    server = Server(("127.0.0.1", 0), partial(ServiceHandler, answer_to=answer, choose=choose, received=received))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
