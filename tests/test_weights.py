"""`forebay.nets.weights`: nets as JSON and Erlang terms, in real Elixir and Node with the programs of docs/embed.md."""

import json
import os
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from forebay.article.recipes import ELIXIR, MULTI_DAY, PYTHON, corrected
from forebay.errors import ModelError
from forebay.nets import backends, export, keras_nets, networks, weights
from forebay.nets.networks import Fit, Network
from tests.article_rows import rain_table
from tests.programs import need_program, run_program
from tests.test_export import programs
from tests.test_networks import INPUTS, make_fit, needs

if find_spec("onnx") is None and os.environ.get("CI") != "true":
    pytest.skip("the extra export is not installed", allow_module_level=True)

RECIPES = {"python": PYTHON, "elixir": ELIXIR, "multi-day": MULTI_DAY, "elixir-corrected": corrected(ELIXIR)}
EMBED = Path(weights.__file__).with_name("embed")
HARD_NUMBERS = [0.0, -0.0, 1e-05, -1e-05, 1e16, 1e22, 1.5e-45, 3.4028234663852886e38, 0.1, 1 / 3, 123456789.0, 5e-324]
HARD_NAMES = ['a"b', "back\\slash", "snow depth", "été", "#{System.halt(3)}", "line\nbreak", "~p", "", "雨"]


def run_elixir(program: str, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """An Elixir script with the module next to it; nothing else is installed."""
    need_program("elixir", "elixir")
    weights.write_modules(folder)
    (folder / "program.exs").write_text(program, "utf-8")
    return run_program("elixir", "program.exs", *arguments, cwd=folder)


def elixir_predictions(stem: Path, table: pl.DataFrame) -> list[float]:
    (program,) = programs("elixir")
    table.write_csv(stem.parent / "rows.csv")
    process = run_elixir(program, stem.parent, stem, stem.parent / "rows.csv")
    assert (process.returncode, process.stderr) == (0, "")
    return [float(line) for line in process.stdout.splitlines()]


def javascript_predictions(stem: Path, table: pl.DataFrame) -> list[float]:
    need_program("node", "nodejs")
    (program,) = (text for text in programs("js") if "forebay_net.mjs" in text)
    weights.write_modules(stem.parent)
    (stem.parent / "program.mjs").write_text(program, "utf-8")
    (stem.parent / "rows.json").write_text(json.dumps(table.to_dicts()))
    process = run_program("node", "program.mjs", stem, stem.parent / "rows.json", cwd=stem.parent)
    assert (process.returncode, process.stderr) == (0, "")
    predictions: list[float] = json.loads(process.stdout)
    return predictions


def fits() -> dict[str, Fit]:
    """A fit per recipe with the recipe's layers."""
    return {name: replace(make_fit(epochs=2), layers=recipe.layers) for name, recipe in RECIPES.items()}


@pytest.mark.slow
@pytest.mark.parametrize("backend", backends.BACKENDS)
def test_every_net_of_the_article_gives_the_same_in_elixir_and_javascript(backend: str, tmp_path: Path) -> None:
    needs(backend)
    table = rain_table(60)
    nets = networks.fit_all(list(fits().values()), backend=backend)
    export.write_all([(net, table, tmp_path / f"{name}.onnx") for name, net in zip(fits(), nets, strict=True)])
    for name, expected in zip(fits(), networks.predict_all([(net, table) for net in nets]), strict=True):
        assert np.ptp(expected) > 0
        for predict in (elixir_predictions, javascript_predictions):
            assert np.abs(np.array(predict(tmp_path / name, table)) - expected).max() <= 1e-5, (name, predict)


@pytest.mark.slow
def test_a_net_gives_the_same_in_elixir_and_javascript(tmp_path: Path) -> None:
    table = rain_table(60)
    network = networks.fit(make_fit(epochs=2))
    export.write_onnx(network, table, tmp_path / "net.onnx")
    expected = networks.predict(network, table)
    assert np.abs(np.array(elixir_predictions(tmp_path / "net", table)) - expected).max() <= 1e-5
    assert np.abs(np.array(javascript_predictions(tmp_path / "net", table)) - expected).max() <= 1e-5


def keras_net(*layers: Callable[[Any], Any]) -> Network:
    """The net in the `.keras` file of a model with these layers; it predicts what the model does."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Keras' use of numpy, as in `backends.run`
        model = keras.Sequential([keras.Input(shape=(2,)), *(layer(keras.layers) for layer in layers)])
        network = networks.from_keras(keras_nets._file_content(model), tuple(INPUTS), pl.DataFrame())
        expected = np.asarray(model(rain_table(20).select(INPUTS).to_numpy().astype(np.float32)))[:, 0]
    assert networks.predict(network, rain_table(20)) == pytest.approx(expected, rel=1e-5)
    return network


def test_a_dense_layer_with_an_activation_and_without_bias_is_covered(tmp_path: Path) -> None:
    network = keras_net(
        lambda k: k.Normalization(mean=[3.0, 2.0], variance=[4.0, 0.0]),
        lambda k: k.Dense(5, activation="relu", use_bias=False),
        lambda k: k.Dense(1),
    )
    table = rain_table(20).with_columns(stream=pl.lit(2.0))
    export.write_onnx(network, table, tmp_path / "net.onnx")
    net = json.loads((tmp_path / "net.weights.json").read_text())
    assert [layer["kind"] for layer in net["layers"]] == ["normalisation", "dense", "relu", "dense"]
    assert net["layers"][0]["deviation"] == [2.0, 1e-7]  # a constant input does not divide by zero


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda k: k.Dense(3, activation="tanh"), r"layer 1 of the net, Dense \(tanh\), is not part of the nets"),
        (lambda k: k.ReLU(max_value=6.0), r"layer 1 of the net, ReLU \(\[6.0, 0.0, 0.0\]\), is not part"),
        (lambda k: k.LayerNormalization(), r"layer 1 of the net, LayerNormalization, is not part of the nets"),
        (lambda k: k.Normalization(mean=[0, 0], variance=[1, 1], invert=True), r"Normalization \(inverted\), is not"),
    ],
)
def test_a_layer_that_the_format_does_not_cover_is_refused(layer: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(ModelError, match=words) as refusal:
        keras_net(layer, lambda k: k.Dense(1))
    assert "\n" not in str(refusal.value)


def dense_net(kernel: list[float], bias: float, names: list[str]) -> weights.PlainNet:
    """A net of one dense layer with one unit."""
    scale = networks.Normalisation(np.zeros(len(names), np.float32), np.ones(len(names), np.float32))
    parameters = [np.array(kernel, np.float32)[:, None], np.array([bias], np.float32)]
    return weights.plain_net((("dense", 1),), scale, parameters, names)


def test_plain_numbers_belong_to_the_inputs_of_their_names() -> None:
    net = dense_net([2.0, 3.0], 1.0, ["stream", "rain"])
    assert net["inputs"] == ["stream", "rain"]
    assert weights.predict(net, pl.DataFrame({"rain": [10.0, 0.0], "stream": [0.5, -1.0]})).tolist() == [32.0, -1.0]


def test_a_weight_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ModelError, match="a weight that is not finite"):
        dense_net([float("nan")], 0.0, ["rain"])


def test_elixir_reads_every_number_and_every_name_exactly(tmp_path: Path) -> None:
    term = weights.erlang_term({"numbers": HARD_NUMBERS, "names": HARD_NAMES})
    assert term.isascii()
    (tmp_path / "file.term").write_text(f"{term}.\n")
    program = """
    {:ok, [%{"numbers" => numbers, "names" => names}]} = :file.consult("file.term")
    for number <- numbers, do: IO.puts(:erlang.float_to_binary(number, [:short]))
    for name <- names, do: IO.puts(Base.encode16(name))
    """
    process = run_elixir(program, tmp_path)
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert [float(line) for line in lines[: len(HARD_NUMBERS)]] == HARD_NUMBERS
    assert [bytes.fromhex(line).decode() for line in lines[len(HARD_NUMBERS) :]] == HARD_NAMES


def test_a_file_of_terms_creates_no_atoms(tmp_path: Path) -> None:
    for name in ("first", "second"):
        weights.write(dense_net([0.5], 0.0, [f"input of the {name}"]), tmp_path / name)
    program = """
    Code.require_file("forebay_net.ex", __DIR__)
    ForebayNet.load("first.weights.term")
    count = :erlang.system_info(:atom_count)
    net = ForebayNet.load("second.weights.term")
    IO.inspect({:erlang.system_info(:atom_count) - count, ForebayNet.predict(net, %{"input of the second" => 3})})
    """
    process = run_elixir(program, tmp_path)
    assert (process.stdout, process.stderr) == ("{0, 1.5}\n", "")


def test_elixir_refuses_a_missing_input_and_other_files(tmp_path: Path) -> None:
    weights.write(dense_net([0.5], 0.0, ["rain"]), tmp_path / "net")
    (program,) = programs("elixir")
    (tmp_path / "rows.csv").write_text("rain,stream\n,1\n")
    process = run_elixir(program, tmp_path, "net", "rows.csv")
    assert process.returncode != 0
    assert 'input "rain" must be a number in every row; leave out a row without it' in process.stderr
    (tmp_path / "net.weights.term").write_text("{forebay, 1}.\n")
    assert "is not a net of forebay" in run_elixir(program, tmp_path, "net", "rows.csv").stderr
    (tmp_path / "net.weights.term").unlink()
    assert "cannot be read: no such file" in run_elixir(program, tmp_path, "net", "rows.csv").stderr


def test_javascript_refuses_a_missing_input_and_other_objects(tmp_path: Path) -> None:
    need_program("node", "nodejs")
    weights.write_modules(tmp_path)
    (tmp_path / "program.mjs").write_text("""
    import { checkNet, predict } from "./forebay_net.mjs";
    const dense = { kind: "dense", weights: [[0.5]], bias: [0] };
    const net = { format: "forebay-net", version: 1, inputs: ["rain"], layers: [dense] };
    const calls = [
      () => predict(checkNet(net), { rain: 3 }),
      () => predict(net, { rain: null }),
      () => predict(net, { stream: 3 }),
      () => checkNet({ ...net, version: 2 }),
      () => checkNet({ ...net, layers: [{ kind: "constructor" }] }),
    ];
    for (const call of calls) { try { console.log(call()); } catch (error) { console.log(error.message); } }
    """)
    missing = 'input "rain" must be a number in every row; leave out a row without it'
    assert run_program("node", "program.mjs", cwd=tmp_path).stdout.splitlines() == [
        "1.5", missing, missing, "the object is not a net of forebay in format version 1",
        'layer "constructor" is not known; allowed are normalisation, dense, relu',
    ]  # fmt: skip


def test_the_modules_are_short_and_the_page_states_their_lengths() -> None:
    page = (Path(__file__).parents[1] / "docs" / "embed.md").read_text("utf-8")
    for name, language in (("forebay_net.ex", "Elixir"), ("forebay_net.mjs", "JavaScript")):
        lines = len((EMBED / name).read_text("utf-8").splitlines())
        assert lines <= 100
        assert f"`{name}`, a{'n' if language == 'Elixir' else ''} {language} module of {lines} lines" in page
