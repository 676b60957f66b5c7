"""A model of scenarios for a known release of the coming days: the difference from today's release is a water balance.

Releases answer to inflow, so a regression on past releases would learn that water rises with them. The model therefore
learns the change as if today's release had continued, and a planned release is subtracted as a volume.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from forebay.errors import ModelError
from forebay.features.known_ahead import RELEASE_AHEAD, RELEASE_STEP
from forebay.models.balance import Balance
from forebay.models.monotone import SCENARIO_MODELS

if TYPE_CHECKING:
    from forebay.models.model import Array


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
