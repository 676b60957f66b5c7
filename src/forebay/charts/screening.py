"""Charts of the quality screening: each gauge with its flags, and neighbouring gauges below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.encodings import DAY_FORMAT, colour_scale, date_tooltip, inline_rows, zoom_in_time
from forebay.charts.style import EXTRA_COLOURS, GRID, INK, WIDTH
from forebay.days.labels import display_unit, gauge_labels, in_display_unit

if TYPE_CHECKING:
    from forebay.charts.spec import AnyChart
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge

REASON_COLOURS = {
    "jump": "#e69f00",
    "spike": "#d55e00",
    "unit": "#8c6d1f",
    "stuck": "#cc79a7",
    "still": "#56b4e9",
    "neighbours": "#009e73",
    "scale": "#4b3f92",
    "sentinel": "#3a434b",
    "range": "#7a2f2f",
    "step": "#0072b2",
}
MAX_NEIGHBOURS = 4
_OFF_SCALE = ("sentinel", "range")
"""Reasons of values that may lie far outside the gauge's range."""


def gauge_chart(daily: pl.DataFrame, flags: pl.DataFrame, dam: Dam, gauge: Gauge) -> AnyChart:
    """One gauge: its values, flagged values in the colour of their reason, and neighbouring gauges on the same days.

    Sentinels and values out of range are drawn at the edge of the picture: the axis covers the other values.
    """
    import altair as alt

    labels = gauge_labels(dam)
    series = usable_series(daily, flags, gauge, dam, digits=7)
    low, high = value_range(series["value"])
    flagged = flagged_values(flags, gauge, dam)
    points = flagged.with_columns(pl.col("value").alias("reading"), pl.col("value").clip(low, high))
    panels: list[AnyChart] = [_series_panel(series, points, f"{labels[gauge.column]}, {display_unit(gauge, dam)}")]
    for neighbour in _neighbours(gauge, dam):
        title = f"{labels[neighbour.column]}, {display_unit(neighbour, dam)}"
        panels.append(_neighbour_panel(usable_series(daily, flags, neighbour, dam, digits=5), title))
    prefix = "SIMULATED · " if dam.simulated else ""
    title = f"{prefix}{dam.name} · {labels[gauge.column]}: flagged values and neighbouring gauges"
    panels[0] = panels[0].add_params(zoom_in_time())
    chart: AnyChart = alt.concat(*panels, columns=1, spacing=6, title=title).resolve_scale(x="shared")
    return chart


def usable_series(daily: pl.DataFrame, flags: pl.DataFrame, gauge: Gauge, dam: Dam, *, digits: int) -> pl.DataFrame:
    """date, value of a gauge in its display unit; null where the value is off the scale."""
    off_scale = flags.filter(pl.col("gauge") == gauge.column, pl.col("reason").is_in(_OFF_SCALE))["date"].implode()
    value = pl.when(~pl.col("date").is_in(off_scale)).then(in_display_unit(pl.col(gauge.column), gauge, dam))
    return daily.select("date", value.round_sig_figs(digits).alias("value"))


def _series_panel(series: pl.DataFrame, points: pl.DataFrame, axis: str) -> AnyChart:
    import altair as alt

    x = alt.X("date:T", title=None, axis=alt.Axis(format=DAY_FORMAT, labelOverlap=True))
    y = alt.Y("value:Q", title=axis, scale=alt.Scale(zero=False))
    panel: AnyChart
    size = {"width": WIDTH, "height": 240}
    line = alt.Chart(inline_rows(series)).mark_line(color=INK, strokeWidth=1, interpolate="linear").encode(x=x, y=y)
    if points.is_empty():  # Vega warns about the domain of an empty layer
        panel = line.properties(**size)
        return panel
    reasons = set(points["reason"])
    colours = {reason: colour for reason, colour in REASON_COLOURS.items() if reason in reasons}
    tips = [
        date_tooltip("date", "day"),
        alt.Tooltip("reason:N"),
        alt.Tooltip("reading:Q", title="value"),
        alt.Tooltip("expected:Q", title="expected value"),
        date_tooltip("known_on", "known on"),
    ]
    dots = (
        alt.Chart(inline_rows(points))
        .mark_point(filled=True, size=60, opacity=0.9)
        .encode(x=x, y=y, color=alt.Color("reason:N", title="flag", scale=colour_scale(colours)), tooltip=tips)
    )
    panel = alt.layer(line, dots).properties(**size)
    return panel


def _neighbour_panel(series: pl.DataFrame, title: str) -> AnyChart:
    import altair as alt

    panel: AnyChart = (
        alt.Chart(inline_rows(series))
        .mark_line(color=EXTRA_COLOURS[1], strokeWidth=0.8)
        .encode(
            x=alt.X("date:T", title=None, axis=alt.Axis(labels=False, ticks=False, gridColor=GRID)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=3)),
        )
        .properties(width=WIDTH, height=80, title=alt.Title(title, fontSize=11, fontWeight=500, offset=4))
    )
    return panel


def flagged_values(flags: pl.DataFrame, gauge: Gauge, dam: Dam) -> pl.DataFrame:
    """date, reason, known_on, value, expected: one row per day and reason of the flags that are not withdrawn."""
    active = flags.filter(pl.col("gauge") == gauge.column, pl.col("withdrawn_on").is_null())
    values = (in_display_unit(pl.col(name), gauge, dam).alias(name) for name in ("value", "expected"))
    return active.unique(["date", "reason"], keep="first", maintain_order=True).select(
        "date", "reason", "known_on", *values
    )


def _neighbours(gauge: Gauge, dam: Dam) -> Sequence[Gauge]:
    """At most four gauges with evidence on this one, the variables in turn: first its own, then the target's."""
    candidates = [g for g in dam.gauges if g.column != gauge.column and g.role != "temperature"]
    priority = {gauge.variable: 0, dam.target.variable: 1}
    turn = {
        candidate.column: sum(g.variable == candidate.variable for g in candidates[:k])
        for k, candidate in enumerate(candidates)
    }
    in_turns = sorted(candidates, key=lambda g: (turn[g.column], priority.get(g.variable, 2)))
    return in_turns[:MAX_NEIGHBOURS]


def value_range(values: pl.Series) -> tuple[float, float]:
    """Lowest and highest value; 0 and 1 without a value."""
    valid = values.drop_nulls()
    if valid.is_empty():
        return 0.0, 1.0
    return float(valid.to_numpy().min()), float(valid.to_numpy().max())
