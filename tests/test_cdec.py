"""CDEC: recorded answers of both servlets, sensors and durations, the clock, daily values, values without a number."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from forebay.archive.fetch import FetchRequest, fetch_dam
from forebay.cli.terminal import late_gauge_lines
from forebay.dams.gauge import Gauge
from forebay.errors import ConfigError, SourceError
from forebay.settings import Settings
from forebay.sources import fetch_readings, plan_requests
from forebay.sources.cdec import ROWS, parse_answer, readings_of_rows, sensor_of
from tests.conformance import temporary_archive
from tests.loopback import Reply, loopback_server
from tests.services import cdec as service
from tests.services.cdec import NOW, CdecService, cases
from tests.shared import SHARED, needs_shared

Json = Any  # Any: a JSON value
RECORDINGS = SHARED / "recordings" / "cdec"
CASE = cases()[0]
DAM = CASE.dam
STORAGE, LEVEL, INFLOW = DAM.gauges
OLD_QUERY = {
    "cdec_old_query_ANT_elevation_daily_trimmed.csv", "cdec_old_query_ANT_precip_daily_trimmed.csv",
    "cdec_old_query_PRR_elevation_daily_trimmed.csv",
}  # fmt: skip
"""Files of a service that has ended: tests/test_other_services.py reads them as source csv."""
PARSED = {"JSONDataServlet_SHA_15.json", "CSVDataServlet_VIL_15_D.csv", "CSVDataServlet_LIS_1_E_missing.csv"}


def recorded(name: str) -> bytes:
    return (RECORDINGS / name).read_bytes()


def gauge(time_zone: str = "-08:00", **keys: Json) -> Gauge:
    """A gauge of storage at CDEC, with its dam's time zone."""
    base = {"role": "target", "source": "cdec", "station": "SHA", "variable": "storage", "unit": "ac-ft"}
    return Gauge.model_validate(base | keys).in_time_zone(time_zone)


# --- the recorded answers


@needs_shared
def test_every_recording_is_parsed_or_belongs_to_the_old_service() -> None:
    assert {path.name for path in RECORDINGS.iterdir()} == PARSED | OLD_QUERY


@needs_shared
def test_the_recorded_answer_of_the_json_servlet() -> None:
    rows = parse_answer(recorded("JSONDataServlet_SHA_15.json"))
    assert rows.rows() == [
        ("SHA", "15", "D", datetime(2026, 8, 15), datetime(2026, 8, 16), "2826286", None, "AF"),
        ("SHA", "15", "H", datetime(2026, 4, 1), datetime(2026, 4, 1), "4090763", None, "AF"),
    ]
    daily = readings_of_rows(rows.head(1), gauge())
    assert daily["time"][0] == datetime(2026, 8, 15, 8, tzinfo=UTC), "start of 15 August, PST"
    assert daily["value"][0] == pytest.approx(2_826_286 * 1.23348183754752)
    hourly = readings_of_rows(rows.tail(1), gauge(interval="hour", reading="instantaneous"))
    assert hourly["time"][0] == datetime(2026, 4, 1, 8, tzinfo=UTC)


@needs_shared
def test_the_recorded_answers_of_the_csv_servlet() -> None:
    rows = parse_answer(recorded("CSVDataServlet_VIL_15_D.csv"))
    assert len(rows) == 14
    assert rows.row(0) == ("VIL", "15", "D", datetime(2022, 2, 15), datetime(2022, 2, 15), "9593", None, "AF")
    assert rows.row(-1)[3:6] == (datetime(2022, 2, 28), datetime(2022, 2, 28), "9597")
    stage = parse_answer(recorded("CSVDataServlet_LIS_1_E_missing.csv"))
    assert stage["raw_value"].to_list() == ["13.31", "---", "13.27"]
    keys = {"role": "stream", "station": "LIS", "variable": "stream_level", "unit": "ft", "interval": "15min"}
    readings = readings_of_rows(stage, gauge(**keys, reading="instantaneous"))
    assert readings["time"].to_list() == [datetime(2026, 1, 15, hour, tzinfo=UTC) for hour in (2, 6, 8)]
    assert readings["value"].to_list() == pytest.approx([13.31 * 0.3048, None, 13.27 * 0.3048])
    assert readings["quality"].to_list() == ["unknown", "missing", "unknown"]


@pytest.mark.parametrize("servlet", ["JSONDataServlet", "CSVDataServlet"])
def test_both_servlets_give_the_same_readings(servlet: str) -> None:
    first, last = CASE.days
    with loopback_server(CASE.answer) as (url, _):
        settings = Settings.model_validate({"sources": {"cdec": {"url": f"{url}/dynamicapp/req/{servlet}"}}})
        readings = fetch_readings(LEVEL, DAM, first, last, settings=settings, now=NOW)
    expected = CASE.expected(LEVEL, first, last)
    assert readings.select("time", "quality").rows() == [(time, quality) for time, _, quality in expected]
    missing = readings.filter(pl.col("quality") == "missing")["raw_value"].unique().to_list()
    assert missing == [{"JSONDataServlet": "-9999", "CSVDataServlet": "---"}[servlet]]


# --- sensors and durations


@pytest.mark.parametrize(
    ("keys", "sensor", "duration"),
    [
        ({}, "15", "D"),
        ({"variable": "reservoir_level", "unit": "ft", "interval": "hour"}, "6", "H"),
        ({"role": "inflow", "variable": "inflow", "unit": "ft3/s"}, "76", "D"),
        ({"role": "release", "variable": "release", "unit": "ft3/s"}, "23", "D"),
        ({"role": "rainfall", "variable": "rainfall", "unit": "in"}, "45", "D"),
        ({"role": "stream", "variable": "stream_level", "unit": "ft", "interval": "15min"}, "1", "E"),
        ({"role": "temperature", "variable": "temperature", "unit": "degF", "request": {"sensor": 30}}, "30", "D"),
    ],
)
def test_the_request_follows_variable_and_interval(keys: dict[str, Json], sensor: str, duration: str) -> None:
    one = gauge(**keys)
    with loopback_server(lambda _: Reply(b"[]")) as (url, received):
        settings = CASE.settings(url)
        assert fetch_readings(one, DAM, date(2024, 3, 1), date(2024, 3, 2), settings=settings, now=NOW).is_empty()
    assert received[0].path == "/dynamicapp/req/JSONDataServlet"
    assert received[0].query == {
        "Stations": "SHA",
        "SensorNums": sensor,
        "dur_code": duration,
        "Start": "2024-02-29",
        "End": "2024-03-05",
    }


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"role": "snow", "variable": "snow_water_equivalent", "unit": "in"}, "has no default sensor .defaults have"),
        ({"role": "rainfall", "variable": "rainfall", "unit": "in", "interval": "hour"}, "rainfall per day only"),
        ({"request": {"sensor": "storage"}}, "request.sensor = 'storage' must be a sensor's number"),
    ],
)
def test_a_gauge_without_a_sensor_is_an_error(keys: dict[str, Json], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sensor_of(gauge(**keys))


def test_an_unknown_station_has_no_record() -> None:
    with loopback_server(CASE.answer) as (url, received), pytest.raises(SourceError) as caught:
        fetch_readings(gauge(station="XXX"), DAM, None, date(2024, 3, 1), settings=CASE.settings(url), now=NOW)
    assert str(caught.value).startswith("cdec, station XXX: the service has no value of sensor 15 with duration D")
    assert (received[0].query["Start"], len(received)) == ("1899-12-31", 13)


def test_a_sensor_that_has_another_number_since_the_last_fetch_is_late() -> None:
    """The service answers a sensor that it does not have any more as one without new values."""
    first, last = CASE.days
    renamed = CdecService([replace(one, sensor=7) if one.sensor == 6 else one for one in service.series()])
    later = NOW + timedelta(days=9)
    with temporary_archive() as archive:
        with loopback_server(CASE.answer) as (url, _):
            assert CASE.fetch_all(archive, url, first, last) == {}
        before = archive.as_of([LEVEL])
        with loopback_server(renamed) as (url, received):
            report = fetch_dam(DAM, archive, settings=CASE.settings(url), request=FetchRequest(later))
        assert report.errors == {}
        assert archive.as_of([LEVEL]).equals(before)
    assert {request.query["SensorNums"] for request in received} == {"15", "6", "76"}
    line = next((line for line in late_gauge_lines(DAM, report.table.to_dicts()) if "cdec LEV" in line), "")
    assert ": the newest value is 11 days old; if the gauge has ended, name another one" in line


def test_the_plan_has_the_requests_of_the_fetch() -> None:
    first, last = CASE.days
    with loopback_server(CASE.answer) as (url, received):
        settings = CASE.settings(url, days_per_request=10)
        plan = plan_requests(LEVEL, DAM, first, last, settings=settings, now=NOW)
        fetch_readings(LEVEL, DAM, first, last, settings=settings, now=NOW)
    assert len(plan) == len(received)
    assert plan[0].asks == "sensor 6, duration H"


# --- the clock, days


def answer_of(**keys: Json) -> str:
    """An answer of the JSON servlet with one daily value."""
    row = {"stationId": "SHA", "durCode": "D", "SENSOR_NUM": 15, "value": 1, "dataFlag": " ", "units": "AF"}
    return json.dumps([row | keys])


def rows(*cells: tuple[str, str | None, str], flag: str | None = None, units: str = "AF") -> pl.DataFrame:
    """Rows of an answer: date, observation date, value."""
    parsed = [
        (datetime.fromisoformat(day), None if observed is None else datetime.fromisoformat(observed), value)
        for day, observed, value in cells
    ]
    table = [("SHA", "15", "D", day, observed, value, flag, units) for day, observed, value in parsed]
    return pl.DataFrame(table, schema=ROWS, orient="row")


def test_the_clock_is_standard_time_also_in_summer() -> None:
    hourly = gauge("America/Los_Angeles", interval="hour", reading="instantaneous")
    assert readings_of_rows(rows(("2024-07-01T12:00", None, "1")), hourly)["time"][0] == datetime(
        2024, 7, 1, 20, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("time_zone", "starts"),
    [
        ("-08:00", [(10, 8), (11, 8)]),
        ("America/Los_Angeles", [(10, 8), (11, 7)]),  # clocks go forward on 10 March 2024
    ],
)
def test_the_date_of_a_daily_value_is_a_day_of_the_dam(time_zone: str, starts: list[tuple[int, int]]) -> None:
    days = rows(("2024-03-10", "2024-03-11", "1"), ("2024-03-11", "2024-03-12", "2"))
    readings = readings_of_rows(days, gauge(time_zone))
    assert readings["time"].to_list() == [datetime(2024, 3, day, hour, tzinfo=UTC) for day, hour in starts]


def test_stamp_and_day_start_apply_to_dates() -> None:
    days = rows(("2024-03-10", None, "1"))
    rain = {"role": "rainfall", "variable": "rainfall", "unit": "in"}
    assert readings_of_rows(days.with_columns(units=pl.lit("INCHES")), gauge(**rain, day_start="07:00", stamp="end"))[
        "time"
    ][0] == datetime(2024, 3, 9, 15, tzinfo=UTC)


def test_a_daily_reading_at_midnight_is_the_observation_at_the_next_midnight() -> None:
    midnight = gauge(reading="instantaneous", reading_at="00:00")
    readings = readings_of_rows(rows(("2026-08-15", "2026-08-16", "2826286")), midnight)
    assert readings["time"][0] == datetime(2026, 8, 16, 8, tzinfo=UTC)
    assert readings["interval"][0] == 0
    without = readings_of_rows(rows(("2026-08-15", None, "1")), midnight)
    assert without["time"][0] == datetime(2026, 8, 15, 8, tzinfo=UTC)
    with pytest.raises(SourceError, match=r"is 01:00 on the dam's clock \(America/Los_Angeles\), where"):
        readings_of_rows(rows(("2026-08-15", "2026-08-16", "1")), midnight.in_time_zone("America/Los_Angeles"))


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("2026-8-5 0:00", datetime(2026, 8, 5)), ("2026-08-05 23:15", datetime(2026, 8, 5, 23, 15)),
        ("2026-8-5 24:00", datetime(2026, 8, 6)), ("20260805 2400", datetime(2026, 8, 6)),
        ("2026-08-05", datetime(2026, 8, 5)), ("2026-12-31 24:00:00.0", datetime(2027, 1, 1)),
    ],
)  # fmt: skip
def test_forms_of_a_date(text: str, stamp: datetime) -> None:
    assert parse_answer(answer_of(date=text))["date"][0] == stamp


@pytest.mark.parametrize("text", ["2026-13-1 0:00", "2026-2-30", "2026-8-5 25:00", "2026-8-5 1:60", "5 Aug 2026", ""])
def test_other_dates_are_an_error(text: str) -> None:
    with pytest.raises(SourceError, match="is not like '2026-8-5 0:00'"):
        parse_answer(answer_of(date=text))


# --- values and flags


@pytest.mark.parametrize("text", ["---", "BRT", "ART", "-9999", "-9999.0", "m", ""])
def test_texts_without_a_value(text: str) -> None:
    readings = readings_of_rows(rows(("2024-03-10", None, text)), gauge())
    assert readings.select("value", "raw_value", "quality").row(0) == (None, text, "missing")


@pytest.mark.parametrize(("flag", "grade"), [("N", "poor"), (None, "unknown"), ("e", "unknown")])
def test_a_flag_is_the_quality_code(flag: str | None, grade: str) -> None:
    readings = readings_of_rows(rows(("2024-03-10", None, "5"), flag=flag), gauge())
    assert readings.select("quality", "quality_code").row(0) == (grade, flag)


def test_csv_lines_of_another_form_are_an_error() -> None:
    head = service.CSV_HEAD
    with pytest.raises(SourceError, match="lacks the column of 'value'"):
        parse_answer(head.replace(",VALUE", ""))
    with pytest.raises(SourceError, match="has 3 cells instead of 9"):
        parse_answer(head + "SHA,D,15\n")
    assert parse_answer(head).is_empty()


def test_a_value_that_two_parts_have_counts_once() -> None:
    first, last = CASE.days
    with loopback_server(CdecService(service.series())) as (url, received):
        readings = CASE.fetched(url, LEVEL, first, last, days_per_request=1)
    assert len(received) > 30
    assert not readings["time"].is_duplicated().any()
