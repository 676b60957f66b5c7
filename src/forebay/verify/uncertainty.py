"""The uncertainty of a hindcast's point forecasts: intervals and sample paths from errors known on the init date."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.features.inputs import AHEAD
from forebay.features.outages import SIMULATED_OUTAGE_DAYS
from forebay.metrics import crps_ensemble, quantile_so_far
from forebay.models.blend import disagrees_wildly, range_of_models
from forebay.models.day_kinds import ABOVE_FULL, FALLING, FORECAST, NEAR_FULL, RISING, WET
from forebay.models.intervals import State, error_quantiles, state_from_inputs
from forebay.models.lead_curve import has_curve, offset_curve, smoothed
from forebay.models.paths import LEVELS, join_leads
from forebay.models.quantile_order import around_median, not_finer_than_readings, rising
from forebay.models.rows import ALL_ROWS, Rows
from forebay.models.stages import in_stages
from forebay.tables import DEFAULT_MODEL, QUANTILES, REFERENCES
from forebay.verify.point_forecasts import days_since
from forebay.verify.responses import response_of, with_response

if TYPE_CHECKING:
    from forebay.features.samples import Samples
    from forebay.models.model import Array
    from forebay.verify.point_forecasts import PointForecasts


FAST, MIN_CHANGES = 0.05, 365
"""Share of the changes so far that are a fast fall, and a fast rise; number of changes from which on it is known."""

INFLOW_MODEL = "inflow_ahead"
"""The model of the days with an inflow forecast."""
QUANTILES_AT_ONCE = 10
"""Quantiles whose responses are in memory at the same time; each quantile learns its own."""


def interval_offsets(
    samples: Samples,
    points: Mapping[str, PointForecasts],
    models: Sequence[str],
    *,
    lead_time: int,
    probabilities: Sequence[float] = QUANTILES,
    rows: Rows = ALL_ROWS,
) -> Array:
    """Quantile offsets from the point forecasts of models, shape (n, models, probabilities).

    NaN with too few known errors. The scale of the errors depends on the state of the day (`error_state`). Days in an
    outage get their offsets from simulated outages of the same kind (`outage_offsets`). The rows before `rows.begin`
    have no meaning.
    """
    changes = np.column_stack([points[model].changes[lead_time] for model in models])
    state = error_state(samples, points, changes, lead_time)
    observed = np.where(without_outage(samples), samples.change(samples.trusted, lead_time), np.nan)

    def learn(known: Array, needed: NDArray[np.bool_]) -> Array:
        early = state.head(len(needed))
        return error_quantiles(known, early, lead_time=lead_time, probabilities=probabilities, mask=needed)

    offsets = in_stages(learn, observed[:, None] - changes, changes, rows)
    if samples.outages is None:
        return offsets
    offsets[samples.level_age > 0] = np.nan
    for kind, outage in samples.outages.simulated.items():
        by_kind = outage_offsets(
            samples, points, models, kind, lead_time=lead_time, probabilities=probabilities, rows=rows
        )
        known = np.isfinite(by_kind).all(axis=2) & outage.days[:, None]
        offsets[known] = by_kind[known]
    return offsets


def quantile_changes(
    samples: Samples,
    points: Mapping[str, PointForecasts],
    models: Sequence[str],
    *,
    probabilities: Sequence[float] = QUANTILES,
    rows: Rows = ALL_ROWS,
) -> dict[str, Array]:
    """Model → quantiles of its forecast changes, shape (n, leads, probabilities), rising, from `rows.begin` on.

    NaN with too few known errors. The offsets of `default` are smoothed over the lead times (`models.lead_curve`). The
    response near full supply (`models.response`) acts on each of its quantiles but the median, which has its own. No
    quantile leaves the limits of the dam. The references stay as they are defined, but above an empty lake.
    """
    by_lead = [
        interval_offsets(samples, points, models, lead_time=lead, probabilities=probabilities, rows=rows)[rows.begin :]
        for lead in points[models[0]].changes
    ]
    offsets = np.stack(by_lead, axis=2)
    late, late_rows = samples.since(rows.begin), rows.since(rows.begin)
    return {
        model: _quantiles_from_offsets(
            late, days_since(points[model], rows.begin), model, offsets[:, column], probabilities, late_rows
        )
        for column, model in enumerate(models)
    }


def _quantiles_from_offsets(
    samples: Samples,
    point: PointForecasts,
    model: str,
    offsets: Array,
    probabilities: Sequence[float],
    rows: Rows,
) -> Array:
    """Quantiles of the change that `point` forecasts, from its `offsets` (n, leads, probabilities)."""
    leads = list(point.changes)
    if point.curves is not None:
        offsets = rising(smoothed(offsets, offset_curve(leads), has_curve(point.curves)))
    offsets = not_finer_than_readings(offsets, samples.resolution, probabilities)
    median = np.stack(list(point.changes.values()), axis=1)[:, :, None]
    changes = median + offsets
    if model == DEFAULT_MODEL and samples.full_supply is not None:
        changes = _after_response(changes, median, samples, leads, probabilities, rows)
    for column, lead in enumerate(leads):
        limits = samples.possible if model in REFERENCES else samples.limits.get(lead, samples.possible)
        low, high = (np.reshape(limit - samples.start_level, (-1, 1)) for limit in limits)
        changes[:, column] = np.minimum(np.maximum(changes[:, column], low), high)
    return changes


def _after_response(
    changes: Array, median: Array, samples: Samples, leads: Sequence[int], probabilities: Sequence[float], rows: Rows
) -> Array:
    """Quantiles `changes` (n, leads, probabilities) after the response, rising, about the `median` (n, leads, 1)."""
    levels = np.asarray(probabilities)
    parts = []
    for first in range(0, len(levels), QUANTILES_AT_ONCE):
        few = slice(first, first + QUANTILES_AT_ONCE)
        response = response_of(changes[:, :, few], samples, leads, probabilities[few], rows)
        parts.append(with_response(changes[:, :, few], samples.start_level, samples, response, leads=leads))
    return around_median(np.concatenate(parts, axis=2), median, levels)


def interval_kinds(samples: Samples, points: Mapping[str, PointForecasts], lead_time: int) -> NDArray[np.intp]:
    """Kind of each day for the intervals, shape (n,): `day_kinds`, with days of a fast fall or rise.

    A fall is fast if the last change is below the .05 quantile of the changes so far, a rise if it is above the .95
    quantile. Such a fall goes on more often than the sizes of errors tell, and a flood is often followed by more.
    """
    low, high = fast_changes(samples)
    last = samples.inputs["last_change"].cast(pl.Float64).to_numpy().astype(float)
    return np.asarray(day_kinds(samples, points, lead_time) + FALLING * (last < low) + RISING * (last > high))


def fast_changes(samples: Samples) -> tuple[Array, Array]:
    """Last change below which a fall is fast, and above which a rise is fast, on each day; NaN before it is known."""
    change = samples.inputs["last_change"].cast(pl.Float64).fill_nan(None)
    low, high = (quantile_so_far(change, share, MIN_CHANGES) for share in (FAST, 1 - FAST))
    return np.minimum(low, 0), np.maximum(high, 0)


def day_kinds(samples: Samples, points: Mapping[str, PointForecasts], lead_time: int) -> NDArray[np.intp]:
    """Kind of each day (`models.day_kinds`) at a lead time but for its falls and rises, shape (n,)."""
    flags = {"wet": WET, "near_full": NEAR_FULL, "above_full": ABOVE_FULL}
    is_forecast = _has_inflow_forecast(samples, points, lead_time)
    kinds = np.sum([flag * regime_mask(samples, name) for name, flag in flags.items()], axis=0)
    return np.asarray(kinds + FORECAST * is_forecast)


def _has_inflow_forecast(
    samples: Samples, points: Mapping[str, PointForecasts], lead_time: int
) -> NDArray[np.bool_]:
    """Whether each day has an inflow forecast up to the lead time and a fitted model that uses it, shape (n,)."""
    inputs = samples.forcing_inputs.get(lead_time, pl.DataFrame())
    names = inflow_inputs(samples, lead_time)
    if not names or INFLOW_MODEL not in points:
        return np.zeros(len(samples.dates), bool)
    has_forecast = inputs.select(pl.all_horizontal(pl.col(names).is_not_null())).to_series().to_numpy()
    replaced_until = points[INFLOW_MODEL].fallback_until.get(lead_time)
    return has_forecast if replaced_until is None else has_forecast & (samples.dates > np.datetime64(replaced_until))


def inflow_inputs(samples: Samples, lead_time: int) -> list[str]:
    """Names of the inputs from an inflow forecast."""
    inputs = samples.forcing_inputs.get(lead_time, pl.DataFrame())
    return [name for name in inputs.columns if name.startswith(AHEAD)]


def error_state(samples: Samples, points: Mapping[str, PointForecasts], changes: Array, lead_time: int) -> State:
    """The state of each day on which the scale of the errors of forecast `changes` (n, models) depends.

    Its sizes are those of the inputs, the size of the forecast change, the range of the models' forecasts, and the
    spreads that models predict.
    """
    model_range = range_of_models({name: point.changes[lead_time] for name, point in points.items()})
    is_unusual = disagrees_wildly(model_range) | far_outside(points, lead_time)
    kinds = interval_kinds(samples, points, lead_time)
    state = state_from_inputs(samples.inputs_at(lead_time), kinds, samples.dates, is_unusual)
    spreads = _predicted_spreads(points, lambda point: point.spreads.get(lead_time))
    return state.with_sizes_by_model(np.abs(changes)).with_sizes(model_range, *spreads)


def _predicted_spreads(
    points: Mapping[str, PointForecasts], spread_of: Callable[[PointForecasts], Array | None]
) -> list[Array]:
    """The spreads of each model that predicts any."""
    spreads = [spread_of(point) for point in points.values()]
    return [spread for spread in spreads if spread is not None and np.isfinite(spread).any()]


def far_outside(points: Mapping[str, PointForecasts], lead_time: int) -> NDArray[np.bool_]:
    """Whether each day has an input far outside the range of the fits (`features.input_range`), shape (n,)."""
    days = [point.far_outside[lead_time] for point in points.values() if lead_time in point.far_outside]
    return days[0] if days else np.zeros(len(next(iter(points.values())).changes[lead_time]), bool)


def outage_offsets(  # noqa: PLR0913  # those of `interval_offsets`, and the kind
    samples: Samples,
    points: Mapping[str, PointForecasts],
    models: Sequence[str],
    kind: str,
    *,
    lead_time: int,
    probabilities: Sequence[float],
    rows: Rows = ALL_ROWS,
) -> Array:
    """Quantile offsets of models on days in one kind of outage, shape (n, models, probabilities); NaN on other days.

    They come from the errors of its simulated outages (`outage_errors`).
    """
    assert samples.outages is not None
    days = samples.outages.simulated[kind].days
    errors, state = outage_errors(samples, points, models, kind, lead_time=lead_time)

    def learn(known: Array, needed: NDArray[np.bool_]) -> Array:
        return error_quantiles(
            known,
            state.head(len(needed)),
            lead_time=lead_time,
            probabilities=probabilities,
            mask=days[: len(needed)] & needed,
            correlation_days=outage_correlation_days(lead_time),
        )

    stages = np.column_stack([points[model].changes[lead_time] for model in models])
    return in_stages(learn, errors, stages, rows)


def outage_correlation_days(lead_time: int) -> int:
    """Days over which the errors of simulated outages are correlated."""
    return 3 * lead_time + SIMULATED_OUTAGE_DAYS


def outage_errors(
    samples: Samples, points: Mapping[str, PointForecasts], models: Sequence[str], kind: str, *, lead_time: int
) -> tuple[Array, State]:
    """Errors of models in the simulated outages of a kind, shape (n, models), and the state on which they depend.

    The scale of the errors depends on the state of the day and on the ages of level and drivers. Without drivers no day
    is known to be wet, so wet days are not calibrated separately. A day in a real outage has its own state.
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

    changes = np.column_stack([change_of(points[model]) for model in models])
    start = np.where(days, samples.start_level, outage.start_level)
    observed = np.full(len(days), np.nan)
    observed[:-lead_time] = samples.trusted[lead_time:] - start[:-lead_time]
    wet = WET * (regime_mask(samples, "wet") & (kind == "level"))
    is_unusual = days & far_outside(points, lead_time)
    state = state_from_inputs(samples.inputs_at(lead_time), wet, samples.dates, is_unusual)
    outage_state = state_from_inputs(outage.inputs_at(lead_time), wet, samples.dates, is_unusual)
    sizes = np.where(days[:, None], state.sizes, outage_state.sizes)
    state = replace(state, sizes=sizes).with_sizes_by_model(np.abs(changes))
    state = state.with_sizes(
        range_of_models({name: change_of(point) for name, point in points.items()}),
        *_predicted_spreads(points, spread_of),
        np.where(days, observed_outages.level_age, outage.level_age),
        np.where(days, observed_outages.drivers_age, outage.drivers_age),
    )
    return observed[:, None] - changes, state


def marginals(
    samples: Samples, points: Mapping[str, PointForecasts], model: str, rows: Rows = ALL_ROWS
) -> Array:
    """Changes of a model at 50 equally likely quantiles, ascending, shape (n, leads, 50), from `rows.begin` on.

    NaN without a forecast, a start level or an interval.
    """
    members = quantile_changes(samples, points, [model], probabilities=LEVELS.tolist(), rows=rows)[model]
    members[~np.isfinite(samples.start_level[rows.begin :])] = np.nan
    return members


def sample_paths(
    samples: Samples,
    points: Mapping[str, PointForecasts],
    members: Array,
    model: str = DEFAULT_MODEL,
    rows: Rows = ALL_ROWS,
) -> Array:
    """Sample paths of a model: its `marginals` reordered along the leads like its past errors, of every day."""
    changes = points[model].changes
    observed = np.stack([samples.change(samples.trusted, lead) for lead in changes], axis=1)
    low, high = np.searchsorted(LEVELS, (0.1, 0.9))
    width = rows.extend("width", members[:, :, high] - members[:, :, low])
    errors = observed - np.stack(list(changes.values()), axis=1)
    scaled = np.divide(errors, width, out=np.zeros_like(errors), where=(width > 0) | ~np.isfinite(width + errors))
    wet = regime_mask(samples, "wet")
    return rows.extend("paths", join_leads(members, scaled, leads=list(changes), days=samples.dates, wet=wet))


def crps_by_day(samples: Samples, members: Array, leads: Sequence[int]) -> dict[int, Array]:
    """Lead time → CRPS of the members of each of the last days, shape (n,); NaN without members or observed change.

    The order of members along the leads does not matter: `marginals` and `sample_paths` have the same CRPS.
    """
    observed = {lead: samples.observed_change(lead)[-len(members) :] for lead in leads}
    return {lead: crps_ensemble(members[:, k], observed[lead]) for k, lead in enumerate(leads)}


def regime_mask(samples: Samples, name: str) -> NDArray[np.bool_]:
    """Whether each day belongs to a regime, shape (n,); all False for a regime that the samples do not have."""
    return samples.regimes.get(name, np.zeros(len(samples.dates), bool))


def without_outage(samples: Samples) -> NDArray[np.bool_]:
    """Whether each day has a level and at least one driver, shape (n,)."""
    if samples.outages is None:
        return np.ones(len(samples.dates), bool)
    return np.asarray((samples.outages.level_age == 0) & (samples.outages.drivers_age == 0))
