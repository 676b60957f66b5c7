"""Recorded answers of a service, replayed on loopback for a dam of the catalogue.

Each replay has the service on loopback and the daily values that the recorded answers contain. These are computed here
with the modules `json`, `csv` and `zoneinfo` only, so that no code of forebay checks itself.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from tests.hydstra_server import hydstra_server
from tests.loopback import Answer, Received, Reply, loopback_server
from tests.services.cwms import CwmsService, Series
from tests.services.kiwis import Hub, HubSeries
from tests.shared import SHARED

Json = Any  # Any: a JSON value
Days = Mapping[date, tuple[float | None, str | None]]
"""Day → value and flag, which is None for a good value. Values of the target are in its unit, those of drivers in the
canonical unit."""
RECORDINGS = SHARED / "recordings"
EASTERN_AUSTRALIA = timezone(timedelta(hours=10))
FOOT = 0.3048
HOURS_REQUIRED = 0.9 * 24
"""Hours that a complete day has: the default of `share_required`."""


@dataclass(frozen=True)
class Replay:
    """A service on loopback with recorded answers of one dam.

    Attributes
    ----------
    service
        Name of the service.
    answer
        Answers of the service; None for the Hydstra server with the data of Warragamba.
    days
        Column of the daily table → daily values of the recording. A gauge without recorded values has no days.
    asks
        A received request → what the plan of the fetch calls it; empty for one that a plan cannot foresee.
    path
        Path of the service's URL.
    """

    service: str
    days: Mapping[str, Days]
    answer: Answer | None = None
    asks: Callable[[Received], str] = lambda request: request.path
    path: str = ""

    @property
    def span(self) -> tuple[date, date]:
        """First and last day of the recording."""
        days = [day for column in self.days.values() for day in column]
        return min(days), max(days)

    @contextmanager
    def server(self) -> Iterator[tuple[str, list[Received]]]:
        """URL of the service, and the requests that it receives."""
        if self.answer is None:
            with hydstra_server() as url:
                yield url, []
            return
        with loopback_server(self.answer) as (url, received):
            yield f"{url}{self.path}", received


def _content(folder: str, name: str) -> Json:
    return json.loads((RECORDINGS / folder / name).read_text("utf-8"))


def _daily_means(points: Iterable[tuple[datetime, float]], zone: tzinfo, grade: str | None) -> Days:
    """Mean of the hourly values of each local day, all of one grade."""
    by_day: dict[date, list[float]] = {}
    for instant, value in points:
        by_day.setdefault(instant.astimezone(zone).date(), []).append(value)
    return {
        day: (sum(values) / len(values), grade if len(values) >= HOURS_REQUIRED else "incomplete")
        for day, values in by_day.items()
    }


# --- Hydstra: levels of storages of WaterNSW

GRADES = {5: None, 10: None, 11: "estimated", 51: "estimated", 100: "unknown"}
"""Recorded quality code → its flag: 5 is of class A, 10 of class B, 11 and 51 of class C, 100 of class E."""


def _call(request: Received) -> Json:
    return json.loads(request.body or unquote(next(iter(request.query), "{}")))


def hydstra_replay(station: str, code: int, recording: str) -> Replay:
    """Reservoir level of a station: the recorded list of variables and the recorded trace, cut to the requested span.

    All its values have one quality code.
    """
    variables = _content("hydstra", "waternsw__get_variable_list__412107-425020-425022-425023_A__71325f.json")
    recorded = _content("hydstra", recording)

    def answer(request: Received) -> Reply:
        call = _call(request)
        params = call["params"]
        assert (params["site_list"], params["datasource"]) == (station, "A")
        if call["function"] == "get_variable_list":
            sites = [site for site in variables["return"]["sites"] if site["site"] == station]
            return Reply(json.dumps(variables | {"return": {"sites": sites}}).encode())
        assert (call["function"], params["interval"], params["data_type"]) == ("get_ts_traces", "day", "mean")
        assert params["var_list"] == "130.00"
        (trace,) = recorded["return"]["traces"]
        points = [p for p in trace["trace"] if int(params["start_time"]) <= p["t"] <= int(params["end_time"])]
        return Reply(json.dumps(recorded | {"return": {"traces": [trace | {"trace": points}]}}).encode())

    points = recorded["return"]["traces"][0]["trace"]
    assert {point["q"] for point in points} == {code}
    days = {_day(str(point["t"])): (float(point["v"]), GRADES[code]) for point in points}
    return Replay("waternsw", {"reservoir_level": days}, answer, lambda request: _call(request)["function"])


def warragamba_replay() -> Replay:
    """Warragamba: January 2020 of the published daily values with their quality codes."""
    folder = SHARED / "data" / "warragamba"
    rain = [f"563{number}" for number in ("035", "046", "079")] + ["568045", "568051"]
    columns = {"reservoir_level": ("warragamba_dam_level_raw_2008_2022.csv", "v", "q")}
    columns |= {
        f"rainfall_{site}": (
            "rainfall_within_0.2_lat_degrees_of_warragamba_dam_2008_2022.csv", f"v_{site}_10", f"q_{site}_10"
        )
        for site in rain
    }  # fmt: skip
    columns |= {
        f"stream_level_{site}": ("cox_and_wollon_stream_level_2008-2022.csv", f"v_{site}_100", f"q_{site}_100")
        for site in ("212250", "212270")
    }
    days = {}
    for column, (name, value, code) in columns.items():
        with (folder / name).open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["t"].startswith(("2020-01", "202001"))]
        days[column] = {_day(row["t"]): _graded(row[value], row[code]) for row in rows}
    return Replay("waternsw", days)


def _day(text: str) -> date:
    return datetime.strptime(text.replace("-", "")[:8], "%Y%m%d").date()


def _graded(value: str, code: str) -> tuple[float | None, str | None]:
    return float(value), GRADES[int(code)]


# --- KiWIS: storage of Corin Dam and flow into it


def kiwis_replay() -> Replay:
    """Corin Dam: hourly storage and hourly flow of the Cotter River in January 2020."""
    files = {
        "storage": ("bom_values_ts52935010_rows744__5c80b4.json", "bom_tslist_CorinResatDam_1__f154d0.json"),
        "discharge_410730": ("bom_values_ts1571010_rows744__aa5d34.json", "bom_tslist_CotterRatGingera_1__5f9d7f.json"),
    }
    series, days = [], {}
    for column, (values, listed) in files.items():
        names, cells = _content("kiwis", listed)
        row = dict(zip(names, cells, strict=True))
        (recorded,) = _content("kiwis", values)
        points = [(datetime.fromisoformat(stamp), value, code) for stamp, value, code in recorded["data"]]
        assert recorded["ts_id"] == row["ts_id"]
        series.append(HubSeries(
            row["ts_id"], row["station_no"], row["parametertype_name"], row["ts_name"], "", points, has_coverage=False
        ))  # fmt: skip
        days[column] = _daily_means(((stamp, value) for stamp, value, _ in points), EASTERN_AUSTRALIA, None)
    assert {code for one in series for _, _, code in one.points} == {10}, "all are good"
    return Replay("bom", days, Hub(series).answer, lambda request: request.query["request"])


# --- CWMS: level of Arbuckle Lake


def cwms_replay() -> Replay:
    """Lake of the Arbuckles: hourly levels of January 2018; the catalog lists inflow and rain without values."""
    first, second = (
        _content("cwms", name) for name in ("timeseries_ARBU_Elev_page1_of_2.json", "timeseries_page2.json")
    )
    catalog = [
        entry
        for name in ("catalog_timeseries.json", "catalog_timeseries_page2.json")
        for entry in _content("cwms", name)["entries"]
    ]
    drivers = {
        "inflow": "ARBU.Flow-Res In.Ave.~1Day.1Day.Regi-Rev-Adjusted",
        "rainfall": "ARBU.Precip-Inc.Total.1Hour.1Hour.Ccp-Rev",
    }
    names = {entry["name"] for entry in catalog if entry["office"] == first["office-id"]}
    assert names >= {first["name"], *drivers.values()}, "the recorded catalog lists the series"
    points = [(datetime.fromtimestamp(ms / 1000, UTC), metres) for ms, metres, _ in first["values"] + second["values"]]
    in_feet = [(time, metres / FOOT) for time, metres in points]
    level = Series(first["name"], [(*point, 0) for point in in_feet], datum=first["vertical-datum-info"])
    service = CwmsService([level, *(Series(name, ()) for name in drivers.values())])
    days: dict[str, Days] = {"reservoir_level": _daily_means(in_feet, ZoneInfo("America/Chicago"), "unknown")}
    days |= {f"{variable}_{name}": {} for variable, name in drivers.items()}
    # Where a series has no value, the fetch asks the catalog whether it exists.
    return Replay("cwms", days, service, lambda request: "" if "/catalog/" in request.path else "timeseries")


# --- CDEC: storages


def _asked_sensor(request: Received) -> str:
    return f"sensor {request.query['SensorNums']}, duration {request.query['dur_code']}"


def _is_asked(request: Received, station: str, sensor: str, duration: str, day: date) -> bool:
    query = request.query
    asked = (query["Stations"], query["SensorNums"], query["dur_code"])
    first, last = (date.fromisoformat(query[key]) for key in ("Start", "End"))
    return asked == (station, sensor, duration) and first <= day <= last


def cdec_json_replay() -> Replay:
    """Shasta Lake: the daily storage of 15 August 2026, from the JSON servlet."""
    recorded = _content("cdec", "JSONDataServlet_SHA_15.json")

    def day_of(row: Json) -> date:
        year, month, day = map(int, row["date"].split(" ")[0].split("-"))
        return date(year, month, day)

    def answer(request: Received) -> Reply:
        rows = [
            row
            for row in recorded
            if _is_asked(request, row["stationId"], str(row["SENSOR_NUM"]), row["durCode"], day_of(row))
        ]
        return Reply(json.dumps(rows).encode())

    days = {day_of(row): (float(row["value"]), "unknown") for row in recorded if row["durCode"] == "D"}
    return Replay("cdec", {"storage": days}, answer, _asked_sensor, "/dynamicapp/req/JSONDataServlet")


def cdec_csv_replay() -> Replay:
    """Vail Lake: the daily storage of the second half of February 2022, from the CSV servlet."""
    text = (RECORDINGS / "cdec" / "CSVDataServlet_VIL_15_D.csv").read_text("utf-8")
    header, *lines = text.splitlines(keepends=True)
    rows = list(csv.DictReader(io.StringIO(text)))

    def answer(request: Received) -> Reply:
        chosen = [
            line
            for line, row in zip(lines, rows, strict=True)
            if _is_asked(request, row["STATION_ID"], row["SENSOR_NUMBER"], row["DURATION"], _day(row["DATE TIME"]))
        ]
        return Reply("".join([header, *chosen]).encode(), 200, {"Content-Type": "text/csv"})

    days = {_day(row["DATE TIME"]): (float(row["VALUE"]), "unknown") for row in rows}
    return Replay("cdec", {"storage": days}, answer, _asked_sensor, "/dynamicapp/req/CSVDataServlet")


_HYDSTRA = {
    "lake_cargelligo": ("412107", 100, "waternsw__get_ts_traces__412107_130.00_day-mean__a61dde.json"),
    "lake_cawndilla": ("425023", 11, "waternsw__get_ts_traces__425023_130.00_day-mean__f8fdf0.json"),
    "lake_menindee": ("425022", 11, "waternsw__get_ts_traces__425022_130.00_day-mean__48292b.json"),
    "lake_wetherell": ("425020", 11, "waternsw__get_ts_traces__425020_130.00_day-mean__4b115e.json"),
}
REPLAYS: dict[str, Callable[[], Replay]] = {
    **{dam: lambda names=names: hydstra_replay(*names) for dam, names in _HYDSTRA.items()},
    "arbuckle": cwms_replay,
    "corin": kiwis_replay,
    "shasta": cdec_json_replay,
    "vail_lake": cdec_csv_replay,
    "warragamba": warragamba_replay,
}
"""Dam of the catalogue → its replay."""
