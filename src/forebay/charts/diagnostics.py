"""Charts of the hindcast's diagnostics: reliability, PIT histogram, rolling coverage, largest rises."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.encodings import DAY_FORMAT, colour_scale, diagonal, horizontal_rule, padded, tooltips
from forebay.charts.figures import Figure, figures_by_name
from forebay.charts.style import (
    BAND_80_COLOUR,
    FORECAST_COLOUR,
    LEAD_COLOURS,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    WET_COLOUR,
    WIDTH,
    Heading,
    cycled,
)
from forebay.tables import summary_leads

if TYPE_CHECKING:
    import altair as alt

    from forebay.charts.spec import AnyChart
    from forebay.verify.diagnostics import Diagnostics

REGIME_COLOURS = {"all days": FORECAST_COLOUR, "wet days": WET_COLOUR}
_STEP_DAYS = 7
"""Days from one point of the rolling coverage to the next."""
_FEW_YEARS = 3
"""An axis over so many years or fewer has days; a longer one has years."""


def reliability_figure(diagnostics: Diagnostics, heading: Heading) -> Figure | None:
    """Reliability of the quantiles, a panel per lead time; None without rows."""
    return figure_of_reliability(diagnostics.reliability, heading)


def figure_of_reliability(reliability: pl.DataFrame, heading: Heading) -> Figure | None:
    """The same of the table alone (`verify.tables.RELIABILITY`)."""
    panels = _lead_panels(reliability, _reliability, heading)
    return Figure("reliability", panels, heading.title("reliability of the quantiles"), 3) if panels else None


def pit_histogram_figure(diagnostics: Diagnostics, heading: Heading) -> Figure | None:
    """PIT histogram in quantile bins, a panel per lead time; None without rows."""
    panels = _lead_panels(diagnostics.pit_histogram, _pit_histogram, heading)
    return Figure("pit_histogram", panels, heading.title("PIT histogram in quantile bins"), 3) if panels else None


def rolling_coverage_figure(diagnostics: Diagnostics, heading: Heading) -> Figure | None:
    """Coverage of the 90% interval over the last 365 days; None without rows."""
    chart = rolling_coverage_chart(diagnostics.rolling_coverage, heading)
    return Figure("rolling_coverage", (chart,), legend_symbol="stroke") if chart is not None else None


def peaks_figure(diagnostics: Diagnostics, heading: Heading) -> Figure | None:
    """Forecast and observed changes of the largest rises, a panel per lead time; None without rows."""
    panels = _lead_panels(diagnostics.peaks, _peaks, heading)
    title = heading.title("the 5% largest rises, forecast and observed")
    return Figure("peaks", panels, title, 3) if panels else None


DIAGNOSTIC_CHARTS: tuple[Callable[[Diagnostics, Heading], Figure | None], ...] = (
    reliability_figure,
    pit_histogram_figure,
    rolling_coverage_figure,
    peaks_figure,
)
"""Builders of the diagnostics' figures; each returns None where there is nothing to draw."""


def diagnostic_figures(diagnostics: Diagnostics, heading: Heading) -> dict[str, Figure]:
    """Every figure of `DIAGNOSTIC_CHARTS` that has content, by its name."""
    return figures_by_name(build(diagnostics, heading) for build in DIAGNOSTIC_CHARTS)


def _lead_panels(
    table: pl.DataFrame, draw: Callable[[pl.DataFrame, Heading], AnyChart], heading: Heading
) -> tuple[AnyChart, ...]:
    size = {"width": PANEL_WIDTH, "height": PANEL_HEIGHT + 30}
    return tuple(
        draw(rows, heading).properties(**size, title=heading.lead(lead)) for lead, rows in _by_lead(table)
    )


def _by_lead(table: pl.DataFrame) -> list[tuple[int, pl.DataFrame]]:
    leads = summary_leads(table["lead_time"])
    rows = table.filter(pl.col("lead_time").is_in(leads)).sort("lead_time", maintain_order=True)
    return [(int(str(lead)), group) for (lead,), group in rows.group_by("lead_time", maintain_order=True)]


def _reliability(rows: pl.DataFrame, _: Heading) -> AnyChart:
    """Share of observations at or below each quantile against the quantile's probability."""
    import altair as alt

    named = rows.with_columns(pl.col("regime") + " days", pl.col("observed").round(4))
    share = alt.Scale(domain=[0, 1])
    lines = alt.Chart(named).mark_line(point=alt.OverlayMarkDef(size=50)).encode(
        x=alt.X("quantile:Q", title="forecast probability", scale=share),
        y=alt.Y("observed:Q", title="observed frequency", scale=share),
        color=alt.Color("regime:N", title=None, scale=colour_scale(REGIME_COLOURS)),
        tooltip=tooltips("regime:N", "quantile:Q", "observed:Q", "n:Q"),
    )  # fmt: skip
    return alt.layer(lines, diagonal([0, 1], "quantile", "observed"))


def _pit_histogram(rows: pl.DataFrame, _: Heading) -> AnyChart:
    """Observed / expected frequency of the bins between neighbouring quantiles."""
    import altair as alt

    bins = pl.format("{}–{}%", *((100 * pl.col(end)).round(0).cast(pl.Int32) for end in ("low", "high")))
    ratio = (pl.col("observed") / pl.col("expected")).round(3)
    named = rows.with_columns(pl.col("regime") + " days", bin=bins, ratio=ratio)
    order = named["bin"].unique(maintain_order=True).to_list()
    bars = alt.Chart(named).mark_bar().encode(
        x=alt.X("bin:N", sort=order, title="between the quantiles", axis=alt.Axis(labelAngle=-45)),
        xOffset=alt.XOffset("regime:N"),
        y=alt.Y("ratio:Q", title="observed / expected frequency"),
        color=alt.Color("regime:N", title=None, scale=colour_scale(REGIME_COLOURS)),
        tooltip=tooltips("regime:N", "bin:N", "ratio:Q", "observed:Q", "n:Q"),
    )  # fmt: skip
    return alt.layer(bars, horizontal_rule(1.0))


def rolling_coverage_chart(rows: pl.DataFrame, heading: Heading) -> AnyChart | None:
    """Coverage of the 90% interval over the last 365 days, a line per lead time; None without rows."""
    import altair as alt

    thinned = [group.gather_every(_STEP_DAYS) for _, group in _by_lead(rows)]
    if not thinned:
        return None
    coverage = pl.col("coverage_90").round(4)
    points = pl.concat(thinned).select("init_date", "n", coverage, lead=pl.format("{} d", "lead_time"))
    leads = points["lead"].unique(maintain_order=True).to_list()
    scale = colour_scale(dict(zip(leads, cycled(LEAD_COLOURS, len(leads)), strict=True)))
    lines = alt.Chart(points).mark_line(strokeWidth=1.6).encode(
        x=alt.X("init_date:T", title=None, axis=_time_axis(points["init_date"])),
        y=alt.Y("coverage_90:Q", title="share inside 90%, last 365 days", scale=alt.Scale(zero=False)),
        color=alt.Color("lead:N", title="lead time", scale=scale),
        tooltip=tooltips("init_date:T", "lead:N", "coverage_90:Q", "n:Q"),
    )  # fmt: skip
    title = heading.title("coverage of the 90% interval over the last 365 days")
    return alt.layer(lines, horizontal_rule(0.9)).properties(width=WIDTH, height=220, title=title)


def _time_axis(days: pl.Series) -> alt.Axis:
    """Axis of years, or of days where the days span only a few years."""
    import altair as alt

    last, first = days.max(), days.min()
    assert isinstance(first, date) and isinstance(last, date)
    if last - first > timedelta(days=_FEW_YEARS * 365):
        return alt.Axis(format="%Y", tickCount="year")
    return alt.Axis(format=DAY_FORMAT, labelOverlap=True)


def _peaks(rows: pl.DataFrame, heading: Heading) -> AnyChart:
    """Forecast against observed change on the days of the largest rises: median and 90% interval."""
    import altair as alt

    rounded = rows.with_columns(pl.col("observed", "q05", "q50", "q95").fill_nan(None).round(4))
    ends = rounded.select(
        low=pl.min_horizontal("observed", "q50").min(), high=pl.max_horizontal("observed", "q50").max()
    ).row(0)
    axis = alt.Axis(tickCount=4, labelOverlap="greedy", labelSeparation=6)
    base = alt.Chart(rounded).encode(x=alt.X("observed:Q", title=f"observed change, {heading.unit}", axis=axis))
    # The axis ends near the medians: the longest intervals would compress all others. The tooltip has their ends.
    scale = alt.Scale(domain=padded(ends, share=0.1), nice=False)
    y = alt.Y("q05:Q", title=f"forecast change, {heading.unit}", scale=scale)
    interval = base.mark_rule(color=BAND_80_COLOUR, clip=True).encode(y=y, y2=alt.Y2("q95"))
    tips = tooltips("init_date:T", "observed:Q", "q05:Q", "q50:Q", "q95:Q")
    median = base.mark_circle(color=FORECAST_COLOUR, size=44, opacity=1).encode(y=alt.Y("q50:Q"), tooltip=tips)
    return alt.layer(interval, median, diagonal(ends, "observed", "q50"))
