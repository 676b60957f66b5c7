"""The main job: fetch → archive → daily → hindcast → forecast → report, each step a room of the house."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from forebay.archive.fetch import FetchReport
from forebay.archive.store import Archive
from forebay.charts.forecast_tables import Reading, Report
from forebay.dams.dam import Dam
from forebay.dams.local_time import init_time, local_date
from forebay.days.daily import daily_table, usable_values
from forebay.days.datum import on_one_datum
from forebay.days.value_checks import ignore_codes
from forebay.features.samples import Samples, make_samples
from forebay.files import write_all
from forebay.forecasts.explain import explain
from forebay.forecasts.forcing_notes import forcing_notes
from forebay.forecasts.issue import IssuedForecast, choose_init_date, issue, limitations, outside_experience
from forebay.models.fits import Fits
from forebay.sources import forcing_files
from forebay.tables import FORCINGS, FORECASTS
from forebay.verify import hindcast
from forebay.verify.point_forecasts import DEFAULT
from forebay.verify.verification import Verification, verify_hindcast


@dataclass(frozen=True)
class Days:
    """The daily frame twice, up to the same init date.

    known: from the first version of every reading, what a hindcast may use; newest: from the versions held now.
    reading: the newest single reading of the target, which may be later than the init date.
    forcings: every issue of what was forecast or planned (`tables.FORCINGS`).
    uncoded: known and newest again, the agencies' "unavailable" ignored, where `with_uncoded` read them.
    """

    known: pl.DataFrame
    newest: pl.DataFrame
    init_date: date
    reading: Reading | None
    forcings: pl.DataFrame = field(default_factory=FORCINGS.empty)
    uncoded: tuple[pl.DataFrame, pl.DataFrame] | None = None


@dataclass(frozen=True)
class Outcome:
    """All that the main job made of one dam."""

    dam: Dam
    days: Days
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


def read_days(dam: Dam, archive: Archive, *, now: datetime, init_date: date | None = None) -> Days:
    """Daily frames of all that the archive holds of `dam`, up to the newest day known of (or to `init_date`).

    Raises
    ------
    DataError
        If the archive holds no usable level, or none on `init_date` or in the month before.
    """
    until = now
    due = local_date(now - dam.target_gauge.ready_after, dam.time_zone) - timedelta(days=1)
    if init_date is not None:
        held = archive.known_at(dam.gauges, now, dam.time_zone)
        choose_init_date(daily_table(held, dam), dam, init_date, due=due)  # its error names the nearest of all days
        until = init_time(init_date, dam.time_zone) + dam.target_gauge.ready_after
    newest = on_one_datum(daily_table(archive.known_at(dam.gauges, until, dam.time_zone), dam), dam)
    chosen, _ = choose_init_date(newest, dam, init_date, due=due)
    target = dam.target.variable
    if chosen > newest["date"][-1]:
        readings = archive.known_at(dam.gauges, until, dam.time_zone)
        newest = on_one_datum(daily_table(readings, dam, last_day=chosen), dam)
    first = usable_values(newest, dam).filter(pl.col(target).is_not_null())["date"][0]
    span = pl.col("date").is_between(first, chosen)
    known = on_one_datum(daily_table(archive.first_known(dam.gauges), dam, first_day=first, last_day=chosen), dam)
    reading = newest_reading(dam, archive, until=until)
    return Days(known.filter(span), newest.filter(span), chosen, reading, forcing_files.read(dam))


def with_uncoded(days: Days, dam: Dam, archive: Archive, *, now: datetime) -> Days:
    """`days` with the daily frames as they would be had no agency marked a reading as unavailable."""
    first, last = days.known["date"][0], days.init_date
    held = (archive.first_known(dam.gauges), archive.known_at(dam.gauges, now, dam.time_zone))
    known, newest = (
        on_one_datum(daily_table(ignore_codes(readings, dam), dam, first_day=first, last_day=last), dam)
        for readings in held
    )
    return replace(days, uncoded=(known, newest))


def forecast_dam(
    dam: Dam,
    days: Days,
    *,
    now: datetime,
    fetched: FetchReport | None = None,
    fits: Fits | None = None,
    progress: hindcast.Progress | None = None,
) -> Outcome:
    """Hindcast, scores and forecast of a dam from its daily frames; `fits` as in `hindcast.point_forecasts`."""
    samples = make_samples(days.known, days.newest, dam, days.forcings)
    verification = verify_hindcast(samples, dam, days.known, fits=fits, progress=progress)
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


def newest_reading(dam: Dam, archive: Archive, *, until: datetime) -> Reading | None:
    """The newest reading of the target that has a value, as known at `until`."""
    rows = archive.known_at([dam.target_gauge], until, dam.time_zone).filter(pl.col("value").is_not_null()).tail(1)
    if rows.is_empty():
        return None
    value = rows.select(dam.in_target_unit(pl.col("value"))).item()
    return Reading(rows["time"][0], value, rows["quality"][0], dam.target.datum)
