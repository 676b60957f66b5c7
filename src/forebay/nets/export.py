"""Nets as ONNX files, which applications in other languages run in-process.

A file is kept only if onnxruntime's answers agree with Keras' to 1e-4 of the target's unit. Whatever backend a net was
fitted on, it is exported under jax by Keras' own export: TensorFlow's loses the normalising layer without a word.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.errors import ConfigError, ModelError
from forebay.nets import backends, keras_nets, networks
from forebay.nets.backends import Item, Task
from forebay.nets.networks import Network

TOLERANCE = 1e-4
INPUT = "inputs"
_TOOLS = ("onnx", "jax2onnx", "onnxruntime")


def check_tools() -> None:
    """Raise `ConfigError` unless all that an export takes is installed."""
    backends.check("jax")
    absent = [name for name in _TOOLS if find_spec(name) is None]
    if absent:
        raise ConfigError(
            f"exporting to ONNX needs {', '.join(absent)}, not installed; run `scripts/setup nets,export` or "
            "`pip install 'forebay[nets,export]'`"
        )


def write_onnx(network: Network, inputs: pl.DataFrame, path: Path) -> float:
    """Write `network` as an ONNX file; gives the largest difference to Keras on the rows of `inputs`.

    The file takes one tensor `inputs`, float32 (n, k) in the order of `network.names`, for any n, and gives one tensor,
    float32 (n, 1), in the target's unit.

    Raises
    ------
    ConfigError
        If the ONNX tools or jax are not installed.
    ModelError
        If onnxruntime and Keras differ by more than 1e-4 on a row; the file is then not written.
    """
    return write_all([(network, inputs, path)])[0]


def write_all(exports: list[tuple[Network, pl.DataFrame, Path]]) -> list[float]:
    """`write_onnx` for several nets at once."""
    check_tools()
    items: list[Item] = [{"keras": np.frombuffer(net.content, np.uint8)} for net, _, _ in exports]
    made = backends.run(Task(__name__, "_export_item"), items, backend="jax")
    expected = networks.predict_all([(net, inputs) for net, inputs, _ in exports])
    differences = []
    for (net, inputs, path), told, by_keras in zip(exports, made, expected, strict=True):
        content = told["onnx"].tobytes()
        difference = float(np.max(np.abs(run_onnx(content, inputs.select(net.names)) - by_keras), initial=0.0))
        if not difference <= TOLERANCE:
            raise ModelError(
                f"{path.name}: onnxruntime and Keras differ by {difference:.2g}, allowed is {TOLERANCE:g}; the file "
                "was "
                "not written, so use the .keras file and report this net"
            )
        _write_whole(path, content)
        differences.append(difference)
    return differences


def run_onnx(model: bytes | Path, inputs: pl.DataFrame) -> NDArray[np.float64]:
    """What onnxruntime makes of each row of `inputs`, whose columns stand in the net's order."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # its warnings are about devices that a machine does not have
    options.intra_op_num_threads = 1
    content = model.read_bytes() if isinstance(model, Path) else model
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    values = inputs.to_numpy().astype(np.float32)
    answer: NDArray[np.float64] = session.run(None, {session.get_inputs()[0].name: values})[0][:, 0].astype(np.float64)
    return answer


def _write_whole(path: Path, content: bytes) -> None:
    """Write by way of a file beside it, so that no half file is ever found under the name."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)


def _export_item(item: Item) -> Item:
    """The net as ONNX; runs where Keras runs on jax."""
    import tempfile

    model = keras_nets.loaded(item["keras"].tobytes())
    model(np.zeros((1, model.input_shape[1]), np.float32))  # Keras refuses to export what was never called
    with tempfile.TemporaryDirectory(prefix="forebay-") as folder:
        path = Path(folder) / "net.onnx"
        model.export(path, format="onnx", verbose=False)
        return {"onnx": np.frombuffer(path.read_bytes(), np.uint8)}
