"""Upkeep of an archive: check, copy, back up, restore, compact. Every copy is read back and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl
import sqlalchemy as sa

from forebay.archive import access_tables, alert_tables, engines, fetch_log, record_tables, staff_notes, weather_tables
from forebay.archive.backup_file import already_exists, is_archive_file, refuse_archive_file, staged_file
from forebay.archive.database import Database
from forebay.archive.driver_errors import translate_errors
from forebay.archive.lease import DEFAULT_WAIT, LeaseWait
from forebay.archive.store import microseconds
from forebay.archive.urls import parse_url, sqlite_file
from forebay.archive.views import SERIES
from forebay.errors import ConfigError, DataError, ForebayError
from forebay.log import step

Progress = Callable[[int, int], None]
"""Called with the number of finished series and of all series."""

_MAX_FILE_FAULTS = 3  # in a message


@dataclass(frozen=True)
class ArchiveCheck:
    """Contents of an archive, and its faults.

    Attributes
    ----------
    records
        Number of forecast records.
    size
        Bytes.
    faults
        Fault → number of versions (or series) that have it.
    file_faults
        Faults of the file itself, as SQLite reports them.
    """

    where: str
    series: int
    versions: int
    records: int
    size: int
    faults: dict[str, int]
    file_faults: tuple[str, ...]

    @property
    def fault_summary(self) -> str:
        """All faults as part of a sentence; empty if there are none."""
        faults = [f"{count:,} with {fault}" for fault, count in self.faults.items() if count]
        return "; ".join([*faults, *self.file_faults[:_MAX_FILE_FAULTS]])


@dataclass(frozen=True)
class CopyReport:
    """Result of a copy; `size` is that of the target in bytes.

    `replaced_backup` is the backup of what a restore replaced.
    """

    source: str
    target: str
    series: int
    versions: int
    records: int
    size: int
    replaced_backup: Path | None = None


@dataclass(frozen=True)
class CompactReport:
    """Number of versions, and the size in bytes before and after."""

    where: str
    versions: int
    before: int
    after: int


@step("archive_check")
def check(url: str, now: datetime) -> ArchiveCheck:
    """Contents of the archive at `url`, and its faults: of the file, of keys, of single versions.

    Raises
    ------
    ForebayError
        If it does not exist, has another schema version, or cannot be read.
    """
    with _opened(url) as database, database.reading() as connection:
        file_faults = tuple(engines.file_faults(connection))
        return ArchiveCheck(
            where=database.where,
            series=database.series(connection).height,
            versions=database.count(connection),
            records=database.count_records(connection),
            size=engines.archive_size(connection),
            faults=database.faults(connection, microseconds(now)),
            file_faults=file_faults,
        )


@step("archive_copy")
def copy(
    url: str, target_url: str, *, progress: Progress | None = None, lease_wait: LeaseWait = DEFAULT_WAIT
) -> CopyReport:
    """Copy every version of the archive at `url` into the empty archive at `target_url`.

    The target is created if it does not exist. The copy is one transaction: complete or not at all.

    Raises
    ------
    ConfigError
        If the target is not empty, or is the archive itself.
    """
    with _opened(url) as source:
        parts = parse_url(target_url)
        file = sqlite_file(parts)
        same_file = source.file is not None and file is not None and is_archive_file(source.file, file)
        if same_file or parts.set(password=None) == parse_url(url).set(password=None):
            raise ConfigError(f"archive {source.where} cannot be copied into itself; give another target")
        with _opened(target_url, create=True, lease_wait=lease_wait) as target:
            return _copy_versions(source, target, progress=progress)


@step("archive_backup")
def backup(url: str, path: Path, *, replace: bool = False, progress: Progress | None = None) -> CopyReport:
    """Write the present state of the archive at `url` to an SQLite file at `path`; others may write to it meanwhile.

    The file is written under another name, read back, compared, and then moved to `path`. It is an archive itself, in
    one file.

    Parameters
    ----------
    replace
        Whether to replace a file at `path`; otherwise it is a `ConfigError`. The archive's own file is never replaced.
    """
    with _opened(url) as source:
        refuse_archive_file(source.file, path)
        if path.exists() and not replace:
            raise already_exists(path)
        with staged_file(path, replace=replace) as part:
            if source.file is not None:
                _copy_file(source, part, path)
            with _opened(_url(part), create=True) as target:
                if source.file is None:
                    _copy_versions(source, target, progress=progress)
                target.clear_lease()
                with target.translate_errors():
                    engines.merge_log(target.engine)
                with target.reading() as connection:
                    series, versions = target.series(connection).height, target.count(connection)
                    records = target.count_records(connection)
            return CopyReport(source.where, str(path), series, versions, records, part.stat().st_size)


@step("archive_restore")
def restore(
    path: Path,
    url: str,
    now: datetime,
    *,
    replace: bool = False,
    progress: Progress | None = None,
    lease_wait: LeaseWait = DEFAULT_WAIT,
) -> CopyReport:
    """Copy the backup at `path` into the archive at `url`, which is created if it does not exist.

    The backup is checked first. The archive changes in one transaction, so others may read it meanwhile.

    Parameters
    ----------
    replace
        Whether to replace the contents of the archive, after a backup of them in the folder of `path`. Otherwise an
        archive that is not empty is a `ConfigError`.
    """
    if not path.is_file():
        raise ConfigError(f"backup {str(path)!r} is no file; give the path of one that `forebay archive backup` wrote")
    refuse_archive_file(sqlite_file(parse_url(url)), path)
    checked = check(_url(path), now)
    if checked.fault_summary:
        raise DataError(f"backup {str(path)!r} has faults: {checked.fault_summary}; restore from another one")
    with _opened(_url(path)) as source, _opened(url, create=True, lease_wait=lease_wait) as target, target.lease():
        with target.reading() as connection:
            versions = _content_size(target, connection)
        if versions and not replace:
            raise _not_empty(target, versions)
        replaced_backup = None
        if versions:
            replaced_backup = path.with_name(f"{path.stem}.replaced-{now:%Y%m%dT%H%M%SZ}{path.suffix}")
            backup(url, replaced_backup)
        return _copy_versions(
            source, target, max_replaced=versions, replaced_backup=replaced_backup, progress=progress
        )


@step("archive_compact")
def compact(url: str, *, lease_wait: LeaseWait = DEFAULT_WAIT) -> CompactReport:
    """Release the unused space of the archive at `url`; no version is deleted."""
    with _opened(url, lease_wait=lease_wait) as database, database.lease():
        with database.reading() as connection:
            before = engines.archive_size(connection)
        with database.translate_errors():
            engines.compact(database.engine)
        with database.reading() as connection:
            return CompactReport(database.where, database.count(connection), before, engines.archive_size(connection))


def _url(path: Path) -> str:
    return f"sqlite:///{quote(str(path))}"


@contextmanager
def _opened(url: str, *, create: bool = False, lease_wait: LeaseWait = DEFAULT_WAIT) -> Iterator[Database]:
    database = Database(url, create=create, lease_wait=lease_wait)
    try:
        yield database
    finally:
        database.close()


def _copy_versions(
    source: Database,
    target: Database,
    *,
    max_replaced: int = 0,
    replaced_backup: Path | None = None,
    progress: Progress | None = None,
) -> CopyReport:
    """Copy all of `source` into `target` instead of its contents, at most `max_replaced` versions and records."""
    with source.reading() as read, target.writing() as write:
        versions = _content_size(target, write)
        if versions > max_replaced:
            raise _not_empty(target, versions)
        target.clear(write)
        labels = source.series(read)
        ids = target.add_series(write, labels.select(*SERIES, "reading_rules"))["id"]
        for count, (old, new) in enumerate(zip(labels["id"], ids, strict=True)):
            if progress is not None:
                progress(count, labels.height)
            for page in source.pages(read, old):
                target.insert(write, page.with_columns(series=pl.lit(new, pl.Int64)))
        if source.has_weather:
            weather_tables.copy(read, write)
        if source.has_records:
            fetch_log.copy(read, write, dict(zip(labels["id"], ids, strict=True)))
            record_tables.copy(read, write)
        if source.has_staff_notes:
            staff_notes.copy(read, write, dict(zip(labels["id"], ids, strict=True)))
        if source.has_alerts:
            alert_tables.copy(read, write)
        if source.has_access:
            access_tables.copy(read, write)
        _refuse_difference(_checksums(source, read), _checksums(target, write), target.where)
    with target.reading() as connection:
        size = engines.archive_size(connection)
        versions, records = target.count(connection), target.count_records(connection)
    return CopyReport(source.where, target.where, labels.height, versions, records, size, replaced_backup)


def _copy_file(source: Database, part: Path, path: Path) -> None:
    """Write the SQLite archive `source` to `part`, which becomes `path`, and compare the two."""
    with source.reading() as connection:
        expected = _checksums(source, connection)  # from here on, the transaction sees this state
        with translate_errors(source.engine, _url(path)):
            engines.copy_file(connection, part)
    with _opened(_url(part)) as copy, copy.reading() as connection:
        _refuse_difference(expected, _checksums(copy, connection), str(path))


def _checksums(database: Database, connection: sa.Connection) -> dict[tuple[object, ...], tuple[int, int]]:
    """Label of each series, weather series, fetches, chain of records, table of alerts → rows, sum of hashes."""
    sums: dict[tuple[object, ...], tuple[int, int]] = {}
    for series, *label in database.series(connection).select("id", *SERIES, "reading_rules").iter_rows():
        count, total = 0, np.uint64(0)
        for page in database.pages(connection, series):
            hashes = page.drop("series").hash_rows().to_numpy()
            count, total = count + len(hashes), np.sum(hashes, initial=total)  # unsigned: it wraps around
        sums[tuple(label)] = count, int(total)
        if database.has_records and (spans := fetch_log.checksum(connection, series))[0]:
            sums["gauge_fetch", *label] = spans
        if database.has_staff_notes and (notes := staff_notes.checksum(connection, series))[0]:
            sums["staff_note", *label] = notes
    sums |= weather_tables.checksums(connection) if database.has_weather else {}
    sums |= record_tables.checksums(connection) if database.has_records else {}
    sums |= alert_tables.checksums(connection) if database.has_alerts else {}
    return sums | (access_tables.checksums(connection) if database.has_access else {})


def _refuse_difference(expected: dict[tuple[object, ...], tuple[int, int]], copy: object, where: str) -> None:
    if expected != copy:
        raise ForebayError(f"the copy in {where} differs from its source; it was not kept: check the disk")


def _content_size(database: Database, connection: sa.Connection) -> int:
    """Number of versions and forecast records."""
    return database.count(connection) + database.count_records(connection)


def _not_empty(target: Database, size: int) -> ConfigError:
    with target.reading() as connection:
        records = target.count_records(connection)
    text = f"{size - records:,} versions" + (f" and {records:,} forecast records" if records else "")
    return ConfigError(
        f"archive {target.where} holds {text}; give another one or, to replace them in a restore, give --replace (they "
        "are backed up first)"
    )
