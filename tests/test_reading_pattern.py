"""How often a level is read and in which steps: recognised from the newest readings, and from nothing later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.features.reading_pattern import RECENT_READINGS, reading_pattern, resolution_by_day
from forebay.features.samples import make_samples
from forebay.forecasts.limitations import limitations
from forebay.tables import DEFAULT_MODEL
from forebay.verify.point_forecasts import PointForecasts
from forebay.verify.uncertainty import quantile_changes
from forebay.verify.verification import verify_hindcast
from tests.synthetic import daily_frame, small_dam

WALK = np.cumsum(np.random.default_rng(5).normal(0, 1, 3000)) + 500


def on_days(values: np.ndarray, days: np.ndarray) -> np.ndarray:
    level = np.full(days[-1] + 1, np.nan)
    level[days] = values[: len(days)]
    return level


@pytest.mark.parametrize("step", [0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 100.0])
@pytest.mark.parametrize("scale", [1.0, 1 / 0.3048])
def test_the_resolution_is_the_step_of_the_readings(step: float, scale: float) -> None:
    values = np.round(WALK * max(1, step) / step) * step
    assert resolution_by_day((values * scale) / scale)[-1] == pytest.approx(step)


@pytest.mark.parametrize("resolution", [0.5, 0.0])
def test_no_interval_is_narrower_than_the_rounding_of_the_readings(resolution: float) -> None:
    """Of a level that never changes: its readings are uniform within their step."""
    dam, days = small_dam(hindcast={"leads": (1,)}), 120
    frame = daily_frame(dam, {"reservoir_level": [95.0] * days})
    samples = replace(make_samples(frame, frame, dam), resolution=np.full(days, resolution))
    points = {"no_change": PointForecasts({1: np.zeros(days)})}
    changes = quantile_changes(samples, points, ["no_change"], probabilities=(0.05, 0.25, 0.5, 0.9))["no_change"][-1, 0]
    assert changes.tolist() == pytest.approx([resolution * p for p in (-0.45, -0.25, 0.0, 0.4)])


def test_a_level_near_zero_has_no_large_resolution() -> None:
    assert resolution_by_day(np.round(WALK * 0.01 - WALK[0] * 0.01, 3))[-1] == pytest.approx(0.001)
    assert resolution_by_day(WALK * 1e-3 - 0.5)[-1] == 0


def test_without_a_step_or_without_changes_there_is_no_resolution() -> None:
    assert resolution_by_day(WALK * np.pi)[-1] == 0
    assert resolution_by_day(np.full(100, 5.0))[-1] == 0
    assert resolution_by_day(np.round(WALK[: RECENT_READINGS - 1]))[-1] == 0


@given(st.integers(40, 300), st.integers(1, 40))
def test_the_resolution_of_a_day_depends_on_no_later_reading(day: int, gap: int) -> None:
    level = np.where(np.arange(400) % gap == 0, WALK[:400], np.round(WALK[:400]))
    assert np.array_equal(resolution_by_day(level)[: day + 1], resolution_by_day(level[: day + 1]))


@pytest.mark.parametrize(
    ("days", "frequency"),
    [
        (np.arange(0, 700, 7), "about once a week"),
        (np.arange(0, 1400, 14), "about every two weeks"),
        (np.arange(0, 3000, 31), "about once a month"),
        (np.arange(0, 300, 3), "about every 3 days"),
        (np.cumsum(np.tile([1, 5, 9], 30)), "at irregular times, 1 to 9 days apart"),
    ],
)
def test_the_frequency_in_words(days: np.ndarray, frequency: str) -> None:
    level = on_days(np.round(WALK), days)
    pattern = reading_pattern(level, 0.0)
    assert pattern is not None and pattern.frequency == frequency
    assert not pattern.is_daily
    daily = reading_pattern(WALK, 0.0)
    assert daily is not None and daily.is_daily
    assert reading_pattern(np.array([1.0, np.nan]), 0.0) is None


def test_one_long_gap_does_not_make_readings_irregular() -> None:
    gaps = np.full(99, 7)
    gaps[-5] = 60
    pattern = reading_pattern(on_days(np.ones(2000), np.concatenate([[0], np.cumsum(gaps)])), 0.0)
    assert pattern is not None
    assert (pattern.shortest, pattern.longest, pattern.frequency) == (7.0, 7.0, "about once a week")


def test_a_daily_record_that_becomes_weekly_in_whole_units() -> None:
    """Its newest change is per day, its interval is not finer than its readings, and a sentence has the pattern."""
    dam = small_dam()
    days = np.concatenate([np.arange(1200), np.arange(1206, 1700, 7)])
    values = 100 + np.cumsum(np.random.default_rng(1).normal(0, 0.1, days[-1] + 1))[days]
    values[1200:] = np.round(values[1200:])
    frame = daily_frame(dam, {"reservoir_level": [None if np.isnan(v) else v for v in on_days(values, days)]})
    samples = make_samples(frame, frame, dam)
    change = samples.inputs["last_change"][-1]
    assert change == pytest.approx((values[-1] - values[-2]) / 7)
    verification = verify_hindcast(samples, dam, frame)
    issued = verification.forecasts.filter(
        pl.col("model") == DEFAULT_MODEL, pl.col("init_date") == frame["date"][-1], pl.col("lead_time") == 7
    ).sort("quantile")
    assert issued["level"][-1] - issued["level"][0] >= 0.9
    sentences = limitations(frame, samples, dam, verification.points[DEFAULT_MODEL], verification.forecasts)
    assert any(text.startswith("Reservoir level is read about once a week, resolution 1 m") for text in sentences)
    assert not any("too short" in text for text in sentences)
