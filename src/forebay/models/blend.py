"""One forecast from several models, with weights from each model's past out-of-sample errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from forebay.models.model import Array

PRIOR = {"trees": 30.0, "boosted_huber": 30.0, "wet_ridge": 12.0}
"""Weights before any error is known, relative to 1 for all other models."""
LEARNING_RATE = 1.6
"""At a lead time of 1 day. It decreases with the root of the lead time, because overlapping errors hold less
information."""


def blend(
    forecasts: Mapping[str, Array],
    observed: Array,
    *,
    lead_time: int,
    regimes: NDArray[np.intp] | None = None,
    weight_regimes: NDArray[np.intp] | None = None,
) -> tuple[Array, dict[str, Array]]:
    """The blended forecast of each day, and the weight of each model on that day.

    Exponentially weighted average with linearised absolute loss (Cesa-Bianchi and Lugosi, 2006, chapter 2). A model
    loses weight by the loss that a small shift of the blend towards it would have caused on past days of the same
    regime. The unit of the loss is the root of the sum of squares of the largest loss per day, so that the weights
    depend neither on the dam's unit nor on the size of its changes.

    Parameters
    ----------
    forecasts
        Model → expected change per day, shape (n,); NaN without a forecast. Days are consecutive.
    observed
        Observed change, shape (n,); NaN where unknown. The change of day d is used from day d + lead_time on.
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
        Expected change per day, shape (n,), NaN where a model has no forecast; model → weight, shape (n,), sum 1.
    """
    names = list(forecasts)
    changes = np.column_stack([forecasts[name] for name in names])
    regimes = np.zeros(len(changes), int) if regimes is None else regimes
    output_regimes = regimes if weight_regimes is None else weight_regimes
    prior = np.log([PRIOR.get(name, 1.0) for name in names])
    rate = LEARNING_RATE / np.sqrt(lead_time)
    complete: NDArray[np.bool_] = np.asarray(np.isfinite(changes).all(axis=1))
    weights, output = np.full(changes.shape, np.nan), np.full(changes.shape, np.nan)
    count = int(max(regimes.max(initial=0), output_regimes.max(initial=0))) + 1
    regret, size = np.zeros((count, len(names))), np.zeros(count)
    for day in range(len(changes)):
        past = day - lead_time
        if past >= 0 and complete[past] and np.isfinite(observed[past]):
            loss = _loss(changes[past], weights[past], observed[past])
            regret[regimes[past]] += loss
            size[regimes[past]] += float(np.max(np.abs(loss))) ** 2
        if complete[day]:
            penalty = rate * regret / np.sqrt(np.where(size > 0, size, 1.0))[:, None]
            weights[day] = _softmax(prior - penalty[regimes[day]])
            output[day] = _softmax(prior - penalty[output_regimes[day]])
    return np.sum(changes * output, axis=1), {name: output[:, k] for k, name in enumerate(names)}


def _loss(changes: Array, weights: Array, observed: float) -> Array:
    """Linearised loss of each model: the gradient of |blend − observed| in its direction."""
    blended = float(weights @ changes)
    return np.asarray(np.sign(blended - observed) * (changes - blended))


def _softmax(logarithms: NDArray[np.float64]) -> Array:
    powers = np.exp(logarithms - logarithms.max())
    return np.asarray(powers / powers.sum())
