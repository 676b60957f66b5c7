"""A forecast from the newest observations, and what it lacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from forebay.dams.dam import Dam
from forebay.dams.local_time import init_time
from forebay.days.daily import usable_values
from forebay.features.samples import Samples
from forebay.models.intervals import MIN_ERRORS
from forebay.screen.flags import REASONS
from forebay.tables import EXPLANATION, QUANTILES
from forebay.verify.hindcast import FALLBACK
from forebay.verify.point_forecasts import DEFAULT, PointForecasts

STALE_DAYS = 3
"""A forecast whose newest level is older than this is never called current."""


@dataclass(frozen=True)
class IssuedForecast:
    """A forecast and what a reader must know beside it.

    Attributes
    ----------
    init_date, init_time
        The last day of which anything was known, and the instant (UTC) that ends it.
    issue_time
        When it was made (UTC).
    level_date
        The day whose level it starts from: `init_date`, or the last day with a usable level.
    table
        `tables.FORECASTS` of the init date, every model.
    limitations
        Sentences on what the forecast lacks.
    outside_experience
        Sentences on what was never so extreme in the days that the models learned from; the intervals are then a lower
        bound of the uncertainty.
    explanation
        `tables.EXPLANATION`: what moved `default`.
    forcings
        Sentences on what was forecast or planned and when it was issued.
    withheld_from
        First day of a datum that the dam file does not state, from which thresholds and storage cannot be told.
    """

    init_date: date
    init_time: datetime
    issue_time: datetime
    level_date: date
    table: pl.DataFrame
    limitations: tuple[str, ...]
    outside_experience: tuple[str, ...] = ()
    explanation: pl.DataFrame = field(default_factory=EXPLANATION.empty)
    forcings: tuple[str, ...] = ()
    withheld_from: date | None = None

    @property
    def level_age_days(self) -> int:
        """Days from the level that it starts from to the init date."""
        return (self.init_date - self.level_date).days

    @property
    def age_days(self) -> int:
        """Whole days from the end of the init date to the issue time."""
        return max(0, (self.issue_time - self.init_time) // timedelta(days=1))

    @property
    def stale(self) -> bool:
        """Whether it starts from a level too old to be called current."""
        return self.age_days + self.level_age_days > STALE_DAYS

    @property
    def warnings(self) -> tuple[str, ...]:
        """`outside_experience`, then `limitations`."""
        return (*self.outside_experience, *self.limitations)


def issue(
    hindcast: pl.DataFrame, dam: Dam, init_date: date, *, now: datetime, limitations: tuple[str, ...]
) -> IssuedForecast:
    """The forecast of `init_date`, as the hindcast made it for that day: the same models, the same intervals."""
    own = hindcast.filter(pl.col("init_date") == init_date)
    return IssuedForecast(
        init_date=init_date,
        init_time=init_time(init_date, dam.time_zone),
        issue_time=now,
        level_date=init_date if own.is_empty() else own["level_date"][0],
        table=own,
        limitations=limitations,
    )


def limitations(
    daily: pl.DataFrame, samples: Samples, dam: Dam, default: PointForecasts, forecasts: pl.DataFrame
) -> tuple[str, ...]:
    """Sentences on what a forecast from the last day of `daily` lacks; none if it lacks nothing.

    `default` and `forecasts` (`tables.FORECASTS`) are what the hindcast made of the `samples`.
    """
    return (
        *_thin_past(samples, default),
        *_no_intervals(samples, forecasts),
        *_never_moved(samples),
        *_withheld(samples),
        *_silent_level(samples, dam),
        *_silent_drivers(samples, dam),
        *_silent_gauges(daily, dam),
        *_unknowns(samples, dam),
    )


LOWER_BOUND = "the intervals are a lower bound of the uncertainty"
_QUANTITIES = {
    "rain": "catchment rain of the last day",
    "wetness": "the wetness of the catchment (antecedent precipitation index)",
    "level": "the level",
    "last_change": "the last daily change",
}


def outside_experience(told: pl.DataFrame, samples: Samples, dam: Dam) -> tuple[str, ...]:
    """Sentences on what was never so extreme in the days learned from, on the last day of `experience`'s table."""
    today = told.filter("outside", pl.col("day") == len(samples.dates) - 1)
    said = []
    for row in today.iter_rows(named=True):
        unit = "mm" if row["quantity"] in ("rain", "wetness") else dam.target.unit
        beyond, limit = ("above", row["high"]) if row["value"] > row["high"] else ("below", row["low"])
        said.append(
            f"Outside experience: {_QUANTITIES[row['quantity']]}, {row['value']:,.4g} {unit}, lies {beyond} all that "
            f"the models learned from ({limit:,.4g} {unit}): {LOWER_BOUND}."
        )
    return tuple(said)


def _thin_past(samples: Samples, default: PointForecasts) -> list[str]:
    last = samples.dates[-1].item()
    short = [h for h, until in default.fallback_until.items() if until == last]
    if not short:
        return []
    return [
        f"The record ({len(samples.dates)} days) is too short for the regression: "
        f"{FALLBACK} stands in at leads {', '.join(map(str, short))}."
    ]


def _no_intervals(samples: Samples, forecasts: pl.DataFrame) -> list[str]:
    issued = forecasts.filter(pl.col("model") == DEFAULT, pl.col("init_date") == samples.dates[-1].item())
    thin = issued.group_by("lead_time").len().filter(pl.col("len") < len(QUANTILES))["lead_time"].sort()
    if thin.is_empty():
        return []
    return [
        f"No intervals at leads {', '.join(map(str, thin))}: at the start of the month fewer than {MIN_ERRORS} past "
        "forecasts could be checked."
    ]


def _never_moved(samples: Samples) -> list[str]:
    if len(samples.dates) == 1 or np.nanmax(samples.level) > np.nanmin(samples.level):
        return []
    return [f"The level never changed in {len(samples.dates)} days: is the gauge stuck?"]


def _withheld(samples: Samples) -> list[str]:
    if samples.withheld_from is None:
        return []
    return [
        f"The level's datum seems to have changed on {samples.withheld_from}: full supply, thresholds and storage are "
        "withheld from then on, until the dam file states by how much (datum_offsets)."
    ]


def _silent_level(samples: Samples, dam: Dam) -> list[str]:
    age = int(samples.level_age[-1])
    why = "" if samples.suspect_reason is None else f"{samples.suspect_reason}: {REASONS[samples.suspect_reason]}"
    if age == 0:
        doubt = f"The level of {samples.dates[-1]} is doubted ({why}); the forecast starts from it all the same."
        return [doubt] if why else []
    level = f"{samples.start_level[-1]:,.3f} {dam.target.unit}"
    said = [
        f"No level since {samples.dates[-1 - age]} ({_days(age)}): the forecast starts from that day's, {level}, and "
        "its intervals are as wide as past days show that forecasts from a level of that age need."
    ]
    if why:
        said.insert(0, f"The level of {samples.dates[-1]} is doubted and not used ({why}).")
    return said


def _silent_drivers(samples: Samples, dam: Dam) -> list[str]:
    age = 0 if samples.outages is None else int(samples.outages.drivers_age[-1])
    if age == 0:
        return []
    what = "No rain" if dam.columns("rainfall") else "No flow"
    return [
        f"{what} is known since {samples.dates[-1 - age]} ({_days(age)}): the intervals are as wide as past days show "
        f"that forecasts without rain and flows need, once {MIN_ERRORS} such days could be checked."
    ]


def _days(count: int) -> str:
    return f"{count} day{'s' if count > 1 else ''}"


def _silent_gauges(daily: pl.DataFrame, dam: Dam) -> list[str]:
    known = usable_values(daily, dam)
    last = known["date"][-1]
    said = []
    for gauge in (gauge for gauge in dam.gauges if gauge.role != "target"):
        days = known.filter(pl.col(gauge.column).is_not_null())["date"]
        if days.is_empty():
            said.append(f"{gauge.title} has no usable value at all; the models do without it.")
        elif (late := (last - days[-1]).days) > 0:
            said.append(
                f"{gauge.title} is silent since {days[-1]} ({_days(late)}); the models take its "
                "absence into account, and nothing was put in its place."
            )
    return said


def _unknowns(samples: Samples, dam: Dam) -> list[str]:
    said = []
    if not any(gauge.role not in ("target", "storage") for gauge in dam.gauges):
        said.append("No gauge but the level's own: rain and inflow are not known to the forecast.")
    elif not dam.columns("rainfall"):
        said.append("No rain gauge: rain is known only once it shows in the inflow or the level.")
    if dam.full_supply is None:
        said.append("The full supply level is not in the dam file: distance to full supply and spills cannot be told.")
    gauge = dam.target_gauge
    if gauge.reading == "instantaneous" and gauge.reading_at is not None:
        said.append(
            f"The level is read at {gauge.reading_at:%H:%M}, so a lead of 1 day reaches to the next reading and the "
            "rain since the last one is not yet in it."
        )
    return said
