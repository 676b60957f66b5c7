"""Answers that many clients ask for are computed once for all of them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

if TYPE_CHECKING:
    from forebay.web.formats import Encoded

MAX_ANSWERS = 32
FRESH_S = 2.0
"""Seconds for which an answer with ages, such as that of a forecast, is the same for all clients."""


@dataclass(frozen=True)
class _Entry:
    moment: Hashable
    answer: Encoded


class AnswerCache:
    """The last answers by what was asked for; of each one, a single computation runs at a time.

    While it runs, other clients get the answer before, if there is one: at most one moment older. It works in the event
    loop, so that a stored answer needs no thread; `memory.Memory` is for threads, which wait for the newest value.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._running: dict[Hashable, asyncio.Task[Encoded]] = {}

    async def answer(self, key: Hashable, moment: Hashable, compute: Callable[[], Encoded]) -> Encoded:
        """The answer to `key` at a moment, such as the number of a snapshot; `compute` runs in a thread."""
        entry = self._entries.get(key)
        if entry is not None and entry.moment == moment:
            self._entries.move_to_end(key)
            return entry.answer
        task = self._running.get(key)
        if task is not None:
            return entry.answer if entry is not None else await asyncio.shield(task)
        task = asyncio.create_task(self._compute(key, moment, compute))
        self._running[key] = task
        return await asyncio.shield(task)

    async def _compute(self, key: Hashable, moment: Hashable, compute: Callable[[], Encoded]) -> Encoded:
        try:
            answer = await run_in_threadpool(compute)
        finally:
            del self._running[key]
        self._entries[key] = _Entry(moment, answer)
        while len(self._entries) > MAX_ANSWERS:
            self._entries.popitem(last=False)
        return answer
