"""The process that refreshes the dams of a server each morning; it has the plan and its orders from standard input.

It writes a line of JSON for each event on its standard output: `alive` every few seconds, and `start` and `end` of a
refresh. The end of its input is the end of the server: the process then ends at once. The archive allows that at any
moment.
"""

from __future__ import annotations

import json
import os
import selectors
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from forebay.archive.store import open_archive
from forebay.dams.local_time import zone
from forebay.errors import ForebayError
from forebay.forecasts.record import record_id
from forebay.jobs.arguments import as_dam, current_settings
from forebay.jobs.record import last_issued
from forebay.text import without_secrets
from forebay.web.dam_state import RESULT_FILE, record_of_result

if TYPE_CHECKING:
    import polars as pl
    from apscheduler.schedulers.background import BackgroundScheduler

    from forebay.jobs.refresh import RefreshResult
    from forebay.settings import Settings

ALIVE_S = 5.0
AGAIN = timedelta(minutes=30)
"""After this time the dams that failed are refreshed once more, and so on until they succeed."""
NICENESS = 10
"""The server answers first."""


@dataclass(frozen=True)
class Plan:
    """What the process refreshes, and when.

    Attributes
    ----------
    dams
        Id → id of a built-in dam, or path of a dam file.
    archive
        URL of the archive; None: that of the settings.
    output
        Folder with a folder per dam.
    at
        Clock time, "HH:MM", in the time zone of each dam.
    scenarios
        Whether the files of scenarios are written.
    """

    dams: Mapping[str, str]
    archive: str | None
    output: str
    at: str
    scenarios: bool

    def to_json(self) -> str:
        """The plan as a line of JSON."""
        return json.dumps(asdict(self) | {"dams": dict(self.dams)})

    @property
    def clock(self) -> tuple[int, int]:
        """Hour and minute."""
        hour, minute = self.at.split(":")
        return int(hour), int(minute)


def due_before(now: datetime, at: tuple[int, int], time_zone: str) -> datetime:
    """The last time at which a dam was to be refreshed.

    >>> due_before(datetime(2026, 5, 2, 21, 0, tzinfo=UTC), (7, 30), "+10:00").isoformat()
    '2026-05-02T07:30:00+10:00'
    """
    local = now.astimezone(zone(time_zone))
    due = local.replace(hour=at[0], minute=at[1], second=0, microsecond=0)
    return due if due <= local else due - timedelta(days=1)


def missed(plan: Plan, settings: Settings, now: datetime) -> list[str]:
    """Dams without a forecast since they were last to be refreshed, or without its results in the folder of the server.

    A dam whose file is wrong is among them.
    """
    names = []
    with open_archive(plan.archive or settings.archive) as archive:
        for dam, name in plan.dams.items():
            try:
                due = due_before(now, plan.clock, as_dam(name, settings).time_zone)
            except ForebayError:
                names.append(dam)
                continue
            index = archive.records.index(dam)
            newest = index["issue_time"].max()
            if not isinstance(newest, datetime) or newest < due or not _has_results(plan, dam, index):
                names.append(dam)
    return names


def _has_results(plan: Plan, dam: str, index: pl.DataFrame) -> bool:
    """Whether the folder of the server has the results of the newest issued forecast.

    `forebay run`, and a refresh into another folder, issue forecasts without them.
    """
    issued = last_issued(index)
    newest = None if issued.is_empty() else record_id(dam, issued["sequence"][-1])
    return newest is not None and record_of_result(Path(plan.output) / dam / RESULT_FILE) == newest


class Worker:
    """Refreshes by the plan; one at a time.

    Parameters
    ----------
    events
        Where each event is written, a line of JSON.
    """

    def __init__(self, plan: Plan, settings: Settings, events: IO[str]) -> None:
        self._plan, self._settings, self._events = plan, settings, events
        self._lock = threading.Lock()
        self._scheduler = self._new_scheduler()

    def start(self) -> None:
        """Schedule the refreshes of each morning, and begin with the dams that have missed theirs."""
        from apscheduler.triggers.cron import CronTrigger

        hour, minute = self._plan.clock
        by_zone: dict[str, list[str]] = {}
        for dam, name in self._plan.dams.items():
            try:
                time_zone = as_dam(name, self._settings).time_zone
            except ForebayError:
                time_zone = "UTC"  # the refresh itself reports what is wrong with the file
            by_zone.setdefault(time_zone, []).append(dam)
        for time_zone, dams in by_zone.items():
            trigger = CronTrigger(hour=hour, minute=minute, timezone=zone(time_zone))
            self._scheduler.add_job(self.refresh, trigger, args=[dams], id=f"at {time_zone}")
        self._scheduler.start()
        if late := missed(self._plan, self._settings, datetime.now(UTC)):
            self.request(late)
        self.emit("ready")

    def request(self, dams: Iterable[str]) -> None:
        """Refresh dams as soon as no other refresh runs."""
        known = [dam for dam in dams if dam in self._plan.dams]
        if known:
            name = f"now {' '.join(known)}"
            self._scheduler.add_job(self.refresh, args=[known], id=name, replace_existing=True)

    def refresh(self, dams: list[str]) -> None:
        """Refresh dams now; a dam that fails gets another attempt."""
        from forebay.jobs.refresh import refresh

        self.emit("start", dams=dams)
        names, start = [self._plan.dams[dam] for dam in dams], time.monotonic()
        sys.argv = ["forebay", "refresh", *names]  # the lease names the command of its holder
        failed, sentence = list(dams), ""
        try:
            result = refresh(
                names,
                archive=self._plan.archive,
                settings=self._settings,
                output=self._plan.output,
                scenarios=self._plan.scenarios,
            )
            failed, sentence = failures(result, dams)
        except ForebayError as error:
            sentence = str(error)
        except Exception as error:  # a fault of the program must not end the process: the next morning comes
            sentence = f"unexpected {type(error).__name__}: {error}"
        seconds = round(time.monotonic() - start, 1)
        if failed:
            at = datetime.now(UTC) + AGAIN
            self._scheduler.add_job(
                self.refresh, "date", run_date=at, args=[failed], id="again", replace_existing=True
            )
        self.emit("end", dams=dams, failed=failed, sentence=without_secrets(sentence), seconds=seconds)

    def emit(self, event: str, **content: object) -> None:
        """Write an event; if no server reads it, the process ends."""
        times = [job.next_run_time for job in self._scheduler.get_jobs() if job.next_run_time is not None]
        next_due = min(times).astimezone(UTC).isoformat() if times else None
        with self._lock:
            try:
                print(json.dumps({"event": event, "next": next_due, **content}), file=self._events, flush=True)
            except OSError:
                end_at_once()

    @staticmethod
    def _new_scheduler() -> BackgroundScheduler:
        from apscheduler.executors.pool import ThreadPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler

        return BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
            timezone=UTC,
        )


def end_at_once() -> NoReturn:
    """End the process without the end of a refresh: the server is gone."""
    os._exit(0)


def failures(result: RefreshResult, dams: list[str]) -> tuple[list[str], str]:
    """Ids of the dams that have no new forecast, and a sentence on all failures of a refresh."""
    failed = [dam for dam, outcome in zip(dams, result.outcomes, strict=True) if outcome.failure is not None]
    reasons = [f"{outcome.dam}: {outcome.failure or outcome.alert_failure}" for outcome in result.failures]
    return failed, "; ".join(reasons)


def _first_line(orders: IO[str]) -> bytes:
    """The first line, without reading further: the rest is read from the file itself."""
    text = b""
    while not text.endswith(b"\n"):
        byte = os.read(orders.fileno(), 1)
        if not byte:
            end_at_once()
        text += byte
    return text


def run(orders: IO[str], events: IO[str]) -> None:
    """Refresh by the plan in the first line of `orders`, until its end. Other lines are ids of dams to refresh now."""
    plan = Plan(**json.loads(_first_line(orders)))
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    worker = Worker(plan, current_settings(), events)
    worker.start()
    with selectors.DefaultSelector() as selector:
        selector.register(orders.fileno(), selectors.EVENT_READ)
        while True:
            if selector.select(ALIVE_S):
                text = os.read(orders.fileno(), 1 << 16).decode()
                if not text:
                    end_at_once()
                worker.request(text.split())
            worker.emit("alive")
