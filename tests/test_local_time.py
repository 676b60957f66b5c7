"""`forebay.dams.local_time`: local days and UTC instants agree both ways, clock changes included."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.dams.local_time import day_start, init_time, local_clock, local_date, to_local, to_utc, zone
from forebay.errors import ConfigError

CHANGING = ["America/Chicago", "America/Sao_Paulo", "America/Havana", "Australia/Lord_Howe", "Europe/Rome"]
"""Zones with a clock change at 02:00, at midnight, with a midnight that occurs twice, by half an hour, at 01:00 UTC."""
FIXED = ["+10:00", "-03:00", "+05:30", "-00:00", "UTC"]

zones = st.sampled_from(CHANGING + FIXED)
instants = st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)).map(lambda clock: clock.replace(tzinfo=UTC))
clocks = st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1))
days = st.dates(date(1990, 1, 1), date(2039, 12, 31))


def utc_of(clock: datetime, time_zone: str) -> datetime:
    instant = pl.select(to_utc(pl.lit(clock), time_zone)).item()
    assert isinstance(instant, datetime)
    return instant


def clock_of(instant: datetime, time_zone: str) -> datetime:
    clock = pl.select(to_local(pl.lit(instant), time_zone)).item()
    assert isinstance(clock, datetime)
    return clock


@given(instants, zones)
def test_local_times_convert_back_to_the_instant_or_to_the_earlier_of_two(
    instant: datetime, time_zone: str
) -> None:
    back = utc_of(clock_of(instant, time_zone), time_zone)
    assert clock_of(back, time_zone) == clock_of(instant, time_zone)
    assert timedelta(0) <= instant - back <= timedelta(hours=1)  # no zone of the test sets its clock back by more


@given(clocks, zones)
def test_tables_and_single_instants_agree_with_the_standard_library(clock: datetime, time_zone: str) -> None:
    assert utc_of(clock, time_zone) == clock.replace(tzinfo=zone(time_zone)).astimezone(UTC)


@given(instants, zones)
def test_an_instant_lies_in_its_local_day(instant: datetime, time_zone: str) -> None:
    day = local_date(instant, time_zone)
    assert day_start(day, time_zone) <= instant < init_time(day, time_zone)


@given(days, zones)
def test_days_follow_one_another_without_gap_or_overlap(day: date, time_zone: str) -> None:
    length = day_start(day + timedelta(days=1), time_zone) - day_start(day, time_zone)
    assert timedelta(hours=23) <= length <= timedelta(hours=25)
    assert init_time(day, time_zone) == day_start(day + timedelta(days=1), time_zone)
    assert local_date(init_time(day, time_zone) - timedelta(microseconds=1), time_zone) == day


@given(days, zones)
def test_a_day_starts_at_the_same_instant_in_a_table_and_alone(day: date, time_zone: str) -> None:
    assert utc_of(datetime.combine(day, time(0)), time_zone) == day_start(day, time_zone)


@pytest.mark.parametrize(
    ("day", "hours"),
    [(date(2021, 3, 13), 24), (date(2021, 3, 14), 23), (date(2021, 11, 7), 25), (date(2021, 11, 8), 24)],
)
def test_days_of_a_clock_change_have_23_and_25_hours(day: date, hours: int) -> None:
    assert init_time(day, "America/Chicago") - day_start(day, "America/Chicago") == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("clock", "instant"),
    [
        (datetime(2021, 3, 14, 1, 59), "2021-03-14T07:59Z"),
        (datetime(2021, 3, 14, 2, 30), "2021-03-14T08:30Z"),  # skipped: read with the offset before the change
        (datetime(2021, 3, 14, 3, 0), "2021-03-14T08:00Z"),
        (datetime(2021, 11, 7, 0, 59), "2021-11-07T05:59Z"),
        (datetime(2021, 11, 7, 1, 30), "2021-11-07T06:30Z"),  # occurs twice: the earlier
        (datetime(2021, 11, 7, 2, 0), "2021-11-07T08:00Z"),
    ],
)
def test_clock_times_around_a_change_have_an_instant(clock: datetime, instant: str) -> None:
    assert utc_of(clock, "America/Chicago") == datetime.fromisoformat(instant)


def test_a_midnight_that_does_not_exist_starts_its_day_an_hour_later_on_the_clock() -> None:
    first_of_summer = date(2018, 11, 4)  # São Paulo's clock went from 23:59:59 to 01:00:00
    start = day_start(first_of_summer, "America/Sao_Paulo")
    assert start == datetime(2018, 11, 4, 3, tzinfo=UTC)
    assert clock_of(start, "America/Sao_Paulo") == datetime(2018, 11, 4, 1)
    assert local_date(start - timedelta(seconds=1), "America/Sao_Paulo") == date(2018, 11, 3)
    assert init_time(first_of_summer, "America/Sao_Paulo") - start == timedelta(hours=23)


def test_a_day_with_a_repeated_hour_before_midnight_has_25_hours() -> None:
    last_of_summer = date(2018, 2, 17)  # at 24:00 the clock went back to 23:00 of the same day
    length = init_time(last_of_summer, "America/Sao_Paulo") - day_start(last_of_summer, "America/Sao_Paulo")
    assert length == timedelta(hours=25)


def test_fixed_offsets_have_no_clock_changes() -> None:
    assert day_start(date(2021, 3, 14), "-06:00", time(2, 30)) == datetime(2021, 3, 14, 8, 30, tzinfo=UTC)
    assert clock_of(datetime(2021, 7, 1, tzinfo=UTC), "+05:30") == datetime(2021, 7, 1, 5, 30)


def test_an_instant_has_a_clock_time() -> None:
    summer = datetime(2024, 7, 1, 19, tzinfo=UTC)
    assert local_clock(summer, "America/Los_Angeles") == datetime(2024, 7, 1, 12)
    assert local_clock(summer, "-08:00") == datetime(2024, 7, 1, 11)


def test_a_rain_day_starts_at_nine_on_the_clock() -> None:
    assert day_start(date(2020, 2, 9), "+10:00", time(9)) == datetime(2020, 2, 8, 23, tzinfo=UTC)
    winter, summer = (day_start(day, "Europe/Rome", time(9)).hour for day in (date(2021, 1, 1), date(2021, 7, 1)))
    assert (winter, summer) == (8, 7)


def test_missing_times_stay_missing() -> None:
    frame = pl.DataFrame({"clock": [None, datetime(2021, 3, 14, 2, 30)]}, schema={"clock": pl.Datetime("us")})
    for time_zone in ("America/Chicago", "+10:00"):
        assert frame.select(to_utc(pl.col("clock"), time_zone))["clock"].is_null().to_list() == [True, False]


def test_dates_are_read_as_their_midnights() -> None:
    frame = pl.DataFrame({"day": [date(2020, 1, 2)]})
    assert frame.select(to_utc(pl.col("day"), "+10:00"))["day"].item() == datetime(2020, 1, 1, 14, tzinfo=UTC)


@pytest.mark.parametrize("name", ["+14:00", "-12:00", "Australia/Sydney", "UTC"])
def test_existing_zones_are_accepted(name: str) -> None:
    assert zone(name) is zone(name)


@pytest.mark.parametrize(
    "name",
    ["+15:00", "+10:60", "+1:00", "10:00", "", "Mars/Base", "Australia", "../etc/passwd", "localtime", "+10:00\n"],
)
def test_an_unknown_zone_is_named_with_the_allowed_zones(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        zone(name)
    assert str(caught.value).startswith(f"time zone {name!r} is unknown; give a fixed offset like '+10:00' or an IANA")


def test_zones_with_clock_changes_are_iana_zones() -> None:
    assert all(isinstance(zone(name), ZoneInfo) for name in CHANGING)
