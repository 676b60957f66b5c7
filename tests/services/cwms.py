"""A simulated CWMS Data API: time series in pages, catalogs, errors, in the form of the recordings.

It converts units, cuts pages at `page-size`, states the total, and lists each series once per unit. With the parameter
`datum` it loses the pages after the first, as the real service does. The names are those of Arbuckle Lake; all values
are simulated.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from forebay.sources.cwms.parse import parse_catalog, parse_timeseries
from forebay.sources.cwms.stations import project_series
from tests.conformance import TRUTH, ContentFault, ServiceCase
from tests.loopback import Received, Reply

Json = Any  # Any: a JSON value
SI_FACTORS = {
    "ft": ("m", 0.3048), "ac-ft": ("m3", 1233.48183754752), "cfs": ("cms", 0.028316846592), "in": ("mm", 25.4)
}  # fmt: skip
"""English unit → SI unit, and the factor to it."""
NOT_FOUND = {"message": "Time series not found", "incidentIdentifier": "7093912200091449908", "details": {}}
NGVD_29 = {
    "office": "SWT",
    "location": "ARBU",
    "native-datum": "NGVD-29",
    "elevation": 243.8,
    "offsets": [{"estimate": True, "to-datum": "NAVD-88", "value": 0.0632}],
}
BAD_REQUEST = b'{"message":"Bad office","incidentIdentifier":"1","details":{}}'
MAX_PAGE = 500_000
Row = tuple[datetime, float | None, int]
"""Stamp, value in the English unit, quality code."""


@dataclass(frozen=True)
class Series:
    """A time series: rows [instant, value in the English unit or None, quality code]."""

    name: str
    rows: Sequence[Row]
    unit: str = "ft"
    office: str = "SWT"
    datum: Json = None

    @property
    def extents(self) -> Json:
        """First and last instant with a row."""
        if not self.rows:
            return []
        ends = {"earliest-time": self.rows[0][0], "latest-time": self.rows[-1][0]}
        return [{key: f"{instant:%Y-%m-%dT%H:%M:%SZ}" for key, instant in ends.items()}]


@dataclass
class CwmsService:
    """The service with its series and locations (catalog entries)."""

    series: Sequence[Series]
    locations: Sequence[Json] = ()
    max_page: int = MAX_PAGE
    changes: dict[str, Json] = field(default_factory=dict)  # keys of every page of values that are replaced

    def __call__(self, request: Received) -> Reply:
        """Answer of a request."""
        if "version=2" not in request.headers.get("accept", ""):
            return Reply(b'{"time-series":{"query-info":{}}}')  # the older format, which has other keys
        if request.path.endswith("/timeseries"):
            return self._timeseries(request.query)
        if request.path.endswith("/catalog/TIMESERIES"):
            return self._catalog(request.query, self._listed_series())
        if request.path.endswith("/catalog/LOCATIONS"):
            kind = request.query.get("location-kind-like", ".*")
            return self._catalog(request.query, [entry for entry in self.locations if re.search(kind, entry["kind"])])
        return Reply(b"<html><body>Not Found</body></html>", 404)

    def _timeseries(self, query: Any) -> Reply:
        if not {"name", "office"} <= set(query):
            return _reply({"message": "bad request", "incidentIdentifier": "1", "details": {"office": "missing"}}, 400)
        begin, end = (datetime.fromisoformat(query[key]) for key in ("begin", "end"))
        own = [
            series
            for series in self.series
            if (series.name.lower(), series.office) == (query["name"].lower(), query["office"].upper())
        ]
        rows = [row for row in own[0].rows if begin <= row[0] <= end] if own else []
        if not rows:
            return _reply(NOT_FOUND, 404)
        start, total = 0, len(rows)
        size = min(int(query.get("page-size", 500)), self.max_page)
        if "page" in query:
            starts = {_cursor(row, total, size): k for k, row in enumerate(rows)}
            start = starts.get(query["page"], 0)  # of an unknown cursor the first page
        following = rows[start + size : start + size + 1]
        cursor = _cursor(following[0], total, size) if following else None
        if "datum" in query:
            cursor = None
        page = self._page(own[0], rows[start : start + size], query) | {"total": total}
        return _reply(page | ({"next-page": cursor} if cursor else {}) | self.changes)

    def _page(self, series: Series, rows: Sequence[Row], query: Any) -> Json:
        si_unit, factor = SI_FACTORS[series.unit]
        is_si = query.get("unit") == "SI"
        page: Json = {
            "begin": query["begin"],
            "end": query["end"],
            "interval": "PT0S",
            "name": series.name,
            "office-id": series.office,
            "units": si_unit if is_si else series.unit,
            "value-columns": [
                {"name": name, "ordinal": k + 1, "datatype": "java"}
                for k, name in enumerate(("date-time", "value", "quality-code"))
            ],
            "values": [
                [_ms(time), value if value is None or not is_si else value * factor, quality]
                for time, value, quality in rows
            ],
        }
        if series.datum is not None:
            page["vertical-datum-info"] = series.datum | {"unit": page["units"]}
        return page

    def _listed_series(self) -> list[Json]:
        return [
            {"office": series.office, "name": series.name, "units": unit, "extents": series.extents}
            for series in self.series
            for unit in (SI_FACTORS[series.unit][0], series.unit)
        ]

    def _catalog(self, query: Any, entries: Sequence[Json]) -> Reply:
        pattern, office = query.get("like", ".*"), query.get("office")
        chosen = [
            entry
            for entry in entries
            if re.search(pattern, entry["name"], re.IGNORECASE) and office in (None, entry["office"])
        ]
        start, size = int(query.get("page", 0)), min(int(query.get("page-size", 500)), self.max_page)
        after = {"next-page": str(start + size)} if start + size < len(chosen) else {}
        return _reply({"total": len(chosen), "page-size": size, "entries": chosen[start : start + size]} | after)


def _cursor(row: Row, total: int, size: int) -> str:
    """Cursor of the page that begins with a row, in the form of the recordings."""
    return base64.b64encode(f"{_ms(row[0])}||{total}||{size}".encode()).decode()


def _ms(instant: datetime) -> int:
    return round((instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


def _reply(content: Json, status: int = 200) -> Reply:
    return Reply(json.dumps(content).encode(), status, {"Content-Type": "application/json;version=2"})


LEVEL = "ARBU.Elev.Inst.1Hour.0.Ccp-Rev"
INFLOW = "ARBU.Flow-Res In.Ave.~1Day.1Day.Regi-Rev-Adjusted"
RAIN = "ARBU.Precip-Inc.Total.1Hour.1Hour.Ccp-Rev"
DAM_FILE = f"""
id = "arbuckle"
name = "Lake of the Arbuckles"
country = "United States"
latitude = 34.43
longitude = -97.03
time_zone = "America/Chicago"
full_supply = 872.0

[target]
variable = "reservoir_level"
unit = "ft"
datum = "feet above NGVD 29"

[[gauges]]
role = "target"
source = "cwms"
station = "{LEVEL}"
variable = "reservoir_level"
unit = "ft"
reading = "instantaneous"
interval = "hour"
request = {{ office = "SWT", datum = "NGVD-29" }}

[[gauges]]
role = "inflow"
source = "cwms"
station = "{INFLOW}"
variable = "inflow"
unit = "m3/s"
stamp = "end"
request = {{ office = "SWT" }}

[[gauges]]
role = "rainfall"
source = "cwms"
station = "{RAIN}"
variable = "rainfall"
unit = "in"
interval = "hour"
stamp = "end"
request = {{ office = "SWT" }}
"""
FIRST, DAYS = date(2018, 2, 10), 50
"""Clocks go forward on 11 March 2018: that day has 23 hours."""
NOW = datetime(2018, 4, 5, tzinfo=UTC)
_CHICAGO = ZoneInfo("America/Chicago")
_CODES = {3: "good", 0: "unknown", 17: "poor", 9: "poor", 131: "estimated", 5: "missing", -2_147_483_645: "good"}


def series() -> list[Series]:
    """The three series of `DAM_FILE`."""
    codes = [3, 3, 0, 3, 17, 3, 9, 131, 3, 5, -2_147_483_645]
    midnights = [_midnight(k) for k in range(DAYS + 1)]
    count = int((midnights[-1] - midnights[0]) / timedelta(hours=1))
    hours = [midnights[0] + timedelta(hours=k) for k in range(count)]
    level = [(hour, round(871.22 + k / 100, 2), codes[k % 11]) for k, hour in enumerate(hours)]
    inflow = [(end, 25.5 + 3 * k, codes[k % 11]) for k, end in enumerate(midnights[1:])]
    rain = [(hour + timedelta(hours=1), (k % 7) / 100, 3) for k, hour in enumerate(hours)]
    return [
        Series(LEVEL, _without_missing(level), datum=NGVD_29),
        Series(INFLOW, _without_missing(inflow), "cfs"),
        Series(RAIN, rain, "in"),
    ]


def _midnight(k: int) -> datetime:
    """Start of the k-th day."""
    return datetime.combine(FIRST + timedelta(days=k), time(0), _CHICAGO).astimezone(UTC)


def _without_missing(rows: Sequence[tuple[datetime, float, int]]) -> list[Row]:
    return [(time, None if _CODES[code] == "missing" else value, code) for time, value, code in rows]


def _truth(one: Series) -> pl.DataFrame:
    """Readings of a series: starts of the intervals, canonical units."""
    factor = SI_FACTORS[one.unit][1]
    rows = []
    for k, (stamp, value, code) in enumerate(one.rows):
        start = stamp
        if one.name == INFLOW:
            start = _midnight(k)
        elif one.name == RAIN:
            start = stamp - timedelta(hours=1)
        rows.append((start, None if value is None else value * factor, _CODES[code]))
    return pl.DataFrame(rows, schema=TRUTH, orient="row")


def _answer_without(rows: Collection[int]) -> CwmsService:
    """The service without some rows of the inflow."""
    level, inflow, rain = series()
    return CwmsService([level, replace(inflow, rows=[row for k, row in enumerate(inflow.rows) if k not in rows]), rain])


def cases() -> list[ServiceCase]:
    """The CWMS Data API."""
    service = CwmsService(series())
    query = {"name": INFLOW, "office": "SWT", "begin": "2018-02-10T00:00:00+00:00", "end": "2018-02-20T00:00:00+00:00"}
    page = service(Received("GET", "/timeseries", query | {"page-size": "5"}, ACCEPT, b"")).body
    level_page = service(Received("GET", "/timeseries", query | {"name": LEVEL, "page-size": "5"}, ACCEPT, b"")).body
    catalog = service(Received("GET", "/catalog/TIMESERIES", {"like": "Elev"}, ACCEPT, b"")).body
    return [
        ServiceCase(
            service="cwms",
            dam_file=DAM_FILE,
            answer=service,
            truth={one.name: _truth(one) for one in service.series},
            now=NOW,
            is_data=lambda request, station: request.query.get("name") == station,
            answer_without=_answer_without,
            base="/cwms-data",
            content_faults=[
                ContentFault("another unit", changed(units="kPa"), "nothing", "'kPa' is not a unit of inflow"),
                ContentFault("another series", changed(name=LEVEL), "nothing", "instead of 'ARBU.Flow-Res In"),
                ContentFault("another office", changed(**{"office-id": "LRL"}), "nothing", "'LRL' instead of 'SWT'"),
                ContentFault("a total that is larger", changed(total=999), "nothing", "states 999 values but sent"),
                ContentFault("a next page that repeats", changed(**{"next-page": "x"}), "nothing", "do not end"),
                ContentFault("404 without JSON", lambda _: b"<html>", "nothing", "not JSON", status=404),
                ContentFault("400, with the reason", lambda _: BAD_REQUEST, "nothing", "Bad office", status=400),
                ContentFault("no data", lambda _: json.dumps(NOT_FOUND).encode(), "other", status=404),
            ],
            parsers={
                "timeseries": (page, parse_timeseries),
                "levels": (level_page, parse_timeseries),
                "catalog": (catalog, parse_catalog),
                "series": (catalog, lambda answer: project_series(parse_catalog(answer).entries)),
            },
        )
    ]


ACCEPT = {"accept": "application/json;version=2"}


def changed(**keys: Json) -> Callable[[bytes], bytes]:
    """A page with other values of some keys."""
    return lambda body: json.dumps(json.loads(body) | keys).encode()
