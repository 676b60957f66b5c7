"""The archive's tables in SQLite or PostgreSQL, and every SQL statement on them.

Import it late (as `store.open_archive` does): SQLAlchemy costs a fifth of a second. What differs between the two
databases stands in `_tune`, `_lock` and `Database.insert`, and nowhere else.

======================  =====================================================================================
`series`                id ↔ source, station, variable, aggregate, interval
`observation`           series, time, fetched_at (µs since 1970 UTC), value, raw_value, quality, quality_code
`archive_schema`        version: one row, the number of this layout
======================  =====================================================================================
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError

from forebay.errors import ConfigError, ForebayError
from forebay.tables import INSTANT, OBSERVATIONS

SCHEMA_VERSION = 1
SERIES = ("source", "station", "variable", "aggregate", "interval")
BUSY_TIMEOUT_S = 30.0
"""How long a process waits for another one's write; a fetch's longest append takes well under a second."""

ALLOWED = "sqlite:///PATH and postgresql+psycopg://USER@HOST/DATABASE"
_POSTGRES_LOCK = 0x666F7265  # any constant: all archives of one PostgreSQL database have one writer at a time

_metadata = sa.MetaData()
_version = sa.Table("archive_schema", _metadata, sa.Column("version", sa.Integer, primary_key=True))
_series = sa.Table(
    "series",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    *(sa.Column(name, sa.Integer if name == "interval" else sa.Text, nullable=False) for name in SERIES),
    sa.UniqueConstraint(*SERIES),
)
_observation = sa.Table(
    "observation",
    _metadata,
    sa.Column("series", sa.Integer, sa.ForeignKey("series.id"), primary_key=True, autoincrement=False),
    sa.Column("time", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("fetched_at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Double),
    sa.Column("raw_value", sa.Text),
    sa.Column("quality", sa.Text, nullable=False),
    sa.Column("quality_code", sa.Text),
    sqlite_with_rowid=False,
)
VERSION_COLUMNS: dict[str, pl.DataType] = {"series": pl.Int64()} | {
    column.name: OBSERVATIONS.columns[column.name] for column in _observation.c if column.name != "series"
}
"""Columns of `Database.versions`, in the stored order."""


class Database:
    """An open archive database: its transactions, and the statements that run in them.

    Attributes
    ----------
    where
        The URL without its password, for messages.
    """

    def __init__(self, url: str) -> None:
        parsed = _parsed(url)
        self.where = parsed.render_as_string(hide_password=True)
        self._engine = _engine(parsed, self.where)
        with ExitStack() as undo:
            undo.callback(self.close)
            self._prepare()
            undo.pop_all()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the archive, whatever others write meanwhile."""
        with _one_sentence(self.where), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that is kept whole or not at all; there is one at a time, others wait."""
        writer = self._engine.execution_options(archive_writer=True)
        with _one_sentence(self.where), writer.begin() as connection:
            _lock(connection)
            yield connection

    def series(self, connection: sa.Connection, stations: Iterable[str]) -> pl.DataFrame:
        """The series of `stations`: `id` and the columns of `SERIES`."""
        query = sa.select(_series).where(_series.c.station.in_(sorted(set(stations)))).order_by(_series.c.id)
        schema = {"id": pl.Int64()} | {name: OBSERVATIONS.columns[name] for name in SERIES}
        return _frame(connection, query, schema)

    def add_series(self, connection: sa.Connection, labels: pl.DataFrame) -> pl.DataFrame:
        """`labels` (columns of `SERIES`) with the `id` of each, after adding those that are not there yet."""
        held = self.series(connection, labels["station"])
        absent = labels.join(held, on=SERIES, how="anti").sort(SERIES)
        if absent.height:
            connection.execute(sa.insert(_series), absent.to_dicts())
            held = self.series(connection, labels["station"])
        return labels.join(held, on=SERIES)

    def versions(
        self,
        connection: sa.Connection,
        series: Iterable[int],
        *,
        times: tuple[int, int] | None = None,
        until: int | None = None,
    ) -> pl.DataFrame:
        """Every version of the readings of `series`, sorted by series, time, fetched_at (columns `VERSION_COLUMNS`).

        Parameters
        ----------
        times
            First and last time, both included (µs since 1970 UTC); all without it.
        until
            Only versions fetched no later than this (µs since 1970 UTC).
        """
        column = _observation.c
        query = sa.select(_observation).where(column.series.in_(list(series)))
        if times is not None:
            query = query.where(column.time.between(*times))
        if until is not None:
            query = query.where(column.fetched_at <= until)
        return _frame(connection, query.order_by(column.series, column.time, column.fetched_at), VERSION_COLUMNS)

    def newest_time(self, connection: sa.Connection, series: int) -> int | None:
        """Time of the newest reading of `series` (µs since 1970 UTC), null where none is held."""
        query = sa.select(sa.func.max(_observation.c.time)).where(_observation.c.series == series)
        newest: int | None = connection.execute(query).scalar_one()
        return newest

    def insert(self, connection: sa.Connection, versions: pl.DataFrame) -> None:
        """Add `versions` (columns `VERSION_COLUMNS`)."""
        rows = versions.select(
            pl.col(name).to_physical() if dtype == INSTANT else name for name, dtype in VERSION_COLUMNS.items()
        )
        statement = sa.insert(_observation)
        if not rows.height:
            return
        if connection.dialect.name == "sqlite":
            # Tuples straight to the driver: 370,000 rows/s where a dict per row gives 100,000.
            connection.exec_driver_sql(str(statement.compile(dialect=connection.dialect)), rows.rows())
        else:
            connection.execute(statement, rows.to_dicts())

    def _prepare(self) -> None:
        """Make the tables of a new archive; refuse what is no archive or was made by a newer forebay."""
        with self.reading() as connection:
            held = self._held_version(connection)
        if held is None:
            with _one_sentence(self.where):
                _tune(self._engine)
            with self.writing() as connection:
                held = self._held_version(connection)  # another process may have been quicker
                if held is None:
                    _metadata.create_all(connection)
                    connection.execute(sa.insert(_version), {"version": SCHEMA_VERSION})
                    held = SCHEMA_VERSION
        if held != SCHEMA_VERSION:
            raise ConfigError(
                f"archive {self.where} has schema version {held}, this forebay reads {SCHEMA_VERSION}; "
                "use the forebay that wrote it (or a newer one), or another archive"
            )

    def _held_version(self, connection: sa.Connection) -> int | None:
        names = sa.inspect(connection).get_table_names()
        if _version.name in names:
            held = connection.execute(sa.select(sa.func.max(_version.c.version))).scalar_one()
            return int(held or 0)
        if names:
            raise ConfigError(
                f"archive {self.where} is the database of another program (it has the tables {', '.join(names[:5])}); "
                "give the URL of an archive or of an empty database"
            )
        return None


def _parsed(url: str) -> sa.URL:
    """`url` in its parts, a file's path with `~` filled in."""
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):
        shown = re.sub(r"//.*@", "//…@", url)  # may hold a password
        raise ConfigError(f"archive {shown!r} is not a URL; allowed are {ALLOWED}") from None
    shown = parsed.render_as_string(hide_password=True)
    if parsed.drivername == "postgresql+psycopg":
        return parsed
    if parsed.drivername != "sqlite":
        raise ConfigError(f"archive {shown!r}: {parsed.drivername!r} is not supported; allowed are {ALLOWED}")
    if parsed.host or parsed.query or parsed.database in (None, "", ":memory:"):
        raise ConfigError(f"archive {shown!r} must name a file: sqlite:///PATH, or sqlite:////PATH from the root on")
    return parsed.set(database=str(Path(str(parsed.database)).expanduser()))


def _engine(parsed: sa.URL, where: str) -> sa.Engine:
    if parsed.drivername != "sqlite":
        try:
            return sa.create_engine(parsed)
        except ImportError:
            raise ConfigError(f"archive {where!r} needs psycopg: pip install 'forebay[postgres]'") from None
    path = Path(str(parsed.database))
    if path.is_dir():
        raise ConfigError(f"archive {where}: {str(path)!r} is a folder; give the path of a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"archive {where}: folder {str(path.parent)!r} cannot be made ({error.strerror}); choose another "
            "with --archive"
        ) from None
    engine = sa.create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_S})
    sa.event.listen(engine, "connect", _on_connect)
    sa.event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # sqlite3 itself would begin too late for a snapshot; `_on_begin` does it
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _on_begin(connection: sa.Connection) -> None:
    # A writer takes its lock before it reads: a lock taken in mid-transaction fails if somebody wrote since.
    writes = connection.get_execution_options().get("archive_writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _lock(connection: sa.Connection) -> None:
    """Wait until no other process writes (SQLite has done so on BEGIN IMMEDIATE)."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_POSTGRES_LOCK)))


def _tune(engine: sa.Engine) -> None:
    """Write-ahead logging, which the file remembers: a reader and a writer do not wait for each other."""
    if engine.dialect.name != "sqlite":
        return
    connection = engine.raw_connection()
    give_up = monotonic() + BUSY_TIMEOUT_S
    try:
        while True:
            try:
                connection.cursor().execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                # This one statement does not heed the timeout when another process makes the same archive.
                if not error.sqlite_errorname.startswith("SQLITE_BUSY") or monotonic() > give_up:
                    raise
                sleep(0.01)
    finally:
        connection.close()


def _frame(
    connection: sa.Connection, query: sa.Select[tuple[object, ...]], schema: dict[str, pl.DataType]
) -> pl.DataFrame:
    """Rows of `query` as a frame; integers become instants where `schema` says so."""
    stored = {name: pl.Int64() if dtype == INSTANT else dtype for name, dtype in schema.items()}
    rows = connection.execute(query).fetchall()
    columns = dict(zip(schema, zip(*rows, strict=True), strict=True)) if rows else {name: () for name in schema}
    return pl.DataFrame(columns, schema=stored).select(pl.col(name).cast(dtype) for name, dtype in schema.items())


_SQLITE_FAULTS: dict[str, tuple[type[ForebayError], str]] = {
    "SQLITE_CANTOPEN": (ConfigError, "cannot be opened: see that its folder exists and can be written"),
    "SQLITE_READONLY": (ConfigError, "cannot be written: file or folder is read-only; choose another with --archive"),
    "SQLITE_NOTADB": (ConfigError, "is not an SQLite database; give the path of an archive or of a new file"),
    "SQLITE_CORRUPT": (ForebayError, "is damaged; restore the file from a copy, or fetch into a new archive"),
    "SQLITE_FULL": (ForebayError, "cannot grow: the disk is full; free some space and do the same again"),
    "SQLITE_IOERR": (ForebayError, "cannot be read or written: the disk failed or is full; mend that and do it again"),
    "SQLITE_BUSY": (ForebayError, f"was locked by another process for {BUSY_TIMEOUT_S:.0f} s; try again later"),
}


@contextmanager
def _one_sentence(where: str) -> Iterator[None]:
    """Turn the database driver's errors into ours; what was not committed is undone."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        code = getattr(cause, "sqlite_errorname", None) or ""
        for name, (kind, text) in _SQLITE_FAULTS.items():
            if code.startswith(name):
                raise kind(f"archive {where} {text}") from None
        raise ForebayError(f"archive {where} failed: {str(cause).strip().splitlines()[0]}") from error
