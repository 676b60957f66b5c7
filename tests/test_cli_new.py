"""`forebay new` as a person and a script call it: questions in a terminal, --yes, --set, --json, refusals."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
import tomllib
from datetime import date, timedelta
from pathlib import Path

import pytest

from forebay.cli.new import _prompt
from forebay.draft.answers import Question
from tests.command_line import forebay
from tests.shared import SHARED, needs_shared

TIME_LIMIT_S = 90


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", "sqlite:///archive.db")
    return tmp_path


def write_levels(folder: Path, *, unit: str = "_m", spike: bool = False) -> None:
    """400 days of a level that rises and falls by centimetres; 20 days are missing."""
    rows = [f"date,level{unit},rain_mm"]
    for n in range(400):
        day = date(2024, 1, 1) + timedelta(days=n)
        level = 437 + (n % 90) / 50 + (9 if spike and n == 300 else 0)
        rows.append(f"{day},{'' if 100 <= n < 120 else f'{level:.2f}'},{n % 7 * 1.5}")
    (folder / "level.csv").write_text("\n".join(rows))


def test_a_dam_file_from_one_command(folder: Path) -> None:
    write_levels(folder, spike=True)
    result = forebay("new", "my_dam", "--csv", "level.csv", "--yes")
    assert result.code == 0, result.err
    assert "level_m.unit" in result.out
    assert "spike" in result.out
    assert "my_dam_record.png" in result.out
    assert "forebay run my_dam.toml" in result.out
    assert "days old; add newer lines to its file" in result.out
    content = tomllib.loads((folder / "my_dam.toml").read_text())
    assert content["gauges"][0]["unit"] == "m"
    assert (folder / "my_dam_record.png").read_bytes().startswith(b"\x89PNG")
    svg = (folder / "my_dam_record.svg").read_text()
    assert "record, gaps (grey) and values to check" in svg
    assert svg.count("#e4e8eb") >= 1  # the gap of 20 days


def test_json_has_decisions_gauges_and_spells(folder: Path) -> None:
    write_levels(folder, spike=True)
    result = forebay("new", "my_dam", "--csv", "level.csv", "--yes", "--json")
    content = result.json
    assert content["days"] == 400
    assert content["missing"] == {"reservoir_level": 20, "rainfall_rain_mm": 0}
    assert [spell["reason"] for spell in content["spells"] if spell["gauge"] == "reservoir_level"] == ["spike"]
    assert {"key": "level_m.unit", "value": "m", "reason": "its name"} in content["decisions"]
    assert content["gauges"][0]["rows"] == 400


def test_without_a_terminal_a_question_is_an_error(folder: Path) -> None:
    write_levels(folder, unit="")
    result = forebay("new", "my_dam", "--csv", "level.csv", "--yes")
    assert result.code == 2
    assert "Which unit has 'level' (437 to 438.78)" in result.err
    assert "--set 'level.unit=VALUE'" in result.err
    assert not (folder / "my_dam.toml").exists()
    assert not (folder / "archive.db").exists()
    stated = forebay("new", "my_dam", "--csv", "level.csv", "--yes", "--set", "level.unit=m", "--set", "country=Chile")
    assert stated.code == 0, stated.err
    assert tomllib.loads((folder / "my_dam.toml").read_text())["country"] == "Chile"


def test_proposals_need_a_terminal_or_yes(folder: Path) -> None:
    write_levels(folder)
    result = forebay("new", "my_dam", "--csv", "level.csv")
    assert result.code == 2
    assert "or accept the proposals with --yes" in result.err


def test_a_dam_file_is_never_replaced(folder: Path) -> None:
    write_levels(folder)
    (folder / "my_dam.toml").write_text("mine")
    result = forebay("new", "my_dam", "--csv", "level.csv", "--yes")
    assert result.code == 2
    assert "my_dam.toml exists already" in result.err
    assert (folder / "my_dam.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("my dam", "--csv", "level.csv"), "my dam"),
        (("my_dam", "--csv", "none.csv"), "--csv none.csv does not exist; give the path of a file from the current"),
        (("my_dam", "--csv", "level.csv", "--set", "level_m.unit"), "must be KEY=VALUE"),
        (("my_dam", "--csv", "level.csv", "--set", "colour=red"), "--set colour decides nothing"),
        (("my_dam", "--csv", "level.csv", "-o", "nowhere"), "nowhere is not a folder"),
        (("my_dam",), "--csv"),
    ],
)
def test_wrong_arguments_have_one_sentence(arguments: tuple[str, ...], sentence: str, folder: Path) -> None:
    write_levels(folder)
    result = forebay("new", *arguments, *(["--yes"] if "--csv" in arguments else []))
    assert result.code == 2
    assert sentence in result.err
    assert result.err.strip().count("\n") == 0
    assert not list(folder.glob("*.toml"))


def test_a_bad_cell_keeps_the_draft(folder: Path) -> None:
    """A skipped hour is refused with its remedy; the draft stays."""
    rows = [f"2026-03-{7 + n // 24:02} {n % 24:02}:00,{437 + n / 100:.2f}" for n in range(72)]
    (folder / "level.csv").write_text("time,level_m\n" + "\n".join(rows))
    settings = ("--set", "level:stamp=instant", "--set", "time_zone=America/New_York")
    result = forebay("new", "my_dam", "--csv", "level.csv", "--yes", *settings)
    assert result.code == 1
    assert 'time_zone = "-05:00"' in result.err
    assert "my_dam.toml stays as it is" in result.out
    assert (folder / "my_dam.toml").exists()
    (folder / "my_dam.toml").unlink()
    machine = forebay("new", "my_dam", "--csv", "level.csv", "--yes", "--json", *settings)
    assert (machine.code, machine.out) == (1, ""), "only JSON on the standard output"


def test_a_failed_fetch_is_printed_once_and_quotes_the_file_of_the_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two gauges of a file in another folder: file, line, column and cell once, and one word in the table."""
    (folder / "in").mkdir()
    (folder / "out").mkdir()
    rows = [f"2026-03-{7 + n // 24:02} {n % 24:02}:00,{437 + n / 100:.2f},{n % 5}" for n in range(72)]
    (folder / "in" / "level.csv").write_text("time,level_m,rain_mm\n" + "\n".join(rows))
    monkeypatch.chdir(folder / "out")
    settings = ("--set", "level:stamp=instant", "--set", "time_zone=America/New_York")
    result = forebay("new", "my_dam", "--csv", folder / "in" / "level.csv", "--yes", *settings)
    assert result.code == 1
    text = " ".join((result.out + result.err).split())
    assert text.count("level.csv, line 28: the time 2026-03-08 02:00:00 does not exist in America/New_York") == 1
    assert text.count("does not exist") == 1
    assert result.out.count("failed") == 2
    (folder / "in" / "level.csv").write_text("date,level_m\n2024-01-01,437.1\n2024-01-02,437.2\n2024-01-02,437.9\n")
    twice = forebay("new", "my_lake", "--csv", folder / "in" / "level.csv", "--yes")
    assert "level.csv, line 4: the time 2024-01-02" in twice.err
    assert "level_m ('437.2' and '437.9')" in twice.err


def dialogue(folder: Path, answers: list[tuple[str, str]], *arguments: str) -> tuple[int, str]:
    """Exit code and output of the command in a real terminal; each answer follows the text that it waits for."""
    main, child = pty.openpty()
    command = [sys.executable, "-P", "-c", "from forebay.cli import main; main()", "new", *arguments]
    process = subprocess.Popen(command, cwd=folder, stdin=child, stdout=child, stderr=child, close_fds=True)
    os.close(child)
    output, start = "", 0
    until = time.monotonic() + TIME_LIMIT_S
    waiting = list(answers)
    while time.monotonic() < until:
        try:
            part = os.read(main, 4096).decode("utf-8", "replace")
        except OSError:  # the terminal is closed: the process has ended
            break
        if not part:
            break
        output += part
        if waiting and waiting[0][0] in output[start:]:
            start = len(output)
            os.write(main, f"{waiting.pop(0)[1]}\n".encode())
    os.close(main)
    code = process.wait(TIME_LIMIT_S)
    assert not waiting, f"not asked: {waiting}; {output}"
    return code, output


@pytest.mark.parametrize(
    ("texts", "answer"), [(["1"], "m"), (["3"], "ft"), (["0", "4", "", "cm"], "cm"), ([" ft "], "ft")]
)
def test_a_number_of_the_list_or_a_name_is_an_answer(
    texts: list[str], answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = list(texts)

    def type_text(prompt: str) -> str:
        assert waiting, f"asked again after {texts}"
        return waiting.pop(0)

    monkeypatch.setattr("builtins.input", type_text)
    assert _prompt(Question("level.unit", "Which unit", {"m": "metre", "cm": "", "ft": "foot"})) == answer
    assert not waiting


def test_questions_in_a_terminal(folder: Path) -> None:
    """An impossible answer is asked again; Enter takes the proposal; a number chooses an option."""
    write_levels(folder, unit="")
    answers = [
        ("Answer [My Dam]: ", "Lago Grande"),
        ("Number or name: ", "furlong"),
        ("Number or name: ", "1"),
        ("Answer [unknown]: ", "Chile"),
        ("Answer [leave out]: ", "-33.5"),
        ("Answer [leave out]: ", "-70.9"),
        ("Answer [+00:00]: ", "-04:00"),
        ("Answer [leave out]: ", "439"),
    ]
    code, output = dialogue(folder, answers, "my_dam", "--csv", "level.csv")
    assert code == 0, output
    assert "'furlong' is no answer" in output
    assert "without it, there is no chance of reaching full supply" in " ".join(output.split())
    content = tomllib.loads((folder / "my_dam.toml").read_text())
    assert (content["name"], content["latitude"], content["time_zone"]) == ("Lago Grande", -33.5, "-04:00")
    assert (content["full_supply"], content["gauges"][0]["unit"]) == (439.0, "m")


@needs_shared
def test_the_draft_of_a_real_dam_forecasts(folder: Path) -> None:
    """From a file to a forecast with two commands."""
    path = SHARED / "data/snake/palisades.csv"
    created = forebay("new", "palisades", "--csv", path, "--yes", "--set", "full_supply=1480")
    assert created.code == 0, created.err
    result = forebay("forecast", "palisades.toml", "--init", "2015-06-01", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["forecast"]
