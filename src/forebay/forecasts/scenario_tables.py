"""Tables and sentences of answered scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.dams.thresholds import FULL_SUPPLY
from forebay.features.known_ahead import RAIN_AHEAD
from forebay.forecasts.scenario import WETNESS
from forebay.forecasts.scenario_text import threshold_levels
from forebay.tables import QUANTILES, SCENARIO_PROBABILITIES, SCENARIOS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.forecasts.scenario import Answers, Scenario, ScenarioDay


def scenario_rows(answers: Answers, dam: Dam) -> pl.DataFrame:
    """`tables.SCENARIOS`: a row per scenario, lead time and quantile."""
    day, levels = answers.day, answers.levels(QUANTILES)
    rows = [
        {
            **_head(scenario, day, dam),
            "lead_time": lead,
            "valid_date": day.init_date + timedelta(days=lead),
            "quantile": quantile,
            "change": float(levels[i, j, k]) - day.level,
            "level": float(levels[i, j, k]),
        }
        for i, scenario in enumerate(answers.scenarios)
        for j, lead in enumerate(day.leads)
        for k, quantile in enumerate(QUANTILES)
    ]
    return SCENARIOS.check(pl.DataFrame(rows, schema=SCENARIOS.columns), unique=True)


def probability_rows(answers: Answers, dam: Dam) -> pl.DataFrame:
    """`tables.SCENARIO_PROBABILITIES` of full supply and the thresholds of the dam file, at or above them."""
    day = answers.day
    names = [] if dam.full_supply is None else [FULL_SUPPLY]
    names += [threshold.name for threshold in dam.thresholds]
    rows = []
    for name in [] if day.withheld else names:
        levels = threshold_levels(name, day, dam)[1]
        for kind, values in answers.probabilities(levels)._asdict().items():
            rows += [
                {
                    **_head(scenario, day, dam),
                    "threshold": name,
                    "direction": "above",
                    "kind": kind,
                    "lead_time": lead,
                    "valid_date": day.init_date + timedelta(days=lead),
                    "threshold_level": float(levels[j]),
                    "probability": float(values[i, j]),
                }
                for i, scenario in enumerate(answers.scenarios)
                for j, lead in enumerate(day.leads)
            ]
    return SCENARIO_PROBABILITIES.check(pl.DataFrame(rows, schema=SCENARIO_PROBABILITIES.columns), unique=True)


def _head(scenario: Scenario, day: ScenarioDay, dam: Dam) -> dict[str, object]:
    return {
        "dam": dam.id,
        "init_date": day.init_date,
        "scenario": scenario.name,
        "wetness": scenario.wetness,
        "rain": float(sum(scenario.rain)),
    }


def sentences(scenarios: Sequence[Scenario], day: ScenarioDay) -> list[str]:
    """What a reader must know of the scenarios, each sentence once."""
    head = ["A scenario is no forecast: it shows the level if the rain gauges measure this rain on average."]
    if day.withheld:
        head.append(
            "Full supply and thresholds are unknown: the datum of the gauge seems to have changed, and the dam file "
            "does not state it."
        )
    if any(scenario.wetness == "wet" for scenario in scenarios) and _is_wetter_than_wet(day):
        head.append('The catchment is wetter today than on 90% of the days of the record: wetter than "wet".')
    by_name = {(scenario.name, scenario.rain, scenario.release): scenario for scenario in scenarios}
    notes = [
        f"{scenario.name}: {note}" if len(by_name) > 1 else note
        for scenario in by_name.values()
        for note in notes_on(scenario, day)
    ]
    return [*(head if scenarios else head[1:]), *notes]


def _is_wetter_than_wet(day: ScenarioDay) -> bool:
    """Whether today's wetness index is above that of the wet catchment."""
    index = dict(zip(WETNESS, day.inputs["api"].to_list(), strict=True))
    return (index["current"] or 0.0) > (index["wet"] or 0.0)


def notes_on(scenario: Scenario, day: ScenarioDay) -> list[str]:
    """Sentences on the days that the scenario does not give, and on what lies beyond the training record."""
    notes = []
    last = max(day.leads)
    if 0 < len(scenario.rain) < last:
        notes.append(f"The rain is given for {len(scenario.rain)} of {last} days; the others are dry.")
    if day.releases is not None and 0 < len(scenario.release) < last:
        notes.append(f"The release is given for {len(scenario.release)} of {last} days; its last value continues.")
    return [*notes, *_beyond_rain(scenario, day), *_beyond_release(scenario, day)]


def _beyond_rain(scenario: Scenario, day: ScenarioDay) -> list[str]:
    """A sentence on the lead time at which the rain exceeds that in training most."""
    daily = np.array([*scenario.rain, *[0.0] * (max(day.leads) - len(scenario.rain))])
    excess = {lead: daily[:lead].sum() - known.largest_rain for lead, known in day.leads.items()}
    lead = max(excess, key=lambda lead: excess[lead])
    if not excess[lead] > 0:
        return []
    known = day.leads[lead]
    days = f"{lead} days" if lead > 1 else "day"
    text = (
        f"The rain of the next {days}, {daily[:lead].sum():.0f} mm, is more than any in the training record: the "
        f"largest is {known.largest_rain:.0f} mm from {known.largest_rain_from} on. The answer extrapolates, and its "
        "interval is a lower bound of the uncertainty."
    )
    _, most = known.input_range.bounds.get(f"{RAIN_AHEAD}lead", (0.0, np.inf))
    if daily[:lead].sum() > most:
        text += f" More than {most:.0f} mm counts as {most:.0f} mm."
    return [text]


def _beyond_release(scenario: Scenario, day: ScenarioDay) -> list[str]:
    if day.releases is None or max(scenario.release, default=0.0) <= day.releases.largest:
        return []
    return [
        f"The release of {max(scenario.release):g} m³/s is more than any in the record, {day.releases.largest:g} m³/s."
    ]
