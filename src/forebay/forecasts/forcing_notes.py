"""What was forecast or planned for the days of a forecast, in sentences: of which days, and when it was issued."""

from __future__ import annotations

from datetime import date

import polars as pl

from forebay.dams.dam import Dam
from forebay.dams.forcing import Forcing
from forebay.dams.local_time import to_local
from forebay.features.forcings import newest_issues


def forcing_notes(table: pl.DataFrame, dam: Dam, init_date: date) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sentences on the forcings that the forecast of `init_date` used, and on those that it lacks.

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
    last, oldest = rows.select(to_local(pl.col("issue_time").max(), dam.time_zone).alias("last"),
                               to_local(pl.col("issue_time").min(), dam.time_zone).alias("oldest")).row(0)  # fmt: skip
    when = f"issued {last:%Y-%m-%d %H:%M}" + (f" (some days {oldest:%Y-%m-%d %H:%M})" if oldest < last else "")
    factor, offset = forcing.variable.conversion(forcing.unit)
    values = ((rows["value"] - offset) / factor).to_list()
    days: list[date] = rows["valid_date"].sort().to_list()
    much, how = (sum(values), "altogether") if forcing.kind == "rain" else (sum(values) / len(values), "on average")
    return f"Used: {forcing.title}, {when}: {much:,.4g} {forcing.unit} {how}, {days[0]} to {days[-1]}."


def _lacking(rows: pl.DataFrame, forcing: Forcing, leads: range) -> str:
    if rows.is_empty():
        return f"{forcing.title}: nothing had been issued for the days to come; the models do without it."
    there = set(rows["day"].to_list())
    missing = ", ".join(str(lead) for lead in leads if lead not in there)
    return f"{forcing.title}: nothing had been issued for day {missing}; leads that need it do without it."
