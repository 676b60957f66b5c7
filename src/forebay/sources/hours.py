"""Hourly values of weather models as values of local days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta

import polars as pl

from forebay.dams.local_time import to_local, to_utc
from forebay.dams.variables import DAY_S

HOUR = timedelta(hours=1)
HOUR_S = 3600
_INSTANT = timedelta(microseconds=1)


def day_values(
    hours: pl.DataFrame, time_zone: str, *, is_sum: bool, day_start: time = time(0), by: Sequence[str] = ()
) -> pl.DataFrame:
    """Total or mean of each local day all of whose hours have a value.

    The total of an hour belongs to the local day in which the hour ends; a momentary value belongs to the day that
    contains it. In a zone whose offset is not a whole number of hours, the total of the hour that contains midnight
    therefore counts for the day after it.

    Parameters
    ----------
    hours
        time (UTC; the end of its hour for a total, otherwise the instant), value, and the columns `by`.
    is_sum
        Whether the values are totals of the hour before `time`.
    day_start
        Clock time at which the days start.

    Returns
    -------
    DataFrame
        The columns `by`, start and end (UTC) of the day, value; by these columns, in time order.
    """
    since_midnight = timedelta(hours=day_start.hour, minutes=day_start.minute)
    within = pl.col("time") - (_INSTANT if is_sum else timedelta(0))
    day = (to_local(within, time_zone) - since_midnight).dt.date().alias("day")
    grouped = hours.group_by(*by, day).agg(
        (pl.col("value").sum() if is_sum else pl.col("value").mean()).alias("value"),
        pl.col("value").is_not_null().sum().alias("hours"),
    )
    bounds = grouped.with_columns(
        to_utc(pl.col("day").cast(pl.Datetime("us")) + since_midnight, time_zone).alias("start"),
        to_utc(pl.col("day").cast(pl.Datetime("us")) + since_midnight + timedelta(seconds=DAY_S), time_zone).alias(
            "end"
        ),
    )
    # Whole hours after `start` up to `end` for totals; from `start` until before `end` for momentary values.
    before = timedelta(0) if is_sum else _INSTANT
    expected = (_hour_number(pl.col("end") - before) - _hour_number(pl.col("start") - before)).alias("expected")
    complete = bounds.filter(pl.col("hours") == expected)
    return complete.select(*by, "start", "end", pl.col("value").round(6)).sort(*by, "start")


def _hour_number(instant: pl.Expr) -> pl.Expr:
    """Whole hours from 1970 to `instant`."""
    return instant.dt.epoch("us").floordiv(HOUR_S * 1_000_000)


def is_hourly(times: pl.Series, first: datetime, last: datetime) -> bool:
    """Whether `times` has each hour from `first` to `last`, in order."""
    return times.equals(pl.datetime_range(first, last, "1h", time_unit="us", eager=True), check_dtypes=False)
