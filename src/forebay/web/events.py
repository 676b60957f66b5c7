"""A stream of events: a client learns of each change without asking again (EventSource)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from forebay.web.problems import ProblemError, responses

if TYPE_CHECKING:
    from forebay.web.site import Site, Snapshot

PATH = "/api/v1/events"
MAX_STREAMS = 200
"""Streams at once; others are refused with the time after which to try again."""
LOOK_S = 0.5
PING_S = 15.0
RETRY_AFTER_S = 10
RECONNECT_MS = 3000

router = APIRouter()


class Streams:
    """The streams of a server, and whether it ends.

    Attributes
    ----------
    count
        Number of open streams.
    is_ending
        Whether the server ends: every stream then does.
    """

    def __init__(self) -> None:
        self.count = 0
        self.is_ending: Callable[[], bool] = lambda: False


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `dam` with the id and the init date of a dam whose state has changed, and `ping`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get(PATH, response_class=StreamingResponse, responses=responses() | _STREAM)
async def events(request: Request) -> StreamingResponse:
    """Changes as they happen: an event `dam` for each dam with another state, and `ping` now and then."""
    streams: Streams = request.app.state.streams
    if streams.count >= MAX_STREAMS:
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"{MAX_STREAMS} streams are open; try again in {RETRY_AFTER_S} s.",
            {"Retry-After": str(RETRY_AFTER_S)},
        )
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(request.app.state.site, streams), 200, headers, "text/event-stream")


async def _stream(site: Site, streams: Streams) -> AsyncIterator[str]:
    streams.count += 1
    try:
        yield f"retry: {RECONNECT_MS}\n\n"
        before, since = site.snapshot, PING_S
        while not streams.is_ending():
            snapshot = site.snapshot
            for text in changes(before, snapshot):
                yield text
            before = snapshot
            if since >= PING_S:
                yield event("ping", {"snapshot": snapshot.number})
                since = 0.0
            await asyncio.sleep(LOOK_S)
            since += LOOK_S
    finally:
        streams.count -= 1


def changes(before: Snapshot, after: Snapshot) -> list[str]:
    """An event for each dam whose state differs between two snapshots."""
    if before is after:
        return []
    return [
        event("dam", {"dam": name, "init_date": None if state.init_date is None else state.init_date.isoformat()})
        for name, state in after.dams.items()
        if state is not before.dams.get(name)
    ]


def event(name: str, content: dict[str, object]) -> str:
    """An event of a stream.

    >>> event("ping", {"snapshot": 3})
    'event: ping\\ndata: {"snapshot": 3}\\n\\n'
    """
    return f"event: {name}\ndata: {json.dumps(content)}\n\n"
