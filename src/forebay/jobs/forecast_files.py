"""The files of a forecast: its tables, the report and its figures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from forebay.charts.report_tables import Report
from forebay.files import write_all
from forebay.forecasts.brief import brief_content
from forebay.jobs.datasets import write_netcdf
from forebay.jobs.stored_tables import write_parquet
from forebay.log import log_fields
from forebay.tables import FORECASTS, STORAGE_FORECASTS
from forebay.verify.hindcast import Progress, scored_from

if TYPE_CHECKING:
    from forebay.jobs.forecast import ForecastResult

Format = Literal["csv", "netcdf"]
"""Form of the forecast's table: `forecast.csv`, which is always written, and `forecast.nc`."""


def write_forecast(
    result: ForecastResult,
    folder: Path,
    *,
    report: bool = True,
    form: Format = "csv",
    progress: Progress | None = None,
) -> list[Path]:
    """Paths of the files in `folder`: the tables, and with `report` the page and its figures.

    Parameters
    ----------
    form
        With "netcdf" also `forecast.nc`, the forecast by the CF conventions.
    progress
        As in `forecast`, for the drawing of the figures.

    Raises
    ------
    ConfigError
        If the folder cannot be written, or xarray is not installed.
    """
    from forebay.report.write import write_report

    dataset = result.to_xarray() if form == "netcdf" else None
    with log_fields({"dam": result.dam.id}), write_all(folder) as files:
        STORAGE_FORECASTS.check(result.storage_forecasts).write_csv(files.stage / "forecast.csv")
        result.issued.explanation.write_csv(files.stage / "explanation.csv")
        result.outlook.probabilities.write_csv(files.stage / "probabilities.csv")
        if dataset is not None:
            write_netcdf(dataset, files.stage / "forecast.nc", now=result.issued.issue_time)
        if report:
            result.scores.write_csv(files.stage / "scores.csv")
            result.outlook.scores.write_csv(files.stage / "probability_scores.csv")
            if result.dam.forcings:
                result.forecast_value.write_csv(files.stage / "forecast_value.csv")
            if result.dam.substitutes:
                result.substitutions.write_csv(files.stage / "substitutions.csv")
            with ThreadPoolExecutor(1) as writer:  # it takes long, and no part of the report reads it
                hindcast = FORECASTS.check(result.verification.forecasts)
                written = writer.submit(write_parquet, hindcast, files.stage / "hindcast.parquet")
                write_report(report_content(result), files.stage, progress)
                written.result()
    return files.paths


def report_content(result: ForecastResult) -> Report:
    """The tables of the report of a result, with its brief."""
    from forebay.jobs.brief import brief_of

    samples = result.verification.samples
    first = samples.dates[min(scored_from(samples, result.dam), len(samples.dates) - 1)].item()
    scored = pl.col("init_date").is_between(first, result.issued.init_date, closed="left")
    return Report(
        dam=result.dam,
        forecast=result.issued,
        newest=result.daily_tables.reading,
        daily=result.daily_tables.newest,
        hindcast=result.verification.forecasts.filter(scored),
        scores=result.scores,
        gauge_table=result.fetch_table,
        diagnostics=result.verification.diagnostics,
        later_levels=result.later_levels,
        forecast_value=result.forecast_value,
        outlook=result.outlook,
        recent_scores=result.recent_scores,
        substitutions=result.substitutions,
        latencies=result.daily_tables.latencies,
        record_note=result.record_text,
        make_brief=lambda: brief_content(brief_of(result)),
    )
