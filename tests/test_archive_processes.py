"""Real processes on one archive: fetches, a reader, a polling dashboard, and fetches that are killed at any moment.

Each fetch sets all readings of a gauge to one new number. A view with two numbers, or with a different number of rows,
is therefore torn.
"""

import multiprocessing
import random
import time as clock
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from forebay.archive import upkeep
from forebay.archive.fetch import FetchReport, FetchRequest, fetch_dam
from forebay.archive.store import Archive, open_archive
from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from forebay.settings import Settings
from tests import synthetic
from tests.readings import MONDAY

DAYS = 200
DAM = synthetic.small_dam(synthetic.rain_gauge("r1"), synthetic.rain_gauge("r2"))
KILLS, EARLY = 50, 8
"""Number of kills, and how many of them can hit the first fetch, also while it creates the archive."""


def fetch(path: Path, archive: Archive, number: float, now: datetime) -> FetchReport:
    """Fetch a dam with files that have `number` on every day."""
    values = {gauge.column: [number] * DAYS for gauge in DAM.gauges}
    synthetic.write_dam(DAM, synthetic.daily_frame(DAM, values), path.parent)
    return fetch_dam(load_dam(str(path)), archive, settings=Settings(), request=FetchRequest(now))


def number_of(archive: Archive, gauge: Gauge) -> float:
    """The one number that all readings of a gauge have; -1 before the first fetch."""
    stored = archive.as_of([gauge])
    numbers = stored["value"].unique().to_list()
    assert (stored.height, len(numbers)) in ((0, 0), (DAYS, 1)), f"torn: {stored.height} rows, {numbers[:5]}"
    return float(numbers[0]) if numbers else -1.0


def check_without_faults(url: str, now: datetime) -> upkeep.ArchiveCheck:
    """A check of the archive, which must report no fault."""
    checked = upkeep.check(url, now)
    assert not checked.fault_summary
    return checked


# --- functions that run in separate processes -----------------------------------------------------------------------


def fetch_on(url: str, path: Path, first: int, started: Event) -> None:
    """One fetch after another, each a day later, until the process is killed."""
    with open_archive(url) as archive:
        for number in range(first, first + 10_000):
            report = fetch(path, archive, number, MONDAY + timedelta(days=number))
            assert not report.errors
            started.set()


def fetch_some(url: str, path: Path, first: int, rounds: int) -> None:
    """`rounds` fetches at the current time; writes the number of stored versions."""
    stored = 0
    with open_archive(url) as archive:
        for number in range(first, first + rounds):
            report = fetch(path, archive, number, datetime.now(UTC))
            stored += int(report.table["new"].sum() + report.table["revised"].sum())
            for error in report.errors.values():
                assert "fetch again" in str(error)  # the other fetch was faster; this one must be refused completely
    (path.parent / "stored").write_text(str(stored))


def read_on(url: str, path: Path, stop: Event) -> None:
    """Read every gauge again and again."""
    gauges = load_dam(str(path)).gauges
    with open_archive(url) as archive:
        while not stop.is_set():
            for gauge in gauges:
                number_of(archive, gauge)


def poll_on(url: str, path: Path, stop: Event) -> None:
    """Open the archive, read the newest and known readings, close it, as a dashboard does."""
    dam = load_dam(str(path))
    while not stop.is_set():
        with open_archive(url) as archive:
            archive.newest(dam.target_gauge)
            known = archive.known_at([dam.target_gauge], datetime.now(UTC), dam.time_zone)
            assert known.height in (0, DAYS)
            assert known["value"].n_unique() <= 1
        clock.sleep(0.01)


# --------------------------------------------------------------------------------------------------------------------

Start = Callable[..., ForkServerProcess]


@pytest.fixture
def processes() -> ForkServerContext:
    """Context whose processes share finished imports: 50 of them take less than a minute."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.test_archive_processes", "forebay.archive.database"])
    return context


@pytest.fixture
def start(processes: ForkServerContext) -> Iterator[Start]:
    """Function that starts a process, which is killed at the end of the test."""
    started: list[ForkServerProcess] = []

    def start_process(target: Callable[..., None], *arguments: object) -> ForkServerProcess:
        process = processes.Process(target=target, args=arguments)
        process.start()
        started.append(process)
        return process

    yield start_process
    for process in started:
        process.kill()
        process.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The dam's file."""
    return place(tmp_path / "one")


def place(folder: Path) -> Path:
    folder.mkdir()
    values: dict[str, list[float | None]] = {gauge.column: [0.0] * DAYS for gauge in DAM.gauges}
    return synthetic.write_dam(DAM, synthetic.daily_frame(DAM, values), folder)


@pytest.mark.slow
def test_a_killed_fetch_leaves_complete_gauges_and_the_next_fetch_completes(
    url: str, path: Path, start: Start, processes: ForkServerContext
) -> None:
    moments = random.Random(20240501)
    dam = load_dam(str(path))
    first, elapsed = 0, 0.5
    for kill in range(KILLS):
        started = processes.Event()
        begun = clock.monotonic()
        process = start(fetch_on, url, path, first, started)
        if kill >= EARLY:
            assert started.wait(60), "the fetch after the kill did not complete"
            elapsed = clock.monotonic() - begun
        clock.sleep(moments.uniform(0, max(0.15, elapsed)))  # a busy machine is slower at both: fetch and wait
        process.kill()
        process.join()
        with open_archive(url) as archive:
            numbers = [number_of(archive, gauge) for gauge in dam.gauges]
        assert numbers == sorted(numbers, reverse=True), "gauges are fetched in the dam file's order"
        in_turn = numbers[0] == numbers[-1] or numbers[0] == numbers[-1] + 1 or numbers[-1] < first
        assert in_turn, "gauges are fetched one after the other"
        assert kill < EARLY or first <= numbers[-1]
        first = max(first, int(numbers[0]) + 1)
    checked = check_without_faults(url, MONDAY + timedelta(days=first + 10_000))
    assert checked.versions >= (KILLS - EARLY) * DAYS * len(dam.gauges)
    with open_archive(url) as archive:
        for gauge in dam.gauges:  # the archive has each version of a reading once
            stored = archive.revisions([gauge])
            assert stored.height % DAYS == 0
            assert (stored["value"] > stored["old_value"]).all()


@pytest.mark.slow
def test_two_fetches_a_reader_and_a_dashboard_at_once(
    url: str, tmp_path: Path, start: Start, processes: ForkServerContext
) -> None:
    paths = [place(tmp_path / name) for name in ("one", "other")]
    stop = processes.Event()
    readers = [start(read_on, url, paths[0], stop), start(poll_on, url, paths[0], stop)]
    fetchers = [start(fetch_some, url, path, 1000 * k, 12) for k, path in enumerate(paths)]
    for process in fetchers:
        process.join(120)
    stop.set()
    for process in readers:
        process.join(60)
    assert [process.exitcode for process in (*fetchers, *readers)] == [0, 0, 0, 0]
    stored = sum(int((path.parent / "stored").read_text()) for path in paths)
    assert check_without_faults(url, datetime.now(UTC)).versions == stored
