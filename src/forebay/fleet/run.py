"""A fleet's job: tasks for what is missing, results written once, and a table with a row per dam."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import polars as pl

from forebay.archive.urls import has_password, parse_url, public_url, sqlite_file
from forebay.charts.fleet_tables import FLEET
from forebay.charts.formats import format_count
from forebay.errors import ConfigError, ForebayError, NoArchiveError
from forebay.files import write_file
from forebay.fleet.cluster import run_tasks
from forebay.fleet.results import locked, read_entry, write_result
from forebay.fleet.task import Job, Task, TaskResult
from forebay.fleet.worker import caller_environment
from forebay.jobs.alerts import alert_rules
from forebay.jobs.arguments import current_settings
from forebay.jobs.results import Result
from forebay.log import add_counts, step, write

if TYPE_CHECKING:
    from forebay.dams.alert_rules import AlertRule
    from forebay.fleet.members import Member
    from forebay.fleet.place import Place
    from forebay.settings import Settings
    from forebay.verify.hindcast import Progress


@dataclass(frozen=True)
class FleetJob:
    """What is done for each dam.

    Attributes
    ----------
    name
        hindcast, forecast or refresh.
    fetch
        Whether a hindcast fetches the gauges first; a refresh always does.
    report
        Whether a refresh writes each dam's report, too.
    """

    name: Job
    fetch: bool = False
    report: bool = False

    @property
    def fetches(self) -> bool:
        """Whether gauges are fetched first."""
        return self.fetch or self.name == "refresh"


@dataclass(frozen=True, repr=False)
class FleetResult(Result):
    """The table of a fleet (`charts.fleet_tables.FLEET`), in the order of its dams, and how long it took.

    Attributes
    ----------
    unwritten
        Sentence on a file of the whole fleet (table or report) that could not be written; None if all are.
    """

    job: Job
    table: pl.DataFrame
    seconds: float
    peak_mb: float
    unwritten: str | None = None

    @property
    def failures(self) -> list[str]:
        """Names of the dams that failed."""
        names: list[str] = self.table.filter(pl.col("state") == "failed")["dam"].to_list()
        return names

    def to_frame(self) -> pl.DataFrame:
        """`charts.fleet_tables.FLEET`: a row per dam."""
        return self.table

    def title(self) -> str:
        """Numbers of dams by their state."""
        count = dict(self.table["state"].value_counts().iter_rows())
        states = ", ".join(f"{count.get(state, 0)} {state}" for state in ("computed", "unchanged", "failed"))
        return f"{self.job} of {format_count(len(self.table), 'dam')}: {states}"


@step("fleet")
def run_fleet(  # noqa: PLR0913  # where and what: keywords, as the options of the command
    members: Sequence[Member],
    job: FleetJob,
    place: Place,
    *,
    output: str | Path,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> FleetResult:
    """The job of every member; what is complete already is not computed again.

    The files of each dam are in `output`: `dam=ID/` with Parquet files, and for a forecast or a refresh `ID/` as
    `forebay refresh` writes it. `fleet.csv`, `fleet.json` and `fleet.html` describe the whole fleet.

    Parameters
    ----------
    place
        Processes of this machine, or a scheduler.
    settings
        As in `forebay.forecast`; `archive` must be one that every worker reaches.
    progress
        Called with the rate and the time left, the number of complete dams and the number of all.

    Raises
    ------
    ConfigError
        If the folder or the archive cannot be written, Dask is not installed, or workers of other machines cannot use
        the archive.
    NoArchiveError
        If there is no archive, and nothing is fetched.
    SourceError
        If the scheduler does not answer.
    BusyError
        If another fleet writes into the folder.
    """
    settings = settings or current_settings()
    folder = Path(output).absolute()
    shared = worker_settings(settings, place)
    tasks_count = sum(member.dam is not None for member in members)
    if tasks_count and not job.fetches:
        _check_archive(shared)
    place = replace(place, workers=max(1, min(place.workers, tasks_count)))  # a worker without a dam is of no use
    start = monotonic()
    report = _Progress(job.name, len(members), progress, start)
    with locked(folder):
        rows = {member.name: _failure(member.name, member.failure) for member in members if member.failure}
        report.complete(len(rows))
        # Each task is made when a worker is free: to read all entries first takes long in a large fleet.
        tasks = (task_of(member, job, shared, folder) for member in members if member.dam is not None)
        peak_mb = 0.0
        for result in run_tasks(tasks, place):  # none is stored here: a large fleet has more bytes than the memory
            for fields in result.errors:
                write(logging.ERROR, "fleet", fields, str(fields.get("message", "")))
            rows[result.dam] = _row(result, job.name, folder)
            peak_mb = max(peak_mb, result.peak_mb)
            report.complete(1)
        table = _table(rows, {member.name: member for member in members})
        fleet = FleetResult(job.name, table, round(monotonic() - start, 1), peak_mb)
        fleet = replace(fleet, unwritten=_write_summary(fleet, place, folder))
    add_counts({"dams": len(members), "failures": len(fleet.failures), "peak_mb": fleet.peak_mb})
    return fleet


def task_of(member: Member, job: FleetJob, settings: Settings, folder: Path) -> Task:
    """The task of a member with a dam; each dam has a cache of its own, so that its cost does not grow with others."""
    assert member.dam is not None
    entry = read_entry(folder, job.name, member.dam.id)
    own = settings.model_copy(update={"cache": str(Path(settings.cache) / "fleet" / member.dam.id)})
    key = None if entry is None else entry.key
    rules, fault = _alert_rules(member, settings) if job.name == "refresh" else ((), None)
    return Task(
        job.name, member.dam, own, caller_environment(), str(folder), key, job.fetches, job.report, rules, fault
    )


def _alert_rules(member: Member, settings: Settings) -> tuple[tuple[AlertRule, ...], str | None]:
    """The alert rules of a dam, read here because a worker may not have their files; or why they cannot be read."""
    assert member.dam is not None
    try:
        return alert_rules(member.dam, settings, member.folder), None
    except ForebayError as error:
        return (), str(error)


def _check_archive(settings: Settings) -> None:
    """Raise `NoArchiveError` for an SQLite file that does not exist: each dam would fail with the same sentence."""
    file = sqlite_file(parse_url(settings.archive))
    if file is not None and not file.exists():
        raise NoArchiveError(
            f"archive sqlite:///{file} does not exist; fetch the dams first by `forebay fleet refresh` or `forebay "
            "fleet hindcast --fetch`, or give another archive with --archive"
        )


def worker_settings(settings: Settings, place: Place) -> Settings:
    """`settings` for workers: absolute paths, one thread, and no secret but a password in the URL of the archive.

    Raises
    ------
    ConfigError
        If a worker of another machine would have to use an SQLite file of this one, or a password would be sent over
        the network as plain text.
    """
    url = parse_url(settings.archive)
    file = sqlite_file(url)
    if has_password(url) and not place.is_encrypted:
        raise ConfigError(
            f"the archive {public_url(url)} has a password, which scheduler {place.scheduler} would receive as plain "
            "text; put it into ~/.pgpass on every machine and leave it out of the URL, or use a tls:// scheduler"
        )
    if file is not None:
        if not place.is_local:
            raise ConfigError(
                f"the archive is the SQLite file {file}, which the workers of scheduler {place.scheduler} on other "
                "machines cannot share; give a PostgreSQL archive by --archive postgresql+psycopg://USER@HOST/DATABASE"
            )
        try:
            file.absolute().parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"archive {file} cannot be created ({error.strerror}); give another one with --archive"
            ) from None
        url = url.set(database=str(file.absolute()))
    sources = {
        name: source.model_copy(update={"api_key": type(source.api_key)("")})
        for name, source in settings.sources.items()
    }
    update = {
        "archive": url.render_as_string(hide_password=False),
        "cache": str(Path(settings.cache).absolute()),
        "alert_urls": type(settings.alert_urls)(""),
        "sources": sources,
        "workers": 1,
    }
    return settings.model_copy(update=update)


def _failure(name: str, sentence: str | None) -> dict[str, object]:
    return {"dam": name, "state": "failed", "failure": sentence}


def _row(result: TaskResult, job: Job, folder: Path) -> dict[str, object]:
    """The row of a dam's result, after its files are written; a folder that cannot be written is a failure, too."""
    times = {"seconds": result.seconds, "cpu_s": result.cpu_s}
    if result.unchanged:
        entry = read_entry(folder, job, result.dam)
        if entry is not None:
            return {**entry.values, **result.values, "dam": result.dam, "state": "unchanged", **times}
        return _failure(result.dam, "its files changed while the fleet ran; call the command again")
    try:
        write_result(folder, job, result)
    except ForebayError as error:
        return {**_failure(result.dam, f"computed, but not written: {error}"), **times}
    if result.failure is not None:
        return {**result.values, **_failure(result.dam, result.failure), **times}
    return {**result.values, "dam": result.dam, "state": "computed", **times}


def _table(rows: Mapping[str, Mapping[str, object]], members: Mapping[str, Member]) -> pl.DataFrame:
    """`charts.fleet_tables.FLEET` in the order of the members."""
    complete = []
    for name, member in members.items():
        dam = member.dam
        place = {"name": None} if dam is None else {
            "name": dam.title,
            "simulated": dam.simulated,
            "latitude": dam.latitude,
            "longitude": dam.longitude,
            "unit": dam.target.unit,
        }  # fmt: skip
        row = {**rows[name], **place}
        texts = {name: None if row.get(name) is None else str(row[name]) for name in ("init_date", "issue_time")}
        complete.append({column: row.get(column) for column in FLEET.columns} | texts)
    schema = {**FLEET.columns, "init_date": pl.String(), "issue_time": pl.String()}
    table = pl.DataFrame(complete, schema=schema).with_columns(
        pl.col("init_date").str.to_date(),
        pl.col("issue_time").str.to_datetime("%Y-%m-%d %H:%M:%S%.f%:z", time_unit="us", time_zone="UTC"),
    )
    return FLEET.check(table)


def _write_summary(fleet: FleetResult, place: Place, folder: Path) -> str | None:
    """Write fleet.csv, fleet.json and fleet.html; the sentence on the first that cannot be written.

    The dams are complete without them, and their failures are to be named. An earlier file does not stay.
    """
    from forebay.report.fleet import FleetPage, render_fleet

    page = FleetPage(fleet.table, fleet.title(), fleet.seconds, place.title, datetime.now(UTC))
    contents = {
        "fleet.csv": fleet.table.write_csv(),
        "fleet.json": json.dumps(fleet_content(fleet, folder), default=str, indent=1),
        "fleet.html": render_fleet(page),
    }
    unwritten = None
    for name, content in contents.items():
        try:
            write_file(folder / name, content.encode())
        except ConfigError as error:
            unwritten = unwritten or str(error)
            with suppress(OSError):
                (folder / name).unlink(missing_ok=True)
    return unwritten


def fleet_content(fleet: FleetResult, folder: Path) -> dict[str, object]:
    """What `--json` prints: the job, its duration, the folder, a row per dam, the dams that failed, `unwritten`."""
    return {
        "job": fleet.job,
        "seconds": fleet.seconds,
        "peak_mb": fleet.peak_mb,
        "folder": str(folder),
        "dams": fleet.table.to_dicts(),
        "failed": fleet.failures,
        "unwritten": fleet.unwritten,
    }


class _Progress:
    """The rate of dams and the time left, for a callback."""

    def __init__(self, job: str, total: int, callback: Callable[[str, int, int], None] | None, start: float) -> None:
        self._job, self._total, self._callback, self._start = job, total, callback, start
        self._count = 0

    def complete(self, count: int) -> None:
        """Count dams and call back."""
        self._count += count
        if self._callback is not None:
            self._callback(self.description(monotonic()), self._count, self._total)

    def description(self, now: float) -> str:
        """The job with its rate and the time left: "hindcast, 3.2 dams a minute, 12 min left"."""
        return f"{self._job}{rate_text(self._count, self._total, now - self._start)}"


def rate_text(count: int, total: int, seconds: float) -> str:
    """Rate and time left after `count` of `total` dams.

    >>> rate_text(4, 10, 120.0), rate_text(0, 10, 5.0)
    (', 2.0 dams a minute, 3 min left', '')
    """
    if not count or seconds <= 0:
        return ""
    left = (total - count) * seconds / count
    text = f"{left / 60:.0f} min" if left >= 60 else f"{left:.0f} s"
    return f", {60 * count / seconds:.1f} dams a minute, {text} left"
