"""Sums and means over the gauges of a day, whose digits depend on no number of threads.

`polars.sum_horizontal` and `mean_horizontal` divide the columns among threads, so that the order of the additions and
with it the last digit of a sum depend on the machine. Trees turn such a digit into another forecast.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add

import polars as pl

_HALVINGS = 2
"""How often the columns are halved: the order of additions of polars with two threads."""


def row_sum(columns: Iterable[str | pl.Expr]) -> pl.Expr:
    """Sum of each row as Float64, null where a value is missing."""
    return _sum(_floats(columns), _HALVINGS)


def row_mean(columns: Iterable[str | pl.Expr]) -> pl.Expr:
    """Mean of the values of each row as Float64, null where there is none."""
    values = _floats(columns)
    total = _sum([value.fill_null(0.0) for value in values], _HALVINGS)
    count = reduce(add, (value.is_not_null().cast(pl.Int32) for value in values))
    return pl.when(count > 0).then(total / count)


def _floats(columns: Iterable[str | pl.Expr]) -> list[pl.Expr]:
    return [(pl.col(column) if isinstance(column, str) else column).cast(pl.Float64) for column in columns]


def _sum(values: Sequence[pl.Expr], halvings: int) -> pl.Expr:
    if halvings and len(values) > 1:
        half = len(values) // 2
        return _sum(values[:half], halvings - 1) + _sum(values[half:], halvings - 1)
    return reduce(add, values)
