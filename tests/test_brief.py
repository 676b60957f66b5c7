"""The brief: its numbers against the forecast they come from, its text against its JSON, and the report's head."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from forebay.charts.brief_text import (
    LINES,
    WIDTH,
    _short,
    brief_text,
    forecast_table,
    inflow_lines,
    late_lines,
    similar_note,
    similar_rows,
)
from forebay.charts.formats import format_number
from forebay.charts.outlook_tables import format_probability
from forebay.dams.curves import StorageCurve
from forebay.forecasts.analogs import Analogs
from forebay.forecasts.brief import _similar, brief_content, lake_state
from forebay.jobs.brief import BriefResult, brief, brief_of
from forebay.jobs.forecast import ForecastResult
from forebay.jobs.forecast_content import forecast_content, outlook_content
from forebay.jobs.forecast_files import report_content
from forebay.jobs.scenario import scenarios_of
from forebay.report.head import build_head
from forebay.tables import DEFAULT_MODEL, flag_of
from forebay.verify.recent import recent_scores
from tests import synthetic
from tests.command_line import forebay
from tests.report_examples import template_text
from tests.test_jobs_forecast import METRES, Job, in_metres, record, run_job

__all__ = ["in_metres"]  # the fixture of the job
CURVE = StorageCurve(level_unit="m", storage_unit="ML", points=((80.0, 0.0), (96.0, 1600.0), (110.0, 6000.0)))
NUMBER = re.compile(r"[+−-]?\d[\d,]*(?:\.\d+)?")


@pytest.fixture(scope="module")
def result(in_metres: Job) -> ForecastResult:
    """A forecast of a dam with a storage curve."""
    return with_curve(in_metres[0])


def with_curve(result: ForecastResult) -> ForecastResult:
    """The forecast of the same dam with a storage curve."""
    return replace(result, dam=result.dam.model_copy(update={"storage_curves": (CURVE,)}))


def example_brief(folder: Path) -> dict[str, Any]:
    """The content of a brief that has every part; its dam is computed in `folder`."""
    result, _ = run_job(synthetic.write_dam(METRES, record(), folder), folder)
    return brief_content(brief_of(with_curve(result)))


@pytest.fixture(scope="module")
def content(result: ForecastResult) -> dict[str, Any]:
    return brief_content(brief_of(result))


def numbers_of(value: object) -> Iterator[float]:
    """Every number of a JSON value, also those in its texts and those that count its parts."""
    if isinstance(value, dict):
        for part in value.values():
            yield from numbers_of(part)
    elif isinstance(value, list):
        yield float(len(value))
        for part in value:
            yield from numbers_of(part)
    elif isinstance(value, str):
        yield from (float(text.replace(",", "").replace("−", "-")) for text in NUMBER.findall(value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def is_in(text: str, numbers: list[float]) -> bool:
    """Whether a printed number is one of `numbers`, or 100 times one, to its decimals."""
    value = float(text.replace(",", "").replace("−", "-").replace("+", ""))
    decimals = len(text.partition(".")[2])
    half = 0.5 * 10**-decimals + 1e-9
    return any(abs(abs(value) - abs(scale * number)) <= half for number in numbers for scale in (1, 100))


def distinct(value: object, count: Iterator[int]) -> object:
    """A JSON value with another number, far from all others, in place of each that is no probability and no count."""
    if isinstance(value, dict):
        kept = ("probability", "coverage_80", "coverage_90")
        return {key: part if key in kept else distinct(part, count) for key, part in value.items()}
    if isinstance(value, list):
        return [distinct(part, count) for part in value]
    return 200 + 7.389 * next(count) if isinstance(value, float) else value


def test_the_text_depends_on_the_json_alone(content: dict[str, Any]) -> None:
    assert brief_text(json.loads(json.dumps(content, allow_nan=False))) == brief_text(content)


@pytest.mark.parametrize("change", [dict, lambda content: distinct(content, itertools.count())])
def test_every_number_of_the_text_is_in_the_json(content: dict[str, Any], change: Any) -> None:
    """Also with numbers so far from each other that a wrong one is none of them."""
    parsed = json.loads(json.dumps(change(content), allow_nan=False))
    text = brief_text(parsed)
    numbers = list(numbers_of(parsed))
    inside = [float(round(row["coverage_90"] * row["n"])) for row in parsed["recent"] if row["mae"] is not None]
    printed = NUMBER.findall(text)
    words = {"80", "90", "7", "1", "3", "30", "0", "100"}  # of titles: intervals, spans of days
    missing = [number for number in printed if number not in words and not is_in(number, numbers + inside)]
    assert missing == [] and len(printed) > 100


def test_a_page_is_one_page(content: dict[str, Any]) -> None:
    for change in (
        {},
        {"lacks": ["A long sentence on what is missing, which says it in many words. " * 3] * 30},
        {"gauges": [{**content["gauges"][0], "gauge": f"Gauge {k} " + "x" * 90, "is_late": True, "age_days": k,
                     "flag": "spike on 2020-01-01 " * 9} for k in range(40)], "late_gauges": 40},
        {"thresholds": content["thresholds"] * 9, "title": "A name of a dam " * 12},
    ):  # fmt: skip
        lines = brief_text({**content, **change}).splitlines()
        assert len(lines) <= LINES and max(map(len, lines)) <= WIDTH, change.keys()


def test_a_line_that_is_too_long_loses_no_number(content: dict[str, Any]) -> None:
    """A cut number would be another number: the name is cut."""
    wide = {**content["thresholds"][0], "threshold": "A threshold with a name " + "x" * 90}
    (line,) = (line for line in brief_text({**content, "thresholds": [wide]}).splitlines() if "A threshold" in line)
    chances = [format_probability(cell["probability"]) for cell in wide["by"]]
    assert len(line) <= WIDTH and "…" in line
    assert " ".join(line.split("…")[1].split()) == " ".join(chances)


def test_headers_that_share_words_are_short() -> None:
    headers = ["day", "above full, ft", "change 1 d", "change 3 d", "rain 1 d, in", "rain 7 d, in", "then 1 d"]
    assert _short(headers) == ["day", "above full, ft", "change 1 d", "3 d", "rain 1 d, in", "7 d", "then 1 d"]


def test_far_situations_are_called_so(content: dict[str, Any]) -> None:
    for distance, expected in ((1.0, False), (1.01, True)):
        similar = {**content["similar"], "days": [{**content["similar"]["days"][0], "distance": distance}]}
        assert ("No past day is similar" in similar_note({**content, "similar": similar})) is expected


def test_sentences_on_a_balance_that_is_closed() -> None:
    """Each number of the sentences is one of the balance; a measured inflow is named, one that is absent is not."""
    closure = {"mean": -1.5, "low": -3.25, "high": 0.75, "days": 364, "note": "a remark"}
    step = {"step": 0.05, "volume": 43.2, "volume_unit": "ML", "flow": 0.5, "is_assumed": False}
    inflow = {"unit": "m3/s", "date": "2020-02-01", "inflow": 21.5, "storage_change": 6.5, "storage_from": "the target",
              "release": 15.0, "includes_release": True, "mean": 20.5, "mean_days": 7, "scatter": 2.5,
              "measured": 23.0, "closure": closure, "step": step}  # fmt: skip
    content = {"unit": "m", "inflow": inflow}
    assert inflow_lines(content) == [
        "21.5 m3/s for the day to 2020-02-01 (change of storage +6.5, from the target, plus release 15: inflow minus "
        "losses); mean of the last 7 days 20.5 m3/s.",
        "Half of the days of a year differ by more than 2.5 m3/s from the mean of their last 7 days.",
        "Closure error, balance minus measured inflow: mean −1.5, 80% of 364 days −3.25 to +0.75 m3/s; measured 23 "
        "(a remark).",
        "One step of the readings, 0.05 m: 43.2 ML, or 0.5 m3/s over one day.",
    ]
    unclosed = {**closure, "mean": None, "note": "no release gauge"}
    bare = {**inflow, "includes_release": False, "scatter": None, "closure": unclosed,
            "step": {**step, "is_assumed": True}}  # fmt: skip
    assert inflow_lines({"unit": "m", "inflow": bare}) == [
        "21.5 m3/s for the day to 2020-02-01 (change of storage +6.5, from the target: inflow minus releases and "
        "losses); mean of the last 7 days 20.5 m3/s.",
        "Closure error: no release gauge. Measured inflow: 23 m3/s.",
        "For scale, a change of 0.05 m: 43.2 ML, or 0.5 m3/s over one day.",
    ]
    unmeasured = {**bare, "measured": None, "inflow": None, "note": "the level is missing", "step": None}
    assert inflow_lines({"unit": "m", "inflow": unmeasured}) == [
        "Not computed: the level is missing.", "Closure error: no release gauge."
    ]  # fmt: skip
    assert "measured inflow: mean −1.5, 80% of 364 days −3.25 to +0.75 m3/s (a remark)." in inflow_lines(
        {"unit": "m", "inflow": {**inflow, "measured": None}}
    )[2]


def test_situations_have_the_decimals_of_their_quantities(content: dict[str, Any]) -> None:
    row = {"date": "2020-01-01", "distance": 0.456, "level": -1.2344, "change_1d": 0.0126, "change_3d": -0.5,
           "rain_1d": 12.34, "rain_7d": 0.06, "inflow": 5.55,
           "then_1d": 1.0, "then_3d": 2.0, "then_7d": None}  # fmt: skip
    today = {**row, "inflow": None, "then_1d": None, "then_3d": None}
    similar = {**content["similar"], "today": today, "days": [row], "rain_unit": "in", "inflow_unit": "ft3/s"}
    headers, rows = similar_rows({**content, "init_date": "2020-01-01", "similar": similar})
    above = ["day", "distance", "above full, m", "change 1 d", "change 3 d", "rain 1 d, in", "rain 7 d, in"]
    assert headers == [*above, "then 1 d", "then 3 d", "then 7 d"]
    known = ["−1.234", "+0.013", "−0.500", "12.3", "0.1"]
    assert rows == [
        ["2020-01-01", "today", *known, "", "", ""], ["2020-01-01", "0.46", *known, "+1.000", "+2.000", "–"]
    ]  # fmt: skip
    level = similar_rows({**content, "similar": {**similar, "is_above_full_supply": False, "today": row}})
    assert level[0][2] == "level, m" and level[0][7] == "inflow, ft3/s" and level[1][1][2] == "−1.234"


def test_the_page_says_what_kind_of_day_it_is_about(content: dict[str, Any]) -> None:
    ages = {"init_date": "2020-05-03", "init_time": "2020-05-04T00:00+10:00", "level_date": "2020-05-01", "age_days": 3,
            "level_age_days": 2}  # fmt: skip
    for retrospective, stale, expected in (
        (False, False, "All data known at 2020-05-04T00:00+10:00, the end of 2020-05-03."),
        (False, True, "OLD: the forecast starts from 2020-05-01, 5 days ago."),
        (True, True, "PAST DAY: only what was known at the end of 2020-05-03 (2020-05-04T00:00+10:00)."),
    ):
        day = {**content, **ages, "is_retrospective": retrospective, "is_stale": stale}
        assert brief_text(day).splitlines()[2] == expected
        assert brief_text({**day, "simulated": False}).splitlines()[1] == expected


def test_late_gauges_are_listed_by_their_age(content: dict[str, Any]) -> None:
    ages = [("A", 3, "2020-05-01"), ("B", None, None), ("C", 9, "2020-04-25"), ("D", 3, "2020-05-01"), ("E", 1, None)]
    gauges = [{"gauge": name, "age_days": age, "last_date": last, "is_late": name != "E"} for name, age, last in ages]
    assert late_lines({**content, "gauges": gauges}) == [
        "since 2020-04-26 (9 days old): C", "since 2020-05-02 (3 days old): A; D", "no usable value at all: B"
    ]  # fmt: skip
    many = [{**gauges[0], "gauge": f"G{k}"} for k in range(6)]
    assert late_lines({**content, "gauges": many}) == ["since 2020-05-02 (3 days old): G0; G1; G2; G3 and 2 more"]


def test_a_page_with_more_events_than_fit_counts_the_others(content: dict[str, Any]) -> None:
    for count, rest in ((6, None), (7, "  and 1 more: forebay outlook"), (9, "  and 3 more: forebay outlook")):
        lines = brief_text({**content, "thresholds": content["thresholds"][:1] * count}).splitlines()
        assert [line for line in lines if line.endswith("more: forebay outlook")] == ([rest] if rest else [])
        assert sum("At or above full supply" in line for line in lines) == 6


def test_a_target_that_is_a_storage_has_no_second_column_of_it(content: dict[str, Any]) -> None:
    assert "storage, ML" in forecast_table(content)[0] and "% full" in forecast_table(content)[0]
    assert "storage, ML" not in forecast_table({**content, "variable": "storage"})[0]
    assert "% full" not in forecast_table({**content, "variable": "storage_percent"})[0]
    unknown = [{**row, "storage_median": None} for row in content["forecast"]]
    assert "storage, ML" not in forecast_table({**content, "forecast": unknown})[0]


def test_a_late_gauge_has_no_second_sentence_among_the_notes(content: dict[str, Any]) -> None:
    gauge = {**content["gauges"][0], "gauge": "Rain A"}
    lacks = ["Rain A has no value since 2020-01-01.", "Rain A is revised.", "Rain B has no value since 2020-01-02."]
    for is_late in (True, False):
        text = brief_text({**content, "gauges": [{**gauge, "is_late": is_late}], "lacks": lacks})
        assert ("· Rain A has no value" in text) is not is_late
        assert "· Rain A is revised." in text and "· Rain B has no value" in text


def test_scores_without_intervals(content: dict[str, Any]) -> None:
    recent = [{**row, "coverage_90": None} for row in content["recent"]]
    text = brief_text({**content, "recent": recent})
    assert text.count("; no interval") == len([row for row in recent if row["mae"] is not None])


def test_notes_that_do_not_fit_are_counted(content: dict[str, Any]) -> None:
    lines = brief_text({**content, "lacks": [f"Sentence {k}." for k in range(60)]}).splitlines()
    listed = sum(line.startswith("· Sentence") for line in lines)
    assert lines[-1] == f"  and {60 - listed} notes more: forebay forecast" and len(lines) == LINES


def test_the_forecast_is_that_of_the_forecast_and_the_outlook(result: ForecastResult, content: dict[str, Any]) -> None:
    whole = forecast_content(result, [])
    rows = [row for row in whole["forecast"] if row["model"] == DEFAULT_MODEL]  # type: ignore[attr-defined]
    for own in content["forecast"]:
        for name, column in (("level", "level"), ("storage", "storage"), ("percent", "storage_percent")):
            for end, quantile in (("low", 0.05), ("median", 0.5), ("high", 0.95)):
                (value,) = [row[column] for row in rows
                            if row["lead_time"] == own["lead_time"] and row["quantile"] == quantile]  # fmt: skip
                assert own[f"{name}_{end}"] == value
        assert own["storage_median"] is not None
    chances = outlook_content(result, [])["probabilities"]
    for row in content["thresholds"]:
        for cell in row["by"]:
            (value,) = [chance["probability"] for chance in chances  # type: ignore[attr-defined]
                        if chance["threshold"] == row["threshold"] and chance["direction"] == row["direction"]
                        and chance["kind"] == "by" and chance["lead_time"] == cell["lead_time"]]  # fmt: skip
            assert cell["probability"] == value
    assert {row["threshold"] for row in content["thresholds"]} >= {"full_supply"}


def test_the_path_without_rain_is_that_of_the_scenario(result: ForecastResult, content: dict[str, Any]) -> None:
    model = scenarios_of(result.dam, result.daily_tables, result.verification.samples)
    answer = model.answer(model.presets(["none"])).levels.filter(pl.col("wetness") == "current")
    for row in content["forecast"]:
        levels = dict(answer.filter(pl.col("lead_time") == row["lead_time"]).select("quantile", "level").iter_rows())
        assert (row["dry_low"], row["dry_median"], row["dry_high"]) == (levels[0.05], levels[0.5], levels[0.95])
    assert content["without_rain_note"] == ""


def test_the_state_of_the_lake(result: ForecastResult, content: dict[str, Any]) -> None:
    levels = dict(result.daily_tables.newest.select("date", "reservoir_level").iter_rows())
    today = result.issued.init_date
    rows = {row["quantity"]: row for row in content["lake"]}
    assert list(rows) == ["reservoir_level", "storage", "storage_percent", "airspace"]
    for name, values in (
        ("reservoir_level", lambda level: level),
        ("storage", CURVE.storage_at),
        ("storage_percent", lambda level: 100 * CURVE.storage_at(level) / 1600.0),
        ("airspace", lambda level: 1600.0 - CURVE.storage_at(level)),
    ):
        assert rows[name]["value"] == pytest.approx(values(levels[today]))
        for days in (1, 7, 30):
            before = values(levels[today - timedelta(days=days)])
            assert rows[name][f"change_{days}d"] == pytest.approx(rows[name]["value"] - before)


def test_a_day_without_a_level_is_compared_by_the_last_day_with_one(tmp_path: Path) -> None:
    """Its season alone would make any past year the same day, at a distance of 0."""
    table = record()
    cut = table.with_columns(reservoir_level=pl.Series([*table["reservoir_level"][:-2], None, None]))
    result, _ = run_job(synthetic.write_dam(METRES, cut, tmp_path), tmp_path)
    content = brief_content(brief_of(result))
    assert content["level_age_days"] == 2
    similar = content["similar"]
    assert similar["today"]["date"] == content["level_date"] != content["init_date"]
    assert {"level", "change_1d", "change_3d"} <= set(similar["compared"])
    assert re.search(rf"^  day +{content['level_date']} .*\n  distance +newest ", brief_text(content), re.MULTILINE)


def test_full_supply_by_a_rule_curve_names_both_ends(content: dict[str, Any]) -> None:
    """% of the lake and of the last forecast day have different denominators, and so has the threshold."""
    first = {**content["thresholds"][0], "threshold_level": 96.0, "threshold_level_last": 94.5}
    lake = [{**row, "percent_of": "full supply 9,600 ML" if row["percent_of"] else None} for row in content["lake"]]
    change = {"percent_of": ["full supply 9,500 ML", "full supply 9,450 ML"], "lake": lake, "thresholds": [first]}
    text = " ".join(brief_text({**content, **change}).split())
    last = content["forecast"][-1]["valid_date"]
    assert (
        f"100% is that of each day: full supply 9,600 ML on {content['level_date']}, full supply 9,450 ML on {last}."
    ) in text
    assert ", 96.000 to 94.500 m " in text
    assert "100% is that of each day" not in brief_text(content)


def test_a_value_of_a_day_has_no_clock_time(content: dict[str, Any]) -> None:
    reading = content["reading"]
    assert reading["is_of_day"]
    assert f", day {reading['time'][:10]}, quality" in " ".join(brief_text(content).split())
    moment = {**content, "reading": {**reading, "is_of_day": False}}
    assert f", {reading['time']}, quality" in " ".join(brief_text(moment).split())


@pytest.mark.parametrize("days", [1, 7, 30])
def test_a_change_from_a_day_without_a_level_is_unknown(result: ForecastResult, days: int) -> None:
    issued, daily = result.issued, result.daily_tables.newest
    is_there = pl.col("date") != issued.level_date - timedelta(days=days)
    gap = daily.with_columns(pl.when(is_there).then("reservoir_level").alias("reservoir_level"))
    rows = lake_state(gap, result.dam, issued).to_dicts()
    assert [row["quantity"] for row in rows] == ["reservoir_level", "storage", "storage_percent", "airspace"]
    for row in rows:
        assert {back for back in (1, 7, 30) if row[f"change_{back}d"] is None} == {days}
    unknown = replace(issued, table=issued.table.with_columns(change=pl.lit(None, pl.Float64)))
    assert lake_state(daily, result.dam, unknown).is_empty(), "no forecast says from which level it starts"


def test_a_level_on_an_unknown_datum_has_no_storage(result: ForecastResult) -> None:
    issued = replace(result.issued, withheld_from=result.issued.level_date - timedelta(days=3))
    state = lake_state(result.daily_tables.newest, result.dam, issued)
    assert state["quantity"].to_list() == ["reservoir_level"] and state["change_7d"].null_count() == 0


def test_a_target_in_percent_is_not_called_percent_of_full_supply(result: ForecastResult) -> None:
    """100% is what its publisher says, which may not be full supply."""
    target = {"role": "target", "station": "lake", "variable": "storage_percent", "unit": "%"}
    daily = result.daily_tables.newest.rename({"reservoir_level": "storage_percent"})
    (row,) = lake_state(daily, synthetic.small_dam(target, unit="%"), result.issued).to_dicts()
    level = dict(daily.select("date", "storage_percent").iter_rows())[result.issued.level_date]
    assert (row["title"], row["unit"], row["value"]) == ("Storage, share of volume", "%", pytest.approx(level))


@pytest.mark.parametrize(
    ("rain", "flow", "inches", "feet"), [("mm", "m3/s", 1.0, 1.0), ("in", "ft3/s", 25.4, 0.3048**3)]
)
def test_situations_have_the_units_of_the_dam(rain: str, flow: str, inches: float, feet: float) -> None:
    dam = synthetic.small_dam({**synthetic.rain_gauge(), "unit": rain})
    names = ("level", "change_1d", "change_3d", "then_1d", "then_3d", "then_7d")
    row = pl.DataFrame({"date": [LAST], "distance": [0.5], **dict.fromkeys(names, [1.5]),
                        "rain_1d": [50.8], "rain_7d": [127.0], "inflow": [7.0]})  # fmt: skip
    similar = _similar(Analogs(row, row), flow, dam)
    assert (similar["rain_unit"], similar["inflow_unit"]) == (rain, flow)
    for own in (similar["today"], similar["days"][0]):  # type: ignore[index]  # a list
        assert own["rain_1d"] == pytest.approx(50.8 / inches) and own["rain_7d"] == pytest.approx(127 / inches)  # type: ignore[index]
        assert own["inflow"] == pytest.approx(7.0 / feet) and own["level"] == 1.5  # type: ignore[index]


def test_days_times_and_the_reading_are_those_of_the_forecast(result: ForecastResult) -> None:
    """Of a forecast that was issued two days late from a level of the day before; times have the dam's offset."""
    issued, reading = result.issued, result.daily_tables.reading
    assert reading is not None
    day = timedelta(days=1)
    late = replace(issued, issue_time=issued.issue_time + 2 * day, level_date=issued.level_date - day)
    content = brief_content(replace(brief_of(result), issued=late))
    assert content["init_date"] == str(issued.init_date) and content["level_date"] == str(issued.init_date - day)
    assert (content["age_days"], content["level_age_days"], content["is_stale"]) == (2, 1, False)
    older = replace(late, level_date=issued.level_date - 2 * day)
    stale = brief_content(replace(brief_of(result), issued=older))
    assert (stale["is_stale"], stale["is_retrospective"]) == (True, False)
    for name, instant in (("init_time", issued.init_time), ("issue_time", late.issue_time)):
        assert content[name] == f"{instant + timedelta(hours=10):%Y-%m-%dT%H:%M}+10:00"
    assert content["reading"] == {
        "time": f"{reading.time + timedelta(hours=10):%Y-%m-%dT%H:%M}+10:00", "value": reading.value,
        "quality": reading.quality, "is_of_day": True,
    }  # fmt: skip
    assert content["lacks"] == list(issued.limitations) and content["late_gauges"] == 0


def test_ages_count_until_the_issue_and_one_step_is_that_of_the_readings(result: ForecastResult) -> None:
    issued, verification = result.issued, result.verification
    late = replace(issued, issue_time=issued.issue_time + timedelta(days=2))
    samples = replace(verification.samples, resolution=np.linspace(0.5, 0.05, len(verification.samples.dates)))
    changed = replace(result, issued=late, verification=replace(verification, samples=samples))
    vars(changed).update(outlook=result.outlook, storage_forecasts=result.storage_forecasts)  # cached properties
    vars(changed)["recent_scores"] = result.recent_scores
    content: dict[str, Any] = brief_content(brief_of(changed))
    assert [row["age_days"] for row in content["gauges"]] == [2, 2]
    assert (content["inflow"]["step"]["step"], content["inflow"]["step"]["is_assumed"]) == (0.05, False)


def test_the_last_week_and_the_last_year(result: ForecastResult, content: dict[str, Any]) -> None:
    spans = {row["days"] for row in content["recent"]}
    assert spans == {7, 365}
    last = result.issued.init_date
    week = [row for row in content["recent"] if row["days"] == 7 and row["source"] == "hindcast"]
    hindcast = result.verification.forecasts.filter(pl.col("model") == DEFAULT_MODEL, pl.col("quantile") == 0.5)
    samples = result.verification.samples
    observed = dict(zip(pl.Series(samples.dates).cast(pl.Date), samples.observed.tolist(), strict=True))
    for row in week:
        errors = [abs(level - observed[day]) for day, level in hindcast.filter(
            pl.col("lead_time") == row["lead_time"], pl.col("valid_date") > last - timedelta(days=7),
            pl.col("valid_date") <= last).select("valid_date", "level").iter_rows()]  # fmt: skip
        known = [error for error in errors if not math.isnan(error)]
        assert row["n"] == len(known) == 7 and row["mae"] == pytest.approx(sum(known) / 7)
    yearly = [{**row, "days": 365} for row in forecast_content(result, [])["last_365_days"]]  # type: ignore[attr-defined]
    assert [row["mae"] for row in yearly] == [row["mae"] for row in content["recent"] if row["days"] == 365]


def test_a_short_span_scores_every_day() -> None:
    empty = recent_scores(synthetic_forecasts(), pl.DataFrame({"date": [LAST], "level": [1.0]}), LAST,
                          source="issued", days=7)  # fmt: skip
    assert empty["n"].to_list() == [1] and empty["mae"].to_list() == [0.5]


LAST = date(2021, 6, 30)


def synthetic_forecasts() -> pl.DataFrame:
    """One forecast of 1.5 for `LAST`, by the median alone."""
    dam = synthetic.dam()
    frame = pl.DataFrame({"date": [LAST - timedelta(days=1)], dam.target_gauge.column: [1.5]})
    table = synthetic.forecasts(dam, frame, [LAST - timedelta(days=1)])
    return table.filter(pl.col("lead_time") == 1).with_columns(
        level=pl.when(pl.col("quantile") == 0.5).then(1.5).otherwise(pl.col("level"))
    )


def test_the_head_of_the_report_has_the_same_numbers(result: ForecastResult, content: dict[str, Any]) -> None:
    report = report_content(result)
    assert report.brief == content
    text = template_text("head.html", report, build_head(report))
    for row in content["similar"]["days"]:
        then = " ".join(format_number(row[f"then_{lead}d"], 3, signed=True) for lead in (1, 3, 7))
        assert row["date"] in text and then in text
    assert "When was it like this before, and what followed?" in text
    for row in content["forecast"]:
        assert f"{row['valid_date']} {format_number(row['dry_median'], 3)}" in text
    assert "Closure error: the balance cannot be closed" in text and "last 7 days, hindcast" in text
    without = replace(report, make_brief=None)
    assert "what flows in?" not in template_text("head.html", without, build_head(without))


def test_what_is_late_and_since_when(result: ForecastResult) -> None:
    gauge = result.dam.gauges[1].column
    newest = result.daily_tables.newest
    known = pl.col("date") < result.issued.init_date - timedelta(days=4)
    flag = flag_of(gauge)
    absent = pl.when(known).then(flag).otherwise(pl.lit("absent")).alias(flag)
    late = newest.with_columns(pl.when(known).then(gauge).alias(gauge), absent)
    brief = brief_of(replace(result, daily_tables=replace(result.daily_tables, newest=late)))
    text = brief_text(brief_content(brief))
    since = result.issued.init_date - timedelta(days=4)
    assert f"LATE OR MISSING: 1 of 2 gauges\n  since {since} (5 days old): Rainfall" in text


def test_a_dam_without_rain_or_curve_says_why(tmp_path: Path) -> None:
    dam = METRES.model_copy(update={"gauges": METRES.gauges[:1]})
    levels = record().select("dam", "date", "^reservoir_level.*$")
    result, _ = run_job(synthetic.write_dam(dam, levels, tmp_path), tmp_path)
    text = BriefResult(result, brief_of(result)).text()
    assert "Without further rain: not computed. Small Dam has no rain gauge" in text
    assert "Not computed: the dam file has no storage curve." in text
    assert "Storage and % are unknown: the dam file has no storage curve." in text
    assert "rain of 1 day" not in text and "No gauge of rain or flow" in text


def test_the_function_fetches_first_and_its_table_is_that_of_the_default(tmp_path: Path) -> None:
    path = synthetic.write_dam(METRES, record(), tmp_path)
    result = brief(path, archive=f"sqlite:///{tmp_path}/a.db")
    assert set(result.to_frame()["model"]) == {DEFAULT_MODEL}
    assert result.forecast.fetch_table["rows"].sum() > 0


def test_the_command_prints_the_page_and_its_json(tmp_path: Path) -> None:
    path = synthetic.write_dam(METRES, record(), tmp_path)
    url = f"sqlite:///{tmp_path}/a.db"
    assert forebay("fetch", path, "--archive", url).code == 0
    page, machine = forebay("brief", path, "--archive", url), forebay("brief", path, "--archive", url, "--json")
    assert (page.code, page.err, machine.code) == (0, "", 0)
    lines, own = page.out.splitlines(), brief_text(machine.json).splitlines()
    assert lines[1:] == own[1:] and lines[0].startswith("Small Dam (SIMULATED): brief of ")
    assert forebay("brief", path, "--archive", url, "--init", "2018-06-01").out.splitlines()[2].startswith("PAST DAY")
    assert forebay("record", "list", path, "--archive", url, "--json").json, "the forecast of a brief is recorded"
