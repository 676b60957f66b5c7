"""The USGS Water Data API on loopback: its collections with simulated stations, in the shape of the recorded answers.

It honours filters, limits, pages and the key as the recordings, their notes and dataretrieval's sources describe them.
The order of the features is that of their identifiers, so it is none of time.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import polars as pl

from forebay.dams.local_time import day_start
from forebay.dams.variables import VARIABLES
from forebay.sources.usgs import parse
from tests.conformance import TRUTH, ContentFault, ServiceCase
from tests.loopback import Answer, Received, Reply

Json = Any  # Any: a JSON value
BASE = "/ogcapi/v1"
ZONE = "America/Boise"
FIRST, LAST = date(2026, 2, 1), date(2026, 4, 10)
"""Days of the simulated records: clocks change on 8 March."""
NOW = datetime(2026, 4, 12, 12, tzinfo=UTC)
LAKE, RIVER, RAIN = "USGS-13032450", "USGS-13032500", "USGS-13032451"
WRONG_KEY = "wrong-key"
MAX_FEATURES = 50_000
MAX_DAYS = 1100

ERRORS = {
    "limit": (400, {"code": "InvalidParameterValue", "description": "Limit of 50000 exceeded"}),
    "envelope": (
        400,
        {
            "code": "InvalidQuery",
            "type": "InvalidQuery",
            "description": "The requested time envelope is too large, the query must be limited to 1100 day(s) or "
            "less for this collection.",
        },
    ),
    "property": (
        400,
        {
            "code": "InvalidQuery",
            "type": "InvalidQuery",
            "description": "At least one requested property wasn't found",
        },
    ),
    "key": (
        403,
        {
            "error": {
                "code": "API_KEY_INVALID",
                "message": "An invalid api_key was supplied. Get one at https://api.waterdata.usgs.gov/signup/",
            }
        },
    ),
    "rate": (429, {"error": {"code": "OVER_RATE_LIMIT", "message": "You have exceeded your rate limit."}}),
    "path": (404, {"code": "NotFound", "type": "NotFound", "description": "Collection not found"}),
}
"""Name → status and body, as recorded; the status of a wrong key and "path" are not recorded."""
COMMON = {"f", "lang", "limit", "cursor", "skipGeometry", "properties", "bbox"}


@dataclass(frozen=True)
class Value:
    """A value of a series as the service publishes it."""

    time: str
    value: str | None
    approval: str | None = "Approved"
    qualifier: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """A series and its values."""

    station: str
    parameter: str
    statistic: str | None
    period: str
    unit: str
    name: str
    description: str
    values: Sequence[Value]
    primary: str = "Primary"
    place: tuple[float, float] | None = (-111.2, 43.33)

    @property
    def id(self) -> str:
        """Identifier of the series."""
        return _digest(self.station, self.parameter, str(self.statistic), self.period, self.unit, self.primary)


@dataclass(frozen=True)
class Content:
    """What the service holds: series, and station → name and vertical datum."""

    records: Sequence[Record]
    locations: Mapping[str, tuple[str, str | None]]

    def answer(self, request: Received) -> Reply:
        """The service's answer."""
        *_, collection, items = request.path.split("/")
        features = self._features(collection) if items == "items" else None
        if request.headers.get("x-api-key") == WRONG_KEY:
            return _error("key")
        if features is None or not request.path.startswith(("/ogcapi/v0/collections/", "/ogcapi/v1/collections/")):
            return _error("path")
        query = dict(request.query)
        limit = int(query.get("limit", 10))
        if limit > MAX_FEATURES:
            return _error("limit")
        if collection in ("daily", "continuous"):
            span = _span(query.get("time") or query.get("datetime") or "../..")
            if collection == "continuous" and (span[1] - span[0]) > timedelta(days=MAX_DAYS):
                return _error("envelope")
            features = [f for f in features if span[0] <= _instant(f["properties"]["time"]) <= span[1]]
        features = _filtered(features, query, request.body)
        if features is None:
            return _error("property")
        return _page(request, features, limit)

    def _features(self, collection: str) -> list[Json] | None:
        if collection in ("daily", "continuous"):
            period = {"daily": "Daily", "continuous": "Points"}[collection]
            return [
                _feature(_digest(record.id, value.time), _value_row(record, value), record.place)
                for record in self.records
                if record.period == period
                for value in record.values
            ]
        if collection == "time-series-metadata":
            return [_feature(record.id, _metadata_row(record), record.place) for record in self.records]
        if collection == "monitoring-locations":
            return [
                _feature(
                    station,
                    {"id": station, "monitoring_location_name": name, "vertical_datum": datum, "time_zone": "MST"},
                    None,
                )
                for station, (name, datum) in self.locations.items()
            ]
        return None


def _error(name: str) -> Reply:
    status, body = ERRORS[name]
    return Reply(json.dumps(body).encode(), status)


def _digest(*texts: str) -> str:
    return hashlib.md5("|".join(texts).encode(), usedforsecurity=False).hexdigest()


def _feature(identifier: str, properties: Json, place: tuple[float, float] | None) -> Json:
    geometry = None if place is None else {"type": "Point", "coordinates": list(place)}
    return {"type": "Feature", "properties": properties, "id": identifier, "geometry": geometry}


def _value_row(record: Record, value: Value) -> Json:
    return {
        "time_series_id": record.id,
        "monitoring_location_id": record.station,
        "parameter_code": record.parameter,
        "statistic_id": record.statistic,
        "time": value.time,
        "value": value.value,
        "unit_of_measure": record.unit,
        "approval_status": value.approval,
        "qualifier": list(value.qualifier) or None,
        "last_modified": "2026-04-11T07:08:17.284720+00:00",
    }


def _metadata_row(record: Record) -> Json:
    times = sorted(value.time for value in record.values)
    return {
        "id": record.id,
        "monitoring_location_id": record.station,
        "parameter_code": record.parameter,
        "statistic_id": record.statistic,
        "unit_of_measure": record.unit,
        "parameter_name": record.name,
        "parameter_description": record.description,
        "computation_period_identifier": record.period,
        "begin": f"{times[0][:10]}T00:00:00.000001" if times else None,
        "end": f"{times[-1][:10]}T00:00:00.000001" if times else None,
        "primary": record.primary,
        "thresholds": [],
        "sublocation_identifier": None,
    }


def _instant(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _span(interval: str) -> tuple[datetime, datetime]:
    start, _, end = interval.partition("/")
    first = datetime.min.replace(tzinfo=UTC) if start == ".." else _instant(start)
    last = datetime.max.replace(tzinfo=UTC) if end == ".." else _instant(end or start)
    return first, last


def _filtered(features: list[Json], query: Mapping[str, str], body: bytes) -> list[Json] | None:
    """The features that pass the filters of the query; None if a filter is not known."""
    for key, text in query.items():
        if key in COMMON | {"time", "datetime"}:
            continue
        if not all(key in feature["properties"] for feature in features):
            return None
        features = [feature for feature in features if str(feature["properties"][key]) in text.split(",")]
    if "bbox" in query:
        west, south, east, north = map(float, query["bbox"].split(","))
        places = [(feature, (feature["geometry"] or {}).get("coordinates")) for feature in features]
        features = [f for f, place in places if place and west <= place[0] <= east and south <= place[1] <= north]
    if body:
        (condition,) = json.loads(body)["args"]
        key, allowed = condition["args"][0]["property"], condition["args"][1]
        features = [feature for feature in features if feature["properties"][key] in allowed]
    return features


def _page(request: Received, features: list[Json], limit: int) -> Reply:
    query = dict(request.query)
    cursor = base64.urlsafe_b64decode(query.get("cursor", "")).decode()
    rest = sorted((f for f in features if f["id"] > cursor), key=lambda feature: feature["id"])
    page, place = rest[:limit], f"http://{request.headers['host']}{request.path}"
    if query.get("skipGeometry", "").lower() == "true":
        page = [feature | {"geometry": None} for feature in page]
    links = [{"type": "application/geo+json", "rel": "self", "href": f"{place}?{urlencode(query)}"}]
    if len(rest) > limit:
        following = {"cursor": base64.urlsafe_b64encode(page[-1]["id"].encode()).decode()} | {
            key: text for key, text in query.items() if key != "cursor"
        }
        links.insert(0, {"rel": "next", "href": f"{place}?{urlencode(following)}", "type": "application/geo+json"})
    envelope = {"type": "FeatureCollection", "features": page, "numberReturned": len(page), "links": links}
    return Reply(json.dumps(envelope).encode(), headers={"Content-Type": "application/geo+json"})


# --- simulated records


TEXTS = {
    "62615": ("Elevation, lake/res, NAVD88", "Lake or reservoir water surface elevation above NAVD 1988, feet"),
    "62614": ("Elevation, lake/res, NGVD29", "Lake or reservoir water surface elevation above NGVD 1929, feet"),
    "00062": ("Elevation, reservoir", "Elevation of reservoir water surface above datum, feet"),
    "00054": ("Reservoir storage", "Reservoir storage, acre-feet"),
    "00060": ("Discharge", "Discharge, cubic feet per second"),
    "00045": ("Precipitation", "Precipitation, total, inches"),
}
"""Parameter → name and description, as recorded."""


def _wave(n: float, low: float, high: float) -> float:
    return low + (high - low) * (1 + math.sin(n / 9)) / 2


def daily_record(parameter: str, statistic: str, unit: str, station: str, *, low: float, high: float) -> Record:
    """A record of a value a day: the newest 20 are provisional; a few are estimated, hit by ice, or missing."""
    form = ".2f" if unit == "ft" else ".0f"
    values = []
    for n in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(days=n)
        approval = "Provisional" if (LAST - day).days < 20 else "Approved"
        qualifier = {11: ("ESTIMATED",), 12: ("ESTIMATED", "ICE"), 30: ("ICE",), 31: ("EQUIP",)}.get(n, ())
        text = None if n == 30 else format(_wave(n, low, high), form)
        values.append(Value(day.isoformat(), text, approval, qualifier))
    name, description = TEXTS[parameter]
    return Record(station, parameter, statistic, "Daily", unit, name, description, values)


def hourly_record(parameter: str, statistic: str | None, unit: str, station: str, *, low: float, high: float) -> Record:
    """A record of a value an hour from the first local day on."""
    start = day_start(FIRST, ZONE)
    count = int((day_start(LAST, ZONE) - start) / timedelta(hours=1))
    values = [
        Value(
            (start + timedelta(hours=n)).isoformat(),
            f"{_wave(n / 24, low, high):.2f}",
            "Provisional",
            ("ESTIMATED",) if n == 400 else (),
        )
        for n in range(count + 1)
    ]
    name, description = TEXTS[parameter]
    return Record(station, parameter, statistic, "Points", unit, name, description, values)


LEVEL = daily_record("62615", "00003", "ft", LAKE, low=5585, high=5610)
STORAGE = daily_record("00054", "32400", "ac-ft", LAKE, low=300_000, high=900_000)
FLOW = daily_record("00060", "00003", "ft^3/s", RIVER, low=900, high=8000)
HOURLY_LEVEL = hourly_record("62614", "00011", "ft", LAKE, low=5582, high=5607)
HOURLY_RAIN = hourly_record("00045", None, "in", RAIN, low=0, high=0.1)
CONTENT = Content(
    [LEVEL, STORAGE, FLOW, HOURLY_LEVEL, HOURLY_RAIN],
    {
        LAKE: ("SIMULATED RESERVOIR NR IRWIN ID", "NGVD29"),
        RIVER: ("SIMULATED RIVER NR IRWIN ID", "NAVD88"),
        RAIN: ("SIMULATED RAIN GAUGE NR IRWIN ID", None),
    },
)


def grade_of(value: Value) -> str:
    """Grade of a value, by the rules of docs/service_protocols.md."""
    if value.value is None:
        return "missing"
    if "ESTIMATED" in value.qualifier:
        return "estimated"
    if set(value.qualifier) & {"ICE", "EQUIP"}:
        return "poor"
    return "good" if value.approval == "Approved" else "unknown"


def truth(record: Record, variable: str, unit: str, *, stamp_h: int = 0) -> pl.DataFrame:
    """The record in canonical units; `stamp_h` hours from an interval's start to its stamp."""
    factor = VARIABLES[variable].conversion(unit)[0]
    rows = []
    for value in record.values:
        if record.period == "Daily":
            day = date.fromisoformat(value.time) + timedelta(days=record.statistic == "32400")
            time = day_start(day, ZONE)
        else:
            time = _instant(value.time) - timedelta(hours=stamp_h)
        rows.append((time, None if value.value is None else float(value.value) * factor, grade_of(value)))
    return pl.DataFrame(rows, schema=TRUTH, orient="row")


HEAD = """
id = "{id}"
name = "Simulated dam with USGS gauges"
country = "United States"
latitude = 43.33
longitude = -111.2
time_zone = "America/Boise"
simulated = true

[target]
variable = "{variable}"
unit = "{unit}"
datum = "feet above {datum}"
"""
LEVEL_GAUGE = f"""
[[gauges]]
role = "target"
source = "usgs"
station = "{LAKE}"
variable = "reservoir_level"
unit = "ft"
"""
STORAGE_GAUGE = f"""
[[gauges]]
role = "storage"
source = "usgs"
station = "{LAKE}"
variable = "storage"
unit = "ac-ft"
reading = "instantaneous"
reading_at = "00:00"
"""
FLOW_GAUGE = f"""
[[gauges]]
role = "stream"
source = "usgs"
station = "{RIVER}"
variable = "discharge"
unit = "ft3/s"
"""
HOURLY_LEVEL_GAUGE = f"""
[[gauges]]
role = "target"
source = "usgs"
station = "{LAKE}"
variable = "reservoir_level"
unit = "ft"
reading = "instantaneous"
interval = "hour"
"""
HOURLY_RAIN_GAUGE = f"""
[[gauges]]
role = "rainfall"
source = "usgs"
station = "{RAIN}"
variable = "rainfall"
unit = "in"
reading = "total"
interval = "hour"
stamp = "end"
"""
DAILY_DAM = (
    HEAD.format(id="usgs_daily", variable="reservoir_level", unit="ft", datum="NAVD 88")
    + LEVEL_GAUGE
    + FLOW_GAUGE
)
MIDNIGHT_DAM = (
    HEAD.format(id="usgs_midnight", variable="storage", unit="ac-ft", datum="none")
    + FLOW_GAUGE.replace("USGS-", "")
    + STORAGE_GAUGE.replace('role = "storage"', 'role = "target"')
)
CONTINUOUS_DAM = (
    HEAD.format(id="usgs_continuous", variable="reservoir_level", unit="ft", datum="NGVD 29")
    + HOURLY_LEVEL_GAUGE
    + HOURLY_RAIN_GAUGE
)


def is_values(request: Received, station: str) -> bool:
    """Whether a request asks for values of a station."""
    is_series = request.path.endswith(("/daily/items", "/continuous/items"))
    return is_series and request.query.get("monitoring_location_id", "").endswith(station)


def changed(body: bytes, **envelope: Json) -> bytes:
    """An answer with other parts of its envelope."""
    return json.dumps(json.loads(body) | envelope).encode()


def _linked(href: str) -> Json:
    return [{"rel": "next", "href": href}]


def _loop(body: bytes) -> bytes:
    own = next(link["href"] for link in json.loads(body)["links"] if link["rel"] == "self")
    return changed(body, links=_linked(own))


def _error_body(name: str) -> bytes:
    return json.dumps(ERRORS[name][1]).encode()


FAULTS = [
    ContentFault("fewer rows than counted", lambda body: changed(body, numberReturned=999), "nothing", "counts '999'"),
    ContentFault("more rows in all than sent", lambda body: changed(body, numberMatched=999), "nothing", "counts 999"),
    ContentFault("a next link to another host", lambda body: changed(body, links=_linked("https://elsewhere.test/x")),
                 "nothing", "leaves the service: 'https://elsewhere.test/x'"),
    ContentFault("a next link to the same page", _loop, "nothing", "form a loop at page 1"),
    ContentFault("a next link that is no URL", lambda body: changed(body, links=_linked("http://[::1/x")),
                 "nothing", "is not a URL"),
    ContentFault("another series", lambda body: body.replace(b'"time_series_id": "', b'"time_series_id": "x'),
                 "nothing", "instead of"),
    ContentFault("a wrong key", lambda _: _error_body("key"), "nothing", "refuses the API key .API_KEY_INVALID",
                 status=403),
    ContentFault("a wrong key, with status 200", lambda _: _error_body("key"), "nothing", "refuses the API key"),
    ContentFault("the limit of requests", lambda _: _error_body("rate"), "nothing", "limit of requests is reached",
                 status=429, headers={"Retry-After": "0"}),
    ContentFault("an invalid query", lambda _: _error_body("property"), "nothing", "InvalidQuery .At least one",
                 status=400),
    ContentFault("a value that is not a number", lambda body: body.replace(b'"value": "', b'"value": "about '),
                 "nothing", "'about .*' is not a number"),
    ContentFault("a time of another form", lambda body: body.replace(b'"time": "', b'"time": "x'), "nothing",
                 r"time 'x.*' is not a date (like|with a time)"),
]  # fmt: skip


def _case(
    dam_file: str,
    truths: Mapping[str, pl.DataFrame],
    unit: tuple[bytes, bytes],
    small: Mapping[str, float],
    *,
    record: Record,
) -> ServiceCase:
    page = CONTENT.answer(_received("daily", limit="3")).body
    series = CONTENT.answer(_received("time-series-metadata", limit="3")).body
    locations = CONTENT.answer(_received("monitoring-locations", limit="2")).body
    return ServiceCase(
        service="usgs",
        dam_file=dam_file,
        answer=CONTENT.answer,
        truth=truths,
        now=NOW,
        is_data=is_values,
        answer_without=_answer_without(record),
        base=BASE,
        small=small,
        content_faults=[
            ContentFault("another unit", lambda body: body.replace(*unit), "nothing", "changes its unit"),
            *FAULTS,
        ],
        parsers={
            "values": (page, lambda answer: parse.parse_values(parse.parse_page(answer).rows)),
            "series": (series, lambda answer: parse.parse_series(parse.parse_page(answer).rows)),
            "locations": (locations, lambda answer: parse.parse_locations(parse.parse_page(answer).rows)),
        },
    )


def _answer_without(record: Record) -> Callable[[Collection[int]], Answer]:
    """The service without some values of a record."""

    def answer_without(rows: Collection[int]) -> Answer:
        changed = replace(record, values=[value for k, value in enumerate(record.values) if k not in rows])
        return replace(CONTENT, records=[changed, *(other for other in CONTENT.records if other != record)]).answer

    return answer_without


def _received(collection: str, **query: str) -> Received:
    return Received("GET", f"{BASE}/collections/{collection}/items", query, {"host": "127.0.0.1"}, b"")


def cases() -> list[ServiceCase]:
    """Daily means, daily values at midnight, and continuous values."""
    flow = truth(FLOW, "discharge", "ft3/s")
    return [
        _case(
            DAILY_DAM,
            {LAKE: truth(LEVEL, "reservoir_level", "ft"), RIVER: flow},
            (b'"ft^3/s"', b'"m3/s"'),
            {"points_per_request": 9},
            record=FLOW,
        ),
        _case(
            MIDNIGHT_DAM,
            {RIVER.removeprefix("USGS-"): flow, LAKE: truth(STORAGE, "storage", "ac-ft")},
            (b'"ac-ft"', b'"[Mft3]"'),
            {"days_per_request": 10},
            record=STORAGE,
        ),
        _case(
            CONTINUOUS_DAM,
            {
                LAKE: truth(HOURLY_LEVEL, "reservoir_level", "ft"),
                RAIN: truth(HOURLY_RAIN, "rainfall", "in", stamp_h=1),
            },
            (b'"in"', b'"mm"'),
            {"points_per_request": 100, "days_per_request": 12},
            record=HOURLY_RAIN,
        ),
    ]
