"""Storage of a dam's target in one unit, and back: by the storage curve, or the target itself where it is a storage."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.dams.curves import curve_on
from forebay.dams.variables import VARIABLES
from forebay.errors import DataError
from forebay.screen.storage_pairs import pair_gauges, units_of

if TYPE_CHECKING:
    from forebay.dams.curves import StorageCurve
    from forebay.dams.dam import Dam

Array = NDArray[np.float64]

_LEVEL, _STORAGE = VARIABLES["reservoir_level"], VARIABLES["storage"]
_EDGE = 1e-9
"""Share of the curve's range by which a value may leave it: the error of a conversion of units."""


class Volumes:
    """Conversion between values of the target (its unit) and storage (`unit`).

    A level that is beyond the storage curve has no storage. Of a storage, both are the same number.

    Attributes
    ----------
    unit
        Unit of storage: that of the newest storage curve, or of the target where it is a storage.

    Raises
    ------
    DataError
        If the dam's volume is unknown.
    """

    def __init__(self, dam: Dam) -> None:
        self._dam, self._is_level = dam, dam.target.variable == "reservoir_level"
        if dam.target.variable == "storage_percent":
            raise DataError(
                f"{dam.name}: the target is a percentage, and the dam file does not state its volume; a water balance "
                "needs a target that is a storage, or a level with a storage curve"
            )
        if self._is_level and not dam.storage_curves:
            advice = "add [[storage_curves]] to the dam file"
            if pair_gauges(dam) is not None:
                advice += "; `forebay curve DAM --fit` fits one to its pairs of level and storage"
            raise DataError(
                f"{dam.name} has no storage curve, so the volume of its level is unknown and it has no water balance; "
                f"{advice}"
            )
        self.unit = units_of(dam).storage if self._is_level else dam.target.unit

    def curve(self, day: date) -> StorageCurve | None:
        """The storage curve in force on a day; None where the target is a storage without a curve."""
        if not self._dam.storage_curves:
            return None
        return curve_on(self._dam.storage_curves, day)

    def starts(self) -> list[date]:
        """First day of each storage curve, `date.min` of one without it; one day where the target is a storage."""
        if not self._is_level:
            return [date.min]
        return sorted({curve.valid_from or date.min for curve in self._dam.storage_curves})

    def storage(self, values: Array, day: date) -> Array:
        """Storage of values of the target by the curve in force on `day`; NaN where it is unknown."""
        values = np.asarray(values, float)
        if not self._is_level:
            return values
        curve = curve_on(self._dam.storage_curves, day)
        levels = _converted(values, "reservoir_level", self._dam.target.unit, curve.level_unit)
        low, high = curve.points[0][0], curve.points[-1][0]
        margin = _EDGE * max(abs(low), abs(high))
        is_near = (levels >= low - margin) & (levels <= high + margin)
        levels = np.where(is_near, np.clip(levels, low, high), levels)
        return _converted(_interpolated(levels, curve.points), "storage", curve.storage_unit, self.unit)

    def target(self, storages: Array, day: date) -> Array:
        """Value of the target of storages, by the curve in force on `day`; NaN beyond it."""
        storages = np.asarray(storages, float)
        return self.level(storages, day) if self._is_level else storages

    def level(self, storages: Array, day: date) -> Array:
        """Level of storages by the curve in force on `day`, in the unit of `level_unit`; NaN where it is unknown."""
        curve = self.curve(day)
        if curve is None:
            return np.full(np.shape(storages), np.nan)
        volumes = _converted(np.asarray(storages, float), "storage", self.unit, curve.storage_unit)
        low, high = curve.points[0][1], curve.points[-1][1]
        margin = _EDGE * max(abs(low), abs(high))
        is_near = (volumes >= low - margin) & (volumes <= high + margin)
        volumes = np.where(is_near, np.clip(volumes, low, high), volumes)
        levels = _interpolated(volumes, tuple((storage, level) for level, storage in curve.points))
        return _converted(levels, "reservoir_level", curve.level_unit, self.level_unit(day))

    def level_unit(self, day: date) -> str:
        """Unit of `level`: the target's where it is a level, otherwise the curve's; empty without a curve."""
        if self._is_level:
            return self._dam.target.unit
        curve = self.curve(day)
        return "" if curve is None else curve.level_unit

    def ends(self, day: date) -> tuple[float, float]:
        """Storage at the bottom and at the top of the curve in force on `day`; 0 and infinity of a storage."""
        if not self._is_level:
            return 0.0, np.inf
        curve = curve_on(self._dam.storage_curves, day)
        ends = np.array([curve.points[0][1], curve.points[-1][1]])
        low, high = _converted(ends, "storage", curve.storage_unit, self.unit)
        return float(low), float(high)

    def volume_per_day(self, flows: Array) -> Array:
        """Volume of a day (`unit`) of flows in m³/s."""
        millions = VARIABLES["release"].conversion("ML/d")[0]
        factor, _ = _STORAGE.conversion(self.unit)
        return np.asarray(flows, float) / millions / factor


def _converted(values: Array, variable: str, unit: str, other_unit: str) -> Array:
    if unit == other_unit:
        return values
    kind = VARIABLES[variable]
    series = kind.from_canonical(kind.to_canonical(pl.Series(np.ravel(values)), unit), other_unit)
    converted: Array = series.to_numpy().reshape(np.shape(values))
    return converted


def _interpolated(values: Array, points: tuple[tuple[float, float], ...]) -> Array:
    """Second number of `points` at `values` of the first one; of equal first numbers, the last counts."""
    first, second = np.array(points).T
    second_at: Array = np.interp(values, first, second, left=np.nan, right=np.nan)
    return second_at
