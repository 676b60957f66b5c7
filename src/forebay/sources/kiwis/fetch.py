"""Readings of one gauge from a KiWIS hub: its series in the hub's list first, then the values in bounded parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

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
from forebay.sources.kiwis.parse import (
    HubError,
    Series,
    error_of,
    parse_series_list,
    parse_values,
    readings_of,
    result_of,
)
from forebay.sources.request import PlannedRequest, Request, Send
from forebay.sources.transport import open_transport
from forebay.sources.units import unit_of
from forebay.tables import READINGS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.settings import HttpSettings, Settings

Call = Callable[[str, Mapping[str, str]], bytes]
"""A hub: request and parameters of a call → the answer."""

LIST_FIELDS = "station_no,station_name,ts_id,ts_name,ts_path,parametertype_name,ts_unitname,ts_unitsymbol,coverage"
VALUE_FIELDS = {
    "returnfields": "Timestamp,Value,Quality Code",
    "metadata": "true",
    "md_returnfields": "station_no,ts_id,ts_unitname,ts_unitsymbol",
}
EARLIEST = date(1850, 1, 1)
"""Start of a record of which the hub gives no coverage."""
SHORTEST_PART_DAYS = 31
"""A part that a hub refuses is halved until it is not longer than this."""


def fetch_readings(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> pl.DataFrame:
    """Readings of a gauge of a KiWIS hub; see `forebay.sources.Fetch`.

    An interval that has not ended by `now` is left out: its mean or total is not final yet.
    """
    limits = settings.http_for(gauge.source)
    url = hub_url(gauge, settings)
    with open_transport(limits) as send:
        call = call_to(send, url, datasource_of(gauge))
        return fetch_by_calls(call, gauge, dam, Period(since, until, now), limits=limits)


def plan_requests(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> list[PlannedRequest]:
    """The requests that `fetch_readings` would send; see `forebay.sources.Plan`.

    The plan does not know the record. A fetch requests nothing before its start.
    """
    _list_params(gauge)
    limits = settings.http_for(gauge.source)
    host = Request(hub_url(gauge, settings)).host
    days, last = days_per_request(gauge, limits), last_day(dam, Period(since, until, now))
    values = planned_days(host, "getTimeseriesValues", since, last, days)
    return [PlannedRequest(host, "getTimeseriesList", None, None), *values]


def hub_url(gauge: Gauge, settings: Settings) -> str:
    """URL of the gauge's hub: `request.url`, or the service's URL of the settings.

    Raises
    ------
    ConfigError
        If neither is there.
    """
    url = dict(gauge.request).get("url") or settings.sources[gauge.source].url
    if not url:
        raise ConfigError(
            f"gauge {gauge.station}: source {gauge.source!r} has no URL; give the hub's as request.url in the dam "
            f"file, or as sources.{gauge.source}.url in the settings"
        )
    return url


def datasource_of(gauge: Gauge) -> str:
    """The hub's datasource for the gauge."""
    return dict(gauge.request).get("datasource", service_named(gauge.source).options["datasource"])


def call_to(send: Send, url: str, datasource: str) -> Call:
    """Calls of the hub at `url`; it repeats the request where the answer is a maintenance page, say."""
    base = {"service": "kisters", "type": "queryServices", "datasource": datasource, "format": "json"}

    def call(request: str, params: Mapping[str, str]) -> bytes:
        query = urlencode({**base, "request": request, **params})
        return send(Request(f"{url}{'&' if '?' in url else '?'}{query}", check=result_of, error_of=error_of))

    return call


def fetch_by_calls(call: Call, gauge: Gauge, dam: Dam, period: Period, *, limits: HttpSettings) -> pl.DataFrame:
    """The readings that `fetch_readings` returns, with any `call` as the hub."""
    params = _list_params(gauge)
    with station_errors(gauge):
        listed = _listed_series(parse_series_list(call("getTimeseriesList", params)), gauge)
        first, last = _first_day(listed, dam, period), last_day(dam, period)
        parts = [READINGS.empty()]
        for start, end in day_parts(first, last, days_per_request(gauge, limits)):
            for part in _values(call, listed, start, end):
                listed, readings = _part_readings(listed, part.answer, gauge)
                check_unit_datum(listed.unit, gauge, dam)
                if period.since is None and listed.first is not None and part.first == first:
                    refuse_lost_start(readings, part.first, part.last)
                parts.append(readings_of_days(readings, gauge, dam, within_part(period, part.first, part.last)))
    return READINGS.check(pl.concat(parts), unique=True)


def _list_params(gauge: Gauge) -> dict[str, str]:
    """Parameters of `getTimeseriesList` that select the gauge's series."""
    request, options = dict(gauge.request), service_named(gauge.source).options
    fields = {"returnfields": LIST_FIELDS}
    for key in ("ts_id", "ts_path"):
        if key in request:
            return {key: request[key], **fields}
    parameter = request.get("parametertype_name", options.get(gauge.variable))
    if parameter is None or _series_name(gauge) is None:
        raise ConfigError(
            f"gauge {gauge.station}: source {gauge.source!r} has no default series for {gauge.variable} "
            f"({gauge.reading}, {gauge.interval}, day_start {gauge.day_start:%H:%M}); give request.ts_id in the dam "
            "file, or request.parametertype_name and request.ts_name"
        )
    return {"station_no": gauge.station, "parametertype_name": parameter, **fields}


def _series_name(gauge: Gauge) -> str | None:
    default = service_named(gauge.source).options.get(f"{gauge.reading} {gauge.interval} {gauge.day_start:%H:%M}")
    return dict(gauge.request).get("ts_name", default)


@dataclass(frozen=True)
class _Listed:
    """The gauge's series in the hub's list: its id, its unit (empty where unknown) and the start of its record."""

    ts_id: str
    unit: str
    first: datetime | None


def _listed_series(series: pl.DataFrame, gauge: Gauge) -> _Listed:
    """The one series that the gauge names."""
    request = dict(gauge.request)
    by_id = "ts_id" in request or "ts_path" in request
    name = None if by_id else _series_name(gauge)
    advice = "check the gauge's station and request in the dam file"
    if series.is_empty():
        params = {key: value for key, value in _list_params(gauge).items() if key != "returnfields"}
        conditions = ", ".join(f"{key} {value!r}" for key, value in params.items())
        raise SourceError(f"the hub lists no series with {conditions}; {advice}")
    matches = series if name is None else series.filter(pl.col("ts_name") == name)
    if matches.is_empty():
        names = ", ".join(series["ts_name"].unique().sort()[:12])
        raise SourceError(f"the hub lists no series {name!r} of this station, only {names}; set request.ts_name to one")
    if len(matches) > 1:
        ids = ", ".join(f"{row['ts_id']} ({row['ts_path']})" for row in matches.head(12).iter_rows(named=True))
        raise SourceError(f"the hub lists {len(matches)} series for the gauge: {ids}; set request.ts_id to one of them")
    row = matches.row(0, named=True)
    if row["station"] not in ("", gauge.station):
        raise SourceError(f"series {row['ts_id']} belongs to station {row['station']!r} of the hub; {advice}")
    _check_stamp(row["ts_name"], gauge)
    return _Listed(row["ts_id"], row["unit"], row["first"])


def _check_stamp(name: str, gauge: Gauge) -> None:
    """Raise if the hub stamps the days of this series at their other end: all values would be a day off."""
    end_stamp = service_named(gauge.source).options.get("end_stamp")
    if end_stamp is None or gauge.interval != "day" or gauge.reading == "instantaneous":
        return
    stamp = "end" if name.endswith(end_stamp) else "start"
    if gauge.stamp != stamp:
        raise ConfigError(
            f"gauge {gauge.station}: {gauge.source} stamps a day of series {name!r} at its {stamp}, but the gauge has "
            f'stamp = "{gauge.stamp}"; set stamp = "{stamp}" in the dam file'
        )


def _first_day(listed: _Listed, dam: Dam, period: Period) -> date:
    """First local day to request: `since`, but not before the record."""
    start = EARLIEST if listed.first is None else local_date(listed.first, dam.time_zone)
    return start if period.since is None else max(start - timedelta(days=1), period.since)


@dataclass(frozen=True)
class _Part:
    """The answer for some local days."""

    first: date
    last: date
    answer: bytes


def _values(call: Call, listed: _Listed, first: date, last: date) -> Iterator[_Part]:
    """The values of the days, in halves where the hub refuses so many.

    The hub reads days in its own time zone, and each hub includes or excludes the last one. The request therefore
    extends beyond the days.
    """
    span = {"from": (first - timedelta(days=2)).isoformat(), "to": (last + timedelta(days=2)).isoformat()}
    try:
        answer = call("getTimeseriesValues", {"ts_id": listed.ts_id, **span, **VALUE_FIELDS})
    except HubError:
        days = (last - first).days + 1
        if days <= SHORTEST_PART_DAYS:
            raise
        for start, end in day_parts(first, last, (days + 1) // 2):
            yield from _values(call, listed, start, end)
    else:
        yield _Part(first, last, answer)


def _part_readings(listed: _Listed, answer: bytes, gauge: Gauge) -> tuple[_Listed, pl.DataFrame]:
    """The listed series with its unit, and all readings of an answer; without any unit, that of the gauge counts."""
    series = _series_of(parse_values(answer), listed, gauge)
    unit = series.unit or listed.unit or gauge.unit
    if listed.unit and (unit_of(unit) or unit) != (unit_of(listed.unit) or listed.unit):
        raise SourceError(
            f"the unit of series {listed.ts_id} changes from {listed.unit!r} to {unit[:40]!r}; the readings cannot be "
            "joined: fetch again later, and check the series if the error persists"
        )
    zero_code = service_named(gauge.source).options.get("zero_code")
    return _Listed(listed.ts_id, unit, listed.first), readings_of(series, gauge, unit=unit, zero_code=zero_code)


def _series_of(series: list[Series], listed: _Listed, gauge: Gauge) -> Series:
    matches = [one for one in series if one.ts_id == listed.ts_id]
    if len(matches) != 1:
        ids = ", ".join(one.ts_id[:40] for one in series[:12]) or "none"
        raise SourceError(f"the answer must have series {listed.ts_id} once; its series are {ids}; try again later")
    if matches[0].station not in ("", gauge.station):
        raise SourceError(
            f"series {listed.ts_id} now belongs to station {matches[0].station[:40]!r}; check the gauge's station"
        )
    return matches[0]

