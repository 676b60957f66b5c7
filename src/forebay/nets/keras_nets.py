"""The Keras side of `networks`: builds, fits and asks nets in the process that has the backend.

Only `backends.run` calls what takes an item; see `networks` for what callers use.
"""

from __future__ import annotations

import json
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forebay.nets.backends import Item
from forebay.nets.networks import Floats, Layers, Normalisation

if TYPE_CHECKING:
    import keras


def as_bytes(content: bytes) -> NDArray[np.uint8]:
    """The content of a file as an array."""
    return np.frombuffer(content, np.uint8)


def build(layers: Layers, scale: Normalisation) -> keras.Model:
    """The net as a Keras model, untrained, for inputs of shape (n, k)."""
    import keras

    made: list[keras.Layer] = [keras.Input(shape=(len(scale.mean),))]
    for kind, number in layers:
        if kind == "normalisation":
            made.append(_normaliser(scale))
        elif kind == "dropout":
            made.append(keras.layers.Dropout(number))
        elif kind == "dense":
            made.append(keras.layers.Dense(int(number)))
        else:
            made.append(keras.layers.ReLU())
    return keras.Sequential(made)


def _normaliser(scale: Normalisation) -> keras.Layer:
    import keras

    # Mean and variance are given, not adapted: they then stand in the file and load on every backend.
    return keras.layers.Normalization(mean=scale.mean.tolist(), variance=scale.variance.tolist())


def fit_item(item: Item) -> Item:
    """A fitted net's `.keras` content and losses, from `networks`' plan (JSON) and arrays."""
    import keras

    plan: dict[str, Any] = json.loads(str(item["plan"]))  # Any: JSON
    seed = plan.pop("seed")
    scale = Normalisation(item["mean"], item["variance"])
    first, *others = plan["layers"]
    # What is compiled knows no scale, so that it serves every net of this shape: it is given rows already normalised.
    learning = others if first[0] == "normalisation" else plan["layers"]

    def given(inputs: Floats) -> Floats:
        # by numpy, as the layer does it: each operation of the backend's would be compiled for this alone
        if learning is not others:
            return inputs
        return ((inputs - scale.mean) / np.maximum(np.sqrt(scale.variance), 1e-7)).astype(np.float32)

    model = _compiled(json.dumps(learning), plan["rate"], len(scale.mean))
    keras.utils.set_random_seed(seed)
    whole = build(plan["layers"], scale)
    _restart(model, whole)
    judged = (given(item["val_x"]), item["val_y"]) if "val_x" in item else None
    # A model's first fit draws random numbers before it begins, later ones do not: so the order of rows is seeded here.
    seeded = keras.callbacks.LambdaCallback(on_train_begin=lambda _: keras.utils.set_random_seed(seed))
    seen = model.fit(
        given(item["x"]), item["y"], validation_data=judged, epochs=plan["epochs"], batch_size=plan["batch"],
        shuffle=plan["reshuffle"], verbose=0, callbacks=[seeded],
    ).history  # fmt: skip
    for trained, its in zip(model.trainable_variables, whole.trainable_variables, strict=True):
        its.assign(trained)
    return {"keras": as_bytes(_saved(whole))} | {name: np.array(losses) for name, losses in seen.items()}


@lru_cache(maxsize=4)
def _compiled(layers: str, rate: float, inputs: int) -> keras.Model:
    """A model of these layers (JSON), compiled once for all seeds and rows: that takes longer than fitting it."""
    import keras

    model = build(json.loads(layers), Normalisation(np.zeros(inputs, np.float32), np.ones(inputs, np.float32)))
    # jit on TensorFlow makes such a small net three times slower, and torch has no use for it.
    on_jax = keras.backend.backend() == "jax"
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="mean_absolute_error", jit_compile=on_jax)
    model.optimizer.build(model.trainable_variables)
    return model


def _restart(model: keras.Model, fresh: keras.Model) -> None:
    """Give `model` the weights and random state of `fresh`, and an optimiser that has seen nothing."""
    for old, new in zip(model.variables, fresh.variables, strict=True):
        old.assign(new)
    for state in model.optimizer.variables:
        if state is not model.optimizer.learning_rate:
            state.assign(np.zeros(state.shape, state.dtype))


def _saved(model: keras.Model) -> bytes:
    with tempfile.TemporaryDirectory(prefix="forebay-") as folder:
        path = Path(folder) / "net.keras"
        model.save(path)
        content: bytes = path.read_bytes()
    return content


def loaded(content: bytes) -> keras.Model:
    """The Keras model of a `.keras` file's content, in safe mode, without its optimiser."""
    import keras

    with tempfile.TemporaryDirectory(prefix="forebay-") as folder:
        path = Path(folder) / "net.keras"
        path.write_bytes(content)
        # Compiling fails under another backend than the one that saved; predicting does not need it.
        return keras.saving.load_model(path, compile=False, safe_mode=True)


def predict_item(item: Item) -> Item:
    """A net's `prediction` for its `inputs`."""
    import keras

    prediction = loaded(item["keras"].tobytes())(item["inputs"], training=False)
    return {"prediction": keras.ops.convert_to_numpy(prediction)[:, 0]}
