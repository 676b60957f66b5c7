"""The global model's trees beside a neural net that learned from the same rows, each alone, on short records.

Run: ``python benchmarks/global_net.py [--records N] [--seeds N] [--epochs N] [DAM FILE …]`` (needs the extra ``nets``);
all of `tests/dams` by default.

Records and vintages are those of ``benchmarks/global_model.py short``: records of two years, and a model that learned
from the other dams and from nothing after the 1 January before the record. Trees and net forecast the same part of the
change, what the dam's own persistence leaves. Init dates count from day 30. The score is the MAE over all of them, in
percent of the MAE of the persistence, as a mean over lead times of 1 to 7 days.

The net has two dense layers with relu. An input is sign(x) · log(1 + |x|), normalised. Where it is missing, it is 0,
and a further input marks it. Rows are drawn with replacement by the weights that the trees give them, because rows of a
net have equal weight. Several seeds are averaged. All nets are trained together (`nets.fit_all`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from dam_records import DAM_FILES, daily_tables
from forebay.dams.dam import Dam
from forebay.features.global_rows import inputs_of_span
from forebay.features.samples import Samples, make_samples
from forebay.features.scale_free import SCALE
from forebay.metrics import mae
from forebay.models.global_trees import MIN_ROWS, design, training_arrays, vintage
from forebay.models.model import Array
from forebay.models.tree_library import load_lightgbm
from forebay.nets import networks
from forebay.nets.rows import Arrays, Normalisation
from global_model import FIRST_DAY, LEADS, RECORD_DAYS, RECORDS, rows_of_dams

MEMBERS = ("trees", "net", "mean")
"""Trees, nets, and the mean of the two."""
UNITS, BATCH, RATE = 64, 512, 0.002
LAYERS: networks.Layers = (
    ("normalisation", 0), ("dense", UNITS), ("relu", 0), ("dense", UNITS), ("relu", 0), ("dense", 1),
)  # fmt: skip
ROWS = 65_000
"""Rows that a net learns from, at most: 127 steps of an epoch."""
LARGEST = 8.0
"""Largest size of an input of the net, after its logarithm."""


@dataclass(frozen=True)
class Case:
    """A short record: its inputs, the observed changes (n, leads), and the rows that a model may learn from."""

    dam: Dam
    inputs: pl.DataFrame
    changes: Array
    past: pl.DataFrame
    day: date


def cases(path: Path, rows: pl.DataFrame, records: int) -> Iterator[Case]:
    """The short records of a dam before which the other dams have enough rows."""
    dam, tables = daily_tables(path, LEADS)
    days, length = len(tables.known), RECORD_DAYS + max(LEADS)
    count = min(records, days // length)
    for first in np.linspace(0.08 * days, days - length, count).astype(int).tolist():
        cut = slice(first, first + length)
        start: date = tables.known["date"][first]
        samples: Samples = make_samples(tables.known[cut], tables.newest[cut], dam, tables.forcings)
        inputs = inputs_of_span(samples, dam, 0, length)
        changes = np.stack([samples.observed_change(lead) for lead in LEADS], axis=1)
        day = date(start.year, 1, 1)
        past = rows.filter(pl.col("known_date") <= day, pl.col("dam") != dam.id)
        yield Case(dam, inputs, changes, past, day)


def net_inputs(values: Array) -> Array:
    """The inputs of the net, from those of the trees (n, k): (n, 2 k)."""
    missing = ~np.isfinite(values)
    filled = np.where(missing, 0.0, values)
    logs = np.clip(np.sign(filled) * np.log1p(np.abs(filled)), -LARGEST, LARGEST)
    return np.hstack([logs, missing])


def net_jobs(case: Case, seeds: int, epochs: int) -> list[networks.Fit]:
    """The fits of the net of a record, one per seed."""
    values, labels, weight = training_arrays(case.past)
    inputs = net_inputs(values)
    variance = inputs.var(axis=0)
    variance = np.where(variance > 0, variance, 1.0)
    scale = Normalisation(inputs.mean(axis=0).astype(np.float32), variance.astype(np.float32))
    names = tuple(f"x{k}" for k in range(inputs.shape[1]))
    jobs = []
    for seed in range(seeds):
        drawn = np.random.default_rng(seed).choice(len(labels), min(len(labels), ROWS), p=weight / weight.sum())
        fitted = Arrays(inputs[drawn].astype(np.float32), labels[drawn].astype(np.float32), names)
        jobs.append(networks.Fit(LAYERS, networks.Training(epochs, BATCH, RATE), fitted, scale=scale, seed=seed))
    return jobs


def forecasts(case: Case, nets: Sequence[networks.Network], trees: str) -> dict[str, Array]:
    """Name → forecast changes, shape (n, leads): of the persistence, and of `MEMBERS`."""
    booster = load_lightgbm().Booster(model_str=trees)
    scale = case.inputs[SCALE].to_numpy()
    by_name = {name: np.full(case.changes.shape, np.nan) for name in ("persistence", *MEMBERS)}
    for column, lead in enumerate(LEADS):
        values, own = design(case.inputs, np.full(len(case.inputs), float(lead)))
        table = pl.DataFrame(net_inputs(values), schema=list(nets[0].names))
        of_nets = np.mean([networks.predict(net, table) for net in nets], axis=0)
        of_trees = np.asarray(booster.predict(values))
        parts = {"persistence": 0.0, "trees": of_trees, "net": of_nets, "mean": (of_trees + of_nets) / 2}
        for name, rest in parts.items():
            by_name[name][:, column] = (own + rest) * scale
    return by_name


def tree_forecasts(case: Case, trees: str) -> dict[str, Array]:
    """As `forecasts`, of the persistence and of the trees alone."""
    booster = load_lightgbm().Booster(model_str=trees)
    scale = case.inputs[SCALE].to_numpy()[:, None]
    designs = [design(case.inputs, np.full(len(case.inputs), float(lead))) for lead in LEADS]
    own = np.stack([part for _, part in designs], axis=1)
    rest = np.stack([np.asarray(booster.predict(values)) for values, _ in designs], axis=1)
    return {"persistence": own * scale, "trees": (own + rest) * scale}


def scores(case: Case, by_name: dict[str, Array], members: Sequence[str] = MEMBERS) -> dict[str, float]:
    """MAE of `members` in percent of that of the persistence, mean over the lead times, on the same days."""
    scored = np.isfinite(case.changes) & np.all([np.isfinite(values) for values in by_name.values()], axis=0)
    scored[:FIRST_DAY] = scored[RECORD_DAYS:] = False
    errors = {
        name: np.array([mae(values[scored[:, k], k], case.changes[scored[:, k], k]) for k in range(len(LEADS))])
        for name, values in by_name.items()
    }
    return {name: float(np.mean(100 * errors[name] / errors["persistence"])) for name in members}


def main() -> None:
    """Print the scores of each dam, and how often the net is better."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dams", nargs="*", type=Path, default=DAM_FILES)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--seeds", type=int, default=2, help="nets whose mean is the forecast")
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    rows = rows_of_dams(DAM_FILES)
    table = []
    for path in arguments.dams:
        usable = [case for case in cases(path, rows, arguments.records) if len(case.past) >= MIN_ROWS]
        jobs = [job for case in usable for job in net_jobs(case, arguments.seeds, arguments.epochs)]
        all_nets = networks.fit_all(jobs) if jobs else []
        for number, case in enumerate(usable):
            trees = vintage(rows, case.day, without=case.dam.id).trees
            nets = all_nets[number * arguments.seeds : (number + 1) * arguments.seeds]
            table.append({"dam": case.dam.id, "record": str(case.day), **scores(case, forecasts(case, nets, trees))})
            print(table[-1], flush=True)
    by_dam = pl.DataFrame(table).group_by("dam").agg(pl.len().alias("records"), pl.mean(*MEMBERS)).sort("dam")
    print("| dam | records | trees | net | their mean |\n| --- | --- | --- | --- | --- |")
    for dam, count, *errors in by_dam.iter_rows():
        print(f"| {dam} | {count} | " + " | ".join(f"{error:.1f}" for error in errors) + " |")
    print("| mean | | " + " | ".join(f"{by_dam[name].mean():.1f}" for name in MEMBERS) + " |")
    better = [by_dam.filter(pl.col(name) < pl.col("trees")).height for name in MEMBERS[1:]]
    print(f"better than the trees: net at {better[0]} of {len(by_dam)} dams, mean at {better[1]}")


if __name__ == "__main__":
    main()
