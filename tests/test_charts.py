"""Every chart of the report is valid Vega-Lite, renders, has its unit, and is marked as simulated."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from functools import cache

import polars as pl
import pytest
import vl_convert

from forebay.charts.coverage import coverage_chart
from forebay.charts.figures import Figure
from forebay.charts.forecast import MEDIAN, OBSERVED
from forebay.charts.forecast_tables import DAY
from forebay.charts.registry import REPORT_CHARTS, report_figures
from forebay.charts.rendering import VEGA_LITE
from forebay.charts.report_tables import Report
from forebay.charts.spec import Spec, file_spec, legend_entries, page_spec
from forebay.charts.style import Heading
from forebay.tables import EXPLANATION, FORECASTS, SCORES
from tests import synthetic
from tests.report_examples import diagnosed_report

HEADING = Heading("Synthetic Dam", "reservoir level (daily mean), m", simulated=True)
NAMES = (
    "forecast",
    "explanation",
    "largest_rise",
    "scores",
    "reliability",
    "pit_histogram",
    "rolling_coverage",
    "peaks",
    "coverage",
)
SHARES = ("reliability", "pit_histogram", "rolling_coverage", "coverage")
"""Charts without a level axis."""


@cache
def report() -> Report:
    """A report with content for every chart."""
    return diagnosed_report()


@cache
def figures() -> dict[str, Figure]:
    return report_figures(report())


def svg(spec: Spec) -> str:
    text: str = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
    return text


def test_a_full_report_has_every_chart() -> None:
    assert list(figures()) == list(NAMES)
    assert len(REPORT_CHARTS) == len(NAMES)


def test_a_report_without_hindcast_has_only_the_forecast_and_the_coverage() -> None:
    minimal = replace(
        report(),
        forecast=replace(report().forecast, table=FORECASTS.empty(), explanation=EXPLANATION.empty()),
        hindcast=FORECASTS.empty(),
        scores=SCORES.empty(),
        diagnostics=None,
    )
    assert list(report_figures(minimal)) == ["forecast", "coverage"]


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_is_valid_and_renders(name: str) -> None:
    figure = figures()[name]
    figure.chart().to_dict()  # validates, which the report omits to save time
    text = svg(figure.file_spec())
    assert "Synthetic Dam · SIMULATED" in text
    assert name in SHARES or ", m<" in text
    assert "NaN" not in text and "Infinity" not in text


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_has_its_legend_in_files_and_none_on_pages(name: str) -> None:
    figure = figures()[name]
    names = [entry for entry, _ in figure.legend()]
    assert ("role-legend" in svg(figure.file_spec())) == bool(names) == (name != "peaks")
    for spec in figure.page_specs():
        assert spec["width"] == "container"
        assert '"legend":' not in json.dumps({key: value for key, value in spec.items() if key != "config"})
        assert "role-legend" not in svg({**spec, "width": 400})


def test_a_simulated_dam_is_marked_in_every_panel() -> None:
    titles = [panel["title"] for panel in figures()["largest_rise"].file_spec()["concat"]]
    onset = synthetic.FLOOD_ONSET
    assert f"SIMULATED · issued at the end of {onset}" in titles
    assert all(title.startswith("SIMULATED · issued at the end of ") for title in titles)
    real = replace(report(), dam=report().dam.model_copy(update={"simulated": False}))
    assert all("SIMULATED" not in json.dumps(figure.file_spec()) for figure in report_figures(real).values())


def test_every_series_of_the_legend_has_its_own_colour() -> None:
    for figure in figures().values():
        colours = [colour for _, colour in figure.legend()]
        assert len(set(colours)) == len(colours)
    assert [name for name, _ in figures()["forecast"].legend()][:2] == [OBSERVED, MEDIAN]
    assert legend_entries({"mark": "bar"}) == []


def test_a_state_without_a_fixed_colour_renders() -> None:
    days = [date(2020, 1, 1), date(2020, 1, 5), date(2020, 1, 6)]
    spells = pl.DataFrame(
        {
            "gauge": ["a", "a"],
            "state": ["good", "new reason"],
            "start": days[:2],
            "end": days[1:],
            "days": [4, 1],
        }
    )
    chart = coverage_chart(spells, HEADING)
    assert [name for name, _ in legend_entries(page_spec(chart))] == ["good", "new reason"]
    assert days[2] - days[1] == DAY
    assert "new reason" in svg(file_spec(chart))
