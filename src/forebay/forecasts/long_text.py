"""Demands and thresholds of a long outlook as users write them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from forebay.dams.thresholds import ReferenceLevel
from forebay.dams.variables import VARIABLES
from forebay.errors import ConfigError
from forebay.forecasts.scenario_text import numbers_with_units
from forebay.verify.long_hindcast import StorageThreshold

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.volumes import Volumes

MONTHS = (1, 12)
"""Fewest and most months of a long outlook."""
_YEAR = 12


def check_months(months: int) -> None:
    """Raise `ConfigError` unless the number of months is allowed."""
    if not MONTHS[0] <= months <= MONTHS[1]:
        raise ConfigError(f"--months {months} must be {MONTHS[0]} to {MONTHS[1]}")


def parse_demand(option: str, text: str) -> tuple[float, ...]:
    """Flow of each month, January to December, in m³/s; from one value or twelve.

    Raises
    ------
    ConfigError
        If the text is neither, has no unit of a flow, or a value is negative.

    Examples
    --------
    >>> parse_demand("--demand", "864 ML/d")[:2], parse_demand("--demand", "1,2,3,4,5,6,7,8,9,10,11,12 m3/s")[::11]
    ((10.0, 10.0), (1.0, 12.0))
    """
    kind = VARIABLES["release"]
    values = numbers_with_units(text)
    if values is None or len(values) not in (1, _YEAR):
        raise ConfigError(
            f"{option} {text!r} must be one flow such as '1200 ML/d', or twelve from January to December, separated by "
            "commas and with the unit at the end"
        )
    unit = values[-1][1]
    if unit is None:
        raise ConfigError(f"{option} {text!r} has no unit; end it with one of {', '.join(kind.units)}")
    flows = [round(float(kind.to_canonical(value, own or unit)), 9) for value, own in values]
    for flow, (number, own) in zip(flows, values, strict=True):
        if not (math.isfinite(flow) and 0 <= flow <= kind.plausible[1]):
            raise ConfigError(f"{option}: {number:g} {own or unit} must be 0 to {kind.plausible[1]:,.0f} {kind.unit}")
    return tuple(flows) * (_YEAR // len(flows))


def parse_threshold(text: str, dam: Dam, volumes: Volumes) -> StorageThreshold:
    """A threshold from "40%" of full supply, or a level or storage with its unit; without one, in the target's unit.

    Raises
    ------
    ConfigError
        If it is none of these.
    """
    is_share = text.strip().endswith("%")
    values = numbers_with_units(text.strip().removesuffix("%"))
    if values is None or len(values) != 1 or (is_share and values[0][1]):
        raise ConfigError(
            f"--threshold {text!r} must be a share of full supply such as 40%, or a level or a storage with its unit"
        )
    number, unit = values[0][0], values[0][1] or dam.target.unit
    if is_share:
        return _share(number, dam)
    name, target = f"{number:g} {unit}", dam.target
    level, storage = VARIABLES["reservoir_level"], VARIABLES["storage"]
    if unit in storage.units:
        return StorageThreshold(
            name, storage=float(storage.from_canonical(storage.to_canonical(number, unit), volumes.unit))
        )
    if unit in level.units and target.variable == "reservoir_level":
        value = number if unit == target.unit else level.from_canonical(level.to_canonical(number, unit), target.unit)
        return StorageThreshold(name, level=ReferenceLevel(value=float(value)))
    known = ", ".join((*(level.units if target.variable == "reservoir_level" else ()), *storage.units))
    raise ConfigError(f"--threshold {text!r}: unit {unit!r} is not one of %, {known}")


def _share(percent: float, dam: Dam) -> StorageThreshold:
    if dam.full_supply is None:
        raise ConfigError(
            f"--threshold {percent:g}% needs a full supply, but the dam file of {dam.name} states none; add "
            "full_supply, or give a level or a storage with its unit"
        )
    if not 0 < percent < 100:
        raise ConfigError(f"--threshold {percent:g}% must be above 0% and below 100%")
    return StorageThreshold(f"{percent:g}% full", share=percent / 100)
