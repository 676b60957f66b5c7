"""The lease of an archive: one writer at a time, its expiry and takeover, and a writer that has lost it.

`test_archive_processes` has the tests with processes that are killed or suspended.
"""

import multiprocessing
import os
import re
import shutil
import socket
import sqlite3
import sys
import threading
import time as clock
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from forebay.archive import engines, lease, upkeep
from forebay.archive.database import SCHEMA_VERSION
from forebay.archive.fetch import FetchRequest, fetch_dam
from forebay.archive.lease import Holder, LeaseWait
from forebay.archive.store import Archive, open_archive
from forebay.dams.gauge import Gauge
from forebay.errors import BusyError, ForebayError
from forebay.jobs.observations import fetch
from forebay.settings import Settings
from forebay.tables import READINGS
from tests import synthetic
from tests.command_line import forebay
from tests.postgres import Cluster
from tests.readings import GOOD, LEVEL, MONDAY, readings

NO_WAIT = LeaseWait(0)
ARCHIVES = Path(__file__).parent / "archives"
WITHOUT_WEATHER = "DROP TABLE forecast_record, weather_value, weather_run, weather_series, gauge_fetch"
SECOND = 1_000_000  # µs
DAM = synthetic.small_dam(synthetic.rain_gauge())
COLUMNS: dict[str, list[float | None]] = {"reservoir_level": [1.0] * 9, "rainfall_r1": [0.0] * 9}
HERE = {"host": socket.gethostname(), "processes": lease.process_list()}


def reading(day: int) -> pl.DataFrame:
    """One reading of the level."""
    return readings(LEVEL, {MONDAY + timedelta(days=day): GOOD})


def can_read(archive: Archive) -> bool:
    try:
        archive.as_of([LEVEL])
    except BusyError:
        return False
    return True


def can_write(archive: Archive) -> bool:
    try:
        archive.append(reading(0), MONDAY)
    except BusyError:
        return False
    return True


def holder_of(archive: Archive) -> Holder | None:
    """The row of the table `lease`."""
    with archive._database.reading() as connection:
        return archive._database.lease_holder(connection)


def set_holder(archive: Archive, *, seconds_left: float = 30.0, **fields: object) -> Holder:
    """Write a lease that began a minute ago, by default of a process on the machine `river`."""
    database = archive._database
    process = {"token": "x", "host": "river", "process": 17, "processes": "another list", "command": "forebay fetch"}
    with database.transaction() as connection:
        now = database.now(connection)
        times = {"since": now - 60 * SECOND, "expires_at": now + round(seconds_left * SECOND)}
        holder = Holder(**(process | times | fields))  # type: ignore[arg-type]  # fields of several types
        database.set_lease(connection, holder)
    return holder


def ended_process() -> int:
    """Number of a process that does not exist any more."""
    process = multiprocessing.get_context("spawn").Process(target=len, args=((),))
    process.start()
    process.join()
    assert process.pid is not None
    return process.pid


@pytest.fixture
def archive(url: str) -> Iterator[Archive]:
    """A new archive that does not wait for other writers."""
    with open_archive(url, lease_wait=NO_WAIT) as opened:
        yield opened


# --- one writer at a time -------------------------------------------------------------------------------------------


def test_a_second_writer_waits_and_stops_with_one_sentence(url: str, archive: Archive) -> None:
    reports: list[str] = []
    with archive.lease(), open_archive(url, lease_wait=LeaseWait(0.6, reports.append)) as second:
        begun = clock.monotonic()
        with pytest.raises(BusyError) as caught:
            second.append(reading(0), MONDAY)
        assert clock.monotonic() - begun > 0.5
        archive.append(reading(1), MONDAY)
    holder = rf"archive \S+ is in use by {socket.gethostname()}, process {os.getpid()} \([^)]+\), since 2\S+ \S+ UTC"
    advice = "try again later, end that process, or set a higher lease_wait_s"
    assert re.fullmatch(rf"{holder}; after a wait of 0\.6 s, nothing was changed: {advice}", str(caught.value))
    assert len(reports) == 1, "once"
    assert re.fullmatch(rf"{holder}; waiting for its end, at most 0\.6 s", reports[0])
    assert archive.as_of([LEVEL])["time"].to_list() == [MONDAY + timedelta(days=1)]


def test_a_second_writer_goes_on_when_the_first_has_ended(url: str, archive: Archive) -> None:
    with open_archive(url, lease_wait=LeaseWait(30)) as second:
        with archive.lease():
            writer = threading.Thread(target=second.append, args=(reading(0), MONDAY))
            writer.start()
            clock.sleep(0.5)
            assert archive.as_of([LEVEL]).is_empty()
        writer.join(10)
        assert second.as_of([LEVEL]).height == 1
        assert holder_of(second) is None


def test_a_reader_waits_for_no_writer(url: str, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_S", 0.1)
    with archive.lease(), open_archive(url, create=False, lease_wait=NO_WAIT) as reader:
        assert can_read(reader)
        with archive._database.writing():
            assert can_read(reader)
        assert not upkeep.check(url, MONDAY).fault_summary


def test_upkeep_that_writes_needs_the_lease(url: str, archive: Archive, tmp_path: Path) -> None:
    archive.append(reading(0), MONDAY)
    upkeep.backup(url, tmp_path / "backup.db")
    upkeep.backup(url, tmp_path / "empty.db")
    set_holder(archive)
    writers: list[Callable[[], object]] = [
        lambda: upkeep.compact(url, lease_wait=NO_WAIT),
        lambda: upkeep.restore(tmp_path / "backup.db", url, MONDAY, replace=True, lease_wait=NO_WAIT),
        lambda: upkeep.copy(f"sqlite:///{tmp_path}/backup.db", url, lease_wait=NO_WAIT),
    ]
    for write in writers:
        with pytest.raises(BusyError, match=r"is in use by river, process 17 \(forebay fetch\), since"):
            write()
    assert archive.as_of([LEVEL]).height == 1
    assert not list(tmp_path.glob("*.replaced-*"))


def test_a_writer_goes_on_after_a_long_transaction_of_another(
    url: str, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_S", 0.1)
    with open_archive(url, lease_wait=LeaseWait(30)) as second:
        with archive._database.transaction():
            writer = threading.Thread(target=second.append, args=(reading(0), MONDAY))
            writer.start()
            clock.sleep(0.6)
        writer.join(10)
        assert second.as_of([LEVEL]).height == 1


def test_a_long_transaction_renews_the_lease_at_its_end(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "EXPIRY_S", 1.0)
    monkeypatch.setattr(lease, "_RENEWALS", 0.01)
    database = archive._database
    with archive.lease():
        with database.writing():
            clock.sleep(1.2)
        holder = holder_of(archive)
        with database.reading() as connection:
            assert holder is not None
            assert not holder.is_over(database.now(connection))


def test_an_error_releases_the_lease(archive: Archive) -> None:
    with pytest.raises(RuntimeError), archive.lease():
        raise RuntimeError
    assert holder_of(archive) is None


def test_a_backup_has_no_lease(url: str, archive: Archive, tmp_path: Path) -> None:
    with archive.lease():
        upkeep.backup(url, tmp_path / "backup.db")
    with open_archive(f"sqlite:///{tmp_path}/backup.db", lease_wait=NO_WAIT) as backup:
        assert holder_of(backup) is None


# --- two fetches ----------------------------------------------------------------------------------------------------


def test_two_fetches_of_one_archive_do_not_overlap(url: str) -> None:
    running: list[str] = []
    overlaps: list[list[str]] = []

    def source(gauge: Gauge, *_arguments: object, **_options: object) -> pl.DataFrame:
        running.append(gauge.column)
        clock.sleep(0.2)
        overlaps.append(running.copy())
        running.remove(gauge.column)
        return READINGS.empty()

    def fetch_all() -> None:
        with open_archive(url, lease_wait=LeaseWait(30)) as archive:
            fetch_dam(DAM, archive, settings=Settings(), request=FetchRequest(MONDAY), fetch=source)

    threads = [threading.Thread(target=fetch_all) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [len(columns) for columns in overlaps] == [1] * 4


def test_the_lease_is_renewed_while_a_fetch_waits_for_a_service(
    url: str, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "EXPIRY_S", 2.0)
    entered = threading.Event()

    def slow_source(*_arguments: object, **_options: object) -> pl.DataFrame:
        entered.set()
        clock.sleep(2.5)
        return READINGS.empty()

    thread = threading.Thread(
        target=fetch_dam, args=(DAM, archive),
        kwargs={"settings": Settings(), "request": FetchRequest(MONDAY), "fetch": slow_source},
    )  # fmt: skip
    thread.start()
    try:
        assert entered.wait(30)
        with open_archive(url, lease_wait=LeaseWait(3.5)) as second:
            assert not can_write(second)
    finally:
        thread.join()


# --- expiry and takeover --------------------------------------------------------------------------------------------


def test_an_expired_lease_is_taken_over(archive: Archive) -> None:
    set_holder(archive, seconds_left=-1)
    assert can_write(archive)
    assert holder_of(archive) is None


def test_the_next_writer_waits_for_the_expiry_only(url: str, archive: Archive) -> None:
    set_holder(archive, seconds_left=1)
    with open_archive(url, lease_wait=LeaseWait(8)) as second:
        assert can_write(second)


@pytest.mark.parametrize(
    "process", [{}, HERE | {"process": os.getppid()}], ids=["of another machine", "of this machine"]
)
def test_the_lease_of_a_live_process_is_not_taken_over(archive: Archive, process: dict[str, object]) -> None:
    holder = set_holder(archive, **process)
    assert not can_write(archive)
    assert holder_of(archive) == holder


def test_the_lease_of_an_ended_process_of_this_machine_is_taken_over_at_once(archive: Archive) -> None:
    number = ended_process()
    for place in ({"host": "river"}, {"processes": "of a container with this host name"}, {"processes": ""}):
        set_holder(archive, **(HERE | {"process": number} | place))
        assert not can_write(archive), "it is unknown whether the process has ended"
    set_holder(archive, **(HERE | {"process": number}))
    assert can_write(archive)


def test_a_lease_that_this_process_could_not_delete_does_not_stop_it(archive: Archive) -> None:
    set_holder(archive, **(HERE | {"process": os.getpid()}))
    assert can_write(archive)


def test_a_lease_of_a_wrong_clock_is_taken_over(archive: Archive) -> None:
    set_holder(archive, seconds_left=lease.EXPIRY_S + 20)
    assert not can_write(archive), "the clock went back by 20 s"
    set_holder(archive, seconds_left=12 * 365 * 86_400)
    assert can_write(archive)


def test_a_server_gives_the_time(postgres: Cluster) -> None:
    with open_archive(postgres.new()) as archive, archive._database.reading() as connection:
        before = postgres.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint")[0][0]
        assert isinstance(before, int)
        first = archive._database.now(connection)
        assert before <= first <= before + 20 * SECOND
        clock.sleep(0.1)
        assert archive._database.now(connection) >= first + 0.1 * SECOND, "not the start of the transaction"


# --- a writer that has lost its lease -------------------------------------------------------------------------------


@pytest.mark.parametrize("is_released", [False, True])
def test_a_writer_that_has_lost_its_lease_does_not_write(archive: Archive, is_released: bool) -> None:
    database = archive._database
    with archive.lease():
        archive.append(reading(0), MONDAY)
        holder = set_holder(archive)
        if is_released:
            with database.transaction() as connection:
                database.delete_lease(connection, holder.token)
        with pytest.raises(ForebayError) as caught:
            archive.append(reading(1), MONDAY)
    name = "another process" if is_released else re.escape(str(holder))
    assert re.fullmatch(
        rf"archive \S+: this process did not renew its lease for 60 s and lost it to {name}; this write is not stored: "
        "run the command again", str(caught.value)
    )  # fmt: skip
    assert archive.as_of([LEVEL]).height == 1
    assert holder_of(archive) == (None if is_released else holder), "the lease of the other process stays"


def test_a_fetch_that_has_lost_its_lease_stops(archive: Archive) -> None:

    def source(gauge: Gauge, *_arguments: object, **_options: object) -> pl.DataFrame:
        set_holder(archive)
        return readings(gauge, {MONDAY: GOOD})

    with pytest.raises(ForebayError, match="lost it to river"):
        fetch_dam(DAM, archive, settings=Settings(), request=FetchRequest(MONDAY), fetch=source)
    assert archive.as_of(DAM.gauges).is_empty()


def test_a_restore_that_has_lost_its_lease_changes_nothing(
    url: str, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upkeep.backup(url, tmp_path / "empty.db")
    archive.append(reading(0), MONDAY)
    copy_versions = upkeep._copy_versions

    def lose_the_lease(*arguments: object, **options: object) -> object:
        set_holder(archive)
        return copy_versions(*arguments, **options)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(upkeep, "_copy_versions", lose_the_lease)
    with pytest.raises(ForebayError, match="lost it to river"):
        upkeep.restore(tmp_path / "empty.db", url, MONDAY + timedelta(days=1), replace=True)
    assert archive.as_of([LEVEL]).height == 1


# --- the holder's name ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "has_ended"),
    [(None, False), (PermissionError(), False), (ProcessLookupError(), True)],
    ids=["runs", "of another user", "ended"],
)
def test_a_process_that_may_not_be_signalled_still_works(
    monkeypatch: pytest.MonkeyPatch, error: OSError | None, has_ended: bool
) -> None:
    def kill(_process: int, _signal: int) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(os, "kill", kill)
    now = 10**15
    process = {"token": "x", "process": os.getpid() + 1, "command": "forebay fetch"} | HERE
    holder = Holder(**process, since=now, expires_at=now + 30 * SECOND)  # type: ignore[arg-type]  # of several types
    assert holder.is_over(now) == (has_ended and bool(HERE["processes"]))


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["/bin/forebay", "archive", "copy", "--to", "postgresql+psycopg://me:secret@db/x"], "forebay archive copy"),
        (["forebay", "fetch", "dam\x1b[31m.toml"], "forebay fetch dam�[31m.toml"),
        (["/srv/jobs/nightly.py", "secret"], "nightly.py"),
        ([""], "python"),
    ],
)
def test_the_command_has_no_option_and_no_control_character(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, arguments: list[str], command: str
) -> None:
    monkeypatch.setattr(sys, "argv", arguments)
    with archive.lease():
        holder = holder_of(archive)
    assert holder is not None
    assert (holder.host, holder.process, holder.command) == (socket.gethostname(), os.getpid(), command)


def test_the_command_fetch_reports_its_wait_and_ends_with_code_1(
    url: str, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = synthetic.write_dam(DAM, synthetic.daily_frame(DAM, COLUMNS), tmp_path)
    monkeypatch.setenv("FOREBAY_LEASE_WAIT_S", "0.3")
    monkeypatch.setenv("FOREBAY_ARCHIVE", url)
    set_holder(archive)
    holder = r"is in use by river, process 17 \(forebay fetch\), since \S+ \S+ UTC"
    for command in (["fetch", path], ["run", path, "-o", tmp_path / "run"], ["archive", "compact"]):
        result = forebay(*command)
        assert (result.code, result.out) == (1, "")
        wait, error = result.err.splitlines()
        assert re.fullmatch(rf"forebay: archive \S+ {holder}; waiting for its end, at most 0\.3 s", wait)
        assert re.fullmatch(rf"forebay: archive \S+ {holder}; after a wait of 0\.3 s, nothing was changed: .*", error)
    assert forebay("archive", "check").code == 0


def test_the_function_fetch_reports_its_wait(url: str, archive: Archive, tmp_path: Path) -> None:
    path = synthetic.write_dam(DAM, synthetic.daily_frame(DAM, COLUMNS), tmp_path)
    set_holder(archive)
    works: list[str] = []
    settings = Settings(lease_wait_s=0.3)
    with pytest.raises(BusyError, match=r"after a wait of 0\.3 s"):
        fetch(path, archive=url, settings=settings, progress=lambda work, *_counts: works.append(work))
    assert len(works) == 1
    assert "is in use by river, process 17 (forebay fetch), since" in works[0]


# --- the upgrade of schema 2, which had no lease --------------------------------------------------------------------


def schema_of(path: Path) -> tuple[int, bool]:
    """Schema version of an SQLite archive, and whether it has the table `lease`."""
    with closing(sqlite3.connect(path)) as connection:
        version = connection.execute("SELECT version FROM archive_schema").fetchone()[0]
        return version, connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'lease'").fetchone()[0] == 1


def rows_of(path: Path) -> list[list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return [connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2, 3").fetchall()
                for name in ("series", "observation")]  # fmt: skip


def test_reading_does_not_change_an_archive_of_schema_2_and_the_first_write_upgrades_it(tmp_path: Path) -> None:
    path = tmp_path / "forebay.db"
    shutil.copy(ARCHIVES / "schema_2.db", path)
    content, rows, url = path.read_bytes(), rows_of(path), f"sqlite:///{path}"
    with open_archive(url, create=False) as reader:
        assert can_read(reader)
        assert not upkeep.check(url, MONDAY + timedelta(days=100)).fault_summary
        upkeep.backup(url, tmp_path / "backup.db")
        assert path.read_bytes() == content
        with open_archive(url) as writer, writer.lease():
            assert can_read(reader)
            assert not can_write_from(reader)
    assert schema_of(path) == (SCHEMA_VERSION, True)
    assert rows_of(path) == rows
    assert sorted(file.name for file in tmp_path.iterdir()) == ["backup.db", "forebay.db"], "nothing needs a backup"


def can_write_from(archive: Archive) -> bool:
    """`can_write` of an archive that was opened before the upgrade, without a wait."""
    archive._database._lease._wait = NO_WAIT
    return can_write(archive)


def test_a_postgresql_archive_of_schema_2_is_upgraded(postgres: Cluster) -> None:
    url = postgres.new()
    with open_archive(url) as archive:
        archive.append(reading(0), MONDAY)
    postgres.execute(f"{WITHOUT_WEATHER}; DROP TABLE lease; UPDATE archive_schema SET version = 2", url)
    with open_archive(url) as archive:
        assert can_read(archive)
        assert postgres.execute("SELECT version FROM archive_schema", url) == [(2,)]
        assert archive.append(reading(1), MONDAY).new == 1
        assert archive.as_of([LEVEL]).height == 2
    assert postgres.execute("SELECT version FROM archive_schema", url) == [(SCHEMA_VERSION,)]


def test_two_processes_may_upgrade_at_once(tmp_path: Path) -> None:
    path = tmp_path / "forebay.db"
    shutil.copy(ARCHIVES / "schema_2.db", path)
    barrier = threading.Barrier(2)
    counts = []

    def write(day: int) -> None:
        with open_archive(f"sqlite:///{path}") as archive:
            barrier.wait()
            counts.append(archive.append(reading(day), MONDAY).new)

    threads = [threading.Thread(target=write, args=(day,)) for day in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert counts == [1, 1]
    assert schema_of(path) == (SCHEMA_VERSION, True)
