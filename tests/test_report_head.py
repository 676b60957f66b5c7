"""`forebay.report.head`: the newest reading, the starting level, and the age of the forecast."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from forebay.charts.report_tables import Report
from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.report.head import build_head
from tests.report_examples import example_report, template_text


def head_text(report: Report) -> str:
    return template_text("head.html", report, build_head(report))


def test_the_head_has_the_reading_the_start_and_the_forecast() -> None:
    text = head_text(example_report())
    assert "SIMULATED: weather, river and lake are invented" in text
    assert "mean of the day from Wed 14 Apr 2021 00:00 (UTC+10:00), quality good" in text
    assert "13.0 hours old" in text  # the day of this mean ended 13 hours ago
    assert "reservoir level forecast from Wed 14 Apr 2021" in text
    assert "96.500 m" in text
    assert "Start of the forecast: daily mean" in text
    assert "metres above nothing" in text


@pytest.mark.parametrize(("age", "stale"), [(0, False), (3, False), (4, True), (1412, True)])
def test_an_old_forecast_has_its_age_in_the_title_and_never_the_word_current(age: int, stale: bool) -> None:
    report = example_report()
    issued = replace(report.forecast, issue_time=report.forecast.init_time + timedelta(days=age, hours=1))
    text = head_text(replace(report, forecast=issued))
    assert (f"as of Wed 14 Apr 2021, {age:,} days old" in text) == stale
    assert not stale or not re.search(r"\b(current|currently|today|now)\b", text, re.IGNORECASE)


def test_a_level_older_than_the_init_date_has_its_age() -> None:
    report = example_report()
    issued = replace(report.forecast, level_date=report.forecast.init_date - timedelta(days=1))
    text = head_text(replace(report, forecast=issued))
    assert "The last level is 1 day older, from Tue 13 Apr 2021." in text


def test_a_gauge_without_a_reading_is_marked() -> None:
    assert "none the gauge has no reading" in head_text(replace(example_report(), newest=None))


def test_an_instantaneous_level_has_its_hour() -> None:
    level = {"role": "target", "source": "simulated", "station": "lake", "variable": "reservoir_level", "unit": "m"}
    gauge = Gauge.model_validate(level | {"reading": "instantaneous", "reading_at": "08:00"})
    report = example_report()
    facts = report.dam.model_dump(by_alias=True, exclude={"gauges"})
    at_eight = Dam.model_validate(facts | {"gauges": [gauge, *report.dam.gauges[1:]]})
    text = head_text(replace(report, dam=at_eight))
    assert "read at Wed 14 Apr 2021 00:00" in text
    assert "Start of the forecast: reading at 08:00" in text
    assert "daily mean" not in text
