"""Fetches several gauges ahead, while results are stored in the order of the dam file."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

JobResult = TypeVar("JobResult")
Job = Callable[[], JobResult]


@contextmanager
def prefetch(jobs: Sequence[tuple[str | None, Job[JobResult]]], jobs_at_once: int) -> Iterator[list[Job[JobResult]]]:
    """A function for each job, in order, that returns its result or raises its error.

    Parameters
    ----------
    jobs
        Service and job. The jobs of a service start in order, before their results are needed. A job without a service
        starts when its result is needed.
    jobs_at_once
        Jobs of one service that run at a time.
    """
    results: list[Job[JobResult]] = []
    queues: dict[str, deque[tuple[Future[JobResult], Job[JobResult]]]] = {}
    for service, job in jobs:
        if service is None:
            results.append(job)
        else:
            future: Future[JobResult] = Future()
            queues.setdefault(service, deque()).append((future, job))
            results.append(partial(_result, future))
    for queue in queues.values():
        for _ in range(min(jobs_at_once, len(queue))):
            # A daemon thread: the end of the program does not wait for a slow service.
            threading.Thread(target=_work, args=(queue,), daemon=True).start()
    try:
        yield results
    finally:
        for queue in queues.values():
            queue.clear()


def _result(future: Future[JobResult]) -> JobResult:
    """Result of a job once it has finished, or its error.

    It waits in short intervals. Polars installs a handler for Ctrl-C, under which a wait without a time-out would start
    again and nothing would react to Ctrl-C.
    """
    while not future.done():
        wait([future], timeout=0.2)
    return future.result()


def _work(queue: deque[tuple[Future[JobResult], Job[JobResult]]]) -> None:
    """Run the jobs of the queue until it is empty."""
    while True:
        try:
            future, job = queue.popleft()
        except IndexError:
            return
        try:
            future.set_result(job())
        except BaseException as error:  # any error is raised where the result is needed
            future.set_exception(error)
