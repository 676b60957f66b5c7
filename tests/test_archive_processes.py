"""Real processes on one archive: fetches, a reader, a polling dashboard, and writers that are killed or suspended.

Each fetch sets all readings of a gauge to one new number. A view with two numbers, or with a different number of rows,
is therefore torn.
"""

import multiprocessing
import os
import random
import signal
import time as clock
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import polars as pl
import pytest

from forebay.archive import lease, upkeep
from forebay.archive.fetch import FetchReport, FetchRequest, fetch_dam
from forebay.archive.lease import LeaseWait
from forebay.archive.store import Archive, open_archive
from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from forebay.errors import ForebayError, NoArchiveError
from forebay.settings import Settings
from tests import synthetic
from tests.readings import LEVEL, MONDAY, day_contents, readings

DAYS = 200
DAM = synthetic.small_dam(synthetic.rain_gauge("r1"), synthetic.rain_gauge("r2"))
KILLS, EARLY = 50, 8
"""Number of kills, and how many of them can hit the first fetch, also while it creates the archive."""
ROUNDS = 4
"""Number of states of the files; two fetches at once get each of them."""


def write_files(folder: Path, number: float) -> Path:
    """Path of a dam whose files have `number` on every day."""
    values: dict[str, list[float | None]] = {gauge.column: [number] * DAYS for gauge in DAM.gauges}
    return synthetic.write_dam(DAM, synthetic.daily_frame(DAM, values), folder)


def fetch(path: Path, archive: Archive, number: float, request: FetchRequest) -> FetchReport:
    """Fetch a dam with files that have `number` on every day."""
    write_files(path.parent, number)
    return fetch_dam(load_dam(str(path)), archive, settings=Settings(), request=request)


def number_of(archive: Archive, gauge: Gauge) -> float:
    """The one number that all readings of a gauge have; -1 before the first fetch."""
    stored = archive.as_of([gauge])
    numbers = stored["value"].unique().to_list()
    assert (stored.height, len(numbers)) in ((0, 0), (DAYS, 1)), f"torn: {stored.height} rows, {numbers[:5]}"
    return float(numbers[0]) if numbers else -1.0


def level(number: float) -> pl.DataFrame:
    """Readings of the level that all have one number."""
    return readings(LEVEL, day_contents(date(2023, 1, 1), [number] * DAYS))


def checksums(url: str) -> dict[tuple[object, ...], tuple[int, int]]:
    """Label of each series → number of its versions, and the sum of their hashes."""
    with open_archive(url, create=False) as archive, archive._database.reading() as connection:
        return upkeep._checksums(archive._database, connection)


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
            report = fetch(path, archive, number, FetchRequest(MONDAY + timedelta(days=number)))
            assert not report.errors
            started.set()


def fetch_some(url: str, path: Path, first: int, rounds: int) -> None:
    """`rounds` fetches at the current time; writes the number of stored versions."""
    stored = 0
    with open_archive(url) as archive:
        for number in range(first, first + rounds):
            request = FetchRequest(datetime.now(UTC), clock=lambda: datetime.now(UTC))
            report = fetch(path, archive, number, request)
            assert not report.errors
            stored += int(report.table["new"].sum() + report.table["revised"].sum())
    (path.parent / "stored").write_text(str(stored))


def fetch_files(url: str, path: Path, number: int) -> None:
    """One fetch of the files as they are, `number` days after the first."""
    request = FetchRequest(MONDAY + timedelta(days=number))
    with open_archive(url) as archive:
        assert not fetch_dam(load_dam(str(path)), archive, settings=Settings(), request=request).errors


def write_twice(url: str, folder: Path, expiry_s: float, ready: Event, go: Event) -> None:
    """Two appends under one lease, the second one after `go`; writes its error to a file."""
    lease.EXPIRY_S = expiry_s
    with open_archive(url) as archive, archive.lease():
        archive.append(level(1.0), MONDAY)
        ready.set()
        assert go.wait(60)
        try:
            archive.append(level(2.0), MONDAY + timedelta(days=1))
        except ForebayError as error:
            (folder / "error").write_text(str(error))


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


def wait_for_holder(url: str, processes: list[ForkServerProcess]) -> ForkServerProcess | None:
    """The one of `processes` that has the lease; None if all end before one is seen to have it."""
    while any(process.is_alive() for process in processes):
        with suppress(NoArchiveError), open_archive(url, create=False) as archive:
            with archive._database.reading() as connection:
                holder = archive._database.lease_holder(connection)
            for process in processes:
                if holder is not None and process.pid == holder.process:
                    return process
    return None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The dam's file."""
    return place(tmp_path / "one")


def place(folder: Path) -> Path:
    folder.mkdir()
    return write_files(folder, 0.0)


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


@pytest.mark.slow
def test_after_kills_of_two_fetches_the_next_one_leaves_what_an_undisturbed_one_leaves(
    url: str, new_url: Callable[[], str], path: Path, start: Start, processes: ForkServerContext
) -> None:
    moments = random.Random(20240502)
    undisturbed, holders_killed = new_url(), 0
    stop = processes.Event()
    readers = [start(read_on, url, path, stop), start(poll_on, url, path, stop)]
    for number in range(ROUNDS):
        write_files(path.parent, number)
        fetchers = [start(fetch_files, url, path, number) for _ in range(2)]
        while alive := [process for process in fetchers if process.is_alive()]:
            holder = wait_for_holder(url, alive)
            clock.sleep(moments.uniform(0, 0.2))
            process = moments.choice(alive)
            process.kill()
            process.join()
            holders_killed += process is holder
        for archive_url in (url, undisturbed):
            fetch_files(archive_url, path, number)
        assert checksums(url) == checksums(undisturbed)
    stop.set()
    for process in readers:
        process.join(60)
    assert [process.exitcode for process in readers] == [0, 0]
    assert holders_killed
    checked = check_without_faults(url, MONDAY + timedelta(days=ROUNDS))
    assert checked.versions == ROUNDS * DAYS * len(DAM.gauges)


@pytest.mark.slow
def test_the_lease_of_a_killed_writer_is_taken_over_at_once(
    url: str, tmp_path: Path, start: Start, processes: ForkServerContext
) -> None:
    ready, go = processes.Event(), processes.Event()
    writer = start(write_twice, url, tmp_path, lease.EXPIRY_S, ready, go)
    assert ready.wait(60)
    writer.kill()
    writer.join()
    with open_archive(url, lease_wait=LeaseWait(lease.EXPIRY_S / 4)) as archive:
        assert archive.append(level(3.0), MONDAY + timedelta(days=2)).revised == DAYS


@pytest.mark.slow
def test_a_suspended_writer_loses_its_lease_and_does_not_write_when_it_goes_on(
    url: str, tmp_path: Path, start: Start, processes: ForkServerContext
) -> None:
    ready, go = processes.Event(), processes.Event()
    writer = start(write_twice, url, tmp_path, 2.0, ready, go)
    assert ready.wait(60)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGSTOP)
    with open_archive(url, lease_wait=LeaseWait(30)) as archive, archive.lease():
        assert archive.append(level(3.0), MONDAY + timedelta(hours=1)).revised == DAYS
        os.kill(writer.pid, signal.SIGCONT)
        go.set()
        writer.join(60)
        assert writer.exitcode == 0
        assert f"lost it to {os.uname().nodename}, process {os.getpid()} " in (tmp_path / "error").read_text()
        assert archive.as_of([LEVEL])["value"].unique().to_list() == [3.0]
