"""Nets as files for applications in other languages: ONNX, and plain numbers as JSON and Erlang terms.

The files of a net are written only if onnxruntime (to 1e-4 of the target's unit) and the plain numbers (to 1e-5) agree
with Keras, which loads the net's `.keras` file under jax. The ONNX file is made from the plain numbers. Keras' own
export takes 0.15 s per net, and under TensorFlow it omits the normalisation layer without an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.errors import ConfigError, ModelError
from forebay.files import write_file
from forebay.nets import backends, networks, weights

if TYPE_CHECKING:
    from forebay.nets.networks import Network

TOLERANCE = 1e-4
OPSET, IR_VERSION = 17, 8
"""Versions of the ONNX operators and of the file format; runtimes since 2022 read them."""
_TOOLS = ("onnx", "onnxruntime")


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


def write_all(
    exports: list[tuple[Network, pl.DataFrame, Path]], contents: Sequence[bytes] | None = None
) -> list[float]:
    """As `write_onnx`, for several nets in one process; `contents` are those of their `.keras` files, if they exist."""
    check_tools()
    pairs = [(net, inputs) for net, inputs, _ in exports]
    contents = networks.keras_files([net for net, _ in pairs]) if contents is None else contents
    predictions = networks.predict_files(contents, pairs, backend="jax")
    differences = []
    for (net, inputs, path), prediction in zip(exports, predictions, strict=True):
        content = onnx_content(net)
        plain = weights.plain_net(net.layers, net.scale, net.parameters, net.names)
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


def onnx_content(network: Network) -> bytes:
    """Content of the net's ONNX file: the layers of its plain numbers, in single precision."""
    from onnx import TensorProto, checker, helper, numpy_helper

    plain = weights.plain_net(network.layers, network.scale, network.parameters, network.names)
    operations: list[tuple[str, list[Any]]] = []  # Any: lists of numbers
    for layer in plain["layers"]:
        match layer:
            case {"kind": "normalisation", "mean": mean, "deviation": deviation}:
                operations += [("Sub", [mean]), ("Div", [deviation])]
            case {"kind": "dense", "weights": kernel, "bias": bias}:
                operations.append(("Gemm", [np.transpose(kernel), bias]))
            case _:
                operations.append(("Relu", []))
    constants = {
        f"constant_{step}_{k}": numpy_helper.from_array(np.array(values, np.float32), f"constant_{step}_{k}")
        for step, (_, operands) in enumerate(operations)
        for k, values in enumerate(operands)
    }
    ends = ["inputs", *(f"values_{step}" for step in range(1, len(operations))), "prediction"]
    nodes = [
        helper.make_node(name, [ends[step], *(f"constant_{step}_{k}" for k in range(len(operands)))], [ends[step + 1]])
        for step, (name, operands) in enumerate(operations)
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["rows", len(network.names)])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["rows", 1])],
        list(constants.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
