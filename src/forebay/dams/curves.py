"""Storage curves: reservoir level ↔ storage, as surveyed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from forebay.dams.variables import VARIABLES
from forebay.errors import DataError


class StorageCurve(BaseModel):
    """Level against storage from one survey; in force from `valid_from` until the next curve's.

    `points` are (level in `level_unit`, storage in `storage_unit`), by rising level; between points the storage is
    linear, beyond them unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    survey_date: date | None = None
    valid_from: date | None = None
    level_unit: str
    storage_unit: str
    source: str = ""
    points: Annotated[tuple[tuple[float, float], ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _rising(self) -> StorageCurve:
        VARIABLES["reservoir_level"].conversion(self.level_unit)
        VARIABLES["storage"].conversion(self.storage_unit)
        for (low, less), (high, more) in zip(self.points, self.points[1:], strict=False):
            if high <= low or more < less:
                raise ValueError(
                    f"level must rise and storage must not fall from point to point, "
                    f"but ({low:g}, {less:g}) is followed by ({high:g}, {more:g})"
                )
        return self

    def storage(self, level: pl.Series) -> pl.Series:
        """Storage in `storage_unit` for levels in `level_unit`; null beyond the surveyed range."""
        at, volume = np.array(self.points).T
        return pl.Series(
            level.name, np.interp(level.to_numpy(), at, volume, left=np.nan, right=np.nan), nan_to_null=True
        )

    def rise_per_storage(self, level: pl.Series) -> pl.Series:
        """How much the level (`level_unit`) rises with one `storage_unit` more, at levels in `level_unit`.

        The reciprocal of the lake's area, from the two points around the level; null beyond the surveyed range and
        where the curve is flat.
        """
        at, volume = np.array(self.points).T
        gained = np.diff(volume)
        rises = np.divide(np.diff(at), gained, out=np.full(len(gained), np.nan), where=gained > 0)
        asked = level.cast(pl.Float64).to_numpy()
        segment = np.clip(np.searchsorted(at, asked, side="right") - 1, 0, len(rises) - 1)
        found = np.where((asked >= at[0]) & (asked <= at[-1]), rises[segment], np.nan)
        return pl.Series(level.name, found, nan_to_null=True)

    def level(self, storage: pl.Series) -> pl.Series:
        """Level in `level_unit` for storages in `storage_unit`: the highest level that holds it; null beyond the curve.

        Where the curve is flat (dead storage of 0 below the outlet, say) a storage has many levels.
        """
        at, volume = np.array(self.points).T
        # Of points with equal storage np.interp takes the last, which is the highest level.
        found = np.interp(storage.to_numpy(), volume, at, left=np.nan, right=np.nan)
        return pl.Series(storage.name, found, nan_to_null=True)


def curve_on(curves: Sequence[StorageCurve], day: date) -> StorageCurve:
    """The curve in force on `day`: the newest whose `valid_from` is not later (no `valid_from` means always)."""
    started = [c for c in curves if c.valid_from is None or c.valid_from <= day]
    if not started:
        raise DataError(f"no storage curve is in force on {day}; add one with an earlier valid_from to the dam file")
    return max(started, key=lambda c: c.valid_from or date.min)
