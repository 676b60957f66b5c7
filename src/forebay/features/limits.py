"""Hard limits of forecasts: levels that the dam cannot reach within the lead time, from what is known on each day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.dams.curves import curve_on
from forebay.dams.variables import VARIABLES

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.thresholds import ReferenceLevel

Array = NDArray[np.float64]
Limits = Mapping[int, tuple[Array, Array]]
"""Lead time → lowest and highest possible level of the forecasts of each day, shape (n,) each, in the target's unit."""

RESERVE = 0.1
"""A forecast may leave the range of the record so far by this share of it."""
MIN_READINGS = 730
"""Days with a level from which on the record limits forecasts."""


def hard_limits(
    dam: Dam, dates: pl.Series, accepted: Array, leads: Sequence[int], *, withheld: NDArray[np.bool_]
) -> Limits:
    """Limits of the forecasts of each day and lead time.

    Downwards it is the lowest level of the record so far minus 10% of its range. Upwards it is the highest level or
    full supply, whichever is higher, plus 10% of the range, or the top of the storage curve if that is higher still. A
    limit is never nearer to the newest accepted level than the largest change of the record over so many days.
    `lowest_level` and `crest_level` of the dam file replace these limits, but never exclude the newest accepted level.
    No limit leaves what is possible for the variable: a storage is not negative.

    Parameters
    ----------
    dates
        Consecutive days, shape (n,).
    accepted
        Level of each day that was usable and not suspect on that day, shape (n,); NaN where missing.
    leads
        Lead times in days.
    withheld
        Whether each day lies on a datum that the dam file does not state: there is no limit from the record.
    """
    kind, unit = dam.target_gauge.kind, dam.target.unit
    lowest_possible, highest_possible = (kind.from_canonical(bound, unit) for bound in kind.possible)
    highest, lowest = np.fmax.accumulate(accepted), np.fmin.accumulate(accepted)
    reserve = RESERVE * (highest - lowest)
    full, crest, floor = (_on(level, dates) for level in (dam.full_supply, dam.crest_level, dam.lowest_level))
    top = np.fmax(np.fmax(highest, full) + reserve, _curve_tops(dam, dates))
    is_known = (np.cumsum(np.isfinite(accepted)) >= MIN_READINGS) & ~withheld
    newest = pl.Series(accepted).fill_nan(None).forward_fill().cast(pl.Float64).to_numpy()
    limits = {}
    for lead in leads:
        rise, fall = _largest_changes(accepted, lead)
        high = np.where(is_known, np.fmax(top, newest + rise), np.inf)
        low = np.where(is_known, np.fmin(lowest - reserve, newest - fall), -np.inf)
        high = np.where(np.isfinite(crest), np.fmax(crest, newest), high)
        low = np.where(np.isfinite(floor), np.fmin(floor, newest), low)
        limits[lead] = np.maximum(low, lowest_possible), np.minimum(high, highest_possible)
    return limits


def _on(level: ReferenceLevel | None, dates: pl.Series) -> Array:
    """A reference level on each day, shape (n,); NaN where there is none."""
    if level is None:
        return np.full(len(dates), np.nan)
    return level.on(dates).to_numpy().astype(float)


def _largest_changes(accepted: Array, days: int) -> tuple[Array, Array]:
    """Largest rise and largest fall over so many days in the record up to each day, shape (n,) each; never negative."""
    change = np.full(len(accepted), np.nan)
    if days < len(accepted):
        change[days:] = accepted[days:] - accepted[:-days]
    return np.fmax.accumulate(np.fmax(change, 0.0)), np.fmax.accumulate(np.fmax(-change, 0.0))


def _curve_tops(dam: Dam, dates: pl.Series) -> Array:
    """Top of the storage curve in force on each day, in the target's unit, shape (n,); NaN without a curve."""
    tops = np.full(len(dates), np.nan)
    if dam.target.variable != "reservoir_level":
        return tops
    level = VARIABLES["reservoir_level"]
    starts = sorted(curve.valid_from for curve in dam.storage_curves if curve.valid_from is not None)
    always = any(curve.valid_from is None for curve in dam.storage_curves)
    for start in [*([dates.min()] if always else []), *starts]:
        curve = curve_on(dam.storage_curves, start)  # type: ignore[arg-type]  # polars: the minimum of a column of dates
        top = level.from_canonical(level.to_canonical(curve.points[-1][0], curve.level_unit), dam.target.unit)
        tops[(dates >= start).to_numpy()] = top
    return tops
