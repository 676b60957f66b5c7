"""Relations between a gauge and its substitute, learned from the days that were known: estimates of the gauge's values.

Totals (rain, evaporation): the substitute's value times the ratio of the sums of the two gauges, as in double-mass
analysis (Searcy and Hardison, 1960). Other variables: the gauge's value on the newest common day, plus the substitute's
change since then times the slope of the linear regression of all common days. That day also sets the datum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_DAYS = 30
"""Fewest days with both gauges (for totals: on which the substitute is not 0) for a relation."""

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Estimates:
    """Estimates of a gauge's daily values from one substitute, shape (n,); NaN where there is none.

    Attributes
    ----------
    values
        In the unit of the gauge's column.
    factor
        Ratio or slope as known on each day.
    """

    values: Floats
    factor: Floats


def estimate_totals(own: Floats, substitute: Floats, known: Rows) -> Estimates:
    """Estimates by the ratio of the sums so far.

    Parameters
    ----------
    own, substitute
        Values of each day, NaN where missing.
    known
        Row from which on both values of a day are known; the relation of a day uses the pairs of rows up to its own.
    """
    both = np.isfinite(own) & np.isfinite(substitute)
    days = _sum_so_far(both & (substitute > 0), known)
    sums = [_sum_so_far(np.where(both, values, 0.0), known) for values in (own, substitute)]
    is_known = (days >= MIN_DAYS) & (sums[1] > 0)
    factor = np.divide(sums[0], sums[1], out=np.full(len(own), np.nan), where=is_known)
    return Estimates(factor * substitute, factor)


def estimate_changes(own: Floats, substitute: Floats, known: Rows) -> Estimates:
    """Estimates by the newest common day and the slope so far; parameters as in `estimate_totals`.

    None without a positive slope. No estimate is below the lowest value so far.
    """
    both = np.isfinite(own) & np.isfinite(substitute)
    if not both.any():
        return Estimates(np.full(len(own), np.nan), np.full(len(own), np.nan))
    first = int(np.flatnonzero(both)[0])
    x, y = (np.where(both, values - values[first], 0.0) for values in (substitute, own))
    count, *sums = (_sum_so_far(values, known) for values in (both, x, y, x * x, x * y))
    days = np.maximum(count, 1)
    variance, covariance = sums[2] - sums[0] ** 2 / days, sums[3] - sums[0] * sums[1] / days
    is_known = (count >= MIN_DAYS) & (variance > 1e-9 * np.maximum(sums[2], 1e-9)) & (covariance > 0)
    slope = np.divide(covariance, variance, out=np.full(len(own), np.nan), where=is_known)
    newest = np.full(len(own), -1)
    pairs = np.flatnonzero(both & (known < len(own)))
    np.maximum.at(newest, known[pairs], pairs)
    anchor = np.maximum.accumulate(newest)  # where it is -1, the slope is NaN
    lowest = np.full(len(own), np.inf)
    np.minimum.at(lowest, known[pairs], own[pairs])
    values = own[anchor] + slope * (substitute - substitute[anchor])
    return Estimates(np.maximum(values, np.minimum.accumulate(lowest)), slope)


def _sum_so_far(values: Floats | NDArray[np.bool_], known: Rows) -> Floats:
    """Sum of the values that are known by each row."""
    in_time = known < len(values)
    sums = np.bincount(known[in_time], weights=values[in_time].astype(float), minlength=len(values))
    return np.cumsum(sums)
