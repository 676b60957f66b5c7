"""Section "Data coverage": the state of every gauge's readings, day by day and counted."""

from __future__ import annotations

from forebay.charts.coverage import coverage_chart
from forebay.charts.forecast_tables import Report
from forebay.charts.score_tables import coverage_counts, coverage_spells
from forebay.report.content import Content, chart_heading, single_figure


def build(report: Report) -> Content:
    """Days per gauge and state, first and last day, and how many days a bar combines; figure `coverage`."""
    counts = coverage_counts(report.daily, report.dam)
    spells, step_days = coverage_spells(report.daily, report.dam)
    values = {
        "states": counts.columns[3:],
        "rows": counts.rows(),
        "first_day": report.daily["date"].min(),
        "last_day": report.daily["date"].max(),
        "step_days": step_days,
    }
    return Content(values, single_figure("coverage", coverage_chart(spells, chart_heading(report.dam))))
