"""Scenarios: time of the first and of further answers, and errors of the hindcast with known rain.

Run: ``python benchmarks/scenario.py [DAM FILE …]``; Warragamba by default.

For each dam: CPU time to load the scenarios of its last day and of one more answer, then MAE, pinball loss and coverage
of the 90% interval at 1, 3 and 7 days. The default's models with observed rain (`--perfect-rain`) stand beside the
models of scenarios, on the same days.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from dam_records import DAM_FILES, daily_tables
from forebay.dams.dam import Dam
from forebay.days.daily import usable_values
from forebay.features.daily_tables import DailyTables
from forebay.features.known_ahead import known_ahead
from forebay.features.samples import Samples, samples_of, with_other_forcings
from forebay.forecasts.scenario import Scenario
from forebay.jobs.scenario import scenarios_of
from forebay.metrics import mae, pinball
from forebay.models import models_for
from forebay.models.model import Array
from forebay.models.rain_rise import PROBABILITIES
from forebay.tables import DEFAULT_MODEL, QUANTILES
from forebay.verify.default import with_default
from forebay.verify.hindcast import point_forecasts, scored_from
from forebay.verify.known_rain import known_rain_hindcast
from forebay.verify.uncertainty import quantile_changes

LEADS = (1, 3, 7)


def samples_with_rain(dam: Dam, tables: DailyTables) -> tuple[Dam, Samples]:
    """The dam and its samples with the observed rain of the coming days."""
    with_rain, issues = known_ahead(usable_values(tables.newest, dam), dam, max(LEADS), planned_release=False)
    return with_rain, with_other_forcings(samples_of(tables, dam), issues, with_rain)


def print_scores(label: str, samples: Samples, quantiles: Array, days: Array, column: int) -> None:
    """MAE, pinball loss and coverage at one lead time."""
    observed, forecast = samples.observed_change(LEADS[column])[days], quantiles[days, column]
    inside = (observed >= forecast[:, 0]) & (observed <= forecast[:, -1])
    loss = pinball(forecast, observed, QUANTILES)
    print(f"  {LEADS[column]} d {label}: n {len(days)}, MAE {mae(forecast[:, 3], observed):.4f}, "
          f"pinball {loss:.5f}, 90% coverage {inside.mean():.2f}")  # fmt: skip


def main(paths: list[Path]) -> None:
    for path in paths:
        dam, tables = daily_tables(path)
        start = time.process_time()
        model = scenarios_of(dam, tables, samples_of(tables, dam))
        loaded = time.process_time()
        model.answer([Scenario("44, 20", (44.0, 20.0))])
        print(f"{dam.name}: first {loaded - start:.1f} s, one more answer "
              f"{1000 * (time.process_time() - loaded):.0f} ms (CPU time)")  # fmt: skip
        dam, tables = daily_tables(path, LEADS)
        with_rain, samples = samples_with_rain(dam, tables)
        points = with_default(point_forecasts(samples, with_rain, models_for(dam)), samples)
        default = quantile_changes(samples, points, [DEFAULT_MODEL])[DEFAULT_MODEL]
        known = known_rain_hindcast(samples, with_rain)
        scenario = known.changes[:, :, np.searchsorted(PROBABILITIES, QUANTILES)]
        for column, lead in enumerate(LEADS):
            complete = np.isfinite(default[:, column] + scenario[:, column]).all(axis=1)
            days = np.flatnonzero(complete & np.isfinite(samples.observed_change(lead)))
            days = days[days >= scored_from(samples, dam)]
            for label, quantiles in (("perfect rain", default), ("scenarios", scenario)):
                print_scores(label, samples, quantiles, days, column)


if __name__ == "__main__":
    warragamba = [path for path in DAM_FILES if path.stem == "warragamba"]
    main([Path(argument) for argument in sys.argv[1:]] or warragamba)
