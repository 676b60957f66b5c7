"""Points of an answer as readings: the last step of every parser of a service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import polars as pl

from forebay.dams.local_time import to_local, to_utc
from forebay.errors import SourceError
from forebay.sources.quality import MISSING, grade
from forebay.tables import INSTANT, READINGS

if TYPE_CHECKING:
    from forebay.dams.gauge import Gauge

_STAMP = re.compile(
    r"^(?P<clock>(?:1[5-9]|2\d)\d\d-\d\d-\d\dT\d\d:\d\d)(?P<second>(?::\d\d)?)(?P<fraction>(?:\.\d{1,9})?)"
    r"(?P<offset>(?:Z|[+-]\d\d:?\d\d)?)$"
)

POINTS: dict[str, pl.DataType] = {
    "time": INSTANT,  # of the stamp, as an instant
    "raw_value": pl.String(),  # as published; null or empty where there is no value
    "quality_code": pl.String(),  # as published; null where there is none
}
"""Columns of the points that a parser reads from an answer."""


def instants(text: pl.Series, *, default_offset: str | None = None) -> pl.Series:
    """Stamps in ISO 8601 with date and time, as instants: "2020-01-31T09:00:00.000+10:00", "2020-01-31T09:00Z".

    Parameters
    ----------
    default_offset
        Offset of a stamp without a zone, such as "+00:00"; without it, such a stamp is an error.

    Raises
    ------
    SourceError
        If a stamp is not of this form, or not of the years 1500 to 2999.

    >>> instants(pl.Series(["2020-01-31T09:00:00.000+10:00"])).item()
    datetime.datetime(2020, 1, 30, 23, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC'))
    """
    parts = text.cast(pl.String).str.extract_groups(_STAMP.pattern).struct
    offset = parts.field("offset").replace({"Z": "+00:00", "": default_offset})
    clock = parts.field("clock") + parts.field("second").replace("", ":00")
    zoned = clock + parts.field("fraction") + offset.str.replace(r"^(.\d\d)(\d\d)$", "$1:$2")
    time = zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC", strict=False)
    wrong = text.filter(time.is_null())
    if len(wrong):
        zone = "" if default_offset else " and a zone"
        raise SourceError(
            f"the answer's time {str(wrong[0])[:60]!r} is not a date with a time{zone}, such as "
            "2020-01-31T09:00:00+10:00; try again later"
        )
    return time.alias(text.name)


def readings_of_points(
    points: pl.DataFrame,
    gauge: Gauge,
    unit: str,
    *,
    quality_texts: Mapping[str, str] | None = None,
    no_value: tuple[str, ...] = (),
    times: Literal["stamps", "starts"] = "stamps",
) -> pl.DataFrame:
    """Points (`POINTS`) as readings (`tables.READINGS`), in time order.

    A stamp at the end of its interval (`gauge.stamp`) becomes the interval's start. Values are converted from `unit`,
    forebay's name of the answer's unit. A value is null where the answer has none, or where the quality code means
    "missing"; `raw_value` keeps the published text.

    Parameters
    ----------
    points
        They may have a column `quality` too: grades by the parser, where a code is more than an entry of a list.
    quality_texts
        Quality code → text, as far as the answer has them; see `quality.grade`.
    no_value
        Texts that the service writes where there is no value, such as "---".
    times
        Whether `time` has the service's stamps, or already the starts of the intervals (`interval_starts`,
        `starts_of_dates`).

    Raises
    ------
    SourceError
        If a value is not a number, or one time has two values.
    """
    is_end = times == "stamps" and gauge.stamp == "end"
    end_stamp = timedelta(seconds=gauge.table_interval) if is_end else timedelta(0)
    is_graded = "quality" in points.columns
    graded = pl.col("quality") if is_graded else grade(pl.col("quality_code"), gauge.source, quality_texts)
    text = pl.col("raw_value").str.strip_chars()
    number = pl.when(text.is_in(["", *no_value])).then(None).otherwise(text)
    frame = points.unique(maintain_order=True).with_columns(
        (pl.col("time") - end_stamp).cast(INSTANT),
        number.cast(pl.Float64, strict=False).alias("value"),
        graded.alias("quality"),
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


def interval_starts(points: pl.DataFrame, gauge: Gauge) -> pl.DataFrame:
    """Points (`POINTS`) whose `time` is the start of the interval instead of the service's stamp, an instant.

    A day is one local day of the dam's time zone, also where it has 23 or 25 hours.

    Raises
    ------
    SourceError
        If the stamp of a daily value is not the start of a day on the dam's clock (`gauge.day_start`, or
        `gauge.reading_at` of a reading): its value belongs to the day of another place.
    """
    time = pl.col("time")
    if gauge.interval != "day":
        length = timedelta(seconds=gauge.table_interval if gauge.stamp == "end" else 0)
        return points.with_columns((time - length).cast(INSTANT))
    day = to_local(time, gauge.time_zone).dt.date()
    frame = points.with_columns(day.alias("day"), day_starts(day, gauge).alias("start"))
    wrong = frame.filter(time != pl.col("start"))
    if len(wrong):
        stamp = wrong.select(to_local(time, gauge.time_zone)).item(0, 0)
        clock = gauge.reading_at or gauge.day_start
        raise SourceError(
            f"the answer's time {wrong['time'][0]:%Y-%m-%d %H:%M} UTC is {stamp:%H:%M} on the dam's clock "
            f"({gauge.time_zone}), where a day starts at {clock:%H:%M}; correct time_zone, day_start, reading_at or "
            "interval in the dam file"
        )
    return frame.with_columns(starts_of_dates(pl.col("day"), gauge).alias("time")).drop("day", "start")


def starts_of_dates(dates: pl.Expr, gauge: Gauge) -> pl.Expr:
    """Starts of the intervals of daily values that a service stamps with a bare date, a day of the dam."""
    is_end = gauge.stamp == "end" and gauge.reading_at is None
    return day_starts(dates - timedelta(days=1) if is_end else dates, gauge)


def day_starts(day: pl.Expr, gauge: Gauge) -> pl.Expr:
    """Instants at which the gauge's local days (dates) start, or of its reading on these days."""
    return to_utc(day.dt.combine(gauge.reading_at or gauge.day_start), gauge.time_zone).cast(INSTANT)
