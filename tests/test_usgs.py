"""USGS Water Data API: parsers on the recordings, the service on loopback, dataretrieval as the oracle."""

from __future__ import annotations

import csv
import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import polars as pl
import pytest
from dataretrieval import configure, waterdata
from dataretrieval.waterdata import WaterdataConfiguration

from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from forebay.dams.variables import VARIABLES
from forebay.errors import ConfigError, SourceError
from forebay.settings import Settings, load_settings
from forebay.sources import fetch_readings, plan_requests, search_stations
from forebay.sources.quality import grade
from forebay.sources.stations import SERIES, STATIONS, StationSearch
from forebay.sources.units import unit_of
from forebay.sources.usgs import codes, fetch, parse
from tests.loopback import Answer, Received, Reply, loopback_server
from tests.services import usgs
from tests.services.usgs import BASE, CONTENT, Content, Record, Value
from tests.shared import PROJECT, SHARED, needs_shared

Json = Any  # Any: a JSON value
FOLDER = SHARED / "recordings" / "usgs"
NOW = usgs.NOW
KEY = "Zq7-secret-Zq8"


def recorded(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def rows_of_csv(name: str) -> list[dict[str, Json]]:
    """Rows of a recorded table, as a page of GeoJSON would have them."""
    return list(csv.DictReader(recorded(name).decode("utf-8").splitlines()))


def fixture(collection: str) -> parse.Page:
    """A page of the recorded collection of pages."""
    return parse.parse_page(json.dumps(json.loads(recorded("waterdata_ogc_fixtures.json"))[collection]))


# --- parsers, on the recordings


def read_daily_sample() -> None:
    page = parse.parse_page(recorded("v0_sample_daily-endpoint.json"))
    values = parse.parse_values(page.rows)
    assert values["time"].to_list() == ["2020-10-24", "1949-11-03"], "in no order"
    assert values["raw_value"].to_list() == ["489", "940"]
    assert values["quality_code"].to_list() == [None, "Approved"]
    assert values["unit"].unique().to_list() == ["ft^3/s"]
    cursor = "MDAwMDAwMGMtN2VmNC00N2U0LWE1NzctNjc3ZmU5NzNjZmIw"
    assert page.next_url == (
        "https://api.waterdata.usgs.gov/ogcapi/v0/collections/daily/items"
        f"?cursor={cursor}&lang=en-US&limit=2&skipGeometry=false"
    )
    assert page.rows[0]["longitude"] == -80.7694722222222


def read_last_page() -> None:
    page = parse.parse_page(recorded("v1_daily_items_lastpage.json"))
    series = series_like(id="2cf409b0d9694c01828f5d4ff14586a5", unit="ft^3/s")
    readings = parse.readings_of(parse.parse_values(page.rows), flow_gauge().in_time_zone("America/New_York"), series)
    assert page.next_url is None
    assert readings["raw_value"].to_list() == ["3800", "3330", "2840"]
    assert readings["value"].to_list() == pytest.approx([3800 * 0.028316846592, 94.295, 80.42], rel=1e-4)
    assert readings["time"].to_list() == [datetime(2026, 9, day, 4, tzinfo=UTC) for day in (28, 29, 30)]
    assert readings["quality"].to_list() == ["unknown"] * 3
    assert readings["quality_code"].to_list() == ["Provisional"] * 3


def read_continuous_page() -> None:
    page = parse.parse_page(recorded("v1_continuous_page1_next.json"))
    series = series_like(id="66a4e3fb8abe42fcb0942b5c0fe98f68", collection="continuous", unit="ft^3/s")
    gauge = flow_gauge(interval="15min", reading="instantaneous")
    readings = parse.readings_of(parse.parse_values(page.rows), gauge.in_time_zone("America/New_York"), series)
    assert readings["raw_value"].to_list() == ["2700", "2750", "2750", "2750"]
    assert readings["time"].to_list() == [datetime(2026, 10, 1, 0, minute, tzinfo=UTC) for minute in (0, 5, 10, 15)]
    assert page.next_url is not None
    assert page.next_url.startswith("https://api.waterdata.usgs.gov/ogcapi/v1/collections/continuous/items?cursor=Nj")


def read_slim_page() -> None:
    """A page of a request with `properties`, which forebay never sends: its values belong to no series."""
    page = parse.parse_page(recorded("v1_continuous_slim_page1_next.json"))
    assert [row["value"] for row in page.rows] == ["2700", "2750", "2750"]
    with pytest.raises(SourceError, match="has time_series_id = 'None' instead of a text"):
        parse.parse_values(page.rows)


def read_error(name: str, message: str) -> Callable[[], None]:
    def read() -> None:
        text = str(parse.error_of(400, recorded(name)) or "")
        assert message in text
        with pytest.raises(SourceError) as caught:
            parse.parse_page(recorded(name))
        assert str(caught.value) == text

    return read


def read_locations(name: str, count: int) -> Callable[[], None]:
    def read() -> None:
        locations = parse.parse_locations(parse.parse_page(recorded(name)).rows)
        assert len(locations) == count
        assert locations["AL012-90100100001"] == ("Autauga County Water Authority", None)

    return read


def read_fixtures() -> None:
    daily = parse.parse_values(fixture("daily").rows)
    assert daily.select("time", "raw_value", "unit").rows() == [
        ("2025-12-26", "20.2", "ft^3/s"),
        ("2026-03-19", "27.1", "ft^3/s"),
    ]
    assert parse.parse_values(fixture("latest-daily").rows)["raw_value"].to_list() == ["774", "5.41"]
    assert parse.parse_values(fixture("continuous").rows)["raw_value"].to_list() == ["1.76", "1.76"]
    assert parse.parse_values(fixture("latest-continuous").rows)["unit"].to_list() == ["ft", "ft^3/s"]
    rain, other = parse.parse_series(fixture("time-series-metadata").rows)
    assert (rain.title, rain.unit, rain.first_day) == ("00045 continuous", "in", date(2013, 10, 1))
    assert (other.title, other.first_day, other.last_day) == ("91060 daily 00003", date(1990, 10, 1), date(2025, 9, 30))
    assert rain.latitude == 43.20888888888889
    locations = parse.parse_locations(fixture("monitoring-locations").rows)
    assert locations["USGS-410252073314801"] == ("CT-STM    2", "NAVD88")
    others = json.loads(recorded("waterdata_ogc_fixtures.json")).keys()
    assert all(fixture(name).rows for name in others), "the page of every other collection is one of features"


def read_parameter_sample() -> None:
    page = parse.parse_page(recorded("v0_sample_parameter_codes-endpoint.json"))
    assert (len(page.rows), page.total) == (2, 19200)
    assert page.next_url is not None
    assert "offset=2" in page.next_url, "the next link is not the first one"


def read_queryables() -> None:
    queryables = json.loads(recorded("waterdata_queryables.json"))
    for collection in ("daily", "continuous"):
        assert {"monitoring_location_id", "parameter_code", "time_series_id", "time"} <= set(queryables[collection])
    assert {"monitoring_location_id", "parameter_code", "geometry"} <= set(queryables["time-series-metadata"])
    assert "id" in queryables["monitoring-locations"]


def read_metadata_table(name: str, expected: Sequence[tuple[str, str, date, date]]) -> Callable[[], None]:
    """Recorded as CSV, which has the columns of the JSON properties."""

    def read() -> None:
        series = parse.parse_series(rows_of_csv(name))
        found = [(s.title, s.unit, s.first_day, s.last_day) for s in series if s.parameter == "00060"]
        assert sorted(found) == sorted(expected)

    return read


def read_idaho() -> None:
    locations = parse.parse_locations(rows_of_csv("v0_monitoring-locations_idaho_trimmed.csv"))
    assert locations["USGS-10119000"] == ("LITTLE MALAD RIVER AB ELKHORN RES NR MALAD CITY ID", "NGVD29")
    assert {datum for _, datum in locations.values()} == {None, "NGVD29", "NAVD88"}


def read_parameter_codes() -> None:
    table = {row["id"]: row for row in rows_of_csv("v0_parameter-codes_reservoir_rain.csv")}
    for datum, code in codes.LEVEL_PARAMETERS.items():
        series = series_like(name=table[code]["parameter_name"], description=table[code]["parameter_description"])
        assert (series.datum, table[code]["unit_of_measure"]) == (datum, "ft"), code
    for code, variable in codes.VARIABLE_OF.items():
        if code != "00020":  # air temperature is not in this part of the table
            assert unit_of(table[code]["unit_of_measure"]) in VARIABLES[variable].units, code
    assert table["72020"]["parameter_name"] == "Elevation, NGVD29", "no code of reservoirs"
    assert "72020" not in codes.VARIABLE_OF


def read_statistics() -> None:
    names = {row["id"]: row["statistic_name"] for row in rows_of_csv("v0_statistic-codes_head.csv")}
    assert {reading: names[code] for reading, code in codes.STATISTICS.items()} == {"mean": "MEAN", "total": "SUM"}


READERS: dict[str, Callable[[], None]] = {
    "v0_sample_daily-endpoint.json": read_daily_sample,
    "v1_daily_items_lastpage.json": read_last_page,
    "v1_continuous_page1_next.json": read_continuous_page,
    "v1_continuous_slim_page1_next.json": read_slim_page,
    "v1_error_invalid_key.json": read_error(
        "v1_error_invalid_key.json", "the service refuses the API key (API_KEY_INVALID: An invalid api_key was supplied"
    ),
    "v1_error_limit_exceeded.json": read_error(
        "v1_error_limit_exceeded.json", "reports InvalidParameterValue (Limit of 50000 exceeded); check the gauge's"
    ),
    "v1_error_time_envelope.json": read_error("v1_error_time_envelope.json", "reports InvalidQuery (The requested"),
    "v1_error_unknown_property.json": read_error("v1_error_unknown_property.json", "reports InvalidQuery (At least"),
    "v0_error_429_over_rate_limit.json": read_error(
        "v0_error_429_over_rate_limit.json", "the limit of requests is reached (OVER_RATE_LIMIT: You have exceeded"
    ),
    "v0_sample_monitoring_loations-endpoint.json": read_locations("v0_sample_monitoring_loations-endpoint.json", 2),
    "v0_monitoring-locations_items.json": read_locations("v0_monitoring-locations_items.json", 10),
    "v0_sample_parameter_codes-endpoint.json": read_parameter_sample,
    "waterdata_ogc_fixtures.json": read_fixtures,
    "waterdata_queryables.json": read_queryables,
    "v0_time-series-metadata_USGS-13037500.csv": read_metadata_table(
        "v0_time-series-metadata_USGS-13037500.csv",
        [
            ("00060 daily 00003", "ft^3/s", date(1910, 10, 1), date(2026, 2, 18)),
            ("00060 continuous 00011", "ft^3/s", date(1987, 2, 8), date(2026, 2, 20)),
        ],
    ),
    "v0_time-series-metadata_USGS-13186000.csv": read_metadata_table(
        "v0_time-series-metadata_USGS-13186000.csv",
        [
            ("00060 daily 00003", "ft^3/s", date(1945, 5, 1), date(2026, 2, 18)),
            ("00060 continuous 00011", "ft^3/s", date(1986, 10, 16), date(2026, 2, 20)),
        ],
    ),
    "v0_monitoring-locations_idaho_trimmed.csv": read_idaho,
    "v0_parameter-codes_reservoir_rain.csv": read_parameter_codes,
    "v0_statistic-codes_head.csv": read_statistics,
}
UNUSED = {
    "v0_daily_properties.csv": "an answer as CSV, which has no links to further pages: forebay requests JSON",
    "usa_07374000_discharge_20230101.csv": "another program's table, not an answer of the service",
}


@needs_shared
def test_each_recording_is_parsed_or_has_a_reason() -> None:
    assert READERS.keys() | UNUSED.keys() == {path.name for path in FOLDER.iterdir()}


@needs_shared
@pytest.mark.parametrize("name", READERS)
def test_a_recording_has_the_values_read_by_eye(name: str) -> None:
    READERS[name]()


# --- gauges and the service on loopback


def flow_gauge(**keys: Json) -> Gauge:
    base = {"role": "stream", "source": "usgs", "station": usgs.RIVER, "variable": "discharge", "unit": "ft3/s"}
    return Gauge.model_validate(base | keys)


def level_gauge(**keys: Json) -> Gauge:
    base = {"role": "target", "source": "usgs", "station": usgs.LAKE, "variable": "reservoir_level", "unit": "ft"}
    return Gauge.model_validate(base | keys)


def dam_of(gauge: Gauge, *, datum: str = "feet, as published", time_zone: str = usgs.ZONE) -> Dam:
    """A dam with this gauge, or with this one besides its target."""
    target = gauge if gauge.role == "target" else level_gauge(station="USGS-00000001")
    return Dam.model_validate({
        "id": "x", "name": "X", "country": "US", "latitude": 43, "longitude": -111, "time_zone": time_zone,
        "target": {"variable": target.variable, "unit": target.unit, "datum": datum},
        "gauges": [target] if gauge is target else [target, gauge],
    })  # fmt: skip


def series_like(**fields: Json) -> parse.Series:
    """A series of daily means of discharge."""
    base = parse.Series(
        "s", usgs.RIVER, "00060", "00003", "daily", "ft3/s", "Discharge", "", True, None, None, None, None
    )
    return replace(base, **fields)


def settings_for(url: str, *, base: str = BASE, **http: float) -> Settings:
    limits = {"first_wait_s": 0, "longest_wait_s": 0.01, "attempts": 2, "connect_timeout_s": 10, "read_timeout_s": 20}
    return Settings.model_validate({"sources": {"usgs": {"url": url + base}}, "http": limits | http})


def with_key(settings: Settings, key: str = KEY) -> Settings:
    """Settings with a key, as the environment gives it."""
    source = load_settings(Path("/nonexistent"), {"API_USGS_PAT": key})[0].sources["usgs"]
    url = settings.sources["usgs"].url
    return settings.model_copy(update={"sources": {"usgs": source.model_copy(update={"url": url})}})


SPAN = (date(2026, 3, 1), date(2026, 3, 10))


def fetched(
    gauge: Gauge, answer: Answer = CONTENT.answer, *, span: tuple[date | None, date] = SPAN, **options: Json
) -> tuple[pl.DataFrame, list[Received]]:
    """Readings of a fetch from loopback, and the requests."""
    dam = options.pop("dam", None) or dam_of(gauge)
    now = options.pop("now", NOW)
    with loopback_server(answer) as (url, requests):
        readings = fetch_readings(gauge, dam, *span, settings=settings_for(url, **options), now=now)
    return readings, requests


def refused(gauge: Gauge, answer: Answer = CONTENT.answer, **options: Json) -> str:
    """Error of a fetch."""
    with pytest.raises(SourceError) as caught:
        fetched(gauge, answer, **options)
    return str(caught.value)


def content_with(*records: Record, locations: Mapping[str, tuple[str, str | None]] | None = None) -> Content:
    return Content(records, CONTENT.locations if locations is None else locations)


def test_requests_of_a_daily_gauge() -> None:
    _, requests = fetched(flow_gauge())
    metadata, values = requests
    assert metadata.path == f"{BASE}/collections/time-series-metadata/items"
    assert metadata.query["monitoring_location_id"] == usgs.RIVER
    assert values.path == f"{BASE}/collections/daily/items"
    assert dict(values.query) == {
        "f": "json",
        "limit": "20000",
        "monitoring_location_id": usgs.RIVER,
        "parameter_code": "00060",
        "time_series_id": usgs.FLOW.id,
        "time": "2026-02-28/2026-03-11",
        "skipGeometry": "true",
    }


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_the_version_is_part_of_the_url(version: str) -> None:
    readings, requests = fetched(flow_gauge(), base=f"/ogcapi/{version}/")
    assert len(readings) == 10
    assert all(request.path.startswith(f"/ogcapi/{version}/collections/") for request in requests)


def test_a_link_to_the_other_version_on_the_same_host_is_followed() -> None:
    def answer(request: Received) -> Reply:
        reply = CONTENT.answer(request)
        return replace(reply, body=reply.body.replace(b"/ogcapi/v0/", b"/ogcapi/v1/"))

    readings, requests = fetched(flow_gauge(), answer, base="/ogcapi/v0", points_per_request=5)
    assert len(readings) == 10
    assert [request.path.split("/")[2] for request in requests[1:]] == ["v0", "v1", "v1"]


def test_next_links_are_followed_verbatim() -> None:
    links: list[str] = []

    def answer(request: Received) -> Reply:
        reply = CONTENT.answer(request)
        links.extend(link["href"] for link in json.loads(reply.body)["links"] if link["rel"] == "next")
        return reply

    _, requests = fetched(flow_gauge(), answer, points_per_request=5)
    assert len(links) == 2
    assert [request.query for request in requests[2:]] == [dict(parse_qsl(urlsplit(link).query)) for link in links]


# --- dataretrieval as the oracle


def oracle_rows(frame: Json) -> list[tuple[Json, ...]]:
    """(time, value, unit, approval status, qualifiers) of each row of a data frame of dataretrieval."""
    columns = ["time", "value", "unit_of_measure", "approval_status", "qualifier"]
    rows = frame[columns].itertuples(index=False, name=None)
    return [(t.to_pydatetime(), None if math.isnan(v) else v, u, a, tuple(q or ())) for t, v, u, a, q in rows]


def our_rows(readings: pl.DataFrame, unit: str, variable: str, service_unit: str) -> list[tuple[Json, ...]]:
    """The same of readings."""
    rows = []
    for time, raw, value, code in readings.select("time", "raw_value", "value", "quality_code").iter_rows():
        approval, *qualifiers = code.split(" ")
        number = None if raw is None else float(raw)
        if number is not None:
            assert VARIABLES[variable].to_canonical(number, unit) == pytest.approx(value, rel=1e-12)
        rows.append((time, number, service_unit, approval, tuple(qualifiers)))
    return rows


@pytest.fixture
def oracle_url() -> Iterator[str]:
    with (
        loopback_server(CONTENT.answer) as (url, _),
        configure(WaterdataConfiguration(base_url=url, retries=0)),
    ):
        yield url


@pytest.mark.parametrize("page_size", [7, 50_000])
def test_daily_values_equal_those_of_dataretrieval(oracle_url: str, page_size: int) -> None:
    frame, _ = waterdata.get_daily(
        monitoring_location_id=usgs.RIVER,
        parameter_code="00060",
        statistic_id="00003",
        time="2026-02-01/2026-04-10",
        limit=page_size,
        skip_geometry=True,
    )
    gauge, settings = flow_gauge(), settings_for(oracle_url, points_per_request=page_size)
    readings = fetch_readings(gauge, dam_of(gauge), None, usgs.LAST, settings=settings, now=NOW)
    days = readings.with_columns(pl.col("time").dt.convert_time_zone(usgs.ZONE).dt.replace_time_zone(None))
    assert our_rows(days, "ft3/s", "discharge", "ft^3/s") == oracle_rows(frame)
    assert len(readings) == 69


@pytest.mark.parametrize("page_size", [200, 50_000])
def test_continuous_values_equal_those_of_dataretrieval(oracle_url: str, page_size: int) -> None:
    frame, _ = waterdata.get_continuous(
        monitoring_location_id=usgs.LAKE,
        parameter_code="62614",
        time="2026-02-01T07:00:00Z/2026-04-11T05:59:59Z",
        limit=page_size,
    )
    gauge = level_gauge(interval="hour", reading="instantaneous", request={"datum": "NGVD 29"})
    settings = settings_for(oracle_url, points_per_request=page_size)
    readings = fetch_readings(gauge, dam_of(gauge), None, usgs.LAST, settings=settings, now=NOW)
    assert our_rows(readings, "ft", "reservoir_level", "ft") == [
        (time.astimezone(UTC), *rest) for time, *rest in oracle_rows(frame)
    ]
    assert len(readings) == 68 * 24  # 68 days, one of them of 23 h, and the first hour of the last day


def test_the_search_filters_stations_as_dataretrieval_does() -> None:
    with loopback_server(CONTENT.answer) as (url, requests):
        search_stations(StationSearch(43.33, -111.2, 20, "usgs"), settings=settings_for(url))
        body = json.loads(requests[-1].body)
        stations = body["args"][0]["args"][1]
        with configure(WaterdataConfiguration(base_url=url, retries=0)):
            frame, _ = waterdata.get_monitoring_locations(monitoring_location_id=stations, skip_geometry=True)
        theirs = requests[-1]
    assert json.loads(theirs.body) == body
    assert theirs.headers["content-type"] == "application/query-cql-json"
    assert sorted(frame["monitoring_location_id"]) == sorted(stations)


# --- the key


def test_the_key_is_sent_as_a_header_and_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    gauge = flow_gauge()
    caplog.set_level(logging.DEBUG)
    with loopback_server(CONTENT.answer) as (url, requests):
        settings = with_key(settings_for(url, points_per_request=5))
        fetch_readings(gauge, dam_of(gauge), *SPAN, settings=settings, now=NOW)
        search_stations(StationSearch(43.33, -111.2, 20, "usgs"), settings=settings)
    assert len(requests) == 6
    assert {request.headers["x-api-key"] for request in requests} == {KEY}
    assert not any(KEY in f"{request.path}{request.query}{request.body!r}" for request in requests)
    assert KEY not in caplog.text + str([record.__dict__ for record in caplog.records])


def test_a_wrong_key_has_its_own_sentence_without_the_key() -> None:
    def echo(request: Received) -> Reply:
        error = {"code": "API_KEY_INVALID", "message": f"{request.headers['x-api-key']} is no key"}
        return Reply(json.dumps({"error": error}).encode(), 403)

    gauge = flow_gauge()
    for answer, key in ((CONTENT.answer, usgs.WRONG_KEY), (echo, KEY)):
        with loopback_server(answer) as (url, requests), pytest.raises(SourceError) as caught:
            settings = with_key(settings_for(url), key)
            fetch_readings(gauge, dam_of(gauge), *SPAN, settings=settings, now=NOW)
        assert "usgs, station USGS-13032500: the service refuses the API key" in str(caught.value)
        assert "correct API_USGS_PAT in the environment" in str(caught.value)
        assert key not in str(caught.value)
        assert len(requests) == 1, "another attempt would be refused too"


@pytest.mark.parametrize(
    "link",
    [
        "{other}/collections/daily/items?cursor=x",
        "http://127.0.0.1.elsewhere.test/x",
        "http://{host}@elsewhere.test/x",
        "http://user:pass@{host}/x",
        "//elsewhere.test/x",
        "ftp://{host}/x",
    ],
)
def test_a_link_that_leaves_the_host_is_refused_and_the_key_stays(link: str) -> None:
    gauge = flow_gauge()
    with loopback_server(CONTENT.answer) as (other, at_other):

        def answer(request: Received) -> Reply:
            reply = CONTENT.answer(request)
            href = link.format(other=other, host=request.headers["host"])
            return Reply(usgs.changed(reply.body, links=[{"rel": "next", "href": href}]))

        with loopback_server(answer) as (url, requests), pytest.raises(SourceError, match="leaves the") as caught:
            settings = with_key(settings_for(url))
            fetch_readings(gauge, dam_of(gauge), *SPAN, settings=settings, now=NOW)
    assert at_other == []
    assert len(requests) == 1
    assert "pass" not in str(caught.value)


def test_a_link_from_https_to_http_is_refused() -> None:
    def send(request: object) -> bytes:
        features = [{"properties": {}, "id": "1", "geometry": None}]
        return json.dumps({"features": features, "links": [{"rel": "next", "href": "http://host.test/x"}]}).encode()

    service = fetch.WaterData(send, "https://host.test/ogcapi/v1", {"X-Api-Key": KEY}, 10)
    with pytest.raises(SourceError, match="leaves the service: 'http://host.test/x'"):
        service.rows("daily", {})


# --- limits, pages and errors


def test_a_request_is_repeated_after_too_many_requests() -> None:
    count = 0

    def answer(request: Received) -> Reply:
        nonlocal count
        count += 1
        busy = Reply(json.dumps(usgs.ERRORS["rate"][1]).encode(), 429, {"Retry-After": "0"})
        return busy if count == 1 else CONTENT.answer(request)

    readings, requests = fetched(flow_gauge(), answer)
    assert len(readings) == 10
    assert len(requests) == 3


def test_the_limit_of_requests_is_explained_and_retryable() -> None:
    def answer(request: Received) -> Reply:
        return Reply(json.dumps(usgs.ERRORS["rate"][1]).encode(), 429, {"Retry-After": "120"})

    with pytest.raises(SourceError) as caught:
        fetched(flow_gauge(), answer)
    assert "status 429 (Too Many Requests): the limit of requests is reached (OVER_RATE_LIMIT: Y" in str(caught.value)
    assert "set API_USGS_PAT: a free key allows 1,000 requests an hour instead of 50" in str(caught.value)
    assert (caught.value.retryable, caught.value.retry_after) == (True, 120)


def test_a_page_has_at_most_50000_features() -> None:
    _, requests = fetched(flow_gauge(), points_per_request=1_000_000)
    assert {request.query["limit"] for request in requests} == {"50000"}


@pytest.mark.parametrize("days", [100_000, 365])
def test_continuous_values_are_requested_in_parts_of_at_most_1100_days(days: int) -> None:
    """The loopback service refuses more, as the recorded error says; clocks change within the span."""
    gauge = level_gauge(interval="hour", reading="instantaneous", request={"parameter": "62614"})
    start = Value("2019-06-01T00:00:00+00:00", "5590.00")
    long = replace(usgs.HOURLY_LEVEL, values=[start, *usgs.HOURLY_LEVEL.values])
    readings, requests = fetched(gauge, content_with(long).answer, span=(None, usgs.LAST), days_per_request=days)
    spans = [request.query["time"] for request in requests[1:]]
    assert readings["raw_value"][0] == "5590.00"
    assert len(readings) == 1 + 68 * 24
    assert spans[0].startswith("2019-05-31T00:00:00Z")
    assert len(spans) == (3 if days == 100_000 else 7)
    bounds = [[datetime.fromisoformat(text) for text in span.split("/")] for span in spans]
    assert all(end - begin < timedelta(days=min(days, 1100)) for begin, end in bounds)
    ends = [end for _, end in bounds]
    assert [begin for begin, _ in bounds[1:]] == [end + timedelta(seconds=1) for end in ends[:-1]]


@pytest.mark.parametrize("rows", [1, 3])
def test_pages_without_end_are_an_error(rows: int) -> None:
    count = 0

    def answer(request: Received) -> Reply:
        nonlocal count
        count += 1
        if not usgs.is_values(request, usgs.RIVER):
            return CONTENT.answer(request)
        query = {**request.query, "limit": str(rows), "cursor": ""}
        row = json.loads(CONTENT.answer(replace(request, query=query)).body)
        link = f"http://{request.headers['host']}{request.path}?monitoring_location_id={usgs.RIVER}&cursor={count}"
        return Reply(usgs.changed(json.dumps(row).encode(), links=[{"rel": "next", "href": link}]))

    message = refused(flow_gauge(), answer)
    assert "the pages of daily do not end" in message
    assert count < 20


def test_an_empty_page_ends_the_pages() -> None:
    def answer(request: Received) -> Reply:
        reply = CONTENT.answer(request)
        if json.loads(reply.body)["features"]:
            return reply
        return Reply(usgs.changed(reply.body, links=[{"rel": "next", "href": f"http://{request.headers['host']}/x"}]))

    readings, requests = fetched(flow_gauge(), answer, span=(date(2026, 4, 12), date(2026, 4, 12)))
    assert (len(readings), len(requests)) == (0, 2)


@pytest.mark.parametrize(
    ("gauge", "message"),
    [
        (flow_gauge(station="USGS-99999999"), "usgs, station USGS-99999999: the service lists no series of daily or"),
        (flow_gauge(request={"parameter": "00065"}), "has no series '00065 daily 00003', only 00060 daily 00003; c"),
        (flow_gauge(request={"statistic": "00001"}), "has no series '00060 daily 00001', only 00060 daily 00003; c"),
        (flow_gauge(request={"series": "x"}), "has no series '00060 daily 00003 x', only 00060 daily 00003; check"),
        (
            flow_gauge(interval="15min", reading="instantaneous"),
            "has no series '00060 continuous', only 00060 daily 00003; check the gauge's request, interval",
        ),
        (
            flow_gauge(station=usgs.LAKE, request={"parameter": "00054", "statistic": "00003"}),
            "no series '00054 daily 00003', only 00054 daily 32400, 62614 continuous 00011, 62615 daily 00003; check",
        ),
        (
            flow_gauge(station=usgs.LAKE, request={"parameter": "62615"}),
            "the answer's unit 'ft' is not a unit of discharge (m3/s, ft3/s,",
        ),
    ],
)
def test_an_unknown_station_series_or_unit_is_an_error(gauge: Gauge, message: str) -> None:
    assert message in refused(gauge)


def test_of_several_series_the_primary_one_is_taken_or_the_dam_file_decides() -> None:
    second = replace(usgs.FLOW, primary="")
    readings, requests = fetched(flow_gauge(), content_with(second, usgs.FLOW).answer)
    assert len(readings) == 10
    assert requests[-1].query["time_series_id"] == usgs.FLOW.id
    try:
        only, _ = fetched(flow_gauge(), content_with(second).answer)
    except SourceError as error:
        pytest.fail(f"the only series need not be primary: {error}")
    assert len(only) == 10
    metric = replace(usgs.FLOW, unit="m^3/s")
    both = content_with(metric, usgs.FLOW).answer
    message = refused(flow_gauge(), both)
    assert f"has 2 series '00060 daily 00003': {metric.id} (2026-02-01 to 2026-04-10), {usgs.FLOW.id}" in message
    chosen, _ = fetched(flow_gauge(request={"series": metric.id}), both)
    assert chosen["value"].to_list() == chosen["raw_value"].cast(pl.Float64).to_list()


def test_a_record_without_its_start_is_not_stored() -> None:
    def answer(request: Received) -> Reply:
        if usgs.is_values(request, usgs.RIVER) and request.query["time"].startswith("2026-01-31"):
            return Reply(b'{"type": "FeatureCollection", "features": [], "numberReturned": 0, "links": []}')
        return CONTENT.answer(request)

    message = refused(flow_gauge(), answer, span=(None, usgs.LAST), days_per_request=10)
    assert "lists a record from 2026-02-01 on but sent no reading of it until 2026-02-09; nothing was stored" in message
    readings, _ = fetched(flow_gauge(), answer, span=(date(2026, 1, 31), usgs.LAST), days_per_request=10)
    assert len(readings) == 69 - 9


def test_a_series_without_a_start_begins_with_the_earliest_day() -> None:
    def answer(request: Received) -> Reply:
        reply = CONTENT.answer(request)
        return replace(reply, body=reply.body.replace(b'"begin": "2026-02-01T00:00:00.000001"', b'"begin": null'))

    readings, requests = fetched(flow_gauge(), answer, span=(None, usgs.LAST), days_per_request=100_000)
    assert len(readings) == 69
    assert requests[-1].query["time"] == "1849-12-31/2026-04-11"


def test_an_ended_gauge_gives_an_empty_table() -> None:
    readings, _ = fetched(flow_gauge(), span=(date(2027, 1, 1), date(2027, 2, 1)), now=datetime(2027, 3, 1, tzinfo=UTC))
    assert readings.is_empty()


def test_a_service_whose_clock_is_wrong_stores_nothing_of_the_future() -> None:
    readings, _ = fetched(flow_gauge(), span=(date(2026, 2, 1), usgs.LAST), now=datetime(2026, 2, 20, 12, tzinfo=UTC))
    assert readings["time"].max() == datetime(2026, 2, 19, 7, tzinfo=UTC)


def test_two_values_of_one_day_are_an_error() -> None:
    twice = replace(usgs.FLOW, values=[*usgs.FLOW.values, Value("2026-03-02", "1")])

    def answer(request: Received) -> Reply:
        reply = content_with(twice).answer(request)
        features = json.loads(reply.body)["features"]
        for number, feature in enumerate(features):
            feature["id"] = str(number)
        return Reply(usgs.changed(reply.body, features=features)) if "/daily/" in request.path else reply

    assert "has two values for 2026-03-02 07:00 UTC" in refused(flow_gauge(), answer)


# --- datum and units


@pytest.mark.parametrize(
    ("datum", "request_keys", "parameter"),
    [
        ("feet above NAVD 88", {}, "62615"),
        ("feet above NGVD 1929", {}, "62614"),
        ("ft, North American Vertical Datum of 1988", {}, "62615"),
        ("feet, as published", {}, "00062"),
        ("feet above NGVD 29 (NAVD 88 is 3.1 ft higher)", {}, "00062"),
        ("feet above NGVD 29", {"datum": "NAVD88"}, "62615"),
        ("feet above NAVD 88", {"parameter": "62614"}, "62614"),
    ],
)
def test_the_datum_decides_the_parameter(datum: str, request_keys: dict[str, str], parameter: str) -> None:
    gauge = level_gauge(request=request_keys)
    assert codes.query_of(gauge, dam_of(gauge, datum=datum)).parameter == parameter


def test_a_series_above_another_datum_is_an_error_and_no_value() -> None:
    ngvd = level_gauge(request={"parameter": "62615"})
    message = refused(ngvd, dam=dam_of(ngvd, datum="feet above NGVD 29"))
    assert "series '62615 daily 00003' is above NAVD88, but the dam file expects NGVD29" in message
    stated = level_gauge(request={"parameter": "62615", "datum": "NGVD 29"})
    assert "is above NAVD88, but the dam file expects NGVD29" in refused(stated)
    right = level_gauge(request={"datum": "NAVD 88"})
    readings, _ = fetched(right, dam=dam_of(right, datum="feet above NGVD 29"))
    assert len(readings) == 10


def test_the_station_has_the_datum_of_a_series_that_names_none() -> None:
    plain = usgs.daily_record("00062", "00003", "ft", usgs.LAKE, low=5000, high=5100)
    gauge = level_gauge(request={"parameter": "00062"})
    dam = dam_of(gauge, datum="feet above NAVD 88")
    message = refused(gauge, content_with(plain).answer, dam=dam)
    assert f"station {usgs.LAKE} is above NGVD29, but the dam file expects NAVD88" in message
    for stated in ("NAVD88", None):
        content = content_with(plain, locations={usgs.LAKE: ("LAKE", stated)})
        readings, requests = fetched(gauge, content.answer, dam=dam)
        assert len(readings) == 10
        assert [request.path.split("/")[4] for request in requests] == [
            "time-series-metadata", "monitoring-locations", "daily"
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("parameter", "unit", "name"),
    [
        ("00054", "ac-ft", "ac-ft"),
        ("72022", "Mgal", "MG"),
        ("72023", "[Mft3]", "Mft3"),
        ("72023", "Mft3", "Mft3"),
        ("72036", "Kac-ft", "kac-ft"),
        ("72036", "thousand acre-feet", "kac-ft"),
    ],
)
def test_the_unit_of_the_answer_decides_the_conversion(parameter: str, unit: str, name: str) -> None:
    values = [Value("2026-03-05", "12.5")]
    record = replace(usgs.STORAGE, parameter=parameter, unit=unit, statistic="00003", values=values)
    keys = {"role": "storage", "variable": "storage", "unit": "ML", "station": usgs.LAKE}
    gauge = flow_gauge(**keys, request={"parameter": parameter})
    readings, _ = fetched(gauge, content_with(record).answer)
    assert readings["value"].to_list() == [12.5 * VARIABLES["storage"].units[name][0]]
    assert readings["raw_value"].to_list() == ["12.5"]


def test_an_offset_must_be_in_the_unit_of_the_answer() -> None:
    same, _ = fetched(level_gauge(offset=3.1, request={"datum": "NAVD 88"}))
    assert same["value"][0] == pytest.approx((float(same["raw_value"][0]) + 3.1) * 0.3048, rel=1e-12)
    other = level_gauge(unit="m", offset=3.1, request={"datum": "NAVD 88"})
    assert "the answer's unit is 'ft', but the gauge's offset is in 'm'; correct unit and offset" in refused(other)


def test_a_unit_that_changes_within_a_series_is_an_error() -> None:
    def answer(request: Received) -> Reply:
        reply = CONTENT.answer(request)
        envelope = json.loads(reply.body)
        for feature in envelope["features"]:
            if feature["properties"].get("time", "") >= "2026-03-05":
                feature["properties"]["unit_of_measure"] = "m^3/s"
        return Reply(json.dumps(envelope).encode())

    message = refused(flow_gauge(), answer)
    assert "changes its unit: its values are in 'm^3/s' from 2026-03-05 on, not in 'ft^3/s'" in message


# --- local days


def test_daily_values_begin_at_local_midnight_also_where_clocks_change() -> None:
    readings, _ = fetched(flow_gauge(), span=(date(2026, 3, 7), date(2026, 3, 10)))
    hours = [7, 7, 6, 6]  # the clocks of Boise change on 8 March, which has 23 h
    assert readings["time"].to_list() == [
        datetime(2026, 3, 7 + n, hour, tzinfo=UTC) for n, hour in enumerate(hours)
    ]
    assert not flow_gauge().ends_next_day


@pytest.mark.parametrize("zone", ["America/Boise", "-07:00", "Pacific/Honolulu", "America/Puerto_Rico"])
@pytest.mark.parametrize(("stamp", "shift"), [("start", 0), ("end", -1)])
def test_a_date_is_the_day_of_its_value_in_any_zone(zone: str, stamp: str, shift: int) -> None:
    gauge = flow_gauge(stamp=stamp)
    day = date(2026, 3, 9)
    readings, _ = fetched(gauge, span=(day, day), dam=dam_of(gauge, time_zone=zone))
    published = {value.time: value.value for value in usgs.FLOW.values}
    assert readings["raw_value"].to_list() == [published[str(day - timedelta(days=shift))]]
    assert readings.select(gauge.local_day(zone))["time"].to_list() == [day]


def test_a_value_at_24_h_is_one_at_midnight_of_the_next_day() -> None:
    gauge = flow_gauge(role="storage", variable="storage", unit="ac-ft", station=usgs.LAKE, reading="instantaneous",
                       reading_at="00:00")  # fmt: skip
    readings, _ = fetched(gauge, span=(date(2026, 3, 8), date(2026, 3, 9)))
    published = {value.time: value.value for value in usgs.STORAGE.values}
    assert readings["raw_value"].to_list() == [published["2026-03-07"], published["2026-03-08"]]
    assert readings["time"].to_list() == [datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 3, 9, 6, tzinfo=UTC)]


def test_a_value_at_another_hour_has_its_statistic() -> None:
    morning = replace(usgs.STORAGE, statistic="30800")
    gauge = flow_gauge(role="storage", variable="storage", unit="ac-ft", station=usgs.LAKE, reading="instantaneous",
                       reading_at="08:00")  # fmt: skip
    readings, _ = fetched(gauge, content_with(morning).answer, span=(date(2026, 3, 9), date(2026, 3, 9)))
    assert readings["time"].to_list() == [datetime(2026, 3, 9, 14, tzinfo=UTC)]


def test_totals_of_hours_are_stamped_at_their_ends() -> None:
    gauge = Gauge.model_validate({
        "role": "rainfall", "source": "usgs", "station": usgs.RAIN, "variable": "rainfall", "unit": "in",
        "interval": "hour", "stamp": "end",
    })  # fmt: skip
    readings, _ = fetched(gauge, span=(date(2026, 3, 8), date(2026, 3, 8)))
    assert len(readings) == 23
    assert readings["time"].min() == datetime(2026, 3, 8, 7, tzinfo=UTC)
    stamp = "2026-03-08T08:00:00+00:00"
    assert readings["raw_value"][0] == next(value.value for value in usgs.HOURLY_RAIN.values if value.time == stamp)


# --- what the dam file may ask for


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"station": "1234567"}, "station '1234567' is no monitoring location; allowed are an agency and a number"),
        ({"station": "USGS 13032500"}, "is no monitoring location"),
        ({"request": {"parameter": "60"}}, "request.parameter = '60' must be a code of 5 digits"),
        ({"request": {"statistic": "mean"}}, "request.statistic = 'mean' must be a code of 5 digits"),
        ({"request": {"datum": "EVRF"}}, "request.datum = 'EVRF' is unknown; allowed are NGVD29, NAVD88, IGLD"),
        ({"interval": "15min"}, 'means of days only, not of interval = "15min"; set reading = "instantaneous"'),
        ({"request": {"statistic": "32400"}}, 'is a value at 24:00; set reading = "instantaneous" and reading_at'),
        (
            {"reading": "instantaneous", "reading_at": "08:00", "request": {"statistic": "32400"}},
            "request.statistic 32400 is a value at 24:00, but reading_at is 08:00; correct one of them",
        ),
        (
            {"role": "snow", "variable": "snow_water_equivalent", "unit": "in"},
            "snow_water_equivalent has no default parameter (only reservoir_level, storage,",
        ),
    ],
)
def test_what_the_service_does_not_have_is_an_error_before_any_request(keys: dict[str, Json], message: str) -> None:
    gauge = flow_gauge(**keys)
    settings = settings_for("http://127.0.0.1:9")
    for call in (fetch_readings, plan_requests):
        with pytest.raises(ConfigError) as caught:
            call(gauge, dam_of(gauge), *SPAN, settings=settings, now=NOW)
        assert message in str(caught.value)


def test_a_number_alone_is_a_station_of_usgs() -> None:
    gauge = flow_gauge(station=usgs.RIVER.removeprefix("USGS-"))
    readings, requests = fetched(gauge)
    assert set(readings["station"]) == {"13032500"}
    assert {request.query["monitoring_location_id"] for request in requests} == {usgs.RIVER}


def test_the_plan_has_the_requests_of_the_fetch() -> None:
    gauge = level_gauge(interval="hour", reading="instantaneous", request={"parameter": "62614"})
    settings = settings_for("http://host.test")
    span = (date(2020, 1, 1), date(2026, 4, 10))
    metadata, *values = plan_requests(gauge, dam_of(gauge), *span, settings=settings, now=NOW)
    assert (metadata.host, metadata.asks, metadata.first) == ("host.test", "time-series-metadata", None)
    assert [(str(request.first), str(request.last)) for request in values] == [
        ("2019-12-31 00:00:00", "2023-01-03 00:00:00"),
        ("2023-01-04 00:00:00", "2026-01-07 00:00:00"),
        ("2026-01-08 00:00:00", "2026-04-11 00:00:00"),
    ]
    whole = plan_requests(gauge, dam_of(gauge), None, span[1], settings=settings, now=NOW)
    assert [(request.asks, request.first) for request in whole[1:]] == [
        ("62614 continuous from the record's start, 1100 days each", None)
    ]


# --- quality


@pytest.mark.parametrize(
    ("approval", "qualifier", "code", "expected"),
    [
        ("Approved", None, "Approved", "good"),
        ("Approved", [], "Approved", "good"),
        ("Provisional", None, "Provisional", "unknown"),
        ("Approved", ["REVISED"], "Approved REVISED", "good"),
        ("Provisional", ["REVISED"], "Provisional REVISED", "unknown"),
        ("Approved", ["ESTIMATED"], "Approved ESTIMATED", "estimated"),
        ("Approved", ["ESTIMATED", "ICE"], "Approved ESTIMATED ICE", "estimated"),
        ("Provisional", ["EQUIP"], "Provisional EQUIP", "poor"),
        ("Approved", "['ESTIMATED', 'ICE']", "Approved ESTIMATED ICE", "estimated"),
        ("Approved", ["SOMETHING NEW"], "Approved SOMETHING_NEW", "unknown"),
        (None, ["ESTIMATED"], "ESTIMATED", "estimated"),
        (None, None, None, "unknown"),
    ],
)
def test_status_and_qualifiers_are_the_quality(approval: Json, qualifier: Json, code: Json, expected: str) -> None:
    row = {"time_series_id": "s", "unit_of_measure": "ft", "time": "2026-01-01", "value": "1"}
    values = parse.parse_values([row | {"approval_status": approval, "qualifier": qualifier}])
    assert values["quality_code"].to_list() == [code]
    assert values.select(grade(pl.col("quality_code"), "usgs")).to_series().to_list() == [expected]


def test_a_null_value_is_missing_and_a_number_is_its_text() -> None:
    row = {"time_series_id": "s", "unit_of_measure": "ft3/s", "time": "2026-01-01", "approval_status": "Approved"}
    values = parse.parse_values([row | {"value": None}, row | {"value": 0.1, "time": "2026-01-02"}])
    readings = parse.readings_of(values, flow_gauge().in_time_zone(usgs.ZONE), series_like())
    assert readings["quality"].to_list() == ["missing", "good"]
    assert readings["raw_value"].to_list() == [None, "0.1"]
    assert readings["value"].to_list() == [None, 0.1 * 0.028316846592]


# --- search for stations


def found(content: Content = CONTENT, **search: Json) -> tuple[Json, list[Received]]:
    request = StationSearch(**({"latitude": 43.33, "longitude": -111.2, "radius_km": 20, "source": "usgs"} | search))
    with loopback_server(content.answer) as (url, requests):
        return search_stations(request, settings=settings_for(url)), requests


def test_stations_near_a_place_with_names_and_series() -> None:
    near = replace(usgs.FLOW, place=(-111.1, 43.33))
    far = replace(usgs.HOURLY_RAIN, place=(-111.2, 43.6))
    corner = replace(usgs.LEVEL, station="USGS-00000009", place=(-111.39, 43.47))
    unplaced = replace(usgs.LEVEL, station="USGS-00000008", place=None)
    result, requests = found(content_with(usgs.LEVEL, usgs.STORAGE, near, far, corner, unplaced))
    assert result.stations["station"].to_list() == [usgs.LAKE, usgs.RIVER]
    assert result.stations["name"].to_list() == ["SIMULATED RESERVOIR NR IRWIN ID", "SIMULATED RIVER NR IRWIN ID"]
    assert result.stations["distance_km"].to_list() == pytest.approx([0, 8.09], abs=0.01)  # 0.1° of longitude
    assert result.stations["opened"].to_list() == [usgs.FIRST] * 2
    assert result.series.select("station", "variable", "unit", "code", "units").rows() == [
        (usgs.LAKE, "storage", "ac-ft", "00054 daily 32400", "ac-ft"),
        (usgs.LAKE, "reservoir_level", "ft", "62615 daily 00003", "ft"),
        (usgs.RIVER, "discharge", "ft3/s", "00060 daily 00003", "ft^3/s"),
    ]
    assert STATIONS.check(result.stations, unique=True).equals(result.stations)
    assert SERIES.check(result.series, unique=True).equals(result.series)
    west, south, east, north = map(float, requests[0].query["bbox"].split(","))
    assert (south, north) == pytest.approx((43.33 - 0.18, 43.33 + 0.18), abs=0.001)
    assert east - -111.2 == pytest.approx(-111.2 - west) == pytest.approx(0.248, abs=0.002)


def test_a_search_for_one_variable_and_one_without_a_result() -> None:
    result, requests = found(variable="storage")
    assert result.series["variable"].to_list() == ["storage"]
    assert requests[0].query["parameter_code"] == "00054,72022,72023,72036,72118,72119"
    nothing, requests = found(variable="temperature")
    assert nothing.notes == ("usgs has no station that measures temperature within 20 km.",)
    assert len(requests) == 1
    with pytest.raises(ConfigError, match="usgs cannot be searched for 'inflow'; allowed are reservoir_level, storage"):
        found(variable="inflow")


def test_a_search_crosses_longitude_180() -> None:
    east = replace(usgs.LEVEL, station="USGS-00000001", place=(-179.95, 51.9))
    west = replace(usgs.LEVEL, station="USGS-00000002", place=(179.95, 51.9))
    for longitude, nearest in ((179.99, "USGS-00000002"), (-179.99, "USGS-00000001")):
        result, requests = found(content_with(east, west), latitude=51.9, longitude=longitude)
        assert result.stations["station"][0] == nearest
        assert len(result.stations) == 2
        assert len(requests) == 3
    around, requests = found(content_with(east, west), latitude=89.9, longitude=0)
    assert around.stations.is_empty()
    assert requests[0].query["bbox"].startswith("-180.000000,")


def test_a_search_names_at_most_200_stations() -> None:
    records = [replace(usgs.LEVEL, station=f"USGS-{n:08}", place=(-111.2 + n / 10_000, 43.33)) for n in range(210)]
    result, _ = found(content_with(*records))
    assert len(result.stations) == 200
    assert result.notes[0].startswith("210 stations lie within 20 km; the list has the nearest 200")


def test_a_search_without_names_has_a_note_and_a_wrong_key_is_an_error() -> None:
    def answer(request: Received) -> Reply:
        return usgs._error("path") if "monitoring-locations" in request.path else CONTENT.answer(request)

    with loopback_server(answer) as (url, _):
        result = search_stations(StationSearch(43.33, -111.2, 20, "usgs"), settings=settings_for(url))
        assert result.stations["name"].to_list() == [""] * 3
        assert "The names of the stations are missing: " in result.notes[0]
    with loopback_server(CONTENT.answer) as (url, _), pytest.raises(SourceError, match="usgs: .* refuses the API key"):
        settings = with_key(settings_for(url), usgs.WRONG_KEY)
        search_stations(StationSearch(43.33, -111.2, 20, "usgs"), settings=settings)


# --- the page


def test_the_gauges_of_the_page_are_read_and_have_a_query(tmp_path: Path) -> None:
    page = (PROJECT / "docs" / "service_protocols.md").read_text("utf-8")
    section = page.partition("## usgs\n")[2].partition("\n## ")[0]
    (gauges,) = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    path = tmp_path / "dam.toml"
    path.write_text(usgs.HEAD.format(id="x", variable="reservoir_level", unit="ft", datum="NAVD 88") + gauges, "utf-8")
    dam = load_dam(str(path))
    assert [codes.query_of(gauge, dam).title for gauge in dam.gauges] == [
        "62615 daily 00003",
        "00054 daily 32400",
        "00060 continuous",
        "00045 continuous",
    ]
    with loopback_server(CONTENT.answer) as (url, _):
        for gauge in (dam.gauges[0], dam.gauges[1], dam.gauges[3]):
            assert len(fetch_readings(gauge, dam, *SPAN, settings=settings_for(url), now=NOW)) >= 10
    for variable, parameter in codes.PARAMETERS.items():
        assert re.search(rf"^\| .*\b{variable}\b.* \| {parameter}\b", section, re.MULTILINE), variable
