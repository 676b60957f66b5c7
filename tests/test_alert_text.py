"""The text of an alert: its numbers are those of the forecast, found here in its tables by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from forebay.archive.store import open_archive
from forebay.charts.outlook_tables import format_probability, skill_sentence
from forebay.dams.alert_rules import AlertRule
from forebay.jobs.alert_text import CLOSING, GaugeAge, message
from forebay.jobs.alert_trial import _data_changes, _of_hindcast
from forebay.jobs.alerts import Situation, decide_alerts, threshold_value
from forebay.jobs.forecast import ForecastResult
from forebay.verify.verification import Verification
from tests.test_jobs_forecast import Job, in_metres

__all__ = ["in_metres"]  # the fixture of the job
RULE = AlertRule(
    id="spill", threshold="full_supply", within_days=3, probability=0.4, clear_probability=0.2, severity="Severe"
)
DATA = AlertRule(id="data", kind="data")
DECISION = {"state": "raised", "is_change": True, "probability": 0.456, "severity": "Severe", "record": "small-7"}
AGES = [GaugeAge("Lake", 3, 3), GaugeAge("Rain", 4, 3), GaugeAge("River", None, 5)]


@pytest.fixture(scope="module")
def result(in_metres: Job) -> ForecastResult:
    """A forecast whose probabilities begin with events that the rule is not about."""
    result = in_metres[0]
    table = result.outlook.probabilities
    others = [
        table.with_columns(
            pl.lit(value).alias(name), threshold_level=pl.lit(level), valid_date=pl.date(1999, 1, day),
            probability=pl.lit(0.875),
        )
        for name, value, level, day in (
            ("threshold", "path", 71.0, 1), ("direction", "below", 72.0, 2), ("kind", "on", 73.0, 3)
        )
    ]  # fmt: skip
    return with_outlook(result, probabilities=pl.concat([*others, table]))


def with_outlook(result: ForecastResult, **tables: Any) -> ForecastResult:
    """The forecast with other tables in its outlook."""
    changed = replace(result)
    vars(changed)["outlook"] = replace(result.outlook, **tables)  # a cached property
    return changed


def with_issued(result: ForecastResult, **changes: Any) -> ForecastResult:
    """The forecast with other properties, and the same outlook."""
    changed = replace(result, issued=replace(result.issued, **changes))
    vars(changed)["outlook"] = result.outlook
    return changed


def lines_of(result: ForecastResult | None, rule: AlertRule = RULE, **changes: Any) -> tuple[str, list[str]]:
    """Title and lines of a message."""
    keys = {name: changes.pop(name) for name in ("gauges", "fault") if name in changes}
    dam = changes.pop("dam", None) or (result.dam if result else None)
    assert dam is not None
    title, text = message(rule, {**DECISION, **changes}, dam, result, **keys)
    return title, text.splitlines()


@pytest.mark.parametrize("days", [1, 3])
def test_the_numbers_are_those_of_the_event_and_its_day(result: ForecastResult, days: int) -> None:
    rule = RULE.model_copy(update={"within_days": days})
    title, lines = lines_of(result, rule)
    issued = result.issued
    valid = issued.init_date + timedelta(days=days)
    assert title == f"Small Dam (SIMULATED): at or above full supply by {valid}, 46% likely"
    assert lines[0] == (
        f"At or above full supply (96.000 m) on any day up to {valid}: 46% likely; raised from 40%, ended below 20%."
    )
    own = issued.table.filter(model="default", lead_time=days).sort("quantile")["level"].to_list()
    assert lines[1] == (
        f"Reservoir level forecast for {valid}: {own[3]:.3f} m, with 90% probability {own[0]:.3f} m to {own[6]:.3f} m."
    )
    skill = skill_sentence(result.outlook.scores, "full_supply", "above", days)
    assert lines[2] == f"Past probabilities of it: {skill[0].lower()}{skill[1:]}"
    assert lines[3].startswith(f"Reservoir level of {issued.level_date}: ")
    assert lines[4:] == ["Severity by the rule: Severe. Rule: spill.", "Forecast record: small-7.", CLOSING]


def test_a_rule_without_past_scores_or_a_record_says_nothing_of_them(result: ForecastResult) -> None:
    verification = replace(result.verification)
    vars(verification)["probability_scores"] = result.outlook.scores.filter(pl.col("lead_time") != 3)
    lines = lines_of(with_outlook(result, verification=verification), record=None)[1]
    assert not [line for line in lines if line.startswith(("Past probabilities", "Forecast record"))]
    assert len(lines) == 5


def test_the_age_counts_from_the_level_until_now(result: ForecastResult) -> None:
    day, issued = timedelta(days=1), result.issued
    late = with_issued(result, issue_time=issued.issue_time + day, level_date=issued.level_date - 2 * day)
    (line,) = (line for line in lines_of(late)[1] if "forecast issued" in line)
    assert line.startswith(f"Reservoir level of {issued.level_date - 2 * day}: ") and ", 3 days old; " in line


def test_inputs_outside_experience_are_stated(result: ForecastResult) -> None:
    sentence = "Inputs are outside past experience: the intervals are a lower bound of the uncertainty."
    assert sentence not in lines_of(with_issued(result, outside_experience=()))[1]
    assert sentence in lines_of(with_issued(result, outside_experience=("rain",)))[1]


@pytest.mark.parametrize(
    ("state", "is_change", "probability", "ended", "says_so"),
    [
        ("raised", True, 0.4, False, False),
        ("clear", True, 0.199, True, False),  # ended by its probability
        ("clear", True, 0.2, True, True),  # does not end it
        ("clear", True, None, True, True),
        ("clear", False, 0.9, True, False),
        ("raised", True, None, False, False),
    ],
)
def test_an_end_that_the_probability_does_not_explain_is_one_of_a_changed_rule(
    result: ForecastResult, state: str, is_change: bool, probability: float | None, ended: bool, says_so: bool
) -> None:
    title, lines = lines_of(result, state=state, is_change=is_change, probability=probability, fault="It is unknown.")
    assert title.endswith(" (alert ended)") is ended
    assert ("The rule was changed, so the alert of its earlier form ended." in lines) is says_so
    chance = "probability unknown" if probability is None else f"{format_probability(probability)} likely"
    assert f", {chance}" in title
    assert lines[0] == "It is unknown."
    assert any("forecast for" in line for line in lines) is (probability is not None)


@pytest.mark.parametrize(
    ("gauges", "state", "title"),
    [
        (AGES[:2], "raised", "no new data of Rain"),
        (AGES, "raised", "no new data of Rain and 1 other gauge"),
        ([*AGES, AGES[1]], "raised", "no new data of Rain and 2 other gauges"),
        (AGES[:1], "raised", "no forecast for its alerts"),
        (AGES, "clear", "data alert ended"),
    ],
)
def test_a_data_alert_counts_the_gauges_beyond_their_limit(
    result: ForecastResult, gauges: list[GaugeAge], state: str, title: str
) -> None:
    own_title, lines = lines_of(result, DATA, gauges=gauges, state=state, probability=None)
    assert own_title == f"Small Dam (SIMULATED): {title}"
    ages = {"Lake": "newest usable value 3 days old (limit 3)", "Rain": "newest usable value 4 days old (limit 3)",
            "River": "no usable value"}  # fmt: skip
    assert lines[: len(gauges)] == [f"{gauge.title}: {ages[gauge.title]}" for gauge in gauges]
    assert ("Alerts on levels keep their last state until the level has new data." in lines) is (state == "raised")


@pytest.mark.parametrize("days", [1, 3])
def test_a_rule_is_decided_by_the_probability_of_its_own_event(
    in_metres: Job, result: ForecastResult, days: int
) -> None:
    rule = RULE.model_copy(update={"within_days": days})
    table = in_metres[0].outlook.probabilities
    own = table.filter(threshold="full_supply", direction="above", kind="by", lead_time=days)["probability"].item()
    assert own != 0.875 and threshold_value(rule, result) == (own, "")
    without = with_outlook(result, probabilities=table.filter(pl.col("lead_time") != days))
    assert threshold_value(rule, without)[0] is None


def decisions(
    folder: Path, result: ForecastResult, rules: Sequence[AlertRule], *, failure: str | None = None
) -> dict[str, dict[str, Any]]:
    """Rule → its decision on a forecast, or on the failure of one."""
    situation = Situation(result.dam, None if failure else result, failure or "")
    with open_archive(f"sqlite:///{folder}/a.db") as archive:
        return {row["rule"]: row for row in decide_alerts(archive.alerts, situation, rules).iter_rows(named=True)}


def test_only_the_data_rule_of_the_target_reports_an_unknown_probability(
    result: ForecastResult, tmp_path: Path
) -> None:
    rain = AlertRule(id="rain", kind="data", gauges=("r1",))
    table = result.outlook.probabilities
    without = with_outlook(result, probabilities=table.filter(pl.col("threshold") != "full_supply"))
    rows = decisions(tmp_path, without, [RULE, DATA, rain])
    assert {rule: row["state"] for rule, row in rows.items()} == {"spill": "clear", "data": "raised", "rain": "clear"}
    assert {rule for rule, row in rows.items() if row["unknown_since"]} == {"spill"}
    assert "The probability is unknown for the alert spill." in rows["data"]["text"]


def test_without_a_forecast_only_the_data_rule_of_the_target_is_raised(
    result: ForecastResult, tmp_path: Path
) -> None:
    rain = AlertRule(id="rain", kind="data", gauges=("r1",))
    rows = decisions(tmp_path, result, [RULE, DATA, rain], failure="no answer")
    assert {rule: row["state"] for rule, row in rows.items()} == {"spill": "clear", "data": "raised", "rain": "clear"}
    assert {rule for rule, row in rows.items() if row["unknown_since"]} == {"spill", "rain"}


def test_the_age_of_a_decision_is_that_of_the_level_or_of_the_oldest_gauge(
    result: ForecastResult, tmp_path: Path
) -> None:
    day, issued, newest = timedelta(days=1), result.issued, result.daily_tables.newest
    late = with_issued(result, issue_time=issued.issue_time + day, level_date=issued.level_date - day)
    dry = pl.when(pl.col("date") <= issued.init_date - 5 * day).then("rainfall_r1").alias("rainfall_r1")
    changed = replace(late, daily_tables=replace(result.daily_tables, newest=newest.with_columns(dry)))
    vars(changed)["outlook"] = result.outlook
    both = AlertRule(id="both", kind="data", gauges=("lake", "r1"), max_age_days=9)
    rows = decisions(tmp_path, changed, [RULE, DATA, both])
    assert {rule: row["age_days"] for rule, row in rows.items()} == {"spill": 2, "data": 1, "both": 6}
    assert {row["state"] for row in rows.values()} <= {"clear", "raised"} and rows["both"]["state"] == "clear"
    requested = with_issued(result, is_requested=True)
    assert decisions(tmp_path, requested, [RULE, DATA]) == {}, "a chosen day decides nothing"


def with_level_age(result: ForecastResult, first: int) -> tuple[Verification, NDArray[np.int64]]:
    """The hindcast with a level that is 1 to 10 days old from the day `first` on, and these ages."""
    samples = result.verification.samples
    assert samples.outages is not None
    age = np.zeros(len(samples.dates), int)
    age[first : first + 10] = range(1, 11)
    old = replace(samples, outages=replace(samples.outages, level_age=age))
    changed = replace(result.verification, samples=old)
    vars(changed)["threshold_forecasts"] = result.verification.threshold_forecasts  # a cached property
    return changed, age


def test_a_trial_knows_no_probability_from_a_level_of_more_than_three_days_ago(result: ForecastResult) -> None:
    old, age = with_level_age(result, 500)
    values, before = (_of_hindcast(RULE, result.dam, one).values for one in (old, result.verification))
    assert np.isfinite(before[500:510]).all()
    np.testing.assert_array_equal(values[500:], np.where(age > 3, np.nan, before)[500:])


@pytest.mark.parametrize(("limit", "first"), [(None, 4), (1, 2), (5, 6)])
def test_a_trial_of_a_data_rule_is_raised_beyond_its_age(
    result: ForecastResult, limit: int | None, first: int
) -> None:
    """The level is missing on ten days: the alert is raised beyond the limit, and ends with the new level."""
    samples = with_level_age(result, 500)[0].samples
    rule = AlertRule(id="data", kind="data", max_age_days=limit)
    changes = _data_changes(rule, result.dam, samples)
    dates = [samples.dates[499 + first].item(), samples.dates[510].item()]
    assert [(row["init_date"], row["state"]) for row in changes] == list(zip(dates, ("raised", "clear"), strict=True))
    other = AlertRule(id="rain", kind="data", gauges=("r1",), max_age_days=limit)
    assert _data_changes(other, result.dam, samples) == []


def test_without_a_forecast_the_first_line_says_why(result: ForecastResult) -> None:
    lines = lines_of(None, DATA, dam=result.dam, fault="no answer", probability=None, record=None)[1]
    assert lines[0] == "No forecast could be made: no answer"
    assert not any("forecast issued" in line for line in lines)
    assert not any(line.startswith("No forecast") for line in lines_of(result, DATA, fault="late")[1])
