"""The archive's tables in SQLite or PostgreSQL, and every SQL statement on them.

Import it late (as `store.open_archive` does): SQLAlchemy costs a fifth of a second. `engines` has the differences
between the two databases.

======================  =====================================================================================
`series`                id ↔ source, station, variable, aggregate, interval, rules; reading_rules (JSON)
`observation`           series, time, fetched_at (µs since 1970 UTC), value, raw_value, quality, quality_code
`archive_schema`        version: one row, the number of this schema
`lease`                 no row, or the process that writes (`lease.Holder`); times in µs since 1970 UTC
`weather_…`             runs of weather models (`weather_tables`)
`gauge_fetch`           days of each successful fetch (`fetch_log`)
`forecast_record`       issued forecasts (`record_tables`)
`staff_note`            who read a staff gauge (`staff_notes`)
`alert_…`               decisions of alert rules, and messages sent (`alert_tables`)
`access_token`          tokens of the API; beside it the acknowledged alerts (`access_tables`)
======================  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from itertools import chain

import polars as pl
import sqlalchemy as sa

from forebay.archive import (
    access_tables,
    alert_tables,
    engines,
    fetch_log,
    read_only,
    reading_tables,
    record_tables,
    staff_notes,
    upgrade,
    urls,
    weather_tables,
)
from forebay.archive.driver_errors import translate_errors
from forebay.archive.lease import DEFAULT_WAIT, Holder, Lease, LeaseWait
from forebay.archive.reading_tables import METADATA, VERSION_COLUMNS, as_table, observation_table, series_table
from forebay.archive.upgrade import SCHEMA_VERSION
from forebay.archive.views import SERIES
from forebay.errors import ConfigError, NoArchiveError
from forebay.tables import INSTANT, OBSERVATIONS

PAGE = 100_000
"""Rows in memory at a time when a whole archive is read."""

_MAX_STATIONS = 1000  # in one statement; databases limit that

_version = sa.Table("archive_schema", METADATA, sa.Column("version", sa.Integer, primary_key=True))
_lease = sa.Table(
    "lease",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # 1: there is one lease
    *(sa.Column(name, sa.Text, nullable=False) for name in ("token", "host", "processes", "command")),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("process", "since", "expires_at")),
)
class Database:
    """An open archive database: its transactions, and the statements that run in them.

    Parameters
    ----------
    url
        URL of the archive.
    create
        Whether to create an archive that does not exist; otherwise that is a `NoArchiveError`.
    lease_wait
        Wait of a write for the lease of another process.

    Attributes
    ----------
    where
        The URL without its password, for messages.
    file
        The file of an SQLite archive; None for a server.
    """

    def __init__(self, url: str, *, create: bool = True, lease_wait: LeaseWait = DEFAULT_WAIT) -> None:
        parts = urls.parse_url(url)
        self.where = urls.public_url(parts)
        self.file = urls.sqlite_file(parts)
        if not create and self.file is not None and not self.file.exists():
            raise self._absent()
        is_immutable = not create and self.file is not None and read_only.is_immutable(self.file, self.where)
        self._immutable_file = self.file.stat() if is_immutable and self.file is not None else None
        self.engine = engines.create_engine(parts, immutable=is_immutable)
        self._lease = Lease(self, lease_wait)
        with ExitStack() as undo:
            undo.callback(self.close)
            self._version = self._prepare(create)
            undo.pop_all()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the archive, even while other processes write."""
        with ExitStack() as stack:
            if self.file is not None and self._immutable_file is not None:
                stack.enter_context(read_only.unchanged(self.file, self._immutable_file, self.where))
            stack.enter_context(self.translate_errors())
            yield stack.enter_context(engines.for_reading(self.engine).begin())

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction under the lease that is stored completely or not at all."""
        with self.lease(), self.transaction() as connection:
            self._lease.confirm(connection)
            yield connection
            self._lease.confirm(connection)  # a long transaction: others may take the lease EXPIRY_S after its end

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Context in which no other process writes; a single write needs none of its own (`lease.Lease.hold`)."""
        if self._version == upgrade.WITHOUT_LEASE:
            with self.translate_errors():
                upgrade.add_lease(self.engine, _lease, _version)
            self._version = upgrade.WITHOUT_WEATHER
        with self._lease.hold():
            for step in range(self._version, SCHEMA_VERSION):
                with self.transaction() as connection:
                    self._lease.confirm(connection)
                    upgrade.add_tables(connection, _version, step)
            self._version = SCHEMA_VERSION
            yield

    @property
    def has_weather(self) -> bool:
        """Whether the archive has tables of weather forecasts."""
        return self._version > upgrade.WITHOUT_WEATHER

    @property
    def has_records(self) -> bool:
        """Whether the archive has the tables of fetches and of forecast records."""
        return self._version > upgrade.WITHOUT_RECORDS

    @property
    def has_staff_notes(self) -> bool:
        """Whether the archive has the table of notes on readings by hand."""
        return self._version > upgrade.WITHOUT_STAFF_NOTES

    @property
    def has_alerts(self) -> bool:
        """Whether the archive has the tables of alerts."""
        return self._version > upgrade.WITHOUT_ALERTS

    @property
    def has_access(self) -> bool:
        """Whether the archive has the tables of tokens and of acknowledged alerts; another process may add them."""
        if self._version <= upgrade.WITHOUT_ACCESS:
            with self.reading() as connection:
                self._version = self._schema_version(connection) or self._version
        return self._version > upgrade.WITHOUT_ACCESS

    def prepare_access(self) -> None:
        """Add the tables of tokens and of acknowledged alerts to an archive of an older schema."""
        if not self.has_access:
            with self.lease():
                pass

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction of a writer without the lease: for the lease itself, new tables, and forecast records."""
        with self.translate_errors(), engines.for_writing(self.engine).begin() as connection:
            engines.lock(connection)
            yield connection

    def translate_errors(self) -> AbstractContextManager[None]:
        """Context in which errors of the database driver become a `ForebayError`."""
        return translate_errors(self.engine, self.where)

    def series(self, connection: sa.Connection, stations: Iterable[str] | None = None) -> pl.DataFrame:
        """The series of `stations` (by default all): `id`, the columns of `SERIES` and reading_rules, by `id`."""
        query = sa.select(series_table).order_by(series_table.c.id)
        names = None if stations is None else sorted(set(stations))
        if names is not None and len(names) <= _MAX_STATIONS:
            query = query.where(series_table.c.station.in_(names))
        labels = {name: OBSERVATIONS.columns[name] for name in SERIES}
        schema: dict[str, pl.DataType] = {"id": pl.Int64(), **labels, "reading_rules": pl.String()}
        series = as_table(connection.execute(query).fetchall(), schema)
        return series if names is None else series.filter(pl.col("station").is_in(names))

    def add_series(
        self, connection: sa.Connection, labels: pl.DataFrame, reading_rules: str | None = None
    ) -> pl.DataFrame:
        """`labels` (columns of `SERIES`) with the `id` of each; new ones are added in order.

        New ones get the reading rules in the column `reading_rules` of `labels` or, without it, in the parameter.
        """
        if "reading_rules" not in labels.columns:
            labels = labels.with_columns(pl.lit(reading_rules, pl.String).alias("reading_rules"))
        series = self.series(connection, labels["station"])
        absent = labels.join(series, on=SERIES, how="anti", maintain_order="left")
        if absent.height:
            connection.execute(sa.insert(series_table), absent.select(*SERIES, "reading_rules").to_dicts())
            series = self.series(connection, labels["station"])
        return labels.drop("reading_rules").join(series, on=SERIES, maintain_order="left")

    def set_rules(self, connection: sa.Connection, series: int, rules: str, reading_rules: str) -> None:
        """Change the reading rules of a series, and their digest."""
        query = sa.update(series_table).where(series_table.c.id == series)
        connection.execute(query.values(rules=rules, reading_rules=reading_rules))

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
            First and last time, both included (µs since 1970 UTC); by default all.
        until
            Only versions fetched until this instant (µs since 1970 UTC).
        """
        column = observation_table.c
        query = sa.select(observation_table).where(column.series.in_(list(series)))
        if times is not None:
            query = query.where(column.time.between(*times))
        if until is not None:
            query = query.where(column.fetched_at <= until)
        query = query.order_by(column.series, column.time, column.fetched_at)
        with connection.execute(query) as result:
            assert result.cursor is not None
            cursor = result.cursor  # the driver's: SQLAlchemy's row objects double the time
            pages = [as_table(rows, VERSION_COLUMNS) for rows in iter(lambda: cursor.fetchmany(PAGE), [])]
        return pl.concat([as_table([], VERSION_COLUMNS), *pages])

    def version_counts(self, connection: sa.Connection) -> dict[int, tuple[int, int]]:
        """Series → number of versions of its readings, and when the newest was fetched (µs since 1970)."""
        column = observation_table.c
        query = sa.select(column.series, sa.func.count(), sa.func.max(column.fetched_at)).group_by(column.series)
        return {series: (count, newest) for series, count, newest in connection.execute(query)}

    def dam_counts(self, connection: sa.Connection) -> dict[str, tuple[int, int, int]]:
        """Dam → number of its last record, of its decisions on alerts, of acknowledged ones; dams without any lack."""
        parts = (
            record_tables.last_sequences(connection) if self.has_records else {},
            alert_tables.counts(connection) if self.has_alerts else {},
            access_tables.counts(connection) if self.has_access else {},
        )
        records, decisions, acknowledged = parts
        names = dict.fromkeys([*records, *decisions, *acknowledged])
        return {dam: (records.get(dam, 0), decisions.get(dam, 0), acknowledged.get(dam, 0)) for dam in names}

    def pages(self, connection: sa.Connection, series: int) -> Iterator[pl.DataFrame]:
        """The versions of one series as by `versions`, at most `PAGE` rows at a time."""
        column = observation_table.c
        query = sa.select(observation_table).where(column.series == series).order_by(column.time, column.fetched_at)
        with connection.execute(query.execution_options(yield_per=PAGE)) as result:
            for rows in result.partitions():
                yield as_table(rows, VERSION_COLUMNS)

    def insert(self, connection: sa.Connection, versions: pl.DataFrame) -> None:
        """Add `versions` (columns `VERSION_COLUMNS`)."""
        rows = versions.select(
            pl.col(name).to_physical() if dtype == INSTANT else name for name, dtype in VERSION_COLUMNS.items()
        )
        if rows.height:
            engines.load(connection, observation_table, rows)

    def clear(self, connection: sa.Connection) -> None:
        """Delete all series and versions, so that others can replace them in the same transaction."""
        for table in (observation_table, series_table):
            connection.execute(sa.delete(table))
        weather_tables.clear(connection)
        fetch_log.clear(connection)
        record_tables.clear(connection)
        staff_notes.clear(connection)
        alert_tables.clear(connection)
        access_tables.clear(connection)

    def count(self, connection: sa.Connection) -> int:
        """Number of stored versions of readings and of weather forecasts."""
        versions: int = connection.execute(sa.select(sa.func.count()).select_from(observation_table)).scalar_one()
        return versions + (weather_tables.count(connection) if self.has_weather else 0)

    def count_records(self, connection: sa.Connection) -> int:
        """Number of forecast records."""
        return record_tables.count(connection) if self.has_records else 0

    def faults(self, connection: sa.Connection, now: int) -> dict[str, int]:
        """Number of versions, or series, with each fault; all must be 0. `now` is in µs since 1970 UTC."""
        counts = reading_tables.faults(connection, now)
        counts |= weather_tables.faults(connection, now) if self.has_weather else {}
        if self.has_records:
            counts |= fetch_log.faults(connection, series_table, now) | record_tables.faults(connection)
        if self.has_staff_notes:
            counts |= staff_notes.faults(connection, observation_table)
        if self.has_alerts:
            counts |= alert_tables.faults(connection)
        if self.has_access:
            counts |= access_tables.faults(connection)
        return counts

    def now(self, connection: sa.Connection) -> int:
        """The time by the database's clock, which all machines share (µs since 1970 UTC)."""
        return engines.clock(connection)

    def lease_holder(self, connection: sa.Connection) -> Holder | None:
        """The process that has the lease, also if it has expired."""
        row = connection.execute(sa.select(_lease)).one_or_none()
        return None if row is None else Holder(**{name: row._mapping[name] for name in Holder.__match_args__})

    def set_lease(self, connection: sa.Connection, holder: Holder) -> None:
        """Give the lease to `holder`."""
        connection.execute(sa.delete(_lease))
        connection.execute(sa.insert(_lease), {"id": 1} | asdict(holder))

    def renew_lease(self, connection: sa.Connection, token: str, expiry: int) -> bool:
        """Set the end of the lease with this token to `expiry` µs from now; False if another process has the lease."""
        query = sa.update(_lease).where(_lease.c.token == token)
        return connection.execute(query.values(expires_at=self.now(connection) + expiry)).rowcount == 1

    def delete_lease(self, connection: sa.Connection, token: str) -> None:
        """Delete the lease with this token."""
        connection.execute(sa.delete(_lease).where(_lease.c.token == token))

    def clear_lease(self) -> None:
        """Delete the lease in a copy of an archive: its holder writes to the original."""
        if self._version > upgrade.WITHOUT_LEASE:
            with self.transaction() as connection:
                connection.execute(sa.delete(_lease))

    def _prepare(self, create: bool) -> int:
        """Schema version, after creating a new archive or upgrading an old one; refuse others."""
        with self.reading() as connection:
            engines.refuse_unfit_encoding(connection, self.where)
            version = self._schema_version(connection)
        if version is None and not create:
            raise self._absent()
        if version is None:
            with self.transaction() as connection:
                version = self._schema_version(connection)  # another process may have created it meanwhile
                if version is None:
                    METADATA.create_all(connection)
                    for tables in chain.from_iterable(upgrade.ADDED.values()):
                        tables.create_all(connection)
                    connection.execute(sa.insert(_version), {"version": SCHEMA_VERSION})
                    version = SCHEMA_VERSION
        if version == upgrade.OLD_VERSION and self._immutable_file is not None:
            raise ConfigError(
                f"archive {self.where} has schema version {version} and cannot be upgraded in a folder without write "
                "permission; copy it to another folder"
            )
        if version == upgrade.OLD_VERSION:
            with self.translate_errors():
                upgrade.upgrade(self.engine, series_table, _version, file=self.file)
            version = upgrade.WITHOUT_LEASE
        if version not in (*upgrade.READABLE, SCHEMA_VERSION):
            raise ConfigError(
                f"archive {self.where} has schema version {version}, this forebay reads {SCHEMA_VERSION}; "
                "use the forebay that wrote it (or a newer one), or another archive"
            )
        if create:
            with self.translate_errors():
                engines.use_write_ahead_log(self.engine)
        return version

    def _absent(self) -> NoArchiveError:
        return NoArchiveError(
            f"archive {self.where} does not exist; give another one with --archive, or run `forebay fetch` first"
        )

    def _schema_version(self, connection: sa.Connection) -> int | None:
        """Schema version of the archive; None for an empty database."""
        names = sa.inspect(connection).get_table_names()
        if _version.name in names:
            version = connection.execute(sa.select(sa.func.max(_version.c.version))).scalar_one()
            return int(version or 0)
        if names:
            raise ConfigError(
                f"archive {self.where} is the database of another program (it has the tables {', '.join(names[:5])}); "
                "give the URL of an archive or of an empty database"
            )
        return None
