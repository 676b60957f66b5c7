"""The archive: every version of every reading, and the views of it that a forecast or a hindcast may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

import polars as pl

from forebay.archive.views import CONTENT, KEY, SERIES, first_versions, known_versions, newest_versions, revisions
from forebay.dams.gauge import Gauge
from forebay.errors import ConfigError, DataError
from forebay.tables import INSTANT, OBSERVATIONS, READINGS, REVISIONS, Table

if TYPE_CHECKING:
    from forebay.archive.database import Database

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class AppendResult:
    """What an append did: `rows` were given; `new` keys, `revised` ones, and `unchanged` ones that were not stored."""

    rows: int
    new: int
    revised: int
    unchanged: int


def open_archive(url: str, *, create: bool = True) -> Archive:
    """The archive at `url`, made if it is not there yet; use it in a `with` statement.

    Parameters
    ----------
    url
        ``sqlite:///PATH`` (``sqlite:////PATH`` from the root on; folders are made) or
        ``postgresql+psycopg://USER@HOST/DATABASE``.
    create
        Whether it is made where none is yet; otherwise that is an error.

    Raises
    ------
    NoArchiveError
        If there is none, and none is to be made.
    ConfigError
        If the URL is none of these, the place cannot be written, or what stands there is no archive or a newer one.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, open_archive(f"sqlite:///{folder}/forebay.db") as archive:
    ...     archive.append(READINGS.empty(), datetime(2024, 5, 1, tzinfo=UTC))
    AppendResult(rows=0, new=0, revised=0, unchanged=0)
    """
    from forebay.archive.database import Database

    return Archive(Database(url, create=create))


class Archive:
    """Observations with every revision. Nothing is ever changed or deleted: a revision is a row of its own.

    The views give `tables.OBSERVATIONS`, at most one version of each reading, sorted by series and time; a gauge of
    which nothing is held has no rows.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()

    def append(self, readings: pl.DataFrame, fetched_at: datetime) -> AppendResult:
        """What came of storing `readings`, all of them or, on an error, none.

        A row is stored only where no version of its key is held yet, or where value, raw_value, quality or
        quality_code differ from the newest version held. So the same readings may be given again at any time.

        Parameters
        ----------
        readings
            `tables.READINGS`, each key once; values finite or null, in the variable's canonical unit.
        fetched_at
            When they were fetched. A revision must have been fetched after the version that it revises: otherwise the
            clock went backwards, or two fetches overtook each other, and which of the two versions is the newer cannot
            be told. Such an append is refused rather than given a time at which nothing was fetched; the next fetch
            stores what then holds. (Unchanged readings pass with any `fetched_at`, as nothing is stored of them.)

        Raises
        ------
        DataError
            If the table breaks its contract, or a revision was not fetched after what it revises.
        """
        readings = _sound(readings)
        stamp = _utc(fetched_at, "fetched_at")
        if not readings.height:
            return AppendResult(0, 0, 0, 0)
        with self._database.writing() as connection:
            labels = self._database.add_series(connection, readings.select(SERIES).unique().sort(SERIES))
            given = readings.join(labels.rename({"id": "series"}), on=SERIES).sort(KEY)
            first, last = given.select(pl.col("time").min().alias("first"), pl.col("time").max().alias("last")).row(0)
            times = (microseconds(first), microseconds(last))
            versions = self._database.versions(connection, labels["id"], times=times)
            compared = _compared(given, newest_versions(versions))
            _refuse_overtaken(compared, stamp)
            stored = compared.filter(pl.col("held_at").is_null() | pl.col("differs"))
            self._database.insert(connection, stored.with_columns(pl.lit(stamp, INSTANT).alias("fetched_at")))
        new = stored["held_at"].null_count()
        return AppendResult(readings.height, new, stored.height - new, readings.height - stored.height)

    def as_of(self, gauges: Sequence[Gauge], instant: datetime | None = None) -> pl.DataFrame:
        """What was held of `gauges` at `instant` (now, without it): the newest version fetched no later."""
        labels, versions = self._versions(gauges, instant)
        return _labelled(newest_versions(versions), labels)

    def first_known(self, gauges: Sequence[Gauge]) -> pl.DataFrame:
        """The first version of each reading of `gauges`, without any later revision."""
        labels, versions = self._versions(gauges, None)
        return _labelled(first_versions(versions), labels)

    def known_at(self, gauges: Sequence[Gauge], instant: datetime, time_zone: str) -> pl.DataFrame:
        """What would have been known of `gauges` at `instant`, had they been fetched all along: for hindcasts.

        A reading's first version counts as known at its interval's end plus the gauge's latency, if it was fetched
        later than that; a revision counts from its fetched_at on.

        Parameters
        ----------
        time_zone
            The dam's: a day's interval ends with the local day.
        """
        instant = _utc(instant, "instant")
        labels, versions = self._versions(gauges, None)
        # Should one series serve as two gauges, the one that is later to be had is the safe one.
        gauge_of = {tuple(gauge.series.values()): gauge for gauge in sorted(gauges, key=lambda g: g.ready_after)}
        known = [versions.clear()]
        for series, *label in labels.select("id", *SERIES).iter_rows():
            of_series = versions.filter(pl.col("series") == series)
            known.append(known_versions(of_series, gauge_of[tuple(label)], instant, time_zone))
        return _labelled(pl.concat(known), labels)

    def revisions(self, gauges: Sequence[Gauge]) -> pl.DataFrame:
        """What changed of `gauges` (`tables.REVISIONS`): each version that took another's place, beside that other."""
        labels, versions = self._versions(gauges, None)
        return _labelled(revisions(versions), labels, REVISIONS)

    def newest(self, gauge: Gauge) -> datetime | None:
        """Start of the newest interval of which a reading of `gauge` is held (with a value or without)."""
        with self._database.reading() as connection:
            labels = _of_gauges(self._database.series(connection, [gauge.station]), [gauge])
            time = self._database.newest_time(connection, labels["id"][0]) if labels.height else None
        return None if time is None else _EPOCH + timedelta(microseconds=time)

    def _versions(self, gauges: Sequence[Gauge], until: datetime | None) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The series of `gauges` that are held (id and label), and their versions fetched no later than `until`."""
        last = None if until is None else microseconds(_utc(until, "instant"))
        with self._database.reading() as connection:
            labels = _of_gauges(self._database.series(connection, [gauge.station for gauge in gauges]), gauges)
            return labels, self._database.versions(connection, labels["id"], until=last)


def _of_gauges(series: pl.DataFrame, gauges: Sequence[Gauge]) -> pl.DataFrame:
    wanted = pl.DataFrame([gauge.series for gauge in gauges], schema={name: READINGS.columns[name] for name in SERIES})
    return series.join(wanted, on=SERIES, how="semi", maintain_order="left")


def _labelled(versions: pl.DataFrame, labels: pl.DataFrame, table: Table = OBSERVATIONS) -> pl.DataFrame:
    """`versions` as `table`: with their series' label in place of its id."""
    return table.check(versions.join(labels, left_on="series", right_on="id", how="left", maintain_order="left"))


def _sound(readings: pl.DataFrame) -> pl.DataFrame:
    """`readings` that keep their contract; what one of the databases would store otherwise is refused.

    That is NaN, null in a key, and the character NUL, which PostgreSQL does not hold.
    """
    readings = READINGS.check(readings, unique=True)
    for column in (*READINGS.key, "quality"):
        if nulls := readings[column].null_count():
            raise DataError(f"table readings: column {column!r} has {nulls} nulls; every reading must have one")
    wrong = readings.filter(pl.col("value").is_finite().not_())
    if wrong.height:
        value, station = wrong["value"][0], wrong["station"][0]
        raise DataError(f"table readings: value {value} of station {station} is no number; null means missing")
    for column, dtype in READINGS.columns.items():
        if dtype == pl.String() and readings[column].str.contains("\0", literal=True).any():
            raise DataError(f"table readings: column {column!r} has a text with the character NUL; no text may have it")
    return readings


def _compared(given: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """`given` with `held_at`, when the version held of its key was fetched, and whether it `differs` from that."""
    versions = held.rename({"fetched_at": "held_at"} | {name: f"held_{name}" for name in CONTENT})
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"held_{name}")) for name in CONTENT)
    return given.join(versions, on=KEY, how="left", maintain_order="left").with_columns(differs.alias("differs"))


def _refuse_overtaken(compared: pl.DataFrame, fetched_at: datetime) -> None:
    overtaken = compared.filter(pl.col("differs") & (pl.col("held_at") >= fetched_at))
    if overtaken.height:
        first = overtaken.row(0, named=True)
        raise DataError(
            f"station {first['station']}: {overtaken.height} readings (the first of {first['time']}) fetched at "
            f"{fetched_at} differ from what was fetched at {first['held_at']}, which is not earlier; see that the "
            "clock is right and fetch again"
        )


def _utc(instant: datetime, name: str) -> datetime:
    if instant.utcoffset() is None:
        raise ConfigError(f"{name} {instant} has no time zone; give an instant like 2024-05-01T00:00:00+00:00")
    return instant.astimezone(UTC)


def microseconds(instant: datetime) -> int:
    """Microseconds since 1970 UTC, exactly."""
    return (instant - _EPOCH) // timedelta(microseconds=1)
