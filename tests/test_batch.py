"""`forebay.nets.batch`: many nets in one program, equal to Keras with the same weights, orders and dropout."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from forebay.nets import batch, networks
from forebay.nets.layers import Layers, scaled
from forebay.nets.networks import Fit, Network, Training
from tests.article_rows import rain_table

if find_spec("keras") is None and os.environ.get("CI") != "true":
    pytest.skip("the extra nets is not installed", allow_module_level=True)

LAYERS: Layers = (
    ("normalisation", 0), ("dropout", 0.25), ("dense", 8), ("relu", 0), ("dropout", 0.5), ("dense", 1),
)  # fmt: skip
TRAINING = Training(epochs=3, batch=32, rate=0.01)


def make_fit(seed: int, rows: int = 70, **training: object) -> Fit:
    """A fit on the first rows; 70 are two batches of 32 and one of 6."""
    table = networks.arrays(rain_table(), inputs=["rain", "stream"], target="change")
    fitted, validating = table.take(slice(0, rows)), table.take(slice(300, 400))
    return Fit(LAYERS, replace(TRAINING, **training), fitted, validating, seed=seed)  # type: ignore[arg-type]  # fields by name


def plan_of(job: Fit) -> batch.Plan:
    layers = tuple(layer for layer in job.layers if layer[0] != "normalisation")
    training = job.training
    inputs = job.fitted.inputs.shape[1]
    return batch.Plan(layers, inputs, training.epochs, training.batch, training.rate, training.reshuffle)


@cache
def keras_model(layers: Layers, rate: float) -> Any:  # Any: Keras has no types
    """A Keras model whose dropout layers multiply by a given factor."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    class Factor(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        factor: Any = 1.0

        def call(self, inputs: Any, training: bool = False) -> Any:
            return inputs * self.factor if training else inputs

    makers = {"dense": lambda units: keras.layers.Dense(int(units)), "relu": lambda _: keras.layers.ReLU()}
    parts = [Factor() if kind == "dropout" else makers[kind](number) for kind, number in layers]
    model = keras.Sequential([keras.Input((2,)), *parts])
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="mean_absolute_error", run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    return model


def trained_by_keras(job: Fit) -> tuple[list[np.ndarray], list[float], list[float]]:
    """Weights and losses of Keras' own steps, with the first weights, orders and dropout of the job's seed."""
    plan, random = plan_of(job), np.random.default_rng(job.seed)
    model = keras_model(plan.layers, plan.rate)
    model.set_weights(batch.initial_parameters(plan, random))
    for variable in model.optimizer.variables:
        if variable is not model.optimizer.learning_rate:
            variable.assign(np.zeros(variable.shape, variable.dtype))
    scale = networks.normalisation(job.fitted)
    inputs, count = scaled(job.fitted.inputs, scale), len(job.fitted)
    assert job.validating is not None
    losses, validation_losses = [], []
    for _ in range(plan.epochs):
        order = random.permutation(count) if plan.reshuffle else np.arange(count)
        draws = random.integers(0, 2**16, (count, plan.dropout_width()), np.uint16) / 2**16
        total = 0.0
        for start in range(0, count, plan.batch):
            rows, end = order[start : start + plan.batch], 0
            for layer, (kind, share), width in zip(model.layers, plan.layers, plan.widths(), strict=True):
                if kind == "dropout":
                    kept = draws[start : start + plan.batch, end : end + width] >= share
                    layer.factor = (kept / (1 - share)).astype(np.float32)
                    end += width
            total += float(model.train_on_batch(inputs[rows], job.fitted.target[rows])) * len(rows)
        losses.append(total / count)
        errors = np.asarray(model(scaled(job.validating.inputs, scale)))[:, 0] - job.validating.target
        validation_losses.append(float(np.abs(errors).mean()))
    return model.get_weights(), losses, validation_losses


def check_equal(network: Network, job: Fit) -> None:
    weights, losses, validation_losses = trained_by_keras(job)
    for ours, theirs in zip(network.parameters, weights, strict=True):
        assert ours == pytest.approx(theirs, abs=2e-6)
    assert network.history["loss"].to_list() == pytest.approx(losses, rel=1e-5)
    assert network.history["val_loss"].to_list() == pytest.approx(validation_losses, rel=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # from Keras' use of numpy
@pytest.mark.parametrize(
    "job",
    [make_fit(3, rows=32, epochs=1), make_fit(3), make_fit(4, reshuffle=False)],
    ids=["one step", "a smaller last batch", "rows in order"],
)
def test_training_equals_that_of_keras_from_the_same_weights_orders_and_dropout(job: Fit) -> None:
    """Both nets of a group with different rows, numbers of steps and seeds."""
    other = make_fit(1, rows=102, **vars(job.training))
    for network, each in zip(networks.fit_all([other, job]), (other, job), strict=True):
        check_equal(network, each)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_whole_fit_equals_that_of_keras() -> None:
    """Keras' `fit` itself, without dropout and with the rows in order: 10 epochs of 7 steps, the last one of 6 rows."""
    job = make_fit(2, rows=198, epochs=10, reshuffle=False)
    job = replace(job, layers=(("normalisation", 0), ("dense", 8), ("relu", 0), ("dense", 1)))
    plan, network = plan_of(job), networks.fit(job)
    model = keras_model(plan.layers, plan.rate)
    model.set_weights(batch.initial_parameters(plan, np.random.default_rng(2)))
    scale = networks.normalisation(job.fitted)
    assert job.validating is not None
    history = model.fit(
        scaled(job.fitted.inputs, scale), job.fitted.target, shuffle=False, epochs=10, batch_size=32, verbose=0,
        validation_data=(scaled(job.validating.inputs, scale), job.validating.target),
    ).history  # fmt: skip
    assert network.history["loss"].to_list() == pytest.approx(history["loss"], rel=1e-4)
    assert network.history["val_loss"].to_list() == pytest.approx(history["val_loss"], rel=1e-4)
    assert network.history["val_loss"][-1] < 0.5 * network.history["val_loss"][0]
    for ours, theirs in zip(network.parameters, model.get_weights(), strict=True):
        assert ours == pytest.approx(theirs, abs=2e-5)


def test_a_net_is_the_same_to_the_last_bit_whatever_other_nets_are_trained() -> None:
    """Net k of 5 and of 200; also among nets with other rows, and alone."""
    few = networks.fit_all([make_fit(seed) for seed in range(5)])
    many = networks.fit_all([make_fit(seed) for seed in range(200)])
    mixed = networks.fit_all([make_fit(seed, rows) for rows in (300, 70, 33) for seed in (4, 2)])
    alone = networks.fit(make_fit(4))
    for one, other in [*zip(few, many[:5], strict=True), (few[4], mixed[2]), (few[2], mixed[3]), (few[4], alone)]:
        assert one.history.equals(other.history)
        assert all(map(np.array_equal, one.parameters, other.parameters))
    assert len({net.history["loss"][-1] for net in many}) == 200


def test_seeds_dams_and_folds_are_one_batch_and_each_net_learns_its_own_rows() -> None:
    """Two dams of other sizes and relations, two folds, two seeds: 8 nets of one program, each as if it were alone."""
    table = rain_table()
    dams = (table, table.select(pl.col("rain") * 3, pl.col("stream") - 5, change=-10 * pl.col("change")))
    jobs = []
    for dam in dams:
        rows = networks.arrays(dam, inputs=["rain", "stream"], target="change")
        for fold in (slice(0, 200), slice(150, 400)):
            jobs += [Fit(LAYERS, TRAINING, rows.take(fold), rows.take(slice(0, 50)), seed=seed) for seed in (0, 1)]
    together = networks.fit_all(jobs)
    assert len({batch._shape_key(networks._item(job)) for job in jobs}) == 1
    for net, job in list(zip(together, jobs, strict=True))[::3]:
        alone = networks.fit(job)
        assert net.history.equals(alone.history)
        assert all(map(np.array_equal, net.parameters, alone.parameters))
    assert len({net.history["loss"][-1] for net in together}) == len(jobs) == batch.NETS
    for net, other, job in zip(together, [*together[4:], *together[:4]], jobs, strict=True):
        assert networks.evaluate(net, job.fitted) < networks.evaluate(other, job.fitted), "that of the other dam"


def test_the_first_weights_are_uniform_within_the_limits_of_glorot() -> None:
    plan = replace(plan_of(make_fit(0)), layers=(("dense", 400), ("dense", 1)))
    kernel, bias, last, _ = batch.initial_parameters(plan, np.random.default_rng(0))
    assert (kernel.shape, last.shape, bias.tolist()) == ((2, 400), (400, 1), [0.0] * 400)
    for values, fans in ((kernel, 402), (last, 401)):
        limit = np.sqrt(6 / fans)
        assert 0.97 * limit < np.abs(values).max() <= limit
        assert values.std() == pytest.approx(limit / np.sqrt(3), rel=0.1)


def test_the_progress_counts_nets() -> None:
    counts: list[int] = []
    networks.fit_all([make_fit(seed, epochs=1) for seed in range(11)], progress=counts.append)
    assert counts == [8, 11]


def test_compiled_programs_are_stored_in_the_cache_of_the_settings(tmp_path: Path) -> None:
    """A second process compiles nothing; with `cache_mb = 0` nothing is stored."""
    code = "from tests.test_batch import make_fit, networks; networks.fit(make_fit(0, epochs=1))"

    def stored(cache_mb: str) -> list[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
        environment |= {"FOREBAY_CACHE": str(tmp_path / cache_mb), "FOREBAY_CACHE_MB": cache_mb}
        command = [sys.executable, "-c", code]
        process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (process.returncode, process.stderr) == (0, "")
        return sorted(path.name for path in tmp_path.glob(f"{cache_mb}/programs/*/*-cache"))

    first = stored("100")
    assert any("epoch" in name for name in first)
    assert stored("100") == first
    assert stored("0") == []
