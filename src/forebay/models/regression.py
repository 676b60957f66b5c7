"""Robust linear regression on standardised inputs."""

from __future__ import annotations

import threading
import warnings
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.errors import ModelError
from forebay.features.inputs import BALANCE, CONTEXT
from forebay.models.model import BASELINE, Array, rows_digest
from forebay.models.references import DAY

MIN_ROWS = 200
MIN_WET_ROWS = 50
WET_MM = 8.0
MIN_MISSING = 20
"""Fewer days than this without an input do not tell what its absence is worth; trees need as many for a leaf."""
MAX_CACHED_FITS = 16


class Huber:
    """Linear regression with Huber's loss (ε = 1.35, as in Huber, 1981), inputs standardised on the training rows.

    A missing input counts as the training mean, and a column of its own says that it was missing, so that the model
    learns what its absence is worth, if it was missing on 20 days or more. Columns that never vary in training are
    left out.

    Attributes
    ----------
    columns_
        Inputs used, in order.
    coefficients_
        Change per standard deviation of each column of the design, then of each missingness column.
    typical_
        Mean of each column of the design on the training rows: 0, then the shares of missing values.
    """

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Learn the coefficients; `ModelError` with fewer than 200 rows, or inputs that never vary.

        Several models start from the same line, and fitting it is most of what they cost: the last few fits are kept,
        by the content of their rows.
        """
        key = rows_digest(inputs, target)
        with _KEEPING:
            learned = _LEARNED.get(key)
        if learned is None:
            learned = vars(Huber(self.lead_time)._learn(inputs, target))
            with _KEEPING:
                _LEARNED[key] = learned
                while len(_LEARNED) > MAX_CACHED_FITS:
                    del _LEARNED[next(iter(_LEARNED))]
        vars(self).update(learned, lead_time=self.lead_time)
        return self

    def _learn(self, inputs: pl.DataFrame, target: Array) -> Self:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import HuberRegressor

        if len(target) < MIN_ROWS:
            raise ModelError(f"huber needs at least {MIN_ROWS} past days to learn from, but there are {len(target)}")
        given = inputs.select(c for c in inputs.columns if c != DAY and not c.startswith((CONTEXT, BALANCE)))
        values = given.to_numpy().astype(float)
        known = np.isfinite(values)
        count = known.sum(axis=0)
        mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1)
        deviation = np.sqrt(np.where(known, (values - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count, 1))
        varies = deviation > 1e-12
        if not varies.any():
            raise ModelError(f"huber needs an input that varies, but none of {given.columns} does")
        self.columns_ = [c for c, keep in zip(given.columns, varies, strict=True) if keep]
        self.mean_, self.deviation_ = mean[varies], deviation[varies]
        self.missing_ = _distinct(~known[:, varies])
        unit = float(np.median(np.abs(target))) or float(np.mean(np.abs(target))) or 1.0
        design = self.design(inputs)
        self.typical_ = design.mean(axis=0)
        regressor = HuberRegressor(epsilon=1.35, alpha=1e-4, max_iter=100)
        with _WARNINGS, warnings.catch_warnings():
            # Rain and its products are nearly collinear: on axes that are not, the optimiser needs tens of steps, not
            # hundreds, and axes that carry nothing drop out.
            _, size, axes = np.linalg.svd(design - design.mean(axis=0), full_matrices=False)
            kept = size > 1e-6 * size[0]
            turn = axes[kept].T / size[kept] * np.sqrt(len(target))
            # the last digits do not matter here: 100 steps are near enough
            warnings.simplefilter("ignore", ConvergenceWarning)
            regressor.fit(design @ turn, target / unit)
        self.coefficients_ = turn @ regressor.coef_ * unit
        self.intercept_ = float(regressor.intercept_) * unit
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """The expected change of each row."""
        return np.asarray(self.design(inputs) @ self.coefficients_ + self.intercept_)

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """Coefficient × (input − training mean) of each input; the base is the forecast at the mean of all."""
        return self.contributions_of(self.coefficients_, self.intercept_, inputs)

    def contributions_of(self, coefficients: Array, intercept: float, inputs: pl.DataFrame) -> pl.DataFrame:
        """The same for another line through the same design."""
        each = (self.design(inputs) - self.typical_) * coefficients
        count = len(self.columns_)
        for k, column in enumerate(self.missing_):  # that an input was there, or not, is part of what it says
            each[:, column] += each[:, count + k]
        base = np.full(len(inputs), intercept + float(self.typical_ @ coefficients))
        return pl.DataFrame(each[:, :count], schema=self.columns_).with_columns(pl.Series(BASELINE, base))

    def design(self, inputs: pl.DataFrame) -> Array:
        """Standardised inputs and missingness, shape (n, k); 0 where an input is missing."""
        values = inputs.select(self.columns_).to_numpy().astype(float)
        known = np.isfinite(values)
        standard = np.where(known, (values - self.mean_) / self.deviation_, 0.0)
        return np.hstack([standard, (~known[:, self.missing_]).astype(float)])


class WetRidge:
    """Huber regression that averages itself with a ridge regression on wet days.

    The line with the least absolute error is too low in floods, whose large errors it discounts on purpose; ridge
    regression, fitted on wet days alone, weighs them fully. A day is wet if its 3-day rain exceeds 8 mm or its last
    change is among the largest 15% of the training days.
    """

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Fit both; `ModelError` with fewer than 200 rows, or fewer than 50 wet ones."""
        from sklearn.linear_model import Ridge

        self.line_ = Huber(self.lead_time).fit(inputs, target)
        self.lively_ = float(np.nanquantile(np.abs(inputs["last_change"].cast(pl.Float64).to_numpy()), 0.85))
        wet = self._wet(inputs)
        if wet.sum() < MIN_WET_ROWS:
            raise ModelError(
                f"wet_ridge needs at least {MIN_WET_ROWS} wet days to learn from, but there are {wet.sum()}"
            )
        ridge = Ridge(alpha=30.0).fit(self.line_.design(inputs)[wet], target[wet])
        self.coefficients_, self.intercept_ = np.asarray(ridge.coef_), float(ridge.intercept_)
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """The expected change of each row."""
        line = self.line_.predict(inputs)
        # of every row, though only wet ones are used: a row's last digits must not depend on how many others are wet
        ridge = self.line_.design(inputs) @ self.coefficients_ + self.intercept_
        return np.where(self._wet(inputs), (line + ridge) / 2, line)

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """Those of the line; on wet days the mean of those and the ridge regression's."""
        line = self.line_.contributions(inputs)
        ridge = self.line_.contributions_of(self.coefficients_, self.intercept_, inputs)
        wet = pl.Series(self._wet(inputs))
        both = line.select((line[c] + ridge[c]) / 2 for c in line.columns)
        return line.select(both[c].zip_with(wet, line[c]) for c in line.columns)

    def _wet(self, inputs: pl.DataFrame) -> NDArray[np.bool_]:
        wet = np.abs(inputs["last_change"].cast(pl.Float64).to_numpy()) > self.lively_
        if "rain_3d" in inputs.columns:
            wet |= inputs["rain_3d"].cast(pl.Float64).to_numpy() > WET_MM
        return np.asarray(wet)


_LEARNED: dict[bytes, dict[str, object]] = {}
_KEEPING = threading.Lock()  # the hindcast fits its leads in threads
_WARNINGS = threading.Lock()  # what is done with warnings is told to all threads at once: one at a time may change it


def _distinct(missing: np.ndarray) -> list[int]:
    """Columns of `missing` (rows × inputs) that are often enough true and differ from every earlier one."""
    seen: dict[bytes, int] = {}
    for column in range(missing.shape[1]):
        if missing[:, column].sum() >= MIN_MISSING:
            seen.setdefault(missing[:, column].tobytes(), column)
    return list(seen.values())
