"""Variables that gauges measure: units, daily aggregate and plausible range of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import TypeVar

import polars as pl

from forebay.errors import ConfigError

Numbers = TypeVar("Numbers", float, pl.Expr, pl.Series)

DAY_S = 86_400
_ML_PER_MG = 3.785411784  # US liquid gallon, exact
_ML_PER_ACRE_FOOT = 1.23348183754752  # international foot, exact
_ML_PER_MILLION_FT3 = 28.316846592  # international foot, exact
_M3S_PER_ML_D = 1000 / DAY_S

_LENGTH = {"m": (1.0, 0.0), "ft": (0.3048, 0.0), "cm": (0.01, 0.0), "mm": (0.001, 0.0)}
_VOLUME = {
    "ML": (1.0, 0.0),
    "GL": (1000.0, 0.0),
    "m3": (0.001, 0.0),
    "hm3": (1000.0, 0.0),
    "MG": (_ML_PER_MG, 0.0),
    "Mgal": (_ML_PER_MG, 0.0),  # MG
    "ac-ft": (_ML_PER_ACRE_FOOT, 0.0),
    "MCM": (1000.0, 0.0),  # million cubic metres: hm3
    "Mcum": (1000.0, 0.0),  # MCM
    "BCM": (1_000_000.0, 0.0),  # thousand million cubic metres: km³
    "kac-ft": (1000 * _ML_PER_ACRE_FOOT, 0.0),
    "TAF": (1000 * _ML_PER_ACRE_FOOT, 0.0),  # thousand acre-feet: kac-ft
    "Mft3": (_ML_PER_MILLION_FT3, 0.0),
    "TMC": (1000 * _ML_PER_MILLION_FT3, 0.0),  # thousand million cubic feet
}
_FLOW = {
    "m3/s": (1.0, 0.0),
    "ft3/s": (0.028316846592, 0.0),
    "ML/d": (_M3S_PER_ML_D, 0.0),
    "MLD": (_M3S_PER_ML_D, 0.0),  # million litres a day: ML/d
    "m3/d": (1 / DAY_S, 0.0),
    "mgd": (_ML_PER_MG * _M3S_PER_ML_D, 0.0),
    "ac-ft/d": (_ML_PER_ACRE_FOOT * _M3S_PER_ML_D, 0.0),
    "GL/d": (1000 * _M3S_PER_ML_D, 0.0),
    "hm3/d": (1000 * _M3S_PER_ML_D, 0.0),
    "MCM/d": (1000 * _M3S_PER_ML_D, 0.0),
    "cusecs": (0.028316846592, 0.0),  # ft3/s
}
_DEPTH = {"mm": (1.0, 0.0), "in": (25.4, 0.0), "cm": (10.0, 0.0)}
_TEMPERATURE = {"degC": (1.0, 0.0), "degF": (5 / 9, -160 / 9)}


@dataclass(frozen=True)
class Variable:
    """A measured quantity.

    `units` maps each accepted unit to (factor, offset) with canonical = factor · value + offset. `plausible` is the
    closed range, in the canonical unit, outside of which a daily value is flagged. Records behind the bounds: one-day
    rain 1825 mm (Foc-Foc, Réunion, 1966); air temperature −89.2 and 56.7 °C (WMO archive of extremes).
    """

    name: str
    title: str
    unit: str
    units: Mapping[str, tuple[float, float]]
    aggregate: str  # how sub-daily readings become a day's value: mean or total
    plausible: tuple[float, float]
    lowest: float = -inf  # no value below this exists: an empty lake

    @property
    def possible(self) -> tuple[float, float]:
        """Closed range of forecasts, in the canonical unit: the plausible range above the lowest value that exists."""
        return max(self.lowest, self.plausible[0]), self.plausible[1]

    def conversion(self, unit: str) -> tuple[float, float]:
        """(factor, offset) from `unit` to the canonical unit.

        >>> VARIABLES["rainfall"].conversion("in")
        (25.4, 0.0)
        """
        if unit not in self.units:
            raise ConfigError(f"unit {unit!r} is not one of {self.name}'s units: {', '.join(self.units)}")
        return self.units[unit]

    def to_canonical(self, values: Numbers, unit: str) -> Numbers:
        """Values in `unit`, converted to the canonical unit."""
        factor, offset = self.conversion(unit)
        return values * factor + offset

    def from_canonical(self, values: Numbers, unit: str) -> Numbers:
        """Values in the canonical unit, converted to `unit`."""
        factor, offset = self.conversion(unit)
        return (values - offset) / factor


_VARIABLES = (
    Variable("reservoir_level", "Reservoir level", "m", _LENGTH, "mean", (-500.0, 9000.0)),
    Variable("storage", "Storage", "ML", _VOLUME, "mean", (0.0, 5e8), lowest=0.0),
    Variable("storage_percent", "Storage, share of volume", "%", {"%": (1.0, 0.0)}, "mean", (-50.0, 300.0), lowest=0.0),
    Variable("rainfall", "Rainfall", "mm", _DEPTH, "total", (0.0, 1900.0)),
    Variable("stream_level", "Stream level", "m", _LENGTH, "mean", (-50.0, 9000.0)),
    Variable("discharge", "Discharge", "m3/s", _FLOW, "mean", (-1000.0, 400_000.0)),
    Variable("inflow", "Inflow", "m3/s", _FLOW, "mean", (-10_000.0, 400_000.0)),
    Variable("release", "Release", "m3/s", _FLOW, "mean", (0.0, 400_000.0)),
    Variable("temperature", "Air temperature", "degC", _TEMPERATURE, "mean", (-90.0, 60.0)),
    Variable("evaporation", "Evaporation", "mm", _DEPTH, "total", (-5.0, 60.0)),
    Variable("snow_water_equivalent", "Snow water equivalent", "mm", _DEPTH, "mean", (0.0, 10_000.0)),
)

VARIABLES: dict[str, Variable] = {v.name: v for v in _VARIABLES}
"""Every variable, by name."""

TARGETS = ("reservoir_level", "storage", "storage_percent")
"""Variables that can be forecast."""
