"""Gradient-boosted trees (LightGBM), alone and on the residuals of the regression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from forebay.errors import ModelError
from forebay.features.inputs import BALANCE
from forebay.metrics import column_medians
from forebay.models.model import BASELINE, Array
from forebay.models.regression import MIN_MISSING, MIN_ROWS, Huber
from forebay.models.tree_library import load_lightgbm

if TYPE_CHECKING:
    from lightgbm import Booster, Dataset

PARAMETERS = {
    "objective": "l1",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "max_bin": 127,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}
ROUNDS, CORRECTION_ROUNDS, QUANTILE_ROUNDS = 150, 100, 30
QUANTILE_PARAMETERS = {"objective": "quantile", "learning_rate": 0.1, "num_leaves": 7, "min_data_in_leaf": 40}
"""Fewer and coarser trees with more days per leaf, because few days lie beyond an outer quantile."""
LOW, HIGH = 0.1, 0.9
"""The quantiles whose distance is the predicted spread."""


class Trees:
    """LightGBM on all inputs; a missing input takes the branch that reduced the training loss most.

    An input that is missing on fewer than 20 training rows has its median instead, because LightGBM would read the
    missing value as 0. Trees cannot forecast a change outside the range of the training changes. They suit dry days and
    ordinary rises.

    Parameters
    ----------
    rounds
        Number of trees.
    quantile
        Quantile of the change, by quantile loss (Koenker and Bassett, 1978); .5 uses L1 loss.

    Attributes
    ----------
    booster_
        The fitted trees, for targets in units of `scale_`.
    columns_
        Inputs used, in order.
    typical_
        Median of each input that is rarely missing, NaN for all other inputs.
    """

    def __init__(self, lead_time: int, rounds: int = ROUNDS, quantile: float = 0.5) -> None:
        self.lead_time = lead_time
        self.rounds = rounds
        self.quantile = quantile

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Grow the trees; raises `ModelError` with fewer than 200 rows."""
        return self.grow(BinnedRows.from_table(inputs, target))

    def grow(self, rows: BinnedRows) -> Self:
        """As `fit`, on binned rows."""
        self.columns_, self.typical_, self.scale_ = rows.columns, rows.typical, rows.scale
        self.booster_ = train(self._parameters(), rows.dataset, self.rounds)
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Expected change of each row."""
        return self.predict_rows(self.matrix(inputs))

    def matrix(self, inputs: pl.DataFrame) -> Array:
        """The matrix of the trees' inputs (`tree_matrix`)."""
        return tree_matrix(inputs, self.columns_, self.typical_)

    def predict_rows(self, matrix: Array) -> Array:
        """Expected change of each row of a `matrix`."""
        return np.asarray(self.booster_.predict(matrix, num_threads=1), float) * self.scale_

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """SHAP values of the trees (Lundberg and Lee, 2017); the baseline is the mean over the training rows."""
        if inputs.is_empty():
            return pl.DataFrame(schema=dict.fromkeys([*self.columns_, BASELINE], pl.Float64))
        values = np.asarray(self.booster_.predict(self.matrix(inputs), pred_contrib=True, num_threads=1), float)
        return pl.DataFrame(values * self.scale_, schema=[*self.columns_, BASELINE])

    def _parameters(self) -> dict[str, object]:
        if self.quantile == 0.5:
            return PARAMETERS
        return PARAMETERS | QUANTILE_PARAMETERS | {"alpha": self.quantile}


def train(parameters: Mapping[str, object], dataset: Dataset, rounds: int) -> Booster:
    """The fitted trees, without their training rows.

    By default LightGBM frees the rows by a copy of all trees as text, which takes longer than a prediction.
    """
    booster: Booster = load_lightgbm().train(dict(parameters), dataset, rounds, keep_training_booster=True)
    return booster.free_dataset()


def check_rows(target: Array) -> None:
    """Raise `ModelError` with fewer than 200 rows."""
    if len(target) < MIN_ROWS:
        raise ModelError(f"trees need at least {MIN_ROWS} past days to learn from, but there are {len(target)}")


@dataclass(frozen=True)
class BinnedRows:
    """Training rows in LightGBM's bins, which several sets of trees share.

    Attributes
    ----------
    columns, typical, scale
        As in `Trees`.
    dataset
        The bins, with the target in units of `scale`.
    """

    columns: list[str]
    typical: Array
    scale: float
    dataset: Dataset

    @classmethod
    def from_table(cls, inputs: pl.DataFrame, target: Array) -> BinnedRows:
        """The binned rows; raises `ModelError` with fewer than 200 rows."""
        check_rows(target)
        columns = sorted(c for c in inputs.columns if not c.startswith(BALANCE))
        values = _values(inputs, columns)
        rarely_missing = np.isnan(values).sum(axis=0) < MIN_MISSING
        typical = np.full(len(columns), np.nan)
        typical[rarely_missing] = column_medians(values[:, rarely_missing])
        scale = float(np.median(np.abs(target))) or float(np.mean(np.abs(target))) or 1.0
        # A fixed order of rows, so that the random subsets do not depend on the order of `inputs`
        order = np.lexsort(np.column_stack([values[:, :3], target]).T)
        dataset = load_lightgbm().Dataset(_filled(values, typical)[order], target[order] / scale, params=PARAMETERS)
        return cls(columns, typical, scale, dataset)


def tree_matrix(inputs: pl.DataFrame, columns: list[str], typical: Array) -> Array:
    """The inputs of trees, shape (n, columns); a missing value is the column's `typical` one, or NaN."""
    return _filled(_values(inputs, columns), typical)


def _values(inputs: pl.DataFrame, columns: list[str]) -> Array:
    return inputs[columns].to_numpy().astype(float)


def _filled(values: Array, typical: Array) -> Array:
    return np.where(np.isnan(values), typical, values)


class BoostedHuber:
    """Huber regression plus trees on its residuals.

    The regression extrapolates beyond the training changes, and the trees correct it where the response is not linear.
    Two more sets of trees forecast the .1 and .9 quantile of the residuals; their distance is the predicted spread.
    """

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Fit the regression, then the trees on its residuals; raises `ModelError` with fewer than 200 rows."""
        self.huber_ = Huber(self.lead_time).fit(inputs, target)
        residuals = BinnedRows.from_table(inputs, target - self.huber_.predict(inputs))
        self.correction_ = Trees(self.lead_time, CORRECTION_ROUNDS).grow(residuals)
        self.low_, self.high_ = (Trees(self.lead_time, QUANTILE_ROUNDS, q).grow(residuals) for q in (LOW, HIGH))
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Expected change of each row."""
        return self.huber_.predict(inputs) + self.correction_.predict(inputs)

    def spread(self, inputs: pl.DataFrame) -> Array:
        """Predicted spread (0.1–0.9 quantile range) of the change of each row; never negative."""
        matrix = self.low_.matrix(inputs)  # of the same rows as that of `high_`
        return np.maximum(0.0, self.high_.predict_rows(matrix) - self.low_.predict_rows(matrix))

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """Contributions to the regression plus those to the trees."""
        huber, correction = self.huber_.contributions(inputs), self.correction_.contributions(inputs)
        return correction.with_columns(correction[c] + huber[c] for c in huber.columns)
