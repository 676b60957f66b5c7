"""SQLite and PostgreSQL: where an archive is, how it is opened, locked and loaded, and what its errors mean.

All that differs between the two stands here; `database` has the tables and statements that they share. Import it late,
as `store.open_archive` does: SQLAlchemy costs a fifth of a second.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError

from forebay.errors import ConfigError, ForebayError
from forebay.settings import without_password

ALLOWED = "sqlite:///PATH and postgresql+psycopg://USER@HOST/DATABASE"
BUSY_TIMEOUT_S = 30.0
"""How long a process waits for another one's write; a fetch's longest append takes well under a second."""

_CONNECTION = {
    "application_name": "forebay",
    "connect_timeout": 10,
    # A server that is gone without a word is noticed within a minute, not after the two hours of the system's own.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # ms
}
"""How a PostgreSQL server is connected to, unless the URL says otherwise."""

_COPY_ROWS = 100_000
_POSTGRES_LOCK = 0x666F7265  # any constant: all archives of one PostgreSQL database have one writer at a time


def parse_url(url: str) -> sa.URL:
    """`url` in its parts, a file's path with `~` filled in.

    Raises
    ------
    ConfigError
        If it is no URL of an archive.
    """
    try:
        parts = sa.make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError(f"archive {without_password(url)!r} is not a URL; allowed are {ALLOWED}") from None
    where = public_url(parts)
    if "@" in (parts.host or ""):
        raise ConfigError(f"archive {where!r}: '@' in a user's name or password must be written %40")
    if parts.drivername == "postgresql+psycopg":
        if not parts.database:
            raise ConfigError(f"archive {where!r} names no database; allowed are {ALLOWED}")
        return parts
    if parts.drivername != "sqlite":
        raise ConfigError(f"archive {where!r}: {parts.drivername!r} is not supported; allowed are {ALLOWED}")
    if parts.host or parts.query or parts.database in (None, "", ":memory:"):
        raise ConfigError(f"archive {where!r} must name a file: sqlite:///PATH, or sqlite:////PATH from the root on")
    return parts.set(database=str(Path(str(parts.database)).expanduser()))


def public_url(url: sa.URL) -> str:
    """`url` as people may see it: without its password, wherever that stands."""
    # The password had an '@' or a '/' in it, and went on up to the last '@'; a file's path has none.
    if "@" in (url.host or ""):
        url = url.set(host="…@" + str(url.host).rpartition("@")[2])
    if "@" in (url.database or "") and url.drivername != "sqlite":
        url = url.set(database="…@" + str(url.database).rpartition("@")[2])
    secret = {name: "***" for name in url.query if "password" in name.lower()}
    return url.update_query_dict(secret).render_as_string(hide_password=True)


def public_setting(value: str) -> str:
    """What may be a URL, of an archive or a service, as people may see it."""
    try:
        return public_url(sa.make_url(value))
    except (ArgumentError, ValueError):
        return without_password(value)


def sqlite_file(url: sa.URL) -> Path | None:
    """The file of an SQLite archive; None for a server."""
    return Path(str(url.database)) if url.drivername == "sqlite" else None


def create_engine(url: sa.URL) -> sa.Engine:
    """The engine of a parsed URL; the folder of an SQLite file is made.

    Raises
    ------
    ConfigError
        If the folder cannot be made, or psycopg is not installed.
    """
    path = sqlite_file(url)
    return _postgres(url) if path is None else _sqlite(url, path)


def _sqlite(url: sa.URL, path: Path) -> sa.Engine:
    where = public_url(url)
    if path.is_dir():
        raise ConfigError(f"archive {where}: {str(path)!r} is a folder; give the path of a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"archive {where}: folder {str(path.parent)!r} cannot be made ({error.strerror}); choose another "
            "with --archive"
        ) from None
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    sa.event.listen(engine, "connect", _on_sqlite_connect)
    sa.event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _on_sqlite_connect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # sqlite3 itself would begin too late for a snapshot; `_on_sqlite_begin` does it
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _on_sqlite_begin(connection: sa.Connection) -> None:
    # A writer takes its lock before it reads: a lock taken in mid-transaction fails if somebody wrote since.
    writes = connection.get_execution_options().get("archive_writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgres(url: sa.URL) -> sa.Engine:
    where = public_url(url)
    mine = {name: value for name, value in _CONNECTION.items() if name not in url.query}
    try:
        # A dashboard holds connections for weeks: each is tried before it is used again.
        engine = sa.create_engine(url, connect_args=mine, pool_pre_ping=True)
    except ImportError:
        raise ConfigError(f"archive {where!r} needs psycopg: pip install 'forebay[postgres]'") from None

    def connect(dialect: sa.Dialect, _record: object, args: Any, options: Any) -> object:  # Any: psycopg's arguments
        driver: Any = dialect.loaded_dbapi  # Any: a module
        try:
            return dialect.connect(*args, **options)
        except driver.Error as error:
            told = _first_line(error).removeprefix("connection failed: ")
            kind = ForebayError if isinstance(error, driver.OperationalError) else ConfigError
            raise kind(
                f"archive {where} cannot be reached ({told}); see that its server runs and that host, port, database, "
                "user and password are right"
            ) from None

    sa.event.listen(engine, "do_connect", connect)
    return engine


def for_reading(engine: sa.Engine) -> sa.Engine:
    """`engine`, its transactions each seeing one state of the archive."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ")


def for_writing(engine: sa.Engine) -> sa.Engine:
    """`engine`, its transactions made to be given to `lock`."""
    return engine.execution_options(archive_writer=True)


def lock(connection: sa.Connection) -> None:
    """Wait until no other process writes (SQLite has done so on BEGIN IMMEDIATE)."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{round(BUSY_TIMEOUT_S * 1000)}ms'")
        # The lock of a writer whose machine is gone is given back.
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '10min'")
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_POSTGRES_LOCK)))


def tune(engine: sa.Engine) -> None:
    """Write-ahead logging, which an SQLite file remembers: a reader and a writer do not wait for each other."""
    if engine.dialect.name != "sqlite":
        return
    connection = engine.raw_connection()
    give_up = monotonic() + BUSY_TIMEOUT_S
    try:
        while True:
            try:
                if connection.cursor().execute("PRAGMA journal_mode").fetchone() != ("wal",):
                    connection.cursor().execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                # This one statement does not heed the timeout when another process makes the same archive.
                if not error.sqlite_errorname.startswith("SQLITE_BUSY") or monotonic() > give_up:
                    raise
                sleep(0.01)
    finally:
        connection.close()


def refuse_other_encodings(connection: sa.Connection, where: str) -> None:
    """Raise `ConfigError` if a PostgreSQL database cannot hold every text that a source may give."""
    if connection.dialect.name == "postgresql":
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise ConfigError(f"archive {where}: the database's encoding is {encoding}; make one with ENCODING 'UTF8'")


def load(connection: sa.Connection, table: sa.Table, rows: pl.DataFrame) -> None:
    """Add `rows`, whose columns are those of `table` in order."""
    if connection.dialect.name == "sqlite":
        # Tuples straight to the driver: 370,000 rows/s where a dict per row gives 100,000.
        statement = str(sa.insert(table).compile(dialect=connection.dialect))
        connection.exec_driver_sql(statement, rows.rows())
        return
    driver: Any = connection.connection.driver_connection  # Any: psycopg's connection, which may not be installed
    columns = ", ".join(column.name for column in table.c)
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN (FORMAT csv)") as copy:
        for part in rows.iter_slices(_COPY_ROWS):
            copy.write(part.write_csv(include_header=False, quote_style="non_numeric"))  # null is bare, "" is quoted


def file_faults(connection: sa.Connection) -> list[str]:
    """What is wrong with the pages and the index of an SQLite file; a PostgreSQL server minds its own files."""
    if connection.dialect.name != "sqlite":
        return []
    told = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    return [] if told == ["ok"] else [str(text) for text in told]


def copy_file(connection: sa.Connection, target: Path) -> None:
    """Write the SQLite database as `connection`'s transaction sees it to the new file `target`."""
    driver: Any = connection.connection.driver_connection  # Any: sqlite3's connection, by way of SQLAlchemy
    made = sqlite3.connect(target)
    try:
        driver.backup(made)
    finally:
        made.close()


def settle(engine: sa.Engine) -> None:
    """Make an SQLite archive one file, without a log beside it, so that it can be read where nothing can be written."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode=DELETE").fetchone()  # raises while another has the file open
    finally:
        connection.close()


def compact(engine: sa.Engine) -> None:
    """Give back the space that is not used (SQLite), or let it be used again (PostgreSQL)."""
    statements = ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)")
    if engine.dialect.name == "postgresql":
        statements = ("VACUUM (ANALYZE) series", "VACUUM (ANALYZE) observation")
    connection = engine.raw_connection()
    try:
        driver: Any = connection.driver_connection  # Any: either driver's connection
        if engine.dialect.name == "postgresql":
            driver.autocommit = True
        for statement in statements:
            driver.execute(statement)
    finally:
        connection.invalidate()  # as it is now it serves for nothing else
        connection.close()


def size_of(connection: sa.Connection) -> int:
    """Bytes that the archive takes: the file and its log, or the tables and their indexes."""
    if connection.dialect.name == "postgresql":
        query = "SELECT pg_total_relation_size('observation') + pg_total_relation_size('series')"
        return int(connection.exec_driver_sql(query).scalar_one())
    path = str(connection.engine.url.database)
    return sum(part.stat().st_size for part in (Path(path), Path(f"{path}-wal")) if part.exists())


_FULL = (ForebayError, "cannot grow: the disk is full; free some space and do the same again")
_READ_ONLY = (ConfigError, "cannot be written: {what} is read-only; choose another with --archive")
_DAMAGED = (ForebayError, "is damaged; restore it from a backup, or fetch into a new archive")
_BUSY = (ForebayError, f"was locked by another process for {BUSY_TIMEOUT_S:.0f} s; try again later")
_LOST = (
    ForebayError,
    "lost the connection to its server; what was being written is held whole or not at all: do the same again",
)
_FAULTS: dict[str, tuple[type[ForebayError], str]] = {
    "SQLITE_CANTOPEN": (ConfigError, "cannot be opened: see that its folder exists and can be written"),
    "SQLITE_READONLY": (_READ_ONLY[0], _READ_ONLY[1].format(what="file or folder")),
    "SQLITE_NOTADB": (ConfigError, "is not an SQLite database; give the path of an archive or of a new file"),
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_FULL": _FULL,
    "SQLITE_IOERR": (ForebayError, "cannot be read or written: the disk failed or is full; mend that and do it again"),
    "SQLITE_BUSY": _BUSY,
    "08": _LOST,
    "25006": (_READ_ONLY[0], _READ_ONLY[1].format(what="the server")),
    "42501": (ConfigError, "is closed to its user; grant it the right to make and write tables, or name another user"),
    "53100": _FULL,
    "55P03": _BUSY,
    "57P0": _LOST,
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}
"""What a driver's error means, by the start of SQLite's name or PostgreSQL's code of it."""


@contextmanager
def translate_errors(engine: sa.Engine, where: str) -> Iterator[None]:
    """Turn the database driver's errors into ours; what was not committed is undone."""
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
            raise ForebayError(f"archive {where} {_LOST[1]}") from None  # the server itself could not say why
        raise ForebayError(f"archive {where} failed: {_first_line(cause)}") from error


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
