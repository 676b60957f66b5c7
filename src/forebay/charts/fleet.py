"""Charts of a fleet: a map of its skill, and how many dams have which skill."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.encodings import tooltips
from forebay.charts.figures import Figure
from forebay.charts.fleet_tables import by_skill
from forebay.charts.style import GREY, PANEL_HEIGHT, WIDTH

if TYPE_CHECKING:
    import altair as alt

SKILL_ENDS = (-0.2, 0.0, 0.6)
"""Skills of the ends and of the middle of the colours: below 0, a reference is better."""
SKILL_COLOURS = ("#d55e00", "#f2efe9", "#0072b2")
_BIN = 0.05


def fleet_figures(fleet: pl.DataFrame) -> dict[str, Figure]:
    """Figures of `fleet_tables.FLEET` by name: `fleet-map` and `fleet-skill`; none with fewer than two skills."""
    scored = by_skill(fleet)
    figures = [skill_map(scored), skill_histogram(scored)] if scored.height > 1 else []
    return {figure.name: figure for figure in figures if figure is not None}


def skill_map(scored: pl.DataFrame) -> Figure | None:
    """Map of the dams with a position, coloured by their skill; None without such a dam."""
    import altair as alt

    rows = scored.drop_nulls(["latitude", "longitude"]).select(
        "dam", "name", "longitude", "latitude", pl.col("skill", "mae").round_sig_figs(4), "unit"
    )
    if rows.is_empty():
        return None
    ends = alt.Scale(domain=list(SKILL_ENDS), range=list(SKILL_COLOURS), clamp=True, interpolate="rgb")
    chart = (
        alt.Chart(rows)
        .mark_circle(size=70, opacity=1, stroke=GREY, strokeWidth=0.7)
        .encode(
            x=_degrees("longitude", "longitude, °E"),
            y=_degrees("latitude", "latitude, °N"),
            color=alt.Color("skill:Q", title="skill", scale=ends),
            tooltip=tooltips("dam:N", "name:N", "skill:Q", "mae:Q", "unit:N"),
        )
        .properties(width=WIDTH, height=2 * PANEL_HEIGHT, title=_title(scored, "skill of each dam"))
    )
    return Figure("fleet-map", (chart,), legend_symbol="circle")


def skill_histogram(scored: pl.DataFrame) -> Figure | None:
    """Number of dams by skill; None without a dam."""
    import altair as alt

    if scored.is_empty():
        return None
    low = (pl.col("skill") / _BIN).floor() * _BIN
    rows = scored.group_by(low.round(4).alias("from")).agg(pl.len().alias("dams")).sort("from")
    rows = rows.with_columns((pl.col("from") + _BIN).round(4).alias("to"))
    edges = _steps(round(min(rows["from"].to_list()) / _BIN), round(max(rows["to"].to_list()) / _BIN), 12)
    counts = _steps(0, max(rows["dams"].to_list()), 5)
    chart = (
        alt.Chart(rows)
        .mark_bar(color=SKILL_COLOURS[-1], stroke="#ffffff")
        .encode(
            x=alt.X(
                "from:Q",
                title="skill against the best reference",
                bin="binned",
                axis=alt.Axis(values=[round(edge * _BIN, 2) for edge in edges], format=".2f"),
            ),
            x2="to:Q",
            y=alt.Y("dams:Q", title="dams", scale=alt.Scale(zero=True), axis=alt.Axis(values=counts, format="d")),
            tooltip=tooltips("from:Q", "to:Q", "dams:Q"),
        )
        .properties(width=WIDTH, height=PANEL_HEIGHT, title=_title(scored, "number of dams by skill"))
    )
    return Figure("fleet-skill", (chart,))


def _steps(first: int, last: int, most: int) -> list[int]:
    """Whole numbers from `first` to `last` for an axis, about `most` of them; Vega would put ticks between them.

    >>> _steps(0, 2, 5), _steps(-3, 17, 5)
    ([0, 1, 2], [-3, 1, 5, 9, 13, 17])
    """
    return list(range(first, last + 1, max(1, ceil((last - first) / most))))


def _degrees(column: str, title: str) -> alt.X | alt.Y:
    import altair as alt

    axis = alt.X if column == "longitude" else alt.Y
    encoded: alt.X | alt.Y = axis(f"{column}:Q", title=title, scale=alt.Scale(zero=False, nice=True, padding=12))
    return encoded


def _title(scored: pl.DataFrame, text: str) -> str:
    """Title of a chart, marked if one of its dams is simulated."""
    simulated = int(scored["simulated"].fill_null(False).sum())
    mark = "SIMULATED · " if simulated == scored.height else f"{simulated} SIMULATED · " if simulated else ""
    return f"{mark}{text}"
