"""Days outside the experience of the models: values beyond the range that the models in force were fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.features.inputs import AHEAD, CONTEXT, FORCING

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples

_TWO_SIDED = ("last_change", "level")
"""Quantities of which small values are extremes too, with the gauges of a level upstream; many days are dry or calm."""
_INPUTS = {
    "rain": "rain_lag0",
    "wetness": "api",
    "last_change": "last_change",
    "degree_days": "degree_days",
    "evaporation": "evaporation",
    "snow": "snow",
}
"""Quantity → the input that gives it."""


def experience_quantities(samples: Samples, dam: Dam, lead_time: int) -> pl.DataFrame:
    """The quantities whose range is checked, one column each, n rows: each group of inputs has at least one.

    rain and wetness (mm): the catchment's on the day, and its antecedent precipitation index. last_change, level: in
    the target's unit; a level on a datum that the dam file does not state is null, since levels on two datums cannot be
    compared. degree_days, evaporation (mm), snow (mm). Each gauge of flow or stage under the name of its column, in its
    canonical unit. Each forcing at `lead_time` under the name of its input: rain (mm), change of the target by a flow,
    or by a forecast inflow per day.
    """
    inputs = samples.inputs_at(lead_time)
    names = {name: column for name, column in _INPUTS.items() if column in inputs.columns}
    if f"{CONTEXT}degree_days" in inputs.columns:
        names["degree_days"] = f"{CONTEXT}degree_days"
    names |= {gauge.column: gauge.column for gauge in dam.gauges if gauge.column in inputs.columns}
    forcings = (f"{FORCING}{forcing.id}_lead" for forcing in dam.forcings)
    names |= {name: name for name in forcings if name in inputs.columns}
    means = (f"{AHEAD}{forcing.id}_mean" for forcing in dam.forcings)
    names |= {name: name for name in means if name in inputs.columns}
    columns = {name: inputs[column].cast(pl.Float64) for name, column in names.items()}
    level = samples.level if samples.withheld is None else np.where(samples.withheld, np.nan, samples.level)
    return pl.DataFrame({**columns, "level": pl.Series(level, nan_to_null=True)})


def experience(samples: Samples, dam: Dam, refits: Sequence[int], lead_time: int) -> pl.DataFrame:
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
    quantities = experience_quantities(samples, dam, lead_time)
    upstream_levels = [gauge.column for gauge in dam.gauges if gauge.role == "upstream_level"]
    days = np.arange(refits[0] if refits else len(samples.dates), len(samples.dates))
    ends = np.asarray(refits)[np.searchsorted(refits, days, side="right") - 1] - lead_time if len(days) else days
    tables = []
    for quantity in quantities.columns:
        values = quantities[quantity].to_numpy().astype(float)
        fitted = samples.trusted if quantity == "level" else values
        low, high = _range_before(fitted, ends, np.fmin), _range_before(fitted, ends, np.fmax)
        value = values[days]
        outside = value > high
        if quantity in (*_TWO_SIDED, *upstream_levels):
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
