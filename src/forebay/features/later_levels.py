"""Levels that were observed after the init date of a past forecast: for display only, no model sees them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.days.daily import usable_values

if TYPE_CHECKING:
    from forebay.dams.dam import Dam


def no_levels() -> pl.DataFrame:
    """The table of `later_levels` without rows."""
    return pl.DataFrame(schema={"date": pl.Date, "level": pl.Float64})


def later_levels(daily: pl.DataFrame, dam: Dam, init_date: date) -> pl.DataFrame:
    """date, level: usable levels on the days that a forecast from `init_date` covers.

    Parameters
    ----------
    daily
        Daily table of the whole record, also after `init_date`.
    """
    last = init_date + timedelta(days=max(dam.hindcast.leads))
    is_later = pl.col("date").is_between(init_date, last, closed="right")
    usable = usable_values(daily.filter(is_later), dam)
    return usable.select("date", level=pl.col(dam.target_gauge.column).cast(pl.Float64)).drop_nulls()
