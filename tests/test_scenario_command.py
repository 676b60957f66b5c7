"""Scenarios from the command line, and monotone answers at every development dam with rain gauges."""

from __future__ import annotations

import csv
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.forcing import Forcing
from forebay.days.daily import usable_values
from forebay.features.daily_tables import DailyTables
from forebay.features.samples import samples_of
from forebay.forecasts.scenario import WETNESS, Scenario
from forebay.jobs.scenario import scenarios_of
from forebay.sources.forcing_files import read_forcings
from forebay.tables import FORCINGS
from forebay.verify.hindcast import Execution
from tests import synthetic
from tests.command_line import forebay
from tests.csv_tables import daily_from_files
from tests.scenario_dams import RAIN_DAM, frame_of
from tests.shared import PROJECT, needs_shared

FORECAST = (12.0, 6.0)
RAIN = Forcing(kind="rain", id="bureau", name="The bureau", unit="mm", latency_h=0)
DAM = RAIN_DAM.model_copy(update={"forcings": (RAIN,)})


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments of the command for a dam with a rain forecast of two days, and an archive that has fetched it."""
    folder = tmp_path_factory.mktemp("scenario")
    frame = frame_of(RAIN_DAM)
    last = frame["date"][-1]
    issued = pl.DataFrame(
        {
            "forcing": RAIN.id,
            "issue_time": pl.Series([last] * 2).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            "known_time": pl.Series([last] * 2).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            "valid_date": [last + timedelta(days=day) for day in (1, 2)],
            "value": FORECAST,
        }
    )
    path = synthetic.write_dam(DAM, frame, folder, FORCINGS.check(issued))
    url = f"sqlite:///{folder}/archive.db"
    assert forebay("fetch", path, "--archive", url).code == 0
    return ["outlook", str(path), "--archive", url]


def test_the_command_answers_rain_presets_and_the_inverse(arguments: list[str], tmp_path: Path) -> None:
    run = forebay(*arguments, "--rain", "30,20", "--preset", "forecast", "--until", "Jetty", "-o", tmp_path, "--json")
    assert (run.code, run.err) == (0, "")
    content = run.json
    assert content["is_forecast"] is False and content["simulated"] is True
    assert len(content["scenarios"]) == 4 * 3 * 7
    rain = {row["scenario"]: row["rain"] for row in content["scenarios"]}
    assert rain == {"30, 20 mm": 50.0, "forecast": sum(FORECAST)}
    assert {row["hours"] for row in content["least_rain"]} == {24, 48, 72}
    with (tmp_path / "scenario.csv").open() as file:
        levels = [float(row["level"]) for row in csv.DictReader(file)]
    assert levels == [row["level"] for row in content["scenarios"]]
    assert (tmp_path / "scenario.png").stat().st_size > 5000
    assert "SIMULATED" in (tmp_path / "scenario.svg").read_text()


def test_the_terminal_says_that_it_is_no_forecast(arguments: list[str]) -> None:
    run = forebay(*arguments, "--rain", "30,20", "--until-full")
    assert (run.code, run.err) == (0, "")
    assert "Small Dam (SIMULATED): level if this rain falls, from 2020-03-10" in run.out
    assert "A scenario is no forecast" in run.out
    assert "The rain is given for 2 of 3 days; the others are dry." in run.out
    cells = next(text for text in run.out.splitlines() if "30, 20 mm" in text and "│" in text)
    level = forebay(*arguments, "--rain", "30,20", "--json").json["scenarios"]
    median = next(row["level"] for row in level if row["lead_time"] == 3 and row["quantile"] == 0.5)
    assert f"{median:.3f} m" in cells


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--rain=-1"], "--rain: -1 mm a day must be 0 to 1,900 mm"),
        (["--rain", "4000"], "--rain: 4000 mm a day must be 0 to 1,900 mm"),
        (["--release", "3m3/s"], "Small Dam has no release gauge"),
        (["--preset", "5in"], "--preset '5in' is unknown"),
        (["--until", "Bridge"], "--until 'Bridge' is no threshold of Small Dam; give one of Jetty, full_supply, or a"),
        (["--until-full", "--until", "3"], "--until-full and --until ask for two thresholds; give one of them"),
    ],
)
def test_bad_options_get_one_sentence(arguments: list[str], options: list[str], sentence: str) -> None:
    run = forebay(*arguments, *options)
    assert run.code == 2 and run.out == ""
    assert run.err.startswith(f"forebay: {sentence}") and run.err.count("\n") == 1


DAM_FILES = sorted((PROJECT / "tests" / "dams").glob("*.toml"))
WITH_RAIN = [path.stem for path in DAM_FILES if 'role = "rainfall"' in path.read_text("utf-8")]

MAX_DAYS = 3500
"""Of the records of real dams: what a longer one would add is time."""


def development_dam(name: str) -> Dam:
    dam = load_dam(str(PROJECT / "tests" / "dams" / f"{name}.toml"))
    return dam.model_copy(update={"hindcast": dam.hindcast.model_copy(update={"leads": (1, 3, 7)})})


@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_RAIN)
def test_more_rain_never_gives_a_lower_level_at_any_dam(name: str, execution: Execution) -> None:
    dam = development_dam(name)
    frame = daily_from_files(dam)
    days = usable_values(frame, dam).filter(pl.col(dam.target.variable).is_not_null())["date"]
    frame = frame.filter(pl.col("date").is_between(days[0], days[-1])).tail(MAX_DAYS)
    tables = DailyTables(frame, frame, days[-1], None, read_forcings(dam))
    day = scenarios_of(dam, tables, samples_of(tables, dam), execution=execution).day
    rng = np.random.default_rng(1)
    for wetness in WETNESS:
        chain = [np.zeros(7)]
        for _ in range(60):  # each has more rain than the one before, on some of the days
            added = rng.gamma(0.4, 30.0, 7) * (rng.random(7) < 0.4)
            chain.append(np.minimum(chain[-1] + added, 1900.0))
        answers = day.answer([Scenario("", tuple(rain), wetness) for rain in chain])
        full = np.array([known.full_supply for known in day.leads.values()])
        threshold = np.where(np.isfinite(full), full, day.level + 0.5)
        shares = answers.probabilities(threshold)
        for less, additional in pairwise(range(len(chain))):
            for values in (answers.quantiles, answers.paths, *shares):
                assert (values[additional] >= values[less] - 1e-9).all()
        assert (answers.quantiles[-1] > answers.quantiles[0]).any()
