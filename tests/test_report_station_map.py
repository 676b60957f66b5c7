"""`forebay.report.station_map` and `forebay stations`: the picture, the page, and the output of the command."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import vl_convert

from forebay.charts import station_map
from forebay.charts.rendering import VEGA_LITE
from forebay.charts.spec import chart_spec, file_spec
from forebay.sources.stations import NEARBY_SERIES, NEARBY_STATIONS, NearbyStations
from tests.command_line import CommandResult, forebay
from tests.report_examples import check_in_browser, needs_chromium
from tests.station_server import LAKE, RAIN, VOLTS, Service, Site, around_warragamba, station_server


@pytest.fixture(autouse=True)
def _in_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

NSW = {"source": "waternsw"}
ONLY = ("--service", "waternsw")
"""Arguments of a search that must not ask the other services of the region."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """WaterNSW's service, with invented stations."""
    served = Service(around_warragamba())
    with station_server(served) as url:
        monkeypatch.setenv("FOREBAY_SOURCES__WATERNSW__URL", url)
        yield served


def stations_at(*stations: tuple[str, float, float], radius_km: float = 10.0) -> NearbyStations:
    """Stations (id, km, bearing) that measure rain and stage."""
    rows = [{**NSW, "station": name, "name": name, "distance_km": km, "bearing_deg": at} for name, km, at in stations]
    variables = ("rainfall", "stream_level")
    series = [{**NSW, "station": name, "variable": variable} for name, *_ in stations for variable in variables]
    return NearbyStations(
        0.0,
        0.0,
        radius_km,
        ("waternsw",),
        pl.DataFrame(rows, schema=NEARBY_STATIONS.columns),
        pl.DataFrame(series, schema=NEARBY_SERIES.columns),
        (),
    )


def svg_of(stations: NearbyStations) -> str:
    chart = station_map.station_map(stations, "The <Place>")
    chart.to_dict()  # validates
    svg = vl_convert.vegalite_to_svg(file_spec(chart_spec(chart)), vl_version=VEGA_LITE)
    assert "NaN" not in svg and "Infinity" not in svg
    return svg


def layer(stations: NearbyStations, mark: str) -> list[list[dict[str, float | str]]]:
    spec = file_spec(chart_spec(station_map.station_map(stations, "P")))
    return [spec["datasets"][part["data"]["name"]] for part in spec["layer"] if part["mark"]["type"] == mark]


def test_the_map_has_one_scale_and_stations_are_in_their_places() -> None:
    stations = stations_at(("a", 5.0, 90.0), ("b", 10.0, 180.0))
    spec = file_spec(chart_spec(station_map.station_map(stations, "P")))
    assert spec["width"] == spec["height"]
    domains = {str(part["encoding"][axis]["scale"]["domain"]) for part in spec["layer"] for axis in ("x", "y")}
    assert len(domains) == 1
    ((*dots,),) = layer(stations, "circle")
    middle = {
        name: (sum(dot["east"] for dot in dots if dot["station"] == name) / 2,
               next(dot["north"] for dot in dots if dot["station"] == name))
        for name in ("a", "b")
    }  # fmt: skip
    assert middle["a"] == pytest.approx((5, 0), abs=1e-9)
    assert middle["b"] == pytest.approx((0, -10), abs=1e-9)
    lines = layer(stations, "line")[0]
    assert {round(math.hypot(point["east"], point["north"]), 9) for point in lines} == {2.0, 4.0, 6.0, 8.0, 10.0}


def test_the_map_names_the_place_the_rings_and_every_station() -> None:
    svg = svg_of(stations_at(("212242", 5.0, 90.0), ("563035", 10.0, 180.0)))
    for text in ("The &lt;Place&gt;", "10 km", "212242", "563035", "rainfall", "stream_level"):
        assert f">{text}<" in svg
    assert "stations of waternsw within 10 km" in svg


def test_a_dot_has_the_first_and_last_day_of_all_its_series() -> None:
    stations = stations_at(("a", 5.0, 90.0))
    spans = [(date(1990, 1, 1), date(2000, 1, 1)), (date(1980, 1, 1), date(2020, 1, 1)), (None, None)]
    rain = {**NSW, "station": "a", "variable": "rainfall"}
    series = [{**rain, "first_day": first, "last_day": last} for first, last in spans]
    ((dot,),) = layer(replace(stations, series=pl.DataFrame(series, schema=NEARBY_SERIES.columns)), "circle")
    assert (dot["first_day"], dot["last_day"]) == ("1980-01-01", "2020-01-01")


def test_overlapping_labels_are_left_out_but_no_dot() -> None:
    stations = stations_at(*[(f"{n:06d}", 3.0 + n / 100, 90.0) for n in range(40)])
    labels = {row["label"] for row in layer(stations, "text")[-1]}
    assert 1 <= len(labels) <= 3
    assert len(layer(stations, "circle")[0]) == 80
    svg_of(stations)


@pytest.mark.parametrize("radius_km", [0.01, 0.7, 1.0, 3.0, 12.0, 25.0, 99.0, 1000.0])
def test_two_to_six_rings_the_last_at_the_radius(radius_km: float) -> None:
    rings = list(station_map._round_distances(radius_km))
    assert 2 <= len(rings) <= 6
    assert rings == sorted(set(rings))
    assert rings[-1] == radius_km


def test_a_map_without_stations_names_the_place() -> None:
    empty = svg_of(stations_at())
    assert "The &lt;Place&gt;" in empty
    assert ">variable<" not in empty, "a legend without entries has no title either"
    assert ">variable<" in svg_of(stations_at(("a", 1.0, 0.0)))


# --- the command ----------------------------------------------------------------------------------------------------


def refused(result: CommandResult, pattern: str, code: int = 2) -> None:
    assert (result.code, result.out) == (code, "")
    assert re.fullmatch(rf"forebay: [^\n]*{pattern}[^\n]*\n", result.err), result.err


def test_stations_around_a_dam_are_printed(service: Service) -> None:
    result = forebay("stations", "warragamba", "--radius-km", "30")
    assert (result.code, result.err) == (0, "")
    title, *_ = result.out.splitlines()
    assert title == "waternsw: stations within 30 km of Warragamba Dam"
    assert re.search(r"900002 .* 10 .* S .* rainfall .* mm .* 1990-01-01 .* 2024-11-18 .* 0 .* A, PROV", result.out)
    assert re.search(r"900003 .* W .* stream_level .* m .* 1980-07-03 .* – .* 1 ", result.out)
    assert "2 of the answer's 5 stations have no coordinates and are left out." in result.out


def test_a_search_around_a_dam_asks_the_services_of_its_gauges(service: Service) -> None:
    content = forebay("stations", "warragamba", "--radius-km", "30", "--json").json
    assert content["sources"] == ["waternsw"]
    assert content["notes"] == ["2 of the answer's 5 stations have no coordinates and are left out."]


def test_stations_around_a_place_are_printed_as_json(service: Service) -> None:
    """A latitude that begins with a minus sign is not read as an option."""
    place = ("--near", "-33.8838,150.5955", "--radius-km", "15")
    result = forebay("stations", *place, "--variable", "rainfall", "--json", *ONLY)
    assert (result.code, result.err) == (0, "")
    content = result.json
    place = {key: content[key] for key in ("sources", "latitude", "longitude", "file")}
    assert place == {"sources": ["waternsw"], "latitude": -33.8838, "longitude": 150.5955, "file": None}
    (station,) = content["stations"]
    assert (station["station"], station["latitude"], station["datasources"]) == ("900002", -33.9738, ["A", "PROV"])
    assert [(s["variable"], s["unit"], s["code"], s["last_day"]) for s in station["series"]] == [
        ("rainfall", "mm", "10.00", "2024-11-18")
    ]


def test_no_station_is_a_sentence_and_no_failure(service: Service) -> None:
    result = forebay("stations", "--near=-33.8838,150.5955", "--variable", "storage", "-o", "map.svg", *ONLY)
    assert (result.code, result.err) == (0, "")
    assert "waternsw has no station that measures storage within 25 km." in result.out
    assert Path("map.svg").exists()


def test_the_page_of_stations_needs_no_network(service: Service) -> None:
    service.sites = [*service.sites, Site("9<b>", "-33.9", "150.6", (LAKE, VOLTS, RAIN))]
    result = forebay("stations", "warragamba", "-o", "stations.html")
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith("Map: stations.html\n")
    page = Path("stations.html").read_text("utf-8")
    assert ">9&lt;b&gt;</td>" in page and "<b>" not in page
    attribution = "WaterNSW, continuous water monitoring network, licence CC BY 4.0."
    for text in ("Logger Battery Voltage", "no coordinates and are left out", "1.8 S", "2024-11-18", attribution):
        assert text in page
    assert not re.search(r'(src|href)="http', page)


def test_a_page_without_stations_has_no_empty_table(service: Service) -> None:
    service.sites = []
    assert forebay("stations", "warragamba", "-o", "stations.html").code == 0
    page = Path("stations.html").read_text("utf-8")
    assert "waternsw has no station within 25 km." in page
    assert "<h2>Series</h2>" not in page and ">datasources</th>" not in page


@needs_chromium
def test_in_a_browser_the_map_is_drawn_without_errors_or_requests(service: Service) -> None:
    assert forebay("stations", "warragamba", "-o", "stations.html").code == 0
    check_in_browser(Path("stations.html").absolute(), charts=1)


@pytest.mark.parametrize(("name", "begins"), [("map.png", b"\x89PNG"), ("map.SVG", b"<svg")])
def test_a_map_is_written_as_the_only_file(service: Service, name: str, begins: bytes) -> None:
    assert forebay("stations", "warragamba", "-o", name).code == 0
    assert Path(name).read_bytes().startswith(begins)
    assert [path.name for path in Path().iterdir()] == [name], "no other file remains"


def test_invalid_arguments_are_refused(service: Service) -> None:
    refused(forebay("stations"), "give either a dam or --near LAT,LON, such as --near=-33.9,150.6")
    refused(forebay("stations", "warragamba", "--near", "1,2"), "give either a dam or --near")
    refused(forebay("stations", "--near", "here"), "--near 'here' must be LAT,LON in degrees")
    refused(forebay("stations", "--near", "1,2,3"), "--near '1,2,3' must be LAT,LON in degrees")
    refused(forebay("stations", "--near", "150.6,-33.9"), "latitude 150.6 must be from -90 to 90")
    refused(forebay("stations", "--near", "nan,0"), "latitude nan must be from -90 to 90")
    refused(forebay("stations", "warragamba", "--radius-km", "0"), "radius 0 km must be more than 0")
    refused(forebay("stations", "warragamba", "--source", "csv"), "source 'csv' offers no search for stations")
    refused(forebay("stations", "warragamba", "--variable", "wind"), "variable 'wind' is unknown")
    refused(forebay("stations", "warragamba", "-o", "map.gif"), r"map\.gif: suffix '\.gif' is unknown; allowed are")
    refused(forebay("stations", "warragamba", "-o", "no/map.png"), r"no/map\.png cannot be written \(No such file")
    assert all(call["function"] != "get_db_info" for call in service.calls[:-4]), "refused before the first request"


def test_a_service_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREBAY_SOURCES__WATERNSW__URL", "http://127.0.0.1:9/x")
    monkeypatch.setenv("FOREBAY_HTTP__ATTEMPTS", "1")
    refused(forebay("stations", "warragamba"), "waternsw: 127.0.0.1:9 cannot be reached", 1)


def test_a_simulated_dam_is_marked(service: Service, tmp_path: Path) -> None:
    from tests.test_dam_file import DAM

    (tmp_path / "lake.toml").write_text(DAM.replace('name = "The Lake"', 'name = "The Lake"\nsimulated = true'))
    assert "of The Lake (SIMULATED)" in forebay("stations", "lake.toml", "--radius-km", "100", *ONLY).out
    assert "of Demo Dam (simulated)" in forebay("stations", "demo", "--radius-km", "100", *ONLY).out
