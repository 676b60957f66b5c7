"""Gradient-boosted trees (LightGBM), alone and on what the regression leaves unexplained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from forebay.errors import ModelError
from forebay.features.inputs import BALANCE
from forebay.models.model import BASELINE, Array
from forebay.models.regression import MIN_MISSING, MIN_ROWS, Huber

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
OF_QUANTILES = {"objective": "quantile", "learning_rate": 0.1, "num_leaves": 7, "min_data_in_leaf": 40}
"""Fewer and coarser trees, whose leaves hold more days, of which few lie beyond an outer quantile."""
LOW, HIGH = 0.1, 0.9
"""The quantiles whose distance tells how far apart the changes lie that may come."""


class Trees:
    """LightGBM on all inputs; a missing input takes the branch that served the training rows best.

    One that was missing on fewer than 20 of them counts as their median: LightGBM itself would take it for 0.

    Trees cannot forecast beyond the changes that they have seen: they serve dry days and ordinary rises.

    Parameters
    ----------
    rounds
        Number of trees.
    quantile
        What they forecast of the change, by quantile loss (Koenker and Bassett, 1978); the median is that of L1 loss.

    Attributes
    ----------
    booster_
        The fitted trees, for targets in units of `scale_`.
    columns_
        Inputs used, in order.
    typical_
        Median of each input that was seldom missing, NaN for the others.
    """

    def __init__(self, lead_time: int, rounds: int = ROUNDS, quantile: float = 0.5) -> None:
        self.lead_time = lead_time
        self.rounds = rounds
        self.quantile = quantile

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Grow the trees; `ModelError` with fewer than 200 rows."""
        return self.grow(Binned.of(inputs, target))

    def grow(self, binned: Binned) -> Self:
        """The same on rows that are binned already."""
        import lightgbm

        self.columns_, self.typical_, self.scale_ = binned.columns, binned.typical, binned.scale
        self.booster_: Booster = lightgbm.train(self._parameters(), binned.rows, self.rounds)
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """The expected change of each row."""
        made = self.booster_.predict(_matrix(inputs, self.columns_, self.typical_), num_threads=1)
        return np.asarray(made, float) * self.scale_

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """SHAP values of the trees (Lundberg and Lee, 2017); the base is their mean over the training rows."""
        if inputs.is_empty():
            return pl.DataFrame(schema=dict.fromkeys([*self.columns_, BASELINE], pl.Float64))
        given = _matrix(inputs, self.columns_, self.typical_)
        values = np.asarray(self.booster_.predict(given, pred_contrib=True, num_threads=1), float)
        return pl.DataFrame(values * self.scale_, schema=[*self.columns_, BASELINE])

    def _parameters(self) -> dict[str, object]:
        if self.quantile == 0.5:
            return PARAMETERS
        return PARAMETERS | OF_QUANTILES | {"alpha": self.quantile}


@dataclass(frozen=True)
class Binned:
    """Training rows as LightGBM bins them: several sets of trees that grow on the same rows share the work.

    columns, typical: as of `Trees`; rows: with the target in units of scale.
    """

    columns: list[str]
    typical: Array
    scale: float
    rows: Dataset

    @classmethod
    def of(cls, inputs: pl.DataFrame, target: Array) -> Binned:
        """The rows; `ModelError` with fewer than 200."""
        import lightgbm

        if len(target) < MIN_ROWS:
            raise ModelError(f"trees need at least {MIN_ROWS} past days to learn from, but there are {len(target)}")
        columns = sorted(c for c in inputs.columns if not c.startswith(BALANCE))
        given = np.asarray(inputs.select(columns).cast(pl.Float64).to_numpy())
        seldom = np.isnan(given).sum(axis=0) < MIN_MISSING
        typical = np.full(len(columns), np.nan)
        typical[seldom] = np.nanmedian(given[:, seldom], axis=0)
        scale = float(np.median(np.abs(target))) or float(np.mean(np.abs(target))) or 1.0
        # In one order whatever order the rows come in, so that the bags are the same
        order = np.lexsort(np.column_stack([inputs[c].to_numpy().astype(float) for c in columns[:3]] + [target]).T)
        matrix = _matrix(inputs, columns, typical)[order]
        return cls(columns, typical, scale, lightgbm.Dataset(matrix, target[order] / scale, params=PARAMETERS))


def _matrix(inputs: pl.DataFrame, columns: list[str], typical: Array) -> Array:
    given = np.asarray(inputs.select(columns).cast(pl.Float64).to_numpy())
    return np.where(np.isnan(given), typical, given)


class BoostedHuber:
    """Huber regression, corrected by trees grown on its residuals.

    The line carries the forecast beyond what was seen before, the trees bend it where the dam's answer is not a line.
    Two more sets of trees forecast an outer quantile of its residuals each: how far these lie apart tells how sure it
    is.
    """

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Fit the line, then the trees on what it leaves; `ModelError` with fewer than 200 rows."""
        self.line_ = Huber(self.lead_time).fit(inputs, target)
        left = Binned.of(inputs, target - self.line_.predict(inputs))
        self.correction_ = Trees(self.lead_time, CORRECTION_ROUNDS).grow(left)
        self.low_, self.high_ = (Trees(self.lead_time, QUANTILE_ROUNDS, q).grow(left) for q in (LOW, HIGH))
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """The expected change of each row."""
        return self.line_.predict(inputs) + self.correction_.predict(inputs)

    def spread(self, inputs: pl.DataFrame) -> Array:
        """How far the .1 and the .9 quantile of what may come lie apart, for each row; never negative."""
        return np.maximum(0.0, self.high_.predict(inputs) - self.low_.predict(inputs))

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """Those of the line and those of the trees, added."""
        line, correction = self.line_.contributions(inputs), self.correction_.contributions(inputs)
        return correction.with_columns(correction[c] + line[c] for c in line.columns)
