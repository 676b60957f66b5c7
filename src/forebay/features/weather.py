"""Weather forecasts of the archive as forcings: the mean over the points, by local day."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.local_time import to_local, to_utc
from forebay.dams.variables import DAY_S
from forebay.dams.weather import DAYS_BEFORE, days_before_model
from forebay.features.row_sums import row_mean
from forebay.sources.hours import HOUR, day_values
from forebay.tables import FORCINGS

if TYPE_CHECKING:
    from datetime import datetime

    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.dams.weather import Weather

_VERSION = ("model", "issued_at", "known_at", "fetched_at")


def read_weather_forcings(dam: Dam, archive: Archive, now: datetime) -> pl.DataFrame:
    """`tables.FORCINGS` of the dam's weather forecasts, every version that is known by `now`."""
    parts = [FORCINGS.empty()]
    for weather in dam.weather:
        if weather.forcing is not None:
            versions = archive.weather.versions([weather]).filter(pl.col("known_at") <= now)
            parts.append(weather_forcings(versions, weather, dam.time_zone))
    return pl.concat(parts)


def weather_forcings(versions: pl.DataFrame, weather: Weather, time_zone: str) -> pl.DataFrame:
    """`tables.FORCINGS` of one `[[weather]]` table.

    A day has a value if the run has all its hours at all points. A day of the ensemble is the mean of its members.

    Parameters
    ----------
    versions
        `tables.WEATHER_FORECASTS`: every version of every run.
    """
    if weather.input == "member_mean":
        days = _member_means(versions, weather)
    else:
        days = _single_values(versions, weather, time_zone)
    local = to_local(pl.col("start"), time_zone)
    on_day = days.filter(to_utc(local.dt.date().cast(pl.Datetime("us")), time_zone) == pl.col("start"))
    by_point = on_day.sort("known_at", "fetched_at").pivot(
        "point", index=["model", "issued_at", "start", "known_at"], values="value", aggregate_function="last"
    )
    points = [label for label in weather.labels if label in by_point.columns]
    if len(points) < len(weather.labels):
        return FORCINGS.empty()
    # A later version of one point joins the present values of the others.
    issue = ("model", "issued_at", "start")
    newest = pl.col(points).forward_fill().over(issue)
    filled = by_point.sort(*issue, "known_at").with_columns(newest).drop_nulls(points)
    table = filled.select(
        pl.lit(weather.id).alias("forcing"),
        pl.col("issued_at").alias("issue_time"),
        pl.col("known_at").alias("known_time"),
        local.dt.date().alias("valid_date"),
        row_mean(points).alias("value"),
    )
    return FORCINGS.check(table.sort("known_time", "issue_time", "valid_date"))


def _member_means(versions: pl.DataFrame, weather: Weather) -> pl.DataFrame:
    members = versions.filter(
        pl.col("member").is_not_null(), pl.col("model") == weather.member_model, pl.col("interval") == DAY_S
    )
    by_day = members.group_by(*_VERSION, "point", "valid_time").agg(pl.col("value").mean())
    return by_day.rename({"valid_time": "start"})


def _single_values(versions: pl.DataFrame, weather: Weather, time_zone: str) -> pl.DataFrame:
    """Days of runs without members: as stored, and from their hours."""
    models = [weather.model, *(days_before_model(weather.model, days) for days in DAYS_BEFORE)]
    single = versions.filter(pl.col("member").is_null(), pl.col("model").is_in(models))
    columns = [*_VERSION, "point", "start", "value"]
    days = single.filter(pl.col("interval") == DAY_S).rename({"valid_time": "start"}).select(columns)
    is_sum = weather.kind.aggregate == "total"
    hours = single.filter(pl.col("interval") != DAY_S).with_columns(
        (pl.col("valid_time") + (HOUR if is_sum else timedelta(0))).alias("time")
    )
    from_hours = day_values(hours, time_zone, is_sum=is_sum, by=(*_VERSION, "point"))
    return pl.concat([days, from_hours.select(columns)]).drop_nulls("value")
