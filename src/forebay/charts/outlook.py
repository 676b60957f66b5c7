"""Charts of the outlook: probabilities by day, and the reliability of earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.encodings import colour_scale, date_tooltip, day_axis, diagonal, tooltips
from forebay.charts.figures import Figure
from forebay.charts.outlook_tables import OutlookRow, main_row, outlook_rows, threshold_title
from forebay.charts.style import (
    EXTRA_COLOURS,
    FORECAST_COLOUR,
    FULL_SUPPLY_COLOUR,
    LEAD_COLOURS,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    WIDTH,
    cycled,
)
from forebay.dams.thresholds import FULL_SUPPLY

if TYPE_CHECKING:
    import altair as alt

    from forebay.charts.report_tables import Report
    from forebay.charts.spec import AnyChart


def outlook_figure(report: Report) -> Figure | None:
    """Probability of having reached each threshold by each day; None without one."""
    if report.outlook is None:
        return None
    rows = outlook_rows(report.outlook, report.dam)
    if not rows:
        return None
    by = report.outlook.probabilities.filter(pl.col("kind") == "by")
    names = pl.DataFrame(
        [(row.threshold, row.direction, row.event) for row in rows],
        schema=["threshold", "direction", "event"],
        orient="row",
    )
    points = by.join(names, on=["threshold", "direction"]).select(
        "valid_date", "event", probability=pl.col("probability").round(4)
    )
    return Figure("outlook", (_lines(points, rows, report),), legend_symbol="stroke")


def _lines(points: pl.DataFrame, rows: Sequence[OutlookRow], report: Report) -> AnyChart:
    """A line per event; full supply has the colour that it has in the other charts."""
    import altair as alt

    days = points["valid_date"].unique().sort()
    others = iter(cycled((*LEAD_COLOURS, *EXTRA_COLOURS), len(rows)))
    colours = {row.event: FULL_SUPPLY_COLOUR if row.threshold == FULL_SUPPLY else next(others) for row in rows}
    lines = alt.Chart(points).mark_line(point=alt.OverlayMarkDef(size=45), strokeWidth=1.8).encode(
        x=day_axis("valid_date", (days[0], days[-1]), ticks=len(days)),
        y=alt.Y("probability:Q", title="probability by the day", scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%")),
        color=alt.Color("event:N", title=None, scale=colour_scale(colours), sort=list(colours)),
        tooltip=[date_tooltip("valid_date", "day"), alt.Tooltip("event:N"), alt.Tooltip("probability:Q", format=".1%")],
    )  # fmt: skip
    title = report.heading.title("probability of reaching thresholds")
    chart: alt.Chart = lines.properties(width=WIDTH, height=240, title=title)
    return chart


def outlook_reliability_figure(report: Report) -> Figure | None:
    """Reliability of the probability of the main threshold, a panel per lead time; None without bins."""
    if report.outlook is None:
        return None
    row = main_row(outlook_rows(report.outlook, report.dam))
    if row is None:
        return None
    bins = report.outlook.reliability.filter(
        pl.col("threshold") == row.threshold, pl.col("direction") == row.direction
    )
    panels = tuple(
        _reliability(rows).properties(
            width=PANEL_WIDTH, height=PANEL_HEIGHT + 30, title=report.heading.lead(int(str(lead)))
        )
        for (lead,), rows in bins.group_by("lead_time", maintain_order=True)
    )
    title = report.heading.title(f"reliability of the probability: {threshold_title(row.threshold).lower()}")
    return Figure("outlook_reliability", panels, title, 3) if panels else None


def _reliability(bins: pl.DataFrame) -> AnyChart:
    """Observed frequency against the mean probability of each bin, with the band of resampled spells."""
    import altair as alt

    rounded = bins.select(
        "n", "spells", *(pl.col(name).round(4) for name in ("forecast", "observed", "low", "high"))
    )
    share = alt.Scale(domain=[0, 1])
    base = alt.Chart(rounded).encode(
        x=alt.X("forecast:Q", title="forecast probability", scale=share),
        tooltip=tooltips("forecast:Q", "observed:Q", "low:Q", "high:Q", "n:Q", "spells:Q"),
    )
    bands = base.mark_rule(color=FORECAST_COLOUR, opacity=0.6).encode(y=alt.Y("low:Q", scale=share), y2="high:Q")
    points = base.mark_circle(color=FORECAST_COLOUR, size=60, opacity=1).encode(
        y=alt.Y("observed:Q", title="observed frequency", scale=share)
    )
    return alt.layer(diagonal([0, 1], "forecast", "observed"), bands, points)
