"""Weather forecasts of the archive: every version of every run, and what was held or known at an instant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.weather import DAYS_BEFORE, days_before_model
from forebay.errors import DataError
from forebay.tables import INSTANT, WEATHER_FORECASTS, WEATHER_VALUES

if TYPE_CHECKING:
    from forebay.archive.database import Database
    from forebay.dams.weather import Weather

_LABEL = ("service", "model", "point", "variable", "interval")
_RUN = (*_LABEL, "issued_at")
_CONTENT = ("member", "valid_time", "value")


@dataclass(frozen=True)
class WeatherAppend:
    """Counts of an append: all `values`, and those that were `stored`, of so many new `runs`."""

    values: int
    stored: int
    runs: int


class WeatherArchive:
    """The weather forecasts of an open archive. No row is ever changed or deleted.

    The views return `tables.WEATHER_FORECASTS` of some `[[weather]]` tables of a dam file, sorted by its key. A series
    without stored runs has no rows, and neither has an archive from before schema 4.
    """

    def __init__(self, database: Database, until: datetime | None = None) -> None:
        self._database = database
        self._until = until

    def append(self, forecasts: pl.DataFrame, fetched_at: datetime) -> WeatherAppend:
        """Store runs, all or (on an error) none, and return the counts.

        A run that the archive has with the same values is not stored again. With other values it becomes a separate
        version, which is known from `fetched_at` on. A forecast that is known at its own issue time is the answer of a
        service that names no run: it is stored only if it has a value that the one before it does not have.

        Parameters
        ----------
        forecasts
            `tables.WEATHER_VALUES` of whole runs.

        Raises
        ------
        DataError
            If the table breaks its contract, or a version with other values was not fetched before `fetched_at`.
        """
        from forebay.archive import weather_tables as sql

        forecasts = _check_storable(forecasts)
        if forecasts.is_empty():
            return WeatherAppend(0, 0, 0)
        with self._database.writing() as connection:
            labels = sql.add_series(connection, forecasts.select(_LABEL).unique().sort(_LABEL))
            incoming = forecasts.join(labels, on=_LABEL).rename({"id": "series"})
            runs = incoming.select("series", "issued_at", "known_at").unique().sort("series", "issued_at")
            runs = runs.with_row_index("id").with_columns(pl.col("id").cast(pl.Int64))
            contents = incoming.join(runs, on=("series", "issued_at", "known_at")).rename({"id": "run"})
            stored = sql.runs(connection, labels["id"])
            before = _versions_before(runs, stored)
            old = sql.values_of_runs(connection, before["stored"].drop_nulls().unique().to_list())
            new = _new_versions(before, contents, old, fetched_at)
            rows = contents.join(new, left_on="run", right_on="id", how="semi").select("run", *_CONTENT)
            sql.insert(connection, new, rows)
        return WeatherAppend(forecasts.height, rows.height, new.height)

    def versions(self, weather: Sequence[Weather]) -> pl.DataFrame:
        """Every version of every run."""
        from forebay.archive import weather_tables as sql

        if not weather or not self._database.has_weather:
            return WEATHER_FORECASTS.empty()
        requested = pl.DataFrame(
            [
                {"service": table.service, "model": model, "point": point, "variable": table.variable}
                for table in weather
                for model in _models(table)
                for point in table.labels
            ],
        ).unique()
        with self._database.reading() as connection:
            labels = sql.series(connection).join(requested, on=requested.columns, how="semi")
            runs, values = sql.runs(connection, labels["id"]), sql.values(connection, labels["id"])
        if self._until is not None:
            runs = runs.filter(pl.col("fetched_at") <= self._until)
        table = values.join(runs, left_on="run", right_on="id").join(labels, left_on="series", right_on="id")
        return WEATHER_FORECASTS.check(table.sort(WEATHER_FORECASTS.key), unique=True)

    def as_of(self, weather: Sequence[Weather], instant: datetime) -> pl.DataFrame:
        """The forecasts as stored at `instant`: the newest version of each run that was fetched until then."""
        return _newest(self.versions(weather).filter(pl.col("fetched_at") <= instant))

    def known_at(self, weather: Sequence[Weather], instant: datetime) -> pl.DataFrame:
        """The forecasts as known at `instant`, as if they had always been fetched on time: for hindcasts.

        A run is known from its issue time and the service's delay on, or from the answer that names no run; a version
        with other values from its `fetched_at` on.
        """
        return _newest(self.versions(weather).filter(pl.col("known_at") <= instant))

    def newest_issue(self, weather: Weather) -> datetime | None:
        """The newest issue time of any forecast of a `[[weather]]` table; None if the archive has none."""
        from forebay.archive import weather_tables as sql

        if not self._database.has_weather:
            return None
        with self._database.reading() as connection:
            labels = sql.series(connection).filter(
                pl.col("service") == weather.service, pl.col("model").is_in(_models(weather)),
                pl.col("variable") == weather.variable, pl.col("point").is_in(weather.labels),
            )  # fmt: skip
            newest = sql.runs(connection, labels["id"])["issued_at"].max()
        return newest if isinstance(newest, datetime) else None

    def runs(self, weather: Weather, model: str) -> set[datetime]:
        """Issue times of the runs of a model that the archive has at each point of a `[[weather]]` table.

        Answers that name no run do not count.
        """
        from forebay.archive import weather_tables as sql

        if not self._database.has_weather:
            return set()
        label = (pl.col("service") == weather.service, pl.col("model") == model,
                 pl.col("variable") == weather.variable, pl.col("point").is_in(weather.labels))  # fmt: skip
        with self._database.reading() as connection:
            labels = sql.series(connection).filter(*label)
            runs = sql.runs(connection, labels["id"]).filter(pl.col("known_at") > pl.col("issued_at"))
        points = pl.col("point").n_unique()
        by_run = runs.join(labels, left_on="series", right_on="id").group_by("issued_at").agg(points)
        return set(by_run.filter(pl.col("point") == len(weather.labels))["issued_at"])


def _models(weather: Weather) -> list[str]:
    """The models whose forecasts a `[[weather]]` table may use, as the archive names them."""
    history = [days_before_model(weather.model, days) for days in DAYS_BEFORE]
    return list(dict.fromkeys((weather.model, weather.member_model, *history)))


def _check_storable(forecasts: pl.DataFrame) -> pl.DataFrame:
    forecasts = WEATHER_VALUES.check(forecasts, unique=True)
    for column in WEATHER_VALUES.columns:
        if column not in ("member", "value") and forecasts[column].null_count():
            raise DataError(f"table weather values: column {column!r} has a null; every value must have one")
    infinite = forecasts.filter(pl.col("value").is_finite().not_())
    if infinite.height:
        raise DataError(f"table weather values: value {infinite['value'][0]} is no number; null means none")
    return forecasts


def _versions_before(runs: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """`runs` with the stored version to compare each with: `stored` (its id or null), `stored_at`, `is_same_run`.

    It is the newest version of the same run. For a forecast without a run, it is that of the one before.
    """
    newest = stored.filter(pl.struct("series", "issued_at").is_last_distinct())  # sorted by fetched_at
    newest = newest.select("series", "issued_at", stored="id", stored_at="fetched_at")
    same = runs.join(newest, on=("series", "issued_at"), how="left")
    before = runs.sort("issued_at").join_asof(
        newest.sort("issued_at").with_columns(stored_issue="issued_at"),
        on="issued_at", by="series", strategy="backward", check_sortedness=False,
    )  # fmt: skip
    no_run = pl.col("known_at") == pl.col("issued_at")
    both = same.join(before.select("id", before="stored"), on="id")
    is_same_run = pl.col("stored").is_not_null().alias("is_same_run")
    return both.with_columns(is_same_run).with_columns(
        pl.when(no_run).then(pl.coalesce("stored", "before")).otherwise("stored").alias("stored")
    )


def _new_versions(
    before: pl.DataFrame, contents: pl.DataFrame, old: pl.DataFrame, fetched_at: datetime
) -> pl.DataFrame:
    """The runs to store, with `fetched_at`: those with a value that the version before does not have."""
    compared = contents.join(before.select("id", "stored"), left_on="run", right_on="id")
    known = old.rename({"run": "stored"})
    different = compared.join(known, on=("stored", *_CONTENT), how="anti", nulls_equal=True)
    # A value that disappears from a run is a difference too; from an answer without a run, an hour that has passed.
    counts = contents.group_by("run").len("values").join(before.select("id", "stored", "is_same_run"), left_on="run",
                                                         right_on="id")  # fmt: skip
    shorter = counts.join(old.group_by("run").len("old"), left_on="stored", right_on="run").filter(
        pl.col("is_same_run") & (pl.col("values") < pl.col("old"))
    )
    new = before.filter(pl.col("id").is_in(pl.concat([different["run"], shorter["run"]]).unique().implode()))
    late = new.filter(pl.col("is_same_run") & (pl.col("stored_at") >= fetched_at))
    if late.height:
        raise DataError(
            f"a run of {late['issued_at'][0]} fetched at {fetched_at} differs from the one fetched at "
            f"{late['stored_at'][0]}, which is not earlier; check the clock and fetch again"
        )
    stamp = pl.lit(fetched_at, INSTANT)
    known_at = pl.when("is_same_run").then(stamp).otherwise("known_at").alias("known_at")
    return new.select("id", "series", "issued_at", known_at, stamp.alias("fetched_at"))


def _newest(versions: pl.DataFrame) -> pl.DataFrame:
    """The newest version of each run."""
    return versions.filter(pl.col("fetched_at") == pl.col("fetched_at").max().over(_RUN))
