"""What moved the forecast: sentences, a bar chart, and the report's section."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from forebay.charts import forecast_charts as charts
from forebay.charts.forecast_tables import SHOWN_LEADS, Report
from forebay.dams.dam import Dam
from forebay.models.model import BASELINE
from forebay.report import sections
from forebay.report.page import Html, element, joined

LARGEST = 5
"""So many causes are told one by one, the others as the rest."""
SMALL_SHARE = 0.05
"""Causes below this share of all that moved the forecast are told as the rest."""
_LABELS = {
    BASELINE: "a usual day",
    "rain": "rain and wetness",
    "level": "its own course so far",
    "season": "season",
    "weather": "warmth, evaporation, snow",
    "full_supply": "distance to full supply",
    "missing": "what is missing",
    "since_level": "since the last level",
    "inflow": "inflow",
    "release": "release",
}


TOGETHER, RAISES, LOWERS = "all together", "raises it", "lowers it"
_COLOURS = {RAISES: charts.FORECAST, LOWERS: charts.FULL, _LABELS[BASELINE]: "#9aa3ab", TOGETHER: charts.INK}


def shown_leads(explanation: pl.DataFrame) -> list[int]:
    """The leads that are told: 1, 3, 7 days as far as they are there, else the first."""
    there = explanation["lead_time"].unique().sort().to_list()
    return [lead for lead in there if lead in SHOWN_LEADS] or there[:1]


def causes(explanation: pl.DataFrame, dam: Dam, lead: int) -> list[str]:
    """A sentence per cause at one lead, the largest first, small ones summed: "+0.120 m: 38 mm yesterday"."""
    words = sections.Wording(dam)
    rows = explanation.filter(pl.col("lead_time") == lead).sort(pl.col("contribution").abs(), descending=True)
    least = max(0.5 * 10**-words.decimals, SMALL_SHARE * float(rows["contribution"].abs().sum()))
    large = rows.filter(pl.col("contribution").abs() >= least).head(LARGEST)
    said = [f"{words.bare(row['contribution'], signed=True)} {words.unit}: {row['words']}" for row in large.to_dicts()]
    rest = float(rows["contribution"].sum()) - float(large["contribution"].sum())
    if len(large) < len(rows):
        said.append(f"{words.bare(rest, signed=True)} {words.unit}: {'the rest' if said else 'all together'}")
    return said


def told(explanation: pl.DataFrame, dam: Dam) -> list[str]:
    """A line per shown lead for the terminal."""
    words = sections.Wording(dam)
    lines = [
        f"  {lead} d, {words.bare(_total(explanation, lead), signed=True)} {words.unit}, of which "
        + "; ".join(causes(explanation, dam, lead))
        for lead in shown_leads(explanation)
    ]
    return ["What moved it", *lines] if lines else []


def _total(explanation: pl.DataFrame, lead: int) -> float:
    return float(explanation.filter(pl.col("lead_time") == lead)["contribution"].sum())


def panels(explanation: pl.DataFrame, heading: charts.Heading) -> list[charts.Panel]:
    """A bar for the sum and one per source, a small chart per shown lead, all in one order."""
    bars = _bars(explanation)
    share = pl.col("contribution").abs() / pl.col("contribution").abs().sum().over("lead_time").clip(1e-12)
    sizes = bars.with_columns(share=share).group_by("label").agg(pl.col("share").sum())
    ranked = sizes.filter(pl.col("label") != TOGETHER).sort("share", "label", descending=[True, False])
    labels = [TOGETHER, *ranked["label"]]
    return [
        (str(lead), _panel(bars.filter(pl.col("lead_time") == lead), labels, heading))
        for lead in shown_leads(explanation)
    ]


def _bars(explanation: pl.DataFrame) -> pl.DataFrame:
    """lead_time, label, series, contribution, words of each bar of the shown leads."""
    group, part = pl.col("group"), pl.col("contribution")
    name = group.replace_strict(_LABELS, default=group, return_dtype=pl.String)
    sign = pl.when(part < 0).then(pl.lit(LOWERS)).otherwise(pl.lit(RAISES))
    each = explanation.filter(pl.col("lead_time").is_in(shown_leads(explanation))).select(
        "lead_time",
        pl.when(pl.col("gauge") != "").then("gauge").otherwise(name).alias("label"),
        pl.when(group == BASELINE).then(pl.lit(_LABELS[BASELINE])).otherwise(sign).alias("series"),
        "contribution",
        "words",
    )
    said = {"label": TOGETHER, "series": TOGETHER, "words": "the change forecast"}
    total = each.group_by("lead_time", maintain_order=True).agg(part.sum())
    total = total.with_columns(pl.lit(text).alias(column) for column, text in said.items())
    return pl.concat([each, total.select(each.columns)])


def _panel(bars: pl.DataFrame, labels: list[str], heading: charts.Heading) -> charts.AnyChart:
    import altair as alt

    lead, unit = bars["lead_time"][0], heading.axis.rpartition(", ")[2]
    scale = alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values()))
    chart = (
        alt.Chart(bars.with_columns(pl.col("contribution").round(5)))
        .mark_bar(height=alt.RelativeBandSize(0.7))
        .encode(
            x=alt.X("contribution:Q", title=f"part of the change, {unit}", axis=alt.Axis(tickCount=4)),
            y=alt.Y("label:N", title=None, scale=alt.Scale(domain=labels)),
            color=alt.Color("series:N", scale=scale, legend=alt.Legend(title=None, symbolType="square")),
            tooltip=charts.tips("label:N", "contribution:Q", "words:N"),
        )
    )
    zero = alt.Chart(pl.DataFrame({"zero": [0.0]})).mark_rule(color=charts.INK, strokeWidth=1).encode(x=alt.X("zero:Q"))
    title = heading.panel(f"lead {lead} day{'s' if lead > 1 else ''}")
    return alt.layer(chart, zero).properties(width=charts.PANEL_WIDTH, height=24 * len(labels), title=title)


def section(report: Report, specs: Sequence[charts.Spec]) -> Html:
    """What moved the forecast, in words and bars."""
    explanation, dam = report.explanation, report.dam
    if explanation.is_empty():
        return sections.section("explanation", dam, element("p", "Of this forecast it is not known what moved it."))
    words = sections.Wording(dam)
    parts = []
    for lead in shown_leads(explanation):
        total = f"{words.bare(_total(explanation, lead), signed=True)} {words.unit}"
        items = (element("li", text) for text in causes(explanation, dam, lead))
        parts.append(
            element("div", element("h3", f"In {lead} day{'s' if lead > 1 else ''}: {total}"), element("ul", *items))
        )
    how = (
        "Each number is what one cause added to the forecast median, against what a usual day brings; together they "
        "are the change forecast. It tells what the models went by, not what the lake obeys: causes that come "
        "together, such as rain and a rising river, share their effect."
    )
    return sections.section(
        "explanation",
        dam,
        element("div", joined(parts), css="panels"),
        sections.panels("chart-explanation", specs),
        element("p", how, css="small"),
    )
