"""Evidence from other gauges: what supports a rise of a lake or a river, and so protects real floods from the screen.

Water that rises came from somewhere: rain on the catchment, a river, an inflow. On days that have such evidence a large
rise is believed. Where no other gauge says anything, it cannot be ruled out and is believed as well. Rain never makes a
lake fall: a fall is believed after a flood (gates) or with a large release.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forebay.dams.dam import Dam, Gauge
from forebay.screen.findings import Bools, Floats, day_changes, learned, moving_sum, seen_lately

WET, FLOOD = 0.90, 0.98
"""Quantiles of a gauge's own past above which its rain, rise or flow supports a rise, and tells of a flood."""
RAIN_DAYS, FLOOD_DAYS, GATE_DAYS, A_YEAR = 4, 10, 30, 365
"""Days over which rain is summed, that a flood's water takes to arrive, that gates take to let it go."""
_WATER = ("stream", "inflow", "upstream_level", "upstream_release")


@dataclass(frozen=True)
class Evidence:
    """What the other gauges of one gauge say, day by day.

    Attributes
    ----------
    rise
        Whether a rise is supported, or cannot be ruled out because no other gauge reports.
    fall
        Whether a fall is supported: a flood in the last days, or a large release.
    flood
        Whether other gauges tell of a flood: the lake must move.
    """

    rise: Bools
    fall: Bools
    flood: Bools


def evidence_for(gauge: Gauge, dam: Dam, values: dict[str, Floats]) -> Evidence:
    """What supports rises and falls of `gauge`, from the usable values of all gauges (column → one value per day)."""
    signs, told = [], np.zeros(len(values[gauge.column]), bool)
    if gauge.role != "rainfall" and dam.columns("rainfall"):
        rain = catchment_rain(dam, values)
        signs.append([moving_sum(rain, RAIN_DAYS)])
        told |= _can_tell(rain)
    for other in dam.gauges:
        # Of the lake itself the storage is only another reading.
        is_lake = other.role == "target" and gauge.role not in ("target", "storage")
        if other.column != gauge.column and (is_lake or other.role in _WATER):
            value = values[other.column]
            signs.append(_rises(value) if is_lake else [value, *_rises(value)])
            told |= _can_tell(value)
    wet = _any_above(signs, WET, told)
    opened = [value > learned(value, WET) for value in (values[g.column] for g in dam.gauges if g.role == "release")]
    flood = _any_above(signs, FLOOD, told)
    return Evidence(
        rise=wet | seen_lately(flood, FLOOD_DAYS) | ~told,
        fall=np.logical_or.reduce([seen_lately(wet, FLOOD_DAYS), seen_lately(flood, GATE_DAYS), *opened]),
        flood=flood,
    )


def _any_above(signs: list[list[Floats]], quantile: float, told: Bools) -> Bools:
    """Whether any sign is above nothing and above this quantile of its own past."""
    above = [(sign > 0) & (sign > learned(sign, quantile)) for group in signs for sign in group]
    return np.asarray(np.logical_or.reduce(above)) if above else np.zeros_like(told)


def _can_tell(value: Floats) -> Bools:
    """Whether a gauge reports and has done so long enough to know its wet days from others."""
    return np.isfinite(value) & np.isfinite(learned(value, WET, warm_up=A_YEAR))


def _rises(value: Floats) -> list[Floats]:
    """Rise over one day and over two."""
    two_before = np.concatenate([np.full(2, np.nan), value[:-2]])[: len(value)]
    return [day_changes(value), value - two_before]


def catchment_rain(dam: Dam, values: dict[str, Floats]) -> Floats:
    """Mean rain of the gauges that report; NaN where none does."""
    return mean_of([values[column] for column in dam.columns("rainfall")])


def mean_of(series: list[Floats]) -> Floats:
    """Mean per day of what is there; NaN where nothing is.

    >>> mean_of([np.array([1.0, np.nan]), np.array([3.0, np.nan])]).tolist()
    [2.0, nan]
    """
    stacked = np.stack(series)
    count = np.isfinite(stacked).sum(0)
    return np.where(count > 0, np.nansum(stacked, 0) / np.maximum(count, 1), np.nan)
