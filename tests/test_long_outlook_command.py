"""The long outlook from the command line, and its traces at every development dam with a volume."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forebay.dams.dam_file import load_dam
from forebay.days.daily import usable_values
from forebay.errors import DataError
from forebay.features.samples import make_samples
from forebay.features.volumes import Volumes
from forebay.features.water_balance import storage_record
from forebay.jobs.long_outlook import Question, long_outlook, long_outlook_of, parse_question
from forebay.verify.long_hindcast import Demand, long_forecast
from tests import synthetic
from tests.command_line import forebay
from tests.csv_tables import daily_from_files
from tests.long_outlook_dams import RELEASE_DAM, frame_of, tables_of, truth
from tests.shared import PROJECT, needs_shared

END = 4779
"""Index of 1 February 2031, the last day of the record; in files, twelve years earlier, before any test runs."""
LAST, PAST = date(2019, 2, 1), date(2018, 6, 10)


def record() -> pl.DataFrame:
    """The daily table in the past."""
    frame = frame_of(RELEASE_DAM, truth().storage, truth().release).head(END + 1)
    return frame.with_columns(pl.col("date").dt.offset_by("-12y"))


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments of the command for the dam with a release gauge, and an archive that has fetched it."""
    folder = tmp_path_factory.mktemp("long")
    path = synthetic.write_dam(RELEASE_DAM, record(), folder)
    url = f"sqlite:///{folder}/archive.db"
    assert forebay("fetch", path, "--archive", url).code == 0
    return ["outlook", str(path), "--archive", url]


def test_json_files_and_python_have_the_same_answer(arguments: list[str], tmp_path: Path) -> None:
    options = ("--months", "3", "--demand", "0.8 m3/s", "--threshold", "60%")
    run = forebay(*arguments, *options, "-o", tmp_path, "--json")
    assert (run.code, run.err) == (0, "")
    content = run.json
    assert content["simulated"] is True and content["storage_unit"] == "ML"
    assert content["demand"]["months"] == [0.8] * 12 and content["return_days"] is None
    assert content["is_forecast"] is False
    question = Question(3, demand="0.8 m3/s", thresholds=["60%"])
    result = long_outlook(arguments[1], question, archive=arguments[3])
    assert [row["storage"] for row in content["months"]] == result.to_frame()["storage"].to_list()
    assert [row["traces"] for row in content["probabilities"]] == result.outlook.probabilities["traces"].to_list()
    assert content["init_date"] == str(result.init_date) == content["level_date"] == str(LAST)
    with (tmp_path / "long_traces.csv").open() as file:
        traces = list(csv.DictReader(file))
    assert [float(row["storage"]) for row in traces] == result.outlook.traces["storage"].to_list()
    names = {"outlook", "probabilities", "traces", "balance", "scores", "event_scores"}
    assert {path.name for path in tmp_path.glob("*.csv")} == {f"long_{name}.csv" for name in names}
    assert (tmp_path / "long_outlook.png").stat().st_size > 10_000
    assert "SIMULATED" in (tmp_path / "long_outlook.svg").read_text()
    assert "under the stated demand" in (tmp_path / "long_outlook.svg").read_text()


def test_the_terminal_has_storage_chances_skill_and_assumptions(arguments: list[str]) -> None:
    run = forebay(*arguments, "--months", "2")
    assert (run.code, run.err) == (0, "")
    content = forebay(*arguments, "--months", "2", "--json").json
    assert content["is_forecast"] is True
    rate = long_outlook(arguments[1], Question(2), archive=arguments[3]).outlook.forecast.rate
    assert rate > 0 and content["return_days"] == pytest.approx(1 / rate), "days until a lake is back, not a rate"
    assert "Small Dam (SIMULATED): storage by the balance of 13 past years, as operated then, from" in run.out
    median = next(row for row in content["months"] if row["quantile"] == 0.5)
    cells = next(text for text in run.out.splitlines() if median["valid_date"] in text)
    assert f"{median['storage']:,.0f}" in cells and f"{median['storage_percent']:.1f}" in cells
    chance = next(
        row for row in content["probabilities"]
        if row["threshold"] == "Stage 1" and row["kind"] == "by" and not row["is_beyond"]
    )  # fmt: skip
    share = f"{chance['traces']}/13"
    assert any(share in text for text in run.out.splitlines() if "Stage 1" in text)
    assert "No skill is claimed: past outlooks are from 8 years, at least 10 are needed." in run.out
    assert "No demand is stated: the balance is the net change of storage as observed" in run.out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--demand", "3 m3/s"], "--demand needs --months, such as --months 6"),
        (["--threshold", "40%"], "--threshold needs --months"),
        (["--months", "0"], "--months 0 must be 1 to 12"),
        (["--months", "6", "--rain", "30"], "--months and the options of a scenario ask two questions"),
        (["--months", "6", "--past-demand", "3 m3/s"], "--past-demand needs --demand"),
        (["--months", "6", "--demand", "3"], "--demand '3' has no unit; end it with one of m3/s"),
        (["--months", "6", "--threshold", "3 m"], "--threshold '3 m': unit 'm' is not one of %, ML"),
    ],
)
def test_bad_options_get_one_sentence(arguments: list[str], options: list[str], sentence: str) -> None:
    run = forebay(*arguments, *options)
    assert run.code == 2 and run.out == ""
    assert run.err.startswith(f"forebay: {sentence}") and run.err.count("\n") == 1


def test_a_past_day_shows_what_was_observed_afterwards(arguments: list[str], tmp_path: Path) -> None:
    run = forebay(*arguments, "--months", "4", "--init", str(PAST), "-o", tmp_path)
    assert run.code == 0
    assert "observed afterwards (not used)" in (tmp_path / "long_outlook.svg").read_text()
    past = long_outlook(arguments[1], Question(4), init_date=PAST, archive=arguments[3])
    cut = record().filter(pl.col("date") <= PAST)
    alone = long_outlook_of(RELEASE_DAM, tables_of(cut), parse_question(RELEASE_DAM, Question(4)))
    assert_frame_equal(past.to_frame(), alone.to_frame())
    assert past.init_date == PAST and past.later["date"].is_between(PAST, LAST, closed="right").all()
    assert len(past.later) == (LAST - PAST).days


def test_a_level_of_an_earlier_day_is_named(tmp_path: Path) -> None:
    storage = truth().storage[: END + 1].copy()
    storage[-4:] = np.nan
    frame = frame_of(RELEASE_DAM, storage, truth().release[: END + 1])
    result = long_outlook_of(RELEASE_DAM, tables_of(frame), parse_question(RELEASE_DAM, Question(2)))
    assert (result.init_date - result.level_date).days == 4
    assert result.notes[0] == "The traces start on 2031-02-01 from the storage of 2031-01-28, the last that is known."


DAM_FILES = sorted((PROJECT / "tests" / "dams").glob("*.toml"))


@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize("path", DAM_FILES, ids=[path.stem for path in DAM_FILES])
def test_nothing_later_has_an_effect_at_any_dam(path: Path) -> None:
    """The traces of 1 November six months before the end of the record are those of a record that ends on that day."""
    dam = load_dam(str(path))
    try:
        Volumes(dam)
    except DataError:
        assert not dam.storage_curves and dam.target.variable != "storage"
        return
    frame = daily_from_files(dam)
    days = usable_values(frame, dam).filter(pl.col(dam.target.variable).is_not_null())["date"]
    frame = frame.filter(pl.col("date").is_between(days[0], days[-1]))
    end = next(k for k in range(len(frame) - 190, 0, -1) if frame["date"][k].day == 1)
    demand = Demand((1.0,) * 12) if dam.columns("release") else None
    forecasts = []
    for part in (frame, frame.head(end + 1)):
        record = storage_record(make_samples(part, part, dam), dam, part)
        forecasts += [long_forecast(record, dam, end, 6), long_forecast(record, dam, end, 6, demand)]
    for whole, cut in zip(forecasts[:2], forecasts[2:], strict=True):
        assert whole.windows.years == cut.windows.years and len(whole.windows.years) >= 5
        assert whole.rate == cut.rate
        assert all(np.array_equal(a, b) for a, b in zip(whole.traces, cut.traces, strict=True))
        traces = whole.traces
        balance = whole.windows.net - traces.outflow - traces.spill + traces.shortfall
        assert np.diff(traces.storage, axis=1) == pytest.approx(balance, abs=1e-6 * whole.start)
