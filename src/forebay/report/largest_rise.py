"""Section "Forecasts of the largest rise": the forecasts around the largest rise, and the observed level."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.forecast_tables import DAY, compare_with_observed

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report


def build(report: Report) -> Mapping[str, object]:
    """The rise, a row per init date, and the forecasts of its peak day."""
    rise, fans, levels = report.rise, report.rise_fans, report.rise_levels
    if rise is None:
        return {"rise": None}
    forecasts = compare_with_observed(fans, levels)
    return {
        "rise": rise,
        "peak": rise.onset + DAY,
        "hindcast_days": report.hindcast["init_date"].n_unique(),
        "leads": forecasts["lead_time"].unique().sort().to_list(),
        "forecasts": {(row["init_date"], row["lead_time"]): row for row in forecasts.to_dicts()},
        **_peak_forecasts(compare_with_observed(fans, levels, range(1, 31)), rise.onset),
    }


def _peak_forecasts(forecasts: pl.DataFrame, onset: date) -> dict[str, object]:
    """The forecast of the peak day from the day before, and how many earlier ones had the level inside 90%."""
    of_peak = forecasts.filter(pl.col("init_date") + pl.duration(days="lead_time") == onset + DAY)
    last = of_peak.filter(pl.col("init_date") == onset).to_dicts()
    earlier = of_peak.filter(pl.col("init_date") < onset)
    inside = int(earlier["verdict"].str.starts_with("inside").sum())
    return {"last_forecast": last[0] if last else None, "earlier_count": len(earlier), "earlier_inside": inside}
