"""Days of a fetch as instants: what to request, in which parts, and which readings belong to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.local_time import day_start, to_local
from forebay.dams.variables import DAY_S
from forebay.sources.points import day_starts

if TYPE_CHECKING:
    from forebay.dams.gauge import Gauge
    from forebay.settings import HttpSettings
    from forebay.sources.gauge_fetch import Period

Bounds = tuple[datetime, datetime]
"""First and last instant (UTC), both included."""


def instants_to_request(period: Period, gauge: Gauge, record_start: datetime) -> Bounds:
    """First and last instant (UTC) whose readings may belong to the days of the period.

    They extend a day beyond both ends, because the local day of an interval is determined on the readings. Nothing is
    requested from before the start of the record, or after `now`.
    """
    first = record_start
    if period.since is not None and period.since > date.min + timedelta(days=2):
        first = max(first, day_start(period.since - timedelta(days=1), gauge.time_zone))
    last = day_start(period.until + timedelta(days=2), gauge.time_zone)
    return first.astimezone(UTC), min(last, period.now).astimezone(UTC)


def request_parts(bounds: Bounds, gauge: Gauge, limits: HttpSettings) -> Iterator[Bounds]:
    """First and last instant of each request, within the points and days that `limits` allow.

    The last instant of a part is the first one of the next part, so that no reading is between them.
    """
    first, last = bounds
    step = gauge.interval_s or DAY_S
    seconds = min((limits.points_per_request - 1) * step, limits.days_per_request * DAY_S)
    length = timedelta(seconds=max(seconds, step))
    while first <= last:
        end = min(last, first + length)
        yield first, end
        if end == last:
            return
        first = end


def readings_in_period(readings: pl.DataFrame, gauge: Gauge, period: Period) -> pl.DataFrame:
    """The readings whose local day lies in the period, and whose interval has ended by `now`."""
    day = gauge.local_day(gauge.time_zone)
    if gauge.table_interval == 0:
        end = pl.col("time")
    elif gauge.interval == "day":
        end = day_starts(to_local(pl.col("time"), gauge.time_zone).dt.date() + timedelta(days=1), gauge)
    else:
        end = pl.col("time") + timedelta(seconds=gauge.table_interval)
    return readings.filter(day.is_between(period.since or date.min, period.until) & (end <= period.now))


def local_clock(instant: datetime, gauge: Gauge) -> datetime:
    """The instant on the dam's clock, for a plan."""
    local = pl.select(to_local(pl.lit(instant.astimezone(UTC)), gauge.time_zone)).item()
    assert isinstance(local, datetime)
    return local


def start_of_day(day: date) -> datetime:
    """00:00 UTC of a date."""
    return datetime.combine(day, time(0), UTC)
