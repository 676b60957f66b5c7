"""All commands: output, exit code, and the error for bad input.

The dams are small and simulated, with files as sources. A real server on loopback has the gauges of Warragamba.
"""

import re
import signal
import socket
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from forebay import __version__
from forebay.archive.store import open_archive
from forebay.dams.dam import Dam
from forebay.dams.dam_file import catalogue
from forebay.dams.local_time import init_time
from forebay.errors import DataError
from forebay.features.substitutes import SUBSTITUTIONS
from forebay.forecasts.issue import IssuedForecast
from forebay.forecasts.storage import add_storage
from forebay.tables import PROBABILITIES
from forebay.verify.tables import RECENT_SCORES, SCORES
from tests import synthetic
from tests.command_line import CommandResult, forebay
from tests.disks import mount, small_disk
from tests.hydstra_server import Handler, hydstra_server
from tests.shared import PROJECT, needs_shared
from tests.synthetic import FIRST_DAY, daily_frame, rain_gauge, small_dam

LEADS = {"leads": (1, 3)}
WITH_RAIN = small_dam(rain_gauge(), full_supply=1.0, hindcast=LEADS)
FILES = {"report.html", "forecast.csv", "scores.csv", "hindcast.parquet", "forecast.png", "forecast.svg"}


@pytest.fixture(autouse=True)
def _working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run each test in a new folder, which also has the archive."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", f"sqlite:///{tmp_path}/archive.db")


def write_dam(dam: Dam = WITH_RAIN, days: int = 520, **columns: list[float | None]) -> Path:
    """Path of a dam file in the current folder; `columns` replaces the random values of gauges."""
    rng = np.random.default_rng(days)
    values = {gauge.column: rng.gamma(0.3, 10.0, days).tolist() for gauge in dam.gauges}
    values["reservoir_level"] = np.cumsum(rng.normal(0, 0.05, days)).tolist()
    return synthetic.write_dam(dam, daily_frame(dam, values | columns), Path())


def check_error(result: CommandResult, code: int, pattern: str) -> None:
    """Check the exit code `code`, an empty standard output, and one sentence on the error stream."""
    assert result.code == code
    assert result.out == ""
    assert re.fullmatch(r"forebay: [^\n]+\n", result.err), result.err
    assert re.search(pattern, result.err), result.err


# --- commands -------------------------------------------------------------------------------------------------------


def test_dams() -> None:
    assert "demo" in forebay("dams").out
    rows = forebay("dams", "--json").json
    assert [row["id"] for row in rows] == sorted(catalogue())
    (warragamba,) = [row for row in rows if row["id"] == "warragamba"]
    expected = {"name": "Warragamba Dam", "target": "reservoir_level", "unit": "m", "gauges": 8, "simulated": False}
    assert warragamba | expected == warragamba


def test_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOREBAY_ARCHIVE", "postgresql+psycopg://me:secret@127.0.0.1/gauges")
    (tmp_path / "forebay.toml").write_text("provisional_days = 7\n")
    result = forebay("settings", "--json")
    rows = {row["setting"]: row for row in result.json}
    assert rows["provisional_days"] == {
        "setting": "provisional_days",
        "value": 7,
        "from": str(tmp_path / "forebay.toml"),
    }
    assert rows["archive"]["from"] == "environment (FOREBAY_ARCHIVE)"
    assert rows["http.attempts"]["from"] == "default"
    assert "secret" not in result.out + forebay("settings").out
    assert "***" in rows["archive"]["value"]


def test_settings_do_not_show_the_password_of_a_wrong_archive_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREBAY_ARCHIVE", "://me:secret@")
    assert "secret" not in forebay("settings", "--json").out


ODD_URLS = (
    "postgresql+psycopg://me:secret@host:abc/x",
    "postgresql+psycopg:/me:secret@host:abc/x",
    "postgresql+psycopg://me:se/cret@host:1/x",
    "postgresql+psycopg://host:abc/x?password=secret",
    "postgresql+psycopg://[::1/x?password=secret",
    "ftp://me:secret@host/x",
    "me:secret@host",
    "http://me:secret@host:abc/x",
)


@pytest.mark.parametrize("url", ODD_URLS)
@pytest.mark.parametrize("name", ["FOREBAY_ARCHIVE", "FOREBAY_SOURCES__WATERNSW__URL"])
@pytest.mark.parametrize(
    "command", [["settings"], ["settings", "--json"], ["fetch", "warragamba", "--dry-run"], ["revisions", "demo"]],
    ids=" ".join,
)  # fmt: skip
def test_no_command_shows_a_password_or_fails_without_a_sentence(
    monkeypatch: pytest.MonkeyPatch, url: str, name: str, command: list[str]
) -> None:
    monkeypatch.setenv(name, url)
    result = forebay(*command)
    assert "cret" not in result.out + result.err
    assert result.code == 0 or (result.err.startswith("forebay: ") and result.err.count("\n") == 1)


def test_a_repeated_fetch_stores_nothing_new() -> None:
    path = write_dam(days=40)
    first, second = (forebay("fetch", path, "--json") for _ in range(2))
    assert first.code == second.code == 0
    assert [(row["gauge"], row["rows"], row["new"]) for row in first.json] == [
        ("reservoir_level", 40, 40),
        ("rainfall_r1", 40, 40),
    ]
    assert [(row["new"], row["revised"]) for row in second.json] == [(0, 0), (0, 0)]
    assert "Small Dam" in forebay("fetch", path).out


def test_fetch_of_a_period_into_a_second_archive(tmp_path: Path) -> None:
    path = write_dam(days=40)
    second = f"sqlite:///{tmp_path}/second.db"
    span = ("--since", FIRST_DAY + timedelta(days=10), "--until", FIRST_DAY + timedelta(days=19))
    result = forebay("fetch", path, *span, "--archive", second, "--json")
    assert [row["rows"] for row in result.json] == [10, 10]
    assert (tmp_path / "second.db").is_file()
    assert not (tmp_path / "archive.db").exists()


@pytest.mark.parametrize(
    ("ends", "span"),
    [
        (("--since", "1990-01-01", "--until", "1990-01-31"), "1990-01-01 to 1990-01-31"),
        (("--until", "1990-01-31"), "its start to 1990-01-31"),
        (("--since", "2019-01-01"), "2019-01-01 to today"),
    ],
)
def test_fetch_of_a_period_without_readings(ends: tuple[str, ...], span: str) -> None:
    path = write_dam(days=40)
    result = forebay("fetch", path, *ends, "--json")
    assert result.code == 1
    assert [row["rows"] for row in result.json] == [0, 0]
    sentence = f"no gauge of Small Dam has a reading from {span}; choose other days with --since and --until"
    assert result.err == f"forebay: {sentence}\n"


@pytest.mark.parametrize("suffix", ["csv", "parquet", "json"])
def test_daily(suffix: str) -> None:
    path = write_dam(days=40)
    assert forebay("fetch", path).code == 0
    result = forebay("daily", path, "-o", f"days.{suffix}", "--json")
    assert result.json == {"file": f"days.{suffix}", "days": 40, "from": "2018-01-01", "to": "2018-02-09"}
    reader = {"csv": pl.read_csv, "parquet": pl.read_parquet, "json": pl.read_json}[suffix]
    columns = ["dam", "date", "reservoir_level", "reservoir_level_flag", "rainfall_r1", "rainfall_r1_flag"]
    assert reader(f"days.{suffix}").columns == columns
    assert forebay("daily", path, "-o", f"days.{suffix}").out == f"days.{suffix}: 40 days, 2018-01-01 to 2018-02-09\n"


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    path = write_dam(days=40)
    empty = f"sqlite:///{tmp_path}/empty.db"
    open_archive(empty).close()
    for command in (("daily", path, "-o", "days.csv"), ("screen", path)):
        result = forebay(*command, "--archive", empty)
        check_error(result, 1, "the archive holds no (reading|level) of Small Dam; fetch it first with `forebay fetch")
    check_error(forebay("hindcast", path, "--archive", empty), 1, "holds no level of Small Dam; fetch it first")
    assert not (tmp_path / "days.csv").exists()


@pytest.mark.parametrize("command", [["daily", "-o", "days.csv"], ["screen"], ["hindcast"], ["revisions"]], ids=str)
def test_a_reading_command_creates_no_archive(tmp_path: Path, command: list[str]) -> None:
    absent = f"sqlite:///{tmp_path}/none/forebay.db"
    result = forebay(command[0], write_dam(days=40), *command[1:], "--archive", absent)
    check_error(result, 2, r"none/forebay\.db does not exist; give another one with --archive, or run `forebay fetch`")
    assert not (tmp_path / "none").exists()


def test_daily_refuses_an_unknown_suffix() -> None:
    path = write_dam(days=40)
    forebay("fetch", path)
    check_error(forebay("daily", path, "-o", "days.xls"), 2, r"suffix '.xls' is unknown; allowed are \.csv")


def test_run(tmp_path: Path) -> None:
    result = forebay("run", write_dam())
    assert result.code == 0
    assert result.err == ""
    assert "Small Dam (SIMULATED): reservoir_level (m), forecast as of 2019-06-04, " in result.out
    assert "days old\n" in result.out
    assert "Hindcast: mean absolute error (m), all models on the same days" in result.out
    assert result.out.endswith("Report: runs/small/report.html\n")
    assert {path.name for path in (tmp_path / "runs/small").iterdir()} >= FILES


def test_run_with_json(tmp_path: Path) -> None:
    path = write_dam()
    init = FIRST_DAY + timedelta(days=500)
    result = forebay("run", path, "--init", init, "-o", "out", "--json")
    output = result.json
    keys = {"dam": "small", "simulated": True, "unit": "m", "init_date": str(init), "current": False, "lacks": []}
    assert output | keys == output
    assert output["init_time"] == f"{init} 14:00:00+00:00"
    assert output["age_days"] == 0, "ages count from a requested init date"
    assert {(row["model"], row["lead_time"]) for row in output["forecast"]} >= {("default", 1), ("no_change", 3)}
    assert {row["valid_date"] for row in output["forecast"]} == {str(init + timedelta(days=h)) for h in (1, 3)}
    assert {row["regime"] for row in output["scores"]} == {"all"}
    assert set(output["scores"][0]) == set(SCORES.columns)
    assert {Path(file).name for file in output["files"]} == {path.name for path in (tmp_path / "out").iterdir()}


def test_a_run_uses_the_revisions_that_it_fetches() -> None:
    path = write_dam()
    assert forebay("fetch", path).code == 0
    levels = pl.read_csv("small.csv")["reservoir_level"].to_list()
    write_dam(reservoir_level=[*levels[:-1], levels[-1] + 0.5])
    first, second = (forebay("run", path, "-o", "out", "--json").json["forecast"] for _ in range(2))
    assert first == second


def test_forecast_equals_run_without_fetch_and_report(tmp_path: Path) -> None:
    path = write_dam()
    check_error(forebay("forecast", path), 2, "does not exist|no archive")
    run = forebay("run", path, "--json").json
    assert forebay("forecast", path, "--json").json["forecast"] == run["forecast"]
    result = forebay("forecast", path, "-o", "out")
    assert "Small Dam" in result.out
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "forecast.csv", "explanation.csv", "probabilities.csv"
    }  # fmt: skip
    table = pl.read_csv(tmp_path / "out" / "forecast.csv")
    assert table["level"].to_list() == [row["level"] for row in run["forecast"]]


def test_level_storage_and_percentage_are_in_csv_json_and_the_terminal(tmp_path: Path) -> None:
    path = write_dam()
    text = Path(path).read_text()
    levels = pl.read_csv("small.csv")["reservoir_level"]
    low, high = float(levels.min()) - 5.0, float(levels.max()) + 5.0  # type: ignore[arg-type]  # polars: of floats
    curve = f"""
full_supply = {high}
[[storage_curves]]
level_unit = "m"
storage_unit = "ML"
survey_date = 2011-06-30
points = [[{low}, 0.0], [{high}, 1000.0]]
"""
    head, tables = text[: text.index("[")], text[text.index("[") :]
    Path(path).write_text(head.replace("full_supply = 1.0\n", "") + curve + tables)
    run = forebay("run", path, "-o", "out", "--json").json
    rows = [row for row in run["forecast"] if row["model"] == "default"]
    table = pl.read_csv("out/forecast.csv").filter(pl.col("model") == "default")
    for name in ("storage", "storage_percent", "reservoir_level"):
        assert table[name].to_list() == [row[name] for row in rows]
    for row in rows:
        share = (row["level"] - low) / (high - low)
        assert row["storage"] == pytest.approx(1000 * share, abs=1e-6)
        assert row["storage_percent"] == pytest.approx(100 * share, abs=1e-6)
        assert row["survey_date"] == "2011-06-30"
        assert (row["level_unit"], row["storage_unit"], row["storage_note"]) == ("m", "ML", None)
        assert row["percent_of"].endswith("m: 1,000 ML (survey 2011-06-30)")
    printed = forebay("forecast", path).out
    assert "Storage, ML" in printed
    assert "% full" in printed
    assert re.search(r"· 100% is the storage at full supply level .* m: 1,000 ML \(survey 2011-06-30\)\.", printed)


@pytest.mark.parametrize(("command", "update"), [("run", {}), ("forecast", {"update": False})])
def test_an_init_date_reaches_the_forecast(
    monkeypatch: pytest.MonkeyPatch, command: str, update: dict[str, bool]
) -> None:
    arguments: dict[str, object] = {}

    def forecast(_: Dam, **given: object) -> None:
        arguments.update(given)
        raise DataError("no level on that day")

    monkeypatch.setattr("forebay.jobs.forecast.forecast", forecast)
    assert forebay(command, write_dam(days=2), "--init", "2018-01-02").code == 1
    known = {"init_date": date(2018, 1, 2)} | update
    assert arguments | known == arguments


@pytest.mark.parametrize("outside", [(), ("Outside experience: the rain.",)])
def test_the_json_of_a_forecast_has_the_day_of_its_level_and_what_limits_it(
    monkeypatch: pytest.MonkeyPatch, outside: tuple[str, ...]
) -> None:
    dam = synthetic.dam()
    init, level_date = date(2021, 4, 14), date(2021, 4, 12)
    table = synthetic.forecasts(dam, synthetic.level_table(dam, init, [9.0]), [init])
    issued = IssuedForecast(
        init, init_time(init, dam.time_zone), synthetic.NOW, level_date, table, ("No rain.",), outside,
        withheld_from=level_date,
    )  # fmt: skip
    storage = add_storage(table, dam, init)
    outlook = SimpleNamespace(probabilities=PROBABILITIES.empty())
    result = SimpleNamespace(
        dam=dam, issued=issued, overall_scores=synthetic.scores(dam), storage_forecasts=storage, outlook=outlook,
        recent_scores=RECENT_SCORES.empty(), substitutions=SUBSTITUTIONS.empty(), record=None,
        not_recorded="This forecast is not recorded: why.",
    )  # fmt: skip
    monkeypatch.setattr("forebay.jobs.forecast.forecast", lambda *_, **__: result)
    content = forebay("forecast", write_dam(days=2), "--json").json
    known = {
        "init_date": "2021-04-14", "level_date": "2021-04-12", "level_age_days": 2, "age_days": 0, "current": True,
        "thresholds_withheld_from": "2021-04-12", "lacks": ["No rain."], "outside_experience": list(outside),
        "intervals_are_a_lower_bound": bool(outside), "record": None,
        "not_recorded": "This forecast is not recorded: why.",
    }  # fmt: skip
    assert content | known == content


def test_the_cost_of_a_variant_is_the_increase_of_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = synthetic.scores(synthetic.dam())
    late = scores.with_columns(value=pl.when(pl.col("metric") == "mae").then(1.5 * pl.col("value")).otherwise("value"))
    hindcasts = {"on_time": SimpleNamespace(scores=scores), "late_drivers": SimpleNamespace(scores=late)}
    result = SimpleNamespace(hindcasts=hindcasts, scores=scores)
    monkeypatch.setattr("forebay.jobs.hindcast.hindcast", lambda *_, **__: result)
    monkeypatch.setattr("forebay.jobs.hindcast.write_hindcast", lambda *_: [])
    text = forebay("hindcast", write_dam(days=2), "--late-drivers").out
    costs = text.partition("every driver known a day later\n")[2]
    assert costs.count("+50.0%") == len(re.findall(r"\d d ", costs)) > 0


@pytest.mark.parametrize("command", ["run", "forecast"])
def test_netcdf(tmp_path: Path, command: str) -> None:
    xarray = pytest.importorskip("xarray")
    path = write_dam()
    assert forebay("fetch", path).code == 0
    assert forebay(command, path, "-o", "out", "--format", "netcdf").code == 0
    rows = pl.read_csv(tmp_path / "out" / "forecast.csv").filter(pl.col("model") == "default")
    with xarray.open_dataset(tmp_path / "out" / "forecast.nc", decode_timedelta=True) as dataset:
        assert dataset["level"].dims == ("init_time", "lead_time", "quantile")
        assert dataset.attrs["Conventions"] == "CF-1.11"
        assert dataset["level"].attrs["units"] == "m"
        for row in rows.iter_rows(named=True):
            lead = np.timedelta64(row["lead_time"], "D")
            assert dataset["level"].sel(lead_time=lead, quantile=row["quantile"]).item() == row["level"]
    assert forebay(command, path, "-o", "out", "--format", "grib").code == 2


def test_an_unknown_command_is_refused_with_the_nearest_and_all_commands() -> None:
    nearest = r"command 'hindcasts' does not exist \(did you mean 'hindcast'\?\); allowed are alerts, archive, article"
    check_error(forebay("hindcasts"), 2, nearest)
    check_error(forebay("archive", "checks"), 2, r"did you mean 'check'\?\); allowed are backup, check, compact")


def test_an_argument_too_many_is_named_with_the_command() -> None:
    sentence = r"`forebay archive check` does not take the argument 'one', 'two'; `forebay archive check --help` lists"
    check_error(forebay("archive", "check", "one", "two"), 2, sentence)


def test_version_and_completion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert forebay("--version").out == f"{__version__}\n"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    assert forebay("--install-completion").code == 0
    scripts = [path for path in tmp_path.rglob("*") if path.is_file() and "forebay" in path.read_text()]
    assert any("hindcast" in path.read_text() for path in scripts)


def test_hindcast(tmp_path: Path) -> None:
    path = write_dam()
    check_error(forebay("hindcast", path), 2, "does not exist; .* run `forebay fetch` first")
    forebay("fetch", path)
    result = forebay("hindcast", path, "-o", "out")
    assert result.code == 0
    assert result.err == ""
    assert "Small Dam (SIMULATED): errors in m, window all; `default` against the best reference" in result.out
    assert result.out.endswith("Scores, forecasts, diagnostics and charts: out\n")
    tables = {"scores.csv", "hindcast.parquet", "reliability.csv", "largest_misses.csv", "reliability.svg", "peaks.png"}
    assert {file.name for file in (tmp_path / "out").iterdir()} >= tables


def test_hindcast_with_input_variants(tmp_path: Path) -> None:
    """No reading has a code, so the scores without codes are the same; perfect rain is an upper bound."""
    path = write_dam()
    forebay("fetch", path)
    result = forebay("hindcast", path, "--screens-for-codes", "--perfect-rain")
    assert result.code == 0, result.err
    assert "errors in m, quality codes ignored in the inputs, only our own screen\n" in result.out
    assert "errors in m, observed future rain as a forecast: an upper bound, not a forecast\n" in result.out
    folder = tmp_path / "runs/small"
    assert (folder / "scores_screens_for_codes.csv").read_text() == (folder / "scores.csv").read_text()
    assert (folder / "scores_perfect_rain.csv").read_text() != (folder / "scores.csv").read_text()


def test_hindcast_with_late_drivers_and_json(tmp_path: Path) -> None:
    path = write_dam()
    forebay("fetch", path)
    output = forebay("hindcast", path, "--late-drivers", "--json").json
    assert output | {"dam": "small", "simulated": True, "unit": "m"} == output
    on_time, late = output["on_time"], output["late_drivers"]
    assert [(r["window"], r["days"], r["lead"], r["n"]) for r in on_time] == [
        (r["window"], r["days"], r["lead"], r["n"]) for r in late
    ], "the same days"
    assert {row["lead"] for row in on_time} == {"1 d", "3 d"}
    assert {Path(file).name for file in output["files"]} == {file.name for file in (tmp_path / "runs/small").iterdir()}
    assert (tmp_path / "runs/small/scores_late_drivers.csv").exists()


def test_run_refuses_an_init_date_without_a_level(tmp_path: Path) -> None:
    path = write_dam()
    check_error(
        forebay("run", path, "--init", "2030-01-01"),
        1,
        "no usable reservoir_level on 2030-01-01 or the 30 days before, .* the nearest day that has one is 2019-06-04",
    )
    check_error(forebay("run", path, "--init", "2001-01-01"), 1, "the nearest day that has one is 2018-01-01")
    assert not (tmp_path / "runs").exists()


# --- bad input ------------------------------------------------------------------------------------------------------

BAD_USAGE = {
    "no such command": (["forecats"], "forecats"),
    "no dam": (["run"], "requires an argument"),
    "no such dam": (["run", "waragamba"], "'waragamba' is neither in the catalogue .*, warragamba. nor a file"),
    "no such option": (["run", "demo", "--leads", "3"], "--leads"),
    "no date": (["fetch", "demo", "--since", "tomorrow"], 'unable to convert "tomorrow" into date'),
    "wrong order": (["fetch", "demo", "--since", "2020-01-02", "--until", "2020-01-01"], "must not be before since"),
    "the future": (["fetch", "demo", "--since", "2999-01-01"], r"since \(2999-01-01\) must not be after today"),
    "no archive": (["fetch", "demo", "--archive", "gauges.db"], "gauges.db"),
    "no whole number of months": (["outlook", "demo", "--months", "1.5"], "--months: '1.5' is no whole number"),
    "no whole number of days": (["export", "demo", "--days", "2.5"], "--days: '2.5' is no whole number"),
    "no whole port": (["serve", "demo", "--port", "80.5"], "--port: '80.5' is no whole number"),
    "no whole number of seeds": (["article", "--seeds", "1e1"], "--seeds: '1e1' is no whole number"),
    "no whole number of years": (["new", "x", "--near", "0,0", "--years", "x"], "--years: 'x' is no whole number"),
    "no whole days ahead": (["alerts", "test", "demo", "--within", "2.0"], "--within: '2.0' is no whole number"),
}


@pytest.mark.parametrize(("arguments", "pattern"), BAD_USAGE.values(), ids=BAD_USAGE)
def test_bad_usage(arguments: list[str], pattern: str) -> None:
    check_error(forebay(*arguments), 2, pattern)


def test_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREBAY_HTTP__ATTEMPTS", "many")
    check_error(forebay("run", "demo"), 2, r"FOREBAY_HTTP__ATTEMPTS.* http.attempts = 'many': ")


def test_a_missing_file(tmp_path: Path) -> None:
    path = write_dam(days=40)
    (tmp_path / "small.csv").unlink()
    check_error(forebay("run", path), 2, r"gauge reservoir_level: file.path 'small.csv' cannot be read .No such file")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("text", ["", "date,reservoir_level,rainfall_r1\n"], ids=["empty", "header only"])
def test_a_file_without_any_day(tmp_path: Path, text: str) -> None:
    path = write_dam(days=40)
    (tmp_path / "small.csv").write_text(text)
    check_error(forebay("run", path), 1, "small.csv is empty|gauge lake has no usable reservoir_level; nothing can be")
    assert not (tmp_path / "runs").exists()


def test_a_service_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOREBAY_SOURCES__WATERNSW__URL", "http://127.0.0.1:9/cgi/webservice.exe")  # a closed port
    monkeypatch.setenv("FOREBAY_HTTP__ATTEMPTS", "1")
    check_error(
        forebay("run", "warragamba"),
        1,
        "none of the 8 gauges of warragamba could be fetched; the first: waternsw, station 212242: 127.0.0.1:9 cannot",
    )
    assert not (tmp_path / "runs").exists()
    result = forebay("fetch", "warragamba", "--json")
    assert result.code == 1
    assert all("cannot be reached" in row["error"] for row in result.json)


def test_a_level_without_any_value(tmp_path: Path) -> None:
    path = write_dam(days=100, reservoir_level=[None] * 100)
    check_error(forebay("run", path), 1, "gauge lake has no usable reservoir_level; nothing can be forecast")
    assert not (tmp_path / "runs").exists()


def test_a_single_level(tmp_path: Path) -> None:
    path = write_dam(days=50, reservoir_level=[None] * 20 + [1.0] + [None] * 29)
    check_error(forebay("run", path), 1, "a usable level on 2018-01-21 only; a forecast needs at least 2 days")
    assert not (tmp_path / "runs").exists()


LIMITED = {
    "level only": (small_dam(full_supply=1.0, hindcast=LEADS), 520, {}, "No gauge of rain or flow"),
    "a gauge without any data": (
        WITH_RAIN,
        520,
        {"rainfall_r1": [None] * 520},
        "Rainfall has no usable value;",
    ),
    "30 days": (WITH_RAIN, 30, {}, "The record (30 days) is too short for the regression: damped_change replaces it"),
    "2 days": (WITH_RAIN, 2, {}, "No intervals at lead times 1, 3"),
    "a level that never changes": (WITH_RAIN, 520, {"reservoir_level": [3.0] * 520}, "the gauge may be stuck"),
}


@pytest.mark.parametrize(("dam", "days", "columns", "sentence"), LIMITED.values(), ids=LIMITED)
def test_a_forecast_states_its_limitations(
    dam: Dam, days: int, columns: dict[str, list[float | None]], sentence: str
) -> None:
    result = forebay("run", write_dam(dam, days, **columns), "--json")
    assert (result.code, result.err) == (0, "")
    assert any(sentence in lack for lack in result.json["lacks"])
    medians = [row for row in result.json["forecast"] if row["quantile"] == 0.5 and row["model"] == "default"]
    assert [row["lead_time"] for row in medians] == [1, 3]
    names = {Path(file).name for file in result.json["files"]}
    assert names >= FILES
    page = Path("runs/small/report.html").read_text()
    assert sentence.replace("'", "&#39;") in page or sentence in page


def test_a_read_only_folder(tmp_path: Path) -> None:
    path = write_dam(days=40)
    with small_disk(tmp_path / "disk", "64k") as disk:
        mount("-o", "remount,ro", str(disk))
        result = forebay("run", path, "-o", disk / "out")
    check_error(result, 2, r"folder '.*disk/out' cannot be written: Read-only file system; choose another with -o DIR")
    assert not (tmp_path / "archive.db").exists(), "refused before the fetch"


def test_a_full_disk(tmp_path: Path) -> None:
    path = write_dam(days=40)
    with small_disk(tmp_path / "disk", "64k") as disk:
        result = forebay("run", path, "-o", disk / "out")
        check_error(result, 2, "disk/out' cannot be written: No space left on device.*; choose another with -o DIR")
        assert list((disk / "out").iterdir()) == []


def test_a_failed_run_keeps_the_previous_files(tmp_path: Path) -> None:
    path = write_dam(days=40)
    with small_disk(tmp_path / "disk", "4m") as disk:
        assert forebay("run", path, "-o", disk).code == 0
        before = {file.name: file.read_bytes() for file in disk.iterdir()}
        mount("-o", "remount,size=" + str(sum(map(len, before.values())) + 300_000), str(disk))
        assert forebay("run", path, "-o", disk).code == 2
        assert {file.name: file.read_bytes() for file in disk.iterdir()} == before


# --- the process ----------------------------------------------------------------------------------------------------


def test_the_command_line_loads_nothing_heavy() -> None:
    heavy = {"polars", "numpy", "sqlalchemy", "sklearn", "lightgbm", "altair", "httpx2", "rich", "pydantic", "scipy"}
    code = "import sys, forebay.cli.app; print(*sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(process.stdout.split())


def test_the_installed_program() -> None:
    code = "from forebay.cli import main; main()"
    for arguments, status in ((["dams", "--json"], 0), (["nope"], 2)):
        process = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
        assert process.returncode == status
        assert "Traceback" not in process.stderr


def test_a_closed_output_pipe() -> None:
    """`forebay dams --json | head -0` prints no traceback."""
    code = "from forebay.cli import main; main()"
    command = [sys.executable, "-c", code, "dams", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert "Traceback" not in errors
    assert process.returncode == 1


def test_ctrl_c_stops_a_fetch_with_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGINT while the service does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as unresponsive:
        monkeypatch.setenv("FOREBAY_SOURCES__WATERNSW__URL", f"http://127.0.0.1:{unresponsive.getsockname()[1]}/")
        command = [sys.executable, "-c", "from forebay.cli import main; main()", "fetch", "warragamba"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = unresponsive.accept()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
            connection.close()
    sentence = "forebay: stopped; the readings fetched so far are in the archive\n"
    assert (process.returncode, out, err) == (130, "", sentence)


# --- a service on loopback ------------------------------------------------------------------------------------------


@needs_shared
def test_a_dry_run_sends_nothing_and_lists_the_requests_of_the_fetch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[dict[str, Any]] = []

    class RecordingHandler(Handler):
        def answer(self, call: Any) -> None:
            calls.append(call)
            super().answer(call)

    arguments = ("fetch", "warragamba", "--since", "2021-12-01", "--until", "2021-12-31", "--json")
    monkeypatch.setenv("FOREBAY_ARCHIVE", f"sqlite:///{tmp_path / 'new' / 'forebay.db'}")
    monkeypatch.setenv("FOREBAY_HTTP__DAYS_PER_REQUEST", "20")
    with hydstra_server(handler=RecordingHandler) as url:
        monkeypatch.setenv("FOREBAY_SOURCES__WATERNSW__URL", url)
        planned = forebay(*arguments, "--dry-run")
        assert (planned.code, planned.err, calls) == (0, "", [])
        assert not (tmp_path / "new").exists()
        assert forebay(*arguments).code == 0
    host = url.split("/")[2]
    assert {row["host"] for row in planned.json} == {host}
    assert {row["source"] for row in planned.json} == {"waternsw"}

    def clock(time: str | None) -> str | None:
        return None if time is None else datetime.strptime(time, "%Y%m%d%H%M%S").strftime("%Y-%m-%d %H:%M")

    requests = [
        (call["params"]["site_list"], call["function"], clock(params.get("start_time")), clock(params.get("end_time")))
        for call in calls
        for params in [call["params"]]
    ]
    plan = [(row["station"], row["asks"], row["first"], row["last"]) for row in planned.json]
    assert sorted(requests, key=str) == sorted(plan, key=str)
    assert len(plan) == 8 * 3
    text = forebay("fetch", "demo", "--dry-run")
    assert "simulated: no service" in text.out


@pytest.mark.slow
@needs_shared
def test_run_of_warragamba_from_a_hydstra_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The dam file of the catalogue with three lead times, to save time; then a second fetch by the catalogue's id."""
    text = (PROJECT / "src/forebay/dams/catalogue/warragamba.toml").read_text("utf-8")
    (tmp_path / "warragamba.toml").write_text(text.replace("[hindcast]\n", "[hindcast]\nleads = [1, 3, 7]\n"), "utf-8")
    with hydstra_server() as url:
        monkeypatch.setenv("FOREBAY_SOURCES__WATERNSW__URL", url)
        result = forebay("run", "warragamba.toml", "--json")
        assert (result.code, result.err) == (0, "")
        second = forebay("fetch", "warragamba", "--json")
    assert result.json["init_date"] == "2022-01-11"
    n = {(row["window"], row["lead_time"]): row["n"] for row in result.json["scores"] if row["metric"] == "mae"}
    assert [n["T10", lead] for lead in (1, 3, 7)] == [3418, 3401, 3376]
    assert second.code == 0
    assert [(row["new"], row["revised"]) for row in second.json] == [(0, 0)] * 8


def test_the_pictures_of_the_screen_are_in_the_folder_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dam(days=40)
    assert forebay("fetch", path).code == 0
    monkeypatch.setenv("FOREBAY_OUTPUT", "pictures")
    result = forebay("screen", path, "--json")
    assert result.code == 0, result.err
    folder = Path("pictures") / WITH_RAIN.id / "screening"
    files = [Path(file) for file in result.json["files"]]
    assert files and {file.parent for file in files} == {folder} and all(file.is_file() for file in files)
    assert not Path("runs").exists()
