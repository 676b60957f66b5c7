"""`fleet.html`: a fleet's skill as a map, its best and worst dams, and each failure with its sentence.

The prose is in `report/templates/fleet.html`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.fleet import fleet_figures
from forebay.charts.fleet_tables import best_and_worst, fleet_notes
from forebay.charts.formats import format_level, format_name, format_number, format_percent, format_value
from forebay.log import step
from forebay.report.environment import render_page

if TYPE_CHECKING:
    from datetime import datetime

MOST_FORECASTS = 50
"""Dams in the table of forecasts; of a larger fleet it is in fleet.csv only, and the pages of the server."""


@dataclass(frozen=True)
class FleetPage:
    """Content of the page.

    Attributes
    ----------
    fleet
        `charts.fleet_tables.FLEET`.
    title
        The job with the numbers of dams by state.
    seconds, place
        How long the job took, and where it ran.
    """

    fleet: pl.DataFrame
    title: str
    seconds: float
    place: str
    now: datetime


@step("report")
def render_fleet(page: FleetPage) -> str:
    """HTML text of the page."""
    fleet = page.fleet
    best, worst = best_and_worst(fleet)
    skill = fleet["skill"].drop_nulls()
    values = {
        "page": page,
        "figures": fleet_figures(fleet),
        "best": _rows(best),
        "worst": _rows(worst),
        "notes": fleet_notes(fleet),
        "forecasts": _forecasts(fleet),
        "failures": fleet.filter(state="failed").select("dam", "failure").rows(),
        "alerts": fleet.filter(pl.col("alerts").fill_null("") != "").select("dam", "name", "alerts").rows(),
        "scored": len(skill),
        "median": format_number(skill.median(), 2),  # type: ignore[arg-type]  # of a column of numbers
        "worse": int((skill < 0).sum()),
        "simulated": int(fleet["simulated"].fill_null(False).sum()),
        "lead": fleet["skill_lead"].drop_nulls().mode().sort().first(),
        "cpu_s": fleet.filter(state="computed")["cpu_s"].drop_nulls().to_list(),
    }
    return render_page("fleet.html", values)


def _rows(dams: pl.DataFrame) -> list[tuple[str, ...]]:
    """Cells of a table of dams: id, name, best reference; skill, error, days, coverage."""
    return [
        (
            row["dam"],
            row["name"],
            format_name(row["best_reference"] or ""),
            format_number(row["skill"], 3),
            f"{format_value(row['mae'])} {row['unit']}",
            f"{row['n']:,}",
            format_percent(row["coverage_90"]),
        )
        for row in dams.iter_rows(named=True)
    ]


def _forecasts(fleet: pl.DataFrame) -> list[tuple[str, ...]]:
    """Cells of the newest forecasts: id, name, day, lead time; level, median, both ends of the interval, age."""
    rows = fleet.drop_nulls(["level", "median"])
    return [
        (
            row["dam"],
            row["name"],
            str(row["init_date"]),
            f"{row['lead_time']} d",
            *(f"{format_level(row[name], row['unit'])} {row['unit']}" for name in ("level", "median", "low", "high")),
            "–" if row["age_days"] is None else f"{row['age_days']:,} d",
        )
        for row in rows.iter_rows(named=True)
        if rows.height <= MOST_FORECASTS
    ]
