"""The hindcast of scenarios: forecasts that know the rain of the coming days, and what its last day knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.features.known_ahead import RAIN_AHEAD
from forebay.features.outages import Outages, SimulatedOutage
from forebay.log import step
from forebay.models.blend import disagrees_wildly, range_of_models, weighted_sum
from forebay.models.intervals import State, error_quantiles, quiet_median, state_from_inputs
from forebay.models.monotone import scenario_models
from forebay.models.paths import LEVELS, join_leads
from forebay.models.rain_rise import (
    LOWER_POWER,
    PROBABILITIES,
    UPPER_POWER,
    Response,
    error_growth,
    limited,
    typical_error,
    unresponded,
)
from forebay.models.stages import in_stages
from forebay.verify.default import blend_weights
from forebay.verify.hindcast import SEQUENTIAL, Execution, point_forecasts
from forebay.verify.responses import response_of, with_response
from forebay.verify.row_store import rows_of
from forebay.verify.uncertainty import (
    QUANTILES_AT_ONCE,
    day_kinds,
    interval_kinds,
    regime_mask,
)

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples
    from forebay.models.model import Array
    from forebay.models.rows import Rows
    from forebay.verify.point_forecasts import PointForecasts

NO_RAIN = "no_rain"
"""Name of the forecasts of each day as if no rain fell on the coming days."""
ROWS_OF = "known rain"
"""Name of these hindcasts in a store of rows."""
ABOVE_CAPS = 10.0
"""Margins above full supply that are above every cap of the response (`models.response`)."""


@dataclass(frozen=True)
class Blend:
    """The blend of a hindcast with known rain, shape (n, leads) each, before the response near full supply.

    Attributes
    ----------
    dry, wet
        Forecast changes without rain on the coming days and with the observed rain.
    weights
        Model → its weight.
    shift
        Correction of quiet days; the same with and without rain.
    unit
        Typical error of `wet` as known on each day; NaN before it is known.
    """

    dry: Array
    wet: Array
    weights: Mapping[str, Array]
    shift: Array
    unit: Array


@dataclass(frozen=True)
class KnownRain:
    """A hindcast with known rain.

    Attributes
    ----------
    samples, points
        The samples, and model → its point forecasts with the fits of the last day.
    blend
        The blend before the response.
    offsets
        Quantiles of the scaled errors as known on the last day, shape (leads, k) for `PROBABILITIES`.
    changes
        Quantiles of the forecast change of each day, shape (n, leads, k).
    response
        Weights of the responses on the last day.
    ranks
        Order of the members of the sample paths on the last day, shape (leads, members).
    """

    samples: Samples
    points: Mapping[str, PointForecasts]
    blend: Blend
    offsets: Array
    changes: Array
    response: Response
    ranks: NDArray[np.intp]


@step("known_rain")
def known_rain_hindcast(
    samples: Samples, dam: Dam, *, planned_release: bool = False, execution: Execution = SEQUENTIAL
) -> KnownRain:
    """Hindcast of the models of scenarios.

    Parameters
    ----------
    samples
        With the observed rain of the coming days among the forcing inputs (`features.known_ahead.known_ahead`).
    planned_release
        Whether the release of the coming days is known too, in these inputs.
    """
    models = scenario_models(dam, planned_release=planned_release)
    samples, leads = replace(samples, outages=None), list(dam.hindcast.leads)
    rows = rows_of(execution.hindcasts, samples, dam, ROWS_OF)
    points = point_forecasts(_with_no_rain(samples), dam, models, execution=execution, rows=rows)
    blend = _blend(samples, points, leads, rows)
    by_lead = [_offsets(samples, points, blend, k, lead, rows)[rows.begin :] for k, lead in enumerate(leads)]
    offsets = np.stack(by_lead, axis=1)
    late_changes, response = _responded(
        samples.since(rows.begin), _since(blend, rows.begin), offsets, leads, rows.since(rows.begin)
    )
    changes = rows.extend("quantiles", late_changes)
    if execution.hindcasts is not None:
        execution.hindcasts.save(rows, dam, ROWS_OF)
    return KnownRain(samples, points, blend, offsets[-1], changes, response, _ranks(samples, changes, leads))


def no_rain(inputs: pl.DataFrame) -> pl.DataFrame:
    """`inputs` without rain on the coming days."""
    return inputs.with_columns(pl.lit(0.0).alias(name) for name in inputs.columns if name.startswith(RAIN_AHEAD))


def _with_no_rain(samples: Samples) -> Samples:
    """`samples` whose only simulated outage, on all days, is that no rain falls on the coming days."""
    days = len(samples.dates)
    never, always = np.zeros(days, int), np.ones(days, int)
    dry = {lead: no_rain(inputs) for lead, inputs in samples.forcing_inputs.items()}
    simulated = SimulatedOutage(never.astype(bool), samples.inputs, samples.level, never, always, dry)
    return replace(samples, outages=Outages(samples.level, never, never, {NO_RAIN: simulated}))


def _blend(samples: Samples, points: Mapping[str, PointForecasts], leads: Sequence[int], rows: Rows) -> Blend:
    """The blend, with weights and correction that depend on the present day and not on the rain of the coming days."""
    blends = [_blend_at(samples, points, lead, rows) for lead in leads]

    def joined(part: Callable[[Blend], Array]) -> Array:
        return np.stack([part(blend) for blend in blends], axis=1)

    return Blend(
        dry=joined(lambda blend: blend.dry),
        wet=joined(lambda blend: blend.wet),
        weights={name: np.stack([blend.weights[name] for blend in blends], axis=1) for name in points},
        shift=joined(lambda blend: blend.shift),
        unit=joined(lambda blend: blend.unit),
    )


def _since(blend: Blend, begin: int) -> Blend:
    """`blend` without its first `begin` days."""
    weights = {name: weight[begin:] for name, weight in blend.weights.items()}
    return Blend(blend.dry[begin:], blend.wet[begin:], weights, blend.shift[begin:], blend.unit[begin:])


def _blend_at(samples: Samples, points: Mapping[str, PointForecasts], lead: int, rows: Rows) -> Blend:
    """The blend at one lead time; all arrays have shape (n,)."""
    of_rain = {name: point.changes[lead] for name, point in points.items()}
    of_none = {name: point.outage_changes[NO_RAIN][lead] for name, point in points.items()}
    observed, kinds = samples.change(samples.trusted, lead), day_kinds(samples, points, lead)
    weights = blend_weights(of_rain, observed, lead, (kinds, kinds), rows)
    wet, dry = weighted_sum(weights, of_rain), weighted_sum(weights, of_none)
    state = _present_state(samples, points, dry, lead)

    def learn(known: Array, needed: NDArray[np.bool_]) -> Array:
        return quiet_median(known, state.head(len(needed)), lead_time=lead, mask=needed)

    shift = rows.extend(f"shift{lead}", in_stages(learn, observed - wet, wet, rows))
    return Blend(dry + shift, wet + shift, weights, shift, typical_error(observed - wet - shift, lead))


def _present_state(samples: Samples, points: Mapping[str, PointForecasts], dry: Array, lead: int) -> State:
    """The state of each day on which its errors depend, without the rain of the coming days."""
    model_range = range_of_models({name: point.outage_changes[NO_RAIN][lead] for name, point in points.items()})
    kinds = interval_kinds(samples, points, lead)
    state = state_from_inputs(samples.inputs, kinds, samples.dates, disagrees_wildly(model_range))
    return state.with_sizes(np.abs(dry), model_range)


def _offsets(  # noqa: PLR0913  # the hindcast so far, the lead time with its column, and the days to compute
    samples: Samples, points: Mapping[str, PointForecasts], blend: Blend, column: int, lead: int, rows: Rows
) -> Array:
    """Quantiles of the scaled errors at one lead time, shape (n, k); the rows before `rows.begin` have no meaning."""
    dry, wet, unit = (values[:, column] for values in (blend.dry, blend.wet, blend.unit))
    errors, state = samples.change(samples.trusted, lead) - wet, _present_state(samples, points, dry, lead)
    is_lower = PROBABILITIES < 0.5
    sides = []
    for power, probabilities in ((LOWER_POWER, PROBABILITIES[is_lower]), (UPPER_POWER, PROBABILITIES[~is_lower])):

        def learn(known: Array, needed: NDArray[np.bool_], probabilities: Array = probabilities) -> Array:
            early, levels = state.head(len(needed)), probabilities.tolist()
            return error_quantiles(known, early, lead_time=lead, probabilities=levels, mask=needed)

        sides.append(in_stages(learn, errors / error_growth(wet - dry, unit, power), wet, rows))
    return np.concatenate(sides, axis=1)


def _responded(
    samples: Samples, blend: Blend, offsets: Array, leads: Sequence[int], rows: Rows
) -> tuple[Array, Response]:
    """Quantiles of the changes of each day, shape (n, leads, k), and the response of the last day."""
    start = samples.start_level
    quantiles = unresponded(blend.dry, blend.wet, offsets, blend.unit, samples.resolution)
    median, last_median = _respond(blend.wet[..., None], samples, leads, [0.5], rows)
    parts, last_parts = [], []
    for first in range(0, len(PROBABILITIES), QUANTILES_AT_ONCE):
        few = slice(first, first + QUANTILES_AT_ONCE)
        part, last = _respond(quantiles[..., few], samples, leads, PROBABILITIES[few].tolist(), rows)
        parts.append(part)
        last_parts.append(last)
    low, high = (
        np.stack([samples.limits.get(lead, samples.possible)[end] - start for lead in leads], axis=1) for end in (0, 1)
    )
    changes = limited(np.concatenate(parts, axis=2), median, low, high)
    known = [last for last in last_parts if last is not None]
    return changes, Response(last_median, np.concatenate(known, axis=2) if known else None)


def _respond(
    changes: Array, samples: Samples, leads: Sequence[int], probabilities: Sequence[float], rows: Rows
) -> tuple[Array, Array | None]:
    """`changes` (n, leads, k) after the response, and the weights of the responses on the last day."""
    if samples.full_supply is None:
        return changes, None
    full_supply, start = samples.full_supply, samples.start_level
    # On a day on which no response acts the weights have no meaning; on the last one, any rain may be asked for.
    ahead = np.array([full_supply.level_ahead[lead][-1] for lead in leads])
    above = changes.copy()
    above[-1] = (ahead + ABOVE_CAPS * full_supply.margin[-1] - start[-1])[:, None]
    weights = response_of(np.where(np.isfinite(above), above, changes), samples, leads, probabilities, rows)
    assert weights is not None
    return with_response(changes, start, samples, weights, leads=leads), weights[-1:]


def _ranks(samples: Samples, changes: Array, leads: Sequence[int]) -> NDArray[np.intp]:
    """Order of the members of the last day, as `uncertainty.sample_paths` joins them."""
    middle, low, high = np.searchsorted(PROBABILITIES, (0.5, 0.1, 0.9))
    observed = samples.changes(samples.trusted, leads)
    width = changes[:, :, high] - changes[:, :, low]
    errors = observed - changes[:, :, middle]
    scaled = np.divide(errors, width, out=np.zeros_like(errors), where=(width > 0) | ~np.isfinite(width + errors))
    members = np.tile(np.arange(len(LEVELS), dtype=float), (1, len(leads), 1))
    joined = join_leads(members, scaled, leads=leads, days=samples.dates, wet=regime_mask(samples, "wet"))
    return np.asarray(joined[-1].astype(int))
