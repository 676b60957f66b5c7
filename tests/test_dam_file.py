"""`forebay.dams.dam_file`: dam files are read, and each fault is an error in one sentence."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.dams.dam_file import MAX_BYTES, catalogue, load_dam
from forebay.errors import ConfigError
from tests.shared import PROJECT

DAM = """\
id = "lake"
name = "The Lake"
country = "Nowhere"
latitude = -33.0
longitude = 150.0
time_zone = "+10:00"
full_supply = 100.0

[target]
variable = "reservoir_level"
unit = "m"
datum = "metres above nothing"

[hindcast]
start = 2012-01-01

[[gauges]]
role = "target"
source = "waternsw"
station = "1"
variable = "reservoir_level"
unit = "m"
"""
RAIN = """
[[gauges]]
role = "rainfall"
source = "waternsw"
station = "2"
variable = "rainfall"
unit = "mm"
"""


def read(folder: Path, text: str) -> Dam:
    path = folder / "lake.toml"
    path.write_text(text, "utf-8")
    return load_dam(str(path))


def with_text(old: str, new: str, *, text: str = DAM + RAIN) -> str:
    assert text.count(old) >= 1, f"{old!r} is not in the dam file"
    return text.replace(old, new, 1)


def fault(folder: Path, text: str) -> str:
    """Error message for a dam file, without the file's name, which must come first."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    file_name, message = str(folder / "lake.toml"), str(caught.value)
    assert message.startswith(file_name)
    assert "\n" not in message
    return message.removeprefix(file_name).removeprefix(": ")


# Reading


def test_a_dam_file_is_read(tmp_path: Path) -> None:
    dam = read(tmp_path, DAM + RAIN)
    assert (dam.id, dam.target.unit, dam.simulated) == ("lake", "m", False)
    assert dam.hindcast.leads == (1, 2, 3, 4, 5, 6, 7)
    assert dam.target_gauge.column == "reservoir_level"
    assert dam.columns("rainfall") == ["rainfall_2"]
    assert dam.columns("stream", "inflow") == []


def test_a_gauge_takes_reading_and_aggregate_from_its_variable(tmp_path: Path) -> None:
    level, rain = read(tmp_path, DAM + RAIN).gauges
    assert (level.reading, level.aggregate) == ("mean", "mean")
    assert (rain.reading, rain.aggregate) == ("total", "total")
    assert rain.series == {
        "source": "waternsw",
        "station": "2",
        "variable": "rainfall",
        "aggregate": "total",
        "interval": 86_400,
        "rules": rain.series["rules"],
    }
    assert rain.ready_after == timedelta(0)
    assert (level.title, rain.model_copy(update={"name": "Hill"}).title) == ("Reservoir level 1", "Hill")


@pytest.mark.parametrize(
    ("keys", "interval_s", "table_interval"),
    [
        ("", 86_400, 86_400),
        ('interval = "hour"', 3600, 3600),
        ('interval = "15min"', 900, 900),
        ('interval = "15min"\nreading = "instantaneous"', 900, 0),
        ('reading = "instantaneous"\nreading_at = "08:00"', 86_400, 0),
    ],
)
def test_intervals_of_the_dam_file_are_read(tmp_path: Path, keys: str, interval_s: int, table_interval: int) -> None:
    gauge = read(tmp_path, with_text('station = "1"', f'station = "1"\n{keys}')).target_gauge
    assert (gauge.interval_s, gauge.table_interval) == (interval_s, table_interval)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lake.toml"
    path.write_bytes(b"\xef\xbb\xbf" + DAM.encode())
    assert load_dam(str(path)).id == "lake"


def test_the_path_of_a_csv_file_is_relative_to_the_dam_file(tmp_path: Path) -> None:
    file = 'source = "csv"\nfile = { path = "levels/lake.csv", date = "Date", value = "Level" }'
    layout = read(tmp_path, with_text('source = "waternsw"', file)).target_gauge.file
    assert layout is not None
    assert Path(layout.path) == tmp_path / "levels" / "lake.csv"


def test_the_target_has_the_unit_of_the_dam_file(tmp_path: Path) -> None:
    dam = read(tmp_path, with_text('unit = "m"\ndatum', 'unit = "ft"\ndatum'))
    metres = pl.DataFrame({"level": [0.3048, 30.48]})
    assert metres.select(dam.in_target_unit(pl.col("level")))["level"].to_list() == pytest.approx([1.0, 100.0])


@pytest.mark.parametrize("name", catalogue())
def test_every_built_in_dam_is_read_and_has_the_name_of_its_file(name: str) -> None:
    assert load_dam(name).id == name


@pytest.mark.parametrize("path", sorted((PROJECT / "tests" / "dams").glob("*.toml")), ids=lambda path: path.stem)
def test_every_dam_of_the_tests_is_read_with_files_of_the_shared_data(path: Path) -> None:
    dam = load_dam(str(path))
    assert dam.id == path.stem
    assert all(gauge.file is not None for gauge in dam.gauges)


def test_only_the_demo_is_simulated() -> None:
    assert [name for name in catalogue() if load_dam(name).simulated] == ["demo"]


def test_origin_and_verified_are_optional_keys(tmp_path: Path) -> None:
    assert (read(tmp_path, DAM).origin, read(tmp_path, DAM).verified) == ("", None)
    dam = read(tmp_path, f'origin = "the yearbook of 2020"\nverified = "documentation"\n{DAM}')
    assert (dam.origin, dam.verified) == ("the yearbook of 2020", "documentation")
    with pytest.raises(ConfigError, match="verified = 'yes': input should be 'recording' or 'documentation'"):
        read(tmp_path, f'verified = "yes"\n{DAM}')


# Faults: each is one sentence with file, key, value and allowed values


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "lake"', 'id = "The Lake"', "id: 'The Lake' must be 1 to 64 of a-z, 0-9, '_', '-'"),
        ('id = "lake"\n', "", "key id is missing"),
        ("latitude = -33.0", "latitude = 91.0", "latitude = 91.0: input should be less than or equal to 90"),
        ("latitude = -33.0", "latitude = nan", "latitude = nan: input should be "),
        ('name = "The Lake"', "name = 5", "name = 5: input should be a valid string"),
        ('"+10:00"', '"Mars/Base"', "time_zone: time zone 'Mars/Base' is unknown; give a fixed offset like '+10:00'"),
        ('"+10:00"', "10", "time_zone = 10: input should be a valid string"),
        ("full_supply", "ful_supply", "key ful_supply is unknown (value 100.0); allowed are id, name, country, "),
        ('datum = "metres above nothing"\n', "", "key target.datum is missing"),
        ('unit = "m"\ndatum', 'unit = "km"\ndatum', "target: unit 'km' is not one of reservoir_level's units: m, ft"),
        (
            'variable = "reservoir_level"\nunit = "m"\ndatum',
            'variable = "rainfall"\nunit = "mm"\ndatum',
            "target: variable 'rainfall' cannot be forecast; allowed are reservoir_level, storage, storage_percent",
        ),
        (
            'variable = "reservoir_level"\nunit = "m"\ndatum',
            'variable = "storage"\nunit = "ML"\ndatum',
            "gauges: the target gauge measures 'reservoir_level', but target.variable is 'stor",
        ),
        ('station = "1"', "station = 1", "gauges[1].station = 1: input should be a valid string"),
        ('station = "1"', 'station = ""', "gauges[1].station = '': string should have at least 1 character"),
        ('station = "1"', 'station = "1"\ncolour = "red"', "key gauges[1].colour is unknown (value 'red'); allowed ar"),
        ('source = "waternsw"', 'source = "bmo"', "gauges[1].source: source 'bmo' is unknown; allowed are waternsw, "),
        ('role = "target"', 'role = "lake"', "gauges[1].role = 'lake': input should be 'target', 'rainfall', "),
        ('variable = "rainfall"', 'variable = "wind"', "gauges[2].variable: variable 'wind' is unknown; allowed are r"),
        ('variable = "rainfall"', 'variable = "storage"', "gauges[2]: variable 'storage' does not fit role 'rainfall'"),
        ('unit = "mm"', 'unit = "m"', "gauges[2]: unit 'm' is not one of rainfall's units: mm, in, cm"),
        ('station = "1"', 'station = "1"\ninterval = "week"', "gauges[1]: interval 'week' is unknown; allowed are 'da"),
        ('station = "1"', 'station = "1"\ninterval = "0min"', "gauges[1]: interval '0min' is unknown; allowed are 'da"),
        ('station = "1"', 'station = "1"\nstamp = "mid"', "gauges[1].stamp = 'mid': input should be 'start' or 'end'"),
        ('station = "1"', 'station = "1"\nday_start = "9"', "gauges[1].day_start: '9' must be a clock time like '08:0"),
        ('station = "1"', 'station = "1"\nday_start = 9', "gauges[1].day_start = 9: input should be a valid time"),
        ('station = "1"', 'station = "1"\nreading_at = "24:00"', "gauges[1].reading_at: '24:00' must be a clock time"),
        ('station = "1"', 'station = "1"\nreading_at = "08:00"', "gauges[1]: reading_at goes with reading = "),
        ('station = "1"', 'station = "1"\nreading = "instantaneous"', "gauges[1]: reading_at goes with reading = "),
        ('station = "1"', 'station = "1"\nlatency_h = -1', "gauges[1].latency_h = -1: input should be greater than or"),
        ('station = "1"', 'station = "1"\nlatency_h = "4"', "gauges[1].latency_h = '4': input should be a valid"),
        ('station = "1"', 'station = "1"\nlatency_h = true', "gauges[1].latency_h = True: input should be a valid num"),
        ('station = "1"', 'station = "1"\nvalid_range = [5, 1]', "gauges[1]: valid_range = [5.0, 1.0] must be [lowest"),
        ('source = "waternsw"', 'source = "csv"', 'gauges[1]: a gauge with source = "csv" needs a [gauges.file] table'),
        ('source = "waternsw"', 'source = "csv"\nfile = "a.csv"', "gauges[1].file = 'a.csv': must be a table; its key"),
        (
            'source = "waternsw"',
            'source = "csv"\nfile = { path = 3, date = "d", value = "v" }',
            "gauges[1].file.path: 3 must be a text, or a list of texts",
        ),
        (
            'source = "waternsw"',
            'source = "csv"\nfile = { path = "a.csv", date = "d", values = "v" }',
            "key gauges[1].file.values is unknown (value 'v'); allowed are path, encoding, separator, ",
        ),
        ("start = 2012-01-01", "start = 2012", "hindcast.start = 2012: must be a day like 2012-01-31, without quotes"),
        ("start = 2012-01-01", "leads = [0]", "hindcast.leads[1] = 0: input should be greater than or equal to 1"),
        ("start = 2012-01-01", "leads = []", "hindcast.leads = []: list should have at least 1 item, not 0"),
        ("start = 2012-01-01", "leads = [3, 1]", "hindcast: leads = [3, 1] must rise, without repetition"),
    ],
)  # fmt: skip
def test_a_fault_is_one_sentence_with_key_value_and_allowed_values(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert fault(tmp_path, with_text(old, new)).startswith(message)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ('{ name = "A", from = 2014-01-01, to = 2013-01-01 }', "hindcast.windows[1]: to (2013-01-01) must not be befo"),
        ('{ name = "A b", from = 2012-01-01, to = 2013-01-01 }', "hindcast.windows[1].name: 'a b' must be 1 to 64 of"),
        ('{ name = "all", from = 2012-01-01, to = 2013-01-01 }', "hindcast: windows: name 'all' is reserved: every da"),
        ('{ name = "last20", from = 2012-01-01, to = 2013-01-01 }', "hindcast: windows: name 'last20' is reserved: ev"),
        ('{ name = "A", from = 2012-01-01 }', "key hindcast.windows[1].to is missing"),
        (
            '{ name = "A", from = 2012-01-01, to = 2013-01-01, exclude = [{ form = 2012-02-01 }] }',
            "key hindcast.windows[1].exclude[1].form is unknown (value datetime.date(2012, 2, 1)); allowed are from,",
        ),
        (
            '{ name = "A", from = 2012-01-01, to = 2013-01-01 }, { name = "A", from = 2014-01-01, to = 2015-01-01 }',
            "hindcast: windows: name A occurs twice; it must be unique",
        ),
    ],
)
def test_faults_of_windows_are_one_sentence(tmp_path: Path, window: str, message: str) -> None:
    text = with_text("start = 2012-01-01", f"windows = [{window}]")
    assert fault(tmp_path, text).startswith(message)


def test_a_duplicate_gauge_is_named(tmp_path: Path) -> None:
    message = fault(tmp_path, DAM + RAIN + RAIN)
    assert message == "gauges: station '2' occurs twice with variable 'rainfall'; each pair must be unique"


def test_a_station_may_have_two_variables(tmp_path: Path) -> None:
    level = 'role = "stream"\nsource = "waternsw"\nstation = "2"\nvariable = "stream_level"\nunit = "m"\n'
    assert len(read(tmp_path, f"{DAM}{RAIN}[[gauges]]\n{level}").gauges) == 3


def test_a_duplicate_threshold_is_named(tmp_path: Path) -> None:
    duplicates = 'thresholds = [{ name = "low", level = 1 }, { name = "low", level = 2 }]'
    text = with_text("full_supply", f"{duplicates}\nfull_supply")
    assert fault(tmp_path, text) == "thresholds: name low occurs twice; it must be unique"


def test_two_targets_and_none_are_refused(tmp_path: Path) -> None:
    second = DAM[DAM.index("[[gauges]]") :].replace('station = "1"', 'station = "3"')
    assert fault(tmp_path, DAM + second) == 'gauges: exactly one must have role = "target", not 2'
    only_rain = DAM[: DAM.index("[[gauges]]")] + RAIN
    assert fault(tmp_path, only_rain) == 'gauges: exactly one must have role = "target", not 0'


@pytest.mark.parametrize(
    ("gauges", "message"),
    [
        ("", "key gauges is missing"),
        ("gauges = []\n", "gauges = []: list should have at least 1 item, not 0"),
        ("gauges = [5]\n", "gauges[1] = 5: must be a table; its keys are role, source, "),
        ("gauges = 5\n", "gauges, forcings, weather, storage_curves and alerts must be lists of tables ([[gauges]])"),
    ],
)
def test_invalid_gauges_are_refused(tmp_path: Path, gauges: str, message: str) -> None:
    assert fault(tmp_path, gauges + DAM[: DAM.index("[[gauges]]")]).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id = ", " is not valid TOML: Invalid value (at end of document)"),
        (b'id = "a"\nid = "b"', " is not valid TOML: Cannot overwrite a value"),
        (b"x = " + b"[" * 5000, " is not valid TOML: maximum recursion depth exceeded"),
        ('name = "Forggensee, Füssen"'.encode("latin-1"), ", line 1: byte 21 is not UTF-8 text; save the "),
        (b"#" * (MAX_BYTES + 1), f" has {MAX_BYTES + 1} bytes; a dam file may have at most {MAX_BYTES}"),
        (b"", ": key id is missing"),
    ],
    ids=["not TOML", "key twice", "too deep", "not UTF-8", "too large", "empty"],
)
def test_files_that_are_no_dam_file_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "lake.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_dam(str(path))
    assert str(caught.value).startswith(f"{path}{message}")


@pytest.mark.parametrize("name", ["warragambo", "dams/none.toml", ".", "", "a\0b", "x" * 5000])
def test_an_unknown_dam_is_an_error_that_lists_the_built_in_dams(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_dam(name)
    message = str(caught.value)
    assert message.startswith(f"dam {name!r} is neither in the catalogue ({', '.join(catalogue())}) nor a file")


# Storage curves in a dam file


def with_curve(curve: str) -> str:
    return with_text("[target]", f'[[storage_curves]]\nlevel_unit = "m"\nstorage_unit = "ML"\n{curve}\n\n[target]')


def test_a_curve_from_a_csv_file(tmp_path: Path) -> None:
    (tmp_path / "curve.csv").write_text('Level , Volume\n20,"1,500"\n10,500\n10,500\n,\n')
    dam = read(tmp_path, with_curve('file = { path = "curve.csv", level = "Level", storage = "Volume" }'))
    assert dam.storage_curves[0].points == ((10.0, 500.0), (20.0, 1500.0))
    assert dam.storage_curves[0].source == "curve.csv"


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        ("points = [[1, 5], [0, 6]]", "storage_curves[1]: level must rise and storage must not fall from point to poi"),
        ("points = [[1, 5]]", "storage_curves[1].points = [(1, 5)]: list should have at least 2 items, not 1"),
        ("points = [[1, 5], [2, 6, 7]]", "storage_curves[1].points[2] = [2, 6, 7]: list should have at most 2 items"),
        ('points = [[1, "5"], [2, 6]]', "storage_curves[1].points[1][2] = '5': input should be a valid number"),
        ('file = { path = "none.csv", level = "l", storage = "s" }', "storage_curves: file.path "),
        ('file = { path = "text.csv", level = "l", storage = "s" }', "storage_curves: "),
        ('file = { path = "text.csv" }', "storage_curves.file: key level is missing; its keys are path, encoding"),
        ('file = { path = "text.csv", level = "l", storage = "l" }', "storage_curves.file: level and storage are both"),
        ('file = { path = "ragged.csv", level = "l", storage = "s" }', "storage_curves: {folder}/ragged.csv cannot"),
        pytest.param(
            'file = { path = "twice.csv", level = "l", storage = "s" }',
            "storage_curves: {folder}/twice.csv, line 5: level '2' has another storage than in a line above",
            id="two storages",
        ),
    ],
)
def test_faults_of_storage_curves_are_one_sentence(tmp_path: Path, curve: str, message: str) -> None:
    (tmp_path / "text.csv").write_text("l,s\nlow,little\n")
    (tmp_path / "ragged.csv").write_text("l,s\n1,2\n2,3,4\n")
    (tmp_path / "twice.csv").write_text("l,s\n1,2\n2,3\n,\n2.0,4\n")
    assert fault(tmp_path, with_curve(curve)).startswith(message.replace("{folder}", str(tmp_path)))


@pytest.mark.parametrize(
    ("full_supply", "message"),
    [
        ('"full"', "full_supply: 'full' is not a level; give a number, or one of dated = "),
        ("true", "full_supply: True is not a level; give a number, or one of dated = "),
        ("inf", "full_supply.value = inf: input should be a finite number"),
        ("{}", "full_supply: give a number, or one of dated = "),
        ("{ value = 1, dated = [{ from = 2001-01-01, value = 3 }] }", "full_supply: give a number, or one of dated = "),
        ("{ rule = 1 }", "key full_supply.rule is unknown (value 1); allowed are value, dated, rule_curve"),
        ('{ rule_curve = [{ day = "02-30", value = 3 }] }', "full_supply.rule_curve[1]: day '02-30' must be a day of "),
        (
            "{ dated = [{ from = 2001-01-01, value = 3 }, { from = 2001-01-01, value = 4 }] }",
            "full_supply: dated: day 2001-01-01 occurs twice; it must be unique",
        ),
        (
            '{ rule_curve = [{ day = "02-03", value = 3 }, { day = "02-03", value = 4 }] }',
            "full_supply: rule_curve: day 02-03 occurs twice; it must be unique",
        ),
    ],
)
def test_faults_of_reference_levels_are_one_sentence(tmp_path: Path, full_supply: str, message: str) -> None:
    assert fault(tmp_path, with_text("full_supply = 100.0", f"full_supply = {full_supply}")).startswith(message)


FORCING = """
[[forcings]]
kind = "rain"
id = "outlook"
unit = "mm"
file = { path = "outlook.csv", issued = "issued", valid = "day", value = "mm" }
"""


def test_the_path_of_a_forcing_is_relative_to_the_dam_file(tmp_path: Path) -> None:
    (forcing,) = read(tmp_path, DAM + FORCING).forcings
    assert forcing.file is not None
    assert forcing.file.path == str(tmp_path / "outlook.csv")
    assert (forcing.title, forcing.variable.name, forcing.latency_h) == ("rain outlook", "rainfall", 0.0)


FORCING_FAULTS = {
    "kind": ('kind = "rain"', 'kind = "hail"', "forcings[1].kind = 'hail': input should be 'rain', 'inflow'"),
    "unit": ('unit = "mm"', 'unit = "m3/s"', "unit 'm3/s' is not one of rainfall's units: mm, in, cm"),
    "id": ('id = "outlook"', 'id = "Out look"', "forcings[1]: id 'Out look' must be 1 to 32 of a-z"),
    "travel": ('unit = "mm"', 'unit = "mm"\ntravel_time_h = 5.0', "travel_time_h goes with kind = 'upstream_release'"),
    "file": ("file = { path", "# file = { path", "key forcings[1].file is missing; allowed is a table"),
    "column": (', value = "mm"', "", "forcings[1].file: value is missing; name the column"),
    "key": ('id = "outlook"', 'id = "outlook"\nhorizon = 7', "key forcings[1].horizon is unknown (value 7); allowed"),
}


@pytest.mark.parametrize(("old", "new", "message"), FORCING_FAULTS.values(), ids=FORCING_FAULTS)
def test_a_fault_in_a_forcing_is_one_sentence(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert message in fault(tmp_path, with_text(old, new, text=DAM + FORCING))


def test_a_duplicate_forcing_is_refused(tmp_path: Path) -> None:
    assert fault(tmp_path, DAM + FORCING + FORCING) == "forcings: id outlook occurs twice; it must be unique"


def test_forcings_that_are_no_list_of_tables_are_refused(tmp_path: Path) -> None:
    assert "must be lists of tables" in fault(tmp_path, "forcings = 3\n" + DAM)


def test_a_travel_time_is_for_gauges_upstream(tmp_path: Path) -> None:
    text = with_text('station = "2"', 'station = "2"\ntravel_time_h = 20.0')
    assert "travel_time_h goes with roles upstream_level and upstream_release, not 'rainfall'" in fault(tmp_path, text)
