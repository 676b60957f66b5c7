"""Chart of the days on which each gauge has readings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.coverage_tables import GOOD
from forebay.charts.encodings import colour_scale, date_tooltip, tooltips, zoom_in_time
from forebay.charts.figures import Figure
from forebay.charts.style import EXTRA_STATE_COLOUR, STATE_COLOURS, WIDTH, Heading

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report
    from forebay.charts.spec import AnyChart


def coverage_figure(report: Report) -> Figure:
    """Readings of each gauge over the whole record."""
    spells, _ = report.coverage
    return Figure("coverage", (coverage_chart(spells, report.heading),))


def coverage_chart(spells: pl.DataFrame, heading: Heading) -> AnyChart:
    """Data coverage: a bar per gauge and run of days in one state (gauge, state, start, end, days).

    Flagged runs are drawn over the good ones with a thin outline, so that a single day in many years stays visible.
    """
    import altair as alt

    present = set(spells["state"])
    states = [state for state in STATE_COLOURS if state in present] + sorted(present - set(STATE_COLOURS))
    scale = colour_scale({state: STATE_COLOURS.get(state, EXTRA_STATE_COLOUR) for state in states})
    gauges = spells["gauge"].unique(maintain_order=True).to_list()
    tips = [*tooltips("gauge:N", "state:N"), date_tooltip("start", "from"), date_tooltip("end", "until before")]
    layers = []
    for runs, outline in ((spells.filter(pl.col("state") == GOOD), 0.0), (spells.filter(pl.col("state") != GOOD), 0.7)):
        layers.append(
            alt.Chart(runs)
            .mark_bar(height=alt.RelativeBandSize(0.72), strokeWidth=outline)
            .encode(
                x=alt.X("start:T", title=None, axis=alt.Axis(grid=True)),
                x2=alt.X2("end:T"),
                y=alt.Y("gauge:N", title=None, sort=gauges, scale=alt.Scale(domain=gauges)),
                color=alt.Color("state:N", title="readings", scale=scale),
                stroke=alt.Stroke("state:N", title="readings", scale=scale),
                tooltip=[*tips, *tooltips("days:Q")],
            )
        )
    height = 26 * len(gauges) + 10
    title = heading.title("readings of each gauge")
    return alt.layer(*layers).add_params(zoom_in_time()).properties(width=WIDTH, height=height, title=title)
