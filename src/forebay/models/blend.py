"""One forecast from several models: weights from each model's own past out-of-sample errors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from forebay.models.model import Array

PRIOR = {"trees": 30.0, "boosted_huber": 30.0, "wet_ridge": 12.0}
"""Weights before any error is known, relative to 1 for any other model."""
LEARNING_RATE = 1.6
"""At a lead of 1 day; errors of a lead of h days overlap and tell less, so it falls with the root of h."""


def blend(
    forecasts: Mapping[str, Array],
    observed: Array,
    *,
    lead_time: int,
    regimes: NDArray[np.intp] | None = None,
    weight_regimes: NDArray[np.intp] | None = None,
) -> tuple[Array, dict[str, Array]]:
    """The blended forecast of each day, and each model's weight on it.

    Exponentially weighted average with linearised absolute loss (Cesa-Bianchi and Lugosi, 2006, chapter 2): a model
    loses weight for what leaning towards it would have cost the blend so far, on days of the same kind. The loss is
    measured in units of the root of the sum of squares of the largest loss per day, so that neither the unit nor the
    dam's liveliness matters.

    Parameters
    ----------
    forecasts
        Model → expected change per day, shape (n,); NaN where none was made. Days are consecutive.
    observed
        Change that came, shape (n,); NaN where unknown. That of day d is used from day d + lead_time on.
    lead_time
        Days.
    regimes
        Regime of each day (0, 1, …) as known on that day, shape (n,). Weights are learned separately for each regime,
        because the best model differs between dry days, wet days and gate operations. One regime by default.
    weight_regimes
        Regime whose weights are used for each day, shape (n,); `regimes` by default. It does not change the learning.

    Returns
    -------
    array, dict
        Expected change per day, shape (n,), NaN where any model has none; model → weight, shape (n,), summing to 1.
    """
    names = list(forecasts)
    each = np.column_stack([forecasts[name] for name in names])
    kinds = np.zeros(len(each), int) if regimes is None else regimes
    prior = np.log([PRIOR.get(name, 1.0) for name in names])
    rate = LEARNING_RATE / np.sqrt(lead_time)
    usable: NDArray[np.bool_] = np.asarray(np.isfinite(each).all(axis=1))
    weights, given = np.full(each.shape, np.nan), np.full(each.shape, np.nan)
    shown = kinds if weight_regimes is None else weight_regimes
    count = int(max(kinds.max(initial=0), shown.max(initial=0))) + 1
    regret, size = np.zeros((count, len(names))), np.zeros(count)
    for day in range(len(each)):
        past = day - lead_time
        if past >= 0 and usable[past] and np.isfinite(observed[past]):
            cost = _cost(each[past], weights[past], observed[past])
            regret[kinds[past]] += cost
            size[kinds[past]] += float(np.max(np.abs(cost))) ** 2
        if usable[day]:
            learned = rate * regret / np.sqrt(np.where(size > 0, size, 1.0))[:, None]
            weights[day], given[day] = _softmax(prior - learned[kinds[day]]), _softmax(prior - learned[shown[day]])
    return np.sum(each * given, axis=1), {name: given[:, k] for k, name in enumerate(names)}


def _cost(each: Array, weights: Array, observed: float) -> Array:
    """What leaning towards each model would have cost: the gradient of |blend − observed| along it."""
    made = float(weights @ each)
    return np.asarray(np.sign(made - observed) * (each - made))


def _softmax(logarithms: NDArray[np.float64]) -> Array:
    raised = np.exp(logarithms - logarithms.max())
    return np.asarray(raised / raised.sum())
