"""The archive: every version of every reading, and the views that a forecast or a hindcast may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from html import escape
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

import polars as pl

from forebay.archive import fetch_log, staff_notes
from forebay.archive.access import AccessArchive
from forebay.archive.alerts import AlertArchive
from forebay.archive.latency import MIN_FETCHES, LearnedLatency, last_misses, learned_latency, missed_readings
from forebay.archive.lease import DEFAULT_WAIT, LeaseWait
from forebay.archive.records import RecordArchive
from forebay.archive.series import NO_RULES, adoption, series_ids, series_of
from forebay.archive.views import (
    CONTENT,
    KEY,
    SERIES,
    current_versions,
    first_versions,
    known_versions,
    newest_versions,
    revisions,
    without_placeholders,
)
from forebay.archive.weather import WeatherArchive
from forebay.errors import ConfigError, DataError
from forebay.tables import INSTANT, OBSERVATIONS, READINGS, REVISIONS, WITHDRAWN, Table

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from forebay.archive.database import Database
    from forebay.archive.state import ArchiveState
    from forebay.dams.gauge import Gauge

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class AppendResult:
    """Counts of an append: all `rows`, `new` keys, `revised` keys, and `unchanged` keys, which are not stored again.

    `withdrawn` counts stored keys that a complete source no longer has.
    """

    rows: int
    new: int
    revised: int
    unchanged: int
    withdrawn: int = 0


class DamCounts(NamedTuple):
    """What an archive has of a dam.

    versions, newest: of its readings, their number and when the newest was fetched (µs since 1970). record: number of
    its last record. decisions, acknowledgements: of its alerts.
    """

    versions: int
    newest: int
    record: int
    decisions: int
    acknowledgements: int


LocalDays = tuple[date | None, date]
"""First and last local day, both included; None as the first: the start of the record."""


def open_archive(url: str, *, create: bool = True, lease_wait: LeaseWait = DEFAULT_WAIT) -> Archive:
    """The archive at `url`, created if it does not exist; use it in a `with` statement.

    Parameters
    ----------
    url
        ``sqlite:///PATH`` (``sqlite:////PATH`` for an absolute path; folders are created) or
        ``postgresql+psycopg://USER@HOST/DATABASE``.
    create
        Whether to create an archive that does not exist.
    lease_wait
        Wait of a write while another process writes.

    Raises
    ------
    NoArchiveError
        If the archive does not exist and `create` is False.
    ConfigError
        If the URL has another form, its place cannot be written, or it holds another program's data or a newer archive.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, open_archive(f"sqlite:///{folder}/forebay.db") as archive:
    ...     archive.append(READINGS.empty(), datetime(2024, 5, 1, tzinfo=UTC))
    AppendResult(rows=0, new=0, revised=0, unchanged=0, withdrawn=0)
    """
    from forebay.archive.database import Database

    return Archive(Database(url, create=create, lease_wait=lease_wait))


class Archive:
    """Observations with every revision. No row is ever changed or deleted: a revision is another row.

    The views return `tables.OBSERVATIONS`: at most one version of each reading, sorted by series and time. A gauge
    without stored readings has no rows.
    """

    def __init__(self, database: Database, until: datetime | None = None) -> None:
        self._database = database
        self._until = until

    def snapshot(self, instant: datetime) -> Archive:
        """The archive as it was at `instant`: all views without the versions that were fetched later; for reading."""
        return Archive(self._database, _utc(instant, "instant"))

    @property
    def weather(self) -> WeatherArchive:
        """The weather forecasts."""
        return WeatherArchive(self._database, self._until)

    @property
    def records(self) -> RecordArchive:
        """The forecast records."""
        return RecordArchive(self._database)

    def state(self) -> ArchiveState:
        """The state of the archive, for a process that waits for changes; to be closed."""
        from forebay.archive.state import ArchiveState

        return ArchiveState(self._database)

    def counts(self, dams: Mapping[str, Sequence[Gauge]]) -> dict[str, DamCounts]:
        """What the archive has of each dam, from its gauges: a change of the dam changes one of the numbers.

        A few queries for all dams together. No version, record or decision is ever deleted.
        """
        with self._database.reading() as connection:
            ids = series_ids(self._database.series(connection), dams)
            versions, others = self._database.version_counts(connection), self._database.dam_counts(connection)
        counts = {}
        for dam in dams:
            parts = [versions.get(series, (0, 0)) for series in ids[dam]]
            newest = max((newest for _, newest in parts), default=0)
            counts[dam] = DamCounts(sum(count for count, _ in parts), newest, *others.get(dam, (0, 0, 0)))
        return counts

    @property
    def access(self) -> AccessArchive:
        """The tokens that may write by the API."""
        return AccessArchive(self._database)

    @property
    def alerts(self) -> AlertArchive:
        """Decisions of alert rules, and messages that were sent."""
        return AlertArchive(self._database)

    def __repr__(self) -> str:
        return f"<Archive: {self._database.where}>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()

    def lease(self) -> AbstractContextManager[None]:
        """Context in which no other process writes; reading needs no lease, and a single append takes its own.

        Raises
        ------
        BusyError
            If another process writes for the whole `lease_wait`: names its machine, number and command.
        """
        return self._database.lease()

    def append(
        self,
        readings: pl.DataFrame,
        fetched_at: datetime,
        *,
        gauge: Gauge | None = None,
        complete: LocalDays | None = None,
    ) -> AppendResult:
        """Store `readings`, all or (on an error) none, and return the counts.

        A row is stored only if its key has no version yet, or if value, raw_value, quality or quality_code differ from
        the newest version. So the same readings may be appended again at any time.

        Parameters
        ----------
        readings
            `tables.READINGS`, each key once; values finite or null, in the variable's canonical unit.
        fetched_at
            Instant of the fetch. For a revision, it must be later than that of the version that it revises. Otherwise
            the clock went backwards, or another fetch finished first, and the newer of the two versions is unknown.
            Such an append is refused; the next fetch stores the readings that are then published. (Unchanged readings
            pass with any `fetched_at`, as they are not stored.)
        gauge
            The gauge of all `readings`. Its reading rules are stored with its series; a series from before an upgrade,
            or of its file at a former path, becomes its series (`series.adoption`).
        complete
            Days of which `readings` has every reading of the gauge: a stored reading of these days that is not among
            them is withdrawn. It goes with `gauge`.

        Raises
        ------
        DataError
            If the table breaks its contract, or a revision was not fetched after the version that it revises.
        """
        if self._until is not None:
            raise ConfigError(f"a snapshot of {self._until} cannot be written; append to the archive itself")
        readings = _check_storable(readings)
        stamp = _utc(fetched_at, "fetched_at")
        if not readings.height:
            return AppendResult(0, 0, 0, 0)
        with self._database.writing() as connection:
            labels = self._add_series(connection, readings, gauge)
            incoming = readings.join(labels.rename({"id": "series"}), on=SERIES).sort(KEY)
            times = _time_range(incoming) if complete is None else None
            stored = newest_versions(self._database.versions(connection, labels["id"], times=times))
            compared = _compare(incoming, stored)
            changed = compared.filter(pl.col("stored_at").is_null() | pl.col("differs"))
            withdrawn = changed.clear()
            if gauge is not None and complete is not None:
                withdrawn = _withdrawn(compared, stored, gauge, complete)
            versions = pl.concat([changed, withdrawn], how="diagonal").sort(KEY)
            _refuse_older(versions, stamp)
            self._database.insert(connection, versions.with_columns(pl.lit(stamp, INSTANT).alias("fetched_at")))
        new = changed.filter(pl.col("stored_at").is_null() | (pl.col("stored_quality") == WITHDRAWN)).height
        unchanged = readings.height - changed.height
        return AppendResult(readings.height, new, changed.height - new, unchanged, withdrawn.height)

    def _add_series(self, connection: Connection, readings: pl.DataFrame, gauge: Gauge | None) -> pl.DataFrame:
        """Label and id of each series of `readings` and of `gauge`; absent ones are added or adopted."""
        labels = readings.select(SERIES).unique().sort(SERIES)
        if gauge is None:
            return self._database.add_series(connection, labels)
        label = pl.DataFrame([gauge.series], schema=labels.schema)
        stored = self._database.series(connection, [gauge.station])
        adopted = adoption(stored, gauge)
        if adopted is not None and self._continues(connection, stored, adopted, readings):
            self._database.set_rules(connection, adopted, label["rules"][0], gauge.reading_rules)
        return self._database.add_series(connection, label, gauge.reading_rules)

    def _continues(self, connection: Connection, stored: pl.DataFrame, series: int, readings: pl.DataFrame) -> bool:
        """Whether `readings` continue a stored series: it has no rules, or they have all its times and most values.

        The file of a series may be invisible here and in use on another machine: another file must not take its place.
        """
        if stored.filter(pl.col("id") == series)["rules"][0] == NO_RULES:
            return True
        current = current_versions(self._database.versions(connection, [series]))
        both = current.join(readings, on="time", suffix="_incoming")
        is_same = both["raw_value"].eq_missing(both["raw_value_incoming"])
        return both.height == current.height and 2 * int(is_same.sum()) >= current.height

    def record_fetch(self, gauge: Gauge, spans: Sequence[tuple[date | None, date]], fetched_at: datetime) -> None:
        """Store that a fetch of `gauge` got a complete answer on `spans` of days: readings that it lacks did not exist.

        A series without any reading has no record of its fetches.
        """
        stamp = _utc(fetched_at, "fetched_at")
        with self._database.writing() as connection:
            labels = series_of(self._database.series(connection, [gauge.station]), [gauge])
            stored = fetch_log.fetches(connection, labels["id"])
            if labels.is_empty() or (stored["fetched_at"] >= stamp).any():
                return  # the clock went backwards: the order of the fetches is unknown
            rows = [(labels["id"][0], stamp, last, first) for first, last in spans]
            fetch_log.add(connection, pl.DataFrame(rows, schema=fetch_log.FETCHED_SPANS, orient="row"))

    def add_note(self, gauge: Gauge, version: tuple[datetime, datetime], name: str | None, note: str | None) -> None:
        """Store who read a reading by hand, and what was noted; `version` is its time and its `fetched_at`."""
        time, stamp = (_utc(instant, "version") for instant in version)
        with self._database.writing() as connection:
            labels = series_of(self._database.series(connection, [gauge.station]), [gauge])
            rows = [(labels["id"][0], time, stamp, name, note)]
            staff_notes.add(connection, pl.DataFrame(rows, schema=staff_notes.NOTES, orient="row"))

    def notes(self, gauge: Gauge) -> pl.DataFrame:
        """time, fetched_at, name, note of each reading by hand that has a name or a note."""
        with self._database.reading() as connection:
            labels = series_of(self._database.series(connection, [gauge.station]), [gauge])
            series: list[int] = labels["id"].to_list() if self._database.has_staff_notes else []
            if not series:
                return pl.DataFrame(schema=staff_notes.NOTES).drop("series")
            return staff_notes.notes_of(connection, series).drop("series")

    def fetches(self, gauge: Gauge) -> pl.DataFrame:
        """fetched_at, first_day (null: start of the record), last_day of each recorded fetch of `gauge`, by time."""
        with self._database.reading() as connection:
            labels = series_of(self._database.series(connection, [gauge.station]), [gauge])
            series: list[int] = labels["id"].to_list() if self._database.has_records else []
            if not series:
                return pl.DataFrame(schema=fetch_log.FETCHED_SPANS).drop("series")
            return fetch_log.fetches(connection, series).drop("series")

    def first_arrived(self, gauge: Gauge) -> pl.DataFrame:
        """The first version with a value of each reading of `gauge`; the first one if none has a value."""
        labels, versions = self._versions([gauge], None)
        return _with_labels(first_versions(without_placeholders(versions)), labels)

    def arrived_at(self, gauge: Gauge, instant: datetime, time_zone: str) -> pl.DataFrame:
        """Readings of `gauge` as by `known_at`, without those that a fetch looked for in vain at `instant` or later.

        An empty cell that gets a value later is no reading until then.
        """
        labels, versions = self._versions([gauge], None)
        versions = without_placeholders(versions)
        misses = last_misses(versions, self.fetches(gauge), gauge, time_zone)
        known = known_versions(
            versions.with_columns(misses), gauge, _utc(instant, "instant"), time_zone, pl.col("missed_at")
        )
        return _with_labels(known, labels)

    def missed(self, gauge: Gauge, time_zone: str) -> pl.DataFrame:
        """time, missed_at of the readings of `gauge` that a fetch looked for in vain when they were due, by time."""
        fetches = self.fetches(gauge)
        readings = OBSERVATIONS.empty() if fetches.is_empty() else self.first_arrived(gauge)
        return missed_readings(readings, fetches, gauge, time_zone)

    def learned_latency(self, gauge: Gauge, time_zone: str) -> LearnedLatency:
        """Latency of `gauge` as its fetches show it."""
        fetches = self.fetches(gauge)
        if fetches["fetched_at"].n_unique() < MIN_FETCHES:
            return LearnedLatency(fetches["fetched_at"].n_unique(), 0)
        valued = self.first_arrived(gauge).filter(pl.col("value").is_not_null())
        return learned_latency(valued, fetches, gauge, time_zone)

    def as_of(self, gauges: Sequence[Gauge], instant: datetime | None = None) -> pl.DataFrame:
        """Readings of `gauges` as stored at `instant` (by default now): the newest version fetched until then."""
        labels, versions = self._versions(gauges, instant)
        return _with_labels(current_versions(versions), labels)

    def first_known(self, gauges: Sequence[Gauge]) -> pl.DataFrame:
        """The first version of each reading of `gauges`, without any later revision."""
        labels, versions = self._versions(gauges, None)
        return _with_labels(first_versions(versions), labels)

    def known_at(self, gauges: Sequence[Gauge], instant: datetime, time_zone: str) -> pl.DataFrame:
        """Readings of `gauges` as known at `instant`, as if they had always been fetched on time: for hindcasts.

        The first version of a reading is known from the end of its interval plus the gauge's latency, or from
        `fetched_at` if that is earlier; a revision is known from its `fetched_at` on.

        Parameters
        ----------
        time_zone
            The dam's: a day's interval ends with the local day.
        """
        instant = _utc(instant, "instant")
        labels, versions = self._versions(gauges, None)
        # If one series serves as two gauges, the longer latency is the safe one.
        gauge_by_label = {tuple(gauge.series.values()): gauge for gauge in sorted(gauges, key=lambda g: g.ready_after)}
        known = [OBSERVATIONS.empty()]
        for label in labels.iter_slices(1):
            series_versions = versions.filter(pl.col("series") == label["id"][0])
            gauge = gauge_by_label[label.select(SERIES).row(0)]
            known.append(_with_labels(known_versions(series_versions, gauge, instant, time_zone), label))
        return pl.concat(known)

    def revisions(self, gauges: Sequence[Gauge]) -> pl.DataFrame:
        """Revisions of `gauges` (`tables.REVISIONS`): each version that replaced an earlier one, with both contents."""
        labels, versions = self._versions(gauges, None)
        return _with_labels(revisions(versions), labels, REVISIONS)

    def newest(self, gauge: Gauge) -> datetime | None:
        """Start of the newest interval with a current reading of `gauge` (with a value or without)."""
        time: datetime | None = self.as_of([gauge])["time"].last()  # type: ignore[assignment]  # the column's type
        return time

    def _versions(self, gauges: Sequence[Gauge], until: datetime | None) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Stored series of `gauges` (id and label), and their versions fetched until `until`."""
        limits = [microseconds(_utc(limit, "instant")) for limit in (until, self._until) if limit is not None]
        last = min(limits, default=None)
        with self._database.reading() as connection:
            stored = self._database.series(connection, [gauge.station for gauge in gauges])
            labels = series_of(stored, gauges, moved=self._until is not None)
            return labels, self._database.versions(connection, labels["id"], until=last)


def _with_labels(versions: pl.DataFrame, labels: pl.DataFrame, table: Table = OBSERVATIONS) -> pl.DataFrame:
    """`versions` as `table`: with the label of their series instead of its id."""
    return table.check(versions.join(labels, left_on="series", right_on="id", how="left", maintain_order="left"))


def _check_storable(readings: pl.DataFrame) -> pl.DataFrame:
    """`readings` if they keep their contract and both databases store them equally; otherwise a `DataError`.

    Refused are NaN, null in a key, and the character NUL, which PostgreSQL cannot store.
    """
    readings = READINGS.check(readings, unique=True)
    for column in (*READINGS.key, "quality"):
        if nulls := readings[column].null_count():
            raise DataError(f"table readings: column {column!r} has {nulls} nulls; every reading must have one")
    infinite = readings.filter(pl.col("value").is_finite().not_())
    if infinite.height:
        value, station = infinite["value"][0], infinite["station"][0]
        raise DataError(f"table readings: value {value} of station {station} is no number; null means missing")
    for column, dtype in READINGS.columns.items():
        if dtype == pl.String() and readings[column].str.contains("\0", literal=True).any():
            raise DataError(f"table readings: column {column!r} has a text with the character NUL; no text may have it")
    return readings


def _compare(incoming: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """`incoming` with `stored_at`, when its stored version was fetched, and whether it `differs` from that version."""
    versions = stored.rename({"fetched_at": "stored_at"} | {name: f"stored_{name}" for name in CONTENT})
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"stored_{name}")) for name in CONTENT)
    return incoming.join(versions, on=KEY, how="left", maintain_order="left").with_columns(differs.alias("differs"))


def _withdrawn(compared: pl.DataFrame, stored: pl.DataFrame, gauge: Gauge, complete: LocalDays) -> pl.DataFrame:
    """Withdrawals, as rows of `_compare`, of the current readings of the days that are not in `compared`."""
    first, last = complete
    day = gauge.local_day(gauge.time_zone)
    current = stored.filter(pl.col("quality") != WITHDRAWN, day.is_between(first or date.min, last))
    return current.join(compared, on=KEY, how="anti").select(
        *KEY,
        *(pl.lit(None, OBSERVATIONS.columns[name]).alias(name) for name in CONTENT if name != "quality"),
        pl.lit(WITHDRAWN).alias("quality"),
        pl.lit(gauge.station).alias("station"),
        pl.col("fetched_at").alias("stored_at"),
        pl.lit(True).alias("differs"),
    )


def _time_range(readings: pl.DataFrame) -> tuple[int, int]:
    """First and last time of `readings`, in µs since 1970 UTC."""
    first, last = readings.select(pl.col("time").min().alias("first"), pl.col("time").max().alias("last")).row(0)
    return microseconds(first), microseconds(last)


def _refuse_older(compared: pl.DataFrame, fetched_at: datetime) -> None:
    """Raise if a stored version that differs was not fetched before `fetched_at`."""
    older = compared.filter(pl.col("differs") & (pl.col("stored_at") >= fetched_at))
    if older.height:
        first = older.row(0, named=True)
        raise DataError(
            f"station {first['station']}: {older.height} readings (the first of {first['time']}) fetched at "
            f"{fetched_at} differ from those fetched at {first['stored_at']}, which is not earlier; check the clock "
            "and fetch again"
        )


def _utc(instant: datetime, name: str) -> datetime:
    if instant.utcoffset() is None:
        raise ConfigError(f"{name} {instant} has no time zone; give an instant like 2024-05-01T00:00:00+00:00")
    return instant.astimezone(UTC)


def microseconds(instant: datetime) -> int:
    """Microseconds since 1970 UTC, exactly."""
    return (instant - _EPOCH) // timedelta(microseconds=1)
