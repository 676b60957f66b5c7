"""Small neural nets on any of Keras' backends, from a frame to a forecast without glue in between.

One definition of a net (a list of layers), one call for each step: `arrays` (frame → arrays), `split_validation`,
`shuffle`, `batches`, `normalisation`, `fit`, `predict`, `save`, `load`; the loss history is a frame. The backend is
chosen per call and may differ between them, since a fitted net is kept as the content of its `.keras` file.

Examples
--------
::

    rows = arrays(table, inputs=["rain", "stream"], target="change")
    fitted, validating = split_validation(rows, 0.2)
    net = fit(Fit(LAYERS, Training(epochs=30, batch=32), fitted, validating), backend="jax")
    net.history                                  # epoch, loss, val_loss
    predict(net, table, backend="torch")         # one number per row
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.errors import ModelError
from forebay.nets import backends
from forebay.nets.backends import Item, Progress, Task

Floats: TypeAlias = NDArray[np.float32]
Layers: TypeAlias = tuple[tuple[str, float], ...]
"""A net from input to output: ("normalisation", 0), ("dropout", share), ("dense", units), ("relu", 0)."""

_KERAS_SIDE = "forebay.nets.keras_nets"
LAYERS = ("normalisation", "dropout", "dense", "relu")


@dataclass(frozen=True)
class Training:
    """How a net is fitted: Adam on the mean absolute error.

    `batch` rows make a step; the `leftover` of each epoch, fewer than `batch` rows, is kept as a smaller step or
    dropped. `reshuffle`: rows are drawn in a new order in every epoch.
    """

    epochs: int
    batch: int
    rate: float = 0.001
    leftover: Literal["kept", "dropped"] = "kept"
    reshuffle: bool = True


@dataclass(frozen=True)
class Arrays:
    """Inputs (n, k) and target (n,) of the same n rows, with the inputs' names."""

    inputs: Floats
    target: Floats
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: NDArray[np.intp] | slice) -> Arrays:
        """These rows, inputs and target alike."""
        return replace(self, inputs=self.inputs[rows], target=self.target[rows])


def arrays(table: pl.DataFrame, *, inputs: Sequence[str], target: str) -> Arrays:
    """Columns of a frame as arrays of single precision.

    Raises
    ------
    ModelError
        If a column is absent, or holds a null or a number that is not finite: nets know no missing values.

    Examples
    --------
    >>> rows = arrays(pl.DataFrame({"rain": [0, 12], "change": [0.0, 0.1]}), inputs=["rain"], target="change")
    >>> rows.inputs.tolist(), len(rows)
    ([[0.0], [12.0]], 2)
    """
    values = _matrix(table, [*inputs, target])
    return Arrays(np.ascontiguousarray(values[:, :-1]), values[:, -1].copy(), tuple(inputs))


def _matrix(table: pl.DataFrame, columns: Sequence[str]) -> Floats:
    for column in columns:
        if column not in table.columns:
            raise ModelError(f"column {column!r} is not in the table; it has {table.columns}")
        missing = len(table) - int(table[column].cast(pl.Float64).is_finite().sum())
        if missing:
            raise ModelError(
                f"column {column!r} has {missing} rows of {len(table)} without a finite number; a net needs one in "
                "every row, so leave these rows out"
            )
    return table.select(columns).to_numpy().astype(np.float32)


def split_validation(rows: Arrays, share: float) -> tuple[Arrays, Arrays]:
    """The first int(n · (1 − share)) rows, and the rest for validation, in the order they stand (as Keras does).

    Examples
    --------
    >>> rows = Arrays(np.zeros((3774, 7), np.float32), np.zeros(3774, np.float32), ())
    >>> [len(part) for part in split_validation(rows, 0.2)]
    [3019, 755]
    """
    cut = int(len(rows) * (1 - share))
    return rows.take(slice(0, cut)), rows.take(slice(cut, None))


def shuffle(rows: Arrays, seed: int) -> Arrays:
    """The rows in a random order, the same for inputs and target, so that pairs stay pairs."""
    return rows.take(np.random.default_rng(seed).permutation(len(rows)))


def batches(rows: Arrays, size: int, *, leftover: Literal["kept", "dropped"] = "kept") -> Iterator[Arrays]:
    """The rows in parts of `size`; the `leftover` is the last part, or is dropped.

    Examples
    --------
    >>> rows = Arrays(np.zeros((20, 7), np.float32), np.zeros(20, np.float32), ())
    >>> [len(batch) for batch in batches(rows, 8)], [len(batch) for batch in batches(rows, 8, leftover="dropped")]
    ([8, 8, 4], [8, 8])
    """
    end = len(rows) if leftover == "kept" else len(rows) - len(rows) % size
    for start in range(0, end, size):
        yield rows.take(slice(start, min(start + size, end)))


@dataclass(frozen=True)
class Normalisation:
    """Mean and variance per input, shape (k,); the net's first layer gives (x − mean)/√variance."""

    mean: Floats
    variance: Floats


def normalisation(rows: Arrays) -> Normalisation:
    """Mean and variance of the inputs of `rows`, which should be training rows and nothing else."""
    values = rows.inputs.astype(np.float64)
    return Normalisation(values.mean(axis=0).astype(np.float32), values.var(axis=0).astype(np.float32))


@dataclass(frozen=True)
class Fit:
    """One net to be fitted: its layers, how, on which rows, and the seed of its weights, dropout and batches.

    `validating` rows are only judged, after each epoch. `scale` is what the normalising layer does; without it, that of
    the `fitted` rows.
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
    content
        Its `.keras` file; no code in it.
    names
        The inputs' names, in order.
    history
        epoch (from 1), loss, val_loss: mean absolute error in the target's unit; val_loss is null without validation.
        Keras' `loss` is that under dropout, averaged while the weights still change.
    """

    content: bytes = field(repr=False)
    names: tuple[str, ...]
    history: pl.DataFrame = field(repr=False)


def fit(job: Fit, *, backend: str = "jax") -> Network:
    """The fitted net of one job; raises as `fit_all`."""
    return fit_all([job], backend=backend)[0]


def fit_all(jobs: Sequence[Fit], *, backend: str = "jax", progress: Progress | None = None) -> list[Network]:
    """The fitted net of each job, all in one process.

    Raises
    ------
    ConfigError
        If the backend is not known or not installed.
    ModelError
        If a job has fewer rows than one batch, a layer that is not known, or its fit does not stay finite.
    """
    for job in jobs:
        _check(job)
    made = backends.run(Task(_KERAS_SIDE, "fit_item"), [_item(job) for job in jobs], backend=backend, progress=progress)
    return [_network(told, job) for told, job in zip(made, jobs, strict=True)]


def predict(network: Network, inputs: pl.DataFrame, *, backend: str = "jax") -> NDArray[np.float64]:
    """The net's prediction for each row of `inputs`, in the target's unit; raises as `predict_all`."""
    return predict_all([(network, inputs)], backend=backend)[0]


def predict_all(pairs: Sequence[tuple[Network, pl.DataFrame]], *, backend: str = "jax") -> list[NDArray[np.float64]]:
    """Predictions of each net for its rows, all in one process.

    Raises
    ------
    ConfigError
        If the backend is not known or not installed.
    ModelError
        If an input is absent or has missing values.
    """
    items: list[Item] = [
        {"keras": np.frombuffer(net.content, np.uint8), "inputs": _matrix(table, net.names)} for net, table in pairs
    ]
    made = backends.run(Task(_KERAS_SIDE, "predict_item"), items, backend=backend)
    return [told["prediction"].astype(np.float64) for told in made]


def save(network: Network, path: Path) -> None:
    """Write the net's `.keras` file; beside it, as JSON, its inputs' names and its history."""
    path.write_bytes(network.content)
    about = {"inputs": network.names, "history": network.history.to_dict(as_series=False)}
    path.with_suffix(".json").write_text(json.dumps(about), "utf-8")


def load(path: Path) -> Network:
    """The net that `save` wrote; `ModelError` if one of its two files cannot be read."""
    try:
        content = path.read_bytes()
        about = json.loads(path.with_suffix(".json").read_text("utf-8"))
        history = pl.DataFrame(about["history"], schema=_HISTORY)
        return Network(content, tuple(about["inputs"]), history)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"net {str(path)!r} cannot be loaded ({error}); it and {path.with_suffix('.json').name} beside it must be "
            "as `networks.save` wrote them"
        ) from None


_HISTORY = {"epoch": pl.Int64, "loss": pl.Float64, "val_loss": pl.Float64}


def _check(job: Fit) -> None:
    unknown = [kind for kind, _ in job.layers if kind not in LAYERS]
    if unknown:
        raise ModelError(f"layer {unknown[0]!r} is not known; allowed are {', '.join(LAYERS)}")
    if any(kind == "normalisation" for kind, _ in job.layers[1:]):
        raise ModelError("layer 'normalisation' must be the first of a net")
    if len(job.fitted) < job.training.batch:
        raise ModelError(f"{len(job.fitted)} rows are fewer than one batch of {job.training.batch}; give more rows")


def _item(job: Fit) -> Item:
    scale = job.scale or normalisation(job.fitted)
    rows = job.fitted
    if job.training.leftover == "dropped":
        rows = rows.take(slice(0, sum(map(len, batches(rows, job.training.batch, leftover="dropped")))))
    plan = {
        "layers": job.layers,
        "epochs": job.training.epochs,
        "batch": job.training.batch,
        "rate": job.training.rate,
        "reshuffle": job.training.reshuffle,
        "seed": job.seed,
    }
    judged = {} if job.validating is None else {"val_x": job.validating.inputs, "val_y": job.validating.target}
    return {
        "plan": np.array(json.dumps(plan)), "x": rows.inputs, "y": rows.target, "mean": scale.mean,
        "variance": scale.variance, **judged,
    }  # fmt: skip


def _network(told: Item, job: Fit) -> Network:
    losses: dict[str, Any] = {name: told[name] for name in ("loss", "val_loss") if name in told}
    if not all(np.isfinite(column).all() for column in losses.values()):
        raise ModelError(
            f"the loss of the net with seed {job.seed} did not stay finite; lower the rate {job.training.rate}"
        )
    columns: dict[str, Any] = {"epoch": np.arange(1, job.training.epochs + 1), "val_loss": None, **losses}
    history = pl.DataFrame(columns, schema=_HISTORY)
    return Network(told["keras"].tobytes(), job.fitted.names, history)
