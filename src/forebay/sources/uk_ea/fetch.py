"""Readings of one gauge from a service of the Environment Agency: its measure first, then the readings in pages.

The hydrology archive takes a first and a last day. Flood monitoring keeps about four weeks and takes a start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import polars as pl

from forebay.dams.local_time import local_date
from forebay.errors import ConfigError, SourceError
from forebay.services import service_named
from forebay.sources.datums import check_unit_datum
from forebay.sources.gauge_fetch import (
    Period,
    day_parts,
    days_per_request,
    last_day,
    planned_days,
    readings_of_days,
    refuse_lost_start,
    station_errors,
    within_part,
)
from forebay.sources.points import readings_of_points
from forebay.sources.request import PlannedRequest, Request, Send
from forebay.sources.transport import open_transport
from forebay.sources.uk_ea.parse import page_of, parse_measures, parse_readings, text_of
from forebay.sources.units import gauge_unit
from forebay.tables import READINGS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.settings import HttpSettings, Settings

Call = Callable[[str, Mapping[str, str]], bytes]
"""A service: path below its URL and query of a call → the answer."""

HYDROLOGY = "hydrology"
PARAMETERS = {
    "rainfall": "rainfall",
    "stream_level": "level",
    "reservoir_level": "level",
    "discharge": "flow",
    "inflow": "flow",
    "release": "flow",
}
"""The service's parameter of each variable."""
RECENT_DAYS = 60
"""Days to request from flood monitoring at most; it keeps about four weeks."""
MAX_PAGES = 200
"""Pages of one request, of `points_per_request` readings each."""

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def fetch_readings(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> pl.DataFrame:
    """Readings of a gauge of the Environment Agency; see `forebay.sources.Fetch`."""
    limits = settings.http_for(gauge.source)
    with open_transport(limits) as send:
        call = call_to(send, settings.sources[gauge.source].url)
        return fetch_by_calls(call, gauge, dam, Period(since, until, now), limits=limits)


def plan_requests(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> list[PlannedRequest]:
    """The requests that `fetch_readings` would send, without further pages; see `forebay.sources.Plan`."""
    _station(gauge)
    limits = settings.http_for(gauge.source)
    host = Request(settings.sources[gauge.source].url).host
    period = Period(since, until, now)
    days, last = _part_days(gauge, limits), last_day(dam, period)
    plan = [PlannedRequest(host, "id/measures", None, None)]
    first = since if _is_archive(gauge) else _first_recent_day(dam, period)
    if first is None:
        plan.append(PlannedRequest(host, "first reading", None, None))
    return [*plan, *planned_days(host, "readings", first, last, days)]


def call_to(send: Send, url: str) -> Call:
    """Calls of the service at `url`."""

    def call(path: str, query: Mapping[str, str]) -> bytes:
        address = f"{url.rstrip('/')}/{path}"
        return send(Request(f"{address}?{urlencode(query)}" if query else address, check=page_of, error_of=_error_of))

    return call


def _error_of(status: int, body: bytes) -> SourceError | None:
    if status != 404:
        return None
    return SourceError(
        "the service does not know the requested station or measure (status 404); check the gauge's station and "
        "request.measure in the dam file, and the service's URL in the settings"
    )


def fetch_by_calls(call: Call, gauge: Gauge, dam: Dam, period: Period, *, limits: HttpSettings) -> pl.DataFrame:
    """The readings that `fetch_readings` returns, with any `call` as the service."""
    query = _measures_query(gauge)
    with station_errors(gauge):
        measures = parse_measures(call("id/measures", query))
        if measures.is_empty():
            raise _unknown_station(call, gauge)
        measure, unit_text = _measure(measures, gauge)
        check_unit_datum(unit_text, gauge, dam)
        unit = gauge_unit(unit_text, gauge)
        path = f"id/measures/{quote(measure, safe='')}/readings"
        first, last = _first_day(call, path, measure, gauge, dam, period), last_day(dam, period)
        parts = [READINGS.empty()]
        days = _part_days(gauge, limits)
        for start, end in day_parts(first or last + timedelta(days=1), last, days):
            pages = _pages(call, path, _span(gauge, start, end), limits.points_per_request)
            points = pl.concat([parse_readings(page, measure) for page in pages])
            readings = readings_of_points(points, gauge, unit)
            if period.since is None and _is_archive(gauge) and start == first:
                refuse_lost_start(readings, start, end)
            parts.append(readings_of_days(readings, gauge, dam, within_part(period, start, end)))
    return READINGS.check(pl.concat(parts), unique=True)


def _is_archive(gauge: Gauge) -> bool:
    return service_named(gauge.source).options["api"] == HYDROLOGY


def _part_days(gauge: Gauge, limits: HttpSettings) -> int:
    """Days of one part. The archive's request adds a day at each end; flood monitoring takes a start only: one part."""
    return max(1, days_per_request(gauge, limits) - 2) if _is_archive(gauge) else RECENT_DAYS + 1


def _station(gauge: Gauge) -> str:
    """The service's name of the gauge's station.

    Raises
    ------
    ConfigError
        If neither the gauge's station nor its measure has one.
    """
    if not _is_archive(gauge):
        return gauge.station
    for text in (dict(gauge.request).get("measure", ""), gauge.station):
        if guid := _GUID.match(text):
            return guid[0]
    raise ConfigError(
        f"gauge {gauge.station}: the hydrology archive names stations by ids such as "
        "3c5cba29-2321-4289-a1fd-c355e135f4cb; give the gauge's station or request.measure so in the dam file"
    )


def _measures_query(gauge: Gauge) -> dict[str, str]:
    return {"station" if _is_archive(gauge) else "stationReference": _station(gauge)}


def _unknown_station(call: Call, gauge: Gauge) -> SourceError:
    """The error of a station without measures, with the date on which it closed where the service knows that."""
    station = _station(gauge)
    try:
        items = page_of(call(f"id/stations/{quote(station, safe='')}", {})).items
    except SourceError:
        items = []
    dates = [text_of(item.get("dateClosed"))[:10] for item in items]
    closed = next((f", which closed on {date}" for date in dates if date), "")
    return SourceError(
        f"the service lists no measure of station {station}{closed}; check the gauge's station in the dam file, or "
        "choose another one (forebay stations)"
    )


def _measure(measures: pl.DataFrame, gauge: Gauge) -> tuple[str, str]:
    """Notation and unit (as published) of the one measure that the gauge names."""
    is_measure = _is_archive(gauge) and _GUID.match(gauge.station) and not _GUID.fullmatch(gauge.station)
    name = dict(gauge.request).get("measure", gauge.station if is_measure else None)
    matches = measures.filter(pl.col("measure") == name) if name else measures.filter(_fits(gauge))
    names = ", ".join(measures["measure"].head(12))
    if matches.is_empty():
        by_kind = f"{gauge.reading} {gauge.variable} at interval {gauge.interval!r}"
        kind = f"measure {name!r}" if name else by_kind
        raise SourceError(f"the service lists no {kind} of this station, only {names}; set request.measure to one")
    if len(matches) > 1:
        several = ", ".join(matches["measure"].head(12))
        raise SourceError(f"the service lists {len(matches)} measures for the gauge: {several}; set request.measure")
    row = matches.row(0, named=True)
    if matches.filter(_fits_readings(gauge)).is_empty():
        raise ConfigError(
            f"gauge {gauge.station}: measure {row['measure']!r} has {row['value_type']} values every {row['period']} "
            f"s, but the gauge has reading = {gauge.reading!r} and interval = {gauge.interval!r}; correct the dam file"
        )
    return row["measure"], row["unit"]


def _fits(gauge: Gauge) -> pl.Expr:
    """Whether a measure is of the gauge's variable, reading and interval."""
    return (pl.col("parameter") == PARAMETERS.get(gauge.variable, "")) & _fits_readings(gauge)


def _fits_readings(gauge: Gauge) -> pl.Expr:
    """Whether a measure has the gauge's reading and interval; instantaneous values may be closer than the interval."""
    period = pl.col("period").fill_null(gauge.interval_s)
    is_fine = period <= gauge.interval_s if gauge.reading == "instantaneous" else period == gauge.interval_s
    return (pl.col("value_type") == gauge.reading) & is_fine


def _first_recent_day(dam: Dam, period: Period) -> date:
    """First local day to request from flood monitoring."""
    start = local_date(period.now, dam.time_zone) - timedelta(days=RECENT_DAYS)
    return start if period.since is None else max(start, period.since)


def _first_day(call: Call, path: str, measure: str, gauge: Gauge, dam: Dam, period: Period) -> date | None:
    """First local day to request; None where the measure has no reading at all."""
    if not _is_archive(gauge):
        return _first_recent_day(dam, period)
    if period.since is not None:
        return period.since
    points = parse_readings(call(path, {"earliest": ""}), measure)
    return None if points.is_empty() else local_date(points["time"].sort()[0], dam.time_zone)


def _span(gauge: Gauge, first: date, last: date) -> dict[str, str]:
    """Query of the readings of these local days, with a day more at each end: the service's days are those of UTC."""
    day = timedelta(days=1)
    if _is_archive(gauge):
        return {"mineq-date": (first - day).isoformat(), "maxeq-date": (last + day).isoformat()}
    start = datetime.combine(first - day, time(0), UTC)
    return {"since": f"{start:%Y-%m-%dT%H:%M:%SZ}"}


def _pages(call: Call, path: str, query: Mapping[str, str], size: int) -> Iterator[bytes]:
    """The pages of an answer, until one is not full.

    Raises
    ------
    SourceError
        If a page occurs twice, or there are more than `MAX_PAGES`.
    """
    page_hashes: set[int] = set()
    offset = 0
    for _ in range(MAX_PAGES):
        answer = call(path, {**query, "_limit": str(size), **({"_offset": str(offset)} if offset else {})})
        page = page_of(answer)
        if page.items and (content := hash(repr(page.items))) in page_hashes:
            raise SourceError(f"the service sends the page at _offset {offset} twice; try again later")
        page_hashes |= {content} if page.items else set()
        yield answer
        offset += len(page.items)
        if len(page.items) < min(size, page.limit or size):
            return
    raise SourceError(f"the service sends more than {MAX_PAGES} pages of {size} readings; request a shorter period")
