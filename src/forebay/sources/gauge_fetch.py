"""Steps that the fetch of every service shares: its days, its requests, its errors, and the readings of its days."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.local_time import local_date, to_local, to_utc
from forebay.dams.variables import DAY_S
from forebay.errors import SourceError
from forebay.tables import INSTANT, READINGS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.settings import HttpSettings

CLOCK_TOLERANCE_S = 5400
"""Seconds that the start of a day's interval may differ from the gauge's `day_start`: a clock change, and half an hour
between the zones of the dam and of the station."""


@dataclass(frozen=True)
class Period:
    """Local days of a fetch, and its instant; without `since` it starts with the record."""

    since: date | None
    until: date
    now: datetime


@contextmanager
def station_errors(gauge: Gauge) -> Iterator[None]:
    """Adds the source and the station to the text of each `SourceError`."""
    try:
        yield
    except SourceError as error:
        where = f"{gauge.source}, station {gauge.station}"
        raise SourceError(f"{where}: {error}", retryable=error.retryable, retry_after=error.retry_after) from error


def last_day(dam: Dam, period: Period) -> date:
    """The last local day that can have readings: `until`, or the day of `now`."""
    return min(period.until, local_date(period.now, dam.time_zone))


def days_per_request(gauge: Gauge, limits: HttpSettings) -> int:
    """Days of one request, within the points and days that `limits` allow; at least 1."""
    points = limits.points_per_request * (gauge.interval_s or DAY_S) // DAY_S
    return max(1, min(limits.days_per_request, points))


def day_parts(first: date, last: date, days: int) -> Iterator[tuple[date, date]]:
    """First and last day of each part of `first` … `last` with at most `days` days.

    >>> [f"{start:%d}-{end:%d}" for start, end in day_parts(date(2020, 1, 1), date(2020, 1, 5), 2)]
    ['01-02', '03-04', '05-05']
    """
    while first <= last:
        end = min(last, first + timedelta(days=days - 1))
        yield first, end
        first = end + timedelta(days=1)


def readings_of_days(readings: pl.DataFrame, gauge: Gauge, dam: Dam, period: Period) -> pl.DataFrame:
    """The readings (`tables.READINGS`) of the period's days, without intervals that have not ended by `now`.

    The start of a daily interval may be up to `CLOCK_TOLERANCE_S` before the gauge's `day_start`, where the service's
    clock differs from the dam's. It then becomes the day's start, so that it belongs to the right day. Of the
    instantaneous readings of a day, that closest to `gauge.reading_at` counts.

    Raises
    ------
    SourceError
        If the intervals do not fit the gauge's `interval`, `day_start` or `reading_at`.
    """
    if gauge.interval == "day":
        align = _at_clock if gauge.reading == "instantaneous" else _from_day_start
        readings = align(readings, gauge, dam.time_zone)
    elif gauge.table_interval:
        _refuse_short_intervals(readings, gauge)
    day = gauge.local_day(dam.time_zone)
    first = period.since or date.min
    has_ended = pl.col("time") + timedelta(seconds=gauge.table_interval) <= period.now
    return READINGS.check(readings.filter(day.is_between(first, period.until) & has_ended), unique=True)


def refuse_lost_start(readings: pl.DataFrame, first: date, last: date) -> None:
    """Raise if an answer has nothing of a record's start, `first`, until `last`.

    Later fetches continue from the first stored reading, so that these days would be lost.
    """
    if readings.is_empty():
        raise SourceError(
            f"the service lists a record from {first} on but sent no reading of it until {last}; nothing was "
            "stored, so that these days are not lost: try again later or, if the error persists, start on a later day "
            "(--since)",
            retryable=True,
        )


def within_part(period: Period, first: date, last: date) -> Period:
    """The part `first` … `last` of the period."""
    return replace(period, since=first, until=last)


def _clock_difference_s(at: int, time_zone: str) -> pl.Expr:
    """Seconds from the clock time `at` (seconds of the day) to the local time of `time`: −43,200 … 43,199."""
    local = to_local(pl.col("time"), time_zone)
    clock = local.dt.hour().cast(pl.Int64) * 3600 + local.dt.minute().cast(pl.Int64) * 60 + local.dt.second()
    return (clock - at + DAY_S // 2) % DAY_S - DAY_S // 2


def _from_day_start(readings: pl.DataFrame, gauge: Gauge, time_zone: str) -> pl.DataFrame:
    at = gauge.day_start.hour * 3600 + gauge.day_start.minute * 60 + gauge.day_start.second
    difference = _clock_difference_s(at, time_zone)
    wrong = readings.filter(difference.abs() > CLOCK_TOLERANCE_S)
    if len(wrong):
        clock = wrong.select(to_local(pl.col("time"), time_zone)).item(0, 0)
        raise SourceError(
            f"the answer has a day that starts at {clock:%Y-%m-%d %H:%M} in the dam's time zone {time_zone}, but the "
            f"gauge's days start at {gauge.day_start:%H:%M}; correct day_start or stamp in the dam file"
        )
    _refuse_short_intervals(readings, gauge)
    local = to_local(pl.col("time"), time_zone)
    day_start = to_utc(local + pl.duration(seconds=-difference), time_zone)
    return readings.with_columns(pl.when(difference < 0).then(day_start).otherwise("time").cast(INSTANT).alias("time"))


def _at_clock(readings: pl.DataFrame, gauge: Gauge, time_zone: str) -> pl.DataFrame:
    clock = gauge.reading_at
    assert clock is not None, "a daily instantaneous gauge has a reading_at"
    difference = _clock_difference_s(clock.hour * 3600 + clock.minute * 60 + clock.second, time_zone)
    close = (
        readings.filter(difference.abs() <= CLOCK_TOLERANCE_S)
        .sort(difference.abs(), "time")
        .unique(to_local(pl.col("time"), time_zone).dt.date(), keep="first", maintain_order=True)
        .sort("time")
    )
    if len(readings) and close.is_empty():
        raise SourceError(
            f"the answer has no reading at {clock:%H:%M} ({time_zone}) or close to it, only from "
            f"{readings['time'].sort()[0]:%Y-%m-%d %H:%M} UTC on; correct reading_at in the dam file"
        )
    return close


def _refuse_short_intervals(readings: pl.DataFrame, gauge: Gauge) -> None:
    step = timedelta(seconds=gauge.interval_s or 0)
    tolerance = timedelta(seconds=CLOCK_TOLERANCE_S if gauge.interval == "day" else 0)
    close = readings.sort("time").filter(pl.col("time").diff() < step - tolerance)
    if len(close):
        raise SourceError(
            f"the answer's times are closer than the gauge's interval {gauge.interval!r}, first at "
            f"{close['time'][0]:%Y-%m-%d %H:%M} UTC; set the gauge's interval, or request another series"
        )
