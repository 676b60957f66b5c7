"""Points of an answer as readings: the last step of every parser of a service."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.local_time import to_local, to_utc
from forebay.errors import SourceError
from forebay.sources.quality import MISSING, grade
from forebay.tables import INSTANT, READINGS

if TYPE_CHECKING:
    from forebay.dams.gauge import Gauge

POINTS: dict[str, pl.DataType] = {
    "time": INSTANT,  # of the stamp, as an instant
    "raw_value": pl.String(),  # as published; null or empty where there is no value
    "quality_code": pl.String(),  # as published; null where there is none
}
"""Columns of the points that a parser reads from an answer."""


def day_times(dates: pl.Expr, gauge: Gauge, time_zone: str) -> pl.Expr:
    """Instant of each daily value (`POINTS`, `time`) that a service stamps with a bare date, station-local.

    `readings_of_points` makes it the start of the value's interval, also where a clock change makes a day of 23 h.
    """
    clock = gauge.reading_at or gauge.day_start
    if gauge.stamp == "start" or gauge.table_interval == 0:
        return to_utc(dates.dt.combine(clock), time_zone)
    return to_utc((dates - timedelta(days=1)).dt.combine(clock), time_zone) + timedelta(seconds=gauge.table_interval)


def readings_of_days(
    readings: pl.DataFrame, gauge: Gauge, days: tuple[date | None, date], time_zone: str, now: datetime
) -> pl.DataFrame:
    """The readings whose local day lies in `days` (first and last, both included) and whose interval ends by `now`.

    An interval that has not ended has no final mean or total. A service whose clock is wrong may even have readings
    in the future.
    """
    start, since, until = pl.col("time"), days[0] or date.min, days[1]
    end = start + timedelta(seconds=gauge.table_interval)
    if gauge.interval == "day" and gauge.table_interval:
        next_day = to_local(start, time_zone).dt.date() + timedelta(days=1)
        end = to_utc(next_day.dt.combine(gauge.day_start), time_zone)
    return readings.filter(gauge.local_day(time_zone).is_between(since, until), end <= now)


def readings_of_points(
    points: pl.DataFrame,
    gauge: Gauge,
    unit: str,
    *,
    quality_texts: Mapping[str, str] | None = None,
    no_value: tuple[str, ...] = (),
) -> pl.DataFrame:
    """Points (`POINTS`) as readings (`tables.READINGS`), in time order.

    A stamp at the end of its interval (`gauge.stamp`) becomes the interval's start. Values are converted from `unit`,
    forebay's name of the answer's unit. A value is null where the answer has none, or where the quality code means
    "missing"; `raw_value` keeps the published text.

    Parameters
    ----------
    quality_texts
        Quality code → text, as far as the answer has them; see `quality.grade`.
    no_value
        Texts that the service writes where there is no value, such as "---".

    Raises
    ------
    SourceError
        If a value is not a number, or one time has two values.
    """
    end_stamp = timedelta(seconds=gauge.table_interval) if gauge.stamp == "end" else timedelta(0)
    text = pl.col("raw_value").str.strip_chars()
    number = pl.when(text.is_in(["", *no_value])).then(None).otherwise(text)
    frame = points.unique(maintain_order=True).with_columns(
        (pl.col("time") - end_stamp).cast(INSTANT),
        number.cast(pl.Float64, strict=False).alias("value"),
        grade(pl.col("quality_code"), gauge.source, quality_texts).alias("quality"),
    )
    bad_values = frame.filter(number.is_not_null() & pl.col("value").is_null())
    if len(bad_values):
        raise SourceError(f"the answer's value {bad_values['raw_value'][0]!r} is not a number; try again later")
    duplicates = frame.filter(pl.col("time").is_duplicated())
    if len(duplicates):
        raise SourceError(f"the answer has two values for {duplicates['time'][0]:%Y-%m-%d %H:%M} UTC; try again later")
    has_value = pl.col("value").is_finite() & (pl.col("quality") != MISSING)
    frame = frame.with_columns(gauge.canonical(frame["value"], frame["time"], unit).alias("value"))
    frame = frame.with_columns(
        pl.when(has_value).then("value").alias("value"),
        pl.when(has_value).then("quality").otherwise(pl.lit(MISSING)).alias("quality"),
        *(pl.lit(value, dtype=READINGS.columns[column]).alias(column) for column, value in gauge.series.items()),
    )
    return READINGS.check(frame.sort("time"), unique=True)
