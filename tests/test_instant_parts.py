"""Instants of the days of a fetch, and the parts of its requests."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.dams.gauge import Gauge
from forebay.settings import HttpSettings
from forebay.sources.gauge_fetch import Period, instant_parts, instants_to_request

START = datetime(2000, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
BASE = {"role": "stream", "source": "cdec", "station": "A", "variable": "stream_level", "unit": "m"}


def gauge(time_zone: str = "-08:00", **keys: str) -> Gauge:
    return Gauge.model_validate(BASE | keys).in_time_zone(time_zone)


@pytest.mark.parametrize(
    ("interval", "points", "days", "length"),
    [
        ("day", 20_000, 10, 10),
        ("hour", 241, 3660, 10),
        ("15min", 97, 3660, 1),
        ("day", 1, 3660, 1),
        ("hour", 1, 1, 1 / 24),
    ],
)
def test_a_part_follows_the_limits_but_has_at_least_one_interval(
    interval: str, points: int, days: int, length: float
) -> None:
    limits = HttpSettings(points_per_request=points, days_per_request=days)
    parts = list(instant_parts((START, START + timedelta(days=25)), gauge(interval=interval), limits))
    assert {end - first for first, end in parts[:-1]} == {timedelta(days=length)}
    assert parts[-1][1] == START + timedelta(days=25)


@given(hours=st.integers(0, 5000), points=st.integers(1, 500), days=st.integers(1, 40))
def test_no_instant_lies_between_two_parts(hours: int, points: int, days: int) -> None:
    end = START + timedelta(hours=hours)
    limits = HttpSettings(points_per_request=points, days_per_request=days)
    parts = list(instant_parts((START, end), gauge(interval="hour"), limits))
    assert (parts[0][0], parts[-1][1]) == (START, end)
    assert all(first[1] == second[0] for first, second in zip(parts, parts[1:], strict=False))


def test_a_span_that_ends_before_it_starts_has_no_part() -> None:
    assert list(instant_parts((START, START - timedelta(days=1)), gauge(), HttpSettings())) == []


def test_the_instants_extend_a_day_beyond_the_period_but_not_beyond_the_record_and_now() -> None:
    period = Period(date(2024, 3, 1), date(2024, 3, 31), NOW)
    assert instants_to_request(period, gauge(), START) == (
        datetime(2024, 2, 29, 8, tzinfo=UTC),
        datetime(2024, 4, 2, 8, tzinfo=UTC),
    )
    late = datetime(2024, 3, 15, tzinfo=UTC)
    assert instants_to_request(period, gauge(), late)[0] == late
    assert instants_to_request(Period(None, date(2024, 6, 1), NOW), gauge(), START) == (START, NOW)
    assert instants_to_request(Period(date.min, date(2024, 6, 1), NOW), gauge(), START)[0] == START
