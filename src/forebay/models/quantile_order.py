"""Order of the quantiles of one forecast: rising, about their median, and not finer than the readings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from forebay.models.model import Array


def not_finer_than_readings(offsets: Array, resolution: Array | None, probabilities: Sequence[float]) -> Array:
    """`offsets` (n, leads, k), not narrower than the rounding of the readings: uniform within their resolution.

    Parameters
    ----------
    resolution
        Step of the readings, shape (n,); None where it is not known.
    """
    if resolution is None:
        return offsets
    rounding = (resolution[:, None] * (np.asarray(probabilities) - 0.5))[:, None, :]
    widened = np.where(rounding < 0, np.minimum(offsets, rounding), np.maximum(offsets, rounding))
    return np.where(rounding == 0, offsets, widened)


def around_median(changes: Array, median: Array, levels: Array) -> Array:
    """Quantiles `changes` (n, leads, k) of the probabilities `levels`, rising, about the `median` (n, leads, 1)."""
    changes = np.where(levels < 0.5, np.minimum(changes, median), changes)
    changes = np.where(levels > 0.5, np.maximum(changes, median), changes)
    return rising(np.where(levels == 0.5, median, changes))


def rising(quantiles: Array) -> Array:
    """Quantiles (n, leads, probabilities), sorted where all are known; a sort would move a lone median to the front."""
    is_known = np.isfinite(quantiles).all(axis=2)
    rising = quantiles.copy()
    rising[is_known] = np.sort(quantiles[is_known], axis=1)
    return rising
