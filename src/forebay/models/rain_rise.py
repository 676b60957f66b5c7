"""Quantiles of a forecast with known rain, which never fall when the rain rises (decision 25).

The forecast without rain and the rise that the rain adds to it are known apart. Errors grow with that rise: those
above the forecast nearly in proportion, those below it less, because no rain takes water away. They are divided by a
factor of the rise, and the intervals of the scaled errors (`models.intervals`) then depend on the present day alone. A
quantile of the change is the forecast plus factor × scaled quantile. Below the median this falls first and then rises
with the rain, since the factor grows less than in proportion; such a quantile is therefore never below its value
without rain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.metrics import quantile_so_far
from forebay.models.intervals import MIN_ERRORS
from forebay.models.paths import LEVELS
from forebay.models.quantile_order import around_median, not_finer_than_readings
from forebay.tables import QUANTILES

if TYPE_CHECKING:
    from forebay.models.model import Array

LOWER_POWER, UPPER_POWER = 0.5, 0.8
"""Powers of the growth of errors below and above the forecast with the rise, between 0 and 1; chosen on dams of
`tests/dams` (decision 25)."""


PROBABILITIES = np.unique(np.round([*QUANTILES, *LEVELS], 9))
"""Probabilities of all quantiles that are computed: those of `tables.QUANTILES` and those of the sample paths."""


@dataclass(frozen=True)
class Response:
    """Weights of the responses on the last day, for the median and for each of `PROBABILITIES`; None without any.

    Shapes (1, leads, 1, responses) and (1, leads, k, responses).
    """

    median: Array | None
    quantiles: Array | None


def typical_error(errors: Array, lead_time: int) -> Array:
    """Median size of the errors known on each day, shape (n,); NaN before `MIN_ERRORS` of them are known.

    An error of day d is known on day d + lead_time.
    """
    so_far = quantile_so_far(pl.Series(np.abs(errors), nan_to_null=True), 0.5, MIN_ERRORS)
    known = np.full(len(errors), np.nan)
    known[lead_time:] = so_far[: max(0, len(errors) - lead_time)]
    return np.where(known > 0, known, np.nan)


def error_growth(rise: Array, unit: Array, power: float) -> Array:
    """Factor by which errors are larger than without rain, where the rain adds `rise` to the forecast; 1 for none.

    Parameters
    ----------
    unit
        Typical error, in the unit of the rise.
    power
        `LOWER_POWER` or `UPPER_POWER`.
    """
    return np.asarray((1 + np.maximum(rise, 0.0) / unit) ** power)


def rain_quantiles(dry: Array, wet: Array, offsets: Array, unit: Array) -> Array:
    """Quantiles of the change, shape (n, leads, k).

    Parameters
    ----------
    dry, wet
        Forecast changes without rain and with it, shape (n, leads).
    offsets
        Quantiles of the scaled errors, shape (n, leads, k).
    unit
        Typical errors, shape (n, leads).
    """
    lower, upper = (error_growth(wet - dry, unit, power)[..., None] for power in (LOWER_POWER, UPPER_POWER))
    above = wet[..., None] + upper * offsets
    below = np.maximum(wet[..., None] + lower * offsets, dry[..., None] + offsets)
    return np.where(offsets < 0, below, above)


def unresponded(dry: Array, wet: Array, offsets: Array, unit: Array, resolution: Array | None) -> Array:
    """Quantiles of the change before the response, for `PROBABILITIES`; arguments as of `rain_quantiles`.

    `resolution` is that of the readings on each row (`Samples.resolution`).
    """
    quantiles = rain_quantiles(dry, wet, offsets, unit)
    from_wet = not_finer_than_readings(quantiles - wet[..., None], resolution, PROBABILITIES.tolist())
    return wet[..., None] + from_wet


def limited(quantiles: Array, median: Array, low: Array, high: Array) -> Array:
    """Rising quantiles (n, leads, k) about the `median` (n, leads, 1) within `low` and `high` (n, leads)."""
    rising = around_median(quantiles, median, PROBABILITIES)
    return np.asarray(np.minimum(np.maximum(rising, low[..., None]), high[..., None]))
