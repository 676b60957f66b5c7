"""Charts of the newest input values: bars of rain, lines of flows and other gauges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.encodings import date_tooltip, day_axis, level_axis
from forebay.charts.figures import Figure
from forebay.charts.style import FORECAST_COLOUR, PANEL_HEIGHT, PANEL_WIDTH
from forebay.days.daily import usable_values
from forebay.days.labels import display_unit, gauge_labels, in_display_unit

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report
    from forebay.charts.spec import AnyChart
    from forebay.dams.gauge import Gauge

DAYS = 60
"""Days of input values in the charts."""
MAX_PANELS = 12


def input_gauges(report: Report) -> list[Gauge]:
    """The gauges besides the target, rain first."""
    gauges = [gauge for gauge in report.dam.gauges if gauge is not report.dam.target_gauge]
    return sorted(gauges, key=lambda gauge: gauge.variable != "rainfall")


def input_values(report: Report, gauges: Sequence[Gauge], days: int = DAYS) -> pl.DataFrame:
    """date, and a column per gauge: the usable values of the last days in the unit of the page; null where missing."""
    table = report.daily if report.newest_days is None else report.newest_days
    usable = usable_values(table, report.dam).tail(days)
    columns = [in_display_unit(pl.col(g.column), g, report.dam).cast(pl.Float64).alias(g.column) for g in gauges]
    return usable.select("date", *columns)


def recent_inputs_figure(report: Report) -> Figure | None:
    """A panel per gauge with its values of the last `DAYS` days; None without a gauge besides the target."""
    gauges = input_gauges(report)[:MAX_PANELS]
    if not gauges:
        return None
    labels, values = gauge_labels(report.dam), input_values(report, gauges)
    panels = tuple(_panel(values, gauge, f"{labels[gauge.column]}, {display_unit(gauge, report.dam)}", report)
                   for gauge in gauges)  # fmt: skip
    return Figure("recent_inputs", panels, report.heading.title("input values of the last days"), 3)


def _panel(values: pl.DataFrame, gauge: Gauge, title: str, report: Report) -> AnyChart:
    import altair as alt

    days = values["date"]
    series = values.select("date", value=pl.col(gauge.column).round_sig_figs(6))
    x = day_axis("date", (days[0], days[-1]))
    tooltip = [date_tooltip("date", "day"), alt.Tooltip("value:Q", title=display_unit(gauge, report.dam))]
    base = alt.Chart(series)
    if gauge.variable == "rainfall":
        bars = base.mark_bar(color=FORECAST_COLOUR, width=3)
        chart = bars.encode(x=x, y=alt.Y("value:Q", title=None, axis=alt.Axis(tickCount=4)), tooltip=tooltip)
    else:
        line = base.mark_line(color=FORECAST_COLOUR, strokeWidth=1.6, point=alt.OverlayMarkDef(size=12))
        chart = line.encode(x=x, y=level_axis("value", ""), tooltip=tooltip)
    panel: AnyChart = chart.properties(width=PANEL_WIDTH, height=PANEL_HEIGHT - 40, title=report.heading.panel(title))
    return panel
