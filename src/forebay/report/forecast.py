"""Section "Forecast": the chart of the forecast, its table, and the reference levels of the dam."""

from __future__ import annotations

import polars as pl

from forebay.charts.forecast import forecast_chart
from forebay.charts.forecast_tables import DAY, Report, forecast_fan, is_near_full, observed_levels, reference_levels
from forebay.report.content import Content, chart_heading, single_figure

RECENT_DAYS = 60
"""Days of observations before the forecast."""


def build(report: Report) -> Content:
    """Rows of the forecast's table, the starting level, and the reference levels; figure `forecast`."""
    dam, init_date = report.dam, report.forecast.init_date
    fan = forecast_fan(report.forecast.table)
    recent = observed_levels(report.daily, dam, init_date - RECENT_DAYS * DAY, init_date)
    ranges = pl.concat(
        [
            recent.select("date", low="level", high="level"),
            fan.select(date="valid_date", low="q05", high="q95"),
        ]
    )
    withheld = report.forecast.withheld_from is not None
    lines, levels = reference_levels(dam, ranges.clear() if withheld else ranges)
    start = None if fan.is_empty() else float(fan["start"][0])
    values = {
        "rows": fan.filter(pl.col("lead_time") > 0).to_dicts(),
        "start": start,
        "reference_levels": levels.to_dicts(),
        "near_full": start is not None and not withheld and is_near_full(dam, init_date, start),
    }
    return Content(values, single_figure("forecast", forecast_chart(recent, fan, lines, chart_heading(dam))))
