"""`forebay.report.head`: the newest reading, the starting level, and the age of the forecast."""

import re
from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest

from forebay.charts.report_tables import Report
from forebay.dams.curves import StorageCurve
from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.report.head import build_head
from forebay.report.sections import render_template
from forebay.screen.flags import FLAGS
from tests.report_examples import diagnosed_report, example_report, template_text


def head_text(report: Report) -> str:
    return template_text("head.html", report, build_head(report))


def test_the_head_has_the_reading_the_start_and_the_forecast() -> None:
    text = head_text(example_report())
    assert "SIMULATED: weather, river and lake are invented" in text
    # The day of this mean ended 13 hours ago.
    assert "Mean of the day from 2021-04-14T00:00+10:00 , quality good, 13.0 hours old." in text
    assert "reservoir level forecast from 2021-04-14" in text
    assert "Level now 96.500 m metres above nothing" in text
    assert "The forecast starts from 100.257 m, the daily mean of 2021-04-14." in text
    assert "2021-04-21 Wed, in 7 days 100.257 0.000 100.170 to 100.344" in text


def with_curve(*points: tuple[float, float], **keys: object) -> Report:
    """The report of a dam with a storage curve; `keys` replace keys of its dam file."""
    report = example_report()
    curve = StorageCurve(level_unit="m", storage_unit="ML", survey_date=date(2011, 6, 30), points=points)
    return replace(report, dam=report.dam.model_copy(update={"storage_curves": (curve,), **keys}))


def test_the_head_has_storage_and_percentage_with_denominator_and_survey() -> None:
    text = head_text(with_curve((80.0, 0.0), (100.0, 1000.0), (110.0, 6000.0)))
    assert "the daily mean of 2021-04-14: 1,128 ML, 112.8% full." in text
    assert "Day Storage, ML 90% interval, ML % full 90% interval, %" in text
    assert "2021-04-21 1,128 1,085 to 1,172 112.8 108.5 to 117.2" in text
    assert "100% is the storage at full supply level 100 m: 1,000 ML (survey 2011-06-30)." in text


def test_the_head_has_no_percentage_where_the_capacity_is_unknown() -> None:
    without_curve = head_text(example_report())
    assert "Storage and % are unknown: the dam file has no storage curve." in without_curve
    without_full_supply = head_text(with_curve((80.0, 0.0), (110.0, 6000.0), full_supply=None))
    assert "Storage, ML" in without_full_supply
    assert "% is unknown: the dam file has no full supply level." in without_full_supply
    beyond = head_text(with_curve((80.0, 0.0), (100.3, 6000.0)))
    assert "5,987 5,974 to 5,999" not in beyond
    assert "Storage and % are unknown: the level is above the storage curve, 80 to 100.3 m." in beyond
    for text in (without_curve, without_full_supply, beyond):
        assert "0.0% full" not in text.replace("100.0% full", "")


@pytest.mark.parametrize(("variable", "unit"), [("storage", "ML"), ("storage_percent", "%")])
def test_a_storage_is_not_called_a_level(variable: str, unit: str) -> None:
    report = example_report()
    target = report.dam.target.model_copy(update={"variable": variable, "unit": unit})
    storage = report.dam.model_copy(update={"target": target})
    issued = replace(report.forecast, level_date=report.forecast.init_date - timedelta(days=1))
    text = head_text(replace(report, dam=storage, forecast=issued))
    assert "Storage now" in text
    assert "The last storage is 1 day older" in text
    assert "Level now" not in text


def test_a_suspect_level_is_called_so() -> None:
    report = replace(example_report())
    day = report.forecast.init_date
    row = (report.dam.target_gauge.column, day, "unit", day, None, 96.5, 314.0)
    report.__dict__["flags"] = pl.DataFrame([row], schema=FLAGS.columns, orient="row")
    text = head_text(report)
    assert "Suspect (unit) : a factor of 10, 100 or 1000, or a foot-metre slip" in text
    assert "the expected value. 96.500 m" in text
    assert "Suspect" not in head_text(example_report())


@pytest.mark.parametrize(("age", "stale"), [(0, False), (3, False), (4, True), (1412, True)])
def test_an_old_forecast_has_its_age_in_the_title_and_never_the_word_current(age: int, stale: bool) -> None:
    report = example_report()
    issued = replace(report.forecast, issue_time=report.forecast.init_time + timedelta(days=age, hours=1))
    text = head_text(replace(report, forecast=issued))
    assert (f"as of 2021-04-14, {age:,} days old" in text) == stale
    assert not stale or not re.search(r"\b(current|currently|today|now)\b", text, re.IGNORECASE)


def test_a_level_older_than_the_init_date_has_its_age() -> None:
    report = example_report()
    issued = replace(report.forecast, level_date=report.forecast.init_date - timedelta(days=1))
    text = head_text(replace(report, forecast=issued))
    assert "The last level is 1 day older, from 2021-04-13." in text


def test_the_age_in_the_title_is_that_of_the_level() -> None:
    report = example_report()
    level_date = report.forecast.init_date - timedelta(days=2)
    issue_time = report.forecast.init_time + timedelta(days=3, hours=1)
    text = head_text(replace(report, forecast=replace(report.forecast, level_date=level_date, issue_time=issue_time)))
    assert f"reservoir level as of {level_date}, 5 days old" in text


@pytest.mark.parametrize("share", ["recent", "whole"])
def test_one_bad_share_decides_the_verdict(share: str) -> None:
    report = replace(diagnosed_report())
    good = pl.DataFrame({"lead_time": [1], "recent": [0.9], "recent_n": [365], "whole": [0.9], "whole_n": [900]})
    report.__dict__["interval_coverage"] = good.with_columns(pl.lit(0.7).alias(share))
    assert "No: it is too narrow" in head_text(report)
    report = replace(report)
    report.__dict__["interval_coverage"] = good
    assert "Yes: it holds as stated" in head_text(report)


def test_the_verdict_on_the_interval_has_its_shares_and_their_n() -> None:
    report = diagnosed_report()
    table = report.interval_coverage
    text = head_text(report)
    row = table.row(0, named=True)
    assert "Can the 90% interval be trusted?" in text
    assert f"1 day {row['recent']:.0%} n = {row['recent_n']} {row['whole']:.0%} n = {row['whole_n']}" in text
    verdicts = ((0.9, "Yes: it holds as stated"), (0.7, "No: it is too narrow"), (0.97, "wider than necessary"))
    for share, words in verdicts:
        assert report.diagnostics is not None
        years = report.diagnostics.coverage_by_year.with_columns(coverage_90=pl.lit(share))
        diagnostics = replace(report.diagnostics, coverage_by_year=years)
        recent = report.recent_scores.with_columns(coverage_90=pl.lit(share))
        assert words in head_text(replace(report, diagnostics=diagnostics, recent_scores=recent))
    assert "Unknown: too few outcomes" in head_text(replace(example_report(), scores=example_report().scores.clear()))


def test_a_good_interval_is_a_lower_bound_outside_experience() -> None:
    report = replace(diagnosed_report(), diagnostics=None)
    sentence = "Outside experience: level, 9 m, is above the range."
    text = head_text(replace(report, forecast=replace(report.forecast, outside_experience=(sentence,))))
    assert "Not fully: the day is outside experience" in text and sentence in text


def test_near_full_supply_the_verdict_has_the_coverage_of_such_days() -> None:
    report = example_report()
    near = report.scores.filter(pl.col("regime") == "wet").with_columns(regime=pl.lit("near_full"))
    bad = pl.when(pl.col("metric") == "coverage_90").then(0.7).otherwise("value").alias("value")
    report = replace(report, scores=pl.concat([report.scores, near.with_columns(bad)]))
    assert "No: it is too narrow" in head_text(report)  # the example starts 0.257 m above full supply
    far = report.dam.model_copy(update={"full_supply": None})
    assert "No: it is too narrow" not in head_text(replace(report, dam=far))


def test_late_gauges_have_their_age_and_flags_and_limitations_are_listed() -> None:
    report = example_report()
    last = report.daily["date"][-1]
    daily = report.daily.with_columns(
        stream_level_creek=pl.when(pl.col("date") <= last - timedelta(days=4)).then("stream_level_creek"),
        rainfall_r1_flag=pl.when(pl.col("date") == last).then(pl.lit("poor")).otherwise("rainfall_r1_flag"),
    )
    text = head_text(replace(report, daily=daily))
    assert "Which data is late? 1 of 4 gauges A creek: 4 days old" in text
    assert f"Rainfall 1, flags of the last days: poor on {last} (still used)." in text
    assert "A creek has no data." in text, "the limitations of the forecast"
    clean = head_text(replace(report, forecast=replace(report.forecast, limitations=())))
    assert "None of 4 gauges" in clean
    level = report.daily["reservoir_level"][-1]
    assert re.search(rf"Newest value of each gauge .* {level:.3f} m {last}", text), "as precise as the forecast"
    assert "Nothing: no reading of the last days is flagged" in clean


def test_the_oldest_late_gauge_is_first() -> None:
    report = example_report()
    last = report.daily["date"][-1]
    until = {"stream_level_creek": 4, "rainfall_r1": 6, "rainfall_r2": 9999}
    daily = report.daily.with_columns(
        pl.when(pl.col("date") <= last - timedelta(days=age)).then(name).alias(name) for name, age in until.items()
    )
    text = head_text(replace(report, daily=daily))
    late = "Rainfall 2: no usable value Rainfall 1: 6 days old A creek: 4 days old"
    assert f"Which data is late? 3 of 4 gauges {late}" in text


def _if_last_lead(value: float) -> pl.Expr:
    return pl.when(pl.col("lead_time") == 7).then(value).otherwise(0.0)


def test_a_bound_beyond_the_record_has_a_red_notice() -> None:
    report = example_report()
    assert "leaves the record" not in head_text(report)
    higher = report.forecast.table.with_columns(level=pl.col("level") + _if_last_lead(7.0))
    beyond = replace(report, forecast=replace(report.forecast, table=higher))
    highest = report.record.row(1)
    text = head_text(beyond)
    assert f"its upper bound of 107.344 m on 2021-04-21 is {107.344 - highest[1]:.3f} m above the highest level" in text
    assert f"({highest[1]:.3f} m on {highest[0]})" in text
    assert 'class="notice alarm"' in render_template("head.html", beyond, build_head(beyond))


def test_a_gauge_without_a_reading_is_marked() -> None:
    assert "none The gauge has no reading." in head_text(replace(example_report(), newest=None))


def test_an_instantaneous_level_has_its_hour() -> None:
    level = {"role": "target", "source": "simulated", "station": "lake", "variable": "reservoir_level", "unit": "m"}
    gauge = Gauge.model_validate(level | {"reading": "instantaneous", "reading_at": "08:00"})
    report = example_report()
    facts = report.dam.model_dump(by_alias=True, exclude={"gauges"})
    at_eight = Dam.model_validate(facts | {"gauges": [gauge, *report.dam.gauges[1:]]})
    text = head_text(replace(report, dam=at_eight))
    assert "Reading at 2021-04-14T00:00+10:00" in text
    assert "The forecast starts from 100.257 m, the reading at 08:00 of" in text
    assert "daily mean" not in text
