"""Errors of the database drivers as a `ForebayError` of one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from forebay.errors import BusyError, ConfigError, ForebayError, ReadOnlyError

BUSY_TIMEOUT_S = 30.0
"""Time that a process waits for the write of another one; the longest append takes well under a second."""

_FULL = (ForebayError, "cannot grow: the disk is full; free some space and try again")
_READ_ONLY = (ReadOnlyError, "cannot be written: {what} is read-only; choose another with --archive")
_DAMAGED = (ForebayError, "is damaged; restore it from a backup, or fetch into a new archive")
_BUSY = (BusyError, f"was locked by another process for {BUSY_TIMEOUT_S:.0f} s; try again later")
_LOST = (
    ForebayError,
    "lost the connection to its server; the last write is stored completely or not at all: try again",
)
_FAULTS: dict[str, tuple[type[ForebayError], str]] = {
    "SQLITE_CANTOPEN": (ConfigError, "cannot be opened: check that its folder exists and can be written"),
    "SQLITE_READONLY": (_READ_ONLY[0], _READ_ONLY[1].format(what="file or folder")),
    "SQLITE_NOTADB": (ConfigError, "is not an SQLite database; give the path of an archive or of a new file"),
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_FULL": _FULL,
    "SQLITE_IOERR": (ForebayError, "cannot be read or written: the disk failed or is full; check it and try again"),
    "SQLITE_BUSY": _BUSY,
    "08": _LOST,
    "25006": (_READ_ONLY[0], _READ_ONLY[1].format(what="the server")),
    "42501": (ReadOnlyError, "refuses its user; grant the right to create and write tables, or give another user"),
    "53100": _FULL,
    "55P03": _BUSY,
    "57P0": _LOST,
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}
"""Error class and sentence, by the start of SQLite's error name or PostgreSQL's error code."""


@contextmanager
def translate_errors(engine: sa.Engine, where: str) -> Iterator[None]:
    """Context in which errors of the database driver become a `ForebayError`; uncommitted changes are undone."""
    driver: Any = engine.dialect.loaded_dbapi  # Any: a module
    try:
        yield
    except (DBAPIError, driver.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
        for start, (kind, text) in _FAULTS.items():
            if code.startswith(start):
                raise kind(f"archive {where} {text}") from None
        if not code and engine.dialect.name == "postgresql" and isinstance(cause, driver.OperationalError):
            raise ForebayError(f"archive {where} {_LOST[1]}") from None  # the server gave no code
        raise ForebayError(f"archive {where} failed: {first_line(cause)}") from error


def first_line(error: object) -> str:
    """First line of the error's text, or the name of its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
