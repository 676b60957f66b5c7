"""Duration of the article's Python recipe as a process: forebay on jax against the article's code in TensorFlow-Keras.

Run: ``python benchmarks/article.py FOLDER [ROUNDS]`` with the folder of the article's three CSV files (needs the extras
``nets`` and ``bench``, and ``scripts/backends tensorflow``). Both sides start a new Python process, read the three
files, prepare the same 4717 rows, fit the same net for 30 epochs and print its test MAE. A round runs forebay with an
empty cache folder (cold: jax compiles), then with that folder (warm), then TensorFlow-Keras, so that other load on the
machine affects all of them. The output is the best duration of each, in wall time and in seconds of the processor, and
the median over the rounds of the ratios of wall time.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

GOAL = 0.5
"""Upper limit of both ratios."""

FOREBAY = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from forebay.article.run import read_readings
from forebay.article.recipes import PYTHON, recipe_rows
from forebay.article.trials import seed_trials, train_all
from forebay.settings import load_settings

record = read_readings(Path(sys.argv[1]), settings=load_settings(Path.cwd(), {})[0], now=datetime.now(UTC))
rows = recipe_rows(PYTHON, record.level, record.drivers)
(net,) = train_all(seed_trials(PYTHON, rows, 1), backend="jax")
print(len(rows.table), net.mae())
"""

TENSORFLOW = """
import sys
from pathlib import Path
import keras
import pandas as pd
import tensorflow as tf

keras.utils.set_random_seed(0)
read = lambda pattern: pd.read_csv(next(Path(sys.argv[1]).glob(pattern)), index_col=0)
level = read("*dam_level*.csv")
level["change"] = level["v"].diff()
level = level[~level["q"].isin([201, 205])]
level = level[level["change"] > -0.3]
drivers = read("rainfall*.csv").merge(read("*stream_level*.csv"), on="t")
names = [name for name in drivers.columns if name.startswith("v_")]
for name in names:
    drivers.loc[drivers["q" + name[1:]].isin([201, 255]), name] = 0.0
table = level[["t", "change"]].merge(drivers, on="t")
train = table.sample(frac=0.8, random_state=12345)
test = table.drop(train.index)
normaliser = keras.layers.Normalization()
normaliser.adapt(train[names].to_numpy())
model = keras.Sequential([
    normaliser, keras.layers.Dropout(0.5), keras.layers.Dense(16, activation="relu"), keras.layers.Dropout(0.5),
    keras.layers.Dense(1),
])
model.compile(optimizer=keras.optimizers.Adam(0.001), loss="mean_absolute_error")
model.fit(train[names].to_numpy(), train["change"].to_numpy(), validation_split=0.2, epochs=30, verbose=0)
print(len(table), model.evaluate(test[names].to_numpy(), test["change"].to_numpy(), verbose=0))
"""

TENSORFLOW_NAME, COLD, WARM = "TensorFlow-Keras", "forebay on jax, cold", "forebay on jax, warm"


def processor_seconds() -> float:
    """Seconds of the processor that all ended child processes used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def seconds(python: Path, program: str, folder: Path, cache: str) -> tuple[float, float, int, float]:
    """Wall time and processor time of the program in its own process, its number of rows, and its test MAE."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "XDG_CACHE_HOME": cache}
    start, used = time.perf_counter(), processor_seconds()
    process = subprocess.run(
        [python, "-c", program, folder], env=environment, capture_output=True, text=True, check=False
    )
    duration, used = time.perf_counter() - start, processor_seconds() - used
    if process.returncode != 0:
        sys.exit(f"{python} failed: {process.stderr.strip().splitlines()[-1]}")
    rows, mae = process.stdout.split()[-2:]
    return duration, used, int(rows), float(mae)


def main() -> None:
    """Print the times of all three; exit code 1 if a ratio is above the goal."""
    if len(sys.argv) < 2:
        sys.exit("usage: python benchmarks/article.py FOLDER [ROUNDS]")
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    tensorflow_python = Path(sys.prefix).with_name(".venv-tensorflow") / "bin" / "python"
    times: dict[str, list[tuple[float, float]]] = {COLD: [], WARM: [], TENSORFLOW_NAME: []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="forebay-") as cache:
            for name, durations in times.items():
                side = (tensorflow_python, TENSORFLOW) if name == TENSORFLOW_NAME else (Path(sys.executable), FOREBAY)
                duration, used, rows, mae = seconds(*side, folder, cache)
                assert rows == 4717, f"{name} has {rows} rows"
                durations.append((duration, used))
                print(f"{name}: {duration:.2f} s ({used:.2f} s of processor), test MAE {mae:.4f} m", flush=True)
    best = {name: [min(column) for column in zip(*durations, strict=True)] for name, durations in times.items()}
    texts = [f"{name} {wall:.2f} s ({used:.2f} s)" for name, (wall, used) in best.items()]
    print(f"best of {rounds}: {', '.join(texts)}")
    is_slow = False
    for name in (COLD, WARM):
        pairs = list(zip(times[name], times[TENSORFLOW_NAME], strict=True))
        ratio, used = (median(ours[k] / theirs[k] for ours, theirs in pairs) for k in (0, 1))
        print(f"{name}: median ratio {ratio:.2f} (of processor time {used:.2f}), goal {GOAL}")
        is_slow |= ratio > GOAL
    sys.exit(is_slow)


if __name__ == "__main__":
    main()
