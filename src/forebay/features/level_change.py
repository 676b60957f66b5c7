"""The daily change of the level, also where days without a level lie between two readings."""

from __future__ import annotations

import polars as pl

from forebay.tables import LEVEL_BREAK

OLDEST_LEVEL_DAYS = 30
"""A forecast starts from no level, and uses no change, that is older than this."""
DAMPING = 0.9
"""Ratio of the daily change of an extended level to the change of the day before."""


def change_per_day(daily: pl.DataFrame, target: str) -> pl.Series:
    """Change from the reading before, divided by the days since then, on each day with a level; otherwise null.

    It is null where the reading before is older than `OLDEST_LEVEL_DAYS`, on another datum, or before a suspect day.

    Parameters
    ----------
    daily
        One row per day: `target`, null where missing, and if known `LEVEL_BREAK`.

    Examples
    --------
    >>> change_per_day(pl.DataFrame({"level": [5.0, 5.5, None, 6.5]}), "level").to_list()
    [None, 0.5, None, 0.5]
    """
    is_break = daily[LEVEL_BREAK] if LEVEL_BREAK in daily.columns else pl.Series([False]).new_from_index(0, len(daily))
    level, row = pl.col("level"), pl.int_range(pl.len())
    table = pl.DataFrame({"level": daily[target], "section": is_break.cast(pl.Int32).cum_sum()})
    reading = pl.when(level.is_not_null())
    table = table.with_columns(
        before=level.forward_fill().shift(),
        days=row - reading.then(row).forward_fill().shift(),
        section_before=reading.then("section").forward_fill().shift(),
    )
    is_usable = (pl.col("days") <= OLDEST_LEVEL_DAYS) & (pl.col("section") == pl.col("section_before"))
    return table.select(pl.when(is_usable).then((level - pl.col("before")) / pl.col("days"))).to_series()


def last_change(change: pl.Series) -> pl.Series:
    """The newest known change per day on each day, damped by `DAMPING` a day; null once it is too old.

    Examples
    --------
    >>> last_change(pl.Series([None, 0.5, None])).to_list()
    [None, 0.5, 0.45]
    """
    row = pl.int_range(pl.len())
    age = row - pl.when(pl.col("change").is_not_null()).then(row).forward_fill()
    newest = pl.col("change").forward_fill(limit=OLDEST_LEVEL_DAYS)
    return change.alias("change").to_frame().select(newest * DAMPING**age).to_series()
