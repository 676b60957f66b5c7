"""What every model of the change of the level offers."""

from __future__ import annotations

import hashlib
from typing import Protocol, Self, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]
BASELINE = "base"
"""Name of the contribution that no input makes."""


class Model(Protocol):
    """A forecast of the change L(d + lead_time) − L(d) from what was known at the end of day d.

    `inputs` has one row per init date and the columns that `prepare.features` makes, in any order; a model takes those
    that it knows. Nulls are allowed: a model handles them or refuses them by name. `target` is the change in the dam's
    unit, without nulls. Learned attributes end in an underscore and are such as `models.saved` can tell; the others are
    the arguments that the model was made with, under their own names.
    """

    lead_time: int

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Learn from past samples; gives itself back. Raises `ModelError` if they are too few."""
        ...

    def predict(self, inputs: pl.DataFrame) -> Array:
        """The expected change for each row, shape (n,), in the target's unit; never NaN."""
        ...


@runtime_checkable
class Explainable(Protocol):
    """A model that tells what each input added to a forecast. It need not: what it forecast is then told as a whole."""

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """One row per row of `inputs`: a column per input used, and `base`; each row sums to what `predict` gives."""
        ...


@runtime_checkable
class PredictsSpread(Protocol):
    """A model that tells how far apart the changes lie that may come. It need not."""

    def spread(self, inputs: pl.DataFrame) -> Array:
        """Distance of an upper and a lower quantile for each row, shape (n,), in the target's unit; never negative."""
        ...


def digest(inputs: pl.DataFrame, target: Array) -> bytes:
    """16 bytes that tell the content of training rows: the same for the same columns and values, and for no others."""
    made = hashlib.blake2b(target.tobytes(), digest_size=16)
    made.update(repr(inputs.columns).encode())
    made.update(np.ascontiguousarray(inputs.to_numpy(), dtype=float).tobytes())
    return made.digest()
