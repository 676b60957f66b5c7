"""Simulated dams of the tests of long outlooks, whose inflow is known to the last digit."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import polars as pl

from forebay.dams.dam import Dam
from forebay.features.daily_tables import DailyTables
from forebay.features.samples import Samples, make_samples
from forebay.features.water_balance import StorageRecord, storage_record
from tests import synthetic

YEARS = 14
FULL, LOWEST, STAGE_1 = 10_000.0, 500.0, 5_000.0
ML_PER_M3S = 86.4
TARGET = {"role": "target", "station": "lake", "variable": "storage", "unit": "ML"}
RELEASE = {"role": "release", "station": "o", "variable": "release", "unit": "m3/s"}
LEVELS = {"full_supply": FULL, "lowest_level": LOWEST, "thresholds": [{"name": "Stage 1", "level": STAGE_1}]}
STORAGE_DAM = synthetic.small_dam(TARGET, unit="ML", **LEVELS)
"""The target is a storage; nothing measures the release."""
RELEASE_DAM = synthetic.small_dam(TARGET, RELEASE, unit="ML", **LEVELS)
"""The release, with the spill, is measured."""


class Truth(NamedTuple):
    """Inflow and release of each day, m³/s, and storage at its end, ML."""

    inflow: np.ndarray
    release: np.ndarray
    storage: np.ndarray


@cache
def truth(years: int = YEARS, seed: int = 3) -> Truth:
    """A lake that is nearly full in winter, in wet years spills, and falls in summer; of each day, whole years."""
    days = round(365.25 * years)
    rng = np.random.default_rng(seed)
    season = 1 + np.cos(2 * np.pi * np.arange(days) / 365.25)
    wetness = np.repeat(rng.uniform(0.5, 1.5, years + 1), 366)[:days]
    noise = np.convolve(rng.normal(0, 0.15, days + 20), np.ones(20) / 20, "valid")[:days]
    inflow = np.maximum(0.05, wetness * (0.4 * season + 0.3 + noise))
    release, storage = np.empty(days), np.empty(days)
    before = 7_000.0
    for day in range(days):
        out = 0.35 + 0.00005 * before
        after = before + ML_PER_M3S * (inflow[day] - out)
        release[day] = out + max(0.0, after - FULL) / ML_PER_M3S
        before = storage[day] = min(FULL, after)
    return Truth(inflow, release, storage)


def frame_of(dam: Dam, storage: np.ndarray, release: np.ndarray | None = None) -> pl.DataFrame:
    """The daily table; NaN is a missing value."""
    columns = {dam.target_gauge.column: _values(storage)}
    if dam.columns("release"):
        assert release is not None
        columns["release_o"] = _values(release)
    return synthetic.daily_frame(dam, columns)


def _values(series: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in series]


def record_of(dam: Dam, frame: pl.DataFrame) -> tuple[Samples, StorageRecord]:
    """Samples and storage record of a daily table that was known at once."""
    samples = make_samples(frame, frame, dam)
    return samples, storage_record(samples, dam, frame)


def tables_of(frame: pl.DataFrame) -> DailyTables:
    return DailyTables(frame, frame, frame["date"][-1], None)
