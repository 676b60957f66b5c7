"""The four references: what anyone can forecast without a model. A model must beat the best of them."""

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
MIN_MOVED = 30
"""Fewer past changes than this do not tell a factor from chance."""


class NoChange:
    """The level stays as it is."""

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Nothing to learn."""
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Zero for each row."""
        return np.zeros(len(inputs))

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """Nothing but a base of 0."""
        return pl.DataFrame({BASELINE: self.predict(inputs)})


class LastChange:
    """The last known daily change goes on: `lead_time` times it."""

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Nothing to learn."""
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Lead time × last change; zero before the record's first change."""
        return self.lead_time * inputs[LAST].fill_null(0.0).to_numpy()

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """All of it from the last change."""
        return pl.DataFrame({LAST: self.predict(inputs), BASELINE: np.zeros(len(inputs))})


class DampedChange:
    """The last known daily change times φ, the factor with the least absolute error on the past."""

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Learn φ from the rows whose last change is known and not zero; 0 if there are fewer than 30."""
        change = inputs[LAST].fill_null(0.0).to_numpy()
        self.factor_ = least_error_factor(change, target) if (change != 0).sum() >= MIN_MOVED else 0.0
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """φ × last change; zero before the record's first change."""
        return self.factor_ * inputs[LAST].fill_null(0.0).to_numpy()

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """All of it from the last change."""
        return pl.DataFrame({LAST: self.predict(inputs), BASELINE: np.zeros(len(inputs))})


def least_error_factor(given: Array, target: Array) -> float:
    """The φ that makes Σ|target − φ · given| least; `given` must not be 0 everywhere.

    It is the median of target / given, weighted by |given| (Bloomfield and Steiger, 1983).
    """
    moved = given != 0
    ratio, weight = target[moved] / given[moved], np.abs(given[moved])
    order = np.argsort(ratio, kind="stable")
    half = np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)
    return float(ratio[order][half])


class Climatology:
    """The median change of past years within 15 days of the same day of the year."""

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Learn one median per day of the year; where no past day lies near, the median of all."""
        if len(target) == 0:
            raise ModelError("climatology needs at least 1 past change, but there are none")
        day = inputs[DAY].to_numpy()
        medians = np.full(367, float(np.median(target)))
        for this in range(1, 367):
            apart = np.abs(day - this)
            near = np.minimum(apart, 366 - apart) <= WINDOW_DAYS
            if near.any():
                medians[this] = quantiles(target[near], [0.5])[0]
        self.medians_ = medians
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """The median of the row's day of the year."""
        return np.asarray(self.medians_[inputs[DAY].to_numpy()])

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """The mean over the year as base, and what the day of the year differs from it."""
        base = np.full(len(inputs), self.medians_[1:].mean())
        return pl.DataFrame({DAY: self.predict(inputs) - base, BASELINE: base})
