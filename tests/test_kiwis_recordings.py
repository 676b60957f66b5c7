"""Every recorded answer of a KiWIS hub: values read by eye from the files, and what the stamps of a day mean."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from forebay.errors import SourceError
from forebay.sources.kiwis import parse
from forebay.sources.kiwis.stations import parse_stations
from tests.junk import with_junk
from tests.readings import make_gauge
from tests.shared import SHARED, needs_shared

FOLDER = SHARED / "recordings" / "kiwis"
pytestmark = needs_shared

VALUES = {
    f"{name}.json": (ts_id, int(rows), *ends)
    for name, ts_id, rows, *ends in map(
        str.split,
        """
bom_values_ts148131010_rows10__21d386 148131010 10 2009-12-31T14 null -1 2018-12-31T14 339.0 140
bom_values_ts148131010_rows10__9bd18a 148131010 10 2009-12-31T14 941.8 140 2018-12-31T14 339.0 140
bom_values_ts148131010_rows1__f25668 148131010 1 2015-12-31T14 879.0 10 2015-12-31T14 879.0 10
bom_values_ts1571010_rows721__698c06 1571010 721 2019-12-31T14 0.013 10 2020-01-30T14 0.011 10
bom_values_ts1571010_rows744__aa5d34 1571010 744 2019-12-31T14 0.013 10 2020-01-31T13 0.008 10
bom_values_ts1572010_rows30__9cf5bf 1572010 30 2019-12-31T23 0.014 10 2020-01-29T23 0.015 10
bom_values_ts1572010_rows31__1d3700 1572010 31 2019-12-31T23 0.014 10 2020-01-30T23 0.012 10
bom_values_ts1573010_rows7__732487 1573010 7 2019-12-31T14 0.013 10 2020-01-06T14 0.023 10
bom_values_ts1574010_rows12__20fe4e 1574010 12 2018-12-31T14 0.188 10 2019-11-30T14 0.054 10
bom_values_ts1574010_rows12__b7f141 1574010 12 2018-12-31T14 0.188 10 2019-11-30T14 0.054 10
bom_values_ts1576010_rows31__145aa3 1576010 31 2019-12-31T14 0.015 10 2020-01-30T14 0.012 10
bom_values_ts1576010_rows31__cccd97 1576010 31 2019-12-31T14 0.015 10 2020-01-30T14 0.012 10
bom_values_ts196412010_rows0__47417d 196412010 0 - - - - - -
bom_values_ts196412010_rows0__fb8a50 196412010 0 - - - - - -
bom_values_ts2935010_rows12__138e5f 2935010 12 2018-12-31T14 57.2 10 2019-11-30T14 8.0 10
bom_values_ts2935010_rows12__2a33e2 2935010 12 2018-12-31T14 57.2 10 2019-11-30T14 8.0 10
bom_values_ts3016010_rows31__87c947 3016010 31 2019-12-31T14 4.9 10 2020-01-30T14 5.59 10
bom_values_ts3016010_rows31__b3ac7c 3016010 31 2019-12-31T14 4.9 10 2020-01-30T14 5.59 10
bom_values_ts52935010_rows721__b67e92 52935010 721 2019-12-31T14 13108.547 10 2020-01-30T14 12434.747 10
bom_values_ts52935010_rows744__5c80b4 52935010 744 2019-12-31T14 13108.547 10 2020-01-31T13 12429.253 10
getTimeseriesValues-past_ends__services-ca23bd-947881-POST 211871010 8 2017-09-10T14 null -1 2017-09-17T14 null -1
getTimeseriesValues-range_dates__services-a7b706-947881-POST 208669010 7 2008-11-25T14 null -1 2008-12-01T14 24.611 10
getTimeseriesValues-ts_path__services-56ab03-947881-POST 208669010 3 2020-01-01T14 23.633 90 2020-01-03T14 23.643 90
""".strip().splitlines(),
    )
}
"""File → ts_id, rows, and time (UTC, to the hour), value and quality code of the first and of the last point."""
LOCK_9_FLOW, LOCK_9_LEVEL = ("329344010", "A4260505", "Ml/d"), ("208669010", "A4260505", "m")
GINGERA_PH = ("380185010", "410730", "---")
SEVERAL = {
    "getTimeseriesValues-simple__services-dae87b-947881-POST.json": [
        (*LOCK_9_FLOW, 4), (*LOCK_9_LEVEL, 3), (*GINGERA_PH, 4)
    ],
    "getTimeseriesValues-extra_list_gaps__services-4a84d3-947881-POST.json": [
        (*LOCK_9_FLOW, 4), (*LOCK_9_LEVEL, 4), (*GINGERA_PH, 5)
    ],
}  # fmt: skip
CUT = ("bom_values_ts148127010_rows9874__305aa0.json", "bom_values_ts148127010_rows9896__ea04f7.json")
SERIES_LISTS = {
    f"{name}.json": (station, ts_id, ts_name, parameter.replace("_", " "))
    for name, station, ts_id, ts_name, parameter in map(
        str.split,
        """
bom_tslist_BLOWERINGDAM_1__24d166 410102 196412010 DMQaQc.Merged.MonthlyTotal.CalMonth Evaporation
bom_tslist_CorinDamBoatRamp_1__96c2bc 570947 3016010 DMQaQc.Merged.DailyMean.24HR Wind_Speed
bom_tslist_CorinResatDam_1__f154d0 410742 52935010 DMQaQc.Merged.HourlyMean.HR Storage_Volume
bom_tslist_CotterHut_1__82eea0 570946 2935010 DMQaQc.Merged.MonthlyTotal.CalMonth Rainfall
bom_tslist_CotterRatGingera_1__5f9d7f 410730 1571010 DMQaQc.Merged.HourlyMean.HR Water_Course_Discharge
bom_tslist_CotterRatGingera_1__9d3f87 410730 1574010 DMQaQc.Merged.MonthlyMean.CalMonth Water_Course_Discharge
bom_tslist_CotterRatGingera_1__a571b7 410730 1576010 DMQaQc.Merged.DailyMax.24HR Water_Course_Discharge
bom_tslist_CotterRatGingera_1__b79e86 410730 1572010 DMQaQc.Merged.DailyMean.09HR Water_Course_Discharge
bom_tslist_CotterRatGingera_1__fe5648 410730 1573010 DMQaQc.Merged.DailyMean.24HR Water_Course_Discharge
bom_tslist_MUTTAMABERTHONG_1__3ccd84 41000207 148127010 DMQaQc.Merged.AsStored.1 Rainfall
bom_tslist_MUTTAMABERTHONG_1__7c7361 41000207 148131010 DMQaQc.Merged.YearlyTotal.CalYear Rainfall
rivretrieve__getTimeseriesList_405212 405212 283597010 DMQaQc.Merged.DailyMean.24HR Water_Course_Discharge
""".strip().splitlines(),
    )
}
"""File → station, ts_id, ts_name and parameter."""
STATIONS = {
    "bom_stations_BLOWERINGDAM_1__ec122d.json": [("410102", "BLOWERING DAM", -35.4012, 148.2429)],
    "bom_stations_CorinDamBoatRamp_1__10e9de.json": [("570947", "Corin Dam Boat Ramp", -35.53805506, 148.83777706)],
    "bom_stations_CorinResatDam_1__738a86.json": [("410742", "Corin Res. at Dam", -35.53644444, 148.83744444)],
    "bom_stations_CotterHut_1__85dc68.json": [("570946", "Cotter Hut", -35.64947222, 148.83144444)],
    "bom_stations_CotterHut_2__4c7200.json": [
        ("570946", "Cotter Hut", -35.64947222, 148.83144444),
        ("410730", "Cotter R. at Gingera", -35.58805556, 148.82191667),
    ],
    "bom_stations_CotterRatGingera_1__2d91c0.json": [("410730", "Cotter R. at Gingera", -35.58805556, 148.82191667)],
    "bom_stations_CotterRatGingera_1__36dd4b.json": [("410730", "Cotter R. at Gingera", -35.58805556, 148.82191667)],
    "bom_stations_MUTTAMABERTHONG_1__d68322.json": [("41000207", "MUTTAMA @ BERTHONG", -34.5957, 148.0178)],
    "bom_stations_00BH01I_9377__6a4851.json": 1499,
    "bom_stations_01DD01D_4440__6a4851.json": 1499,
    "getStationList-simple__services-ba28ed-947881-POST.json": 2,  # of 204 rows
}
ATTRIBUTES = {
    "bom_attributes_379270_1__2c8147.json": (0.0, 379.27, 1633851.68),
    "bom_attributes_955540_1__d37d70.json": (0.0, 955.54, 70897.119),
    "bom_attributes_httpwwwbomgovaustd_1__23cd9c.json": (None, None, None),
    "bom_attributes_httpwwwbomgovaustd_1__47b4d3.json": (None, None, None),
    "bom_attributes_httpwwwbomgovaustd_1__7beb9e.json": (None, None, None),
    "bom_attributes_httpwwwbomgovaustd_1__e5376c.json": (None, None, None),
}
PARAMETERS = {
    "getParameterList-simple__services-ad1302-947881-POST.json": "Rainfall",
    "kiwis_pie__getParameterList_410730.json": "Water Course Discharge",
}
ERRORS = {
    "northernwater_error_record_limit.xml": r"reports DatasourceError \(Error getting tsdata from WDP\.\)",
    "spw_error_500_DatasourceError.json": r"reports DatasourceError \(Error getting comments from WDP: PARAMETER\)",
    "ping__services.html": "is not JSON, it begins \"KISTERS KiWIS QueryServices",
}
COVERAGES = {
    "getTimeseriesList-extra_return__services-57e849-947881-POST.json": 199,
    "getTimeseriesValues-tz_default__services-4db35c-947881-POST.json": 1,
    "fetch_timeseries-all_missing__services-b247fb-947881-POST.json": 0,
}
UNUSED = {
    "bom_quality_codes.csv": "a documentation table of the agencies' codes; forebay has the classes of it",
    "bom_sos2_waterml_GetObservation.xml": "an answer of the same host's other interface, SOS 2.0",
    "waterinfo_timeseriesgroup_lookup.txt": "a derived list of groups, no answer",
}
TABLES = (VALUES, SEVERAL, CUT, SERIES_LISTS, STATIONS, ATTRIBUTES, PARAMETERS, ERRORS, COVERAGES, UNUSED)


JUNK_IN = [
    name for table in TABLES if table is not UNUSED for name in table if name.endswith(".json") and name not in CUT
]
"""Recordings that are JSON; those of `CUT` are not complete."""


def answer(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def test_every_recording_is_parsed_or_has_a_reason() -> None:
    names = [name for table in TABLES for name in table]
    assert sorted(names) == sorted(path.name for path in FOLDER.iterdir())


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    ts_id, rows, *ends = VALUES[name]
    (series,) = parse.parse_values(answer(name))
    assert (series.ts_id, len(series.points)) == (ts_id, rows)
    points = series.points.with_columns(
        pl.col("time").dt.strftime("%Y-%m-%dT%H"), pl.col("raw_value").fill_null("null")
    )
    assert [*points.row(0), *points.row(-1)] == ends if rows else ends == ["-"] * 6


@pytest.mark.parametrize("name", SEVERAL)
def test_an_answer_with_several_series(name: str) -> None:
    found = [(s.ts_id, s.station, s.unit, len(s.points)) for s in parse.parse_values(answer(name))]
    assert found == SEVERAL[name]


def test_readings_of_one_of_several_series() -> None:
    series = parse.parse_values(answer("getTimeseriesValues-simple__services-dae87b-947881-POST.json"))[1]
    gauge = make_gauge("A4260505", source="bom")
    readings = parse.readings_of(series, gauge, unit=series.unit)
    assert readings.select("time", "value", "raw_value", "quality", "quality_code").rows() == [
        (datetime(2020, 1, 1, 14, 30, tzinfo=UTC), 23.633, "23.633", "fair", "90"),
        (datetime(2020, 1, 2, 14, 30, tzinfo=UTC), 23.649, "23.649", "fair", "90"),
        (datetime(2020, 1, 3, 14, 30, tzinfo=UTC), 23.643, "23.643", "fair", "90"),
    ]


def test_null_with_quality_minus_one_is_missing() -> None:
    (series,) = parse.parse_values(answer("getTimeseriesValues-range_dates__services-a7b706-947881-POST.json"))
    readings = parse.readings_of(series, make_gauge("A4260505", source="bom"), unit="m")
    assert readings["quality"].to_list() == ["missing", *["good"] * 6]
    assert readings.row(0, named=True)["quality_code"] == "-1"
    assert readings["value"].to_list()[:2] == [None, 24.607]


def test_the_order_of_the_columns_is_that_of_the_request() -> None:
    (series,) = parse.parse_values(answer("bom_values_ts148131010_rows1__f25668.json"))
    assert series.points.row(0)[1:] == ("879.0", "10"), "the third column is the type of interpolation, 703"


@pytest.mark.parametrize("name", CUT)
def test_an_answer_with_fewer_rows_than_it_states_is_an_error(name: str) -> None:
    with pytest.raises(SourceError, match=r"states '98\d\d' rows of series '148127010' and has 1500") as caught:
        parse.parse_values(answer(name))
    assert caught.value.retryable
    whole = re.sub(rb'"rows": "98\d\d"', b'"rows": "1500"', answer(name))
    (series,) = parse.parse_values(whole)
    assert series.points["quality_code"].unique().sort().to_list() == ["-1", "10", "140"]


@pytest.mark.parametrize("name", SERIES_LISTS)
def test_lists_of_series(name: str) -> None:
    (row,) = parse.parse_series_list(answer(name)).iter_rows(named=True)
    assert (row["station"], row["ts_id"], row["ts_name"], row["parameter"]) == SERIES_LISTS[name]
    assert (row["first"], row["unit"]) == (None, ""), "the request named neither"


@pytest.mark.parametrize("name", COVERAGES)
def test_lists_of_series_with_their_coverage(name: str) -> None:
    series = parse.parse_series_list(answer(name))
    assert len(series) == COVERAGES[name]
    assert series["first"].null_count() <= 1
    if name.startswith("getTimeseriesList"):
        row = series.row(0, named=True)
        assert row["first"] == datetime(1991, 5, 14, 14, 30, tzinfo=UTC)
        assert row["ts_path"] == "w00078-A4260573/A4260573/WaterTemperature/Pat1_C_B_1_DailyMean"


@pytest.mark.parametrize("name", STATIONS)
def test_lists_of_stations(name: str) -> None:
    stations, expected = parse_stations(answer(name)), STATIONS[name]
    if isinstance(expected, int):
        assert len(stations) == expected, "each station once"
    else:
        assert stations.select("station", "name", "latitude", "longitude").rows() == expected


def test_stations_without_coordinates() -> None:
    stations = parse_stations(answer("bom_stations_00BH01I_9377__6a4851.json"))
    assert stations.row(0)[:4] == ("ARTP00BH01I", "00BH01I", None, None)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_of_stations(name: str) -> None:
    (row,) = parse.parse_attributes(answer(name)).values()
    assert (row.gauge_datum_m, row.full_storage_level_m, row.full_storage_volume_ml) == ATTRIBUTES[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_other_lists_are_tables_with_a_header(name: str) -> None:
    rows = parse.rows_of(answer(name))
    assert rows[0]["parametertype_name"] == PARAMETERS[name]
    assert rows[0]["station_no"] == "410730"


@pytest.mark.parametrize("name", ERRORS)
def test_errors_in_any_form(name: str) -> None:
    with pytest.raises(SourceError, match=ERRORS[name]):
        parse.parse_values(answer(name))


def daily_and_hourly(daily: str, first_hour: int) -> tuple[float, int]:
    """Largest difference of recorded daily means from the mean of 24 recorded hours, and the number of days.

    `first_hour` is the first of the 24 hours, counted from the day's stamp.
    """
    (hours,) = parse.parse_values(answer("bom_values_ts1571010_rows744__aa5d34.json"))
    (days,) = parse.parse_values(answer(daily))
    by_hour = dict(hours.points.select("time", pl.col("raw_value").cast(pl.Float64)).rows())
    differences = []
    for stamp, mean in days.points.select("time", pl.col("raw_value").cast(pl.Float64)).rows():
        values = [by_hour.get(stamp + timedelta(hours=first_hour + hour)) for hour in range(24)]
        if None not in values:
            differences.append(abs(sum(values) / 24 - mean))
    return max(differences), len(differences)


def test_the_bureau_stamps_a_day_from_9_to_9_at_its_end_and_a_calendar_day_at_its_start() -> None:
    """Discharge of the Cotter River at Gingera, January 2020: daily means are rounded to 0.001 m³/s."""
    from_nine, calendar = "bom_values_ts1572010_rows31__1d3700.json", "bom_values_ts1573010_rows7__732487.json"
    at_end, count = daily_and_hourly(from_nine, -24)
    assert count == 30 and at_end < 0.0006
    assert daily_and_hourly(from_nine, 0)[0] > 0.005
    at_start, count = daily_and_hourly(calendar, 0)
    assert count == 7 and at_start < 0.0005
    assert daily_and_hourly(calendar, -24)[0] > 0.005


def test_the_same_days_in_two_recordings_have_the_same_values() -> None:
    early, late = (
        parse.parse_values(answer(name))[0].points.filter(pl.col("time") < datetime(2020, 1, 30, tzinfo=UTC))
        for name in ("bom_values_ts52935010_rows744__5c80b4.json", "bom_values_ts52935010_rows721__b67e92.json")
    )
    assert early.equals(late), "recorded in 2020 and in 2023"
    assert len(early) == 706


@pytest.mark.parametrize("name", JUNK_IN)
def test_junk_in_each_place_is_a_source_error_or_a_table(name: str) -> None:
    """The lists of stations too."""
    parsers = [parse.parse_values, parse.parse_series_list, parse.parse_attributes, parse_stations, parse.rows_of]
    for place, junk, text in with_junk(answer(name).decode()):
        for parser in parsers:
            try:
                parser(text.encode("utf-8", errors="surrogatepass"))
            except SourceError as error:
                assert "Error:" not in str(error), f"{place} = {junk}: a rule of the parser must say it, not {error}"


def test_days_of_the_recorded_series() -> None:
    """A calendar day in South Australia starts at 00:30 at +10:00, a day from 9 to 9 at 09:30."""
    level = make_gauge("A4260505", source="bom")
    river = {"role": "stream", "variable": "discharge", "unit": "ML/d"}
    flow = make_gauge("A4260505", source="bom", stamp="end", day_start="09:00", **river)
    series = parse.parse_values(answer("getTimeseriesValues-simple__services-dae87b-947881-POST.json"))
    for gauge, one, first in ((flow, series[0], date(2020, 1, 1)), (level, series[1], date(2020, 1, 2))):
        readings = parse.readings_of(one, gauge, unit=one.unit)
        for zone in ("+09:30", "Australia/Adelaide"):
            assert readings.select(gauge.local_day(zone)).item(0, 0) == first, zone
