"""What all checks of the screen share: findings, thresholds from a gauge's past, differences and moving sums."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Days: TypeAlias = NDArray[np.intp]

WARM_UP_DAYS = 60
"""Fewest readings for a threshold; a check finds nothing before."""


class Finding(NamedTuple):
    """Days of one gauge that a check flags, and the day from which the flag is known.

    Attributes
    ----------
    days
        Numbers of the flagged days, rising.
    reason
        One of `flags.REASONS`.
    known
        Number of the day at whose end the flag is known; a flagged day after it is known at its own end.
    expected
        Approximate true value, in the gauge's unit; NaN where there is no estimate.
    withdrawn
        Number of the day at whose end the flag is withdrawn; None where the flag remains.
    """

    days: Days
    reason: str
    known: int
    expected: float = np.nan
    withdrawn: int | None = None


def past_quantile(values: Floats, quantile: float, *, warm_up: int = WARM_UP_DAYS) -> Floats:
    """For each day the quantile of all earlier finite `values`; NaN until there are `warm_up` of them.

    The quantile is the smallest value that at least this share of the past does not exceed. It is updated whenever the
    record has grown by a tenth, so that a long record needs about fifty sorts. A day's quantile depends on earlier days
    only.

    Examples
    --------
    >>> past_quantile(np.arange(5.0), 0.5, warm_up=2).tolist()
    [nan, nan, 0.0, 1.0, 1.0]
    """
    quantiles = np.full(len(values), np.nan)
    at = warm_up
    while at < len(values):
        next_update = min(len(values), at + max(1, at // 10))
        past = values[:at]
        past = past[np.isfinite(past)]
        if len(past) >= warm_up:
            rank = max(0, int(np.ceil(quantile * len(past))) - 1)
            quantiles[at:next_update] = np.partition(past, rank)[rank]
        at = next_update
    return quantiles


def day_changes(value: Floats) -> Floats:
    """Change from the day before; NaN across a gap."""
    return np.diff(value, prepend=np.nan)


def moving_sum(values: Floats, days: int) -> Floats:
    """Sum over the last `days` days, without missing ones; NaN where all are missing."""
    total = np.concatenate([np.zeros(days), np.cumsum(np.nan_to_num(values))])
    count = np.concatenate([np.zeros(days), np.cumsum(np.isfinite(values))])
    return np.where(count[days:] > count[:-days], total[days:] - total[:-days], np.nan)


def any_recent(events: Bools, days: int) -> Bools:
    """Whether there is an event on the day or on one of the `days` before it."""
    return moving_sum(events.astype(float), days + 1) > 0
