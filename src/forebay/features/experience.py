"""Days outside the experience of the models: values beyond the range that the models in force were fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from forebay.features.samples import Samples

_ONE_SIDED = ("rain", "wetness")
"""Quantities whose small values are no extremes: many days are dry."""
_INPUTS = {"rain": "rain_lag0", "wetness": "api", "last_change": "last_change"}
"""Quantity → the input that gives it."""


def experience_quantities(samples: Samples) -> pl.DataFrame:
    """The quantities whose range is checked, one column each: rain and wetness (mm), last_change, level; n rows.

    Rain is the catchment's on the day, wetness the antecedent precipitation index; without rain gauges both are absent.
    A level on a datum that the dam file does not state is null, since levels on two datums cannot be compared.
    """
    inputs = samples.inputs
    columns = {name: inputs[column].cast(pl.Float64) for name, column in _INPUTS.items() if column in inputs.columns}
    level = samples.level if samples.withheld is None else np.where(samples.withheld, np.nan, samples.level)
    return pl.DataFrame({**columns, "level": pl.Series(level, nan_to_null=True)})


def experience(samples: Samples, refits: Sequence[int], lead_time: int) -> pl.DataFrame:
    """Each of `experience_quantities` with the range that the models in force were fitted on.

    Parameters
    ----------
    refits
        Indices of the days on which models are refitted, ascending.
    lead_time
        The longest lead time in days: its training rows end first.

    Returns
    -------
    DataFrame
        day (index), quantity, value, low, high, outside: a row per quantity and day from the first refit on. `outside`
        is false where the value or the range is unknown.
    """
    quantities = experience_quantities(samples)
    days = np.arange(refits[0] if refits else len(samples.dates), len(samples.dates))
    ends = np.asarray(refits)[np.searchsorted(refits, days, side="right") - 1] - lead_time if len(days) else days
    tables = []
    for quantity in quantities.columns:
        values = quantities[quantity].to_numpy().astype(float)
        fitted = samples.trusted if quantity == "level" else values
        low, high = _range_before(fitted, ends, np.fmin), _range_before(fitted, ends, np.fmax)
        value = values[days]
        outside = value > high
        if quantity not in _ONE_SIDED:
            outside |= value < low
        columns = {"day": days, "value": value, "low": low, "high": high, "outside": outside}
        name = pl.lit(quantity).alias("quantity")
        tables.append(pl.DataFrame(columns).select("day", name, "value", "low", "high", "outside"))
    return pl.concat(tables)


def outside_days(ranges: pl.DataFrame, count: int) -> NDArray[np.bool_]:
    """Whether each of `count` days is outside experience in any quantity of `ranges` (`experience`); shape (count,)."""
    outside = np.zeros(count, bool)
    outside[ranges.filter("outside")["day"].unique().to_numpy()] = True
    return outside


def _range_before(values: NDArray[np.float64], ends: NDArray[np.intp], extreme: np.ufunc) -> NDArray[np.float64]:
    """The extreme of `values[:end]` for each end, shape of `ends`; NaN where there is none."""
    running = np.concatenate([[np.nan], extreme.accumulate(values)])
    return np.asarray(running[np.maximum(ends, 0)])
