"""The job of the long outlook: the storage of the coming months from past years; fetches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.days.daily import usable_values
from forebay.features.samples import samples_of
from forebay.features.volumes import Volumes
from forebay.features.water_balance import storage_record
from forebay.files import write_all
from forebay.forecasts.long_notes import long_notes
from forebay.forecasts.long_outlook import LongOutlook, check_demand, make_long_outlook
from forebay.forecasts.long_text import check_months, parse_demand, parse_threshold
from forebay.jobs.arguments import as_dam, current_settings, open_store
from forebay.jobs.observations import daily
from forebay.jobs.results import Result
from forebay.jobs.stored_tables import readable_tables
from forebay.log import log_fields, step
from forebay.verify.long_hindcast import Demand, long_hindcast, thresholds_of
from forebay.verify.long_scores import long_event_scores, long_scores

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.features.daily_tables import DailyTables
    from forebay.settings import Settings
    from forebay.verify.hindcast import Progress
    from forebay.verify.long_hindcast import StorageThreshold


@dataclass(frozen=True, repr=False)
class LongOutlookResult(Result):
    """The long outlook of one dam.

    Attributes
    ----------
    outlook
        Quantiles, chances, traces and balance.
    scores, event_scores
        `long_tables.LONG_SCORES` and `long_tables.LONG_EVENT_SCORES` of past outlooks as operated.
    level_date
        Day of the level that the traces start from: the init date, or the last usable one before it.
    past
        date, storage: observed up to the init date.
    later
        date, storage: observed after a requested init date; for display only.
    notes
        Sentences on assumptions, gaps and skill.
    """

    dam: Dam
    outlook: LongOutlook
    scores: pl.DataFrame
    event_scores: pl.DataFrame
    level_date: date
    past: pl.DataFrame
    later: pl.DataFrame
    notes: tuple[str, ...]

    @property
    def init_date(self) -> date:
        """The day that the traces start from."""
        return self.outlook.forecast.init_date

    def to_frame(self) -> pl.DataFrame:
        """`long_tables.LONG_OUTLOOK`: quantiles at the end of each month."""
        return self.outlook.months

    def title(self) -> str:
        """Dam, init date and number of months."""
        return f"{self.dam.title}, {len(self.outlook.forecast.ends)} months from {self.init_date}"


@dataclass(frozen=True)
class Question:
    """What a long outlook is asked for, as the options of the command state it.

    Attributes
    ----------
    months
        1 to 12; the first is the month of the day after the init date.
    demand
        Outflow of the traces, such as "1200 ML/d", or twelve values from January to December; None: the traces repeat
        the net change of their years.
    past_demand
        Outflow of the past that no release gauge measured, in the same form.
    thresholds
        Further thresholds: "40%" of full supply, a level or a storage with its unit.
    """

    months: int = 6
    demand: str | None = None
    past_demand: str | None = None
    thresholds: Sequence[str] = ()


SIX_MONTHS = Question()


def long_outlook(
    dam: Dam | str | Path,
    question: Question = SIX_MONTHS,
    *,
    archive: Archive | str | None = None,
    settings: Settings | None = None,
    init_date: date | None = None,
    progress: Progress | None = None,
) -> LongOutlookResult:
    """The storage of the coming months, from what the archive holds; fetches nothing.

    Parameters
    ----------
    dam, archive, settings, init_date, progress
        As in `forebay.forecast`.
    question
        Months, demand and thresholds.

    Raises
    ------
    DataError, ConfigError
        If a long outlook is not possible; the message states what to do.
    """
    settings = settings or current_settings()
    dam = as_dam(dam, settings)
    with log_fields({"dam": dam.id}):
        parsed = parse_question(dam, question)
        with open_store(archive, settings, create=False) as store:
            daily_tables = readable_tables(dam, store, now=datetime.now(UTC), init_date=init_date)
            if init_date is not None:
                later = usable_values(daily(dam, archive=store, settings=settings).to_frame(), dam)
                levels = later.filter(pl.col("date") > init_date).select("date", level=dam.target.variable)
                daily_tables = replace(daily_tables, later_levels=levels)
        return long_outlook_of(dam, daily_tables, parsed, progress=progress)


@dataclass(frozen=True)
class ParsedQuestion:
    """Months, demand (m³/s) and thresholds of a long outlook."""

    months: int
    demand: Demand | None
    thresholds: tuple[StorageThreshold, ...]


def parse_question(dam: Dam, question: Question) -> ParsedQuestion:
    """The numbers of a question, before any data are read.

    Raises
    ------
    DataError
        If the dam's volume is unknown.
    ConfigError
        If an option cannot be used.
    """
    check_months(question.months)
    volumes = Volumes(dam)
    check_demand(dam, question.demand, question.past_demand)
    demand = None
    if question.demand is not None:
        text = question.past_demand
        past = (0.0,) * 12 if text is None else parse_demand("--past-demand", text)
        demand = Demand(parse_demand("--demand", question.demand), past)
    own = [parse_threshold(text, dam, volumes) for text in question.thresholds]
    return ParsedQuestion(question.months, demand, tuple({t.name: t for t in thresholds_of(dam, own)}.values()))


@step("long_outlook")
def long_outlook_of(
    dam: Dam, daily_tables: DailyTables, question: ParsedQuestion, *, progress: Progress | None = None
) -> LongOutlookResult:
    """The long outlook of a dam from its daily tables."""
    samples = samples_of(daily_tables, dam)
    record = storage_record(samples, dam, daily_tables.known)
    months, thresholds = question.months, question.thresholds
    hindcast = long_hindcast(record, samples, dam, months, thresholds, progress=progress)
    outlook = make_long_outlook(
        record, dam, hindcast, months=months, demand=question.demand, thresholds=thresholds
    )
    scores = long_scores(hindcast, dam.id)
    day, volumes = outlook.forecast.init_date, record.volumes
    newest = max(int(record.in_force[-1]), 0)
    level_date = day - timedelta(days=int(samples.level_age[-1]))
    past = pl.DataFrame({"date": pl.Series(record.dates).cast(pl.Date), "storage": record.storages[newest]})
    levels = daily_tables.later_levels
    later = pl.DataFrame({
        "date": levels["date"], "storage": volumes.storage(levels["level"].cast(pl.Float64).to_numpy(), day)
    })  # fmt: skip
    return LongOutlookResult(
        dam=dam,
        outlook=outlook,
        scores=scores,
        event_scores=long_event_scores(hindcast, dam.id),
        level_date=level_date,
        past=past.with_columns(pl.col("storage").fill_nan(None)),
        later=later.with_columns(pl.col("storage").fill_nan(None)),
        notes=long_notes(outlook, dam, scores, level_date),
    )


def write_long_outlook(result: LongOutlookResult, folder: Path, progress: Progress | None = None) -> list[Path]:
    """Paths of the files in `folder`: quantiles, chances, traces, balance, scores, and the chart.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    from forebay.charts import drawing
    from forebay.charts.long_outlook import long_outlook_figure

    outlook = result.outlook
    tables = {
        "long_outlook": outlook.months,
        "long_probabilities": outlook.probabilities,
        "long_traces": outlook.traces,
        "long_balance": outlook.balance,
        "long_scores": result.scores,
        "long_event_scores": result.event_scores,
    }
    with log_fields({"dam": result.dam.id}), write_all(folder) as files:
        for name, table in tables.items():
            table.write_csv(files.stage / f"{name}.csv")
        figure = long_outlook_figure(outlook, result.dam, result.past, result.later)
        pictures = drawing.start_drawing([("long_outlook", figure.file_spec())])
        drawing.write_pictures(pictures, files.stage, progress)
    return files.paths
