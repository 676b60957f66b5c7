"""Tasks on a Dask cluster: worker processes of this machine, or a scheduler that exists already.

A task goes to the cluster when a worker is free for it, so that a worker that ends takes one task with it. Dask gives
this task to another worker. A task whose workers ended again and again becomes a failure with its cause. After a lost
scheduler, the tasks without a result are submitted again as soon as it answers.
"""

from __future__ import annotations

import logging
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from forebay.errors import ConfigError, SourceError
from forebay.files import staging_folder
from forebay.fleet.place import ADDRESS_EXAMPLE, Place
from forebay.fleet.task import Task, TaskResult
from forebay.jobs.results import require_extra
from forebay.log import public_text, write

if TYPE_CHECKING:
    from distributed import Client, Future

LEAST_MEMORY = 256 * 2**20
"""Memory (bytes) below which a worker ends before its first task: the libraries alone need most of it."""
ALLOWED_FAILURES = 2
"""Number of workers that may end with the same task before it fails."""
WORKER_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1"),
    "PYTHONSAFEPATH": "1",  # a file such as struct.py in the working folder is not executed
}
"""Environment of a worker process, which has one thread."""
CONFIGURATION = {
    "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
    "distributed.scheduler.worker-saturation": 1.0,
    # A worker has no results of Dask's to spill, and a pause would never end.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.scheduler.http.routes": [],  # no page and no metrics
    "distributed.worker.http.routes": [],
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.tick.interval": "500ms",
    "distributed.worker.profile.enabled": False,  # nobody looks at Dask's own profile
    "logging": {"distributed": "critical"},
}
"""Dask's settings of a cluster of this machine."""
CERTIFICATES = (
    "set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT and …__CLIENT__KEY to files"
)
FOLDER_PREFIX = "forebay-dask-"
"""Start of the names of the temporary folders of worker processes."""
_POLL_S = 1.0
_MEMORY_LOGGER = "distributed.nanny.memory"


class _OutOfMemory(logging.Handler):
    """Addresses of the workers that were ended because of their memory, from the records of their supervisor."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.addresses: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "memory budget" in text:
            self.addresses.update(word for word in text.split() if "://" in word)


def run_tasks(tasks: Iterable[Task], place: Place) -> Iterator[TaskResult]:
    """Results of `tasks` in the order in which they end, one per task.

    A task is taken from `tasks` when a worker is free for it.

    Raises
    ------
    ConfigError
        If Dask is not installed, or an address or a limit of memory is wrong.
    SourceError
        If the scheduler does not answer, or has no worker, before the first task.
    """
    require_extra("fleet", "cryptography", "dask", "distributed")
    run = _Run(iter(tasks), place)
    while run.is_waiting():
        try:
            with _client(place, is_first=not run.started) as connection:
                yield from run.results(connection)
        except SourceError as error:
            if not run.started:
                raise
            # The scheduler did not come back.
            yield from run.failures(f"not computed: {error}")


@dataclass
class _Run:
    """Tasks on their way: those to come, those that wait, and the futures of the others.

    `token` makes its keys its own: a scheduler gives two tasks with the same key the same result, and another fleet may
    have a dam with the same id.
    """

    source: Iterator[Task]
    place: Place
    started: bool = False
    waiting: deque[Task] = field(default_factory=deque)
    running: dict[Future, Task] = field(default_factory=dict)
    token: str = field(default_factory=lambda: uuid4().hex)

    def is_waiting(self) -> bool:
        """Whether a task waits, after one was taken from the source if none did."""
        if not self.waiting:
            self.waiting.extend(islice(self.source, 1))
        return bool(self.waiting)

    def failures(self, sentence: str) -> Iterator[TaskResult]:
        """The failure of every task that waits."""
        while self.is_waiting():
            yield TaskResult(self.waiting.popleft().dam.id, failure=sentence)

    def results(self, connection: Connection) -> Iterator[TaskResult]:
        """Results until no task waits or runs, or until the scheduler is lost; its tasks then wait again."""
        from distributed import wait
        from distributed.client import FuturesCancelledError

        last_worker = monotonic()
        while self.is_waiting() or self.running:
            if connection.is_lost() or any(future.cancelled() for future in self.running):
                write(logging.WARNING, "fleet", {"tasks": len(self.running)}, f"{self.place.title} was lost")
                self.take_back()
                return
            threads = connection.threads()
            if threads:
                last_worker = monotonic()
            elif monotonic() - last_worker > self.place.patience_s:
                self.take_back()
                raise SourceError(connection.no_worker(self.place))
            self._submit(connection, threads)
            if self.running:
                with suppress(TimeoutError, FuturesCancelledError), connection.client.as_current():
                    wait(list(self.running), timeout=_POLL_S, return_when="FIRST_COMPLETED")
            else:
                sleep(0.2)
            ended = [future for future in self.running if future.done()]
            for future in ended:
                if (result := self._result(future, connection)) is not None:
                    del self.running[future]
                    yield result

    def _submit(self, connection: Connection, threads: int) -> None:
        """Submit tasks until each of `threads` has one."""
        from forebay.fleet.worker import run_task

        while len(self.running) < threads and not connection.is_lost() and self.is_waiting():
            task = self.waiting[0]
            key = f"{task.job}-{task.dam.id}-{self.token}"
            try:
                future = connection.client.submit(run_task, task, pure=False, key=key)
            except (OSError, RuntimeError):  # the connection was lost since
                return
            self.running[future] = self.waiting.popleft()
            self.started = True

    def take_back(self) -> None:
        """Let every running task wait again, in front of the others."""
        self.waiting.extendleft(reversed(self.running.values()))
        self.running.clear()

    def _result(self, future: Future, connection: Connection) -> TaskResult | None:
        """The result of a task that ended; None if its worker or the scheduler ended before it was transferred."""
        from distributed.client import FutureCancelledError

        try:
            error = future.exception(timeout=self.place.patience_s)
            if error is None:
                result: TaskResult = future.result(timeout=self.place.patience_s)
                return result
        except (OSError, FutureCancelledError):  # a TimeoutError is an OSError
            return None
        except Exception as fault:  # a result that cannot be read: the other dams are computed nevertheless
            error = fault
        return TaskResult(self.running[future].dam.id, failure=connection.cause(error))


@dataclass(frozen=True)
class Connection:
    """A client of a cluster, and the records of the workers of this machine."""

    client: Client
    out_of_memory: _OutOfMemory
    memory: str

    def threads(self) -> int:
        """Number of threads of all workers; 0 if the scheduler does not answer."""
        try:
            info: dict[str, Any] = self.client.scheduler_info(n_workers=-1)  # Any: Dask's own content
        except (OSError, TimeoutError, TypeError):
            return 0
        return sum(int(worker.get("nthreads", 1)) for worker in info.get("workers", {}).values())

    def no_worker(self, place: Place) -> str:
        """Sentence on a cluster whose workers ended and did not come back."""
        if place.scheduler is not None:
            return f"{place.title} has no worker since {place.patience_s:g} s; start workers"
        if self.out_of_memory.addresses:
            return (
                f"the workers had too little memory to start (limit of each worker: {self.memory}); give each one more "
                "by --memory, or start fewer workers"
            )
        return f"the worker processes ended and did not come back in {place.patience_s:g} s; see the system's log"

    def is_lost(self) -> bool:
        """Whether the scheduler is gone."""
        return str(self.client.status) != "running"

    def cause(self, error: BaseException) -> str:
        """Sentence on a task that failed without a result."""
        from distributed import KilledWorker

        if isinstance(error, ImportError | AttributeError):  # a task cannot be read without its module
            return (
                f"a worker has no forebay, or another version of it ({error}); install the same version on every worker"
            )
        if not isinstance(error, KilledWorker):
            return f"unexpected {type(error).__name__} of the cluster: {public_text(str(error))}"
        count = error.allowed_failures + 1
        if error.last_worker.address in self.out_of_memory.addresses:
            return (
                f"the worker had too little memory, {count} times (limit of each worker: {self.memory}); give each one "
                "more by --memory, or start fewer workers"
            )
        return (
            f"{count} workers ended while they computed this dam; too little memory is the usual cause: give each "
            "worker more, and see the system's log"
        )


def _client(place: Place, *, is_first: bool) -> AbstractContextManager[Connection]:
    if place.scheduler is None:
        return _local(place)
    return _remote(place, place.scheduler, place.start_s if is_first else place.patience_s)


@contextmanager
def _local(place: Place) -> Iterator[Connection]:
    """Connection to a new cluster of this machine: on loopback, without a dashboard, one thread per process."""
    import dask
    from distributed import Client, LocalCluster, Security

    with ExitStack() as stack:
        records = stack.enter_context(_records_of_memory())
        stack.enter_context(dask.config.set(CONFIGURATION))
        limit = _memory_limit(place)
        folder = stack.enter_context(staging_folder(Path(tempfile.gettempdir()), prefix=FOLDER_PREFIX))
        cluster = LocalCluster(
            n_workers=place.workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            worker_dashboard_address="127.0.0.1:0",
            memory_limit=limit,
            local_directory=str(folder),
            silence_logs=logging.CRITICAL,
            protocol="tls",
            security=Security.temporary(),  # no other user of this machine may send tasks
            env=WORKER_ENVIRONMENT,
        )
        stack.enter_context(cluster)
        client = stack.enter_context(Client(cluster, set_as_default=False))
        yield Connection(client, records, place.memory if place.memory != "auto" else f"{(limit or 0) / 2**30:.1f} GiB")


def _memory_limit(place: Place) -> int | None:
    """Most memory of each worker of this machine in bytes; None: no limit.

    Raises
    ------
    ConfigError
        If it is no size of memory, or too small for any task.
    """
    from distributed.worker_memory import parse_memory_limit

    try:
        logger = logging.getLogger(_MEMORY_LOGGER)
        limit: int | None = parse_memory_limit(place.memory, 1, place.workers, logger=logger)
    except ValueError:
        raise ConfigError(f"--memory {place.memory!r} is not a size of memory; give one such as 2GiB") from None
    if (limit or 0) < LEAST_MEMORY and (place.memory, limit) != ("auto", None):
        raise ConfigError(
            f"--memory {place.memory} gives each worker {(limit or 0) / 2**20:.0f} MiB, and one needs at least "
            f"{LEAST_MEMORY / 2**20:.0f} MiB to start and about 1 GiB for a dam; give more, or start fewer workers"
        )
    return limit


@contextmanager
def _records_of_memory() -> Iterator[_OutOfMemory]:
    """Context in which nothing of Dask's log is printed; its records on memory go to the result."""
    records = _OutOfMemory()
    handlers = {"distributed": logging.NullHandler(), _MEMORY_LOGGER: records}
    loggers = {name: logging.getLogger(name) for name in handlers}
    states = {name: (logger.level, logger.propagate) for name, logger in loggers.items()}
    for name, logger in loggers.items():
        logger.setLevel(logging.WARNING)
        logger.propagate = False
        logger.addHandler(handlers[name])
    try:
        yield records
    finally:
        for name, (level, propagates) in states.items():
            loggers[name].removeHandler(handlers[name])
            loggers[name].setLevel(level)
            loggers[name].propagate = propagates


@contextmanager
def _remote(place: Place, address: str, seconds: float) -> Iterator[Connection]:
    """Connection to a scheduler; waits for it, and for a first worker, as long as `place` allows."""
    from distributed import Client

    _check_certificates(address)
    with ExitStack() as stack:
        records = stack.enter_context(_records_of_memory())
        # Not the default of the process: a program that imports forebay may use Dask itself.
        connect = partial(Client, address, timeout=5, set_as_default=False)
        client = stack.enter_context(_retried(connect, address, monotonic() + seconds))
        give_up = monotonic() + place.patience_s
        connection = Connection(client, records, "that of its process")
        while not connection.threads():
            if monotonic() > give_up:
                raise SourceError(
                    f"scheduler {address} has no worker after {place.patience_s:g} s; start one with: dask worker "
                    f"{address}"
                )
            sleep(0.2)
        yield connection


def _check_certificates(address: str) -> None:
    """Raise `ConfigError` if an encrypted connection is asked for and Dask's settings have no certificates for it."""
    if not address.startswith("tls://"):
        return
    from distributed import Security

    try:
        context = Security().get_connection_args("client")["ssl_context"]
    except OSError as error:
        raise ConfigError(
            f"--scheduler {address}: Dask's certificates cannot be read: {error.strerror or error}; {CERTIFICATES}"
        ) from None
    if context is None:
        raise ConfigError(f"--scheduler {address} needs certificates, and Dask's settings name none; {CERTIFICATES}")


def _retried(connect: Callable[[], Client], address: str, give_up: float) -> Client:
    """The client that `connect` returns; it is called again until `give_up` (monotonic time in s)."""
    from distributed.comm.core import FatalCommClosedError

    while True:
        try:
            return connect()
        except FatalCommClosedError as error:
            raise ConfigError(
                f"--scheduler {address}: the certificates of Dask's settings do not fit ({error}); {CERTIFICATES}"
            ) from None
        except ValueError as error:
            raise ConfigError(f"--scheduler {address!r} is not an address ({error}); {ADDRESS_EXAMPLE}") from None
        except OSError as error:
            if monotonic() > give_up:
                raise SourceError(
                    f"scheduler {address} does not answer ({_reason(error)}); start it with `dask scheduler`, or leave "
                    "--scheduler out to use this machine",
                    retryable=True,
                ) from None
            sleep(0.5)


def _reason(error: BaseException) -> str:
    """What the system said, such as "Connection refused", under the errors that Dask made of it."""
    cause: BaseException | None = error
    reason = "no connection in time"
    while cause is not None:
        reason = getattr(cause, "strerror", None) or reason
        cause = cause.__cause__
    return reason
