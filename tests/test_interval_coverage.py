"""`forebay.charts.interval_coverage`: the share of outcomes inside the 90% interval, and the verdict on it."""

from datetime import timedelta

import polars as pl
import pytest

from forebay.charts.interval_coverage import interval_coverage, regime_coverage, verdict
from forebay.verify.tables import RECENT_SCORES
from tests.report_examples import diagnosed_report


def test_shares_equal_those_of_the_hindcast() -> None:
    """By hand: the outcomes inside [q05, q95] among all scored days, from forecasts and daily table."""
    report = diagnosed_report()
    assert report.diagnostics is not None
    level = report.daily.select(valid_date="date", observed="reservoir_level")
    default = report.hindcast.filter(pl.col("model") == "default", pl.col("lead_time") == 1)
    keys = ["init_date", "valid_date"]
    low, high = (default.filter(pl.col("quantile") == q).select(*keys, b="level") for q in (0.05, 0.95))
    wide = low.join(high, on=keys).join(level, on="valid_date").drop_nulls()
    inside = wide["observed"].is_between(wide["b"], wide["b_right"])
    issued = report.recent_scores.with_columns(source=pl.lit("issued"), coverage_90=pl.lit(0.123))
    both = pl.concat([report.recent_scores.filter(source="hindcast"), issued])
    row = interval_coverage(report.diagnostics, both).row(0, named=True)
    assert (row["lead_time"], row["whole_n"]) == (1, len(wide))
    assert row["whole"] == pytest.approx(inside.mean())
    assert row["recent_n"] <= 365 < row["whole_n"]
    last_year = wide["valid_date"] > report.forecast.init_date - timedelta(days=365)
    assert (row["recent"], row["recent_n"]) == (pytest.approx(inside.filter(last_year).mean()), last_year.sum())


def test_shares_of_fewer_than_30_days_are_not_shown() -> None:
    diagnostics = diagnosed_report().diagnostics
    assert diagnostics is not None
    for n, is_known in ((29, False), (30, True)):
        years = diagnostics.coverage_by_year.group_by("lead_time").first().with_columns(n=pl.lit(n, pl.Int64))
        few = type(diagnostics)(**{**diagnostics.by_name(), "coverage_by_year": years})
        assert interval_coverage(few, RECENT_SCORES.empty())["whole"].is_not_null().all() == is_known
    assert interval_coverage(None, diagnosed_report().recent_scores).is_empty()


@pytest.mark.parametrize(
    ("shares", "text"),
    [
        ([0.85, 0.95], "as stated"),
        ([0.9, 0.96], "wider than necessary"),
        ([0.96, 0.84], "somewhat too narrow"),
        ([0.84, 0.79, None], "too narrow"),
        ([None, 0.9], "as stated"),
        ([None], "too few outcomes"),
        ([], "too few outcomes"),
    ],
)
def test_the_verdict_is_that_of_the_worst_share(shares: list[float | None], text: str) -> None:
    assert verdict(shares) == text


def test_the_coverage_of_a_regime_needs_30_days() -> None:
    scores = diagnosed_report().scores
    assert regime_coverage(scores, "wet").rows() == [(1, 0.89, 60), (3, 0.89, 60), (7, 0.89, 60)]
    assert regime_coverage(scores.with_columns(n=pl.lit(29, pl.Int64)), "wet").is_empty()
