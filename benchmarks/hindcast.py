"""Duration and scores of a ten-year hindcast of Warragamba at leads 1 to 7: forebay against LightGBM in Darts.

Run: ``python benchmarks/hindcast.py [DAM FILE] [--sides NAME,…]`` (default ``tests/dams/warragamba.toml``), after
``scripts/bench``, which creates ``.venv-bench`` with the peers. Each side is a separate process; the processes run one
after the other. Wall time and CPU time are of the whole process, with imports and files.

forebay reads the dam's files, builds the inputs, refits all its models each 1 January from 2009 on, blends them, and
forecasts `default` with 7 quantiles and sample paths, without cached fits. A peer gets the finished inputs, fits one
kind of model, forebay's `trees`, from 2012 on, and forecasts points or 7 quantiles.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from dam_records import record
from forebay import metrics
from forebay.dams.dam import Dam
from forebay.features.samples import Samples
from forebay.models import models_for
from forebay.models.boosting import PARAMETERS, ROUNDS
from forebay.models.model import Array
from forebay.tables import DEFAULT_MODEL, QUANTILES
from forebay.verify import hindcast, scorecard, uncertainty
from forebay.verify.default import with_default

PROJECT = Path(__file__).resolve().parents[1]
PEERS = PROJECT / ".venv-bench" / "bin" / "python"
GOAL = 8.0
"""Lower limit of the ratio of the durations of the plain peer with the same outputs and forebay."""

FOREBAY, SAME = "forebay", "darts-quantiles"
SIDES = {
    FOREBAY: (),
    SAME: ("peer_darts.py", "plain", "quantiles"),
    "darts-point": ("peer_darts.py", "plain", "point"),
    "darts-fast-quantiles": ("peer_darts.py", "fast", "quantiles"),
    "darts-fast-point": ("peer_darts.py", "fast", "point"),
}
"""Name → program and arguments; forebay runs the benchmark's own file."""


@dataclass(frozen=True)
class RunCost:
    """Wall time and CPU time (s) of one process, and its forecast changes, shape (days, leads, width)."""

    wall: float
    cpu: float
    change: Array


def forebay(path: Path, output: Path) -> None:
    """Write the changes of `default` in a hindcast without scores to the file `output`."""
    dam, samples = record(path)
    execution = hindcast.Execution(workers=len(os.sched_getaffinity(0)))
    points = with_default(hindcast.point_forecasts(samples, dam, models_for(dam), execution=execution), samples)
    table = hindcast.forecast_table(samples, dam, points)
    uncertainty.sample_paths(samples, points, uncertainty.marginals(samples, points, DEFAULT_MODEL))
    change = np.full((len(samples.dates), len(dam.hindcast.leads), len(QUANTILES)), np.nan)
    for k, lead in enumerate(dam.hindcast.leads):
        rows = table.filter(pl.col("lead_time") == lead, pl.col("model") == DEFAULT_MODEL)
        wide = rows.pivot("quantile", index="init_date", values="change").sort("init_date")
        day = (wide["init_date"].to_numpy().astype("datetime64[D]") - samples.dates[0]).astype(int)
        change[day, k] = wide.select(str(q) for q in QUANTILES).to_numpy()
    np.savez(output, change=change)


def write_peer_input(samples: Samples, dam: Dam, path: Path) -> None:
    """Write the input of a peer: inputs as known at the end of each day, levels, lead times and parameters."""
    np.savez(
        path,
        dates=samples.dates,
        level=samples.trusted,
        inputs=samples.inputs.cast(pl.Float64).to_numpy(),
        start=hindcast.scored_from(samples, dam),
        leads=np.array(dam.hindcast.leads),
        quantiles=np.array(QUANTILES),
        parameters=json.dumps(PARAMETERS | {"n_estimators": ROUNDS}),
    )


def run(command: list[str], output: Path) -> RunCost:
    """Cost and forecasts of a command that writes its forecasts to `output`; a failure ends the benchmark."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed: {(process.stderr.strip().splitlines() or ['no output'])[-1]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with np.load(output, allow_pickle=False) as content:
        return RunCost(wall, cpu, content["change"])


def scores(change: Array, samples: Samples, dam: Dam, lead: int) -> str:
    """MAE, and for quantiles pinball loss and coverage of the 90% interval, on the scored days of the first window."""
    observed = samples.change(samples.observed, lead)
    window = scorecard.windows(samples, dam)[dam.hindcast.windows[0].name if dam.hindcast.windows else "all"]
    days = np.flatnonzero(window & np.isfinite(observed))
    output, observed_change = change[days, dam.hindcast.leads.index(lead)], observed[days]
    text = f"{lead} d: n {len(days)}, MAE {metrics.mae(output[:, output.shape[1] // 2], observed_change):.4f}"
    if output.shape[1] == len(QUANTILES):
        covered = metrics.coverage(output[:, 0], output[:, -1], observed_change)
        pinball = metrics.pinball(np.sort(output, axis=1), observed_change, QUANTILES)
        text += f", pinball {pinball:.4f}, in 90% {covered:.2f}"
    return text


def compare(path: Path, names: list[str]) -> None:
    """Print duration and scores of each side and their ratios to forebay; exit code 1 if the goal is not met."""
    dam, samples = record(path)
    costs: dict[str, RunCost] = {}
    with tempfile.TemporaryDirectory() as folder:
        input_path, output = Path(folder) / "input.npz", Path(folder) / "output.npz"
        write_peer_input(samples, dam, input_path)
        for name in names:
            if name == FOREBAY:
                command = [sys.executable, __file__, str(path), "--output", str(output)]
            else:
                program, *options = SIDES[name]
                command = [str(PEERS), str(Path(__file__).with_name(program)), str(input_path), str(output), *options]
            run_cost = costs[name] = run(command, output)
            forebay_cost = costs[FOREBAY]
            print(
                f"{name}: {run_cost.wall:.1f} s by the clock, {run_cost.cpu:.1f} s CPU; "
                f"{run_cost.wall / forebay_cost.wall:.1f} and {run_cost.cpu / forebay_cost.cpu:.1f} times forebay's"
            )
            for lead in sorted({1, 3, 7} & set(dam.hindcast.leads)):
                print(f"    {scores(run_cost.change, samples, dam, lead)}", flush=True)
    if SAME in costs:
        ratio = costs[SAME].wall / costs[FOREBAY].wall
        print(f"{SAME}: {ratio:.1f} times as long as forebay by the clock, goal {GOAL:.0f}")
        sys.exit(ratio < GOAL)


def main() -> None:
    """Compare the sides, or run forebay's side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dam", nargs="?", type=Path, default=PROJECT / "tests" / "dams" / "warragamba.toml")
    parser.add_argument("--sides", default=",".join(SIDES), help="which, by name; forebay is always run")
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.output:
        forebay(arguments.dam, arguments.output)
        return
    if not PEERS.exists():
        sys.exit(f"{PEERS} does not exist; run `scripts/bench`, which creates it")
    options = {FOREBAY, *arguments.sides.split(",")}
    if unknown := options - set(SIDES):
        sys.exit(f"sides {', '.join(sorted(unknown))} are not known; allowed are {', '.join(SIDES)}")
    compare(arguments.dam, [name for name in SIDES if name in options])


if __name__ == "__main__":
    main()
