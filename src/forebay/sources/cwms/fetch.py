"""Readings of one time series of the CWMS Data API, page by page, each part counted against the service's total."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import polars as pl

from forebay.dams.local_time import local_clock
from forebay.dams.variables import DAY_S
from forebay.errors import ConfigError, SourceError
from forebay.log import write
from forebay.sources.cwms.parse import (
    CatalogPage,
    SeriesPage,
    VerticalDatum,
    error_of,
    parse_catalog,
    parse_timeseries,
    record_start,
    with_grades,
)
from forebay.sources.datums import datum_of
from forebay.sources.gauge_fetch import (
    Instants,
    Period,
    instant_parts,
    instants_to_request,
    planned_instants,
    readings_in_period,
    refuse_lost_start,
    station_errors,
)
from forebay.sources.points import POINTS, interval_starts, readings_of_points
from forebay.sources.request import PlannedRequest, Request, Send
from forebay.sources.transport import open_transport
from forebay.sources.units import one_unit
from forebay.tables import READINGS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.settings import HttpSettings, Settings
    from forebay.sources.answers import Json

ACCEPT = {"Accept": "application/json;version=2"}
MAX_PAGES = 1000
"""Maximal number of pages of one request, where the service states no total."""
US_UNITS = frozenset({"ft", "in", "ac-ft", "kac-ft", "Mft3", "TMC", "MG", "ft3/s", "cusecs", "mgd", "ac-ft/d", "degF"})
"""Units of the dam file for which the service's English units are requested; for all others SI units."""
READINGS_BY_TYPE = {"Inst": "instantaneous", "Ave": "mean", "Total": "total"}
"""Type in the name of a time series → `reading` of the gauge."""
LEVELS = ("reservoir_level", "stream_level")
NO_DATUM = frozenset({"", "UNKNOWN"})
"""Plain names of a datum that is none."""
_INTERVAL = re.compile(r"~?(\d+)(Minute|Hour|Day)s?(Local)?")
_SECONDS = {"Minute": 60, "Hour": 3600, "Day": DAY_S}
_EARLIEST = datetime(1800, 1, 1, tzinfo=UTC)

Get = Callable[[str, Mapping[str, str], Callable[[bytes], object]], bytes]
"""A service: path, query and check of an answer → the answer."""


def fetch_readings(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> pl.DataFrame:
    """Readings of a time series of the CWMS Data API; see `forebay.sources.Fetch`."""
    gauge = gauge.in_time_zone(dam.time_zone)
    office, _ = _check_gauge(gauge)
    limits, period = settings.http_for(gauge.source), Period(since, until, now)
    with station_errors(gauge), open_transport(limits) as send:
        is_target = gauge.role == "target" and gauge.variable == "reservoir_level"
        target_datum = datum_of(dam.target.datum) if is_target else None
        series = _Series(getter(send, settings.sources[gauge.source].url), gauge, office, target_datum, limits)
        points = series.points(period)
        if points is None:
            return READINGS.empty()
        starts = interval_starts(with_grades(points.frame), gauge)
        readings = readings_of_points(starts, gauge, points.unit, times="starts")
    return readings_in_period(readings, gauge, period)


def plan_requests(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> list[PlannedRequest]:
    """The requests that `fetch_readings` would send; see `forebay.sources.Plan`.

    The plan does not know the period of record, nor the number of pages. Where no request has data, the fetch asks the
    catalog whether the series exists.
    """
    gauge = gauge.in_time_zone(dam.time_zone)
    _check_gauge(gauge)
    limits = settings.http_for(gauge.source)
    host = Request(settings.sources[gauge.source].url).host
    span = instants_to_request(Period(since, until, now), gauge, _EARLIEST)
    if since is None:
        text = f"timeseries from the record's start, {limits.points_per_request} values each"
        catalog = PlannedRequest(host, "catalog/TIMESERIES", None, None)
        return [catalog, PlannedRequest(host, text, None, local_clock(span[1], gauge.time_zone))]
    return planned_instants(host, "timeseries", span, gauge, limits)


def getter(send: Send, url: str) -> Get:
    """GET requests to the service at `url`; a request is repeated where the answer is a maintenance page, say."""

    def get(path: str, query: Mapping[str, str], check: Callable[[bytes], object]) -> bytes:
        address = f"{url.rstrip('/')}/{path}?{urlencode(query, quote_via=quote)}"
        statuses = frozenset({404})
        return send(Request(address, check=check, error_statuses=statuses, error_of=error_of, headers=ACCEPT))

    return get


def catalog_entries(get: Get, dataset: str, query: Mapping[str, str], max_pages: int) -> list[Mapping[str, Json]]:
    """All entries of a catalog, page by page.

    Raises
    ------
    SourceError
        If the pages are more than `max_pages`, or repeat.
    """
    entries: list[Mapping[str, Json]] = []
    cursors: set[str] = set()
    page: CatalogPage | None = None
    while page is None or page.next_page is not None:
        cursor = {} if page is None else {"page": _new_cursor(page.next_page, cursors, max_pages)}
        page = parse_catalog(get(f"catalog/{dataset}", {**query, **cursor}, parse_catalog))
        entries += page.entries
    return entries


def _new_cursor(cursor: str | None, cursors: set[str], max_pages: int) -> str:
    """The cursor of the next page, which must not have occurred before."""
    if cursor is None or cursor in cursors or len(cursors) >= max_pages:
        raise SourceError(
            f"the pages of the answer do not end: after {len(cursors) + 1} pages the next page is {cursor!r} "
            "again or there are too many; nothing was stored: try again later, or a shorter period"
        )
    cursors.add(cursor)
    return cursor


def _check_gauge(gauge: Gauge) -> tuple[str, str]:
    """Office and stated datum of the gauge's request; the series' name must fit the gauge's reading and interval.

    Raises
    ------
    ConfigError
        If it does not.
    """
    request, where = dict(gauge.request), f"gauge {gauge.station}"
    if "office" not in request:
        raise ConfigError(f"{where}: request.office is missing; give the office of the series, such as office = 'SWT'")
    parts = gauge.station.split(".")
    if len(parts) != 6 or not all(parts):
        raise ConfigError(
            f"{where}: station must be the name of a time series with six parts, such as "
            "ARBU.Elev.Inst.1Hour.0.Ccp-Rev"
        )
    _, _, kind, interval, duration, _ = parts
    reading = READINGS_BY_TYPE.get(kind)
    if reading is not None and reading != gauge.reading:
        raise ConfigError(f"{where}: a series of type {kind} needs reading = {reading!r}, not {gauge.reading!r}")
    stamp = "start" if duration.endswith("BOP") else "end"
    if reading in ("mean", "total") and gauge.stamp != stamp:
        raise ConfigError(
            f"{where}: the service stamps the {kind} of an interval ({duration}) at its {stamp}; give stamp = {stamp!r}"
        )
    match = _INTERVAL.fullmatch(interval)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else None
    if seconds not in (gauge.interval_s, None, 0) or (match is None and interval != "0"):
        raise ConfigError(f"{where}: the series has the interval {interval}, and interval = {gauge.interval!r} differs")
    return request["office"], request.get("datum", "")


@dataclass(frozen=True)
class _Points:
    """Points of a series (`points.POINTS`) and forebay's name of their unit."""

    frame: pl.DataFrame
    unit: str


@dataclass(frozen=True)
class _Series:
    """The time series of a gauge at its service; `target_datum` is the datum that the dam's target names for it."""

    get: Get
    gauge: Gauge
    office: str
    target_datum: str | None
    limits: HttpSettings

    def points(self, period: Period) -> _Points | None:
        """Points of all days of the period; None without any."""
        start = _EARLIEST
        if period.since is None:
            listed = self._record_start()
            if listed is None:
                return None
            start = listed
        pages: list[SeriesPage] = []
        for part in instant_parts(instants_to_request(period, self.gauge, start), self.gauge, self.limits):
            pages += self._pages(part)
            if period.since is None and part[0] == start:
                values = pl.concat([pl.DataFrame(schema=POINTS), *(page.points for page in pages)])
                refuse_lost_start(values, f"{start:%Y-%m-%d %H:%M} UTC", part[1].date())
        if not pages:
            if period.since is not None:
                self._record_start()  # an unknown series has no data either
            return None
        unit = one_unit([page.unit for page in pages], self.gauge)
        named = next((page.datum for page in pages if page.datum is not None and page.datum.native), None)
        self._check_datum(_one_datum(pages), named)
        return _Points(pl.concat(page.points for page in pages), unit)

    def _pages(self, part: Instants) -> Iterator[SeriesPage]:
        """The pages of one part, whose values must be as many as the service's total."""
        first, last = part
        query = {
            "name": self.gauge.station,
            "office": self.office,
            "unit": "EN" if self.gauge.unit in US_UNITS else "SI",
            "begin": f"{first:%Y-%m-%dT%H:%M:%SZ}",
            "end": f"{last:%Y-%m-%dT%H:%M:%SZ}",
            "page-size": str(self.limits.points_per_request),
        }
        page = self._page(query)
        total, count, cursors = (None, 0, set[str]()) if page is None else (page.total, len(page.points), set[str]())
        while page is not None:
            yield page
            if page.next_page is None:
                break
            cursor = _new_cursor(page.next_page, cursors, MAX_PAGES)
            page = self._page({**query, "page": cursor})
            if page is None or page.points.is_empty():
                raise SourceError("a page in the middle of the answer has no values; try again later", retryable=True)
            count += len(page.points)
        if total is not None and count != total:
            raise SourceError(
                f"the service states {total} values but sent {count}; nothing was stored: try again later",
                retryable=True,
            )

    def _page(self, query: Mapping[str, str]) -> SeriesPage | None:
        page = parse_timeseries(self.get("timeseries", query, parse_timeseries))
        for sent, received in ((self.gauge.station, page.name), (self.office, page.office)) if page else ():
            if sent.casefold() != received.casefold():
                raise SourceError(f"the answer has {received!r} instead of {sent!r}; try again later")
        return page

    def _record_start(self) -> datetime | None:
        """First instant of the series by the catalog, which lists a series once per unit; None without values."""
        pattern = re.sub(r"([^A-Za-z0-9 _-])", r"\\\1", self.gauge.station)
        query = {"office": self.office, "like": f"^{pattern}$", "page-size": "500"}
        entries = catalog_entries(self.get, "TIMESERIES", query, max_pages=20)
        own = [entry for entry in entries if str(entry.get("name")).casefold() == self.gauge.station.casefold()]
        if not own:
            raise SourceError(
                f"office {self.office} has no such time series in its catalog; check station and request.office in "
                "the dam file"
            )
        return min((start for entry in own if (start := record_start(entry)) is not None), default=None)

    def _check_datum(self, native: str, datum: VerticalDatum | None) -> None:
        """Raise if the datum of the levels is not the one that the dam file names.

        The archive has no datum of a series. So a level whose answer names one needs a dam file that names it too: then
        a later answer above another datum is refused.
        """
        stated = dict(self.gauge.request).get("datum")
        published = "names no vertical datum" if datum is None else f"has the datum {datum.text}"
        if datum is not None:
            fields = {"station": self.gauge.station, "native_datum": datum.native, "offsets": datum.text}
            write(logging.INFO, "vertical_datum", fields)
        if stated is not None:
            if plain_datum(stated) != native:
                raise SourceError(
                    f"the series {published}, but request.datum in the dam file is {stated!r}; correct the dam file "
                    "(target's datum, full supply level, storage curve), or choose another series"
                )
        elif datum is None or native in NO_DATUM or self.gauge.variable not in LEVELS:
            return
        elif self.target_datum is None:
            raise SourceError(
                f"the series {published}, but the dam file names no datum of this gauge, so a later change of the "
                f'datum would mix levels; set request.datum = "{datum.native}" in the dam file'
            )
        elif self.target_datum not in (native, datum_of(datum.native.replace("-", " "))):
            raise SourceError(
                f"the series {published}, but target.datum in the dam file names {self.target_datum}; choose a series "
                f'above {self.target_datum}, or set request.datum = "{datum.native}" and the gauge\'s offset'
            )


def plain_datum(name: str) -> str:
    """A datum's name without hyphens and blanks, in capital letters.

    >>> plain_datum("NGVD-29") == plain_datum("ngvd 29")
    True
    """
    return re.sub(r"[-\s_]", "", name).upper()


def _one_datum(pages: Sequence[SeriesPage]) -> str:
    """The datum that the pages name; empty if none does."""
    names = {plain_datum(page.datum.native) for page in pages if page.datum is not None and page.datum.native}
    if len(names) > 1:
        raise SourceError(
            f"the vertical datum changes within the answer ({', '.join(sorted(names))}), so its values cannot be "
            "compared; nothing was stored: try again later"
        )
    return names.pop() if names else ""
