"""A regression on the forecast inflow and today's release, for dams with an inflow forecast."""

from __future__ import annotations

from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.errors import ModelError
from forebay.features.inputs import AHEAD, BALANCE
from forebay.models.model import BASELINE, Array
from forebay.models.references import LAST, DampedChange
from forebay.models.regression import huber_regression

MIN_FORECASTS = 60
"""Minimum number of past days with a forecast."""
CENTRES = ("_mean", "_q50")
"""Ends of the names of the inputs that it uses of a forecast; the spread is for the intervals."""
FLOWS = (f"{BALANCE}release", f"{BALANCE}inflow", LAST)
"""Inputs besides those of the forecast: today's flows as a change of the target per day, and the last change."""


class InflowAhead:
    """Change = Σ β · x, with Huber's loss, on the days with an inflow forecast.

    The inputs x are changes of the target per day: those that the forecast inflow causes over the lead (mean and
    quantiles), those of today's release and inflow, and the last change. With β = 1 for the forecast inflow and −1 for
    the release, this is the water balance with a constant release. The past shows how biased the forecast is, and how
    far the release follows the inflow. There are few inputs, because an archive of forecasts is short at first. With
    fewer than 60 past days with a forecast, the model is that water balance. A day without a forecast has
    `damped_change`, and the blend does not use this model then.

    Parameters
    ----------
    min_forecasts
        Number of past days with a forecast below which the model refuses to fit: 0 where the water balance is known,
        `MIN_FORECASTS` where no release is gauged, or volume and target cannot be compared.

    Attributes
    ----------
    columns_, typical_
        Inputs used, in order, and the mean of each on the training days.
    coefficients_, intercept_
        Change of the target over the lead per unit of each input, and at the means.
    without_
        The model of days without a forecast.
    """

    def __init__(self, lead_time: int, min_forecasts: int = 0) -> None:
        self.lead_time = lead_time
        self.min_forecasts = min_forecasts

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Fit the coefficients; raises `ModelError` with fewer than `min_forecasts` past days with a forecast."""
        self.without_ = DampedChange(self.lead_time).fit(inputs, target)
        self.columns_ = [c for c in inputs.columns if c.startswith(AHEAD) and c.endswith(CENTRES) or c in FLOWS]
        has_forecast = self._has_forecast(inputs)
        if has_forecast.sum() < self.min_forecasts:
            raise ModelError(
                f"inflow_ahead needs at least {self.min_forecasts} past days with an inflow forecast, but there are "
                f"{has_forecast.sum()}; store more forecasts"
            )
        if has_forecast.sum() < MIN_FORECASTS:
            return self._water_balance(inputs)
        self.typical_: Array = self._means(inputs.filter(pl.Series(has_forecast)))
        design = np.nan_to_num(self._values(inputs)[has_forecast] - self.typical_)
        size = design.std(axis=0)
        varies = size > 1e-12
        if not varies.any():
            raise ModelError(f"inflow_ahead needs an input that varies, but all of {self.columns_} are constant")
        observed = target[has_forecast]
        unit = float(np.median(np.abs(observed))) or float(np.mean(np.abs(observed))) or 1.0
        coefficients, intercept = huber_regression(design[:, varies] / size[varies], observed / unit)
        self.columns_ = [c for c, varying in zip(self.columns_, varies, strict=True) if varying]
        self.typical_ = self.typical_[varies]
        self.coefficients_, self.intercept_ = coefficients * unit / size[varies], intercept * unit
        return self

    def _water_balance(self, inputs: pl.DataFrame) -> Self:
        """The model itself: the forecast inflow, its median where there is one, minus today's release each day."""
        means, medians = ([c for c in self.columns_ if c.startswith(AHEAD) and c.endswith(end)] for end in CENTRES)
        signs = dict.fromkeys(medians or means, 1.0) | {FLOWS[0]: -1.0}
        self.columns_ = [c for c in self.columns_ if c in signs]
        self.typical_ = self._means(inputs)
        self.coefficients_ = self.lead_time * np.array([signs[c] for c in self.columns_])
        self.intercept_ = float(self.coefficients_ @ self.typical_)
        return self

    def _means(self, inputs: pl.DataFrame) -> Array:
        """Mean of each input, shape (inputs,); 0 where it is always missing."""
        values = self._values(inputs)
        known = np.isfinite(values)
        return np.asarray(np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Expected change of each row."""
        parts = self._parts(inputs)
        # A sum by columns, so that no digit of a row depends on the other rows
        change = sum((parts[:, k] for k in range(parts.shape[1])), np.full(len(inputs), self.intercept_))
        return np.where(self._has_forecast(inputs), change, self.without_.predict(inputs))

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """Coefficient × (input − its mean in training) of each input; on a day without a forecast the last change."""
        has_forecast = self._has_forecast(inputs)
        parts = np.where(has_forecast[:, None], self._parts(inputs), 0.0)
        columns = dict(zip(self.columns_, parts.T, strict=True))
        last = np.where(has_forecast, 0.0, self.without_.predict(inputs))
        columns[LAST] = columns.get(LAST, np.zeros(len(inputs))) + last
        return pl.DataFrame({**columns, BASELINE: np.where(has_forecast, self.intercept_, 0.0)})

    def _has_forecast(self, inputs: pl.DataFrame) -> NDArray[np.bool_]:
        """Whether each row has every input of the forecast, shape (n,)."""
        names = [c for c in inputs.columns if c.startswith(AHEAD)]
        if not names:
            raise ModelError("inflow_ahead needs an inflow forecast, but the dam has none; use another model")
        return np.asarray(np.isfinite(inputs.select(names).cast(pl.Float64).to_numpy()).all(axis=1))

    def _values(self, inputs: pl.DataFrame) -> Array:
        return np.asarray(inputs.select(self.columns_).cast(pl.Float64).to_numpy())

    def _parts(self, inputs: pl.DataFrame) -> Array:
        """Coefficient × (input − mean) of each input, shape (n, inputs); 0 where the input is missing."""
        return np.asarray(np.nan_to_num((self._values(inputs) - self.typical_) * self.coefficients_))
