"""The screen on records of the simulated dam, whose faults are known, and of real dams with known difficulties.

docs/screening.md gives the effect on forecasts.
"""

from __future__ import annotations

import time
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.days.daily import usable_values
from forebay.screen.flags import VALID_REASONS, flag_runs, screen_daily
from tests.csv_tables import daily_from_files
from tests.shared import PROJECT, needs_shared
from tests.simulated_faults import simulated_days


def record(name: str) -> tuple[Dam, pl.DataFrame, pl.DataFrame]:
    """A real dam, its daily table and its flags."""
    dam = load_dam(str(PROJECT / "tests" / "dams" / f"{name}.toml"))
    frame = daily_from_files(dam)
    return dam, frame, screen_daily(frame, dam)


def days_of(flags: pl.DataFrame, gauge: str, *reasons: str) -> set[date]:
    remaining = flags.filter(pl.col("gauge") == gauge, pl.col("withdrawn_on").is_null())
    is_counted = pl.col("reason").is_in(reasons) if reasons else ~pl.col("reason").is_in(VALID_REASONS)
    return set(remaining.filter(is_counted)["date"])


def span(first: date, last: date) -> set[date]:
    return {first + timedelta(days=k) for k in range((last - first).days + 1)}


@pytest.fixture(scope="module")
def screened() -> pl.DataFrame:
    return simulated_days()


@pytest.mark.parametrize(
    ("variable", "fault", "recall"),
    [
        ("reservoir_level", "spike", 1.0),
        ("reservoir_level", "stuck", 1.0),
        ("rainfall", "spike", 0.95),
        ("stream_level", "spike", 0.5),  # the other faults are in floods and in the first year
    ],
)
def test_simulated_faults_are_flagged(screened: pl.DataFrame, variable: str, fault: str, recall: float) -> None:
    days = screened.filter(pl.col("variable") == variable, pl.col("fault") == fault)
    assert days["flagged"].count() / len(days) >= recall


def test_false_alarms_on_clean_days_are_rare(screened: pl.DataFrame) -> None:
    clean = screened.filter(pl.col("fault") == "clean")
    assert len(clean) > 45_000
    assert clean["flagged"].count() / len(clean) < 0.001
    flagged = screened.filter(pl.col("flagged"), pl.col("fault").is_in(["clean", "spike", "stuck"]))
    assert (flagged["fault"] != "clean").mean() > 0.75  # precision by days; the false alarms are edges of stuck spells


@needs_shared
def test_warragambas_wrong_levels_are_flagged() -> None:
    _, _, flags = record("warragamba")
    assert days_of(flags, "reservoir_level") == span(date(2009, 3, 4), date(2009, 3, 7)) | span(
        date(2019, 7, 21), date(2019, 8, 13)
    )
    same_day = flags.filter(pl.col("date") == date(2009, 3, 4), pl.col("known_on") == date(2009, 3, 4))
    assert same_day["reason"].to_list() == ["jump"]  # flagged before it is known to be a spike
    still_flags = flags.filter(pl.col("reason") == "still", pl.col("date") == date(2019, 7, 21))
    assert still_flags["known_on"].item() == date(2019, 8, 5)  # long before the level catches up
    assert days_of(flags, "rainfall_563079", "scale") > span(date(2008, 2, 1), date(2009, 7, 20))


@pytest.mark.slow
@needs_shared
def test_no_real_flood_of_warragamba_is_flagged_on_any_day() -> None:
    dam, frame, flags = record("warragamba")
    level = usable_values(frame, dam).select("date", change=pl.col("reservoir_level").diff())
    excluded = span(date(2009, 2, 16), date(2009, 4, 10))
    rises = level.filter(~pl.col("date").is_in(excluded)).sort("change", descending=True, nulls_last=True).head(30)
    assert rises["change"].min() > 0.35
    assert span(date(2020, 2, 9), date(2020, 2, 12)) < set(rises["date"])
    all_flags = flags.filter(~pl.col("reason").is_in(VALID_REASONS))  # withdrawn flags too
    assert not set(rises["date"]) & set(all_flags.filter(pl.col("gauge") == "reservoir_level")["date"])
    storm = span(date(2020, 2, 6), date(2020, 2, 12))
    assert not storm & set(all_flags["date"])


@needs_shared
@pytest.mark.parametrize("name", ["lavon", "canyon", "georgetown", "conroe", "beltzville", "cannonsville"])
def test_the_largest_rises_of_dams_are_floods_without_a_flag(name: str) -> None:
    """The notes of the data list the rises as spikes and jumps; rain or inflow supports each, and each lasts."""
    dam, frame, flags = record(name)
    target = dam.target_gauge.column
    rises = usable_values(frame, dam).select("date", change=pl.col(target).diff()).top_k(20, by="change")
    assert not set(rises["date"]) & days_of(flags, target)


@needs_shared
def test_sentinels_of_conroe_and_single_levels_of_bilancino_are_flagged() -> None:
    _, _, flags = record("conroe")
    sentinels = span(date(2019, 7, 2), date(2019, 7, 7))
    assert days_of(flags, "reservoir_level") == days_of(flags, "storage_08067600") == sentinels
    _, _, flags = record("bilancino")
    assert days_of(flags, "reservoir_level") == {date(2003, 11, 13), date(2008, 7, 21)}


@needs_shared
@pytest.mark.parametrize("name", ["beltzville", "cannonsville", "cantareira", "canyon", "georgetown", "lavon"])
def test_records_without_known_faults_have_no_remaining_flag(name: str) -> None:
    _, _, flags = record(name)
    assert flag_runs(flags).is_empty()


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("name", ["lavon", "canyon", "georgetown", "conroe", "beltzville", "cannonsville", "bilancino"])
def test_faults_added_to_a_real_record_are_flagged(name: str) -> None:
    """Spikes of 3 to 10 times the 99% quantile of changes, 1 to 3 days long, and lost decimal points, 12 of each."""
    dam, frame, _ = record(name)
    column = dam.target_gauge.column
    level = usable_values(frame, dam)[column].to_numpy().astype(float)
    large, rng = float(np.nanquantile(np.abs(np.diff(level)), 0.99)), np.random.default_rng(7)
    hits = {"up": 0, "down": 0, "slip": 0}
    for fault in hits:
        for _ in range(12):
            start, length = int(rng.integers(500, len(level) - 60)), int(rng.integers(1, 4))
            while not np.isfinite(level[start - 20 : start + 40]).all():
                start = int(rng.integers(500, len(level) - 60))
            values, size = level.copy(), large * rng.uniform(3, 10)
            days = slice(start, start + length)
            values[days] = {"up": level[days] + size, "down": level[days] - size, "slip": level[days] / 10}[fault]
            faulty = frame.with_columns(pl.Series(column, values, nan_to_null=True))
            hits[fault] += frame["date"][start] in days_of(screen_daily(faulty, dam), column)
    assert min(hits.values()) >= 8, hits


@pytest.mark.slow
@needs_shared
def test_fourteen_years_of_eight_gauges_are_screened_in_half_a_second() -> None:
    dam, frame, _ = record("warragamba")
    start = time.process_time()
    screen_daily(frame, dam)
    assert time.process_time() - start < 0.5
