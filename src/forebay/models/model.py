"""The contract of every model of the level change."""

from __future__ import annotations

import hashlib
from typing import Protocol, Self, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]
BASELINE = "base"
"""Column of `contributions` with the part of the forecast that belongs to no input."""


class Model(Protocol):
    """A forecast of the change L(d + lead_time) − L(d) from what was known at the end of day d.

    `inputs` has one row per init date and the columns of `features.inputs` in any order; a model selects the columns
    that it uses. Inputs may contain nulls. `target` is the observed change in the dam's unit, without nulls.
    Learned attributes end in an underscore and have a type that `models.serialisation` supports. All other attributes
    are the arguments of the constructor, under the same names.
    """

    lead_time: int

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """The model itself, fitted on past samples; raises `ModelError` if there are too few."""
        ...

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Expected change of each row, shape (n,), in the target's unit; never NaN."""
        ...


@runtime_checkable
class Explainable(Protocol):
    """A model that also splits each forecast into the contributions of its inputs."""

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """Contribution of each input: a column per input and `base`, a row per row of `inputs`.

        The sum of a row is the value of `predict`.
        """
        ...


@runtime_checkable
class PredictsSpread(Protocol):
    """A model that also predicts the spread of the change."""

    def spread(self, inputs: pl.DataFrame) -> Array:
        """Predicted spread (0.1–0.9 quantile range) of the change, shape (n,), in the target's unit; never negative."""
        ...


def rows_digest(inputs: pl.DataFrame, target: Array) -> bytes:
    """Digest (16 bytes) of the column names, inputs and target of training rows."""
    digest = hashlib.blake2b(target.tobytes(), digest_size=16)
    digest.update(repr(inputs.columns).encode())
    digest.update(np.ascontiguousarray(inputs.to_numpy(), dtype=float).tobytes())
    return digest.digest()
