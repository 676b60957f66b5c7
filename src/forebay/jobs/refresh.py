"""The refresh job: fetch, forecast, record and alerts of many dams in one process, each morning."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.formats import format_count
from forebay.errors import ForebayError
from forebay.files import write_file
from forebay.jobs.alert_outbox import send_alerts, undelivered
from forebay.jobs.alert_sinks import alert_sinks
from forebay.jobs.alerts import (
    Situation,
    alert_rules,
    decide_alerts,
    last_decisions,
    raised_alerts,
    write_cap_files,
)
from forebay.jobs.arguments import as_dam, current_settings, open_store
from forebay.jobs.forecast import ForecastResult, forecast
from forebay.jobs.forecast_content import forecast_content, server_content
from forebay.jobs.forecast_files import write_forecast
from forebay.jobs.results import Result
from forebay.log import add_counts, log_fields, public_text, step, write
from forebay.tables import Table

if TYPE_CHECKING:
    from forebay.archive.alerts import AlertArchive
    from forebay.archive.store import Archive
    from forebay.dams.alert_rules import AlertRule
    from forebay.dams.dam import Dam
    from forebay.settings import Settings
    from forebay.verify.hindcast import Progress

COMMAND = "forebay refresh"
"""A refresh does not wait for another one of the same archive."""
OUTCOMES = Table(
    "outcomes",
    {
        "dam": pl.String(),
        "init_date": pl.Date(),
        "unit": pl.String(),
        "level": pl.Float64(),
        "lead_time": pl.Int32(),
        "median": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "age_days": pl.Int64(),
        "current": pl.Boolean(),
        "not_fetched": pl.Int64(),
        "issue_time": pl.Datetime("us", "UTC"),
        "seconds": pl.Float64(),
        "folder": pl.String(),
        "failure": pl.String(),
        "alerts": pl.String(),
        "alert_failure": pl.String(),
        "scenario_failure": pl.String(),
    },
    key=("dam",),
)


@dataclass(frozen=True)
class Outcome:
    """What became of one dam.

    Attributes
    ----------
    dam
        Its id, or the name of a dam that cannot be read.
    init_date, level
        The last day with known data, and the level that the forecast starts from; null after a failure, as below.
    lead_time, median, low, high
        The longest lead time up to 7 days, with the median and the ends of the 90% interval of the level.
    age_days
        Days since the level that the forecast starts from, at the issue time.
    current
        Whether the forecast is not stale.
    not_fetched
        Number of gauges that could not be fetched; the forecast uses what the archive holds of them.
    issue_time, seconds
        When the forecast was computed, and how long the dam took.
    folder
        Folder of its files.
    failure
        Sentence on the failure; None if there was none.
    alerts
        Rules whose alert is raised, separated by commas; empty if none is, None for a dam without rules.
    alert_failure
        Sentence on alerts that could not be decided or delivered; None if there was none.
    scenario_failure
        Why scenarios were asked for and are not possible; None otherwise.
    """

    dam: str
    init_date: date | None = None
    unit: str | None = None
    level: float | None = None
    lead_time: int | None = None
    median: float | None = None
    low: float | None = None
    high: float | None = None
    age_days: int | None = None
    current: bool | None = None
    not_fetched: int | None = None
    issue_time: datetime | None = None
    seconds: float | None = None
    folder: str | None = None
    failure: str | None = None
    alerts: str | None = None
    alert_failure: str | None = None
    scenario_failure: str | None = None


@dataclass(frozen=True, repr=False)
class RefreshResult(Result):
    """The outcomes of a refresh, in the order of the dams."""

    outcomes: Sequence[Outcome]

    @property
    def failures(self) -> list[Outcome]:
        """The dams that failed, and those whose alerts failed."""
        return [o for o in self.outcomes if o.failure is not None or o.alert_failure is not None]

    def to_frame(self) -> pl.DataFrame:
        """`OUTCOMES`: a row per dam."""
        return pl.DataFrame([asdict(outcome) for outcome in self.outcomes], schema=OUTCOMES.columns)

    def title(self) -> str:
        """Numbers of dams and of failures."""
        return f"{format_count(len(self.outcomes), 'dam')}, {len(self.failures)} failed"


def refresh(  # noqa: PLR0913  # what a morning may need is keywords, as the options of the command
    dams: Sequence[Dam | str | Path],
    *,
    archive: Archive | str | None = None,
    settings: Settings | None = None,
    output: str | Path | None = None,
    report: bool = False,
    scenarios: bool = False,
    progress: Progress | None = None,
) -> RefreshResult:
    """Fetch each dam, forecast it, and decide and send its alerts; the fault of one dam stops no other.

    A dam's files are written into its folder: forecast.csv, explanation.csv, probabilities.csv and forecast.json. The
    refresh has the lease of the archive from beginning to end.

    Parameters
    ----------
    dams
        Dams, ids of built-in dams, or paths of dam files.
    archive, settings, progress
        As in `forebay.forecast`.
    output
        Folder with a folder per dam; by default the one that the settings name.
    report
        Whether the report and its figures are written, too.
    scenarios
        Whether the files are written from which a server answers scenarios. They come last, after the forecasts and
        alerts of all dams and without the lease, because they take longer than all the rest.

    Raises
    ------
    BusyError
        If another refresh of the archive runs, or another process writes to it for the whole wait.
    ConfigError
        If the archive cannot be opened.
    """
    settings = settings or current_settings()
    folder = Path(output or settings.output)
    with open_store(archive, settings, progress=progress, never_for=COMMAND) as store:
        with store.lease():
            outcomes = [
                _outcome(dam, store, settings, folder=folder, report=report, progress=progress) for dam in dams
            ]
        if scenarios:
            outcomes = [
                replace(outcome, scenario_failure=_scenarios(dam, store, settings, folder=folder, progress=progress))
                if outcome.failure is None
                else outcome
                for dam, outcome in zip(dams, outcomes, strict=True)
            ]
    return RefreshResult(outcomes)


def _scenarios(
    dam: Dam | str | Path, store: Archive, settings: Settings, *, folder: Path, progress: Progress | None
) -> str | None:
    """`Outcome.scenario_failure`: the scenarios of one dam are written."""
    from forebay.jobs.scenario_files import write_scenario_models

    try:
        loaded = as_dam(dam, settings)
        with log_fields({"dam": loaded.id}):
            reasons = write_scenario_models(
                loaded, folder / loaded.id, archive=store, settings=settings, progress=progress
            )
    except ForebayError as error:
        return str(error)
    except Exception as error:  # a fault of the program: the other dams still get their scenarios
        return unexpected(str(dam), error)
    return "; ".join(reasons) or None


@dataclass(frozen=True)
class Output:
    """Where the files of dams are written: a folder with a folder per dam.

    Attributes
    ----------
    report
        Whether the report and its figures are written, too.
    final
        Folder that the files will be in, if they are moved afterwards.
    """

    folder: Path
    report: bool = False
    progress: Progress | None = None
    final: Path | None = None


def _outcome(
    dam: Dam | str | Path,
    store: Archive,
    settings: Settings,
    *,
    folder: Path,
    report: bool,
    progress: Progress | None,
) -> Outcome:
    """The outcome of one dam; only Ctrl-C and the like leave this function as an error."""

    def make(loaded: Dam) -> ForecastResult:
        return forecast(loaded, archive=store, settings=settings, progress=progress)

    outcome, situation = outcome_of(dam, settings, make, Output(folder, report, progress))
    return with_alerts(outcome, situation, partial(alert_rules, dam, settings), store.alerts, settings, folder)


def with_alerts(
    outcome: Outcome,
    situation: Situation | None,
    read_rules: Callable[[], tuple[AlertRule, ...]],
    alerts: AlertArchive,
    settings: Settings,
    folder: Path,
) -> Outcome:
    """`outcome` after the alerts of its dam are decided and sent; a dam that cannot be read has none."""
    if situation is None:
        return outcome
    raised, fault = alert_step(read_rules, situation, alerts, settings, folder / situation.dam.id)
    return replace(outcome, alerts=raised, alert_failure=fault)


def alert_step(
    read_rules: Callable[[], tuple[AlertRule, ...]],
    situation: Situation,
    alerts: AlertArchive,
    settings: Settings,
    folder: Path,
) -> tuple[str | None, str | None]:
    """`Outcome.alerts` and `Outcome.alert_failure`: the alerts of one dam are decided, written and sent.

    A message is sent also if its file cannot be written, and the other way round.
    """
    name = situation.dam.id
    raised: str | None = None
    faults: list[str] = []

    def decide() -> None:
        nonlocal raised
        decided = decide_alerts(alerts, situation, rules)
        raised = ", ".join(raised_alerts(last_decisions(alerts, name, rules)))
        add_counts({"decided": decided.height})

    def send() -> None:
        sent = send_alerts(alerts, alert_sinks(settings), dam=name)
        faults.extend(delivery.sentence for delivery in sent.failures)
        if count := undelivered(alerts, name).height - sum(d.is_claimed for d in sent.failures):
            faults.append(f"alerts sent before: {count} not known to be delivered; see `forebay alerts list`")

    with log_fields({"dam": name}):
        try:
            rules = read_rules()
        except ForebayError as error:
            return None, f"alerts: {error}"
        if not rules:
            return None, None
        for part in (decide, send, lambda: write_cap_files(alerts, situation.dam, settings, folder)):
            try:
                part()
            except ForebayError as error:
                faults.append(f"alerts: {error}")
            except Exception as error:  # a fault of the program: the other dams still get their forecasts
                faults.append(f"alerts: {unexpected(name, error)}")
    return raised, "; ".join(dict.fromkeys(faults)) or None


def unexpected(name: str, error: Exception) -> str:
    """Sentence on a fault of the program, which the log describes."""
    write(logging.ERROR, "refresh", {"dam": name, "error": type(error).__name__}, traceback.format_exc())
    text = public_text(str(error))  # of any library: it may contain a URL
    return f"unexpected {type(error).__name__}: {text}; this is a fault of forebay, its log has the details"


def outcome_of(
    dam: Dam | str | Path, settings: Settings, make: Callable[[Dam], ForecastResult], output: Output
) -> tuple[Outcome, Situation | None]:
    """The outcome without alerts, and what they are decided from; None for a dam that cannot be read.

    Parameters
    ----------
    make
        Function that returns the forecast of the dam.
    """
    loaded, result = None, None
    name = dam if isinstance(dam, str | Path) else dam.id
    start = datetime.now().astimezone()
    try:
        with log_fields({"dam": str(name)}), step("refresh"):
            loaded = as_dam(dam, settings)
            name = loaded.id
            result = make(loaded)
            _write(result, output)
    except ForebayError as error:
        failure = str(error)
    except Exception as error:  # a fault of the program: the other dams still get their forecasts
        failure = unexpected(str(name), error)
    else:
        seconds = (datetime.now().astimezone() - start).total_seconds()
        folder = str((output.final or output.folder) / loaded.id)
        return _success(result, folder, round(seconds, 1)), Situation(loaded, result)
    # A recorded forecast whose files cannot be written still decides the alerts.
    return Outcome(str(name), failure=failure), None if loaded is None else Situation(loaded, result, failure)


def _write(result: ForecastResult, output: Output) -> None:
    folder = output.folder / result.dam.id
    files = write_forecast(result, folder, report=output.report, progress=output.progress)
    path = folder / "forecast.json"
    final = (output.final or output.folder) / result.dam.id
    content = forecast_content(result, [final / file.name for file in [*files, path]]) | server_content(result)
    write_file(path, json.dumps(content, default=str, indent=1, allow_nan=False).encode())


def _success(result: ForecastResult, folder: str, seconds: float) -> Outcome:
    """The outcome of a dam with a forecast: its level and the quantiles at the longest lead time up to 7 days."""
    issued, table = result.issued, result.to_frame()
    leads = result.dam.hindcast.leads
    lead_time = max((lead for lead in leads if lead <= 7), default=min(leads))
    at_lead = table.filter(pl.col("lead_time") == lead_time)
    quantiles = dict(zip(at_lead["quantile"].round(2).to_list(), at_lead["level"].to_list(), strict=True))
    return Outcome(
        dam=result.dam.id,
        init_date=issued.init_date,
        unit=result.dam.target.unit,
        level=float(result.verification.samples.start_level[-1]),
        lead_time=lead_time,
        median=quantiles.get(0.5),
        low=quantiles.get(0.05),
        high=quantiles.get(0.95),
        age_days=issued.age_days + issued.level_age_days,
        current=not issued.stale,
        not_fetched=result.fetch_table["error"].count(),
        issue_time=issued.issue_time,
        seconds=seconds,
        folder=folder,
    )
