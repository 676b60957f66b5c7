"""The table of a fleet, and its rows for the report: the best and the worst dams."""

from __future__ import annotations

import polars as pl

from forebay.charts.formats import format_count
from forebay.forecasts.issue import STALE_DAYS
from forebay.tables import Table

FLEET = Table(
    "fleet",
    {
        "dam": pl.String(),
        "name": pl.String(),
        "simulated": pl.Boolean(),
        "latitude": pl.Float64(),
        "longitude": pl.Float64(),
        "unit": pl.String(),
        "state": pl.String(),  # computed, unchanged, failed
        "init_date": pl.Date(),
        "level": pl.Float64(),  # dam's unit, as the next three; null of a hindcast
        "median": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "lead_time": pl.Int64(),  # of these three
        "age_days": pl.Int64(),  # of the level that the forecast starts from
        "current": pl.Boolean(),
        "issue_time": pl.Datetime("us", "UTC"),
        "not_fetched": pl.Int64(),  # gauges; null where nothing was fetched
        "alerts": pl.String(),
        "skill_lead": pl.Int64(),  # lead time of the scores
        "n": pl.Int64(),
        "mae": pl.Float64(),  # dam's unit
        "best_reference": pl.String(),
        "skill": pl.Float64(),  # against the best reference
        "coverage_90": pl.Float64(),
        "seconds": pl.Float64(),
        "cpu_s": pl.Float64(),
        "failure": pl.String(),
    },
    ("dam",),
)
"""A row per dam of a fleet: state, newest forecast, scores over all scored days, and cost."""

LISTED = 10
"""Dams in each of the tables of the best and the worst."""


def by_skill(fleet: pl.DataFrame) -> pl.DataFrame:
    """The dams with a skill, the highest first."""
    return fleet.filter(pl.col("skill").is_not_null()).sort("skill", "dam", descending=[True, False])


def best_and_worst(fleet: pl.DataFrame, count: int = LISTED) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The dams of highest skill, and those of lowest skill with the lowest first; none is in both."""
    ordered = by_skill(fleet)
    best = ordered.head(min(count, (ordered.height + 1) // 2))
    worst = ordered.tail(min(count, ordered.height - best.height)).reverse()
    return best, worst


def fleet_notes(fleet: pl.DataFrame) -> list[str]:
    """Sentences on what limits the forecasts of a fleet: stale levels, and gauges that were not fetched."""
    notes = []
    stale = fleet.filter(pl.col("current").not_())["dam"].to_list()
    if stale:
        forecasts = format_count(int(fleet["current"].count()), "forecast")
        notes.append(
            f"STALE, from a level more than {STALE_DAYS} days old: {len(stale)} of {forecasts} ({_names(stale)})."
        )
    missed = fleet.filter(pl.col("not_fetched") > 0)["dam"].to_list()
    if missed:
        fetched = format_count(int(fleet["not_fetched"].count()), "dam")
        notes.append(
            f"NOT FETCHED, so that older readings of a gauge are used: {len(missed)} of {fetched} ({_names(missed)})."
        )
    return notes


def _names(dams: list[str]) -> str:
    """The first of the dams, and how many more there are."""
    rest = f" and {len(dams) - LISTED} more" if len(dams) > LISTED else ""
    return f"{', '.join(dams[:LISTED])}{rest}"
