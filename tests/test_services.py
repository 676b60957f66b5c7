"""The table of services: a new service of a known protocol needs one entry only."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from forebay.dams.dam_file import catalogue, load_dam
from forebay.errors import ConfigError
from forebay.services import (
    SERVICES,
    Limits,
    Service,
    default_urls,
    service_named,
    services_offering,
    services_with_quality_codes,
)
from forebay.settings import Settings, load_settings
from forebay.sources import PROTOCOLS, fetch_readings
from forebay.sources.quality import grades
from forebay.tables import GRADES
from tests import service_page
from tests.command_line import forebay
from tests.hydstra_server import hydstra_server
from tests.shared import PROJECT, needs_shared
from tests.station_server import Service as StationService
from tests.station_server import around_warragamba, station_server

TOY = "toywater"


def test_every_service_has_a_known_protocol_and_grades_on_the_scale() -> None:
    for name, service in SERVICES.items():
        assert service.protocol in PROTOCOLS, name
        assert set(service.quality_codes) <= set(GRADES), name
        codes = " ".join(service.quality_codes.values()).split()
        assert len(grades(name)) == sum(_length(span) for span in codes), f"{name}: a code has two grades"
        if "stations" in service.offers:
            assert PROTOCOLS[service.protocol].search_stations is not None, name


def _length(span: str) -> int:
    match = re.fullmatch(r"(\d+)-(\d+)", span)
    return int(match[2]) - int(match[1]) + 1 if match else 1


def test_names_of_services_by_purpose() -> None:
    hydstra = ["waternsw", "vicwater", "qldwater"]
    for names in (services_offering("stations"), services_with_quality_codes(), list(default_urls())):
        assert names[:3] == hydstra
    assert "kiwis" in default_urls() and default_urls()["kiwis"] == "", "the user gives its URL"
    assert "kiwis" not in services_with_quality_codes()
    assert services_offering("weather_forecasts") == ["open_meteo"]
    with pytest.raises(ConfigError, match="source 'bmo' is unknown; allowed are waternsw, vic"):
        service_named("bmo")


def test_the_lower_of_two_limits_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(points_per_request=500, days_per_request=50_000)
    monkeypatch.setitem(SERVICES, TOY, Service("Toy Water", "hydstra", "http://127.0.0.1/", limits=limits))
    http = Settings().http_for(TOY)
    assert (http.points_per_request, http.days_per_request, http.requests_at_once) == (500, 3660, 2)
    assert Settings().http_for("waternsw") == Settings().http


def test_the_page_equals_the_table_of_services() -> None:
    written = (PROJECT / "docs" / "services.md").read_text("utf-8")
    assert written == service_page.page(), "run `python -m tests.service_page`"


def test_the_help_of_stations_names_every_searchable_service() -> None:
    text = re.sub(r"[\s│]+", " ", forebay("stations", "--help").out)
    assert ", ".join(services_offering("stations")) in text


@pytest.fixture
def toy_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A new agency, and a dam file with gauges of the agency."""
    entry = Service(
        title="Toy Water",
        protocol="hydstra",
        url="https://toy.example/cgi/webservice.exe",
        offers=("readings", "stations"),
        quality_codes={"good": "4", "missing": "201 255"},
        options={"datasource": "CP"},
    )
    monkeypatch.setitem(SERVICES, TOY, entry)
    path = tmp_path / "toy.toml"
    path.write_text(catalogue()["warragamba"].replace('source = "waternsw"', f'source = "{TOY}"'), "utf-8")
    monkeypatch.chdir(tmp_path)
    return path


def test_one_entry_adds_an_agency_to_dam_files_settings_plans_and_search(
    toy_service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {gauge.source for gauge in load_dam(str(toy_service)).gauges} == {TOY}
    assert grades(TOY)["201"] == "missing"
    settings = {row["setting"]: row for row in forebay("settings", "--json").json}
    assert settings[f"sources.{TOY}.url"]["value"] == SERVICES[TOY].url
    planned = forebay("fetch", toy_service, "--dry-run", "--archive", "sqlite:///none.db", "--json").json
    assert {(row["source"], row["host"]) for row in planned} == {(TOY, "toy.example")}
    assert f"`{TOY}`" in service_page.page()
    with station_server(StationService(around_warragamba())) as url:
        monkeypatch.setenv(f"FOREBAY_SOURCES__{TOY.upper()}__URL", url)
        stations = forebay("stations", toy_service, "--json").json
    assert (stations["sources"], len(stations["stations"])) == ([TOY], 3)


@needs_shared
def test_one_entry_is_enough_to_fetch_from_an_agency(toy_service: Path) -> None:
    dam = load_dam(str(toy_service))
    with hydstra_server() as url:
        settings, _ = load_settings(Path(), {f"FOREBAY_SOURCES__{TOY.upper()}__URL": url})
        now = datetime(2022, 1, 20, tzinfo=UTC)
        readings = fetch_readings(
            dam.target_gauge, dam, date(2020, 1, 1), date(2020, 12, 31), settings=settings, now=now
        )
    assert readings["source"].unique().to_list() == [TOY]
    assert len(readings) == 366
    assert set(readings["quality"]) <= {"good", "unknown", "missing"}
