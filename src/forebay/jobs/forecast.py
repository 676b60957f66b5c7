"""The main job: fetch → archive → daily → hindcast → forecast → report, each step a room of the house."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from forebay.archive.fetch import FetchReport
from forebay.charts.forecast_tables import Report
from forebay.dams.dam import Dam
from forebay.features.daily_tables import DailyTables
from forebay.features.samples import Samples, make_samples
from forebay.files import write_all
from forebay.forecasts.explain import explain
from forebay.forecasts.forcing_notes import forcing_notes
from forebay.forecasts.issue import IssuedForecast, issue, limitations, outside_experience
from forebay.tables import FORECASTS
from forebay.verify import hindcast
from forebay.verify.point_forecasts import DEFAULT
from forebay.verify.verification import Verification, verify_hindcast


@dataclass(frozen=True)
class Outcome:
    """All that the main job made of one dam."""

    dam: Dam
    days: DailyTables
    verified: Verification
    issued: IssuedForecast

    @property
    def samples(self) -> Samples:
        """What the models learned from."""
        return self.verified.samples

    @property
    def hindcast(self) -> pl.DataFrame:
        """Every forecast that would have been issued (`tables.FORECASTS`)."""
        return self.verified.forecasts

    @property
    def scores(self) -> pl.DataFrame:
        """Scores of the hindcast (`tables.SCORES`)."""
        return self.verified.scores


def forecast_dam(
    dam: Dam,
    days: DailyTables,
    *,
    now: datetime,
    fetched: FetchReport | None = None,
    execution: hindcast.Execution = hindcast.SEQUENTIAL,
) -> Outcome:
    """Hindcast, scores and forecast of a dam from its daily frames."""
    samples = make_samples(days.known, days.newest, dam, days.forcings)
    verification = verify_hindcast(samples, dam, days.known, execution=execution)
    missing = limitations(
        days.newest, verification.samples, dam, verification.points[DEFAULT], verification.forecasts
    )
    if fetched is not None:
        failures = (f"{column} could not be fetched: {error}" for column, error in fetched.errors.items())
        missing = (*failures, *missing)
    used, unavailable = forcing_notes(days.forcings, dam, days.init_date)
    issued = issue(verification.forecasts, dam, days.init_date, now=now, limitations=(*unavailable, *missing))
    issued = replace(
        issued,
        outside_experience=outside_experience(verification.outside, verification.samples, dam),
        explanation=explain(verification.samples, dam, verification.points, yesterday=issued.age_days == 0),
        forcings=used,
        withheld_from=verification.samples.withheld_from,
    )
    return Outcome(dam, days, verification, issued)


def write_outcome(outcome: Outcome, fetched: FetchReport, folder: Path) -> list[Path]:
    """The report, its charts and the tables in `folder`; gives their paths.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    from forebay.report.write import write_report

    with write_all(folder) as files:
        outcome.issued.table.write_csv(files.stage / "forecast.csv")
        outcome.issued.explanation.write_csv(files.stage / "explanation.csv")
        outcome.scores.write_csv(files.stage / "scores.csv")
        (files.stage / "hindcast.parquet").write_bytes(parquet(FORECASTS.check(outcome.hindcast)))
        write_report(report_of(outcome, fetched), files.stage)
    return files.paths


def parquet(table: pl.DataFrame) -> bytes:
    """`table` as a Parquet file; polars itself, on a full disk, raises an error that is no `OSError`."""
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def report_of(outcome: Outcome, fetched: FetchReport) -> Report:
    """The content of the report of an outcome."""
    dam, samples, init_date = outcome.dam, outcome.samples, outcome.issued.init_date
    scored = samples.dates[min(hindcast.scored_from(samples, dam), len(samples.dates) - 1)].item()
    return Report(
        dam=dam,
        forecast=outcome.issued,
        newest=outcome.days.reading,
        daily=outcome.days.newest,
        hindcast=outcome.hindcast.filter(pl.col("init_date").is_between(scored, init_date, closed="left")),
        scores=outcome.scores,
        gauge_table=fetched.table,
        diagnostics=outcome.verified.diagnostics,
    )
