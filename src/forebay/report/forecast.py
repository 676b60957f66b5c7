"""Section "Forecast": the chart of the forecast, its table, and the reference levels of the dam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.forecast_tables import RECENT_DAYS, SPANS
from forebay.report.storage import build_storage

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report


def build(report: Report) -> Mapping[str, object]:
    """Rows of the forecast's table with the levels observed afterwards, its start, and the reference levels."""
    fan, (_, levels) = report.fan, report.reference_levels
    later = report.later_levels.select(valid_date="date", later="level")
    rows = fan.filter(pl.col("lead_time") > 0).join(later, on="valid_date", how="left", maintain_order="left")
    start = None if fan.is_empty() else float(fan["start"][0])
    return {
        "rows": rows.to_dicts(),
        "has_later": rows["later"].is_not_null().any(),
        "spans": SPANS,
        "shown_span": RECENT_DAYS,
        "start": start,
        "storage": build_storage(report),
        "reference_levels": levels.to_dicts(),
        "regime": report.full_supply_regime,
        "regime_is_scored": report.full_supply_regime in report.scores["regime"],
    }
