"""Duration of the article's Python recipe as a process: forebay on jax against the article's code in TensorFlow-Keras.

Run: ``python benchmarks/article.py FOLDER [ROUNDS]`` with the folder of the article's three CSV files (needs the extras
``nets`` and ``bench``, and ``scripts/backends tensorflow``). Both sides start a new Python process, read the three
files, prepare the same 4717 rows, fit the same net for 30 epochs and print its test MAE. Rounds alternate between the
sides, so that other load on the machine affects both. The output is the best duration of each side and their ratio.
forebay's first round compiles for jax, and later rounds use the user's cache, as does any second run on a machine. For
the duration of the first run, give 1 round and an empty ``XDG_CACHE_HOME``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

GOAL = 0.8
"""Upper limit of the ratio."""

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


def seconds(python: Path, program: str, folder: Path) -> tuple[float, int, float]:
    """Wall time of the program in its own process, its number of rows, and its test MAE."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    start = time.perf_counter()
    process = subprocess.run(
        [python, "-c", program, folder], env=environment, capture_output=True, text=True, check=False
    )
    duration = time.perf_counter() - start
    if process.returncode != 0:
        sys.exit(f"{python} failed: {process.stderr.strip().splitlines()[-1]}")
    rows, mae = process.stdout.split()[-2:]
    return duration, int(rows), float(mae)


def main() -> None:
    """Print both sides' times; exit code 1 if the ratio is above the goal."""
    if len(sys.argv) < 2:
        sys.exit("usage: python benchmarks/article.py FOLDER [ROUNDS]")
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    tensorflow_python = Path(sys.prefix).with_name(".venv-tensorflow") / "bin" / "python"
    sides = {"forebay on jax": (Path(sys.executable), FOREBAY), "TensorFlow-Keras": (tensorflow_python, TENSORFLOW)}
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for name, (python, program) in sides.items():
            duration, rows, mae = seconds(python, program, folder)
            assert rows == 4717, f"{name} has {rows} rows"
            best[name] = min(best[name], duration)
            print(f"{name}: {duration:.2f} s, {rows} rows, test MAE {mae:.4f} m", flush=True)
    ratio = best["forebay on jax"] / best["TensorFlow-Keras"]
    print(f"best of {rounds}: " + ", ".join(f"{name} {duration:.2f} s" for name, duration in best.items()))
    print(f"ratio {ratio:.2f}, goal {GOAL}")
    sys.exit(ratio > GOAL)


if __name__ == "__main__":
    main()
