"""The jobs that store readings in the archive and read them: `forebay.fetch` and `forebay.daily`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.archive.fetch import FetchReport, FetchRequest, fetch_dam
from forebay.charts.formats import format_count
from forebay.dams.staff_gauge import staff_gauge
from forebay.days.daily import daily_table
from forebay.days.gauge_readings import gauge_readings
from forebay.days.labels import gauge_labels
from forebay.errors import DataError
from forebay.jobs.arguments import as_dam, current_settings, open_store
from forebay.jobs.datasets import daily_dataset
from forebay.jobs.results import Result
from forebay.log import add_counts, log_fields, step, write
from forebay.screen.gauge_notes import gauge_notes

if TYPE_CHECKING:
    import xarray

    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.dams.weather import Weather
    from forebay.settings import Settings
    from forebay.verify.hindcast import Progress


@dataclass(frozen=True, repr=False)
class FetchResult(Result):
    """Result of a fetch; `to_frame()` has a row per gauge and per table of weather forecasts."""

    dam: Dam
    report: FetchReport = field(repr=False)

    def to_frame(self) -> pl.DataFrame:
        """The archive's content, a row per gauge and table, with the new and revised values of this fetch."""
        return self.report.table

    def title(self) -> str:
        """Dam, number of gauges and of new readings."""
        gauges = len(self.report.table) - len(self.dam.weather)  # a row per table of weather forecasts follows
        new = int(self.report.table["new"].head(gauges).sum())
        return f"{self.dam.title}, {format_count(gauges, 'gauge')}, {format_count(new, 'new reading')}"


@dataclass(frozen=True, repr=False)
class DailyResult(Result):
    """The daily table of a dam: a row per local day, a column and a flag per gauge."""

    dam: Dam
    table: pl.DataFrame = field(repr=False)

    def to_frame(self) -> pl.DataFrame:
        """dam, date, and per gauge its value and its flag; null where missing."""
        return self.table

    def to_xarray(self) -> xarray.Dataset:
        """The table as a dataset by the CF conventions (`datasets.daily_dataset`)."""
        return daily_dataset(self.table, self.dam)

    def title(self) -> str:
        """Dam and days."""
        return f"{self.dam.title}, {len(self.table)} days, {self.table['date'][0]} to {self.table['date'][-1]}"


def fetch(  # noqa: PLR0913  # the days of a fetch are three keywords, as the options of the command
    dam: Dam | str | Path,
    *,
    archive: Archive | str | None = None,
    settings: Settings | None = None,
    since: date | None = None,
    until: date | None = None,
    forecasts_since: date | None = None,
    progress: Progress | None = None,
) -> FetchResult:
    """Report of a fetch of the dam's gauges and weather forecasts into the archive.

    Parameters
    ----------
    dam
        A `Dam`, the id of a built-in dam, or the path of a dam file.
    archive
        An open archive or its URL; by default the one that the settings name.
    settings
        By default those of `forebay.toml` in the working folder and of the environment.
    since, until
        First and last day; by default from the end of the archive's record to today.
    forecasts_since
        First init date whose past weather forecasts are fetched too, as far as the archive does not have them; by
        default only the current ones are.
    progress
        Called with the gauge, the number of complete gauges and the number of all.

    Raises
    ------
    SourceError, ConfigError
        If no gauge could be fetched, or past weather forecasts are requested of a dam file without a `[[weather]]`
        table. If only some gauges or tables fail, `result.report.errors` has their errors.
    """
    settings = settings or current_settings()
    dam = as_dam(dam, settings)
    with log_fields({"dam": dam.id}):
        with open_store(archive, settings, progress=progress) as store:
            report = fetch_now(
                dam, store, settings, span=(since, until), forecasts_since=forecasts_since, progress=progress
            )
        if report.failure is not None:
            raise report.failure
        warn_of_errors(report)
    return FetchResult(dam, report)


def fetch_now(
    dam: Dam,
    store: Archive,
    settings: Settings,
    *,
    span: tuple[date | None, date | None] = (None, None),
    forecasts_since: date | None = None,
    progress: Progress | None = None,
) -> FetchReport:
    """Report of a fetch at the current time; its `failure` is not raised.

    Parameters
    ----------
    span
        First and last day; None as in `fetch`.
    forecasts_since
        First init date whose past weather forecasts are fetched too; None: only the current ones.
    """
    total = len(dam.gauges) + len(dam.weather)

    def report_gauge(gauge: Gauge | Weather, count: int) -> None:
        if progress:
            progress(f"fetch {gauge.title}", count, total)

    with store.lease():  # the time of the fetch is after the wait for another one
        request = FetchRequest(
            datetime.now(UTC),
            since=span[0],
            until=span[1],
            forecasts_since=forecasts_since,
            clock=lambda: datetime.now(UTC),
        )
        report = fetch_dam(dam, store, settings=settings, request=request, progress=report_gauge)
    report = replace(report, table=_with_notes(report.table, dam, store.as_of(dam.gauges)))
    if progress:
        progress("fetched", total, total)
    return report


def warn_of_errors(report: FetchReport) -> None:
    """Log a warning for each gauge that could not be fetched; for a caller that continues without it."""
    for column, error in report.errors.items():
        write(logging.WARNING, "fetch", {"gauge": column}, str(error))


def _with_notes(fetches: pl.DataFrame, dam: Dam, readings: pl.DataFrame) -> pl.DataFrame:
    """`FETCHES` with notes on readings that are left out or suspect, and on what to state in the dam file."""
    notes, labels = [], gauge_labels(dam)
    for gauge, note in zip(dam.gauges, fetches["note"].head(len(dam.gauges)), strict=True):
        rows = gauge_readings(readings, gauge).sort("time")
        sentences = ([] if note is None else [note]) + gauge_notes(rows, gauge, labels[gauge.column])
        notes.append("; ".join(sentences) or None)
    of_weather = fetches["note"].tail(len(dam.weather)).to_list()
    return fetches.with_columns(pl.Series("note", [*notes, *of_weather], dtype=pl.String))


def daily(
    dam: Dam | str | Path, *, archive: Archive | str | None = None, settings: Settings | None = None
) -> DailyResult:
    """Daily table of everything that the archive holds of a dam; fetches nothing.

    Parameters
    ----------
    dam, archive, settings
        As in `fetch`.

    Raises
    ------
    DataError
        If the archive holds no reading of the dam.
    """
    settings = settings or current_settings()
    dam = as_dam(dam, settings)
    with log_fields({"dam": dam.id}), step("daily_table"):
        with open_store(archive, settings, create=False) as store:
            readings = store.as_of([*dam.gauges, staff_gauge(dam)])
        if readings.is_empty():
            raise DataError(f"the archive holds no reading of {dam.name}; fetch it first with `forebay fetch DAM`")
        table = daily_table(readings, dam)
        add_counts({"gauges": len(dam.gauges), "days": len(table)})
    return DailyResult(dam, table)
