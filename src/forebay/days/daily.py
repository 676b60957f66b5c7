"""The daily table: all gauges of a dam on one axis of local days, a flag for each value, nothing filled.

A flag is null for a good or fair value, otherwise the reason:

====================  ==============================================================================
unavailable           the agency published a reading and marked it as missing, or left it empty
absent                there is no reading for that day
incomplete            of a sub-daily series, fewer hours of the day than the gauge requires
sentinel, range       see `value_checks`
poor, unknown,        the agency's grade; the value is used
estimated
manual                a staff reading by hand, because the gauge has no usable value; it is used
====================  ==============================================================================

A reading belongs to the first local day at whose end it is complete: the rain from 9:00 on day d to 9:00 on d+1 belongs
to d+1. An instantaneous reading belongs to its own day.
"""

from __future__ import annotations

import io
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.local_time import to_utc
from forebay.dams.value_checks import first_reason
from forebay.days.axis import join_gauges
from forebay.days.gauge_readings import gauge_readings
from forebay.days.staff_readings import fill_with_staff, staff_days
from forebay.errors import DataError
from forebay.files import check_writable_file, write_file
from forebay.tables import flag_of

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge

UNUSABLE = frozenset({"unavailable", "absent", "incomplete", "sentinel", "range"})
"""Flags of values that must not be used."""

DAILY_SUFFIXES = (".csv", ".parquet", ".json")
_WORST_LAST = pl.Enum(["fine", "estimated", "unknown", "poor", "unavailable", "range", "sentinel"])
FLAGGED_GRADES = frozenset({"estimated", "unknown", "poor"})
"""Quality grades that are a flag."""
_HOUR_S = 3600
_UNAVAILABLE = pl.Series(["unavailable"])
_AGGREGATES = {"mean": pl.Expr.mean, "total": pl.Expr.sum, "min": pl.Expr.min, "max": pl.Expr.max, "last": pl.Expr.last}


def daily_table(
    readings: pl.DataFrame, dam: Dam, *, first_day: date | None = None, last_day: date | None = None
) -> pl.DataFrame:
    """Daily table of the dam, from one version of each reading.

    Parameters
    ----------
    readings
        Rows as `tables.READINGS`, with those of the dam's staff gauge; rows of other series are ignored.
    first_day, last_day
        Local days, both included; by default the first and last day with a reading of any gauge.

    Returns
    -------
    pl.DataFrame
        dam, date (one row per local day), and for each gauge its `column` (canonical unit; the target in the dam's
        unit) and the flags (`flag_of`). A flagged value is present wherever a number exists.

    Raises
    ------
    DataError
        If a daily gauge has two readings of one day.
    """
    parts = [_gauge_days(gauge_readings(readings, gauge), gauge, dam) for gauge in dam.gauges]
    target = dam.gauges.index(dam.target_gauge)
    parts[target] = fill_with_staff(parts[target], staff_days(readings, dam), UNUSABLE)
    return join_gauges(parts, dam, first_day, last_day)


def usable_values(daily: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """The daily table with null instead of each value that must not be used (flags of `UNUSABLE`)."""
    return daily.with_columns(
        pl.when(pl.col(flag_of(gauge.column)).is_in(UNUSABLE).fill_null(False).not_())
        .then(gauge.column)
        .alias(gauge.column)
        for gauge in dam.gauges
    )


def write_daily(daily: pl.DataFrame, path: Path) -> None:
    """Write the daily table to a file, complete or not at all: CSV, Parquet or JSON by the suffix of the path.

    Raises
    ------
    ConfigError
        If the suffix is none of these, or the file cannot be written.
    """
    check_writable_file(path, DAILY_SUFFIXES)
    buffer = io.BytesIO()
    match path.suffix.lower():
        case ".csv":
            daily.write_csv(buffer)
        case ".parquet":
            daily.write_parquet(buffer)
        case _:
            daily.write_json(buffer)
    write_file(path, buffer.getvalue())


def flag_values(readings: pl.DataFrame, grades: pl.Series, gauge: Gauge) -> pl.Series:
    """Flags of readings by precedence: unavailable, then `value_checks`, then the grade if it is a flag."""
    values = readings["value"]
    flag = first_reason(values, readings["time"], gauge, otherwise=grades)
    if not values.null_count():
        return flag
    has_value = values.eq(values)  # null where there is no value, otherwise true: a third of the time of `is_null`
    return flag.zip_with(has_value, _UNAVAILABLE)


def in_table_unit(values: pl.Series, gauge: Gauge, dam: Dam) -> pl.Series:
    """Canonical values of the gauge in the unit of the daily table."""
    return (dam.in_target_unit(values) if gauge.role == "target" else values).alias(gauge.column)


def _gauge_days(rows: pl.DataFrame, gauge: Gauge, dam: Dam) -> pl.DataFrame:
    """date, value and flag of the gauge, by rising date, from its readings."""
    grades = rows.select(pl.when(pl.col("quality").is_in(FLAGGED_GRADES)).then("quality")).to_series()
    flag = flag_values(rows, grades, gauge).alias("flag")
    flagged = rows.select("time", "value", gauge.local_day(dam.time_zone).alias("date"), flag)
    days = flagged if gauge.interval == "day" else _aggregated(flagged, gauge, dam)
    repeated = days.filter(pl.col("date").is_duplicated())
    if not repeated.is_empty():
        raise DataError(
            f"gauge {gauge.column}: {len(repeated)} readings on {repeated['date'].n_unique()} days that should have "
            f"one each, first on {repeated['date'].min()!s}; set its interval in the dam file"
        )
    values = in_table_unit(days["value"], gauge, dam)
    return days.select("date", values, pl.col("flag").alias(flag_of(gauge.column))).sort("date")


def _aggregated(rows: pl.DataFrame, gauge: Gauge, dam: Dam) -> pl.DataFrame:
    """date, value and flag per local day, from flagged readings of a sub-daily series.

    The day's value is the aggregate of its usable readings, its grade is the worst of theirs. The share of hours refers
    to the length of the day, 23 or 25 h at a clock change.
    """
    slot_s = max(_HOUR_S, gauge.interval_s or 0)
    last = pl.col("time") + timedelta(seconds=gauge.table_interval, microseconds=-1 if gauge.table_interval else 0)
    start = to_utc(pl.col("date").cast(pl.Datetime("us")), dam.time_zone)
    end = to_utc((pl.col("date") + timedelta(days=1)).cast(pl.Datetime("us")), dam.time_zone)
    rank = pl.col("flag").fill_null("fine").cast(_WORST_LAST)
    is_usable = pl.col("flag").is_in(UNUSABLE).fill_null(False).not_()
    days = (
        rows.sort("time")
        .with_columns(
            ((last - start).dt.total_seconds() // slot_s).alias("slot"),
            (end - start).dt.total_seconds().alias("day_s"),
            rank.alias("rank"),
            is_usable.alias("usable"),
        )
        .group_by("date")
        .agg(
            _AGGREGATES[gauge.aggregate](pl.col("value").filter("usable")).alias("value"),
            pl.col("slot").filter("usable").n_unique().alias("slots"),
            pl.col("rank").filter("usable").max().alias("grade"),
            pl.col("rank").max().alias("reason"),
            pl.col("day_s").first(),
        )
    )
    share = (pl.col("slots") * slot_s / pl.col("day_s")).clip(upper_bound=1.0)
    flag = (
        pl.when(pl.col("slots") == 0)
        .then(pl.col("reason").cast(pl.String))
        .when(share < gauge.share_required)
        .then(pl.lit("incomplete"))
        .when(pl.col("grade") != "fine")
        .then(pl.col("grade").cast(pl.String))
    )
    return days.select("date", pl.when(pl.col("slots") > 0).then("value").alias("value"), flag.alias("flag"))
