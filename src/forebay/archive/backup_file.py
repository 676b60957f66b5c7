"""The file of a backup: written under another name, flushed to the disk, and moved into place, complete or not at all.

Unlike `files.write_all`, it never replaces a file without permission, even one that another process has just created.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forebay.errors import ConfigError
from forebay.files import staging_folder

_LOG_SUFFIXES = ("-wal", "-shm", "-journal")  # of files that SQLite writes for a database in use or not closed


def is_archive_file(archive: Path, path: Path) -> bool:
    """Whether `path` is the archive's file or one of its logs, under any spelling or link."""
    for file in (Path(f"{archive}{suffix}") for suffix in ("", *_LOG_SUFFIXES)):
        if path.resolve() == file.resolve() or (path.exists() and file.exists() and path.samefile(file)):
            return True
    return False


def refuse_archive_file(archive: Path | None, path: Path) -> None:
    """Raise if the backup `path` is a file of the archive itself."""
    if archive is not None and is_archive_file(archive, path):
        raise ConfigError(f"backup {str(path)!r} is the archive's own file; give the path of another file")


def _refuse_logs(path: Path) -> None:
    """Raise if there is a log for `path`: SQLite would apply its changes to the new file."""
    logs = [f"{path.name}{suffix}" for suffix in _LOG_SUFFIXES if os.path.lexists(f"{path}{suffix}")]
    if logs:
        raise ConfigError(
            f"backup {str(path)!r}: its folder has {', '.join(logs)} of an archive that is in use or was not closed; "
            "choose another name"
        )


@contextmanager
def staged_file(path: Path, *, replace: bool) -> Iterator[Path]:
    """A path in the same folder to write to; at the end of the block, the file is moved to `path`."""
    _refuse_logs(path)
    try:
        with staging_folder(path.parent) as folder:
            part = folder / path.name
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
    """Move a file to a free name; raise if another process created a file of that name meanwhile."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise already_exists(path) from None
    except OSError:  # a file system without links
        if path.exists():
            raise already_exists(path) from None
        os.replace(part, path)


def _flush(path: Path) -> None:
    """Write the file, or the folder's list of files, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def already_exists(path: Path) -> ConfigError:
    """The error for a backup that would replace a file."""
    return ConfigError(f"backup {str(path)!r} exists already; choose another name, or give --replace")
