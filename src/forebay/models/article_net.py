"""The article's net through the contract of every model, for comparison: needs the `nets` extra, enters on request."""

from __future__ import annotations

import threading
from typing import Self

import numpy as np
import polars as pl

from forebay.errors import ModelError
from forebay.models.model import Array
from forebay.models.regression import MIN_ROWS, Huber
from forebay.nets.networks import Arrays, Fit, Layers, Network, Training, fit, predict

LAYERS: Layers = (("normalisation", 0), ("dropout", 0.5), ("dense", 16), ("relu", 0), ("dropout", 0.5), ("dense", 1))
TRAINING = Training(epochs=30, batch=32)
SEED = 1


class ArticleNet:
    """A net of 16 units with dropout ("Elixir vs Python for real world AI/ML", Alembic, 2023) on forebay's own inputs.

    Nets know no missing value: it is given the regression's standardised inputs, 0 where one is missing, with a column
    that says so. The target is in units of its median size, so that a unit changes nothing. Keras runs on jax.

    Attributes
    ----------
    content_
        The fitted net's `.keras` file, as bytes (uint8).
    """

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Fit the net.

        Raises
        ------
        ModelError
            With fewer than 200 rows, or inputs that never vary.
        ConfigError
            If Keras or jax is not installed.
        """
        if len(target) < MIN_ROWS:
            raise ModelError(f"the net needs at least {MIN_ROWS} past days to learn from, but there are {len(target)}")
        self.line_ = Huber(self.lead_time).fit(inputs.select(sorted(inputs.columns)), target)
        self.scale_ = float(np.median(np.abs(target))) or float(np.mean(np.abs(target))) or 1.0
        design = self.line_.design(inputs)
        # In one order whatever order the rows come in, so that the batches are the same
        order = np.lexsort(np.column_stack([design, target]).T)
        rows = Arrays(
            design[order].astype(np.float32), (target[order] / self.scale_).astype(np.float32), _names(design)
        )
        with _KERAS:
            made = fit(Fit(LAYERS, TRAINING, rows, seed=SEED))
        self.content_ = np.frombuffer(made.content, np.uint8)
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """The expected change of each row."""
        design = self.line_.design(inputs)
        if not len(design):
            return np.zeros(0)
        net = Network(self.content_.tobytes(), _names(design), pl.DataFrame())
        with _KERAS:
            return predict(net, pl.DataFrame(design, schema=list(net.names))) * self.scale_


_KERAS = threading.Lock()  # the hindcast works in threads; Keras' compiled nets and random numbers are of all of them


def _names(design: Array) -> tuple[str, ...]:
    return tuple(f"x{column}" for column in range(design.shape[1]))
