"""Small neural nets on any backend of Keras, from a table to a forecast.

A net is a list of layers. `rows` makes arrays from a table; `fit`, `predict`, `evaluate`, `save` and `load` are here.
The loss history is a table. A fitted net is its layers and numbers, so that it needs no backend to predict: the jax
backend trains in `batch` without Keras, the others train in Keras. Keras makes the `.keras` file when a net is saved.

Examples
--------
::

    train, test = split_test(arrays(table, inputs=["rain", "stream"], target="change"), 0.2)
    fitted, validating = split_validation(train, 0.2)
    net = fit(Fit(LAYERS, Training(epochs=30, batch=32), fitted, validating), backend="jax")
    net.history                                  # epoch, loss, val_loss
    evaluate(net, test)                          # mean absolute error
    predict(net, table)                          # one number per row; backend="torch": by Keras on torch
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay import metrics
from forebay.errors import ModelError
from forebay.nets import backends, batch, weights
from forebay.nets.backends import Item, Progress, Task
from forebay.nets.layers import LAYER_KINDS, Layers, output
from forebay.nets.rows import (
    Arrays,
    Floats,
    Normalisation,
    arrays,
    batches,
    matrix,
    normalisation,
    shuffle,
    split_test,
    split_validation,
)

__all__ = [
    "Arrays", "Fit", "Floats", "Layers", "Network", "Normalisation", "Training", "arrays", "batches", "evaluate", "fit",
    "fit_all", "from_keras", "keras_files", "load", "normalisation", "predict", "predict_all", "predict_files",
    "save", "shuffle", "split_test", "split_validation", "write",
]  # fmt: skip

_KERAS_SIDE = "forebay.nets.keras_nets"


@dataclass(frozen=True)
class Training:
    """Settings of a fit: Adam on the mean absolute error.

    Attributes
    ----------
    epochs
    batch
        Rows per step.
    rate
        Learning rate.
    leftover
        The last rows of an epoch, fewer than `batch`, are a smaller step ("kept") or not used ("dropped").
    reshuffle
        Whether the order of the rows changes in every epoch.
    """

    epochs: int
    batch: int
    rate: float = 0.001
    leftover: Literal["kept", "dropped"] = "kept"
    reshuffle: bool = True


@dataclass(frozen=True)
class Fit:
    """The fit of one net.

    Attributes
    ----------
    layers, training
    fitted
        Training rows.
    validating
        Rows for the validation loss after each epoch.
    scale
        Parameters of the normalisation layer; by default those of the training rows.
    seed
        Of the weights, the dropout and the order of rows.
    """

    layers: Layers
    training: Training
    fitted: Arrays
    validating: Arrays | None = None
    scale: Normalisation | None = None
    seed: int = 0


@dataclass(frozen=True)
class Network:
    """A fitted net.

    Attributes
    ----------
    layers
    scale
        Parameters of the normalisation layer, if there is one.
    parameters
        Kernel (inputs, units) and bias (units,) of each dense layer, from input to output.
    names
        The inputs' names, in order.
    history
        epoch (from 1), loss, val_loss: mean absolute error in the target's unit; val_loss is null without validation.
        `loss` is under dropout and before each step, as an average over the rows of the epoch.
    """

    layers: Layers
    scale: Normalisation = field(repr=False)
    parameters: tuple[Floats, ...] = field(repr=False)
    names: tuple[str, ...]
    history: pl.DataFrame = field(repr=False)


def fit(job: Fit, *, backend: str = "jax") -> Network:
    """The fitted net of one job, as in `fit_all`."""
    return fit_all([job], backend=backend)[0]


def fit_all(jobs: Sequence[Fit], *, backend: str = "jax", progress: Progress | None = None) -> list[Network]:
    """The fitted net of each job, all in one process.

    On jax, nets of one shape are trained together. A net does not depend on the other jobs.

    Raises
    ------
    ConfigError
        If the backend is not known or not installed.
    ModelError
        If a job has fewer rows than one batch or an unknown layer, or its loss does not stay finite.
    """
    for job in jobs:
        _check(job)
    items = [_item(job) for job in jobs]
    if backend == "jax":
        results = batch.fit_items(items, progress)
    else:
        results = backends.run(Task(_KERAS_SIDE, "fit_item"), items, backend=backend, progress=progress)
    return [_network(result, job) for result, job in zip(results, jobs, strict=True)]


def predict(network: Network, inputs: pl.DataFrame, *, backend: str | None = None) -> NDArray[np.float64]:
    """The net's prediction for each row of `inputs`, in the target's unit, as in `predict_all`."""
    return predict_all([(network, inputs)], backend=backend)[0]


def predict_all(
    pairs: Sequence[tuple[Network, pl.DataFrame]], *, backend: str | None = None
) -> list[NDArray[np.float64]]:
    """Predictions of each net for its rows.

    Parameters
    ----------
    backend
        Keras loads the `.keras` file of each net on this backend and predicts; by default numpy predicts.

    Raises
    ------
    ConfigError
        If the backend is not known or not installed.
    ModelError
        If an input is absent or has missing values.
    """
    if backend is not None:
        return predict_files(keras_files([net for net, _ in pairs]), pairs, backend=backend)
    rows = [matrix(table, net.names) for net, table in pairs]
    return [output(net.layers, net.scale, net.parameters, values) for (net, _), values in zip(pairs, rows, strict=True)]


def predict_files(
    contents: Sequence[bytes], pairs: Sequence[tuple[Network, pl.DataFrame]], *, backend: str
) -> list[NDArray[np.float64]]:
    """As `predict_all`, from the `contents` of the nets' `.keras` files (`keras_files`)."""
    items: list[Item] = [
        {"keras": np.frombuffer(content, np.uint8), "inputs": matrix(table, net.names)}
        for content, (net, table) in zip(contents, pairs, strict=True)
    ]
    results = backends.run(Task(_KERAS_SIDE, "predict_item"), items, backend=backend)
    return [result["prediction"].astype(np.float64) for result in results]


def evaluate(network: Network, rows: Arrays, *, backend: str | None = None) -> float:
    """Mean absolute error of the net on `rows`, in the target's unit; raises as `predict_all`."""
    return metrics.mae(predict(network, rows.table(), backend=backend), rows.target.astype(np.float64))


def keras_files(nets: Sequence[Network]) -> list[bytes]:
    """Content of the `.keras` file of each net, without code; Keras makes it on jax and every backend can load it."""
    items: list[Item] = [
        {
            "layers": np.array(json.dumps(net.layers)), "mean": net.scale.mean, "variance": net.scale.variance,
            **{batch.parameter(number): values for number, values in enumerate(net.parameters)},
        }
        for net in nets
    ]  # fmt: skip
    results = backends.run(Task(_KERAS_SIDE, "file_item"), items, backend="jax")
    return [result["keras"].tobytes() for result in results]


def from_keras(content: bytes, names: tuple[str, ...], history: pl.DataFrame) -> Network:
    """The net in the content of a `.keras` file.

    Raises
    ------
    ModelError
        If the file has a layer that is none of `LAYER_KINDS`.
    """
    item = {"keras": np.frombuffer(content, np.uint8)}
    (result,) = backends.run(Task(_KERAS_SIDE, "read_item"), [item], backend="jax")
    layers, scale, parameters = weights.parts(json.loads(str(result["layers"])), len(names))
    return Network(layers, scale, parameters, names, history)


def save(network: Network, path: Path) -> None:
    """Write the net's `.keras` file and, next to it, a JSON file with the inputs' names and the history."""
    write(network, keras_files([network])[0], path)


def write(network: Network, content: bytes, path: Path) -> None:
    """As `save`, with the `content` of the net's `.keras` file (`keras_files`)."""
    path.write_bytes(content)
    description = {"inputs": network.names, "history": network.history.to_dict(as_series=False)}
    path.with_suffix(".json").write_text(json.dumps(description), "utf-8")


def load(path: Path) -> Network:
    """The net in the two files of `save`; raises `ModelError` if one of them cannot be read."""
    try:
        content = path.read_bytes()
        description = json.loads(path.with_suffix(".json").read_text("utf-8"))
        history = pl.DataFrame(description["history"], schema=_HISTORY)
        return from_keras(content, tuple(description["inputs"]), history)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"net {str(path)!r} cannot be loaded ({error}); it and {path.with_suffix('.json').name} next to it must be "
            "the output of `networks.save`"
        ) from None


_HISTORY = {"epoch": pl.Int64, "loss": pl.Float64, "val_loss": pl.Float64}


def _check(job: Fit) -> None:
    unknown = [kind for kind, _ in job.layers if kind not in LAYER_KINDS]
    if unknown:
        raise ModelError(f"layer {unknown[0]!r} is not known; allowed are {', '.join(LAYER_KINDS)}")
    if any(kind == "normalisation" for kind, _ in job.layers[1:]):
        raise ModelError("layer 'normalisation' must be the first of a net")
    if len(job.fitted) < job.training.batch:
        raise ModelError(
            f"{len(job.fitted)} training rows are fewer than one batch of {job.training.batch}; pass more rows"
        )


def _scale(job: Fit) -> Normalisation:
    return job.scale or normalisation(job.fitted)


def _item(job: Fit) -> Item:
    scale, rows = _scale(job), job.fitted
    if job.training.leftover == "dropped":
        rows = rows.take(slice(0, len(rows) - len(rows) % job.training.batch))
    plan = {
        "layers": job.layers,
        "epochs": job.training.epochs,
        "batch": job.training.batch,
        "rate": job.training.rate,
        "reshuffle": job.training.reshuffle,
        "seed": job.seed,
    }
    validation = {} if job.validating is None else {"val_x": job.validating.inputs, "val_y": job.validating.target}
    return {
        "plan": np.array(json.dumps(plan)), "x": rows.inputs, "y": rows.target, "mean": scale.mean,
        "variance": scale.variance, **validation,
    }  # fmt: skip


def _network(result: Item, job: Fit) -> Network:
    losses: dict[str, Any] = {name: result[name] for name in ("loss", "val_loss") if name in result}
    if not all(np.isfinite(column).all() for column in losses.values()):
        raise ModelError(
            f"the loss of the net with seed {job.seed} did not stay finite; lower the rate {job.training.rate}"
        )
    columns: dict[str, Any] = {"epoch": np.arange(1, job.training.epochs + 1), "val_loss": None, **losses}
    history = pl.DataFrame(columns, schema=_HISTORY)
    parameters = tuple(result[name] for name in map(batch.parameter, range(len(result))) if name in result)
    return Network(job.layers, _scale(job), parameters, job.fitted.names, history)
