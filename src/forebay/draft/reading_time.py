"""Evidence in rain that a daily level is read early in the day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forebay.draft.gauges import GaugeDraft

MIN_DAYS = 365
MIN_DIFFERENCE = 0.1
"""Difference of the two correlations from which on the level counts as read early in the day."""


def rain_correlations(target: GaugeDraft, gauges: Sequence[GaugeDraft]) -> tuple[float, float] | None:
    """Correlation of a day's rain with the change of the target to that day, and with that to the next day.

    The rain is the mean of all rain gauges. None without rain, or with fewer than `MIN_DAYS` days of both.
    """
    rains = [gauge.daily for gauge in gauges if gauge.variable == "rainfall" and not gauge.is_accumulated]
    if not rains:
        return None
    rain = pl.concat(rains).drop_nulls().group_by("date").agg(pl.col("value").mean().alias("rain"))
    one_day = pl.duration(days=1)
    is_next = pl.col("date").diff() == one_day
    days = (
        target.daily.drop_nulls()
        .with_columns(pl.when(is_next).then(pl.col("value").diff()).alias("to_day"))
        .with_columns(pl.when(is_next.shift(-1)).then(pl.col("to_day").shift(-1)).alias("to_next"))
        .join(rain, on="date")
        .drop_nulls()
    )
    if len(days) < MIN_DAYS or days["rain"].n_unique() < 2:
        return None
    rain_depth = days["rain"].to_numpy()
    return _correlation(rain_depth, days["to_day"]), _correlation(rain_depth, days["to_next"])


def _correlation(rain: NDArray[np.float64], changes: pl.Series) -> float:
    """Correlation with the changes, cut at their 1% and 99% quantiles: one spike must not dominate it."""
    values = changes.to_numpy()
    low, high = np.quantile(values, (0.01, 0.99))
    return float(np.corrcoef(rain, np.clip(values, low, high))[0, 1])
