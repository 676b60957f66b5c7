"""Weather forecasts from the service into the archive and into the forcings; live equals hindcast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from forebay.archive import weather_fetch
from forebay.archive.fetch import FetchReport, FetchRequest, fetch_dam, plan_dam
from forebay.archive.store import Archive, open_archive
from forebay.dams.dam import Dam
from forebay.dams.local_time import day_start, init_time
from forebay.features.forcings import forcing_inputs, newest_issues
from forebay.features.weather import read_weather_forcings
from forebay.forecasts.forcing_notes import forcing_notes
from forebay.services import SERVICES, Limits
from forebay.settings import Settings
from forebay.sources.open_meteo import forecasts
from forebay.sources.request import Send
from forebay.tables import FORCINGS, READINGS
from tests.loopback import Received, Reply, loopback_server
from tests.services.open_meteo import MEMBERS, OpenMeteo, newest_run, open_meteo_server, refusal, value_of
from tests.synthetic import rain_gauge, small_dam

POINTS = ((-33.9, 150.6), (-34.1, 150.2))
TEXT = "-33.9,150.6; -34.1,150.2"
ZONE = "+10:00"
NOW = datetime(2024, 7, 1, 3, 30, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weather_fetch, "sleep", lambda _seconds: None)


def dam_with(zone: str = ZONE, **keys: object) -> Dam:
    """A simulated dam with one table of weather forecasts."""
    weather = {"id": "ifs", "model": "ecmwf_ifs", "points": TEXT} | keys
    hindcast = {"leads": (1, 2, 3, 4, 5, 6, 7)}
    return small_dam(rain_gauge(), weather=[weather], time_zone=zone, hindcast=hindcast)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with open_archive(f"sqlite:///{tmp_path}/forebay.db") as store:
        yield store


def fetch_at(
    now: datetime, dam: Dam, archive: Archive, settings: Settings, since: date | None = None
) -> FetchReport:
    def no_readings(*_: object, **__: object) -> pl.DataFrame:
        return READINGS.empty()

    request = FetchRequest(now, forecasts_since=since)
    return fetch_dam(dam, archive, settings=settings, request=request, fetch=no_readings)


def row(report: FetchReport) -> dict[str, object]:
    return report.table.filter(pl.col("gauge") == "forecast_ifs").row(0, named=True)


@contextmanager
def service(now: datetime = NOW, **keys: object) -> Iterator[tuple[OpenMeteo, Settings, list[Received]]]:
    simulated = OpenMeteo(now, **keys)  # type: ignore[arg-type]
    with open_meteo_server(simulated) as (settings, received):
        yield simulated, settings, received


def predicted(day: date, run: datetime, zone: str = ZONE, member: int = 0) -> float:
    """Mean over the points of the rain that a run predicts for a local day, hour by hour."""
    start, end = day_start(day, zone), day_start(day + DAY, zone)
    stamps = [start + HOUR * (k + 1) for k in range(int((end - start) / HOUR))]
    return sum(value_of("precipitation", p, t, run, member) for p in POINTS for t in stamps) / len(POINTS)


def by_day(table: pl.DataFrame) -> dict[date, float]:
    return dict(table.select("valid_date", "value").iter_rows())


# The current forecast.


def test_a_fetch_stores_the_current_forecast_as_known_when_it_was_fetched(archive: Archive) -> None:
    dam = dam_with()
    with service() as (_, settings, received):
        report = fetch_at(NOW, dam, archive, settings)
    assert [request.path for request in received] == ["/forecast/v1/forecast"]
    assert received[0].query["latitude"] == "-33.9,-34.1" and received[0].query["models"] == "ecmwf_ifs"
    assert report.errors == {} and report.failure is None
    stored = archive.weather.versions(dam.weather)
    assert row(report)["rows"] == row(report)["new"] == stored.height > 2 * 24 * 8
    assert (row(report)["newest"], row(report)["station"], row(report)["source"]) == (NOW, "ecmwf_ifs", "open_meteo")
    assert stored.select(pl.col("issued_at", "known_at", "fetched_at").unique()).row(0) == (NOW, NOW, NOW)
    assert stored["valid_time"].min() == NOW.replace(minute=0)
    forcings = read_weather_forcings(dam, archive, NOW)
    run = newest_run(NOW)
    days = by_day(forcings)
    assert min(days) == date(2024, 7, 2), "the first local day that the forecast has from its start on"
    assert len(days) >= 7
    assert days == pytest.approx({day: predicted(day, run) for day in days}, abs=1e-3)
    assert forcings["known_time"].unique().to_list() == [NOW]


def test_the_same_forecast_is_not_stored_again_and_a_newer_one_is(archive: Archive) -> None:
    dam = dam_with()
    with service() as (simulated, settings, _):
        fetch_at(NOW, dam, archive, settings)
        simulated.now = NOW + timedelta(minutes=30)
        assert row(fetch_at(simulated.now, dam, archive, settings))["new"] == 0
        simulated.now = NOW + 6 * HOUR
        assert row(fetch_at(simulated.now, dam, archive, settings))["new"] > 0  # type: ignore[operator]
    assert archive.weather.versions(dam.weather)["issued_at"].unique().sort().to_list() == [NOW, NOW + 6 * HOUR]


def test_members_are_stored_by_local_day_and_their_mean_can_be_the_input(archive: Archive) -> None:
    dam = dam_with(members=True, ensemble_model="ecmwf_ifs025", input="member_mean")
    with service() as (_, settings, received):
        fetch_at(NOW, dam, archive, settings)
    assert [(r.path, r.query["models"]) for r in received] == [
        ("/forecast/v1/forecast", "ecmwf_ifs"), ("/v1/ensemble", "ecmwf_ifs025"),
    ]  # fmt: skip
    members = archive.weather.versions(dam.weather).filter(pl.col("member").is_not_null())
    assert sorted(members["member"].unique()) == list(range(MEMBERS))
    assert members["interval"].unique().to_list() == [86400]
    forcings = by_day(read_weather_forcings(dam, archive, NOW))
    run, day = newest_run(NOW), date(2024, 7, 3)
    mean = sum(predicted(day, run, member=m) for m in range(MEMBERS)) / MEMBERS
    assert forcings[day] == pytest.approx(mean, abs=1e-3)
    single = dam_with(members=True, ensemble_model="ecmwf_ifs025")
    assert by_day(read_weather_forcings(single, archive, NOW))[day] == pytest.approx(predicted(day, run), abs=1e-3)


# Past runs.


def test_past_runs_are_fetched_once_the_newest_first(archive: Archive) -> None:
    dam = dam_with()
    since = date(2024, 6, 20)
    with service() as (_, settings, received):
        planned = plan_dam(dam, archive, settings=settings, request=FetchRequest(NOW, forecasts_since=since))
        assert planned.filter(pl.col("source") == "open_meteo")["asks"].to_list() == [
            "current forecast", "11 single runs, 2024-06-20 00:00 to 2024-06-30 00:00 UTC, one request each",
        ]  # fmt: skip
        report = fetch_at(NOW, dam, archive, settings, since)
        runs = [request.query["run"] for request in received if request.path == "/single/v1/forecast"]
        assert runs == [f"2024-06-{day:02d}T00:00" for day in range(30, 19, -1)]
        assert row(report)["note"] is None and report.errors == {}
        count = len(received)
        fetch_at(NOW + HOUR, dam, archive, settings, since)
        assert len(received) == count + 1, "the current forecast only"
        fetch_at(NOW + 2 * HOUR, dam, archive, settings, since - 2 * DAY)
        assert [r.query.get("run") for r in received[count + 2 :]] == ["2024-06-19T00:00", "2024-06-18T00:00"]
    stored = archive.weather.versions(dam.weather).filter(pl.col("known_at") > pl.col("issued_at"))
    assert (stored["known_at"] - stored["issued_at"]).unique().to_list() == [6 * HOUR]
    assert (stored["valid_time"] >= stored["issued_at"]).all()


@pytest.mark.parametrize(
    ("zone", "hour", "offset"),
    [("+10:00", 0, 0), ("Asia/Kolkata", 12, 0), ("-08:00", 0, 1), ("+00:00", 12, 0), ("America/Chicago", 12, 0)],
)
def test_the_run_of_an_init_date_is_the_newest_that_was_known(zone: str, hour: int, offset: int) -> None:
    """At +10:00 the day ends at 14:00 UTC, so the run of 00 UTC is known and that of 12 UTC is not."""
    dam = dam_with(zone)
    day = date(2024, 6, 20)
    request = weather_fetch.WeatherRequest(day_start(day + DAY, zone) + HOUR, day, lambda: NOW)
    (run,) = weather_fetch.due_runs(dam.weather[0], dam, None, request)
    assert run == datetime(2024, 6, 20, hour, tzinfo=UTC) + offset * DAY
    assert run + 6 * HOUR <= init_time(day, zone) < run + 18 * HOUR


@pytest.mark.parametrize("clock", ["08:00", "00:30", "16:30", "23:00", None])
@pytest.mark.parametrize("zone", ["+10:00", "Asia/Kolkata", "America/Chicago", "+00:00"])
def test_the_runs_to_request_are_those_that_a_forecast_uses(zone: str, clock: str | None) -> None:
    """Of all runs of 00 and 12 UTC, each known after 6 hours; in Chicago the clocks change on 2024-11-03."""
    dam = dam_with(zone)
    if clock is not None:
        level = {"role": "target", "station": "lake", "variable": "reservoir_level", "unit": "m"}
        at_clock = level | {"reading": "instantaneous", "reading_at": clock}
        dam = small_dam(at_clock, weather=[{"id": "ifs", "model": "ecmwf_ifs", "points": TEXT}], time_zone=zone)
    dates = [date(2024, 11, 1) + k * DAY for k in range(5)]
    every = [datetime(2024, 10, 28, tzinfo=UTC) + k * 12 * HOUR for k in range(30)]
    rows = [("ifs", run, run + 6 * HOUR, run.date() + k * DAY, 1.0) for run in every for k in range(9)]
    table = pl.DataFrame(rows, schema=FORCINGS.columns, orient="row")
    used = set(newest_issues(table, dam, pl.Series(dates), range(1, 4))["issue_time"])
    request = weather_fetch.WeatherRequest(dam.known_by(dates[-1]), dates[0], lambda: NOW)
    assert set(weather_fetch.due_runs(dam.weather[0], dam, None, request)) == used
    before = weather_fetch.WeatherRequest(dam.known_by(dates[-1]) - timedelta(minutes=1), dates[0], lambda: NOW)
    assert len(weather_fetch.due_runs(dam.weather[0], dam, None, before)) == len(used) - 1, "the level is not read yet"


def test_a_level_read_at_eight_requests_the_run_of_today_once_it_is_read(archive: Archive) -> None:
    """08:00 of 1 July is 22:00 UTC of 30 June: the run of 12 UTC is known since 18:00."""
    level = {"role": "target", "station": "lake", "variable": "reservoir_level", "unit": "m"}
    reading = {"reading": "instantaneous", "reading_at": "08:00"}
    weather = [{"id": "ifs", "model": "ecmwf_ifs", "points": TEXT}]
    dam = small_dam(level | reading, weather=weather, time_zone=ZONE)
    with service() as (_, settings, received):
        fetch_at(NOW, dam, archive, settings, date(2024, 6, 29))
    runs = [request.query["run"] for request in received if "run" in request.query]
    assert runs == ["2024-06-30T12:00", "2024-06-29T12:00", "2024-06-28T12:00"]
    issues = newest_issues(read_weather_forcings(dam, archive, NOW), dam, pl.Series([date(2024, 7, 1)]), range(1, 3))
    assert issues["issue_time"].unique().to_list() == [datetime(2024, 6, 30, 12, tzinfo=UTC)]


@pytest.mark.parametrize("history", ["single_runs", "previous_runs"])
def test_past_forecasts_that_no_model_would_use_are_not_requested(archive: Archive, history: str) -> None:
    dam = dam_with(members=True, ensemble_model="ecmwf_ifs025", input="member_mean", history=history)
    with service() as (_, settings, received):
        planned = plan_dam(dam, archive, settings=settings, request=FetchRequest(NOW, forecasts_since=date(2024, 6, 1)))
        report = fetch_at(NOW, dam, archive, settings, date(2024, 6, 1))
    assert [request.path for request in received] == ["/forecast/v1/forecast", "/v1/ensemble"]
    assert planned.filter(pl.col("source") == "open_meteo").height == 2
    assert report.errors == {}
    assert str(row(report)["note"]) == (
        'forecast_ifs: no past forecast was requested, because input = "member_mean" uses members and the service has '
        'none of past runs; set input = "deterministic" in the dam file to use past runs'
    )


# The age of a run.


@pytest.mark.parametrize(("keys", "last"), [({}, 2), ({"max_age_h": 34}, 1), ({"max_age_h": 35}, 2),
                                            ({"max_age_h": 59}, 3), ({"max_age_h": 240}, 9)])  # fmt: skip
def test_after_a_gap_the_newest_forecast_is_used_up_to_its_largest_age(
    archive: Archive, keys: dict[str, object], last: int
) -> None:
    """Fetched on 1 July at 13:30; the forecasts of 1, 2 and 3 July are made 10.5, 34.5 and 58.5 hours later.

    The fetched forecast ends on 10 July.
    """
    dam = dam_with(**keys)
    with service() as (_, settings, _received):
        fetch_at(NOW, dam, archive, settings)
    table = read_weather_forcings(dam, archive, NOW)
    inits = pl.Series([date(2024, 7, day) for day in range(1, 15)])
    days = newest_issues(table, dam, inits, range(1, 3))["init_date"].unique().sort().to_list()
    assert days == [date(2024, 7, day) for day in range(1, last + 1)]
    used, lacking = forcing_notes(table, dam, date(2024, 7, last + 1))
    assert used == () and lacking[0].endswith("no issue covers the coming days; the models work without it.")


def test_an_interrupted_fetch_of_runs_resumes(archive: Archive) -> None:
    dam = dam_with()
    since = date(2024, 6, 1)
    with service(limit=6) as (simulated, settings, received):
        report = fetch_at(NOW, dam, archive, settings, since)
        assert "forecast_ifs: the service's limit of requests is reached (Hourly" in str(report.errors["forecast_ifs"])
        assert report.failure is None
        assert len(received) == 7
        assert row(report)["note"] == (
            "forecast_ifs: 5 past runs are stored by this command and 25 older ones are left; the same command "
            "continues later"
        )
        simulated.limit = None
        fetch_at(NOW + HOUR, dam, archive, settings, since)
    runs = [request.query["run"] for request in received if "run" in request.query]
    assert len(runs) == 30 + 1 and len(set(runs)) == 30, "only the refused one is requested again"
    assert len(archive.weather.runs(dam.weather[0], "ecmwf_ifs")) == 30


def test_missing_runs_are_missing_and_older_ones_are_used(archive: Archive) -> None:
    dam = dam_with()
    missing = datetime(2024, 6, 25, tzinfo=UTC)
    with service(missing_runs={missing}) as (_, settings, _received):
        report = fetch_at(NOW, dam, archive, settings, date(2024, 6, 20))
    assert row(report)["missing"] == 1
    table = read_weather_forcings(dam, archive, NOW)
    issues = newest_issues(table, dam, pl.Series([date(2024, 6, 25)]), range(1, 4))
    assert issues["issue_time"].unique().to_list() == [missing - DAY]


def test_the_search_for_older_runs_ends_where_the_service_has_none(archive: Archive) -> None:
    dam = dam_with()
    with service(first_run=datetime(2024, 6, 25, tzinfo=UTC)) as (_, settings, received):
        report = fetch_at(NOW, dam, archive, settings, date(2024, 4, 1))
    assert len([r for r in received if "run" in r.query]) == 6 + weather_fetch.MAX_MISSING
    assert "does not have the run of 2024-06-20 00:00 UTC and the 4 after it" in str(row(report)["note"])


def test_single_missing_runs_do_not_end_the_search(archive: Archive) -> None:
    """Of nine runs, four are missing before and four after one that exists."""
    last = datetime(2024, 6, 30, tzinfo=UTC)
    missing = {last - n * DAY for n in range(9)} - {last - 4 * DAY}
    dam = dam_with()
    with service(missing_runs=missing) as (_, settings, _received):
        report = fetch_at(NOW, dam, archive, settings, date(2024, 6, 10))
    stored = archive.weather.runs(dam.weather[0], "ecmwf_ifs")
    assert row(report)["missing"] == 8
    assert min(stored) == datetime(2024, 6, 10, tzinfo=UTC)


def test_no_run_before_the_first_of_the_model_is_requested() -> None:
    request = weather_fetch.WeatherRequest(datetime(2024, 3, 20, tzinfo=UTC), date(2020, 1, 1), lambda: NOW)
    dam = dam_with()
    assert weather_fetch.due_runs(dam.weather[0], dam, None, request)[-1] == datetime(2024, 3, 14, tzinfo=UTC)


# Limits of the free use.


def set_limits(monkeypatch: pytest.MonkeyPatch, **limits: int) -> None:
    """Give the service other limits for a test."""
    monkeypatch.setitem(SERVICES, "open_meteo", replace(SERVICES["open_meteo"], limits=Limits(**limits)))


def test_a_fetch_requests_a_bounded_number_of_runs_in_an_hour(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """80% of 10 requests, of which the current forecast takes 2: each of the two points counts."""
    pauses: list[float] = []
    monkeypatch.setattr(weather_fetch, "sleep", pauses.append)
    set_limits(monkeypatch, requests_per_minute=60, requests_per_hour=10, requests_per_day=1000)
    dam, since = dam_with(), date(2024, 6, 1)
    with service() as (_, settings, received):
        report = fetch_at(NOW, dam, archive, settings, since)
        assert len([r for r in received if "run" in r.query]) == 3
        assert str(row(report)["note"]) == (
            "forecast_ifs: 3 past runs are stored by this command and 27 older ones are left, because the free use of "
            "open_meteo is limited to 10 requests per hour; the same command continues in an hour"
        )
        assert all(1.5 < pause <= 2.0 for pause in pauses) and len(pauses) == 3
        fetch_at(NOW + 59 * timedelta(minutes=1), dam, archive, settings, since)
        assert len([r for r in received if "run" in r.query]) == 3, "the hour has not passed"
        fetch_at(NOW + 3 * HOUR, dam, archive, settings, since)
        assert len([r for r in received if "run" in r.query]) == 6


def test_the_count_of_a_day_covers_all_tables_and_later_commands(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """80% of 40 requests: 30 runs and the current forecast of the first table, that of the second, and no run of it."""
    set_limits(monkeypatch, requests_per_day=40)
    weather = [{"id": name, "model": name, "points": "-33.9,150.6"} for name in ("ecmwf_ifs", "ecmwf_aifs")]
    monkeypatch.setattr(weather_fetch, "FIRST_RUN", date(2024, 6, 1))
    dam, since = small_dam(rain_gauge(), weather=weather, time_zone=ZONE), date(2024, 6, 1)

    def notes(report: FetchReport) -> list[object]:
        return report.table["note"].tail(2).to_list()

    with service() as (simulated, settings, received):
        report = fetch_at(NOW, dam, archive, settings, since)
        assert [r.query["models"] for r in received if "run" in r.query] == ["ecmwf_ifs"] * 30
        left = (
            "forecast_ecmwf_aifs: 0 past runs are stored by this command and 30 older ones are left, because the free "
            "use of open_meteo is limited to 40 requests per day; the same command continues tomorrow (after 00:00 UTC)"
        )
        assert notes(report) == [None, left]
        with open_archive(f"sqlite:///{tmp_path}/another.db") as another:
            fetch_at(NOW + HOUR, dam, another, settings, since)
        assert len([r for r in received if "run" in r.query]) == 30, "the count is that of the machine"
        simulated.now = NOW + DAY
        report = fetch_at(simulated.now, dam, archive, settings, since)
        assert len([r for r in received if "run" in r.query]) == 30 + 1 + 29, "32 requests, two current forecasts"
        assert "29 past runs are stored by this command and 2 older ones are left" in str(notes(report)[1])


def test_the_users_own_key_has_no_limit_of_the_free_use(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    set_limits(monkeypatch, requests_per_day=10)
    simulated = OpenMeteo(NOW)
    with open_meteo_server(simulated, key="secret") as (settings, received):
        report = fetch_at(NOW, dam_with(), archive, settings, date(2024, 6, 1))
        assert not (Path(settings.cache) / "requests").exists()
    assert len([r for r in received if "run" in r.query]) == 30 and row(report)["note"] is None


def test_spans_of_past_forecasts_stay_within_the_limit_too(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    set_limits(monkeypatch, requests_per_day=10, days_per_request=12)
    dam = dam_with(history="previous_runs")
    with service() as (_, settings, received):
        report = fetch_at(NOW, dam, archive, settings, date(2024, 4, 1))
    spans = [r.query["start_date"] for r in received if r.path.startswith("/previous")]
    assert len(spans) == 3 and spans == sorted(spans, reverse=True), "8 requests, 2 of them for the current forecast"
    assert "3 spans of past forecasts are stored by this command and 7 older ones are left" in str(row(report)["note"])


# Faults.


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (refusal("Parameter 'models' is invalid"), r"forecast_ifs: the service refused the request \(Parameter"),
        (Reply(b"<html>"), "the answer is not JSON"),
        (Reply(b"{}"), "lies outside the domain of the model"),
    ],
)
def test_a_fault_of_one_part_does_not_stop_the_others(archive: Archive, reply: Reply, message: str) -> None:
    dam = dam_with(members=True)
    with service(errors=[reply] * (4 if reply.body == b"<html>" else 1)) as (_, settings, _received):
        report = fetch_at(NOW, dam, archive, settings, date(2024, 6, 29))
    assert list(report.errors) == ["forecast_ifs"] and message.replace("\\", "") in str(report.errors["forecast_ifs"])
    stored = archive.weather.versions(dam.weather)
    assert stored["member"].n_unique() > MEMBERS - 1 and len(archive.weather.runs(dam.weather[0], "ecmwf_ifs")) == 2
    assert row(report)["error"] == str(report.errors["forecast_ifs"])


def test_a_service_with_a_wrong_clock_or_no_members_is_refused(archive: Archive) -> None:
    dam = dam_with(members=True)
    with service(now=NOW - 9 * DAY) as (_, settings, _received):
        report = fetch_at(NOW, dam, archive, settings)
    assert "the forecast begins at 2024-06-22 00:00 UTC, but the time is 2024-07-01 03:30 UTC" in str(
        report.errors["forecast_ifs"]
    )
    assert archive.weather.versions(dam.weather).is_empty()


def test_a_service_that_ignores_the_run_is_refused(archive: Archive) -> None:
    dam = dam_with()
    simulated = OpenMeteo(NOW)

    def without_run(request: Received) -> Reply:
        path = "/forecast/v1/forecast"
        return simulated.answer(Received(request.method, path, request.query, request.headers, b""))

    with loopback_server(without_run) as (url, _):
        endpoints = {name: f"{url}/{name}" for name in ("forecast", "single_runs")}
        settings = Settings.model_validate({"sources": {"open_meteo": {"url": url, "endpoints": endpoints}}})
        report = fetch_at(NOW, dam, archive, settings, date(2024, 6, 28))
    assert "instead of on the day of the run 2024-06-30 00:00 UTC" in str(report.errors["forecast_ifs"])
    assert archive.weather.runs(dam.weather[0], "ecmwf_ifs") == set()


def test_an_unexpected_error_is_reported_and_the_gauges_are_stored(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(send: Send, *_: object, **__: object) -> pl.DataFrame:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(forecasts, "current_forecast", fail)
    with service() as (_, settings, _received):
        report = fetch_at(NOW, dam_with(), archive, settings)
    assert str(report.errors["forecast_ifs"]) == "forecast_ifs: ZeroDivisionError: by zero; please report it"


# Days before: N = lead looks ahead.


def test_values_of_previous_days_enter_with_one_day_more_than_the_lead(archive: Archive) -> None:
    """At lead day k, N = k + 1 is known at the init time; N = k comes from runs that were published after it."""
    dam = dam_with(history="previous_runs")
    with service() as (_, settings, received):
        fetch_at(NOW, dam, archive, settings, date(2024, 5, 1))
        count = len(received)
        fetch_at(NOW + HOUR, dam, archive, settings, date(2024, 5, 1))
        assert len(received) <= count + 2, "stored days are not requested again"
    table = read_weather_forcings(dam, archive, NOW)
    init = date(2024, 6, 10)
    start = init_time(init, ZONE)
    issues = newest_issues(table, dam, pl.Series([init]), range(1, 8))
    assert issues["day"].to_list() == [1, 2, 3, 4, 5, 6], "N = 7 serves lead day 6"
    for k, value in issues.select("day", "value").iter_rows():
        end = day_start(init + (k + 1) * DAY, ZONE)
        stamps = [end - hour * HOUR for hour in range(24)]
        runs = {p: [newest_run(t - (k + 1) * DAY, delay=timedelta(0)) for t in stamps] for p in POINTS}
        expected = sum(value_of("precipitation", p, t, r) for p in POINTS for t, r in zip(stamps, runs[p], strict=True))
        assert value == pytest.approx(expected / len(POINTS), abs=1e-3)
        assert max(runs[POINTS[0]]) + 6 * HOUR <= start, "every run was published before the init time"
        with_lead = [newest_run(t - k * DAY, delay=timedelta(0)) for t in stamps]
        assert max(with_lead) <= start < max(with_lead) + 6 * HOUR, "N = k: started before, published after"


# Live equals hindcast.


def test_live_inputs_equal_those_of_the_hindcast_and_use_only_runs_known_at_the_init_time(archive: Archive) -> None:
    dam = dam_with()
    first, last = date(2024, 6, 1), date(2024, 6, 20)
    live: dict[date, pl.DataFrame] = {}

    def inputs_of(days: list[date], now: datetime) -> pl.DataFrame:
        table = read_weather_forcings(dam, archive, now)
        frame = pl.DataFrame({"date": days})
        ahead = forcing_inputs(table, dam, frame, pl.Series([1.0] * len(days)).to_numpy(), (1, 3, 7))
        parts = (part.select(pl.all().name.suffix(f" {k}")) for k, part in ahead.items())
        return pl.concat([frame, *parts], how="horizontal")

    with service(now=init_time(first - 5 * DAY, ZONE)) as (simulated, settings, _):
        fetch_at(simulated.now, dam, archive, settings, first - 15 * DAY)
        for day in (first + k * DAY for k in range((last - first).days + 1)):
            for hours in (-14, -2, 9):  # three fetches a day, the last one after the init time
                simulated.now = init_time(day, ZONE) + hours * HOUR
                fetch_at(simulated.now, dam, archive, settings)
                if hours == -2:
                    live[day] = inputs_of([day], init_time(day, ZONE))
    hindcast = inputs_of(list(live), NOW)
    assert hindcast.height == 20 and hindcast.drop("date").null_count().sum_horizontal().item() == 0
    for day, inputs in live.items():
        assert inputs.equals(hindcast.filter(pl.col("date") == day)), day
    table = read_weather_forcings(dam, archive, NOW)
    used = newest_issues(table, dam, pl.Series(list(live)), range(1, 8))
    starts = {day: init_time(day, ZONE) for day in live}
    assert all(issue <= starts[day] for day, issue in used.select("init_date", "issue_time").iter_rows())
    too_early = table.with_columns(pl.col("known_time") - 12 * HOUR)
    assert not newest_issues(too_early, dam, pl.Series(list(live)), range(1, 8)).equals(used), "the check sees a leak"


def test_a_day_of_another_zone_is_not_used(archive: Archive) -> None:
    """Two dams share a point: the days of members are those of the dam that fetched them."""
    east, west = (dam_with(zone, members=True, input="member_mean") for zone in ("+10:00", "-08:00"))
    with service() as (_, settings, _received):
        fetch_at(NOW, east, archive, settings)
    assert not read_weather_forcings(east, archive, NOW).is_empty()
    assert read_weather_forcings(west, archive, NOW).is_empty()
