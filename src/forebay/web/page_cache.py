"""The content of the page of a dam, which is computed once for each state of the archive."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl

from forebay.errors import DataError
from forebay.jobs.record import forecasts_of, issued_contents, last_issued
from forebay.web.page_content import past_rows
from forebay.web.page_render import render_sections
from forebay.web.page_report import DamTables, read_tables, reliability_of, report_of

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report
    from forebay.web.dam_state import DamState
    from forebay.web.site import Site

PAST_FORECASTS = 14
"""Issued forecasts in the table of a dam's page."""


@dataclass(frozen=True)
class DamContent:
    """What the page of a dam has besides ages.

    Attributes
    ----------
    tables
        None without a reading.
    report
        None without an issued forecast; its ages count from the time at which it was read.
    past
        As `page_content.past_rows` returns them.
    sections
        name, title, html of each section.
    """

    tables: DamTables | None
    report: Report | None
    past: pl.DataFrame = field(repr=False)
    sections: list[dict[str, object]] = field(repr=False)


def read_content(state: DamState, site: Site) -> DamContent:
    """The content of the page of a dam, from what the archive has now."""
    now = datetime.now(UTC)
    init_date = None if state.record is None else date.fromisoformat(state.record["init_date"])
    tables = read_tables(state.dam, site.archive, now, init_date)
    past = past_of(state, site)
    report = None if tables is None else report_of(state, tables, now)
    sections = [] if report is None else render_sections(report, past.to_dicts(), reliability_of(state))
    return DamContent(tables, report, past, sections)


def past_of(state: DamState, site: Site) -> pl.DataFrame:
    """`page_content.past_rows` of the last issued forecasts of a dam; without rows if a record was changed."""
    index = last_issued(site.archive.records.index(state.dam.id)).tail(PAST_FORECASTS)
    if index.is_empty():
        return past_rows(forecasts_of(()), state.levels)
    contents = issued_contents(site.archive, state.dam.id, (index["init_date"][0], None))
    try:
        return past_rows(forecasts_of([content for content, _ in contents]), state.levels)
    except DataError:  # the page has a note on the newest record, and `records/verify` names every fault
        return past_rows(forecasts_of(()), state.levels)
