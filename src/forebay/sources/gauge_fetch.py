"""Steps that the fetch of every service shares: its days, the parts of its requests, and the readings of its days.

A service that takes days has `day_parts`; a service that takes instants has `instants_to_request` and `instant_parts`.
What an answer has beyond the days is cut off on the readings, by `readings_in_period` or `readings_of_days`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.local_time import day_start, local_clock, local_date, to_local, to_utc
from forebay.dams.variables import DAY_S
from forebay.errors import SourceError
from forebay.sources.answers import errors_at
from forebay.sources.points import day_starts
from forebay.sources.request import PlannedRequest
from forebay.tables import INSTANT, READINGS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.settings import HttpSettings

CLOCK_TOLERANCE_S = 5400
"""Seconds that the start of a day's interval may differ from the gauge's `day_start`: a clock change, and half an hour
between the zones of the dam and of the station."""

Instants = tuple[datetime, datetime]
"""First and last instant (UTC), both included."""


@dataclass(frozen=True)
class Period:
    """Local days of a fetch, and its instant; without `since` it starts with the record."""

    since: date | None
    until: date
    now: datetime


def station_errors(gauge: Gauge) -> AbstractContextManager[None]:
    """Adds the source and the station to the text of each `SourceError`."""
    return errors_at(f"{gauge.source}, station {gauge.station}")


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


def planned_days(host: str, asks: str, first: date | None, last: date, days: int) -> list[PlannedRequest]:
    """Requests for `first` … `last` in parts of `days` days; without `first`, one that stands for the whole record."""
    if first is None:
        text = f"{asks} from the record's start, {days} days each"
        return [PlannedRequest(host, text, None, datetime.combine(last, time(0)))]
    midnights = (tuple(datetime.combine(day, time(0)) for day in part) for part in day_parts(first, last, days))
    return [PlannedRequest(host, asks, start, end) for start, end in midnights]


def instants_to_request(period: Period, gauge: Gauge, record_start: datetime) -> Instants:
    """First and last instant (UTC) whose readings may belong to the days of the period.

    They extend a day beyond both ends, because the local day of an interval is determined on the readings. Nothing is
    requested from before the start of the record, or after `now`.
    """
    first = record_start
    if period.since is not None and period.since > date.min + timedelta(days=2):
        first = max(first, day_start(period.since - timedelta(days=1), gauge.time_zone))
    last = day_start(period.until + timedelta(days=2), gauge.time_zone)
    return first.astimezone(UTC), min(last, period.now).astimezone(UTC)


def instant_parts(span: Instants, gauge: Gauge, limits: HttpSettings) -> Iterator[Instants]:
    """First and last instant of each request, within the points and days that `limits` allow.

    The last instant of a part is the first one of the next part, so that no reading is between them.
    """
    first, last = span
    step = gauge.interval_s or DAY_S
    seconds = min((limits.points_per_request - 1) * step, limits.days_per_request * DAY_S)
    length = timedelta(seconds=max(seconds, step))
    while first <= last:
        end = min(last, first + length)
        yield first, end
        if end == last:
            return
        first = end


def planned_instants(
    host: str, asks: str, span: Instants, gauge: Gauge, limits: HttpSettings
) -> list[PlannedRequest]:
    """Requests for the parts of `span`, on the dam's clock."""
    clocks = (tuple(local_clock(end, gauge.time_zone) for end in part) for part in instant_parts(span, gauge, limits))
    return [PlannedRequest(host, asks, first, last) for first, last in clocks]


def readings_in_period(readings: pl.DataFrame, gauge: Gauge, period: Period) -> pl.DataFrame:
    """The readings (`tables.READINGS`) of the period's days, without intervals that have not ended by `now`.

    An interval that has not ended has no final mean or total. Values that begin after `now` stay: the clock of the
    service or of this machine is wrong, and `archive.source_readings` leaves them out with a line.

    Parameters
    ----------
    gauge
        A gauge of its dam (`Gauge.in_time_zone`).
    """
    end = pl.col("time") + timedelta(seconds=gauge.table_interval)
    if gauge.interval == "day" and gauge.table_interval:  # a local day may have 23 or 25 hours
        day = to_local(pl.col("time"), gauge.time_zone).dt.date()
        end = pl.col("time") + (day_starts(day + timedelta(days=1), gauge) - day_starts(day, gauge))
    local_day = gauge.local_day(gauge.time_zone)
    past = readings.filter(local_day.is_between(period.since or date.min, period.until), end <= period.now)
    is_future = (pl.col("time") > period.now) & pl.col("value").is_not_null()
    future = readings.filter(is_future, local_day >= (period.since or date.min)).unique("time", keep="first")
    return READINGS.check(pl.concat([past, future.sort("time")]), unique=True)


def readings_of_days(readings: pl.DataFrame, gauge: Gauge, dam: Dam, period: Period) -> pl.DataFrame:
    """`readings_in_period` of a service whose days may start by another clock than those of the dam.

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
    return readings_in_period(readings, gauge.in_time_zone(dam.time_zone), period)


def refuse_lost_start(readings: pl.DataFrame, first: date | str, last: date) -> None:
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
