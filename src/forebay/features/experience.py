"""Days outside of what models could learn from: more rain, wetter, higher, lower or quicker than ever known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.features.samples import Samples

_ONE_SIDED = ("rain", "wetness")
"""Quantities whose small values are no extremes: many days are dry."""


def watched(samples: Samples) -> pl.DataFrame:
    """The quantities that tell of experience, a column each: rain, wetness (both mm), level, last_change.

    Rain is the catchment's on the day, wetness the antecedent precipitation index; without rain gauges both are absent.
    A level on a datum that the dam file does not state is null: it cannot be compared.
    """
    inputs = samples.inputs
    named = {"rain": "rain_lag0", "wetness": "api", "last_change": "last_change"}
    there = {name: inputs[column].cast(pl.Float64) for name, column in named.items() if column in inputs.columns}
    level = samples.level if samples.withheld is None else np.where(samples.withheld, np.nan, samples.level)
    return pl.DataFrame({**there, "level": pl.Series(level, nan_to_null=True)})


def experience(samples: Samples, refits: Sequence[int], lead_time: int) -> pl.DataFrame:
    """Each quantity of `watched` with the range that the models in force had learned from.

    Parameters
    ----------
    refits
        Indices of the days on which models are fitted anew, rising.
    lead_time
        The longest, in days: its training rows end first.

    Returns
    -------
    DataFrame
        day (index), quantity, value, low, high, outside: a row per quantity and day from the first refit on. `outside`
        is false where the value or the range is unknown.
    """
    values = watched(samples)
    days = np.arange(refits[0] if refits else len(samples.dates), len(samples.dates))
    trained = np.asarray(refits)[np.searchsorted(refits, days, side="right") - 1] - lead_time if len(days) else days
    parts = []
    for quantity in values.columns:
        known = samples.trusted if quantity == "level" else values[quantity].to_numpy().astype(float)
        low, high = _range_before(known, trained, np.fmin), _range_before(known, trained, np.fmax)
        today = values[quantity].to_numpy().astype(float)[days]
        beyond = today > high
        if quantity not in _ONE_SIDED:
            beyond |= today < low
        parts.append(pl.DataFrame({"day": days, "value": today, "low": low, "high": high, "outside": beyond})
                     .select("day", pl.lit(quantity).alias("quantity"), "value", "low", "high", "outside"))  # fmt: skip
    return pl.concat(parts)


def outside_days(told: pl.DataFrame, count: int) -> NDArray[np.bool_]:
    """Whether each of `count` days is outside experience in any quantity, from `experience`'s table."""
    outside = np.zeros(count, bool)
    outside[told.filter("outside")["day"].unique().to_numpy()] = True
    return outside


def _range_before(values: NDArray[np.float64], ends: NDArray[np.intp], extreme: np.ufunc) -> NDArray[np.float64]:
    """The extreme of `values[:end]` for each end; NaN where there is none."""
    so_far = np.concatenate([[np.nan], extreme.accumulate(values)])
    return np.asarray(so_far[np.maximum(ends, 0)])
