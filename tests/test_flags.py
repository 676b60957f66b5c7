"""Flags of the screening room: what each check finds, on which day it is known, and that no later day changes it."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from forebay.dams.dam import Dam
from forebay.days.daily import usable_values
from forebay.features.inputs import build_inputs
from forebay.screen.flags import (
    FLAGS,
    REASONS,
    daily_by_period,
    daily_known_after,
    daily_known_on,
    flag_runs,
    screen_daily,
)
from forebay.tables import flag_of
from tests import synthetic
from tests.test_no_look_ahead import with_another_future

DAYS = 1100
STREAM = {"role": "stream", "station": "s", "variable": "stream_level", "unit": "m"}
DAMS = {
    "rain and a river": synthetic.dam(),
    "three rain gauges and the weather": synthetic.dam_of(
        *(synthetic.rain_gauge(station) for station in ("a", "b", "c")),
        {"role": "temperature", "station": "t", "variable": "temperature", "unit": "degC"},
    ),
    "a river alone": synthetic.dam_of(STREAM),
    "one rain gauge, an inflow and a release": synthetic.dam_of(
        synthetic.rain_gauge(),
        {"role": "inflow", "station": "i", "variable": "inflow", "unit": "m3/s"},
        {"role": "release", "station": "o", "variable": "release", "unit": "m3/s"},
    ),
    "nothing but a level": synthetic.dam_of(),
}
LONE = DAMS["nothing but a level"]
LEVEL = LONE.target_gauge.column


def with_faults(frame: pl.DataFrame, dam: Dam, seed: int) -> pl.DataFrame:
    """`frame` with spikes, steps, slips and stuck spells at random, so that every check has something to find."""
    rng = np.random.default_rng(seed)
    for gauge in dam.gauges:
        values = frame[gauge.column].to_numpy().astype(float)
        scale = float(np.nanquantile(np.abs(np.diff(values)), 0.99))
        for _ in range(8):
            at, size = int(rng.integers(100, len(values) - 30)), scale * float(rng.uniform(3, 20))
            match int(rng.integers(5)):
                case 0:
                    values[at : at + int(rng.integers(1, 5))] += size
                case 1:
                    values[at : at + int(rng.integers(1, 5))] -= size
                case 2:
                    values[at:] += size
                case 3:
                    values[at : at + 25] = values[at]
                case 4:
                    values[at : at + 100] *= rng.choice([0.1, 10.0, 0.3048])
        if gauge.variable == "rainfall":
            values = np.maximum(values, 0)
        frame = frame.with_columns(pl.Series(gauge.column, values, nan_to_null=True).alias(gauge.column))
    return frame


def known_by(found: pl.DataFrame, day: date) -> pl.DataFrame:
    """What was known at the end of `day`; what is withdrawn later still held then."""
    gone = pl.col("withdrawn_on")
    return found.filter(pl.col("known_on") <= day).with_columns(pl.when(gone <= day).then(gone).alias("withdrawn_on"))


@pytest.mark.parametrize("dam", DAMS.values(), ids=DAMS)
@settings(max_examples=20)
@given(day=st.integers(30, DAYS - 1), seed=st.integers(0, 2**32 - 1))
def test_a_flag_depends_on_no_day_after_the_one_on_which_it_is_known(dam: Dam, day: int, seed: int) -> None:
    frame = with_faults(synthetic.daily(dam, days=DAYS, seed=seed % 50), dam, seed)
    other = with_another_future(frame, dam, day, seed)
    end = frame["date"][day]
    found, found_other = screen_daily(frame, dam), screen_daily(other, dam)
    assert_frame_equal(known_by(found, end), known_by(found_other, end), check_exact=True)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_flag_is_known_before_its_day_and_every_reason_is_named(seed: int) -> None:
    dam = DAMS["three rain gauges and the weather"]
    frame = with_faults(synthetic.daily(dam, days=DAYS, seed=seed % 50), dam, seed)
    found = screen_daily(frame, dam)
    FLAGS.check(found, unique=True)
    assert (found["known_on"] >= found["date"]).all()
    assert (found["withdrawn_on"].drop_nulls() > found.drop_nulls("withdrawn_on")["known_on"]).all()
    assert set(found["reason"]) <= set(REASONS)


@settings(max_examples=10)
@given(day=st.integers(200, DAYS - 1), seed=st.integers(0, 2**32 - 1))
def test_inputs_built_as_known_are_those_of_each_days_own_frame(day: int, seed: int) -> None:
    """Inputs of a whole period from one table equal the inputs of each day's own table."""
    dam = DAMS["rain and a river"]
    frame = with_faults(synthetic.daily(dam, days=DAYS, seed=seed % 50), dam, seed)
    found, end = screen_daily(frame, dam), frame["date"][day]
    periods = daily_by_period(frame, found, dam)
    every_day = pl.concat(build_inputs(part, dam).filter(pl.col("date") >= start) for start, part in periods)
    own = build_inputs(daily_known_on(frame, found, end, dam), dam)
    assert every_day["date"].to_list() == frame["date"].to_list()
    assert_frame_equal(every_day.filter(pl.col("date") == end), own.tail(1), check_exact=True)


def lake(*changes: tuple[int, float], days: int = 900, seed: int = 3) -> list[float]:
    """A lake that falls by about a centimetre a day, and what `changes` (day, m) add from that day on."""
    level = 95 + np.cumsum(np.random.default_rng(seed).normal(-0.002, 0.01, days))
    for day, by in changes:
        level[day:] += by
    return [round(float(x), 3) for x in level]


def found_in(level: list[float | None], dam: Dam = LONE, **columns: list[float | None]) -> pl.DataFrame:
    return screen_daily(synthetic.frame_of(dam, {LEVEL: level, **columns}), dam)


def day_of(number: int) -> date:
    return synthetic.FIRST_DAY + timedelta(days=number)


def rows(found: pl.DataFrame, reason: str) -> list[tuple[date, date, date | None]]:
    return found.filter(pl.col("reason") == reason).select("date", "known_on", "withdrawn_on").rows()


def test_a_clean_lake_has_no_flag() -> None:
    assert found_in(lake()).is_empty()


@pytest.mark.parametrize("size", [4.0, -4.0])
def test_a_spike_is_known_when_it_has_returned(size: float) -> None:
    found = found_in(lake((600, size), (602, -size)))
    assert [row[0] for row in rows(found, "spike")] == [day_of(600), day_of(601)]
    assert {row[1] for row in rows(found, "spike")} == {day_of(602)}


def test_a_fall_that_nothing_explains_is_doubted_at_once_and_no_longer_when_it_has_returned() -> None:
    found = found_in(lake((600, -4.0), (602, 4.0)))
    assert rows(found, "jump") == [(day_of(600 + k), day_of(600 + k), day_of(602)) for k in (0, 1)]


def test_a_fall_that_stays_for_ten_days_is_another_datum_and_both_sides_stay_valid() -> None:
    frame = synthetic.frame_of(LONE, {LEVEL: lake((600, -4.0))})
    found = screen_daily(frame, LONE)
    assert rows(found, "step") == [(day_of(600), day_of(610), None)]
    assert {row[2] for row in rows(found, "jump")} == {day_of(610)}
    seen = daily_known_on(frame, found, day_of(620), LONE)
    assert seen.filter(pl.col(LEVEL).is_null())["date"].to_list() == [day_of(600)]  # no change is taken across
    assert daily_known_on(frame, found, day_of(605), LONE)[LEVEL].tail(7).null_count() == 6


def test_a_change_over_a_gap_is_judged_by_its_mean_over_the_gap() -> None:
    level: list[float | None] = list(lake((600, -0.25)))
    level[580:600] = [None] * 20
    assert found_in(level).is_empty()
    assert not found_in(lake((600, -0.25))).is_empty()


@pytest.mark.parametrize("factor", [0.1, 10.0, 100.0, 0.3048])
def test_a_unit_slip_is_told_from_a_jump(factor: float) -> None:
    level = lake()
    level[600:604] = [round(x * factor, 4) for x in level[600:604]]
    found = found_in(level)
    assert found.filter(pl.col("withdrawn_on").is_null(), pl.col("reason").is_in(["unit", "spike"]))[
        "date"
    ].unique().to_list() == [day_of(600 + k) for k in range(4)]
    if factor < 1:  # a fall needs no other gauge to be doubted at once
        assert rows(found, "unit") == [(day_of(600 + k), day_of(600 + k), None) for k in range(4)]


RAINY = synthetic.dam_of(*(synthetic.rain_gauge(station) for station in ("a", "b", "c")))


def rains(days: int = 900, seed: int = 5) -> dict[str, list[float | None]]:
    """Three gauges that see the same storms, one a day in seven."""
    rng = np.random.default_rng(seed)
    storm = np.where(rng.random(days) < 0.14, rng.gamma(0.8, 12.0, days), 0.0)
    return {f"rainfall_{s}": [round(float(x), 1) for x in storm * rng.lognormal(0, 0.2, days)] for s in "abc"}


def dry_and_wet_days(rain: dict[str, list[float | None]]) -> tuple[int, int]:
    """A day after 600 with no rain around it, and one in the middle of the heaviest storm of these days."""
    mean = np.mean([np.array(column, float) for column in rain.values()], axis=0)
    around = np.convolve(mean, np.ones(31), "same")
    return 600 + int(np.argmin(around[600:850])), 600 + int(np.argmax(mean[600:850]))


def test_a_rise_is_believed_with_rain_and_doubted_without() -> None:
    rain = rains()
    dry, wet = dry_and_wet_days(rain)
    assert rows(found_in(lake((wet, 4.0)), RAINY, **rain), "jump") == []
    without_rain = rain | {column: [0.0 if abs(d - dry) < 20 else x for d, x in enumerate(values)]
                           for column, values in rain.items()}  # fmt: skip
    doubted = rows(found_in(lake((dry, 4.0)), RAINY, **without_rain), "jump")
    assert doubted[0][:2] == (day_of(dry), day_of(dry))


def test_rain_that_only_one_gauge_saw_is_doubted_and_a_storm_is_not() -> None:
    rain = rains()
    dry, wet = dry_and_wet_days(rain)
    rain["rainfall_a"][dry] = 250.0
    for column in rain:
        rain[column][wet] = 250.0
    found = found_in(lake(), RAINY, **rain)
    assert found.select("gauge", "date", "reason", "known_on").rows() == [
        ("rainfall_a", day_of(dry), "neighbours", day_of(dry))
    ]


def test_a_gauge_whose_scale_bends_is_found_by_double_mass_once_the_bend_lasts() -> None:
    rain = rains(days=1500)
    rain["rainfall_b"] = [x * 2.5 if 720 <= d < 990 and x is not None else x
                          for d, x in enumerate(rain["rainfall_b"])]  # fmt: skip
    found = found_in(lake(days=1500), RAINY, **rain).filter(pl.col("reason") == "scale")
    assert set(found["gauge"]) == {"rainfall_b"}
    assert (found["date"].min(), found["date"].max()) == (day_of(720), day_of(989))
    assert found["known_on"].min() == day_of(899)  # the end of the second block of 90 days


def test_a_blocked_gauge_is_found_when_its_neighbours_have_had_far_more() -> None:
    rain = rains()
    rain["rainfall_c"] = [0.0 if d >= 650 else x for d, x in enumerate(rain["rainfall_c"])]
    found = found_in(lake(), RAINY, **rain).filter(pl.col("reason") == "neighbours")
    assert set(found["gauge"]) == {"rainfall_c"}
    assert found["known_on"].min() > day_of(650)


def test_rain_repeated_by_the_logger_is_found_on_the_fourth_day() -> None:
    rain = rains()
    rain["rainfall_a"][600:604] = [7.4] * 4
    found = found_in(lake(), RAINY, **rain).filter(pl.col("gauge") == "rainfall_a", pl.col("reason") == "stuck")
    assert found["date"].to_list() == [day_of(600 + k) for k in range(4)]
    assert set(found["known_on"]) == {day_of(603)}


def test_a_gauge_that_stands_still_is_noted_and_stuck_when_it_catches_up() -> None:
    level = lake()
    held = [round(level[600] + 0.001 * (k % 3 - 1), 3) for k in range(25)]
    caught_up = [*level[:600], *held, *(round(x - 0.5, 3) for x in level[625:])]
    found = found_in(caught_up)
    assert {row[1] for row in rows(found, "still") if row[0] <= day_of(614)} == {day_of(614)}
    stuck = {row[0]: row[1] for row in rows(found, "stuck")}
    assert set(stuck) >= {day_of(600 + k) for k in range(25)}
    assert {known for day, known in stuck.items() if day < day_of(625)} == {day_of(625)}
    gently = [*level[:600], *held, *(round(x - level[625] + held[-1], 3) for x in level[625:])]
    assert rows(found_in(gently), "stuck") == []


def test_masked_shows_a_value_until_its_flag_is_known() -> None:
    frame = synthetic.frame_of(LONE, {LEVEL: lake((600, 4.0), (603, -4.0))})
    found = screen_daily(frame, LONE)
    for lag, gone in ((0, []), (1, [602]), (2, [601, 602]), (3, [600, 601, 602])):
        seen = daily_known_after(frame, found, LONE, lag=lag)
        assert seen.filter(pl.col(LEVEL).is_null())["date"].to_list() == [day_of(d) for d in gone]
    assert_frame_equal(frame, synthetic.frame_of(LONE, {LEVEL: lake((600, 4.0), (603, -4.0))}))  # nothing is deleted


def test_the_daily_frames_own_flags_stand_among_them_and_are_not_used() -> None:
    level = lake()
    frame = synthetic.frame_of(LONE, {LEVEL: [*level[:600], -9999.0, *level[601:]]}).with_columns(
        pl.when(pl.col(LEVEL) == -9999.0).then(pl.lit("sentinel")).alias(flag_of(LEVEL))
    )
    found = screen_daily(frame, LONE)
    assert found.select("date", "reason", "known_on").rows() == [(day_of(600), "sentinel", day_of(600))]
    assert usable_values(frame, LONE)[LEVEL][600] is None


def test_spells_join_days_that_follow_each_other() -> None:
    found = found_in(lake((600, -4.0), (602, 4.0), (700, -3.0), (701, 3.0)))
    table = flag_runs(found)
    assert table.select("from", "to", "days", "reason", "known_on").rows() == [
        (day_of(600), day_of(601), 2, "spike", day_of(602)),
        (day_of(700), day_of(700), 1, "spike", day_of(701)),
    ]
    assert table["value"][0] == pytest.approx(table["expected"][0] - 4.0, abs=0.1)


@pytest.mark.parametrize("days", [0, 1, 2, 59, 61])
def test_a_short_record_is_screened_without_a_complaint(days: int) -> None:
    for dam in DAMS.values():
        if days == 0:
            assert screen_daily(synthetic.frame_of(dam, {LEVEL: [1.0]}).clear(), dam).is_empty()
        else:
            screen_daily(synthetic.frame_of(dam, {LEVEL: lake()[:days]}), dam)


def test_a_constant_level_and_one_with_many_gaps_are_screened() -> None:
    assert set(found_in([5.0] * 900)["reason"]) == {"still"}  # noted, and used
    rng = np.random.default_rng(1)
    gappy: list[float | None] = [x if rng.random() > 0.4 else None for x in lake()]
    assert found_in(gappy).is_empty()
