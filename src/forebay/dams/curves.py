"""Storage curves: reservoir level ↔ storage, from surveys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from forebay.dams.variables import VARIABLES
from forebay.errors import DataError
from forebay.text import unprintable


def _check_printable(text: str) -> str:
    if (code := unprintable(text)) is not None:
        raise ValueError(f"{text!r} has the character {code}, which must not be printed; remove it")
    return text


class StorageCurve(BaseModel):
    """Level against storage from one survey; in force from `valid_from` until the next curve's.

    `points` are (level in `level_unit`, storage in `storage_unit`), by rising level. The storage is linear between
    points and unknown beyond them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    survey_date: date | None = None
    valid_from: date | None = None
    level_unit: str
    storage_unit: str
    source: Annotated[str, AfterValidator(_check_printable)] = ""
    points: Annotated[tuple[tuple[float, float], ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _check_points(self) -> StorageCurve:
        VARIABLES["reservoir_level"].conversion(self.level_unit)
        VARIABLES["storage"].conversion(self.storage_unit)
        for (low, low_storage), (high, high_storage) in zip(self.points, self.points[1:], strict=False):
            if high <= low or high_storage < low_storage:
                raise ValueError(
                    f"level must rise and storage must not fall from point to point, "
                    f"but ({low:g}, {low_storage:g}) is followed by ({high:g}, {high_storage:g})"
                )
        return self

    def storage(self, level: pl.Series) -> pl.Series:
        """Storage in `storage_unit` for levels in `level_unit`; null beyond the surveyed range."""
        levels, storages = np.array(self.points).T
        storage = np.interp(level.to_numpy(), levels, storages, left=np.nan, right=np.nan)
        return pl.Series(level.name, storage, nan_to_null=True)

    def rise_per_storage(self, level: pl.Series) -> pl.Series:
        """Rise of the level (`level_unit`) per `storage_unit` of additional storage, at levels in `level_unit`.

        The reciprocal of the lake's area, from the two points around the level; null beyond the surveyed range and
        where the curve is flat.
        """
        levels, storages = np.array(self.points).T
        increments = np.diff(storages)
        slopes = np.divide(np.diff(levels), increments, out=np.full(len(increments), np.nan), where=increments > 0)
        values = level.cast(pl.Float64).to_numpy()
        segment = np.clip(np.searchsorted(levels, values, side="right") - 1, 0, len(slopes) - 1)
        rises = np.where((values >= levels[0]) & (values <= levels[-1]), slopes[segment], np.nan)
        return pl.Series(level.name, rises, nan_to_null=True)

    def level(self, storage: pl.Series) -> pl.Series:
        """Level in `level_unit` for storages in `storage_unit`; null beyond the curve.

        The inverse of `storage`. Where the curve is flat (dead storage of 0 below the outlet, say) a storage has many
        levels; the result is the highest.
        """
        levels, storages = np.array(self.points).T
        # Of points with equal storage np.interp takes the last, which is the highest level.
        level = np.interp(storage.to_numpy(), storages, levels, left=np.nan, right=np.nan)
        return pl.Series(storage.name, level, nan_to_null=True)

    def storage_at(self, level: float) -> float:
        """Storage in `storage_unit` at one level in `level_unit`.

        Raises
        ------
        DataError
            If the level is beyond the curve.
        """
        storage: float | None = self.storage(pl.Series([level], dtype=pl.Float64))[0]
        if storage is None:
            raise DataError(self._refusal("level", level, self.level_unit, (self.points[0][0], self.points[-1][0])))
        return storage

    def level_at(self, storage: float) -> float:
        """Level in `level_unit` at one storage in `storage_unit`, the highest one where the curve is flat.

        Raises
        ------
        DataError
            If the storage is beyond the curve.
        """
        level: float | None = self.level(pl.Series([storage], dtype=pl.Float64))[0]
        if level is None:
            limits = (self.points[0][1], self.points[-1][1])
            raise DataError(self._refusal("storage", storage, self.storage_unit, limits))
        return level

    @property
    def survey(self) -> str:
        """The survey in words: "survey 2011-06-30", or that its date is not stated."""
        return f"survey {self.survey_date}" if self.survey_date else "survey date not stated"

    def _refusal(self, quantity: str, value: float, unit: str, limits: tuple[float, float]) -> str:
        return (
            f"{quantity} {value:,.12g} {unit} is beyond the storage curve ({self.survey}), which has {quantity}s from "
            f"{limits[0]:,.12g} to {limits[1]:,.12g} {unit}; give one of these, or a curve with a wider range"
        )


def curve_on(curves: Sequence[StorageCurve], day: date) -> StorageCurve:
    """The curve in force on `day`: the newest with a `valid_from` on or before it (without `valid_from`: always)."""
    candidates = [curve for curve in curves if curve.valid_from is None or curve.valid_from <= day]
    if not candidates:
        raise DataError(f"no storage curve is in force on {day}; add one with an earlier valid_from to the dam file")
    return max(candidates, key=lambda curve: curve.valid_from or date.min)
