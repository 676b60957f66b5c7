"""The uncertainty of a hindcast's point forecasts: intervals and sample paths, from errors known on the day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from forebay.features.outages import SIMULATED_OUTAGE_DAYS
from forebay.features.samples import Samples
from forebay.metrics import crps_ensemble
from forebay.models import REFERENCES
from forebay.models.intervals import State, error_quantiles, state_from_inputs
from forebay.models.model import Array
from forebay.models.paths import LEVELS, join_leads
from forebay.tables import QUANTILES
from forebay.verify.point_forecasts import DEFAULT, PointForecasts


def interval_offsets(
    samples: Samples,
    points: Mapping[str, PointForecasts],
    model: str,
    *,
    lead_time: int,
    probabilities: Sequence[float] = QUANTILES,
) -> Array:
    """What turns a model's expected changes into their quantiles, shape (n, 7); NaN where too few errors were known.

    The size of its errors is told by the state of the day, the size of the change that it expects, and the spread of
    what all models expect.
    """
    change = points[model].changes[lead_time]
    state = state_at(samples, points, change, lead_time)
    errors = np.where(ordinary(samples), samples.change(samples.trusted, lead_time) - change, np.nan)
    offsets = error_quantiles(errors, state, lead_time=lead_time, probabilities=probabilities)
    if samples.outages is None:
        return offsets
    offsets[samples.level_age > 0] = np.nan  # told by drills alone
    for kind, drill in samples.outages.simulated.items():
        told = silent_offsets(samples, points, model, kind, lead_time=lead_time, probabilities=probabilities)
        known = drill.days & np.isfinite(told).all(axis=1)
        offsets[known] = told[known]
    return offsets


def state_at(samples: Samples, points: Mapping[str, PointForecasts], change: Array, lead_time: int) -> State:
    """What the size of the errors of a model depends on that expects `change`."""
    state = state_from_inputs(samples.inputs_at(lead_time), regime(samples, "wet"), samples.dates)
    own = _own_spreads(points, lambda point: point.spreads.get(lead_time))
    return state.with_sizes(np.abs(change), _apart(points, lambda point: point.changes[lead_time]), *own)


def _own_spreads(
    points: Mapping[str, PointForecasts], spread_of: Callable[[PointForecasts], Array | None]
) -> list[Array]:
    """What each model says of how far apart the changes lie that may come, if it ever says it."""
    told = [spread_of(point) for point in points.values()]
    return [spread for spread in told if spread is not None and np.isfinite(spread).any()]


def _apart(points: Mapping[str, PointForecasts], change_of: Callable[[PointForecasts], Array]) -> Array:
    """How far apart the forecasts of all but the references lie; 0 where there is none or one."""
    each = [change_of(point) for name, point in points.items() if name not in REFERENCES]
    each = each or [np.zeros(len(change_of(next(iter(points.values())))))]
    return np.asarray(np.max(each, axis=0) - np.min(each, axis=0))


def silent_offsets(
    samples: Samples,
    points: Mapping[str, PointForecasts],
    model: str,
    kind: str,
    *,
    lead_time: int,
    probabilities: Sequence[float],
) -> Array:
    """What turns expected changes into quantiles on days of one kind of silence, from the errors of its drills.

    Besides the measures of other errors, the size depends on how long level and drivers have been silent. Without
    drivers nobody knows which days are wet: none is calibrated apart.
    """
    assert samples.outages is not None
    drill, real = samples.outages.simulated[kind], samples.outages
    days = drill.days

    def expected(point: PointForecasts) -> Array:
        return np.where(days, point.changes[lead_time], point.outage_changes[kind][lead_time])

    change = expected(points[model])
    start = np.where(days, samples.start_level, drill.start_level)
    came = np.full(len(days), np.nan)
    came[:-lead_time] = samples.trusted[lead_time:] - start[:-lead_time]
    state = state_from_inputs(samples.inputs_at(lead_time), regime(samples, "wet") & (kind == "level"), samples.dates)
    drilled = state_from_inputs(drill.inputs_at(lead_time), state.wet, samples.dates)

    def spread(point: PointForecasts) -> Array | None:
        if lead_time not in point.spreads:
            return None
        return np.where(days, point.spreads[lead_time], point.outage_spreads[kind][lead_time])

    told = State(samples.dates, state.wet, np.where(days[:, None], state.sizes, drilled.sizes)).with_sizes(
        np.abs(change),
        _apart(points, expected),
        *_own_spreads(points, spread),
        np.where(days, real.level_age, drill.level_age),
        np.where(days, real.drivers_age, drill.drivers_age),
    )
    return error_quantiles(
        came - change,
        told,
        lead_time=lead_time,
        probabilities=probabilities,
        mask=days,
        correlation_days=3 * lead_time + SIMULATED_OUTAGE_DAYS,
    )


def marginals(samples: Samples, points: Mapping[str, PointForecasts], model: str) -> Array:
    """A model's members: changes at 50 equally likely quantiles per day and lead, rising, shape (n, leads, 50).

    NaN where there is no forecast, no level to start from, or no interval.
    """
    members = [
        change[:, None] + interval_offsets(samples, points, model, lead_time=lead, probabilities=LEVELS.tolist())
        for lead, change in points[model].changes.items()
    ]
    made = np.stack(members, axis=1)
    made[~np.isfinite(samples.start_level)] = np.nan
    return made


def sample_paths(samples: Samples, points: Mapping[str, PointForecasts], members: Array, model: str = DEFAULT) -> Array:
    """The paths of a model: its `marginals` joined over the leads by how its past errors went on, the same shape."""
    changes = points[model].changes
    came = np.stack([samples.change(samples.trusted, lead) for lead in changes], axis=1)
    low, high = np.searchsorted(LEVELS, (0.1, 0.9))
    width = members[:, :, high] - members[:, :, low]
    errors = came - np.stack(list(changes.values()), axis=1)
    scaled = np.divide(errors, width, out=np.zeros_like(errors), where=(width > 0) | ~np.isfinite(width + errors))
    return join_leads(members, scaled, leads=list(changes), days=samples.dates, wet=regime(samples, "wet"))


def crps_by_day(samples: Samples, members: Array, leads: Sequence[int]) -> dict[int, Array]:
    """Lead time → CRPS of each day's members, shape (n,); NaN where there are none or what came is unknown.

    How members are joined over the leads does not matter here: `marginals` and `sample_paths` give the same.
    """
    return {lead: crps_ensemble(members[:, k], samples.observed_change(lead)) for k, lead in enumerate(leads)}


def regime(samples: Samples, name: str) -> NDArray[np.bool_]:
    """Whether each day belongs to a regime; no day where it cannot be told."""
    return samples.regimes.get(name, np.zeros(len(samples.dates), bool))


def ordinary(samples: Samples) -> NDArray[np.bool_]:
    """Whether neither the level nor all its drivers are silent on each day."""
    if samples.outages is None:
        return np.ones(len(samples.dates), bool)
    return np.asarray((samples.outages.level_age == 0) & (samples.outages.drivers_age == 0))
