"""How often the observed level was inside the forecast's intervals: the last 365 days and the whole hindcast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from forebay.tables import DEFAULT_MODEL, summary_leads
from forebay.verify.recent import MIN_DAYS

if TYPE_CHECKING:
    from forebay.verify.diagnostics import Diagnostics

NARROW, TOO_NARROW, WIDE = 0.85, 0.80, 0.95
"""Shares inside the 90% interval below which it is narrow or too narrow, and above which it is wide."""
AS_STATED, SOMEWHAT_NARROW, MUCH_TOO_NARROW, TOO_WIDE, UNKNOWN = (
    "as stated", "somewhat too narrow", "too narrow", "wider than necessary", "too few outcomes"
)  # fmt: skip
_WORST_LAST = (UNKNOWN, AS_STATED, TOO_WIDE, SOMEWHAT_NARROW, MUCH_TOO_NARROW)


def interval_coverage(diagnostics: Diagnostics | None, recent_scores: pl.DataFrame) -> pl.DataFrame:
    """Share of outcomes inside the 90% interval, per lead time.

    Parameters
    ----------
    recent_scores
        `verify.tables.RECENT_SCORES`; those of the hindcast count.

    Returns
    -------
    DataFrame
        lead_time, recent, recent_n, whole, whole_n. A share of fewer than `MIN_DAYS` days is null.
    """
    if diagnostics is None or diagnostics.coverage_by_year.is_empty():
        return pl.DataFrame()
    years = diagnostics.coverage_by_year
    by_lead = years.filter(pl.col("lead_time").is_in(summary_leads(years["lead_time"])))
    n, inside = pl.col("n").sum(), (pl.col("n") * pl.col("coverage_90")).sum()
    whole = by_lead.group_by("lead_time").agg(whole=inside / n, whole_n=n).sort("lead_time")
    of_hindcast = recent_scores.filter(pl.col("source") == "hindcast")
    recent = of_hindcast.select("lead_time", recent="coverage_90", recent_n="n")
    table = whole.join(recent, on="lead_time", how="left").sort("lead_time")
    return table.with_columns(pl.when(pl.col("whole_n") >= MIN_DAYS).then("whole").alias("whole"))


def coverage_of_scores(scores: pl.DataFrame, recent_scores: pl.DataFrame) -> pl.DataFrame:
    """As `interval_coverage`, from `verify.tables.SCORES` of the hindcast without its diagnostics."""
    whole = regime_coverage(scores, "all") if not scores.is_empty() else pl.DataFrame()
    if whole.is_empty():
        return pl.DataFrame()
    of_hindcast = recent_scores.filter(pl.col("source") == "hindcast")
    recent = of_hindcast.select("lead_time", recent="coverage_90", recent_n="n")
    table = whole.rename({"share": "whole", "n": "whole_n"}).join(recent, on="lead_time", how="left")
    return table.sort("lead_time").select("lead_time", "recent", "recent_n", "whole", "whole_n")


def verdict(shares: list[float | None]) -> str:
    """Verdict on the 90% interval from the shares of outcomes inside it: that of the worst share.

    >>> verdict([0.91, 0.88]), verdict([0.91, 0.78]), verdict([None])
    ('as stated', 'too narrow', 'too few outcomes')
    """
    return max(map(_verdict, shares), key=_WORST_LAST.index, default=UNKNOWN)


def _verdict(share: float | None) -> str:
    if share is None:
        return UNKNOWN
    if share < TOO_NARROW:
        return MUCH_TOO_NARROW
    if share < NARROW:
        return SOMEWHAT_NARROW
    return TOO_WIDE if share > WIDE else AS_STATED


def regime_coverage(scores: pl.DataFrame, regime: str) -> pl.DataFrame:
    """lead_time, share, n: coverage of the 90% interval of `default` on all days of one regime; at least `MIN_DAYS`."""
    return scores.filter(
        pl.col("model") == DEFAULT_MODEL,
        pl.col("window") == "all",
        pl.col("regime") == regime,
        pl.col("metric") == "coverage_90",
        pl.col("n") >= MIN_DAYS,
        pl.col("lead_time").is_in(summary_leads(scores["lead_time"])),
    ).select("lead_time", share="value", n="n")
