"""The response near full supply: how much of a predicted rise beyond full supply remains.

The models forecast the rise that the inflow would cause. Near full supply the dam decides what becomes of it: gates
hold the level, a spillway without gates lets it rise by a part, and in a flood pool it rises in full. Each of a few
responses changes a forecast in its own way, and their weighted mean is the forecast. A response loses weight by the
loss that a small shift towards it would have caused on past days, as the models do in `blend`.

The first weights are equal but for "no response", which has more, and more with every day on which the lake has stood
above full supply by more than the margin: such a dam has a flood pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from forebay.models.rows import ALL_ROWS, Rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from forebay.features.full_supply import FullSupply
    from forebay.models.model import Array


class _Response(NamedTuple):
    """What remains of a forecast beyond a cap.

    share: part of the excess that remains. offset: the cap above full supply, in margins. returns: whether a lake above
    the cap falls to it; otherwise its own level is the cap. weight: the first weight.
    """

    share: float
    offset: float
    returns: bool
    weight: float


RESPONSES = (
    _Response(1.0, 0.0, returns=False, weight=4.0),
    _Response(0.0, 0.0, returns=False, weight=1.0),
    _Response(0.0, 0.1, returns=False, weight=1.0),
    _Response(0.0, 0.2, returns=False, weight=1.0),
    _Response(0.0, 0.5, returns=False, weight=1.0),
    _Response(0.0, 1.0, returns=False, weight=1.0),
    _Response(0.3, 0.2, returns=False, weight=1.0),
    _Response(0.2, -0.5, returns=True, weight=0.3),
    _Response(0.2, 0.0, returns=True, weight=0.3),
    _Response(0.2, 0.25, returns=True, weight=0.3),
)
"""The first is no response. Chosen, with their weights and the learning rate, on the fifteen dams of `tests/dams`."""
MIN_DAYS_ABOVE = 2
"""Forecasts that start above full supply by more than the margin have weights of their own once so many changes from
such days are known; before, they have those of the days near full supply."""
KEEPS_FULL = 4.0
"""A response lowers a level x below full supply to no more than this times x below it: no forecast jumps there."""
LEARNING_RATE = 2.0
"""At a lead time of 1 day; it decreases with the root of the lead time."""
SHARING = 2.0
"""A lead time of a days learns from one of b > a days with weight (a / b) to the power of this, and vice versa."""


def respond(
    changes: Array, start: Array, full_supply: FullSupply, weights: Array, *, leads: Sequence[int]
) -> Array:
    """Forecast changes after the response.

    Parameters
    ----------
    changes
        Shape (n, leads, k).
    start
        Level that each day's forecast starts from, shape (n,).
    weights
        As `response_weights` returns them for these changes, shape (n, leads, k, responses).
    leads
        Lead times in days.

    Returns
    -------
    array
        Shape (n, leads, k); a change without response where full supply or the level is unknown.
    """
    by_lead = []
    for column, lead in enumerate(leads):
        answers = _answers(changes[:, column], start, full_supply.level_ahead[lead], full_supply.margin)
        mean = (weights[:, column] * answers).sum(axis=2)
        by_lead.append(np.where(np.isfinite(answers).all(axis=2), mean, changes[:, column]))
    return np.stack(by_lead, axis=1)


def response_weights(  # noqa: PLR0913  # what is forecast, what is observed, and what is known of the dam
    changes: Array,
    observed: Array,
    start: Array,
    full_supply: FullSupply,
    *,
    leads: Sequence[int],
    probabilities: Sequence[float],
    rows: Rows = ALL_ROWS,
) -> Array:
    """Weight of each response on each day, shape (n, leads, k, responses), learned from the changes known on that day.

    The loss is the pinball loss of each quantile in units of its mean error so far, linearised (Cesa-Bianchi and
    Lugosi, 2006, chapter 2). A lead time learns from the others too, from near ones more than from distant ones
    (`SHARING`), so that the response of a day hardly changes from one lead time to the next. Days on which the forecast
    starts above full supply by more than the margin learn apart, once `MIN_DAYS_ABOVE` of them are known. On a day on
    which no response acts, the weights have no meaning.

    Parameters
    ----------
    changes
        Quantiles of the change per day and lead time, shape (n, leads, k); days are consecutive.
    observed
        Observed change, shape (n, leads); NaN where unknown. The change of day d at a lead time is used from day
        d + lead time on.
    start
        Level that each day's forecast starts from, shape (n,).
    leads
        Lead times in days, rising.
    probabilities
        Of the quantiles, (k,).
    rows
        The days to compute; the rows before them have no meaning.
    """
    levels, days = np.asarray(probabilities), np.asarray(leads, float)
    sharing = (np.minimum.outer(days, days) / np.maximum.outer(days, days)) ** SHARING
    margin = full_supply.margin
    ahead = np.stack([full_supply.level_ahead[lead] for lead in leads], axis=1)
    lowest_cap = ahead + min(response.offset for response in RESPONSES) * margin[:, None]
    is_active = start[:, None] + changes.max(axis=2) > lowest_cap
    learns, acts = is_active & np.isfinite(observed), is_active.any(axis=1)
    lead_days, becomes_known = np.asarray(leads), np.zeros_like(learns)
    for column, lead in enumerate(leads):
        becomes_known[lead:, column] = learns[: max(0, len(learns) - lead), column]
    answers_by_lead = [
        _answers(changes[past, column], start[past], ahead[past, column], margin[past])
        for column, past in enumerate(learns.T)
    ]
    number = np.cumsum(learns, axis=0) - 1  # of each day among those that its lead time learns from
    above = (start - full_supply.level > margin).astype(int)
    regret = np.zeros((2, len(leads), len(levels), len(RESPONSES)))
    size = np.zeros((2, len(leads), len(levels)))
    total_error, errors = np.zeros((len(leads), len(levels))), np.zeros(len(leads), int)
    starts_above = np.zeros((), int)
    prior = _first_weights(full_supply.days_above)
    weights = np.tile(_softmax(prior)[:, None, None, :], (1, len(leads), len(levels), 1))
    state = {"regret": regret, "size": size, "total_error": total_error, "errors": errors, "starts": starts_above}
    for day in rows.days(f"response{levels[0]:g}-{levels[-1]:g}", state, weights):
        known = np.flatnonzero(becomes_known[day])
        if len(known):
            past = day - lead_days[known]
            answers = np.stack([answers_by_lead[k][number[d, k]] for k, d in zip(known, past, strict=True)])
            mean = (weights[past, known] * answers).sum(axis=2)
            change = observed[past, known][:, None]
            total_error[known] += np.abs(mean - change)
            errors[known] += 1
            loss = _losses(answers, mean, change, levels, total_error[known] / errors[known][:, None])
            shares = sharing[:, known, None]
            shared_loss, largest = shares[..., None] * loss, (shares * np.abs(loss).max(axis=2)) ** 2
            for row, was_above in enumerate(above[past]):
                regret[was_above] += shared_loss[:, row]
                size[was_above] += largest[:, row]
            starts_above += int(known[0] == 0 and above[past[0]])
        group = int(above[day] and starts_above >= MIN_DAYS_ABOVE)
        if acts[day] and size[group].any():
            weights[day] = _weights(prior[day], regret[group], size[group], days)
    return weights


def _losses(answers: Array, mean: Array, observed: Array, levels: Array, typical: Array) -> Array:
    """Linearised pinball loss of each response, shape (leads, k, responses), in units of the `typical` error.

    `answers` has that shape; their weighted `mean` and `typical` have shape (leads, k), `observed` (leads, 1).
    """
    slope = 2 * ((observed < mean) - levels) / np.where(typical > 0, typical, 1.0)
    return np.asarray(slope[:, :, None] * (answers - mean[:, :, None]))


def weights_by_group(state: Mapping[str, Array], days_above: int, *, leads: Sequence[int]) -> Array:
    """Weight of each response in a state of the learner, shape (2, leads, k, responses).

    The first weights are those of days that start at most the margin above full supply, the second those of other days.

    Parameters
    ----------
    state
        regret, size and starts, as `response_weights` changes them.
    days_above
        `FullSupply.days_above` of the day.
    """
    groups = (0, int(state["starts"] >= MIN_DAYS_ABOVE))
    prior, days = _first_weights(np.array([days_above]))[0], np.asarray(leads, float)
    return np.stack([_weights(prior, state["regret"][group], state["size"][group], days) for group in groups])


def _first_weights(days_above: NDArray[np.intp]) -> Array:
    """Logarithms of the first weights of the responses on each day, shape (n, responses)."""
    prior = np.tile(np.log([response.weight for response in RESPONSES]), (len(days_above), 1))
    prior[:, 0] = np.log(RESPONSES[0].weight + days_above)
    return prior


def _weights(prior: Array, regret: Array, size: Array, days: Array) -> Array:
    """Weights of the responses, shape (leads, k, responses); `days` are the lead times."""
    unit = np.sqrt(np.where(size > 0, size, 1.0))
    rates = LEARNING_RATE / np.sqrt(days)[:, None, None]
    return _softmax(prior - rates * regret / unit[:, :, None])


def _answers(changes: Array, start: Array, full: Array, margin: Array) -> Array:
    """The changes (n, k) after each response, shape (n, k, responses); NaN where full supply or the level is unknown.

    No response lowers a level from above full supply to below it, so that the response changes how far a lake rises
    beyond full supply and not whether it is full. Just below full supply the effect begins gradually (`KEEPS_FULL`).

    Parameters
    ----------
    start, full, margin
        Level that the forecast starts from, full supply of the valid date, and margin, shape (n,).
    """
    share, offset, returns = (np.array(column) for column in list(zip(*RESPONSES, strict=True))[:3])
    level, changes = (start[:, None] + changes)[:, :, None], changes[:, :, None]
    start, full, margin = start[:, None, None], full[:, None, None], margin[:, None, None]
    cap = full + offset * margin
    cap = np.where(returns, cap, np.maximum(cap, start))
    to_full = full - start - KEEPS_FULL * np.maximum(full - level, 0.0)
    return np.asarray(np.maximum(changes - (1 - share) * np.maximum(level - cap, 0.0), to_full))


def _softmax(logarithms: NDArray[np.float64]) -> Array:
    powers = np.exp(logarithms - logarithms.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
