"""Writes a set of files all or nothing.

Every file of a set is written into a staging folder first. When all are complete, each is moved into place, so that a
reader never meets half a file and a failed run leaves the files of the last one.

A process that is killed leaves its staging folder. A process holds a lock on its staging folder, which the system
releases when it ends, so that the next one can tell folders in use from those that were left.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from forebay.errors import ConfigError

if sys.platform != "win32":  # on Windows, staging folders are not locked, and those left over stay
    import fcntl

_PREFIX = ".unfinished-"


@dataclass(frozen=True)
class FileSet:
    """Files on their way into a folder.

    Attributes
    ----------
    stage
        Staging folder: write each file here, under its final name.
    paths
        Final paths in the order of their names; empty until the files are in place.
    """

    stage: Path
    paths: list[Path] = field(default_factory=list)


@contextmanager
def write_all(folder: Path) -> Iterator[FileSet]:
    """A set of files for `folder`; they are moved into place when the block ends without an error.

    >>> with tempfile.TemporaryDirectory() as name:
    ...     with write_all(Path(name)) as files:
    ...         _ = (files.stage / "level.csv").write_text("level")
    ...     [path.name for path in files.paths]
    ['level.csv']

    Raises
    ------
    ConfigError
        If the folder cannot be written. An `OSError` of the block counts as such.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with staging_folder(folder) as stage:
            files = FileSet(stage)
            yield files
            for path in sorted(path for path in files.stage.iterdir() if path.is_file()):
                os.replace(path, folder / path.name)
                files.paths.append(folder / path.name)
    except OSError as error:
        raise unwritable(folder, error) from None


@contextmanager
def staging_folder(folder: Path, *, prefix: str = _PREFIX) -> Iterator[Path]:
    """A new folder in `folder`, removed at the end of the block; those that killed processes have left are removed too.

    Parameters
    ----------
    prefix
        Start of its name, and of those that are removed.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    remove_left_over(folder, prefix=prefix)
    stage, handle = _locked_folder(folder, prefix)
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        os.close(handle)


def remove_left_over(folder: Path, below: str = "", *, prefix: str = _PREFIX) -> None:
    """Remove the staging folders that killed processes have left in `folder`, or in its subfolders like `below`."""
    if sys.platform == "win32":
        return
    for path in folder.glob(f"{below}{prefix}*"):
        with suppress(OSError):  # another process removes it or works in it, or this one may not
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(handle)


def prune(folder: Path, suffix: str, max_bytes: int) -> None:
    """Delete the files `FOLDER/??/*SUFFIX` that are unused for the longest time until `max_bytes` are left.

    What killed processes have left is deleted, too.
    """
    remove_left_over(folder, "??/")
    entries = []
    for path in folder.glob(f"??/*{suffix}"):
        try:
            entries.append((path.stat(), path))
        except OSError:  # another process deleted it
            continue
    size = sum(stat.st_size for stat, _ in entries)
    for stat, path in sorted(entries, key=lambda entry: entry[0].st_mtime_ns):
        if size <= max_bytes:
            return
        path.unlink(missing_ok=True)
        size -= stat.st_size


def _locked_folder(folder: Path, prefix: str) -> tuple[Path, int]:
    """A new folder in `folder` and the handle that holds its lock."""
    while True:
        stage = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
        with suppress(FileNotFoundError):  # another process has removed it before it was locked
            handle = os.open(stage, os.O_RDONLY)
            if sys.platform == "win32":
                return stage, handle
            fcntl.flock(handle, fcntl.LOCK_EX)
            if stage.exists():
                return stage, handle
            os.close(handle)


def write_file(path: Path, content: bytes) -> None:
    """Write `content` to a file, complete or not at all.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    try:
        with staging_folder(path.parent) as stage:
            (stage / path.name).write_bytes(content)
            os.replace(stage / path.name, path)
    except OSError as error:
        raise _unwritable_file(path, error) from None


def check_writable_file(path: Path, suffixes: Sequence[str]) -> None:
    """Raise `ConfigError` if a file cannot be written or has none of the suffixes, before any work is done."""
    if path.suffix.lower() not in suffixes:
        raise ConfigError(f"{path}: suffix {path.suffix!r} is unknown; allowed are {', '.join(suffixes)}")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            probe.write(b"forebay")
    except OSError as error:
        raise _unwritable_file(path, error) from None


def _unwritable_file(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path} cannot be written ({error.strerror}); give a path in a folder that can be")


def check_writable(folder: Path) -> None:
    """Raise `ConfigError` if `folder` cannot be created or written, before any work is done; creates nothing."""
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
        if existing.is_symlink() and not existing.exists():
            raise OSError(errno.ENOENT, f"{str(existing)!r} is a link to a folder that does not exist")
        with tempfile.TemporaryFile(dir=existing) as probe:
            probe.write(b"forebay")
    except OSError as error:
        raise unwritable(folder, error) from None


def unwritable(folder: Path, error: OSError) -> ConfigError:
    """The error for a folder that cannot be written, with the system's reason."""
    reason = error.strerror or str(error)
    return ConfigError(f"folder {str(folder)!r} cannot be written: {reason}; choose another with -o DIR")


def file_stamp(path: Path) -> tuple[int, int]:
    """Size and time of change of a file; zeros without one."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_size, status.st_mtime_ns)
