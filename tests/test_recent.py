"""The last 365 days: errors and intervals of the hindcast and of issued forecasts, in all outputs."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from math import isnan

import polars as pl
import pytest

from forebay.cli.terminal import recent_lines
from forebay.jobs.forecast_files import report_content
from forebay.tables import FORECASTS, QUANTILES
from forebay.verify.recent import MIN_DAYS, recent_scores
from forebay.verify.tables import RECENT_SCORES
from tests import synthetic
from tests.report_examples import diagnosed_report, section_rows
from tests.test_jobs_forecast import Job, in_metres

__all__ = ["in_metres"]  # the fixture of the job
UNTIL = date(2021, 6, 30)


def forecasts(days: int, *, error: float, model: str = "default") -> pl.DataFrame:
    """Forecasts of a level of 10 m for the `days` days up to `UNTIL`: the median is off by `error`."""
    rows = []
    for back in range(days):
        for lead in (1, 3, 7):
            valid = UNTIL - timedelta(days=back)
            for quantile in QUANTILES:
                rows.append((valid - timedelta(days=lead), lead, valid, quantile, 10 + error + (quantile - 0.5)))
    table = pl.DataFrame(rows, schema=["init_date", "lead_time", "valid_date", "quantile", "level"], orient="row")
    return FORECASTS.check(table.with_columns(
        pl.lit("d").alias("dam"), pl.lit(model).alias("model"), pl.col("lead_time").cast(pl.Int32),
        pl.col("init_date").cast(pl.Datetime("us", "UTC")).alias("init_time"), change=pl.lit(0.0),
        level_date="init_date",
    ))  # fmt: skip


def levels(days: int = 800, value: float = 10.0) -> pl.DataFrame:
    dates = [UNTIL - timedelta(days=back) for back in range(days)]
    return pl.DataFrame({"date": dates, "level": [value] * days})


@pytest.mark.parametrize(("error", "inside_80", "inside_90"), [(0.1, 1.0, 1.0), (-0.42, 0.0, 1.0), (0.5, 0.0, 0.0)])
def test_error_and_intervals(error: float, inside_80: float, inside_90: float) -> None:
    """The 80% interval is the median ± .4 m, the 90% interval ± .45 m."""
    table = pl.concat([forecasts(500, error=3.0, model="no_change"), forecasts(500, error=error)])
    scores = recent_scores(table, levels(), UNTIL, source="hindcast")
    assert scores["lead_time"].to_list() == [1, 3, 7]
    assert scores["n"].to_list() == [365] * 3
    assert scores["first"].unique().to_list() == [UNTIL - timedelta(days=364)]
    assert scores["last"].unique().to_list() == [UNTIL]
    assert scores["mae"].to_list() == pytest.approx([abs(error)] * 3)
    assert scores["coverage_80"].to_list() == [inside_80] * 3
    assert scores["coverage_90"].to_list() == [inside_90] * 3


def test_few_days_and_missing_levels() -> None:
    table = forecasts(MIN_DAYS + 5, error=0.1)
    is_known = pl.col("date") <= UNTIL - timedelta(days=6)
    known = levels().with_columns(level=pl.when(is_known).then("level"))
    scores = recent_scores(table, known, UNTIL, source="issued")
    assert scores["n"].to_list() == [MIN_DAYS - 1] * 3
    assert scores["mae"].null_count() == scores["coverage_80"].null_count() == scores["coverage_90"].null_count() == 3
    assert recent_lines(scores, synthetic.dam()) == []
    assert recent_scores(FORECASTS.empty(), levels(), UNTIL, source="issued").is_empty()


def test_a_forecast_of_today_is_not_scored_yet() -> None:
    table = forecasts(40, error=0.1).with_columns(init_date=pl.lit(UNTIL))
    assert recent_scores(table, levels(), UNTIL, source="hindcast").is_empty()


def test_the_job_has_the_hindcast_and_then_issued_forecasts_too(in_metres: Job) -> None:
    result = in_metres[0]
    only = result.recent_scores
    RECENT_SCORES.check(only, unique=True)
    assert only["source"].unique().to_list() == ["hindcast"] and (only["n"] > 300).all()
    hindcast = result.verification.forecasts.filter(pl.col("model") == "default")
    row = only.row(0, named=True)
    medians = hindcast.filter(
        pl.col("lead_time") == row["lead_time"], pl.col("quantile") == 0.5,
        pl.col("valid_date").is_between(row["first"], row["last"]),
    )  # fmt: skip
    samples = result.verification.samples
    observed = dict(zip(pl.Series(samples.dates).cast(pl.Date), samples.observed.tolist(), strict=True))
    errors = [abs(level - observed[day]) for day, level in medians.select("valid_date", "level").iter_rows()]
    known = [error for error in errors if not isnan(error)]
    assert row["mae"] == pytest.approx(sum(known) / len(known)) and row["n"] == len(known)
    since = result.issued.init_date - timedelta(days=50)
    issued = replace(result, recorded=hindcast.filter(pl.col("init_date") > since))
    both = issued.recent_scores
    assert both["source"].unique().sort().to_list() == ["hindcast", "issued"]
    assert both.filter(pl.col("source") == "issued")["n"].max() == 49
    rows = [cells for cells in section_rows("scores", report_content(issued)) if "Forecasts" in cells]
    assert [cells["Forecasts"] for cells in rows] == both["source"].to_list()


def test_the_report_and_the_terminal() -> None:
    scores = recent_scores(forecasts(500, error=0.1), levels(), UNTIL, source="hindcast")
    report = replace(diagnosed_report(), recent_scores=scores)
    row = next(cells for cells in section_rows("scores", report) if "Forecasts" in cells)
    assert row == {
        "Forecasts": "hindcast", "Lead time, days": "1", "Days": "365", "From": "2020-07-01", "To": "2021-06-30",
        "MAE": "0.1000", "In 80%": "100%", "In 90%": "100%",
    }  # fmt: skip
    assert recent_lines(scores, report.dam)[2] == (
        "Last 365 days, hindcast, 7 d: mean error 0.1000 m; 80% interval held 100%, 90% interval held 100% (n = 365)"
    )
