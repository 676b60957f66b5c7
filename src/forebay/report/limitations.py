"""Section "Limitations of this forecast": missing inputs, and the weather forecasts and plans that it uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report


def build(report: Report) -> Mapping[str, object]:
    """Sentences on limitations and on forcings."""
    return {"limitations": report.forecast.warnings, "forcings": report.forecast.forcings}
