"""The commands `forebay record …`, `replay` and `score-record`, and the record that `forecast` and `run` print."""

import json
import re
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests import synthetic
from tests.command_line import CommandResult, forebay
from tests.shared import PROJECT, SHARED, needs_shared
from tests.synthetic import daily_frame, rain_gauge, small_dam

LAKE = small_dam(rain_gauge(), hindcast={"leads": (1, 2)})
DAYS = 200


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dam file, an archive with two records, and the output of the two commands."""
    folder = tmp_path_factory.mktemp("lake")
    rng = np.random.default_rng(3)
    columns = {"reservoir_level": np.cumsum(rng.normal(0, 0.05, DAYS)).tolist(), "rainfall_r1": [1.0] * DAYS}
    path = synthetic.write_dam(LAKE, daily_frame(LAKE, columns), folder)
    place = ("--archive", f"sqlite:///{folder}/a.db")
    assert forebay("fetch", path, *place).code == 0
    (folder / "text").write_text(forebay("forecast", path, *place).out)
    (folder / "json").write_text(forebay("forecast", path, "--json", *place).out)
    return folder


@pytest.fixture
def lake(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The dam file; the working folder and the archive are the test's own."""
    from forebay.archive import upkeep

    monkeypatch.chdir(tmp_path)
    upkeep.backup(f"sqlite:///{template}/a.db", tmp_path / "a.db")
    monkeypatch.setenv("FOREBAY_ARCHIVE", "sqlite:///a.db")
    return template / "small.toml"


def execute(statement: str) -> None:
    with closing(sqlite3.connect("a.db")) as connection:
        connection.execute(statement)
        connection.commit()


def check_error(result: CommandResult, code: int, pattern: str) -> None:
    assert result.code == code, result
    assert re.fullmatch(r"forebay: [^\n]+\n", result.err), result.err
    assert re.search(pattern, result.err), result.err


def test_a_forecast_prints_its_record(template: Path, lake: Path) -> None:
    first, second = forebay("record", "list", lake, "--json").json
    assert f"\nRecord: small-1, hash {first['hash']}\n" in (template / "text").read_text()
    record = json.loads((template / "json").read_text())["record"]
    assert record == {"id": "small-2", "hash": second["hash"], "previous": first["hash"], "replaces": "small-1",
                      "retrospective": False}  # fmt: skip


def test_list_and_show(lake: Path) -> None:
    text = forebay("record", "list", "small").out
    rows = forebay("record", "list", lake, "--json").json
    assert text.startswith("Small Dam (SIMULATED): the newest 2 of 2 recorded forecasts")
    assert text.endswith(f"Head: {rows[1]['hash']}\n")
    assert [(row["record"], row["kind"], row["replaces"]) for row in rows] == [
        ("small-1", "issued", None), ("small-2", "issued", "small-1")
    ]  # fmt: skip
    content = forebay("record", "show", "small-2", "--json").json
    assert (content["hash"], content["previous"]) == (rows[1]["hash"], rows[0]["hash"])
    by_hash = forebay("record", "show", rows[1]["hash"][:12])
    assert by_hash.out == forebay("record", "show", "small-2").out
    assert "Small Dam (SIMULATED): reservoir_level (m), forecast from 2018-07-19" in by_hash.out
    assert f"{content['environment']['libraries']['numpy']}" in by_hash.out


def test_verify_finds_a_changed_row_and_a_lost_end(lake: Path) -> None:
    head = forebay("record", "list", lake, "--json").json[-1]["hash"]
    sound = forebay("record", "verify", lake, "--head", head)
    assert (sound.code, sound.out) == (0, f"small: 2 records, 0 faults\nHead: {head}\n")
    execute("DELETE FROM forecast_record WHERE sequence = 2")
    assert forebay("record", "verify", "small").code == 0
    check_error(forebay("record", "verify", "small", "--head", head), 1, f"no record of small has the hash {head}")
    execute("UPDATE forecast_record SET init_date = '2018-07-18'")
    result = forebay("record", "verify", "small", "--json")
    check_error(result, 1, "the record of small has faults: small-1: column init_date is 2018-07-18, but its c")
    assert len(result.json["faults"]) == 1
    execute("DELETE FROM forecast_record")
    check_error(forebay("record", "verify", "small", "--head", head), 1, f"no record of small has the hash {head}")


def test_an_export_is_verified(lake: Path) -> None:
    exported = forebay("record", "export", lake, "-o", "out", "--json").json
    assert exported["head"] == forebay("record", "list", lake, "--json").json[-1]["hash"]
    assert [Path(path).name for path in exported["files"]] == ["records.jsonl", "2018-07-19-forebay-default.csv"]
    for path in exported["files"]:
        assert forebay("record", "verify", lake, "--file", path).code == 0
        text = Path(path).read_text()
        Path(path).write_text(text.replace("2018-07-20", "2018-07-21"))
        check_error(forebay("record", "verify", lake, "--file", path), 1, re.escape(f"{path}: line "))
    text = forebay("record", "export", "small", "--format", "netcdf").out
    assert text.startswith("small: 3 files in runs/small/record\nHead: ")
    execute("UPDATE forecast_record SET previous = hash WHERE sequence = 2")
    check_error(forebay("record", "export", lake), 1, "small-2 does not follow .*; nothing is exported: `forebay reco")


def test_replay(lake: Path) -> None:
    equal = forebay("replay", "small-1")
    assert (equal.code, equal.out) == (0, "Small Dam (SIMULATED): small-1, equal to the last digit\n")
    execute("UPDATE observation SET value = value + 0.5 WHERE time = (SELECT max(time) FROM observation)")
    different = forebay("replay", "small-2")
    check_error(different, 1, r"the replay of small-2 differs from the record by up to [0-9.]+ m: the daily table as")
    assert "Small Dam (SIMULATED): small-2, different\n" in different.out
    assert "largest difference (m)" in different.out
    content = forebay("replay", "small-2", "--json").json
    assert content["equal"] is False and len(content["leads"]) == 2 and content["unit"] == "m"


def test_scores(lake: Path) -> None:
    early = forebay("score-record", lake)
    assert "no recorded forecast can be scored yet\n  · 2 forecasts of a lead time have no observed le" in early.out
    content = forebay("score-record", lake, "--json").json
    assert (content["scores"], content["simulated"], content["unit"]) == ([], True, "m")


def test_bad_input(lake: Path) -> None:
    check_error(forebay("record", "list", "demo"), 1, "no forecast record of demo; it has records of small; `forebay f")
    check_error(forebay("record", "list", "nowhere"), 1, "no forecast record of nowhere; it has records of small")
    check_error(forebay("record", "list", "nowhere.toml"), 2, "neither in the catalogue")
    check_error(forebay("record", "show", "small-3"), 1, "no record small-3; it has small-1 to small-2")
    check_error(forebay("record", "show", "x"), 2, "record 'x' is no id")
    check_error(forebay("record", "verify", "small", "--head", "zz"), 2, "--head 'zz' is no hash; give its 8 to 64")
    check_error(forebay("record", "verify", "small", "--file", "x.pdf"), 2, "suffix '.pdf' is unknown; allowed are")
    check_error(forebay("replay", "small-1", "--archive", "sqlite:///none.db"), 2, "does not exist")
    check_error(forebay("score-record", "demo"), 1, "has no issued forecast of Demo Dam")
    execute("UPDATE forecast_record SET payload = '{}'")
    for command in (("record", "show", "small-1"), ("replay", "small-2"), ("score-record", lake)):
        check_error(forebay(*command), 1, r"small-\d: its content was changed")
    assert forebay("record", "verify", "small").code == 1


@pytest.mark.slow
@needs_shared
def test_a_real_record_is_replayed_after_revisions_and_a_later_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kabini: 1,500 days; then 30 more, and other values on 200 old days."""
    folder = "../../../shared/data/kabini/"
    frame = pl.read_csv(SHARED / "data" / "kabini" / "kabini_observed.csv", infer_schema=False)
    text = (PROJECT / "tests" / "dams" / "kabini.toml").read_text()
    text = text.replace(f"{folder}kabini_observed.csv", "kabini.csv").replace(folder, f"{SHARED}/data/kabini/")
    (tmp_path / "kabini.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", "sqlite:///a.db")
    frame.head(1500).write_csv("kabini.csv")
    assert forebay("fetch", "kabini.toml").code == 0
    first = forebay("forecast", "kabini.toml", "--json").json
    level = pl.col("level_ft").cast(pl.Float64)
    revised = frame.head(1530).with_row_index().with_columns(
        pl.when(pl.col("index").is_between(1200, 1399)).then((level + 0.5).cast(pl.String)).otherwise("level_ft")
        .alias("level_ft")
    )  # fmt: skip
    revised.drop("index").write_csv("kabini.csv")
    assert forebay("fetch", "kabini.toml").code == 0
    later = forebay("forecast", "kabini.toml", "--json").json
    assert date.fromisoformat(later["init_date"]) == date.fromisoformat(first["init_date"]) + timedelta(days=30)
    for record in ("kabini-1", "kabini-2"):
        result = forebay("replay", record)
        assert (result.code, result.out) == (0, f"Kabini Dam: {record}, equal to the last digit\n"), result
    scores = forebay("score-record", "kabini.toml", "--json").json["scores"]
    assert {row["n"] for row in scores} == {1}
