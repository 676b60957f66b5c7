"""Every dam of the shared data: its file loads, is read completely, and its numbers equal the text."""

import csv
from pathlib import Path

import polars as pl
import pytest

from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from forebay.sources import csv_files
from forebay.tables import READINGS, flag_of
from tests.csv_tables import daily_from_files
from tests.shared import needs_shared

FILES = sorted((Path(__file__).parent / "dams").glob("*.toml"))
NAMES = {"warragamba", "bilancino", "cantareira", "beltzville", "cannonsville"}
NAMES |= {"lavon", "canyon", "georgetown", "conroe", "salagou", "olivettes", "palisades", "jackson_lake"}
NAMES |= {"kabini", "folsom"}

pytestmark = needs_shared


def test_every_dam_of_the_shared_data_has_a_file() -> None:
    assert {path.stem for path in FILES} == NAMES
    assert {load_dam(str(path)).id for path in FILES} == NAMES


def _rows(gauge: Gauge) -> list[dict[str, str]]:
    assert gauge.file is not None
    with open(gauge.file.path, encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_is_read_completely(path: Path) -> None:
    dam = load_dam(str(path))
    for gauge in dam.gauges:
        readings = csv_files.parse_readings(*csv_files.read_gauge_files(gauge).values(), [gauge], dam)
        READINGS.check(readings, unique=True)
        rows = _rows(gauge)
        assert gauge.file is not None
        assert [text or "" for text in readings["raw_value"]] == [row[gauge.file.value] for row in rows]
        for row, value in list(zip(rows, readings["value"], strict=True))[:: len(rows) // 50]:
            if value is not None:
                number = gauge.scale * float(row[gauge.file.value])
                expected = gauge.kind.to_canonical(number, gauge.unit)
                assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_levels_of_the_daily_table_equal_the_file(path: Path) -> None:
    dam = load_dam(str(path))
    frame = daily_from_files(dam)
    target = dam.target_gauge
    assert target.file is not None
    numbers = [float(row[target.file.value] or "nan") for row in _rows(target)]
    canonical = [target.kind.to_canonical(number, target.unit) for number in numbers]
    published = [target.kind.from_canonical(number, dam.target.unit) for number in canonical]
    levels = frame.filter(pl.col(flag_of(target.column)).is_null())[target.column]
    assert set(levels.round(6)) <= {round(number, 6) for number in published}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_full_supply_lies_within_the_observed_levels(path: Path) -> None:
    dam = load_dam(str(path))
    frame = daily_from_files(dam)
    level = frame.filter(pl.col(flag_of(dam.target_gauge.column)).is_null())[dam.target_gauge.column]
    assert dam.full_supply is not None
    full = dam.full_supply.on(frame["date"])[0]
    top, low = level.max(), level.quantile(0.1)
    assert isinstance(top, float)
    assert low is not None
    assert low < full < top


def test_every_unit_is_converted_to_the_canonical_unit() -> None:
    """One figure per unit, copied from the files' first lines."""
    first = {path.stem: daily_from_files(load_dam(str(path))).row(0, named=True) for path in FILES}
    assert first["lavon"]["reservoir_level"] == pytest.approx(492.41)  # ft, the unit of the target
    assert first["lavon"]["storage_08060500"] == pytest.approx(414842.347 * 1.23348183754752)  # ac-ft → ML
    assert first["lavon"]["rainfall_rain_in"] == pytest.approx(0.1183122217046022 * 25.4)  # in → mm
    assert first["lavon"]["temperature_temp_F"] == pytest.approx((35.236444898368 - 32) / 1.8)  # degF → degC
    assert first["cannonsville"]["storage"] == pytest.approx(60488)  # MG, the unit of the target
    assert first["cannonsville"]["release_release"] == pytest.approx(42 * 3785.411784 / 86400)  # mgd → m3/s
    assert first["cantareira"]["inflow_inflow"] == pytest.approx(2618784 / 86400)  # m3/d → m3/s
    assert first["warragamba"]["rainfall_563035"] == 1.5
    assert first["kabini"]["storage_storage_tmc"] == pytest.approx(17.39e9 * 0.3048**3 / 1000)  # 10⁹ ft³ → ML
    assert first["palisades"]["storage"] == pytest.approx(780.19607)  # m3 → hm3, the unit of the target
    assert first["folsom"]["release_outflow_mcm"] is None  # the storage at the start of a day counts for the day before
    assert first["folsom"]["storage"] == pytest.approx(703.756)


def test_the_level_of_bilancino_is_read_in_the_morning() -> None:
    dam = load_dam(str(next(path for path in FILES if path.stem == "bilancino")))
    readings = csv_files.parse_readings(*csv_files.read_gauge_files(dam.target_gauge).values(), [dam.target_gauge], dam)
    assert str(readings["time"][0]) == "2002-06-03 07:00:00+00:00"  # 08:00 at UTC+1
    assert readings["interval"].unique().to_list() == [0]


def test_warragamba_has_the_outages_that_domain_md_counts() -> None:
    frame = daily_from_files(load_dam(str(next(path for path in FILES if path.stem == "warragamba"))))
    assert len(frame) == 5097
    out = frame["reservoir_level_flag"].eq_missing("unavailable")
    assert out.sum() == 457
    lengths = pl.DataFrame({"out": out, "run": out.rle_id()}).filter("out").group_by("run").len()["len"]
    assert sorted(lengths, reverse=True)[:4] == [101, 84, 80, 79]
    assert len(lengths) == 15
    crest = frame.filter(pl.col("date").is_between(pl.date(2020, 8, 12), pl.date(2020, 8, 26)))
    assert crest["reservoir_level_flag"].to_list() == ["unknown"] * 15  # code 155: used, and flagged
    assert crest["reservoir_level"].null_count() == 0
    assert frame["rainfall_563035_flag"][-1] == "absent"  # rain ends a day before the level


def test_sentinels_of_conroe_are_flagged_and_unchanged() -> None:
    frame = daily_from_files(load_dam(str(next(path for path in FILES if path.stem == "conroe"))))
    odd = frame.filter(pl.col("reservoir_level_flag") == "sentinel")
    assert odd["date"].dt.to_string().to_list() == [f"2019-07-0{day}" for day in range(2, 8)]
    assert odd["reservoir_level"].round(3).to_list() == [-999999.0] * 6
    assert odd["storage_08067600_flag"].to_list() == ["sentinel"] * 6
