"""The lease of an archive: one process at a time writes. It names its holder, is renewed, and expires.

Reading needs no lease. `database` has the table and its statements.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Protocol

from forebay.errors import BusyError, ForebayError
from forebay.text import printable

if TYPE_CHECKING:
    from sqlalchemy import Connection

EXPIRY_S = 60.0
"""Seconds after its last renewal at which a lease expires."""

_RENEWALS = 4  # in that time
_POLL_S = 0.25
_JOIN_S = 5.0
_MAX_COMMAND = 80  # characters
_TOKENS: set[str] = set()
"""Tokens of the leases of this process. A lease that it could not delete, such as on a full disk, is not among them."""


def _report_nothing(_sentence: str) -> None:
    pass


@dataclass(frozen=True)
class LeaseWait:
    """How long a writer waits for the lease, and the function that gets one sentence when a wait begins.

    It does not wait at all for a process whose command begins with `never_for`, such as "forebay refresh".
    """

    seconds: float = 600.0
    report: Callable[[str], None] = _report_nothing
    never_for: str | None = None


DEFAULT_WAIT = LeaseWait()


@dataclass(frozen=True)
class Holder:
    """A row of the table `lease`: the process that writes, and until when.

    Attributes
    ----------
    token
        A random text; another process, or another lease of the same process, has another one.
    processes
        The list of processes that has the number `process` (`process_list`).
    since, expires_at
        µs since 1970 UTC, by the clock of the database.
    """

    token: str
    host: str
    process: int
    processes: str
    command: str
    since: int
    expires_at: int

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since // 1_000_000, UTC)
        return printable(f"{self.host}, process {self.process} ({self.command}), since {since:%Y-%m-%d %H:%M:%S} UTC")

    def runs(self, command: str | None) -> bool:
        """Whether the process runs a command that begins with these words."""
        return command is not None and f"{self.command} ".startswith(f"{command} ")

    def is_over(self, now: int) -> bool:
        """Whether another process may take the lease at `now`: it has expired, or its process has ended."""
        # A lease that ends later than any renewal allows comes from a clock that was wrong.
        is_current = now < self.expires_at <= now + 2 * expiry()
        return not is_current or self._has_ended()

    def _has_ended(self) -> bool:
        """Whether this machine had the process and has it no more, or this process has left the lease."""
        if not self.processes or (self.host, self.processes) != (socket.gethostname(), process_list()):
            return False
        if self.process == os.getpid():
            return self.token not in _TOKENS
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # a process of another user
            return False
        return False


def expiry() -> int:
    """`EXPIRY_S` in µs."""
    return round(EXPIRY_S * 1_000_000)


def process_list() -> str:
    """Identity of the list of processes of this machine or container; empty if the system has no /proc.

    Containers on one machine may have the same host name, and each has its own process 1.
    """
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _command() -> str:
    """Program and, of forebay, the words before the first option: an option may be a URL with a password."""
    program = Path(sys.argv[0] if sys.argv else "").name or "python"
    words = [program]
    for word in sys.argv[1:] if program == "forebay" else []:
        if word.startswith("-"):
            break
        words.append(word)
    return printable(" ".join(words))[:_MAX_COMMAND]


class LeaseTable(Protocol):
    """What a lease needs of a database (`forebay.archive.database.Database`)."""

    where: str

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that waits for no writer."""
        ...

    def transaction(self) -> AbstractContextManager[Connection]:
        """A transaction of a writer without the lease."""
        ...

    def now(self, connection: Connection) -> int:
        """The time by the database's clock (µs since 1970 UTC)."""
        ...

    def lease_holder(self, connection: Connection) -> Holder | None:
        """The process that has the lease, also if it has expired."""
        ...

    def set_lease(self, connection: Connection, holder: Holder) -> None:
        """Give the lease to `holder`."""
        ...

    def renew_lease(self, connection: Connection, token: str, expiry: int) -> bool:
        """Set the end of the lease with this token; False if another process has the lease."""
        ...

    def delete_lease(self, connection: Connection, token: str) -> None:
        """Delete the lease with this token."""
        ...


class Lease:
    """The lease of one open archive."""

    def __init__(self, database: LeaseTable, wait: LeaseWait) -> None:
        self._database = database
        self._wait = wait
        self._token: str | None = None

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Context that has the lease and renews it; a block inside of another one uses the lease of that one.

        Raises
        ------
        BusyError
            If another process has the lease for the whole wait.
        """
        if self._token is not None:
            yield
            return
        token = secrets.token_hex(16)
        _TOKENS.add(token)  # first: another thread must not take it for one that is left
        try:
            self._take(token)
            self._token = token
            with self._renewal(token):
                yield
        finally:
            self._token = None
            _TOKENS.discard(token)

    @contextmanager
    def _renewal(self, token: str) -> Iterator[None]:
        """Context in which a thread renews the lease, which is deleted at the end."""
        stop = threading.Event()
        thread = threading.Thread(target=self._renew_until, args=(stop, token), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(_JOIN_S)  # with a limit: Ctrl-C must work
            with suppress(ForebayError), self._database.transaction() as connection:
                self._database.delete_lease(connection, token)  # if it fails, the lease expires

    def confirm(self, connection: Connection) -> None:
        """Renew the lease in the transaction of a write; raise if another process has taken it."""
        if self._token is None or not self._database.renew_lease(connection, self._token, expiry()):
            holder = self._database.lease_holder(connection)
            raise ForebayError(
                f"archive {self._database.where}: this process did not renew its lease for {EXPIRY_S:.0f} s and lost "
                f"it to {holder or 'another process'}; this write is not stored: run the command again"
            )

    def _take(self, token: str) -> None:
        """Take the lease, after a wait for the holder of the present one."""
        give_up = monotonic() + self._wait.seconds
        is_reported = False
        while True:
            try:
                holder = self._attempt(token)
            except BusyError:  # a long transaction of a writer
                if monotonic() >= give_up:
                    raise
                continue
            if holder is None:
                return
            where, seconds = self._database.where, f"{self._wait.seconds:g} s"
            if holder.runs(self._wait.never_for):
                end = datetime.fromtimestamp(holder.expires_at // 1_000_000, UTC)
                raise BusyError(
                    f"archive {where} is in use by {holder}, until it ends, or until {end:%H:%M:%S} UTC if it is gone; "
                    "nothing was changed: there is nothing to do unless this is so every day"
                )
            if monotonic() >= give_up:
                raise BusyError(
                    f"archive {where} is in use by {holder}; after a wait of {seconds}, nothing was changed: try again "
                    "later, end that process, or set a higher lease_wait_s"
                )
            if not is_reported:
                self._wait.report(f"archive {where} is in use by {holder}; waiting for its end, at most {seconds}")
                is_reported = True
            sleep(max(0.0, min(_POLL_S, give_up - monotonic())))

    def _attempt(self, token: str) -> Holder | None:
        """Take the lease if it is free; otherwise its holder."""
        database = self._database
        with database.reading() as connection:  # it waits for no writer
            holder = database.lease_holder(connection)
            if holder is not None and not holder.is_over(database.now(connection)):
                return holder
        with database.transaction() as connection:
            holder, now = database.lease_holder(connection), database.now(connection)
            if holder is not None and not holder.is_over(now):
                return holder
            process = (socket.gethostname(), os.getpid(), process_list(), _command())
            database.set_lease(connection, Holder(token, *process, since=now, expires_at=now + expiry()))
        return None

    def _renew_until(self, stop: threading.Event, token: str) -> None:
        """Renew the lease again and again; in a thread of its own, also while the process waits for a service."""
        while not stop.wait(EXPIRY_S / _RENEWALS):
            # A lock or a lost connection: `confirm` decides at the next write.
            with suppress(ForebayError), self._database.transaction() as connection:
                if not self._database.renew_lease(connection, token, expiry()):
                    return
