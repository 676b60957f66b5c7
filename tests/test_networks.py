"""`forebay.nets.networks` on each installed backend, each in its environment."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forebay.article.recipes import net
from forebay.errors import ConfigError, ModelError
from forebay.nets import backends, keras_nets, networks
from forebay.nets.networks import Arrays, Fit, Network, Normalisation, Training
from tests.article_rows import rain_table

if find_spec("keras") is None and os.environ.get("CI") != "true":
    pytest.skip("the extra nets is not installed", allow_module_level=True)

INPUTS = ["rain", "stream"]


def make_fit(seed: int = 0, epochs: int = 20, **training: object) -> Fit:
    rows = networks.arrays(rain_table(), inputs=INPUTS, target="change")
    fitted, validating = networks.split_validation(rows, 0.2)
    return Fit(net(8), replace(Training(epochs=epochs, batch=32), **training), fitted, validating, seed=seed)  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize(("count", "share", "fitted"), [(10, 0.25, 7), (3774, 0.2, 3019), (7, 0.5, 3)])
def test_the_validation_rows_are_cut_where_keras_cuts_them(count: int, share: float, fitted: int) -> None:
    """At the floor of n · (1 − share)."""
    rows = networks.arrays(rain_table(count), inputs=INPUTS, target="change")
    first, rest = networks.split_validation(rows, share)
    assert (len(first), len(rest)) == (fitted, count - fitted)
    assert [*first.target, *rest.target] == rows.target.tolist()


def needs(backend: str) -> None:
    """Skip the test if the backend is not installed; a failure in CI."""
    try:
        backends.check(backend)
    except ConfigError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"backend {backend} is not installed; run scripts/backends")


@pytest.fixture(scope="module")
def nets() -> dict[str, Network]:
    networks_by_backend = {}
    for backend in backends.BACKENDS:
        try:
            networks_by_backend[backend] = networks.fit(make_fit(), backend=backend)
        except ConfigError:
            if os.environ.get("CI") == "true":
                raise
    return networks_by_backend


@pytest.mark.slow
@pytest.mark.parametrize("origin", backends.BACKENDS)
def test_a_net_predicts_the_same_under_every_backend(origin: str, nets: dict[str, Network]) -> None:
    needs(origin)
    expected = networks.predict(nets[origin], rain_table(), backend="jax")
    assert np.isfinite(expected).all()
    for backend in backends.BACKENDS:
        needs(backend)
        assert np.abs(networks.predict(nets[origin], rain_table(), backend=backend) - expected).max() <= 1e-4


@pytest.mark.slow
def test_the_backends_agree_within_the_noise_of_the_seed(nets: dict[str, Network]) -> None:
    losses = {name: network.history["val_loss"][-1] for name, network in nets.items()}
    seeds = [networks.fit(make_fit(seed)).history["val_loss"][-1] for seed in range(5)]
    for backend, loss in losses.items():
        assert abs(loss - np.mean(seeds)) <= 4 * np.std(seeds, ddof=1), backend


def test_the_same_seed_gives_the_same_net_after_other_fits() -> None:
    first, second, third = networks.fit_all([make_fit(0), make_fit(1), make_fit(0)])
    assert first.history.equals(third.history)
    assert not first.history.equals(second.history)
    assert np.array_equal(networks.predict(first, rain_table()), networks.predict(third, rain_table()))


def test_the_history_has_all_epochs_and_the_loss_falls() -> None:
    history = networks.fit(make_fit()).history
    assert history.columns == ["epoch", "loss", "val_loss"]
    assert history["epoch"].to_list() == list(range(1, 21))
    assert history["val_loss"][-1] < history["val_loss"][0]
    assert networks.fit(replace(make_fit(epochs=1), validating=None)).history["val_loss"].to_list() == [None]


def test_a_net_has_the_layers_and_the_normalisation_of_its_fit() -> None:
    layers = (("normalisation", 0), ("dropout", 0.2), ("dense", 3), ("relu", 0), ("dense", 1))
    scale = Normalisation(np.array([1.0, 2.0], np.float32), np.array([4.0, 9.0], np.float32))
    network = networks.fit(replace(make_fit(epochs=1), layers=layers, scale=scale))
    first, dropout, dense, _, last = keras_nets.load_model(networks.keras_files([network])[0]).layers
    assert np.ravel(first.mean).tolist() == [1.0, 2.0] and np.ravel(first.variance).tolist() == [4.0, 9.0]
    assert (dropout.rate, dense.units, last.units) == (0.2, 3, 1)


def test_the_validation_loss_is_the_mean_absolute_error_of_the_net() -> None:
    job = make_fit(epochs=2)
    assert job.validating is not None
    network = networks.fit(job)
    errors = networks.predict(network, job.validating.table()) - job.validating.target
    assert networks.evaluate(network, job.validating) == pytest.approx(np.abs(errors).mean(), rel=1e-6)
    assert network.history["val_loss"][-1] == pytest.approx(np.abs(errors).mean(), rel=1e-4)


def test_rows_are_reshuffled_and_the_last_ones_dropped_only_on_request() -> None:
    job = replace(make_fit(epochs=2, reshuffle=False), layers=(("dense", 1),))
    job = replace(job, fitted=job.fitted.take(slice(0, 70)), scale=networks.normalisation(job.fitted))
    first_64 = replace(job, fitted=job.fitted.take(slice(0, 64)))
    dropped = replace(job, training=replace(job.training, leftover="dropped"))
    reshuffled = replace(job, training=replace(job.training, reshuffle=True))
    losses = [net.history["loss"].to_list() for net in networks.fit_all([dropped, first_64, job, reshuffled])]
    assert losses[0] == losses[1]
    assert losses[1] != losses[2] != losses[3]


def test_inputs_are_found_by_their_names_also_in_a_loaded_net(tmp_path: Path) -> None:
    rows = networks.arrays(rain_table(), inputs=["stream", "rain"], target="change")
    network = networks.fit(replace(make_fit(epochs=1), fitted=rows, validating=None))
    networks.save(network, tmp_path / "net.keras")
    loaded = networks.load(tmp_path / "net.keras")
    expected = networks.predict(network, rows.table())
    for columns in (["rain", "stream"], ["stream", "rain"]):
        table = rain_table().select(columns)
        assert np.array_equal(networks.predict(network, table), expected)
        assert np.array_equal(networks.predict(loaded, table), expected)


def test_a_net_halves_the_error_of_the_median() -> None:
    table = rain_table()
    plain = (("normalisation", 0), ("dense", 16), ("relu", 0), ("dense", 1))
    network = networks.fit(replace(make_fit(epochs=60), layers=plain))
    errors = np.abs(networks.predict(network, table) - table["change"].to_numpy())
    assert errors.mean() < 0.5 * np.abs(table["change"].to_numpy() - table["change"].median()).mean()


def test_shuffling_keeps_the_pairs() -> None:
    rows = Arrays(np.arange(50, dtype=np.float32)[:, None], np.arange(50, dtype=np.float32), ("x",))
    shuffled = networks.shuffle(rows, 3)
    assert np.array_equal(shuffled.inputs[:, 0], shuffled.target)
    assert sorted(shuffled.target) == list(range(50))
    assert not np.array_equal(shuffled.target, rows.target)


def test_normalisation_uses_the_training_rows_only() -> None:
    rows = make_fit().fitted
    scale = networks.normalisation(rows)
    assert scale.mean == pytest.approx(rows.inputs.mean(axis=0), rel=1e-5)
    assert scale.variance == pytest.approx(rows.inputs.var(axis=0), rel=1e-4)


def test_a_saved_net_is_loaded_unchanged(tmp_path: Path) -> None:
    network = networks.fit(make_fit(epochs=2))
    networks.save(network, tmp_path / "net.keras")
    loaded = networks.load(tmp_path / "net.keras")
    assert (loaded.names, loaded.history.equals(network.history)) == (network.names, True)
    assert np.array_equal(networks.predict(loaded, rain_table()), networks.predict(network, rain_table()))
    (tmp_path / "net.json").write_text("{}")
    with pytest.raises(ModelError, match="net.keras' cannot be loaded"):
        networks.load(tmp_path / "net.keras")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (rain_table().drop("stream"), "column 'stream' is not in the table"),
        (rain_table().with_columns(pl.lit(None, pl.Float64).alias("rain")), "'rain' has no finite number in 400 of"),
        (rain_table().with_columns(pl.lit(float("nan")).alias("rain")), "'rain' has no finite number in 400 of"),
    ],
)
def test_a_table_with_missing_values_is_refused(table: pl.DataFrame, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        networks.arrays(table, inputs=INPUTS, target="change")


def test_invalid_fits_are_refused() -> None:
    with pytest.raises(ModelError, match="layer 'lstm' is not known; allowed are"):
        networks.fit(replace(make_fit(), layers=(("lstm", 4),)))
    with pytest.raises(ModelError, match="must be the first"):
        networks.fit(replace(make_fit(), layers=(("dense", 4), ("normalisation", 0))))
    with pytest.raises(ModelError, match="5 training rows are fewer than one batch of 32"):
        networks.fit(replace(make_fit(), fitted=make_fit().fitted.take(slice(0, 5))))
    with pytest.raises(ModelError, match="did not stay finite"):
        networks.fit(make_fit(epochs=2, rate=1e38))


def test_the_error_for_an_absent_backend_names_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="backend 'theano' is not known; allowed are jax, torch, tensorflow"):
        backends.check("theano")
    monkeypatch.setattr(backends, "find_spec", lambda name: None)  # as if nothing were installed
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    with pytest.raises(ConfigError, match=r"scripts/backends torch"):
        backends.check("torch")
    with pytest.raises(ConfigError, match=r"pip install 'forebay\[nets,export\]'"):
        backends.check("jax")


def test_results_of_another_process_are_in_the_order_of_the_items(tmp_path: Path) -> None:
    items = [{"number": np.array(number), "text": np.array("é" * number)} for number in range(12)]
    backends._write(tmp_path / "in.npz", items)
    backends.serve("copy", "copy", str(tmp_path / "in.npz"), str(tmp_path / "out.npz"))
    results = backends._read(tmp_path / "out.npz")
    assert [(int(item["number"]), str(item["text"])) for item in results] == [(k, "é" * k) for k in range(12)]


@pytest.mark.slow
def test_the_error_of_another_process_has_its_last_line() -> None:
    needs("torch")
    with pytest.raises(ModelError, match=r"Keras on torch failed in its own process .*: .*KeyError"):
        backends.run(backends.Task("forebay.nets.keras_nets", "predict_item"), [{"x": np.zeros(1)}], backend="torch")


@pytest.mark.slow
def test_a_second_backend_runs_in_a_separate_process() -> None:
    needs("torch")
    code = (
        "from forebay.nets import networks as n; from tests.test_networks import make_fit; import sys\n"
        "fit = make_fit(epochs=1); n.fit(fit); n.fit(fit, backend='torch'); print('torch' in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert process.stdout == "False\n", process.stderr


def test_importing_the_models_imports_no_keras() -> None:
    code = "import forebay.models, forebay.models.fits, forebay.nets.networks, sys; print('keras' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert process.stdout == "False\n"


def test_the_training_rows_of_a_seed_are_those_of_pandas_in_its_order() -> None:
    import pandas

    rows = Arrays(np.arange(50, dtype=np.float32)[:, None], np.arange(50, dtype=np.float32), ("x",))
    train, test = networks.split_test(rows, 0.2, seed=12345)
    sample = pandas.Series(np.arange(50)).sample(frac=0.8, random_state=12345)
    assert train.target.tolist() == sample.tolist() != sorted(sample)
    assert train.inputs[:, 0].tolist() == sample.tolist()
    assert sorted([*train.target, *test.target]) == list(range(50))
