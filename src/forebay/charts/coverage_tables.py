"""Tables of the data coverage: the state of every gauge's readings, in spells and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.forecast_tables import DAY
from forebay.days.labels import gauge_labels
from forebay.tables import flag_of

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge

GOOD = "good"
"""State of a day without a flag."""
MAX_STEP_DAYS = 512


def gauges_in(daily: pl.DataFrame, dam: Dam) -> list[Gauge]:
    """The dam's gauges that have a column in the daily table, in the dam file's order."""
    return [gauge for gauge in dam.gauges if gauge.column in daily.columns]


def coverage_spells(daily: pl.DataFrame, dam: Dam, max_spells: int = 3000) -> tuple[pl.DataFrame, int]:
    """Spells of days on which a gauge's readings are in one state, and the number of days in one step of them.

    Parameters
    ----------
    max_spells
        Spells that the chart may have. If there are more, 2, 4, 8 … days are combined in one step. A step has the
        state that is most frequent among its flagged days, so that no flagged day disappears.

    Returns
    -------
    spells
        gauge, state, start, end (the day after its last), days. State "good" is a day without a flag.
    step_days
        1, or the number of combined days.
    """
    labels = gauge_labels(dam)
    tables = [
        daily.sort("date").select(
            pl.lit(labels[g.column]).alias("gauge"), "date", state=pl.col(flag_of(g.column)).fill_null(GOOD)
        )
        for g in gauges_in(daily, dam)
    ]
    step_days = 1
    while True:
        spells = pl.concat([_spells(states, step_days) for states in tables])
        if len(spells) <= max_spells or step_days >= MAX_STEP_DAYS:
            return spells, step_days
        step_days *= 2


def _spells(states: pl.DataFrame, step_days: int) -> pl.DataFrame:
    if step_days > 1:
        flagged = pl.col("state").filter(pl.col("state") != GOOD)
        most_frequent = flagged.mode().sort().first()
        states = states.group_by(pl.col("date").dt.truncate(f"{step_days}d"), maintain_order=True).agg(
            pl.col("gauge").first(), state=most_frequent.fill_null(GOOD), last=pl.col("date").last()
        )
    else:
        states = states.with_columns(last=pl.col("date"))
    return (
        states.group_by(pl.col("state").rle_id().alias("run"), maintain_order=True)
        .agg(pl.col("gauge").first(), pl.col("state").first(), start=pl.col("date").first(), end=pl.col("last").last())
        .with_columns(pl.col("end") + DAY)
        .select("gauge", "state", "start", "end", days=(pl.col("end") - pl.col("start")).dt.total_days())
    )


def coverage_counts(daily: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """gauge, days, with_value, and a column per state: the number of days that each gauge has of it."""
    labels = gauge_labels(dam)
    rows = []
    for gauge in gauges_in(daily, dam):
        states = daily[flag_of(gauge.column)].fill_null(GOOD).value_counts().iter_rows()
        values = int(daily[gauge.column].is_not_null().sum())
        rows.append({"gauge": labels[gauge.column], "days": len(daily), "with_value": values} | dict(states))
    counts = pl.DataFrame(rows, infer_schema_length=None)
    flags = [column for column in counts.columns[3:] if column != GOOD]
    good = [GOOD] if GOOD in counts.columns else []
    return counts.select("gauge", "days", "with_value", *good, *sorted(flags)).fill_null(0)
