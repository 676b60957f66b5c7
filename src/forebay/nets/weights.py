"""Nets as plain numbers in JSON and in Erlang terms, for languages without a runtime for nets.

A file has the names of the inputs and the layers: `normalisation` (mean, deviation), `dense` (a list of weights per
unit, and bias) and `relu`. Dropout has no effect on predictions and is left out. `embed/` has a module in Elixir and
one in JavaScript, which compute predictions from the files without any other package.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.errors import ModelError
from forebay.files import write_file
from forebay.nets.layers import LEAST_DEVIATION, Layers
from forebay.nets.rows import Floats, Normalisation

if TYPE_CHECKING:
    import keras

PlainNet: TypeAlias = dict[str, Any]  # Any: JSON
LayerFacts: TypeAlias = dict[str, Any]  # Any: JSON

FORMAT, VERSION = "forebay-net", 1
JSON_SUFFIX, TERM_SUFFIX = ".weights.json", ".weights.term"
MODULES = ("forebay_net.ex", "forebay_net.mjs")
"""Files of `embed/`: Elixir, JavaScript."""
TOLERANCE = 1e-5
"""Allowed difference from Keras, in the target's unit; relative where predictions are larger than 1."""



def layer_facts(model: keras.Model) -> list[LayerFacts]:
    """Class, options and numbers of each layer of a Keras model; runs in the process that runs Keras."""
    facts: list[LayerFacts] = []
    if type(model).__name__ != "Sequential":
        return [{"class": type(model).__name__}]
    for layer in model.layers:
        fact: LayerFacts = {"class": type(layer).__name__}
        if fact["class"] == "Normalization":
            mean, variance = (np.asarray(value, np.float64).ravel() for value in (layer.mean, layer.variance))
            fact |= {"mean": mean.tolist(), "variance": variance.tolist(), "invert": layer.invert}
        elif fact["class"] == "Dense":
            kernel, *bias = (np.asarray(value, np.float64) for value in layer.get_weights())
            constants = bias[0] if bias else np.zeros(kernel.shape[1])
            fact |= {"weights": kernel.T.tolist(), "bias": constants.tolist(), "activation": layer.activation.__name__}
        elif fact["class"] == "Dropout":
            fact["rate"] = layer.rate
        elif fact["class"] == "ReLU":
            fact["options"] = [layer.max_value, float(layer.negative_slope), float(layer.threshold)]
        facts.append(fact)
    return facts


def parts(facts: Sequence[LayerFacts], inputs: int) -> tuple[Layers, Normalisation, tuple[Floats, ...]]:
    """Layers, normalisation and parameters of a net with this number of inputs, as in `networks.Network`.

    Raises
    ------
    ModelError
        If a layer is none of `layers.LAYER_KINDS`, or the normalisation is not the first one.
    """
    layers: list[tuple[str, float]] = []
    scale = Normalisation(np.zeros(inputs, np.float32), np.ones(inputs, np.float32))
    parameters: list[Floats] = []
    for number, fact in enumerate(facts, start=1):
        match fact:
            case {"class": "Dropout", "rate": rate}:
                layers.append(("dropout", rate))
            case {"class": "Normalization", "invert": False} if number == 1:
                layers.append(("normalisation", 0))
                scale = Normalisation(np.array(fact["mean"], np.float32), np.array(fact["variance"], np.float32))
            case {"class": "Dense", "activation": "linear" | "relu" as activation}:
                parameters += [np.array(fact["weights"], np.float32).T.copy(), np.array(fact["bias"], np.float32)]
                layers += [("dense", len(fact["bias"])), *([("relu", 0)] if activation == "relu" else [])]
            case {"class": "ReLU", "options": [None, 0.0, 0.0]}:
                layers.append(("relu", 0))
            case _:
                options = fact.get("activation") or fact.get("options") or ("inverted" if fact.get("invert") else "")
                raise ModelError(
                    f"layer {number} of the net, {fact['class']}{f' ({options})' if options else ''}, is not part of "
                    "the nets of forebay; allowed are Normalization as the first one, Dropout, Dense (linear or relu) "
                    "and plain ReLU in a Sequential model"
                )
    return tuple(layers), scale, tuple(parameters)


def plain_net(
    layers: Layers, scale: Normalisation, parameters: Sequence[Floats], names: Sequence[str]
) -> PlainNet:
    """The net as the content of its JSON file.

    Raises
    ------
    ModelError
        If a number is not finite.
    """
    plain: list[PlainNet] = []
    numbers = iter(parameters)
    for kind, _ in layers:
        if kind == "normalisation":
            deviation = np.maximum(np.sqrt(scale.variance.astype(np.float64)), LEAST_DEVIATION)
            plain.append({"kind": kind, "mean": _doubles(scale.mean), "deviation": deviation.tolist()})
        elif kind == "dense":
            plain.append({"kind": kind, "weights": _doubles(next(numbers).T), "bias": _doubles(next(numbers))})
        elif kind == "relu":
            plain.append({"kind": kind})
    net = {"format": FORMAT, "version": VERSION, "inputs": list(names), "layers": plain}
    try:
        json.dumps(net, allow_nan=False)
    except ValueError:
        raise ModelError("the net has a weight that is not finite; fit it again with a lower rate") from None
    return net


def _doubles(values: Floats) -> list[Any]:  # Any: lists of numbers
    numbers: list[Any] = values.astype(np.float64).tolist()
    return numbers


def predict(net: PlainNet, inputs: pl.DataFrame) -> NDArray[np.float64]:
    """Prediction for each row of `inputs`, in double precision; shape (n,)."""
    values = inputs.select(net["inputs"]).to_numpy().astype(np.float64)
    for layer in net["layers"]:
        match layer["kind"]:
            case "normalisation":
                values = (values - layer["mean"]) / layer["deviation"]
            case "dense":
                values = values @ np.array(layer["weights"]).T + layer["bias"]
            case "relu":
                values = np.maximum(values, 0.0)
    prediction: NDArray[np.float64] = values[:, 0]
    return prediction


def difference(net: PlainNet, inputs: pl.DataFrame, prediction: NDArray[np.float64]) -> float:
    """Largest difference between `predict` and Keras' `prediction`, divided by max(1, largest prediction)."""
    scale = max(1.0, float(np.max(np.abs(prediction), initial=0.0)))
    return float(np.max(np.abs(predict(net, inputs) - prediction), initial=0.0)) / scale


def write(net: PlainNet, stem: Path) -> None:
    """Write STEM.weights.json and STEM.weights.term."""
    write_file(stem.with_name(stem.name + JSON_SUFFIX), json.dumps(net, allow_nan=False).encode())
    write_file(stem.with_name(stem.name + TERM_SUFFIX), f"{erlang_term(net)}.\n".encode("ascii"))


def write_modules(folder: Path) -> None:
    """Write the modules that read the files, `forebay_net.ex` and `forebay_net.mjs`, into `folder`."""
    for name in MODULES:
        write_file(folder / name, (resources.files("forebay.nets") / "embed" / name).read_bytes())


def erlang_term(value: object) -> str:
    """A value of JSON as an Erlang term in ASCII: text is a binary, an object a map, null the atom nil of Elixir.

    Examples
    --------
    >>> erlang_term({"rain": [1, 1e-05, -0.5], "é": "a"})
    '#{<<"rain">> => [1,1.0e-05,-0.5],<<195,169>> => <<"a">>}'
    """
    match value:
        case dict():
            return "#{" + ",".join(f"{erlang_term(key)} => {erlang_term(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ",".join(map(erlang_term, value)) + "]"
        case str():
            return _binary(value)
        case float():
            mantissa, *exponent = repr(value).split("e")
            return "e".join([mantissa if "." in mantissa else mantissa + ".0", *exponent])
        case int() if not isinstance(value, bool):
            return str(value)
        case None:
            return "nil"
    raise TypeError(f"{value!r} has no Erlang term here; allowed are dict, list, str, int, float and None")


def _binary(text: str) -> str:
    if text.isascii() and text.isprintable() and not set('"\\') & set(text):
        return f'<<"{text}">>'
    return f"<<{','.join(map(str, text.encode()))}>>"
