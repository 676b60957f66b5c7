"""The article's net with the contract of a model, for comparison; needs the extra `nets`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from forebay.errors import ModelError
from forebay.models.regression import MIN_ROWS, Huber
from forebay.nets.networks import Arrays, Fit, Layers, Network, Normalisation, Training, fit, predict

if TYPE_CHECKING:
    from forebay.models.model import Array

LAYERS: Layers = (("normalisation", 0), ("dropout", 0.5), ("dense", 16), ("relu", 0), ("dropout", 0.5), ("dense", 1))
TRAINING = Training(epochs=30, batch=32)
SEED = 1


class ArticleNet:
    """A net of 16 units with dropout ("Elixir vs Python for real world AI/ML", Alembic, 2023) on forebay's inputs.

    Nets accept no missing value. The inputs are therefore the regression's design: standardised inputs, 0 where one is
    missing, and an indicator column of its absence. The target is in units of its median size, so that the forecast
    does not depend on the dam's unit. jax trains the net.

    Attributes
    ----------
    normalisation_
        Mean and variance of each input.
    parameters_
        Kernel and bias of each dense layer, from input to output.
    """

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Fit the net.

        Raises
        ------
        ModelError
            With fewer than 200 rows, or if all inputs are constant.
        ConfigError
            If Keras or jax is not installed.
        """
        if len(target) < MIN_ROWS:
            raise ModelError(f"the net needs at least {MIN_ROWS} past days to learn from, but there are {len(target)}")
        self.huber_ = Huber(self.lead_time).fit(inputs.select(sorted(inputs.columns)), target)
        self.scale_ = float(np.median(np.abs(target))) or float(np.mean(np.abs(target))) or 1.0
        design = self.huber_.design(inputs)
        # A fixed order of rows, so that the batches do not depend on the order of `inputs`
        order = np.lexsort(np.column_stack([design, target]).T)
        rows = Arrays(
            design[order].astype(np.float32), (target[order] / self.scale_).astype(np.float32), _names(design)
        )
        with _FIT_LOCK:
            net = fit(Fit(LAYERS, TRAINING, rows, seed=SEED))
        self.normalisation_ = [net.scale.mean, net.scale.variance]
        self.parameters_ = list(net.parameters)
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Expected change of each row."""
        design = self.huber_.design(inputs)
        if not len(design):
            return np.zeros(0)
        scale, parameters = Normalisation(*self.normalisation_), tuple(self.parameters_)
        net = Network(LAYERS, scale, parameters, _names(design), pl.DataFrame())
        return predict(net, pl.DataFrame(design, schema=list(net.names))) * self.scale_


_FIT_LOCK = threading.Lock()  # the hindcast runs in threads; two would compile the same program


def _names(design: Array) -> tuple[str, ...]:
    return tuple(f"x{column}" for column in range(design.shape[1]))
