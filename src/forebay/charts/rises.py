"""The largest lasting rise of the level within a hindcast."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.forecast_tables import DAY
from forebay.days.daily import UNUSABLE
from forebay.features.known_inputs import excluded_days
from forebay.tables import DEFAULT_MODEL, flag_of

if TYPE_CHECKING:
    from forebay.dams.dam import Dam


@dataclass(frozen=True)
class Rise:
    """The largest lasting rise.

    Attributes
    ----------
    onset
        The last day before it.
    rise
        Its size from the onset to the next day, in the target's unit.
    init_dates, missing_dates
        Days around the onset from which the hindcast has a forecast, and those from which it has none.
    """

    onset: date
    rise: float
    init_dates: tuple[date, ...]
    missing_dates: tuple[date, ...]


def largest_rise(daily: pl.DataFrame, hindcast: pl.DataFrame, dam: Dam, around_days: int = 4) -> Rise | None:
    """The largest lasting rise from one day to the next, among the init dates of `default` in the hindcast.

    A rise lasts if the level stays high. Rises are ranked by min(L(d+1 … d+3)) − max(L(d−2 … d)); at least two levels
    are needed on each side. So neither a spike nor the return from a downward spike counts as a flood. Days in the dam
    file's `verification_exclude` and readings flagged as wrong do not count.

    None if the hindcast has no such day.

    Parameters
    ----------
    around_days
        Days before and after the onset whose forecasts are selected.
    """
    inits = hindcast.filter(pl.col("model") == DEFAULT_MODEL)["init_date"].unique().sort()
    if inits.is_empty():
        return None
    ranked = (
        _ranked_steps(_usable_levels(daily, dam))
        .filter(pl.col("date").is_in(inits.implode()))
        .sort("lasting", "date", descending=[True, False])
    )
    if ranked.is_empty():
        return None
    onset: date = ranked["date"][0]
    days = [onset + k * DAY for k in range(-around_days, around_days + 1)]
    issued = set(inits.to_list())
    return Rise(
        onset,
        float(ranked["step"][0]),
        tuple(day for day in days if day in issued),
        tuple(day for day in days if day not in issued),
    )


def _usable_levels(daily: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """date, level of every day; null on excluded days and where the level must not be used."""
    column, ordered = dam.target_gauge.column, daily.sort("date")
    unusable = pl.col(flag_of(column)).is_in(list(UNUSABLE)).fill_null(False) | pl.Series(excluded_days(ordered, dam))
    return ordered.select("date", level=pl.when(~unusable).then(pl.col(column)))


def _ranked_steps(levels: pl.DataFrame) -> pl.DataFrame:
    """date, step, lasting of every day before a lasting rise."""
    level = pl.col("level")
    after, before = [level.shift(-k) for k in (1, 2, 3)], [level.shift(k) for k in (0, 1, 2)]
    enough = pl.all_horizontal(
        pl.sum_horizontal(day.is_not_null().cast(pl.Int32) for day in side) >= 2 for side in (after, before)
    )
    return levels.with_columns(
        step=level.shift(-1) - level, lasting=pl.min_horizontal(after) - pl.max_horizontal(before), enough=enough
    ).filter(pl.col("enough") & (pl.col("step") > 0) & (pl.col("lasting") > 0))
