"""The recipes of CONTRIBUTING.md work on a copy of the package and change the announced number of files."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests import synthetic
from tests.shared import PROJECT
from tests.synthetic import daily_frame, rain_gauge, small_dam

PAGE = (PROJECT / "CONTRIBUTING.md").read_text("utf-8")
EDIT = re.compile(
    r"^(?:New file `(?P<new>[^`]+)`"
    r"|In `(?P<file>[^`]+)`, (?:at the end|(?P<place>after|instead of) the line `(?P<line>[^\n]+)`)):"
    r"\n\n```\w+\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Recipe:
    """One recipe of the page: its title, the number of files that it announces, and its edits."""

    title: str
    files: int
    edits: list[re.Match[str]]


def recipes() -> list[Recipe]:
    """Every section of the page that announces its number of files."""
    sections = re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]
    return [
        Recipe(text.partition("\n")[0], int(announced.group(1)), list(EDIT.finditer(text)))
        for text in sections
        if (announced := re.search(r"^Files: (\d)\.", text, re.MULTILINE))
    ]


def apply_edit(edit: re.Match[str], root: Path) -> None:
    """Write a new file, or change an existing file at a line that occurs exactly once."""
    path = root / (edit["new"] or edit["file"])
    code = edit["code"]
    if edit["new"]:
        assert not path.exists(), f"{path} exists already"
        path.write_text(code, "utf-8")
        return
    text = path.read_text("utf-8")
    if edit["place"] is None:
        path.write_text(text + code, "utf-8")
        return
    line = f"{edit['line']}\n"
    assert text.count(f"\n{line}") == 1, f"{path} has the line {edit['line']!r} {text.count(line)} times"
    replacement = code if edit["place"] == "instead of" else line + code
    path.write_text(text.replace(f"\n{line}", f"\n{replacement}"), "utf-8")


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with every recipe applied."""
    root = tmp_path_factory.mktemp("extended")
    shutil.copytree(PROJECT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for recipe in recipes():
        for edit in recipe.edits:
            apply_edit(edit, root)
    return root


def forebay(root: Path, *words: str | Path, cwd: Path) -> str:
    """Standard output of a command of the extended package; it must succeed."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("COVERAGE_", "COV_"))}
    environ |= {"PYTHONPATH": str(root / "src"), "FOREBAY_ARCHIVE": f"sqlite:///{cwd}/archive.db"}
    command = [sys.executable, "-c", "from forebay.cli import main; main()", *map(str, words)]
    result = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_page_has_a_recipe_for_each_kind_of_extension() -> None:
    kinds = {"agency", "source", "variable", "metric", "model", "chart", "report section", "command"}
    assert {re.sub(r"Add an? ", "", recipe.title) for recipe in recipes()} == kinds


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.title)
def test_a_recipe_changes_the_announced_number_of_files(recipe: Recipe) -> None:
    files = {edit["new"] or edit["file"] for edit in recipe.edits}
    assert len(files) == recipe.files
    lines = sum(edit["code"].count("\n") for edit in recipe.edits)
    assert lines <= 45, "about 40 lines are enough for an extension"


def test_an_agency_a_source_and_a_command(extended: Path, tmp_path: Path) -> None:
    rows = json.loads(forebay(extended, "settings", "--json", cwd=tmp_path))
    settings = {row["setting"]: row["value"] for row in rows}
    assert settings["sources.toywater.url"] == "https://gauges.example/webservice.exe"
    rows = json.loads(forebay(extended, "units", "--json", cwd=tmp_path))
    units = {row["variable"]: row["units"] for row in rows}
    assert "degC" in units["dew_point"]
    dam = """
id = "toy"
name = "Toy Dam"
country = "Nowhere"
latitude = 0.0
longitude = 0.0
time_zone = "+10:00"
simulated = true
[target]
variable = "reservoir_level"
unit = "m"
datum = "above nothing"
[[gauges]]
role = "target"
source = "toyfiles"
station = "1"
variable = "reservoir_level"
unit = "m"
[[gauges]]
role = "temperature"
source = "toyfiles"
station = "2"
variable = "dew_point"
unit = "degC"
"""
    (tmp_path / "toy.toml").write_text(dam)
    rows = json.loads(forebay(extended, "fetch", "toy.toml", "--json", cwd=tmp_path))
    assert [(row["gauge"], row["new"]) for row in rows] == [("reservoir_level", 1), ("dew_point_2", 1)]


@pytest.mark.slow
def test_a_metric_a_model_a_chart_and_a_section_are_in_a_run(extended: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(520)
    dam = small_dam(rain_gauge(), full_supply=1.0, hindcast={"leads": (1,)})
    levels, rain = np.cumsum(rng.normal(0, 0.05, 520)).tolist(), rng.gamma(0.3, 10.0, 520).tolist()
    path = synthetic.write_dam(dam, daily_frame(dam, {"reservoir_level": levels, "rainfall_r1": rain}), tmp_path)
    forebay(extended, "run", path, "-o", "out", cwd=tmp_path)
    scores = pl.read_csv(tmp_path / "out" / "scores.csv")
    assert {"half_change", "default"} <= set(scores.filter(pl.col("metric") == "largest_error")["model"])
    assert (tmp_path / "out" / "level.png").stat().st_size > 2000
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "The record of Small Dam has 520 days" in page
    assert '<a href="#record">Record</a>' in page
