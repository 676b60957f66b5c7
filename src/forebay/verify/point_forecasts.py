"""The point forecasts of one model of a hindcast, from the level that each of them starts from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from forebay.features.samples import Samples
from forebay.models.model import Array, Model

DEFAULT = "default"
"""The name of what a user gets."""


@dataclass(frozen=True)
class PointForecasts:
    """Point forecasts of one model, by lead time.

    Attributes
    ----------
    changes
        Expected change per day, shape (n,); NaN where none was made.
    fallback_until
        Last init date on which the model had too little past and `damped_change` stood in for it.
    fitted
        The model that made the last day's forecast: as fitted on the last refit day, or what stood in for it.
    weights, shift
        Of a blend, on the last day: each model's weight, and what was added to their mean because the day is quiet.
    spreads
        How far apart the changes lie that may come, as `changes`, by a model that tells it; empty by another.
    outage_changes, outage_spreads
        Kind of silence → the same in its drills (`features.outages`); NaN on other days.

    Changes are from the level that the forecast starts from: where the day's own is silent, from the last good one,
    with the changes expected of each day since.
    """

    changes: dict[int, Array]
    fallback_until: dict[int, date] = field(default_factory=dict)
    fitted: dict[int, Model] = field(default_factory=dict)
    weights: dict[int, dict[str, float]] = field(default_factory=dict)
    shift: dict[int, float] = field(default_factory=dict)
    spreads: dict[int, Array] = field(default_factory=dict)
    outage_changes: dict[str, dict[int, Array]] = field(default_factory=dict)
    outage_spreads: dict[str, dict[int, Array]] = field(default_factory=dict)


def from_last_level(points: PointForecasts, samples: Samples) -> PointForecasts:
    """`points` whose changes are from the level that each forecast starts from, in the drills too.

    Where that is an older one, the changes expected of each day since come on top, one day at a time: so what fell and
    flowed meanwhile is in the forecast.
    """
    if samples.outages is None:
        return points
    step = min(points.changes)
    since = since_last_level(points.changes[step] / step, samples.level_age)
    drilled = {}
    for kind, of_kind in points.outage_changes.items():
        drill = samples.outages.simulated[kind]
        daily = points.changes[step].copy()
        daily[drill.rows] = of_kind[step][drill.rows]
        unseen = since_last_level(daily / step, drill.level_age)
        drilled[kind] = {lead: change + unseen for lead, change in of_kind.items()}
    return replace(points, changes={lead: c + since for lead, c in points.changes.items()}, outage_changes=drilled)


def since_last_level(daily: Array, level_age: NDArray[np.intp]) -> Array:
    """The sum of `daily` changes from the last good level to each day; 0 where the level is there, NaN if one is."""
    total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(daily))])
    unknown = np.concatenate([[0], np.cumsum(np.isnan(daily))])
    day = np.arange(len(daily))
    summed = np.where(unknown[day] > unknown[day - level_age], np.nan, total[day] - total[day - level_age])
    return np.where(level_age > 0, summed, 0.0)
