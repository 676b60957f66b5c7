"""The report of one dam: `report.html`, one file that opens without a network, and its pictures as PNG and SVG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from forebay.charts import drawing
from forebay.charts import forecast_charts as charts
from forebay.charts import score_tables as tallies
from forebay.charts.forecast_tables import DAY, Reading, Report, Rise, fan, largest_rise, lines, observed
from forebay.report import diagnostics, explanation, grounds, sections
from forebay.report.page import Html, document, element, joined

__all__ = ["Reading", "Report", "render", "write_report"]

SHOWN_DAYS = 60
"""Days of observations before the forecast."""


@dataclass(frozen=True)
class Pictures:
    """The report's charts: one, or several panels that a file shows together."""

    forecast: charts.AnyChart
    explanation: list[charts.Panel]
    rise: list[charts.Panel]
    scores: list[charts.Panel]
    coverage: charts.AnyChart
    diagnostics: diagnostics.Pictures | None

    def for_files(self, heading: charts.Heading) -> Iterator[tuple[str, charts.Spec]]:
        """Name of its file and Vega-Lite text of each picture; pictures without content are left out."""
        whole = {"forecast": self.forecast, "coverage": self.coverage}
        if self.explanation:
            whole["explanation"] = charts.together(self.explanation, heading.title("what moved the forecast"), 3)
        if self.rise:
            title = heading.title("forecasts around the largest rise")
            whole["largest_rise"] = charts.together(self.rise, title, 3)
        if self.scores:
            whole["scores"] = charts.together(self.scores, heading.title("mean absolute error by lead"), 2)
        if self.diagnostics is not None:
            whole |= self.diagnostics.whole(heading)
        for name, chart in whole.items():
            yield name, charts.for_file(chart)


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


def render(report: Report) -> tuple[str, dict[str, charts.Spec]]:
    """The page's text, and the Vega-Lite text of each picture by the name of its file."""
    shown = _Shown.of(report)
    return shown.page(), dict(shown.specs())


@dataclass(frozen=True)
class _Shown:
    """A report, with its tables and pictures made."""

    report: Report
    tables: Tables
    pictures: Pictures
    heading: charts.Heading

    @classmethod
    def of(cls, report: Report) -> _Shown:
        heading = charts.Heading(report.dam.name, sections.Wording(report.dam).axis, report.dam.simulated)
        tables = _tables(report)
        return cls(report, tables, _pictures(report, tables, heading), heading)

    def page(self) -> str:
        title = f"{self.report.dam.name}: forecast from {self.report.init_date}"
        return document(title, _body(self.report, self.tables, self.pictures))

    def specs(self) -> Iterator[tuple[str, charts.Spec]]:
        return self.pictures.for_files(self.heading)


def _tables(report: Report) -> Tables:
    dam, daily = report.dam, report.daily
    ahead = fan(report.forecasts)
    recent = observed(daily, dam, report.init_date - SHOWN_DAYS * DAY, report.init_date)
    shown = pl.concat(
        [
            recent.select("date", low="level", high="level"),
            ahead.select(date="valid_date", low="q05", high="q95"),
        ]
    )
    near, every = lines(dam, shown if report.withheld_from is None else shown.clear())
    found = largest_rise(daily, report.hindcast, dam)
    around = found.issued if found else ()
    fans = fan(report.hindcast.filter(pl.col("init_date").is_in(list(around))))
    levels = recent.clear()
    if found:
        levels = observed(daily, dam, around[0] - 3 * DAY, max([*fans["valid_date"], found.onset + DAY]))
    spells, step = tallies.coverage_spells(daily, dam)
    return Tables(ahead, recent, near, every, found, fans, levels, spells, step)


def _pictures(report: Report, tables: Tables, heading: charts.Heading) -> Pictures:
    kinds = [("all", "all"), *(pair for pair in tallies.regimes_scored(report.scores) if pair[1] in grounds.REGIMES)]
    errors = [
        (grounds.REGIMES[regime].capitalize(), table)
        for window, regime in kinds
        if not (table := tallies.error_by_lead(report.scores, window, regime)).is_empty()
    ]
    return Pictures(
        charts.forecast_chart(tables.recent, tables.fan, tables.near, heading),
        explanation.panels(report.explanation, heading),
        charts.rise_panels(tables.rise_levels, tables.rise_fans, heading),
        charts.error_panels(errors, heading),
        charts.coverage_chart(tables.spells, heading),
        diagnostics.pictures(report.diagnostics, heading) if report.diagnostics else None,
    )


def _body(report: Report, tables: Tables, pictures: Pictures) -> Html:
    counts = tallies.coverage_counts(report.daily, report.dam)
    rise_specs = [charts.for_page(chart) for _, chart in pictures.rise]
    score_specs = [charts.for_page(chart) for _, chart in pictures.scores]
    no_script = "The charts need JavaScript, which this file brings along; they also lie beside it as PNG and SVG."
    made = f"Made by forebay at {report.now:%Y-%m-%d %H:%M} UTC. Data: {report.dam.licence or 'licence not stated'}."
    return joined(
        (
            sections.head(report, tables.fan),
            Html("<main>"),
            element("noscript", element("p", no_script)),
            sections.forecast(report, tables.fan, tables.all_lines, charts.for_page(pictures.forecast)),
            explanation.section(report, [charts.for_page(chart) for _, chart in pictures.explanation]),
            sections.rise(report, tables.rise, tables.rise_fans, tables.rise_levels, rise_specs),
            grounds.scores(report, score_specs),
            diagnostics.section_of(report, pictures.diagnostics),
            grounds.coverage(report, counts, tables.step_days, charts.for_page(pictures.coverage)),
            grounds.dam_and_gauges(report),
            grounds.lacks(report),
            grounds.glossary(report.dam),
            Html("</main>"),
            element("footer", made),
        )
    )
