"""Totals of intervals from an accumulated reading, such as the rain since 1 October."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

RESET_SHARE = 0.5
"""A reading below this share of the reading before starts a new accumulation from zero."""


def interval_totals(accumulated: pl.Series, times: pl.Series, longest: timedelta) -> pl.Series:
    """Increase since the reading before, by the order of `times`; null for the first reading and after a gap.

    A small fall (evaporation, a noisy gauge) counts as no increase until the highest value since the last reset is
    exceeded. After a reset, the reading itself is the increase.

    Parameters
    ----------
    accumulated, times
        Readings (null where missing) and the start of their intervals, by rising time.
    longest
        Longest time between two consecutive readings: a longer one is a gap, whose total belongs to several intervals.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> days = pl.Series([datetime(2024, 9, day, tzinfo=UTC) for day in (27, 28, 29, 30)])
    >>> interval_totals(pl.Series([400.0, 412.5, 412.0, 2.5]), days, timedelta(days=1)).to_list()
    [None, 12.5, 0.0, 2.5]
    """
    table = pl.DataFrame({"value": accumulated, "time": times}).with_row_index()
    rows = table.drop_nulls("value")
    value = pl.col("value")
    rows = rows.with_columns((value < RESET_SHARE * value.shift()).fill_null(False).alias("reset"))
    rows = rows.with_columns(pl.col("reset").cum_sum().alias("period"))
    rows = rows.with_columns(value.cum_max().over("period").alias("highest"))
    increase = pl.when("reset").then(value).otherwise(pl.col("highest") - pl.col("highest").shift())
    is_next = (pl.col("index") - pl.col("index").shift() == 1) & (pl.col("time").diff() <= longest)
    rows = rows.select("index", pl.when(is_next).then(increase).alias("total"))
    return table.join(rows, on="index", how="left", maintain_order="left")["total"]
