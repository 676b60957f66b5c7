"""The uncertainty of a hindcast's point forecasts: intervals and sample paths from errors known on the init date."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forebay.features.outages import SIMULATED_OUTAGE_DAYS
from forebay.metrics import crps_ensemble
from forebay.models.intervals import State, error_quantiles, state_from_inputs
from forebay.models.paths import LEVELS, join_leads
from forebay.tables import DEFAULT_MODEL, QUANTILES, REFERENCES

if TYPE_CHECKING:
    from forebay.features.samples import Samples
    from forebay.models.model import Array
    from forebay.verify.point_forecasts import PointForecasts


def interval_offsets(
    samples: Samples,
    points: Mapping[str, PointForecasts],
    model: str,
    *,
    lead_time: int,
    probabilities: Sequence[float] = QUANTILES,
) -> Array:
    """Quantile offsets from the point forecasts of a model, shape (n, probabilities); NaN with too few known errors.

    The scale of the errors depends on the state of the day (`error_state`). Days in an outage get their offsets from
    simulated outages of the same kind (`outage_offsets`).
    """
    change = points[model].changes[lead_time]
    state = error_state(samples, points, change, lead_time)
    errors = np.where(without_outage(samples), samples.change(samples.trusted, lead_time) - change, np.nan)
    offsets = error_quantiles(errors, state, lead_time=lead_time, probabilities=probabilities)
    if samples.outages is None:
        return _not_finer_than_readings(offsets, samples, probabilities)
    offsets[samples.level_age > 0] = np.nan
    for kind, outage in samples.outages.simulated.items():
        by_kind = outage_offsets(samples, points, model, kind, lead_time=lead_time, probabilities=probabilities)
        known = outage.days & np.isfinite(by_kind).all(axis=1)
        offsets[known] = by_kind[known]
    return _not_finer_than_readings(offsets, samples, probabilities)


def _not_finer_than_readings(offsets: Array, samples: Samples, probabilities: Sequence[float]) -> Array:
    """`offsets` that are not narrower than the rounding of the readings, which is uniform within their resolution."""
    if samples.resolution is None:
        return offsets
    rounding = samples.resolution[:, None] * (np.asarray(probabilities) - 0.5)
    widened = np.where(rounding < 0, np.minimum(offsets, rounding), np.maximum(offsets, rounding))
    return np.where(rounding == 0, offsets, widened)


def within_limits(changes: Array, samples: Samples) -> Array:
    """`changes` (n, quantiles) of each day, none of which leads to an impossible level."""
    low, high = (limit - samples.start_level[:, None] for limit in samples.limits)
    return np.minimum(np.maximum(changes, low), high)


def error_state(samples: Samples, points: Mapping[str, PointForecasts], change: Array, lead_time: int) -> State:
    """The state of each day on which the scale of the errors of a forecast `change` depends.

    Its sizes are those of the inputs, the size of the forecast change, the range of the models' forecasts, and the
    spreads that models predict.
    """
    state = state_from_inputs(samples.inputs_at(lead_time), regime_mask(samples, "wet"), samples.dates)
    model_range = _range_of_models(points, lambda point: point.changes[lead_time])
    spreads = _predicted_spreads(points, lambda point: point.spreads.get(lead_time))
    return state.with_sizes(np.abs(change), model_range, *spreads)


def _predicted_spreads(
    points: Mapping[str, PointForecasts], spread_of: Callable[[PointForecasts], Array | None]
) -> list[Array]:
    """The spreads of each model that predicts any."""
    spreads = [spread_of(point) for point in points.values()]
    return [spread for spread in spreads if spread is not None and np.isfinite(spread).any()]


def _range_of_models(points: Mapping[str, PointForecasts], change_of: Callable[[PointForecasts], Array]) -> Array:
    """Largest minus smallest forecast of all models but the references, shape (n,); 0 with fewer than two models."""
    changes = [change_of(point) for name, point in points.items() if name not in REFERENCES]
    changes = changes or [np.zeros(len(change_of(next(iter(points.values())))))]
    return np.asarray(np.max(changes, axis=0) - np.min(changes, axis=0))


def outage_offsets(
    samples: Samples,
    points: Mapping[str, PointForecasts],
    model: str,
    kind: str,
    *,
    lead_time: int,
    probabilities: Sequence[float],
) -> Array:
    """Quantile offsets on days in one kind of outage, from the errors of its simulated outages; NaN on other days.

    The scale of the errors depends on the state of the day and on the ages of level and drivers. Without drivers no
    day is known to be wet, so wet days are not calibrated separately.
    """
    assert samples.outages is not None
    outage, observed_outages = samples.outages.simulated[kind], samples.outages
    days = outage.days

    def change_of(point: PointForecasts) -> Array:
        return np.where(days, point.changes[lead_time], point.outage_changes[kind][lead_time])

    def spread_of(point: PointForecasts) -> Array | None:
        if lead_time not in point.spreads:
            return None
        return np.where(days, point.spreads[lead_time], point.outage_spreads[kind][lead_time])

    change = change_of(points[model])
    start = np.where(days, samples.start_level, outage.start_level)
    observed = np.full(len(days), np.nan)
    observed[:-lead_time] = samples.trusted[lead_time:] - start[:-lead_time]
    wet = regime_mask(samples, "wet") & (kind == "level")
    state = state_from_inputs(samples.inputs_at(lead_time), wet, samples.dates)
    outage_state = state_from_inputs(outage.inputs_at(lead_time), wet, samples.dates)
    sizes = np.where(days[:, None], state.sizes, outage_state.sizes)
    state = State(samples.dates, wet, sizes).with_sizes(
        np.abs(change),
        _range_of_models(points, change_of),
        *_predicted_spreads(points, spread_of),
        np.where(days, observed_outages.level_age, outage.level_age),
        np.where(days, observed_outages.drivers_age, outage.drivers_age),
    )
    return error_quantiles(
        observed - change,
        state,
        lead_time=lead_time,
        probabilities=probabilities,
        mask=days,
        correlation_days=3 * lead_time + SIMULATED_OUTAGE_DAYS,
    )


def marginals(samples: Samples, points: Mapping[str, PointForecasts], model: str) -> Array:
    """Changes of a model at 50 equally likely quantiles, ascending, shape (n, leads, 50).

    NaN without a forecast, a start level or an interval.
    """
    by_lead = [
        change[:, None] + interval_offsets(samples, points, model, lead_time=lead, probabilities=LEVELS.tolist())
        for lead, change in points[model].changes.items()
    ]
    members = np.stack([within_limits(changes, samples) for changes in by_lead], axis=1)
    members[~np.isfinite(samples.start_level)] = np.nan
    return members


def sample_paths(
    samples: Samples, points: Mapping[str, PointForecasts], members: Array, model: str = DEFAULT_MODEL
) -> Array:
    """Sample paths of a model: its `marginals` reordered along the leads like its past errors, the same shape."""
    changes = points[model].changes
    observed = np.stack([samples.change(samples.trusted, lead) for lead in changes], axis=1)
    low, high = np.searchsorted(LEVELS, (0.1, 0.9))
    width = members[:, :, high] - members[:, :, low]
    errors = observed - np.stack(list(changes.values()), axis=1)
    scaled = np.divide(errors, width, out=np.zeros_like(errors), where=(width > 0) | ~np.isfinite(width + errors))
    return join_leads(members, scaled, leads=list(changes), days=samples.dates, wet=regime_mask(samples, "wet"))


def crps_by_day(samples: Samples, members: Array, leads: Sequence[int]) -> dict[int, Array]:
    """Lead time → CRPS of the members of each day, shape (n,); NaN without members or an observed change.

    The order of members along the leads does not matter: `marginals` and `sample_paths` have the same CRPS.
    """
    return {lead: crps_ensemble(members[:, k], samples.observed_change(lead)) for k, lead in enumerate(leads)}


def regime_mask(samples: Samples, name: str) -> NDArray[np.bool_]:
    """Whether each day belongs to a regime, shape (n,); all False for a regime that the samples do not have."""
    return samples.regimes.get(name, np.zeros(len(samples.dates), bool))


def without_outage(samples: Samples) -> NDArray[np.bool_]:
    """Whether each day has a level and at least one driver, shape (n,)."""
    if samples.outages is None:
        return np.ones(len(samples.dates), bool)
    return np.asarray((samples.outages.level_age == 0) & (samples.outages.drivers_age == 0))
