"""SQLite archives in a folder that cannot be written, such as on a read-only disk.

To read an archive, SQLite writes the file NAME-shm next to it. Where it cannot, it must read the file as one that never
changes (its parameter `immutable`): without locks, and without the log NAME-wal.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forebay.errors import BusyError, ConfigError


def is_immutable(path: Path, where: str) -> bool:
    """Whether SQLite must read the archive at `path` as a file that never changes.

    Raises
    ------
    ConfigError
        If the archive has changes in a log that SQLite cannot read in this folder.
    """
    path = path.resolve()  # SQLite has the log next to the file, not next to a link
    wal, memory, journal = (Path(f"{path}{suffix}") for suffix in ("-wal", "-shm", "-journal"))
    if os.access(path.parent, os.W_OK) or (wal.exists() and memory.exists()):
        return False
    logs = [log for log in (wal, journal) if log.exists() and log.stat().st_size]
    if logs:
        raise ConfigError(
            f"archive {where}: {logs[0].name} has changes that cannot be read in a folder without write permission; "
            "copy both files to another folder, or run `forebay archive check` as a user who can write to the folder"
        )
    return True


@contextmanager
def unchanged(path: Path, before: os.stat_result, where: str) -> Iterator[None]:
    """Context in which the file at `path` must stay as it was `before`, because SQLite reads it without locks."""
    try:
        yield
    finally:
        now = path.stat()
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
            raise BusyError(f"archive {where} was changed by another process while it was read; try again")
