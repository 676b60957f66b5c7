"""The range of each input on the training rows of a fit, and inputs that lie far outside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from forebay.features.scale_free import GLOBAL

RESERVE = 1.5
"""An input is far outside if it leaves the training range by more than this multiple of the range. On the fifteen dams
of `tests/dams` 1, 1.5 and 2 lower the error by about the same; a smaller reserve cuts record floods."""


@dataclass(frozen=True)
class InputRange:
    """The lowest and highest value that a fit accepts of each input; inputs without any training value are absent."""

    bounds: Mapping[str, tuple[float, float]]

    @classmethod
    def of(cls, training_inputs: pl.DataFrame) -> InputRange:
        """The training range of each input, extended by `RESERVE` on both sides.

        An input that is constant in training has no bounds: no model uses it. Nor have the inputs of the global model,
        whose trees learned from other dams.
        """
        own = cs.float() - cs.starts_with(GLOBAL)  # the day of the year is an integer
        values = training_inputs.select(own.fill_nan(None))
        low, high = (values.select(end).row(0) if values.columns else () for end in (pl.all().min(), pl.all().max()))
        known = (row for row in zip(values.columns, low, high, strict=True) if row[1] is not None and row[2] > row[1])
        return cls({name: (a - RESERVE * (b - a), b + RESERVE * (b - a)) for name, a, b in known})

    def winsorised(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """`inputs` with each value far outside replaced by the nearest accepted one; missing inputs stay missing."""
        names = self._bounded(inputs)
        return inputs.with_columns(pl.col(name).clip(*self.bounds[name]) for name in names)

    def far_outside(self, inputs: pl.DataFrame) -> NDArray[np.bool_]:
        """Whether each row has an input far outside the training range, shape (n,)."""
        return np.asarray(self._far_outside(inputs).any(axis=1))

    def columns_far_outside(self, inputs: pl.DataFrame) -> list[str]:
        """The inputs that are far outside the training range on at least one row."""
        is_far = np.asarray(self._far_outside(inputs).any(axis=0))
        return [name for name, far in zip(self._bounded(inputs), is_far, strict=True) if far]

    def _bounded(self, inputs: pl.DataFrame) -> list[str]:
        return [name for name in inputs.columns if name in self.bounds]

    def _far_outside(self, inputs: pl.DataFrame) -> NDArray[np.bool_]:
        """Whether each input with bounds is far outside on each row, shape (n, inputs with bounds)."""
        names = self._bounded(inputs)
        values = inputs.select(names).to_numpy().reshape(len(inputs), len(names))
        low, high = np.array([self.bounds[name] for name in names]).reshape(-1, 2).T
        return np.asarray((values < low) | (values > high))
