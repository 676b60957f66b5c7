"""The CWMS Data API: recorded answers, rules of a gauge, pages, vertical datum, the oracle, the search."""

from __future__ import annotations

import importlib
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from forebay.archive.fetch import FetchRequest, fetch_dam
from forebay.archive.store import open_archive
from forebay.dams.gauge import Gauge
from forebay.errors import ConfigError, SourceError
from forebay.settings import Settings
from forebay.sources import fetch_readings, plan_requests, search_stations
from forebay.sources.cwms.parse import (
    error_of,
    grade_of_bits,
    parse_catalog,
    parse_timeseries,
    record_end,
    record_start,
)
from forebay.sources.cwms.stations import project_series, project_sites
from forebay.sources.points import interval_starts
from forebay.sources.stations import StationSearch
from forebay.sources.units import unit_of
from tests.loopback import Received, Reply, loopback_server
from tests.services import cwms as service
from tests.services.cwms import INFLOW, LEVEL, NGVD_29, NOW, RAIN, CwmsService, Series, cases
from tests.shared import SHARED, needs_shared

Json = Any  # Any: a JSON value
RECORDINGS = SHARED / "recordings" / "cwms"
CASE = cases()[0]
DAM = CASE.dam
LEVEL_GAUGE, INFLOW_GAUGE, RAIN_GAUGE = DAM.gauges


def recorded(name: str) -> bytes:
    return (RECORDINGS / name).read_bytes()


# --- the recorded answers

# File → number of values, first and last [milliseconds, value, quality code], unit, total: read by eye.
TIMESERIES: dict[str, tuple[int, Json, Json, str, int | None]] = {
    "timeseries_ARBU_Elev_page1_of_2.json": (
        500, [1515110400000, 265.54785599999997, 0], [1516906800000, 265.489944, 0], "m", 745),
    "timeseries_page1.json": (500, [1515110400000, 265.54785599999997, 0], [1516906800000, 265.489944, 0], "m", 745),
    "timeseries_page2.json": (245, [1516910400000, 265.489944, 0], [1517788800000, 265.456416, 0], "m", 745),
    "timeseries_KEYS_Elev_vertical_datum.json": (
        6, [1727787600000, 219.465144, 0], [1727805600000, 219.462096, 0], "m", 6),
    "timeseries_vertical_datum_without_offsets.json": (
        1, [1658469600000, None, 0], [1658469600000, None, 0], "ft", 1),
    "timeseries_max_agg.json": (3, [1515110400000, 1, 0], [1515117600000, 1, 0], "m", 3),
    "timeseries_versioned.json": (3, [1515110400000, 1, 0], [1515117600000, 1, 0], "m", 3),
    "versioned_num_ts.json": (4, [1209654000000, 4, 0], [1209664800000, 3, 0], "CFS", None),
    "unversioned_num_ts.json": (4, [1209654000000, 1, 0], [1209664800000, 4, 0], "CFS", None),
    "paging_num_ts_page1.json": (10, [1727954100000, 4.28, 0], [1727962200000, 4.29, 0], "ft", 30),
    "paging_num_ts_page2.json": (10, [1727963100000, 4.29, 0], [1727971200000, 4.29, 0], "ft", 20),
    "paging_num_ts_page3.json": (10, [1727972100000, 4.28, 0], [1727980200000, 4.29, 0], "ft", 30),
}  # fmt: skip
OTHERS = {
    "empty_num_ts.json", "timeseries_notfound_404.json", "timeseries_identifier_notfound_404.json",
    "error_500_internal.json", "error_code_500.json", "catalog_timeseries.json", "catalog_timeseries_page2.json",
    "catalog_timeseries_like_filter.json", "catalog_locations_one.json", "catalog_locations_trimmed.json",
    "level_timeseries.json", "parameter_catalog_v1.json",
}  # fmt: skip
"""Files that the tests below parse."""
_LEVELS = "location levels (pools, guide curves): a dam file states its reference levels"
_RATINGS = "ratings: a dam file has its storage curve"
_GROUPS = "groups of series: the search uses the catalog"
UNUSED = {
    "catalog_view_timeseries_rows.csv": "rows of the service's database, no answer",
    "forecast_instance.json": "files of forecasts, no readings",
    "level_constant_body.json": _LEVELS,
    "level_seasonal_body.json": _LEVELS,
    "level_timeseries_body.json": _LEVELS,
    "levels_refs_v1.json": _LEVELS,
    "location.json": "one location: the search reads the catalog of locations",
    "location_level_constant.json": _LEVELS,
    "location_levels.json": _LEVELS,
    "offices.json": "names of the offices: request.office states one",
    "pool.json": _LEVELS,
    "pools.json": _LEVELS,
    "project.json": "costs and owners of a project",
    "projects.json": "costs and owners of projects",
    "published_time_series_v1.json": _GROUPS,
    "rating.xml": _RATINGS,
    "rating_effective_dates.json": _RATINGS,
    "rating_metadata.json": _RATINGS,
    "rating_specs.json": _RATINGS,
    "specified_levels.json": _LEVELS,
    "time_series_group.json": _GROUPS,
    "timeseries_identifier.json": "identifier of a series: the catalog has it with the extents",
    "ts_groups_v1.json": _GROUPS,
    "vertical_datum_info_1.xml": "body of a test in XML: answers in JSON have the same content",
    "vertical_datum_info_2.xml": "body of a test in XML: answers in JSON have the same content",
    "vertical_datum_info_3.xml": "body of a test in XML: answers in JSON have the same content",
}


@needs_shared
def test_every_recording_is_parsed_or_unused_for_a_reason() -> None:
    assert {path.name for path in RECORDINGS.iterdir()} == TIMESERIES.keys() | OTHERS | UNUSED.keys()


@needs_shared
@pytest.mark.parametrize("name", TIMESERIES)
def test_a_recorded_time_series(name: str) -> None:
    count, first, last, unit, total = TIMESERIES[name]
    page = parse_timeseries(recorded(name))
    assert page is not None
    assert (len(page.points), page.unit, page.total) == (count, unit, total)
    for row, (ms, value, quality) in ((0, first), (-1, last)):
        raw = None if value is None else str(value)
        time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
        assert page.points.row(row) == (time, raw, str(quality))


@needs_shared
def test_pages_offices_and_names_of_the_recordings() -> None:
    first, second = (parse_timeseries(recorded(f"timeseries_page{number}.json")) for number in (1, 2))
    assert first is not None
    assert second is not None
    assert (first.next_page, second.next_page) == ("MTUxNjkxMDQwMDAwMHx8NzQ1fHw1MDA=", None)
    assert len(first.points) + len(second.points) == first.total
    assert (first.name, first.office, first.datum) == ("ARBU.Elev.Inst.1Hour.0.Ccp-Rev", "SWT", None)
    pages = [parse_timeseries(recorded(f"paging_num_ts_page{number}.json")) for number in (1, 2, 3)]
    assert sum(len(page.points) for page in pages if page) == 30, "total of the first page; page 2 states another"


@needs_shared
def test_vertical_datums_of_the_recordings() -> None:
    page = parse_timeseries(recorded("timeseries_KEYS_Elev_vertical_datum.json"))
    assert page is not None
    assert page.datum is not None
    assert (page.datum.native, page.datum.unit, page.datum.offsets) == ("NGVD-29", "m", {"NAVD-88": 0.1105})
    assert page.datum.estimates == {"NAVD-88"}
    assert page.datum.text == "NGVD-29, +0.1105 m to NAVD-88 (estimate)"
    datums = {
        name: page.datum.native
        for name in TIMESERIES
        if (page := parse_timeseries(recorded(name))) is not None and page.datum is not None
    }
    assert datums == {
        "timeseries_ARBU_Elev_page1_of_2.json": "NGVD-29",
        "timeseries_KEYS_Elev_vertical_datum.json": "NGVD-29",
        "timeseries_vertical_datum_without_offsets.json": "UNKNOWN",
        "timeseries_max_agg.json": "",
        "timeseries_versioned.json": "",
    }


@needs_shared
def test_recorded_answers_without_values() -> None:
    assert parse_timeseries(recorded("timeseries_notfound_404.json")) is None
    assert parse_timeseries(recorded("timeseries_identifier_notfound_404.json")) is None
    empty = parse_timeseries(recorded("empty_num_ts.json"))
    assert empty is not None
    assert (len(empty.points), empty.unit, empty.total) == (0, "CFS", None)
    assert "status 500 (Internal Error); check" in str(error_of(500, recorded("error_500_internal.json")))
    assert "(System Error); check" in str(error_of(500, recorded("error_code_500.json")))


@needs_shared
def test_recorded_levels_as_a_time_series_have_its_form() -> None:
    page = parse_timeseries(recorded("level_timeseries.json"))
    assert page is not None
    assert (page.unit, page.total, len(page.points)) == ("cms", 241, 241)


@needs_shared
def test_recorded_catalogs_of_time_series() -> None:
    first = parse_catalog(recorded("catalog_timeseries.json"))
    second = parse_catalog(recorded("catalog_timeseries_page2.json"))
    assert (len(first.entries), first.total, len(second.entries)) == (500, 13135, 500)
    assert (first.next_page or "").startswith("U1dUL0FSQlU")
    series = project_series([*first.entries, *second.entries])
    assert len(series) == 1000
    rows = {row["code"]: row for row in series.iter_rows(named=True)}
    storage = rows["ARBU.Stor.Inst.1Hour.0.Ccp-Rev"]
    assert [storage[key] for key in ("station", "variable", "unit", "units")] == ["ARBU", "storage", "m3", "m3"]
    assert (storage["first_day"], storage["last_day"]) == (date(2014, 9, 1), date(2018, 8, 29))
    inflow = rows["ARBU.Flow-Res In.Ave.~1Day.1Day.Regi-Rev-Adjusted"]
    assert (inflow["variable"], inflow["unit"], inflow["description"]) == (
        "inflow", "m3/s", "Ave, ~1Day, 1Day, Regi-Rev-Adjusted")  # fmt: skip
    one = parse_catalog(recorded("catalog_timeseries_like_filter.json"))
    assert record_start(one.entries[0]) == datetime(2016, 6, 1, 1, tzinfo=UTC)
    assert record_end(one.entries[0]) == datetime(2018, 8, 29, 21, tzinfo=UTC)
    assert record_start({"extents": []}) is None


def test_a_record_lasts_from_its_earliest_to_its_latest_version() -> None:
    extents: list[Json] = [
        {"earliest-time": f"{year}-01-01T00:00:00Z", "latest-time": f"{year + 1}-01-01T00:00:00Z"}
        for year in (2015, 2011, 2018)
    ]
    assert record_start({"extents": extents}) == datetime(2011, 1, 1, tzinfo=UTC)
    assert record_end({"extents": extents}) == datetime(2019, 1, 1, tzinfo=UTC)


@needs_shared
def test_recorded_units_of_both_systems_are_known() -> None:
    content = json.loads(recorded("parameter_catalog_v1.json"))["parameters"]["parameters"]
    english = {row["name"]: unit_of(row["default-english-unit"]) for row in content}
    names = ("Elev", "Stor", "Flow", "Precip", "Temp")
    assert [english[name] for name in names] == ["ft", "ac-ft", "ft3/s", "in", "degF"]
    entries = parse_catalog(recorded("catalog_timeseries.json")).entries
    metric = {str(entry["name"]).split(".")[1].split("-")[0]: unit_of(str(entry["units"])) for entry in entries}
    assert [metric[name] for name in names] == ["m", "m3", "m3/s", "mm", "degC"]


@needs_shared
def test_recorded_catalogs_of_locations() -> None:
    one = parse_catalog(recorded("catalog_locations_one.json"))
    assert project_sites(one.entries).is_empty(), "a stream location is no project"
    sites = project_sites([dict(one.entries[0]) | {"kind": "PROJECT"}])
    assert sites.row(0)[:5] == ("AARK", "ARKANSAS R AT ARKANSAS CITY, KS", 37.056418, -97.0580939, True)
    assert sites["datasources"].to_list() == [["SWT"]]
    many = parse_catalog(recorded("catalog_locations_trimmed.json"))
    assert (len(many.entries), many.total) == (150, 6902)
    assert len(project_sites([dict(entry) | {"kind": "PROJECT"} for entry in many.entries])) == 150


@needs_shared
def test_the_recorded_month_of_arbuckle_lake_through_a_fetch() -> None:
    """Both recorded pages from a server: 745 hourly levels, the first and last as published."""
    pages = [recorded("timeseries_page1.json"), recorded("timeseries_page2.json")]

    def answer(request: Received) -> Reply:
        return Reply(pages["page" in request.query])

    gauge = LEVEL_GAUGE.model_copy(update={"unit": "m", "request": (("office", "SWT"),)})
    with loopback_server(answer) as (url, received):
        readings = fetch_readings(
            gauge, DAM, date(2018, 1, 1), date(2018, 2, 20), settings=CASE.settings(url), now=NOW
        )
    assert [request.query["unit"] for request in received] == ["SI", "SI"]
    assert "datum" not in received[0].query
    assert len(readings) == 745
    assert readings["time"].to_list()[:: 744] == [datetime(2018, 1, 5, tzinfo=UTC), datetime(2018, 2, 5, tzinfo=UTC)]
    assert readings["raw_value"].to_list()[::744] == ["265.54785599999997", "265.456416"]
    assert readings["quality"].unique().to_list() == ["unknown"]


# --- quality


@pytest.mark.parametrize(
    ("code", "grade"),
    [
        (None, "unknown"), ("0", "unknown"), ("1", "unknown"), ("3", "good"), ("5", "missing"), ("9", "poor"),
        ("17", "poor"), ("131", "estimated"), ("137", "poor"), ("133", "missing"), ("-2147483645", "good"),
        ("2147483651", "good"), ("2", "unknown"), ("32771", "good"),
    ],
)  # fmt: skip
def test_grades_of_the_bits_of_a_quality_code(code: str | None, grade: str) -> None:
    assert grade_of_bits(code) == grade


# --- the gauge in the dam file


def gauge(**keys: Json) -> Gauge:
    base = {"role": "target", "source": "cwms", "station": LEVEL, "variable": "reservoir_level", "unit": "ft"}
    base |= {"interval": "hour", "reading": "instantaneous", "request": {"office": "SWT"}}
    return Gauge.model_validate(base | keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"request": {}}, "request.office is missing"),
        ({"station": "ARBU"}, "six parts, such as ARBU.Elev"),
        ({"reading": "mean"}, "a series of type Inst needs reading = 'instantaneous', not 'mean'"),
        ({"interval": "15min"}, "the series has the interval 1Hour, and interval = '15min' differs"),
        ({"station": "A.Elev.Inst.1Week.0.x"}, "the interval 1Week, and interval = 'hour' differs"),
        ({"station": "A.Elev.Ave.1Hour.1Hour.x", "reading": "mean"}, r"interval \(1Hour\) at its end; give stamp"),
        ({"station": "A.Elev.Ave.1Hour.1HourBOP.x", "reading": "mean", "stamp": "end"}, "at its start; give stamp"),
    ],
)
def test_a_gauge_that_does_not_fit_its_series_is_an_error(keys: dict[str, Json], message: str) -> None:
    settings = Settings.model_validate({"sources": {"cwms": {"url": "http://127.0.0.1:9"}}})
    for call in (fetch_readings, plan_requests):
        with pytest.raises(ConfigError, match=message):
            call(gauge(**keys), DAM, date(2018, 2, 1), date(2018, 3, 1), settings=settings, now=NOW)


def test_an_irregular_series_may_have_any_interval() -> None:
    times = [datetime(2018, 3, 1, hour, 7, tzinfo=UTC) for hour in range(9)]
    irregular = Series("A.Elev.Inst.0.0.x", [(instant, 800.0, 3) for instant in times])
    with loopback_server(CwmsService([irregular])) as (url, _):
        readings = CASE.fetched(url, gauge(station=irregular.name), date(2018, 3, 1), date(2018, 3, 1))
    assert len(readings) == 3, "from 06:00 UTC on, when the day begins in Chicago"


# --- units, pages, spans


def test_the_unit_system_follows_the_unit_of_the_dam_file_and_is_read_from_the_answer() -> None:
    first, last = CASE.days
    with loopback_server(CASE.answer) as (url, received):
        feet = CASE.fetched(url, LEVEL_GAUGE, first, last)
        metres = CASE.fetched(url, LEVEL_GAUGE.model_copy(update={"unit": "m"}), first, last)
    assert [request.query["unit"] for request in received] == ["EN", "SI"]
    assert {request.headers["accept"] for request in received} == {"application/json;version=2"}
    assert feet["raw_value"][0] == "876.02"  # as published, without an artefact of a conversion
    assert (feet["value"] - metres["value"]).abs().max() == pytest.approx(0, abs=1e-9)


def test_pages_are_followed_and_counted() -> None:
    first, last = CASE.days
    small = CwmsService(service.series(), max_page=100)
    with loopback_server(small) as (url, received):
        readings = CASE.fetched(url, LEVEL_GAUGE, first, last)
    assert len(received) == 8  # 743 hours of 30 days, and a day before and after them, as far as there are values
    assert CASE.expected(LEVEL_GAUGE, first, last)[-1][0] == readings["time"][-1]


def test_pages_that_vanish_are_an_error() -> None:
    def lossy(request: Received) -> Reply:
        reply = CwmsService(service.series(), max_page=100)(request)
        page = json.loads(reply.body)
        page.pop("next-page", None)
        return Reply(json.dumps(page).encode())

    with loopback_server(lossy) as (url, _), pytest.raises(SourceError, match="states 743 values but sent 100"):
        CASE.fetched(url, LEVEL_GAUGE, *CASE.days)


def test_no_request_has_a_datum() -> None:
    with loopback_server(CASE.answer) as (url, received):
        for one in DAM.gauges:
            CASE.fetched(url, one, None, CASE.days[1])
    assert not any("datum" in request.query for request in received)


def test_the_catalog_lists_each_series_once_per_unit_and_gives_the_start_of_the_record() -> None:
    with loopback_server(CASE.answer) as (url, received):
        CASE.fetched(url, INFLOW_GAUGE, None, CASE.days[1])
    catalog, values = received[0], received[1]
    assert catalog.path == "/cwms-data/catalog/TIMESERIES"
    assert catalog.query["like"] == r"^ARBU\.Flow-Res In\.Ave\.\~1Day\.1Day\.Regi-Rev-Adjusted$"
    assert values.query["begin"] == "2018-02-11T06:00:00Z"


@pytest.mark.parametrize("since", [None, date(2018, 2, 1)])
def test_an_unknown_series_is_an_error(since: date | None) -> None:
    unknown = gauge(station="NONE.Elev.Inst.1Hour.0.Ccp-Rev")
    with loopback_server(CASE.answer) as (url, _), pytest.raises(SourceError) as caught:
        CASE.fetched(url, unknown, since, date(2018, 3, 1))
    assert "office SWT has no such time series in its catalog; check station and request.office" in str(caught.value)


def test_a_series_without_values_is_empty() -> None:
    with loopback_server(CwmsService([Series(LEVEL, [])])) as (url, _):
        assert CASE.fetched(url, LEVEL_GAUGE, None, date(2018, 3, 1)).is_empty()
        assert CASE.fetched(url, LEVEL_GAUGE, date(2018, 2, 1), date(2018, 3, 1)).is_empty()


def test_a_page_without_values_is_empty() -> None:
    page = {"name": LEVEL, "office-id": "SWT", "units": "ft", "values": [], "total": 0}
    with loopback_server(lambda _: Reply(json.dumps(page).encode())) as (url, _):
        gauge_without_datum = gauge()
        assert CASE.fetched(url, gauge_without_datum, date(2018, 2, 1), date(2018, 3, 1)).is_empty()


def test_a_record_whose_start_is_not_sent_is_an_error() -> None:
    def answer(request: Received) -> Reply:
        return CASE.answer(request) if "catalog" in request.path else Reply(json.dumps(service.NOT_FOUND).encode(), 404)

    with loopback_server(answer) as (url, _), pytest.raises(SourceError, match="lists a record from 2018-02-10 06:00"):
        CASE.fetched(url, LEVEL_GAUGE, None, date(2018, 3, 1))


def test_a_server_error_shows_the_words_of_the_service() -> None:
    body = b'{"message":"Request is taking too\\u001b[2J long","incidentIdentifier":"1"}'
    with loopback_server(lambda _: Reply(body, 501)) as (url, _), pytest.raises(SourceError) as caught:
        CASE.fetched(url, LEVEL_GAUGE, *CASE.days)
    words = "Request is taking too\ufffd[2J long"
    assert f"the service answers with status 501 ({words}); check the gauge's station" in str(caught.value)


def test_html_with_an_error_status_has_no_words() -> None:
    with loopback_server(lambda _: Reply(b"<html>", 500)) as (url, _), pytest.raises(SourceError) as caught:
        CASE.fetched(url, LEVEL_GAUGE, *CASE.days)
    assert "status 500 (Internal Server Error) to" in str(caught.value)


# --- days


def test_days_with_23_hours_and_the_days_of_another_place() -> None:
    with loopback_server(CASE.answer) as (url, _):
        readings = CASE.fetched(url, INFLOW_GAUGE, date(2018, 3, 10), date(2018, 3, 12))
        assert readings["time"].dt.hour().to_list() == [6, 6, 5]
        dam = DAM.model_copy(update={"time_zone": "-06:00"})
        with pytest.raises(SourceError, match=r"12 05:00 UTC is 23:00 on the dam's clock \(-06:00\), where a day"):
            fetch_readings(
                INFLOW_GAUGE, dam, date(2018, 3, 9), date(2018, 3, 14), settings=CASE.settings(url), now=NOW
            )


def test_a_rain_day_from_seven_to_seven_belongs_to_the_day_of_its_end() -> None:
    name = "ARBU.Precip-Inc.Total.~1Day.1Day.Ccp-Rev"
    ends = [datetime(2018, 3, day, hour, tzinfo=UTC) for day, hour in ((10, 13), (11, 12), (12, 12))]
    rain = Series(name, [(end, 0.5 + k, 3) for k, end in enumerate(ends)], "in")
    daily = gauge(role="rainfall", station=name, variable="rainfall", unit="in", interval="day", reading="total",
                  stamp="end", day_start="07:00")  # fmt: skip
    with loopback_server(CwmsService([rain])) as (url, _):
        readings = CASE.fetched(url, daily, date(2018, 3, 11), date(2018, 3, 12))
    assert readings["raw_value"].to_list() == ["1.5", "2.5"]
    assert readings["time"].to_list() == [datetime(2018, 3, 10, 13, tzinfo=UTC), datetime(2018, 3, 11, 12, tzinfo=UTC)]


def test_a_daily_reading_at_a_clock_time_is_an_instant() -> None:
    points = pl.DataFrame({"time": [datetime(2018, 7, 1, 12, tzinfo=UTC)]}, schema={"time": pl.Datetime("us", "UTC")})
    read_at_seven = gauge(interval="day", reading_at="07:00").in_time_zone("America/Chicago")
    assert interval_starts(points, read_at_seven)["time"][0] == datetime(2018, 7, 1, 12, tzinfo=UTC)
    with pytest.raises(SourceError, match="is 07:00 on the dam's clock .*where a day starts at 08:00"):
        interval_starts(points, gauge(interval="day", reading_at="08:00").in_time_zone("America/Chicago"))


# --- the vertical datum


def level_with(
    stated: str | None, published: Json, *, datum: str = "feet above NGVD 29", **keys: Json
) -> pl.DataFrame:
    """Readings of a level whose dam file states a datum and whose answers have `vertical-datum-info`."""
    one = Series(LEVEL, [(datetime(2018, 3, 1, 12, tzinfo=UTC), 871.22, 3)], datum=published)
    request = {"office": "SWT"} | ({} if stated is None else {"datum": stated})
    dam = DAM.model_copy(update={"target": DAM.target.model_copy(update={"datum": datum})})
    with loopback_server(CwmsService([one])) as (url, _):
        day, settings = date(2018, 3, 1), CASE.settings(url)
        return fetch_readings(gauge(request=request, **keys), dam, day, day, settings=settings, now=NOW)


@pytest.mark.parametrize(
    ("stated", "published"),
    [
        (None, None), (None, NGVD_29), (None, {"native-datum": "UNKNOWN"}), ("NGVD-29", NGVD_29), ("ngvd29", NGVD_29),
        ("NGVD 29", NGVD_29),
    ],
)  # fmt: skip
def test_the_datum_of_the_series_is_the_one_of_the_dam_file(stated: str | None, published: Json) -> None:
    assert level_with(stated, published)["raw_value"].to_list() == ["871.22"]


@pytest.mark.parametrize(
    ("published", "message"),
    [
        (NGVD_29, r"NGVD-29, \+0.0632 ft to NAVD-88 \(estimate\), but request.datum in the dam file is 'NAVD88'"),
        (None, "names no vertical datum, but request.datum in the dam file is 'NAVD88'"),
        ({"location": "ARBU"}, "names no vertical datum"),
        ({"native-datum": "UNKNOWN"}, "has the datum UNKNOWN"),
    ],
)
def test_another_datum_than_the_stated_one_is_an_error(published: Json, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        level_with("NAVD88", published)


NAVD_88 = {"native-datum": "NAVD-88", "unit": "ft"}


@pytest.mark.parametrize(
    ("datum", "published"),
    [
        ("feet above IGLD 1985", {"native-datum": "IGLD-85"}),
        ("feet above NAVD88", NAVD_88),
        ("feet, as published", {"native-datum": "UNKNOWN"}),
        ("feet, as published", {"location": "ARBU"}),
        ("feet, as published", None),
    ],
)
def test_without_a_datum_of_the_request_that_of_the_target_counts(datum: str, published: Json) -> None:
    assert level_with(None, published, datum=datum)["raw_value"].to_list() == ["871.22"]


@pytest.mark.parametrize(
    ("datum", "published", "keys", "message"),
    [
        ("feet above NGVD 29", NAVD_88, {},
         "the series has the datum NAVD-88, but target.datum in the dam file names NGVD29; choose a series above "
         'NGVD29, or set request.datum = "NAVD-88" and the gauge\'s offset'),
        ("feet above NAVD 88", NGVD_29, {}, r"target.datum in the dam file names NAVD88"),
        ("feet above NAVD 88", {"native-datum": "LOCAL"}, {}, r"has the datum LOCAL, but target.datum"),
        ("feet, as published", NAVD_88, {},
         "the series has the datum NAVD-88, but the dam file names no datum of this gauge, so a later change of the "
         'datum would mix levels; set request.datum = "NAVD-88" in the dam file'),
        ("feet above NAVD 88", NAVD_88, {"role": "stream", "variable": "stream_level"}, "no datum of this gauge"),
    ],
)  # fmt: skip
def test_a_level_needs_a_dam_file_that_names_its_datum(datum: str, published: Json, keys: Json, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        level_with(None, published, datum=datum, **keys)


def test_a_datum_that_changes_between_fetches_is_an_error_and_nothing_of_it_is_stored(tmp_path: Path) -> None:
    """The levels of the first fetch stay. The second answer is 0.34 ft higher because its datum is another one."""
    dam = DAM.model_copy(update={"gauges": (gauge().in_time_zone(DAM.time_zone),)})
    values = [(datetime(2018, 3, day, 12, tzinfo=UTC), 871.22, 3) for day in (1, 2, 3)]
    later = [(time, value + 0.34, code) for time, value, code in values]
    with open_archive(f"sqlite:///{tmp_path}/forebay.db") as archive:
        for rows, published in ((values[:2], NGVD_29), (later, NAVD_88)):
            request = FetchRequest(NOW, date(2018, 3, 1), date(2018, 3, 3))
            with loopback_server(CwmsService([Series(LEVEL, rows, datum=published)])) as (url, _):
                report = fetch_dam(dam, archive, settings=CASE.settings(url), request=request)
        assert archive.as_of(dam.gauges)["raw_value"].to_list() == ["871.22", "871.22"]
    assert "has the datum NAVD-88, but target.datum in the dam file names NGVD29" in str(report.errors)


@pytest.mark.parametrize(
    ("key", "second", "message"),
    [
        ("units", "m", r"the unit changes within the answer \(ft, m\)"),
        ("vertical-datum-info", {"native-datum": "NAVD-88"}, r"datum changes within the answer \(NAVD88, NGVD29\)"),
    ],
)
def test_a_unit_or_datum_that_changes_between_pages_is_an_error(key: str, second: Json, message: str) -> None:
    paged = CwmsService(service.series(), max_page=500)

    def answer(request: Received) -> Reply:
        page = json.loads(paged(request).body)
        return Reply(json.dumps(page | ({key: second} if "page" in request.query else {})).encode())

    with loopback_server(answer) as (url, _), pytest.raises(SourceError, match=message):
        CASE.fetched(url, LEVEL_GAUGE, *CASE.days)


def test_the_datum_of_the_answer_is_kept_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="forebay.vertical_datum"):
        level_with(None, NGVD_29)
    (record,) = [record for record in caplog.records if record.name == "forebay.vertical_datum"]
    fields = record.__dict__["fields"]
    assert (fields["native_datum"], fields["offsets"]) == ("NGVD-29", "NGVD-29, +0.0632 ft to NAVD-88 (estimate)")


# --- the oracle


@pytest.mark.parametrize("name", [LEVEL, INFLOW, RAIN])
@pytest.mark.parametrize("max_page", [97, 500_000])
def test_cwms_python_reads_the_same_rows_from_the_same_server(name: str, max_page: int) -> None:
    cwms = importlib.import_module("cwms")  # its own client, in the extra `dev`
    one = next(g for g in DAM.gauges if g.station == name)
    first, last = CASE.days
    begin, end = datetime(2018, 2, 20, tzinfo=UTC), datetime(2018, 4, 4, tzinfo=UTC)
    english = one.model_copy(update={"unit": {"m3/s": "ft3/s"}.get(one.unit, one.unit)})
    with loopback_server(CwmsService(service.series(), max_page=max_page)) as (url, _):
        cwms.init_session(api_root=f"{url}/cwms-data/")
        oracle = cwms.get_timeseries(name, "SWT", unit="EN", begin=begin, end=end, multithread=False).df
        cwms.api.SESSION.close()
        readings = CASE.fetched(url, english, first, last)
    stamps = {row["date-time"].to_pydatetime(): row for _, row in oracle.iterrows()}
    length = timedelta(hours=1) if name == RAIN else timedelta(0)
    assert len(readings) > 29
    for time, raw, code in readings.select("time", "raw_value", "quality_code").iter_rows():
        stamp = time + length
        if name == INFLOW:
            stamp = service._midnight((time.date() - service.FIRST).days + 1)
        expected = stamps[stamp]
        published = None if expected["value"] != expected["value"] else str(expected["value"])
        assert (raw, code) == (published, str(expected["quality-code"]))
    days = sum(1 for stamp in stamps if first <= (stamp - length - timedelta(hours=6)).date() <= last)
    assert abs(days - len(readings)) <= 1, "no row is left out; at the ends the clock has changed"


# --- the search


def project(name: str, latitude: Json, longitude: Json, **keys: Json) -> Json:
    return {"office": "SWT", "name": name, "latitude": latitude, "longitude": longitude, "kind": "PROJECT",
            "public-name": name.title(), "active": True} | keys  # fmt: skip


LOCATIONS = [
    project("ARBU", 34.43, -97.03),
    project("FAR", 40.0, -97.03),
    project("CREEK", 34.44, -97.03, kind="STREAM_LOCATION"),
    project("NOWHERE", None, None, active=None),
    project("ARBU", 10.0, 10.0, office="LRL"),
]


def search(variable: str | None = None, max_page: int = 2) -> Any:
    near_arbuckle = StationSearch(34.4, -97.0, 50.0, "cwms", variable)
    with loopback_server(CwmsService(service.series(), LOCATIONS, max_page=max_page)) as (url, received):
        result = search_stations(near_arbuckle, settings=CASE.settings(url))
    return result, received


def test_the_search_lists_projects_near_a_place_with_their_series() -> None:
    result, received = search()
    assert result.stations["station"].to_list() == ["ARBU"]
    assert result.stations["distance_km"][0] == pytest.approx(4.32, abs=0.02)
    assert result.stations["datasources"].to_list() == [["SWT"]]
    assert result.series["code"].to_list() == [LEVEL, INFLOW, RAIN], "each once, although listed once per unit"
    assert result.series["variable"].to_list() == ["reservoir_level", "inflow", "rainfall"]
    assert result.series["first_day"].to_list() == [date(2018, 2, 10), date(2018, 2, 11), date(2018, 2, 10)]
    assert result.notes == ("1 of the answer's 3 stations have no coordinates and are left out.",)
    assert received[-1].query["like"] == r"^(ARBU)\."


def test_the_search_for_a_variable() -> None:
    assert search("rainfall")[0].series["code"].to_list() == [RAIN]
    nothing = search("snow_water_equivalent")[0]
    assert nothing.stations.is_empty()
    assert nothing.notes[-1] == "cwms has no station that measures snow_water_equivalent within 50 km."


def test_a_catalog_that_does_not_end_is_an_error() -> None:
    def endless(request: Received) -> Reply:
        return Reply(json.dumps({"entries": [], "total": 0, "next-page": "x"}).encode())

    with loopback_server(endless) as (url, received), pytest.raises(SourceError, match="cwms: the pages .* do not end"):
        search_stations(StationSearch(34.4, -97.0, 50.0, "cwms"), settings=CASE.settings(url))
    assert len(received) == 2


def test_the_plan_without_a_first_day() -> None:
    with loopback_server(CASE.answer) as (url, received):
        plan = plan_requests(LEVEL_GAUGE, DAM, None, CASE.days[1], settings=CASE.settings(url), now=NOW)
    assert [request.asks for request in plan] == [
        "catalog/TIMESERIES", "timeseries from the record's start, 20000 values each"]  # fmt: skip
    assert received == []
