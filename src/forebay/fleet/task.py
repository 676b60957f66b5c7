"""The task of one dam, and its result: what a worker gets and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from forebay.errors import ConfigError

if TYPE_CHECKING:
    from forebay.dams.alert_rules import AlertRule
    from forebay.dams.dam import Dam
    from forebay.settings import Settings

Job = Literal["hindcast", "forecast", "refresh"]


@dataclass(frozen=True, repr=False)
class Task:
    """The job of one dam. Its text has no secret, because Dask writes it into logs.

    Attributes
    ----------
    settings
        Without secrets, which a worker has from its own environment, and with one thread.
    environment
        Digest of the code and the libraries of the caller; a worker with another one refuses the task.
    final
        Folder of the results, which forecast.json names.
    key
        Digest of the last complete result, if there is one.
    fetch, report
        Whether the gauges are fetched first, and whether the report is written, too.
    alerts
        Alert rules of a refresh, which the caller has read; a worker may not have their files.
    alerts_fault
        Why they cannot be read; None if they can.
    """

    job: Job
    dam: Dam
    settings: Settings
    environment: str
    final: str
    key: str | None = None
    fetch: bool = False
    report: bool = False
    alerts: tuple[AlertRule, ...] = ()
    alerts_fault: str | None = None

    def __repr__(self) -> str:
        return f"<Task: {self.job} {self.dam.id}>"

    def rules(self) -> tuple[AlertRule, ...]:
        """`alerts`; raises `ConfigError` if they cannot be read."""
        if self.alerts_fault is not None:
            raise ConfigError(self.alerts_fault)
        return self.alerts


@dataclass(frozen=True, repr=False)
class TaskResult:
    """What a worker returns.

    Attributes
    ----------
    key
        Digest of everything that the result depends on; empty after a failure.
    unchanged
        Whether the key is that of the task, so that nothing was computed.
    values
        Values of the dam for the table of the fleet.
    files
        Path in the folder of results → content.
    failure
        Sentence on the failure; None if there was none.
    errors
        Fields of the log's records of errors, such as the traceback of an unexpected one: a worker has no log.
    cpu_s, peak_mb
        CPU time of the task, and the most memory that the worker's process has had so far.
    """

    dam: str
    key: str = ""
    unchanged: bool = False
    values: Mapping[str, object] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    failure: str | None = None
    errors: tuple[Mapping[str, object], ...] = ()
    seconds: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
