"""The article's net with the contract of a model, for comparison; needs the extra `nets`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from forebay.errors import ModelError
from forebay.models.regression import MIN_ROWS, Huber
from forebay.nets.networks import Arrays, Fit, Layers, Network, Training, fit, predict

if TYPE_CHECKING:
    from forebay.models.model import Array

LAYERS: Layers = (("normalisation", 0), ("dropout", 0.5), ("dense", 16), ("relu", 0), ("dropout", 0.5), ("dense", 1))
TRAINING = Training(epochs=30, batch=32)
SEED = 1


class ArticleNet:
    """A net of 16 units with dropout ("Elixir vs Python for real world AI/ML", Alembic, 2023) on forebay's inputs.

    Nets accept no missing value. The inputs are therefore the regression's design: standardised inputs, 0 where one is
    missing, and an indicator column of its absence. The target is in units of its median size, so that the forecast
    does not depend on the dam's unit. Keras runs on jax.

    Attributes
    ----------
    content_
        The fitted net's `.keras` file as bytes (uint8).
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
        with _KERAS_LOCK:
            net = fit(Fit(LAYERS, TRAINING, rows, seed=SEED))
        self.content_ = np.frombuffer(net.content, np.uint8)
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Expected change of each row."""
        design = self.huber_.design(inputs)
        if not len(design):
            return np.zeros(0)
        net = Network(self.content_.tobytes(), _names(design), pl.DataFrame())
        with _KERAS_LOCK:
            return predict(net, pl.DataFrame(design, schema=list(net.names))) * self.scale_


_KERAS_LOCK = threading.Lock()  # the hindcast runs in threads, which share Keras' compiled nets and random numbers


def _names(design: Array) -> tuple[str, ...]:
    return tuple(f"x{column}" for column in range(design.shape[1]))
