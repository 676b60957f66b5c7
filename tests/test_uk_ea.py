"""`forebay.sources.uk_ea`: every recorded answer of both services, and the services on loopback (simulated values)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.errors import ConfigError, SourceError
from forebay.services import SERVICES
from forebay.settings import Settings
from forebay.sources import fetch_readings, plan_requests, search_stations
from forebay.sources.points import readings_of_points
from forebay.sources.stations import StationSearch
from forebay.sources.uk_ea import parse
from forebay.sources.uk_ea.stations import parse_station_series, parse_stations
from forebay.sources.units import gauge_unit
from tests.conformance import _dam
from tests.junk import with_junk
from tests.loopback import loopback_server
from tests.readings import make_gauge
from tests.services import uk_ea as service
from tests.services.uk_ea import (
    ARCHIVE,
    ARCHIVE_DAM,
    DAYS,
    FIRST,
    FLOW,
    GUID,
    LEVEL,
    MONITORING,
    RAIN,
    RIVER,
    Agency,
    station,
)
from tests.shared import SHARED, needs_shared

FOLDER = SHARED / "recordings" / "uk_ea"
PARSED = (
    "uk_measures.json",
    "uk_readings_discharge.json",
    "flood_measures_latest_trimmed.json",
    "flood_rain_measures_latest_trimmed.json",
    "flood_rain_stations_trimmed.json",
    "flood_stations_full_trimmed.json",
)
UNUSED = {
    "nrfa_station_info_sample.json": "of another service, the National River Flow Archive",
    "uk_nrfa_1001_discharge_20220101.json": "of another service, the National River Flow Archive",
    "uk_nrfa_1001_precipitation_20220101.json": "of another service, the National River Flow Archive",
}
NOW = datetime(2024, 4, 20, tzinfo=UTC)
SINCE, UNTIL = date(2024, 3, 10), date(2024, 3, 20)
POLSON = f"{GUID}-flow-m-86400-m3s-qualified"
INFLOW = {"role": "inflow", "source": "uk_ea", "variable": "inflow", "unit": "m3/s", "day_start": "09:00"}


def answer(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


@needs_shared
def test_every_recording_is_parsed_or_has_a_reason() -> None:
    assert sorted([*PARSED, *UNUSED]) == sorted(path.name for path in FOLDER.iterdir())


@needs_shared
def test_recorded_readings_of_the_archive() -> None:
    points = parse.parse_readings(answer("uk_readings_discharge.json"), POLSON)
    gauge = make_gauge(POLSON, **INFLOW)
    readings = readings_of_points(points, gauge, gauge_unit("m3/s", gauge))
    assert len(readings) == 31
    assert readings.select("time", "value", "raw_value", "quality", "quality_code").row(0) == (
        datetime(2024, 1, 1, 9, tzinfo=UTC), 72.777, "72.777", "good", "Good"
    )  # fmt: skip
    assert readings.select("time", "value").row(-1) == (datetime(2024, 1, 31, 9, tzinfo=UTC), 7.57)
    assert readings.select(gauge.local_day("Europe/London")).item(0, 0) == date(2024, 1, 2), "from 9 to 9"
    with pytest.raises(SourceError, match=f"a reading of measure '{POLSON}' instead of 'other'"):
        parse.parse_readings(answer("uk_readings_discharge.json"), "other")


@needs_shared
def test_recorded_measures_of_the_archive() -> None:
    measures = parse.parse_measures(answer("uk_measures.json"))
    rows = measures.select("parameter", "value_type", "period", "unit").rows()
    assert rows == [
        ("flow", "instantaneous", 900, "m3/s"),
        ("flow", "min", 86400, "m3/s"),
        ("flow", "max", 86400, "m3/s"),
        ("flow", "mean", 86400, "m3/s"),
        ("level", "instantaneous", 900, "m"),
        ("level", "max", 86400, "m"),
        ("level", "min", 86400, "m"),
    ]
    assert set(measures["station"]) == {GUID}
    assert measures["measure"][3] == POLSON


@needs_shared
def test_recorded_measures_of_flood_monitoring() -> None:
    levels = parse.parse_measures(answer("flood_measures_latest_trimmed.json"))
    assert len(levels) == 310
    assert levels.select("measure", "station", "unit").row(0) == ("E9250-level-stage-i-15_min-mAOD", "E9250", "mAOD")
    assert levels["unit"].value_counts().sort("count", "unit", descending=[True, False]).head(4).rows() == [
        ("m", 139), ("mASD", 131), ("---", 25), ("mAOD", 11)
    ]  # fmt: skip
    rain = parse.parse_measures(answer("flood_rain_measures_latest_trimmed.json"))
    assert len(rain) == 200
    assert rain["period"].null_count() == 1, "a measure of single events has none"
    assert rain.row(0)[:6] == (
        "E7050-rainfall-tipping_bucket_raingauge-t-15_min-mm", "E7050", "rainfall", "total", 900, "mm"
    )  # fmt: skip


@needs_shared
def test_recorded_stations_of_flood_monitoring() -> None:
    stations = parse_stations(answer("flood_stations_full_trimmed.json"))
    rows = {row["station"]: row for row in stations.iter_rows(named=True)}
    assert len(rows) == 186
    thirlmere = rows["750604"]
    assert thirlmere["name"] == "Thirlmere Reservoir (Spillway level = 16.55m)"
    assert (thirlmere["latitude"], thirlmere["active"], thirlmere["opened"]) == (54.561659, True, date(1997, 10, 29))
    two_places = rows["E85123"]
    place = ("Ilfracombe Lambda", 51.19557, -4.119951)
    assert tuple(two_places[key] for key in ("name", "latitude", "longitude")) == place
    assert stations["latitude"].null_count() == 0
    rain = parse_stations(answer("flood_rain_stations_trimmed.json"))
    assert rain.row(0)[:5] == ("E7050", "Crowhurst", 50.878052, 0.500069, True)
    assert (len(rain), rain["active"].null_count()) == (200, 197)


@needs_shared
def test_recorded_measures_of_stations() -> None:
    series = parse_station_series(answer("flood_stations_full_trimmed.json"))
    rows = {row["code"]: row for row in series.iter_rows(named=True)}
    assert len(rows) == 221
    assert rows["750604-level-stage-i-15_min-m"]["variable"] == "reservoir_level"
    assert rows["52208-level-stage-i-15_min-mASD"]["variable"] == "stream_level"
    assert rows["52208-level-stage-i-15_min-mASD"]["unit"] == "m"
    assert rows["751020-level-stage-i-15_min----"]["unit"] is None
    rain = parse_station_series(answer("flood_rain_stations_trimmed.json"))
    assert set(rain.select("variable", "unit").rows()) == {("rainfall", "mm")}


@needs_shared
@pytest.mark.parametrize("name", PARSED)
def test_junk_in_each_place_is_a_source_error_or_a_table(name: str) -> None:
    parsers = [
        parse.parse_measures, parse_stations, parse_station_series,
        lambda text: parse.parse_readings(text, POLSON),
    ]  # fmt: skip
    for place, junk, text in with_junk(answer(name).decode()):
        for parser in parsers:
            try:
                parser(text.encode("utf-8", errors="surrogatepass"))
            except SourceError as error:
                assert "Error:" not in str(error), f"{place} = {junk}: a rule of the parser must say it, not {error}"


def readings_answer(**row: Any) -> bytes:  # Any: JSON values
    return json.dumps({"items": [{"dateTime": "2024-01-01T09:00:00", **row}]}).encode()


@pytest.mark.parametrize(
    ("row", "point"),
    [
        ({"value": 1.5, "quality": "Good", "completeness": "Complete"}, ("1.5", "Good")),
        ({"value": 1.5, "quality": "Good", "completeness": "Incomplete"}, ("1.5", "Good/Incomplete")),
        ({"value": 1.5, "quality": {"@id": "x", "label": "Suspect"}}, ("1.5", "Suspect")),
        ({"quality": "Missing"}, (None, "Missing")),
        ({"value": [1.5, 1.6], "quality": "Good"}, (None, "Good")),
        ({"value": 0}, ("0", None)),
    ],
)
def test_values_and_quality_codes(row: dict[str, Any], point: tuple[str | None, str | None]) -> None:
    assert parse.parse_readings(readings_answer(**row), POLSON).row(0)[1:] == point


@pytest.mark.parametrize(
    ("code", "grade"),
    [("Good", "good"), ("Estimated", "estimated"), ("Suspect", "poor"), ("Unchecked", "unknown"),
     ("Missing", "missing"), ("Good/Incomplete", "poor"), ("Brand-new", "unknown")],
)  # fmt: skip
def test_words_of_quality_have_a_grade(code: str, grade: str) -> None:
    points = parse.parse_readings(readings_answer(value=1.5, quality=code), POLSON)
    readings = readings_of_points(points, make_gauge(POLSON, **INFLOW), "m3/s")
    assert readings.select("quality", "quality_code", "raw_value").row(0) == (grade, code, "1.5")
    assert (readings["value"][0] is None) == (grade == "missing")


def dam() -> Dam:
    return _dam(ARCHIVE_DAM)


@contextmanager
def served(agency: Agency, **http: float) -> Iterator[Settings]:
    """Settings for the service on loopback, with one attempt or the settings `http`."""
    agency.received.clear()
    with loopback_server(agency.answer) as (url, _):
        sources = {"uk_ea": {"url": url + service.HYDROLOGY}, "uk_ea_flood": {"url": url + service.FLOOD}}
        yield Settings.model_validate({"sources": sources, "http": {"attempts": 1, "first_wait_s": 0} | http})


def fetch(agency: Agency, gauge: Gauge, since: date | None = SINCE, until: date = UNTIL, **http: float) -> pl.DataFrame:
    with served(agency, **http) as settings:
        return fetch_readings(gauge, dam(), since, until, settings=settings, now=NOW)


def level(**keys: object) -> Gauge:
    defaults = {"source": "uk_ea", "reading": "instantaneous", "interval": "15min"}
    return make_gauge(str(keys.pop("station", GUID)), **defaults | keys)


def test_totals_of_shorter_intervals_are_not_those_of_the_gauge() -> None:
    rain = {"source": "uk_ea_flood", "role": "rainfall", "variable": "rainfall", "unit": "mm", "reading": "total"}
    with pytest.raises(SourceError, match="lists no total rainfall at interval 'hour' of this station, only"):
        fetch(MONITORING, make_gauge("E7050", **rain, interval="hour"))


@pytest.mark.parametrize(
    "keys",
    [{"station": GUID}, {"station": POLSON}, {"station": "47115", "request": {"measure": POLSON}},
     {"station": GUID, "request": {"measure": POLSON}}],
)  # fmt: skip
def test_the_station_or_the_request_names_the_measure(keys: dict[str, object]) -> None:
    readings = fetch(ARCHIVE, make_gauge(str(keys["station"]), **INFLOW | {"request": keys.get("request", {})}))
    assert len(readings) == 11
    measures, values = ARCHIVE.received
    assert measures.query == {"station": GUID}
    assert values.path.endswith(f"/id/measures/{POLSON}/readings")
    assert values.query == {"mineq-date": "2024-03-09", "maxeq-date": "2024-03-21", "_limit": "20000"}


def test_the_days_from_9_to_9_in_winter_and_in_summer() -> None:
    """A day's stamp is 09:00 UTC all year: 10:00 in British Summer Time, which begins on 2024-03-31."""
    gauge = make_gauge(POLSON, **INFLOW)
    since, until = date(2024, 3, 28), date(2024, 4, 4)
    readings = fetch(ARCHIVE, gauge, since, until)
    days = readings.select(gauge.local_day("Europe/London")).to_series().to_list()
    assert days == [since + timedelta(days=k) for k in range(8)]
    assert readings["time"].dt.hour().unique().to_list() == [9]
    # The reading of local day d is stamped on d − 1; the service's value of day FIRST + k is 7.5 + k / 8.
    assert readings["value"][0] == pytest.approx(7.5 + ((since - FIRST).days - 1) / 8, abs=0.001)


def test_a_day_that_starts_at_midnight_is_an_error() -> None:
    with pytest.raises(SourceError, match=r"a day that starts at 2024-03-\d\d 09:00 .* gauge's days start at 00:00"):
        fetch(ARCHIVE, make_gauge(POLSON, **INFLOW | {"day_start": "00:00"}))


@pytest.mark.parametrize(
    ("gauge", "error", "message"),
    [
        (level(station="47115"), ConfigError, "the hydrology archive names stations by ids such as 3c5cba29"),
        (level(station="0" + GUID[1:]), SourceError, f"^uk_ea, station 0{GUID[1:]}: the service lists no measure of"),
        (level(request={"measure": GUID + "-flow-x"}), SourceError, f"no measure '{GUID}-flow-x' of this"),
        (level(reading="mean", interval="day"), SourceError, "no mean reservoir_level at interval 'day'"),
        (level(role="rainfall", variable="rainfall", unit="mm", reading="total"), SourceError, "no total rainfall at"),
        (level(request={"measure": service.FLOW_MAX.notation}), ConfigError, "has max values every 86400 s, but"),
        (level(request={"measure": service.FLOW.notation}, interval="day", reading="mean"), SourceError,
         "unit 'm3/s' is not a unit of reservoir_level"),
    ],
)  # fmt: skip
def test_a_wrong_station_or_measure_is_one_sentence(gauge: Gauge, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fetch(ARCHIVE, gauge)


def test_two_measures_of_one_kind_are_an_error() -> None:
    above_datum = replace(RIVER, notation="750604-level-stage-i-15_min-mASD", unit="mASD")
    agency = replace(MONITORING, measures=(RIVER, above_datum))
    gauge = level(source="uk_ea_flood", station="750604")
    with pytest.raises(SourceError, match="2 measures for the gauge: 750604-level-stage-i-15_min-m, 750604-level"):
        fetch(agency, gauge)


def test_a_measure_that_the_service_does_not_know_any_more() -> None:
    gone = replace(ARCHIVE, measures=(replace(FLOW, notation="renamed"),))
    listed = [ARCHIVE._measure(FLOW)]
    original = Agency.answer

    def answer_to(request: Any) -> Any:
        return ARCHIVE._reply(listed) if request.path.endswith("id/measures") else original(gone, request)

    with loopback_server(answer_to) as (url, _):
        settings = Settings.model_validate({"sources": {"uk_ea": {"url": url + service.HYDROLOGY}}})
        with pytest.raises(SourceError, match=r"does not know the requested station or measure \(status 404\); check"):
            fetch_readings(make_gauge(POLSON, **INFLOW), dam(), SINCE, UNTIL, settings=settings, now=NOW)


@pytest.mark.parametrize(
    ("agency", "gauge", "station_id"),
    [
        (ARCHIVE, make_gauge(POLSON, **INFLOW), GUID),
        (MONITORING, level(source="uk_ea_flood", station="750604", request={"measure": RIVER.notation}), "750604"),
    ],
    ids=["archive", "monitoring"],
)
def test_a_station_that_has_closed_or_moved_is_one_sentence_with_its_date(
    agency: Agency, gauge: Gauge, station_id: str
) -> None:
    """The next fetch of a station whose id does not exist any more."""
    assert len(fetch(agency, gauge)) > 0
    closed = station(station_id, 54.5, -3.0, dateClosed="2024-03-15", stationGuid=GUID)
    sentence = f"{gauge.source}, station {gauge.station}: the service lists no measure of station {station_id}"
    for listed, date_text in (((closed,), ", which closed on 2024-03-15"), ((), "")):
        with pytest.raises(SourceError) as caught:
            fetch(replace(agency, measures=(), stations=listed), gauge)
        advice = "; check the gauge's station in the dam file, or choose another one (forebay stations)"
        assert str(caught.value) == sentence + date_text + advice


def test_the_unit_of_a_measure_may_change_between_two_fetches() -> None:
    """The list of measures states the unit of all readings, so each fetch is in one unit; another kind is an error."""
    before = fetch(ARCHIVE, level())
    feet = fetch(replace(ARCHIVE, measures=(replace(LEVEL, unit="ft"),)), level())
    assert feet["value"].to_list() == pytest.approx([0.3048 * value for value in before["value"]])
    with pytest.raises(SourceError, match="the answer's unit 'm3/s' is not a unit of reservoir_level"):
        fetch(replace(ARCHIVE, measures=(replace(LEVEL, unit="m3/s"),)), level())


def test_the_datum_in_a_unit_must_be_that_of_the_dam() -> None:
    """mAOD is above Ordnance Datum, mASD above the zero of the station; "m" says nothing."""
    target = dam().model_copy(update={"target": dam().target.model_copy(update={"datum": "m above Ordnance Datum"})})
    for unit, is_refused in (("m", False), ("mAOD", False), ("mASD", True)):
        agency = replace(ARCHIVE, measures=(replace(LEVEL, unit=unit),))
        with served(agency) as settings, nullcontext() if not is_refused else pytest.raises(SourceError) as caught:
            fetch_readings(level(), target, SINCE, UNTIL, settings=settings, now=NOW)
        assert len(fetch(agency, level())) > 0, "the dam file of the case names no datum that is known"
    assert str(caught.value) == (
        f"uk_ea, station {GUID}: the unit 'mASD' names the datum ASD, but target.datum in the dam file is 'm above "
        "Ordnance Datum' (AOD); choose a series above AOD, or correct target.datum with the full supply level and the "
        "storage curve"
    )


def test_pages_are_read_to_the_end() -> None:
    whole = fetch(ARCHIVE, level())
    small = replace(ARCHIVE, max_items=100)
    assert fetch(small, level()).equals(whole)
    offsets = [request.query.get("_offset") for request in small.received[1:]]
    assert offsets == [None, *(str(100 * k) for k in range(1, 13))], "13 days of 96 readings are 1,248"


def test_a_service_that_repeats_a_page_is_an_error() -> None:
    looping = replace(ARCHIVE, max_items=100, ignores_offset=True)
    with pytest.raises(SourceError, match="sends the page at _offset 100 twice; try again later"):
        fetch(looping, level())
    assert len(looping.received) == 3


def test_the_pages_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forebay.sources.uk_ea.fetch.MAX_PAGES", 5)
    with pytest.raises(SourceError, match="more than 5 pages of 20000 readings; request a shorter period"):
        fetch(replace(ARCHIVE, max_items=100), level())


def test_without_a_first_day_the_archive_is_asked_for_its_first_reading() -> None:
    assert len(fetch(ARCHIVE, make_gauge(POLSON, **INFLOW), None)) == 19
    assert ARCHIVE.received[1].query == {"earliest": ""}
    empty = replace(ARCHIVE, measures=(replace(FLOW, readings=[]),))
    assert fetch(empty, make_gauge(POLSON, **INFLOW), None).is_empty()
    assert len(empty.received) == 2


def test_a_lost_start_of_the_record_is_an_error() -> None:
    class Lossy(Agency):
        def _readings(self, measure: Any, query: Any) -> Any:
            return super()._readings(measure, query) if "earliest" in query else self._reply([])

    with pytest.raises(SourceError, match="a record from 2024-03-01 on but sent no reading of it until 2024-03-20"):
        fetch(Lossy(service.HYDROLOGY, (FLOW,)), make_gauge(POLSON, **INFLOW), None)


def test_flood_monitoring_is_asked_for_sixty_days_at_most() -> None:
    gauge = level(source="uk_ea_flood", station="750604", request={"measure": RIVER.notation})
    for since in (None, date(2020, 1, 1)):
        assert len(fetch(MONITORING, gauge, since, NOW.date())) == 96 * DAYS
        assert MONITORING.received[-1].query == {"since": "2024-02-19T00:00:00Z", "_limit": "10000"}
    fetch(MONITORING, gauge)
    assert MONITORING.received[-1].query["since"] == "2024-03-09T00:00:00Z"
    assert MONITORING.received[0].query == {"stationReference": "750604"}


def test_the_values_of_the_rain_gauge_are_unchecked() -> None:
    rain = {"source": "uk_ea_flood", "role": "rainfall", "variable": "rainfall", "unit": "mm", "interval": "15min"}
    readings = fetch(MONITORING, make_gauge("E7050", **rain))
    assert set(readings.select("quality", "quality_code").rows()) == {("unknown", None)}
    assert readings["value"].sum() == pytest.approx(0.2 * 118, abs=0.21)


def test_the_plan() -> None:
    settings = Settings()
    plan = plan_requests(level(), dam(), SINCE, date(2024, 12, 31), settings=settings, now=NOW + timedelta(days=400))
    assert [(request.asks, request.first, request.last) for request in plan] == [
        ("id/measures", None, None),
        ("readings", datetime(2024, 3, 10), datetime(2024, 10, 1)),
        ("readings", datetime(2024, 10, 2), datetime(2024, 12, 31)),
    ]
    assert {request.host for request in plan} == {"environment.data.gov.uk"}
    whole = plan_requests(level(), dam(), None, UNTIL, settings=settings, now=NOW)
    assert [request.asks for request in whole] == [
        "id/measures", "first reading", "readings from the record's start, 206 days each"
    ]  # fmt: skip
    recent = plan_requests(level(source="uk_ea_flood", station="1"), dam(), None, UNTIL, settings=settings, now=NOW)
    assert [request.first for request in recent] == [None, datetime(2024, 2, 20)]


STATIONS = (
    station("1", 54.56, -3.06, label="Thirlmere Reservoir"),
    station("2", [54.60, 54.7], [-3.06, -3.1], status=["x/statusSuspended", "x/statusActive"]),
    station("3", 55.6, -3.06),
    {"notation": "4", "measures": []},
)


def test_stations_near_a_place() -> None:
    agency = replace(MONITORING, stations=STATIONS)
    with served(agency) as settings:
        result = search_stations(StationSearch(54.56, -3.06, 25.0, "uk_ea_flood"), settings=settings)
        reservoirs = StationSearch(54.56, -3.06, 25.0, "uk_ea_flood", "reservoir_level")
        assert search_stations(reservoirs, settings=settings).stations["station"].to_list() == ["1"]
        with pytest.raises(ConfigError, match="cannot be searched for 'evaporation'; allowed are rainfall, stream"):
            search_stations(replace(reservoirs, variable="evaporation"), settings=settings)
    assert result.stations.select("station", "active").rows() == [("1", True), ("2", False)]
    assert result.stations["distance_km"].to_list() == pytest.approx([0, 4.448], abs=0.001)  # 0.04° of latitude
    assert result.series.select("station", "variable", "unit", "code").rows() == [
        ("1", "reservoir_level", "m", "1-level"), ("2", "stream_level", "m", "2-level")
    ]  # fmt: skip
    assert result.notes == ("1 of the answer's 4 stations have no coordinates and are left out.",)
    circle = agency.received[0].query
    assert (circle["lat"], circle["long"], circle["dist"]) == ("54.560000", "-3.060000", "27")


def test_stations_of_the_archive_have_their_id() -> None:
    item = station("47115", 54.56, -3.06, stationGuid=GUID, notation=GUID, status=[{"@id": "x", "label": "Active"}])
    stations = parse_stations(json.dumps({"items": [item]}).encode())
    assert stations.select("station", "active").row(0) == (GUID, True)


def test_the_licence_is_that_of_the_recorded_answers() -> None:
    assert {SERVICES[name].licence for name in ("uk_ea", "uk_ea_flood")} == {"OGL 3.0"}
    assert re.match("Environment Agency", SERVICES["uk_ea_flood"].attribution)


def test_a_level_every_15_minutes_and_its_stamps_without_a_zone() -> None:
    readings = fetch(ARCHIVE, level(), UNTIL, UNTIL)
    assert len(readings) == 96
    assert readings["time"][0] == datetime(2024, 3, 20, tzinfo=UTC)
    assert readings["value"][0] == pytest.approx(20 + 96 * 19 / 1000)
    assert LEVEL.readings[0]["dateTime"] == "2024-03-01T00:00:00"
    assert RAIN.readings[0]["dateTime"] == "2024-03-01T00:00:00Z"
