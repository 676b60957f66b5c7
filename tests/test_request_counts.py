"""Counts of requests to a service that limits its free use: by hour and day, over commands, in the cache folder."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from forebay.services import SERVICES, Limits
from forebay.settings import Settings
from forebay.sources.open_meteo import fetch_readings
from forebay.sources.request import Request
from forebay.sources.request_counts import Allowance, count_requests, history_allowance
from tests.services.open_meteo import OpenMeteo, open_meteo_server
from tests.synthetic import rain_gauge, small_dam

NOW = datetime(2024, 7, 1, 0, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(requests_per_hour=100, requests_per_day=200)
    monkeypatch.setitem(SERVICES, "open_meteo", replace(SERVICES["open_meteo"], limits=limits))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=str(tmp_path / "cache"))


def send_at(instant: datetime, settings: Settings, *costs: int, service: str = "open_meteo") -> None:
    """Requests of these costs that a command sends at an instant."""
    send = count_requests(lambda _: b"answer", service, settings, lambda: instant)
    for cost in costs:
        assert send(Request("https://service.example/", cost=cost)) == b"answer"


def left(now: datetime, settings: Settings) -> Allowance:
    allowance = history_allowance("open_meteo", settings, now)
    assert allowance is not None
    return allowance


def test_past_forecasts_may_use_four_fifths_of_the_lower_limit(settings: Settings) -> None:
    assert left(NOW, settings) == Allowance(80, 100, "hour")
    send_at(NOW, settings, 1, 20, 4)
    assert left(NOW, settings) == Allowance(55, 100, "hour")
    send_at(NOW + MINUTE, settings, 70)
    assert left(NOW + MINUTE, settings) == Allowance(0, 100, "hour"), "never negative"


def test_the_hour_passes_and_the_day_continues(settings: Settings) -> None:
    send_at(NOW, settings, 80)
    send_at(NOW + 30 * MINUTE, settings, 10)
    assert left(NOW + 59 * MINUTE, settings) == Allowance(0, 100, "hour")
    assert left(NOW + 60 * MINUTE, settings) == Allowance(70, 200, "day"), "80 less 10, and 160 less 90"
    assert left(NOW + 90 * MINUTE, settings) == Allowance(70, 200, "day"), "80, and 160 less 90"


def test_the_day_is_that_of_utc_and_the_hour_crosses_midnight(settings: Settings) -> None:
    send_at(NOW - 30 * MINUTE, settings, 30)  # 23:50 of 30 June
    assert left(NOW, settings) == Allowance(50, 100, "hour")
    assert left(NOW + 31 * MINUTE, settings) == Allowance(80, 100, "hour"), "nothing of 1 July is used"
    send_at(NOW.astimezone(timezone(timedelta(hours=10))), settings, 7)
    assert left(NOW + 31 * MINUTE, settings) == Allowance(73, 100, "hour"), "any zone of the clock"


def test_old_days_are_deleted_and_a_damaged_line_does_not_count(settings: Settings) -> None:
    folder = Path(settings.cache) / "requests"
    for days in (9, 2, 1):
        send_at(NOW - timedelta(days=days), settings, 3)
    send_at(NOW, settings, 5)
    assert sorted(path.name for path in folder.iterdir()) == ["open_meteo-2024-06-30.txt", "open_meteo-2024-07-01.txt"]
    path = folder / "open_meteo-2024-07-01.txt"
    assert path.read_text() == "2024-07-01T00:20:00+00:00 5\n"
    path.write_bytes(path.read_bytes() + b"2024-07-01T00:20:00 9\n2024-07-01T00:20:00+00:00\n\xff\n2024-07-0")
    assert left(NOW, settings) == Allowance(75, 100, "hour")


def test_a_folder_that_cannot_be_written_stops_no_request(settings: Settings) -> None:
    Path(settings.cache).write_text("a file in place of the folder")
    send_at(NOW, settings, 5)
    assert left(NOW, settings) == Allowance(80, 100, "hour")


def test_a_service_without_a_limit_has_no_count(settings: Settings) -> None:
    send_at(NOW, settings, 5, service="waternsw")
    assert history_allowance("waternsw", settings, NOW) is None
    assert not Path(settings.cache).exists()


def test_the_requests_of_gauges_count_with_each_of_their_points() -> None:
    """Two points over 400 days in parts: each part counts twice."""
    points = {"points": "-33.9,150.6; -34.1,150.2"}
    gauge = rain_gauge(source="open_meteo", station="catchment", request=points)
    dam = small_dam(gauge, time_zone="+10:00")
    with open_meteo_server(OpenMeteo(NOW)) as (settings, received):
        fetch_readings(dam.gauges[1], dam, date(2023, 5, 1), date(2024, 6, 1), settings=settings, now=NOW)
        assert left(NOW, settings).requests == 80 - 2 * len(received) < 80
