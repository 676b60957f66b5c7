"""HTML of pages: the report's templates, words and charts, with those of the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from markupsafe import Markup

from forebay.charts.context import context_figure
from forebay.charts.coverage import coverage_figure
from forebay.charts.diagnostics import figure_of_reliability
from forebay.charts.explanation import explanation_figure
from forebay.charts.figures import figures_by_name
from forebay.charts.formats import TargetFormat
from forebay.charts.outlook import outlook_figure, outlook_reliability_figure
from forebay.charts.recent_inputs import DAYS, input_gauges, input_values, recent_inputs_figure
from forebay.charts.scores import scores_figure
from forebay.days.labels import display_unit, gauge_labels
from forebay.report.diagnostics import build_reliability
from forebay.report.head import build_head
from forebay.report.sections import SECTIONS
from forebay.web.page_environment import page_environment

if TYPE_CHECKING:
    import polars as pl

    from forebay.charts.figures import Figure
    from forebay.charts.report_tables import Report

CHARTS: tuple[Callable[[Report], Figure | None], ...] = (
    context_figure,
    outlook_figure,
    outlook_reliability_figure,
    recent_inputs_figure,
    explanation_figure,
    scores_figure,
    coverage_figure,
)
"""Figures of a dam's page."""
TABLE_DAYS = 7
"""Days of input values in the table."""
_OF_REPORT = {section.name: section for section in SECTIONS}


def section_titles(report: Report, *, has_reliability: bool) -> list[tuple[str, str]]:
    """Name and title of each section of a dam's page."""
    names = ["forecast"]
    names += ["outlook"] if report.outlook is not None else []
    names += ["recent_inputs"]
    names += ["explanation"] if not report.forecast.explanation.is_empty() else []
    names += ["scores"] if not report.scores.is_empty() else []
    names += ["reliability"] if has_reliability else []
    names += ["past", "coverage", "dam_and_gauges", "limitations", "glossary"]
    own = {"recent_inputs": "Rain, rivers and other inputs", "past": "What was forecast before, and what was observed",
           "reliability": "Are the probabilities reliable?"}  # fmt: skip
    return [(name, own.get(name) or _OF_REPORT[name].title) for name in names]


def render_sections(
    report: Report, past: list[dict[str, object]], reliability: pl.DataFrame
) -> list[dict[str, object]]:
    """name, title, html of each section of a dam's page; none depends on the present time.

    Parameters
    ----------
    past
        Rows of `page_content.past_rows`.
    reliability
        `verify.tables.RELIABILITY`.
    """
    of_reliability = figure_of_reliability(reliability, report.heading)
    figures = figures_by_name([*(build(report) for build in CHARTS), of_reliability])
    builders: dict[str, Callable[[Report], Mapping[str, object]]] = {
        "recent_inputs": _recent_inputs,
        "past": lambda _: {"rows": past},
        "reliability": lambda _: build_reliability(reliability),
    }
    sections: list[dict[str, object]] = []
    for name, title in section_titles(report, has_reliability=of_reliability is not None):
        build = builders.get(name) or _OF_REPORT[name].build
        sections.append(
            {"name": name, "title": title, "html": render_part(f"{name}.html", report, figures, build(report))}
        )
    return sections


def render_head(report: Report) -> Markup:
    """The answers of the first screen, as in the report, with the ages of now."""
    return render_part("head.html", report, {}, build_head(report))


def render_part(
    template: str, report: Report, figures: Mapping[str, Figure], values: Mapping[str, object]
) -> Markup:
    """A part of a page as markup, with the shared values of the report's templates."""
    shared = {"report": report, "dam": report.dam, "forecast": report.forecast, "target": TargetFormat(report.dam)}
    return Markup(page_environment().get_template(template).render({**values, "figures": figures, **shared}))


def _recent_inputs(report: Report) -> Mapping[str, object]:
    gauges, labels = input_gauges(report), gauge_labels(report.dam)
    values = input_values(report, gauges, TABLE_DAYS)
    return {
        "days": DAYS,
        "headers": [f"{labels[gauge.column]}, {display_unit(gauge, report.dam)}" for gauge in gauges],
        "rows": values.sort("date", descending=True).rows(),
    }
