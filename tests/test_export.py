"""`forebay.nets.export`: ONNX files give the same numbers as Keras, in onnxruntime and in JavaScript."""

import json
import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from forebay.errors import ConfigError, ModelError
from forebay.nets import backends, export, networks, weights
from forebay.nets.networks import Network
from tests.article_rows import rain_table
from tests.shared import PROJECT
from tests.test_networks import INPUTS, make_fit, needs

if find_spec("onnx") is None and os.environ.get("CI") != "true":
    pytest.skip("the extra export is not installed", allow_module_level=True)

NODE = PROJECT / ".node"
RUNTIME = "onnxruntime-web@1.30.0"


def programs(language: str) -> list[str]:
    """The programs of docs/embed.md in one language."""
    page = (PROJECT / "docs" / "embed.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def network() -> Network:
    return networks.fit(make_fit(epochs=3))


@pytest.fixture(scope="module")
def node() -> Path:
    """A folder with onnxruntime-web, installed once."""
    if shutil.which("npm") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("npm is not installed")
        pytest.skip("npm is not installed")
    stamp = NODE / "installed"
    if not stamp.is_file() or stamp.read_text() != RUNTIME:
        NODE.mkdir(exist_ok=True)
        (NODE / "package.json").write_text('{"private": true, "type": "module"}')
        process = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", RUNTIME],
            cwd=NODE, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert process.returncode == 0, process.stderr
        stamp.write_text(RUNTIME)
    return NODE


@pytest.mark.slow
@pytest.mark.parametrize("backend", backends.BACKENDS)
def test_a_net_of_any_backend_gives_the_same_in_onnxruntime_and_in_javascript(
    backend: str, node: Path, tmp_path: Path
) -> None:
    needs(backend)
    table = rain_table(50)
    network = networks.fit(make_fit(epochs=2), backend=backend)
    networks.save(network, tmp_path / "net.keras")
    assert export.write_onnx(network, table, tmp_path / "net.onnx") <= 1e-4
    expected = networks.predict(network, table)
    assert np.abs(export.run_onnx(tmp_path / "net.onnx", table.select(INPUTS)) - expected).max() <= 1e-4
    assert np.ptp(expected) > 0

    (program,) = (text for text in programs("js") if "onnxruntime-web" in text)
    (node / f"predict-{backend}.mjs").write_text(program)
    (tmp_path / "rows.json").write_text(json.dumps(table.select(INPUTS).to_dicts()))
    process = subprocess.run(
        ["node", f"predict-{backend}.mjs", tmp_path / "net", tmp_path / "rows.json"],
        cwd=node, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert np.abs(np.array(json.loads(process.stdout)) - expected).max() <= 1e-4


@pytest.mark.parametrize("error", [0.001, -0.001])
def test_a_file_that_disagrees_with_keras_is_not_written(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: float
) -> None:
    run_onnx = export.run_onnx
    monkeypatch.setattr(export, "run_onnx", lambda *arguments: run_onnx(*arguments) + error)
    with pytest.raises(ModelError, match=r"net.onnx: onnxruntime and Keras differ by 0.001, allowed is 0.0001"):
        export.write_onnx(network, rain_table(), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [0.001, -0.001])
def test_plain_numbers_that_disagree_with_keras_are_not_written(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: float
) -> None:
    predict = weights.predict
    monkeypatch.setattr(weights, "predict", lambda *arguments: predict(*arguments) + error)
    with pytest.raises(ModelError, match=r"net.onnx: the plain numbers and Keras differ by .*, allowed is 1e-05"):
        export.write_onnx(network, rain_table(), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_predicts_nan_is_not_written(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "run_onnx", lambda *arguments: np.full(400, np.nan))
    with pytest.raises(ModelError, match="differ by nan"):
        export.write_onnx(network, rain_table(), tmp_path / "net.onnx")


def test_the_error_for_absent_packages_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None)  # as if nothing were installed
    with pytest.raises(ConfigError, match=r"needs onnx, onnxruntime.*forebay\[nets,export\]"):
        export.check_tools()
