"""`forebay.sources.stations`: stations around a place, in either order of coordinates, from a real server."""

import json
import math
import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from forebay.dams.dam_file import load_dam
from forebay.errors import ConfigError, SourceError
from forebay.report.station_map import station_rows
from forebay.services import SERVICES
from forebay.settings import Settings
from forebay.sources import search_services, search_stations
from forebay.sources.hydstra.parse import result_of
from forebay.sources.hydstra.stations import parse_series, parse_sites
from forebay.sources.stations import (
    KM_PER_DEGREE,
    MAX_RADIUS_KM,
    MAX_STATIONS,
    STATIONS,
    NearbyStations,
    StationList,
    StationSearch,
    add_distances,
    services_near,
)
from tests.faulty_server import MAINTENANCE
from tests.hydstra_server import Handler, hydstra_server, recordings
from tests.shared import needs_shared
from tests.station_server import (
    LAKE,
    RAIN,
    STAGE,
    VOLTS,
    Service,
    Site,
    around_warragamba,
    as_settings,
    station_server,
)

DAM = load_dam("warragamba")
CENTRE = (DAM.latitude, DAM.longitude)


def settings_for(url: str, **http: Any) -> Settings:  # Any: values of the HTTP settings
    return Settings.model_validate(as_settings(url, **http))


def find(service: Service, radius_km: float = 30.0, **fields: Any) -> StationList:  # Any: fields of the search
    with station_server(service) as url:
        search = StationSearch(*CENTRE, radius_km, **{"source": "waternsw", **fields})
        return search_stations(search, settings=settings_for(url))


def calls(service: Service, function: str) -> list[dict[str, Any]]:
    return [call["params"] for call in service.calls if call["function"] == function]


def test_stations_the_nearest_first_with_distance_and_bearing() -> None:
    result = find(Service(around_warragamba()))
    assert result.stations["station"].to_list() == ["900001", "900002", "900003"], "900004 is 40 km away"
    # 0.09° of latitude; 0.2155° of longitude at 33.88° south, by the spherical law of cosines.
    at, east = math.radians(-33.8838), math.radians(0.2155)
    west = math.degrees(math.acos(math.sin(at) ** 2 + math.cos(at) ** 2 * math.cos(east)))
    assert result.stations["distance_km"].to_list() == pytest.approx([0, 0.09 * KM_PER_DEGREE, west * KM_PER_DEGREE])
    assert result.stations["bearing_deg"].to_list() == pytest.approx([0, 180, 270], abs=0.1)
    assert result.stations["datasources"].to_list() == [["CP", "PROV"], ["A", "PROV"], ["A", "PROV"]]
    assert result.stations["opened"].to_list() == [date(1990, 1, 1)] * 3
    assert result.stations["closed"].null_count() == 3, "18991230 means no date"
    assert result.notes == ("2 of the answer's 5 stations have no coordinates and are left out.",)


def test_series_have_our_names_and_the_names_of_the_service() -> None:
    result = find(Service(around_warragamba()))
    rows = result.series.select("station", "variable", "unit", "code", "description", "first_day", "last_day").rows()
    begun, ended = date(1990, 1, 1), date(2024, 11, 18)
    assert rows == [
        ("900001", "reservoir_level", "m", "130.00", "", begun, ended),
        ("900001", None, None, "300.00", "", begun, ended),
        ("900002", "rainfall", "mm", "10.00", "", begun, ended),
        ("900003", "stream_level", "m", "100.00", "", date(1980, 7, 3), None),
        ("900003", None, None, "100.09", "Externally supplied peak", date(1980, 7, 3), None),
        ("900003", "rainfall", "mm", "10.00", "", date(1980, 7, 3), None),
    ]
    rain = find(Service(around_warragamba()), variable="rainfall")
    assert rain.stations["station"].to_list() == ["900002", "900003"]
    assert rain.series["variable"].unique().to_list() == ["rainfall"]


def test_a_service_with_longitude_first_is_detected() -> None:
    normal, swapped = Service(around_warragamba()), Service(around_warragamba(), longitude_first=True)
    result, swapped_result = find(normal), find(swapped)
    assert swapped_result.stations.equals(result.stations)
    assert swapped_result.series.equals(result.series)
    assert swapped_result.notes[0] == "waternsw takes longitude before latitude; the search asked again in that order."
    places = [call["geo_filter"]["circle"][:2] for call in calls(swapped, "get_db_info")]
    assert places == [[*CENTRE], [*CENTRE[::-1]]]
    assert len(calls(normal, "get_db_info")) == 1


def test_a_wrong_order_that_gives_far_stations_is_detected() -> None:
    """A place with swapped coordinates can have stations too: in the test both places are on land."""
    far_site = Site("800001", "40.0", "-33.0")
    service = Service((far_site, Site("800002", "-33.0", "40.0")), longitude_first=True)
    with station_server(service) as url:
        result = search_stations(StationSearch(-33.0, 40.0, 5.0, "waternsw"), settings=settings_for(url))
    assert result.stations["station"].to_list() == ["800002"]
    assert "longitude before latitude" in result.notes[0]


def test_a_refusal_of_a_latitude_beyond_90_leads_to_swapped_coordinates() -> None:
    service = Service(around_warragamba(), longitude_first=True)
    plain = service.answer

    def strict(call: dict[str, Any]) -> Any:
        answer = plain(call)
        first = call["params"].get("geo_filter", {}).get("circle", [150])[0]
        return {"error_num": 120, "error_msg": "bad circle"} if first == CENTRE[0] else answer

    service.answer = strict  # type: ignore[method-assign]  # the method is replaced for one fault
    result = find(service)
    assert len(result.stations) == 3
    assert "longitude before latitude" in result.notes[0]


def test_stations_slightly_outside_do_not_look_like_a_wrong_order() -> None:
    service = Service([Site("1", "-33.6138", "150.5955")])  # 30 km north, within the circle of degrees
    result = find(service, 27.0)
    assert result.notes == ("waternsw has no station within 27 km.",)
    assert len(calls(service, "get_db_info")) == 1


def test_a_search_without_result_has_one_note() -> None:
    service = Service([])
    result = find(service, variable="storage")
    assert result.notes == ("waternsw has no station that measures storage within 30 km.",)
    assert result.stations.is_empty() and result.series.is_empty()
    assert len(service.calls) == 2, "one request in each order"


def test_no_more_than_20_stations_a_call_and_a_bounded_number_of_calls() -> None:
    many = [Site(f"{n:06d}", f"{CENTRE[0] + n / 1e4}", f"{CENTRE[1]}", (LAKE, VOLTS)) for n in range(MAX_STATIONS + 50)]
    service = Service(many)
    result = find(service, 50.0)
    assert result.stations["station"].to_list() == [site.station for site in many[:MAX_STATIONS]]
    note = "250 stations lie within 50 km; the list has the nearest 200; give a smaller radius to see all."
    assert result.notes == (note,)
    assert len(service.calls) == 1 + 3 * MAX_STATIONS // SERVICES["waternsw"].limits.stations_per_request
    assert set(result.series["station"]) == set(result.stations["station"])


def test_a_refusal_of_some_stations_does_not_end_the_search() -> None:
    refuses = {"get_datasources_by_site": {"error_num": 83, "error_msg": "Invalid site"}}
    result = find(Service(around_warragamba(), refuses=refuses))
    assert result.stations["datasources"].null_count() == 3
    assert result.series.height == 6
    assert re.fullmatch(
        r"get_datasources_by_site of stations 900001, 900002, 900003 was refused: .* error 83 .*", result.notes[1]
    )


@pytest.mark.parametrize("key", ["error_num", "err_num", "_error_num"])
def test_an_error_of_the_service_appears_with_its_number(key: str) -> None:
    message = {key: 120, key.replace("num", "msg"): "Missing top-level"}
    with pytest.raises(SourceError, match=r"waternsw: the service reports error 120 \(Missing top-level\)"):
        find(Service(around_warragamba(), refuses={"get_db_info": message}))


def test_the_error_no_data_means_no_stations() -> None:
    result = find(Service(around_warragamba(), refuses={"get_db_info": {"error_num": 126, "error_msg": "No data"}}))
    assert result.notes == ("waternsw has no station within 30 km.",)


def test_a_service_that_cannot_be_reached() -> None:
    settings = settings_for("http://127.0.0.1:9/x")
    with pytest.raises(SourceError, match=r"waternsw: 127\.0\.0\.1:9 cannot be reached"):
        search_stations(StationSearch(*CENTRE, 5.0, "waternsw"), settings=settings)


def _rows(*rows: object) -> str:
    import json

    return json.dumps({"error_num": 0, "return": {"rows": rows}})


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [("", ""), ("0", "0"), (0, 0), (None, None), ("-33.9", ""), ("n/a", "150"), ("150.6", "-33.9"), ("nan", "1"),
     ("-33.9", "1e999"), ("-33.9", ["150"])],
)  # fmt: skip
def test_invalid_coordinates_are_missing(latitude: object, longitude: object) -> None:
    table = parse_sites(_rows({"station": "1", "latitude": latitude, "longitude": longitude}))
    assert table.select("latitude", "longitude").row(0) == (None, None)
    assert add_distances(table, CENTRE)["distance_km"].to_list() == [None]


def test_rows_as_a_table_by_station_and_a_duplicate_station() -> None:
    row = {"station": " 1 ", "stname": "One", "latitude": -33.5, "longitude": "150", "active": "true"}
    row["cease"] = 20200101
    by_name = '{"_return": {"rows": {"1": {"station": "1", "active": false, "commence": "2020013"}}}}'
    table = parse_sites(_rows(row, row))
    assert table.rows() == [("1", "One", -33.5, 150.0, True, None, date(2020, 1, 1))]
    assert parse_sites(by_name).rows() == [("1", "", None, None, False, None, None)]


@pytest.mark.parametrize(
    "answer",
    ['{"return": {}}', '{"return": []}', '{"return": {"rows": 5}}', '{"return": {"rows": [5]}}', '{"return": 5}',
     '{"return": {"rows": [{}]}}', '{"return": {"rows": [{"station": ""}]}}', '{"return": {"rows": [{"station": 5}]}}'],
)  # fmt: skip
def test_an_answer_without_a_list_of_stations_is_refused(answer: str) -> None:
    with pytest.raises(SourceError, match="the answer (has|lacks)"):
        parse_sites(answer)


@needs_shared
def test_every_recorded_variable_list_is_read() -> None:
    read = 0
    for call, answer in recordings().items():
        if '"get_variable_list"' in call:
            listed = [v for site in result_of(answer)["sites"] for v in site["variables"]]
            table = parse_series(answer)
            assert table["code"].to_list() == [v["variable"] for v in listed]
            assert table["first_day"].null_count() == 0
            assert set(table.filter(table["code"] == "130.00")["variable"]) <= {"reservoir_level"}
            assert table.filter(table["variable"].is_not_null())["unit"].null_count() == 0
            read += 1
    assert read == 11


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((150.6, -33.9, 30.0, "waternsw"), "latitude 150.6 must be from -90 to 90 degrees; give latitude, then"),
        ((-33.9, 190.0, 30.0, "waternsw"), "longitude 190 must be from -180 to 180"),
        ((math.nan, 0.0, 30.0, "waternsw"), "latitude nan must be"),
        ((0.0, 0.0, 0.0, "waternsw"), "radius 0 km must be more than 0 and at most 1000 km"),
        ((0.0, 0.0, math.inf, "waternsw"), "radius inf km"),
        ((0.0, 0.0, 5.0, "csv"), "source 'csv' offers no search for stations; allowed are waternsw, vicwater, qld"),
        ((0.0, 0.0, 5.0, "waternsw", "snow"), "variable 'snow' is unknown; allowed are reservoir_level, stor"),
    ],
)
def test_an_invalid_search_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        StationSearch(*arguments)


@example(latitude=60.0, longitude=10.0, radius_km=1000.0, share=1.0, bearing=74.0)
@example(latitude=-75.0, longitude=10.0, radius_km=500.0, share=1.0, bearing=107.0)
@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(0.1, MAX_RADIUS_KM), st.floats(0, 1), st.floats(0, 360))
def test_the_circle_on_the_map_contains_the_circle_on_the_globe(
    latitude: float, longitude: float, radius_km: float, share: float, bearing: float
) -> None:
    """A point at most `radius_km` away on the sphere lies within the radius on the map of degrees."""
    search = StationSearch(latitude, longitude, radius_km, "waternsw")
    arc, turn = math.radians(share * radius_km / KM_PER_DEGREE), math.radians(bearing)
    at = math.radians(latitude)
    site_latitude = math.asin(
        max(-1, min(1, math.sin(at) * math.cos(arc) + math.cos(at) * math.sin(arc) * math.cos(turn)))
    )
    east = math.atan2(
        math.sin(turn) * math.sin(arc) * math.cos(at), math.cos(arc) - math.sin(at) * math.sin(site_latitude)
    )
    assume(abs(longitude + math.degrees(east)) <= 180)
    north = math.degrees(site_latitude) - latitude
    on_map = math.hypot(north, math.degrees(east))
    assert on_map <= search.radius_deg or search.radius_deg == 180
    row = {"station": "1", "latitude": math.degrees(site_latitude), "longitude": longitude + math.degrees(east)}
    measured = add_distances(parse_sites(_rows(row)), (latitude, longitude))["distance_km"][0]
    assert measured is None or measured == pytest.approx(share * radius_km, abs=1e-4)


def test_a_variable_without_a_hydstra_code_cannot_be_searched_for() -> None:
    with pytest.raises(ConfigError, match="waternsw cannot be searched for 'temperature'; allowed are rainfall, str"):
        find(Service([]), variable="temperature")


def test_a_maintenance_page_leads_to_another_attempt() -> None:
    """Services send the page with status 200. A search retries like a fetch."""
    service, pages = Service(around_warragamba()), [MAINTENANCE, MAINTENANCE[:20]]

    class Maintained(Handler):
        def reply(self, text: str) -> None:
            answer = json.dumps(service.answer(json.loads(text))).encode()
            self.send_whole(200, pages.pop() if pages else answer)

    with hydstra_server(handler=Maintained) as url:
        result = search_stations(StationSearch(*CENTRE, 30.0, "waternsw"), settings=settings_for(url, attempts=3))
        assert result.stations["station"].to_list() == ["900001", "900002", "900003"]
        pages += [MAINTENANCE] * 3
        with pytest.raises(SourceError, match="the answer is not JSON, it begins '<html>") as caught:
            search_stations(StationSearch(*CENTRE, 30.0, "waternsw"), settings=settings_for(url, attempts=3))
    assert caught.value.retryable


def test_the_search_method_of_each_service() -> None:
    service = Service([Site("1", CENTRE[0], CENTRE[1], (RAIN, STAGE))])
    with station_server(service) as url:
        result = search_stations(StationSearch(*CENTRE, 1.0, "qldwater"), settings=settings_for(url))
    assert result.series["variable"].to_list() == ["rainfall", "stream_level"]
    assert [call["datasource"] for call in calls(service, "get_variable_list")] == ["A"]
    assert STATIONS.check(result.stations, unique=True).equals(result.stations)


# --- several services -------------------------------------------------------------------------------------------------


def search_two(first: Service, second: Service, **fields: Any) -> NearbyStations:  # Any: fields of the search
    """Search around Warragamba in waternsw and vicwater; a service without sites and refusals cannot be reached."""
    with station_server(first) as url, station_server(second) as other_url:
        settings = Settings.model_validate(
            as_settings(url) | {"sources": {"waternsw": {"url": url}, "vicwater": {"url": other_url}}}
        )
        return search_services(*CENTRE, 30.0, sources=("waternsw", "vicwater"), settings=settings, **fields)


def test_stations_of_several_services_are_one_table_the_nearest_first() -> None:
    near = Site("900001", CENTRE[0] - 0.01, CENTRE[1], (LAKE,))
    nearby = search_two(Service(around_warragamba()), Service([near]))
    rows = nearby.stations.select("source", "station").rows()
    nsw = [("waternsw", f"90000{n}") for n in (1, 2, 3)]
    assert rows == [nsw[0], ("vicwater", "900001"), *nsw[1:]], "the same id in two services is two stations"
    assert nearby.series.filter(source="vicwater")["variable"].to_list() == ["reservoir_level"]
    assert nearby.sources == ("waternsw", "vicwater")
    assert nearby.notes == ("waternsw: 2 of the answer's 5 stations have no coordinates and are left out.",)
    assert station_rows(nearby)[0]["source"] == "waternsw"
    assert len([row for row in station_rows(nearby) if row["source"] == "vicwater"]) == 1


def test_a_service_that_fails_is_a_note_and_if_all_fail_it_is_an_error() -> None:
    refusal = {"get_db_info": {"error_num": 100, "error_msg": "Unknown function"}}
    nearby = search_two(Service([], refuses=refusal), Service([Site("1", *CENTRE, (LAKE,))]))
    assert nearby.stations["source"].to_list() == ["vicwater"]
    assert nearby.sources == ("vicwater",)
    assert re.match(r"waternsw has no result: .*error 100 \(Unknown function\)", nearby.notes[0])
    with pytest.raises(SourceError, match="error 100"):
        search_two(Service([], refuses=refusal), Service([], refuses=refusal))


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ((-33.9, 150.6), {"waternsw"}),
        ((-36.0, 146.9), {"waternsw", "vicwater"}),
        ((-28.7, 151.5), {"waternsw", "qldwater"}),
        ((40.9, -75.2), set()),
    ],
)
def test_only_services_of_the_region_are_asked(place: tuple[float, float], names: set[str]) -> None:
    assert names == {"waternsw", "vicwater", "qldwater"} & set(services_near(*place, 25.0))


def test_a_box_is_within_reach_of_a_circle_across_the_date_line(monkeypatch: pytest.MonkeyPatch) -> None:
    far_east = replace(SERVICES["waternsw"], covers=(-48.0, 166.0, -34.0, 179.9))
    monkeypatch.setitem(SERVICES, "waternsw", far_east)
    assert "waternsw" in services_near(-40.0, -179.9, 50.0)
    assert "waternsw" not in services_near(-40.0, -175.0, 50.0)


@pytest.mark.parametrize(
    ("place", "message"), [((95.0, 0.0), "latitude 95"), ((-50.0, -100.0), "no service has stations")]
)
def test_a_place_without_services_is_an_error(place: tuple[float, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        search_services(*place, 25.0, settings=Settings())
