"""Layers of a net and their formulas in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from forebay.nets.rows import Floats, Normalisation

Layers: TypeAlias = tuple[tuple[str, float], ...]
"""A net from input to output: ("normalisation", 0), ("dropout", share), ("dense", units), ("relu", 0)."""

LAYER_KINDS = ("normalisation", "dropout", "dense", "relu")
LEAST_DEVIATION = 1e-7
"""Keras' normalisation layer divides by at least this number."""


def scaled(inputs: Floats, scale: Normalisation) -> Floats:
    """Inputs after the normalisation layer, in single precision as in Keras."""
    return ((inputs - scale.mean) / np.maximum(np.sqrt(scale.variance), LEAST_DEVIATION)).astype(np.float32)


def output(layers: Layers, scale: Normalisation, parameters: Sequence[Floats], inputs: Floats) -> NDArray[np.float64]:
    """Prediction for each row of `inputs` (n, k) in double precision; dropout has no effect.

    Parameters
    ----------
    parameters
        Kernel (inputs, units) and bias (units,) of each dense layer, from input to output.
    """
    values = inputs.astype(np.float64)
    dense = iter(parameters)
    for kind, _ in layers:
        if kind == "normalisation":
            values = scaled(inputs, scale).astype(np.float64)
        elif kind == "dense":
            values = values @ next(dense).astype(np.float64) + next(dense)
        elif kind == "relu":
            values = np.maximum(values, 0.0)
    return values[:, 0]
