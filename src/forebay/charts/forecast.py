"""Charts of forecasts against observations. Days are drawn at their start, in the station's local calendar."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.encodings import DAY_FORMAT, colour_scale, date_tooltip, day_axis, level_axis, padded, zoom_in_time
from forebay.charts.figures import Figure
from forebay.charts.forecast_tables import DAY, QUANTILE_COLUMNS, RECENT_DAYS
from forebay.charts.formats import TargetFormat, format_day
from forebay.charts.nearest_day import day_texts, nearest_day_layer
from forebay.charts.style import (
    BAND_80_COLOUR,
    BAND_90_COLOUR,
    EXTRA_COLOURS,
    FORECAST_COLOUR,
    FULL_SUPPLY_COLOUR,
    INK,
    LATER_COLOUR,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    RULE_COLOUR,
    WIDTH,
    YEAR_COLOUR,
    Heading,
    cycled,
)

if TYPE_CHECKING:
    import altair as alt

    from forebay.charts.report_tables import Report
    from forebay.charts.spec import AnyChart

YEAR_BEFORE, RULE_BAND = "a year before", "rule band"
OBSERVED, OBSERVED_LATER, MEDIAN = "observed", "observed afterwards (not used)", "forecast median"
INTERVAL_80, INTERVAL_90 = "80% interval", "90% interval"
SPAN = "span"
"""Parameter of the chart: days of observations."""
_WITHIN_SPAN = f"datum.age <= {SPAN}"
_SERIES = {OBSERVED: INK, MEDIAN: FORECAST_COLOUR, INTERVAL_80: BAND_80_COLOUR, INTERVAL_90: BAND_90_COLOUR}


def forecast_figure(report: Report) -> Figure:
    """The forecast after recent observations."""
    lines, _ = report.reference_levels
    texts = day_texts(report.chart_levels, report.fan, report.later_levels, TargetFormat(report.dam))
    tables = ForecastTables(report.chart_levels, report.fan, report.later_levels, lines, texts)
    return Figure("forecast", (forecast_chart(tables, report.heading),))


def largest_rise_figure(report: Report) -> Figure | None:
    """Forecasts issued around the largest rise; None without a rise."""
    panels = largest_rise_panels(report.rise_levels, report.rise_fans, report.heading)
    title = report.heading.title("forecasts around the largest rise")
    return Figure("largest_rise", panels, title, 3) if panels else None


@dataclass(frozen=True)
class ForecastTables:
    """Tables of the forecast's chart.

    Attributes
    ----------
    observed, later
        date, level up to the init date, where a null breaks the line, and after it.
    fan
        init_date, lead_time, valid_date, q05 … q95, of one init date.
    lines
        name, date, value of the reference levels nearby.
    texts
        As `day_texts` returns them.
    year_before
        date, level: the levels of 365 days before, on the days of the chart; may be empty.
    band
        date, low, high: lowest and highest rule curve nearby; may be empty.
    """

    observed: pl.DataFrame
    fan: pl.DataFrame
    later: pl.DataFrame
    lines: pl.DataFrame
    texts: pl.DataFrame
    year_before: pl.DataFrame = field(default_factory=pl.DataFrame)
    band: pl.DataFrame = field(default_factory=pl.DataFrame)


def forecast_chart(tables: ForecastTables, heading: Heading) -> AnyChart:
    """The forecast's quantiles after the observations of the last days, with the reference levels nearby.

    The parameter `span` is the number of days before the init date that it shows.
    """
    import altair as alt

    observed, fan, init = tables.observed, tables.fan, tables.observed["date"][-1]
    names = tables.lines["name"].unique(maintain_order=True).to_list()
    later = {OBSERVED_LATER: LATER_COLOUR} if len(tables.later) else {}
    context = {YEAR_BEFORE: YEAR_COLOUR} if len(tables.year_before) else {}
    context |= {RULE_BAND: RULE_COLOUR} if len(tables.band) else {}
    colour = _series_colour({**_SERIES, **later, **_line_colours(names), **context})
    axis = alt.Axis(tickCount=9, format=DAY_FORMAT, labelOverlap=True)
    x = alt.X("date:T", title=None, scale=alt.Scale(padding=8, nice=False), axis=axis)
    y = level_axis("level", heading.axis)
    past = _observed_layer(observed.with_columns(age=_age(init)), colour, x, y).transform_filter(_WITHIN_SPAN)
    layers: list[alt.Chart] = [*_context_layers(tables, colour, x, y), *_fan_layers(fan, colour, x, y), past]
    if names:
        layers.append(
            alt.Chart(tables.lines.with_columns(age=_age(init)))
            .transform_filter(_WITHIN_SPAN)
            .mark_line(strokeDash=[6, 4], strokeWidth=1.8)
            .encode(x=x, y=alt.Y("value:Q", title=heading.axis, scale=alt.Scale(zero=False)), color=colour)
            .transform_calculate(series="datum.name")
        )
    if len(tables.later):
        layers.append(_later_layer(tables.later, colour, x, y))
    layers.append(nearest_day_layer(tables.texts, x, y, _WITHIN_SPAN))
    text = f"forecast from the end of {format_day(fan['init_date'][0])}" if len(fan) else "no forecast"
    title = heading.title(f"{text}, with recent observations")
    chart = alt.layer(*layers).add_params(zoom_in_time(), alt.param(name=SPAN, value=RECENT_DAYS))
    return chart.properties(width=WIDTH, height=340, title=title)


def _context_layers(tables: ForecastTables, colour: alt.Color, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """The rule band and the levels of the year before."""
    import altair as alt

    layers: list[alt.Chart] = []
    init = tables.observed["date"][-1]
    if len(tables.band):
        base = alt.Chart(tables.band.with_columns(age=_age(init))).transform_filter(_WITHIN_SPAN)
        area = base.transform_calculate(series=f"'{RULE_BAND}'").mark_area(opacity=1)
        low = y.copy()
        low.shorthand = "low:Q"
        layers.append(area.encode(x=x, y=low, y2=alt.Y2("high"), color=colour))
    if len(tables.year_before):
        base = alt.Chart(tables.year_before.with_columns(pl.col("level").round(4), age=_age(init)))
        line = base.transform_filter(_WITHIN_SPAN).transform_calculate(series=f"'{YEAR_BEFORE}'")
        layers.append(line.mark_line(strokeWidth=1.5, strokeDash=[2, 3]).encode(x=x, y=y, color=colour))
    return layers


def _age(init: date) -> pl.Expr:
    """Days from a date to the init date."""
    return (pl.lit(init) - pl.col("date")).dt.total_days()


def largest_rise_panels(observed: pl.DataFrame, fans: pl.DataFrame, heading: Heading) -> tuple[AnyChart, ...]:
    """One small chart per init date, all on the same axes: the forecast and what was observed later.

    Parameters
    ----------
    observed
        date, level, for all days of the picture; days after the init date are drawn as open points.
    fans
        init_date, lead_time, valid_date, q05 … q95.
    """
    import altair as alt

    if fans.is_empty():
        return ()
    colour = _series_colour({OBSERVED: INK, OBSERVED_LATER: LATER_COLOUR, **_SERIES})
    levels = pl.concat([observed["level"], fans["q05"], fans["q95"]]).drop_nulls()
    ends = padded(levels.to_frame("x").select(low=pl.min("x"), high=pl.max("x")).row(0), share=0.04)
    days = observed["date"].to_list()
    x, y = day_axis("date", [min(days) - DAY, max(days) + DAY]), level_axis("level", heading.axis, ends)
    panels: list[AnyChart] = []
    for init in fans["init_date"].unique().sort():
        fan = fans.filter(pl.col("init_date") == init)
        later = observed.filter(pl.col("date") > init).drop_nulls()
        earlier = observed.filter(pl.col("date") <= init)
        layers = [*_fan_layers(fan, colour, x, y), _observed_layer(earlier, colour, x, y)]
        layers.append(_later_layer(later, colour, x, y))
        title = heading.panel(f"issued at the end of {format_day(init)}")
        panels.append(alt.layer(*layers).properties(width=PANEL_WIDTH, height=PANEL_HEIGHT, title=title))
    return tuple(panels)


def _fan_layers(fan: pl.DataFrame, colour: alt.Color, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """The 90% and 80% bands and the median."""
    import altair as alt

    quantiles = pl.col(QUANTILE_COLUMNS).round(4)
    base = alt.Chart(fan.select("lead_time", pl.col("valid_date").alias("date"), quantiles))
    tooltips = [
        date_tooltip("date", "day"),
        alt.Tooltip("lead_time:Q", title="lead time, days"),
        *(alt.Tooltip(f"{column}:Q", title=f"quantile 0.{column[1:]}") for column in QUANTILE_COLUMNS),
    ]

    def y_of(column: str) -> alt.Y:
        axis = y.copy()
        axis.shorthand = f"{column}:Q"
        return axis

    def band(low: str, high: str, name: str) -> alt.Chart:
        area = base.transform_calculate(series=f"'{name}'").mark_area(opacity=1)
        encoded: alt.Chart = area.encode(x=x, y=y_of(low), y2=alt.Y2(high), color=colour)
        return encoded

    line = base.transform_calculate(series=f"'{MEDIAN}'").mark_line(strokeWidth=2.5, point=alt.OverlayMarkDef(size=60))
    median: alt.Chart = line.encode(x=x, y=y_of("q50"), color=colour, tooltip=tooltips)
    return [band("q05", "q95", INTERVAL_90), band("q10", "q90", INTERVAL_80), median]


def _later_layer(later: pl.DataFrame, colour: alt.Color, x: alt.X, y: alt.Y) -> alt.Chart:
    """Open points: levels that the forecast could not know."""
    import altair as alt

    base = alt.Chart(later.with_columns(pl.col("level").round(4))).transform_calculate(series=f"'{OBSERVED_LATER}'")
    points = base.mark_point(size=48, strokeWidth=2, filled=False)
    encoded: alt.Chart = points.encode(x=x, y=y, color=colour, tooltip=_observed_tooltips())
    return encoded


def _observed_layer(observed: pl.DataFrame, colour: alt.Color, x: alt.X, y: alt.Y) -> alt.Chart:
    import altair as alt

    base = alt.Chart(observed.with_columns(pl.col("level").round(4))).transform_calculate(series=f"'{OBSERVED}'")
    line = base.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=30))
    encoded: alt.Chart = line.encode(x=x, y=y, color=colour, tooltip=_observed_tooltips())
    return encoded


def _observed_tooltips() -> list[alt.Tooltip]:
    import altair as alt

    return [date_tooltip("date", "day"), alt.Tooltip("level:Q", title="observed")]


def _series_colour(colours: dict[str, str]) -> alt.Color:
    import altair as alt

    return alt.Color("series:N", title=None, scale=colour_scale(colours))


def _line_colours(names: list[str]) -> dict[str, str]:
    colours = dict(zip(names, cycled(EXTRA_COLOURS, len(names)), strict=True))
    return colours | ({"Full supply": FULL_SUPPLY_COLOUR} if "Full supply" in colours else {})
