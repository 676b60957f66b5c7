"""Points of an answer as readings: the last step of every parser of a service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

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
            f"the answer's time {wrong[0]!r} is not a date with a time{zone}, such as 2020-01-31T09:00:00+10:00; try "
            "again later"
        )
    return time.alias(text.name)


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
    end_stamp = timedelta(seconds=gauge.interval_s or 0) if gauge.stamp == "end" else timedelta(0)
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
