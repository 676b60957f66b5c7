"""`forebay.sources.kiwis`: a hub on loopback with simulated values; `test_kiwis_recordings` has recorded answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.errors import ConfigError, SourceError
from forebay.settings import Settings, load_settings
from forebay.sources import fetch_readings, plan_requests, search_stations
from forebay.sources.kiwis.parse import parse_attributes
from forebay.sources.stations import StationSearch
from tests.conformance import _dam
from tests.loopback import Reply, loopback_server
from tests.readings import make_gauge
from tests.services.kiwis import (
    BUREAU,
    BUREAU_DAM,
    DAY,
    FLOW,
    HOUR,
    LEVELS,
    MIDNIGHT_UTC,
    RAIN,
    REPORT,
    Hub,
    HubSeries,
    at,
    every,
)

LEVEL_NAME = "DMQaQc.Merged.DailyMean.24HR"
NOW = datetime(2024, 4, 1, tzinfo=UTC)
SINCE, UNTIL = date(2024, 1, 5), date(2024, 1, 20)


def dam(time_zone: str = "+10:00") -> Dam:
    return _dam(BUREAU_DAM.replace("+10:00", time_zone))


def level(station: str = "410742", **keys: object) -> Gauge:
    return make_gauge(station, **{"source": "bom"} | keys)


def other(station: str = "L1", **keys: object) -> Gauge:
    """A gauge of another hub, by the id of its series."""
    return make_gauge(station, **{"source": "kiwis", "request": {"ts_id": "1"}} | keys)


def hub_of(points: Any, **keys: Any) -> Hub:  # Any: fields of the series
    """A hub with one series of station L1."""
    return Hub((replace(HubSeries("1", "L1", "H", "Day", "m", points), **keys),), zone=UTC)


@contextmanager
def served(hub: Hub, **http: float) -> Iterator[Settings]:
    """Settings for the hub on loopback, with one attempt or the settings `http`."""
    hub.received.clear()
    with loopback_server(hub.answer) as (url, _):
        sources = {name: {"url": f"{url}/services"} for name in ("bom", "kiwis")}
        yield Settings.model_validate({"sources": sources, "http": {"attempts": 1, "first_wait_s": 0} | http})


def fetch(hub: Hub, gauge: Gauge, since: date | None = SINCE, until: date = UNTIL, **keys: Any) -> pl.DataFrame:
    """Readings of a fetch; `keys` are the time zone, the instant, or settings of `http`."""
    zone, now = keys.pop("time_zone", "+10:00"), keys.pop("now", NOW)
    with served(hub, **keys) as settings:
        return fetch_readings(gauge, dam(zone), since, until, settings=settings, now=now)


def days(readings: pl.DataFrame, gauge: Gauge, time_zone: str) -> list[date]:
    return readings.select(gauge.local_day(time_zone)).to_series().to_list()


def whole(first: date, last: date) -> list[date]:
    return [first + timedelta(days=k) for k in range((last - first).days + 1)]


def test_the_default_series_of_the_bureau() -> None:
    readings = fetch(BUREAU, level())
    assert readings["value"].to_list() == [LEVELS[k][0] for k in range(4, 20)]
    listed, values = BUREAU.received
    assert (listed["station_no"], listed["parametertype_name"]) == ("410742", "Storage Level")
    assert (values["ts_id"], values["from"], values["to"]) == ("101", "2024-01-03", "2024-01-22")


@pytest.mark.parametrize(
    "request_keys",
    [{"ts_id": "102"}, {"ts_path": "site/410742/Storage Level/DMQaQc.Merged.AsStored.1"},
     {"ts_name": "DMQaQc.Merged.AsStored.1"}],
)  # fmt: skip
def test_the_request_names_another_series(request_keys: dict[str, str]) -> None:
    gauge = level(reading="instantaneous", interval="hour", request=request_keys)
    assert len(fetch(BUREAU, gauge)) == 24 * 16
    assert BUREAU.received[-1]["ts_id"] == "102"


def test_zeros_with_code_210_are_missing_at_the_bureau_only() -> None:
    zeros = every(DAY, at(0), [(0.0, 210)] * 30)
    regulated = Hub((HubSeries("9", "1", "Water Course Discharge", LEVEL_NAME, "Ml/d", zeros),))
    river = level("1", role="stream", variable="discharge", unit="ML/d")
    readings = fetch(regulated, river)
    assert len(readings) == 16
    assert readings["value"].null_count() == 16
    assert set(readings.select("raw_value", "quality_code", "quality").rows()) == {("0.0", "210", "missing")}
    same = fetch(hub_of(zeros, unit="Ml/d"), other(role="stream", variable="discharge", unit="ML/d"))
    assert set(same.select("value", "quality").rows()) == {(0.0, "unknown")}


def test_a_value_with_code_210_that_is_not_zero_is_poor() -> None:
    hub = Hub((HubSeries("9", "1", "Storage Level", LEVEL_NAME, "m", every(DAY, at(0), [(3.5, 210)] * 30)),))
    assert set(fetch(hub, level("1")).select("value", "quality").rows()) == {(3.5, "poor")}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"day_start": "09:00"}, r"stamps a day of series '.*\.09HR' at its end, but .*; set stamp = \"end\""),
        ({"stamp": "end", "request": {"ts_id": "101"}, "role": "target"}, r"at its start, .*; set stamp = \"start\""),
        ({"interval": "15min"}, "has no default series for rainfall \\(total, 15min, day_start 00:00\\); give request"),
        ({"role": "storage", "variable": "storage_percent", "unit": "%"}, "no default series for storage_percent"),
    ],
)
def test_a_gauge_that_does_not_fit_the_series_is_an_error(keys: dict[str, object], message: str) -> None:
    rain = {"role": "rainfall", "variable": "rainfall", "unit": "mm"} if keys.get("role") is None else {}
    station = "410742" if keys.get("role") == "target" else "570947"
    with pytest.raises(ConfigError, match=message):
        fetch(BUREAU, level(station, **rain | keys))


@pytest.mark.parametrize(
    ("station", "keys", "message"),
    [
        ("9", {}, "lists no series with station_no '9', parametertype_name 'Storage Level'; check the gauge's station"),
        ("410742", {"request": {"ts_name": "X"}}, "no series 'X' of this station, only DMQaQc.Merged.AsStored.1, DMQ"),
        ("410742", {"request": {"ts_id": "999"}}, "lists no series with ts_id '999'"),
        ("1", {"request": {"ts_id": "101"}}, "series 101 belongs to station '410742' of the hub"),
        ("410742", {"request": {"datasource": "7"}}, r"reports DatasourceError \(Datasource with number 7 is not"),
    ],
)
def test_a_wrong_station_or_request_is_one_sentence(station: str, keys: dict[str, object], message: str) -> None:
    with pytest.raises(SourceError, match=rf"^bom, station {station}: .*{message}") as caught:
        fetch(BUREAU, level(station, **keys))
    assert not caught.value.retryable


def test_two_series_with_the_default_name_are_an_error() -> None:
    twice = (BUREAU.series[0], replace(BUREAU.series[0], ts_id="105"))
    with pytest.raises(SourceError, match=r"2 series for the gauge: 101 \(.*\), 105 \(.*\); set request.ts_id"):
        fetch(Hub(twice), level())


def test_the_station_of_a_series_may_change() -> None:
    moved = Hub(BUREAU.series, refuse=lambda query: _moved() if query["request"] == "getTimeseriesValues" else None)
    with pytest.raises(SourceError, match="series 101 now belongs to station '5'; check the gauge's station"):
        fetch(moved, level())


def _moved() -> Reply:
    table = {"station_no": "5", "ts_id": "101", "rows": "0", "columns": "Timestamp,Value", "data": []}
    return Reply(json.dumps([table]).encode())


@pytest.mark.parametrize("body", [REPORT, b"", b"<html>Internal Server Error</html>"])
def test_a_request_for_too_many_values_is_halved(body: bytes) -> None:
    hub = replace(BUREAU, max_values=24 * 36, too_many=body)
    gauge = level("410730", role="stream", variable="discharge", unit="ML/d", interval="hour")
    readings = fetch(hub, gauge, None, date(2024, 2, 29))
    assert readings["raw_value"].to_list() == [str(value) for value, _ in FLOW]
    spans = [(query["from"], query["to"]) for query in hub.received if query["request"] == "getTimeseriesValues"]
    assert spans == [
        ("2023-12-30", "2024-03-02"), ("2023-12-30", "2024-02-01"), ("2024-01-29", "2024-03-02"),
    ]  # fmt: skip


def test_a_request_that_is_always_refused_is_halved_a_few_times_only() -> None:
    hub = replace(BUREAU, refuse=lambda query: Reply(REPORT, 500) if "from" in query else None)
    with pytest.raises(SourceError, match="DatasourceError"):
        fetch(hub, level(), None, UNTIL.replace(year=2033))
    assert len(hub.received) < 12


def test_a_hub_that_blocks_the_client_gets_one_request() -> None:
    hub = replace(BUREAU, refuse=lambda _: Reply(b"<html>Access Denied</html>", 403))
    with pytest.raises(SourceError, match=r"refuses this client \(status 403\).*another network"):
        fetch(hub, level(), attempts=3)
    assert len(hub.received) == 1


def test_a_page_of_maintenance_is_requested_again() -> None:
    hub = replace(BUREAU, refuse=lambda _: Reply(b"<html><h1>Back at 10:00</h1></html>"))
    with pytest.raises(SourceError, match="a page instead of data, it begins '<html><h1>Back at 10:00"):
        fetch(hub, level(), attempts=3)
    assert len(hub.received) == 3


def test_a_lost_start_of_the_record_is_an_error() -> None:
    late = every(DAY, at(0) + 40 * DAY, LEVELS)
    hub = hub_of(late)
    row = hub.series[0].row() | {"from": "2024-01-01T00:00:00.000+10:00"}
    listing = json.dumps([list(row), list(row.values())]).encode()
    lying = replace(hub, refuse=lambda query: Reply(listing) if query["request"] == "getTimeseriesList" else None)
    with pytest.raises(SourceError, match="a record from 2024-01-01 on but sent no reading of it until 2024-01-30"):
        fetch(lying, other(), None, date(2024, 3, 1), days_per_request=30)
    assert len(fetch(lying, other(), date(2024, 1, 1), date(2024, 3, 1), days_per_request=30)) == 21


def test_without_a_coverage_the_record_starts_in_1850() -> None:
    hub = hub_of(every(DAY, at(0), LEVELS), has_coverage=False)
    assert len(fetch(hub, other(), None)) == 20
    assert [query["from"] for query in hub.received[1:3]] == ["1849-12-30", "1860-01-07"]
    assert len(hub.received) == 1 + 18


def test_a_span_before_the_record_requests_no_values() -> None:
    assert fetch(BUREAU, level(), date(2010, 1, 1), date(2010, 2, 1)).is_empty()
    assert [query["request"] for query in BUREAU.received] == ["getTimeseriesList"]


@pytest.mark.parametrize("time_zone", ["+01:00", "Europe/Brussels"])
@pytest.mark.parametrize("clock_changes", [False, True], ids=["fixed stamps", "stamps with clock changes"])
def test_the_days_of_a_hub_with_utc_stamps(time_zone: str, clock_changes: bool) -> None:
    """A day x starts at x−1 23:00 UTC; in summer, with clock changes, at x−1 22:00 UTC."""
    changes = datetime(2024, 3, 31, 1, tzinfo=UTC)
    stamps = [MIDNIGHT_UTC + k * DAY for k in range(150)]
    stamps = [t - HOUR * (clock_changes and t > changes) for t in stamps]
    points = [(stamp, float(k), 10) for k, stamp in enumerate(stamps)]
    since, until = date(2024, 3, 20), date(2024, 4, 10)
    readings = fetch(hub_of(points), other(), since, until, time_zone=time_zone, now=datetime(2024, 5, 1, tzinfo=UTC))
    assert days(readings, other(), time_zone) == whole(since, until)
    assert readings["value"].to_list() == [float((day - date(2024, 1, 1)).days) for day in whole(since, until)]


@pytest.mark.parametrize("time_zone", ["+10:00", "Australia/Sydney"])
def test_the_days_of_the_bureau_from_9_to_9(time_zone: str) -> None:
    """The total of 24 h to 9:00 on day x is stamped then, and belongs to x; the Bureau has no clock changes."""
    rain = level("570947", role="rainfall", variable="rainfall", unit="mm", stamp="end", day_start="09:00")
    readings = fetch(BUREAU, rain, time_zone=time_zone)
    assert days(readings, rain, time_zone) == whole(SINCE, UNTIL)
    assert readings["value"].to_list() == [RAIN[k][0] for k in range(4, 20)]
    assert readings["time"][0] == at(9) + 3 * DAY


def test_days_at_another_clock_time_are_an_error() -> None:
    hub = hub_of(every(DAY, at(9), LEVELS))
    message = r"a day that starts at 2024-01-\d\d 09:00 in the dam's time zone \+10:00, but the gauge's days start at 0"
    with pytest.raises(SourceError, match=message):
        fetch(hub, other())
    assert len(fetch(hub, other(day_start="09:00"))) == 16


def test_values_closer_than_the_interval_are_an_error() -> None:
    with pytest.raises(SourceError, match="a day that starts at|closer than the gauge's interval 'day'"):
        fetch(hub_of(every(HOUR, at(0), FLOW)), other())
    quarter = every(timedelta(minutes=15), at(0), FLOW)
    with pytest.raises(SourceError, match="times are closer than the gauge's interval 'hour', first at 2024-01"):
        fetch(hub_of(quarter), other(interval="hour"))


def test_a_daily_reading_is_the_one_closest_to_its_clock_time() -> None:
    gauge = other(reading="instantaneous", reading_at="08:00")
    readings = fetch(hub_of(every(HOUR, at(0), FLOW)), gauge)
    assert readings["value"].to_list() == [600.0] * 16, "500 + 300 · 8 / 24"
    with pytest.raises(SourceError, match=r"no reading at 08:00 \(\+10:00\) or close to it, only from 2024-01-0\d"):
        fetch(hub_of(every(DAY, at(15), LEVELS)), gauge)


def test_readings_of_a_service_with_a_wrong_clock_are_left_out_until_their_time() -> None:
    ahead = hub_of(every(DAY, at(0) + 365 * DAY, LEVELS))
    assert fetch(ahead, other(), SINCE, date(2025, 3, 1)).is_empty()


def test_the_datum_in_a_unit_must_be_that_of_the_dam() -> None:
    """A hub may name the datum in the unit; no recorded answer does."""
    gauge, ahd = level(), dam().target.model_copy(update={"datum": "m AHD (Australian Height Datum)"})
    for unit, message in (("m", ""), ("mAHD", ""), ("mASD", "the unit 'mASD' names the datum ASD, but target.datum")):
        hub = replace(BUREAU, series=[replace(one, unit=unit) for one in BUREAU.series if one.ts_id == "101"])
        with served(hub) as settings, pytest.raises(SourceError, match=message) if message else nullcontext():
            target = dam().model_copy(update={"target": ahd})
            assert len(fetch_readings(gauge, target, SINCE, UNTIL, settings=settings, now=NOW)) == 16


def test_the_unit_must_not_change() -> None:
    hub = hub_of(every(DAY, at(0), LEVELS))
    with_feet = replace(hub.series[0], unit="ft")
    lying = replace(hub, refuse=lambda query: _listed(with_feet) if query["request"] == "getTimeseriesList" else None)
    with pytest.raises(SourceError, match="unit of series 1 changes from 'ft' to 'm'; the readings cannot be joined"):
        fetch(lying, other())


def _listed(series: HubSeries) -> Reply:
    return Reply(json.dumps([list(series.row()), list(series.row().values())]).encode())


@pytest.mark.parametrize(
    ("unit", "unit_name", "factor"), [("", "", 1), ("ft", "", 0.3048), ("?", "meter", 1), ("cm", "", 0.01)]
)
def test_the_unit_is_the_symbol_or_the_name_or_that_of_the_gauge(unit: str, unit_name: str, factor: float) -> None:
    readings = fetch(hub_of(every(DAY, at(0), LEVELS), unit=unit, unit_name=unit_name), other())
    assert readings["value"][0] == pytest.approx(954.96 * factor)


@pytest.mark.parametrize("unit", ["---", "Ml/d"])
def test_a_unit_of_another_variable_is_an_error(unit: str) -> None:
    with pytest.raises(SourceError, match=f"unit '{unit}' is not a unit of reservoir_level"):
        fetch(hub_of(every(DAY, at(0), LEVELS), unit=unit), other())


def test_the_url_of_a_hub_is_in_the_settings_or_in_the_request() -> None:
    hub = hub_of(every(DAY, at(0), LEVELS))
    with pytest.raises(ConfigError, match=r"gauge L1: source 'kiwis' has no URL; give the hub's as request\.url"):
        fetch_readings(other(), dam(), SINCE, UNTIL, settings=Settings(), now=NOW)
    with loopback_server(hub.answer) as (url, received):
        gauge = other(request={"ts_id": "1", "url": f"{url}/KiWIS/KiWIS?hub=7"})
        assert len(fetch_readings(gauge, dam(), SINCE, UNTIL, settings=Settings(), now=NOW)) == 16
        (planned, *_) = plan_requests(gauge, dam(), SINCE, UNTIL, settings=Settings(), now=NOW)
    assert {(request.path, request.query["hub"]) for request in received} == {("/KiWIS/KiWIS", "7")}
    assert planned.host == url.removeprefix("http://")
    assert gauge.series["rules"] != other().series["rules"], "stations of two hubs may have one number"


@pytest.mark.parametrize("url", ["ftp://hub.test/", "file:///etc/passwd", "hub.test", "javascript:1"])
def test_a_url_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"request\.url = '.*' must start with http:// or https://"):
        other(request={"ts_id": "1", "url": url})


def test_the_url_of_the_bureau_is_that_of_the_settings() -> None:
    with pytest.raises(ValidationError, match=r"request\.url is unknown; allowed with source = 'bom': ts_id"):
        level(request={"url": "http://hub.test/"})


@pytest.mark.parametrize("name", ["BOM", "WATERNSW"])
def test_only_a_service_without_a_default_may_have_no_url(name: str, tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match=f"the URL of {name.lower()} is empty"):
        load_settings(tmp_path, {f"FOREBAY_SOURCES__{name}__URL": ""})


def test_the_plan() -> None:
    settings = Settings.model_validate({"http": {"days_per_request": 10}})
    plan = plan_requests(level(), dam(), SINCE, UNTIL, settings=settings, now=NOW)
    assert [(request.asks, request.first, request.last) for request in plan] == [
        ("getTimeseriesList", None, None),
        ("getTimeseriesValues", datetime(2024, 1, 5), datetime(2024, 1, 14)),
        ("getTimeseriesValues", datetime(2024, 1, 15), datetime(2024, 1, 20)),
    ]
    assert {request.host for request in plan} == {"www.bom.gov.au"}
    (_, values) = plan_requests(level(), dam(), None, UNTIL, settings=settings, now=NOW)
    assert (values.asks, values.first) == ("getTimeseriesValues from the record's start, 10 days each", None)


PLACES = {"410742": ("-35.53644444", "148.83744444"), "570947": ("", ""), "410730": ("-35.58805556", "148.82191667")}
ATTRIBUTES = {
    "410742": {"FullStorageLevel": "955.540", "FullStorageVolume": "70897.119", "station_gauge_datum": "0.0"},
}


def search(hub: Hub, **keys: Any) -> Any:  # Any: fields of the search; a list of stations
    with served(hub) as settings:
        return search_stations(StationSearch(-35.536, 148.837, 25.0, **{"source": "bom"} | keys), settings=settings)


def test_stations_near_a_place() -> None:
    result = search(Hub(BUREAU.series, places=PLACES, attributes=ATTRIBUTES))
    assert result.stations["station"].to_list() == ["410742", "410730"]
    # 0.052° of latitude and 0.015° of longitude at 35.6° south are 5.74 and 1.37 km.
    assert result.stations["distance_km"].to_list() == pytest.approx([0.06, 5.95], abs=0.03)
    rows = result.series.select("station", "variable", "unit", "code", "description", "first_day").rows()
    attributes = "; full storage level 955.54 m, full storage volume 70897.119 ML, gauge datum 0 m"
    assert rows == [
        ("410742", "reservoir_level", "m", "101", f"{LEVEL_NAME}{attributes}", date(2024, 1, 1)),
        ("410730", "discharge", "ML/d", "104", "DMQaQc.Merged.HourlyMean.HR", date(2024, 1, 1)),
    ]
    assert result.notes == ("1 of the answer's 3 stations have no coordinates and are left out.",)


def test_the_gauge_datum_9999_is_unknown() -> None:
    names = ["station_no", "station_gauge_datum", "FullStorageLevel"]
    rows = [["1", "9999.0", "379.270"], ["2", "12.5", ""], ["3", "---", "1e999"]]
    attributes = parse_attributes(json.dumps([names, *rows]).encode())
    texts = {station: row.description for station, row in attributes.items()}
    assert texts == {"1": "full storage level 379.27 m", "2": "gauge datum 12.5 m", "3": ""}


def test_stations_of_one_variable_and_of_another_hub() -> None:
    hub = Hub(BUREAU.series, places=PLACES)
    assert search(hub, variable="reservoir_level").stations["station"].to_list() == ["410742"]
    assert {query.get("parametertype_name", "Storage Level") for query in hub.received} == {"Storage Level"}
    everything = search(hub, source="kiwis")
    assert everything.series["code"].to_list() == ["101", "102", "104"]
    assert everything.series["variable"].null_count() == 3, "the hub's names of variables are not known"
    with pytest.raises(ConfigError, match="kiwis cannot be searched for 'rainfall'; allowed are none, leave the var"):
        search(hub, source="kiwis", variable="rainfall")
    with pytest.raises(ConfigError, match=r"source 'kiwis' has no URL; give the hub's as sources\.kiwis\.url"):
        search_stations(StationSearch(0, 0, 5, source="kiwis"), settings=Settings())


def test_no_station_and_a_refusal_are_notes() -> None:
    assert search(Hub(())).notes == ("bom has no station within 25 km.",)
    hub = Hub(BUREAU.series, places=PLACES)
    refusing = replace(hub, refuse=lambda query: Reply(REPORT, 500) if "ca_sta_returnfields" in query else None)
    result = search(refusing)
    assert len(result.stations) == 2
    assert result.notes[-1].startswith("getStationList of stations 410742 was refused: the hub reports DatasourceError")
    with pytest.raises(SourceError, match="^bom: the hub reports DatasourceError"):
        search(Hub((), refuse=lambda _: Reply(REPORT, 500)))
