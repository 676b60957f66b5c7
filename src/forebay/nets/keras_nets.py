"""The Keras side of `networks`: builds nets, fits them and predicts, in the process that runs the backend.

`backends.run` calls the functions that take an item; `networks` is the interface for callers.
"""

from __future__ import annotations

import json
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forebay.nets import weights
from forebay.nets.batch import parameter
from forebay.nets.layers import Layers, scaled
from forebay.nets.rows import Floats, Normalisation

if TYPE_CHECKING:
    import keras

    from forebay.nets.backends import Item


def as_bytes(content: bytes) -> NDArray[np.uint8]:
    """The content of a file as an array."""
    return np.frombuffer(content, np.uint8)


def build(layers: Layers, scale: Normalisation) -> keras.Model:
    """The untrained net as a Keras model for inputs of shape (n, k)."""
    import keras

    sequence: list[keras.Layer] = [keras.Input(shape=(len(scale.mean),))]
    for kind, number in layers:
        if kind == "normalisation":
            sequence.append(_normaliser(scale))
        elif kind == "dropout":
            sequence.append(keras.layers.Dropout(number))
        elif kind == "dense":
            sequence.append(keras.layers.Dense(int(number)))
        else:
            sequence.append(keras.layers.ReLU())
    return keras.Sequential(sequence)


def _normaliser(scale: Normalisation) -> keras.Layer:
    import keras

    # Mean and variance are arguments and not adapted, so that the file holds them and every backend can load it.
    return keras.layers.Normalization(mean=scale.mean.tolist(), variance=scale.variance.tolist())


def fit_item(item: Item) -> Item:
    """A fitted net's parameters and losses, from the plan (JSON) and the arrays of `networks`."""
    import keras

    plan: dict[str, Any] = json.loads(str(item["plan"]))  # Any: JSON
    seed = plan.pop("seed")
    scale = Normalisation(item["mean"], item["variance"])
    first, *rest = plan["layers"]
    is_normalised = first[0] == "normalisation"

    def rows(inputs: Floats) -> Floats:
        return scaled(inputs, scale) if is_normalised else inputs

    # The compiled model has no normalisation layer, so that it serves every net of this shape; its rows are scaled.
    model = _compiled(json.dumps(rest if is_normalised else plan["layers"]), plan["rate"], len(scale.mean))
    keras.utils.set_random_seed(seed)
    _restart(model, build(rest if is_normalised else plan["layers"], scale))
    validation = (rows(item["val_x"]), item["val_y"]) if "val_x" in item else None
    # The first fit of a model draws random numbers before it begins and later fits do not: seed at the begin of each.
    seeding = keras.callbacks.LambdaCallback(on_train_begin=lambda _: keras.utils.set_random_seed(seed))
    history = model.fit(
        rows(item["x"]), item["y"], validation_data=validation, epochs=plan["epochs"], batch_size=plan["batch"],
        shuffle=plan["reshuffle"], verbose=0, callbacks=[seeding],
    ).history  # fmt: skip
    parameters = {parameter(k): values for k, values in enumerate(model.get_weights())}
    return parameters | {name: np.array(losses) for name, losses in history.items()}


@lru_cache(maxsize=4)
def _compiled(layers: str, rate: float, inputs: int) -> keras.Model:
    """A model of these layers (JSON), compiled once for all seeds and rows: compilation takes longer than a fit."""
    import keras

    model = build(json.loads(layers), Normalisation(np.zeros(inputs, np.float32), np.ones(inputs, np.float32)))
    # On TensorFlow, jit makes such a small net three times slower; on torch it has no effect.
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="mean_absolute_error", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


def _restart(model: keras.Model, fresh: keras.Model) -> None:
    """Set the weights and the random state of `model` to those of `fresh`, and reset its optimiser."""
    for old, new in zip(model.variables, fresh.variables, strict=True):
        old.assign(new)
    for state in model.optimizer.variables:
        if state is not model.optimizer.learning_rate:
            state.assign(np.zeros(state.shape, state.dtype))


def _file_content(model: keras.Model) -> bytes:
    with tempfile.TemporaryDirectory(prefix="forebay-") as folder:
        path = Path(folder) / "net.keras"
        model.save(path)
        content: bytes = path.read_bytes()
    return content


def load_model(content: bytes) -> keras.Model:
    """The Keras model from the content of a `.keras` file, in safe mode, without the optimiser."""
    import keras

    with tempfile.TemporaryDirectory(prefix="forebay-") as folder:
        path = Path(folder) / "net.keras"
        path.write_bytes(content)
        # Compilation fails under another backend than the file's; predictions do not need it.
        return keras.saving.load_model(path, compile=False, safe_mode=True)


def file_item(item: Item) -> Item:
    """The content of a net's `.keras` file, from its layers (JSON) and numbers."""
    layers = tuple((str(kind), float(number)) for kind, number in json.loads(str(item["layers"])))
    model = _model(layers, item["mean"].tobytes(), item["variance"].tobytes())
    parameters = [item[name] for name in map(parameter, range(len(item))) if name in item]
    for variable, values in zip(model.trainable_variables, parameters, strict=True):
        variable.assign(values)
    return {"keras": as_bytes(_file_content(model))}


@lru_cache(maxsize=4)
def _model(layers: Layers, mean: bytes, variance: bytes) -> keras.Model:
    """A model for the nets that differ in their weights only: to build it takes longer than to save it."""
    return build(layers, Normalisation(*(np.frombuffer(values, np.float32) for values in (mean, variance))))


def read_item(item: Item) -> Item:
    """The facts of a net's layers (JSON), from the content of its `.keras` file."""
    return {"layers": np.array(json.dumps(weights.layer_facts(load_model(item["keras"].tobytes()))))}


def predict_item(item: Item) -> Item:
    """The `prediction` of a net for its `inputs`."""
    import keras

    prediction = load_model(item["keras"].tobytes())(item["inputs"], training=False)
    return {"prediction": keras.ops.convert_to_numpy(prediction)[:, 0]}
