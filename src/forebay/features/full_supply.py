"""Days near full supply, where people operate the gates, and days above it, in the flood pool."""

from __future__ import annotations

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
