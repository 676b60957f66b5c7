"""Rain, temperature and reference evaporation of a reanalysis as gauges: the mean over points of a catchment.

The hourly values are requested for every gauge, also for a daily one. The service's own daily totals are sums of the
hours that begin and end an hour before the day, and its days are not those of the dam.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.local_time import day_start, to_local
from forebay.dams.weather import Point, parse_points
from forebay.errors import ConfigError, SourceError
from forebay.sources.hours import HOUR, day_values, is_hourly
from forebay.sources.open_meteo.parse import check_zone, parse_series
from forebay.sources.open_meteo.request import PARAMETERS, TOTALS, make_request
from forebay.sources.points import POINTS, readings_of_points
from forebay.sources.transport import PlannedRequest, Request, open_transport
from forebay.sources.units import gauge_unit
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
    points = gauge_points(gauge)
    limits = settings.http_for(gauge.source)
    spans = list(_calls(_span(gauge, dam, since, until, now), len(points), limits))
    names = (_parameter(gauge), dict(gauge.request).get("model", ""))
    with open_transport(limits) as send:
        try:
            answers = ((send(_request(gauge, points, span, settings)), span) for span in spans)
            parts = [_hours(answer, names, span) for answer, span in answers]
        except SourceError as error:
            where = f"{gauge.source}, station {gauge.station}"
            raise SourceError(f"{where}: {error}", retryable=error.retryable, retry_after=error.retry_after) from error
    units = {unit for _, unit in parts}
    if len(units) > 1:
        names_of_units = " to ".join(sorted(units))
        raise SourceError(f"{gauge.source}, station {gauge.station}: the unit changes from {names_of_units}")
    if not parts:
        return READINGS.empty()
    hours = pl.concat([part for part, _ in parts])
    stamped = _intervals(hours, gauge, dam, now)
    readings = readings_of_points(stamped, gauge, gauge_unit(units.pop(), gauge))
    day = gauge.local_day(dam.time_zone)
    return READINGS.check(readings.filter(day.is_between(since or date.min, until)), unique=True)


def plan_requests(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> list[PlannedRequest]:
    """The requests that `fetch_readings` would send; see `forebay.sources.Plan`."""
    points = gauge_points(gauge)
    planned = []
    for first, last in _calls(_span(gauge, dam, since, until, now), len(points), settings.http_for(gauge.source)):
        host = _request(gauge, points, (first, last), settings).host
        bounds = (datetime.combine(first, time(0), UTC), datetime.combine(last, time(23), UTC))
        times = pl.DataFrame({"time": pl.Series(bounds, dtype=INSTANT)})
        local = times.select(to_local(pl.col("time"), dam.time_zone))["time"]
        planned.append(PlannedRequest(host, f"hourly {_parameter(gauge)}", local[0], local[1]))
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


def _span(gauge: Gauge, dam: Dam, since: date | None, until: date, now: datetime) -> tuple[date, date]:
    """First and last day (UTC) to request: those of the hours of the gauge's days, until now."""
    record = FIRST_DAYS.get(dict(gauge.request).get("model", ""), FIRST_DAY)
    first = record
    if since is not None:
        first = max(record, day_start(max(since, record) - _DAY, dam.time_zone, gauge.day_start).date())
    last = day_start(min(until, now.date() + _DAY) + _DAY, dam.time_zone, gauge.day_start).date()
    return first, min(last, now.astimezone(UTC).date())


def _calls(span: tuple[date, date], points: int, limits: HttpSettings) -> Iterator[tuple[date, date]]:
    """First and last day of each request."""
    first, last = span
    days = max(1, min(limits.days_per_request, limits.points_per_request // (24 * points)))
    while first <= last:
        end = min(last, first + (days - 1) * _DAY)
        yield first, end
        first = end + _DAY


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


def _intervals(hours: pl.DataFrame, gauge: Gauge, dam: Dam, now: datetime) -> pl.DataFrame:
    """The gauge's intervals that have ended by `now` and have a value in each hour, as `POINTS`."""
    if gauge.interval == "day":
        days = day_values(hours, dam.time_zone, is_sum=_is_total(gauge), day_start=gauge.day_start)
    else:
        start = pl.col("time") - (HOUR if _is_total(gauge) else timedelta(0))
        days = hours.select(start.alias("start"), (start + HOUR).alias("end"), pl.col("value").round(6)).drop_nulls()
    ended = days.filter(pl.col("end") <= now)
    return ended.select(
        pl.col("start").cast(INSTANT).alias("time"),
        pl.col("value").cast(pl.String).alias("raw_value"),
        pl.lit(None, POINTS["quality_code"]).alias("quality_code"),
    )
