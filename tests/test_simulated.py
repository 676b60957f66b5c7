"""The simulated dam: a day never changes later, the water balance closes, and the truth lists every fault."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from forebay.errors import ConfigError
from forebay.settings import Settings
from forebay.sources import simulated, simulation
from forebay.sources.catchment import DEMO
from forebay.sources.simulated import FIRST_DAY, SEED, Truth, fetch_readings, simulate
from forebay.tables import READINGS

NOW = datetime(2026, 3, 1, 20, tzinfo=UTC)  # 2 March, 06:00, at the dam
YESTERDAY = date(2026, 3, 1)
FIRST_NUMBERS = [0.5006255794195316, 0.26241688323109374]


@pytest.fixture(scope="module")
def dam() -> Dam:
    return load_dam("demo")


@pytest.fixture(scope="module")
def truth() -> Truth:
    return simulate(SEED, FIRST_DAY, YESTERDAY)


def read(
    dam: Dam, gauge: Gauge, *, since: date | None = None, until: date = YESTERDAY, now: datetime = NOW
) -> pl.DataFrame:
    return fetch_readings(gauge, dam, since, until, settings=Settings(), now=now)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.dates(date(2010, 1, 1), date(2014, 12, 31)), st.integers(0, 900), st.integers(0, 2**32))
def test_a_longer_simulation_changes_no_earlier_day(last: date, extra_days: int, seed: int) -> None:
    simulated._whole_years.cache_clear()
    short = simulate(seed, FIRST_DAY, last)
    long = simulate(seed, FIRST_DAY, last + timedelta(days=extra_days))
    assert_frame_equal(short.days, long.days.filter(pl.col("date") <= last), check_exact=True)
    assert_frame_equal(short.gauges, long.gauges.filter(pl.col("date") <= last), check_exact=True)


def test_the_same_seed_gives_the_same_days_and_another_seed_others() -> None:
    simulated._whole_years.cache_clear()
    first = simulate(5, FIRST_DAY, date(2011, 6, 30))
    simulated._whole_years.cache_clear()
    second = simulate(5, FIRST_DAY, date(2011, 6, 30))
    assert_frame_equal(first.gauges, second.gauges, check_exact=True)
    assert not first.days.equals(simulate(6, FIRST_DAY, date(2011, 6, 30)).days)


def test_random_bits_depend_only_on_seed_and_year() -> None:
    # The first two numbers of Philox at the time of the first release. If they change, every archived day of the demo
    # changes.
    assert simulation.draws(SEED, 2010, 0, 7)[0, :2].tolist() == FIRST_NUMBERS
    assert not np.array_equal(simulation.draws(SEED, 2010, 0, 7), simulation.draws(SEED, 2011, 0, 7))


def test_the_lake_keeps_its_water_balance(truth: Truth) -> None:
    gained = pl.col("inflow_ml") + pl.col("lake_rain_ml")
    lost = sum(pl.col(f"{name}_ml") for name in ("lake_evaporation", "demand", "release", "spill"))
    error = truth.days.select((pl.col("storage_ml").diff() - gained + lost).abs().max()).item()
    assert error < 1e-6


def test_gr4j_creates_no_water_and_becomes_steady_where_all_rain_runs_off() -> None:
    # Without evaporation and groundwater exchange, rain and runoff are equal as soon as the stores are steady.
    days, x1, x3 = 3000, 300.0, 26.0
    steady = simulation.gr4j([4.0] * days, [0.0] * days, (x1, 0.0, x3, 1.8))
    assert math.isclose(steady[-1], 4.0, abs_tol=1e-9)
    runoff = simulation.gr4j([60.0, 20.0] + [0.0] * days, [0.0] * (days + 2), (x1, 0.0, x3, 1.8))
    assert 0 < runoff.sum() < 80 + 0.5 * x1 + 0.4 * x3, "no more water than rain and initial storage"
    assert (np.diff(runoff[20:]) < 0).all(), "without rain the recession only falls"


@pytest.mark.parametrize("x4", [0.8, 1.0, 1.8, 3.5])
def test_unit_hydrographs_pass_on_all_water(x4: float) -> None:
    quick, slow = simulation.unit_hydrographs(x4)
    assert math.isclose(sum(quick), 1.0) and math.isclose(sum(slow), 1.0)
    assert min(quick + slow) >= 0


def test_the_storage_curve_is_the_dam_files(dam: Dam, truth: Truth) -> None:
    (curve,) = dam.storage_curves
    assert curve.points == tuple(zip(DEMO.lake.curve_m, DEMO.lake.curve_ml, strict=True))
    assert dam.full_supply is not None and dam.full_supply.value == DEMO.lake.full_supply_m
    storage = curve.storage(truth.days["level_end_m"])
    assert storage.null_count() == 0
    assert ((storage - truth.days["storage_ml"]).abs() < 1e-6).all()


def test_levels_rain_and_rivers_are_plausible(truth: Truth) -> None:
    days = truth.days.with_columns(depth=pl.col("level_m") - DEMO.lake.full_supply_m, change=pl.col("level_m").diff())
    # Bounds around figures of Warragamba: 838 mm a year, 12% of days near full, rises of metres.
    assert 700 < days["SIM-RAIN-4"].mean() * 365.25 < 1000
    assert 0.05 < (days["depth"].abs() < 0.5).mean() < 0.35
    assert -30 < days["depth"].min() < -5, "a drought"
    assert 0.5 < days["depth"].max() < 8, "a spill"
    assert 2 < days["change"].max() < 8, "a flood"
    dry = days.filter(pl.col("catchment_rain_mm").rolling_sum(7) < 1)
    assert 0.001 < dry["change"].abs().median() < 0.02
    for river in DEMO.rivers:
        assert days[river.station].min() >= river.rating[0]
        assert days[river.station].max() < 20
    for flow in ("inflow_ml", "spill_ml", "demand_ml", "release_ml", "evaporation_mm", "catchment_rain_mm"):
        assert days[flow].min() >= 0, flow


def test_every_gauge_has_faults_and_the_truth_lists_them(truth: Truth) -> None:
    kinds = truth.gauges.drop_nulls("fault").group_by("station").agg(pl.col("fault").unique())
    of = dict(kinds.iter_rows())
    assert all({"unavailable", "outage", "spike"} <= set(of[station]) for station in simulated.VARIABLE_OF)
    assert {"stuck", "unlisted"} <= set(of["SIM-LEVEL"])
    spells = truth.gauges.filter(pl.col("fault").is_in(["unavailable", "outage"])).sort("station", "date")
    run = (spells["date"].diff() != timedelta(days=1)).fill_null(True).cum_sum()
    lengths = run.value_counts()["count"]
    assert lengths.min() == 1 and lengths.max() > 60, "from days to months"


def test_sound_readings_lie_within_the_instruments_resolution(truth: Truth) -> None:
    faultless = truth.gauges.filter(pl.col("fault").is_null())
    off = faultless.with_columns(off=(pl.col("raw_value").cast(pl.Float64) - pl.col("true_value")).abs())
    levels = off.filter(~pl.col("station").str.contains("RAIN"))
    assert levels["off"].max() < 0.01
    rain = off.filter(pl.col("station").str.contains("RAIN"))
    assert rain["off"].max() < simulated.BUCKET_MM + 1e-6, "the water in the bucket is less than one tip"


def test_spikes_and_the_stuck_spell_carry_good_codes(truth: Truth) -> None:
    faulty = truth.gauges.filter(pl.col("fault").is_in(["spike", "stuck"]))
    assert faulty["quality_code"].unique().to_list() == [simulated.GOOD_CODE]
    spikes = faulty.filter(pl.col("fault") == "spike")
    assert ((spikes["raw_value"].cast(pl.Float64) - spikes["true_value"]).abs() > 1).all()
    stuck = faulty.filter(pl.col("fault") == "stuck", pl.col("date").dt.year() == 2024)
    readings = stuck["raw_value"].cast(pl.Float64)
    assert readings.n_unique() > 1 and readings.max() - readings.min() < 0.015


def test_unavailable_readings_have_null_values_and_published_garbage(dam: Dam) -> None:
    for gauge in dam.gauges:
        readings = read(dam, gauge)
        missing = readings.filter(pl.col("quality") == "missing")
        assert set(missing["quality_code"]) <= {"201", "255"} and missing.height > 0
        assert missing["value"].null_count() == missing.height
        assert set(missing["raw_value"]) <= set(simulated.GARBAGE[gauge.variable])
        assert readings.filter(pl.col("quality") != "missing")["value"].null_count() == 0
    level = read(dam, dam.target_gauge)
    unlisted = level.filter(pl.col("quality_code") == simulated.UNLISTED_CODE)
    assert unlisted.height == 12
    assert set(unlisted["quality"]) == {"unknown"}
    assert unlisted["value"].null_count() == 0


def test_the_dam_file_excludes_every_wrong_level_of_the_hindcast(dam: Dam, truth: Truth) -> None:
    """In the scored years and in the years before, whose errors determine intervals and weights."""
    assert dam.hindcast.start is not None
    faulty = truth.gauges.filter(
        pl.col("fault").is_in(["spike", "stuck"]),
        pl.col("station") == "SIM-LEVEL",
        pl.col("date") >= dam.hindcast.start - timedelta(days=dam.hindcast.learning_days),
    )
    assert faulty.height > 0
    for day in faulty["date"]:
        assert any(spell.from_ <= day <= spell.to for spell in dam.hindcast.verification_exclude), day


def test_a_fetch_gives_the_requested_days_up_to_yesterday(dam: Dam) -> None:
    whole = read(dam, dam.target_gauge, until=date(2030, 1, 1))
    assert READINGS.check(whole, unique=True).height > 5000
    assert whole["time"].min() == datetime(2009, 12, 31, 14, tzinfo=UTC)
    assert whole["time"].max() == datetime(2026, 2, 28, 14, tzinfo=UTC), "1 March, yesterday at the dam"
    part = read(dam, dam.target_gauge, since=date(2020, 2, 1), until=date(2020, 2, 29))
    span = pl.col("time").is_between(datetime(2020, 1, 31, 14, tzinfo=UTC), datetime(2020, 2, 28, 14, tzinfo=UTC))
    assert_frame_equal(part, whole.filter(span))
    assert part.height == 29
    assert read(dam, dam.target_gauge, since=date(2026, 3, 2), until=date(2026, 4, 1)).equals(READINGS.empty())
    assert read(dam, dam.target_gauge, until=date(2009, 1, 1)).is_empty()


def test_a_later_fetch_revises_nothing(dam: Dam) -> None:
    for gauge in dam.gauges:
        before, after = read(dam, gauge), read(dam, gauge, until=date(2030, 1, 1), now=NOW + timedelta(days=500))
        assert_frame_equal(before, after.head(before.height), check_exact=True)


def test_an_unknown_station_and_a_wrong_variable_are_refused(dam: Dam) -> None:
    gauge = dam.target_gauge
    with pytest.raises(ConfigError, match=r"'SIM-SNOW' does not exist; allowed are SIM-LEVEL, SIM-RAIN-1"):
        read(dam, gauge.model_copy(update={"station": "SIM-SNOW"}))
    with pytest.raises(ConfigError, match=r"'SIM-RAIN-1' measures rainfall, not reservoir_level"):
        read(dam, gauge.model_copy(update={"station": "SIM-RAIN-1"}))
    with pytest.raises(ConfigError, match=r"mean of days from 00:00, not the mean by hour"):
        read(dam, gauge.model_copy(update={"interval": "hour"}))
    with pytest.raises(ConfigError, match=r"in m, not in 'ft'"):
        read(dam, gauge.model_copy(update={"unit": "ft"}))


def test_days_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="last day 2010-01-01 must not be before its first, 2010-01-02"):
        simulate(1, date(2010, 1, 2), date(2010, 1, 1))


def test_all_output_is_marked_as_simulated(dam: Dam) -> None:
    assert dam.simulated and "simulated" in dam.name.lower()
    assert all("(simulated)" in gauge.title for gauge in dam.gauges)
    assert {gauge.station for gauge in dam.gauges} == set(simulated.VARIABLE_OF)
