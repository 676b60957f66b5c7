"""Days near full supply, where people operate the gates, and days above it, in the flood pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.dams.variables import VARIABLES

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

NEAR_FULL, ABOVE_FULL = "near_full", "above_full"
"""Regimes: within the margin of full supply, and above it by more than the margin."""
MARGIN_M, MARGIN_SHARE, MARGIN_PERCENT = 0.5, 0.02, 2.0
"""Default margin: m for a level, share of full supply for a storage, points for a percentage."""


@dataclass(frozen=True)
class FullSupply:
    """Full supply of each day, all of shape (n,), in the target's unit.

    Attributes
    ----------
    level
        Full supply; NaN where it is unknown.
    margin
        Distance from full supply within which a day is near full.
    days_above
        Number of days up to each day on which the lake stood above full supply by more than the margin.
    level_ahead
        Lead time → full supply of the valid date as known on each day: a rule curve is known ahead.
    """

    level: NDArray[np.float64]
    margin: NDArray[np.float64]
    days_above: NDArray[np.intp]
    level_ahead: Mapping[int, NDArray[np.float64]]

    def head(self, count: int) -> FullSupply:
        """Full supply of the first `count` days."""
        return self.of_days(0, count)

    def of_days(self, first: int, end: int) -> FullSupply:
        """Full supply of the days from index `first` to the one before `end`."""
        days = slice(first, end)
        ahead = {lead: level[days] for lead, level in self.level_ahead.items()}
        return FullSupply(self.level[days], self.margin[days], self.days_above[days], ahead)


def full_supply_of(
    dam: Dam, dates: pl.Series, level: NDArray[np.float64], withheld: NDArray[np.bool_]
) -> FullSupply | None:
    """Full supply of each day of `dates`; None without a full supply level.

    Parameters
    ----------
    level
        Level of each day as known then, shape (n,); NaN where missing.
    withheld
        Whether each day lies on a datum that the dam file does not state.
    """
    if dam.full_supply is None:
        return None
    full = np.where(withheld, np.nan, dam.full_supply.on(dates).to_numpy().astype(float))
    ahead = {
        lead: np.where(withheld, np.nan, dam.full_supply.expected_on(dates, lead).to_numpy().astype(float))
        for lead in dam.hindcast.leads
    }
    margin = near_full_margin(dam, dates).to_numpy().astype(float)
    return FullSupply(full, margin, np.cumsum(level - full > margin), ahead)


def near_full_margin(dam: Dam, dates: pl.Series) -> pl.Series:
    """Distance from full supply, in the target's unit, within which each day of `dates` counts as near full.

    It is `near_full_margin` of the dam file or by default 0.5 m for a level, 2% of the full supply of the day for a
    storage, and 2 points for a percentage.
    """
    if dam.hindcast.near_full_margin is not None:
        margin = dam.hindcast.near_full_margin
    elif dam.target.variable == "reservoir_level":
        margin = MARGIN_M / VARIABLES["reservoir_level"].conversion(dam.target.unit)[0]
    elif dam.target.variable == "storage" and dam.full_supply is not None:
        return (MARGIN_SHARE * dam.full_supply.on(dates)).alias("margin")
    else:
        margin = MARGIN_PERCENT
    return pl.Series("margin", [margin], pl.Float64).new_from_index(0, len(dates))


def full_supply_regimes(dam: Dam, dates: pl.Series, level: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """`NEAR_FULL` and `ABOVE_FULL` → whether each day belongs to it, shape (n,); empty without a full supply level."""
    if dam.full_supply is None:
        return {}
    above = level - dam.full_supply.on(dates).to_numpy().astype(float)
    margin = near_full_margin(dam, dates).to_numpy().astype(float)
    return {NEAR_FULL: np.abs(above) <= margin, ABOVE_FULL: above > margin}
