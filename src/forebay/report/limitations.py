"""Section "Limitations of this forecast": missing inputs, and the weather forecasts and plans that it uses."""

from __future__ import annotations

from forebay.charts.forecast_tables import Report
from forebay.report.content import Content


def build(report: Report) -> Content:
    """Sentences on limitations and on forcings."""
    return Content({"limitations": report.forecast.warnings, "forcings": report.forecast.forcings})
