"""Smooth forecasts over the lead times: the forecasts of one day are points of one curve.

Each lead time has models and errors of its own, so the forecasts of one day jitter from one lead time to the next. A
water level changes more smoothly than that. The forecasts are therefore pulled towards a curve with little curvature
that starts at the present level (Whittaker, 1923): it minimises the weighted squared distances from the forecasts plus
a penalty times its squared second differences. Short lead times, which are more accurate, have large weights, so that
they hardly move and the long ones follow them.

How smooth the level is depends on the dam: a turbine follows the days of the week, a natural lake does not. Curves with
a few penalties are mixed, with weights learned from past forecasts as in `models.response`. The first penalty is 0: it
leaves the forecasts as they are.

The curve covers the lead times 1, 2, 3 … days up to the first gap. A later lead time stays as it is: across a gap the
curve would be an extrapolation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forebay.models.rows import ALL_ROWS, Rows

if TYPE_CHECKING:
    from forebay.models.model import Array

PENALTIES = (0.0, 0.001, 0.003, 0.01, 0.03)
WEIGHT_POWER = 5
"""The weight of a lead time of h days is h to the power of minus this. Penalties, power and learning rate were chosen
on the seven-day forecasts of eight dams, the penalty and power of the offsets on those of six (decision 17)."""
LEARNING_RATE = 3.0
MIN_DAYS = 20
"""Outcomes of each lead time before the first day that is smoothed."""
OFFSET_PENALTY, OFFSET_POWER = 0.03, 3
"""Penalty and power of the weights for the offsets of an interval, which are less certain than the forecasts."""


def smoothed_leads(leads: Sequence[int]) -> int:
    """Number of the first lead times that are on the curve: those before the first gap; 0 if they are fewer than 2.

    >>> smoothed_leads((1, 2, 3, 7)), smoothed_leads((1, 3, 7)), smoothed_leads((2, 3, 4))
    (3, 0, 0)
    """
    count = next((k for k, lead in enumerate(leads) if lead != k + 1), len(leads))
    return count if count > 1 else 0


def curves(leads: Sequence[int]) -> Array:
    """Matrix of each penalty that maps the forecasts of one day to its curve, shape (penalties, leads, leads).

    Parameters
    ----------
    leads
        Lead times in days, rising.
    """
    return np.stack([_curve(leads, penalty, WEIGHT_POWER) for penalty in PENALTIES])


def offset_curve(leads: Sequence[int]) -> Array:
    """Matrix that maps the offsets of one quantile to their curve, shape (leads, leads)."""
    return _curve(leads, OFFSET_PENALTY, OFFSET_POWER)


def _curve(leads: Sequence[int], penalty: float, power: float) -> Array:
    """Matrix that maps the values of one day to their curve, which starts at 0."""
    count = smoothed_leads(leads)
    matrix = np.eye(len(leads))
    second = np.diff(np.eye(count + 1), 2, axis=0)[:, 1:]  # of the present level, which is 0, and the first lead times
    distance = np.asarray(leads[:count], float)[:, None] ** power  # 1 / weight
    matrix[:count, :count] = np.linalg.inv(np.eye(count) + penalty * distance * (second.T @ second))
    return matrix


def curve_weights(changes: Array, observed: Array, *, leads: Sequence[int], rows: Rows = ALL_ROWS) -> Array:
    """Weight of each curve on each day, shape (n, penalties), learned from the changes known on that day.

    NaN before `MIN_DAYS` outcomes of each lead time on the curve are known: a level that is read once a week has none
    at most lead times. The loss is the absolute error of the mixture in units of the mean error of each lead time so
    far, linearised (Cesa-Bianchi and Lugosi, 2006, chapter 2), over the lead times with an outcome.

    Parameters
    ----------
    changes
        Forecast changes, shape (n, leads); days are consecutive.
    observed
        Observed changes, shape (n, leads); NaN where unknown. Those of day d are used from day d + the longest lead
        time of the curve on.
    leads
        Lead times in days, rising.
    rows
        The days to compute; the rows before them have no meaning.
    """
    count = smoothed_leads(leads)
    if not count:
        return np.full((len(changes), len(PENALTIES)), np.nan)
    answers = np.einsum("elk,nk->nel", curves(leads)[:, :count, :count], changes[:, :count])
    outcome = observed[:, :count]
    has_forecast: NDArray[np.bool_] = np.asarray(np.isfinite(changes[:, :count]).all(axis=1))
    weights = np.full((len(changes), len(PENALTIES)), 1 / len(PENALTIES))
    regret, size = np.zeros(len(PENALTIES)), np.zeros(())
    total_error, outcomes = np.zeros(count), np.zeros(count, int)
    is_known = np.zeros(len(changes), bool)
    state = {"regret": regret, "size": size, "total_error": total_error, "outcomes": outcomes}
    for day in rows.days("curve", state, weights):
        past = day - count
        known = np.isfinite(outcome[past]) if past >= 0 and has_forecast[past] else np.zeros(count, bool)
        if known.any():
            mean = (weights[past][:, None] * answers[past]).sum(axis=0)
            error = np.where(known, mean - outcome[past], 0.0)
            total_error += np.abs(error)
            outcomes += known
            typical = np.where(total_error > 0, total_error / np.maximum(outcomes, 1), 1.0)
            loss = (np.sign(error) * (answers[past] - mean) / typical).sum(axis=1) / known.sum()
            regret += loss
            size += np.abs(loss).max() ** 2
        if size > 0:
            scaled = -LEARNING_RATE * regret / np.sqrt(size)
            powers = np.exp(scaled - scaled.max())
            weights[day] = powers / powers.sum()
        is_known[day] = (outcomes >= MIN_DAYS).all()
    return np.where(is_known[:, None], weights, np.nan)


def daily_curves(weights: Array, is_smoothed: NDArray[np.bool_], *, leads: Sequence[int]) -> Array:
    """Matrix of each day that maps its forecasts to the mixture of curves, shape (n, leads, leads).

    On a day that is not smoothed, or has no weights, it leaves the forecasts unchanged.
    """
    matrices = np.einsum("ne,elk->nlk", weights, curves(leads))
    has_weights = is_smoothed & np.isfinite(weights).all(axis=1)
    return np.asarray(np.where(has_weights[:, None, None], matrices, np.eye(len(leads))))


def has_curve(matrices: Array) -> NDArray[np.bool_]:
    """Whether each day's matrix of `daily_curves` changes its forecasts, shape (n,)."""
    return np.asarray((matrices != np.eye(matrices.shape[1])).any(axis=(1, 2)))


def smoothed(values: Array, matrices: Array, is_smoothed: NDArray[np.bool_] | None = None) -> Array:
    """`values` of each day, shape (n, leads) or (n, leads, k), on its curve; unchanged on a day with a missing value.

    Parameters
    ----------
    matrices
        As `daily_curves` returns them, or one matrix for all days.
    is_smoothed
        Whether each day is smoothed, shape (n,); None for every day.
    """
    along = np.einsum("...lj,...jk->...lk", matrices, values.reshape(*values.shape[:2], -1)).reshape(values.shape)
    is_whole: NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
    changed = is_whole if is_smoothed is None else is_whole & is_smoothed
    return np.where(changed.reshape(-1, *[1] * (values.ndim - 1)), along, values)
