"""`forebay stations` around one place at four families of services on loopback: one table, one map, one JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.command_line import forebay
from tests.loopback import Reply, loopback_server
from tests.services import cwms, kiwis, uk_ea, usgs
from tests.station_server import LAKE, RAIN, Service, Site, station_server

NEAR = ("--near", "-33.8838,150.5955", "--radius-km", "60")
CENTRE = (-33.8838, 150.5955)
HYDSTRA = Service([Site("900001", "-33.98", "150.45", (LAKE,)), Site("900002", "-33.50", "150.60", (RAIN,))])
CONTENT = usgs.Content(
    [replace(usgs.LEVEL, place=(150.70, -33.95)), replace(usgs.FLOW, place=(150.10, -33.80))], usgs.CONTENT.locations
)
HUB = replace(kiwis.BUREAU, places={"410742": ("-33.70", "150.50")}, received=[])
AGENCY = replace(
    uk_ea.MONITORING, stations=(uk_ea.station("1", -34.10, 150.55, label="A Reservoir"), uk_ea.station("2", 54.5, -3.0))
)
ARBUCKLE = {"office": "SWT", "name": "ARBU", "kind": "PROJECT", "latitude": -33.65, "longitude": 150.85, "active": True}
PLACES = {
    ("waternsw", "900001"): (-33.98, 150.45),
    ("waternsw", "900002"): (-33.50, 150.60),
    ("usgs", usgs.LAKE): (-33.95, 150.70),
    ("usgs", usgs.RIVER): (-33.80, 150.10),
    ("bom", "410742"): (-33.70, 150.50),
    ("uk_ea_flood", "1"): (-34.10, 150.55),
    ("cwms", "ARBU"): (-33.65, 150.85),
}
"""(service, station) → latitude and longitude of the stations within 60 km."""


@pytest.fixture(autouse=True)
def _services(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    corps = cwms.CwmsService(cwms.series(), [ARBUCKLE])
    with ExitStack() as servers:
        urls = {"waternsw": servers.enter_context(station_server(HYDSTRA))}
        for name, answer, base in (
            ("usgs", CONTENT.answer, usgs.BASE),
            ("bom", HUB.answer, "/services"),
            ("uk_ea_flood", AGENCY.answer, uk_ea.FLOOD),
            ("cwms", corps, "/cwms-data"),
            ("uk_ea", lambda _: Reply(b"<html>down</html>", 503), ""),
        ):
            urls[name] = servers.enter_context(loopback_server(answer))[0] + base
        for name, url in urls.items():
            monkeypatch.setenv(f"FOREBAY_SOURCES__{name.upper()}__URL", url)
        for key, value in (("ATTEMPTS", "2"), ("FIRST_WAIT_S", "0"), ("LONGEST_WAIT_S", "0")):
            monkeypatch.setenv(f"FOREBAY_HTTP__{key}", value)
        yield


def of(*services: str) -> list[str]:
    return [argument for name in services for argument in ("--service", name)]


def distance_km(place: tuple[float, float]) -> float:
    """Great-circle distance from `CENTRE` by the vectors to both places, on a sphere of 6371.0088 km."""

    def vector(latitude: float, longitude: float) -> tuple[float, float, float]:
        north, east = math.radians(latitude), math.radians(longitude)
        return math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)

    a, b = vector(*CENTRE), vector(*place)
    return 2 * 6371.0088 * math.asin(math.dist(a, b) / 2)


EVERY = ("waternsw", "usgs", "bom", "uk_ea_flood", "cwms")


def test_stations_of_five_services_are_one_list_with_great_circle_distances() -> None:
    result = forebay("stations", *NEAR, *of(*EVERY), "--json", "-o", "map.svg")
    assert (result.code, result.err) == (0, "")
    rows = result.json["stations"]
    distances = {(row["source"], row["station"]): row["distance_km"] for row in rows}
    assert distances == pytest.approx({key: distance_km(place) for key, place in PLACES.items()}, rel=1e-9)
    assert list(distances.values()) == sorted(distances.values()), "the nearest first, of whatever service"
    assert result.json["sources"] == list(EVERY)
    variables = {(row["source"], row["station"]): {s["variable"] for s in row["series"]} for row in rows}
    assert variables["waternsw", "900001"] == variables["bom", "410742"] == {"reservoir_level"}
    assert variables["usgs", usgs.RIVER] == {"discharge"}
    assert variables["uk_ea_flood", "1"] == {"reservoir_level"}
    assert variables["cwms", "ARBU"] >= {"reservoir_level", "rainfall"}
    picture = Path("map.svg").read_text("utf-8")
    assert all(f">{station}<" in picture for _, station in PLACES), "one map has all stations"


def test_the_table_has_the_service_of_each_station() -> None:
    result = forebay("stations", *NEAR, *of(*EVERY), "-o", "map.html")
    title, *_ = result.out.splitlines()
    assert title == f"{', '.join(EVERY)}: stations within 60 km of -33.8838, 150.5955"
    for source, station in PLACES:
        assert re.search(rf"│ {source} +│ {station} ", result.out), (source, station)
    page = Path("map.html").read_text("utf-8")
    assert all(station in page for _, station in PLACES)
    assert "U.S. Geological Survey" in page and "Environment Agency" in page, "attributions of all services"


def test_service_chooses_and_one_that_is_down_is_a_note() -> None:
    result = forebay("stations", *NEAR, *of("usgs", "uk_ea", "waternsw"), "--json")
    assert (result.code, result.err) == (0, "")
    assert {row["source"] for row in result.json["stations"]} == {"usgs", "waternsw"}
    assert result.json["sources"] == ["usgs", "waternsw"]
    (note,) = (note for note in result.json["notes"] if note.startswith("uk_ea has no result: "))
    assert "answered with status 503 (Service Unavailable): it is busy or down; try again later" in note


def test_if_the_only_service_is_down_the_search_fails() -> None:
    result = forebay("stations", *NEAR, *of("uk_ea"))
    assert (result.code, result.out) == (1, "")
    assert re.fullmatch(r"forebay: uk_ea: [^\n]* status 503 [^\n]*\n", result.err)
