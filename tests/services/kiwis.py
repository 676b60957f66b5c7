"""KiWIS hubs on loopback: the Bureau of Meteorology, and a hub with stamps in UTC. Their values are simulated."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, timezone

import polars as pl

from forebay.sources.kiwis import parse
from forebay.sources.kiwis.stations import parse_stations
from tests.conformance import TRUTH, ContentFault, ServiceCase
from tests.loopback import Answer, Received, Reply

Point = tuple[datetime, float | None, int]
"""Stamp with its zone, value and quality code."""
FIRST = date(2024, 1, 1)
DAYS = 60
MAX_VALUES = 120_000
EASTERN = timezone(timedelta(hours=10))
REPORT = b"""<ExceptionReport>
<Exception exceptionCode="DatasourceError">
<ExceptionText>Error getting tsdata from WDP.</ExceptionText>
</Exception>
</ExceptionReport>
"""
"""Answer to a request for too many values, as recorded."""


@dataclass(frozen=True)
class HubSeries:
    """A series of a hub."""

    ts_id: str
    station: str
    parameter: str
    name: str
    unit: str
    points: Sequence[Point]
    unit_name: str = ""
    has_coverage: bool = True

    @property
    def path(self) -> str:
        """Its path in the hub."""
        return f"site/{self.station}/{self.parameter}/{self.name}"

    def row(self) -> dict[str, str]:
        """Its row in the list of series."""
        stamps = [stamp for stamp, _, _ in self.points]
        covered = bool(stamps) and self.has_coverage
        return {
            "station_name": f"STATION {self.station}",
            "station_no": self.station,
            "ts_id": self.ts_id,
            "ts_name": self.name,
            "ts_path": self.path,
            "ts_unitname": self.unit_name,
            "ts_unitsymbol": self.unit,
            "parametertype_name": self.parameter,
            "from": stamp_text(stamps[0]) if covered else "",
            "to": stamp_text(stamps[-1]) if covered else "",
        }


@dataclass
class Hub:
    """A hub: its series and places, the zone of its bare dates, and the requests that it received."""

    series: Sequence[HubSeries]
    zone: timezone = EASTERN
    places: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Station → latitude and longitude as texts."""
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    max_values: int = MAX_VALUES
    too_many: bytes = REPORT
    refuse: Callable[[Mapping[str, str]], Reply | None] = lambda _: None
    received: list[Mapping[str, str]] = field(default_factory=list)

    def answer(self, request: Received) -> Reply:
        """The answer to a request, as the recorded hubs answer."""
        query = request.query
        self.received.append(query)
        assert (query["service"], query["type"], query["format"]) == ("kisters", "queryServices", "json")
        if refusal := self.refuse(query):
            return refusal
        if query["datasource"] != "0":
            return self._error("DatasourceError", f"Datasource with number {query['datasource']} is not available")
        answers = {
            "getTimeseriesList": self._series_list,
            "getTimeseriesValues": self._values,
            "getStationList": self._station_list,
        }
        return answers[query["request"]](query)

    def _error(self, code: str, message: str, status: int = 500) -> Reply:
        return Reply(json.dumps({"type": "error", "code": code, "message": message}).encode(), status)

    def _selected(self, query: Mapping[str, str]) -> list[HubSeries]:
        keys = {"ts_id": "ts_id", "ts_path": "path", "station_no": "station", "parametertype_name": "parameter"}
        conditions = {attribute: query[key].split(",") for key, attribute in keys.items() if key in query}
        return [s for s in self.series if all(getattr(s, name) in values for name, values in conditions.items())]

    def _series_list(self, query: Mapping[str, str]) -> Reply:
        rows = [series.row() for series in self._selected(query)]
        if not rows:
            return Reply(json.dumps(["No matches."]).encode())
        names = [name for field_name in query["returnfields"].split(",") for name in _expanded(field_name)]
        return Reply(json.dumps([names, *([row[name] for name in names] for row in rows)]).encode())

    def _station_list(self, query: Mapping[str, str]) -> Reply:
        measured = {series.station for series in self._selected(query)}
        stations = [station for station in self.places if station in measured]
        if "ca_sta_returnfields" in query:
            names = query["ca_sta_returnfields"].split(",")
            rows = [[s, *(self.attributes.get(s, {}).get(name, "") for name in names)] for s in stations]
            return Reply(json.dumps([["station_no", *names], *rows]).encode())
        header = query["returnfields"].split(",")
        rows = [
            [dict(zip(header, (station, f"STATION {station}", *self.places[station]), strict=True))[n] for n in header]
            for station in stations
            for _ in range(2)  # the recorded hub repeats a station for each of its parameters
        ]
        return Reply(json.dumps([header, *rows]).encode())

    def _values(self, query: Mapping[str, str]) -> Reply:
        wanted = query["ts_id"].split(",")
        known = [series for series in self.series if series.ts_id in wanted]
        if len(known) != len(wanted):
            return self._error("InvalidParameterValue", f"Parameter ts_id has wrong value {query['ts_id']}", 400)
        first, last = (datetime.combine(date.fromisoformat(query[key]), time(0), self.zone) for key in ("from", "to"))
        columns = query["returnfields"].split(",")
        tables = []
        for series in known:
            rows = [point for point in series.points if first <= point[0] <= last]
            cells = [dict(zip(("Timestamp", "Value", "Quality Code"), row, strict=True)) for row in rows]
            tables.append({
                **{key: series.row()[key] for key in query["md_returnfields"].split(",")},
                "rows": str(len(rows)),
                "columns": ",".join(columns),
                "data": [[stamp_text(cell) if isinstance(cell := row[name], datetime) else cell for name in columns]
                         for row in cells],
            })  # fmt: skip
        if sum(len(table["data"]) for table in tables) > self.max_values:
            return Reply(self.too_many, 500)
        return Reply(json.dumps(tables).encode())


def _expanded(field_name: str) -> list[str]:
    return ["from", "to"] if field_name == "coverage" else [field_name]


def stamp_text(stamp: datetime) -> str:
    """A stamp in the hub's form.

    >>> stamp_text(datetime(2020, 1, 1, 9, tzinfo=EASTERN))
    '2020-01-01T09:00:00.000+10:00'
    """
    text = stamp.isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def every(step: timedelta, start: datetime, values: Sequence[tuple[float | None, int]]) -> list[Point]:
    """Points from `start` on, `step` apart."""
    return [(start + k * step, *value) for k, value in enumerate(values)]


DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LEVELS: list[tuple[float | None, int]] = [
    (None, -1) if k == 20 else (round(955.0 - k / 100, 3), 140 if k == 30 else 10) for k in range(DAYS)
]
RAIN: list[tuple[float | None, int]] = [
    (0.0, 210) if 40 <= k < 43 else (None, -1) if k == 45 else (round(k % 7 * 1.2, 1), 90 if k % 5 else 10)
    for k in range(DAYS)
]
FLOW: list[tuple[float | None, int]] = [(round(500 + 300 * (k % 24) / 24, 3), 10) for k in range(24 * DAYS)]


def at(clock: int, zone: timezone = EASTERN) -> datetime:
    """A clock time on the first day."""
    return datetime.combine(FIRST, time(clock), zone)


BUREAU = Hub(
    (
        HubSeries("101", "410742", "Storage Level", "DMQaQc.Merged.DailyMean.24HR", "m", every(DAY, at(0), LEVELS)),
        HubSeries("102", "410742", "Storage Level", "DMQaQc.Merged.AsStored.1", "m", every(HOUR, at(0), FLOW)),
        HubSeries("103", "570947", "Rainfall", "DMQaQc.Merged.DailyTotal.09HR", "mm", every(DAY, at(9), RAIN)),
        HubSeries(
            "104", "410730", "Water Course Discharge", "DMQaQc.Merged.HourlyMean.HR", "Ml/d", every(HOUR, at(0), FLOW)
        ),
    )
)
BUREAU_DAM = """
id = "corin"
name = "Corin Dam"
country = "Australia"
latitude = -35.54
longitude = 148.84
time_zone = "+10:00"
licence = "Bureau of Meteorology"
full_supply = 955.54

[target]
variable = "reservoir_level"
unit = "m"
datum = "metres above sea level"

[[gauges]]
role = "target"
source = "bom"
station = "410742"
variable = "reservoir_level"
unit = "m"

[[gauges]]
role = "rainfall"
source = "bom"
station = "570947"
variable = "rainfall"
unit = "mm"
stamp = "end"
day_start = "09:00"

[[gauges]]
role = "stream"
source = "bom"
station = "410730"
variable = "discharge"
unit = "ML/d"
interval = "hour"
"""

MIDNIGHT_UTC = datetime(2023, 12, 31, 23, tzinfo=UTC)
"""Start of the first day at +01:00, as a hub in that zone stamps it."""
OTHER_HUB = Hub(
    (
        HubSeries("5001", "L1", "H", "DayMean", "m", every(DAY, MIDNIGHT_UTC, LEVELS)),
        HubSeries("5002", "R1", "P", "DayTotal", "", every(DAY, MIDNIGHT_UTC, RAIN), unit_name="millimeter"),
    ),
    zone=UTC,
)
OTHER_DAM = """
id = "other"
name = "A dam at another hub"
country = "Belgium"
latitude = 50.6
longitude = 6.1
time_zone = "Europe/Brussels"
full_supply = 955.5

[target]
variable = "reservoir_level"
unit = "m"
datum = "metres above sea level"

[[gauges]]
role = "target"
source = "kiwis"
station = "L1"
variable = "reservoir_level"
unit = "m"
request = { ts_id = 5001 }

[[gauges]]
role = "rainfall"
source = "kiwis"
station = "R1"
variable = "rainfall"
unit = "mm"
request = { parametertype_name = "P", ts_name = "DayTotal" }
"""


def _truth(
    points: Sequence[Point], *, grades: Mapping[int, str], factor: float = 1.0, end: bool = False
) -> pl.DataFrame:
    """Readings of a series; where its codes have grades, 0 with code 210 is missing."""
    rows = []
    for stamp, value, code in points:
        is_missing = value is None or (bool(grades) and (value, code) == (0.0, 210))
        grade = "missing" if is_missing else grades.get(code, "unknown")
        start = stamp.astimezone(UTC) - (DAY if end else timedelta(0))
        rows.append((start, None if is_missing or value is None else value * factor, grade))
    return pl.DataFrame(rows, schema=TRUTH, orient="row")


def _is_values_of(hub: Hub) -> Callable[[Received, str], bool]:
    stations = {series.ts_id: series.station for series in hub.series}

    def is_data(request: Received, station: str) -> bool:
        is_values = request.query.get("request") == "getTimeseriesValues"
        return is_values and stations.get(request.query["ts_id"]) == station

    return is_data


def _answer_without(hub: Hub, ts_id: str) -> Callable[[Collection[int]], Answer]:
    """The hub without some points of a series."""

    def answer_without(rows: Collection[int]) -> Answer:
        changed = [
            replace(series, points=[point for k, point in enumerate(series.points) if k not in rows])
            if series.ts_id == ts_id
            else series
            for series in hub.series
        ]
        return replace(hub, series=changed, received=[]).answer

    return answer_without


FAULTS = (
    ContentFault("another unit", lambda b: b.replace(b'"mm"', b'"furlong"'), "nothing", "furlong"),
    ContentFault("fewer rows than stated", lambda b: b.replace(b'"rows": "', b'"rows": "1'), "nothing", "states '1"),
    ContentFault("another station", lambda b: b.replace(b"570947", b"999"), "nothing", "belongs to station '999'"),
    ContentFault("another series", lambda b: b.replace(b'"103"', b'"9"'), "nothing", "have series 103 once"),
    ContentFault("a time without a zone", lambda b: b.replace(b"+10:00", b""), "nothing", "and a zone"),
    ContentFault("days at another clock time", lambda b: b.replace(b"T09:", b"T15:"), "nothing", "correct day_start"),
    ContentFault("no value column", lambda b: b.replace(b",Value,", b",Amount,"), "nothing", "lack 'Value'"),
    ContentFault("an error in JSON", lambda _: b'{"code":"X","message":"broken"}', "nothing", "X \\(broken"),
    ContentFault("an error with status 404", lambda _: b'{"code":"X"}', "nothing", "reports X", status=404),
    ContentFault("an error in XML", lambda _: REPORT, "nothing", "DatasourceError \\(Error getting tsdata"),
    ContentFault("an error in XML with status 500", lambda _: REPORT, "nothing", "DatasourceError", status=500),
    ContentFault("a blocked client", lambda _: b"<html>Denied</html>", "nothing", "refuses this client", status=403),
)


PLACES = {"410742": ("-35.53", "148.84"), "410730": ("-35.58", "148.82")}
ATTRIBUTES = {"410742": {"station_gauge_datum": "0.0", "FullStorageLevel": "955.54", "FullStorageVolume": "70897.1"}}


def _station_lists() -> tuple[bytes, bytes]:
    """A list of stations and one of their attributes, as the Bureau sends them."""
    hub = replace(BUREAU, places=PLACES, attributes=ATTRIBUTES, received=[])
    query = {"service": "kisters", "type": "queryServices", "format": "json", "datasource": "0"}
    query |= {"request": "getStationList", "returnfields": "station_no,station_name,station_latitude,station_longitude"}
    attributes = query | {"ca_sta_returnfields": ",".join(ATTRIBUTES["410742"])}
    stations, described = (hub.answer(Received("GET", "/", keys, {}, b"")).body for keys in (query, attributes))
    return stations, described


def cases() -> list[ServiceCase]:
    """The Bureau, and another hub."""
    bureau = {1: "", 10: "good", 90: "fair", 140: "unknown", 210: "poor"}
    points = {series.station: series.points for series in BUREAU.series if series.ts_id != "102"}
    other = {series.station: series.points for series in OTHER_HUB.series}
    query = {"request": "getTimeseriesValues", "ts_id": "103", "from": "2024-01-01", "to": "2024-01-09"}
    common = {"service": "kisters", "type": "queryServices", "format": "json", "datasource": "0"}
    fields = {"returnfields": "Value,Timestamp,Quality Code", "md_returnfields": "station_no,ts_id,ts_unitsymbol"}
    values = BUREAU.answer(Received("GET", "/", {**common, **query, **fields}, {}, b"")).body
    listing = {"request": "getTimeseriesList", "returnfields": "ts_id,ts_name,station_no,ts_unitsymbol,coverage"}
    stations, attributes = _station_lists()
    listed = BUREAU.answer(Received("GET", "/", {**common, **listing}, {}, b"")).body
    return [
        ServiceCase(
            service="bom",
            dam_file=BUREAU_DAM,
            answer=BUREAU.answer,
            truth={
                "410742": _truth(points["410742"], grades=bureau),
                "570947": _truth(points["570947"], grades=bureau, end=True),
                "410730": _truth(points["410730"], grades=bureau, factor=1000 / 86_400),
            },
            now=at(12) + DAYS * DAY + 3 * DAY,
            is_data=_is_values_of(BUREAU),
            answer_without=_answer_without(BUREAU, "103"),
            base="/waterdata/services",
            content_faults=FAULTS,
            parsers={
                "values": (values, parse.parse_values),
                "series": (listed, parse.parse_series_list),
                "stations": (stations, parse_stations),
                "attributes": (attributes, parse.parse_attributes),
            },
        ),
        ServiceCase(
            service="kiwis",
            dam_file=OTHER_DAM,
            answer=OTHER_HUB.answer,
            truth={station: _truth(rows, grades={}) for station, rows in other.items()},
            now=MIDNIGHT_UTC + (DAYS + 3) * DAY,
            is_data=_is_values_of(OTHER_HUB),
            answer_without=_answer_without(OTHER_HUB, "5002"),
            base="/KiWIS/KiWIS?hub=1",
            content_faults=(
                ContentFault("another unit", lambda b: b.replace(b"millim", b"m"), "nothing", "unit of .* changes"),
                *FAULTS[-4:],
            ),
            parsers={"values": (values, parse.parse_values)},
        ),
    ]
