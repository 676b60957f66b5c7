"""The screen yields to evidence: consistent readings, accepted spells; the interval includes a suspect last level."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.features.level_change import change_per_day, last_change
from forebay.features.samples import make_samples
from forebay.screen.flags import daily_known_on, screen_daily
from forebay.screen.supported_range import with_supported_levels
from forebay.tables import DEFAULT_MODEL, LEVEL_BREAK, QUANTILES
from forebay.verify.verification import verify_hindcast
from tests.synthetic import daily_frame, rain_gauge, small_dam

DAYS = 700
LEVEL = "reservoir_level"


def quiet_lake(*, seed: int = 3, days: int = DAYS) -> np.ndarray:
    """A lake that moves by about a centimetre a day."""
    return np.round(100 + np.cumsum(np.random.default_rng(seed).normal(0, 0.01, days)), 3)


def dry_dam(**target: object) -> Dam:
    """A dam with a level and a rain gauge, so that a rise without rain needs another explanation."""
    level = {"role": "target", "station": "lake", "variable": LEVEL, "unit": "m"}
    return small_dam(level | target, rain_gauge())


def frame_of(level: np.ndarray, dam: Dam) -> pl.DataFrame:
    """The daily table of a level; the rain gauge has a drop each week."""
    rain = {column: [0.2 * (day % 7 == 0) for day in range(len(level))] for column in dam.columns("rainfall")}
    return daily_frame(dam, {LEVEL: level.tolist(), **rain})


def suspect_days(frame: pl.DataFrame, dam: Dam, known_on: int) -> list[int]:
    """Numbers of the days whose level is suspect at the end of day `known_on`."""
    end = frame["date"][known_on]
    flags = screen_daily(frame, dam).filter(
        pl.col("known_on") <= end, pl.col("withdrawn_on").is_null() | (pl.col("withdrawn_on") > end)
    )
    flags = flags.filter(~pl.col("reason").is_in(["still", "step"]))
    return sorted((day - frame["date"][0]).days for day in flags["date"].unique())


@pytest.mark.parametrize("change", [-0.7, 0.7, -3.0])
@pytest.mark.parametrize("wobble", [0.0, 0.3])
def test_consistent_changes_withdraw_a_flag_after_two_more_readings(change: float, wobble: float) -> None:
    dam, start = dry_dam(), 600
    level = quiet_lake()
    daily_change = change * (1 + wobble * np.cos(np.arange(DAYS - start)))
    level[start:] = level[start - 1] + np.cumsum(daily_change)
    frame = frame_of(level, dam)
    assert suspect_days(frame, dam, start) == [start]
    assert suspect_days(frame, dam, start + 1) == [start, start + 1]
    for day in range(start + 2, start + 40):
        assert suspect_days(frame, dam, day) == [], day


def test_a_pause_does_not_end_a_movement() -> None:
    dam, start = dry_dam(), 600
    level = quiet_lake()
    changes = np.full(DAYS - start, -0.7)
    changes[[5, 6, 12]] = 0.0
    level[start:] = level[start - 1] + np.cumsum(changes)
    assert suspect_days(frame_of(level, dam), dam, start + 30) == []


@pytest.mark.parametrize(("pause", "is_suspect"), [(3, False), (8, False), (12, True), (40, True)])
def test_a_movement_ends_after_ten_days_without_a_change(pause: int, is_suspect: bool) -> None:
    dam, start = dry_dam(), 606  # from day 605 to 664 the thresholds stay
    level = quiet_lake()
    again = start + 3 + pause
    level[start : start + 4] = level[start - 1] - 0.7 * np.arange(1, 5)
    level[start + 4 : again] = level[start + 3] + quiet_lake(seed=8)[: pause - 1] - 100
    level[again:] = level[again - 1] - 0.7
    assert suspect_days(frame_of(level, dam), dam, again) == ([again] if is_suspect else [])


@pytest.mark.parametrize("direction", [1, -1], ids=["rise", "fall"])
def test_a_movement_may_grow(direction: int) -> None:
    dam, start = dry_dam(), 606  # from day 605 to 664 the thresholds stay
    level = quiet_lake()
    changes = direction * np.array([0.7, 0.7, 0.7, 1.2, 1.2, 2.2, 2.2, 4.0])
    level[start : start + 8] = level[start - 1] + np.cumsum(changes)
    level[start + 8 :] = level[start + 7]
    assert suspect_days(frame_of(level, dam), dam, start + 7) == []
    level[start + 7 :] += direction * 0.5  # more than twice the largest change so far
    assert suspect_days(frame_of(level, dam), dam, start + 7) == [start + 7]


def test_a_spike_and_a_much_larger_jump_stay_suspect() -> None:
    dam, start = dry_dam(), 600
    level = quiet_lake()
    level[start : start + 2] += 3.0
    assert suspect_days(frame_of(level, dam), dam, start + 5) == [start, start + 1]
    level = quiet_lake()
    level[start:] = level[start - 1] - 0.7 * np.arange(1, DAYS - start + 1)
    level[start + 20] -= 15.0
    assert suspect_days(frame_of(level, dam), dam, start + 20) == [start + 20]


def test_a_lake_that_leaves_its_rest_is_caught_up_for_three_days_at_most() -> None:
    dam, start = dry_dam(), 600
    level = quiet_lake()
    level[start - 25 : start] = level[start - 25]
    level[start:] = level[start - 1] - 0.7 * np.arange(1, DAYS - start + 1)
    assert not [day for day in suspect_days(frame_of(level, dam), dam, start + 12) if day >= start + 3]


def test_an_accepted_spell_is_not_flagged() -> None:
    level = quiet_lake()
    level[600:602] += 3.0
    level[650:652] -= 3.0
    frame = frame_of(level, dry_dam())
    first, last = frame["date"][600], frame["date"][601]
    spell = {"from": first, "to": last, "reason": "works"}
    assert suspect_days(frame, dry_dam(accept=(spell,)), 699) == [650, 651]
    open_spell = {"from": first, "reason": "works"}
    assert suspect_days(frame, dry_dam(accept=(open_spell,)), 699) == []


def test_an_accepted_spell_makes_no_sentinel_a_value() -> None:
    level = quiet_lake()
    frame = frame_of(level, dry_dam())
    day = pl.col("date") == frame["date"][600]
    for reason in ("sentinel", "range"):
        flagged = frame.with_columns(pl.when(day).then(pl.lit(reason)).alias(f"{LEVEL}_flag"))
        spell = {"from": frame["date"][590], "to": frame["date"][610], "reason": "works"}
        flags = screen_daily(flagged, dry_dam(accept=(spell,)))
        assert flags.select("date", "reason").rows() == [(frame["date"][600], reason)]


@pytest.mark.parametrize("jump", [5.0, -5.0])
def test_the_interval_includes_a_suspect_last_level(jump: float) -> None:
    dam = dry_dam()
    level = quiet_lake()
    level[-1] += jump
    frame = frame_of(level, dam)
    samples = make_samples(frame, frame, dam)
    assert samples.suspect_reason == "jump"
    assert samples.suspect_level is not None and samples.suspect_level[-1] == level[-1]
    forecasts = verify_hindcast(samples, dam, frame).forecasts
    issued = forecasts.filter(pl.col("model") == DEFAULT_MODEL, pl.col("init_date") == frame["date"][-1])
    for lead in dam.hindcast.leads:
        levels = issued.filter(pl.col("lead_time") == lead).sort("quantile")["level"].to_numpy()
        assert len(levels) == len(QUANTILES) and (np.diff(levels) >= 0).all()
        assert levels[0] <= level[-1] + 1e-9 and levels[-1] >= level[-1] - 1e-9
        assert abs(levels[3] - level[-2]) < 1, "the median still starts from the last level that is not suspect"


def test_the_change_per_day_stops_at_an_old_reading_and_at_a_new_datum() -> None:
    level = [1.0, None, 1.5, *[None] * 30, 4.5, *[None] * 29, 7.5]
    changes = change_per_day(pl.DataFrame({"level": level}), "level").to_list()
    assert [(day, change) for day, change in enumerate(changes) if change is not None] == [(2, 0.25), (63, 0.1)]
    assert change_per_day(pl.DataFrame({"level": level[:34]}), "level")[33] is None, "31 days"
    frame = pl.DataFrame({"level": [1.0, 1.5, None, 9.0, 9.5], LEVEL_BREAK: [False, False, True, False, False]})
    assert change_per_day(frame, "level").to_list() == [None, 0.5, None, None, 0.5]


def test_the_last_change_fades_and_expires() -> None:
    faded = last_change(pl.Series([None, 2.0, *[None] * 31])).to_list()
    assert faded[1:4] == pytest.approx([2.0, 1.8, 1.62])
    assert faded[31] == pytest.approx(2.0 * 0.9**30) and faded[32] is None


def test_a_step_of_datum_is_marked_for_the_inputs() -> None:
    dam, start = dry_dam(), 600
    level = quiet_lake()
    level[start:] += 5.0
    frame = frame_of(level, dam)
    day: date = frame["date"][start + 10]
    known = daily_known_on(frame, screen_daily(frame, dam), day, dam)
    assert known.filter(LEVEL_BREAK)["date"].to_list() == [day - timedelta(days=10)]
    assert abs(change_per_day(known, LEVEL)[start + 1] or 0.0) < 0.1


def crest(*, rain: bool, glitch: float = 0.0, **target: object) -> list[str | None]:
    """Flags of ten days with a flood above the valid range of a lake."""
    dam = dry_dam(valid_range=(90.0, 102.0), **target)
    level = quiet_lake()
    level[690:] += np.array([0.5, 4.0, 6.0, 5.0, 4.0, 3.0, 2.5, 2.0, 1.0, 0.5])
    level[695] += glitch
    drops = [60.0 * (689 <= day <= 691 and rain) + 0.2 * (day % 7 == 0) for day in range(DAYS)]
    flags = ["range" if not 90 <= value <= 102 else None for value in level]
    columns = {LEVEL: level.tolist(), f"{LEVEL}_flag": flags, "rainfall_r1": drops}
    return with_supported_levels(daily_frame(dam, columns), dam)[f"{LEVEL}_flag"].to_list()[690:]


def test_rain_protects_a_flood_crest_above_the_valid_range() -> None:
    assert crest(rain=True) == [None] * 10
    assert crest(rain=False)[1:6] == ["range"] * 5
    assert crest(rain=True, glitch=300.0)[5] == "range", "no flood doubles the range"
    dam = small_dam({"role": "target", "station": "lake", "variable": LEVEL, "unit": "m", "valid_range": (90.0, 102.0)})
    lone = daily_frame(dam, {LEVEL: [100.0] * 500 + [103.0], f"{LEVEL}_flag": [None] * 500 + ["range"]})
    assert with_supported_levels(lone, dam)[f"{LEVEL}_flag"][-1] == "range", "no other gauge supports it"


def test_the_range_of_a_target_in_feet_is_compared_in_metres() -> None:
    level = {"role": "target", "station": "lake", "variable": LEVEL, "unit": "ft", "valid_range": (300.0, 340.0)}
    dam = small_dam(level, rain_gauge(), unit="ft")
    values = quiet_lake() / 0.3048
    values[690:] = [345.0, 360.0, 379.0, 381.0, 379.0, *[345.0] * 5]  # the range may be exceeded by its width, 40 ft
    drops = [60.0 * (689 <= day <= 691) + 0.2 * (day % 7 == 0) for day in range(DAYS)]
    flags = ["range" if value > 340 else None for value in values]
    columns = {LEVEL: values.tolist(), f"{LEVEL}_flag": flags, "rainfall_r1": drops}
    supported = with_supported_levels(daily_frame(dam, columns), dam)[f"{LEVEL}_flag"].to_list()[690:693]
    assert supported == [None] * 3
    assert with_supported_levels(daily_frame(dam, columns), dam)[f"{LEVEL}_flag"][693] == "range"


def test_the_plausible_range_of_the_variable_always_holds() -> None:
    share = {"role": "target", "station": "lake", "variable": "storage_percent", "unit": "%"}
    dam = small_dam(share | {"valid_range": (0.0, 250.0)}, rain_gauge(), unit="%")
    values = quiet_lake()
    values[690:] = [255.0, 290.0, 310.0, 290.0, *[100.0] * 6]
    drops = [60.0 * (689 <= day <= 691) + 0.2 * (day % 7 == 0) for day in range(DAYS)]
    flags = ["range" if value > 250 else None for value in values]
    columns = {"storage_percent": values.tolist(), "storage_percent_flag": flags, "rainfall_r1": drops}
    supported = with_supported_levels(daily_frame(dam, columns), dam)["storage_percent_flag"].to_list()[690:694]
    assert supported[:3] == [None, None, "range"]


@pytest.mark.parametrize("days", [691, 693, 697])
def test_the_support_of_a_level_depends_on_no_later_day(days: int) -> None:
    dam = dry_dam(valid_range=(90.0, 102.0))
    level = quiet_lake()
    level[690:] += 4.0
    drops = [60.0 * (689 <= day <= 691) + 0.2 * (day % 7 == 0) for day in range(DAYS)]
    flags = ["range" if value > 102 else None for value in level]
    frame = daily_frame(dam, {LEVEL: level.tolist(), f"{LEVEL}_flag": flags, "rainfall_r1": drops})
    whole, part = with_supported_levels(frame, dam), with_supported_levels(frame.head(days), dam)
    assert whole.head(days).equals(part)


def test_a_gauge_that_shows_no_water_supports_no_level() -> None:
    level = {"role": "target", "station": "lake", "variable": LEVEL, "unit": "m", "valid_range": (90.0, 102.0)}
    dam = small_dam(level, {"role": "temperature", "station": "t", "variable": "temperature", "unit": "degC"})
    columns = {LEVEL: [100.0] * 500 + [103.0], "temperature_t": [20.0] * 501, f"{LEVEL}_flag": [None] * 500 + ["range"]}
    assert with_supported_levels(daily_frame(dam, columns), dam)[f"{LEVEL}_flag"][-1] == "range"


def test_a_movement_of_weekly_readings_is_measured_per_day() -> None:
    dam, start = dry_dam(), 600
    level = quiet_lake()
    weekly = np.full(DAYS, np.nan)
    weekly[:start], weekly[start + 6 : start + 35 : 7] = level[:start], level[start - 1] - 7.0 * np.arange(1, 6)
    weekly[start + 35] = weekly[start + 34] - 12.0  # twelve times the movement's change per day
    frame = frame_of(weekly[: start + 36], dam).with_columns(pl.col(LEVEL).fill_nan(None))
    assert suspect_days(frame, dam, start + 34) == []
    assert suspect_days(frame, dam, start + 35) == [start + 35]
