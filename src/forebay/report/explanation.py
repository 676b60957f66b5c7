"""Section "Explanation of the forecast": the contribution of each input, as sentences and bars."""

from __future__ import annotations

from forebay.charts.explanation import contribution_sentences, explained_leads, explanation_panels, total_change
from forebay.charts.forecast_tables import Report
from forebay.report.content import Content, chart_heading, panel_figure


def is_explained(report: Report) -> bool:
    """Whether the forecast has an explanation."""
    return not report.forecast.explanation.is_empty()


def build(report: Report) -> Content:
    """Per lead time the total change and a sentence per contribution; figure `explanation`."""
    table, heading = report.forecast.explanation, chart_heading(report.dam)
    leads = [
        {
            "lead_time": lead,
            "change": total_change(table, lead),
            "sentences": contribution_sentences(table, report.dam, lead),
        }
        for lead in explained_leads(table)
    ]
    title = heading.title("contributions to the forecast")
    return Content({"leads": leads}, panel_figure("explanation", explanation_panels(table, heading), title, 3))
