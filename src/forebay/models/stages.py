"""Learning from past forecasts in two stages, because the forecasts of a record's first years are poor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forebay.models.rows import ALL_ROWS, Rows

if TYPE_CHECKING:
    from forebay.models.model import Array

EARLY_DAYS = 730
"""Days of the record whose forecasts come from fits with few rows."""
EARLY_UNTIL = 1095
"""Day of the record from which on nothing is learned from the early forecasts; by then a year of others is known."""
MANY_ROWS = 365
"""First forecast day from which on no forecast counts as early: a year of rows lies before it."""


def in_stages(
    learn: Callable[[Array, NDArray[np.bool_]], Array], known: Array, forecasts: Array, rows: Rows = ALL_ROWS
) -> Array:
    """What is learned from past forecasts, one row per day.

    A hindcast that begins with the record has poor forecasts in the first years. They teach weights and intervals as
    long as there are no others.

    Parameters
    ----------
    learn
        Called with the known values of the first n days and whether the row of each is needed, shape (n,). It returns
        an array with n rows, each of which depends on earlier values only; a row that is not needed has no meaning.
    known
        Observed change or error of each day, shape (n,) or (n, k); NaN where unknown.
    forecasts
        Forecasts of each day, shape (n,) or (n, k); NaN before the first forecast.
    rows
        The days to compute, all of them or none of the early ones; the rows before them have no meaning.
    """
    if rows.offset or not _has_early(forecasts):
        return learn(known, rows.mask(len(known)))
    count = min(len(known), EARLY_UNTIL)
    if not rows.first:
        early = learn(known[:count], np.ones(count, bool))
    if len(known) <= EARLY_UNTIL:
        return early
    late = learn(_without_early(known), rows.mask(len(known)) & (np.arange(len(known)) >= EARLY_UNTIL))
    return late if rows.first else np.concatenate([early, late[count:]])


def known_to_learners(known: Array, forecasts: Array, day: int) -> Array:
    """The values of `known` from which `in_stages` learns for a day with this index; arguments as there."""
    return _without_early(known) if day >= EARLY_UNTIL and _has_early(forecasts) else known


def _has_early(forecasts: Array) -> bool:
    return bool(np.isfinite(forecasts[:MANY_ROWS]).any())


def _without_early(known: Array) -> Array:
    late = known.copy()
    late[:EARLY_DAYS] = np.nan
    return late
