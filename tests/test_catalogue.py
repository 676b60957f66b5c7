"""The catalogue: each dam has an origin, and each dam that a recording verifies is replayed to its daily table."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from forebay.dams.dam_file import catalogue, load_dam
from tests import catalogue_page
from tests.command_line import CommandResult, forebay
from tests.recorded_places import cwms_rows, flood_labels, flood_measures, places
from tests.replay import REPLAYS
from tests.shared import PROJECT, needs_shared

DAMS = {name: load_dam(name) for name in catalogue()}
REAL = [name for name, dam in DAMS.items() if not dam.simulated]
RECORDED = [name for name in REAL if DAMS[name].verified == "recording"]


def test_every_real_dam_names_its_origin_and_what_verifies_it() -> None:
    assert len(REAL) >= 15
    for name in REAL:
        dam = DAMS[name]
        assert dam.verified in ("recording", "documentation"), name
        assert len(dam.origin) > 40, f"{name}: the publications that give stations, coordinates and levels"
        assert len(dam.notes) > 40, f"{name}: unit, datum and what is not known"
        assert dam.licence, name
        assert dam.full_supply is not None or "full supply" in dam.notes.lower(), f"{name}: the notes say what lacks"


def test_the_dams_that_a_recording_verifies_are_those_with_a_replay() -> None:
    assert sorted(RECORDED) == sorted(REPLAYS)


@needs_shared
@pytest.mark.parametrize("name", RECORDED)
def test_a_recording_replayed_to_the_daily_table(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    replay = REPLAYS[name]()
    first, last = replay.span
    archive = f"sqlite:///{tmp_path / 'archive.db'}"
    span = ("--since", first, "--until", last, "--archive", archive)
    with replay.server() as (url, received):
        monkeypatch.setenv(f"FOREBAY_SOURCES__{replay.service.upper()}__URL", url)
        planned = forebay("fetch", name, "--dry-run", "--json", *span)
        fetched = forebay("fetch", name, "--json", *span)
    assert (planned.code, fetched.code, fetched.err) == (0, 0, "")
    assert {row["host"] for row in planned.json} == {url.split("/")[2]}
    if received:
        assert {replay.asks(request) for request in received} - {""} == {row["asks"] for row in planned.json}
    table_file = tmp_path / "daily.parquet"
    assert forebay("daily", name, "-o", table_file, "--archive", archive).code == 0
    table = pl.read_parquet(table_file)
    assert set(replay.days) == {gauge.column for gauge in DAMS[name].gauges}
    assert (table["date"][0], table["date"][-1], len(table)) == (first, last, (last - first).days + 1)
    for column, days in replay.days.items():
        expected = [days.get(first + timedelta(days=k), (None, "absent")) for k in range(len(table))]
        values, flags = map(list, zip(*expected, strict=True))
        for value, recorded in zip(table[column], values, strict=True):
            assert value == (None if recorded is None else pytest.approx(recorded, rel=1e-9)), column
        assert table[f"{column}_flag"].to_list() == flags, column


def run_of(name: str, monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str) -> CommandResult:
    """Result of `forebay run` in `folder`, with an archive that holds the recording only."""
    replay = REPLAYS[name]()
    monkeypatch.chdir(folder)
    archive = ("--archive", f"sqlite:///{folder / 'archive.db'}")
    with replay.server() as (url, _):
        monkeypatch.setenv(f"FOREBAY_SOURCES__{replay.service.upper()}__URL", url)
        assert forebay("fetch", name, "--since", replay.span[0], *archive).code == 0
        return forebay("run", name, *archive, *options)


@needs_shared
def test_a_run_of_a_record_that_is_too_short_fails_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result = run_of("shasta", monkeypatch, tmp_path)
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "forebay: Shasta Lake: a usable level on 2026-08-15 only; a forecast needs at least 2 days with a level\n"
    )


@needs_shared
def test_a_run_of_a_few_days_has_medians_and_says_what_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Five days at Lake Cargelligo; the last level is 155.938 m."""
    result = run_of("lake_cargelligo", monkeypatch, tmp_path, "--json")
    assert (result.code, result.err) == (0, "")
    assert result.json["lacks"][0].startswith("The record (5 days) is too short for the regression")
    table = pl.read_csv(tmp_path / "runs" / "lake_cargelligo" / "forecast.csv")
    medians = table.filter(pl.col("model") == "default").select("lead_time", "quantile").rows()
    assert medians == [(lead, 0.5) for lead in range(1, 8)]
    assert (tmp_path / "runs" / "lake_cargelligo" / "report.html").exists()


@pytest.mark.parametrize("name", REAL)
def test_the_plan_of_a_fetch(name: str, tmp_path: Path) -> None:
    """Every gauge has requests to its service: station and keys of `request` obey the rules of the service."""
    archive = f"sqlite:///{tmp_path / 'archive.db'}"
    planned = forebay("fetch", name, "--dry-run", "--json", "--since", "2024-01-01", "--archive", archive)
    assert (planned.code, planned.err) == (0, "")
    assert {row["station"] for row in planned.json} == {gauge.station for gauge in DAMS[name].gauges}
    assert {row["source"] for row in planned.json} == set(DAMS[name].services)


def test_the_command_lists_service_unit_and_state() -> None:
    rows = {row["id"]: row for row in forebay("dams", "--json").json}
    assert list(rows) == list(DAMS)
    corin = {"services": ["bom"], "target": "storage", "unit": "ML", "verified": "recording", "simulated": False}
    assert rows["corin"] | corin == rows["corin"]
    assert rows["corin"]["origin"] == DAMS["corin"].origin
    assert (rows["demo"]["verified"], rows["demo"]["simulated"]) == (None, True)
    text = forebay("dams").out
    for name, dam in DAMS.items():
        (line,) = re.findall(rf"^.*\b{name} .*$", text, re.MULTILINE)
        state = "simulated" if dam.simulated else dam.verified
        assert all(cell in line for cell in (dam.country, dam.target.unit, *dam.services, str(state))), line


@needs_shared
def test_places_are_those_of_the_recorded_stations() -> None:
    """Where a recording has the target's station with coordinates, the dam lies there, to the last digit."""
    recorded = places()
    stations = {name: (DAMS[name].target_gauge.source, DAMS[name].target_gauge.station) for name in REAL}
    with_place = [name for name in REAL if stations[name] in recorded]
    assert set(with_place) == {
        "abbeystead", "alvin_bush", "corin", "grayson_lake", "haweswater", "lake_cargelligo", "lake_cawndilla",
        "lake_greeson", "lake_menindee", "lake_wetherell", "taylorsville_lake", "thirlmere",
    }  # fmt: skip
    for name in with_place:
        assert (DAMS[name].latitude, DAMS[name].longitude) == pytest.approx(recorded[stations[name]], abs=1e-8), name


@needs_shared
def test_gauges_of_flood_monitoring_are_recorded_stations_with_their_measures() -> None:
    gauges = [gauge for name in REAL for gauge in DAMS[name].gauges if gauge.source == "uk_ea_flood"]
    assert len(gauges) == 7
    for gauge in gauges:
        assert ("uk_ea_flood", gauge.station) in places()
        assert dict(gauge.request)["measure"] in flood_measures()


@needs_shared
@pytest.mark.parametrize("name", ["haweswater", "thirlmere"])
def test_full_supply_is_the_spillway_level_in_the_name_of_the_station(name: str) -> None:
    level = DAMS[name].full_supply
    assert level is not None
    assert f"(Spillway level = {level.value}m)" in flood_labels()[DAMS[name].target_gauge.station]


@needs_shared
@pytest.mark.parametrize("name", ["alvin_bush", "grayson_lake", "lake_greeson", "taylorsville_lake"])
def test_office_zone_and_datum_are_those_of_the_recorded_catalog(name: str) -> None:
    dam = DAMS[name]
    rows = [row for row in cwms_rows() if row["CWMS_TS_ID"] == dam.target_gauge.station]
    (row,) = [row for row in rows if row["UNIT_ID"] == "ft"]
    request = dict(dam.target_gauge.request)
    assert request["office"] == row["DB_OFFICE_ID"]
    assert {"US/Eastern": "America/New_York", "US/Central": "America/Chicago"}[row["TIME_ZONE_NAME"]] == dam.time_zone
    if dam.target.variable == "reservoir_level":
        assert request["datum"].replace("-", "") == row["VERTICAL_DATUM"] == "NGVD29"


def test_the_page_equals_the_dam_files() -> None:
    assert catalogue_page.PAGE.read_text("utf-8") == catalogue_page.page(), "run `python -m tests.catalogue_page`"
    assert f"[{len(REAL)} real dams](docs/catalogue.md)" in (PROJECT / "README.md").read_text("utf-8")


def test_the_page_links_the_recipes_of_the_other_continents() -> None:
    text = catalogue_page.page()
    for continent in ("Africa", "Asia", "South America"):
        assert re.search(rf"^- {continent}: \[.+\]\(other_services.md#.+\)", text, re.MULTILINE), continent
    assert {catalogue_page.CONTINENTS[DAMS[name].country] for name in REAL} == {"Europe", "North America", "Oceania"}
