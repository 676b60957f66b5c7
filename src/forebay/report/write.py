"""The report of one dam: `report.html`, one file that opens without a network, and its pictures as PNG and SVG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts import drawing
from forebay.charts.coverage import coverage_chart
from forebay.charts.diagnostics import DiagnosticCharts, diagnostic_charts
from forebay.charts.explanation import explanation_panels
from forebay.charts.forecast import forecast_chart, largest_rise_panels
from forebay.charts.forecast_tables import (
    DAY,
    Report,
    Rise,
    forecast_fan,
    largest_rise,
    observed_levels,
    reference_levels,
)
from forebay.charts.formats import TargetFormat
from forebay.charts.score_tables import coverage_counts, coverage_spells, errors_by_lead, scored_regimes
from forebay.charts.scores import error_panels
from forebay.charts.spec import Spec, combine_panels, file_spec, page_spec
from forebay.charts.style import Heading
from forebay.report import diagnostics, explanation, grounds, sections
from forebay.report.page import Html, document, element, joined

if TYPE_CHECKING:
    from forebay.charts.spec import AnyChart, Panel

__all__ = ["Report", "render", "write_report"]

SHOWN_DAYS = 60
"""Days of observations before the forecast."""


@dataclass(frozen=True)
class Pictures:
    """The report's charts: one, or several panels that a file shows together."""

    forecast: AnyChart
    explanation: list[Panel]
    rise: list[Panel]
    scores: list[Panel]
    coverage: AnyChart
    diagnostics: DiagnosticCharts | None

    def for_files(self, heading: Heading) -> Iterator[tuple[str, Spec]]:
        """Name of its file and Vega-Lite text of each picture; pictures without content are left out."""
        whole = {"forecast": self.forecast, "coverage": self.coverage}
        if self.explanation:
            whole["explanation"] = combine_panels(self.explanation, heading.title("contributions to the forecast"), 3)
        if self.rise:
            title = heading.title("forecasts around the largest rise")
            whole["largest_rise"] = combine_panels(self.rise, title, 3)
        if self.scores:
            whole["scores"] = combine_panels(self.scores, heading.title("mean absolute error by lead time"), 2)
        if self.diagnostics is not None:
            whole |= self.diagnostics.by_file(heading)
        for name, chart in whole.items():
            yield name, file_spec(chart)


@dataclass(frozen=True)
class Tables:
    """What the pictures and sections show, made once."""

    fan: pl.DataFrame
    recent: pl.DataFrame
    near: pl.DataFrame
    all_lines: pl.DataFrame
    rise: Rise | None
    rise_fans: pl.DataFrame
    rise_levels: pl.DataFrame
    spells: pl.DataFrame
    step_days: int


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write report.html and each chart as PNG and SVG into `folder`, which exists; their paths.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    shown = _Shown.of(report)
    drawings = drawing.start(shown.specs())  # meanwhile the page is made
    (folder / "report.html").write_bytes(shown.page().encode())
    drawing.write(drawings, folder)
    return sorted(path for path in folder.iterdir() if path.suffix in (".html", ".png", ".svg"))


def render(report: Report) -> tuple[str, dict[str, Spec]]:
    """The page's text, and the Vega-Lite text of each picture by the name of its file."""
    shown = _Shown.of(report)
    return shown.page(), dict(shown.specs())


@dataclass(frozen=True)
class _Shown:
    """A report, with its tables and pictures made."""

    report: Report
    tables: Tables
    pictures: Pictures
    heading: Heading

    @classmethod
    def of(cls, report: Report) -> _Shown:
        heading = Heading(report.dam.name, TargetFormat(report.dam).axis, report.dam.simulated)
        tables = _tables(report)
        return cls(report, tables, _pictures(report, tables, heading), heading)

    def page(self) -> str:
        title = f"{self.report.dam.name}: forecast from {self.report.forecast.init_date}"
        return document(title, _body(self.report, self.tables, self.pictures))

    def specs(self) -> Iterator[tuple[str, Spec]]:
        return self.pictures.for_files(self.heading)


def _tables(report: Report) -> Tables:
    dam, daily = report.dam, report.daily
    ahead = forecast_fan(report.forecast.table)
    recent = observed_levels(daily, dam, report.forecast.init_date - SHOWN_DAYS * DAY, report.forecast.init_date)
    shown = pl.concat(
        [
            recent.select("date", low="level", high="level"),
            ahead.select(date="valid_date", low="q05", high="q95"),
        ]
    )
    near, every = reference_levels(dam, shown if report.forecast.withheld_from is None else shown.clear())
    found = largest_rise(daily, report.hindcast, dam)
    around = found.issued if found else ()
    fans = forecast_fan(report.hindcast.filter(pl.col("init_date").is_in(list(around))))
    levels = recent.clear()
    if found:
        levels = observed_levels(daily, dam, around[0] - 3 * DAY, max([*fans["valid_date"], found.onset + DAY]))
    spells, step = coverage_spells(daily, dam)
    return Tables(ahead, recent, near, every, found, fans, levels, spells, step)


def _pictures(report: Report, tables: Tables, heading: Heading) -> Pictures:
    kinds = [("all", "all"), *(pair for pair in scored_regimes(report.scores) if pair[1] in grounds.REGIMES)]
    errors = [
        (grounds.REGIMES[regime].capitalize(), table)
        for window, regime in kinds
        if not (table := errors_by_lead(report.scores, window, regime)).is_empty()
    ]
    return Pictures(
        forecast_chart(tables.recent, tables.fan, tables.near, heading),
        explanation_panels(report.forecast.explanation, heading),
        largest_rise_panels(tables.rise_levels, tables.rise_fans, heading),
        error_panels(errors, heading),
        coverage_chart(tables.spells, heading),
        diagnostic_charts(report.diagnostics, heading) if report.diagnostics else None,
    )


def _body(report: Report, tables: Tables, pictures: Pictures) -> Html:
    counts = coverage_counts(report.daily, report.dam)
    rise_specs = [page_spec(chart) for _, chart in pictures.rise]
    score_specs = [page_spec(chart) for _, chart in pictures.scores]
    no_script = "The charts need JavaScript, which this file brings along; they also lie beside it as PNG and SVG."
    licence = report.dam.licence or "licence not stated"
    made = f"Made by forebay at {report.forecast.issue_time:%Y-%m-%d %H:%M} UTC. Data: {licence}."
    return joined(
        (
            sections.head(report, tables.fan),
            Html("<main>"),
            element("noscript", element("p", no_script)),
            sections.forecast(report, tables.fan, tables.all_lines, page_spec(pictures.forecast)),
            explanation.section(report, [page_spec(chart) for _, chart in pictures.explanation]),
            sections.rise(report, tables.rise, tables.rise_fans, tables.rise_levels, rise_specs),
            grounds.scores(report, score_specs),
            diagnostics.section_of(report, pictures.diagnostics),
            grounds.coverage(report, counts, tables.step_days, page_spec(pictures.coverage)),
            grounds.dam_and_gauges(report),
            grounds.lacks(report),
            grounds.glossary(report.dam),
            Html("</main>"),
            element("footer", made),
        )
    )
