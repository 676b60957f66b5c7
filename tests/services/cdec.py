"""A simulated CDEC: the JSON and the CSV servlet in the form of the recordings; all values are simulated."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from forebay.sources.cdec import parse_answer
from tests.conformance import TRUTH, ContentFault, ServiceCase
from tests.loopback import Received, Reply

Json = Any  # Any: a JSON value
CSV_HEAD = "STATION_ID,DURATION,SENSOR_NUMBER,SENSOR_TYPE,DATE TIME,OBS DATE,VALUE,DATA_FLAG,UNITS\n"
Row = tuple[datetime, str, str]
"""Time on the clock of the service, value as text ("-9999" or "---" without one), data flag."""


@dataclass(frozen=True)
class Series:
    """Values of one sensor."""

    station: str
    sensor: int
    duration: str
    units: str
    rows: Sequence[Row]
    kind: str = "STORAGE"


@dataclass(frozen=True)
class CdecService:
    """The service with its series. The last day of a request ends at its 00:00."""

    series: Sequence[Series]

    def __call__(self, request: Received) -> Reply:
        """Answer of a request: an empty list for an unknown station, sensor or duration."""
        query = request.query
        first, last = (datetime.fromisoformat(query[key]) for key in ("Start", "End"))
        rows = [
            (series, *row)
            for series in self.series
            if (series.station, str(series.sensor), series.duration)
            == (query["Stations"].upper(), query["SensorNums"], query["dur_code"])
            for row in series.rows
            if first <= row[0] <= last
        ]
        if request.path.endswith("CSVDataServlet"):
            lines = [_csv_line(*row) for row in rows]
            return Reply((CSV_HEAD + "".join(lines)).encode(), 200, {"Content-Type": "text/csv"})
        return Reply(json.dumps([_json_row(*row) for row in rows]).encode())


def _json_row(series: Series, stamp: datetime, value: str, flag: str) -> Json:
    observed = stamp + timedelta(days=1) if series.duration == "D" else stamp
    return {
        "stationId": series.station,
        "durCode": series.duration,
        "SENSOR_NUM": series.sensor,
        "sensorType": series.kind,
        "date": f"{stamp.year}-{stamp.month}-{stamp.day} {stamp:%H:%M}",
        "obsDate": f"{observed.year}-{observed.month}-{observed.day} {observed.hour}:{observed:%M}",
        "value": json.loads(value) if value != "---" else -9999,
        "dataFlag": flag or " ",
        "units": series.units,
    }


def _csv_line(series: Series, stamp: datetime, value: str, flag: str) -> str:
    clock = f"{stamp:%Y%m%d %H%M}"
    text = "---" if value == "-9999" else value
    cells = (series.station, series.duration, series.sensor, series.kind, clock, clock, text, flag or " ", series.units)
    return ",".join(map(str, cells)) + "\n"


DAM_FILE = """
id = "shasta"
name = "Shasta Lake"
country = "United States"
latitude = 40.72
longitude = -122.42
time_zone = "America/Los_Angeles"
full_supply = 4552000

[target]
variable = "storage"
unit = "ac-ft"
datum = "acre-feet of storage"

[[gauges]]
role = "target"
source = "cdec"
station = "SHA"
variable = "storage"
unit = "ac-ft"

[[gauges]]
role = "upstream_level"
source = "cdec"
station = "LEV"
variable = "reservoir_level"
unit = "ft"
interval = "hour"
reading = "instantaneous"

[[gauges]]
role = "inflow"
source = "cdec"
station = "INF"
variable = "discharge"
unit = "ft3/s"
request = { sensor = 76 }
"""
FIRST, DAYS = date(2024, 2, 1), 50
"""Clocks go forward on 10 March 2024; those of the service do not."""
NOW = datetime(2024, 3, 25, tzinfo=UTC)
FACTORS = {"AF": 1.23348183754752, "FEET": 0.3048, "CFS": 0.028316846592}
_PACIFIC = ZoneInfo("America/Los_Angeles")


def series() -> list[Series]:
    """The series of `DAM_FILE`."""
    days = [datetime.combine(FIRST + timedelta(days=k), time(0)) for k in range(DAYS)]
    hours = [days[0] + timedelta(hours=k) for k in range(24 * DAYS)]
    return [
        Series("SHA", 15, "D", "AF", [(day, str(2_826_286 + 100 * k), "") for k, day in enumerate(days)]),
        Series("LEV", 6, "H", "FEET", [(hour, _level(k), "N" if k % 13 == 5 else "") for k, hour in enumerate(hours)]),
        Series("INF", 76, "D", "CFS", [(day, str(5000 + k), "") for k, day in enumerate(days)]),
    ]


def _level(k: int) -> str:
    return "-9999" if k % 29 == 7 else str(round(1010 + k / 50, 2))


def _truth(one: Series) -> pl.DataFrame:
    rows = []
    for stamp, value, flag in one.rows:
        start = stamp.replace(tzinfo=_PACIFIC).astimezone(UTC)
        if one.duration == "H":
            start = stamp.replace(tzinfo=UTC) + timedelta(hours=8)
        is_missing = value == "-9999"
        quality = "missing" if is_missing else "poor" if flag == "N" else "unknown"
        rows.append((start, None if is_missing else float(value) * FACTORS[one.units], quality))
    return pl.DataFrame(rows, schema=TRUTH, orient="row")


def answer_without(rows: Collection[int]) -> CdecService:
    """The service without some rows of the hourly level."""
    level = series()[1]
    kept = [row for k, row in enumerate(level.rows) if k not in rows]
    return CdecService([replace(level, rows=kept), *(one for one in series() if one.station != "LEV")])


def rows_changed(**keys: Json) -> Callable[[bytes], bytes]:
    """An answer with other values of some keys in its third row."""

    def change(body: bytes) -> bytes:
        rows = json.loads(body)
        rows[2:3] = [row | keys for row in rows[2:3]]
        return json.dumps(rows).encode()

    return change


def cases() -> list[ServiceCase]:
    """CDEC, with the JSON servlet."""
    service = CdecService(series())
    query = {"Stations": "LEV", "SensorNums": "6", "dur_code": "H", "Start": "2024-02-01", "End": "2024-02-02"}
    json_answer = service(Received("GET", "/JSONDataServlet", query, {}, b"")).body
    csv_answer = service(Received("GET", "/CSVDataServlet", query, {}, b"")).body
    return [
        ServiceCase(
            service="cdec",
            dam_file=DAM_FILE,
            answer=service,
            truth={one.station: _truth(one) for one in service.series},
            now=NOW,
            is_data=lambda request, station: request.query.get("Stations") == station,
            answer_without=answer_without,
            base="/dynamicapp/req/JSONDataServlet",
            content_faults=[
                ContentFault("another unit", rows_changed(units="CFS"), "nothing", "'CFS' is not a unit of"),
                ContentFault("a unit that changes", rows_changed(units="METERS"), "nothing", "the unit changes within"),
                ContentFault("another station", rows_changed(stationId="SHA"), "nothing", "'SHA' instead of 'LEV'"),
                ContentFault("another sensor", rows_changed(SENSOR_NUM=15), "nothing", "sensor '15' instead of '6'"),
                ContentFault("another duration", rows_changed(durCode="D"), "nothing", "duration 'D' instead of 'H'"),
                ContentFault("a date that does not exist", rows_changed(date="2024-2-30 0:00"), "nothing", "2024-2-30"),
                ContentFault("a text as value", rows_changed(value="1,5"), "nothing", "'1,5' is not a number"),
                ContentFault("a row without a date", rows_changed(date=None), "nothing", "'None' is not like"),
                ContentFault("an empty list", lambda _: b"[]", "other"),
            ],
            parsers={"json": (json_answer, parse_answer), "csv": (csv_answer, parse_answer)},
        )
    ]
