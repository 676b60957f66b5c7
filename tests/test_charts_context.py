"""`forebay.charts.context`: the year before and the rule band of the forecast's chart."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import polars as pl

from forebay.charts.context import context_figure, rule_band, year_before
from forebay.charts.forecast import RULE_BAND, YEAR_BEFORE
from forebay.charts.report_tables import Report
from forebay.dams.thresholds import ReferenceLevel, Threshold
from tests.report_examples import example_report


def legend_of(report: Report) -> list[str]:
    return [name for name, _ in context_figure(report).legend()]


def test_the_year_before_has_the_levels_of_365_days_earlier() -> None:
    report = example_report()
    before = year_before(report)
    column = report.dam.target_gauge.column
    observed = dict(report.daily.select("date", column).iter_rows())
    assert before["date"][-1] == report.forecast.init_date + timedelta(days=7)
    assert dict(before.iter_rows()) == {day: observed[day - timedelta(days=365)] for day in before["date"]}


def test_a_year_before_that_is_far_away_is_left_out() -> None:
    report = example_report()
    column, init = report.dam.target_gauge.column, report.forecast.init_date
    recent = report.recent_levels["level"].drop_nulls()
    height = max(float(recent.max()), report.fan["q95"].max()) - min(float(recent.min()), report.fan["q05"].min())
    is_earlier = pl.col("date") <= init - timedelta(days=250)
    for level, is_near in ((recent[-1] + 0.5 * height, True), (recent[-1] + 2.5 * height, False)):
        daily = report.daily.with_columns(pl.when(is_earlier).then(level).otherwise(pl.col(column)).alias(column))
        assert (YEAR_BEFORE in legend_of(replace(report, daily=daily))) == is_near


def test_a_rule_band_is_between_the_lowest_and_the_highest_rule_curve() -> None:
    def curve(winter: float, summer: float) -> ReferenceLevel:
        points = [{"day": "01-01", "value": winter}, {"day": "07-01", "value": summer}]
        return ReferenceLevel.model_validate({"rule_curve": points})

    report = example_report()
    start = float(report.fan["start"][0])
    thresholds = tuple(
        Threshold(name=name, level=level)
        for name, level in (
            ("Target", curve(start, start)), ("Upper", curve(start + 0.1, start + 0.1)),
            ("Constant", ReferenceLevel(value=start + 0.2)),
        )
    )  # fmt: skip
    dam = report.dam.model_copy(update={"thresholds": thresholds})
    lines = pl.DataFrame(
        {"name": ["Target", "Upper", "Constant"], "date": [date(2020, 1, 1)] * 3, "value": [1.0, 1.5, 9.0]}
    )
    assert rule_band(lines, dam).rows() == [(date(2020, 1, 1), 1.0, 1.5)]
    assert rule_band(lines.filter(pl.col("name") != "Upper"), dam).is_empty()
    assert RULE_BAND in legend_of(replace(report, dam=dam))
    assert RULE_BAND not in legend_of(report)
