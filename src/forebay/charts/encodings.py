"""Axes, tooltips and marks that several charts share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.style import INK

if TYPE_CHECKING:
    import altair as alt

DATE_FORMAT = "%a %Y-%m-%d"
"""A day with its weekday in tooltips."""
DAY_FORMAT = "%Y-%m-%d"
"""A day at an axis."""


def tooltips(*columns: str) -> list[alt.Tooltip]:
    """Tooltips of columns under their own names, such as "n:Q".

    Altair accepts the bare names too, but then looks up the type of each for 10 ms.
    """
    import altair as alt

    return [alt.Tooltip(column) for column in columns]


def date_tooltip(column: str, title: str) -> alt.Tooltip:
    """Tooltip of a date column, with the day of the week."""
    import altair as alt

    return alt.Tooltip(f"{column}:T", title=title, format=DATE_FORMAT)


def day_axis(column: str, ends: Sequence[date], ticks: int = 4) -> alt.X:
    """Time axis from the first to the last day of `ends`."""
    import altair as alt

    domain = [alt.DateTime(year=d.year, month=d.month, date=d.day) for d in ends]
    axis = alt.Axis(tickCount=ticks, format=DAY_FORMAT, labelOverlap=True)
    return alt.X(f"{column}:T", title=None, scale=alt.Scale(domain=domain), axis=axis)


def level_axis(column: str, title: str, ends: Sequence[float] | None = None) -> alt.Y:
    """Level axis, which need not include zero; fixed to `ends` if they are given."""
    import altair as alt

    scale = alt.Scale(zero=False, domain=list(ends), nice=False) if ends else alt.Scale(zero=False)
    return alt.Y(f"{column}:Q", title=title or None, scale=scale)


def colour_scale(colours: dict[str, str]) -> alt.Scale:
    """Scale that gives every name its colour."""
    import altair as alt

    return alt.Scale(domain=list(colours), range=list(colours.values()))


def inline_rows(frame: pl.DataFrame) -> alt.InlineData:
    """Rows as CSV text: a tenth of the size of JSON, and without a limit of rows. Days stay station-local days."""
    import altair as alt

    days = [name for name, kind in frame.schema.items() if kind == pl.Date]
    text = frame.with_columns(pl.col(days).dt.strftime("%Y-%m-%dT00:00:00")).write_csv()
    kinds = {name: "date" if name in days else "number" for name, kind in frame.schema.items() if kind != pl.String}
    return alt.InlineData(values=text, format=alt.CsvDataFormat(type="csv", parse=kinds))


def zoom_in_time() -> alt.Parameter:
    """Selection: drag to move in time, Shift and wheel to zoom. The wheel alone scrolls the page."""
    import altair as alt

    return alt.selection_interval(bind="scales", encodings=["x"], zoom="wheel![event.shiftKey]", name="days")


def horizontal_rule(value: float) -> alt.Chart:
    """Dashed horizontal line at `value`."""
    import altair as alt

    rule = alt.Chart(pl.DataFrame({"target": [value]})).mark_rule(color=INK, strokeDash=[4, 4])
    encoded: alt.Chart = rule.encode(y=alt.Y("target:Q"))
    return encoded


def diagonal(ends: Sequence[float], x: str, y: str) -> alt.Chart:
    """Dashed line on which both axes have the same value; `x` and `y` name the columns of the axes."""
    import altair as alt

    points = pl.DataFrame({x: list(ends), y: list(ends)}, schema={x: pl.Float64, y: pl.Float64})
    line = alt.Chart(points).mark_line(color=INK, strokeDash=[4, 4], strokeWidth=1)
    encoded: alt.Chart = line.encode(x=f"{x}:Q", y=f"{y}:Q")
    return encoded


def padded(ends: tuple[float | None, float | None], share: float) -> list[float]:
    """`ends` of an axis, extended on both sides by `share` of their difference; None counts as 0."""
    low, high = ends[0] or 0.0, ends[1] or 0.0
    padding = share * (high - low) or 1.0
    return [low - padding, high + padding]
