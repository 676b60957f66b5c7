"""The expected size of an error: a ridge regression of log|error| on the logs of the sizes of the day.

The logs are standardised on the past days, and values outside the past range are clipped to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from forebay.metrics import column_medians, quantiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forebay.models.model import Array

MAX_SIZE_QUANTILE = 0.999
"""Quantile of the past expected sizes that limits every expected size, because a regression of logs can explode."""
UNUSUAL_SIZE_QUANTILE = 0.99
"""Quantile of the past expected sizes that is the least expected size on an unusual day."""
MIN_SCALED = 100
"""Minimum number of past errors for an expected size that depends on the state of the day."""
PENALTY = 10.0
"""α of the ridge regression."""


@dataclass(frozen=True)
class StandardSizes:
    """How sizes (n, k) are standardised, from the sizes of past days; all attributes have shape (k,).

    Attributes
    ----------
    unit
        Median of each size on past days where it is positive; 1 without any.
    is_usable
        Whether a size is positive on any past day.
    centre, deviation
        Mean and deviation of the logs.
    low, high
        Range of the standardised logs.
    """

    unit: Array
    is_usable: NDArray[np.bool_]
    centre: Array
    deviation: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, known: Array) -> StandardSizes:
        """From the sizes of past days, shape (past days, k); NaN where unknown."""
        positive = np.where(known > 0, known, np.nan)
        usable: NDArray[np.bool_] = np.asarray(np.isfinite(positive).any(axis=0))
        unit = np.where(usable, column_medians(positive), 1.0)
        logs = np.log1p(known / unit)
        is_known = ~np.isnan(logs)
        count = np.maximum(is_known.sum(axis=0), 1)
        centre = np.where(is_known, logs, 0.0).sum(axis=0) / count
        deviation = np.sqrt(np.where(is_known, (logs - centre) ** 2, 0.0).sum(axis=0) / count)
        deviation = np.maximum(deviation, 1e-9)
        standard = np.nan_to_num((logs - centre) / deviation)
        return cls(unit, usable, centre, deviation, standard.min(axis=0), standard.max(axis=0))

    def standardised(self, sizes: Array) -> Array:
        """Standardised logs of `sizes` (n, k); an unknown size has the mean."""
        standard = np.nan_to_num((np.log1p(sizes / self.unit) - self.centre) / self.deviation)
        return np.asarray(np.clip(standard, self.low, self.high))


@dataclass(frozen=True)
class ErrorSize:
    """The expected |error| of one model.

    Attributes
    ----------
    standard
        How the sizes of a day are standardised.
    columns
        Sizes that are used, shape (c,); none with few past errors.
    mean, slope, intercept
        log of the expected size = intercept + slope · (standardised logs − mean).
    least_unusual, largest
        Least expected size on an unusual day, and largest expected size.
    """

    standard: StandardSizes
    columns: NDArray[np.intp]
    mean: Array
    slope: Array
    intercept: float
    least_unusual: float
    largest: float

    @classmethod
    def fit(
        cls, errors: Array, standard: StandardSizes, columns: NDArray[np.intp], logs: Array, past: NDArray[np.intp]
    ) -> ErrorSize:
        """From the sizes of the errors of the `past` days, shape (past days,), and the standardised `logs` (n, k).

        It solves the normal equations, as scikit-learn does. Scikit-learn takes ten times as long, and a hindcast needs
        thousands of these fits.
        """
        unit = float(np.median(errors)) or float(np.mean(errors)) or 1.0
        columns = columns[standard.is_usable[columns]]
        if len(errors) < MIN_SCALED or not len(columns):
            none = np.zeros(0)
            return cls(standard, columns[:0], none, none, float(np.log(unit)), unit, unit)
        inputs, target = logs[:, columns][past], np.log(errors + 0.1 * unit)
        mean = inputs.mean(axis=0)
        centred = inputs - mean
        penalty = PENALTY * np.eye(len(mean))
        slope = np.linalg.solve(centred.T @ centred + penalty, centred.T @ (target - target.mean()))
        unlimited = cls(standard, columns, mean, slope, float(target.mean()), -np.inf, np.inf)
        size = unlimited.expected(logs, np.zeros(len(logs), bool))[past]
        unusual, largest = quantiles(size, [UNUSUAL_SIZE_QUANTILE, MAX_SIZE_QUANTILE])
        return replace(unlimited, least_unusual=float(unusual), largest=float(largest))

    def expected(self, standard: Array, is_unusual: NDArray[np.bool_]) -> Array:
        """Expected size on each day, shape (n,), from standardised sizes (n, k).

        By `einsum`: a matrix product may compute the last rows in another way, and no digit of a row may depend on the
        number of rows after it.
        """
        if not len(self.columns):
            return np.full(len(standard), self.largest)
        size = np.exp(np.einsum("nk,k->n", standard[:, self.columns] - self.mean, self.slope) + self.intercept)
        return np.asarray(np.where(is_unusual, np.maximum(size, self.least_unusual), size).clip(max=self.largest))
