"""Rain, temperature and reference evaporation of a reanalysis as gauges: the mean over points of a catchment.

The hourly values are requested for every gauge, also for a daily one. The service's own daily totals are sums of the
hours that begin and end an hour before the day, and its days are not those of the dam.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.local_time import day_start, local_clock
from forebay.dams.weather import Point, parse_points
from forebay.errors import ConfigError, SourceError
from forebay.sources.gauge_fetch import Period, day_parts, readings_in_period, station_errors
from forebay.sources.hours import HOUR, day_values, is_hourly
from forebay.sources.open_meteo.parse import check_zone, parse_series
from forebay.sources.open_meteo.request import PARAMETERS, TOTALS, make_request
from forebay.sources.points import POINTS, readings_of_points
from forebay.sources.request import PlannedRequest, Request
from forebay.sources.request_counts import count_requests
from forebay.sources.transport import open_transport
from forebay.sources.units import one_unit
from forebay.tables import INSTANT, READINGS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.settings import HttpSettings, Settings

FIRST_DAYS = {"era5_land": date(1950, 1, 1), "ecmwf_ifs": date(2017, 1, 1)}
"""Model → first day of its record, where that is later than `FIRST_DAY`."""

FIRST_DAY = date(1940, 1, 1)
"""First day of the reanalysis ERA5."""

_DAY = timedelta(days=1)


def fetch_readings(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> pl.DataFrame:
    """Readings of a gauge of Open-Meteo's archive; see `forebay.sources.Fetch`.

    An hour without a value is no reading, and neither is a day with such an hour: the newest days have none yet.
    """
    gauge = gauge.in_time_zone(dam.time_zone)
    points = gauge_points(gauge)
    limits, period = settings.http_for(gauge.source), Period(since, until, now)
    names = (_parameter(gauge), dict(gauge.request).get("model", ""))
    with station_errors(gauge), open_transport(limits) as plain_send:
        send = count_requests(plain_send, gauge.source, settings, lambda: now)
        spans = day_parts(*_span(gauge, period), _part_days(len(points), limits))
        parts = [_hours(send(_request(gauge, points, span, settings)), names, span) for span in spans]
        if not parts:
            return READINGS.empty()
        hours = pl.concat([part for part, _ in parts])
        unit = one_unit([unit for _, unit in parts], gauge)
        readings = readings_of_points(_intervals(hours, gauge), gauge, unit)
    return readings_in_period(readings, gauge, period)


def plan_requests(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> list[PlannedRequest]:
    """The requests that `fetch_readings` would send; see `forebay.sources.Plan`."""
    gauge = gauge.in_time_zone(dam.time_zone)
    points = gauge_points(gauge)
    planned = []
    days = _part_days(len(points), settings.http_for(gauge.source))
    for span in day_parts(*_span(gauge, Period(since, until, now)), days):
        host = _request(gauge, points, span, settings).host
        hours = (datetime.combine(day, time(hour), UTC) for day, hour in zip(span, (0, 23), strict=True))
        first, last = (local_clock(hour, dam.time_zone) for hour in hours)
        planned.append(PlannedRequest(host, f"hourly {_parameter(gauge)}", first, last))
    return planned


def gauge_points(gauge: Gauge) -> tuple[Point, ...]:
    """The points of a gauge: of `request.points` or, without it, of its station.

    Raises
    ------
    ConfigError
        If they cannot be read, or the service does not have what the gauge describes.
    """
    request = dict(gauge.request)
    where = f"gauge {gauge.station}"
    try:
        points = parse_points(request.get("points", gauge.station))
    except ConfigError as error:
        key = "request.points" if "points" in request else "station"
        raise ConfigError(f"{where}: {key}: {error}") from None
    if "variable" not in request and gauge.variable not in PARAMETERS:
        raise ConfigError(
            f"{where}: {gauge.variable} has no default variable of Open-Meteo (only {', '.join(PARAMETERS)} have one); "
            "set request.variable in the dam file"
        )
    expected = "total" if _is_total(gauge) else "mean"
    if gauge.reading != expected or gauge.interval not in ("day", "hour") or gauge.stamp != "start":
        raise ConfigError(
            f'{where}: a gauge of Open-Meteo has reading = "{expected}", stamp = "start" and interval = "day" or '
            f'"hour"; this one has {gauge.reading!r}, {gauge.stamp!r} and {gauge.interval!r}'
        )
    return points


def _is_total(gauge: Gauge) -> bool:
    return gauge.variable in TOTALS


def _parameter(gauge: Gauge) -> str:
    return dict(gauge.request).get("variable") or PARAMETERS[gauge.variable]


def _span(gauge: Gauge, period: Period) -> tuple[date, date]:
    """First and last day (UTC) to request: those of the hours of the gauge's days, until now."""
    record = FIRST_DAYS.get(dict(gauge.request).get("model", ""), FIRST_DAY)
    today = period.now.astimezone(UTC).date()
    first = record
    if period.since is not None:
        first = max(record, day_start(max(period.since, record) - _DAY, gauge.time_zone, gauge.day_start).date())
    last = day_start(min(period.until, today + _DAY) + _DAY, gauge.time_zone, gauge.day_start).date()
    return first, min(last, today)


def _part_days(points: int, limits: HttpSettings) -> int:
    """Days of one part, each with 24 hours of every point."""
    return max(1, min(limits.days_per_request, limits.points_per_request // (24 * points)))


def _request(gauge: Gauge, points: tuple[Point, ...], span: tuple[date, date], settings: Settings) -> Request:
    parameters = {"start_date": span[0].isoformat(), "end_date": span[1].isoformat(), "hourly": _parameter(gauge)}
    model = dict(gauge.request).get("model")
    return make_request(
        gauge.source, "", points, parameters | ({"models": model} if model else {}), settings=settings
    )


def _hours(answer: bytes, names: tuple[str, str], span: tuple[date, date]) -> tuple[pl.DataFrame, str]:
    """time (UTC) and value of each hour of `span`, the mean over the points, and the unit; null where one has none.

    Parameters
    ----------
    names
        The service's names of the variable and of the model.
    """
    check_zone(answer)
    series = parse_series(answer, *names)
    first, last = datetime.combine(span[0], time(0)), datetime.combine(span[1], time(23))
    for (point,), hours in series.group_by("point", maintain_order=True):
        if not is_hourly(hours["time"], first, last):
            raise SourceError(
                f"the answer does not have each hour from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} for point "
                f"{int(str(point)) + 1}; try again later"
            )
    units = series["unit"].unique().to_list()
    if len(units) != 1:
        raise SourceError(f"the answer has the units {', '.join(sorted(units))} for one variable; try again later")
    complete = pl.col("value").null_count() == 0
    hours = series.group_by("time", maintain_order=True).agg(
        pl.when(complete).then(pl.col("value").mean()).alias("value")
    )
    return hours.with_columns(pl.col("time").dt.replace_time_zone("UTC")), units[0]


def _intervals(hours: pl.DataFrame, gauge: Gauge) -> pl.DataFrame:
    """The gauge's intervals that have a value in each hour, as `POINTS`."""
    if gauge.interval == "day":
        values = day_values(hours, gauge.time_zone, is_sum=_is_total(gauge), day_start=gauge.day_start)
    else:
        start = pl.col("time") - (HOUR if _is_total(gauge) else timedelta(0))
        values = hours.select(start.alias("start"), pl.col("value").round(6)).drop_nulls()
    return values.select(
        pl.col("start").cast(INSTANT).alias("time"),
        pl.col("value").cast(pl.String).alias("raw_value"),
        pl.lit(None, POINTS["quality_code"]).alias("quality_code"),
    )
