"""Chart of scenarios: the level if so much rain falls, a panel per amount of rain."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.encodings import DAY_FORMAT, colour_scale, date_tooltip, day_axis, level_axis, padded
from forebay.charts.figures import Figure
from forebay.charts.formats import TargetFormat
from forebay.charts.report_tables import heading_of
from forebay.charts.style import (
    BAND_80_COLOUR,
    BAND_90_COLOUR,
    FORECAST_COLOUR,
    FULL_SUPPLY_COLOUR,
    GREY,
    INK,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    WIDTH,
)

if TYPE_CHECKING:
    import altair as alt

    from forebay.charts.report_tables import Report
    from forebay.charts.spec import AnyChart
    from forebay.dams.dam import Dam

WETNESS_COLOURS = {"dry": "#e69f00", "current": FORECAST_COLOUR, "wet": "#009e73"}
CATCHMENTS = {"dry": "dry catchment", "current": "catchment as it is", "wet": "wet catchment"}
FULL = "full supply"
COLUMNS = 3
OBSERVED_DAYS = 14
"""Days before the init date in the chart of the sliders."""


def scenario_figure(levels: pl.DataFrame, dam: Dam, init_date: date, level: float) -> Figure:
    """Median and 80% interval of each scenario, from the level of the init date on.

    Parameters
    ----------
    levels
        `tables.SCENARIOS`.
    """
    target, heading = TargetFormat(dam), heading_of(dam)
    names = levels["scenario"].unique(maintain_order=True).to_list()
    full = None if dam.full_supply is None else dam.full_supply.on(pl.Series([init_date]))[0]
    fans = _fans(levels, init_date, level)
    full, ends = _level_ends(fans, full)
    single = len(names) == 1
    panels = tuple(
        _panel(fans.filter(pl.col("scenario") == name), full, heading.axis, ends).properties(
            width=WIDTH if single else PANEL_WIDTH,
            height=300 if single else PANEL_HEIGHT + 40,
            title=heading.panel(f"scenario {name}"),
        )
        for name in names
    )
    start = f"{target.quantity(level)} on {init_date}"
    title = f"{heading.dam} · no forecast: median and 80% interval if this rain falls, from {start}"
    return Figure("scenario", panels, title, COLUMNS, legend_symbol="stroke")


def _level_ends(fans: pl.DataFrame, full: float | None) -> tuple[float | None, list[float]]:
    """Full supply if it is no farther from the fans than their height, and the ends of the level axis of all panels."""
    low, high = fans.select(pl.col("q10").min(), pl.col("q90").max()).row(0)
    if full is None or max(low - full, full - high) > high - low:
        return None, padded((low, high), 0.05)
    return full, padded((min(low, full), max(high, full)), 0.05)


def _fans(levels: pl.DataFrame, init_date: date, level: float) -> pl.DataFrame:
    """scenario, catchment, date, q10, q50, q90, from the init date on."""
    fan_rows = levels.filter(pl.col("quantile").is_in([0.1, 0.5, 0.9]))
    names = pl.format("q{}", (100 * pl.col("quantile")).round().cast(pl.Int32))
    fans = fan_rows.with_columns(names.alias("name")).pivot(
        "name", index=["scenario", "wetness", "valid_date"], values="level"
    )
    start = fans.select("scenario", "wetness").unique(maintain_order=True).with_columns(
        pl.lit(init_date).alias("valid_date"), *(pl.lit(level).alias(name) for name in ("q10", "q50", "q90"))
    )
    together = pl.concat([start, fans.select(start.columns)])
    return together.select(
        "scenario",
        pl.col("wetness").replace_strict(CATCHMENTS).alias("catchment"),
        pl.col("valid_date").alias("date"),
        *(pl.col(name).round(6) for name in ("q10", "q50", "q90")),
    )


def _panel(fan: pl.DataFrame, full: float | None, axis_title: str, ends: list[float]) -> AnyChart:
    import altair as alt

    colours = {CATCHMENTS[wetness]: colour for wetness, colour in WETNESS_COLOURS.items()}
    present = {name: colour for name, colour in colours.items() if name in fan["catchment"].to_list()}
    if full is not None:
        present[FULL] = FULL_SUPPLY_COLOUR
    days = fan["date"].sort()
    x = day_axis("date", (days[0], days[-1]), ticks=3)
    legend = alt.Legend(symbolOpacity=1)
    colour = alt.Color("catchment:N", title=None, scale=colour_scale(present), sort=list(present), legend=legend)
    base = alt.Chart(fan)
    band = base.mark_area(opacity=0.18).encode(x=x, y=level_axis("q10", axis_title, ends), y2="q90:Q", color=colour)
    line = base.mark_line(point=True, strokeWidth=1.8).encode(
        x=x,
        y=level_axis("q50", axis_title, ends),
        color=colour,
        tooltip=[date_tooltip("date", "day"), "catchment:N", "q10:Q", "q50:Q", "q90:Q"],
    )
    layers: list[alt.Chart] = [band, line]
    if full is not None:
        rule = pl.DataFrame({"level": [full], "catchment": [FULL]})
        layers.append(
            alt.Chart(rule).mark_rule(strokeDash=[6, 4], strokeWidth=1.8).encode(y="level:Q", color=colour)
        )
    return alt.layer(*layers)


SCENARIO_COLOURS = {
    "observed": INK,
    "forecast without a scenario": GREY,
    "scenario median": FORECAST_COLOUR,
    "scenario 80% interval": BAND_80_COLOUR,
    "scenario 90% interval": BAND_90_COLOUR,
    FULL: FULL_SUPPLY_COLOUR,
}
"""Legend of `slider_chart`."""


def slider_chart(report: Report) -> AnyChart:
    """The last days, the forecast without a scenario, and the data set `scenario` (date, q05 … q95), empty at first.

    Its marks are hidden from a screen reader, which has the table of the page: a mark without data would have no name.
    """
    import altair as alt

    y = level_axis("level", report.heading.axis)
    fan = report.fan.select("q05", "q50", "q95", date="valid_date")
    observed = report.chart_levels.tail(OBSERVED_DAYS).with_columns(pl.col("level").round(4))
    x = alt.X("date:T", title=None, axis=alt.Axis(format=DAY_FORMAT, labelOverlap=True, tickCount=6))
    scenario = alt.Chart(alt.NamedData("scenario"))

    def y_of(column: str) -> alt.Y:
        axis = y.copy()
        axis.shorthand = f"{column}:Q"
        return axis

    layers: list[alt.Chart] = [
        scenario.mark_area(color=BAND_90_COLOUR, aria=False).encode(x=x, y=y_of("q05"), y2="q95:Q"),
        scenario.mark_area(color=BAND_80_COLOUR, aria=False).encode(x=x, y=y_of("q10"), y2="q90:Q"),
    ]
    for column in ("q05", "q50", "q95"):
        dash = [1, 0] if column == "q50" else [4, 3]
        line = alt.Chart(fan).mark_line(color=GREY, strokeWidth=1.4, strokeDash=dash)
        layers.append(line.encode(x=x, y=y_of(column)))
    layers.append(alt.Chart(observed).mark_line(color=INK, strokeWidth=2).encode(x=x, y=y))
    tooltip = [date_tooltip("date", "day"), *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("q05", "q50", "q95"))]
    point = alt.OverlayMarkDef(size=60, aria=False)
    median = scenario.mark_line(color=FORECAST_COLOUR, strokeWidth=2.5, point=point, aria=False)
    layers.append(median.encode(x=x, y=y_of("q50"), tooltip=tooltip))
    lines, _ = report.reference_levels
    full = lines.filter(pl.col("name") == "Full supply").tail(1)
    if not full.is_empty():
        rule = alt.Chart(full.select(level="value")).mark_rule(
            color=FULL_SUPPLY_COLOUR, strokeDash=[6, 4], strokeWidth=1.8
        )
        layers.append(rule.encode(y=y))
    title = report.heading.title(f"no forecast: the level if this rain falls after {report.forecast.init_date}")
    return alt.layer(*layers, datasets={"scenario": []}).properties(width=WIDTH, height=320, title=title)
