"""Section "Forecasts of the largest rise": the forecasts around the largest rise, and the observed level."""

from __future__ import annotations

from datetime import date

import polars as pl

from forebay.charts.forecast import largest_rise_panels
from forebay.charts.forecast_tables import (
    DAY,
    Report,
    compare_with_observed,
    forecast_fan,
    largest_rise,
    observed_levels,
)
from forebay.report.content import Content, chart_heading, panel_figure

_DAYS_BEFORE = 3
"""Days of observations before the first forecast of the charts."""


def build(report: Report) -> Content:
    """The rise, a row per init date, and the forecasts of its peak day; figure `largest_rise`."""
    dam, heading = report.dam, chart_heading(report.dam)
    rise = largest_rise(report.daily, report.hindcast, dam)
    if rise is None:
        return Content({"rise": None})
    peak = rise.onset + DAY
    fans = forecast_fan(report.hindcast.filter(pl.col("init_date").is_in(list(rise.issued))))
    levels = observed_levels(report.daily, dam, rise.issued[0] - _DAYS_BEFORE * DAY, max([*fans["valid_date"], peak]))
    forecasts = compare_with_observed(fans, levels)
    values = {
        "rise": rise,
        "peak": peak,
        "hindcast_days": report.hindcast["init_date"].n_unique(),
        "leads": forecasts["lead_time"].unique().sort().to_list(),
        "forecasts": {(row["init_date"], row["lead_time"]): row for row in forecasts.to_dicts()},
        **_peak_forecasts(compare_with_observed(fans, levels, range(1, 31)), rise.onset),
    }
    panels = largest_rise_panels(levels, fans, heading)
    title = heading.title("forecasts around the largest rise")
    return Content(values, panel_figure("largest_rise", panels, title, 3))


def _peak_forecasts(forecasts: pl.DataFrame, onset: date) -> dict[str, object]:
    """The forecast of the peak day from the day before, and how many earlier ones had the level inside 90%."""
    of_peak = forecasts.filter(pl.col("init_date") + pl.duration(days="lead_time") == onset + DAY)
    last = of_peak.filter(pl.col("init_date") == onset).to_dicts()
    earlier = of_peak.filter(pl.col("init_date") < onset)
    inside = int(earlier["verdict"].str.starts_with("inside").sum())
    return {"last_forecast": last[0] if last else None, "earlier_count": len(earlier), "earlier_inside": inside}
