"""Levels that were observed after the init date of a past forecast: for display only, no model sees them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.days.daily import daily_table, usable_values
from forebay.days.datum import on_one_datum

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam


def no_levels() -> pl.DataFrame:
    """The table of `later_levels` without rows."""
    return pl.DataFrame(schema={"date": pl.Date, "level": pl.Float64})


def later_levels(dam: Dam, archive: Archive, init_date: date, *, now: datetime) -> pl.DataFrame:
    """date, level: usable levels on the days that a forecast from `init_date` covers, as known at `now`."""
    readings = archive.known_at([dam.target_gauge], now, dam.time_zone)
    if readings.is_empty():
        return no_levels()
    daily = usable_values(on_one_datum(daily_table(readings, dam), dam), dam)
    last = init_date + timedelta(days=max(dam.hindcast.leads))
    is_later = pl.col("date").is_between(init_date, last, closed="right")
    levels = daily.filter(is_later).select("date", level=pl.col(dam.target_gauge.column).cast(pl.Float64))
    return levels.drop_nulls()
