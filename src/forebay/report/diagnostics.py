"""What stands behind the scores, as charts and tables, each with a sentence on how to read it; computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from forebay.charts import forecast_charts as charts
from forebay.charts.forecast_tables import DEFAULT, SHOWN_LEADS, Report
from forebay.report.page import Html, element, escaped, joined, table
from forebay.report.sections import Wording, charted, day_text, number, panels, section
from forebay.verify.diagnostics import Diagnostics

if TYPE_CHECKING:
    import altair as alt

REGIME_COLOURS = {"all days": charts.FORECAST, "wet days": "#d55e00"}
_LEAD_COLOURS = (charts.FORECAST, "#e69f00", "#009e73", "#cc79a7")
_STEP_DAYS = 7
"""Days from one point of the rolling coverage to the next."""
_READ = {
    "reliability": "Points on the diagonal are right: of all levels, 5% should lie below the .05 quantile, and so on; "
    "a point above it says that more lay below than forecast (the quantile is too high).",
    "ranks": "Each bar is how often the outcome fell between two neighbouring quantiles, as a multiple of how often it "
    "should: all at 1 is right, high ends mean intervals that are too narrow, a slope means a bias.",
    "rolling": "Share of the last 365 days' outcomes inside the 90% interval: it should stay near 0.9; a dip is a year "
    "in which the intervals were too narrow.",
    "peaks": "Each point is one of the 5% of days with the largest rises, with its 90% interval (cut off "
    "at the picture's edge): on the diagonal the median was right, below "
    "it the rise was under-forecast; such days are chosen by what came, so most lie below.",
    "misses": "The largest errors of the median, one day of each event, with what was known on that day: where rain or "
    "a river is missing or doubted, the forecast could not know.",
    "whole": "CRPS and pinball judge the whole distribution, in the level's unit (less is better); above 95% should be "
    "5%; events are the independent floods among the 5% largest rises: few of them, and their scores are anecdotes.",
    "years": "Coverage by year of the init date, with the number of days: about 80% and 90% would be right, and a year "
    "with few days says little.",
}
_BEYOND = (
    "On days outside experience (more rain, wetter, higher, lower or quicker than in the days learned from) the "
    "intervals are a lower bound of the uncertainty."
)
_METRICS = ("crps", "pinball", "coverage_80", "coverage_90", "width_90", "above_95", "events", "share_forecast",
            "outside_experience")  # fmt: skip


@dataclass(frozen=True)
class Pictures:
    """The diagnostics' charts; those without content are empty lists or None."""

    reliability: list[charts.Panel]
    ranks: list[charts.Panel]
    rolling: charts.AnyChart | None
    peaks: list[charts.Panel]

    def whole(self, heading: charts.Heading) -> dict[str, charts.AnyChart]:
        """Each picture in one piece, by the name of its file."""
        made = {
            name: charts.together(of, heading.title(title), 3)
            for name, of, title in (
                ("reliability", self.reliability, "reliability of the quantiles"),
                ("rank_histogram", self.ranks, "rank histogram"),
                ("peaks", self.peaks, "the 5% largest rises, forecast and observed"),
            )
            if of
        }
        return made | ({"rolling_coverage": self.rolling} if self.rolling is not None else {})


def pictures(made: Diagnostics, heading: charts.Heading) -> Pictures:
    """The charts of `made`, at the leads that tables show."""
    return Pictures(
        [_panel(lead, _reliability(rows), heading) for lead, rows in _by_lead(made.reliability)],
        [_panel(lead, _ranks(rows), heading) for lead, rows in _by_lead(made.rank_histogram)],
        _rolling(made.rolling_coverage, heading),
        [_panel(lead, _peaks(rows, heading), heading) for lead, rows in _by_lead(made.peaks)],
    )


def _by_lead(rows: pl.DataFrame) -> list[tuple[int, pl.DataFrame]]:
    shown = rows.filter(pl.col("lead_time").is_in(SHOWN_LEADS)).sort("lead_time", maintain_order=True)
    return [(int(str(lead)), of) for (lead,), of in shown.group_by("lead_time", maintain_order=True)]


def _panel(lead: int, chart: charts.AnyChart, heading: charts.Heading) -> charts.Panel:
    title = heading.panel(f"lead {lead} day{'' if lead == 1 else 's'}")
    return str(lead), chart.properties(width=charts.PANEL_WIDTH, height=charts.PANEL_HEIGHT + 30, title=title)


def _reliability(rows: pl.DataFrame) -> charts.AnyChart:
    import altair as alt

    named = rows.with_columns(pl.col("regime") + " days", pl.col("observed").round(4))
    share = alt.Scale(domain=[0, 1])
    x = alt.X("quantile:Q", title="probability forecast", scale=share)
    y = alt.Y("observed:Q", title="share at or below", scale=share)
    scale = alt.Scale(domain=list(REGIME_COLOURS), range=list(REGIME_COLOURS.values()))
    colour = alt.Color("regime:N", scale=scale, legend=alt.Legend(title=None))
    lines = alt.Chart(named).mark_line(point=True).encode(
        x=x, y=y, color=colour, tooltip=charts.tips("regime:N", "quantile:Q", "observed:Q", "n:Q")
    )  # fmt: skip
    return alt.layer(lines, _diagonal([0, 1], "quantile", "observed"))


def _diagonal(ends: Sequence[float], across: str, up: str) -> alt.Chart:
    import altair as alt

    points = pl.DataFrame({across: list(ends), up: list(ends)}, schema={across: pl.Float64, up: pl.Float64})
    line = alt.Chart(points).mark_line(color=charts.INK, strokeDash=[4, 4], strokeWidth=1)
    encoded: alt.Chart = line.encode(x=f"{across}:Q", y=f"{up}:Q")
    return encoded


def _ranks(rows: pl.DataFrame) -> charts.AnyChart:
    import altair as alt

    bins = pl.format("{}–{}%", *((100 * pl.col(end)).round(0).cast(pl.Int32) for end in ("low", "high")))
    named = rows.with_columns(
        pl.col("regime") + " days", bin=bins, multiple=(pl.col("observed") / pl.col("expected")).round(3)
    )
    scale = alt.Scale(domain=list(REGIME_COLOURS), range=list(REGIME_COLOURS.values()))
    order = named["bin"].unique(maintain_order=True).to_list()
    bars = alt.Chart(named).mark_bar().encode(
        x=alt.X("bin:N", sort=order, title="between the quantiles", axis=alt.Axis(labelAngle=-45)),
        xOffset=alt.XOffset("regime:N"),
        y=alt.Y("multiple:Q", title="outcomes, of those due"),
        color=alt.Color("regime:N", scale=scale, legend=alt.Legend(title=None)),
        tooltip=charts.tips("regime:N", "bin:N", "multiple:Q", "observed:Q", "n:Q"),
    )  # fmt: skip
    return alt.layer(bars, _rule(1.0))


def _rule(at: float) -> alt.Chart:
    import altair as alt

    rule = alt.Chart(pl.DataFrame({"right": [at]})).mark_rule(color=charts.INK, strokeDash=[4, 4])
    encoded: alt.Chart = rule.encode(y=alt.Y("right:Q"))
    return encoded


def _rolling(rows: pl.DataFrame, heading: charts.Heading) -> charts.AnyChart | None:
    import altair as alt

    thinned = [of.gather_every(_STEP_DAYS) for _, of in _by_lead(rows)]
    if not thinned:
        return None
    rounded = pl.col("coverage_90").round(4)
    shown = pl.concat(thinned).select("init_date", "n", rounded, lead=pl.format("{} d", "lead_time"))
    leads = shown["lead"].unique(maintain_order=True).to_list()
    scale = alt.Scale(domain=leads, range=[_LEAD_COLOURS[k % len(_LEAD_COLOURS)] for k in range(len(leads))])
    lines = alt.Chart(shown).mark_line(strokeWidth=1.6).encode(
        x=alt.X("init_date:T", title=None, axis=alt.Axis(format="%Y", tickCount="year")),
        y=alt.Y("coverage_90:Q", title="share inside 90%, last 365 days", scale=alt.Scale(zero=False)),
        color=alt.Color("lead:N", scale=scale, legend=alt.Legend(title="lead")),
        tooltip=charts.tips("init_date:T", "lead:N", "coverage_90:Q", "n:Q"),
    )  # fmt: skip
    title = heading.title("coverage of the 90% interval over the last 365 days")
    return alt.layer(lines, _rule(0.9)).properties(width=charts.WIDTH, height=220, title=title)


def _peaks(rows: pl.DataFrame, heading: charts.Heading) -> charts.AnyChart:
    import altair as alt

    rounded = rows.with_columns(pl.col("observed", "q05", "q50", "q95").fill_nan(None).round(4))
    ends = rounded.select(
        low=pl.min_horizontal("observed", "q50").min(), high=pl.max_horizontal("observed", "q50").max()
    ).row(0)
    unit = heading.axis.rsplit(", ", 1)[-1]
    base = alt.Chart(rounded).encode(x=alt.X("observed:Q", title=f"change that came, {unit}"))
    # The longest intervals would press all the rest together: they run out of the picture, the tooltip has their ends.
    y = alt.Y("q05:Q", title=f"change forecast, {unit}", scale=alt.Scale(domain=_with_room(*ends), nice=False))
    interval = base.mark_rule(color=charts.BAND_80, clip=True).encode(y=y, y2=alt.Y2("q95"))
    tips = charts.tips("init_date:T", "observed:Q", "q05:Q", "q50:Q", "q95:Q")
    median = base.mark_circle(color=charts.FORECAST, size=26, opacity=1).encode(y=alt.Y("q50:Q"), tooltip=tips)
    return alt.layer(interval, median, _diagonal(ends, "observed", "q50"))


def _with_room(low: float | None, high: float | None) -> list[float]:
    low, high = low or 0.0, high or 0.0
    room = 0.1 * (high - low) or 1.0
    return [low - room, high + room]


def section_of(report: Report, drawn: Pictures | None) -> Html:
    """The report's section on the diagnostics."""
    made = report.diagnostics
    if made is None or drawn is None or made.peaks.is_empty():
        said = "There are no scored days to judge the probabilities by."
        return section("diagnostics", report.dam, element("p", said))
    rolling = charted("chart-rolling", charts.for_page(drawn.rolling)) if drawn.rolling is not None else "–"
    return section(
        "diagnostics",
        report.dam,
        _titled("Scores of the whole distribution", "whole", _whole(report)),
        element("p", _BEYOND, css="small"),
        _titled("Reliability", "reliability", _drawn("chart-reliability", drawn.reliability)),
        _titled("Rank histogram", "ranks", _drawn("chart-ranks", drawn.ranks)),
        _titled("Coverage through the years", "rolling", rolling),
        element("details", element("summary", "Coverage by year"), element("p", _READ["years"]), _years(made)),
        _titled("The largest rises", "peaks", _drawn("chart-peaks", drawn.peaks)),
        _titled("Largest misses", "misses", _misses(made, report)),
    )


def _titled(title: str, read: str, content: object) -> Html:
    return joined((element("h3", title), element("p", _READ[read]), content))


def _drawn(name: str, drawn: Sequence[charts.Panel]) -> Html:
    return panels(name, [charts.for_page(chart) for _, chart in drawn])


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}%"


def _whole(report: Report) -> Html:
    words = Wording(report.dam)
    own = report.scores.filter(
        pl.col("model") == DEFAULT, pl.col("window") == "all", pl.col("regime").is_in(["all", "wet"]),
        pl.col("lead_time").is_in(SHOWN_LEADS),
    )  # fmt: skip
    cells = []
    for (regime, lead), rows in own.sort("regime", "lead_time").group_by("regime", "lead_time", maintain_order=True):
        at: Mapping[str, Any] = dict(rows.select("metric", "value").iter_rows())  # Any: numbers or nothing
        n = rows.filter(pl.col("metric") == "mae")["n"]
        errors = {m: words.error(at.get(m)) for m in ("crps", "pinball", "width_90")}
        shown = errors | {"events": number(at.get("events"), 0)}
        counted = f"{n[0]:,}" if len(n) else "–"
        cells.append((f"{regime} days", str(lead), counted, *(shown.get(m) or _percent(at.get(m)) for m in _METRICS)))
    headers = ("", "Lead, days", "Days", "CRPS", "Pinball", "In 80%", "In 90%", "Width 90%", "Above 95%", "Events",
               "Days with a forecast", "Outside experience")  # fmt: skip
    return table(headers, cells, caption=f"Errors and widths in {words.unit}")


def _years(made: Diagnostics) -> Html:
    shown = made.coverage_by_year.filter(pl.col("lead_time").is_in(SHOWN_LEADS))
    rows = [
        (str(r["year"]), str(r["lead_time"]), f"{r['n']:,}", _percent(r["coverage_80"]), _percent(r["coverage_90"]))
        for r in shown.iter_rows(named=True)
    ]
    return table(("Year", "Lead, days", "Days", "In 80%", "In 90%"), rows)


def _misses(made: Diagnostics, report: Report) -> Html:
    words, first = Wording(report.dam), made.largest_misses.filter(pl.col("lead_time").is_in(SHOWN_LEADS))
    fixed = ("init_date", "lead_time", "observed", "q05", "q50", "q95", "miss", "flags")
    known = [c for c in first.columns if c not in fixed]
    rows = [
        (
            day_text(r["init_date"]), str(r["lead_time"]), words.bare(r["observed"], signed=True),
            words.bare(r["q50"], signed=True), words.between(r["q05"], r["q95"], signed=True),
            *(number(r[c], 2) for c in known), escaped(r["flags"] or "–"),
        )
        for r in first.iter_rows(named=True)
    ]  # fmt: skip
    spaced = (c.replace("_", " ") for c in known)
    headers = ("Issued at the end of", "Lead, days", "Came", "Median", "90% interval", *spaced)
    return table((*headers, "Doubted or missing"), rows, caption=f"Changes in {words.unit}; rain and API in mm")
