"""The table of a fleet, and its rows for the report: the best and the worst dams."""

from __future__ import annotations

import polars as pl

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
        "current": pl.Boolean(),
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
