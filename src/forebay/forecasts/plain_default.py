"""The model `default` as plain numbers, for an application in another language (docs/export.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.features.outages import driver_inputs
from forebay.forecasts.input_notes import input_notes
from forebay.models.blend import ROBUST, WILD_FACTOR, is_fitted
from forebay.models.intervals import size_inputs
from forebay.models.lead_curve import offset_curve
from forebay.models.plain import Plain, number, numbers, plain_model
from forebay.models.response import KEEPS_FULL, RESPONSES
from forebay.tables import DEFAULT_MODEL, QUANTILES, REFERENCES
from forebay.verify.hindcast import EARLY_REFITS, first_origin, refit_days
from forebay.verify.point_forecasts import since_level
from forebay.verify.uncertainty import INFLOW_MODEL, inflow_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples
    from forebay.models.error_size import ErrorSize
    from forebay.models.intervals import LearnedErrors
    from forebay.models.model import Array
    from forebay.verify.learned import LearnedDay, LearnedLead
    from forebay.verify.point_forecasts import PointForecasts

FORMAT, VERSION = "forebay-default", 1


def plain_default(
    samples: Samples, dam: Dam, points: Mapping[str, PointForecasts], learned: LearnedDay
) -> Plain:
    """Members, blend and corrections of the last day's fits, and what is known on the day of `learned`.

    Raises
    ------
    ModelError
        If a model has no plain form.
    """
    refits = refit_days(samples.dates, first_origin(samples, dam))
    fitted = samples.dates[refits[-1]]
    early = [samples.dates[0] + day for day in EARLY_REFITS if day >= len(samples.dates)]
    next_fit = min([(samples.dates[-1].astype("datetime64[Y]") + 1).astype("datetime64[D]"), *early])
    leads = list(dam.hindcast.leads)
    names = list(samples.inputs.columns)
    ahead = [name for name in samples.inputs_at(leads[0]).columns if name not in names]
    return {
        "format": FORMAT,
        "version": VERSION,
        "dam": dam.id,
        "name": dam.title,
        "variable": dam.target.variable,
        "unit": dam.target.unit,
        "datum": dam.target.datum or "",
        "fitted_on": str(fitted),
        "fitted_until": str(next_fit - 1),
        "leads": leads,
        "quantiles": list(QUANTILES),
        "inputs": input_notes(names, dam),
        "inputs_ahead": input_notes(ahead, dam),
        "drivers": driver_inputs(names, dam),
        "outages": [] if samples.outages is None else list(samples.outages.simulated),
        "wild_factor": WILD_FACTOR,
        "responses": [
            {"share": one.share, "offset": one.offset, "returns": int(one.returns)} for one in RESPONSES
        ] if samples.full_supply is not None else [],
        "keeps_full": KEEPS_FULL,
        "offset_curve": numbers(offset_curve(leads)),
        "by_lead": [_plain_lead(samples, points, lead) for lead in leads],
        "learned": plain_learned(learned, str(fitted)),
    }


def _plain_lead(samples: Samples, points: Mapping[str, PointForecasts], lead: int) -> Plain:
    inputs = samples.inputs_at(lead).columns
    members = {name: point for name, point in points.items() if name != DEFAULT_MODEL}
    spreads = [name for name, point in members.items() if np.isfinite(point.spreads[lead]).any()]
    last = samples.dates[-1].item()
    has_inflow = INFLOW_MODEL in members and members[INFLOW_MODEL].fallback_until.get(lead) != last
    bounds = next(iter(members.values())).input_range[lead].bounds
    return {
        "lead": lead,
        "bounds": {name: list(bounds[name]) for name in inputs if name in bounds},
        "members": [
            {
                "name": name,
                "is_reference": int(name in REFERENCES),
                "is_robust": int(name in ROBUST),
                "in_range": int(is_fitted(name)),
                **plain_model(point.fitted[lead], inputs),
            }
            for name, point in members.items()
        ],
        "spread_of": spreads,
        "sizes": size_inputs(inputs),
        "inflow_inputs": inflow_inputs(samples, lead) if has_inflow else [],
    }


def plain_learned(learned: LearnedDay, fitted_on: str) -> Plain:
    """What is known on one day; it may replace `learned` of another day of the same fits, those of `fitted_on`."""
    return {
        "fitted_on": fitted_on,
        "init_date": str(learned.init_date),
        "wet_above": {name: number(limit) for name, limit in learned.wet_above.items()},
        "fast_fall": number(learned.fast_fall),
        "fast_rise": number(learned.fast_rise),
        "resolution": learned.resolution,
        "curve": numbers(learned.curve),
        "has_curve": int((learned.curve != np.eye(len(learned.curve))).any()),
        "by_lead": [_plain_learned_lead(lead, known) for lead, known in learned.by_lead.items()],
    }


def _plain_learned_lead(lead: int, known: LearnedLead) -> Plain:
    def optional(values: Array | None) -> list[object]:
        return [] if values is None else numbers(values)

    return {
        "lead": lead,
        "weights": {str(kind): numbers(weights) for kind, weights in known.weights.items()},
        "largest_range": number(known.largest_range),
        "largest_range_with_default": number(known.largest_range_with_default),
        "quiet": _plain_size(known.quiet.size)
        | {"thirds": numbers(known.quiet.thirds), "shares": numbers(known.quiet.shares)},
        "intervals": _plain_intervals(known.intervals),
        "outages": {kind: None if one is None else _plain_intervals(one) for kind, one in known.outages.items()},
        "response_median": optional(known.response_median),
        "response_quantiles": optional(known.response_quantiles),
        "limits": numbers(known.limits),
    }


def _plain_intervals(errors: LearnedErrors) -> Plain:
    scaled = {str(kind): numbers(scaled) for kind, scaled in errors.scaled.items()}
    return _plain_size(errors.size) | {"scaled": scaled}


def _plain_size(size: ErrorSize) -> Plain:
    """Numbers of the expected size of an error; the lists have an entry for each size that is used."""
    standard, columns = size.standard, size.columns
    by_column = {name: getattr(standard, name)[columns] for name in ("unit", "centre", "deviation", "low", "high")}
    return {
        "columns": [int(column) for column in columns],
        **{name: numbers(values) for name, values in by_column.items()},
        "mean": numbers(size.mean),
        "slope": numbers(size.slope),
        "intercept": size.intercept,
        "least_unusual": size.least_unusual,
        "largest": size.largest,
    }


def plain_day(samples: Samples, dam: Dam, points: Mapping[str, PointForecasts], day: int) -> Plain:
    """The inputs of one day, with index `day`: values by name, None where missing."""
    suspect = None if samples.suspect_level is None else number(samples.suspect_level[day])
    full, leads = samples.full_supply, dam.hindcast.leads
    by_lead = [samples.forcing_inputs[lead] if samples.forcing_inputs else pl.DataFrame() for lead in leads]
    return {
        "init_date": str(samples.dates[day]),
        "level": float(samples.start_level[day]),
        "level_age": int(samples.level_age[day]),
        "since_level": {
            name: since_level(point, samples, day)
            for name, point in points.items()
            if name != DEFAULT_MODEL and samples.level_age[day]
        },
        "suspect_level": suspect,
        "drivers_age": 0 if samples.outages is None else int(samples.outages.drivers_age[day]),
        "full_supply": None if full is None else number(full.level[day]),
        "full_supply_ahead": [None if full is None else number(full.level_ahead[lead][day]) for lead in leads],
        "near_full_margin": None if full is None else number(full.margin[day]),
        "inputs": _row(samples.inputs, day),
        "inputs_ahead": [_row(inputs, day) for inputs in by_lead],
    }


def _row(inputs: pl.DataFrame, day: int) -> dict[str, float | None]:
    """Values of one row by their names, None where missing."""
    if not inputs.columns:
        return {}
    return {name: None if value is None else number(value) for name, value in inputs.row(day, named=True).items()}
