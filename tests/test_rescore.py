"""The independent rescoring of a run gives the figures of forebay's own verification."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from forebay.dams.dam_file import load_dam
from forebay.features.samples import make_samples
from forebay.models import MODELS
from forebay.tables import DEFAULT_MODEL, REFERENCES
from forebay.verify import hindcast, scorecard
from forebay.verify.default import with_default
from tests import synthetic
from tests.csv_tables import daily_from_files
from tests.shared import PROJECT

PROGRAM = PROJECT / "benchmarks" / "rescore.py"
METRICS = ("mae", "mae_top5", "pinball", "coverage_80", "coverage_90", "above_95")
DAYS, CREST = 760, 103.0
"""The synthetic flood comes later: the screen doubts it, and forebay's references then start from an earlier level."""
HINDCAST = """[hindcast]
windows = [{ name = "Y3", from = 2019-06-01, to = 2020-01-15, exclude = [{ from = 2019-08-05, to = 2019-08-20 }] }]
verification_exclude = [{ from = 2019-10-01, to = 2019-10-21, reason = "works" }]
"""


@dataclass(frozen=True)
class Run:
    """Folder of a run with its dam file, forebay's scores, and the rows that the program prints."""

    folder: Path
    level: pl.Series
    scores: pl.DataFrame
    forecasts: pl.DataFrame
    rows: list[dict[str, float]]

    def row(self, window: str, regime: str, lead: int) -> dict[str, float]:
        """The program's row of a cell."""
        cell = [window, regime, lead]
        return next(row for row in self.rows if [row["window"], row["regime"], row["lead_time"]] == cell)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A hindcast of a synthetic dam at seven lead times and its scores by both programs."""
    folder = tmp_path_factory.mktemp("run")
    gauge = synthetic.rain_gauge()
    frame = synthetic.daily(synthetic.small_dam(gauge), days=DAYS)
    full_supply = round(float(frame["reservoir_level"].tail(200).median()), 2)  # type: ignore[arg-type]  # a number
    written = synthetic.small_dam(gauge, full_supply=full_supply)
    path = synthetic.write_dam(written, frame, folder)
    text = path.read_text().replace("[hindcast]\n", HINDCAST)
    path.write_text(f"crest_level = {CREST}\nlowest_level = 80.0\n{text}")
    dam = load_dam(str(path))
    daily = daily_from_files(dam)
    samples = make_samples(daily, daily, dam)
    models = {name: MODELS[name] for name in (*REFERENCES, hindcast.MAIN_MODEL)}
    points = with_default(hindcast.point_forecasts(samples, dam, models), samples)
    forecasts = hindcast.forecast_table(samples, dam, points)
    forecasts.write_parquet(folder / "hindcast.parquet")
    command = [sys.executable, str(PROGRAM), str(folder), str(path)]
    printed = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout
    scores = scorecard.score(forecasts, samples, dam)
    return Run(folder, daily[dam.target_gauge.column], scores, forecasts, json.loads(printed))


def test_it_imports_nothing_from_forebay() -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(PROGRAM.read_text("utf-8")))
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert imported - set(sys.stdlib_module_names) == {"numpy", "polars"}


@pytest.mark.parametrize("window", ["all", "last20", "Y3"])
@pytest.mark.parametrize("regime", ["all", "near_full"])
@pytest.mark.parametrize("lead", [1, 3, 7])
def test_it_gives_the_figures_of_the_verification(run: Run, window: str, regime: str, lead: int) -> None:
    cell = run.scores.filter(
        pl.col("window") == window,
        pl.col("regime") == regime,
        pl.col("lead_time") == lead,
        pl.col("model") == DEFAULT_MODEL,
    )
    ours, row = dict(cell.select("metric", "value").iter_rows()), run.row(window, regime, lead)
    assert row["n"] == cell["n"][0] > 20
    assert {name: row[name] for name in METRICS} == pytest.approx({name: ours[name] for name in METRICS}, abs=1e-9)


@pytest.mark.parametrize("lead", [1, 3, 7])
def test_its_references_are_those_of_the_verification(run: Run, lead: int) -> None:
    """Damped change is equal only nearly: the program takes the last change as it is, also over an outage.

    Last change differs likewise, on the days of outages. Refits differ in the first year, which is not scored.
    """
    cell = run.scores.filter(
        pl.col("window") == "all", pl.col("regime") == "all", pl.col("lead_time") == lead, pl.col("metric") == "mae"
    )
    ours, row = dict(cell.select("model", "value").iter_rows()), run.row("all", "all", lead)
    assert row["mae_no_change"] == pytest.approx(ours["no_change"], abs=1e-9)
    for name in REFERENCES[1:]:
        assert row[f"mae_{name}"] == pytest.approx(ours[name], rel=0.02)


def test_it_counts_outcomes_and_forecasts_beyond_the_stated_limits(run: Run) -> None:
    assert {(row["outcomes_outside"], row["forecasts_outside"]) for row in run.rows if "mae" in row} == {(0, 0)}
    crest = float(run.level.tail(200).quantile(0.9) or 0.0)
    lower = (run.folder / "small.toml").read_text().replace(f"crest_level = {CREST}", f"crest_level = {crest}")
    (run.folder / "lower.toml").write_text(lower)
    command = [sys.executable, str(PROGRAM), str(run.folder), str(run.folder / "lower.toml"), "--json"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    row = next(row for row in rows if (row["window"], row["regime"], row["lead_time"]) == ("all", "all", 1))
    assert 0 < row["outcomes_outside"] <= (run.level > crest).sum()
    assert row["outcomes_outside"] <= row["forecasts_outside"] < row["n"]


def test_the_brier_skill_of_a_sure_forecast_is_one(run: Run, tmp_path: Path) -> None:
    """All quantiles of each lead time are the observed level: P(full by day 7) is right on each day."""
    observed = pl.DataFrame({"level": run.level}).with_row_index("day").with_columns(
        valid_date=pl.lit(synthetic.FIRST_DAY) + pl.duration(days="day")
    )  # fmt: skip
    sure = run.forecasts.drop("level").join(observed.select("valid_date", "level"), on="valid_date", how="left")
    ladder = 1e-6 * (pl.col("quantile") - 0.5)
    sure.with_columns(pl.col("level") + ladder).drop_nulls("level").write_parquet(tmp_path / "hindcast.parquet")
    command = [sys.executable, str(PROGRAM), str(tmp_path), str(run.folder / "small.toml"), "--json"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    skill = next(row["brier_skill"] for row in rows if row["regime"] == "full by day 7" and row["window"] == "all")
    assert skill == pytest.approx(1.0, abs=0.01)
    assert run.row("all", "full by day 7", 7)["brier_skill"] < skill


def test_the_table_has_a_line_per_row(run: Run) -> None:
    command = [sys.executable, str(PROGRAM), str(run.folder / "hindcast.parquet"), str(run.folder / "small.toml")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 1 + len(run.rows)
    assert lines[0].split()[:4] == ["window", "regime", "lead_time", "n"]


def test_a_run_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    dam_file = tmp_path / "dam.toml"
    (tmp_path / "lake.csv").write_text("date,level\n2020-01-01,1.0\n2020-01-02,1.1\n", "utf-8")
    layout = 'file = { path = "lake.csv", date = "date", value = "level" }'
    dam_file.write_text(
        '[target]\nvariable = "reservoir_level"\nunit = "m"\n[[gauges]]\nrole = "target"\n'
        f'variable = "reservoir_level"\nunit = "m"\n{layout}\n', "utf-8"
    )  # fmt: skip
    command = [sys.executable, str(PROGRAM), str(tmp_path / "run"), str(dam_file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == f"rescore: {tmp_path}/run is not there; give the folder of a run, or its hindcast.parquet\n"
