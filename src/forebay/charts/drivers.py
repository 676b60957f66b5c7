"""Chart of the candidates for drivers of a new dam: by how much each lowers the error of the level's change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.style import FORECAST_COLOUR, GREY, PANEL_WIDTH

if TYPE_CHECKING:
    from forebay.charts.spec import AnyChart

_ROW_HEIGHT = 24


def drivers_chart(rows: Sequence[Mapping[str, object]], title: str) -> AnyChart:
    """Two panels with a bar per candidate, the best first: error reduction (%), and lagged correlation.

    Parameters
    ----------
    rows
        title (text), gain (share; null where not ranked), correlation, lag (days), used (bool).
    title
        Title of the picture.
    """
    import altair as alt

    frame = pl.DataFrame(rows).with_columns(
        pl.when("used").then(pl.lit("yes")).otherwise(pl.lit("no")).alias("used"),
        (pl.col("gain") * 100).alias("error reduction"),
        pl.format("{} d", pl.col("lag")).alias("lag text"),
    )
    order = frame["title"].to_list()
    names = alt.Y("title:N", sort=order, title=None, axis=alt.Axis(labelLimit=420))
    colour = alt.Color(
        "used:N", title="in the draft", scale=alt.Scale(domain=["yes", "no"], range=[FORECAST_COLOUR, GREY])
    )
    size = {"width": PANEL_WIDTH, "height": max(_ROW_HEIGHT * len(order), 60)}
    base = alt.Chart(frame)
    gains = base.mark_bar().encode(
        y=names, x=alt.X("error reduction:Q", title="lower error of the next change, %"), color=colour
    )
    correlations = base.mark_bar().encode(
        y=alt.Y("title:N", sort=order, title=None, axis=None),
        x=alt.X("correlation:Q", title="correlation with the next change", scale=alt.Scale(domain=[-1, 1])),
        color=colour,
    )
    lags = base.mark_text(align="left", dx=4, fontSize=10).encode(
        y=alt.Y("title:N", sort=order, axis=None), x=alt.X("correlation:Q"), text=alt.Text("lag text:N")
    )
    panels = [gains.properties(**size), alt.layer(correlations, lags).properties(**size)]
    chart: AnyChart = alt.concat(*panels, columns=2, spacing=16, title=title)
    return chart
