"""Chart of the long outlook: storage of the last year, traces of the coming months, quantiles and thresholds."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.charts.encodings import colour_scale, date_tooltip, day_axis, inline_rows
from forebay.charts.figures import Figure
from forebay.charts.outlook_tables import threshold_title
from forebay.charts.report_tables import heading_of
from forebay.charts.style import (
    BAND_80_COLOUR,
    FORECAST_COLOUR,
    FULL_SUPPLY_COLOUR,
    GREY,
    INK,
    LATER_COLOUR,
    LEAD_COLOURS,
    WIDTH,
    cycled,
)
from forebay.dams.thresholds import FULL_SUPPLY
from forebay.metrics import plotting_quantiles

if TYPE_CHECKING:
    import altair as alt

    from forebay.charts.spec import AnyChart
    from forebay.dams.dam import Dam
    from forebay.forecasts.long_outlook import LongOutlook

OBSERVED, LATER = "observed", "observed afterwards (not used)"
TRACE, BAND, MEDIAN = "trace of a past year", "80% of the traces", "median"
PAST_DAYS = 365
_BAND = (0.1, 0.5, 0.9)


def long_outlook_figure(outlook: LongOutlook, dam: Dam, past: pl.DataFrame, later: pl.DataFrame) -> Figure:
    """The traces after the storage of the last year, with the thresholds.

    Parameters
    ----------
    past, later
        date, storage: observed up to the init date, and after it.
    """
    return Figure("long_outlook", (_chart(outlook, dam, past, later),), legend_symbol="stroke")


def _chart(outlook: LongOutlook, dam: Dam, past: pl.DataFrame, later: pl.DataFrame) -> AnyChart:
    import altair as alt

    forecast, heading = outlook.forecast, heading_of(dam)
    init, last = forecast.init_date, forecast.ends[-1]
    observed = past.filter(pl.col("date") >= init - timedelta(days=PAST_DAYS))
    afterwards = later.filter(pl.col("date") <= last).drop_nulls("storage")
    lines = _threshold_lines(outlook)
    names = lines["series"].unique(maintain_order=True).to_list()
    colours = {OBSERVED: INK, MEDIAN: FORECAST_COLOUR, BAND: BAND_80_COLOUR, TRACE: GREY}
    if len(afterwards):
        colours[LATER] = LATER_COLOUR
    others = iter(cycled(LEAD_COLOURS[1:], len(names)))
    colours |= {name: FULL_SUPPLY_COLOUR if name == threshold_title(FULL_SUPPLY) else next(others) for name in names}
    colour = alt.Color("series:N", title=None, scale=colour_scale(colours), sort=list(colours))
    x = day_axis("date", (observed["date"][0], last), ticks=9)
    axis = f"storage, {outlook.volumes.unit}"
    y = alt.Y("storage:Q", title=axis, scale=alt.Scale(zero=False))
    layers: list[alt.Chart] = [*_trace_layers(outlook, colour, x, y, axis)]
    layers += [
        _line(observed.with_columns(series=pl.lit(OBSERVED)), colour, x, y, width=2.0),
        *([_line(afterwards.with_columns(series=pl.lit(LATER)), colour, x, y, width=2.0)] if len(afterwards) else []),
    ]
    if names:
        dashed = alt.Chart(inline_rows(lines)).mark_line(strokeDash=[6, 4], strokeWidth=1.8)
        layers.append(dashed.encode(x=x, y=y, color=colour))
    count = len(forecast.windows.years)
    operation = "as operated then" if outlook.demand is None else "under the stated demand"
    title = heading.title(f"storage from {init} by the balance of {count} past years, {operation}")
    chart: AnyChart = alt.layer(*layers).properties(width=WIDTH, height=340, title=title)
    return chart


def _trace_layers(outlook: LongOutlook, colour: alt.Color, x: alt.X, y: alt.Y, axis: str) -> list[alt.Chart]:
    """Band, traces and median, from the init date on."""
    import altair as alt

    forecast = outlook.forecast
    days = pl.concat([pl.Series([forecast.init_date]), forecast.valid_dates]).to_list()
    storage = forecast.traces.storage
    quantiles = np.array([plotting_quantiles(column, _BAND) for column in storage.T])
    fan = pl.DataFrame({"date": days, "q10": quantiles[:, 0], "storage": quantiles[:, 1], "q90": quantiles[:, 2]})
    traces = pl.DataFrame({
        "date": days * len(storage),
        "year": np.repeat(np.array(forecast.windows.years), len(days)),
        "storage": storage.ravel(),
    }).with_columns(series=pl.lit(TRACE))  # fmt: skip
    band = alt.Chart(inline_rows(fan.with_columns(series=pl.lit(BAND)).pipe(_rounded))).mark_area(opacity=0.8).encode(
        x=x, y=alt.Y("q10:Q", title=axis, scale=alt.Scale(zero=False)), y2="q90:Q", color=colour
    )  # fmt: skip
    thin = alt.Chart(inline_rows(_rounded(traces))).mark_line(strokeWidth=0.7, opacity=0.6).encode(
        x=x, y=y, color=colour, detail="year:N",
        tooltip=[date_tooltip("date", "day"), alt.Tooltip("year:Q"), alt.Tooltip("storage:Q")],
    )  # fmt: skip
    return [band, thin, _line(fan.with_columns(series=pl.lit(MEDIAN)), colour, x, y, width=2.5)]


def _line(rows: pl.DataFrame, colour: alt.Color, x: alt.X, y: alt.Y, *, width: float) -> alt.Chart:
    """A line of `rows` (date, storage, series); a null breaks it."""
    import altair as alt

    line = alt.Chart(inline_rows(_rounded(rows))).mark_line(strokeWidth=width)
    encoded: alt.Chart = line.encode(x=x, y=y, color=colour, tooltip=[date_tooltip("date", "day"), "storage:Q"])
    return encoded


def _rounded(rows: pl.DataFrame) -> pl.DataFrame:
    """Six digits: shorter text with the same picture."""
    return rows.with_columns(pl.col(pl.Float64).round_sig_figs(6))


def _threshold_lines(outlook: LongOutlook) -> pl.DataFrame:
    """date, series, storage of each threshold on each coming day."""
    days = outlook.forecast.valid_dates
    rows = [
        pl.DataFrame({"date": days, "series": threshold_title(name), "storage": storage}).pipe(_rounded)
        for name, storage in outlook.thresholds.items()
    ]
    empty = pl.DataFrame(schema={"date": pl.Date, "series": pl.String, "storage": pl.Float64})
    return pl.concat([empty, *rows])
