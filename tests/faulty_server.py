"""The Hydstra server of `tests.hydstra_server`, taught to misbehave: each fault sends something in place of the answer.

A fault is a function of the handler, which has the connection, and of the whole answer that it should have sent.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from tests.hydstra_server import Handler, Json, answer_to

Misbehave = Callable[[Handler, bytes], None]

MAINTENANCE = b"<html><body><h1>Service temporarily unavailable</h1></body></html>"
PIECES = 400
"""How often a slow or an endless answer goes on at most: a client that does not leave ends the test all the same."""


class FaultyHandler(Handler):
    """Misbehaves on calls that `strikes` picks; the first `times` of them, or all. `struck` notes each."""

    def __init__(
        self,
        *connection: Any,  # Any: what the server hands to its handlers
        misbehave: Misbehave,
        strikes: Callable[[Json], bool],
        times: int | None,
        struck: list[Json],
        **more: Any,  # Any: as above
    ) -> None:
        self.misbehave, self.strikes, self.times, self.struck = misbehave, strikes, times, struck
        super().__init__(*connection, **more)

    def answer(self, call: Json) -> None:
        """Answer a call, or misbehave."""
        if self.strikes(call):
            self.struck.append(call)
            if self.times is None or len(self.struck) <= self.times:
                with suppress(OSError):  # the client has had enough
                    self.misbehave(self, answer_to(call, last_day=self.last_day))
                return
        super().answer(call)


# --- the connection


def nothing_wrong(handler: Handler, whole: bytes) -> None:
    handler.send_whole(200, whole)


def reset(handler: Handler, whole: bytes) -> None:
    """Half of the answer, then a reset."""
    head(handler, len(whole))
    handler.wfile.write(whole[: len(whole) // 2])
    time.sleep(0.05)  # else the reset overtakes the bytes
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def head(handler: Handler, length: int | None, **headers: str) -> None:
    """Status line and headers of an answer, after which the connection ends, as they say: it is not used again."""
    handler.send_response(200)
    handler.send_header("Connection", "close")  # which ends it here too
    if length is not None:
        handler.send_header("Content-Length", str(length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def of_length(difference: int) -> Misbehave:
    """An answer whose Content-Length is wrong by `difference`."""

    def misbehave(handler: Handler, whole: bytes) -> None:
        head(handler, len(whole) + difference)
        handler.wfile.write(whole)

    return misbehave


def falls_silent(seconds: float) -> Misbehave:
    """Half of the answer, and nothing more."""

    def misbehave(handler: Handler, whole: bytes) -> None:
        head(handler, len(whole))
        handler.wfile.write(half(whole))
        time.sleep(seconds)

    return misbehave


def slow_first_byte(seconds: float) -> Misbehave:
    def misbehave(handler: Handler, whole: bytes) -> None:
        time.sleep(seconds)
        handler.send_whole(200, whole)

    return misbehave


def slow_drip(handler: Handler, whole: bytes) -> None:
    """A byte at a time, each soon enough that no single read times out."""
    head(handler, len(whole))
    for k in range(PIECES):
        handler.wfile.write(whole[k : k + 1])
        time.sleep(0.02)


def without_end(handler: Handler, _whole: bytes) -> None:
    """An answer of undeclared length that goes on and on."""
    head(handler, None)
    handler.wfile.write(b'{"error_num":0,"return":')
    for _ in range(PIECES):
        handler.wfile.write(b" " * 100_000)


def redirect(location: str) -> Misbehave:
    return lambda handler, _: handler.send_whole(302, b"", Location=location)


# --- the status and the body


def status(code: int, **headers: str) -> Misbehave:
    return lambda handler, _: handler.send_whole(code, b"", **headers)


def body(content: bytes) -> Misbehave:
    return lambda handler, _: handler.send_whole(200, content)


def changed(change: Callable[[bytes], bytes], **headers: str) -> Misbehave:
    """The right answer's bytes, changed."""
    return lambda handler, whole: handler.send_whole(200, change(whole), **headers)


def half(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def bomb(_whole: bytes) -> bytes:
    """64 MB of blanks, packed."""
    return _packed_blanks()


@cache
def _packed_blanks() -> bytes:
    return gzip.compress(b" " * 64_000_000, 1)


# --- the envelope, the list of variables and the trace


def enveloped(result_key: str, error_key: str) -> Misbehave:
    """The right answer under other keys."""

    def rename(whole: bytes) -> bytes:
        return json.dumps({error_key: 0, "disclaimer": "as is", result_key: json.loads(whole)["return"]}).encode()

    return changed(rename)


def error(number: object, *, key: str = "error_num", text: str = "what it says") -> Misbehave:
    return body(json.dumps({key: number, key.replace("num", "msg"): text}).encode())


def sites(change: Callable[[list[Json]], list[Json]]) -> Misbehave:
    """The right list of variables with other sites."""

    def replace(whole: bytes) -> bytes:
        return json.dumps({"error_num": 0, "return": {"sites": change(json.loads(whole)["return"]["sites"])}}).encode()

    return changed(replace)


def variable(**keys: object) -> Misbehave:
    """The right list of variables with other keys in each."""
    return sites(lambda given: [one | {"variables": [v | keys for v in one["variables"]]} for one in given])


def traces(change: Callable[[list[Json]], list[Json]]) -> Misbehave:
    """The right answer with other traces."""

    def replace(whole: bytes) -> bytes:
        told = json.loads(whole)
        told["return"]["traces"] = change(told["return"]["traces"])
        return json.dumps(told).encode()

    return changed(replace)


def trace(**keys: object) -> Misbehave:
    """The right answer with other keys in its trace."""
    return traces(lambda given: [one | keys for one in given])


def points(change: Callable[[list[Json]], list[Json]]) -> Misbehave:
    """The right answer with other points."""
    return traces(lambda given: [one | {"trace": change(one["trace"])} for one in given])


def third_point(**keys: object) -> Misbehave:
    """The right answer with other keys in its third point."""
    return points(lambda given: [*given[:2], given[2] | keys, *given[3:]])
