"""Chart of a dam's whole record: every gauge, its gaps and its flagged values."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.encodings import DAY_FORMAT, day_axis, inline_rows
from forebay.charts.screening import REASON_COLOURS, flagged_values, usable_series, value_range
from forebay.charts.style import INK, WIDTH
from forebay.days.labels import display_unit, gauge_labels

if TYPE_CHECKING:

    from forebay.charts.spec import AnyChart
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge

MIN_GAP_DAYS = 8
"""Shorter gaps are not shaded: a weekly gauge has none."""
_GAP_COLOUR = "#e4e8eb"
_PANEL_HEIGHT = 110
_MAX_PANELS = 20


def record_chart(daily: pl.DataFrame, flags: pl.DataFrame, dam: Dam) -> AnyChart:
    """A panel per gauge, the target first: daily values, shaded gaps, and flagged values in the colour of their reason.

    Sentinels and values out of range are drawn at the edge of the panel: the axis covers the other values.

    Parameters
    ----------
    daily, flags
        A daily table and its flags (`screen.flags.FLAGS`).
    """
    import altair as alt

    gauges = sorted(dam.gauges, key=lambda gauge: gauge.role != "target")[:_MAX_PANELS]
    panels = [_panel(daily, flags, dam, gauge) for gauge in gauges]
    prefix = "SIMULATED · " if dam.simulated else ""
    rest = f" (the first {_MAX_PANELS} of {len(dam.gauges)} gauges)" if len(dam.gauges) > _MAX_PANELS else ""
    title = f"{prefix}{dam.name}: record, gaps (grey) and values to check{rest}"
    chart: AnyChart = alt.concat(*panels, columns=1, spacing=10, title=title)
    return chart


def gaps(daily: pl.DataFrame, column: str) -> pl.DataFrame:
    """first, last (dates, both without a value): spells of `MIN_GAP_DAYS` or more days without a value in a column.

    Days before the first and after the last value of the column belong to a gap too.
    """
    days = daily.select("date").filter(daily[column].is_not_null())["date"]
    ends = [daily["date"].min() - timedelta(days=1), *days, daily["date"].max() + timedelta(days=1)]  # type: ignore[operator]
    one_day = pl.duration(days=1)
    return (
        pl.DataFrame({"day": ends})
        .with_columns(pl.col("day").shift().alias("before"))
        .filter(pl.col("day") - pl.col("before") > pl.duration(days=MIN_GAP_DAYS))
        .select((pl.col("before") + one_day).alias("first"), (pl.col("day") - one_day).alias("last"))
    )


def _panel(daily: pl.DataFrame, flags: pl.DataFrame, dam: Dam, gauge: Gauge) -> AnyChart:
    import altair as alt

    ends = (daily["date"].min(), daily["date"].max())
    x = day_axis("date", ends, ticks=6)  # type: ignore[arg-type]
    title = f"{gauge_labels(dam)[gauge.column]}, {display_unit(gauge, dam)}"
    series = usable_series(daily, flags, gauge, dam, digits=5)
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4))
    line = alt.Chart(inline_rows(series)).mark_line(color=INK, strokeWidth=0.9, interpolate="linear").encode(x=x, y=y)
    layers = [line]
    spells = gaps(daily, gauge.column)
    if not spells.is_empty():
        shade = alt.Chart(inline_rows(spells)).mark_rect(color=_GAP_COLOUR)
        layers.insert(0, shade.encode(x=alt.X("first:T", axis=alt.Axis(format=DAY_FORMAT)), x2="last:T"))
    points = flagged_values(flags, gauge, dam)
    if not points.is_empty():
        points = points.with_columns(pl.col("value").clip(*value_range(series["value"])))
        colours = {reason: REASON_COLOURS[reason] for reason in REASON_COLOURS if reason in set(points["reason"])}
        scale = alt.Scale(domain=list(colours), range=list(colours.values()))
        dots = alt.Chart(inline_rows(points)).mark_point(filled=True, size=30)
        layers.append(dots.encode(x=x, y=y, color=alt.Color("reason:N", title="flag", scale=scale)))
    panel: AnyChart = alt.layer(*layers).properties(
        width=WIDTH, height=_PANEL_HEIGHT, title=alt.Title(title, fontSize=11, fontWeight=500, offset=4)
    )
    return panel
