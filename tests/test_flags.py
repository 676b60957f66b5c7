"""Flags of the screen: results of each check, the day on which they are known, and no influence of later days."""

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
from forebay.screen.neighbours import rain_findings
from forebay.tables import flag_of
from tests import synthetic
from tests.test_no_look_ahead import change_later_values

DAYS = 1100
STREAM = {"role": "stream", "station": "s", "variable": "stream_level", "unit": "m"}
DAMS = {
    "rain and a river": synthetic.dam(),
    "three rain gauges and the weather": synthetic.small_dam(
        *(synthetic.rain_gauge(station) for station in ("a", "b", "c")),
        {"role": "temperature", "station": "t", "variable": "temperature", "unit": "degC"},
    ),
    "a river alone": synthetic.small_dam(STREAM),
    "one rain gauge, an inflow and a release": synthetic.small_dam(
        synthetic.rain_gauge(),
        {"role": "inflow", "station": "i", "variable": "inflow", "unit": "m3/s"},
        {"role": "release", "station": "o", "variable": "release", "unit": "m3/s"},
    ),
    "late rain and a late inflow": synthetic.small_dam(
        synthetic.rain_gauge("a"),
        synthetic.rain_gauge("b", latency_h=24),
        {"role": "inflow", "station": "i", "variable": "inflow", "unit": "m3/s", "latency_h": 30},
    ),
    "nothing but a level": synthetic.small_dam(),
}
LATE_DAYS = {"late rain and a late inflow": {"rainfall_b": 1, "inflow_i": 2}}
"""Dam → the gauges whose value of a day is known late, and by how many days."""
LEVEL_ONLY = DAMS["nothing but a level"]
LEVEL = LEVEL_ONLY.target_gauge.column


def with_faults(frame: pl.DataFrame, dam: Dam, seed: int) -> pl.DataFrame:
    """`frame` with random spikes, steps, slips and stuck spells, so that every check has results."""
    rng = np.random.default_rng(seed)
    for gauge in dam.gauges:
        values = frame[gauge.column].to_numpy().astype(float)
        scale = float(np.nanquantile(np.abs(np.diff(values)), 0.99))
        for _ in range(8):
            start, size = int(rng.integers(100, len(values) - 30)), scale * float(rng.uniform(3, 20))
            match int(rng.integers(5)):
                case 0:
                    values[start : start + int(rng.integers(1, 5))] += size
                case 1:
                    values[start : start + int(rng.integers(1, 5))] -= size
                case 2:
                    values[start:] += size
                case 3:
                    values[start : start + 25] = values[start]
                case 4:
                    values[start : start + 100] *= rng.choice([0.1, 10.0, 0.3048])
        if gauge.variable == "rainfall":
            values = np.maximum(values, 0)
        frame = frame.with_columns(pl.Series(gauge.column, values, nan_to_null=True).alias(gauge.column))
    return frame


def known_by(flags: pl.DataFrame, day: date) -> pl.DataFrame:
    """Flags known at the end of `day`, without later withdrawals."""
    withdrawn_on = pl.when(pl.col("withdrawn_on") <= day).then("withdrawn_on").alias("withdrawn_on")
    return flags.filter(pl.col("known_on") <= day).with_columns(withdrawn_on)


@pytest.mark.parametrize("name", DAMS)
@settings(max_examples=20)
@given(day=st.integers(30, DAYS - 1), seed=st.integers(0, 2**32 - 1))
def test_a_flag_depends_on_no_value_that_is_known_after_it(name: str, day: int, seed: int) -> None:
    dam = DAMS[name]
    frame = with_faults(synthetic.daily(dam, days=DAYS, seed=seed % 50), dam, seed)
    changed = change_later_values(frame, dam, day, seed, late_days=LATE_DAYS.get(name))
    end = frame["date"][day]
    flags, changed_flags = screen_daily(frame, dam), screen_daily(changed, dam)
    assert_frame_equal(known_by(flags, end), known_by(changed_flags, end), check_exact=True)


def test_a_jump_within_a_collapse_depends_on_no_day_after_it_is_known() -> None:
    """A jump while a supported collapse is open: the collapse may still become a spike, but the jump is known."""
    dam, day = DAMS["rain and a river"], 521
    frame = with_faults(synthetic.daily(dam, days=DAYS, seed=40215 % 50), dam, 40215)
    flags = screen_daily(frame, dam)
    changed_flags = screen_daily(change_later_values(frame, dam, day, 40215), dam)
    end = frame["date"][day]
    assert_frame_equal(known_by(flags, end), known_by(changed_flags, end), check_exact=True)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_flag_is_known_before_its_day_and_every_reason_is_named(seed: int) -> None:
    dam = DAMS["three rain gauges and the weather"]
    frame = with_faults(synthetic.daily(dam, days=DAYS, seed=seed % 50), dam, seed)
    flags = screen_daily(frame, dam)
    FLAGS.check(flags, unique=True)
    assert (flags["known_on"] >= flags["date"]).all()
    assert (flags["withdrawn_on"].drop_nulls() > flags.drop_nulls("withdrawn_on")["known_on"]).all()
    assert set(flags["reason"]) <= set(REASONS)


@settings(max_examples=10)
@given(day=st.integers(200, DAYS - 1), seed=st.integers(0, 2**32 - 1))
def test_inputs_by_period_equal_the_inputs_of_each_days_own_table(day: int, seed: int) -> None:
    """Inputs of a whole period from one table equal the inputs of each day's own table."""
    dam = DAMS["rain and a river"]
    frame = with_faults(synthetic.daily(dam, days=DAYS, seed=seed % 50), dam, seed)
    flags, end = screen_daily(frame, dam), frame["date"][day]
    periods = daily_by_period(frame, flags, dam)
    inputs = pl.concat(build_inputs(part, dam).filter(pl.col("date") >= start) for start, part in periods)
    expected = build_inputs(daily_known_on(frame, flags, end, dam), dam)
    assert inputs["date"].to_list() == frame["date"].to_list()
    assert_frame_equal(inputs.filter(pl.col("date") == end), expected.tail(1), check_exact=True)


def lake(*changes: tuple[int, float], days: int = 900, seed: int = 3) -> list[float]:
    """A lake that falls by about 2 mm a day, plus `changes` (day, m), each from its day on."""
    level = 95 + np.cumsum(np.random.default_rng(seed).normal(-0.002, 0.01, days))
    for day, change in changes:
        level[day:] += change
    return [round(float(x), 3) for x in level]


def flags_of(level: list[float | None], dam: Dam = LEVEL_ONLY, **columns: list[float | None]) -> pl.DataFrame:
    return screen_daily(synthetic.daily_frame(dam, {LEVEL: level, **columns}), dam)


def day_of(number: int) -> date:
    return synthetic.FIRST_DAY + timedelta(days=number)


def rows(flags: pl.DataFrame, reason: str) -> list[tuple[date, date, date | None]]:
    return flags.filter(pl.col("reason") == reason).select("date", "known_on", "withdrawn_on").rows()


def test_a_clean_lake_has_no_flag() -> None:
    assert flags_of(lake()).is_empty()


@pytest.mark.parametrize("size", [4.0, -4.0])
def test_a_spike_is_known_when_the_level_has_returned(size: float) -> None:
    flags = flags_of(lake((600, size), (602, -size)))
    assert [row[0] for row in rows(flags, "spike")] == [day_of(600), day_of(601)]
    assert {row[1] for row in rows(flags, "spike")} == {day_of(602)}


def test_an_unexplained_fall_is_a_jump_at_once_until_the_level_has_returned() -> None:
    flags = flags_of(lake((600, -4.0), (602, 4.0)))
    assert rows(flags, "jump") == [(day_of(600 + k), day_of(600 + k), day_of(602)) for k in (0, 1)]


def test_a_fall_that_stays_for_ten_days_is_a_step_and_both_sides_stay_valid() -> None:
    frame = synthetic.daily_frame(LEVEL_ONLY, {LEVEL: lake((600, -4.0))})
    flags = screen_daily(frame, LEVEL_ONLY)
    assert rows(flags, "step") == [(day_of(600), day_of(610), None)]
    assert {row[2] for row in rows(flags, "jump")} == {day_of(610)}
    known = daily_known_on(frame, flags, day_of(620), LEVEL_ONLY)
    assert known.filter(pl.col(LEVEL).is_null())["date"].to_list() == [day_of(600)]  # no change across the step
    assert daily_known_on(frame, flags, day_of(605), LEVEL_ONLY)[LEVEL].tail(7).null_count() == 6


def test_a_change_over_a_gap_is_checked_by_its_mean_over_the_gap() -> None:
    level: list[float | None] = list(lake((600, -0.25)))
    level[580:600] = [None] * 20
    assert flags_of(level).is_empty()
    assert not flags_of(lake((600, -0.25))).is_empty()


@pytest.mark.parametrize("factor", [0.1, 10.0, 100.0, 0.3048])
def test_a_unit_slip_is_no_jump(factor: float) -> None:
    level = lake()
    level[600:604] = [round(x * factor, 4) for x in level[600:604]]
    flags = flags_of(level)
    assert flags.filter(pl.col("withdrawn_on").is_null(), pl.col("reason").is_in(["unit", "spike"]))[
        "date"
    ].unique().to_list() == [day_of(600 + k) for k in range(4)]
    if factor < 1:  # a fall is suspect at once without any other gauge
        assert rows(flags, "unit") == [(day_of(600 + k), day_of(600 + k), None) for k in range(4)]


def test_a_factor_shows_a_unit_slip_only_of_a_level_that_is_large_compared_with_its_changes() -> None:
    usual = lake()
    for base, slips in ((5.0, {"unit"}), (0.2, set())):
        level = [round(x - usual[600] + base, 3) for x in usual]
        level[600:603] = [round(10 * x, 4) for x in level[600:603]]
        assert set(flags_of(level)["reason"]) & {"unit"} == slips


def test_a_river_may_rise_by_any_factor() -> None:
    stream: list[float | None] = [round(x - 90, 3) for x in lake(seed=9)]
    stream[600:603] = [round(10 * (x or 0), 3) for x in stream[600:603]]
    flags = flags_of(lake(), DAMS["a river alone"], stream_level_s=stream)
    assert set(flags["reason"]) == {"jump", "spike"}


RAINY = synthetic.small_dam(*(synthetic.rain_gauge(station) for station in ("a", "b", "c")))


def rains(days: int = 900, seed: int = 5) -> dict[str, list[float | None]]:
    """Three gauges with the same storms, on one day in seven."""
    rng = np.random.default_rng(seed)
    storm = np.where(rng.random(days) < 0.14, rng.gamma(0.8, 12.0, days), 0.0)
    return {f"rainfall_{s}": [round(float(x), 1) for x in storm * rng.lognormal(0, 0.2, days)] for s in "abc"}


def dry_and_wet_days(rain: dict[str, list[float | None]]) -> tuple[int, int]:
    """A day after 600 with no rain around it, and one in the middle of the heaviest storm of these days."""
    mean = np.mean([np.array(column, float) for column in rain.values()], axis=0)
    around = np.convolve(mean, np.ones(31), "same")
    return 600 + int(np.argmin(around[600:850])), 600 + int(np.argmax(mean[600:850]))


def test_a_rise_is_a_jump_without_rain_only() -> None:
    rain = rains()
    dry, wet = dry_and_wet_days(rain)
    assert rows(flags_of(lake((wet, 4.0)), RAINY, **rain), "jump") == []
    without_rain = rain | {column: [0.0 if abs(d - dry) < 20 else x for d, x in enumerate(values)]
                           for column, values in rain.items()}  # fmt: skip
    jumps = rows(flags_of(lake((dry, 4.0)), RAINY, **without_rain), "jump")
    assert jumps[0][:2] == (day_of(dry), day_of(dry))


def test_rain_of_the_next_day_excuses_no_jump_on_its_own_day() -> None:
    """The jump is known at the end of its day; the rain withdraws it a day later, and not before."""
    rain = rains()
    dry, _ = dry_and_wet_days(rain)
    for column, values in rain.items():
        storm = [80.0 if d == dry + 1 else 0.0 if abs(d - dry) < 20 else x for d, x in enumerate(values)]
        rain[column] = storm
    assert rows(flags_of(lake((dry, 4.0)), RAINY, **rain), "jump") == [(day_of(dry), day_of(dry), day_of(dry + 1))]


@pytest.mark.parametrize(("latency_h", "days"), [(0, None), (20, 1), (40, 2)])
def test_late_rain_withdraws_the_jump_on_the_day_on_which_it_is_known(latency_h: int, days: int | None) -> None:
    dam = synthetic.small_dam(*(synthetic.rain_gauge(station, latency_h=latency_h) for station in "abc"))
    rain = rains()
    dry, _ = dry_and_wet_days(rain)
    for column, values in rain.items():
        rain[column] = [80.0 if d == dry else 0.0 if abs(d - dry) < 20 else x for d, x in enumerate(values)]
    expected = [] if days is None else [(day_of(dry), day_of(dry), day_of(dry + days))]
    assert rows(flags_of(lake((dry, 4.0)), dam, **rain), "jump")[:1] == expected


def test_a_large_release_supports_a_fall_and_a_usual_release_does_not() -> None:
    dam = synthetic.small_dam({"role": "release", "station": "o", "variable": "release", "unit": "m3/s"})
    releases = np.random.default_rng(1).uniform(5, 10, 900)
    for release, first_jump in ((50.0, []), (7.0, [day_of(600)])):
        releases[600] = release
        flags = flags_of(lake((600, -0.25)), dam, release_o=releases.tolist())
        assert [row[0] for row in rows(flags, "jump")][:1] == first_jump


@pytest.mark.parametrize(
    ("latency_h", "release_day", "withdrawn"), [(0, 601, 610), (0, 602, 610), (20, 600, 601), (20, 601, 610)]
)
def test_a_release_explains_a_fall_on_its_own_day_only(latency_h: int, release_day: int, withdrawn: int) -> None:
    release = {"role": "release", "station": "o", "variable": "release", "unit": "m3/s", "latency_h": latency_h}
    releases = np.random.default_rng(1).uniform(5, 10, 900)
    releases[release_day] = 50.0
    flags = flags_of(lake((600, -0.25)), synthetic.small_dam(release), release_o=releases.tolist())
    assert rows(flags, "jump")[0] == (day_of(600), day_of(600), day_of(withdrawn))


@pytest.mark.parametrize(("after", "is_step"), [(-2.0, False), (2.0, False), (-0.5, True), (0.5, True)])
def test_a_step_lies_between_two_quiet_days(after: float, is_step: bool) -> None:
    steps = rows(flags_of(lake((600, -4.0), (601, after))), "step")
    assert [row[0] for row in steps] == ([day_of(600)] if is_step else [])


def test_a_fall_that_takes_back_a_rise_is_no_step() -> None:
    """A rise of 3 m in twelve days and a fall in one day: gates opened; the datum did not change."""
    rise = [(586 + k, 0.25) for k in range(12)]
    fall = (602, -3.0)
    assert [row[0] for row in rows(flags_of(lake(fall)), "step")] == [day_of(602)]
    assert rows(flags_of(lake(*rise, fall)), "step") == []


def test_rain_at_one_gauge_only_is_flagged_and_a_storm_is_not() -> None:
    rain = rains()
    dry, wet = dry_and_wet_days(rain)
    rain["rainfall_a"][dry] = 250.0
    for column in rain:
        rain[column][wet] = 250.0
    flags = flags_of(lake(), RAINY, **rain)
    assert flags.select("gauge", "date", "reason", "known_on").rows() == [
        ("rainfall_a", day_of(dry), "neighbours", day_of(dry))
    ]


@pytest.mark.parametrize(
    ("neighbour_day", "expected"), [(-2, "flag"), (-1, "no flag"), (0, "no flag"), (1, "withdrawn"), (2, "flag")]
)
def test_a_neighbour_confirms_heavy_rain_on_the_day_before_on_the_same_day_and_on_the_day_after(
    neighbour_day: int, expected: str
) -> None:
    """Observers read their gauges at different hours, so that one storm can have two dates, but not two days apart."""
    rain = rains()
    dry, _ = dry_and_wet_days(rain)
    rain["rainfall_a"][dry] = 250.0
    rain["rainfall_b"][dry + neighbour_day] = 240.0
    flags = flags_of(lake(), RAINY, **rain).filter(pl.col("gauge") == "rainfall_a", pl.col("reason") == "neighbours")
    withdrawn_on = {"flag": [None], "no flag": [], "withdrawn": [day_of(dry + 1)]}[expected]
    assert rows(flags, "neighbours") == [(day_of(dry), day_of(dry), day) for day in withdrawn_on]


@pytest.mark.parametrize(("latency_h", "late"), [(0, 0), (20, 1), (40, 2)])
def test_flags_of_late_gauges_are_known_and_withdrawn_as_late(latency_h: int, late: int) -> None:
    dam = synthetic.small_dam(*(synthetic.rain_gauge(station, latency_h=latency_h) for station in "abc"))
    rain = rains()
    dry, _ = dry_and_wet_days(rain)
    rain["rainfall_a"][dry], rain["rainfall_b"][dry + 1] = 250.0, 240.0
    flags = flags_of(lake(), dam, **rain).filter(pl.col("gauge") == "rainfall_a")
    assert rows(flags, "neighbours") == [(day_of(dry), day_of(dry + late), day_of(dry + late + 1))]


def test_double_mass_flags_a_change_of_scale_that_lasts_two_blocks() -> None:
    rain = rains(days=1500)
    rain["rainfall_b"] = [x * 2.5 if 720 <= d < 990 and x is not None else x
                          for d, x in enumerate(rain["rainfall_b"])]  # fmt: skip
    flags = flags_of(lake(days=1500), RAINY, **rain).filter(pl.col("reason") == "scale")
    assert set(flags["gauge"]) == {"rainfall_b"}
    assert (flags["date"].min(), flags["date"].max()) == (day_of(720), day_of(989))
    assert flags["known_on"].min() == day_of(899)  # the end of the second block of 90 days


@pytest.mark.parametrize(("factor", "reason"), [(0.3, "scale"), (2.5, "scale"), (0.1, "unit"), (1 / 25.4, "unit")])
def test_a_scale_of_ten_or_of_inches_is_a_unit_slip(factor: float, reason: str) -> None:
    rain = rains(days=1500)
    rain["rainfall_b"] = [x * factor if 720 <= d < 990 and x is not None else x
                          for d, x in enumerate(rain["rainfall_b"])]  # fmt: skip
    flags = flags_of(lake(days=1500), RAINY, **rain)
    assert set(flags.filter(pl.col("reason").is_in(["scale", "unit"]))["reason"]) == {reason}


def test_lone_storms_bend_no_scale() -> None:
    rain = rains(days=1500)
    for day in (730, 750, 770, 820, 840, 860):
        rain["rainfall_b"][day] = 250.0
        for column in ("rainfall_a", "rainfall_c"):
            rain[column][day - 1 : day + 2] = [0.0] * 3
    flags = flags_of(lake(days=1500), RAINY, **rain).filter(pl.col("gauge") == "rainfall_b")
    assert flags["reason"].unique().to_list() == ["neighbours"]


@pytest.mark.parametrize("delay", range(6))
def test_a_record_storm_is_withdrawn_if_the_lake_rises_within_three_days(delay: int) -> None:
    rain = np.array(rains()["rainfall_a"], float)
    rain[800] = 20 * rain[:800].max()
    level = np.array(lake((800 + delay, 0.5)))
    found = [(int(f.days[0]), f.known, f.withdrawn) for f in rain_findings(rain, [], level)]
    assert found == ([] if delay == 0 else [(800, 800, 800 + delay if delay <= 3 else None)])


def test_a_blocked_gauge_is_flagged_when_its_neighbours_collect_far_more() -> None:
    rain = rains()
    rain["rainfall_c"] = [0.0 if d >= 650 else x for d, x in enumerate(rain["rainfall_c"])]
    flags = flags_of(lake(), RAINY, **rain).filter(pl.col("reason") == "neighbours")
    assert set(flags["gauge"]) == {"rainfall_c"}
    assert flags["known_on"].min() > day_of(650)


def test_rain_repeated_by_the_logger_is_flagged_on_the_fourth_day() -> None:
    rain = rains()
    rain["rainfall_a"][600:604] = [7.4] * 4
    flags = flags_of(lake(), RAINY, **rain).filter(pl.col("gauge") == "rainfall_a", pl.col("reason") == "stuck")
    assert flags["date"].to_list() == [day_of(600 + k) for k in range(4)]
    assert set(flags["known_on"]) == {day_of(603)}


def test_a_gauge_is_still_at_first_and_stuck_when_it_catches_up() -> None:
    level = lake()
    constant = [round(level[600] + 0.001 * (k % 3 - 1), 3) for k in range(25)]
    caught_up = [*level[:600], *constant, *(round(x - 0.5, 3) for x in level[625:])]
    flags = flags_of(caught_up)
    assert {row[1] for row in rows(flags, "still") if row[0] <= day_of(614)} == {day_of(614)}
    stuck = {row[0]: row[1] for row in rows(flags, "stuck")}
    assert set(stuck) >= {day_of(600 + k) for k in range(25)}
    assert {known for day, known in stuck.items() if day < day_of(625)} == {day_of(625)}
    continuous = [*level[:600], *constant, *(round(x - level[625] + constant[-1], 3) for x in level[625:])]
    assert rows(flags_of(continuous), "stuck") == []


def still_for(level: list[float], start: int, days: int) -> list[float]:
    """`level`, but around that of day `start` for some days; it then goes on from there."""
    still = [round(level[start] + 0.001 * (k % 3 - 1), 3) for k in range(days)]
    return [*level[:start], *still, *(round(x - level[start + days] + still[-1], 3) for x in level[start + days :])]


@pytest.mark.parametrize(("change", "is_stuck"), [(-0.5, True), (0.5, False)], ids=["fall", "rise"])
def test_a_supported_change_after_a_still_spell_is_no_catching_up(change: float, is_stuck: bool) -> None:
    """Without another gauge, a rise cannot be ruled out."""
    level = still_for(lake(), 600, 25)
    flags = flags_of([*level[:625], *(round(x + change, 3) for x in level[625:])])
    stuck = rows(flags, "stuck")
    assert (day_of(600) in [row[0] for row in stuck]) is is_stuck
    if is_stuck:
        assert stuck[-1] == (day_of(625), day_of(625), day_of(626)), "the last day of the jump is right"


@pytest.mark.parametrize(("change", "reason"), [(-0.5, "stuck"), (0.5, "still")])
def test_a_value_of_a_still_spell_is_used_until_the_gauge_is_known_to_be_stuck(change: float, reason: str) -> None:
    level = still_for(lake(), 600, 25)
    values = [*level[:625], *(round(x + change, 3) for x in level[625:])]
    frame = synthetic.daily_frame(LEVEL_ONLY, {LEVEL: values})
    flags = screen_daily(frame, LEVEL_ONLY)
    for day, reasons in ((624, {"still"}), (660, {reason} - {"still"})):
        known = daily_known_on(frame, flags, day_of(day), LEVEL_ONLY)
        missing = known.filter(pl.col("date").is_between(day_of(600), day_of(624)))[LEVEL].null_count()
        assert missing == (25 if "stuck" in reasons else 0)


def test_a_lake_that_rested_in_the_last_month_only_may_be_stuck_again() -> None:
    level = still_for(lake(), 600, 51)
    level[625] = round(level[625] + 0.3, 3)
    known = {row[1] for row in rows(flags_of(level), "still")}
    assert {day_of(614), day_of(640)} <= known


def test_a_value_is_present_until_its_flag_is_known() -> None:
    frame = synthetic.daily_frame(LEVEL_ONLY, {LEVEL: lake((600, 4.0), (603, -4.0))})
    flags = screen_daily(frame, LEVEL_ONLY)
    for lag, missing in ((0, []), (1, [602]), (2, [601, 602]), (3, [600, 601, 602])):
        known = daily_known_after(frame, flags, LEVEL_ONLY, lag=lag)
        assert known.filter(pl.col(LEVEL).is_null())["date"].to_list() == [day_of(d) for d in missing]
    unchanged = synthetic.daily_frame(LEVEL_ONLY, {LEVEL: lake((600, 4.0), (603, -4.0))})
    assert_frame_equal(frame, unchanged)


def test_sentinels_of_the_daily_table_are_flags_and_not_used() -> None:
    level = lake()
    frame = synthetic.daily_frame(LEVEL_ONLY, {LEVEL: [*level[:600], -9999.0, *level[601:]]}).with_columns(
        pl.when(pl.col(LEVEL) == -9999.0).then(pl.lit("sentinel")).alias(flag_of(LEVEL))
    )
    flags = screen_daily(frame, LEVEL_ONLY)
    assert flags.select("date", "reason", "known_on").rows() == [(day_of(600), "sentinel", day_of(600))]
    assert usable_values(frame, LEVEL_ONLY)[LEVEL][600] is None


def test_runs_join_consecutive_days() -> None:
    flags = flags_of(lake((600, -4.0), (602, 4.0), (700, -3.0), (701, 3.0)))
    table = flag_runs(flags)
    assert table.select("from", "to", "days", "reason", "known_on").rows() == [
        (day_of(600), day_of(601), 2, "spike", day_of(602)),
        (day_of(700), day_of(700), 1, "spike", day_of(701)),
    ]
    assert table["value"][0] == pytest.approx(table["expected"][0] - 4.0, abs=0.1)


@pytest.mark.parametrize(("role", "is_flagged"), [("stream", True), ("upstream_release", False)])
def test_operators_decide_on_the_release_of_an_upstream_dam(role: str, is_flagged: bool) -> None:
    """A rise from 10 to 60 m³/s for two days, below the record, without rain: of a river it is suspect."""
    dam = synthetic.small_dam({"role": role, "station": "u", "variable": "discharge", "unit": "m3/s"})
    flow = np.random.default_rng(1).uniform(9.5, 10.5, 1100)
    flow[100], flow[600:602] = 50.0, 60.0
    flags = flags_of(lake(days=1100), dam, discharge_u=flow.tolist())
    assert (day_of(600) in flags.filter(gauge="discharge_u")["date"].to_list()) == is_flagged


def test_runs_of_all_reasons_are_in_order_of_gauge_and_first_day() -> None:
    marks = [("b", 1, "jump"), ("a", 9, "jump"), ("a", 2, "spike"), ("a", 5, "range")]
    rows = [(gauge, day_of(day), reason, day_of(day), None, 1.0, None) for gauge, day, reason in marks]
    table = flag_runs(pl.DataFrame(rows, schema=FLAGS.columns, orient="row"))
    assert table.select("gauge", "from", "reason").rows() == [
        ("a", day_of(2), "spike"), ("a", day_of(5), "range"), ("a", day_of(9), "jump"), ("b", day_of(1), "jump"),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["a", "b"]), st.booleans()), unique_by=lambda x: x[:2]))
def test_a_run_ends_before_a_pause_of_three_days(marks: list[tuple[int, str, bool]]) -> None:
    flags = FLAGS.check(
        pl.DataFrame(
            [
                {"gauge": gauge, "date": day_of(day), "reason": "jump", "known_on": day_of(day),
                 "withdrawn_on": day_of(day + 1) if is_withdrawn else None, "value": float(day), "expected": None}
                for day, gauge, is_withdrawn in marks
            ],
            schema=FLAGS.columns,
        )
    )  # fmt: skip
    expected = []
    for gauge in ("a", "b"):
        days = sorted(day for day, of, is_withdrawn in marks if of == gauge and not is_withdrawn)
        starts = [day for n, day in enumerate(days) if n == 0 or day - days[n - 1] > 3]
        for start, stop in zip(starts, [*starts[1:], 99], strict=False):
            run = [day for day in days if start <= day < stop]
            expected.append((gauge, day_of(run[0]), day_of(run[-1]), len(run), float(np.median(run))))
    assert flag_runs(flags).select("gauge", "from", "to", "days", "value").rows() == expected


@pytest.mark.parametrize("days", [0, 1, 2, 59, 61])
def test_a_short_record_is_screened(days: int) -> None:
    for dam in DAMS.values():
        if days == 0:
            assert screen_daily(synthetic.daily_frame(dam, {LEVEL: [1.0]}).clear(), dam).is_empty()
        else:
            screen_daily(synthetic.daily_frame(dam, {LEVEL: lake()[:days]}), dam)


def test_a_constant_level_and_one_with_many_gaps_are_screened() -> None:
    assert set(flags_of([5.0] * 900)["reason"]) == {"still"}  # flagged, but used
    rng = np.random.default_rng(1)
    gappy: list[float | None] = [x if rng.random() > 0.4 else None for x in lake()]
    assert flags_of(gappy).is_empty()


def test_usual_cold_fronts_are_no_fault_of_a_thermometer() -> None:
    """The temperature rises slowly and falls by 9.5 °C at once. A fall of 20 °C is no jump, 40 °C for a day a spike."""
    dam = DAMS["three rain gauges and the weather"]
    change = np.where(np.arange(DAYS) % 20 == 19, -9.5, 0.5)
    change[800] = -20.0
    temperature = 25 + np.cumsum(change)
    frame = synthetic.daily_frame(
        dam,
        dict.fromkeys(dam.columns("rainfall"), [0.0] * DAYS)
        | {LEVEL: (95 - 0.002 * np.arange(DAYS)).tolist(), "temperature_t": temperature.tolist()},
    )
    assert screen_daily(frame, dam).filter(gauge="temperature_t").is_empty()
    temperature[900] -= 40.0
    flags = screen_daily(frame.with_columns(temperature_t=pl.Series(temperature)), dam)
    assert flags.filter(gauge="temperature_t", reason="spike")["date"].to_list() == [day_of(900)]
