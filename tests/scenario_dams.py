"""Simulated dams of the tests of scenarios: a level that rises by rain on a wet catchment and falls by a release."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl

from forebay.dams.dam import Dam
from forebay.dams.hindcast import Hindcast
from forebay.days.daily import usable_values
from forebay.features.daily_tables import DailyTables
from forebay.features.samples import samples_of
from forebay.jobs.scenario import ScenarioModel, scenarios_of
from tests import synthetic

DAYS = 800
LEADS = (1, 2, 3)
RECORD_RAIN_DAY = 735
"""Day with the most rain, after the last fit on 1 January 2020."""
ML_PER_M = 5000.0
"""Volume per metre of the dam with a storage curve."""
FULL = 98.0
BASE = 99.0
"""Level to which the lake returns without rain."""
CURVE = {"level_unit": "m", "storage_unit": "ML", "points": [(60.0, 0.0), (140.0, 80 * ML_PER_M)]}
RELEASE = {"role": "release", "station": "o", "variable": "release", "unit": "m3/s"}


def with_leads(dam: Dam) -> Dam:
    return dam.model_copy(update={"hindcast": Hindcast(leads=LEADS)})


RAIN_DAM = with_leads(
    synthetic.small_dam(
        synthetic.rain_gauge(), full_supply=FULL, thresholds=[{"name": "Jetty", "level": {"value": 97.5}}]
    )
)
RELEASE_DAM = with_leads(
    synthetic.small_dam(synthetic.rain_gauge(), RELEASE, full_supply=FULL, storage_curves=[CURVE])
)
NO_VOLUME_DAM = with_leads(synthetic.small_dam(synthetic.rain_gauge(), RELEASE, full_supply=FULL))


@cache
def frame_of(dam: Dam, days: int = DAYS) -> pl.DataFrame:
    """The daily table: runoff by rain and wetness that recedes, and a release of 1, 2 or 3 m³/s for weeks."""
    rng = np.random.default_rng(4)
    rain = np.where(rng.random(days) < 0.25, rng.gamma(0.7, 14.0, days), 0.0)
    rain[RECORD_RAIN_DAY] = 140.0
    release = np.repeat(rng.choice([1.0, 2.0, 3.0], days // 20 + 1), 20)[:days]
    level, api, flow = np.full(days, BASE), 0.0, 0.0
    for day in range(1, days):
        flow = 0.5 * flow + 0.0012 * rain[day] * (1 + api / 50)
        api = 0.9 * api + rain[day]
        out = 0.0864 * release[day] * 1000 / ML_PER_M
        rise = flow - out - 0.01 * (level[day - 1] - BASE) + rng.normal(0, 0.003)
        level[day] = level[day - 1] + min(rise, max(0.0, FULL + 0.2 - level[day - 1]))
    columns: dict[str, list[float]] = {dam.target_gauge.column: level.round(3).tolist(), "rainfall_r1": rain.tolist()}
    if dam.columns("release"):
        columns["release_o"] = release.tolist()
    return synthetic.daily_frame(dam, columns)


def tables_of(dam: Dam, frame: pl.DataFrame) -> DailyTables:
    return DailyTables(frame, frame, frame["date"][-1], None)


@cache
def model_of(dam: Dam, end: int = DAYS - 10, *, planned_release: bool = False) -> ScenarioModel:
    """Scenarios of the day with this index, from a record that ends on it."""
    tables = tables_of(dam, frame_of(dam).head(end + 1))
    return scenarios_of(dam, tables, samples_of(tables, dam), planned_release=planned_release)


def rain_after(dam: Dam, end: int) -> tuple[float, ...]:
    """Observed rain of the days after the day with this index."""
    frame = usable_values(frame_of(dam), dam)
    return tuple(frame["rainfall_r1"].to_list()[end + 1 : end + 1 + max(LEADS)])
