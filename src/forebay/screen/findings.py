"""What every check of the screening room works with: one gauge's days, thresholds learned from its past, findings."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Days: TypeAlias = NDArray[np.intp]

WARM_UP_DAYS = 60
"""Readings from which a threshold is learned at the least; before them a check finds nothing."""


class Finding(NamedTuple):
    """Days of one gauge that a check speaks against, from the day on which that is known.

    Attributes
    ----------
    days
        Numbers of the days, rising.
    reason
        As in `flags.REASONS`.
    known
        Number of the day at whose end it is known; a day later than this is known at its own end.
    expected
        What the gauge should about have shown, in its own unit; NaN where that cannot be said.
    withdrawn
        Number of the day at whose end it is known no longer to hold; None where it still holds.
    """

    days: Days
    reason: str
    known: int
    expected: float = np.nan
    withdrawn: int | None = None


def learned(values: Floats, quantile: float, *, warm_up: int = WARM_UP_DAYS) -> Floats:
    """For each day the quantile of all earlier finite `values`; NaN until there are `warm_up` of them.

    The smallest value that at least this share of them does not exceed. Renewed whenever the record has grown by a
    tenth, so that a long record costs fifty sorts, not thousands; a day's figure depends on earlier days only.

    Examples
    --------
    >>> learned(np.arange(5.0), 0.5, warm_up=2).tolist()
    [nan, nan, 0.0, 1.0, 1.0]
    """
    made = np.full(len(values), np.nan)
    at = warm_up
    while at < len(values):
        following = min(len(values), at + max(1, at // 10))
        past = values[:at]
        past = past[np.isfinite(past)]
        if len(past) >= warm_up:
            rank = max(0, int(np.ceil(quantile * len(past))) - 1)
            made[at:following] = np.partition(past, rank)[rank]
        at = following
    return made


def day_changes(value: Floats) -> Floats:
    """Change from the day before; NaN across a gap."""
    return np.diff(value, prepend=np.nan)


def moving_sum(values: Floats, days: int) -> Floats:
    """Sum over the last `days` days, missing ones left out; NaN where all are missing."""
    total = np.concatenate([np.zeros(days), np.cumsum(np.nan_to_num(values))])
    count = np.concatenate([np.zeros(days), np.cumsum(np.isfinite(values))])
    return np.where(count[days:] > count[:-days], total[days:] - total[:-days], np.nan)


def seen_lately(happened: Bools, days: int) -> Bools:
    """Whether it happened on the day or one of the `days` before."""
    return moving_sum(happened.astype(float), days + 1) > 0
