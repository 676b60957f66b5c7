"""Models whose forecast never falls when the rain of the coming or of the past days rises; for scenarios (decision 25).

The rain of the coming days enters as sums from tomorrow on, alone and times the wetness index (`features.forcings`).
Each model is a sum of terms that do not fall in the inputs from rain: coefficients that are not negative, and trees
with monotone constraints. A forecast is then monotone in the rain of each single day, and earlier rain counts at least
as much as later rain. A wetter catchment never gives a lower level.

Releases answer to inflow, so a regression on past releases would learn that water rises with them. A planned release is
therefore no input of a regression (`PlannedRelease`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import polars as pl

from forebay.errors import ModelError
from forebay.features.known_ahead import RAIN_AHEAD, RELEASE_AHEAD, RELEASE_STEP, is_past_rain
from forebay.models.balance import Balance
from forebay.models.boosting import CORRECTION_ROUNDS, PARAMETERS, ROUNDS, BinnedRows, check_rows, train, tree_matrix
from forebay.models.references import Climatology, DampedChange, LastChange, NoChange
from forebay.models.regression import RIDGE_ALPHA, Huber, WetRidge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forebay.dams.dam import Dam
    from forebay.models.model import Array, Model

EPSILON = 1.35
HUBER_ALPHA = 1e-4
MAX_STEPS, TOLERANCE = 50, 1e-5
"""Steps of the reweighted regression, and the change of its coefficients that ends it."""


class MonotoneHuber(Huber):
    """`Huber` with no negative coefficient of rain."""

    def _regression(self, design: Array, target: Array) -> tuple[Array, float]:
        coefficients, intercept = super()._regression(design, target)
        rising = rising_columns(self.columns_, design.shape[1])
        if (coefficients[rising] >= 0).all():
            return coefficients, intercept
        return _bounded_huber(design, target, rising, coefficients, intercept)


class MonotoneWetRidge(WetRidge):
    """`WetRidge` with no negative coefficient of rain, in either regression; on wet days at least the Huber regression.

    A day can be wet or not by the rain of the past days alone.
    """

    regression: ClassVar[type[Huber]] = MonotoneHuber

    def _ridge(self, design: Array, target: Array) -> tuple[Array, float]:
        rising = rising_columns(self.huber_.columns_, design.shape[1])
        return bounded_ridge(design, target, np.ones(len(target)), RIDGE_ALPHA, rising)

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Expected change of each row."""
        return np.maximum(super().predict(inputs), self.huber_.predict(inputs))


class MonotoneTrees:
    """LightGBM on all inputs, which never falls in those from rain.

    LightGBM has no monotone constraints with L1 loss. The trees therefore learn the inverse hyperbolic sine of the
    change in units of its median size (Burbidge et al., 1988) with L2 loss: it is linear for small changes and
    logarithmic for large ones, so floods do not dominate.

    Attributes
    ----------
    booster_, columns_, typical_, scale_
        As in `Trees`.
    unit_
        Median size of the change.
    """

    def __init__(self, lead_time: int, rounds: int = ROUNDS) -> None:
        self.lead_time = lead_time
        self.rounds = rounds

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Grow the trees; raises `ModelError` with fewer than 200 rows."""
        check_rows(target)
        self.unit_ = float(np.median(np.abs(target))) or float(np.mean(np.abs(target))) or 1.0
        rows = BinnedRows.from_table(inputs, np.arcsinh(target / self.unit_))
        self.columns_, self.typical_, self.scale_ = rows.columns, rows.typical, rows.scale
        constraints = rising_columns(rows.columns, len(rows.columns)).astype(int).tolist()
        parameters = PARAMETERS | {"objective": "l2", "monotone_constraints": constraints}
        self.booster_ = train(parameters, rows.dataset, self.rounds)
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Expected change of each row."""
        matrix = tree_matrix(inputs, self.columns_, self.typical_)
        prediction = np.asarray(self.booster_.predict(matrix, num_threads=1), float) * self.scale_
        return np.asarray(np.sinh(prediction) * self.unit_)


class MonotoneBoostedHuber:
    """`MonotoneHuber` plus `MonotoneTrees` on its residuals."""

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Fit the regression, then the trees; raises `ModelError` with fewer than 200 rows."""
        self.huber_ = MonotoneHuber(self.lead_time).fit(inputs, target)
        residuals = target - self.huber_.predict(inputs)
        self.correction_ = MonotoneTrees(self.lead_time, CORRECTION_ROUNDS).fit(inputs, residuals)
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Expected change of each row."""
        return self.huber_.predict(inputs) + self.correction_.predict(inputs)


SCENARIO_MODELS: dict[str, Callable[[int], Model]] = {
    "no_change": NoChange,
    "last_change": LastChange,
    "damped_change": DampedChange,
    "climatology": Climatology,
    "huber": MonotoneHuber,
    "wet_ridge": MonotoneWetRidge,
    "trees": MonotoneTrees,
    "boosted_huber": MonotoneBoostedHuber,
}
"""Models of scenarios: those of `forebay.models.MODELS` in a form that never falls in the rain of the coming days."""


class PlannedRelease:
    """Change = model of the change at today's release + factor · change by the difference from today's release.

    The factor is 1 where a volume determines the change of the target, with a storage curve or a storage, and
    otherwise the factor of `Balance`, or 0 while it has too few past days. It is never negative: a larger release never
    gives a higher level. A day without a known release of the coming days counts as one on which today's continues.

    Parameters
    ----------
    model
        Name of one of `SCENARIO_MODELS`.
    has_volume
        As `Dam.has_volume`.

    Attributes
    ----------
    factor_, model_
        The factor, and the model of the change at today's release.
    """

    def __init__(self, lead_time: int, model: str, has_volume: bool) -> None:
        self.lead_time = lead_time
        self.model = model
        self.has_volume = has_volume

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Fit the model; raises `ModelError` as it does."""
        self.factor_ = 1.0 if self.has_volume else _balance_factor(self.lead_time, inputs, target)
        at_todays_release = target - self.factor_ * _step(inputs)
        self.model_ = SCENARIO_MODELS[self.model](self.lead_time).fit(_without_release(inputs), at_todays_release)
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Expected change of each row."""
        return np.asarray(self.model_.predict(_without_release(inputs)) + self.factor_ * _step(inputs))


def _balance_factor(lead_time: int, inputs: pl.DataFrame, target: Array) -> float:
    try:
        return Balance(lead_time).fit(inputs, target).factor_
    except ModelError:
        return 0.0


def _step(inputs: pl.DataFrame) -> Array:
    """Change of the target over the lead by the difference from today's release; 0 where it is unknown."""
    return np.asarray(inputs[RELEASE_STEP].cast(pl.Float64).fill_nan(None).fill_null(0.0).to_numpy())


def _without_release(inputs: pl.DataFrame) -> pl.DataFrame:
    return inputs.drop(name for name in inputs.columns if name.startswith(RELEASE_AHEAD))


def scenario_models(dam: Dam, *, planned_release: bool) -> dict[str, Callable[[int], Model]]:
    """Makers of the models of scenarios, by name; with `planned_release` for a known release of the coming days."""
    if not planned_release:
        return SCENARIO_MODELS
    return {name: partial(PlannedRelease, model=name, has_volume=dam.has_volume) for name in SCENARIO_MODELS}


def rising_columns(columns: list[str], count: int) -> NDArray[np.bool_]:
    """Whether each of `count` columns of a design is an input from rain; `columns` names the first of them."""
    rising = np.zeros(count, bool)
    rising[: len(columns)] = [name.startswith(RAIN_AHEAD) or is_past_rain(name) for name in columns]
    return rising


def bounded_ridge(
    design: Array, target: Array, weights: Array, alpha: float, rising: NDArray[np.bool_]
) -> tuple[Array, float]:
    """Coefficients, not negative for the `rising` columns, and intercept of a weighted ridge regression."""
    from scipy.linalg import solve_triangular
    from scipy.optimize import lsq_linear

    total = weights.sum()
    centre, mean = weights @ design / total, float(weights @ target / total)
    centred = design - centre
    weighted = centred * weights[:, None]
    root = np.linalg.cholesky(weighted.T @ centred + alpha * np.eye(design.shape[1]))
    right = solve_triangular(root, weighted.T @ (target - mean), lower=True)
    lowest = np.where(rising, 0.0, -np.inf)
    coefficients = lsq_linear(root.T, right, (lowest, np.inf), method="bvls").x
    return coefficients, mean - float(centre @ coefficients)


def _bounded_huber(
    design: Array, target: Array, rising: NDArray[np.bool_], coefficients: Array, intercept: float
) -> tuple[Array, float]:
    """Huber's regression with bounds, by iteratively reweighted least squares with the scale of `HuberRegressor`."""
    for _ in range(MAX_STEPS):
        size = np.abs(target - design @ coefficients - intercept)
        scale = _scale(size)
        weights = np.minimum(1.0, EPSILON * scale / np.maximum(size, 1e-12))
        last = coefficients
        coefficients, intercept = bounded_ridge(design, target, weights, HUBER_ALPHA * scale, rising)
        if np.abs(coefficients - last).max() <= TOLERANCE * max(np.abs(coefficients).max(), 1e-12):
            break
    return coefficients, intercept


def _scale(size: Array) -> float:
    """The scale σ of residuals of this `size` that minimises Huber's joint loss (Owen, 2007)."""
    scale = 1.4826 * float(np.median(size)) or float(size.mean()) or 1.0
    for _ in range(MAX_STEPS):
        inside = size <= EPSILON * scale
        rest = len(size) - EPSILON**2 * float((~inside).sum())
        last, scale = scale, float(np.sqrt((size[inside] ** 2).sum() / rest)) if rest > 0 else 1.2 * scale
        if abs(scale - last) <= TOLERANCE * last:
            break
    return max(scale, 1e-12)
