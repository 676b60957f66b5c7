"""The report's section on the contributions to the forecast."""

from __future__ import annotations

from collections.abc import Sequence

from forebay.charts.explanation import contribution_sentences, explained_leads, total_change
from forebay.charts.forecast_tables import Report
from forebay.charts.formats import TargetFormat
from forebay.charts.spec import Spec
from forebay.report import sections
from forebay.report.page import Html, element, joined


def section(report: Report, specs: Sequence[Spec]) -> Html:
    """What moved the forecast, in words and bars."""
    explanation, dam = report.forecast.explanation, report.dam
    if explanation.is_empty():
        return sections.section("explanation", dam, element("p", "Of this forecast it is not known what moved it."))
    words = TargetFormat(dam)
    parts = []
    for lead in explained_leads(explanation):
        total = words.quantity(total_change(explanation, lead), signed=True)
        items = (element("li", text) for text in contribution_sentences(explanation, dam, lead))
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
