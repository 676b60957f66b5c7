"""Robust linear regression on standardised inputs."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from forebay.errors import ModelError
from forebay.models.model import Array
from forebay.models.references import DAY

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # no types published

MIN_ROWS = 200


class Huber:
    """Linear regression with Huber's loss (ε = 1.35, as in Huber, 1981), inputs standardised on the training rows.

    A missing input counts as the training mean, and a column of its own says that it was missing, so that the model
    learns what its absence is worth. Columns that never vary in training are left out.

    Attributes
    ----------
    columns_
        Inputs used, in order.
    coefficients_
        Change per standard deviation of each column of the design, then of each missingness column.
    """

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Learn the coefficients; `ModelError` with fewer than 200 rows, or inputs that never vary."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import HuberRegressor

        if len(target) < MIN_ROWS:
            raise ModelError(f"huber needs at least {MIN_ROWS} past days to learn from, but there are {len(target)}")
        given = inputs.drop(DAY, strict=False)
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
        design = self._design(inputs)
        regressor = HuberRegressor(epsilon=1.35, alpha=1e-4, max_iter=100)
        with _linear_algebra().limit(limits=1), warnings.catch_warnings():
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
        return np.asarray(self._design(inputs) @ self.coefficients_ + self.intercept_)

    def _design(self, inputs: pl.DataFrame) -> Array:
        values = inputs.select(self.columns_).to_numpy().astype(float)
        known = np.isfinite(values)
        standard = np.where(known, (values - self.mean_) / self.deviation_, 0.0)
        return np.hstack([standard, (~known[:, self.missing_]).astype(float)])


@lru_cache(maxsize=1)
def _linear_algebra() -> ThreadpoolController:
    """The threads of the linear algebra beneath numpy and scikit-learn.

    These matrices are small: on a busy machine more than one thread spends its time waiting for the other (a hindcast
    of 12 s took 145 s).
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _distinct(missing: np.ndarray) -> list[int]:
    """Columns of `missing` (rows × inputs) that are sometimes true and differ from every earlier one."""
    seen: dict[bytes, int] = {}
    for column in range(missing.shape[1]):
        if missing[:, column].any():
            seen.setdefault(missing[:, column].tobytes(), column)
    return list(seen.values())
