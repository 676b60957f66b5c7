"""Robust linear regression on standardised inputs."""

from __future__ import annotations

import threading
import warnings
from typing import ClassVar, Self

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
"""Minimum number of days without an input for its absence to have a coefficient; trees need as many days per leaf."""
MAX_CACHED_FITS = 16
RIDGE_ALPHA = 30.0


class Huber:
    """Linear regression with Huber's loss (ε = 1.35, as in Huber, 1981), inputs standardised on the training rows.

    A missing input has the training mean. An input that is missing on 20 days or more also has an indicator column, so
    that the model learns the effect of its absence. Columns that are constant in training are not used.

    Attributes
    ----------
    columns_
        Inputs used, in order.
    coefficients_
        Change per standard deviation of each column of the design, then of each indicator column.
    typical_
        Mean of each column of the design on the training rows: 0, then the shares of missing values.
    """

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Fit the coefficients.

        Several models start from the same regression, whose fit is most of their cost. The last 16 fits are cached by
        the content of their rows.

        Raises
        ------
        ModelError
            With fewer than 200 rows, or if all inputs are constant.
        """
        key = type(self).__name__.encode() + rows_digest(inputs, target)
        with _CACHE_LOCK:
            learned = _CACHE.get(key)
        if learned is None:
            learned = vars(type(self)(self.lead_time)._fit_rows(inputs, target))
            with _CACHE_LOCK:
                _CACHE[key] = learned
                while len(_CACHE) > MAX_CACHED_FITS:
                    del _CACHE[next(iter(_CACHE))]
        vars(self).update(learned, lead_time=self.lead_time)
        return self

    def _fit_rows(self, inputs: pl.DataFrame, target: Array) -> Self:
        if len(target) < MIN_ROWS:
            raise ModelError(f"huber needs at least {MIN_ROWS} past days to learn from, but there are {len(target)}")
        self._standardise(inputs)
        unit = float(np.median(np.abs(target))) or float(np.mean(np.abs(target))) or 1.0
        design = self.design(inputs)
        self.typical_ = design.mean(axis=0)
        coefficients, intercept = self._regression(design, target / unit)
        self.coefficients_ = coefficients * unit
        self.intercept_ = intercept * unit
        return self

    def _regression(self, design: Array, target: Array) -> tuple[Array, float]:
        """Coefficients and intercept; the columns of the design are known by then."""
        return huber_regression(design, target)

    def _standardise(self, inputs: pl.DataFrame) -> None:
        """Set the columns that vary, their means and deviations, and which of them have an indicator column."""
        candidates = inputs.select(c for c in inputs.columns if c != DAY and not c.startswith((CONTEXT, BALANCE)))
        values = candidates.to_numpy().astype(float)
        known = np.isfinite(values)
        count = known.sum(axis=0)
        mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1)
        deviation = np.sqrt(np.where(known, (values - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count, 1))
        varies = deviation > 1e-12
        if not varies.any():
            raise ModelError(f"huber needs an input that varies, but all of {candidates.columns} are constant")
        self.columns_ = [c for c, varying in zip(candidates.columns, varies, strict=True) if varying]
        self.mean_, self.deviation_ = mean[varies], deviation[varies]
        self.missing_ = _distinct_columns(~known[:, varies])

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Expected change of each row."""
        return np.asarray(self.design(inputs) @ self.coefficients_ + self.intercept_)

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """Coefficient × (input − training mean) of each input; the baseline is the forecast at all means."""
        return self.design_contributions(self.coefficients_, self.intercept_, inputs)

    def design_contributions(self, coefficients: Array, intercept: float, inputs: pl.DataFrame) -> pl.DataFrame:
        """As `contributions`, for another regression on the same design."""
        parts = (self.design(inputs) - self.typical_) * coefficients
        count = len(self.columns_)
        for k, column in enumerate(self.missing_):  # the effect of an input's absence belongs to the input
            parts[:, column] += parts[:, count + k]
        baseline = np.full(len(inputs), intercept + float(self.typical_ @ coefficients))
        return pl.DataFrame(parts[:, :count], schema=self.columns_).with_columns(pl.Series(BASELINE, baseline))

    def design(self, inputs: pl.DataFrame) -> Array:
        """Standardised inputs, 0 where an input is missing, then the indicator columns; shape (n, k)."""
        values = inputs[self.columns_].to_numpy().astype(float)
        known = np.isfinite(values)
        standard = np.where(known, (values - self.mean_) / self.deviation_, 0.0)
        return np.hstack([standard, (~known[:, self.missing_]).astype(float)])


class WetRidge:
    """Huber regression; on wet days its mean with a ridge regression.

    The regression with the least absolute error is too low in floods, because it discounts large errors. The ridge
    regression is fitted on wet days only and gives large errors their full weight. A day is wet if its 3-day rain
    exceeds 8 mm or its last change is among the largest 15% of the training days.
    """

    regression: ClassVar[type[Huber]] = Huber

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Fit both regressions; raises `ModelError` with fewer than 200 rows, or fewer than 50 wet rows."""
        self.huber_ = self.regression(self.lead_time).fit(inputs, target)
        changes = inputs["last_change"].cast(pl.Float64).drop_nulls().drop_nans().abs()
        self.large_change_ = float(np.quantile(changes.to_numpy(), 0.85)) if len(changes) else np.nan
        wet = self._wet(inputs)
        if wet.sum() < MIN_WET_ROWS:
            raise ModelError(
                f"wet_ridge needs at least {MIN_WET_ROWS} wet days to learn from, but there are {wet.sum()}"
            )
        self.coefficients_, self.intercept_ = self._ridge(self.huber_.design(inputs)[wet], target[wet])
        return self

    def _ridge(self, design: Array, target: Array) -> tuple[Array, float]:
        """Coefficients and intercept of the ridge regression."""
        from sklearn.linear_model import Ridge

        ridge = Ridge(alpha=RIDGE_ALPHA).fit(design, target)
        return np.asarray(ridge.coef_), float(ridge.intercept_)

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Expected change of each row."""
        huber = self.huber_.predict(inputs)
        # Computed for every row, although only wet rows use it: the last digits of a row must not depend on the number
        # of wet rows.
        ridge = self.huber_.design(inputs) @ self.coefficients_ + self.intercept_
        return np.where(self._wet(inputs), (huber + ridge) / 2, huber)

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """Contributions to the Huber regression; on wet days their mean with those to the ridge regression."""
        huber = self.huber_.contributions(inputs)
        ridge = self.huber_.design_contributions(self.coefficients_, self.intercept_, inputs)
        wet = pl.Series(self._wet(inputs))
        mean = huber.select((huber[c] + ridge[c]) / 2 for c in huber.columns)
        return huber.select(mean[c].zip_with(wet, huber[c]) for c in huber.columns)

    def _wet(self, inputs: pl.DataFrame) -> NDArray[np.bool_]:
        wet = np.abs(inputs["last_change"].cast(pl.Float64).to_numpy()) > self.large_change_
        if "rain_3d" in inputs.columns:
            wet |= inputs["rain_3d"].cast(pl.Float64).to_numpy() > WET_MM
        return np.asarray(wet)


_CACHE: dict[bytes, dict[str, object]] = {}
_CACHE_LOCK = threading.Lock()  # the hindcast fits its leads in threads
_WARNINGS_LOCK = threading.Lock()  # warning filters are global to the process: one thread at a time may change them


def huber_regression(design: Array, target: Array) -> tuple[Array, float]:
    """Coefficients and intercept of Huber's regression."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import HuberRegressor

    regressor = HuberRegressor(epsilon=1.35, alpha=1e-4, max_iter=100)
    with _WARNINGS_LOCK, warnings.catch_warnings():
        # Rain and its products are nearly collinear. On orthogonal axes the optimiser needs tens of steps instead of
        # hundreds, and axes without variance are omitted.
        _, size, axes = np.linalg.svd(design - design.mean(axis=0), full_matrices=False)
        relevant = size > 1e-6 * size[0]
        rotation = axes[relevant].T / size[relevant] * np.sqrt(len(target))
        # The last digits are not important here: 100 steps are sufficient.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regressor.fit(design @ rotation, target)
    return rotation @ regressor.coef_, float(regressor.intercept_)


def _distinct_columns(missing: NDArray[np.bool_]) -> list[int]:
    """Columns of `missing` (rows × inputs) with at least `MIN_MISSING` days that differ from all earlier columns."""
    first_columns: dict[bytes, int] = {}
    for column in range(missing.shape[1]):
        if missing[:, column].sum() >= MIN_MISSING:
            first_columns.setdefault(missing[:, column].tobytes(), column)
    return list(first_columns.values())
