"""Asking services ahead of their turn, several gauges at a time, while what comes is stored in the dam file's order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

Result = TypeVar("Result")
Job = Callable[[], Result]


@contextmanager
def prefetch(jobs: Sequence[tuple[str | None, Job[Result]]], at_once: int) -> Iterator[list[Job[Result]]]:
    """What to call for each job, in turn, to have its result or its error.

    Parameters
    ----------
    jobs
        Service and job. Those of one service begin in their order, `at_once` at a time, before they are called for; a
        job of no service begins when it is called for.
    at_once
        Jobs of one service at a time.
    """
    turns: list[Job[Result]] = []
    queues: dict[str, deque[tuple[Future[Result], Job[Result]]]] = {}
    for service, job in jobs:
        if service is None:
            turns.append(job)
        else:
            future: Future[Result] = Future()
            queues.setdefault(service, deque()).append((future, job))
            turns.append(partial(_result, future))
    for queue in queues.values():
        for _ in range(min(at_once, len(queue))):
            # A daemon: who stops the program need not wait for a slow service.
            threading.Thread(target=_work, args=(queue,), daemon=True).start()
    try:
        yield turns
    finally:
        for queue in queues.values():
            queue.clear()


def _result(future: Future[Result]) -> Result:
    """What came of a job, once it is done.

    It is waited for in short turns: polars handles Ctrl-C with a handler under which a wait without an end would begin
    anew, and nobody would be told.
    """
    while not future.done():
        wait([future], timeout=0.2)
    return future.result()


def _work(queue: deque[tuple[Future[Result], Job[Result]]]) -> None:
    """Do the queue's jobs until none is left."""
    while True:
        try:
            future, job = queue.popleft()
        except IndexError:
            return
        try:
            future.set_result(job())
        except BaseException as error:  # whatever it is, it is raised where the job is called for
            future.set_exception(error)
