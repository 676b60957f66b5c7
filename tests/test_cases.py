"""Inputs that failed once (../shared/cases): each gives what its expected.md says, also in another form.

Every test runs twice: with the files as they are, and with shifted dates, another unit and other column names.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from forebay.archive.fetch import FetchReport
from forebay.cli.arguments import archive_at
from forebay.dams.dam import Dam
from forebay.errors import ConfigError, DataError
from forebay.jobs import observations
from forebay.jobs.forecast import ForecastResult, forecast
from forebay.screen.flags import screen_daily
from forebay.settings import Settings
from tests.case_folders import Case, CaseFile, by_format, copy_case, renamed
from tests.shared import SHARED, needs_shared

pytestmark = needs_shared
MakeCase = Callable[..., Case]


@pytest.fixture(params=[False, True], ids=["as it is", "changed"])
def make_case(request: pytest.FixtureRequest, tmp_path: Path) -> MakeCase:
    """The copy of a case, in both forms."""
    return lambda name, **files: copy_case(
        name, tmp_path, {name.replace("__", "."): file for name, file in files.items()}, changed=request.param
    )


def error_of(report: FetchReport) -> str:
    (error,) = report.errors.values()
    return str(error)


def file_keys(**keys: object) -> Callable[[dict[str, Any]], None]:
    """An edit of a dam file: keys of the file of its first gauge."""

    def edit(content: dict[str, Any]) -> None:
        content["gauges"][0]["file"] |= keys

    return edit


def gauge_keys(number: int = 0, **keys: object) -> Callable[[dict[str, Any]], None]:
    """An edit of a dam file: keys of a gauge."""

    def edit(content: dict[str, Any]) -> None:
        content["gauges"][number] |= keys

    return edit


def notes_of(case: Case, name: str = "dam.toml") -> list[str]:
    """Notes of a fetch as the command prints them."""
    dam = case.dam(name)
    with archive_at(f"sqlite:///{case.folder}/notes.db", Settings()) as store:
        return observations.fetch_now(dam, store, Settings()).table["note"].drop_nulls().to_list()


def test_one_table_of_many_reservoirs(make_case: MakeCase) -> None:
    case = make_case("03", cotas__csv=CaseFile("fecha", {"cota_msnm": "m"}))
    column = renamed("embalse") if case.changed else "embalse"
    error = error_of(case.fetch(case.dam()))
    assert f"the time {case.day(2022, 4, 1)} 00:00:00 occurs a second time (first in line 2)" in error
    assert f"the lines differ in {column} ('Alto' and 'Medio'), " in error
    assert f'where = {{ {column} = "Alto" }}'.replace(column, f'"{column}"' if case.changed else column) in error
    dam = case.dam(edit=file_keys(where={column: "Medio"}))
    assert case.fetch(dam).errors == {}
    table = case.daily(dam).to_frame()
    assert table["date"][0] == case.day(2022, 4, 1)
    assert table["reservoir_level"][0] == pytest.approx(2140.08 * case.factor("m"))
    with pytest.raises(ConfigError, match="no line of .* has .* its texts are 'Alto', 'Medio', "):
        case.fetch(case.dam(edit=file_keys(where={column: "Nowhere"})))


def test_comment_lines_and_a_line_of_widths(make_case: MakeCase) -> None:
    layout = CaseFile("datetime", {"1_62614_00003": "ft"}, separator="\t", comment="#")
    case = make_case("05", lake__rdb=layout)
    with pytest.raises(ConfigError, match=r'line 7 looks like the header: set header_line = 7 \(or comment = "#"\)'):
        case.fetch(case.dam())
    error = error_of(case.fetch(case.dam(edit=file_keys(comment="#"))))
    assert "line 8: '20d' in column" in error and "set units_line = true" in error
    tables = []
    for keys in ({"units_line": True}, {"units_line": 8, "comment": None, "header_line": 7}, {"skip_lines": 6}):
        stated = {key: value for key, value in keys.items() if value is not None}

        def edit(content: dict[str, Any], keys: dict[str, Any] = keys, stated: dict[str, Any] = stated) -> None:
            file = content["gauges"][0]["file"]
            for key in keys:
                file.pop(key, None)
            if "skip_lines" in keys:
                file.pop("header_line", None)
            file |= stated

        dam = case.dam(edit=edit)
        assert case.fetch(dam).errors == {}, keys
        tables.append(case.daily(dam).to_frame())
    assert tables[0]["date"][0] == case.day(2026, 7, 1)
    assert tables[0]["reservoir_level"][0] == pytest.approx(94.99 * case.factor("ft"))
    assert all(table.equals(tables[0]) for table in tables)


def shift_hour_24(text: str, by: timedelta) -> str:
    return (datetime.strptime(text[:9], "%d%b%Y") + by).strftime("%d%b%Y").upper() + text[9:]


def test_hour_24_is_the_end_of_its_day(make_case: MakeCase) -> None:
    case = make_case("06", hourly__csv=CaseFile("time", {"elev_ft": "ft"}, shift_hour_24))
    dam = case.dam()
    report = case.fetch(dam)
    assert report.errors == {} and report.table["rows"][0] == 720
    table = case.daily(dam).to_frame()
    assert table["date"].to_list() == [case.day(2026, 6, 1) + timedelta(days=n) for n in range(30)]
    means = [492.0 + 0.002 * (24 * n + 12.5) for n in range(30)]
    assert (table["reservoir_level"] / case.factor("ft")).to_list() == pytest.approx(means, abs=0.0011)


def test_a_file_in_standard_time_in_a_zone_with_clock_changes(make_case: MakeCase) -> None:
    layout = CaseFile("time", {"level_ft": "ft"}, by_format("%Y-%m-%d %H:%M"))
    case = make_case("07", hourly__csv=layout, hourly_as_advised__csv=layout)
    skipped = f"the time {case.day(2026, 3, 8)} 02:00:00 does not exist in America/New_York, whose clocks skip it"
    for name in ("dam.toml", "dam_as_advised.toml"):
        error = error_of(case.fetch(case.dam(name)))
        assert "line 52: " in error and skipped in error and 'time_zone = "-05:00"' in error
    right = case.dam("dam_right.toml")
    assert case.fetch(right).errors == {}
    expected = case.daily(right).to_frame()
    assert expected["date"].to_list() == [case.day(2026, 3, 6) + timedelta(days=n) for n in range(5)]
    assert expected["reservoir_level"].to_list() == pytest.approx(
        [(628 + 0.01 * (24 * n + 11.5)) * case.factor("ft") for n in range(5)]
    )
    remedied = case.dam(edit=file_keys(time_zone="-05:00"))
    assert case.fetch(remedied).errors == {}
    with archive_at(f"sqlite:///{case.folder}/archive.db", Settings()) as store:
        times = [store.as_of(dam.gauges)["time"].to_list() for dam in (right, remedied)]
    assert times[0] == times[1], "the dam's days change with the clocks, the file's stamps do not"


def test_accumulated_rain_is_asked_about_and_read_as_increments(make_case: MakeCase) -> None:
    units = {"level_m": "m", "precip_accum_mm": "mm", "precip_day_mm": "mm"}
    case = make_case("11", lake__csv=CaseFile("date", units))
    (note,) = notes_of(case)
    assert 'falls only 4 times in 1,500 readings; is it accumulated? If so, set reading = "accumulated"' in note
    assert notes_of(case, "dam_daily.toml") == []
    accumulated, by_day = case.dam(edit=gauge_keys(1, reading="accumulated")), case.dam("dam_daily.toml")
    tables = []
    for dam in (accumulated, by_day):
        assert case.fetch(dam).errors == {}
        tables.append(case.daily(dam).to_frame())
    rain = tables[0]["rainfall_rain"]
    truth = tables[1].select(pl.col("^rainfall_[a-z]*$")).to_series()
    assert rain[0] is None, "nothing is known about the first day"
    assert rain[1:].to_list() == pytest.approx(truth[1:].to_list(), abs=0.051)
    last_days = tables[0]["date"].is_between(case.day(2026, 11, 15), case.day(2026, 11, 17))
    assert rain.filter(last_days).sum() == pytest.approx(3, abs=0.15)


def test_a_unit_that_changes_inside_the_series_is_asked_about_and_stated(make_case: MakeCase) -> None:
    case = make_case("12", storage__csv=CaseFile("date", {"storage": "ML"}))
    change = {"from": case.day(2026, 9, 1), "scale": 1000}
    dam = case.dam(edit=gauge_keys(readings_from=[change]))
    assert case.fetch(dam).errors == {}
    level = case.daily(dam).to_frame()["storage"]
    assert 0.8 < level.min() / level.max() < 1  # type: ignore[operator]  # numbers
    stated = case.dam(edit=gauge_keys(readings_from=[{**change, "scale": 1, "unit": "GL"}]))
    assert case.fetch(stated).errors == {}
    if not case.changed:
        assert case.daily(stated).to_frame()["storage"].to_list() == pytest.approx(level.to_list())


@pytest.mark.slow
def test_no_forecast_is_an_error_with_the_reason_and_a_question(make_case: MakeCase) -> None:
    case = make_case("12", storage__csv=CaseFile("date", {"storage": "ML"}))
    dam = case.dam()
    with pytest.raises(DataError) as caught:
        forecast(dam, archive=f"sqlite:///{case.folder}/archive.db", settings=Settings())
    message = str(caught.value)
    assert f"no forecast from {case.day(2026, 11, 17)} is possible" in message
    assert f"the last level that can be used is of {case.day(2026, 8, 31)}" in message
    assert f"readings_from = [{{ from = {case.day(2026, 9, 1)}, scale = 1000 }}]" in message
    assert "about 0.001 times the expected value" in message and "accept = [" in message
    assert "nan" not in message


def test_a_zone_that_is_corrected_in_the_dam_file(make_case: MakeCase) -> None:
    case = make_case("14", level__csv=CaseFile("date", {"level": "m"}))
    assert case.fetch(case.dam("dam_first.toml"), datetime(2026, 11, 25, tzinfo=UTC)).errors == {}
    dam = case.dam()
    assert case.fetch(dam).table.select("rows", "new", "revised").row(0) == (400, 400, 0)
    table = case.daily(dam).to_frame()
    assert table["date"].to_list() == [case.day(2024, 6, 1) + timedelta(days=n) for n in range(400)]
    assert table["reservoir_level"].null_count() == 0
    assert table["reservoir_level"][0] == pytest.approx(94.99 * case.factor("m"))


def test_a_line_that_was_never_measured_and_is_deleted(make_case: MakeCase) -> None:
    layout = CaseFile("date", {"storage": "hm3"})
    case = make_case("15", storage_first__csv=layout, storage_corrected__csv=layout)
    dam = case.dam()
    (case.folder / "storage_first.csv").rename(case.folder / "storage.csv")
    assert case.fetch(dam, datetime(2026, 11, 26, 6, tzinfo=UTC)).table["rows"][0] == 901
    (case.folder / "storage_corrected.csv").rename(case.folder / "storage.csv")
    assert case.fetch(dam).table.select("rows", "new", "revised", "withdrawn").row(0) == (900, 0, 0, 1)
    last = case.daily(dam).to_frame().row(-1, named=True)
    assert (last["date"], last["storage"]) == (case.day(2026, 11, 24), pytest.approx(129.41 * case.factor("hm3")))


def shift_sept(text: str, by: timedelta) -> str:
    day = datetime.strptime(text.replace("Sept", "Sep"), "%d-%b-%y") + by
    return f"{day.day}-{day:%b-%y}".replace("Sep", "Sept")


def test_sept_and_errors_of_a_spreadsheet(make_case: MakeCase) -> None:
    case = make_case("18", levels__csv=CaseFile("DATE", {"STORAGE ML": "ML"}, shift_sept, thousands=" "))
    dam = case.dam()
    assert case.fetch(dam).errors == {}
    table = case.daily(dam).to_frame()
    assert table["date"].to_list() == [case.day(2026, 8, 25) + timedelta(days=n) for n in range(42)]
    values = [None if n == 20 else (320_150 + 1000 * n) * case.factor("ML") for n in range(42)]
    assert table["storage"].to_list() == [None if value is None else pytest.approx(value) for value in values]


def test_quality_codes_of_another_agency(make_case: MakeCase) -> None:
    case = make_case("19", cdec__csv=CaseFile("OBS DATE", {"VALUE": "ac-ft"}, by_format("%Y%m%d %H%M")))
    (note,) = notes_of(case)
    assert "has no grade for the codes 'N', 'e' in column" in note and "missing_codes and grades" in note
    dam = case.dam(edit=file_keys(missing_codes=["N"], grades={"estimated": ["e"], "good": ["r"]}))
    assert case.fetch(dam).errors == {}
    table = case.daily(dam).to_frame()
    last = table.filter(pl.col("storage").is_not_null())["date"].max()
    assert last == case.day(2026, 11, 12)
    flags = dict(table["storage_flag"].value_counts().iter_rows())
    assert set(flags) == {None, "estimated", "unavailable"} and flags["unavailable"] == 7
    assert flags[None] + flags["estimated"] == 893


def test_a_year_that_is_typed_wrong_and_a_year_of_another_era(make_case: MakeCase) -> None:
    case = make_case("20", level__csv=CaseFile("date", {"level": "m"}),
                     all_future__csv=CaseFile("date", {"level": "m"}, by_format("%d/%m/%y")))  # fmt: skip
    table = case.fetch(case.dam()).table
    assert table.select("rows", "future", "error").row(0) == (399, 1, None)
    wrong = date(2062, 10, 5) + case.shift
    assert f"1 reading lies in the future and is left out, the first of {wrong}; correct its date" in table["note"][0]
    report = case.fetch(case.dam("dam_era.toml"))
    first = date(2068, 9, 1) + case.shift
    assert f"every reading lies in the future (400, the first of {first}); correct its date" in str(report.failure)


def run_case(case: Case, dam: Dam, init_date: date, leads: tuple[int, ...] = (1, 7)) -> ForecastResult:
    """The forecast of a case at `leads`; the tests turn every warning into an error."""
    dam = dam.model_copy(update={"hindcast": dam.hindcast.model_copy(update={"leads": leads})})
    case.fetch(dam)
    url = f"sqlite:///{case.folder}/archive.db"
    return forecast(dam, archive=url, settings=Settings(), init_date=init_date, update=False)


@pytest.mark.slow
def test_a_weekly_bulletin(make_case: MakeCase) -> None:
    layout = CaseFile("FECHA", {"AGUA_ACTUAL": "hm3"}, by_format("%d/%m/%Y"), separator=";", decimal_comma=True)
    case = make_case("02", semanal__csv=layout)
    dam = case.dam()
    result = run_case(case, dam, case.day(2026, 11, 24), leads=tuple(range(1, 8)))
    scores = result.scores.filter(pl.col("regime") == "all", pl.col("window") == "all")
    week_errors = scores.filter(pl.col("metric") == "mae", pl.col("lead_time") == 7)
    by_model = {row["model"]: row for row in week_errors.to_dicts()}
    assert by_model["default"]["n"] > 500
    assert by_model["default"]["value"] < 1.37 * case.factor("hm3") < by_model["no_change"]["value"]
    assert by_model["damped_change"]["value"] < by_model["no_change"]["value"], "the change per reading is used"
    scored = scores.filter(pl.col("metric") == "mae", pl.col("n") > 0)["lead_time"].unique().to_list()
    assert scored == [7], "between the readings nothing can be scored"
    week = result.to_frame().filter(pl.col("lead_time") == 7)
    assert len(week) == 7
    (sentence,) = [text for text in result.issued.limitations if "about once a week" in text]
    assert sentence.startswith("Storage is read about once a week")
    assert "at lead times 1, 2, 3, 4, 5, 6 days" in sentence and "nothing can be scored there" in sentence
    assert not any("too short" in text for text in result.issued.limitations)


@pytest.mark.slow
def test_a_flashy_lake_is_not_suspect(make_case: MakeCase) -> None:
    case = make_case("04", alto__csv=CaseFile("fecha", {"cota_msnm": "m"}))
    dam = case.dam()
    case.fetch(dam)
    flags = screen_daily(case.daily(dam).to_frame(), dam)
    assert flags.filter(pl.col("withdrawn_on").is_null(), pl.col("reason") != "still").is_empty()
    result = run_case(case, dam, case.day(2026, 8, 16), leads=(1, 3, 7))
    coverage = result.scores.filter(
        pl.col("model") == "default", pl.col("metric") == "coverage_90", pl.col("regime") == "all",
        pl.col("window") == "all", pl.col("lead_time").is_in([1, 3, 7])
    )["value"]  # fmt: skip
    assert coverage.len() == 3 and coverage.is_between(0.87, 0.95).all()


@pytest.mark.slow
def test_a_flood_above_150_percent_is_water(make_case: MakeCase) -> None:
    case = make_case("10", dam__csv=CaseFile("date", {"pct": "%", "rain_mm": "mm"}))
    dam = case.dam()
    case.fetch(dam)
    daily = case.daily(dam).to_frame()
    flood = daily.filter(pl.col("date").is_between(case.day(2026, 11, 10), case.day(2026, 11, 14)))
    assert flood["storage_percent"].to_list() == [128.0, 162.0, 188.0, 176.0, 150.0]
    assert flood["storage_percent_flag"].null_count() == 5
    flags = screen_daily(daily, dam).filter(pl.col("gauge") == "storage_percent", pl.col("withdrawn_on").is_null())
    assert flags.filter(pl.col("date") >= case.day(2026, 11, 1), pl.col("reason") != "still").is_empty()
    result = run_case(case, dam, case.day(2026, 11, 12))
    assert result.issued.level_date == case.day(2026, 11, 12)
    assert result.verification.samples.start_level[-1] == 188.0


REFUSED = ("03", "05", "07", "12", "20")
"""Cases in which a command ends with an error."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(folder.name for folder in (SHARED / "cases").glob("*-*")))
def test_no_warning_of_a_library_and_no_traceback_reaches_the_terminal(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    shutil.copytree(SHARED / "cases" / name, folder)
    for path in folder.glob("*.toml"):  # two lead times: seven take longer and print the same lines
        assert "[hindcast]" not in path.read_text("utf-8")
        path.write_text(path.read_text("utf-8") + "\n[hindcast]\nleads = [1, 7]\n", "utf-8")
    program = Path(sys.executable).with_name("forebay")
    environment = os.environ | {"FOREBAY": str(program), "PYTHONWARNINGS": "error"}
    process = subprocess.run(
        ["sh", str(folder / "cmd.sh")], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert program.exists() and process.stdout + process.stderr, "the program has run"
    for line in process.stderr.splitlines():
        assert line.startswith(("forebay: ", "cat: out/forecast.csv: No such file")), line
    assert (process.stderr != "") == (name[:2] in REFUSED), process.stderr
    for stream in (process.stdout, process.stderr):
        assert "Warning" not in stream and "Traceback" not in stream, stream
        assert "nan" not in re.findall(r"[a-z]+", stream)


@pytest.mark.slow
def test_no_forecast_of_a_nearly_dry_tank_is_below_zero(make_case: MakeCase) -> None:
    layout = CaseFile("Date", {"STORAGE": "ML", "RAIN": "mm"}, by_format("%d-%m-%Y"))
    case = make_case("17", lake__csv=layout)
    result = run_case(case, case.dam(), case.day(2026, 9, 22))
    assert result.to_frame()["level"].min() == 0.0
    assert result.verification.forecasts["level"].min() == 0.0, "in every past forecast"
    changes = result.to_frame().filter(pl.col("quantile") == 0.5).sort("lead_time")["change"].to_list()
    parts = result.issued.explanation.group_by("lead_time").agg(pl.col("contribution").sum()).sort("lead_time")
    assert parts["contribution"].to_list() == pytest.approx(changes)
    assert "limit of the possible storage" in result.issued.explanation["words"].to_list()
