"""Processor time per net in a study of many seeds: nets trained together on jax against one fit each in Keras.

Run: ``python benchmarks/nets.py FOLDER [SEEDS [FITS]]`` with the folder of the article's three CSV files (needs the
extra ``nets``). All nets are the article's Python recipe, 30 epochs. Our time includes the import of jax and the
compilation. Keras' time is that of each fit after the first one, on jax, with one compiled model for all fits: its
import, its compilation and the construction of the model are not counted. The two test errors are compared over the
seeds (Welch's t-test), so that the nets are the same within the noise of the seed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

GOAL = 20
"""Lower limit of Keras' processor time over ours."""


def keras_maes(trials: list, fits: int) -> tuple[list[float], list[float]]:  # type: ignore[type-arg]  # imported late
    """Processor seconds and test MAE of each of `fits` fits in Keras with one compiled model."""
    import keras

    from forebay.article.trials import _job
    from forebay.nets import keras_nets
    from forebay.nets.layers import scaled
    from forebay.nets.rows import Normalisation, normalisation

    first = _job(trials[0])
    scale = first.scale or normalisation(first.fitted)
    inputs = len(scale.mean)
    unit = Normalisation(np.zeros(inputs, np.float32), np.ones(inputs, np.float32))
    model = keras_nets.build(first.layers[1:], unit)
    model.compile(optimizer=keras.optimizers.Adam(first.training.rate), loss="mean_absolute_error", jit_compile=True)
    model.optimizer.build(model.trainable_variables)
    times, maes = [], []
    for trial in trials[:fits]:
        job = _job(trial)
        start = time.process_time()
        keras.utils.set_random_seed(trial.seed)
        keras_nets._restart(model, keras_nets.build(job.layers[1:], unit))
        assert job.validating is not None
        model.fit(
            scaled(job.fitted.inputs, scale), job.fitted.target, epochs=job.training.epochs, verbose=0,
            validation_data=(scaled(job.validating.inputs, scale), job.validating.target),
            batch_size=job.training.batch,
        )  # fmt: skip
        times.append(time.process_time() - start)
        test = trial.split.test
        values = scaled(trial.rows.inputs().to_numpy()[test].astype(np.float32), scale)
        maes.append(float(np.abs(np.asarray(model(values))[:, 0] - trial.rows.target()[test]).mean()))
    return times[1:], maes


def main() -> None:
    """Print the times per net and the errors; exit code 1 if the ratio is below the goal."""
    if len(sys.argv) < 2:
        sys.exit("usage: python benchmarks/nets.py FOLDER [SEEDS [FITS]]")
    folder = Path(sys.argv[1])
    seeds, fits = (int(number) for number in [*sys.argv[2:], *("200", "20")[len(sys.argv) - 2 :]])
    from scipy import stats

    from forebay.article.recipes import PYTHON, recipe_rows
    from forebay.article.run import read_readings
    from forebay.article.trials import seed_trials, train_all
    from forebay.settings import load_settings

    settings = load_settings(Path.cwd(), {})[0]
    record = read_readings(folder, settings=settings, now=datetime.now(UTC))
    trials = seed_trials(PYTHON, recipe_rows(PYTHON, record.level, record.drivers), seeds)
    with tempfile.TemporaryDirectory(prefix="forebay-") as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        start, wall = time.process_time(), time.perf_counter()
        ours = [net.mae() for net in train_all(trials, backend="jax")]
        used, wall = time.process_time() - start, time.perf_counter() - wall
        times, theirs = keras_maes(trials, fits)
    print(f"forebay: {seeds} nets in {wall:.1f} s, {used:.2f} s of processor, {1000 * used / seeds:.1f} ms per net")
    print(f"Keras: {1000 * np.mean(times):.0f} ms of processor per net (mean of {len(times)} fits)")
    p = stats.ttest_ind(ours, theirs, equal_var=False).pvalue
    for name, maes in (("forebay", ours), ("Keras", theirs)):
        print(f"test MAE of {name}: {np.mean(maes):.5f} ± {np.std(maes, ddof=1):.5f} m ({len(maes)} seeds)")
    ratio = np.mean(times) / (used / seeds)
    print(f"p = {p:.2f}; ratio {ratio:.0f}, goal {GOAL}")
    sys.exit(bool(ratio < GOAL))


if __name__ == "__main__":
    main()
