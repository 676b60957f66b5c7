"""`forebay.sources.gauge_fetch` and `points.instants`: days, parts, stamps and the clock of a daily series."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from forebay.errors import SourceError
from forebay.settings import HttpSettings
from forebay.sources.gauge_fetch import (
    Period,
    day_parts,
    days_per_request,
    last_day,
    readings_in_period,
    readings_of_days,
    refuse_lost_start,
    station_errors,
    within_part,
)
from forebay.sources.points import instants
from forebay.tables import READINGS
from tests.readings import GOOD, INSTANTANEOUS, make_gauge, readings

LATER = datetime(2030, 1, 1, tzinfo=UTC)
EVER = Period(None, date(2029, 1, 1), LATER)
WARRAGAMBA = load_dam("warragamba")


def dam_at(time_zone: str) -> object:
    return WARRAGAMBA.model_copy(update={"time_zone": time_zone})


def days_of(times: list[datetime], gauge: Gauge, time_zone: str, period: Period = EVER) -> list[date]:
    """Local days of readings at these times, after `readings_of_days`."""
    kept = readings_of_days(readings(gauge, dict.fromkeys(times, GOOD)), gauge, dam_at(time_zone), period)  # type: ignore[arg-type]
    assert READINGS.check(kept, unique=True).equals(kept)
    return kept.select(gauge.local_day(time_zone)).to_series().to_list()


@given(
    first=st.dates(date(2000, 1, 1), date(2001, 1, 1)), days=st.integers(-3, 900), size=st.integers(1, 400)
)
def test_the_parts_are_the_span_without_gap_or_overlap(first: date, days: int, size: int) -> None:
    last = first + timedelta(days=days)
    parts = list(day_parts(first, last, size))
    covered = [start + timedelta(days=k) for start, end in parts for k in range((end - start).days + 1)]
    assert covered == [first + timedelta(days=k) for k in range(max(0, days + 1))]
    assert all((end - start).days < size for start, end in parts)


@pytest.mark.parametrize(
    ("interval", "points", "days"), [("day", 20_000, 3660), ("day", 100, 100), ("15min", 20_000, 208), ("hour", 5, 1)]
)
def test_days_of_one_request(interval: str, points: int, days: int) -> None:
    limits = HttpSettings(points_per_request=points)
    assert days_per_request(make_gauge(interval=interval), limits) == days


def test_the_last_day_is_that_of_now_at_the_dam() -> None:
    now = datetime(2024, 1, 1, 20, tzinfo=UTC)
    assert last_day(WARRAGAMBA, Period(None, date(2024, 2, 1), now)) == date(2024, 1, 2)
    assert last_day(WARRAGAMBA, Period(None, date(2023, 2, 1), now)) == date(2023, 2, 1)
    part = within_part(Period(None, date(2024, 2, 1), now), date(2024, 1, 1), date(2024, 1, 3))
    assert part == Period(date(2024, 1, 1), date(2024, 1, 3), now)


@pytest.mark.parametrize("zone", ["Europe/Brussels", "America/Santiago", "Australia/Lord_Howe", "Asia/Beirut"])
@pytest.mark.parametrize("fixed", [False, True], ids=["the service's clock changes", "it is fixed"])
def test_each_day_has_its_reading_across_clock_changes(zone: str, fixed: bool) -> None:
    """Stamps at midnight by the service's clock, a clock with or without changes; Beirut and Santiago skip midnight."""
    first = date(2024, 1, 1)
    winter = ZoneInfo(zone).utcoffset(datetime(2024, 1 if zone.startswith(("E", "As")) else 7, 1))
    midnights = [datetime.combine(first + timedelta(days=k), time(0)) for k in range(366)]
    if fixed:
        stamps = [(midnight - winter).replace(tzinfo=UTC) for midnight in midnights]  # type: ignore[operator]
    else:
        stamps = [midnight.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for midnight in midnights]
    assert days_of(stamps, make_gauge(), zone) == [midnight.date() for midnight in midnights]


@pytest.mark.parametrize(("clock", "days"), [("22:31", 1), ("23:59", 1), ("00:00", 0), ("01:30", 0)])
def test_a_day_may_start_an_hour_and_a_half_from_its_clock_time(clock: str, days: int) -> None:
    stamp = datetime.combine(date(2024, 1, 1), time.fromisoformat(clock), UTC)
    assert days_of([stamp], make_gauge(), "+00:00") == [date(2024, 1, 1) + timedelta(days=days)]


@pytest.mark.parametrize("clock", ["01:31", "09:00", "12:00", "22:29"])
def test_a_day_that_starts_at_another_time_is_an_error(clock: str) -> None:
    stamp = datetime.combine(date(2024, 1, 1), time.fromisoformat(clock), UTC)
    with pytest.raises(SourceError, match=f"a day that starts at 2024-01-01 {clock} in .* correct day_start or stamp"):
        days_of([stamp], make_gauge(), "+00:00")


def test_two_readings_of_a_day_are_an_error() -> None:
    stamps = [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 1, tzinfo=UTC)]
    with pytest.raises(SourceError, match="closer than the gauge's interval 'day', first at 2024-01-01 01:00 UTC"):
        days_of(stamps, make_gauge(), "+00:00")


def test_of_instantaneous_readings_the_closest_counts() -> None:
    stamps = [datetime(2024, 1, day, hour, 10, tzinfo=UTC) for day in (1, 2) for hour in (0, 7, 8, 23)]
    kept = readings_of_days(readings(INSTANTANEOUS, dict.fromkeys(stamps, GOOD)), INSTANTANEOUS, dam_at("+00:00"), EVER)  # type: ignore[arg-type]
    assert kept["time"].to_list() == [datetime(2024, 1, day, 8, 10, tzinfo=UTC) for day in (1, 2)]


def test_a_sub_daily_series_has_the_gauges_interval() -> None:
    hourly = make_gauge(interval="hour")
    stamps = [datetime(2024, 1, 1, hour, 30, tzinfo=UTC) for hour in range(24)]
    assert len(days_of(stamps, hourly, "+05:30")) == 24
    with pytest.raises(SourceError, match="closer than the gauge's interval 'hour', first at 2024-01-01 23:31 UTC"):
        days_of([*stamps, datetime(2024, 1, 1, 23, 31, tzinfo=UTC)], hourly, "+05:30")


def test_an_interval_that_has_not_ended_is_left_out() -> None:
    stamps = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    for seconds, count in ((0, 2), (-1, 1)):
        now = datetime(2024, 1, 3, tzinfo=UTC) + timedelta(seconds=seconds)
        period = Period(None, date(2024, 2, 1), now)
        days = days_of(stamps, make_gauge(), "+00:00", period)
        assert days == [date(2024, 1, 1), date(2024, 1, 2)][:count] + [date(2024, 1, 3)][: 2 - count]


def test_values_of_the_future_stay_until_the_archive_counts_them_and_cells_without_a_value_do_not() -> None:
    gauge, now = make_gauge(interval="hour"), datetime(2024, 1, 2, 10, 30, tzinfo=UTC)
    hours = [datetime(2024, 1, 2, hour, tzinfo=UTC) for hour in (9, 10, 11, 12)]
    table = readings(gauge, dict.fromkeys(hours, GOOD))
    table = pl.concat([table, table.tail(1)]).with_columns(pl.when(pl.col("time") != hours[2]).then("value"))
    kept = readings_in_period(table, gauge, Period(None, date(2024, 1, 2), now))
    assert kept["time"].to_list() == [hours[0], hours[3]], "10:00 has not ended, 11:00 has no value, 12:00 occurs twice"
    before = Period(None, date(2024, 1, 1), now)
    assert readings_in_period(table, gauge, before)["time"].to_list() == [hours[3]], "of a later day too"
    after = Period(date(2024, 1, 3), date(2024, 1, 3), now)
    assert readings_in_period(table, gauge, after).is_empty(), "of no earlier day"


@pytest.mark.parametrize(("month", "last", "hours"), [(3, 30, 23), (10, 26, 25)])
def test_a_day_with_a_clock_change_ends_when_the_next_day_starts(month: int, last: int, hours: int) -> None:
    midnight = datetime(2025, month, last, tzinfo=ZoneInfo("Europe/London")).astimezone(UTC)
    for seconds, count in ((0, 1), (-1, 0)):
        period = Period(None, date(2026, 1, 1), midnight + timedelta(hours=hours, seconds=seconds))
        assert len(days_of([midnight], make_gauge(), "Europe/London", period)) == count


def test_an_error_names_the_source_and_the_station() -> None:
    with pytest.raises(SourceError, match="^waternsw, station 212242: down$") as caught, station_errors(make_gauge()):
        raise SourceError("down", retryable=True, retry_after=3)
    assert (caught.value.retryable, caught.value.retry_after) == (True, 3)


def test_only_an_empty_start_is_lost() -> None:
    gauge = make_gauge()
    refuse_lost_start(readings(gauge, {LATER: GOOD}), date(2020, 1, 1), date(2020, 2, 1))
    with pytest.raises(SourceError, match="a record from 2020-01-01 on but sent no reading of it until 2020-02-01;"):
        refuse_lost_start(READINGS.empty(), date(2020, 1, 1), date(2020, 2, 1))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2020-01-31T09:00:00.000+10:00", datetime(2020, 1, 30, 23, tzinfo=UTC)),
        ("2020-01-31T09:00:00Z", datetime(2020, 1, 31, 9, tzinfo=UTC)),
        ("2020-01-31T09:00-0330", datetime(2020, 1, 31, 12, 30, tzinfo=UTC)),
        ("2020-01-31T09:00:01.25+00:00", datetime(2020, 1, 31, 9, 0, 1, 250_000, tzinfo=UTC)),
    ],
)
def test_stamps_with_a_zone(text: str, instant: datetime) -> None:
    assert instants(pl.Series([text])).to_list() == [instant]


def test_a_stamp_without_a_zone_needs_a_default() -> None:
    text = pl.Series("t", ["2024-01-01T09:00:00"])
    assert instants(text, default_offset="+01:00").to_list() == [datetime(2024, 1, 1, 8, tzinfo=UTC)]
    with pytest.raises(SourceError, match="time '2024-01-01T09:00:00' is not a date with a time and a zone, such as"):
        instants(text)


@pytest.mark.parametrize(
    "text",
    [None, "", "x", "2024-01-01", "2024-02-30T00:00Z", "2024-01-01T24:00Z", "0000-01-01T00:00Z", "9999-01-01T00:00Z"],
)
def test_a_text_that_is_no_stamp(text: str | None) -> None:
    with pytest.raises(SourceError, match="is not a date with a time"):
        instants(pl.Series([text], dtype=pl.String), default_offset="+00:00")
