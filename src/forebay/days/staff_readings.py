"""Readings by hand in the daily table: they fill the days on which the target gauge has no usable value."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.local_time import local_date, to_local
from forebay.dams.staff_gauge import staff_gauge, value_time
from forebay.days.gauge_readings import gauge_readings
from forebay.tables import MANUAL

if TYPE_CHECKING:
    from forebay.dams.dam import Dam


def staff_day(dam: Dam) -> pl.Expr:
    """The local day for whose value a reading by hand counts, from the column `time`.

    It is the day whose value stands for the nearest time (`staff_gauge.value_time`). A mean stands for noon, so a
    reading counts for its own day. A last value stands for the end of its day, so a reading at 06:00 counts for the day
    before.
    """
    at = value_time(dam)
    is_end = dam.target_gauge.aggregate == "last" and dam.target_gauge.reading_at is None
    since_noon = timedelta(hours=at.hour + (24 if is_end else 0), minutes=at.minute) - timedelta(hours=12)
    return (to_local(pl.col("time"), dam.time_zone) - since_noon).dt.date()


def staff_days(readings: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """date, time, value (target's unit): of each day the reading by hand that is nearest to the time of its value.

    Parameters
    ----------
    readings
        Rows as `tables.READINGS`; rows of other series are ignored. Of two equally near readings the later counts.
    """
    rows = gauge_readings(readings, staff_gauge(dam)).filter(pl.col("value").is_not_null())
    at = value_time(dam)
    is_end = dam.target_gauge.aggregate == "last" and dam.target_gauge.reading_at is None
    clock = pl.col("date").cast(pl.Datetime("us")) + timedelta(hours=at.hour + 24 * is_end, minutes=at.minute)
    distance = (to_local(pl.col("time"), dam.time_zone) - clock).abs()
    return (
        rows.with_columns(staff_day(dam).alias("date"))
        .with_columns(distance.alias("distance"))
        .sort("date", "distance", -pl.col("time").to_physical())
        .unique("date", keep="first", maintain_order=True)
        .select("date", "time", dam.in_target_unit(pl.col("value")).alias("value"))
    )


def fill_with_staff(days: pl.DataFrame, staff: pl.DataFrame, unusable: frozenset[str]) -> pl.DataFrame:
    """`days` with the value by hand and the flag `MANUAL` on each day whose flag is in `unusable` or that it lacks.

    Parameters
    ----------
    days
        date, then a value and its flag, by rising date.
    staff
        As `staff_days` returns it.
    """
    if staff.is_empty():
        return days
    value, flag = days.columns[1:]
    joined = days.join(staff.drop("time"), on="date", how="full", coalesce=True).sort("date")
    is_missing = pl.col(value).is_null() | pl.col(flag).is_in(unusable).fill_null(False)
    is_filled = is_missing & pl.col("value").is_not_null()
    return joined.select(
        "date",
        pl.when(is_filled).then("value").otherwise(value).alias(value),
        pl.when(is_filled).then(pl.lit(MANUAL)).otherwise(flag).alias(flag),
    )


def unfinished_days(readings: pl.DataFrame, dam: Dam, now: datetime) -> pl.DataFrame:
    """The rows of readings by hand that count for a day whose value does not exist yet at `now`."""
    last_ended = local_date(now, dam.time_zone) - timedelta(days=1)
    if dam.target_gauge.reading_at is not None:
        last_ended = date.max
    rows = gauge_readings(readings, staff_gauge(dam))
    return rows.filter(staff_day(dam) > last_ended)
