"""The Hydstra server of `tests.hydstra_server` with faults: a fault sends something else than the correct answer.

A fault is a function of the handler, which has the connection, and of the correct answer.
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
MAX_PIECES = 400
"""Maximal number of pieces of a slow or endless answer, so that a test ends even if the client keeps waiting."""


class FaultyHandler(Handler):
    """Misbehaves on calls that `affects` selects, on the first `times` of them or on all; `affected` records each."""

    def __init__(
        self,
        *connection: Any,  # Any: arguments of the base class
        misbehave: Misbehave,
        affects: Callable[[Json], bool],
        times: int | None,
        affected: list[Json],
        **options: Any,  # Any: as above
    ) -> None:
        self.misbehave, self.affects, self.times, self.affected = misbehave, affects, times, affected
        super().__init__(*connection, **options)

    def answer(self, call: Json) -> None:
        """Answer a call, or misbehave."""
        if self.affects(call):
            self.affected.append(call)
            if self.times is None or len(self.affected) <= self.times:
                with suppress(OSError):  # the client has closed the connection
                    self.misbehave(self, answer_to(call, last_day=self.last_day))
                return
        super().answer(call)


# --- the connection


def correct(handler: Handler, answer: bytes) -> None:
    handler.send_whole(200, answer)


def reset(handler: Handler, answer: bytes) -> None:
    """Half of the answer, then a reset."""
    head(handler, len(answer))
    handler.wfile.write(answer[: len(answer) // 2])
    time.sleep(0.05)  # otherwise the reset overtakes the bytes
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def head(handler: Handler, length: int | None, **headers: str) -> None:
    """Status line and headers of an answer; the connection closes after it."""
    handler.send_response(200)
    handler.send_header("Connection", "close")  # closes the connection on the server's side too
    if length is not None:
        handler.send_header("Content-Length", str(length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def wrong_length(difference: int) -> Misbehave:
    """An answer whose Content-Length is wrong by `difference`."""

    def misbehave(handler: Handler, answer: bytes) -> None:
        head(handler, len(answer) + difference)
        handler.wfile.write(answer)

    return misbehave


def stall(seconds: float) -> Misbehave:
    """Half of the answer, then nothing."""

    def misbehave(handler: Handler, answer: bytes) -> None:
        head(handler, len(answer))
        handler.wfile.write(half(answer))
        time.sleep(seconds)

    return misbehave


def slow_first_byte(seconds: float) -> Misbehave:
    def misbehave(handler: Handler, answer: bytes) -> None:
        time.sleep(seconds)
        handler.send_whole(200, answer)

    return misbehave


def slow_drip(handler: Handler, answer: bytes) -> None:
    """One byte at a time, each early enough to avoid the read time-out."""
    head(handler, len(answer))
    for k in range(MAX_PIECES):
        handler.wfile.write(answer[k : k + 1])
        time.sleep(0.02)


def endless(handler: Handler, _answer: bytes) -> None:
    """An endless answer without Content-Length."""
    head(handler, None)
    handler.wfile.write(b'{"error_num":0,"return":')
    for _ in range(MAX_PIECES):
        handler.wfile.write(b" " * 100_000)


def redirect(location: str) -> Misbehave:
    return lambda handler, _: handler.send_whole(302, b"", Location=location)


# --- the status and the body


def status(code: int, **headers: str) -> Misbehave:
    return lambda handler, _: handler.send_whole(code, b"", **headers)


def body(content: bytes) -> Misbehave:
    return lambda handler, _: handler.send_whole(200, content)


def transformed(change: Callable[[bytes], bytes], **headers: str) -> Misbehave:
    """The bytes of the correct answer, transformed."""
    return lambda handler, answer: handler.send_whole(200, change(answer), **headers)


def half(answer: bytes) -> bytes:
    return answer[: len(answer) // 2]


def bomb(_answer: bytes) -> bytes:
    """64 MB of blanks, compressed."""
    return _compressed_blanks()


@cache
def _compressed_blanks() -> bytes:
    return gzip.compress(b" " * 64_000_000, 1)


# --- the envelope, the list of variables and the trace


def renamed_keys(result_key: str, error_key: str) -> Misbehave:
    """The correct answer under changed keys."""

    def rename(answer: bytes) -> bytes:
        return json.dumps({error_key: 0, "disclaimer": "as is", result_key: json.loads(answer)["return"]}).encode()

    return transformed(rename)


def error(number: object, *, key: str = "error_num", text: str = "a message") -> Misbehave:
    return body(json.dumps({key: number, key.replace("num", "msg"): text}).encode())


def sites(change: Callable[[list[Json]], list[Json]]) -> Misbehave:
    """The correct list of variables with changed sites."""

    def replace(answer: bytes) -> bytes:
        return json.dumps({"error_num": 0, "return": {"sites": change(json.loads(answer)["return"]["sites"])}}).encode()

    return transformed(replace)


def variable(**keys: object) -> Misbehave:
    """The correct list of variables with changed keys in each variable."""
    return sites(lambda rows: [row | {"variables": [v | keys for v in row["variables"]]} for row in rows])


def traces(change: Callable[[list[Json]], list[Json]]) -> Misbehave:
    """The correct answer with changed traces."""

    def replace(answer: bytes) -> bytes:
        envelope = json.loads(answer)
        envelope["return"]["traces"] = change(envelope["return"]["traces"])
        return json.dumps(envelope).encode()

    return transformed(replace)


def trace(**keys: object) -> Misbehave:
    """The correct answer with changed keys in its trace."""
    return traces(lambda rows: [row | keys for row in rows])


def points(change: Callable[[list[Json]], list[Json]]) -> Misbehave:
    """The correct answer with changed points."""
    return traces(lambda rows: [row | {"trace": change(row["trace"])} for row in rows])


def third_point(**keys: object) -> Misbehave:
    """The correct answer with changed keys in its third point."""
    return points(lambda rows: [*rows[:2], rows[2] | keys, *rows[3:]])
