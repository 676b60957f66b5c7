"""The Environment Agency's services on loopback: the hydrology archive and flood monitoring, with simulated values."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl

from forebay.sources.uk_ea import parse
from forebay.sources.uk_ea.stations import parse_station_series, parse_stations
from tests.conformance import TRUTH, ContentFault, ServiceCase
from tests.loopback import Answer, Received, Reply

Json = Any  # Any: a JSON value
HYDROLOGY = "/hydrology"
FLOOD = "/flood-monitoring"
ROOT = "http://environment.data.gov.uk"
GUID = "3c5cba29-2321-4289-a1fd-c355e135f4cb"
RAIN_GUID = "11111111-2321-4289-a1fd-c355e135f4cb"
FIRST = date(2024, 3, 1)
DAYS = 45
MAX_ITEMS = 10_000


@dataclass(frozen=True)
class Measure:
    """A measure of a station, and its readings as items of an answer, the oldest first."""

    notation: str
    station: str
    parameter: str
    value_type: str
    period: int
    unit: str
    readings: Sequence[Mapping[str, Json]]


@dataclass
class Agency:
    """One of the two services: its path, its measures and stations, and the requests that it received."""

    base: str
    measures: Sequence[Measure]
    stations: Sequence[Mapping[str, Json]] = ()
    max_items: int = MAX_ITEMS
    ignores_offset: bool = False
    received: list[Received] = field(default_factory=list)

    def answer(self, request: Received) -> Reply:
        """The answer to a request, as the recorded services answer."""
        self.received.append(request)
        path = request.path.removeprefix(f"{self.base}/")
        if path == "id/measures":
            return self._reply([self._measure(m) for m in self.measures if m.station in request.query.values()])
        if path == "id/stations":
            return self._reply(list(self.stations))
        if path.startswith("id/stations/"):
            items = [one for one in self.stations if path.rpartition("/")[2] in (one.get("stationGuid"), _name(one))]
            return self._reply(items[0]) if items else Reply(b"Not Found", 404)
        for measure in self.measures:
            if path == f"id/measures/{measure.notation}/readings":
                return self._readings(measure, request.query)
        return Reply(b"<html><body>Not Found</body></html>", 404)

    def _reply(self, items: Json, **meta: Json) -> Reply:
        return Reply(json.dumps({"meta": {"publisher": "Environment Agency", **meta}, "items": items}).encode())

    def _measure(self, measure: Measure) -> dict[str, Json]:
        station = f"{ROOT}{self.base}/id/stations/{measure.station}"
        is_archive = self.base == HYDROLOGY
        return {
            "@id": f"{ROOT}{self.base}/id/measures/{measure.notation}",
            "label": f"{measure.parameter} of {measure.station}",
            "notation": measure.notation,
            "parameter": measure.parameter,
            "period": measure.period,
            "valueType": measure.value_type,
            "unitName": measure.unit,
            "station": {"@id": station, "label": "A"} if is_archive else station,
            **({} if is_archive else {"stationReference": measure.station}),
        }

    def _readings(self, measure: Measure, query: Mapping[str, str]) -> Reply:
        link = f"{ROOT}{self.base}/id/measures/{measure.notation}"
        about = {"measure": {"@id": link} if self.base == HYDROLOGY else link}
        if "earliest" in query:
            return self._reply([{**about, **measure.readings[0]}] if measure.readings else [])
        since, first, last = query.get("since", ""), query.get("mineq-date", ""), query.get("maxeq-date", "9999")
        chosen = [row for row in measure.readings if row["dateTime"] > since and first <= row["dateTime"][:10] <= last]
        limit = min(int(query.get("_limit", 500)), self.max_items)
        offset = 0 if self.ignores_offset else int(query.get("_offset", 0))
        newest_first = chosen[::-1]
        return self._reply([{**about, **row} for row in newest_first[offset : offset + limit]], limit=limit)


def _name(item: Mapping[str, Json]) -> Json:
    return item.get("stationReference")


def archive_day(day: date, value: float | None, quality: str, completeness: str = "Complete") -> dict[str, Json]:
    """A reading of a day from 09:00 to 09:00 in the archive, as recorded: without a zone, and the value a number."""
    return {
        "date": day.isoformat(),
        "dateTime": f"{day}T09:00:00",
        **({} if value is None else {"value": value}),
        "completeness": completeness,
        "quality": quality,
    }


def quarter_hours(values: Callable[[int], float], *, suffix: str = "Z", **keys: str) -> list[dict[str, Json]]:
    """Readings every 15 minutes, stamped in UTC."""
    start = datetime.combine(FIRST, time(0))
    stamps = (start + k * timedelta(minutes=15) for k in range(96 * DAYS))
    return [{"dateTime": f"{t:%Y-%m-%dT%H:%M:%S}{suffix}", "value": values(k), **keys} for k, t in enumerate(stamps)]


def _day_flow(k: int) -> dict[str, Json]:
    day = FIRST + timedelta(days=k)
    if k == 20:
        return archive_day(day, None, "Missing")
    quality = ("Good", "Estimated", "Suspect", "Unchecked")[k % 4]
    return archive_day(day, round(7.5 + k / 8, 3), quality, "Incomplete" if k == 24 else "Complete")


LEVEL = Measure(
    f"{GUID}-level-i-900-m-qualified", GUID, "level", "instantaneous", 900, "m",
    quarter_hours(lambda k: round(20 + k / 1000, 3), suffix="", quality="Unchecked"),
)  # fmt: skip
FLOW = Measure(
    f"{GUID}-flow-m-86400-m3s-qualified", GUID, "flow", "mean", 86400, "m3/s", [_day_flow(k) for k in range(DAYS)]
)
FLOW_MAX = Measure(f"{GUID}-flow-max-86400-m3s-qualified", GUID, "flow", "max", 86400, "m3/s", [])
ARCHIVE = Agency(HYDROLOGY, (LEVEL, FLOW, FLOW_MAX))
RIVER = Measure(
    "750604-level-stage-i-15_min-m", "750604", "level", "instantaneous", 900, "m",
    quarter_hours(lambda k: round(16 + k / 2000, 3)),
)  # fmt: skip
DASHES = Measure("750604-level-stage-i-15_min----", "750604", "level", "instantaneous", 900, "---", [])
RAIN = Measure(
    "E7050-rainfall-tipping_bucket_raingauge-t-15_min-mm", "E7050", "rainfall", "total", 900, "mm",
    quarter_hours(lambda k: 0.2 * (k % 9 == 0)),
)  # fmt: skip
MONITORING = Agency(FLOOD, (RIVER, DASHES, RAIN))

_HEAD = """
id = "thirlmere"
name = "Thirlmere Reservoir"
country = "United Kingdom"
latitude = 54.56
longitude = -3.06
time_zone = "Europe/London"
full_supply = 16.55

[target]
variable = "reservoir_level"
unit = "m"
datum = "metres above the gauge's zero"
"""
ARCHIVE_DAM = f"""{_HEAD}
[[gauges]]
role = "target"
source = "uk_ea"
station = "{GUID}"
variable = "reservoir_level"
unit = "m"
reading = "instantaneous"
interval = "15min"

[[gauges]]
role = "inflow"
source = "uk_ea"
station = "{FLOW.notation}"
variable = "inflow"
unit = "m3/s"
day_start = "09:00"
"""
FLOOD_DAM = f"""{_HEAD}
[[gauges]]
role = "target"
source = "uk_ea_flood"
station = "750604"
variable = "reservoir_level"
unit = "m"
reading = "instantaneous"
interval = "15min"
request = {{ measure = "{RIVER.notation}" }}

[[gauges]]
role = "rainfall"
source = "uk_ea_flood"
station = "E7050"
variable = "rainfall"
unit = "mm"
interval = "15min"
"""


def _truth(measure: Measure, grades: Mapping[str, str]) -> pl.DataFrame:
    rows = []
    for row in measure.readings:
        time_ = datetime.fromisoformat(row["dateTime"].removesuffix("Z")).replace(tzinfo=UTC)
        is_complete = row.get("completeness", "Complete") == "Complete"
        grade = grades.get(row.get("quality", ""), "unknown") if is_complete else "poor"
        rows.append((time_, row.get("value"), grade))
    return pl.DataFrame(rows, schema=TRUTH, orient="row")


def _is_readings_of(agency: Agency, stations: Mapping[str, str]) -> Callable[[Received, str], bool]:
    """Whether a request asks for readings; `stations` has the gauge's station of each measure."""

    def is_data(request: Received, station: str) -> bool:
        parts = request.path.removeprefix(f"{agency.base}/").split("/")
        return parts[-1] == "readings" and stations.get(parts[2]) == station

    return is_data


def _answer_without(agency: Agency, measure: Measure) -> Callable[[Collection[int]], Answer]:
    """The service without some readings of a measure."""

    def answer_without(rows: Collection[int]) -> Answer:
        changed = replace(measure, readings=[row for k, row in enumerate(measure.readings) if k not in rows])
        others = [other for other in agency.measures if other != measure]
        return replace(agency, measures=[changed, *others], received=[]).answer

    return answer_without


def station(name: str, latitude: Json, longitude: Json, **keys: Json) -> dict[str, Json]:
    """A station of an answer to `id/stations`, with one measure."""
    measures = [{"@id": f"{ROOT}/id/measures/{name}-level", "parameter": "level", "unitName": "mASD"}]
    place = {"lat": latitude, "long": longitude, "label": f"Station {name}", "measures": measures}
    return place | {"stationReference": name, "status": f"{ROOT}/def/core/statusActive"} | keys


STATIONS = json.dumps({
    "meta": {"limit": 10},
    "items": [
        station("1", 54.56, -3.06, label="Thirlmere Reservoir", dateOpened="1997-10-29", riverName="Beck"),
        station("2", [54.60], [-3.06], status={"@id": "x/statusClosed"}, dateClosed=["2020-01-01"], stationGuid=GUID),
    ],
}).encode()  # fmt: skip


def _faults(measure: Measure) -> tuple[ContentFault, ...]:
    name = measure.notation.encode()
    return (
        ContentFault("another measure", lambda b: b.replace(name, b"another"), "nothing", "measure 'another' instead"),
        ContentFault("a text", lambda b: b.replace(b'"value": ', b'"value": "x", "v": '), "nothing", "'x' is not"),
        ContentFault("no items", lambda b: b.replace(b'"items"', b'"rows"'), "nothing", "has no list of items"),
        ContentFault("half of a time", lambda b: b.replace(b":00:00", b""), "nothing", "is not a date with a time"),
        ContentFault("no time", lambda b: b.replace(b'"dateTime"', b'"when"'), "nothing", "lacks 'dateTime'"),
        ContentFault("status 404", lambda _: b"", "nothing", "does not know the requested", status=404),
    )


def cases() -> list[ServiceCase]:
    """The archive, and flood monitoring."""
    now = datetime.combine(FIRST, time(12), UTC) + timedelta(days=DAYS + 2)
    words = {"Good": "good", "Estimated": "estimated", "Suspect": "poor", "Unchecked": "unknown", "Missing": "missing"}
    days = {"mineq-date": "2024-03-01", "maxeq-date": "2024-03-05", "_limit": "10"}
    flow = ARCHIVE.answer(Received("GET", f"{HYDROLOGY}/id/measures/{FLOW.notation}/readings", days, {}, b"")).body
    measures = ARCHIVE.answer(Received("GET", f"{HYDROLOGY}/id/measures", {"station": GUID}, {}, b"")).body
    return [
        ServiceCase(
            service="uk_ea",
            dam_file=ARCHIVE_DAM,
            answer=ARCHIVE.answer,
            truth={GUID: _truth(LEVEL, words), FLOW.notation: _truth(FLOW, words)},
            now=now,
            is_data=_is_readings_of(ARCHIVE, {LEVEL.notation: GUID, FLOW.notation: FLOW.notation}),
            answer_without=_answer_without(ARCHIVE, FLOW),
            base=HYDROLOGY,
            content_faults=_faults(FLOW),
            parsers={
                "readings": (flow, lambda answer: parse.parse_readings(answer, FLOW.notation)),
                "measures": (measures, parse.parse_measures),
                "stations": (STATIONS, parse_stations),
                "station series": (STATIONS, parse_station_series),
            },
        ),
        ServiceCase(
            service="uk_ea_flood",
            dam_file=FLOOD_DAM,
            answer=MONITORING.answer,
            truth={"750604": _truth(RIVER, {}), "E7050": _truth(RAIN, {})},
            now=now,
            is_data=_is_readings_of(MONITORING, {RIVER.notation: "750604", RAIN.notation: "E7050"}),
            answer_without=_answer_without(MONITORING, RAIN),
            base=FLOOD,
            small={"points_per_request": 700},
            content_faults=_faults(RAIN),
            parsers={"readings": (flow, lambda answer: parse.parse_readings(answer, FLOW.notation))},
        ),
    ]
