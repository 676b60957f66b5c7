"""The work of one task, in a worker. It writes to the archive and the cache, and returns the files of the results."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, process_time
from typing import TYPE_CHECKING

import polars as pl
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # no types published

from forebay.dams.local_time import local_date
from forebay.errors import ConfigError, ForebayError
from forebay.fleet.task import Task, TaskResult
from forebay.jobs.arguments import local_execution, open_store
from forebay.jobs.stored_tables import parquet_content, readable_tables
from forebay.log import Fields, log_fields, step
from forebay.models.fits import ALL_CODE, environment_digest
from forebay.settings import load_settings
from forebay.tables import FORECASTS
from forebay.verify.score_tables import compare_scores
from forebay.verify.tables import SCORES

if sys.platform != "win32":
    import resource

if TYPE_CHECKING:
    from forebay.archive.fetch import FetchReport
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.features.daily_tables import DailyTables
    from forebay.jobs.forecast import CurrentInputs, ForecastResult

SKILL_LEAD = 3
"""Lead time (days) of the scores of a fleet; of a dam without it, the nearest one."""


def caller_environment() -> str:
    """Digest of code, libraries and machine type; forecasts of two processes are equal only if it is."""
    return environment_digest(ALL_CODE).hex()


def run_task(task: Task) -> TaskResult:
    """The result of one dam; a fault becomes its failure, so that it stops no other dam."""
    start, cpu = monotonic(), process_time()
    with _error_records(task.dam.id) as errors:
        result = _result(task)
    return replace(
        result,
        values={name: _without_nan(value) for name, value in result.values.items()},
        errors=tuple(errors),
        seconds=round(monotonic() - start, 3),
        cpu_s=round(process_time() - cpu, 3),
        peak_mb=round(_peak_mb(), 1),
    )


def _result(task: Task) -> TaskResult:
    """The result of one dam without its cost."""
    dam = task.dam
    try:
        with threadpool_limits(1), log_fields({"dam": dam.id}), step(f"fleet_{task.job}"):
            _check_environment(task)
            return (_hindcast if task.job == "hindcast" else _forecast)(_with_own_secrets(task))
    except ForebayError as error:
        return TaskResult(dam.id, failure=str(error))
    except MemoryError:
        return TaskResult(dam.id, failure="the worker has too little memory for this dam; give each worker more")
    except Exception as error:  # a fault of the program: the other dams are computed nevertheless
        from forebay.jobs.refresh import unexpected

        return TaskResult(dam.id, failure=unexpected(dam.id, error))


@contextmanager
def _error_records(dam: str) -> Iterator[list[Fields]]:
    """Context that gathers the fields of the records of errors of a dam."""
    handler = _ErrorRecords(dam)
    logger = logging.getLogger("forebay")
    logger.addHandler(handler)
    try:
        yield handler.fields
    finally:
        logger.removeHandler(handler)


class _ErrorRecords(logging.Handler):
    """Fields of the records of errors of a dam; a worker with several threads has records of other dams, too."""

    def __init__(self, dam: str) -> None:
        super().__init__(logging.ERROR)
        self.dam = dam
        self.fields: list[Fields] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields: Fields = getattr(record, "fields", {})
        if fields.get("dam") == self.dam:
            self.fields.append(fields)


def _peak_mb() -> float:
    """Most memory that this process has had so far, in MiB; 0 on Windows."""
    if sys.platform == "win32":
        return 0.0
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _without_nan(value: object) -> object:
    """`value`, or None for a number that JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _check_environment(task: Task) -> None:
    if task.environment != caller_environment():
        raise ConfigError(
            "this worker has another version of forebay, of a library or of the machine than the caller, so its "
            "results would differ; install the same versions on every worker, and start the workers again"
        )


def _with_own_secrets(task: Task) -> Task:
    """`task` with the keys and addresses that this process has in its environment."""
    own, _ = load_settings(None, os.environ)  # no file has secrets
    sources = {
        name: source.model_copy(update={"api_key": own.sources[name].api_key})
        for name, source in task.settings.sources.items()
    }
    return replace(task, settings=task.settings.model_copy(update={"sources": sources, "alert_urls": own.alert_urls}))


def _hindcast(task: Task) -> TaskResult:
    """The hindcast of a dam with its scores."""
    from forebay.jobs.hindcast import hindcast_dam
    from forebay.jobs.observations import fetch_now, warn_of_errors

    dam, settings = task.dam, task.settings
    with open_store(None, settings, create=task.fetch) as store:
        report = fetch_now(dam, store, settings) if task.fetch else None
        if report is not None:
            warn_of_errors(report)
        daily_tables = readable_tables(dam, store, now=datetime.now(UTC), report=report)
    key = _key(task, daily_tables)
    fetched = _not_fetched(report)
    if key == task.key:
        return TaskResult(dam.id, key, unchanged=True, values=fetched)
    result = hindcast_dam(dam, daily_tables, execution=local_execution(settings))
    tables = {"hindcast": FORECASTS.check(result.to_frame()), "scores": SCORES.check(result.scores)}
    files = {f"{name}.parquet": parquet_content(table) for name, table in tables.items()}
    values = {"init_date": daily_tables.init_date, **fetched, **fleet_scores(result.scores, dam)}
    return TaskResult(dam.id, key, values=values, files=_in_partition(dam, files))


def _not_fetched(report: FetchReport | None) -> dict[str, object]:
    """Number of gauges that this call could not fetch; none without a fetch."""
    return {"not_fetched": None if report is None else len(report.errors)}


def _forecast(task: Task) -> TaskResult:
    """The forecast of a dam; for a refresh, after a fetch, and with its alerts."""
    from forebay.jobs.forecast import read_inputs
    from forebay.models.tree_library import load_lightgbm

    dam, settings = task.dam, task.settings
    load_lightgbm()
    with open_store(None, settings, create=task.fetch) as store:
        try:
            inputs = read_inputs(dam, store, settings, update=task.fetch)
        except ForebayError as error:
            if task.job != "refresh":
                raise
            return _alerts_of_failure(task, store, error)
        has_alerts = bool(task.alerts) or task.alerts_fault is not None
        key = _key(task, inputs.daily_tables, inputs.now, has_alerts=has_alerts)
        if key == task.key and not has_alerts:  # alerts depend on the time: a dam with rules is always computed
            return TaskResult(dam.id, key, unchanged=True, values=_not_fetched(inputs.report))
        return _forecast_from(task, store, inputs, key)


def _forecast_from(task: Task, store: Archive, inputs: CurrentInputs, key: str) -> TaskResult:
    """The forecast from inputs that have been read, its files, and for a refresh its alerts."""
    from forebay.jobs.forecast import forecast_from, store_result
    from forebay.jobs.refresh import Output, outcome_of, with_alerts

    dam, settings = task.dam, task.settings
    results: list[ForecastResult] = []

    def make(loaded: Dam) -> ForecastResult:
        results.append(store_result(forecast_from(loaded, inputs, local_execution(settings)), store, settings))
        return results[0]

    with _temporary_folder() as folder:
        output = Output(folder, task.report, final=Path(task.final))
        outcome, situation = outcome_of(dam, settings, make, output)
        if task.job == "refresh":
            outcome = with_alerts(outcome, situation, task.rules, store.alerts, settings, output.folder)
        paths = sorted(path for path in output.folder.rglob("*") if path.is_file())
        files = {str(path.relative_to(output.folder)): path.read_bytes() for path in paths}
    values = {name: value for name, value in asdict(outcome).items() if name not in ("dam", "seconds", "failure")}
    values |= _not_fetched(inputs.report)
    failure = "; ".join(filter(None, (outcome.failure, outcome.alert_failure))) or None
    if outcome.failure is None and results:
        values |= fleet_scores(results[0].overall_scores, dam)
        files |= _in_partition(dam, {"forecast.parquet": parquet_content(FORECASTS.check(results[0].to_frame()))})
    return TaskResult(dam.id, "" if failure else key, values=values, files=files, failure=failure)


def _alerts_of_failure(task: Task, store: Archive, error: ForebayError) -> TaskResult:
    """The failure of a dam without a forecast, whose data alerts are decided nevertheless."""
    from forebay.jobs.refresh import Output, outcome_of, with_alerts

    dam, settings = task.dam, task.settings

    def make(_dam: Dam) -> ForecastResult:
        raise error

    with _temporary_folder() as folder:
        outcome, situation = outcome_of(dam, settings, make, Output(folder))
        outcome = with_alerts(outcome, situation, task.rules, store.alerts, settings, folder)
    failure = "; ".join(filter(None, (outcome.failure, outcome.alert_failure)))
    return TaskResult(dam.id, values={"alerts": outcome.alerts}, failure=failure)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A temporary folder, in that of the worker: Dask removes what a killed worker leaves there."""
    try:
        from distributed import get_worker

        place = get_worker().local_directory
    except (ImportError, ValueError):  # not in a worker
        place = None
    with tempfile.TemporaryDirectory(prefix="forebay-fleet-", dir=place) as name:
        yield Path(name)


def fleet_scores(scores: pl.DataFrame, dam: Dam) -> dict[str, object]:
    """lead_time, n, mae, best_reference, skill and coverage_90 of `default` over all days; empty without scores."""
    lead = min(dam.hindcast.leads, key=lambda lead: abs(lead - SKILL_LEAD))
    row = next(iter(compare_scores(scores, [("all", "all")], [lead]).to_dicts()), None)
    if row is None:
        return {}
    columns = {"skill_lead": "lead_time", "n": "n", "mae": "mae", "best_reference": "best", "skill": "skill"}
    return {name: row[column] for name, column in columns.items()} | {"coverage_90": row["coverage_90"]}


def _key(
    task: Task, daily_tables: DailyTables, now: datetime | None = None, *, has_alerts: bool = False
) -> str:
    """Digest of the job, the dam file, the data, the code and its libraries; of a forecast also the day.

    No setting changes a number of a result, so that none is part of it.
    """
    parts = [task.environment, task.job, str(task.report), task.dam.model_dump_json(exclude={"alerts"})]
    parts += [str(daily_tables.init_date), repr(daily_tables.reading)]
    if has_alerts:
        parts.append("alerts")
    if now is not None:
        parts.append(str(local_date(now, task.dam.time_zone)))
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=20)
    for table in (daily_tables.known, daily_tables.newest, daily_tables.forcings, daily_tables.late):
        digest.update(table.write_csv().encode())  # each number by its shortest exact form
    return digest.hexdigest()


def _in_partition(dam: Dam, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """`files` in the partition of a dam, by the convention of Hive."""
    return {f"dam={dam.id}/{name}": content for name, content in files.items()}
