"""The four reference forecasts, which need no model. A model is useful if it beats the best of them."""

from __future__ import annotations

from typing import Self

import numpy as np
import polars as pl

from forebay.errors import ModelError
from forebay.metrics import quantiles
from forebay.models.model import BASELINE, Array

LAST = "last_change"
DAY = "day_of_year"
WINDOW_DAYS = 15
MIN_CHANGES = 30
"""Minimum number of past changes for a fitted factor."""


class NoChange:
    """The level does not change."""

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """The model itself; it has no parameter to learn."""
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Zero for each row."""
        return np.zeros(len(inputs))

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """A baseline of 0."""
        return pl.DataFrame({BASELINE: self.predict(inputs)})


class LastChange:
    """The last known daily change continues: lead time × last change."""

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """The model itself; it has no parameter to learn."""
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Lead time × last change; zero before the first change of the record."""
        return self.lead_time * inputs[LAST].fill_null(0.0).to_numpy()

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """The whole forecast as the contribution of the last change."""
        return pl.DataFrame({LAST: self.predict(inputs), BASELINE: np.zeros(len(inputs))})


class DampedChange:
    """The last known daily change times φ, the factor with the least absolute error on past days."""

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Fit φ on the rows whose last change is known and not zero; φ is 0 with fewer than 30 such rows."""
        change = inputs[LAST].fill_null(0.0).to_numpy()
        self.factor_ = least_error_factor(change, target) if (change != 0).sum() >= MIN_CHANGES else 0.0
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """φ × last change; zero before the first change of the record."""
        return self.factor_ * inputs[LAST].fill_null(0.0).to_numpy()

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """The whole forecast as the contribution of the last change."""
        return pl.DataFrame({LAST: self.predict(inputs), BASELINE: np.zeros(len(inputs))})


def least_error_factor(values: Array, target: Array) -> float:
    """The factor φ that minimises Σ|target − φ · values|; at least one value must not be 0.

    φ is the median of target / values, weighted by |values| (Bloomfield and Steiger, 1983).
    """
    nonzero = values != 0
    ratio, weight = target[nonzero] / values[nonzero], np.abs(values[nonzero])
    order = np.argsort(ratio, kind="stable")
    middle = np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)
    return float(ratio[order][middle])


class Climatology:
    """The median change of past years within 15 days of the same day of the year."""

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Compute one median per day of the year; a day without past days nearby has the median of all days.

        Raises
        ------
        ModelError
            If there is no past change.
        """
        if len(target) == 0:
            raise ModelError("climatology needs at least 1 past change, but there are none")
        day_of_year = inputs[DAY].to_numpy()
        medians = np.full(367, float(np.median(target)))
        for day in range(1, 367):
            distance = np.abs(day_of_year - day)
            near = np.minimum(distance, 366 - distance) <= WINDOW_DAYS
            if near.any():
                medians[day] = quantiles(target[near], [0.5])[0]
        self.medians_ = medians
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """The median of each row's day of the year."""
        return np.asarray(self.medians_[inputs[DAY].to_numpy()])

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """The mean of all days of the year as baseline, and the deviation of the row's day from it."""
        baseline = np.full(len(inputs), self.medians_[1:].mean())
        return pl.DataFrame({DAY: self.predict(inputs) - baseline, BASELINE: baseline})
