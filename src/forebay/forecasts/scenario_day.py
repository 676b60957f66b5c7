"""What an init date knows for its scenarios, from the hindcast with known rain."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.errors import DataError
from forebay.features.forcings import share_of_today
from forebay.features.inputs import change_per_flow
from forebay.features.known_ahead import RAIN_AHEAD, RELEASE_AHEAD
from forebay.forecasts.scenario import LeadKnowledge, Releases, ScenarioDay, wetness_rows
from forebay.verify.hindcast import MAIN_MODEL, first_origin, refit_days

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples
    from forebay.verify.known_rain import KnownRain

LATEST_RELEASE_DAYS = 7
"""Greatest age of the release that counts as today's."""


def scenario_day(known: KnownRain, dam: Dam, release: pl.Series | None = None) -> ScenarioDay:
    """Scenarios of the last day of a hindcast.

    Parameters
    ----------
    known
        The hindcast; with a known release if `release` is given.
    dam
        Its dam, with the known values among its forcings.
    release
        Total release of each day (m³/s), as known on the last day.

    Raises
    ------
    DataError
        If the day has no level or no release, or if the record is too short.
    """
    samples, leads = known.samples, list(dam.hindcast.leads)
    init: date = samples.dates[-1].item()
    _check_level(samples, dam, init)
    _check_record(known, dam, leads)
    full = samples.full_supply
    return ScenarioDay(
        init_date=init,
        level=float(samples.level[-1]),
        inputs=wetness_rows(samples.inputs),
        leads={lead: _lead_knowledge(known, dam, lead, column) for column, lead in enumerate(leads)},
        response=known.response,
        ranks=known.ranks,
        resolution=0.0 if samples.resolution is None else float(samples.resolution[-1]),
        margin=float("nan") if full is None else float(full.margin[-1]),
        releases=None if release is None else _releases(release, samples, dam, init),
        withheld=samples.withheld is not None and bool(samples.withheld[-1]),
    )


def _check_level(samples: Samples, dam: Dam, init: date) -> None:
    is_suspect = samples.suspect_level is not None and bool(np.isfinite(samples.suspect_level[-1]))
    if np.isfinite(samples.level[-1]) and not is_suspect:
        return
    usable = np.isfinite(samples.level)
    if samples.suspect_level is not None:
        usable &= np.isnan(samples.suspect_level)
    state = "a suspect level" if is_suspect else "no level"
    last = samples.dates[np.flatnonzero(usable)[-1]] if usable.any() else None
    advice = f"; give a day that has one, such as --init {last}" if last is not None else ""
    raise DataError(f"{dam.name} has {state} on {init}, but a scenario starts from the level of its init date{advice}")


def _check_record(known: KnownRain, dam: Dam, leads: Sequence[int]) -> None:
    last = known.samples.dates[-1].item()
    main = known.points[MAIN_MODEL]
    has_models = all(main.fallback_until.get(lead) != last for lead in leads)
    has_intervals = np.isfinite(known.offsets).all() and np.isfinite(known.blend.unit[-1]).all()
    if not (has_models and has_intervals):
        raise DataError(
            f"the record of {dam.name} is too short for scenarios on {last}: they learn from days with a level and "
            "rain, at least 200 before the last 1 January and 20 forecasts of each lead time since; add older readings"
        )


def _lead_knowledge(known: KnownRain, dam: Dam, lead: int, column: int) -> LeadKnowledge:
    samples, points = known.samples, known.points
    ends = samples.limits.get(lead, samples.possible)
    low, high = (float(np.broadcast_to(end, len(samples.dates))[-1]) for end in ends)
    largest, first = _largest_rain(samples, dam, lead)
    return LeadKnowledge(
        models={name: point.fitted[lead] for name, point in points.items()},
        weights={name: float(weights[-1, column]) for name, weights in known.blend.weights.items()},
        input_range=points[MAIN_MODEL].input_range[lead],
        forcing_inputs=_other_forcings(samples, lead),
        shift=float(known.blend.shift[-1, column]),
        unit=float(known.blend.unit[-1, column]),
        offsets=known.offsets[column],
        limits=(low, high),
        full_supply=float("nan") if samples.full_supply is None else float(samples.full_supply.level_ahead[lead][-1]),
        largest_rain=largest,
        largest_rain_from=first,
    )


def _other_forcings(samples: Samples, lead: int) -> pl.DataFrame:
    """The last row of the forcing inputs that a scenario does not give."""
    inputs = samples.forcing_inputs[lead].tail(1)
    return inputs.drop(name for name in inputs.columns if name.startswith((RAIN_AHEAD, RELEASE_AHEAD)))


def _largest_rain(samples: Samples, dam: Dam, lead: int) -> tuple[float, date]:
    """The largest rain of `lead` days on the training rows of the last fit (mm), and its first day."""
    refit = refit_days(samples.dates, first_origin(samples, dam))[-1]
    rain = samples.forcing_inputs[lead][f"{RAIN_AHEAD}lead"].to_numpy().astype(float)[: max(1, refit - lead)]
    if not np.isfinite(rain).any():
        raise DataError(f"{dam.name}: no rain gauge has {lead} days of rain in a row, from which scenarios could learn")
    row = int(np.nanargmax(rain))
    return float(rain[row]), samples.dates[row].item() + timedelta(days=1)


def _releases(release: pl.Series, samples: Samples, dam: Dam, init: date) -> Releases:
    """Release of the last day, or the last one known within a week."""
    today = release.cast(pl.Float64).fill_nan(None).forward_fill(limit=LATEST_RELEASE_DAYS)[-1]
    known = pl.DataFrame({"date": [init], dam.target.variable: [float(samples.level[-1])]})
    per_flow = change_per_flow(known, dam)[0]
    if today is None or per_flow is None:
        missing = f"release on {init} or the {LATEST_RELEASE_DAYS} days before" if today is None else (
            f"storage curve at its level on {init}"
        )  # fmt: skip
        raise DataError(f"{dam.name} has no {missing}, from which a planned release differs; leave out --release")
    largest = float(release.cast(pl.Float64).max())  # type: ignore[arg-type]  # polars: of a column of numbers
    return Releases(float(today), float(per_flow), share_of_today(dam), largest)


