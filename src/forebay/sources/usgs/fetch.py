"""Readings of one gauge from the USGS Water Data API: the metadata of its series first, then the values in parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin

import polars as pl

from forebay.errors import SourceError
from forebay.sources.gauge_fetch import (
    Period,
    day_parts,
    last_day,
    planned_days,
    readings_in_period,
    refuse_lost_start,
    station_errors,
)
from forebay.sources.request import PlannedRequest, Request, Send
from forebay.sources.transport import is_same_host, open_transport
from forebay.sources.usgs.codes import Query, query_of
from forebay.sources.usgs.parse import (
    CONTINUOUS,
    DAILY,
    VALUES,
    Page,
    Series,
    error_of,
    parse_locations,
    parse_page,
    parse_series,
    parse_values,
    readings_of,
)
from forebay.text import public_url

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.settings import HttpSettings, Settings
    from forebay.sources.answers import Json

MOST_SERIES = 50_000
"""Features of a query for metadata, at most."""
CONTINUOUS_DAYS = 1100
"""The service's limit of one request for continuous values, in days."""
EARLIEST = {DAILY: date(1850, 1, 1), CONTINUOUS: date(1985, 1, 1)}
"""Start of a series for which the metadata state none."""
SMALLEST_PAGE = 1000
"""Features of a page that has a next one, at least, unless a request asks for fewer."""
MAX_LISTED = 8
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class WaterData:
    """The service: the URL with its version, the user's key as a header, and the number of features of a page."""

    send: Send
    url: str
    key: Mapping[str, str]
    page_size: int

    def rows(
        self, collection: str, query: Mapping[str, str | int], *, most: int = MOST_SERIES
    ) -> list[Mapping[str, Json]]:
        """The features of all pages of a query, as `parse.Page` has them.

        Raises
        ------
        SourceError
            If a page cannot be read, the pages form a loop, are too many for `most` features, or have not as many
            features as the service counts. A link to another host is not followed: it would get the user's key.
        """
        url = self.items_url(collection, {"f": "json", "limit": self.page_size, **query})
        max_pages = most // min(self.page_size, SMALLEST_PAGE) + 10
        rows: list[Mapping[str, Json]] = []
        visited = {url}
        page = self.page(url)
        rows += page.rows
        total = page.total
        while page.next_url is not None and page.rows:  # an empty page is the end, also if it has a link
            url = self._checked_link(url, page.next_url)
            if url in visited:
                raise SourceError(f"the pages of {collection} form a loop at page {len(visited)}; try again later")
            if len(visited) == max_pages:
                raise SourceError(
                    f"the pages of {collection} do not end: {len(rows)} features on {max_pages} pages, but at most "
                    f"{most} exist; try again later"
                )
            visited.add(url)
            page = self.page(url)
            rows += page.rows
        if total is not None and total != len(rows):
            raise SourceError(
                f"the service counts {total} features of {collection} but sent {len(rows)}; try again later",
                retryable=True,
            )
        return rows

    def page(self, url: str, body: bytes | None = None, content_type: str = "") -> Page:
        """The answer to a request for features, with the user's key."""
        headers = {"Content-Type": content_type} if content_type else {}
        request = Request(
            url, body, check=parse_page, error_of=error_of, headers=headers, secret_headers=self.key
        )
        return parse_page(self.send(request))

    def items_url(self, collection: str, query: Mapping[str, str | int]) -> str:
        """URL of a collection's features."""
        return f"{self.url.rstrip('/')}/collections/{collection}/items?{urlencode(query)}"

    def _checked_link(self, url: str, link: str) -> str:
        try:
            target = urljoin(url, link)
            stays = is_same_host(self.url, target)
        except ValueError:
            raise SourceError(
                f"the link {public_url(link)[:80]!r} to the next page is not a URL; try again later"
            ) from None
        if not stays:
            raise SourceError(
                f"the link to the next page leaves the service: {public_url(target)[:120]!r}; only links on its own "
                "host are followed; if the service has moved, set its new URL in the settings"
            )
        return target


def fetch_readings(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> pl.DataFrame:
    """Readings of a gauge; see `forebay.sources.Fetch`."""
    gauge = gauge.in_time_zone(dam.time_zone)
    query, period = query_of(gauge, dam), Period(since, until, now)
    limits = settings.http_for(gauge.source)
    with station_errors(gauge), open_transport(limits) as send:
        service = water_data(send, gauge.source, settings)
        series = _series(service, query)
        _check_datum(service, query, series)
        first = series.first_day or EARLIEST[query.collection]
        days = _days(since if since and since > first else first, dam, period)
        values = _values(service, query, series, days, limits, whole_record=since is None)
        readings = readings_of(values, gauge, series)
    return readings_in_period(readings, gauge, period)


def water_data(send: Send, source: str, settings: Settings) -> WaterData:
    """The service by the settings."""
    limits = settings.http_for(source)
    return WaterData(send, settings.sources[source].url, settings.key_headers(source), limits.points_per_request)


def plan_requests(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> list[PlannedRequest]:
    """The requests that `fetch_readings` would send; see `forebay.sources.Plan`.

    The plan does not know the start of the record, nor whether the values take several pages. Where the series states
    no datum but the dam file does, the fetch requests the monitoring location too.
    """
    query = query_of(gauge, dam)
    limits = settings.http_for(gauge.source)
    host = Request(settings.sources[gauge.source].url).host
    first, last = _days(since or until, dam, Period(since, until, now))
    values = planned_days(host, query.title, since and first, last, _part_days(query, limits))
    return [PlannedRequest(host, "time-series-metadata", None, None), *values]


def _series(service: WaterData, query: Query) -> Series:
    """The one series of a station that a gauge asks for.

    Raises
    ------
    SourceError
        If there is none, or there are several.
    """
    rows = service.rows("time-series-metadata", {"monitoring_location_id": query.station, "skipGeometry": "true"})
    listed = [series for series in parse_series(rows) if series.station == query.station]
    if not listed:
        raise SourceError(
            f"the service lists no series of daily or continuous values of {query.station}; check the gauge's station "
            "in the dam file"
        )
    matches = [
        series
        for series in listed
        if (series.collection, series.parameter) == (query.collection, query.parameter)
        and query.statistic in ("", series.statistic)
        and query.series in ("", series.id)
    ]
    matches = [series for series in matches if series.is_primary] or matches
    if not matches:
        title = f"{query.title} {query.series}".strip()
        titles = sorted({series.title for series in listed})
        rest = f" and {len(titles) - MAX_LISTED} more" if len(titles) > MAX_LISTED else ""
        raise SourceError(
            f"the station has no series {title!r}, only {', '.join(titles[:MAX_LISTED])}{rest}; check the gauge's "
            "request, interval and reading in the dam file"
        )
    if len(matches) > 1:
        ids = ", ".join(f"{series.id} ({series.first_day} to {series.last_day})" for series in matches[:MAX_LISTED])
        raise SourceError(f"the station has {len(matches)} series {query.title!r}: {ids}; give one as request.series")
    return matches[0]


def _check_datum(service: WaterData, query: Query, series: Series) -> None:
    """Raise if the series, or else its station, states another vertical datum than the dam file."""
    if query.datum is None:
        return
    stated, owner = series.datum, f"series {series.title!r}"
    if stated is None:
        rows = service.rows("monitoring-locations", {"id": query.station, "skipGeometry": "true"})
        stated, owner = parse_locations(rows).get(query.station, ("", None))[1], f"station {query.station}"
    if stated not in (None, query.datum):
        raise SourceError(
            f"{owner} is above {stated}, but the dam file expects {query.datum}; give request.parameter of a series "
            f'above {query.datum}, or set request.datum = "{stated}" and the gauge\'s offset'
        )


def _days(first: date, dam: Dam, period: Period) -> tuple[date, date]:
    """First and last day to request; one more on each side, because the local day is decided on the readings."""
    return first - _DAY, last_day(dam, period) + _DAY


def _part_days(query: Query, limits: HttpSettings) -> int:
    """Days of one part; its values may take several pages, so that the points do not count."""
    return min(limits.days_per_request, CONTINUOUS_DAYS) if query.collection == CONTINUOUS else limits.days_per_request


def _values(
    service: WaterData,
    query: Query,
    series: Series,
    days: tuple[date, date],
    limits: HttpSettings,
    *,
    whole_record: bool,
) -> pl.DataFrame:
    """Values (`parse.VALUES`) of a series on these days.

    Raises
    ------
    SourceError
        If a record's first part is empty: later fetches continue from the first stored reading.
    """
    parts = [pl.DataFrame(schema=VALUES)]
    for first, last in day_parts(*days, _part_days(query, limits)):
        rows = service.rows(
            query.collection,
            {
                "monitoring_location_id": query.station,
                "parameter_code": query.parameter,
                "time_series_id": series.id,
                "time": _interval(first, last, query.collection),
                "skipGeometry": "true",
            },
            most=((last - first) // _DAY + 1) * (1 if query.collection == DAILY else 24 * 60),
        )
        parts.append(parse_values(rows))
        if whole_record and first == days[0] and query.collection == DAILY and series.first_day:
            refuse_lost_start(parts[-1], series.first_day, last)
    return pl.concat(parts)


def _interval(first: date, last: date, collection: str) -> str:
    """Days as the service takes them; for continuous values UTC days, the last to its end.

    >>> _interval(date(2024, 1, 1), date(2024, 1, 2), "continuous")
    '2024-01-01T00:00:00Z/2024-01-02T23:59:59Z'
    """
    if collection == DAILY:
        return f"{first}/{last}"
    end = datetime.combine(last + _DAY, time(0), UTC) - timedelta(seconds=1)
    return f"{first}T00:00:00Z/{end:%Y-%m-%dT%H:%M:%SZ}"
