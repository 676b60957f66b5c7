"""The response near full supply (`models.response`) of a hindcast's forecasts, as known on each day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from forebay.models.response import respond, response_weights
from forebay.models.rows import ALL_ROWS, Rows
from forebay.models.stages import in_stages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forebay.features.samples import Samples
    from forebay.models.model import Array


def response_of(
    changes: Array,
    samples: Samples,
    leads: Sequence[int],
    probabilities: Sequence[float],
    rows: Rows = ALL_ROWS,
) -> Array | None:
    """Weights of the responses to forecast `changes` (n, leads, k), shape (n, leads, k, responses).

    None without full supply.
    """
    if samples.full_supply is None:
        return None
    full_supply, start = samples.full_supply, samples.start_level

    def learn(known: Array, needed: NDArray[np.bool_]) -> Array:
        n = len(needed)
        return response_weights(
            changes[:n],
            known,
            start[:n],
            full_supply.head(n),
            leads=leads,
            probabilities=probabilities,
            rows=rows.of(n),
        )

    return in_stages(learn, samples.changes(samples.trusted, leads), changes, rows)


def with_response(
    changes: Array, start: Array, samples: Samples, weights: Array | None, *, leads: Sequence[int]
) -> Array:
    """`changes` (n, leads, k) from the level `start` (n,) after the response with these weights; unchanged without."""
    if samples.full_supply is None or weights is None:
        return changes
    return respond(changes, start, samples.full_supply, weights, leads=leads)
