"""Open-Meteo: answers as recorded, and the archive's rain, temperature and reference evaporation as gauges."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.dams.local_time import day_start
from forebay.dams.weather import Weather, parse_points
from forebay.errors import ConfigError, MissingRunError, SourceError
from forebay.jobs.datasets import daily_dataset, forecast_dataset
from forebay.report.screening import render_screening
from forebay.report.write import render_report
from forebay.services import SERVICES, attributions
from forebay.settings import HttpSettings, load_settings
from forebay.sources import fetch_readings, plan_requests
from forebay.sources.hours import day_values
from forebay.sources.open_meteo import forecasts, parse
from forebay.sources.open_meteo.request import service_url
from forebay.sources.request import Request
from forebay.sources.transport import open_transport
from forebay.tables import INSTANT
from forebay.text import unprintable
from tests import synthetic
from tests.junk import with_junk
from tests.loopback import Received, Reply, loopback_server
from tests.report_examples import example_report
from tests.services.open_meteo import OpenMeteo, open_meteo_server, refusal, value_of
from tests.shared import SHARED, needs_shared
from tests.synthetic import small_dam

RECORDINGS = SHARED / "recordings" / "open_meteo"
NOW = datetime(2024, 7, 1, 3, 30, tzinfo=UTC)
SYDNEY = (-33.9, 150.6)
KEY = "Zq7-secret/Zq8"


def hourly(variable: str, model: str = "", block: str = "hourly") -> Callable[[bytes], pl.DataFrame]:
    return lambda answer: parse.parse_series(answer, variable, model, block=block)


def values(table: pl.DataFrame, **where: int) -> list[float | None]:
    rows = table.filter(*(pl.col(name) == value for name, value in where.items()))
    return rows["value"].to_list()


# Recorded answers: (file, parser, what the file says by eye).
PARSED: list[tuple[str, Callable[[bytes], pl.DataFrame], Callable[[pl.DataFrame], bool]]] = [
    ("archive-api.open-meteo.com__archive-43cae1.json", hourly("temperature_2m"),
     lambda t: t.height == 24 and values(t)[:3] == [25.2, 25.5, 25.5] and t["unit"][0] == "°C"),
    ("archive-api.open-meteo.com__archive-466132.json", hourly("temperature_2m_max", block="daily"),
     lambda t: values(t)[0] == 26.4 and values(t)[-1] == 23.5 and t["time"][-1] == datetime(2023, 1, 8)),
    ("archive-api.open-meteo.com__archive-f5378f.json", hourly("temperature_2m"),
     lambda t: max(v for v in values(t) if v is not None) == 26.4 and t["time"][14] == datetime(2022, 12, 29, 14)),
    ("api.open-meteo.com__forecast-073b9d.json", hourly("temperature_2m_max", block="daily"),
     lambda t: values(t) == [None] * 11),
    ("api.open-meteo.com__forecast-4418bd.json", hourly("temperature_2m"), lambda t: t.height == 168),
    ("archive_three_models.json", hourly("temperature_2m_max", "era5", "daily"), lambda t: values(t) == [8.6]),
    ("archive_three_models.json", hourly("temperature_2m_max", "era5_land", "daily"), lambda t: values(t) == [7.9]),
    ("ensemble_mean_spread.json", hourly("temperature_2m"), lambda t: values(t) == [13.7, 12.9]),
    ("ensemble_members_trimmed.json", hourly("temperature_2m"),
     lambda t: t["member"].n_unique() == 21 and (values(t, member=0), values(t, member=12)[1]) == ([10.5, 10.1], 11.5)),
    ("flood_daily.json", hourly("river_discharge", block="daily"), lambda t: values(t)[1] == 668.88),
    ("flood-api.open-meteo.com__flood-da69b0.json", hourly("river_discharge", block="daily"),
     lambda t: values(t) == [23.72, 22.77]),
    ("flood_ensemble_two_models_trimmed.json", hourly("river_discharge", "seamless_v4", "daily"),
     lambda t: t["member"].n_unique() == 6 and values(t, member=0)[0] == 593.29),
    ("forecast_two_models_one_covering.json", hourly("temperature_2m", "icon_d2"), lambda t: values(t) == [19.3, 20.0]),
    ("historical_forecast_daily.json", hourly("precipitation_sum", block="daily"), lambda t: values(t) == [1.7, 21.4]),
    ("previous_runs_hourly.json", hourly("temperature_2m"),
     lambda t: values(t, days_before=2) == [14.4, 14.2, 13.4] and t["days_before"].null_count() == 3),
    ("previous_runs_hourly.json", hourly("precipitation"),
     lambda t: (t.height, t["unit"].unique().item()) == (9, "mm")),
    ("previous_runs_two_models.json", hourly("temperature_2m", "gfs_seamless"),
     lambda t: values(t, days_before=1) == [14.7, 14.0]),
    ("single_run.json", hourly("temperature_2m"),
     lambda t: t["time"][0] == datetime(2026, 9, 1) and values(t)[2] == 14.4),
]  # fmt: skip

REFUSED = {
    "error_400_range.json": r"refused the request \(Parameter 'start_date' is out of allowed range from 2026-06-14",
    "error_429_daily.json": r"limit of requests is reached \(Daily API request limit exceeded",
    "error_429_hourly.json": r"limit of requests is reached \(Hourly API request limit exceeded",
    "error_429_minutely.json": r"limit of requests per minute is reached",
    "not_covered_nan.txt": r"point 1 lies outside the domain of the model; choose another point",
}

UNUSED = {
    "ensemble_daily_sample.json": "written by hand: its members have no unit, so they are refused",
    "api.open-meteo.com__forecast-b38ace.json": "current weather only, which is no series",
    "api.open-meteo.com__forecast-d1305e.json": "current weather only, which is no series",
    "api.open-meteo.com__forecast-dfbcef.json": "current weather only, which is no series",
}


@needs_shared
def test_every_recorded_answer_is_parsed_or_unused_for_a_reason() -> None:
    files = {path.name for path in RECORDINGS.iterdir()}
    assert {name for name, _, _ in PARSED} | set(REFUSED) | set(UNUSED) == files


@needs_shared
@pytest.mark.parametrize("case", range(len(PARSED)), ids=lambda k: PARSED[k][0])
def test_recorded_answers_have_the_values_of_the_file(case: int) -> None:
    name, parser, is_right = PARSED[case]
    table = parser((RECORDINGS / name).read_bytes())
    assert dict(table.schema) == parse.SERIES
    assert is_right(table), table


@needs_shared
@pytest.mark.parametrize("name", REFUSED)
def test_recorded_errors_are_sentences(name: str) -> None:
    with pytest.raises(SourceError, match=REFUSED[name]) as caught:
        parse.check_answer((RECORDINGS / name).read_bytes(), [SYDNEY])
    assert caught.value.retryable == (name == "error_429_minutely.json")


@needs_shared
@pytest.mark.parametrize("name", UNUSED)
def test_an_answer_without_the_series_is_a_source_error(name: str) -> None:
    with pytest.raises(SourceError, match="no hourly values for point 1|the unit None for temperature_2m_member01"):
        parse.parse_series((RECORDINGS / name).read_bytes(), "temperature_2m", "ncep_gefs025")


@needs_shared
@pytest.mark.parametrize("name", ["previous_runs_hourly.json", "single_run.json", PARSED[2][0]])
def test_junk_in_each_place_is_a_source_error_or_a_table(name: str) -> None:
    for place, junk, answer in with_junk((RECORDINGS / name).read_text("utf-8")):
        for parser in (hourly("temperature_2m"), parse.check_zone):
            try:
                parser(answer.encode("utf-8", errors="surrogatepass"))
            except SourceError as error:
                text = str(error)
                assert "Error:" not in text, f"{place} = {junk}: a rule of the parser must say it, not {text}"
                assert unprintable(text) is None, f"{place} = {junk}: {text!r}"


@pytest.mark.parametrize(
    ("cell", "place", "is_near"),
    [((-33.75, 150.5), SYDNEY, True), ((-33.9, 153.5), SYDNEY, False), ((0.0, -179.9), (0.0, 179.9), True),
     ((80.0, 5.0), (80.0, 0.0), True), ((78.0, 0.0), (80.1, 0.0), False)],
)  # fmt: skip
def test_the_cell_of_a_point_is_near_it(cell: tuple[float, float], place: tuple[float, float], is_near: bool) -> None:
    answer = json.dumps({"latitude": cell[0], "longitude": cell[1], "hourly": {}}).encode()
    if is_near:
        parse.check_answer(answer, [place])
    else:
        with pytest.raises(SourceError, match="point 1 is at"):
            parse.check_answer(answer, [place])


def test_texts_of_an_unavailable_run_are_a_missing_run() -> None:
    for text in (b"Unexpected error while streaming data: modelRunUnavailable(model: x)",
                 b'{"error":true,"reason":"modelRunUnavailable(model: x)"}'):  # fmt: skip
        with pytest.raises(MissingRunError, match="does not have this run"):
            parse.check_answer(text, [SYDNEY])


# Days.


def hours(first: datetime, count: int) -> pl.DataFrame:
    times = [first + timedelta(hours=k) for k in range(count)]
    return pl.DataFrame({"time": pl.Series(times, dtype=INSTANT), "value": [float(k) for k in range(count)]})


@pytest.mark.parametrize(
    ("zone", "start", "expected"),
    [
        ("+00:00", datetime(2024, 1, 1, 0, tzinfo=UTC), sum(range(1, 25))),  # stamps 01:00 … 24:00
        ("+10:00", datetime(2023, 12, 31, 14, tzinfo=UTC), sum(range(1, 25))),
        # 00:00 is 18:30 UTC: the hour that ends at 19:00 UTC contains it, and counts for the day that begins
        ("Asia/Kolkata", datetime(2023, 12, 31, 18, tzinfo=UTC), sum(range(1, 25))),
    ],
)
def test_a_total_belongs_to_the_local_day_in_which_its_hour_ends(zone: str, start: datetime, expected: int) -> None:
    days = day_values(hours(start, 26), zone, is_sum=True)
    assert days["value"].to_list() == [expected]
    assert days["start"][0] == day_start(date(2024, 1, 1), zone)


@pytest.mark.parametrize(("day", "count"), [(date(2024, 3, 10), 23), (date(2024, 11, 3), 25), (date(2024, 6, 1), 24)])
def test_days_of_a_clock_change_have_23_or_25_hours(day: date, count: int) -> None:
    start = day_start(day, "America/Chicago")
    days = day_values(hours(start, count + 1), "America/Chicago", is_sum=True)
    assert days["value"].to_list() == [sum(range(1, count + 1))]
    assert day_values(hours(start, count), "America/Chicago", is_sum=True).is_empty(), "the last hour is missing"


def test_a_mean_has_the_moments_of_its_day_and_a_rain_day_starts_at_nine() -> None:
    means = day_values(hours(datetime(2024, 1, 1, tzinfo=UTC), 25), "+00:00", is_sum=False)
    assert means["value"].to_list() == [11.5]
    rain = day_values(hours(datetime(2024, 1, 1, 9, tzinfo=UTC), 25), "+00:00", is_sum=True, day_start=time(9))
    assert rain.row(0) == (datetime(2024, 1, 1, 9, tzinfo=UTC), datetime(2024, 1, 2, 9, tzinfo=UTC), 300.0)


def test_a_day_with_an_hour_without_value_has_none() -> None:
    table = hours(datetime(2024, 1, 1, tzinfo=UTC), 49)
    table = table.with_columns(pl.when(pl.col("value") != 5).then("value").alias("value"))
    assert day_values(table, "+00:00", is_sum=True)["value"].to_list() == [sum(range(25, 49))]


# Gauges.


def rain(**keys: object) -> dict[str, object]:
    base = {"role": "rainfall", "source": "open_meteo", "station": "-33.9,150.6", "variable": "rainfall", "unit": "mm"}
    return base | keys


def dam_of(*gauges: dict[str, object], zone: str = "+10:00") -> Dam:
    return small_dam(*gauges, time_zone=zone)


def gauge_of(dam: Dam) -> Gauge:
    return dam.gauges[1]


def fetch(dam: Dam, since: date | None, until: date, service: OpenMeteo | None = None) -> pl.DataFrame:
    with open_meteo_server(service or OpenMeteo(NOW)) as (settings, _):
        return fetch_readings(gauge_of(dam), dam, since, until, settings=settings, now=NOW)


def truth(day: date, zone: str, *points: tuple[float, float], variable: str = "precipitation") -> float:
    """Sum over the local day of the mean over the points, computed hour by hour."""
    start, end = day_start(day, zone), day_start(day + timedelta(days=1), zone)
    first = start.replace(minute=0)  # the first hour that ends after the start
    count = int((end - start) / timedelta(hours=1))
    stamps = [first + timedelta(hours=k + 1) for k in range(count)]
    return round(sum(sum(value_of(variable, p, t) for p in points) / len(points) for t in stamps), 6)


@pytest.mark.parametrize("zone", ["+00:00", "+10:00", "-08:00", "Asia/Kolkata", "America/Chicago"])
def test_daily_rain_is_the_sum_of_the_hours_of_the_local_day(zone: str) -> None:
    dam = dam_of(rain(), zone=zone)
    readings = fetch(dam, date(2024, 3, 8), date(2024, 3, 12))
    assert readings["value"].to_list() == [truth(date(2024, 3, day), zone, SYDNEY) for day in range(8, 13)]
    assert readings["time"].to_list() == [day_start(date(2024, 3, day), zone) for day in range(8, 13)]
    assert readings["interval"].unique().to_list() == [86400]


def test_the_mean_over_the_points_counts() -> None:
    points = ((-33.9, 150.6), (-34.1, 150.2), (-33.5, 149.9))
    text = "; ".join(f"{a},{b}" for a, b in points)
    readings = fetch(dam_of(rain(station="catchment", request={"points": text})), date(2024, 5, 1), date(2024, 5, 2))
    assert readings["value"].to_list() == [truth(date(2024, 5, day), "+10:00", *points) for day in (1, 2)]
    assert readings["station"].unique().to_list() == ["catchment"]


@pytest.mark.parametrize(
    ("keys", "parameter"),
    [
        ({"role": "temperature", "variable": "temperature", "unit": "degC"}, "temperature_2m"),
        ({"role": "evaporation", "variable": "evaporation", "unit": "mm"}, "et0_fao_evapotranspiration"),
    ],
)
def test_temperature_and_reference_evaporation(keys: dict[str, object], parameter: str) -> None:
    with open_meteo_server(OpenMeteo(NOW)) as (settings, received):
        dam = dam_of(rain(**keys))
        table = fetch_readings(gauge_of(dam), dam, date(2024, 5, 1), date(2024, 5, 1), settings=settings, now=NOW)
    assert received[0].query["hourly"] == parameter
    start = day_start(date(2024, 5, 1), "+10:00")
    if parameter == "temperature_2m":
        mean = sum(value_of(parameter, SYDNEY, start + timedelta(hours=k)) for k in range(24)) / 24
        assert table["value"].to_list() == [pytest.approx(mean, abs=1e-6)]
    else:
        assert table["value"].to_list() == [truth(date(2024, 5, 1), "+10:00", SYDNEY, variable=parameter)]


def test_hourly_readings_start_an_hour_before_the_stamp_of_a_total() -> None:
    readings = fetch(dam_of(rain(interval="hour")), date(2024, 5, 1), date(2024, 5, 1))
    start = day_start(date(2024, 5, 1), "+10:00")
    assert readings["time"].to_list() == [start + timedelta(hours=k) for k in range(24)]
    assert readings["value"][0] == value_of("precipitation", SYDNEY, start + timedelta(hours=1))
    assert readings["raw_value"][0] == str(readings["value"][0])


def test_hours_without_value_and_intervals_that_have_not_ended_are_no_readings() -> None:
    days = fetch(dam_of(rain()), date(2024, 6, 25), date(2024, 7, 1), OpenMeteo(NOW, delay_days=2))
    last = days["time"][-1] + timedelta(days=1)
    assert last == day_start(date(2024, 6, 30) - timedelta(days=1) + timedelta(days=0), "+10:00") + timedelta(days=1)
    assert days["value"].null_count() == 0
    live = fetch(dam_of(rain(interval="hour")), date(2024, 7, 1), date(2024, 7, 1), OpenMeteo(NOW, delay_days=0))
    assert live["time"][-1] + timedelta(hours=1) == NOW.replace(minute=0)
    empty = fetch(dam_of(rain()), date(2024, 6, 30), date(2024, 7, 1), OpenMeteo(NOW, delay_days=5))
    assert empty.is_empty()


def test_a_long_span_is_requested_in_parts_and_equals_one_request() -> None:
    dam = dam_of(rain())
    whole = fetch(dam, date(2024, 1, 1), date(2024, 2, 20))
    with open_meteo_server(OpenMeteo(NOW)) as (settings, received):
        http = settings.http.model_copy(update={"points_per_request": 24 * 7})
        weekly = settings.model_copy(update={"http": http})
        span = (date(2024, 1, 1), date(2024, 2, 20))
        parts = fetch_readings(gauge_of(dam), dam, *span, settings=weekly, now=NOW)
        planned = plan_requests(gauge_of(dam), dam, *span, settings=weekly, now=NOW)
    assert whole.equals(parts) and whole.height == 51
    assert len(received) == len(planned) == 8
    assert (planned[0].host or "").startswith("127.0.0.1")
    for before, after in pairwise(received):
        end, start = date.fromisoformat(before.query["end_date"]), date.fromisoformat(after.query["start_date"])
        assert start - end == timedelta(days=1)


def test_without_since_the_record_of_the_model_begins_the_fetch() -> None:
    dam = dam_of(rain(request={"model": "ecmwf_ifs"}))
    with open_meteo_server(OpenMeteo(NOW)) as (settings, received):
        fetch_readings(gauge_of(dam), dam, None, date(2017, 1, 3), settings=settings, now=NOW)
    assert (received[0].query["start_date"], received[0].query["models"]) == ("2017-01-01", "ecmwf_ifs")
    planned = plan_requests(gauge_of(dam_of(rain())), dam, None, date(1940, 1, 2), settings=settings, now=NOW)
    assert planned[0].first == datetime(1940, 1, 1, 10)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"station": "212242"}, r"gauge 212242: station: point '212242' must be a latitude and a longitude like"),
        ({"station": "150.6,-33.9"}, r"is not on the globe; give the latitude"),
        ({"request": {"points": "1,2; 1.0,2"}}, r"request.points: point '1.0,2' occurs twice"),
        ({"request": {"points": ";".join(f"{k},1" for k in range(21))}}, r"there are 21 points; at most 20"),
        ({"interval": "15min"}, r'has reading = "total", stamp = "start" and interval = "day" or "hour"; this one has'),
        ({"reading": "mean"}, r"this one has 'mean'"),
        ({"stamp": "end"}, r"this one has 'total', 'end'"),
        ({"role": "snow", "variable": "snow_water_equivalent"}, r"has no default variable of Open-Meteo"),
    ],
)  # fmt: skip
def test_a_gauge_that_the_service_cannot_have_is_an_error(keys: dict[str, object], message: str) -> None:
    dam = dam_of(rain(**keys))
    with open_meteo_server(OpenMeteo(NOW)) as (settings, received):
        for function in (fetch_readings, plan_requests):
            with pytest.raises(ConfigError, match=message):
                function(gauge_of(dam), dam, date(2024, 1, 1), date(2024, 1, 2), settings=settings, now=NOW)
    assert received == []


def changed(change: Callable[[dict[str, object]], None]) -> Callable[[Received], Reply]:
    def answer(request: Received) -> Reply:
        content = json.loads(OpenMeteo(NOW).answer(request).body)
        change(content)
        return Reply(json.dumps(content).encode())

    return answer


def _drop_hour(content: dict[str, object]) -> None:
    block: dict[str, list[object]] = content["hourly"]  # type: ignore[assignment]
    for column in block.values():
        del column[5]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda _: refusal("Parameter 'models' is invalid"), r"station -33.9,150.6: the service refused the request"),
        (lambda _: refusal("Cannot initialize", 200), r"refused the request \(Cannot initialize\)"),
        (lambda _: refusal("Daily API request limit exceeded.", 429), r"limit of requests is reached \(Daily"),
        (lambda _: refusal("Minutely API request limit exceeded.", 429), r"per minute is reached"),
        (lambda _: Reply(b"<html>Wartung</html>"), r"the answer is not JSON, it begins '<html>"),
        (lambda _: Reply(b"[]"), r"the answer has 0 points instead of 1"),
        (changed(lambda c: c.update(longitude=-150.6)), r"point 1 is at -33.9, -150.6 instead of -33.9, 150.6"),
        (changed(lambda c: c.update(latitude="x")), r"point 1 is at 'x', 150.6 instead of"),
        (changed(lambda c: c.update(utc_offset_seconds=36000)), r"times have the offset 36000 s instead of 0"),
        (changed(_drop_hour), r"does not have each hour from 2024-04-29 00:00 to 2024-05-02 23:00 for point 1"),
        (changed(lambda c: c.update(hourly_units={"precipitation": "furlong"})), r"unit 'furlong' is not a unit"),
        (changed(lambda c: c.update(hourly_units={})), r"the unit None for precipitation"),
        (changed(lambda c: c["hourly"].update(rain=c["hourly"].pop("precipitation"))),  # type: ignore[attr-defined]
         r"the answer has no hourly precipitation, but 'rain'"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_one_sentence_and_no_reading(answer: Callable[[Received], Reply], message: str) -> None:
    dam = dam_of(rain())
    with loopback_server(answer) as (url, received):
        no_waits = {"FOREBAY_HTTP__FIRST_WAIT_S": "0", "FOREBAY_HTTP__LONGEST_WAIT_S": "0"}
        settings, _ = load_settings(Path(), {"FOREBAY_SOURCES__OPEN_METEO__URL": f"{url}/v1/archive", **no_waits})
        with pytest.raises(SourceError, match=message) as caught:
            fetch_readings(gauge_of(dam), dam, date(2024, 5, 1), date(2024, 5, 2), settings=settings, now=NOW)
    assert "\n" not in str(caught.value)
    assert len(received) == (4 if caught.value.retryable else 1)


def test_a_clock_that_is_ahead_of_the_service_is_a_sentence_with_its_reason() -> None:
    dam, ahead = dam_of(rain()), NOW + timedelta(days=3)
    with (
        open_meteo_server(OpenMeteo(NOW)) as (settings, received),
        pytest.raises(SourceError, match=r"refused the request \(Parameter .* is out of allowed range from 1940"),
    ):
        fetch_readings(gauge_of(dam), dam, date(2024, 6, 20), ahead.date(), settings=settings, now=ahead)
    assert len(received) == 1


def test_a_unit_that_changes_between_two_parts_is_an_error() -> None:
    def answer(request: Received) -> Reply:
        content = json.loads(OpenMeteo(NOW).answer(request).body)
        if request.query["start_date"] > "2024-04-28":
            content["hourly_units"]["precipitation"] = "inch"
        return Reply(json.dumps(content).encode())

    dam = dam_of(rain())
    with loopback_server(answer) as (url, _):
        environ = {"FOREBAY_SOURCES__OPEN_METEO__URL": f"{url}/v1/archive", "FOREBAY_HTTP__DAYS_PER_REQUEST": "2"}
        settings, _ = load_settings(Path(), environ)
        with pytest.raises(SourceError, match=r"the unit changes within the answer \(inch, mm\)"):
            fetch_readings(gauge_of(dam), dam, date(2024, 4, 28), date(2024, 5, 2), settings=settings, now=NOW)


def test_one_of_several_points_outside_the_domain_is_named() -> None:
    dam = dam_of(rain(station="c", request={"points": "1,2; 80,3"}))
    with pytest.raises(SourceError, match="point 2 lies outside the domain of the model"):
        fetch(dam, date(2024, 5, 1), date(2024, 5, 2), OpenMeteo(NOW, outside=lambda latitude, _: latitude > 70))


# The key.


def test_the_key_is_a_parameter_of_the_query_that_nothing_shows(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    moved = Reply(b"", 302, {"Location": f"/v1/archive?apikey={KEY}"})
    service = OpenMeteo(NOW, errors=[moved, refusal(f"API key {KEY} is wrong")])
    dam = dam_of(rain())
    with open_meteo_server(service, key=KEY) as (settings, received):
        with pytest.raises(SourceError, match=r"refuses the API key \(API key \*\*\* is wrong\)") as caught:
            fetch_readings(gauge_of(dam), dam, date(2024, 5, 1), date(2024, 5, 2), settings=settings, now=NOW)
        good = fetch_readings(gauge_of(dam), dam, date(2024, 5, 1), date(2024, 5, 2), settings=settings, now=NOW)
        planned = plan_requests(gauge_of(dam), dam, date(2024, 5, 1), date(2024, 5, 2), settings=settings, now=NOW)
    assert good.height == 2
    assert [request.query["apikey"] for request in received] == [KEY, KEY, KEY]
    shown = str(caught.value) + repr(planned) + repr(settings) + caplog.text
    assert "Zq7" not in shown and "Zq8" not in shown
    assert "HTTP Request" in caplog.text, "the library's log was on"


def test_a_wrong_key_has_its_own_sentence_without_the_key() -> None:
    dam = dam_of(rain())
    with (
        open_meteo_server(OpenMeteo(NOW), key="wrong-key") as (settings, received),
        pytest.raises(SourceError) as caught,
    ):
        fetch_readings(gauge_of(dam), dam, date(2024, 5, 1), date(2024, 5, 2), settings=settings, now=NOW)
    assert str(caught.value) == (
        "open_meteo, station -33.9,150.6: the service refuses the API key (The supplied API key is invalid); correct "
        "OPEN_METEO_API_KEY in the environment, or unset it to request without a key (free use is non-commercial)"
    )
    assert len(received) == 1, "a wrong key is not tried again"
    assert "correct OPEN_METEO_API_KEY" in weather_error(key="wrong-key")


def weather_error(*, key: str) -> str:
    """Error of a request for the current weather forecast."""
    weather = Weather.model_validate({"id": "rain", "model": "ecmwf_ifs", "points": "-33.9,150.6"})
    dam = dam_of(rain())
    with (
        open_meteo_server(OpenMeteo(NOW), key=key) as (settings, _),
        open_transport(settings.http) as send,
        pytest.raises(SourceError) as caught,
    ):
        forecasts.current_forecast(send, weather, dam, settings=settings, now=NOW)
    return str(caught.value)


def test_an_answer_in_the_windows_code_page_has_its_units() -> None:
    """The sign of the unit is not ASCII."""
    dam = dam_of(rain(role="temperature", variable="temperature", unit="degC"))
    service = OpenMeteo(NOW)

    def answer(request: Received) -> Reply:
        text = service.answer(request).body.decode("utf-8")
        assert '"°C"' in text
        return Reply(text.encode("cp1252"))

    body = '{"latitude":1,"hourly_units":{"t":"°C"},"hourly":{"time":[],"t":[]}}'.encode("cp1252")
    assert parse.points_of(body)[0]["hourly_units"] == {"t": "°C"}
    with loopback_server(answer) as (url, _):
        settings, _ = load_settings(Path(), {"FOREBAY_SOURCES__OPEN_METEO__URL": f"{url}/v1/archive"})
        readings = fetch_readings(gauge_of(dam), dam, date(2024, 5, 1), date(2024, 5, 2), settings=settings, now=NOW)
    assert readings.equals(fetch(dam, date(2024, 5, 1), date(2024, 5, 2)))
    assert len(readings) == 2


def test_no_other_host_gets_the_key_of_a_query() -> None:
    with loopback_server(lambda _: Reply(b"{}")) as (other_url, at_other):
        target = other_url.replace("127.0.0.1", "localhost")
        with (
            loopback_server(lambda _: Reply(b"", 302, {"Location": f"{target}/?apikey={KEY}"})) as (url, _),
            open_transport(HttpSettings(attempts=1)) as send,
            pytest.raises(SourceError, match="on another host") as caught,
        ):
            send(Request(f"{url}/x?apikey=old#part", secret_query={"apikey": KEY}))
    assert at_other == []
    assert "Zq7" not in str(caught.value) and "Zq8" not in str(caught.value)
    assert "Zq7" not in repr(Request(url, secret_query={"apikey": KEY}))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h/x", "http://h/x?apikey=a%26b"),
        ("http://h/x?y=1&apikey=old", "http://h/x?y=1&apikey=a%26b"),
        ("http://h/x?api%6Bey=old#f", "http://h/x?apikey=a%26b#f"),
    ],
)
def test_the_secret_url_has_the_key_once(url: str, expected: str) -> None:
    assert Request(url, secret_query={"apikey": "a&b"}).secret_url == expected
    assert Request(url).secret_url == url


def test_a_key_selects_the_hosts_of_customers_unless_the_url_is_set() -> None:
    free, _ = load_settings(Path(), {})
    paid, origin = load_settings(Path(), {"OPEN_METEO_API_KEY": KEY})
    forecast_url = {"FOREBAY_SOURCES__OPEN_METEO__ENDPOINTS__FORECAST": "http://h/f"}
    own, _ = load_settings(Path(), {"OPEN_METEO_API_KEY": KEY} | forecast_url)
    assert service_url("open_meteo", "", free) == SERVICES["open_meteo"].url
    assert service_url("open_meteo", "", paid) == "https://customer-archive-api.open-meteo.com/v1/archive"
    assert service_url("open_meteo", "single_runs", paid) == "https://customer-single-runs-api.open-meteo.com/v1/forecast"
    assert service_url("open_meteo", "forecast", own) == "http://h/f"
    assert origin["sources.open_meteo.api_key"] == "environment (OPEN_METEO_API_KEY)"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"FOREBAY_SOURCES__OPEN_METEO__ENDPOINTS__FLOOD": "http://h"}, r"endpoints.flood' is unknown; allowed"),
        ({"FOREBAY_SOURCES__WATERNSW__ENDPOINTS__X": "http://h"}, r"allowed endpoints: none"),
        ({"FOREBAY_SOURCES__OPEN_METEO__ENDPOINTS__FORECAST": "h"}, r"must start with http:// or https://"),
        ({"FOREBAY_SOURCES__OPEN_METEO__ENDPOINTS": "h"}, r"endpoints = 'h': "),
    ],
)
def test_a_wrong_endpoint_is_an_error(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(Path(), environ)


def test_points_and_the_attribution() -> None:
    assert parse_points(" 1.5,2 ;-3,-4.25") == ((1.5, 2.0), (-3.0, -4.25))
    assert attributions(["csv", "open_meteo"]) == [
        "Weather data by Open-Meteo.com (https://open-meteo.com), licence CC BY 4.0."
    ]
    assert "CC BY 4.0" in SERVICES["open_meteo"].licence


def test_the_attribution_is_in_the_report_the_screening_and_the_netcdf_file() -> None:
    report = example_report()
    gauges = [g.model_copy(update={"source": "open_meteo"}) if g.station == "r2" else g for g in report.dam.gauges]
    dam = report.dam.model_copy(update={"gauges": tuple(gauges)})
    (sentence,) = dam.attributions
    assert render_report(replace(report, dam=dam)).count(sentence) == 2, "in the section on gauges and in the footer"
    assert sentence not in render_report(report)
    columns = {"gauge": pl.String, "value": pl.Float64, "expected": pl.Float64, "reason": pl.String, "days": pl.Int64}
    assert sentence in render_screening(dam, pl.DataFrame(schema=columns), {})
    table = synthetic.forecasts(dam, synthetic.daily(dam), [synthetic.FLOOD_ONSET])
    dataset = forecast_dataset(table.filter(pl.col("model") == "default"), dam)
    assert dataset.attrs["attribution"] == sentence
    assert daily_dataset(synthetic.daily(dam), dam).attrs["attribution"] == sentence
    assert "attribution" not in daily_dataset(synthetic.daily(report.dam), report.dam).attrs
