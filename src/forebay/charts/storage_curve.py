"""Chart of a storage curve: pairs of level and storage, curves, and the differences of the pairs from the curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.encodings import DAY_FORMAT, colour_scale, date_tooltip, horizontal_rule, inline_rows, tooltips
from forebay.charts.figures import Figure
from forebay.charts.style import EXTRA_COLOURS, FORECAST_COLOUR, INK, WET_COLOUR, WIDTH, cycled

if TYPE_CHECKING:
    import altair as alt

    from forebay.charts.spec import AnyChart
    from forebay.dams.dam import Dam
    from forebay.screen.storage_pairs import CurveUnits

MAX_PAIRS = 3000
"""Pairs in a picture; of more, each k-th one is drawn."""
LEFT_OUT = "left out"
_GAP = 20


def storage_curve_figure(
    dam: Dam,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    residuals: pl.DataFrame,
    *,
    units: CurveUnits,
    breaks: Sequence[date] = (),
    left_out: Sequence[date] = (),
) -> Figure:
    """Figure `storage_curve`: pairs and curves, and below them the differences by level and by day.

    Parameters
    ----------
    curves
        Points (level, storage) of each curve by its name.
    residuals
        `storage_pairs.RESIDUALS`; empty without pairs.
    breaks
        Days that divide the pairs into series of their own colours.
    left_out
        Days whose pairs the fit does not use; all of them are drawn, but not their differences.
    """
    pairs = _chart_pairs(residuals, breaks, left_out)
    series = [name for name in pairs["series"].unique(maintain_order=True) if name != LEFT_OUT]
    colours = dict(zip(series, cycled((FORECAST_COLOUR, *EXTRA_COLOURS), len(series)), strict=True))
    if LEFT_OUT in pairs["series"]:
        colours[LEFT_OUT] = WET_COLOUR
    colours |= dict(zip(curves, cycled((INK, "#009e73", "#e69f00"), len(curves)), strict=True))
    text = "storage curve"
    if len(pairs) < len(residuals):
        text += f", {len(pairs):,} of {len(residuals):,} pairs"
    panels: list[AnyChart] = [_curve_panel(pairs, curves, colours, units)]
    used = pairs.filter(pl.col("series") != LEFT_OUT).drop_nulls("residual")
    if not used.is_empty():
        panels.append(_residual_panels(used, colours, units))
    prefix = "SIMULATED · " if dam.simulated else ""
    return Figure("storage_curve", tuple(panels), f"{prefix}{dam.name} · {text}")


def _chart_pairs(residuals: pl.DataFrame, breaks: Sequence[date], left_out: Sequence[date]) -> pl.DataFrame:
    """Pairs with `series`, thinned to about `MAX_PAIRS`."""
    step = -(-max(len(residuals), 1) // MAX_PAIRS)
    is_out = pl.col("date").is_in(pl.Series(list(left_out), dtype=pl.Date).implode())
    name = pl.lit("pairs" if not breaks else f"pairs until {breaks[0]}")
    for day in breaks:
        name = pl.when(pl.col("date") >= day).then(pl.lit(f"pairs from {day}")).otherwise(name)
    rows = residuals.with_columns(pl.when(is_out).then(pl.lit(LEFT_OUT)).otherwise(name).alias("series"))
    is_in_chart = (pl.int_range(pl.len()) % step == 0) | (pl.col("series") == LEFT_OUT)
    return rows.filter(is_in_chart)


def _curve_panel(
    pairs: pl.DataFrame,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    colours: dict[str, str],
    units: CurveUnits,
) -> AnyChart:
    import altair as alt

    lines = pl.concat(
        pl.DataFrame({"level": [p[0] for p in points], "storage": [p[1] for p in points]}).with_columns(
            series=pl.lit(name)
        )
        for name, points in curves.items()
    )
    x = alt.X("level:Q", title=f"level, {units.level}", scale=alt.Scale(zero=False, nice=False))
    y = alt.Y("storage:Q", title=f"storage, {units.storage}", scale=alt.Scale(zero=False), axis=alt.Axis(format=",~r"))
    colour = alt.Color("series:N", title=None, scale=colour_scale(colours))
    line = alt.Chart(inline_rows(lines)).mark_line(strokeWidth=1.5, clip=True).encode(x=x, y=y, color=colour)
    points = _points(pairs).encode(
        x=x, y=y, color=colour, tooltip=[date_tooltip("date", "day"), *tooltips("level:Q", "storage:Q")]
    )
    panel: AnyChart = alt.layer(points, line).properties(width=WIDTH, height=320)
    return panel


def _points(pairs: pl.DataFrame) -> alt.Chart:
    import altair as alt

    columns = pairs.select("date", "level", "storage", "residual", "series")
    chart: alt.Chart = alt.Chart(inline_rows(columns)).mark_point(filled=True, size=14, opacity=0.6)
    return chart


def _residual_panels(pairs: pl.DataFrame, colours: dict[str, str], units: CurveUnits) -> AnyChart:
    """Differences of the pairs from the curve, by level and by day, side by side."""
    import altair as alt

    y = alt.Y("residual:Q", title=f"storage of pair − curve, {units.storage}")
    colour = alt.Color("series:N", title=None, scale=colour_scale(colours))
    tips = [date_tooltip("date", "day"), *tooltips("level:Q", "residual:Q")]
    axes = (
        alt.X("level:Q", title=f"level, {units.level}", scale=alt.Scale(zero=False, nice=False)),
        alt.X("date:T", title=None, axis=alt.Axis(format=DAY_FORMAT, labelOverlap=True)),
    )
    panels = [
        alt.layer(horizontal_rule(0.0), _points(pairs).encode(x=x, y=y, color=colour, tooltip=tips)).properties(
            width=(WIDTH - 4 * _GAP) // 2, height=180
        )
        for x in axes
    ]
    chart: AnyChart = alt.concat(*panels, columns=2, spacing=_GAP)
    return chart
