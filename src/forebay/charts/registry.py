"""The report's charts. A new chart is one function in this package and one line in `REPORT_CHARTS`.

Each figure is drawn as NAME.png and NAME.svg. A template of the report shows it as `figures.NAME`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from forebay.charts.coverage import coverage_figure
from forebay.charts.diagnostics import DIAGNOSTIC_CHARTS
from forebay.charts.explanation import explanation_figure
from forebay.charts.figures import Figure, figures_by_name
from forebay.charts.forecast import forecast_figure, largest_rise_figure
from forebay.charts.outlook import outlook_figure, outlook_reliability_figure
from forebay.charts.report_tables import Report
from forebay.charts.scores import scores_figure

if TYPE_CHECKING:
    from forebay.charts.style import Heading
    from forebay.verify.diagnostics import Diagnostics

BuildFigure: TypeAlias = Callable[[Report], Figure | None]


def _diagnostic_figure(build: Callable[[Diagnostics, Heading], Figure | None], report: Report) -> Figure | None:
    return None if report.diagnostics is None else build(report.diagnostics, report.heading)


REPORT_CHARTS: tuple[BuildFigure, ...] = (
    forecast_figure,
    outlook_figure,
    outlook_reliability_figure,
    explanation_figure,
    largest_rise_figure,
    scores_figure,
    *(partial(_diagnostic_figure, build) for build in DIAGNOSTIC_CHARTS),
    coverage_figure,
)
"""Builders of the report's figures; each returns None where the report has nothing to draw."""


def report_figures(report: Report, charts: Iterable[BuildFigure] = REPORT_CHARTS) -> dict[str, Figure]:
    """Every figure of `charts` that has content, by its name."""
    return figures_by_name(build(report) for build in charts)
