"""The archive's database: several processes that create it, locks, and unusable places."""

import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator
from datetime import date
from multiprocessing.synchronize import Barrier
from pathlib import Path

import polars as pl
import pytest

from forebay.archive import database, engines
from forebay.archive.lease import LeaseWait
from forebay.archive.store import AppendResult, open_archive
from forebay.errors import ConfigError, ForebayError
from tests import disks
from tests.readings import LEVEL, MONDAY, day_contents, readings


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'folder' / 'forebay.db'}"


KEYS = 3000


def batch(value: float) -> pl.DataFrame:
    """`KEYS` readings that all have the same value."""
    return readings(LEVEL, day_contents(date(2015, 1, 1), [value] * KEYS))


def open_only(url: str, barrier: Barrier) -> None:
    barrier.wait(60)
    open_archive(url).close()


def test_two_processes_may_create_the_same_archive_at_once(url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(3)
    processes = [spawn.Process(target=open_only, args=(url, barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]


def test_each_connection_flushes_its_commits_to_the_disk_and_checks_references(sqlite_url: str) -> None:
    flushes_each_commit = 2  # FULL
    with open_archive(sqlite_url) as archive:
        transactions = (archive._database.reading, archive._database.writing, archive._database.transaction)
        for transaction in transactions:
            with transaction() as connection:
                pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                           for name in ("synchronous", "foreign_keys", "journal_mode")]  # fmt: skip
            assert pragmas == [flushes_each_commit, 1, "wal"]


# --- places that cannot be used -------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB."""
    with disks.small_disk(tmp_path / "disk", "512k") as folder:
        yield folder


def test_a_full_disk_changes_no_stored_reading_and_the_append_works_later(small_disk: Path) -> None:
    with open_archive(f"sqlite:///{small_disk}/forebay.db") as archive:
        small = readings(LEVEL, day_contents(date(1990, 1, 1), [1.0] * 100))
        large = readings(LEVEL, day_contents(date(1990, 1, 1), [1.0] * 12_000))
        archive.append(small, MONDAY)
        with pytest.raises(ForebayError, match=r"forebay\.db cannot grow: the disk is full; free some space"):
            archive.append(large, MONDAY)
        assert archive.as_of([LEVEL]).height == 100
        disks.mount("-o", "remount,size=16m", str(small_disk))
        assert archive.append(large, MONDAY) == AppendResult(12_000, new=11_900, revised=0, unchanged=100)


def test_a_disk_that_is_too_small_for_an_archive(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(500 * 1024))
    with pytest.raises(ForebayError, match="the disk is full|is full"):
        open_archive(f"sqlite:///{small_disk}/forebay.db")


def test_an_archive_in_a_read_only_folder_is_refused(small_disk: Path) -> None:
    with open_archive(f"sqlite:///{small_disk}/stored.db") as archive:
        archive.append(batch(1.0).head(10), MONDAY)
    disks.mount("-o", "remount,ro", str(small_disk))
    for name in ("new.db", "stored.db"):
        with pytest.raises(ConfigError, match=rf"{name} cannot be (opened|written)"):
            open_archive(f"sqlite:///{small_disk}/{name}")
    with pytest.raises(ConfigError, match="cannot be created .Read-only file system.; choose another"):
        open_archive(f"sqlite:///{small_disk}/below/new.db")


def test_a_file_that_is_no_archive_is_refused_and_unchanged(tmp_path: Path) -> None:
    text = tmp_path / "levels.csv"
    text.write_text("date,level\n" * 200)
    with pytest.raises(ConfigError, match=r"levels\.csv is not an SQLite database"):
        open_archive(f"sqlite:///{text}")
    assert text.read_text() == "date,level\n" * 200
    with pytest.raises(ConfigError, match="is a folder"):
        open_archive(f"sqlite:///{tmp_path}")
    with pytest.raises(ConfigError, match="cannot be created"):
        open_archive(f"sqlite:///{text}/forebay.db")


def test_a_database_of_another_program_is_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "places.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (title TEXT)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="database of another program .it has the tables bookmarks."):
        open_archive(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_an_archive_of_a_newer_forebay_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(database, "SCHEMA_VERSION", 99)
        open_archive(url).close()
    with pytest.raises(ConfigError, match=f"has schema version 99, this forebay reads {database.SCHEMA_VERSION}; use"):
        open_archive(url)


@pytest.mark.parametrize("wrong", ["forebay.db", "", "mysql://me:secret@host/x", "postgres://me:secret@host/x",
                                   "postgresql+psycopg://me:secret@host:port/x", "sqlite://", "sqlite:///:memory:",
                                   "sqlite://host/x.db", "sqlite:///x.db?mode=ro"])  # fmt: skip
def test_an_invalid_url_is_refused_without_its_password(wrong: str) -> None:
    with pytest.raises(ConfigError, match="sqlite:///PATH") as caught:
        open_archive(wrong)
    assert "secret" not in str(caught.value)


def test_a_damaged_archive_is_named(sqlite_url: str) -> None:
    with open_archive(sqlite_url) as archive:
        archive.append(batch(1.0), MONDAY)
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(ForebayError, match=r"archive sqlite:///.* is damaged; restore it from a backup"), \
            open_archive(sqlite_url) as archive:  # fmt: skip
        archive.as_of([LEVEL])


def test_the_creation_of_an_archive_waits_for_another_process(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    path.parent.mkdir()
    second = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    second.execute("BEGIN IMMEDIATE")
    with monkeypatch.context() as patch, pytest.raises(ForebayError, match="was locked by another process"):
        patch.setattr(engines, "BUSY_TIMEOUT_S", 0.05)
        open_archive(sqlite_url)
    release = threading.Timer(0.2, second.rollback)
    release.start()
    open_archive(sqlite_url).close()
    release.join()
    second.close()


def test_a_permanent_lock_is_an_error_in_one_sentence(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_S", 0.1)
    with open_archive(url) as writer, open_archive(url, lease_wait=LeaseWait(0)) as second, \
            writer._database.transaction():  # fmt: skip
        assert second.as_of([LEVEL]).is_empty()  # a reader does not wait
        with pytest.raises(ForebayError, match="was locked by another process"):
            second.append(batch(1.0), MONDAY)
