"""One forecast from several models, with weights from each model's past out-of-sample errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forebay.models.day_kinds import ABOVE_FULL, FORECAST, NEAR_FULL
from forebay.models.rows import ALL_ROWS, Rows
from forebay.models.stages import EARLY_DAYS
from forebay.tables import REFERENCES

if TYPE_CHECKING:
    from forebay.models.model import Array

PRIOR = {"trees": 30.0, "boosted_huber": 30.0, "wet_ridge": 12.0, "global_trees": 50.0}
"""Weights before any error is known, relative to 1 for all other models."""
LATE_PRIOR = {"global_trees": 10.0}
"""Other weights after a record's first two years (`stages.EARLY_DAYS`): the dam's own models then have enough rows."""
NEAR_FULL_PRIOR = {"no_change": 10.0, "damped_change": 10.0, "climatology": 10.0}
"""Other weights on days near full supply, where gates often hold the level or follow a routine of the season."""
FORECAST_PRIOR = {"inflow_ahead": (1e-9, 100.0)}
"""Weights of models that need a forecast, on days without and with one."""
LEARNING_RATE = 1.6
"""At a lead time of 1 day. It decreases with the root of the lead time, because overlapping errors hold less
information."""
ROBUST = ("no_change", "climatology", "trees")
"""Models whose forecast cannot leave the range of the changes they learned from, whatever their inputs."""
WILD_FACTOR, WILD_DAYS = 5.0, 365
"""Models disagree wildly if the range of their forecasts is more than this multiple of the largest range so far; the
second number is the least number of earlier days. In record floods of the dams in `tests/dams` it was up to 3.5 times
the largest range so far, and the regressions were right."""
FULL_FACTOR = 2.0
"""Factor of the learning rate on days near or above full supply, of which there are few."""


def blend(
    forecasts: Mapping[str, Array],
    observed: Array,
    *,
    lead_time: int,
    regimes: NDArray[np.intp] | None = None,
    weight_regimes: NDArray[np.intp] | None = None,
    rows: Rows = ALL_ROWS,
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
        Kind of each day (`day_kinds`) as known on that day, shape (n,). Weights are learned separately for each kind,
        because the best model differs between dry days, wet days and gate operations. One kind by default.
    weight_regimes
        Regime whose weights are used for each day, shape (n,); `regimes` by default. It does not change the learning.
    rows
        The days to compute; the rows before them have no meaning.

    Returns
    -------
    array, dict
        Expected change per day, shape (n,), NaN where a model has no forecast; model → weight, shape (n,), sum 1.
    """
    names = list(forecasts)
    changes = np.column_stack([forecasts[name] for name in names])
    regimes = np.zeros(len(changes), int) if regimes is None else regimes
    output_regimes = regimes if weight_regimes is None else weight_regimes
    complete: NDArray[np.bool_] = np.asarray(np.isfinite(changes).all(axis=1))
    weights, output = np.full(changes.shape, np.nan), np.full(changes.shape, np.nan)
    priors, rate = [_priors(names, late=late) for late in (False, True)], _rates(lead_time)
    regret, size = np.zeros(priors[0].shape), np.zeros(len(rate))
    for day in rows.days(f"blend{lead_time}", {"regret": regret, "size": size}, weights):
        past = day - lead_time
        if past >= 0 and complete[past] and np.isfinite(observed[past]):
            loss = _loss(changes[past], weights[past], observed[past])
            regret[regimes[past]] += loss
            size[regimes[past]] += float(np.max(np.abs(loss))) ** 2
        if complete[day]:
            prior = priors[day >= EARLY_DAYS]
            kind, output_kind = regimes[day], output_regimes[day]
            weights[day] = output[day] = _weights(prior[kind], rate[kind], regret[kind], size[kind])
            if output_kind != kind:
                output[day] = _weights(prior[output_kind], rate[output_kind], regret[output_kind], size[output_kind])
    return np.sum(changes * output, axis=1), {name: output[:, k] for k, name in enumerate(names)}


def weights_by_kind(names: Sequence[str], regret: Array, size: Array, *, lead_time: int) -> Array:
    """Weight of each model on days of each kind (`day_kinds`), shape (kinds, models), in a state of the learner.

    Parameters
    ----------
    names
        Names of the models.
    regret, size
        The state, shape (kinds, models) and (kinds,).
    """
    prior, rate = _priors(names, late=False), _rates(lead_time)
    return np.stack([_weights(*of_kind) for of_kind in zip(prior, rate, regret, size, strict=True)])


def range_of_models(changes: Mapping[str, Array]) -> Array:
    """Largest minus smallest of the `changes` of the fitted models, shape (n,); 0 if there are none.

    The references do not count, nor do models that need a forecast: they are like a reference on days without one.
    """
    fitted = [change for name, change in changes.items() if is_fitted(name)]
    fitted = fitted or [np.zeros(len(next(iter(changes.values()))))]
    return np.asarray(np.max(fitted, axis=0) - np.min(fitted, axis=0))


def is_fitted(name: str) -> bool:
    """Whether a model counts for `range_of_models`."""
    return name not in (*REFERENCES, *FORECAST_PRIOR)


def disagrees_wildly(model_range: Array) -> NDArray[np.bool_]:
    """Whether the models disagree on each day as never before, shape (n,).

    Parameters
    ----------
    model_range
        Largest minus smallest forecast of the models of each day, shape (n,); NaN without one.
    """
    return np.asarray(np.isfinite(model_range) & (model_range > WILD_FACTOR * largest_range_before(model_range)))


def largest_range_before(model_range: Array) -> Array:
    """Largest of the `model_range` of all earlier days, shape (n,); infinite while few of them are known."""
    is_known = np.isfinite(model_range)
    largest = np.maximum.accumulate(np.where(is_known, model_range, 0.0))
    before = np.concatenate([[np.inf], largest[:-1]])
    before[np.cumsum(is_known) <= WILD_DAYS] = np.inf
    return before


def robust_weights(weights: Mapping[str, Array], days: NDArray[np.bool_]) -> dict[str, Array]:
    """`weights` of the models (n,), on the given days of the models in `ROBUST` alone, in the same proportions."""
    total = np.sum([weight for name, weight in weights.items() if name in ROBUST], axis=0)
    shares = {name: weight / total if name in ROBUST else np.zeros_like(weight) for name, weight in weights.items()}
    return {name: np.where(days, shares[name], weight) for name, weight in weights.items()}


def weighted_sum(weights: Mapping[str, Array] | Mapping[str, float], changes: Mapping[str, Array]) -> Array:
    """Weighted sum of the models' `changes`."""
    return np.asarray(np.sum([weights[name] * change for name, change in changes.items()], axis=0))


def _priors(names: Sequence[str], *, late: bool) -> Array:
    """Logarithm of the first weight of each model on days of each kind, shape (kinds, models)."""
    # of all kinds: a state does not depend on those that have occurred
    return np.log([[_prior(name, kind, late=late) for name in names] for kind in range(2 * FORECAST)])


def _rates(lead_time: int) -> Array:
    """Learning rate on days of each kind, shape (kinds,)."""
    is_full = np.array([bool(kind & (NEAR_FULL | ABOVE_FULL)) for kind in range(2 * FORECAST)])
    return np.asarray(LEARNING_RATE * np.where(is_full, FULL_FACTOR, 1.0) / np.sqrt(lead_time))


def _weights(prior: Array, rate: float, regret: Array, size: float) -> Array:
    unit = np.sqrt(size) if size > 0 else 1.0
    return _softmax(prior - rate / unit * regret)


def _prior(name: str, kind: int, *, late: bool) -> float:
    """Weight of a model on days of a kind before any error is known."""
    if name in FORECAST_PRIOR:
        return FORECAST_PRIOR[name][bool(kind & FORECAST)]
    weight = (PRIOR | LATE_PRIOR if late else PRIOR).get(name, 1.0)
    return NEAR_FULL_PRIOR.get(name, weight) if kind & NEAR_FULL else weight


def _loss(changes: Array, weights: Array, observed: float) -> Array:
    """Linearised loss of each model: the gradient of |blend − observed| in its direction."""
    blended = float(weights @ changes)
    return np.asarray(np.sign(blended - observed) * (changes - blended))


def _softmax(logarithms: NDArray[np.float64]) -> Array:
    powers = np.exp(logarithms - logarithms.max())
    return np.asarray(powers / powers.sum())
