"""Sentences on the forecasts and plans (forcings) that a forecast uses: their days and their issue times."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.local_time import zone
from forebay.features.forcings import newest_issues

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.forcing import Forcing


def forcing_notes(table: pl.DataFrame, dam: Dam, init_date: date) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sentences on the forcings that the forecast of `init_date` uses, and on those that it lacks.

    Parameters
    ----------
    table
        `tables.FORCINGS`.
    """
    leads = range(1, max(dam.hindcast.leads) + 1)
    issues = newest_issues(table, dam, pl.Series([init_date]), leads)
    used, lacking = [], []
    for forcing in dam.forcings:
        rows = issues.filter(pl.col("forcing") == forcing.id)
        if not rows.is_empty():
            used.append(_used(rows, forcing, dam))
        if len(rows) < len(leads):
            lacking.append(_lacking(rows, forcing, leads))
    return tuple(used), tuple(lacking)


def _used(rows: pl.DataFrame, forcing: Forcing, dam: Dam) -> str:
    """Issue times, total or mean, and days of one forcing."""
    newest, oldest = rows.select(pl.col("issue_time").max(), oldest=pl.col("issue_time").min()).row(0)
    issued = f"issued {_iso(newest, dam)}" + (f" (some days {_iso(oldest, dam)})" if oldest < newest else "")
    factor, offset = forcing.conversion()
    values = ((rows["value"] - offset) / factor).to_list()
    days: list[date] = rows["valid_date"].sort().to_list()
    statistic, value = ("total", sum(values)) if forcing.kind == "rain" else ("mean", sum(values) / len(values))
    return f"Used: {forcing.title}, {issued}: {statistic} {value:,.4g} {forcing.unit_title}, {days[0]} to {days[-1]}."


def _iso(instant: datetime, dam: Dam) -> str:
    """An instant by ISO 8601 with the dam's offset."""
    return instant.astimezone(zone(dam.time_zone)).isoformat(timespec="minutes")


def _lacking(rows: pl.DataFrame, forcing: Forcing, leads: range) -> str:
    """The days for which nothing was issued."""
    if rows.is_empty():
        return f"{forcing.title}: no issue covers the coming days; the models work without it."
    issued = set(rows["day"].to_list())
    missing = ", ".join(str(lead) for lead in leads if lead not in issued)
    return f"{forcing.title}: no issue covers day {missing}; lead times that need it work without it."
