"""The forecast job: from the archive's readings to an issued forecast, with its hindcast, scores and report."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from forebay.archive.fetch import FETCHES, FetchReport
from forebay.archive.latency import latency_note
from forebay.days.labels import gauge_labels
from forebay.errors import DataError, ForebayError, ReadOnlyError
from forebay.features.samples import samples_of
from forebay.features.substitutes import with_substitutes
from forebay.files import write_all
from forebay.forecasts.explain import explain
from forebay.forecasts.forcing_notes import forcing_notes
from forebay.forecasts.issue import IssuedForecast, issue
from forebay.forecasts.limitations import far_outside_experience, limitations, outside_experience
from forebay.forecasts.outlook import Outlook, make_outlook
from forebay.forecasts.storage import add_storage
from forebay.forecasts.suspect_levels import no_forecast, questions
from forebay.jobs.arguments import as_dam, current_settings, local_execution, open_store
from forebay.jobs.datasets import forecast_dataset
from forebay.jobs.forecast_value import value_of_forecasts
from forebay.jobs.observations import fetch_now, warn_of_errors
from forebay.jobs.record import RecordReference, recorded_forecasts, store_forecast
from forebay.jobs.results import Result
from forebay.jobs.stored_tables import readable_tables
from forebay.log import add_counts, log_fields, step, write
from forebay.screen.flags import daily_known_on
from forebay.tables import DEFAULT_MODEL, FORECASTS
from forebay.verify.hindcast import SEQUENTIAL, Execution, Progress
from forebay.verify.recent import RECENT_DAYS, recent_scores
from forebay.verify.verification import Verification, verify_hindcast

if TYPE_CHECKING:
    import xarray

    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.features.daily_tables import DailyTables
    from forebay.settings import Settings


@dataclass(frozen=True, repr=False)
class ForecastResult(Result):
    """An issued forecast of one dam, with the hindcast that shows how accurate such forecasts were.

    Attributes
    ----------
    dam, daily_tables
        The dam, and the daily tables that the forecast used.
    verification
        Hindcast, scores and diagnostics.
    issued
        The forecast, its explanation and its limitations.
    fetch_table
        `archive.fetch.FETCHES`: the fetch before the forecast, a row per gauge; empty if there was none.
    execution
        How hindcasts run; that of the value of forecasts runs when it is asked for.
    recorded
        `tables.FORECASTS` that were issued before, one forecast per init date; empty without records.
    record
        The record of the forecast in the archive; None if it is not recorded.
    not_recorded
        Why it is not recorded, a sentence; empty if it is.
    """

    dam: Dam
    daily_tables: DailyTables
    verification: Verification
    issued: IssuedForecast
    fetch_table: pl.DataFrame = field(default_factory=FETCHES.empty)
    execution: Execution = SEQUENTIAL
    recorded: pl.DataFrame = field(default_factory=FORECASTS.empty)
    record: RecordReference | None = None
    not_recorded: str = ""

    @cached_property
    def forecast_value(self) -> pl.DataFrame:
        """`verify.tables.FORECAST_VALUE`: two more hindcasts; empty for a dam without forcings."""
        return value_of_forecasts(self.dam, self.daily_tables, self.verification, execution=self.execution)

    @property
    def later_levels(self) -> pl.DataFrame:
        """date, level: observed after a requested init date; for display only."""
        return self.daily_tables.later_levels

    @property
    def substitutions(self) -> pl.DataFrame:
        """`features.substitutes.SUBSTITUTIONS`: a row per init date and gauge whose newest input is an estimate."""
        return self.verification.samples.substitutions

    @property
    def daily_as_known(self) -> pl.DataFrame:
        """The daily table up to the init date with the estimates that the models use, flagged "substituted: GAUGE"."""
        newest, samples = self.daily_tables.newest, self.verification.samples
        known = daily_known_on(newest, samples.newest_flags, self.daily_tables.init_date, self.dam)
        return with_substitutes(newest, known, samples.substitutions)

    @property
    def record_text(self) -> str:
        """Id, kind and hash of the record; or why there is none."""
        record = self.record
        if record is None:
            return self.not_recorded
        kind = ", retrospective" if record.retrospective else f", replaces {record.replaces}" if record.replaces else ""
        return f"Record: {record.id}{kind}, hash {record.hash}"

    @property
    def scores(self) -> pl.DataFrame:
        """Scores of the hindcast (`verify.tables.SCORES`)."""
        return self.verification.scores

    @property
    def overall_scores(self) -> pl.DataFrame:
        """The rows of `scores` of the regime `all`; they take a tenth of the time."""
        return self.verification.overall_scores

    @cached_property
    def storage_forecasts(self) -> pl.DataFrame:
        """`tables.STORAGE_FORECASTS` of every model: level, storage, and % of the storage at full supply."""
        issued = self.issued
        return add_storage(issued.table, self.dam, issued.init_date, issued.withheld_from)

    @cached_property
    def recent_scores(self) -> pl.DataFrame:
        """`verify.tables.RECENT_SCORES`: the last 365 days of the hindcast, and of any issued forecasts."""
        return self.scores_of_last(RECENT_DAYS)

    def scores_of_last(self, days: int) -> pl.DataFrame:
        """`recent_scores` of another number of days."""
        samples, until = self.verification.samples, self.issued.init_date
        levels = pl.DataFrame({"date": samples.dates, "level": samples.observed}).select(
            pl.col("date").cast(pl.Date), pl.col("level").fill_nan(None)
        )
        newest = self.verification.last_forecasts(days + max(self.dam.hindcast.leads))
        sources = {"hindcast": newest, "issued": self.recorded}
        return pl.concat(
            [recent_scores(table, levels, until, source=name, days=days) for name, table in sources.items()]
        )

    @cached_property
    def outlook(self) -> Outlook:
        """Probabilities of reaching thresholds, with the scores of earlier ones."""
        return make_outlook(self.verification, self.issued)

    def to_frame(self) -> pl.DataFrame:
        """`tables.FORECASTS` of the model `default`: a row per lead time and quantile."""
        return self.issued.table.filter(pl.col("model") == DEFAULT_MODEL)

    def to_xarray(self) -> xarray.Dataset:
        """The forecast as a dataset by the CF conventions (`datasets.forecast_dataset`)."""
        return forecast_dataset(self.storage_forecasts.filter(pl.col("model") == DEFAULT_MODEL), self.dam)

    def title(self) -> str:
        """Dam, target and init date."""
        return f"{self.dam.title}, {self.dam.target.variable} ({self.dam.target.unit}) from {self.issued.init_date}"

    def report(self, path: str | Path) -> Path:
        """Write the HTML report to `path`, one file that needs no network; returns the path.

        Raises
        ------
        ConfigError
            If the file cannot be written.
        """
        from forebay.jobs.forecast_files import report_content
        from forebay.report.write import render_report

        page = render_report(report_content(self))
        target = Path(path)
        with write_all(target.parent) as files:
            (files.stage / target.name).write_bytes(page.encode())
        return target


def forecast(
    dam: Dam | str | Path,
    *,
    archive: Archive | str | None = None,
    settings: Settings | None = None,
    init_date: date | None = None,
    update: bool = True,
    progress: Progress | None = None,
) -> ForecastResult:
    """Forecast of a dam: fetch its gauges, hindcast, score and forecast from the newest observations.

    The forecast is stored in the archive before it is returned (`result.record`). In an archive that can be read only,
    it is not, and `result.not_recorded` has the reason.

    Parameters
    ----------
    dam
        A `Dam`, the id of a built-in dam, or the path of a dam file.
    archive
        An open archive or its URL; by default the one that the settings name.
    settings
        By default those of `forebay.toml` in the working folder and of the environment.
    init_date
        The local day to forecast from; by default the newest day with data. Ages then count from its end, and the
        result has the levels that were observed after it.
    update
        Fetch first. Without it the forecast uses what the archive holds.
    progress
        Called with the name of the work, the number of complete parts and the number of all parts.

    Raises
    ------
    SourceError, DataError, ConfigError, ModelError
        If a forecast is not possible; the message states what to do.
    ForebayError
        If the forecast cannot be stored.
    """
    settings = settings or current_settings()
    dam = as_dam(dam, settings)
    with log_fields({"dam": dam.id}):
        with open_store(archive, settings, create=update, progress=progress) as store:
            inputs = read_inputs(dam, store, settings, init_date=init_date, update=update, progress=progress)
        result = forecast_from(dam, inputs, local_execution(settings, progress))
        result = replace(result, issued=replace(result.issued, is_requested=init_date is not None))
        with open_store(archive, settings, create=False, progress=progress) as store:
            return store_result(result, store, settings)


class CurrentInputs(NamedTuple):
    """What a forecast is made from: the daily tables, the issue time, and the fetch before; None if there was none."""

    daily_tables: DailyTables
    now: datetime
    report: FetchReport | None


def read_inputs(
    dam: Dam,
    store: Archive,
    settings: Settings,
    *,
    init_date: date | None = None,
    update: bool = True,
    progress: Progress | None = None,
) -> CurrentInputs:
    """Inputs of a forecast of now, with `update` after a fetch; the arguments are those of `forecast`.

    Raises
    ------
    SourceError, DataError, ConfigError
        If a forecast is not possible.
    """
    report = fetch_now(dam, store, settings, progress=progress) if update else None
    now = datetime.now(UTC)  # after the fetch: its readings are known now
    return CurrentInputs(readable_tables(dam, store, now=now, init_date=init_date, report=report), now, report)


def forecast_from(dam: Dam, inputs: CurrentInputs, execution: Execution) -> ForecastResult:
    """Forecast from inputs that have been read; it is not stored yet."""
    if inputs.report is not None:
        warn_of_errors(inputs.report)
    return forecast_dam(dam, inputs.daily_tables, now=inputs.now, report=inputs.report, execution=execution)


def store_result(result: ForecastResult, store: Archive, settings: Settings) -> ForecastResult:
    """The result with its record, which is stored now; or with the sentence that the archive can be read only.

    Raises
    ------
    ForebayError
        If it cannot be stored for another reason: the message says that it is not shown.
    """
    flags = result.verification.samples.newest_flags
    try:
        record = store_forecast(
            store,
            result.dam,
            result.daily_tables,
            result.issued,
            flags,
            clock_fault=settings.clock_fault,
            probabilities=result.outlook.probabilities,
        )
    except ReadOnlyError as error:
        return replace(result, not_recorded=f"This forecast is not recorded: {error}.")
    except ForebayError as error:
        sentence = f"the forecast of {result.dam.name} is not shown, because it could not be recorded: {error}"
        raise type(error)(sentence) from error
    return replace(result, record=record, recorded=_earlier_records(result, store))


def _earlier_records(result: ForecastResult, store: Archive) -> pl.DataFrame:
    """`tables.FORECASTS` of the issued forecasts that the last 365 days score; empty if a record was changed."""
    since = result.issued.init_date - timedelta(days=RECENT_DAYS + max(result.dam.hindcast.leads))
    try:
        return FORECASTS.check(recorded_forecasts(store, result.dam.id, since))
    except DataError as error:  # the forecast of today does not depend on it
        sentence = f"issued forecasts are not scored: {error}; check them with forebay record verify {result.dam.id}"
        write(logging.WARNING, "record", {}, sentence)
        return FORECASTS.empty()


def forecast_dam(
    dam: Dam,
    daily_tables: DailyTables,
    *,
    now: datetime,
    report: FetchReport | None = None,
    execution: Execution = SEQUENTIAL,
) -> ForecastResult:
    """Hindcast, scores and forecast of a dam from its daily tables.

    Parameters
    ----------
    now
        Issue time.
    report
        The fetch before the forecast; its failures are limitations of the forecast.
    """
    samples = samples_of(daily_tables, dam)
    verification = verify_hindcast(samples, dam, daily_tables.known, execution=execution)
    issued = _issue(dam, daily_tables, verification, now=now, failures=_failures(report, dam))
    if not issued.table.filter(pl.col("model") == DEFAULT_MODEL)["level"].is_finite().any():
        raise DataError(no_forecast(daily_tables.newest, samples.newest_flags, dam))
    fetch_table = FETCHES.empty() if report is None else report.table
    return ForecastResult(dam, daily_tables, verification, issued, fetch_table, execution)


def _failures(report: FetchReport | None, dam: Dam) -> list[str]:
    if report is None:
        return []
    labels = gauge_labels(dam) | {weather.column: weather.title for weather in dam.weather}
    errors = [f"{labels.get(column, column)} could not be fetched: {error}" for column, error in report.errors.items()]
    return errors + report.table["note"].drop_nulls().to_list()


@step("forecast")
def _issue(
    dam: Dam, daily_tables: DailyTables, verification: Verification, *, now: datetime, failures: Sequence[str]
) -> IssuedForecast:
    """The forecast of the init date with its explanation and limitations."""
    add_counts({"init_date": daily_tables.init_date})
    samples, points = verification.samples, verification.points
    suspect = questions(daily_tables.newest, samples.newest_flags, dam)
    used, unavailable = forcing_notes(daily_tables.forcings, dam, daily_tables.init_date)
    missing = limitations(daily_tables.newest, samples, dam, points[DEFAULT_MODEL], verification.newest)
    labels, learned = gauge_labels(dam), daily_tables.latencies
    notes = (latency_note(g, labels[g.column], learned[g.column]) for g in dam.gauges if g.column in learned)
    too_early = (note for note in notes if note is not None)
    sentences = (*unavailable, *failures, *missing, *too_early, *suspect)
    issued = issue(verification.newest, dam, daily_tables.init_date, now=now, limitations=sentences)
    return replace(
        issued,
        outside_experience=(
            *outside_experience(verification.outside, samples, dam),
            *far_outside_experience(samples, dam, points),
        ),
        explanation=explain(samples, dam, points, yesterday=issued.age_days == 0),
        forcings=used,
        withheld_from=samples.withheld_from,
    )
