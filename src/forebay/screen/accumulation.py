"""Is a rain gauge's series accumulated? It then never falls but at its resets, and rises on its wet days."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from forebay.dams.gauge import Gauge

MIN_RISES = 20
"""Fewest rises for a question."""
MAX_FALL_SHARE = 0.02
"""Share of falls among the changes of an accumulated series, at most: its resets. Half of the changes of daily rain are
falls."""


def accumulation_question(values: pl.Series, gauge: Gauge, label: str) -> str | None:
    """Question whether a gauge of daily totals publishes accumulated values; None where nothing suggests it.

    Parameters
    ----------
    values
        The gauge's values by rising time, null where missing.
    label
        Name of the gauge for people.
    """
    if gauge.kind.aggregate != "total" or gauge.accumulated:
        return None
    changes = values.drop_nulls().diff()
    rises, falls = int((changes > 0).sum()), int((changes < 0).sum())
    if rises < MIN_RISES or falls > MAX_FALL_SHARE * (rises + falls):
        return None
    count = "never" if falls == 0 else f"only {falls} time{'s' if falls > 1 else ''}"
    return (
        f"{label} falls {count} in {len(changes):,} readings: is it accumulated? If so, set "
        'reading = "accumulated" in the dam file'
    )
