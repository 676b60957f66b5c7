"""The outlook from a dam's files: the job, the command, the report's first screen and section, and odd dams."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import forebay as interface
from forebay.archive.store import open_archive
from forebay.charts.outlook_tables import format_probability, main_row, outlook_rows, skill_sentence
from forebay.dams.dam import Dam
from forebay.forecasts.outlook import Outlook, make_outlook
from forebay.forecasts.record import Content, compare
from forebay.jobs.forecast import ForecastResult
from forebay.jobs.record import content_of, find_record
from forebay.jobs.replay import ReplayResult, replay
from forebay.report.head import build_head
from forebay.tables import PROBABILITIES
from forebay.verify.exceedance import ThresholdForecast, threshold_forecasts
from forebay.verify.tables import PROBABILITY_SCORES
from forebay.verify.verification import Verification
from tests import synthetic
from tests.command_line import forebay
from tests.report_examples import diagnosed_report, section_rows, section_text, template_text
from tests.test_jobs_forecast import LAST, METRES, NOW, Job, fetch, record, run_job

THRESHOLDS = [{"name": "Bridge deck", "level": 97.0}, {"name": "Old weir", "level": 95.0}]
DAM = METRES.model_copy(update=dict(Dam.model_validate(METRES.model_dump() | {"thresholds": THRESHOLDS})))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the file of `DAM`, its record, and an archive that has fetched it."""
    place = tmp_path_factory.mktemp("outlook")
    fetch(synthetic.write_dam(DAM, record(), place), place, NOW)
    return place


@pytest.fixture(scope="module")
def job(folder: Path) -> Job:
    return run_job(next(folder.glob("*.toml")), folder)


@pytest.fixture(scope="module")
def result(job: Job) -> ForecastResult:
    return job[0]


def test_the_probabilities_of_the_job(result: ForecastResult) -> None:
    outlook = result.outlook
    PROBABILITIES.check(outlook.probabilities, unique=True)
    PROBABILITY_SCORES.check(outlook.scores, unique=True)
    assert set(outlook.probabilities["threshold"]) == {
        "full_supply", "Bridge deck", "Old weir", *(f"level+{rise} m" for rise in ("0.1", "0.25", "0.5", "1"))
    }  # fmt: skip
    assert outlook.probabilities["init_date"].unique().to_list() == [LAST]
    assert outlook.probabilities["probability"].is_between(0, 1).all()


def with_dam(verification: Verification, dam: Dam) -> Verification:
    """The same hindcast with the thresholds of another dam file."""
    forecasts = threshold_forecasts(verification.samples, dam, verification.paths)
    return replace(verification, dam=dam, threshold_forecasts=forecasts)


def test_the_probability_agrees_with_the_intervals(result: ForecastResult) -> None:
    """A level at the .25 quantile of day 1 is reached on day 1 with about 75%."""
    row = result.issued.table.filter(
        pl.col("model") == "default", pl.col("lead_time") == 1, pl.col("quantile") == 0.25
    ).row(0, named=True)  # fmt: skip
    dam = DAM.model_copy(update={"thresholds": (DAM.thresholds[0].model_copy(
        update={"level": DAM.thresholds[0].level.model_copy(update={"value": row["level"]})}),)})  # fmt: skip
    outlook = make_outlook(with_dam(result.verification, dam), result.issued)
    on = outlook.probabilities.filter(
        pl.col("threshold") == "Bridge deck", pl.col("kind") == "on", pl.col("lead_time") == 1
    )  # fmt: skip
    by_side = dict(on.select("direction", "probability").iter_rows())
    assert by_side["above"] == pytest.approx(0.75, abs=0.1)
    assert by_side["above"] + by_side["below"] == pytest.approx(1.0, abs=0.1)


def test_the_first_day_of_a_probability(result: ForecastResult) -> None:
    outlook = result.outlook
    for row in outlook.times.to_dicts():
        by = outlook.probabilities.filter(
            pl.col("threshold") == row["threshold"], pl.col("direction") == row["direction"], pl.col("kind") == "by"
        ).sort("lead_time")  # fmt: skip
        for share in (10, 50, 90):
            reached = by.filter(pl.col("probability") >= share / 100)["valid_date"].to_list()
            assert row[f"day_{share}"] == (reached[0] if reached else None)


def test_an_outlook_has_the_side_that_the_level_is_not_on(result: ForecastResult) -> None:
    rows = {row.threshold: row for row in outlook_rows(result.outlook, DAM)}
    start = result.verification.samples.start_level[-1]
    for name, level in (("full_supply", 96.0), ("Bridge deck", 97.0), ("Old weir", 95.0)):
        assert rows[name].direction == ("above" if start < level else "below")
    main = main_row(list(rows.values()))
    assert main is not None and main.threshold == "full_supply"


def test_a_threshold_that_changes_has_both_levels(result: ForecastResult) -> None:
    """A rule curve has another level on each valid date; one number would be true of the first day only."""
    rise = pl.when(pl.col("threshold") == "full_supply").then(0.5 * (pl.col("lead_time") - 1)).otherwise(0.0)
    table = result.outlook.probabilities.with_columns(pl.col("threshold_level") + rise)
    rows = {row.threshold: row for row in outlook_rows(replace(result.outlook, probabilities=table), DAM)}
    last = 96.0 + 0.5 * (max(rows["full_supply"].by) - 1)
    assert rows["full_supply"].level == f"96.000 m to {last:.3f} m"
    assert rows["Bridge deck"].level == "97.000 m"


def test_the_command_prints_the_outlook(folder: Path, result: ForecastResult) -> None:
    path, url = next(folder.glob("*.toml")), f"sqlite:///{folder}/archive.db"
    run = forebay("outlook", path, "--archive", url)
    assert (run.code, run.err) == (0, "")
    row = next(r for r in outlook_rows(result.outlook, DAM) if r.threshold == "Bridge deck")
    line = next(text for text in run.out.splitlines() if "Bridge deck" in text and "│" in text)
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == [row.event, row.level, *row.texts.values(), row.day_50]
    assert "No skill is claimed: " in run.out
    longest, differs = max(row.by), False
    for each in outlook_rows(result.outlook, DAM):
        event = result.outlook.scores, each.threshold, each.direction
        skill, of_a_day = (skill_sentence(*event, lead) for lead in (longest, min(row.by)))
        assert f"  · {each.event} within {longest} days. {skill}\n" in run.out
        differs |= skill != of_a_day
    assert differs, "the skill at another lead time is another one"
    assert "Probabilities refer to the mean of the day at " in run.out


def test_json_and_files_have_the_same_probabilities(folder: Path, tmp_path: Path, result: ForecastResult) -> None:
    path, url = next(folder.glob("*.toml")), f"sqlite:///{folder}/archive.db"
    content = forebay("outlook", path, "--archive", url, "-o", tmp_path / "out", "--json").json
    expected = result.outlook.probabilities
    assert [row["probability"] for row in content["probabilities"]] == expected["probability"].to_list()
    assert content["storage"][0]["storage_note"].startswith("storage and % are unknown")
    assert set(content["times"][0]) == {
        "threshold", "direction", "threshold_level", "is_beyond", "day_10", "day_50", "day_90"
    }  # fmt: skip
    with (tmp_path / "out" / "probabilities.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["probability"]) for row in rows] == expected["probability"].to_list()
    forecast = forebay("forecast", path, "--archive", url, "--json").json
    assert forecast["probabilities"] == content["probabilities"]
    json.dumps(content, allow_nan=False)


def test_the_probabilities_are_computed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*arguments: object) -> tuple[ThresholdForecast, ...]:
        calls.append(arguments)
        return threshold_forecasts(*arguments)  # type: ignore[arg-type]  # as it is called

    monkeypatch.setattr("forebay.verify.verification.threshold_forecasts", counted)
    url = f"sqlite:///{folder}/archive.db"
    assert forebay("outlook", next(folder.glob("*.toml")), "--archive", url, "--json").json["scores"]
    assert len(calls) == 1, "for the record, the tables and their scores together"


def test_the_public_function(folder: Path) -> None:
    url = f"sqlite:///{folder}/archive.db"
    result = interface.outlook(next(folder.glob("*.toml")), archive=url, update=False)
    assert_frame_equal(result.to_frame(), result.outlook.probabilities)
    assert result.title() == f"Small Dam (SIMULATED), thresholds from {LAST}"
    assert len(result.scores) and result.reliability.columns[0] == "dam"


def test_the_outlook_of_a_past_day_is_that_of_the_hindcast(folder: Path, result: ForecastResult) -> None:
    """Live equals hindcast: the probabilities of a day do not depend on what came later."""
    day = LAST - timedelta(days=20)
    past, _ = run_job(next(folder.glob("*.toml")), folder, init=day)
    earlier = make_outlook(result.verification, replace(result.issued, init_date=day))
    assert_frame_equal(past.outlook.probabilities, earlier.probabilities, check_exact=True)


def test_a_dam_without_full_supply_says_so(result: ForecastResult) -> None:
    bare = DAM.model_copy(update={"full_supply": None, "thresholds": ()})
    outlook = make_outlook(with_dam(result.verification, bare), result.issued)
    assert "The dam file states no full supply, so the probability of filling is unknown; add full_supply to it." in (
        outlook.notes
    )
    assert main_row(outlook_rows(outlook, bare)) is None
    storage = bare.model_copy(update={"target": bare.target.model_copy(update={"variable": "storage", "unit": "ML"})})
    outlook = make_outlook(with_dam(result.verification, storage), result.issued)
    assert outlook.probabilities.is_empty() and outlook.times.is_empty()
    assert "It has no thresholds either; add [[thresholds]] with a name and a level." in outlook.notes


def test_a_withheld_datum_leaves_only_rises(result: ForecastResult) -> None:
    samples = result.verification.samples
    withheld = replace(samples, withheld=samples.dates >= samples.dates[-5])
    verification = with_dam(replace(result.verification, samples=withheld), result.dam)
    day = date(2021, 1, 1)
    outlook = make_outlook(verification, replace(result.issued, withheld_from=day))
    assert all(name.startswith("level+") for name in outlook.probabilities["threshold"])
    assert any(str(day) in note and "are unknown" in note for note in outlook.notes)


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.0, "< 1%"), (0.0049, "< 1%"), (0.01, "1%"), (0.5, "50%"), (0.994, "99%"), (0.996, "> 99%"), (1.0, "> 99%")],
)
def test_no_probability_is_called_certain(probability: float, text: str) -> None:
    assert format_probability(probability) == text


def test_skill_is_claimed_from_ten_events_on() -> None:
    base = {"dam": "d", "threshold": "x", "direction": "above", "kind": "by", "window": "all", "regime": "all",
            "lead_time": 7, "n": 3315, "left_out": 68, "frequency": 0.025, "events": 10, "brier": 0.0177,
            "brier_frequency": 0.025, "skill": 0.29, "low": 0.13, "high": 0.38}  # fmt: skip
    table = pl.DataFrame([base], schema=PROBABILITY_SCORES.columns)
    assert skill_sentence(table, "x", "above", 7) == (
        "Brier skill against the past frequency: 0.29 (90% band 0.13 to 0.38), "
        "from 10 independent events in 3,315 days."
    )
    few = pl.DataFrame([base | {"events": 1, "skill": None, "low": None, "high": None}],
                       schema=PROBABILITY_SCORES.columns)  # fmt: skip
    assert skill_sentence(few, "x", "above", 7) == (
        "No skill is claimed: the hindcast has 1 independent event in 3,315 days, "
        "and at least 10 are needed to judge it."
    )
    assert skill_sentence(few, "y", "above", 7) == "The hindcast has no day from which to judge it."


# The report


def outlook_of_report() -> Outlook:
    outlook = diagnosed_report().outlook
    assert outlook is not None
    return outlook


def test_the_first_screen_answers_whether_a_threshold_is_reached() -> None:
    report = diagnosed_report()
    text = template_text("head.html", report, build_head(report)).replace("&lt;", "<").replace("&gt;", ">")
    assert "Will the level reach a threshold?" in text
    for row in outlook_rows(outlook_of_report(), report.dam):
        assert f"{row.event} {row.level} {' '.join(row.texts.values())}" in text


def test_the_section_has_the_scores_and_the_reliability() -> None:
    report = diagnosed_report()
    rows = section_rows("outlook", report)
    events = [row["Event"] for row in rows if "50% likely by" in row]
    assert events == [row.event for row in outlook_rows(outlook_of_report(), report.dam)]
    scores = outlook_of_report().scores.filter(pl.col("window") == "all", pl.col("kind") == "by", pl.col("n") > 0)
    assert len([row for row in rows if "Brier score" in row]) == len(scores)
    bins = [row for row in rows if "Mean probability" in row]
    assert bins and all(int(row["Spells"]) >= 5 and int(row["Days"].replace(",", "")) >= 20 for row in bins)
    assert "Probabilities refer to the mean of the day" in section_text("outlook", report)


def test_the_record_of_a_forecast_has_its_probabilities(folder: Path) -> None:
    url = f"sqlite:///{folder}/archive.db"
    forecast = interface.forecast(next(folder.glob("*.toml")), archive=url, update=False)
    assert forecast.record is not None
    with open_archive(url) as archive:
        content = content_of(find_record(archive, forecast.record.id))
    recorded = content["probabilities"]
    expected = forecast.outlook.probabilities
    columns = {name: recorded.get(name) for name in ("probability", "threshold")}
    assert columns == {name: expected[name].to_list() for name in columns}
    again = replay(forecast.record.id, archive=url)
    assert again.comparison.equal, again.comparison.differences
    content["probabilities"] = recorded | {"probability": [0.5 for _ in recorded["probability"]]}
    changed = compare(content, content_of_result(again))
    assert (changed.equal, changed.differences) == (False, ("the probabilities of thresholds differ",))


def content_of_result(again: ReplayResult) -> Content:
    """The recorded content with the probabilities of the replay."""
    probabilities = again.again.outlook.probabilities
    days = {name: [str(day) for day in probabilities[name]] for name in ("init_date", "valid_date")}
    return again.content | {"probabilities": probabilities.to_dict(as_series=False) | days}
