"""Scenarios as users write them: rain and release by day, presets, thresholds."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.dams.thresholds import FULL_SUPPLY
from forebay.dams.variables import VARIABLES
from forebay.errors import ConfigError, DataError
from forebay.forecasts.scenario import WETNESS, Scenario

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.thresholds import ReferenceLevel
    from forebay.forecasts.scenario import ScenarioDay, Wetness
    from forebay.models.model import Array

PRESET_DAYS = 2
"""Days over which the rain of a preset with an amount falls, in equal parts."""
PRESET_RAIN = {"none": 0.0, "2in": 2 * 25.4, "4in": 4 * 25.4}
"""Preset → total rain, mm."""
PRESET_FORECASTS = {"forecast": 1.0, "half-forecast": 0.5, "double-forecast": 2.0}
"""Preset → factor of the dam's rain forecast."""
PRESETS = (*PRESET_RAIN, *PRESET_FORECASTS)
ALL_PRESETS = "all"

_VALUE = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z][\w/-]*)?\s*")


def parse_rain(text: str, days: int) -> tuple[float, ...]:
    """Rain of each day in mm, from a list such as "44,20,0" (mm) or "1.5,2 in".

    Parameters
    ----------
    days
        Longest lead time.

    Raises
    ------
    ConfigError
        If a value is no rain of a day, or there are more values than days.

    Examples
    --------
    >>> parse_rain("44, 20,0", 7), parse_rain("1,2in", 7)
    ((44.0, 20.0, 0.0), (25.4, 50.8))
    """
    return _parse("--rain", "rainfall", text, days, default_unit="mm")


def parse_release(text: str, days: int) -> tuple[float, ...]:
    """Release of each day in m³/s, from a list such as "30,30,50 m3/s"; raises as `parse_rain`, also without a unit.

    >>> parse_release("864,1728 ML/d", 7)
    (10.0, 20.0)
    """
    return _parse("--release", "release", text, days, default_unit=None)


def numbers_with_units(text: str) -> list[tuple[float, str | None]] | None:
    """Numbers separated by commas, each with its unit or None; None if the text is something else.

    >>> numbers_with_units("30, 2in"), numbers_with_units("a lot")
    ([(30.0, None), (2.0, 'in')], None)
    """
    matches = [_VALUE.fullmatch(part) for part in text.split(",")]
    values = [(float(match[1]), match[2]) for match in matches if match]
    return values if len(values) == len(matches) else None


def _parse(option: str, variable: str, text: str, days: int, *, default_unit: str | None) -> tuple[float, ...]:
    kind = VARIABLES[variable]
    values = numbers_with_units(text)
    if values is None:
        raise ConfigError(f"{option} {text!r} must be numbers separated by commas, one for each day, such as 44,20,0")
    unit = values[-1][1] or default_unit
    if unit is None and len(values) <= days:
        raise ConfigError(f"{option} {text!r} has no unit; end it with one of {', '.join(kind.units)}")
    return daily_amounts(f"{option} {text!r}", variable, [(number, own or str(unit)) for number, own in values], days)


def daily_amounts(
    what: str, variable: str, values: Sequence[tuple[float, str]], days: int
) -> tuple[float, ...]:
    """Rain or release of each day in the canonical unit, from numbers with their units.

    Parameters
    ----------
    what
        Begins the sentence of an error: the name of the values, or the name and the text.
    variable
        "rainfall" or "release".
    days
        Longest lead time.

    Raises
    ------
    ConfigError
        If a value is no rain or release of a day, or there are more values than days.
    """
    kind, name = VARIABLES[variable], what.partition(" ")[0]
    if len(values) > days:
        raise ConfigError(f"{what} has {len(values)} days; at most {days} are forecast")
    daily = [round(float(kind.to_canonical(value, unit)), 9) for value, unit in values]
    low, high = max(0.0, kind.plausible[0]), kind.plausible[1]
    for value, (number, unit) in zip(daily, values, strict=True):
        if not (math.isfinite(value) and low <= value <= high):
            limits = f"{low:g} to {high:,.0f} {kind.unit}"
            reason = "; the largest rain of a day on record is 1,825 mm" if variable == "rainfall" else ""
            raise ConfigError(f"{name}: {number:g} {unit} a day must be {limits}{reason}")
    return tuple(daily)


def rain_scenario(rain: tuple[float, ...], release: tuple[float, ...], wetness: Wetness) -> Scenario:
    """The scenario of a list of rain (mm); its name is the list."""
    return Scenario(", ".join(f"{value:.4g}" for value in rain) + " mm", rain, wetness, release)


def preset_names(names: Sequence[str], dam: Dam) -> list[str]:
    """The presets that `names` mean, each once; "all" means every one that the dam file has the forecasts for.

    Raises
    ------
    ConfigError
        If a name is unknown, or needs a rain forecast that the dam file does not have.
    """
    has_forecast = any(forcing.kind == "rain" for forcing in dam.forcings)
    for name in names:
        if name not in (*PRESETS, ALL_PRESETS):
            raise ConfigError(f"--preset {name!r} is unknown; give one of {', '.join(PRESETS)}, or {ALL_PRESETS}")
        if name in PRESET_FORECASTS and not has_forecast:
            raise ConfigError(
                f"--preset {name} needs a rain forecast, but {dam.name} has none; add [[weather]] or a forcing of kind "
                "rain to the dam file, or give --rain"
            )
    every = PRESETS if has_forecast else tuple(PRESET_RAIN)
    return list(every if ALL_PRESETS in names else dict.fromkeys(names))


def preset_scenarios(
    names: Sequence[str], forecast: Sequence[float], release: tuple[float, ...] = ()
) -> list[Scenario]:
    """Scenarios of presets, each with a dry, the current and a wet catchment.

    Parameters
    ----------
    forecast
        The dam's rain forecast for the coming days, mm.
    """
    scenarios = []
    for name in names:
        if name in PRESET_RAIN:
            rain = (PRESET_RAIN[name] / PRESET_DAYS,) * PRESET_DAYS if PRESET_RAIN[name] else ()
        else:
            rain = tuple(PRESET_FORECASTS[name] * value for value in forecast)
        scenarios += [Scenario(name, rain, wetness, release) for wetness in WETNESS]
    return scenarios


def threshold_levels(name: str, day: ScenarioDay, dam: Dam) -> tuple[str, Array]:
    """Name and level of a threshold on each valid date, as known on the init date, shape (leads,).

    Parameters
    ----------
    name
        `FULL_SUPPLY`, the name of a threshold of the dam file, or a level in the target's unit.

    Raises
    ------
    ConfigError
        If there is no such threshold.
    DataError
        If it is unknown on the init date.
    """
    references = _reference_levels(dam)
    if day.withheld:
        raise DataError(
            f"{name} cannot be compared with the level of {day.init_date}: the datum of the gauge of {dam.name} seems "
            "to have changed; state the change in datum_offsets of the dam file"
        )
    if name in references:
        days = pl.Series([day.init_date])
        levels = [references[name].expected_on(days, lead)[0] for lead in day.leads]
        if None in levels:
            raise DataError(f"{name} of {dam.name} is not stated for {day.init_date}; add a value to the dam file")
        return name, np.asarray(levels, float)
    return threshold_name(name, dam), np.full(len(day.leads), float(name))


def _reference_levels(dam: Dam) -> dict[str, ReferenceLevel]:
    """Name → level of each threshold of the dam file, and of full supply."""
    full_supply = {} if dam.full_supply is None else {FULL_SUPPLY: dam.full_supply}
    return {threshold.name: threshold.level for threshold in dam.thresholds} | full_supply


def threshold_name(text: str, dam: Dam) -> str:
    """Name of a threshold of the dam, or of a level in the target's unit, such as "99.5 m".

    Raises
    ------
    ConfigError
        If it is neither.
    """
    names, unit = list(_reference_levels(dam)), dam.target.unit
    if text in names:
        return text
    try:
        level = float(text)
    except ValueError:
        level = math.nan
    if math.isfinite(level):
        return f"{level:g} {unit}"
    if text == FULL_SUPPLY:
        raise ConfigError(f"the dam file of {dam.name} states no full supply; add full_supply, or give --until LEVEL")
    known = f"one of {', '.join(names)}, or " if names else ""
    raise ConfigError(f"--until {text!r} is no threshold of {dam.name}; give {known}a level in {unit}")
