"""The point forecasts of one model of a hindcast."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from forebay.features.input_range import InputRange
    from forebay.features.samples import Samples
    from forebay.models.model import Array, Model


@dataclass(frozen=True)
class PointForecasts:
    """Point forecasts of one model, by lead time.

    All changes are relative to the level that the forecast starts from: the level of the init date or, during an
    outage, the last usable level. In the second case a change includes the changes expected since that level.

    Attributes
    ----------
    changes
        Lead time → expected change of each init date, shape (n,); NaN without a forecast.
    fallback_until
        Lead time → last init date on which `damped_change` replaced the model, because the model had too few samples.
    fitted
        Lead time → the model of the last init date: the fit of the last refit day, or its replacement.
    weights, shift, response
        Lead time → weight of each model in a blend on the last init date, the correction added to the blend on that
        date because it is quiet, and the change of the forecast by the response near full supply.
    unshifted
        Lead time → a blend of each day before that correction, shape (n,).
    curves
        Matrix of each day that smooths a blend over the lead times (`models.lead_curve`), shape (n, leads, leads);
        None for a model that is not smoothed.
    curve_weights
        Weights of the curves on each day, from which `curves` follow on a day with a level; shape (n, penalties).
    spreads
        Lead time → predicted spread (0.1–0.9 quantile range) of each change, shape (n,); NaN if the model
        predicts none.
    input_range
        Lead time → range of the inputs on the training rows of the last fit (`features.input_range`).
    far_outside
        Lead time → whether each day has an input far outside the range of its fit, shape (n,). Such an input has the
        nearest accepted value.
    outage_changes, outage_spreads
        Kind of outage → `changes` and `spreads` in the simulated outages of that kind (`features.outages`); NaN on
        other days.
    """

    changes: dict[int, Array]
    fallback_until: dict[int, date] = field(default_factory=dict)
    fitted: dict[int, Model] = field(default_factory=dict)
    weights: dict[int, dict[str, float]] = field(default_factory=dict)
    shift: dict[int, float] = field(default_factory=dict)
    response: dict[int, float] = field(default_factory=dict)
    unshifted: dict[int, Array] = field(default_factory=dict)
    curves: Array | None = None
    curve_weights: Array | None = None
    spreads: dict[int, Array] = field(default_factory=dict)
    input_range: dict[int, InputRange] = field(default_factory=dict)
    far_outside: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    outage_changes: dict[str, dict[int, Array]] = field(default_factory=dict)
    outage_spreads: dict[str, dict[int, Array]] = field(default_factory=dict)


def days_since(points: PointForecasts, begin: int) -> PointForecasts:
    """`points` of which the changes and curves lack the first `begin` days, for their quantiles."""
    changes = {lead: change[begin:] for lead, change in points.changes.items()}
    return replace(points, changes=changes, curves=None if points.curves is None else points.curves[begin:])


def from_start_level(points: PointForecasts, samples: Samples) -> PointForecasts:
    """`points` with changes relative to the level that each forecast starts from, in simulated outages too.

    During an outage the start level is some days old. The changes that the model expects of the days since then are
    added, one day at a time, so that their rain and inflow count.
    """
    if samples.outages is None:
        return points
    step = min(points.changes)
    daily = points.changes[step] / step
    elapsed = change_since_level(daily, samples.level_age)
    outage_changes = {}
    for kind, changes in points.outage_changes.items():
        outage = samples.outages.simulated[kind]
        outage_daily = daily.copy()
        outage_daily[outage.rows] = changes[step][outage.rows] / step
        outage_elapsed = change_since_level(outage_daily, outage.level_age)
        outage_changes[kind] = {lead: change + outage_elapsed for lead, change in changes.items()}
    changes = {lead: change + elapsed for lead, change in points.changes.items()}
    return replace(points, changes=changes, outage_changes=outage_changes)


def since_level(point: PointForecasts, samples: Samples, day: int) -> float:
    """The part of the changes of one day that belongs to the days since its level (`from_start_level`); 0 with one."""
    step = min(point.changes)
    elapsed = 0.0
    for earlier in range(day - int(samples.level_age[day]), day):
        elapsed += (float(point.changes[step][earlier]) - elapsed) / step
    return elapsed


def change_since_level(daily: Array, level_age: NDArray[np.intp]) -> Array:
    """Sum of the `daily` changes from the last usable level to each day, shape (n,).

    0 on a day with a level; NaN if one of the summed changes is NaN.
    """
    total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(daily))])
    unknown = np.concatenate([[0], np.cumsum(np.isnan(daily))])
    day = np.arange(len(daily))
    summed = np.where(unknown[day] > unknown[day - level_age], np.nan, total[day] - total[day - level_age])
    return np.where(level_age > 0, summed, 0.0)
