"""A ten-year hindcast of Warragamba at leads 1 to 7: forebay against LightGBM through Darts, side by side.

Run: ``python benchmarks/hindcast.py [DAM FILE] [--sides NAME,…]`` (default ``tests/dams/warragamba.toml``), after
``scripts/bench``, which makes ``.venv-bench`` with the peers. Each side is a process of its own, one after the other;
wall and CPU time are those of the whole process, imports and files too.

forebay reads the dam's files, makes the inputs, fits all its models anew each 1 January from 2009 on, blends them and
gives `default` with 7 quantiles and sample paths, without anything kept from a hindcast before. A peer is handed the
finished inputs, fits one kind of model, forebay's `trees`, from 2012 on, and gives point forecasts or 7 quantiles.
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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.csv_tables import daily_from_files

from forebay import metrics
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.days.daily import usable_values
from forebay.features.samples import Samples, make_samples
from forebay.models import models_for
from forebay.models.boosting import PARAMETERS, ROUNDS
from forebay.models.model import Array
from forebay.tables import QUANTILES
from forebay.verify import hindcast, scorecard, uncertainty
from forebay.verify.point_forecasts import DEFAULT

PROJECT = Path(__file__).resolve().parents[1]
PEERS = PROJECT / ".venv-bench" / "bin" / "python"
GOAL = 5.0
"""How many times as long as forebay the plain peer with the same outputs is to take."""

FOREBAY, SAME = "forebay", "darts-quantiles"
SIDES = {
    FOREBAY: (),
    SAME: ("peer_darts.py", "plain", "quantiles"),
    "darts-point": ("peer_darts.py", "plain", "point"),
    "darts-fast-quantiles": ("peer_darts.py", "fast", "quantiles"),
    "darts-fast-point": ("peer_darts.py", "fast", "point"),
}
"""Name → program and arguments; forebay is this file itself."""


@dataclass(frozen=True)
class Took:
    """Seconds of one process, by the clock and of the processor, and what it forecast, shape (days, leads, width)."""

    wall: float
    cpu: float
    change: Array


def read(path: Path) -> tuple[Dam, Samples]:
    """The dam and its samples from the first to the last usable level, as `forebay run` takes them."""
    dam = load_dam(str(path))
    frame = daily_from_files(dam)
    days = usable_values(frame, dam).filter(pl.col(dam.target.variable).is_not_null())["date"]
    frame = frame.filter(pl.col("date").is_between(days[0], days[-1]))
    return dam, make_samples(frame, frame, dam)


def forebay(path: Path, made: Path) -> None:
    """All that a user gets of a hindcast but its scores; the changes of `default` go to the file `made`."""
    dam, samples = read(path)
    points = hindcast.with_default(hindcast.point_forecasts(samples, dam, models_for(dam)), samples)
    table = hindcast.forecast_table(samples, dam, points)
    uncertainty.sample_paths(samples, points, uncertainty.marginals(samples, points, DEFAULT))
    change = np.full((len(samples.dates), len(dam.hindcast.leads), len(QUANTILES)), np.nan)
    for k, lead in enumerate(dam.hindcast.leads):
        rows = table.filter(pl.col("lead_time") == lead, pl.col("model") == DEFAULT)
        wide = rows.pivot("quantile", index="init_date", values="change").sort("init_date")
        day = (wide["init_date"].to_numpy().astype("datetime64[D]") - samples.dates[0]).astype(int)
        change[day, k] = wide.select(str(q) for q in QUANTILES).to_numpy()
    np.savez(made, change=change)


def hand_over(samples: Samples, dam: Dam, path: Path) -> None:
    """What a peer is given: inputs as known at each day's end, the level, and what to forecast with what."""
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


def run(command: list[str], made: Path) -> Took:
    """What a process took that writes its forecasts to `made`; ends this one if it fails."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with np.load(made, allow_pickle=False) as held:
        return Took(wall, cpu, held["change"])


def scores(change: Array, samples: Samples, dam: Dam, lead: int) -> str:
    """MAE, and with quantiles pinball and the coverage of the 90% interval, on the days scored in the first window."""
    observed = samples.change(samples.observed, lead)
    window = scorecard.windows(samples, dam)[dam.hindcast.windows[0].name if dam.hindcast.windows else "all"]
    days = np.flatnonzero(window & np.isfinite(observed))
    made, came = change[days, dam.hindcast.leads.index(lead)], observed[days]
    told = f"{lead} d: n {len(days)}, MAE {metrics.mae(made[:, made.shape[1] // 2], came):.4f}"
    if made.shape[1] == len(QUANTILES):
        covered = metrics.coverage(made[:, 0], made[:, -1], came)
        told += f", pinball {metrics.pinball(np.sort(made, axis=1), came, QUANTILES):.4f}, in 90% {covered:.2f}"
    return told


def compare(path: Path, names: list[str]) -> None:
    """Print what each side took, how good it was, and the ratios to forebay; exit code 1 if the goal is missed."""
    dam, samples = read(path)
    took: dict[str, Took] = {}
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given.npz", Path(folder) / "made.npz"
        hand_over(samples, dam, given)
        for name in names:
            if name == FOREBAY:
                command = [sys.executable, __file__, str(path), "--made", str(made)]
            else:
                program, *asked = SIDES[name]
                command = [str(PEERS), str(Path(__file__).with_name(program)), str(given), str(made), *asked]
            this = took[name] = run(command, made)
            ours = took[FOREBAY]
            print(
                f"{name}: {this.wall:.1f} s by the clock, {this.cpu:.1f} s CPU; "
                f"{this.wall / ours.wall:.1f} and {this.cpu / ours.cpu:.1f} times forebay's"
            )
            for lead in sorted({1, 3, 7} & set(dam.hindcast.leads)):
                print(f"    {scores(this.change, samples, dam, lead)}", flush=True)
    if SAME in took:
        ratio = took[SAME].wall / took[FOREBAY].wall
        print(f"{SAME}: {ratio:.1f} times as long as forebay by the clock, goal {GOAL:.0f}")
        sys.exit(ratio < GOAL)


def main() -> None:
    """Compare the sides, or be forebay's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dam", nargs="?", type=Path, default=PROJECT / "tests" / "dams" / "warragamba.toml")
    parser.add_argument("--sides", default=",".join(SIDES), help="which, by name; forebay is always run")
    parser.add_argument("--made", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.made:
        forebay(given.dam, given.made)
        return
    if not PEERS.exists():
        sys.exit(f"{PEERS} is not there; run `scripts/bench`, which makes it")
    asked = {FOREBAY, *given.sides.split(",")}
    if unknown := asked - set(SIDES):
        sys.exit(f"sides {', '.join(sorted(unknown))} are not known; allowed are {', '.join(SIDES)}")
    compare(given.dam, [name for name in SIDES if name in asked])


if __name__ == "__main__":
    main()
