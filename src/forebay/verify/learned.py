"""What the model `default` has learned by a day: all that makes a forecast of the day's inputs besides the fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from forebay.errors import DataError
from forebay.features.samples import wet_limits
from forebay.models.blend import largest_range_before, range_of_models, weights_by_kind
from forebay.models.day_kinds import ABOVE_FULL, FALLING, FORECAST, NEAR_FULL, RISING, WET
from forebay.models.intervals import LearnedErrors, learned_errors
from forebay.models.lead_curve import daily_curves
from forebay.models.response import weights_by_group
from forebay.models.stages import EARLY_UNTIL, known_to_learners
from forebay.tables import DEFAULT_MODEL, QUANTILES
from forebay.verify.uncertainty import (
    error_state,
    fast_changes,
    inflow_inputs,
    outage_correlation_days,
    outage_errors,
    without_outage,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples
    from forebay.models.model import Array
    from forebay.models.rows import Rows
    from forebay.verify.point_forecasts import PointForecasts


Learned = TypeVar("Learned")


@dataclass(frozen=True)
class LearnedLead:
    """What is known at one lead time.

    Attributes
    ----------
    weights
        Kind of day → weight of each model, shape (models,).
    largest_range, largest_range_with_default
        Largest range of the models' forecasts before the day, without `default` and with it; infinite while few are
        known.
    quiet, intervals
        Errors of the blend for the correction of quiet days, and those of `default` for the intervals.
    outages
        Kind of outage that occurs (`features.outages`) → errors of `default` in its simulations; None with too few.
    response_median, response_quantiles
        Weight of each response on days up to the margin above full supply and above it, shape (2, responses) and
        (2, quantiles, responses); None without full supply.
    limits
        Lowest and highest possible level.
    """

    weights: dict[int, Array]
    largest_range: float
    largest_range_with_default: float
    quiet: LearnedErrors
    intervals: LearnedErrors
    outages: Mapping[str, LearnedErrors | None]
    response_median: Array | None
    response_quantiles: Array | None
    limits: tuple[float, float]


@dataclass(frozen=True)
class LearnedDay:
    """What `default` has learned by one day.

    Attributes
    ----------
    init_date
        The day.
    wet_above
        Input → value above which the day is wet; NaN where it is not known.
    fast_fall, fast_rise
        Last change below which a fall is fast, and above which a rise is fast; NaN before they are known.
    resolution
        Step of the readings; 0 without one.
    curve
        Matrix that smooths the forecasts of a day with a level over the lead times, shape (leads, leads).
    by_lead
        Lead time → what is known at it.
    """

    init_date: date
    wet_above: Mapping[str, float]
    fast_fall: float
    fast_rise: float
    resolution: float
    curve: Array
    by_lead: Mapping[int, LearnedLead]


def exportable_days(samples: Samples) -> NDArray[np.bool_]:
    """Whether `default` of each day has the form of `LearnedDay`, shape (n,).

    Such a day has a forecast. In a record of more than three years it is not one of the first three.
    """
    usable: NDArray[np.bool_] = np.isfinite(samples.start_level)
    if len(usable) > EARLY_UNTIL:
        usable[:EARLY_UNTIL] = False
    return usable


def learned_days(
    samples: Samples, dam: Dam, points: Mapping[str, PointForecasts], days: Sequence[int], rows: Rows
) -> list[LearnedDay]:
    """What `default` has learned by each of `days`.

    Parameters
    ----------
    points
        Model → its point forecasts, `default` included, whose learners `rows` has watched.
    days
        Indices of `exportable_days`.
    rows
        Has the states after the days.

    Raises
    ------
    DataError
        If fewer than 20 errors are known on a day.
    """
    members = {name: point for name, point in points.items() if name != DEFAULT_MODEL}
    by_lead = {lead: _learned_leads(samples, members, points, lead, days, rows) for lead in dam.hindcast.leads}
    low, high = fast_changes(samples)
    wet = wet_limits(samples.inputs, dam)
    weights = points[DEFAULT_MODEL].curve_weights
    assert weights is not None
    curves = daily_curves(weights, np.ones(len(weights), bool), leads=dam.hindcast.leads)
    return [
        LearnedDay(
            init_date=samples.dates[day].item(),
            wet_above={name: float(limit[day]) for name, limit in wet.items()},
            fast_fall=float(low[day]),
            fast_rise=float(high[day]),
            resolution=0.0 if samples.resolution is None else float(samples.resolution[day]),
            curve=curves[day],
            by_lead={lead: learned[position] for lead, learned in by_lead.items()},
        )
        for position, day in enumerate(days)
    ]


def _learned_leads(  # noqa: PLR0913  # two sets of points, the lead time, the days, and the states of their learners
    samples: Samples,
    members: Mapping[str, PointForecasts],
    points: Mapping[str, PointForecasts],
    lead: int,
    days: Sequence[int],
    rows: Rows,
) -> list[LearnedLead]:
    """What is known at one lead time on each of `days`."""
    default = points[DEFAULT_MODEL]
    by_model = ({name: point.changes[lead] for name, point in group.items()} for group in (members, points))
    before = [largest_range_before(range_of_models(changes)) for changes in by_model]
    leads = list(default.changes)
    column = leads.index(lead)
    quiet = _errors_by_day(samples, members, default.unshifted[lead], lead, days)
    intervals = _errors_by_day(samples, points, default.changes[lead], lead, days)
    simulated = samples.outages.simulated if samples.outages is not None else ()
    outages = {kind: _outage_errors_by_day(samples, points, kind, lead, days) for kind in simulated}
    ends = np.array([np.broadcast_to(end, len(samples.dates)) for end in samples.limits.get(lead, samples.possible)])
    kinds = blend_kinds(samples, lead)
    learned = []
    for position, day in enumerate(days):
        weights = weights_by_kind(
            list(members), *(rows.after[f"blend{lead}/{part}@{day}"] for part in ("regret", "size")), lead_time=lead
        )
        of_median, of_quantiles = (_response(samples, levels, day, rows, leads) for levels in ((0.5,), QUANTILES))
        learned.append(
            LearnedLead(
                weights={kind: weights[kind] for kind in kinds},
                largest_range=float(before[0][day]),
                largest_range_with_default=float(before[1][day]),
                quiet=quiet[position],
                intervals=intervals[position],
                outages={kind: by_day[position] for kind, by_day in outages.items()},
                response_median=None if of_median is None else of_median[:, column, 0],
                response_quantiles=None if of_quantiles is None else of_quantiles[:, column],
                limits=(float(ends[0, day]), float(ends[1, day])),
            )
        )
    return learned


def blend_kinds(samples: Samples, lead: int) -> list[int]:
    """Kinds of day (`models.day_kinds`) that the blend distinguishes and that can occur."""
    wet = (0, WET) if "wet" in samples.regimes else (0,)
    full = (0, NEAR_FULL, ABOVE_FULL) if samples.full_supply is not None else (0,)
    forecast = (0, FORECAST) if inflow_inputs(samples, lead) else (0,)
    return [a + b + c for a in wet for b in full for c in forecast]


def _errors_by_day(
    samples: Samples, points: Mapping[str, PointForecasts], changes: Array, lead: int, days: Sequence[int]
) -> list[LearnedErrors]:
    """What is known on each of `days` of the errors of forecast `changes` (n,) on days without an outage."""
    state = error_state(samples, points, changes[:, None], lead)
    observed = np.where(without_outage(samples), samples.change(samples.trusted, lead), np.nan)
    kinds = [kind + course for kind in blend_kinds(samples, lead) for course in (0, FALLING, RISING)]

    def learn(day: int) -> LearnedErrors:
        errors = known_to_learners(observed - changes, changes, day)
        learned = learned_errors(errors, state, day, kinds, lead_time=lead)
        if learned is None:
            raise DataError(
                f"too few errors of forecasts of {lead} days are known on {samples.dates[day]}; a forecast without "
                "intervals is not exported, so add older readings"
            )
        return learned

    return _by_month(samples, days, learn)


def _outage_errors_by_day(
    samples: Samples, points: Mapping[str, PointForecasts], kind: str, lead: int, days: Sequence[int]
) -> list[LearnedErrors | None]:
    """What is known on each of `days` of the errors of `default` in simulated outages of a kind."""
    errors, state = outage_errors(samples, points, [DEFAULT_MODEL], kind, lead_time=lead)
    changes, correlation = points[DEFAULT_MODEL].changes[lead], outage_correlation_days(lead)
    kinds = (0, WET) if kind == "level" and "wet" in samples.regimes else (0,)

    def learn(day: int) -> LearnedErrors | None:
        known = known_to_learners(errors[:, 0], changes, day)
        return learned_errors(known, state, day, kinds, lead_time=lead, correlation_days=correlation)

    return _by_month(samples, days, learn)


def _by_month(samples: Samples, days: Sequence[int], learn: Callable[[int], Learned]) -> list[Learned]:
    """What is learned by each of `days`; it is the same on the days of a month."""
    months = samples.dates.astype("datetime64[M]")
    first = {months[day].item(): day for day in reversed(days)}
    learned = {month: learn(day) for month, day in first.items()}
    return [learned[months[day].item()] for day in days]


def _response(
    samples: Samples, probabilities: Sequence[float], day: int, rows: Rows, leads: Sequence[int]
) -> Array | None:
    """Weights of the responses, shape (2, leads, quantiles, responses); None without full supply."""
    if samples.full_supply is None:
        return None
    name = f"response{probabilities[0]:g}-{probabilities[-1]:g}"
    state = {part: rows.after[f"{name}/{part}@{day}"] for part in ("regret", "size", "starts")}
    return weights_by_group(state, int(samples.full_supply.days_above[day]), leads=leads)
