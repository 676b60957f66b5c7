"""Looking after an archive: check, copy, back up, restore, compact. What is written is read back and compared."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl
import sqlalchemy as sa

from forebay.archive import engines
from forebay.archive.database import Database
from forebay.archive.store import microseconds
from forebay.archive.views import SERIES
from forebay.errors import ConfigError, DataError, ForebayError

Progress = Callable[[int, int], None]
"""Told how many series are done, and of how many."""

_QUOTED = 3  # faults of a file that are told word by word
_BESIDE = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a file that is in use, or was when its writer died


@dataclass(frozen=True)
class ArchiveCheck:
    """What an archive holds, and its faults.

    Attributes
    ----------
    size
        Bytes that it takes.
    faults
        How many versions (or series) have each fault that was looked for.
    file_faults
        What SQLite says is wrong with the file itself.
    """

    where: str
    series: int
    versions: int
    size: int
    faults: dict[str, int]
    file_faults: tuple[str, ...]

    @property
    def fault_summary(self) -> str:
        """The faults that were found, as part of a sentence; empty if there are none."""
        told = [f"{count:,} with {fault}" for fault, count in self.faults.items() if count]
        return "; ".join([*told, *self.file_faults[:_QUOTED]])


@dataclass(frozen=True)
class CopyReport:
    """Result of a copy; `size` is that of the target in bytes.

    `replaced_backup` is the backup of what a restore replaced.
    """

    source: str
    target: str
    series: int
    versions: int
    size: int
    replaced_backup: Path | None = None


@dataclass(frozen=True)
class CompactReport:
    """Versions held, and the bytes that they took before and take after."""

    where: str
    versions: int
    before: int
    after: int


def check(url: str, now: datetime) -> ArchiveCheck:
    """What the archive at `url` holds, and its faults: of the file, of keys, of single versions.

    Raises
    ------
    ForebayError
        If there is none, its layout is another one, or it cannot even be read.
    """
    with _opened(url) as database, database.reading() as connection:
        wrong_in_file = tuple(engines.file_faults(connection))
        return ArchiveCheck(
            where=database.where,
            series=database.series(connection).height,
            versions=database.count(connection),
            size=engines.size_of(connection),
            faults=database.faults(connection, microseconds(now)),
            file_faults=wrong_in_file,
        )


def copy(url: str, target_url: str, *, progress: Progress | None = None) -> CopyReport:
    """What came of copying every version of the archive at `url` into the empty one at `target_url`.

    The target is made if it is not there. The copy is one transaction: whole or not at all.

    Raises
    ------
    ConfigError
        If the target holds anything, or is the archive itself.
    """
    with _opened(url) as source:
        parts = engines.parse_url(target_url)
        file = engines.sqlite_file(parts)
        same_file = source.file is not None and file is not None and _is_file_of(source.file, file)
        if same_file or engines.public_url(parts) == source.where:
            raise ConfigError(f"archive {source.where} cannot be copied into itself; name another one")
        with _opened(target_url, create=True) as target:
            return _copied(source, target, progress=progress)


def backup(url: str, path: Path, *, replace: bool = False, progress: Progress | None = None) -> CopyReport:
    """What came of writing the archive at `url`, as it is now, into an SQLite file at `path`; others may write to it.

    The file is made beside its place, read back, compared, and then moved there: it is whole or not there. It is an
    archive itself, in one file.

    Parameters
    ----------
    replace
        Whether a file that is there gives way; otherwise that is a `ConfigError`. The archive's own file never does.
    """
    with _opened(url) as source:
        _refuse_itself(source.file, path)
        if path.exists() and not replace:
            raise _exists(path)
        with _made_beside(path, replace=replace) as part:
            if source.file is not None:
                _copy_file(source, part, path)
            with _opened(_url(part), create=True) as made:
                if source.file is None:
                    _copied(source, made, progress=progress)
                with made.translate_errors():
                    engines.settle(made.engine)
                with made.reading() as connection:
                    series, versions = made.series(connection).height, made.count(connection)
            return CopyReport(source.where, str(path), series, versions, part.stat().st_size)


def restore(
    path: Path, url: str, now: datetime, *, replace: bool = False, progress: Progress | None = None
) -> CopyReport:
    """What came of putting the backup at `path` into the archive at `url`, which is made if it is not there.

    The backup is checked first. The archive changes in one transaction, so others may use it meanwhile.

    Parameters
    ----------
    replace
        Whether what the archive holds gives way (a backup of it is written beside `path` first); otherwise an archive
        that holds anything is a `ConfigError`.
    """
    if not path.is_file():
        raise ConfigError(f"backup {str(path)!r} is no file; give the path of one that `forebay archive backup` wrote")
    _refuse_itself(engines.sqlite_file(engines.parse_url(url)), path)
    checked = check(_url(path), now)
    if checked.fault_summary:
        raise DataError(f"backup {str(path)!r} has faults: {checked.fault_summary}; restore from another one")
    with _opened(_url(path)) as source, _opened(url, create=True) as target:
        with target.reading() as connection:
            held = target.count(connection)
        if held and not replace:
            raise _occupied(target, held)
        replaced_backup = path.with_name(f"{path.stem}.replaced-{now:%Y%m%dT%H%M%SZ}{path.suffix}") if held else None
        if replaced_backup is not None:
            backup(url, replaced_backup)
        return _copied(source, target, give_way=held, replaced_backup=replaced_backup, progress=progress)


def compact(url: str) -> CompactReport:
    """What came of giving back the space that the archive at `url` does not use; no version is deleted."""
    with _opened(url) as database:
        with database.reading() as connection:
            before = engines.size_of(connection)
        with database.translate_errors():
            engines.compact(database.engine)
        with database.reading() as connection:
            return CompactReport(database.where, database.count(connection), before, engines.size_of(connection))


def _url(path: Path) -> str:
    return f"sqlite:///{quote(str(path))}"


@contextmanager
def _opened(url: str, *, create: bool = False) -> Iterator[Database]:
    database = Database(url, create=create)
    try:
        yield database
    finally:
        database.close()


def _copied(
    source: Database,
    target: Database,
    *,
    give_way: int = 0,
    replaced_backup: Path | None = None,
    progress: Progress | None = None,
) -> CopyReport:
    """What came of copying all of `source` into `target`, in whose place `give_way` versions may be held."""
    with source.reading() as read, target.writing() as write:
        held = target.count(write)
        if held > give_way:
            raise _occupied(target, held)
        target.clear(write)
        labels = source.series(read)
        ids = target.add_series(write, labels.select(SERIES))["id"]
        for done, (old, new) in enumerate(zip(labels["id"], ids, strict=True)):
            if progress is not None:
                progress(done, labels.height)
            for page in source.pages(read, old):
                target.insert(write, page.with_columns(series=pl.lit(new, pl.Int64)))
        copy = _contents(target, write)
        _refuse_other(_contents(source, read), copy, target.where)
    with target.reading() as connection:
        size = engines.size_of(connection)
    versions = sum(count for count, _ in copy.values())
    return CopyReport(source.where, target.where, len(copy), versions, size, replaced_backup)


def _copy_file(source: Database, part: Path, path: Path) -> None:
    """Write the SQLite archive `source` to `part`, on the way to `path`, and compare the two."""
    with source.reading() as connection:
        held = _contents(source, connection)  # from here on the transaction sees this state, whatever others write
        with engines.translate_errors(source.engine, _url(path)):
            engines.copy_file(connection, part)
    with _opened(_url(part)) as made, made.reading() as connection:
        _refuse_other(held, _contents(made, connection), str(path))


def _contents(database: Database, connection: sa.Connection) -> dict[tuple[object, ...], tuple[int, int]]:
    """Of each series, by its label: how many versions it has, and a sum over a hash of each."""
    sums = {}
    for series, *label in database.series(connection).select("id", *SERIES).iter_rows():
        count, total = 0, np.uint64(0)
        for page in database.pages(connection, series):
            hashes = page.drop("series").hash_rows().to_numpy()
            count, total = count + len(hashes), np.sum(hashes, initial=total)  # of unsigned integers: it wraps around
        sums[tuple(label)] = count, int(total)
    return sums


def _refuse_other(held: dict[tuple[object, ...], tuple[int, int]], copy: object, where: str) -> None:
    if held != copy:
        raise ForebayError(f"what was written to {where} is not what was read; nothing was kept of it: check the disk")


def _is_file_of(archive: Path, path: Path) -> bool:
    """Whether `path`, however it is spelled or linked, is the archive's file or one that SQLite keeps beside it."""
    for own in (Path(f"{archive}{end}") for end in ("", *_BESIDE)):
        if path.resolve() == own.resolve() or (path.exists() and own.exists() and path.samefile(own)):
            return True
    return False


def _refuse_itself(archive: Path | None, path: Path) -> None:
    if archive is not None and _is_file_of(archive, path):
        raise ConfigError(f"backup {str(path)!r} is the archive's own file; give the path of another file")


def _refuse_logs(path: Path) -> None:
    """Raise if a log stands beside `path`: SQLite would take what is in it for changes of the file that comes there."""
    logs = [f"{path.name}{end}" for end in _BESIDE if os.path.lexists(f"{path}{end}")]
    if logs:
        raise ConfigError(
            f"backup {str(path)!r} has {', '.join(logs)} beside it, of an archive that is in use or was not closed; "
            "choose another name"
        )


@contextmanager
def _made_beside(path: Path, *, replace: bool) -> Iterator[Path]:
    """A path beside `path` to write to; at the end what is there is moved to `path`, whole, or not at all."""
    _refuse_logs(path)
    try:
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=path.parent) as folder:
            part = Path(folder) / path.name
            yield part
            _flush(part)
            _refuse_logs(path)
            if replace:
                os.replace(part, path)
            else:
                _move_to_new(part, path)
            _flush(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"backup {str(path)!r} cannot be written: {reason}; choose another place") from None


def _move_to_new(part: Path, path: Path) -> None:
    """Move a file to a name that is free; another process may have taken it in between."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:  # a file system without links
        if path.exists():
            raise _exists(path) from None
        os.replace(part, path)


def _flush(path: Path) -> None:
    """Have the file, or the folder's list of files, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _exists(path: Path) -> ConfigError:
    return ConfigError(f"backup {str(path)!r} is there already; choose another name, or give --replace")


def _occupied(target: Database, held: int) -> ConfigError:
    return ConfigError(
        f"archive {target.where} holds {held:,} versions; name another one or, to restore over it, give --replace "
        "(what it holds is backed up first)"
    )
