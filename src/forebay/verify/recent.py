"""How forecasts did in the last 365 days, or the last 7: their errors, and how often their intervals held."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from forebay.tables import DEFAULT_MODEL, summary_leads
from forebay.verify.tables import RECENT_SCORES

RECENT_DAYS = 365
LAST_DAYS = 7
"""Days of the last week, whose scores have their count beside them."""
MIN_DAYS = 30
"""Scores of fewer days of the last `RECENT_DAYS` are null."""


def recent_scores(
    forecasts: pl.DataFrame, levels: pl.DataFrame, until: date, *, source: str, days: int = RECENT_DAYS
) -> pl.DataFrame:
    """`verify.tables.RECENT_SCORES`: scores of the forecasts with a valid date in the last `days` days.

    Parameters
    ----------
    forecasts
        `tables.FORECASTS`; those of `default` count, from init dates before `until`.
    levels
        date, level: the observed level of each day, null where unknown.
    until
        Last day of the span.
    source
        "hindcast" or "issued".
    days
        Length of the span. In one of `MIN_DAYS` or fewer days, every day counts.
    """
    first = until - timedelta(days=days - 1)
    rows = forecasts.filter(
        pl.col("model") == DEFAULT_MODEL,
        pl.col("valid_date").is_between(first, until),
        pl.col("init_date") < until,
        pl.col("lead_time").is_in(summary_leads(forecasts["lead_time"])),
    ).join(levels.select(valid_date="date", observed="level"), on="valid_date")
    keys = ["init_date", "lead_time", "valid_date", "observed"]
    by_day = rows.drop_nulls("observed").group_by(keys).agg(
        *(pl.col("level").filter(pl.col("quantile") == quantile).first().alias(f"q{round(100 * quantile)}")
          for quantile in (0.05, 0.1, 0.5, 0.9, 0.95))
    )  # fmt: skip
    scores = by_day.drop_nulls("q50").group_by("lead_time").agg(
        n=pl.len().cast(pl.Int64),
        first=pl.col("valid_date").min(),
        last=pl.col("valid_date").max(),
        mae=(pl.col("observed") - pl.col("q50")).abs().mean(),
        coverage_80=pl.col("observed").is_between("q10", "q90").mean(),
        coverage_90=pl.col("observed").is_between("q5", "q95").mean(),
    )
    is_enough = pl.col("n") >= (MIN_DAYS if days > MIN_DAYS else 1)
    stated = scores.with_columns(pl.when(is_enough).then(n).alias(n) for n in ("mae", "coverage_80", "coverage_90"))
    return RECENT_SCORES.check(stated.with_columns(pl.lit(source).alias("source")).sort("lead_time"), unique=True)
