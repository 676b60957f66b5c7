"""Contributions to a forecast: sentences and bar charts, both from `tables.EXPLANATION`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.encodings import colour_scale, tooltips
from forebay.charts.figures import Figure
from forebay.charts.formats import TargetFormat
from forebay.charts.style import FORECAST_COLOUR, FULL_SUPPLY_COLOUR, GREY, INK, PANEL_WIDTH, Heading
from forebay.models.model import BASELINE
from forebay.tables import summary_leads

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report
    from forebay.charts.spec import AnyChart
    from forebay.dams.dam import Dam

MAX_SENTENCES = 5
"""Number of contributions with a sentence of their own; the rest is summed."""
SMALL_SHARE = 0.05
"""Contributions below this share of the sum of their absolute values are part of the rest."""
TOTAL, INCREASE, DECREASE = "total", "increase", "decrease"
_LABELS = {
    BASELINE: "baseline",
    "rain": "rain and wetness",
    "level": "recent level changes",
    "season": "season",
    "full_supply": "distance to full supply",
    "missing": "missing inputs",
    "since_level": "since the last level",
    "limit": "limit of the possible",
    "inflow": "inflow",
    "release": "release",
}
_COLOURS = {INCREASE: FORECAST_COLOUR, DECREASE: FULL_SUPPLY_COLOUR, _LABELS[BASELINE]: GREY, TOTAL: INK}


def explanation_figure(report: Report) -> Figure | None:
    """Contributions to the forecast, a panel per lead time; None without an explanation."""
    panels = explanation_panels(report.forecast.explanation, report.heading)
    title = report.heading.title("contributions to the forecast")
    return Figure("explanation", panels, title, 3) if panels else None


def explained_leads(explanation: pl.DataFrame) -> list[int]:
    """Lead times of 1, 3 and 7 days as far as the table has them, otherwise its first three."""
    return summary_leads(explanation["lead_time"])


def total_change(explanation: pl.DataFrame, lead: int) -> float:
    """Forecast change at one lead time: the sum of all contributions."""
    return float(explanation.filter(pl.col("lead_time") == lead)["contribution"].sum())


def contribution_sentences(explanation: pl.DataFrame, dam: Dam, lead: int) -> list[str]:
    """A sentence per contribution at one lead time, the largest first: "+0.120 m: 38 mm yesterday".

    Small contributions are summed as "the rest".
    """
    target = TargetFormat(dam)
    rows = explanation.filter(pl.col("lead_time") == lead).sort(pl.col("contribution").abs(), descending=True)
    least = max(0.5 * 10**-target.decimals, SMALL_SHARE * float(rows["contribution"].abs().sum()))
    large = rows.filter(pl.col("contribution").abs() >= least).head(MAX_SENTENCES)
    sentences = [f"{target.quantity(row['contribution'], signed=True)}: {row['words']}" for row in large.to_dicts()]
    rest = float(rows["contribution"].sum()) - float(large["contribution"].sum())
    if len(large) < len(rows):
        sentences.append(f"{target.quantity(rest, signed=True)}: {'the rest' if sentences else TOTAL}")
    return sentences


def explanation_lines(explanation: pl.DataFrame, dam: Dam) -> list[str]:
    """A heading and a line per lead time for the terminal; no line without an explanation."""
    target = TargetFormat(dam)
    lines = [
        f"  {lead} d, {target.quantity(total_change(explanation, lead), signed=True)}, of which "
        + "; ".join(contribution_sentences(explanation, dam, lead))
        for lead in explained_leads(explanation)
    ]
    return ["Contributions to the forecast", *lines] if lines else []


def explanation_panels(explanation: pl.DataFrame, heading: Heading) -> tuple[AnyChart, ...]:
    """A small chart per lead time: a bar for the total and one per source, all in one order."""
    bars = _bars(explanation)
    share = pl.col("contribution").abs() / pl.col("contribution").abs().sum().over("lead_time").clip(1e-12)
    sizes = bars.with_columns(share=share).group_by("label").agg(pl.col("share").sum())
    ranked = sizes.filter(pl.col("label") != TOTAL).sort("share", "label", descending=[True, False])
    labels = [TOTAL, *ranked["label"]]
    return tuple(
        _panel(bars.filter(pl.col("lead_time") == lead), labels, heading) for lead in explained_leads(explanation)
    )


def _bars(explanation: pl.DataFrame) -> pl.DataFrame:
    """lead_time, label, series, contribution, words of every bar."""
    group, contribution = pl.col("group"), pl.col("contribution")
    own = pl.when(group == "weather").then("words").otherwise(group)  # the words name what the dam measures
    name = group.replace_strict(_LABELS, default=own, return_dtype=pl.String)
    sign = pl.when(contribution < 0).then(pl.lit(DECREASE)).otherwise(pl.lit(INCREASE))
    parts = explanation.filter(pl.col("lead_time").is_in(explained_leads(explanation))).select(
        "lead_time",
        pl.when(pl.col("gauge") != "").then("gauge").otherwise(name).alias("label"),
        pl.when(group == BASELINE).then(pl.lit(_LABELS[BASELINE])).otherwise(sign).alias("series"),
        "contribution",
        "words",
    )
    texts = {"label": TOTAL, "series": TOTAL, "words": "forecast change"}
    total = parts.group_by("lead_time", maintain_order=True).agg(contribution.sum())
    total = total.with_columns(pl.lit(text).alias(column) for column, text in texts.items())
    return pl.concat([parts, total.select(parts.columns)])


def _panel(bars: pl.DataFrame, labels: list[str], heading: Heading) -> AnyChart:
    import altair as alt

    axis = alt.Axis(tickCount=4, labelOverlap="greedy", labelSeparation=6)
    chart = (
        alt.Chart(bars.with_columns(pl.col("contribution").round(5)))
        .mark_bar(height=alt.RelativeBandSize(0.7))
        .encode(
            x=alt.X("contribution:Q", title=f"contribution, {heading.unit}", axis=axis),
            y=alt.Y("label:N", title=None, scale=alt.Scale(domain=labels)),
            color=alt.Color("series:N", title=None, scale=colour_scale(_COLOURS)),
            tooltip=tooltips("label:N", "contribution:Q", "words:N"),
        )
    )
    zero = alt.Chart(pl.DataFrame({"zero": [0.0]})).mark_rule(color=INK, strokeWidth=1).encode(x=alt.X("zero:Q"))
    title = heading.lead(int(bars["lead_time"][0]))
    return alt.layer(chart, zero).properties(width=PANEL_WIDTH, height=24 * len(labels), title=title)
