"""Evidence from other gauges: what supports a rise of a lake or a river, and so protects real floods from the screen.

Water that rises came from somewhere: rain on the catchment, a river, an inflow. On days that have such evidence a large
rise is believed. Where no other gauge says anything, it cannot be ruled out and is believed as well. Rain never makes a
lake fall: a fall is believed after a flood (gates) or with a large release.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forebay.dams.dam import Dam, Gauge
from forebay.prepare.findings import Bools, Floats, day_changes, learned, moving_sum, seen_lately

WET = 0.90
"""Quantile of a gauge's own past above which its rain, rise or flow is evidence of a flood."""
RAIN_DAYS, FLOOD_DAYS = 4, 10
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
    any_gauge
        Whether there is any other gauge that could support a rise.
    """

    rise: Bools
    fall: Bools
    any_gauge: bool


def evidence_for(gauge: Gauge, dam: Dam, values: dict[str, Floats]) -> Evidence:
    """What supports rises and falls of `gauge`, from the usable values of all gauges (column → one value per day)."""
    days = len(values[gauge.column])
    votes = [_rain_vote(dam, values)] if gauge.role != "rainfall" and dam.columns("rainfall") else []
    for other in dam.gauges:
        if other.column != gauge.column and other.role in _WATER:
            votes.append(_water_vote(values[other.column]))
    if gauge.role not in ("target", "storage"):  # of the lake itself the storage is only another reading
        votes.append(_rise_vote(values[dam.target_gauge.column]))
    told = np.logical_or.reduce([np.isfinite(vote) for vote in votes]) if votes else np.zeros(days, bool)
    flood = np.logical_or.reduce([vote > 0 for vote in votes]) if votes else np.zeros(days, bool)
    released = [values[g.column] for g in dam.gauges if g.role == "release"]
    opened = [_high(value) > 0 for value in released]
    return Evidence(
        rise=flood | ~told,
        fall=np.logical_or.reduce([seen_lately(flood, FLOOD_DAYS), *opened]),
        any_gauge=bool(votes),
    )


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


def _rain_vote(dam: Dam, values: dict[str, Floats]) -> Floats:
    """1 where the rain of the last days is high for this catchment, 0 where not, NaN where no gauge reports."""
    return _high(moving_sum(catchment_rain(dam, values), RAIN_DAYS))


def _water_vote(value: Floats) -> Floats:
    """1 where a river or an inflow is high or has risen much in the last days."""
    return np.fmax(_high(value), _rise_vote(value))


def _rise_vote(value: Floats) -> Floats:
    rise = value - np.concatenate([np.full(2, np.nan), value[:-2]])[: len(value)]
    return np.fmax(_high(rise), _high(day_changes(value)))


def _high(value: Floats) -> Floats:
    """1 where above the `WET` quantile of its own past (and above nothing), 0 where not, NaN where not known."""
    bound = learned(value, WET)
    high = ((value > bound) & (value > 0)).astype(float)
    return np.where(np.isfinite(value) & np.isfinite(bound), high, np.nan)
