"""Checks, copies, backups and restores of real archives on both databases, also on full and read-only disks."""

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.archive import engines, upkeep
from forebay.archive.backup_file import staged_file
from forebay.archive.lease import LeaseWait
from forebay.archive.store import Archive, open_archive
from forebay.errors import ConfigError, DataError, ForebayError
from tests import disks
from tests.postgres import Cluster
from tests.readings import GAUGES, GOOD, HOURLY, LEVEL, MONDAY, RAIN, day_contents, readings

NOW = MONDAY + timedelta(days=30)
DAYS = 300


def fill(archive: Archive) -> None:
    """Three series, two of them revised: 3 · 300 readings, 2 · 100 revisions, with texts and gaps."""
    for number, gauge in enumerate((RAIN, LEVEL, HOURLY)):  # not sorted by name
        values = [None if k % 7 == 0 else k / 3 for k in range(DAYS)]
        archive.append(readings(gauge, day_contents(date(2020, 1, 1), values)), MONDAY)
        if number:
            revised: dict = dict.fromkeys(day_contents(date(2020, 2, 1), [0.0] * 100), (9.5, "9,5\n", "fair", ""))
            archive.append(readings(gauge, revised), MONDAY + timedelta(days=number, microseconds=1))


VERSIONS = 3 * DAYS + 200


@pytest.fixture
def filled(url: str) -> str:
    with open_archive(url) as archive:
        fill(archive)
    return url


def views_of(url: str) -> list[pl.DataFrame]:
    """All views of an archive and its revisions."""
    with open_archive(url, create=False) as archive:
        views = [archive.as_of(GAUGES, MONDAY + timedelta(days=k)) for k in range(4)]
        return [*views, archive.first_known(GAUGES), archive.known_at(GAUGES, NOW, "+10:00"), archive.revisions(GAUGES)]


def have_equal_views(first: str, second: str) -> bool:
    return all(a.equals(b) for a, b in zip(views_of(first), views_of(second), strict=True))


# --- check ----------------------------------------------------------------------------------------------------------


def test_the_check_of_an_archive_without_faults_reports_none(filled: str) -> None:
    checked = upkeep.check(filled, NOW)
    assert (checked.series, checked.versions, checked.fault_summary) == (3, VERSIONS, "")
    assert checked.size > 10_000


FAULTS = {
    "1 with no series": "INSERT INTO observation VALUES (99, 0, 0, 1.0, '1', 'good', '1')",
    "1 with a series without any version":
        "INSERT INTO series VALUES "
        "(98, 'waternsw', 'x', 'rainfall', 'total', 0, '', NULL)",
    "1 with a value, quality or time that is none": "UPDATE observation SET quality = 'torn' WHERE {one}",
    "1 with the same contents as the version before":
        "INSERT INTO observation SELECT series, time, fetched_at + 1, value, raw_value, quality, quality_code "
        "FROM observation WHERE {one}",
    "1 with a fetch that lies in the future":
        "UPDATE observation SET fetched_at = 4102444800000000, value = 5 WHERE {one}",
}  # fmt: skip
ONE_KEY = "series = (SELECT max(id) FROM series WHERE id < 90) AND time = 1577836800000000"


def damage(url: str, postgres: Cluster | None, *statements: str) -> None:
    """Run statements on an archive directly, without forebay."""
    if postgres is not None:
        postgres.execute("; ".join(("SET session_replication_role = replica", *statements)), url)
        return
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(("expected", "statement"), FAULTS.items(), ids=FAULTS)
def test_faults_of_single_rows_are_reported(
    filled: str, request: pytest.FixtureRequest, expected: str, statement: str
) -> None:
    server = None if filled.startswith("sqlite") else request.getfixturevalue("postgres")
    damage(filled, server, statement.format(one=ONE_KEY))
    assert upkeep.check(filled, NOW).fault_summary == expected


def test_values_that_are_not_numbers_are_reported(filled: str, request: pytest.FixtureRequest) -> None:
    if filled.startswith("sqlite"):
        damage(filled, None, f"UPDATE observation SET value = 9e999 WHERE {ONE_KEY}")
        assert "1 with a value, quality or time" in upkeep.check(filled, NOW).fault_summary
        damage(filled, None, f"UPDATE observation SET value = 'high' WHERE {ONE_KEY}")
    else:
        server = request.getfixturevalue("postgres")
        damage(filled, server, f"UPDATE observation SET value = 'NaN' WHERE {ONE_KEY}")
    assert "1 with a value, quality or time" in upkeep.check(filled, NOW).fault_summary


def test_a_duplicate_key_is_reported(postgres: Cluster) -> None:
    url = postgres.new()
    with open_archive(url) as archive:
        fill(archive)
    duplicate_row = f"INSERT INTO observation SELECT * FROM observation WHERE {ONE_KEY}"
    damage(url, postgres, "ALTER TABLE observation DROP CONSTRAINT observation_pkey", duplicate_row)
    assert upkeep.check(url, NOW).fault_summary.startswith("1 with a key that stands twice")


def test_faults_of_the_database_file_are_reported(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/forebay.db"
    with open_archive(url) as archive:
        fill(archive)
    # The index of labels gets the wrong root page, as after a torn write.
    damage(url, None, "PRAGMA writable_schema = ON",
           "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'archive_schema') "
           "WHERE name = 'sqlite_autoindex_series_1'")  # fmt: skip
    try:
        faults = upkeep.check(url, NOW).fault_summary
    except ForebayError as error:
        faults = str(error)
    assert "index" in faults or "is damaged" in faults


def test_no_command_creates_an_archive_to_read(tmp_path: Path, postgres: Cluster) -> None:
    for url in (f"sqlite:///{tmp_path}/none/forebay.db", postgres.new()):
        for call in (lambda: upkeep.check(url, NOW), lambda: upkeep.backup(url, tmp_path / "b.db"),  # noqa: B023
                     lambda: upkeep.compact(url), lambda: upkeep.copy(url, "sqlite://")):  # noqa: B023  # fmt: skip
            with pytest.raises(ConfigError, match="does not exist; give another one with --archive, or run `forebay"):
                call()
    assert list(tmp_path.iterdir()) == []


# --- copy -----------------------------------------------------------------------------------------------------------


def test_a_copy_to_the_other_database_and_back_is_equal(
    filled: str, tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.archive.database.PAGE", 64)
    second = f"sqlite:///{tmp_path}/other.db" if filled.startswith("postgresql") else postgres.new()
    back = postgres.new() if filled.startswith("postgresql") else f"sqlite:///{tmp_path}/back.db"
    progress: list[tuple[int, int]] = []
    for source, target in ((filled, second), (second, back)):
        result = upkeep.copy(source, target, progress=lambda count, total: progress.append((count, total)))
        assert (result.series, result.versions) == (3, VERSIONS)
        assert have_equal_views(source, target)
    assert progress[:3] == [(0, 3), (1, 3), (2, 3)]
    assert have_equal_views(filled, back)
    with open_archive(back) as archive:  # the copy can be extended: a new series gets a new number
        archive.append(readings(GAUGES[3], {MONDAY: GOOD}), MONDAY)
    assert upkeep.check(back, NOW).series == 4


HISTORY = st.lists(
    st.dictionaries(
        st.tuples(st.sampled_from(GAUGES), st.integers(0, 5)),
        st.tuples(st.none() | st.floats(allow_nan=False, allow_infinity=False), st.none() | st.text(
            st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4),
            st.sampled_from(["good", "missing"]), st.none() | st.just("1")),
    ),
    max_size=4,
)  # fmt: skip


@settings(max_examples=25)
@given(history=HISTORY)
def test_any_archive_is_equal_after_a_copy(
    empty_archive_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory, history: list[dict]
) -> None:
    url = empty_archive_url()
    second = f"sqlite:///{tmp_path_factory.mktemp('copy')}/forebay.db"
    with open_archive(url) as archive:
        for number, batch in enumerate(history):
            for (gauge, hour), content in batch.items():
                at = MONDAY + timedelta(hours=hour)
                archive.append(readings(gauge, {at: content}), MONDAY + timedelta(days=number))
    upkeep.copy(url, second)
    assert have_equal_views(url, second)


def test_a_copy_needs_an_empty_target(filled: str, tmp_path: Path) -> None:
    second = f"sqlite:///{tmp_path}/other.db"
    with open_archive(second) as archive:
        archive.append(readings(LEVEL, {MONDAY: GOOD}), MONDAY)
    with pytest.raises(ConfigError, match=r"other\.db holds 1 versions; give another one"):
        upkeep.copy(filled, second)
    with pytest.raises(ConfigError, match="cannot be copied into itself"):
        upkeep.copy(filled, filled)
    assert upkeep.check(second, NOW).versions == 1


# --- backup and restore ---------------------------------------------------------------------------------------------


def test_a_backup_restored_into_an_empty_place_is_equal(
    filled: str, new_url: Callable[[], str], tmp_path: Path
) -> None:
    path = tmp_path / "a backup?%.db"
    result = upkeep.backup(filled, path)
    assert (result.versions, result.target, result.size) == (VERSIONS, str(path), path.stat().st_size)
    assert list(tmp_path.iterdir()) == [path], "one file only"
    second = new_url()
    restored = upkeep.restore(path, second, NOW)
    assert (restored.versions, restored.replaced_backup) == (VERSIONS, None)
    assert have_equal_views(filled, second)


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    steps: list[str] = []

    def recorded(name: str, function: Callable[..., object]) -> None:
        def run(*arguments: Any) -> object:  # Any: paths, or the number of an open file
            path = Path(f"/proc/self/fd/{arguments[0]}").readlink() if name == "flush" else Path(arguments[1])
            steps.append(f"{name} {'folder' if path.is_dir() else path.name}")
            return function(*arguments)

        monkeypatch.setattr(os, function.__name__, run)

    path = tmp_path / "backup.db"
    with staged_file(path, replace=replace) as part:
        part.write_bytes(b"content")
        for name, function in (("flush", os.fsync), ("move", os.link), ("move", os.replace)):
            recorded(name, function)
    assert steps == ["flush backup.db", "move backup.db", "flush folder"]
    assert path.read_bytes() == b"content"


def test_a_file_that_another_process_has_just_created_stays(tmp_path: Path) -> None:
    path = tmp_path / "backup.db"
    with pytest.raises(ConfigError, match="exists already"), staged_file(path, replace=False) as part:
        part.write_bytes(b"content")
        path.write_bytes(b"theirs")  # in the meantime
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == {path: b"theirs"}


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("replace", [False, True])
def test_a_file_next_to_a_log_is_not_written(tmp_path: Path, suffix: str, replace: bool) -> None:
    """SQLite would apply the changes in the log to the new file."""
    path, log = tmp_path / "backup.db", tmp_path / f"backup.db{suffix}"
    message = rf"its folder has backup\.db{suffix} of"
    with pytest.raises(ConfigError, match=message), staged_file(path, replace=replace) as part:
        part.write_bytes(b"content")
        log.write_bytes(b"changes")  # in the meantime
    assert list(tmp_path.iterdir()) == [log]


def test_a_backup_has_no_lease_of_the_process_that_writes_to_the_archive(filled: str, tmp_path: Path) -> None:
    path = tmp_path / "backup.db"
    with open_archive(filled) as archive, archive.lease():
        upkeep.backup(filled, path)
    with open_archive(f"sqlite:///{path}", create=False) as copy, copy._database.reading() as connection:
        assert copy._database.lease_holder(connection) is None


def test_a_backup_while_others_write_is_one_state(filled: str, tmp_path: Path) -> None:
    stop = threading.Event()
    times = list(day_contents(date(2019, 1, 1), [0.0] * 50))

    def write() -> None:
        with open_archive(filled) as archive:
            number = 0
            while not stop.is_set():
                number += 1
                contents: dict = dict.fromkeys(times, (float(number), "x", "good", "1"))
                archive.append(readings(LEVEL, contents), MONDAY + timedelta(days=5, seconds=number))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        maxima = []
        for number in range(4):
            path = tmp_path / f"{number}.db"
            upkeep.backup(filled, path)
            with open_archive(f"sqlite:///{path}") as archive:
                written = archive.as_of([LEVEL]).filter(pl.col("time").is_in(times))
                assert written["value"].n_unique() <= 1
                assert written.height in (0, 50)
                maxima.append(written["value"].max() or 0)
            assert not upkeep.check(f"sqlite:///{path}", NOW).fault_summary
        assert maxima == sorted(maxima)
    finally:
        stop.set()
        writer.join()


def test_a_backup_replaces_a_file_only_with_replace(filled: str, tmp_path: Path) -> None:
    path = tmp_path / "backup.db"
    path.write_text("mine")
    with pytest.raises(ConfigError, match=r"backup\.db' exists already; choose another name, or give --replace"):
        upkeep.backup(filled, path)
    assert path.read_text() == "mine"
    upkeep.backup(filled, path, replace=True)
    assert not upkeep.check(f"sqlite:///{path}", NOW).fault_summary


def test_the_archive_itself_is_never_its_backup(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    file = tmp_path / "forebay.db"
    url = f"sqlite:///{file}"
    (tmp_path / "link.db").symlink_to(file)
    (tmp_path / "linked").symlink_to(tmp_path)
    with open_archive(url) as archive:
        fill(archive)
        (tmp_path / "twin.db").hardlink_to(file)
        paths = ("link.db", "twin.db", "folder/../forebay.db", "linked/forebay.db", "forebay.db-wal", "forebay.db-shm")
        for path in (file, *(tmp_path / second for second in paths)):
            for replace in (True, False):
                with pytest.raises(ConfigError, match=r"is the archive's own file; give the path of another file"):
                    upkeep.backup(url, path, replace=replace)
                with pytest.raises(ConfigError, match=r"is the archive's own file; give the path of another file"):
                    upkeep.restore(path, url, NOW, replace=replace)
        for path in ("link.db", "twin.db", "folder/../forebay.db", "linked/forebay.db"):
            with pytest.raises(ConfigError, match="cannot be copied into itself"):
                upkeep.copy(url, f"sqlite:///{tmp_path}/{path}")
        archive.append(readings(LEVEL, {MONDAY: GOOD}), MONDAY)
    assert upkeep.check(url, NOW).versions == VERSIONS + 1, "the append between the attempts is stored"
    assert not list(tmp_path.glob("*.replaced-*"))


def test_a_restore_keeps_the_backup_of_an_earlier_one(filled: str, tmp_path: Path) -> None:
    path = tmp_path / "backup.db"
    upkeep.backup(filled, path)
    kept = upkeep.restore(path, filled, NOW, replace=True).replaced_backup
    assert kept is not None
    content = kept.read_bytes()
    with open_archive(filled) as archive:
        archive.append(readings(LEVEL, {MONDAY: GOOD}), MONDAY)
        with pytest.raises(ConfigError, match=r"backup\.replaced-20240131T000000Z\.db' exists already"):
            upkeep.restore(path, filled, NOW, replace=True)  # within the same second
        assert archive.as_of([LEVEL]).filter(time=MONDAY).height == 1
    assert kept.read_bytes() == content


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
def test_a_backup_is_refused_where_a_log_would_change_it(filled: str, tmp_path: Path, end: str) -> None:
    path = tmp_path / "backup.db"
    log = tmp_path / f"backup.db{end}"
    for exists in (False, True):
        if exists:
            upkeep.backup(filled, path)
        before = path.read_bytes() if exists else None
        log.write_bytes(b"of another file")
        with pytest.raises(ConfigError, match=rf"has backup\.db{end} of an archive that is in use"):
            upkeep.backup(filled, path, replace=True)
        assert (path.read_bytes() if path.exists() else None) == before
        assert log.read_bytes() == b"of another file"
        log.unlink()


def test_a_backup_does_not_replace_an_archive_in_use(filled: str, tmp_path: Path) -> None:
    with open_archive(f"sqlite:///{tmp_path}/used.db") as used:
        used.append(readings(LEVEL, {MONDAY: GOOD}), MONDAY)
        with pytest.raises(ConfigError, match="of an archive that is in use"):
            upkeep.backup(filled, tmp_path / "used.db", replace=True)
        assert used.as_of([LEVEL]).height == 1


def test_a_backup_that_does_not_fit_leaves_nothing(filled: str, tmp_path: Path) -> None:
    with disks.small_disk(tmp_path / "disk", "64k") as disk:
        with pytest.raises(ForebayError, match=r"disk/.*b\.db.* (the disk is full|the disk failed or is full)"):
            upkeep.backup(filled, disk / "b.db")
        assert list(disk.iterdir()) == []
        disks.mount("-o", "remount,ro", str(disk))
        with pytest.raises(ConfigError, match=r"b\.db' cannot be written: Read-only file system; choose another"):
            upkeep.backup(filled, disk / "b.db")
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        upkeep.backup(filled, tmp_path / "no" / "b.db")


def test_a_backup_on_a_read_only_disk_can_be_checked_and_restored(filled: str, tmp_path: Path) -> None:
    with disks.small_disk(tmp_path / "disk", "4m") as disk:
        upkeep.backup(filled, disk / "b.db")
        disks.mount("-o", "remount,ro", str(disk))
        assert not upkeep.check(f"sqlite:///{disk}/b.db", NOW).fault_summary
        second = f"sqlite:///{tmp_path}/other.db"
        upkeep.restore(disk / "b.db", second, NOW)
        assert have_equal_views(filled, second)


def test_a_copy_is_compared_with_its_source(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checksums, calls = upkeep._checksums, []

    def checksums_of_a_lost_write(*arguments: object) -> dict:
        """Checksums; empty at the second call, as if the disk had lost the write."""
        calls.append(arguments)
        return {} if len(calls) == 2 else checksums(*arguments)

    monkeypatch.setattr(upkeep, "_checksums", checksums_of_a_lost_write)
    with pytest.raises(ForebayError, match="differs from its source; it was not kept: check the disk"):
        upkeep.backup(filled, tmp_path / "b.db")
    assert list(tmp_path.glob("b.db")) == []


def test_a_restore_over_an_archive_needs_replace_and_backs_up(filled: str, tmp_path: Path) -> None:
    path = tmp_path / "backup.db"
    upkeep.backup(filled, path)
    before = views_of(filled)
    with open_archive(filled) as archive:
        archive.append(readings(LEVEL, {MONDAY: GOOD}), MONDAY)
        extended = archive.as_of([LEVEL])
        with pytest.raises(ConfigError, match=rf"holds {VERSIONS + 1:,} versions; .* give --replace .*backed up first"):
            upkeep.restore(path, filled, NOW)
        assert archive.as_of([LEVEL]).equals(extended)
        restored = upkeep.restore(path, filled, NOW, replace=True)
        assert archive.as_of([LEVEL]).height == DAYS, "an open archive has the restored readings at once"
    assert all(a.equals(b) for a, b in zip(views_of(filled), before, strict=True))
    assert restored.replaced_backup == tmp_path / "backup.replaced-20240131T000000Z.db"
    with open_archive(f"sqlite:///{restored.replaced_backup}") as archive:
        assert archive.as_of([LEVEL]).equals(extended)


@pytest.mark.parametrize("count", [1, 2])
def test_an_archive_of_one_version_is_not_replaced_either(count: int, tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path}/small.db", tmp_path / "backup.db"
    with open_archive(url) as archive:
        archive.append(readings(LEVEL, {MONDAY + timedelta(days=n): GOOD for n in range(count)}), MONDAY)
    upkeep.backup(url, path)
    with pytest.raises(ConfigError, match=rf"holds {count} version"):
        upkeep.restore(path, url, NOW)


def test_a_damaged_backup_is_not_restored(filled: str, new_url: Callable[[], str], tmp_path: Path) -> None:
    path = tmp_path / "backup.db"
    with pytest.raises(ConfigError, match=r"backup\.db' is no file; give the path of one"):
        upkeep.restore(path, new_url(), NOW)
    path.write_text("no archive" * 1000)
    with pytest.raises(ConfigError, match="is not an SQLite database"):
        upkeep.restore(path, new_url(), NOW)
    upkeep.backup(filled, path, replace=True)
    damage(f"sqlite:///{path}", None, f"UPDATE observation SET quality = 'torn' WHERE {ONE_KEY}")
    with pytest.raises(DataError, match="has faults: 1 with a value, quality or time .*; restore from another"):
        upkeep.restore(path, new_url(), NOW)


# --- compact --------------------------------------------------------------------------------------------------------


def test_compact_releases_space_and_deletes_nothing(filled: str, tmp_path: Path) -> None:
    before = views_of(filled)
    upkeep.backup(filled, tmp_path / "b.db")
    upkeep.restore(tmp_path / "b.db", filled, NOW, replace=True)  # leaves unused space
    result = upkeep.compact(filled)
    assert result.versions == VERSIONS
    assert result.before > 0 < result.after
    if filled.startswith("sqlite"):
        assert result.after < result.before
    assert all(a.equals(b) for a, b in zip(views_of(filled), before, strict=True))


def test_compact_waits_for_a_writer_and_reports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_S", 0.1)
    url = f"sqlite:///{tmp_path}/forebay.db"
    with open_archive(url) as archive, archive._database.transaction(), \
            pytest.raises(ForebayError, match="was locked by another process"):  # fmt: skip
        upkeep.compact(url, lease_wait=LeaseWait(0))
