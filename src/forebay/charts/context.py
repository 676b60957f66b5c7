"""The forecast's chart with its context: the levels of the year before, and the band of the rule curves."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.figures import Figure
from forebay.charts.forecast import ForecastTables, forecast_chart
from forebay.charts.formats import TargetFormat
from forebay.charts.nearest_day import day_texts

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report
    from forebay.dams.dam import Dam

YEAR = timedelta(days=365)


def context_figure(report: Report) -> Figure:
    """The figure `forecast` with the levels of the year before and the rule band, where they are near."""
    lines, _ = report.reference_levels
    texts = day_texts(report.chart_levels, report.fan, report.later_levels, TargetFormat(report.dam))
    before = year_before(report)
    tables = ForecastTables(
        observed=report.chart_levels,
        fan=report.fan,
        later=report.later_levels,
        lines=lines,
        texts=texts,
        year_before=before if _is_near(before, report) else before.clear(),
        band=rule_band(lines, report.dam),
    )
    return Figure("forecast", (forecast_chart(tables, report.heading),))


def year_before(report: Report) -> pl.DataFrame:
    """date, level: the observed levels 365 days before each day of the chart; null where missing."""
    levels = report.daily.select(pl.col("date") + YEAR, level=pl.col(report.dam.target_gauge.column).cast(pl.Float64))
    first = report.chart_levels["date"][0]
    last = max([report.forecast.init_date, *report.fan["valid_date"]])
    return levels.filter(pl.col("date").is_between(first, last)).sort("date")


def rule_band(lines: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """date, low, high: between the lowest and the highest rule curve of a chart with at least two of them.

    Parameters
    ----------
    lines
        name, date, value of the reference levels in the chart.
    """
    levels = [("Full supply", dam.full_supply)] if dam.full_supply is not None else []
    levels += [(threshold.name, threshold.level) for threshold in dam.thresholds]
    curves = [name for name, level in levels if level.rule_curve]
    rows = lines.filter(pl.col("name").is_in(curves))
    if rows["name"].n_unique() < 2:
        return pl.DataFrame(schema={"date": pl.Date, "low": pl.Float64, "high": pl.Float64})
    return rows.group_by("date").agg(low=pl.col("value").min(), high=pl.col("value").max()).sort("date")


def _is_near(before: pl.DataFrame, report: Report) -> bool:
    """Whether the year before is no farther from the recent levels and the forecast than their height.

    A year with much lower levels would press the forecast into a line.
    """
    recent = report.recent_levels
    levels = pl.concat([recent["level"], report.fan["q05"], report.fan["q95"]]).drop_nulls()
    values = before.filter(pl.col("date") >= recent["date"][0])["level"].drop_nulls()
    if levels.is_empty() or values.is_empty():
        return False
    low, high = float(levels.min()), float(levels.max())  # type: ignore[arg-type]  # numbers, not any scalar
    lowest, highest = float(values.min()), float(values.max())  # type: ignore[arg-type]  # as above
    return max(low - lowest, highest - high) <= high - low
