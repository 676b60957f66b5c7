"""Which readings each gauge delivered, day by day: runs to draw and counts to print."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from forebay.dams.dam import Dam, Gauge
from forebay.tables import flag_of

FINE = "good"
"""The state of a day without a flag."""
DAY = timedelta(days=1)


def gauge_labels(dam: Dam) -> dict[str, str]:
    """A distinct name for people of every gauge, by its column of the daily frame."""
    names = {g.column: g.title if g.station in g.title else f"{g.title} · {g.station}" for g in dam.gauges}
    counted = list(names.values())
    return {column: name if counted.count(name) == 1 else column for column, name in names.items()}


def present_gauges(daily: pl.DataFrame, dam: Dam) -> list[Gauge]:
    """The dam's gauges that have a column in the daily frame, in the dam file's order."""
    return [g for g in dam.gauges if g.column in daily.columns]


def coverage_spells(daily: pl.DataFrame, dam: Dam, most: int = 3000) -> tuple[pl.DataFrame, int]:
    """Runs of days on which a gauge's readings were in one state, and how many days one step of them stands for.

    Parameters
    ----------
    most
        Runs that the picture may hold. Where there are more, days are put together by 2, 4, 8 …; such a step has the
        state that is most frequent among its flagged days, so that no flagged day disappears.

    Returns
    -------
    spells
        gauge, state, start, end (the day after its last), days. State "good" is a day without a flag.
    step_days
        1, or how many days were put together.
    """
    labels = gauge_labels(dam)
    frames = [
        daily.sort("date").select(
            pl.lit(labels[g.column]).alias("gauge"), "date", state=pl.col(flag_of(g.column)).fill_null(FINE)
        )
        for g in present_gauges(daily, dam)
    ]
    step = 1
    while True:
        spells = pl.concat([_runs(frame, step) for frame in frames])
        if len(spells) <= most or step >= 512:
            return spells, step
        step *= 2


def _runs(states: pl.DataFrame, step: int) -> pl.DataFrame:
    if step > 1:
        flagged = pl.col("state").filter(pl.col("state") != FINE)
        commonest = flagged.mode().sort().first()
        states = (
            states.group_by(pl.col("date").dt.truncate(f"{step}d"), maintain_order=True)
            .agg(pl.col("gauge").first(), state=commonest.fill_null(FINE), last=pl.col("date").last())
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
    """gauge, days, with_value, and one column per flag: how many days of the daily frame each gauge has of each."""
    labels = gauge_labels(dam)
    rows = []
    for gauge in present_gauges(daily, dam):
        flags = daily[flag_of(gauge.column)].fill_null(FINE).value_counts().iter_rows()
        has_value = int(daily[gauge.column].is_not_null().sum())
        rows.append({"gauge": labels[gauge.column], "days": len(daily), "with_value": has_value} | dict(flags))
    counts = pl.DataFrame(rows, infer_schema_length=None)
    states = [c for c in counts.columns[3:] if c != FINE]
    good = [FINE] if FINE in counts.columns else []
    return counts.select("gauge", "days", "with_value", *good, *sorted(states)).fill_null(0)
