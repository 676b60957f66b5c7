"""Stations of the recordings with their coordinates, read with the modules `csv` and `json` only."""

from __future__ import annotations

import csv
import json
from typing import Any

from tests.shared import SHARED

Json = Any  # Any: a JSON value
Place = tuple[float, float]
"""Latitude and longitude."""
RECORDINGS = SHARED / "recordings"


def _content(path: str) -> Json:
    return json.loads((RECORDINGS / path).read_text("utf-8"))


def places() -> dict[tuple[str, str], Place]:
    """Service and station (of CWMS the name of the series) → place."""
    return _hydstra() | _kiwis() | _flood_monitoring() | _cwms()


def _hydstra() -> dict[tuple[str, str], Place]:
    by_station = {}
    for path in (RECORDINGS / "hydstra").glob("waternsw__get_ts_traces__*.json"):
        for trace in _content(f"hydstra/{path.name}").get("return", {}).get("traces", []):
            details = trace["site_details"]
            by_station["waternsw", trace["site"]] = (float(details["latitude"]), float(details["longitude"]))
    return by_station


def _kiwis() -> dict[tuple[str, str], Place]:
    by_station = {}
    for path in (RECORDINGS / "kiwis").glob("bom_stations_*.json"):
        names, *rows = _content(f"kiwis/{path.name}")
        for row in rows:
            cells = dict(zip(names, row, strict=True))
            if cells["station_latitude"]:
                place = (float(cells["station_latitude"]), float(cells["station_longitude"]))
                by_station["bom", cells["station_no"]] = place
    return by_station


def _flood_stations() -> list[Json]:
    lists = ("flood_stations_full_trimmed.json", "flood_rain_stations_trimmed.json")
    return [item for name in lists for item in _content(f"uk_ea/{name}")["items"]]


def _flood_monitoring() -> dict[tuple[str, str], Place]:
    return {
        ("uk_ea_flood", item["stationReference"]): (item["lat"], item["long"])
        for item in _flood_stations()
        if isinstance(item.get("lat"), float)
    }


def flood_measures() -> set[str]:
    """Notations of the measures of the recorded stations."""
    return {measure["@id"].rsplit("/", 1)[1] for item in _flood_stations() for measure in item["measures"]}


def flood_labels() -> dict[str, str]:
    """Station → its name."""
    return {item["stationReference"]: str(item["label"]) for item in _flood_stations()}


def _cwms() -> dict[tuple[str, str], Place]:
    return {("cwms", row["CWMS_TS_ID"]): (float(row["LATITUDE"]), float(row["LONGITUDE"])) for row in cwms_rows()}


def cwms_rows() -> list[dict[str, str]]:
    """Rows of the recorded view of the catalog whose location is a reservoir."""
    with (RECORDINGS / "cwms" / "catalog_view_timeseries_rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if str(row["LOCATION_TYPE"]).lower() in ("lake", "reservoir", "corps reservoir")]
