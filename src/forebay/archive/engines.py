"""SQLite and PostgreSQL where they differ: how an archive is opened, locked, loaded, copied and compacted.

`database` has the tables and statements that both share. Import it late, as `store.open_archive` does: SQLAlchemy costs
a fifth of a second.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep, time_ns
from typing import Any
from urllib.parse import quote

import polars as pl
import sqlalchemy as sa

from forebay.archive.driver_errors import BUSY_TIMEOUT_S, first_line
from forebay.archive.urls import public_url, sqlite_file, without_values
from forebay.errors import ConfigError, ForebayError

_CONNECTION = {
    "application_name": "forebay",
    "connect_timeout": 10,
    # A lost server is detected within a minute; the system's default is two hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # ms
}
"""Default options of a connection to a PostgreSQL server; options of the URL take precedence."""

_ROWS_AT_ONCE = 100_000
_POSTGRES_LOCK = 0x666F7265  # any constant: a PostgreSQL database has one writer at a time


def create_engine(url: sa.URL, *, immutable: bool = False) -> sa.Engine:
    """The engine of a parsed URL; the folder of an SQLite file is created.

    Parameters
    ----------
    immutable
        Whether to read an SQLite file without locks and without its log (`read_only.is_immutable`).

    Raises
    ------
    ConfigError
        If the folder cannot be created, or psycopg is not installed.
    """
    path = sqlite_file(url)
    return _postgres(url) if path is None else _sqlite(url, path, immutable=immutable)


def _sqlite(url: sa.URL, path: Path, *, immutable: bool) -> sa.Engine:
    where = public_url(url)
    if path.is_dir():
        raise ConfigError(f"archive {where}: {str(path)!r} is a folder; give the path of a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"archive {where}: folder {str(path.parent)!r} cannot be created ({error.strerror}); choose "
            "another with --archive"
        ) from None
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    if immutable:
        name = f"file:{quote(str(path))}?mode=ro&immutable=1"

        def connect(_dialect: sa.Dialect, _record: object, _args: object, _options: object) -> sqlite3.Connection:
            return sqlite3.connect(name, uri=True, check_same_thread=False)

        sa.event.listen(engine, "do_connect", connect)
    sa.event.listen(engine, "connect", _on_sqlite_connect)
    sa.event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _on_sqlite_connect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver begins too late for a snapshot; `_on_sqlite_begin` does it
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _on_sqlite_begin(connection: sa.Connection) -> None:
    # A writer acquires its lock before it reads: in mid-transaction this fails if another process wrote meanwhile.
    writes = connection.get_execution_options().get("archive_writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgres(url: sa.URL) -> sa.Engine:
    where = public_url(url)
    options = {name: value for name, value in _CONNECTION.items() if name not in url.query}
    try:
        # A dashboard keeps connections for weeks: each is tested before it is used again.
        engine = sa.create_engine(url, connect_args=options, pool_pre_ping=True)
    except ImportError:
        raise ConfigError(f"archive {where!r} needs psycopg: pip install 'forebay[postgres]'") from None

    def connect(dialect: sa.Dialect, _record: object, args: Any, options: Any) -> object:  # Any: psycopg's arguments
        driver: Any = dialect.loaded_dbapi  # Any: a module
        try:
            return dialect.connect(*args, **options)
        except driver.Error as error:
            reason = without_values(first_line(error).removeprefix("connection failed: "), url)
            kind = ForebayError if isinstance(error, driver.OperationalError) else ConfigError
            raise kind(
                f"archive {where} cannot be reached ({reason}); check that its server runs, and check host, port, "
                "database, user and password"
            ) from None

    sa.event.listen(engine, "do_connect", connect)
    return engine


def for_reading(engine: sa.Engine) -> sa.Engine:
    """`engine` with transactions that each see one state of the archive."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ")


def for_writing(engine: sa.Engine) -> sa.Engine:
    """`engine` with transactions for `lock`."""
    return engine.execution_options(archive_writer=True)


def lock(connection: sa.Connection) -> None:
    """Wait until no other process writes (SQLite waits in BEGIN IMMEDIATE)."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{round(BUSY_TIMEOUT_S * 1000)}ms'")
        # Releases the lock of a writer whose machine is lost.
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '10min'")
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_POSTGRES_LOCK)))


def clock(connection: sa.Connection) -> int:
    """µs since 1970 UTC by the clock of the server; SQLite has that of this machine."""
    if connection.dialect.name == "sqlite":
        return time_ns() // 1000
    query = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    return int(connection.exec_driver_sql(query).scalar_one())


@contextmanager
def upgrading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A writing transaction that may replace a table to which others refer; the references are checked at its end."""
    is_sqlite = engine.dialect.name == "sqlite"
    with for_writing(engine).connect() as connection:
        driver: Any = connection.connection.driver_connection  # Any: either driver's connection
        if is_sqlite:
            driver.execute("PRAGMA foreign_keys=OFF")  # has no effect inside a transaction
        try:
            with connection.begin():
                lock(connection)
                yield connection
                faults = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall() if is_sqlite else []
                if faults:
                    raise ForebayError(f"{len(faults)} versions would lose their series; nothing was changed")
        finally:
            if is_sqlite:
                driver.execute("PRAGMA foreign_keys=ON")


def use_write_ahead_log(engine: sa.Engine) -> None:
    """Switch an SQLite file to write-ahead logging: a reader and a writer do not wait for each other."""
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
                # This statement ignores the time-out when another process creates the same archive.
                if not error.sqlite_errorname.startswith("SQLITE_BUSY") or monotonic() > give_up:
                    raise
                sleep(0.01)
    finally:
        connection.close()


def refuse_unfit_encoding(connection: sa.Connection, where: str) -> None:
    """Raise `ConfigError` if a PostgreSQL database cannot store every text that a source may give."""
    if connection.dialect.name == "postgresql":
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise ConfigError(f"archive {where}: its encoding is {encoding}; create a database with ENCODING 'UTF8'")


def load(connection: sa.Connection, table: sa.Table, rows: pl.DataFrame) -> None:
    """Add `rows`, whose columns are those of `table` in order."""
    if connection.dialect.name == "sqlite":
        # Tuples for the driver: 370,000 rows/s, against 100,000 with a dict per row.
        statement = str(sa.insert(table).compile(dialect=connection.dialect))
        for part in rows.iter_slices(_ROWS_AT_ONCE):  # as Python objects, rows take much more memory
            connection.exec_driver_sql(statement, part.rows())
        return
    driver: Any = connection.connection.driver_connection  # Any: psycopg's connection, which may not be installed
    columns = ", ".join(column.name for column in table.c)
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN (FORMAT csv)") as copy:
        for part in rows.iter_slices(_ROWS_AT_ONCE):
            copy.write(part.write_csv(include_header=False, quote_style="non_numeric"))  # null without quotes, "" with


def file_faults(connection: sa.Connection) -> list[str]:
    """Faults of the pages and the index of an SQLite file; a PostgreSQL server checks its own files."""
    if connection.dialect.name != "sqlite":
        return []
    report = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    return [] if report == ["ok"] else [str(text) for text in report]


def copy_file(connection: sa.Connection, target: Path) -> None:
    """Copy the SQLite database, as the transaction of `connection` sees it, to the new file `target`."""
    driver: Any = connection.connection.driver_connection  # Any: sqlite3's connection, by way of SQLAlchemy
    copy = sqlite3.connect(target)
    try:
        driver.backup(copy)
    finally:
        copy.close()


def merge_log(engine: sa.Engine) -> None:
    """Merge the log of an SQLite archive into its file, so that it can be read from a read-only disk."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode=DELETE").fetchone()  # raises while another has the file open
    finally:
        connection.close()


def compact(engine: sa.Engine) -> None:
    """Release unused space to the system (SQLite) or to later writes (PostgreSQL)."""
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
        connection.invalidate()  # its state is changed: not for the pool
        connection.close()


def archive_size(connection: sa.Connection) -> int:
    """Size of the archive in bytes: the file and its log, or the tables and their indexes."""
    if connection.dialect.name == "postgresql":
        query = (
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        )
        return int(connection.exec_driver_sql(query).scalar_one())
    path = str(connection.engine.url.database)
    return sum(part.stat().st_size for part in (Path(path), Path(f"{path}-wal")) if part.exists())
