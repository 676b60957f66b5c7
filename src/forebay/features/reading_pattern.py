"""How often a level is read, and in which steps: daily or weekly, in centimetres or in whole hm³."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RECENT_READINGS = 30
"""Number of the newest readings that show the pattern."""
_STEPS = tuple(digit * 10.0**exponent for exponent in range(-4, 7) for digit in (1, 2, 5))
_WEEK, _MONTH = 7, 30


@dataclass(frozen=True)
class ReadingPattern:
    """Pattern of the newest readings.

    Attributes
    ----------
    days, shortest, longest
        Median, 10% and 90% quantile of the days between two readings.
    resolution
        Step of which all values are multiples, in the target's unit; 0 if there is none.
    """

    days: float
    shortest: float
    longest: float
    resolution: float

    @property
    def is_daily(self) -> bool:
        """Whether there is a reading on most days."""
        return self.days < 2

    @property
    def frequency(self) -> str:
        """How often the level is read, in words.

        >>> ReadingPattern(7.0, 7.0, 7.0, 1.0).frequency
        'about once a week'
        """
        if self.longest > 2 * self.shortest:
            return f"at irregular times, {self.shortest:.0f} to {self.longest:.0f} days apart"
        names = {_WEEK: "about once a week", 2 * _WEEK: "about every two weeks"}
        if round(self.days) in names:
            return names[round(self.days)]
        return "about once a month" if abs(self.days - _MONTH) <= 3 else f"about every {self.days:.0f} days"


def reading_pattern(level: NDArray[np.float64], resolution: float) -> ReadingPattern | None:
    """Pattern of the newest readings of a level (one value per day, NaN where missing); None with fewer than two.

    Parameters
    ----------
    resolution
        Of the newest readings, in the unit of the level; 0 if there is none.
    """
    days = np.flatnonzero(np.isfinite(level))[-RECENT_READINGS:]
    if len(days) < 2:
        return None
    shortest, median, longest = np.quantile(np.diff(days), [0.1, 0.5, 0.9])
    return ReadingPattern(float(median), float(shortest), float(longest), resolution)


def resolution_by_day(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Resolution of the level as known on each day, from its last readings, shape (n,); 0 where there is none.

    The level is in the unit in which it is published, because a unit's step is no step of another unit.

    It is the largest of 1, 2, 5, 10, … (and of tenths, hundredths, …) of which all values are multiples. While the
    level does not change at all, the last resolution stays.

    Examples
    --------
    >>> resolution_by_day(np.tile([10.0, 10.5, 11.5], 10))[-1].item()
    0.5
    """
    steps = np.zeros(len(level))
    days = np.flatnonzero(np.isfinite(level))
    values = level[days]
    if len(values) < RECENT_READINGS:
        return steps
    by_reading = np.zeros(len(values))
    smallest = _smallest_recent_change(values)
    for step in _STEPS:
        ratio = values / step
        is_multiple = np.abs(ratio - np.round(ratio)) <= 1e-6 + 1e-11 * np.abs(ratio)
        by_reading[(_count_recent(is_multiple) == RECENT_READINGS) & (smallest >= step * (1 - 1e-6))] = step
    moved = np.maximum.accumulate(np.where(np.isfinite(smallest), np.arange(len(values)), -1))
    by_reading = np.where(moved >= 0, by_reading[moved], 0.0)
    last = np.searchsorted(days, np.arange(len(level)), side="right") - 1
    return np.where(last >= 0, by_reading[np.maximum(last, 0)], 0.0)


def _smallest_recent_change(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smallest change that is not 0 between each reading and those before it that count; infinite without any."""
    changes = np.abs(np.diff(values, prepend=values[0]))
    changes[changes <= 1e-9 * np.abs(values)] = np.inf  # digits of a conversion
    padded = np.concatenate([np.full(RECENT_READINGS - 2, np.inf), changes])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, RECENT_READINGS - 1).min(1))


def _count_recent(events: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Number of events among each reading and the readings before it, `RECENT_READINGS` in all."""
    total = np.concatenate([np.zeros(RECENT_READINGS, int), np.cumsum(events)])
    return np.asarray(total[RECENT_READINGS:] - total[:-RECENT_READINGS])
