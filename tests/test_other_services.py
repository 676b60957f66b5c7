"""docs/other_services.md: each script runs on the recorded download, and each dam file reads its values right."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from forebay.dams.dam_file import load_dam
from forebay.errors import ConfigError
from forebay.settings import Settings
from forebay.sources import fetch_readings
from tests.shared import PROJECT, SHARED, needs_shared

PAGE = PROJECT / "docs" / "other_services.md"
RECORDINGS = SHARED / "recordings"
SECTION = re.compile(r"^## (.+?)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
Change = Callable[[bytes], bytes]
Reading = tuple[str, str, float | None]
"""Start of the interval (UTC), published text, value in the canonical unit."""


@dataclass(frozen=True)
class Example:
    """Files of a section (name on the page → recording), and what the gauge of the service then reads.

    The first and the last reading are read by eye from the recording.
    """

    station: str
    files: Mapping[str, str]
    count: int
    first: Reading
    last: Reading
    change: Change = field(default=lambda content: content)


def in_envelope(content: bytes) -> bytes:
    """A recorded attribute in the JSON:API envelope, which other recordings of the service have."""
    return json.dumps({"data": [{"id": "/rise/api/result/1", "attributes": json.loads(content)}]}).encode()


AC_FT = 1.23348183754752
EXAMPLES = {
    "USBR RISE (United States)": Example(
        "6124", {"rise_1.json": "usbr_rise/06_result_attributes.json"}, 1,
        ("2020-06-10 07:00", "10845800", 10_845_800 * AC_FT), ("2020-06-10 07:00", "10845800", 10_845_800 * AC_FT),
        in_envelope),
    "CDEC, its old service (California)": Example(
        "PRR", {"perris.csv": "cdec/cdec_old_query_PRR_elevation_daily_trimmed.csv"}, 699,
        ("2013-12-25 08:00", "1562.01", 1562.01 * 0.3048), ("2015-11-23 08:00", "1546.50", 1546.5 * 0.3048)),
    "Hub'Eau (France)": Example(
        "Y1220010", {"hubeau_1.json": "france_hubeau/france_hubeau_sample.json"}, 3,
        ("2022-12-31 23:00", "15000.5", 15.0005), ("2023-01-02 23:00", "15500.2", 15.5002)),
    "India-WRIS (India)": Example(
        "bango", {"wris_2010_2019.csv": "india_wris/wris_storage_hasdeo_bango_2010_2019.csv",
                  "wris_2020_2025.csv": "india_wris/wris_storage_hasdeo_bango_2020_2025.csv"}, 5676,
        ("2009-12-31 18:30", "6.17", 6_170_000), ("2025-07-09 18:30", "3.09", 3_090_000)),
    "SNIRH (Portugal)": Example(
        "19B/01H", {"snirh.html": "portugal_snirh/portugal_19B01H_stage.html"}, 5,
        ("2002-02-16 00:00", "0.36", 0.36), ("2002-02-20 00:00", "0.35", 0.35)),
    "City of Cape Town (South Africa)": Example(
        "WEMMERSHOEK", {"dam_levels.csv": "south_africa_capetown/dam_levels_open_data_raw_trimmed.csv"}, 795,
        ("2011-12-31 22:00", "44 621", 44_621), ("2014-03-04 22:00", "43 630", 43_630)),
    "Water information system of MLIT (Japan)": Example(
        "301011281104010", {"mlit.dat": "japan_mlit/japan_301011281104010_kind6_200401.dat"}, 744,
        ("2003-12-31 16:00", "0.52", 0.52), ("2004-01-31 15:00", "0.45", 0.45)),
    "NVE HydAPI (Norway)": Example(
        "100.1.0", {"nve.json": "norway_nve/norway_discharge_sample.json"}, 4,
        ("2023-12-31 23:00", "2.291431", 2.291431), ("2024-01-03 23:00", "1.675695", 1.675695)),
    "BAFU (Switzerland)": Example(
        "2004", {"hydroweb.xml": "switzerland_bafu/hydroweb.xml"}, 1,
        ("2020-07-10 23:00", "429.43", 429.43), ("2020-07-10 23:00", "429.43", 429.43)),
    "DGA (Chile)": Example(
        "test_gauge", {"dga.csv": "chile_dga/chile_data_sample.csv"}, 3,
        ("2022-01-01 04:00", "15.5", 15.5), ("2022-01-03 04:00", "15.8", 15.8)),
    "CHMI (Czechia)": Example(
        "0-203-1-000000", {"chmi.json": "czech/czech_data_sample.json"}, 5,
        ("2019-12-31 23:00", "1.23", 1.23), ("2020-01-04 23:00", "2.01", 2.01)),
    "Anuario de aforos (Spain)": Example(
        "1080", {"aforos.html": "spain/spain_sample_data.html"}, 24,
        ("2020-09-30 23:00", "123", 123), ("2021-09-01 23:00", "245", 245)),
}  # fmt: skip
WITHOUT_RECORDING = {"Water Data for Texas (United States)", "Department of Water and Sanitation (South Africa)"}
UNUSED = {
    "usbr_rise/01_location.json": "list of locations",
    "usbr_rise/02_parameter.json": "list of parameters",
    "usbr_rise/03_catalogthemetype.json": "list of themes",
    "usbr_rise/04_generationeffort.json": "list of projects",
    "usbr_rise/reservoirs_and_capacity.json": "capacities of reservoirs, no series",
    "portugal_snirh/data.txt": "monthly volumes; a test below shows that they are no daily series",
    "portugal_snirh/home.txt": "list of networks",
    "portugal_snirh/parameters.txt": "list of parameters",
    "portugal_snirh/stations.txt": "list of stations",
    "portugal_snirh/stations_detail_trimmed.txt": "details of stations",
    "norway_nve/norway_metadata_active_1.json": "list of stations",
    "switzerland_bafu/hydroweb_prec_head.xml": "cut, not well-formed",
    "south_africa_dws/southafrica_X3H023_stage_2022.html": "an error page; a test below shows that it is refused",
    "cdec/cdec_old_query_ANT_elevation_daily_trimmed.csv": "as PRR; a test below",
    "cdec/cdec_old_query_ANT_precip_daily_trimmed.csv": "as PRR; a test below",
}
OTHER_FOLDERS = {"cwms", "hydstra", "kiwis", "open_meteo", "uk_ea", "usgs"}
"""Folders of services with a protocol, whose own tests read them."""


def sections() -> dict[str, dict[str, str]]:
    """Title → language → text of the block, for each section of the page."""
    content = PAGE.read_text("utf-8")
    return {title: dict(FENCED.findall(body)) for title, body in SECTION.findall(content)}


def read(folder: Path, station: str) -> list[Reading]:
    """Readings of a gauge of the dam file in a folder."""
    dam = load_dam(str(folder / "dam.toml"))
    gauge = next(gauge for gauge in dam.gauges if gauge.station == station)
    frame = fetch_readings(gauge, dam, None, date(2026, 10, 1), settings=Settings(), now=NOW)
    rows = frame.select("time", "raw_value", "value").rows()
    return [(f"{time:%Y-%m-%d %H:%M}", raw, value) for time, raw, value in rows]


def assert_reading(reading: Reading, expected: Reading) -> None:
    assert reading[:2] == expected[:2]
    assert reading[2] == pytest.approx(expected[2])


def test_every_section_has_a_complete_dam_file_and_a_test(tmp_path: Path) -> None:
    assert sections().keys() == EXAMPLES.keys() | WITHOUT_RECORDING
    for title, blocks in sections().items():
        path = tmp_path / "dam.toml"
        path.write_text(blocks["toml"], "utf-8")
        assert load_dam(str(path)).target_gauge.source == "csv", title


@needs_shared
@pytest.mark.parametrize("title", EXAMPLES)
def test_the_recorded_values_are_read(title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks, example = sections()[title], EXAMPLES[title]
    for name, recording in example.files.items():
        (tmp_path / name).write_bytes(example.change((RECORDINGS / recording).read_bytes()))
    for _ in range(2):  # a script may run every day
        exec(compile(blocks.get("python", ""), title, "exec"), {})
    (tmp_path / "dam.toml").write_text(blocks["toml"], "utf-8")
    readings = read(tmp_path, example.station)
    with_value = [reading for reading in readings if reading[2] is not None]
    assert len(readings) == example.count
    assert_reading(with_value[0], example.first)
    assert_reading(with_value[-1], example.last)


@needs_shared
def test_every_recording_of_these_services_is_used_or_has_a_reason() -> None:
    used = {recording for example in EXAMPLES.values() for recording in example.files.values()}
    folders = {path for path in RECORDINGS.iterdir() if path.is_dir()} - {RECORDINGS / name for name in OTHER_FOLDERS}
    names = {f"{folder.name}/{path.name}" for folder in folders for path in folder.iterdir()}
    servlets = {name for name in names if "DataServlet" in name}  # tests/test_cdec.py
    assert names - servlets == used | UNUSED.keys()


@needs_shared
@pytest.mark.parametrize(
    ("name", "column", "sensor", "values"),
    [
        ("elevation", "'RESERVOIR ELEVATION (feet)'", "2173", {"1985-01-01": "4993.80", "1986-03-25": "5003.10"}),
        ("precip", "'PRECIPITATION", "2176", {"1987-01-01": "0.36", "1988-07-30": "0.00", "1988-11-29": "m"}),
    ],
)
def test_the_other_files_of_the_old_service(
    name: str, column: str, sensor: str, values: dict[str, str], tmp_path: Path
) -> None:
    recording = RECORDINGS / "cdec" / f"cdec_old_query_ANT_{name}_daily_trimmed.csv"
    (tmp_path / "perris.csv").write_bytes(recording.read_bytes())
    text = sections()["CDEC, its old service (California)"]["toml"]
    text = text.replace("'RESERVOIR ELEVATION (feet)'", column).replace("26900", sensor)
    (tmp_path / "dam.toml").write_text(text, "utf-8")
    readings = {time[:10]: raw for time, raw, _ in read(tmp_path, "PRR")}
    assert len(readings) == 699
    assert {day: readings[day] for day in values} == values


def test_the_form_of_water_data_for_texas(tmp_path: Path) -> None:
    """A simulated file in the form that public programs show."""
    columns = "date,water_level,surface_area,reservoir_storage,conservation_storage,percent_full"
    lines = ["# ---- Disclaimer ----", "# Units:", "#     water_level: feet", columns,
             "2024-01-01,885.2,7000,300000,300000,79.0", "2024-01-02,,,,,", "2024-01-03,885.1,6990,299000,299000,78.8"]
    (tmp_path / "canyon.csv").write_text("\n".join(lines))
    (tmp_path / "dam.toml").write_text(sections()["Water Data for Texas (United States)"]["toml"], "utf-8")
    readings = read(tmp_path, "canyon")
    assert_reading(readings[0], ("2024-01-01 06:00", "885.2", 885.2 * 0.3048))
    assert_reading(readings[-1], ("2024-01-03 06:00", "885.1", 885.1 * 0.3048))


@needs_shared
def test_an_error_page_is_refused(tmp_path: Path) -> None:
    page = RECORDINGS / "south_africa_dws" / "southafrica_X3H023_stage_2022.html"
    (tmp_path / "dws.csv").write_bytes(page.read_bytes())
    (tmp_path / "dam.toml").write_text(sections()["Department of Water and Sanitation (South Africa)"]["toml"], "utf-8")
    with pytest.raises(ConfigError, match="'date' is not a column of"):
        read(tmp_path, "X1R003")


@needs_shared
def test_monthly_values_of_snirh_are_the_first_days_of_months(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script reads the page, but a month's volume is no daily value: the page warns."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "snirh.html").write_bytes((RECORDINGS / "portugal_snirh" / "data.txt").read_bytes())
    exec(compile(sections()["SNIRH (Portugal)"]["python"], "SNIRH", "exec"), {})
    lines = (tmp_path / "snirh.csv").read_text().splitlines()
    assert lines[1:3] == ["01/01/1980,851030", "01/02/1980,678589"]


@needs_shared
def test_the_files_cannot_be_read_as_they_are(tmp_path: Path) -> None:
    """Why Cape Town and MLIT need a script: repeated names, and hours as columns."""
    recording = RECORDINGS / "south_africa_capetown" / "dam_levels_open_data_raw_trimmed.csv"
    (tmp_path / "cape_town.csv").write_bytes(recording.read_bytes())
    text = sections()["City of Cape Town (South Africa)"]["toml"]
    text = text.replace('"WEMMERSHOEK STORAGE"', '"STORAGE"').replace('date = "date"', 'date = "DATE"\nheader_line = 4')
    (tmp_path / "dam.toml").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match="'STORAGE'"):
        read(tmp_path, "WEMMERSHOEK")
