"""Section "Explanation of the forecast": the contribution of each input, as sentences and bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from forebay.charts.explanation import contribution_sentences, explained_leads, total_change

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report


def is_explained(report: Report) -> bool:
    """Whether the forecast has an explanation."""
    return not report.forecast.explanation.is_empty()


def build(report: Report) -> Mapping[str, object]:
    """Per lead time the total change and a sentence per contribution."""
    table = report.forecast.explanation
    leads = [
        {
            "lead_time": lead,
            "change": total_change(table, lead),
            "sentences": contribution_sentences(table, report.dam, lead),
        }
        for lead in explained_leads(table)
    ]
    return {"leads": leads}
