"""`forebay simulate`: the same seed gives the same files, no dam depends on the others, and the truth stays true."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from forebay.dams.dam_file import load_dam
from forebay.errors import ConfigError
from forebay.jobs.simulate import Fleet, write_fleet
from forebay.settings import Settings
from forebay.sources.csv_files import fetch_readings
from forebay.sources.quality import MISSING
from forebay.sources.simulated_fleet import RULES, ZONES, fleet_dam, mean_rain_mm, mean_runoff_mm
from tests.command_line import forebay as command
from tests.synthetic import NOW


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three dams of two years."""
    place = tmp_path_factory.mktemp("fleet")
    write_fleet(Fleet(3, seed=7, years=2), place)
    return place


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_dam_does_not_depend_on_the_number_of_dams_and_the_seed_decides(folder: Path, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    write_fleet(Fleet(1, seed=7, years=2), tmp_path / "one", lambda *call: calls.append(call))
    assert calls == [("simulate", 1, 1)], "the progress ends at its total"
    write_fleet(Fleet(1, seed=8, years=2), tmp_path / "other")
    first, all_files = files(tmp_path / "one"), files(folder)
    assert len(first) == 4 and first == {name: all_files[name] for name in first}
    assert files(tmp_path / "other")["sim-00001.csv"] != first["sim-00001.csv"]


def test_a_longer_record_has_the_same_earlier_days(folder: Path, tmp_path: Path) -> None:
    write_fleet(Fleet(1, seed=7, years=2, last_day=date(2021, 3, 31)), tmp_path)
    short, long = ((place / "sim-00001.csv").read_text().splitlines() for place in (tmp_path, folder))
    assert len(short) == 1 + 366 + 90
    assert short == long[: len(short)]


def test_every_dam_is_named_simulated_and_can_be_read(folder: Path) -> None:
    for number in (1, 2, 3):
        dam = load_dam(str(folder / f"sim-0000{number}.toml"))
        assert dam.simulated and "simulated" in dam.name and all("simulated" in gauge.name for gauge in dam.gauges)
        assert "no such dam" in dam.notes and dam.has_position and dam.has_volume


def test_readings_are_the_truth_outside_of_its_faults(folder: Path) -> None:
    dam = load_dam(str(folder / "sim-00001.toml"))
    truth = pl.read_parquet(folder / "truth" / "sim-00001.parquet")
    faults = pl.read_csv(folder / "truth" / "sim-00001-faults.csv", try_parse_dates=True)
    assert set(faults["fault"]) >= {"unavailable"}
    for gauge in dam.gauges:
        assert gauge.file is not None and gauge.station == gauge.file.value.replace("SIM", "SIM-00001")
        column = "level_m" if gauge.role == "target" else gauge.file.value
        read = fetch_readings(gauge, dam, None, date(2021, 12, 31), settings=Settings(), now=NOW.replace(year=2026))
        days = read.select(pl.col("time").dt.convert_time_zone("UTC"), "value", "quality")
        local = days["time"].dt.offset_by(dam.time_zone.replace("+", "").replace(":", "h") + "m").dt.date()
        rows = pl.DataFrame({"date": local, "value": read["value"], "quality": read["quality"]})
        of_gauge = faults.filter(station=gauge.file.value)
        sound = rows.join(of_gauge, on="date", how="anti").join(truth.select("date", column), on="date")
        error = (sound["value"] - sound[column]).abs()
        limit = 0.2 + 1e-6 if gauge.variable == "rainfall" else 0.02
        assert sound.height > 300 and sound["value"].null_count() == 0, gauge.station
        assert error.quantile(0.95) <= limit, gauge.station
        unusable = rows.join(of_gauge.filter(fault="unavailable"), on="date", how="semi")
        assert set(unusable["quality"]) <= {MISSING}, gauge.station


def test_the_lakes_of_a_fleet_keep_their_balance_and_none_is_stuck(folder: Path) -> None:
    for number in (1, 2, 3):
        days = pl.read_parquet(folder / "truth" / f"sim-0000{number}.parquet")
        gained = pl.col("inflow_ml") + pl.col("lake_rain_ml")
        lost = sum(pl.col(f"{name}_ml") for name in ("lake_evaporation", "demand", "release", "spill"))
        assert days.select((pl.col("storage_ml").diff() - gained + lost).abs().max()).item() < 1e-6
        assert days["storage_ml"].min() > 0 and days["level_m"].std() > 0.05


def test_a_fleet_has_every_climate_and_rule() -> None:
    dams = [fleet_dam(1, number) for number in range(1, 121)]
    assert {dam.zone for dam in dams} == set(ZONES) and {dam.rule for dam in dams} == set(RULES)
    assert {len(dam.catchment.river_stations) for dam in dams} == {0, 1, 2}
    assert {len(dam.catchment.rain_stations) for dam in dams} == {1, 2, 3, 4, 5}
    areas = sorted(dam.catchment.area_km2 for dam in dams)
    assert areas[0] < 150 and areas[-1] > 3000
    for dam in dams:  # water that runs off is less than rain, and demand less than what runs off
        climate, lake = dam.catchment.climate, dam.catchment.lake
        assert 0 < mean_runoff_mm(climate) < mean_rain_mm(climate)
        assert 365.25 * lake.demand_ml < mean_runoff_mm(climate) * dam.catchment.area_km2
        assert (lake.outlet_ml > 0) == (dam.rule == "flood control")
        assert list(lake.curve_ml) == sorted(set(lake.curve_ml)), "a storage curve rises"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dams": 0}, "--dams 0 is not possible; give a number from 1 to 99999"),
        ({"dams": 1, "years": 0}, "--years 0 is not possible; give a number from 1 to 100"),
        ({"dams": 1, "seed": -1}, "--seed -1 is not possible"),
        ({"dams": 1, "years": 100, "last_day": date(1999, 1, 1)}, "begins before 1901"),
    ],
)
def test_wrong_numbers_are_refused(options: dict[str, int], sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        Fleet(**options)


def test_the_command_names_folder_days_and_truth(tmp_path: Path) -> None:
    done = command("simulate", "--dams", 1, "--years", 1, "-o", tmp_path / "fleet", "--json")
    assert done.code == 0, done.err
    assert done.json == {
        "simulated": True,
        "first_day": "2021-01-01",
        "last_day": "2021-12-31",
        "dams": [str(tmp_path / "fleet" / "sim-00001.toml")],
    }
    (tmp_path / "file").write_text("")
    failed = command("simulate", "--dams", 1, "-o", tmp_path / "file" / "fleet")
    assert failed.code == 2 and "cannot be written" in failed.err
