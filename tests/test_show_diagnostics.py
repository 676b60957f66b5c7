"""The report's section on whether probabilities hold: charts that Vega-Lite accepts, tables, a sentence with each."""

import re
from dataclasses import replace
from functools import cache

import polars as pl
import pytest

from forebay.charts.diagnostics import diagnostic_charts
from forebay.charts.forecast_tables import Report
from forebay.charts.style import Heading
from forebay.features.samples import make_samples
from forebay.forecasts.issue import issue
from forebay.report.write import render
from forebay.verify.diagnostics import Diagnostics, diagnose
from tests import synthetic

HEADING = Heading("Synthetic Dam", "reservoir level (daily mean), m", simulated=True)


@cache
def made() -> tuple[Report, Diagnostics]:
    """A report with its diagnostics."""
    dam = synthetic.dam()
    daily = synthetic.daily(dam)
    table = synthetic.forecasts(dam, daily, daily["date"][480:].to_list())
    found = diagnose(table, make_samples(daily, daily, dam), dam, daily=daily)
    init = daily["date"][-1]
    past = table.filter(pl.col("init_date") < init)
    scores, gauges = synthetic.scores(dam), pl.DataFrame({"gauge": ["lake"]})
    issued = issue(table, dam, init, now=synthetic.NOW, limitations=())
    return Report(dam, issued, None, daily, past, scores, gauges, found), found


def test_every_picture_is_valid_and_says_that_it_is_simulated() -> None:
    whole = diagnostic_charts(made()[1], HEADING).by_file(HEADING)
    assert list(whole) == ["reliability", "rank_histogram", "peaks", "rolling_coverage"]
    for chart in whole.values():
        assert "SIMULATED" in str(chart.to_dict(validate=True)["title"])


def test_the_report_shows_each_with_a_sentence_on_how_to_read_it() -> None:
    html, specs = render(made()[0])
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", " ", html, flags=re.DOTALL)))
    for title in ("Reliability", "Rank histogram", "Coverage by year", "The largest rises", "Largest misses"):
        assert title in text
    for start in ("Points on the diagonal are", "Each bar is how often", "Share of the last 365", "Each point is"):
        assert start in text
    assert "lower bound of the uncertainty" in text
    assert set(specs) >= {"reliability", "rank_histogram", "peaks", "rolling_coverage"}


def test_the_largest_miss_stands_in_the_table_with_what_was_known() -> None:
    html = render(made()[0])[0]
    section = html.split('id="diagnostics"')[1].split("</section>")[0]
    assert "Sun 9 Feb 2020" in section
    assert "stream level creek" in section


@pytest.mark.parametrize("none", [None, "empty"])
def test_without_scored_days_it_says_so(none: str | None) -> None:
    report, found = made()
    empty = Diagnostics(**{name: rows.clear() for name, rows in found.by_name().items()}) if none else None
    html, specs = render(replace(report, diagnostics=empty))
    assert "There are no scored days to judge the probabilities by." in html
    assert "reliability" not in specs
