"""The model `default`: the blend of all models with its corrections, of every day of a hindcast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forebay.models.blend import blend, disagrees_wildly, range_of_models, robust_weights
from forebay.models.day_kinds import WET
from forebay.models.intervals import State, quiet_median
from forebay.models.lead_curve import curve_weights, daily_curves, smoothed
from forebay.models.rows import ALL_ROWS, Rows
from forebay.models.stages import in_stages
from forebay.tables import DEFAULT_MODEL
from forebay.verify.hindcast import MAIN_MODEL
from forebay.verify.point_forecasts import PointForecasts
from forebay.verify.responses import response_of, with_response
from forebay.verify.uncertainty import day_kinds, error_state, without_outage

if TYPE_CHECKING:
    from forebay.features.samples import Samples
    from forebay.models.model import Array


def with_default(
    points: Mapping[str, PointForecasts], samples: Samples, rows: Rows = ALL_ROWS
) -> dict[str, PointForecasts]:
    """`points` with the model `default` appended: the blend of all models with three corrections.

    Where the models disagree wildly, it blends those alone that cannot leave their experience.

    The first correction is the median of the blend's past errors on quiet days (`intervals.quiet_median`). The second
    smooths the forecasts of a day over the lead times (`models.lead_curve`). The third is the dam's response to a rise
    beyond full supply (`models.response`). The blend learns separately for each kind of day: wet, near full supply,
    above it. `rows` are the days to compute.
    """
    leads = list(points[MAIN_MODEL].changes)
    is_complete = without_outage(samples)
    kinds = {lead: day_kinds(samples, points, lead) for lead in leads}
    blends = {lead: _blend(points, samples, lead, kinds[lead], is_complete, rows) for lead in leads}
    blended = np.stack([at_lead.changes for at_lead in blends.values()], axis=1)

    def learn(known: Array, needed: NDArray[np.bool_]) -> Array:
        n = len(needed)
        return curve_weights(blended[:n], known, leads=leads, rows=rows.of(n))

    # The forecasts of an older level have no curve that starts at 0.
    is_smoothed = (samples.level_age == 0) & np.isfinite(blended).all(axis=1)
    weights = in_stages(learn, samples.changes(samples.trusted, leads), blended, rows)
    weights = rows.extend("curve", weights)
    curves = daily_curves(weights, is_smoothed, leads=leads)
    unlimited = smoothed(blended, curves)[:, :, None]
    response = response_of(unlimited, samples, leads, [0.5], rows)
    response = None if response is None else rows.extend("response", response)
    changes = with_response(unlimited, samples.start_level, samples, response, leads=leads)
    outage_changes = {}
    for kind in points[MAIN_MODEL].outage_changes:
        outage = np.stack([at_lead.outage_changes[kind] for at_lead in blends.values()], axis=1)
        start, age = samples.start_level, samples.level_age
        if samples.outages is not None:
            simulated = samples.outages.simulated[kind]
            start, age = simulated.start_level, simulated.level_age
        outage = smoothed(outage, curves, age == 0)[:, :, None]
        outage_changes[kind] = _by_lead(leads, with_response(outage, start, samples, response, leads=leads))
    default = PointForecasts(
        _by_lead(leads, changes),
        points[MAIN_MODEL].fallback_until,
        weights={lead: at_lead.weights for lead, at_lead in blends.items()},
        shift={lead: at_lead.shift for lead, at_lead in blends.items()},
        response={lead: float(change[-1]) for lead, change in _by_lead(leads, changes - unlimited).items()},
        unshifted={lead: at_lead.unshifted for lead, at_lead in blends.items()},
        curves=curves,
        curve_weights=weights,
        outage_changes=outage_changes,
    )
    return {**points, DEFAULT_MODEL: default}


def _by_lead(leads: Sequence[int], changes: Array) -> dict[int, Array]:
    """Lead time → its column of `changes` (n, leads, 1)."""
    return {lead: changes[:, column, 0] for column, lead in enumerate(leads)}


class _Blend(NamedTuple):
    """The blend at one lead time before it is smoothed.

    changes, unshifted: forecast change of each day, with the correction of quiet days and without it; weights, shift:
    weight of each model and that correction on the last day; outage_changes: kind of outage → `changes` in its
    simulated outages.
    """

    changes: Array
    unshifted: Array
    weights: dict[str, float]
    shift: float
    outage_changes: dict[str, Array]


def _blend(
    points: Mapping[str, PointForecasts],
    samples: Samples,
    lead: int,
    regimes: NDArray[np.intp],
    is_complete: NDArray[np.bool_],
    rows: Rows,
) -> _Blend:
    """The blend at one lead time."""
    forecasts = {name: point.changes[lead] for name, point in points.items()}
    observed = samples.change(samples.trusted, lead)
    is_wild = disagrees_wildly(range_of_models(forecasts))
    weights = robust_weights(blend_weights(forecasts, observed, lead, (regimes, regimes), rows), is_wild)
    blended = np.sum([weights[name] * change for name, change in forecasts.items()], axis=0)
    errors = np.where(is_complete, observed - blended, np.nan)
    shift = _quiet_shift(errors, error_state(samples, points, blended[:, None], lead), blended, lead, rows)
    shift = np.where(is_complete, shift, 0.0)
    newest = {name: float(daily[-1]) for name, daily in weights.items()}
    outage_changes = {}
    for kind in points[MAIN_MODEL].outage_changes:
        own = weights
        if kind != "level":  # without rain data no day is known to be wet
            own = blend_weights(forecasts, observed, lead, (regimes, regimes & ~WET), rows, kind)
        parts = [own[name] * point.outage_changes[kind][lead] for name, point in points.items()]
        outage_changes[kind] = np.sum(parts, axis=0)
    return _Blend(blended + shift, blended, newest, float(shift[-1]), outage_changes)


def blend_weights(
    forecasts: Mapping[str, Array],
    observed: Array,
    lead_time: int,
    regimes: tuple[NDArray[np.intp], NDArray[np.intp]],
    rows: Rows,
    outage: str = "",
) -> dict[str, Array]:
    """Model → its weight on each day, shape (n,), as `blend` learns it from the first of `regimes` for the second."""
    learned, used = regimes

    def learn(known: Array, needed: NDArray[np.bool_]) -> Array:
        n = len(needed)
        first = {name: change[:n] for name, change in forecasts.items()}
        weights = blend(
            first, known, lead_time=lead_time, regimes=learned[:n], weight_regimes=used[:n], rows=rows.of(n)
        )[1]
        return np.column_stack(list(weights.values()))

    weights = in_stages(learn, observed, np.column_stack(list(forecasts.values())), rows)
    return dict(zip(forecasts, rows.extend(f"blend{lead_time}{outage}", weights).T, strict=True))


def _quiet_shift(errors: Array, state: State, blended: Array, lead_time: int, rows: Rows) -> Array:
    """Correction of each day, shape (n,), as `quiet_median` learns it."""

    def learn(known: Array, needed: NDArray[np.bool_]) -> Array:
        return quiet_median(known, state.head(len(needed)), lead_time=lead_time, mask=needed)

    return rows.extend(f"shift{lead_time}", in_stages(learn, errors, blended, rows))
