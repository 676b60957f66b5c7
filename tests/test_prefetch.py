"""Jobs of services start before their results are needed, in order and in limited number."""

import threading
from collections.abc import Callable

import pytest

from forebay.archive.prefetch import prefetch


class RecordedJobs:
    """Jobs that record their start, and wait until they are released."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.changed = threading.Condition()
        self.go = threading.Event()

    def job(self, name: str) -> Callable[[], str]:
        def run() -> str:
            with self.changed:
                self.started.append(name)
                self.changed.notify_all()
            assert self.go.wait(10)
            return name.upper()

        return run

    def wait_for(self, count: int) -> list[str]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.started) >= count, timeout=10)
            return sorted(self.started)


def test_jobs_start_ahead_and_results_are_in_order() -> None:
    recorded = RecordedJobs()
    jobs = [("a", recorded.job(name)) for name in ("a1", "a2", "a3")] + [("b", recorded.job("b1"))]
    with prefetch([*jobs, (None, recorded.job("own"))], 2) as turns:
        assert recorded.wait_for(3) == ["a1", "a2", "b1"]  # a3 waits for a1 or a2; own waits for its turn
        recorded.go.set()
        assert [turn() for turn in turns] == ["A1", "A2", "A3", "B1", "OWN"]
    assert recorded.started[-1] == "own"


def test_an_error_is_raised_in_its_turn_and_later_jobs_run() -> None:
    def fail() -> str:
        raise ZeroDivisionError

    with prefetch([("a", fail), ("a", lambda: "x")], 1) as turns:
        with pytest.raises(ZeroDivisionError):
            turns[0]()
        assert turns[1]() == "x"


def test_jobs_that_wait_at_the_end_of_the_block_never_start() -> None:
    recorded = RecordedJobs()
    with pytest.raises(KeyboardInterrupt), prefetch([("a", recorded.job(n)) for n in ("a1", "a2")], 1):
        recorded.wait_for(1)
        raise KeyboardInterrupt
    workers = [thread for thread in threading.enumerate() if thread.name.endswith("(_work)")]
    recorded.go.set()
    for worker in workers:
        worker.join(10)
    assert recorded.started == ["a1"]
