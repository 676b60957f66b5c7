"""`forebay.archive.records` on both databases: append, copies, upgrade, two processes, kills, archives to read only."""

import json
import multiprocessing
import random
import shutil
import signal
import sqlite3
import time as clock
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from polars.testing import assert_frame_equal

from forebay.archive import upkeep
from forebay.archive.database import SCHEMA_VERSION
from forebay.archive.lease import LeaseWait
from forebay.archive.store import open_archive
from forebay.errors import BusyError, DataError, ForebayError, ReadOnlyError
from forebay.forecasts.record import add_to_chain, chain_faults
from forebay.tables import RECORDS
from tests.postgres import Cluster
from tests.records import DAM, INIT, ISSUED_AT, append_chain, chain, content

CHAIN = chain(4)
NOW = ISSUED_AT + timedelta(days=9)
SCHEMA_4 = Path(__file__).parent / "archives" / "schema_4.db"
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.records", "forebay.archive.database"])


@pytest.fixture
def filled(url: str) -> str:
    """URL of an archive with the records of two dams."""
    with open_archive(url) as archive:
        append_chain(archive, CHAIN)
        append_chain(archive, chain(2, dam=DAM.model_copy(update={"id": "other"})))
    return url


def execute(url: str, statement: str) -> None:
    """Change the archive behind forebay's back."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


def stored(url: str, dam: str = DAM.id) -> pl.DataFrame:
    with open_archive(url, create=False) as archive:
        return pl.concat([RECORDS.empty(), *archive.records.pages(dam)])


def test_records_are_read_as_they_were_stored(filled: str) -> None:
    assert_frame_equal(stored(filled), CHAIN)
    with open_archive(filled) as archive:
        assert_frame_equal(archive.records.index(DAM.id), CHAIN.drop("payload"))
        assert archive.records.index()["dam"].to_list() == ["other"] * 2 + [DAM.id] * 4
        assert archive.records.with_hash(CHAIN["hash"][2][:9])["sequence"].to_list() == [3]
        assert archive.records.with_hash("%").is_empty()
        assert pl.concat(archive.records.pages(DAM.id, [4, 2]))["sequence"].to_list() == [2, 4]
        assert list(archive.records.pages("nobody")) == []
        head = archive.records.head(DAM.id, INIT)
        assert (head.sequence, head.hash, head.recorded_at) == CHAIN.select("sequence", "hash", "recorded_at").row(-1)
        assert (head.replaced, archive.records.head(DAM.id, INIT - timedelta(days=1)).replaced) == (2, None)


def test_only_the_next_record_of_the_chain_is_stored(filled: str) -> None:
    with open_archive(filled) as archive:
        for row in CHAIN.iter_slices(1):
            assert not archive.records.append(row), "it is stored already"
        last = archive.records.head(DAM.id, INIT)
        first, second = (add_to_chain(content(level=level, now=NOW), last) for level in (1.0, 2.0))
        assert archive.records.append(first)
        assert not archive.records.append(second), "two records cannot follow the same one"
        with pytest.raises(DataError, match="2 rows; a record is stored alone"):
            archive.records.append(CHAIN[:2])
    assert stored(filled).height == 5
    assert chain_faults([stored(filled)], DAM.id) == []


@pytest.mark.parametrize("column", ["previous", "hash"])
def test_the_database_itself_refuses_a_second_record_after_the_same_one(filled: str, column: str) -> None:
    columns = ", ".join("9" if name == "sequence" else f"'{name}x'" if name in ("previous", "hash") and name != column
                        else name for name in RECORDS.columns)  # fmt: skip
    with pytest.raises(sa.exc.IntegrityError):
        execute(filled, f"INSERT INTO forecast_record SELECT {columns} FROM forecast_record WHERE sequence = 3")


def test_copies_have_the_records(filled: str, new_url: Callable[[], str], tmp_path: Path) -> None:
    target, backup = new_url(), tmp_path / "backup.db"
    copied = upkeep.copy(filled, target)
    assert (copied.records, copied.versions) == (6, 0)
    assert upkeep.backup(filled, backup).records == 6
    restored = new_url()
    assert upkeep.restore(backup, restored, NOW).records == 6
    for url in (target, f"sqlite:///{backup}", restored):
        assert_frame_equal(stored(url), CHAIN)
        checked = upkeep.check(url, NOW)
        assert (checked.records, checked.fault_summary) == (6, "")
    with pytest.raises(ForebayError, match="holds 0 versions and 6 forecast records; give another one"):
        upkeep.copy(filled, target)


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE forecast_record SET payload = payload || ' ' WHERE sequence = 3", "differs from its hash"),
        ("DELETE FROM forecast_record WHERE sequence = 2", "does not follow the one before"),
        ("DELETE FROM forecast_record WHERE sequence = 1", "does not follow the one before"),
        ("UPDATE forecast_record SET previous = 'x' WHERE sequence = 3", "does not follow the one before"),
    ],
)
def test_the_check_of_the_archive_counts_changed_records(filled: str, statement: str, fault: str) -> None:
    execute(filled, statement)
    faults = upkeep.check(filled, NOW).faults
    assert [name for name, count in faults.items() if count and name.endswith(fault)]


def test_a_record_waits_for_no_fetch(filled: str) -> None:
    """Another process holds the lease; the record is stored at once."""
    is_stored = False
    with open_archive(filled) as writer, writer.lease(), open_archive(filled, lease_wait=LeaseWait(0.0)) as archive:
        row = add_to_chain(content(now=NOW), archive.records.head(DAM.id, INIT))
        with suppress(BusyError):
            is_stored = archive.records.append(row)
    assert is_stored
    assert stored(filled).height == 5


# --- schema 4 ---------------------------------------------------------------------------------------------------------


def schema_of(path: Path) -> list[tuple[int]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT version FROM archive_schema").fetchall()


def test_reading_leaves_schema_4_and_the_first_record_upgrades_it(tmp_path: Path) -> None:
    path = tmp_path / "forebay.db"
    shutil.copy(SCHEMA_4, path)
    before, url = path.read_bytes(), f"sqlite:///{path}"
    with open_archive(url, create=False) as reader:
        assert reader.records.index().is_empty()
        assert list(reader.records.pages(DAM.id)) == []
        assert reader.records.with_hash("a").is_empty()
        head = reader.records.head(DAM.id, INIT)
        assert (head.sequence, head.replaced) == (0, None)
        checked = upkeep.check(url, NOW)
        assert (checked.records, checked.fault_summary) == (0, "")
        upkeep.backup(url, tmp_path / "backup.db")
        assert path.read_bytes() == before
        append_chain(reader, CHAIN)
    assert schema_of(path) == [(SCHEMA_VERSION,)]
    assert (upkeep.check(url, NOW).versions, upkeep.check(url, NOW).records) == (checked.versions, 4)
    assert schema_of(tmp_path / "backup.db") == [(4,)]
    upkeep.restore(tmp_path / "backup.db", f"sqlite:///{tmp_path}/new.db", NOW)


def test_a_postgresql_archive_of_schema_4_is_upgraded(postgres: Cluster) -> None:
    url = postgres.new()
    open_archive(url).close()
    later = "forecast_record, alert_decision, alert_delivery"
    postgres.execute(f"DROP TABLE {later}; UPDATE archive_schema SET version = 4", url)
    with open_archive(url) as archive:
        append_chain(archive, CHAIN)
    assert postgres.execute("SELECT version FROM archive_schema", url) == [(SCHEMA_VERSION,)]
    assert_frame_equal(stored(url), CHAIN)


# --- processes --------------------------------------------------------------------------------------------------------


def add_records(url: str, first: int, count: int, place: str) -> None:
    """Add records, each to the newest end of the chain, and write the number of attempts that were too late."""
    late = 0
    with open_archive(url) as archive:
        for k in range(first, first + count):
            record = content(level=float(k), now=ISSUED_AT)
            while not archive.records.append(add_to_chain(record, archive.records.head(DAM.id, INIT))):
                late += 1
    Path(place).write_text(str(late))


def test_two_processes_share_one_chain(url: str, tmp_path: Path) -> None:
    open_archive(url).close()
    workers = [PROCESSES.Process(target=add_records, args=(url, 100 * k + 1, 20, str(tmp_path / str(k))))
               for k in range(2)]  # fmt: skip
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    rows = stored(url)
    assert chain_faults([rows], DAM.id) == []
    levels = {json.loads(payload)["forecast"]["level"][0] // 1 for payload in rows["payload"]}
    assert rows.height == len(levels) == 40, "each record of both processes is there once"


@pytest.mark.slow
def test_kills_leave_a_whole_chain(url: str, tmp_path: Path) -> None:
    """20 processes that add records are killed at random moments."""
    rng, hits, heights = random.Random(22), 0, []
    for k in range(20):
        with open_archive(url) as archive:
            height, give_up = archive.records.index().height, clock.monotonic() + 60
            worker = PROCESSES.Process(target=add_records, args=(url, 1000 * k, 1000, str(tmp_path / "late")))
            worker.start()
            while archive.records.index().height == height and clock.monotonic() < give_up:
                clock.sleep(0.01)
        clock.sleep(rng.uniform(0, 0.1))
        hits += worker.is_alive()
        assert worker.pid is not None
        worker.kill()
        worker.join(60)
        assert worker.exitcode == -signal.SIGKILL
        rows = stored(url)
        assert chain_faults([rows], DAM.id) == []
        heights.append(rows.height)
    assert hits == 20
    assert all(after > before for before, after in zip(heights, heights[1:], strict=False)), heights
    assert not upkeep.check(url, NOW).fault_summary


# --- archives that cannot be written ----------------------------------------------------------------------------------


def test_a_user_who_may_only_read_gets_an_error_of_its_own(postgres: Cluster) -> None:
    url = postgres.new()
    with open_archive(url) as archive:
        append_chain(archive, CHAIN)
    postgres.execute("CREATE ROLE record_reader LOGIN PASSWORD 'reader-secret'")
    postgres.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO record_reader", url)
    place = url.replace(f"//forebay:{postgres.password}@", "//record_reader:reader-secret@")
    with open_archive(place, create=False) as archive:
        assert_frame_equal(archive.records.index(DAM.id), CHAIN.drop("payload"))
        row = add_to_chain(content(now=NOW), archive.records.head(DAM.id, INIT))
        with pytest.raises(ReadOnlyError, match="refuses its user"):
            archive.records.append(row)


def test_a_file_that_is_read_without_locks_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forebay.archive import read_only

    url = f"sqlite:///{tmp_path}/forebay.db"
    with open_archive(url) as archive:
        append_chain(archive, CHAIN)
    upkeep.backup(url, tmp_path / "backup.db")
    monkeypatch.setattr(read_only, "is_immutable", lambda _path, _where: True)
    with open_archive(f"sqlite:///{tmp_path}/backup.db", create=False) as archive:
        row = add_to_chain(content(now=NOW), archive.records.head(DAM.id, INIT))
        with pytest.raises(ReadOnlyError, match="cannot be written: file or folder is read-only"):
            archive.records.append(row)
