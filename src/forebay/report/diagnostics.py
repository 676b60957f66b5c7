"""What stands behind the scores, as charts and tables, each with a sentence on how to read it; computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from forebay.charts.diagnostics import DiagnosticCharts
from forebay.charts.forecast_tables import DEFAULT, SHOWN_LEADS, Report
from forebay.charts.formats import TargetFormat, format_day, format_number, format_percent
from forebay.charts.spec import page_spec
from forebay.report.page import Html, element, escaped, joined, table
from forebay.report.sections import charted, panels, section
from forebay.verify.diagnostics import Diagnostics

if TYPE_CHECKING:
    from forebay.charts.spec import Panel

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


def section_of(report: Report, drawn: DiagnosticCharts | None) -> Html:
    """The report's section on the diagnostics."""
    made = report.diagnostics
    if made is None or drawn is None or made.peaks.is_empty():
        said = "There are no scored days to judge the probabilities by."
        return section("diagnostics", report.dam, element("p", said))
    rolling = charted("chart-rolling", page_spec(drawn.rolling_coverage)) if drawn.rolling_coverage is not None else "–"
    return section(
        "diagnostics",
        report.dam,
        _titled("Scores of the whole distribution", "whole", _whole(report)),
        element("p", _BEYOND, css="small"),
        _titled("Reliability", "reliability", _drawn("chart-reliability", drawn.reliability)),
        _titled("Rank histogram", "ranks", _drawn("chart-ranks", drawn.rank_histogram)),
        _titled("Coverage through the years", "rolling", rolling),
        element("details", element("summary", "Coverage by year"), element("p", _READ["years"]), _years(made)),
        _titled("The largest rises", "peaks", _drawn("chart-peaks", drawn.peaks)),
        _titled("Largest misses", "misses", _misses(made, report)),
    )


def _titled(title: str, read: str, content: object) -> Html:
    return joined((element("h3", title), element("p", _READ[read]), content))


def _drawn(name: str, drawn: Sequence[Panel]) -> Html:
    return panels(name, [page_spec(chart) for _, chart in drawn])


def _whole(report: Report) -> Html:
    words = TargetFormat(report.dam)
    own = report.scores.filter(
        pl.col("model") == DEFAULT, pl.col("window") == "all", pl.col("regime").is_in(["all", "wet"]),
        pl.col("lead_time").is_in(SHOWN_LEADS),
    )  # fmt: skip
    cells = []
    for (regime, lead), rows in own.sort("regime", "lead_time").group_by("regime", "lead_time", maintain_order=True):
        at: Mapping[str, Any] = dict(rows.select("metric", "value").iter_rows())  # Any: numbers or nothing
        n = rows.filter(pl.col("metric") == "mae")["n"]
        errors = {m: words.error(at.get(m)) for m in ("crps", "pinball", "width_90")}
        shown = errors | {"events": format_number(at.get("events"), 0)}
        counted = f"{n[0]:,}" if len(n) else "–"
        metrics = (shown.get(m) or format_percent(at.get(m)) for m in _METRICS)
        cells.append((f"{regime} days", str(lead), counted, *metrics))
    headers = ("", "Lead, days", "Days", "CRPS", "Pinball", "In 80%", "In 90%", "Width 90%", "Above 95%", "Events",
               "Days with a forecast", "Outside experience")  # fmt: skip
    return table(headers, cells, caption=f"Errors and widths in {words.unit}")


def _years(made: Diagnostics) -> Html:
    shown = made.coverage_by_year.filter(pl.col("lead_time").is_in(SHOWN_LEADS))
    rows = [
        (
            str(r["year"]),
            str(r["lead_time"]),
            f"{r['n']:,}",
            format_percent(r["coverage_80"]),
            format_percent(r["coverage_90"]),
        )
        for r in shown.iter_rows(named=True)
    ]
    return table(("Year", "Lead, days", "Days", "In 80%", "In 90%"), rows)


def _misses(made: Diagnostics, report: Report) -> Html:
    words, first = TargetFormat(report.dam), made.largest_misses.filter(pl.col("lead_time").is_in(SHOWN_LEADS))
    fixed = ("init_date", "lead_time", "observed", "q05", "q50", "q95", "miss", "flags")
    known = [c for c in first.columns if c not in fixed]
    rows = [
        (
            format_day(r["init_date"]), str(r["lead_time"]), words.number(r["observed"], signed=True),
            words.number(r["q50"], signed=True), words.interval(r["q05"], r["q95"], signed=True),
            *(format_number(r[c], 2) for c in known), escaped(r["flags"] or "–"),
        )
        for r in first.iter_rows(named=True)
    ]  # fmt: skip
    spaced = (c.replace("_", " ") for c in known)
    headers = ("Issued at the end of", "Lead, days", "Came", "Median", "90% interval", *spaced)
    return table((*headers, "Doubted or missing"), rows, caption=f"Changes in {words.unit}; rain and API in mm")
