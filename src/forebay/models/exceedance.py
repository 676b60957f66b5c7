"""Probability that a level reaches a threshold, on a day and by a day, from sample paths.

The share of the paths at or beyond the threshold is the probability. Fifty paths cannot tell probabilities below one in
fifty; there, the frequency of such changes in the past decides (`resolved`). The past forecasts of the same threshold
then correct a constant error: one shift of the log-odds (`calibration`), which keeps the order of all probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from forebay.models.model import Array

Direction: TypeAlias = Literal["above", "below"]
"""Whether a level at or above a threshold, or at or below it, is beyond it."""

PRIOR_SD = 0.5
"""Standard deviation of the shift of the log-odds before any past forecast; chosen on the dams of `tests/dams`."""
MAX_SHIFT = 30.0
"""A shift of the log-odds by this makes every probability 0 or 1."""
CORRELATED_LEADS = 2
"""Outcomes within so many times the longest lead time count as one."""


class Probabilities(NamedTuple):
    """Probabilities of being beyond a threshold `on` a day, and `by` it: on any day up to it; shape (n, leads) each."""

    on: Array
    by: Array


def signed(distance: Array, direction: Direction) -> Array:
    """Level minus threshold, positive beyond the threshold."""
    return distance if direction == "above" else -distance


def shares(paths: Array, thresholds: Array, direction: Direction) -> Probabilities:
    """Shares of the paths that are beyond a threshold.

    Parameters
    ----------
    paths
        Levels of each init date, shape (n, leads, members), lead times rising; NaN without a forecast.
    thresholds
        Shape (n, leads); NaN where unknown.
    direction
        Side on which a level is beyond it.

    >>> paths = np.array([[[0.0, 2.0], [1.0, 0.0], [3.0, 0.0]]])
    >>> shares(paths, np.ones((1, 3)), "above").by.tolist()
    [[0.5, 1.0, 1.0]]
    """
    beyond = signed(paths - thresholds[:, :, None], direction) >= 0
    unknown = ~(np.isfinite(paths).all(axis=2) & np.isfinite(thresholds))
    on = np.where(unknown, np.nan, beyond.mean(axis=2))
    by = np.logical_or.accumulate(beyond, axis=1).mean(axis=2)
    return Probabilities(on, np.where(np.logical_or.accumulate(unknown, axis=1), np.nan, by))


def past_frequencies(
    changes: Array, distances: Array, spans: Sequence[tuple[int, int]], *, leads: Sequence[int], direction: Direction
) -> Probabilities:
    """Frequencies of past changes that would have been enough to reach a threshold; NaN without a past change.

    Parameters
    ----------
    changes
        Observed change of the level from each day to each lead time, shape (n, leads); NaN where unknown.
    distances
        Threshold of each valid date minus the level that the forecast starts from, shape (n, leads).
    spans
        First index and index after the last day of each span; its days use the changes known before it.
    leads
        Lead times in days, rising.
    direction
        As in `shares`.
    """
    rises, needed = signed(changes, direction), signed(distances, direction)
    largest, least = np.maximum.accumulate(rises, axis=1), np.minimum.accumulate(needed, axis=1)
    result = Probabilities(np.full(distances.shape, np.nan), np.full(distances.shape, np.nan))
    for start, end in spans:
        for column, lead in enumerate(leads):
            for frequency, past, need in zip(result, (rises, largest), (needed, least), strict=True):
                known = past[: max(0, start - lead), column]
                known = np.sort(known[np.isfinite(known)])
                if len(known):
                    below = np.searchsorted(known, need[start:end, column])
                    frequency[start:end, column] = np.where(
                        np.isfinite(need[start:end, column]), 1 - below / len(known), np.nan
                    )
    return result


def resolved(share: Array, frequency: Array, members: int) -> Array:
    """`share` of the paths; where none or all are beyond, the past frequency within half a path of that.

    No path of fifty means a probability below 2%, not 0. The past then says more than the paths. A frequency that is
    unknown leaves the share as it is.

    >>> resolved(np.array([0.0, 0.0, 0.5, 1.0]), np.array([0.004, 0.3, 0.1, 0.6]), 50).tolist()
    [0.004, 0.01, 0.5, 0.99]
    """
    half = 0.5 / members
    with np.errstate(invalid="ignore"):  # NaN: no forecast
        low = np.where(share <= 0, np.fmin(np.where(np.isnan(frequency), 0.0, frequency), half), share)
        return np.asarray(np.where(share >= 1, np.fmax(np.where(np.isnan(frequency), 1.0, frequency), 1 - half), low))


def calibration(
    probability: Array, reached: Array, spans: Sequence[tuple[int, int]], *, longest_lead: int
) -> Array:
    """Shift of the log-odds on each day that corrects the past forecasts of reaching a threshold, shape (n,).

    It is the most probable one if it is normal about 0 with `PRIOR_SD`, and each past outcome counts as
    1 / (`CORRELATED_LEADS` · longest lead) independent outcomes. It is learned at the start of each span.

    Parameters
    ----------
    probability
        Of reaching the threshold by the longest lead time, shape (n,); NaN on days from which nothing is learned.
    reached
        1 where it was reached, 0 where not, NaN where unknown, shape (n,).
    spans, longest_lead
        As in `past_frequencies`.
    """
    learns = (probability > 0) & (probability < 1) & np.isfinite(reached)  # no shift changes 0 and 1
    shift = np.zeros(len(probability))
    for start, end in spans:
        past = np.flatnonzero(learns[: max(0, start - longest_lead)])
        if len(past):
            weight = 1 / (CORRELATED_LEADS * longest_lead)
            shift[start:end] = _most_probable_shift(probability[past], reached[past], weight)
    return shift


def _most_probable_shift(probability: Array, reached: Array, weight: float) -> float:
    """The root of the derivative of the log posterior, which falls as the shift grows."""
    from scipy.optimize import brentq

    values, place = np.unique(probability, return_inverse=True)
    counts, hits = np.bincount(place), float(reached.sum())

    def slope(shift: float) -> float:
        return weight * (hits - float(counts @ shifted(values, shift))) - shift / PRIOR_SD**2

    return float(brentq(slope, -MAX_SHIFT, MAX_SHIFT, xtol=1e-9))


def shifted(probability: Array, shift: float | Array) -> Array:
    """`probability` with its log-odds shifted; 0 and 1 remain.

    >>> shifted(np.array([0.0, 0.5, 1.0]), float(np.log(3))).round(6).tolist()
    [0.0, 0.75, 1.0]
    """
    odds = np.exp(shift)
    return np.asarray(probability * odds / (1 - probability + probability * odds))


def first_times(by: Array, probabilities: Sequence[float], leads: Sequence[int]) -> Iterator[int | None]:
    """Lead time at which the probability of having reached a threshold first attains each of `probabilities`.

    None where it does not by the longest lead time.

    >>> list(first_times(np.array([0.1, 0.4, 0.8]), [0.1, 0.5, 0.9], [1, 3, 7]))
    [1, 7, None]
    """
    for probability in probabilities:
        reached = np.flatnonzero(by >= probability)
        yield leads[int(reached[0])] if len(reached) else None


