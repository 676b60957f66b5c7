"""Section "Forecast": the chart of the forecast, its table, and the reference levels of the dam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.forecast_tables import is_near_full

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report


def build(report: Report) -> Mapping[str, object]:
    """Rows of the forecast's table, the starting level, and the reference levels."""
    fan, (_, levels) = report.fan, report.reference_levels
    withheld = report.forecast.withheld_from is not None
    start = None if fan.is_empty() else float(fan["start"][0])
    return {
        "rows": fan.filter(pl.col("lead_time") > 0).to_dicts(),
        "start": start,
        "reference_levels": levels.to_dicts(),
        "near_full": start is not None and not withheld and is_near_full(report.dam, report.forecast.init_date, start),
    }
