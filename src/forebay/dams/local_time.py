"""Conversion between station-local days and UTC instants, for fixed offsets and for zones with clock changes.

A dam's `time_zone` is a fixed offset ("+10:00") or an IANA name ("America/Chicago").
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from forebay.errors import ConfigError

_OFFSET = re.compile(r"([+-])(\d{2}):(\d{2})")


@lru_cache(maxsize=64)
def zone(name: str) -> tzinfo:
    """The time zone named `name`.

    >>> zone("+10:00").utcoffset(None)
    datetime.timedelta(seconds=36000)
    """
    if match := _OFFSET.fullmatch(name):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        if offset <= timedelta(hours=14) and int(match[3]) < 60:
            return timezone(offset if match[1] == "+" else -offset)
    try:
        pl.select(pl.lit(datetime(2000, 1, 1)).dt.replace_time_zone(name))  # polars knows slightly fewer
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, pl.exceptions.ComputeError):
        raise ConfigError(
            f"time zone {name!r} is unknown; give a fixed offset like '+10:00' or an IANA name like 'Australia/Sydney'"
        ) from None


def to_utc(local: pl.Expr, time_zone: str) -> pl.Expr:
    """Station-local naive datetimes as UTC instants.

    Of two equal clock times the earlier counts. A clock time that a change skips has the offset of the time before the
    change (PEP 495, fold 0), as in `day_start`.
    """
    station_zone = zone(time_zone)
    local = local.cast(pl.Datetime("us"))
    if not isinstance(station_zone, ZoneInfo):
        return (local - station_zone.utcoffset(None)).dt.replace_time_zone("UTC")

    def instant(clock: pl.Expr) -> pl.Expr:
        zoned = clock.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
        return zoned.dt.convert_time_zone("UTC")

    day = timedelta(days=1)
    return instant(local).fill_null(instant(local - day) + day)


def to_local(instant: pl.Expr, time_zone: str) -> pl.Expr:
    """UTC instants as station-local naive datetimes."""
    station_zone = zone(time_zone)
    if isinstance(station_zone, ZoneInfo):
        return instant.dt.convert_time_zone(time_zone).dt.replace_time_zone(None)
    return instant.dt.replace_time_zone(None) + station_zone.utcoffset(None)


def day_start(day: date, time_zone: str, at: time = time(0)) -> datetime:
    """UTC instant of the start of local day `day`, or of its clock time `at`.

    >>> day_start(date(2020, 1, 2), "+10:00")
    datetime.datetime(2020, 1, 1, 14, 0, tzinfo=datetime.timezone.utc)
    """
    return datetime.combine(day, at, zone(time_zone)).astimezone(UTC)


def init_time(init_date: date, time_zone: str) -> datetime:
    """UTC instant of the end of local day `init_date`: a forecast may use everything that is known by then.

    >>> init_time(date(2020, 1, 1), "+10:00")
    datetime.datetime(2020, 1, 1, 14, 0, tzinfo=datetime.timezone.utc)
    """
    return day_start(init_date + timedelta(days=1), time_zone)


def local_clock(instant: datetime, time_zone: str) -> datetime:
    """Station-local naive datetime of `instant`.

    >>> local_clock(datetime(2024, 7, 1, 19, tzinfo=UTC), "America/Los_Angeles")
    datetime.datetime(2024, 7, 1, 12, 0)
    """
    return instant.astimezone(zone(time_zone)).replace(tzinfo=None)


def local_date(instant: datetime, time_zone: str) -> date:
    """Station-local day of `instant`."""
    return local_clock(instant, time_zone).date()
