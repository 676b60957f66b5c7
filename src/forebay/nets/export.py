"""Nets as files for applications in other languages: ONNX, and plain numbers as JSON and Erlang terms.

The files of a net are written only if onnxruntime (to 1e-4 of the target's unit) and the plain numbers (to 1e-5) agree
with Keras. Keras exports every net under jax, whatever backend fitted it, because the export under TensorFlow omits the
normalisation layer without an error.
"""

from __future__ import annotations

import json
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.errors import ConfigError, ModelError
from forebay.files import write_file
from forebay.nets import backends, keras_nets, networks, weights
from forebay.nets.backends import Item, Task

if TYPE_CHECKING:
    import keras

    from forebay.nets.networks import Network

TOLERANCE = 1e-4
_TOOLS = ("onnx", "jax2onnx", "onnxruntime")


def check_tools() -> None:
    """Raise `ConfigError` unless all packages that an export needs are installed."""
    backends.check("jax")
    missing = [name for name in _TOOLS if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the export to ONNX needs {', '.join(missing)}, not installed; run `scripts/setup nets,export` or "
            "`pip install 'forebay[nets,export]'`"
        )


def write_onnx(network: Network, inputs: pl.DataFrame, path: Path) -> float:
    """Largest difference between onnxruntime and Keras on the rows of `inputs`, after writing the net's files.

    The ONNX file `path` has one input tensor `inputs`, float32 (n, k) in the order of `network.names`, for any n. Its
    output is one tensor, float32 (n, 1), in the target's unit. STEM.weights.json and STEM.weights.term next to it have
    the net as plain numbers (`weights`), where STEM is the file's name without its suffix.

    Raises
    ------
    ConfigError
        If the ONNX tools or jax are not installed.
    ModelError
        If a file would differ from Keras by more than the tolerance in a row; then no file is written.
    """
    return write_all([(network, inputs, path)])[0]


def write_all(exports: list[tuple[Network, pl.DataFrame, Path]]) -> list[float]:
    """As `write_onnx`, for several nets in one process."""
    check_tools()
    contents = networks.keras_files([net for net, _, _ in exports])
    items: list[Item] = [{"keras": np.frombuffer(content, np.uint8)} for content in contents]
    results = backends.run(Task(__name__, "_export_item"), items, backend="jax")
    predictions = networks.predict_all([(net, inputs) for net, inputs, _ in exports], backend="jax")
    differences = []
    for (net, inputs, path), result, prediction in zip(exports, results, predictions, strict=True):
        content, plain = result["onnx"].tobytes(), weights.plain_net(json.loads(str(result["layers"])), net.names)
        difference = float(np.max(np.abs(run_onnx(content, inputs.select(net.names)) - prediction), initial=0.0))
        _check(path, "onnxruntime", difference, TOLERANCE)
        _check(path, "the plain numbers", weights.difference(plain, inputs, prediction), weights.TOLERANCE)
        write_file(path, content)
        weights.write(plain, path.with_suffix(""))
        differences.append(difference)
    return differences


def _check(path: Path, name: str, difference: float, tolerance: float) -> None:
    if not difference <= tolerance:
        raise ModelError(
            f"{path.name}: {name} and Keras differ by {difference:.2g}, allowed is {tolerance:g}; the files were not "
            "written, so use the .keras file and report this net"
        )


def run_onnx(model: bytes | Path, inputs: pl.DataFrame) -> NDArray[np.float64]:
    """Prediction of onnxruntime for each row of `inputs`, whose columns are in the net's order; shape (n,)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # the warnings are about devices that the machine does not have
    options.intra_op_num_threads = 1
    content = model.read_bytes() if isinstance(model, Path) else model
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    values = inputs.to_numpy().astype(np.float32)
    (output,) = session.run(None, {session.get_inputs()[0].name: values})
    prediction: NDArray[np.float64] = output[:, 0].astype(np.float64)
    return prediction


def _export_item(item: Item) -> Item:
    """The net as ONNX and the facts of its layers; runs in the process in which Keras runs on jax."""
    model = keras_nets.load_model(item["keras"].tobytes())
    return {"layers": np.array(json.dumps(weights.layer_facts(model))), "onnx": _onnx_content(model)}


def _onnx_content(model: keras.Model) -> NDArray[np.uint8]:
    """Content of the ONNX file of a Keras model."""
    model(np.zeros((1, model.input_shape[1]), np.float32))  # Keras exports only a model that has been called once
    with tempfile.TemporaryDirectory(prefix="forebay-") as folder:
        path = Path(folder) / "net.onnx"
        model.export(path, format="onnx", verbose=False)
        return np.frombuffer(path.read_bytes(), np.uint8)
