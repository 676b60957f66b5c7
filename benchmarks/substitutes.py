"""Errors at Warragamba with a rain gauge that is a day late: on time, late, and late with a substitute.

Run: ``python benchmarks/substitutes.py`` from the project's folder, in its environment. The record comes from the files
that `tests/dams/warragamba.toml` names. Each line has the MAE of `default` in metres in window T10,
and that of the largest 5% of rises.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import polars as pl

from dam_records import DAM_FILES, daily_tables
from forebay.dams.dam import Dam
from forebay.features.samples import make_samples
from forebay.tables import DEFAULT_MODEL
from forebay.verify.verification import verify_hindcast

LATE, SUBSTITUTE = "563035", "563046"
SETUPS = {"five rain gauges": (), "these two rain gauges only": ("563079", "568045", "568051")}
"""Title → stations that the dam file does not have."""
CASES = {
    "on time": {},
    "a day late": {"latency_h": 24.0},
    "a day late, with a substitute": {"latency_h": 24.0, "substitute": (SUBSTITUTE,)},
}
"""Title → keys of the late gauge."""
LEADS = (1, 3, 7)
METRICS = ("mae", "mae_top5")


def with_case(dam: Dam, absent: Sequence[str], keys: dict[str, object]) -> Dam:
    """The dam without the gauges of some stations and with other keys of the late gauge."""
    gauges = (gauge for gauge in dam.gauges if gauge.station not in absent)
    changed = (gauge.model_copy(update=keys if gauge.station == LATE else {}) for gauge in gauges)
    return dam.model_copy(update={"gauges": tuple(changed)})


def errors(setup: str, case: str) -> list[float]:
    """Errors of `default` by `METRICS` and `LEADS`."""
    path = next(path for path in DAM_FILES if path.stem == "warragamba")
    dam, tables = daily_tables(path)
    dam = with_case(dam, SETUPS[setup], dict(CASES[case]))
    samples = make_samples(tables.known, tables.newest, dam)
    scores = verify_hindcast(samples, dam, tables.known).scores
    scores = scores.filter(pl.col("model") == DEFAULT_MODEL, pl.col("window") == "T10")
    return [
        float(scores.filter(regime="all", metric=metric, lead_time=lead)["value"].item())
        for metric in METRICS
        for lead in LEADS
    ]


def main() -> None:
    jobs = [(setup, case) for setup in SETUPS for case in CASES]
    header = [f"{metric} {lead} d" for metric in METRICS for lead in LEADS]
    print("gauges | rain of 563035 |", " | ".join(header))
    with ProcessPoolExecutor(2) as pool:
        for job, values in zip(jobs, pool.map(errors, *zip(*jobs, strict=True)), strict=True):
            print(" | ".join([*job, *(f"{value:.4f}" for value in values)]), flush=True)


if __name__ == "__main__":
    main()
