"""Section "Outlook": probabilities of reaching thresholds, and how good earlier ones were."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.outlook_tables import OutlookRow, event_title, main_row, outlook_rows, skill_sentence
from forebay.tables import summary_leads

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report
    from forebay.forecasts.outlook import Outlook


def has_outlook(report: Report) -> bool:
    """Whether the report has probabilities of thresholds, or a note on why it has none."""
    return report.outlook is not None


def build(report: Report) -> Mapping[str, object]:
    """Rows of the probabilities, of the scores and of the reliability, and the notes."""
    outlook = report.outlook
    assert outlook is not None, "the section's condition is `has_outlook`"
    rows = outlook_rows(outlook, report.dam)
    main = main_row(rows)
    return {
        **build_headline(report),
        "headings": [f"{day:%a %Y-%m-%d}" for day in _days(outlook)],
        "score_rows": _score_rows(outlook.scores),
        "bins": [] if main is None else _bins(outlook.reliability, main),
    }


def build_headline(report: Report) -> Mapping[str, object]:
    """The part of the section that the first screen has too: rows, lead times, days, skill and notes."""
    outlook = report.outlook
    if outlook is None:
        return {"rows": [], "leads": [], "notes": ()}
    rows = outlook_rows(outlook, report.dam)
    leads = summary_leads(outlook.probabilities["lead_time"])
    main = main_row(rows)
    days = dict(outlook.probabilities.select("lead_time", "valid_date").iter_rows())
    skill = None
    if main is not None and leads and outlook.is_scored:
        skill = skill_sentence(outlook.scores, main.threshold, main.direction, leads[-1])
    return {"rows": rows, "leads": leads, "days": days, "main": main, "skill": skill, "notes": outlook.notes}


def _days(outlook: Outlook) -> list[date]:
    """Valid dates of the lead times in `summary_leads`."""
    leads = summary_leads(outlook.probabilities["lead_time"])
    days = dict(outlook.probabilities.select("lead_time", "valid_date").iter_rows())
    return [days[lead] for lead in leads]


def _score_rows(scores: pl.DataFrame) -> list[dict[str, object]]:
    """Rows of the scores of window `all`, with `event`; thresholds without a scored day are left out."""
    rows = scores.filter(pl.col("window") == "all", pl.col("n") > 0, pl.col("kind") == "by")
    return [
        {**row, "event": event_title(row["threshold"], row["direction"])} for row in rows.to_dicts()
    ]


def _bins(reliability: pl.DataFrame, main: OutlookRow) -> list[dict[str, object]]:
    return reliability.filter(
        pl.col("threshold") == main.threshold, pl.col("direction") == main.direction
    ).to_dicts()
