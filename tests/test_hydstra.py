import csv
import http.client
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from forebay.errors import ConfigError, SourceError
from forebay.settings import HttpSettings, Settings
from forebay.sources.hydstra import fetch_readings, parse
from forebay.sources.hydstra.fetch import (
    Period,
    _is_same_code,
    _traces_of,
    _traces_params,
    _variable_codes,
    fetch_by_calls,
)
from forebay.sources.request import Request
from forebay.sources.transport import open_transport
from forebay.tables import READINGS
from tests.hydstra_server import gauges, hydstra_server
from tests.shared import SHARED, needs_shared

Json = Any  # Any: a JSON value
DAM = load_dam("warragamba")
NOW = datetime(2024, 1, 1, tzinfo=UTC)
RECORDINGS = SHARED / "recordings" / "hydstra"
DATA = SHARED / "data" / "warragamba"


@lru_cache(maxsize=1)
def manifest() -> list[dict[str, Json]]:
    path = RECORDINGS / "MANIFEST.json"
    entries: list[dict[str, Json]] = json.loads(path.read_text("utf-8")) if path.is_file() else []
    return entries


def recorded(name: str) -> bytes:
    return next(RECORDINGS.glob(name)).read_bytes()


def settings_for(url: str) -> Settings:
    return Settings.model_validate(
        {
            "sources": {name: {"url": url} for name in ("waternsw", "vicwater", "qldwater")},
            "http": {"first_wait_s": 0, "connect_timeout_s": 5, "read_timeout_s": 10, "deadline_s": 20},
        }
    )


def make_gauge(**keys: Json) -> Gauge:
    """A stream-level gauge of WaterNSW; `keys` replaces its keys."""
    base = {"role": "stream", "source": "waternsw", "station": "1", "variable": "stream_level", "unit": "m"}
    return Gauge.model_validate(base | keys)


def answer(
    points: list[Json], *, unit: str = "Metres", zone: str = "10.0", codes: Mapping[str, str] | None = None
) -> bytes:
    """An answer to get_ts_traces with one trace of stage."""
    details = {"variable": "100.00", "name": "Stream Water Level", "units": unit}
    trace = {
        "error_num": 0,
        "site": "1",
        "site_details": {"timezone": zone},
        "quality_codes": codes or {},
        "varfrom_details": details,
        "varto_details": details,
        "trace": points,
    }
    return json.dumps({"error_num": 0, "return": {"traces": [trace]}}).encode()


def readings(*points: Json, gauge: Gauge | None = None, **keys: Json) -> pl.DataFrame:
    (trace,) = parse.parse_ts_traces(answer(list(points), **keys))
    return parse.readings_of(trace, gauge or make_gauge())


class Service:
    """A fake service that records its calls, for tests of requests and of gauges that the server does not have.

    With `daily` its values are the days of the month on which an interval starts; otherwise it has no values.
    """

    def __init__(
        self, *, start: str = "20200101000000", end: str = "20201231234500", zone: str = "10.0", daily: bool = False
    ) -> None:
        self.listed_under = {"CP", "A"}
        self.period = {"period_start": start, "period_end": end}
        self.zone, self.daily = zone, daily
        self.calls_received: list[dict[str, Json]] = []

    def __call__(self, function: str, version: str, params: Mapping[str, Json]) -> bytes:
        self.calls_received.append({"function": function, "version": version, **params})
        if function == "get_variable_list":
            stage = {"variable": "100.00", "name": "Stream Water Level", "units": "Metres", **self.period}
            site: Json = {"site": "1", "site_details": {"timezone": self.zone, "name": "A"}, "variables": [stage]}
            if params["datasource"] not in self.listed_under:
                site["variables"] = []
            return json.dumps({"error_num": 0, "return": {"sites": [site]}}).encode()
        if not self.daily:
            return b'{"error_num":126,"error_msg":"No data within specified period"}'
        start, end = (datetime.strptime(params[key], parse.CLOCK) for key in ("start_time", "end_time"))
        days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
        points = [{"v": f"{day:%d}", "t": int(f"{day:%Y%m%d%H%M%S}"), "q": 1} for day in days]
        return answer(points, zone=self.zone)

    @property
    def spans(self) -> list[tuple[str, str]]:
        return [
            (call["start_time"], call["end_time"])
            for call in self.calls_received
            if call["function"] == "get_ts_traces"
        ]


def fetch_from(
    service: Service, gauge: Gauge, dam: Dam, since: date | None, until: date, now: datetime, **limits: int
) -> pl.DataFrame:
    """Readings of a fetch from `service`."""
    period = Period(since, until, now)
    return fetch_by_calls(service, gauge, dam, period, limits=HttpSettings.model_validate(limits))


PARSERS: dict[str, Callable[[bytes], Json]] = {
    "get_ts_traces": parse.parse_ts_traces,
    "get_variable_list": parse.parse_variable_list,
    "get_datasources_by_site": parse.parse_datasources,
}


# --- parsers, on the recordings


@needs_shared
def test_there_are_thirty_recordings() -> None:
    assert len(manifest()) == 30
    assert sorted({entry["error_num"] for entry in manifest()}) == [0, 120, 126]


@needs_shared
@pytest.mark.parametrize("entry", manifest(), ids=[entry["file"] for entry in manifest()])
def test_every_recording_is_read(entry: dict[str, Json]) -> None:
    content = (RECORDINGS / entry["file"]).read_bytes()
    expected = json.loads(content).get("return")
    if entry["error_num"] == 120:
        with pytest.raises(SourceError, match=r"error 120 \(Missing top-level \"version\" item"):
            parse.parse_ts_traces(content)
        return
    function = entry["request_body"]["function"]
    if function not in PARSERS:  # the program does not use the answer (get_groups)
        assert function == "get_groups"
        return
    parsed = PARSERS[function](content)
    if entry["error_num"] == 126:
        assert len(parsed) == 0
    elif function == "get_ts_traces":
        assert [len(trace.points) for trace in parsed] == [len(trace["trace"]) for trace in expected["traces"]]
        assert all(trace.utc_offset == timedelta(hours=10) for trace in parsed)
    else:
        member = {"get_variable_list": "variables", "get_datasources_by_site": "datasources"}[function]
        assert len(parsed) == sum(len(site[member]) for site in expected["sites"])


@needs_shared
def test_a_recorded_trace_becomes_readings_in_canonical_units() -> None:
    (trace,) = parse.parse_ts_traces(recorded("waternsw__get_ts_traces__416050*"))
    discharge = make_gauge(station="416050", variable="discharge", unit="ML/d")
    table = parse.readings_of(trace, discharge)
    assert (trace.variable, trace.unit) == ("141.00", "Megalitres/Day")
    first, last = table.row(0, named=True), table.row(-1, named=True)
    assert first["time"] == datetime(1987, 10, 7, 22, tzinfo=UTC)  # sent as 1987-10-08 08:00 at +10
    assert first["value"] == pytest.approx(44.521 * 1000 / 86_400)  # ML/d in m³/s
    assert (first["raw_value"], first["quality_code"], first["quality"]) == ("44.521", "140", "unknown")
    assert (last["value"], last["raw_value"], last["quality"]) == (None, "800.974", "missing")  # code 255
    assert table["value"].null_count() == table["quality_code"].is_in(["201", "255"]).sum() == 492


@needs_shared
def test_two_sites_in_one_answer_have_separate_traces() -> None:
    traces = parse.parse_ts_traces(recorded("*422028-410007*"))
    assert [(trace.site, len(trace.points)) for trace in traces] == [("422028", 366), ("410007", 366)]


@needs_shared
def test_the_variable_list_names_periods_and_units() -> None:
    listed = parse.parse_variable_list(recorded("qld__get_variable_list*"))
    stage = listed.row(0, named=True)
    assert stage["variable"] == "100.00"
    assert stage["units"] == "Metres"
    assert stage["period_start"] == datetime(1967, 7, 18, 23, 59)
    assert stage["period_end"] == datetime(2024, 12, 4, 9, 5)


def test_a_long_answer_parses_in_well_under_a_second() -> None:
    start = datetime(1960, 1, 1)
    days = [int((start + timedelta(days=n)).strftime("%Y%m%d%H%M%S")) for n in range(23_317)]  # sources.md
    content = answer([{"v": "0.838", "t": day, "q": 15} for day in days])
    began = time.process_time()
    table = parse.readings_of(parse.parse_ts_traces(content)[0], make_gauge())
    assert time.process_time() - began < 1  # 0.05 s measured
    assert len(table) == 23_317


# --- envelope


@pytest.mark.parametrize("result", ["return", "_return"])
@pytest.mark.parametrize("error", ["error_num", "err_num", "_error_num"])
def test_every_form_of_the_envelope_is_read(result: str, error: str) -> None:
    assert parse.result_of(json.dumps({error: 0, result: {"a": 1}, "disclaimer": "x"})) == {"a": 1}
    assert parse.result_of(json.dumps({error: 126, error.replace("num", "msg"): "No data"})) is None
    with pytest.raises(SourceError, match=r"error 80 \(no such source\); check the gauge's request\.datasource"):
        parse.result_of(json.dumps({error: "80", error.replace("num", "msg"): "no such source"}))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"<html>We are down</html>", "not JSON, it begins '<html>We"),
        (b'{"error_num":0,"return":{"traces":[', "not JSON"),
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "is not a Hydstra answer"),
        (b'{"error_num":0}', "has no result, only 'error_num'"),
        (b'{"error_num":"many"}', "'many' is not a number"),
        (b'{"return":{}}', "lacks 'traces'"),
        (b'{"return":{"traces":{}}}', "instead of a list"),
        (b'{"return":{"traces":[7]}}', "instead of an object"),
        (b'{"return":{"traces":[{"error_num":83,"error_msg":"no site"}]}}', r"error 83 \(no site\)"),
        (answer([{"v": "1", "q": 1}]), r"not \{v, t, q\}"),
        (answer([{"v": "1", "t": 2020, "q": 1}]), "time '2020' is not 14 digits"),
        (answer([{"v": "1", "t": 20200230000000, "q": 1}]), "time '20200230000000' is not"),
        (answer([], zone="east"), "timezone 'east' must be hours"),
        (answer([], zone="99"), "timezone '99' must be hours"),
    ],
)
def test_an_invalid_answer_is_refused_in_one_sentence(content: bytes, expected: str) -> None:
    with pytest.raises(SourceError, match=expected):
        parse.parse_ts_traces(content)


def test_a_trace_without_data_is_left_out() -> None:
    content = json.loads(answer([{"v": "1", "t": 20200101000000, "q": 1}]))
    content["return"]["traces"].append({"error_num": 126, "error_msg": "No data"})
    assert len(parse.parse_ts_traces(json.dumps(content))) == 1


def test_an_answer_may_be_in_the_windows_code_page_or_begin_with_a_mark() -> None:
    assert parse.result_of('{"return": "Gauge at 5°"}'.encode("cp1252")) == "Gauge at 5°"
    assert parse.result_of(b"\xef\xbb\xbf" + b'{"return": 1}') == 1


# --- points


def test_an_empty_or_unavailable_value_stays_only_as_published_text() -> None:
    table = readings(
        {"v": "1.5", "t": 20200101000000, "q": 4},
        {"v": "", "t": 20200102000000, "q": 4},
        {"v": "-86.895", "t": 20200103000000, "q": 201},
        {"v": "0.000", "t": 20200104000000, "q": 255},
        {"v": 2.5, "t": "20200105000000", "q": 155},
        {"v": None, "t": 20200106000000, "q": None},
    )
    assert table["value"].to_list() == [1.5, None, None, None, 2.5, None]
    assert table["raw_value"].to_list() == ["1.5", "", "-86.895", "0.000", "2.5", None]
    assert table["quality"].to_list() == ["good", "missing", "missing", "missing", "unknown", "missing"]
    assert table["quality_code"].to_list() == ["4", "4", "201", "255", "155", None]


def test_texts_in_the_answer_determine_the_quality_of_other_agencies() -> None:
    points = [{"v": "0.000", "t": 20200101000000, "q": 255}]
    without_texts = readings(*points, gauge=make_gauge(source="vicwater"))
    expected = readings(*points, gauge=make_gauge(source="vicwater"), codes={"255": "Missing data"})
    assert (without_texts["quality"][0], without_texts["value"][0]) == ("poor", 0.0)
    assert (expected["quality"][0], expected["value"][0]) == ("missing", None)


@pytest.mark.parametrize(
    ("unit", "gauge", "raw_value", "canonical"),
    [
        ("Metres", make_gauge(), "2", 2.0),
        ("Metres", make_gauge(unit="ft"), "2", 2.0),
        ("Feet", make_gauge(), "2", 0.6096),
        ("Millimetres", make_gauge(), "2000", 2.0),
        ("Megalitres/Day", make_gauge(variable="discharge", unit="m3/s"), "86.4", 1.0),
        ("megalitres/day", make_gauge(variable="discharge", unit="ML/d"), "86.4", 1.0),
        ("Cumecs", make_gauge(variable="discharge", unit="ML/d"), "3", 3.0),
    ],
)
def test_values_are_converted_from_the_unit_of_the_answer(
    unit: str, gauge: Gauge, raw_value: str, canonical: float
) -> None:
    table = readings({"v": raw_value, "t": 20200101000000, "q": 1}, gauge=gauge, unit=unit)
    assert table["value"][0] == pytest.approx(canonical)


@pytest.mark.parametrize("unit", ["Furlongs", "Hectares", "", "Megalitres"])
def test_a_unit_that_does_not_fit_is_refused(unit: str) -> None:
    with pytest.raises(SourceError, match=f"unit '{unit}' is not a unit of stream_level"):
        readings({"v": "1", "t": 20200101000000, "q": 1}, unit=unit)


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(SourceError, match=r"value '1\.2\.3' is not a number"):
        readings({"v": "1.2.3", "t": 20200101000000, "q": 1})


def test_a_repeated_point_counts_once_and_two_values_for_a_time_are_refused() -> None:
    point = {"v": "1", "t": 20200101000000, "q": 1}
    assert len(readings(point, point)) == 1
    with pytest.raises(SourceError, match="two values for 2019-12-31 14:00 UTC"):
        readings(point, point | {"v": "2"})


# --- time


@pytest.mark.parametrize(
    ("sent", "zone", "utc"),
    [
        (20200101000000, "10.0", datetime(2019, 12, 31, 14)),
        (20200101095959, "10.0", datetime(2019, 12, 31, 23, 59, 59)),
        (20200101100000, "10.0", datetime(2020, 1, 1)),
        (20200301000000, "10.0", datetime(2020, 2, 29, 14)),
        (20191006023000, "10.0", datetime(2019, 10, 5, 16, 30)),  # civil clocks change in that night
        (20200101000000, "9.5", datetime(2019, 12, 31, 14, 30)),
        (20200101000000, "-3.5", datetime(2020, 1, 1, 3, 30)),
        (20200101000000, 0, datetime(2020, 1, 1)),
    ],
)
def test_station_local_time_is_exact_in_utc(sent: int, zone: str, utc: datetime) -> None:
    assert readings({"v": "1", "t": sent, "q": 1}, zone=zone)["time"][0] == utc.replace(tzinfo=UTC)


@given(
    local=st.datetimes(datetime(1850, 1, 1), datetime(2150, 1, 1)).map(lambda time: time.replace(microsecond=0)),
    quarters=st.integers(-56, 56),
)
def test_local_times_convert_to_utc_and_back(local: datetime, quarters: int) -> None:
    offset = timedelta(minutes=15 * quarters)
    (time_utc,) = readings({"v": "1", "t": int(f"{local:%Y%m%d%H%M%S}"), "q": 1}, zone=str(quarters / 4))["time"]
    assert time_utc.replace(tzinfo=None) + offset == local


@pytest.mark.parametrize(("interval", "shift"), [("day", timedelta(days=1)), ("15min", timedelta(minutes=15))])
def test_a_stamp_at_the_end_is_moved_to_the_start(interval: str, shift: timedelta) -> None:
    point = {"v": "1", "t": 20200102000000, "q": 1}
    table = readings(point, gauge=make_gauge(stamp="end", interval=interval))
    assert table["time"][0] == datetime(2020, 1, 1, 14, tzinfo=UTC) - shift


# --- requests


@pytest.mark.parametrize(
    ("keys", "params"),
    [
        ({}, {"var_list": "100.00", "datasource": "CP", "data_type": "mean", "interval": "day", "multiplier": 1}),
        ({"source": "vicwater"}, {"datasource": "A"}),
        ({"source": "qldwater"}, {"datasource": "A"}),
        ({"role": "rainfall", "variable": "rainfall", "unit": "mm"}, {"var_list": "10.00", "data_type": "tot"}),
        ({"variable": "discharge", "unit": "ML/d"}, {"varfrom": "100.00", "varto": "141.00"}),
        ({"hydstra": {"variable": "100.09", "datasource": "TE"}}, {"var_list": "100.09", "datasource": "TE"}),
        ({"hydstra": {"varfrom": "100.00", "varto": "140.00"}}, {"varfrom": "100.00", "varto": "140.00"}),
        ({"interval": "hour"}, {"interval": "hour", "multiplier": 1}),
        ({"interval": "15min"}, {"interval": "minute", "multiplier": 15}),
        ({"interval": "hour", "reading": "instantaneous"}, {"data_type": "start"}),
    ],
)
def test_the_gauge_determines_the_request(keys: dict[str, Json], params: dict[str, Json]) -> None:
    params_sent = _traces_params(
        make_gauge(**keys), _variable_codes(make_gauge(**keys)), datetime(2020, 1, 1), datetime(2020, 1, 31)
    )
    assert params_sent.items() >= {**params, "start_time": "20200101000000", "end_time": "20200131000000"}.items()
    assert ("var_list" in params_sent) != ("varfrom" in params_sent)


def test_a_variable_without_a_default_code_needs_one_in_the_dam_file() -> None:
    inflow = make_gauge(role="inflow", variable="inflow", unit="m3/s")
    with pytest.raises(ConfigError, match=r"inflow has no default Hydstra variable.*request\.variable"):
        fetch_from(Service(), inflow, DAM, None, date(2020, 2, 1), NOW)


def test_no_request_goes_beyond_the_period_of_record() -> None:
    service = Service(start="20200110093000", end="20200120101500", daily=True)
    fetch_from(service, make_gauge(), DAM, None, date(2023, 1, 1), NOW)
    fetch_from(service, make_gauge(), DAM, date(1900, 1, 1), date(2023, 1, 1), NOW)
    assert service.spans == [("20200110000000", "20200120000000")] * 2


def test_the_record_of_another_station_has_no_effect() -> None:
    class TwoStations(Service):
        def __call__(self, function: str, version: str, params: Mapping[str, Json]) -> bytes:
            expected = json.loads(super().__call__(function, version, params))
            if function == "get_variable_list":
                (site,) = expected["return"]["sites"]
                longer = {"period_start": "20190101000000", "period_end": "20221231000000"}
                other = site | {"site": "2", "variables": [site["variables"][0] | longer]}
                expected["return"]["sites"] = [other, site]
            return json.dumps(expected).encode()

    service = TwoStations(start="20200110093000", end="20200120101500", daily=True)
    fetch_from(service, make_gauge(), DAM, None, date(2023, 1, 1), NOW)
    assert service.spans == [("20200110000000", "20200120000000")]


def test_readings_of_another_station_are_left_out() -> None:
    class OtherStation(Service):
        def __call__(self, function: str, version: str, params: Mapping[str, Json]) -> bytes:
            expected = super().__call__(function, version, params)
            return expected.replace(b'"site": "1"', b'"site": "2"') if function == "get_ts_traces" else expected

    table = fetch_from(OtherStation(daily=True), make_gauge(), DAM, date(2020, 3, 1), date(2020, 3, 9), NOW)
    assert table.is_empty()


@pytest.mark.parametrize(
    ("record_end", "now"),
    [
        ("20201231234500", datetime(2020, 1, 19, 13, 59, tzinfo=UTC)),  # 23:59 at the station
        ("20200118234500", NOW),
    ],
    ids=["a day that has not ended", "a day after the record"],
)
def test_points_beyond_the_requested_intervals_are_left_out(record_end: str, now: datetime) -> None:
    """The mean of a day that has not ended still changes; beyond the record a service may send zeros."""

    class Generous(Service):
        def __call__(self, function: str, version: str, params: Mapping[str, Json]) -> bytes:
            if function == "get_ts_traces":
                end = datetime.strptime(params["end_time"], parse.CLOCK) + timedelta(days=1)
                params = {**params, "end_time": end.strftime(parse.CLOCK)}
            return super().__call__(function, version, params)

    service = Generous(end=record_end, daily=True)
    table = fetch_from(service, make_gauge(), DAM, date(2020, 1, 15), date(2020, 1, 31), now)
    assert table["raw_value"].to_list() == ["15", "16", "17", "18"]


def test_an_error_of_a_part_keeps_what_the_service_said_about_a_retry() -> None:
    def busy(function: str, version: str, params: Mapping[str, Json]) -> bytes:
        raise SourceError("the service is busy", retryable=True, retry_after=120.0)

    period = Period(None, date(2020, 2, 1), NOW)
    with pytest.raises(SourceError, match="waternsw, station 1: the service is busy") as caught:
        fetch_by_calls(busy, make_gauge(), DAM, period, limits=HttpSettings())
    assert (caught.value.retryable, caught.value.retry_after) == (True, 120.0)


def test_a_record_without_its_start_is_not_stored() -> None:
    """Later fetches continue from the first stored reading, so they would never request earlier days."""

    class LateStart(Service):
        def __call__(self, function: str, version: str, params: Mapping[str, Json]) -> bytes:
            self.daily = params.get("start_time", "") > "20200105"
            return super().__call__(function, version, params)

    for since in (None, date(2019, 1, 1)):
        with pytest.raises(SourceError, match="a record from 2020-01-01 on but sent no reading of it") as caught:
            fetch_from(LateStart(), make_gauge(), DAM, since, date(2020, 2, 1), NOW, days_per_request=10)
        assert caught.value.retryable

    class EmptyStart(LateStart):
        def __call__(self, function: str, version: str, params: Mapping[str, Json]) -> bytes:
            expected = super().__call__(function, version, params)
            return expected if function != "get_ts_traces" or self.daily else answer([])

    with pytest.raises(SourceError, match="a record from 2020-01-01 on but sent no reading of it"):
        fetch_from(EmptyStart(), make_gauge(), DAM, None, date(2020, 2, 1), NOW, days_per_request=10)
    after = fetch_from(LateStart(), make_gauge(), DAM, date(2020, 1, 13), date(2020, 2, 1), NOW, days_per_request=10)
    assert len(after) == 20
    # A discharge is computed from the level and may begin later: an empty answer is no error.
    computed = make_gauge(hydstra={"varfrom": "100.00", "varto": "100.01"})
    assert fetch_from(Service(), computed, DAM, None, date(2020, 2, 1), NOW, days_per_request=10).is_empty()


def test_a_record_that_begins_with_missing_values_is_stored() -> None:
    class MissingStart(Service):
        def __call__(self, function: str, version: str, params: Mapping[str, Json]) -> bytes:
            expected = super().__call__(function, version, params)
            return expected.replace(b'"q": 1', b'"q": 255') if params.get("start_time", "") < "20200105" else expected

    table = fetch_from(MissingStart(daily=True), make_gauge(), DAM, None, date(2020, 2, 1), NOW, days_per_request=10)
    assert table["value"].null_count() == 10
    assert len(table) == 32


def test_a_period_outside_of_the_record_is_not_requested() -> None:
    service = Service(start="20200110093000", end="20200120101500")
    assert fetch_from(service, make_gauge(), DAM, date(2021, 1, 1), date(2021, 2, 1), NOW).is_empty()
    assert fetch_from(service, make_gauge(), DAM, date(2019, 1, 1), date(2019, 2, 1), NOW).is_empty()
    assert service.spans == []


def test_a_day_that_has_not_ended_at_the_station_is_not_requested() -> None:
    service = Service(end="20200120101500")
    for now in (datetime(2020, 1, 19, 13, 59, tzinfo=UTC), datetime(2020, 1, 19, 14, 0, tzinfo=UTC)):
        fetch_from(service, make_gauge(), DAM, date(2020, 1, 15), date(2020, 1, 31), now)
    assert [end for _, end in service.spans] == ["20200118000000", "20200119000000"]


def test_nine_oclock_rain_days_are_anchored_at_nine() -> None:
    service = Service()
    rain_like = make_gauge(day_start="09:00")
    fetch_from(service, rain_like, DAM, date(2020, 3, 1), date(2020, 3, 2), NOW)
    ((start, end),) = service.spans
    assert start.endswith("090000")
    assert end.endswith("090000")
    assert start <= "20200229090000"  # 09:00 to 09:00, complete on 1 March
    assert end >= "20200301090000"  # complete on 2 March


@pytest.mark.parametrize(
    ("keys", "zone", "time_zone", "days"),
    [
        ({}, "10.0", "+10:00", ["01", "02"]),
        ({"day_start": "09:00"}, "10.0", "+10:00", ["29", "01"]),  # complete at 09:00 on 1 and 2 March
        ({"reading": "instantaneous", "reading_at": "08:00"}, "10.0", "+10:00", ["01", "02"]),
        ({"stamp": "end"}, "10.0", "+10:00", ["02", "03"]),  # the end of 1 March is stamped 2 March 00:00
        ({}, "10.0", "Australia/Sydney", ["01", "02"]),  # summer time: the station's midnight is the dam's 01:00
        ({}, "9.5", "+10:00", ["01", "02"]),
    ],
)
def test_a_reading_belongs_to_the_local_day_on_which_it_is_complete(
    keys: dict[str, Json], zone: str, time_zone: str, days: list[str]
) -> None:
    dam = DAM.model_copy(update={"time_zone": time_zone})
    service = Service(zone=zone, daily=True)
    table = fetch_from(service, make_gauge(**keys), dam, date(2020, 3, 1), date(2020, 3, 2), NOW)
    assert table["raw_value"].to_list() == days


def test_long_periods_are_requested_in_parts_that_join_without_overlap() -> None:
    service = Service(start="20100101000000", end="20121231234500", daily=True)
    fetch_from(service, make_gauge(interval="15min"), DAM, None, date(2013, 1, 1), NOW)
    clock = [tuple(datetime.strptime(end, parse.CLOCK) for end in span) for span in service.spans]
    step = timedelta(minutes=15)
    assert clock[0][0] == datetime(2010, 1, 1)
    assert clock[-1][1] == datetime(2012, 12, 31, 23, 45)
    assert all(later[0] - earlier[1] == step for earlier, later in zip(clock, clock[1:], strict=False))
    assert max((end - start) // step + 1 for start, end in clock) == 20_000  # http.points_per_request


@pytest.mark.parametrize(
    ("limits", "starts"),
    [
        ({"days_per_request": 10}, ["20200101000000", "20200111000000", "20200121000000"]),
        ({"points_per_request": 15}, ["20200101000000", "20200116000000"]),
        ({"points_per_request": 1, "days_per_request": 29}, [f"202001{day:02}000000" for day in range(1, 31)]),
        ({}, ["20200101000000"]),
    ],
)
def test_settings_limit_one_request(limits: dict[str, int], starts: list[str]) -> None:
    service = Service(end="20200130234500", daily=True)
    table = fetch_from(service, make_gauge(), DAM, None, date(2020, 2, 20), NOW, **limits)
    assert [start for start, _ in service.spans] == starts
    assert table["raw_value"].to_list() == [f"{day:02}" for day in range(1, 31)]


def test_the_error_for_a_missing_variable_lists_the_stations_variables() -> None:
    rain = make_gauge(role="rainfall", variable="rainfall", unit="mm")
    with pytest.raises(SourceError, match=r"waternsw, station 1: .* no record of variable 10\.00, only of 100\.00"):
        fetch_from(Service(), rain, DAM, None, date(2020, 2, 1), NOW)


def test_a_composite_datasource_that_is_not_listed_has_the_record_of_the_archive() -> None:
    service = Service(daily=True)
    service.listed_under = {"A"}
    table = fetch_from(service, make_gauge(), DAM, date(2020, 3, 1), date(2020, 3, 2), NOW)
    assert len(table) == 2
    assert [(call["function"], call["datasource"]) for call in service.calls_received] == [
        ("get_variable_list", "CP"),
        ("get_variable_list", "A"),
        ("get_ts_traces", "CP"),
    ]


def test_a_record_without_a_period_is_an_error() -> None:
    with pytest.raises(SourceError, match=r"no times for the period of record of variable 100\.00"):
        fetch_from(Service(start=""), make_gauge(), DAM, None, date(2020, 3, 2), NOW)


def test_codes_are_compared_as_numbers_where_they_are_numbers() -> None:
    assert _is_same_code("10", "10.00")
    assert _is_same_code("X1", "X1")
    assert not _is_same_code("X1", "10.00")


def test_an_answer_of_another_variable_is_refused() -> None:
    discharge = make_gauge(hydstra={"varfrom": "100.00", "varto": "141.00"})
    with pytest.raises(SourceError, match=r"has variable 100\.00 instead of 141\.00"):
        _traces_of(answer([]), discharge.station, "141.00")


# --- against the server


def published(station: str) -> dict[date, tuple[str, int]]:
    """Value (text) and quality code by day, from the CSV file of a gauge."""
    for path in DATA.glob("*.csv"):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        names = {"v": "v", "q": "q"} if station == "212242" else {c[0]: c for c in rows[0] if f"_{station}_" in c}
        if set(names.values()) <= set(rows[0]) and names:
            return {datetime.strptime(r["t"], parse.CLOCK).date(): (r[names["v"]], int(r[names["q"]])) for r in rows}
    raise AssertionError(station)


@needs_shared
def test_all_gauges_of_warragamba_equal_the_files() -> None:
    dam = load_dam("warragamba")
    with hydstra_server() as url:
        for gauge in dam.gauges:
            table = fetch_readings(gauge, dam, None, date(2023, 12, 31), settings=settings_for(url), now=NOW)
            file = published(gauge.station)
            assert len(table) == len(file) == (5097 if gauge.role == "target" else 5096)  # domain.md 2
            assert READINGS.check(table, unique=True).equals(table)
            for row in table.iter_rows(named=True):
                day = (row["time"].replace(tzinfo=None) + timedelta(hours=10)).date()
                raw, code = file[day]
                unavailable = code in (201, 255) or raw == ""
                assert (row["raw_value"], row["quality_code"]) == (raw, str(code))
                assert row["value"] == (None if unavailable else float(raw))
                assert (row["quality"] == "missing") == unavailable
            if gauge.role == "target":
                assert table["value"].null_count() == 457  # domain.md 2


@needs_shared
def test_an_incremental_fetch_gets_the_new_days() -> None:
    dam = load_dam("warragamba")
    lengths = []
    for last_day in (date(2020, 2, 8), date(2020, 2, 10)):
        with hydstra_server(last_day=last_day) as url:
            table = fetch_readings(
                dam.target_gauge, dam, date(2020, 2, 1), date(2020, 3, 1), settings=settings_for(url), now=NOW
            )
        lengths.append(len(table))
    assert lengths == [8, 10]


@needs_shared
def test_zeros_beyond_the_record_are_not_stored() -> None:
    """The server pads like the real service: a direct request returns days without a measurement."""
    call = {
        "function": "get_ts_traces",
        "version": "2",
        "params": {"site_list": "212242", "datasource": "CP", "var_list": "130.00", "interval": "day", "multiplier": 1}
        | {"data_type": "mean", "start_time": "20220110000000", "end_time": "20220120000000"},
    }
    dam = load_dam("warragamba")
    with hydstra_server() as url, open_transport(settings_for(url).http) as send:
        (padded,) = parse.parse_ts_traces(send(Request(url, json.dumps(call).encode())))
        table = fetch_readings(
            dam.target_gauge, dam, date(2022, 1, 10), date(2022, 1, 20), settings=settings_for(url), now=NOW
        )
    assert len(padded.points) == 11
    assert len(table) == 3


def fetch_level(gauge: Gauge) -> pl.DataFrame:
    with hydstra_server() as url:
        settings = settings_for(url)
        return fetch_readings(gauge, load_dam("warragamba"), None, date(2020, 1, 1), settings=settings, now=NOW)


@needs_shared
def test_an_unknown_site_is_an_error() -> None:
    expected = "waternsw, station 999999: the service lists no variable of this station in datasource CP or A; check"
    with pytest.raises(SourceError, match=expected):
        fetch_level(make_gauge(station="999999"))


@needs_shared
def test_an_unknown_datasource_is_an_error_that_names_source_and_station() -> None:
    with pytest.raises(SourceError, match="waternsw, station 212250: the service reports error 80"):
        fetch_level(make_gauge(station="212250", hydstra={"datasource": "XX"}))


@needs_shared
def test_a_recorded_request_to_the_server_gets_its_recorded_answer() -> None:
    with hydstra_server() as url, open_transport(settings_for(url).http) as send:
        for entry in manifest():
            body = entry.get("request_body_exact")
            request = Request(url, body.encode()) if body else Request(url)
            assert send(request) == (RECORDINGS / entry["file"]).read_bytes()
            if body:
                assert send(Request(f"{url}?{quote(body)}&ver=2")) == (RECORDINGS / entry["file"]).read_bytes()


@needs_shared
@pytest.mark.parametrize(
    ("call", "number"),
    [
        ({}, 120),
        ({"function": "get_nothing", "version": "1", "params": {}}, 100),
        ({"site_list": ""}, 84),
        ({"site_list": "999999"}, 83),
        ({"datasource": "XX"}, 80),
        ({"start_time": "20201301000000"}, 21),
        ({"start_time": "20200101990000"}, 22),
        ({"start_time": "20220101000000", "end_time": "20210101000000"}, 23),
        ({"start_time": "19900101000000", "end_time": "19900201000000"}, 126),
    ],
)
def test_the_server_reports_errors_as_the_service_does(call: dict[str, Json], number: int) -> None:
    period = {"start_time": "20200101000000", "end_time": "20200201000000"}
    params = {"site_list": "212242", "datasource": "CP", "var_list": "130.00", "interval": "day", "data_type": "mean"}
    if call and "function" not in call:
        call = {"function": "get_ts_traces", "version": "2", "params": {**params, **period, **call}}
    with hydstra_server() as url, open_transport(settings_for(url).http) as send:
        expected = json.loads(send(Request(url, json.dumps(call).encode())))
    assert expected["error_num"] == number
    assert "return" not in expected


@needs_shared
def test_the_server_requires_a_user_agent_and_answers_as_text_html() -> None:
    assert len(gauges()) == 8
    with hydstra_server() as url:
        parts = urlsplit(url)
        for agent, status in (("", 502), ("someone/1.0", 200)):
            connection = http.client.HTTPConnection(parts.netloc)
            connection.request("GET", parts.path, headers={"User-Agent": agent})
            response = connection.getresponse()
            assert (response.status, response.headers["Content-Type"]) == (status, "text/html")
            response.read()
            connection.close()
