"""Section "Data coverage": the state of every gauge's readings, day by day and counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from forebay.charts.coverage_tables import coverage_counts

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report


def build(report: Report) -> Mapping[str, object]:
    """Days per gauge and state, first and last day, and how many days a bar combines."""
    counts = coverage_counts(report.daily, report.dam)
    _, step_days = report.coverage
    return {
        "states": counts.columns[3:],
        "rows": counts.rows(),
        "first_day": report.daily["date"].min(),
        "last_day": report.daily["date"].max(),
        "step_days": step_days,
    }
