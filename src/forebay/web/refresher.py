"""The supervisor of the process that refreshes: it may fail, hang or be killed, and no answer waits for it."""

from __future__ import annotations

import json
import logging
import os
import selectors
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from forebay.log import write

if TYPE_CHECKING:
    from forebay.web.refresher_process import Plan

COMMAND = (sys.executable, "-P", "-m", "forebay.cli.refresher")
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 600.0
"""Wait before a process that has ended is started again: twice as long each time, until a refresh succeeds."""
SILENCE_S = 120.0
"""A process that says nothing for so long hangs, and is ended."""
LIMIT_S, LIMIT_PER_DAM_S = 1800.0, 300.0
"""A refresh that takes longer than this, and this for each dam, hangs, and is ended."""
END_S = 5.0
"""Seconds that the process has to end before it is killed."""
LOOK_S = 0.2


@dataclass(frozen=True)
class RefresherStatus:
    """The state of the refresher.

    Attributes
    ----------
    state
        starting, waiting, refreshing, restarting or ended.
    since
        Since when.
    dams
        The dams that are being refreshed.
    last_end, last_seconds
        When the last refresh ended, and how long it took; None before the first.
    failed, sentence
        Dams of the last refresh that have no new forecast, and why; or why the process was restarted.
    next_due
        When the next refresh begins.
    refreshes, failures, restarts
        Numbers since the start of the server: of refreshes, of those with a failure, of restarts of the process.
    """

    state: str = "starting"
    since: datetime = datetime.min.replace(tzinfo=UTC)
    dams: tuple[str, ...] = ()
    last_end: datetime | None = None
    last_seconds: float | None = None
    failed: tuple[str, ...] = ()
    sentence: str = ""
    next_due: datetime | None = None
    refreshes: int = 0
    failures: int = 0
    restarts: int = 0


class Supervisor:
    """Starts the process, follows its events, and starts it again if it ends or hangs.

    Parameters
    ----------
    plan
        What is refreshed, and when.
    command
        Program of the process, with its arguments.
    """

    def __init__(self, plan: Plan, command: Sequence[str] = COMMAND) -> None:
        self._plan, self._command = plan, list(command)
        self._status = RefresherStatus(since=datetime.now(UTC))
        self._limit_s = LIMIT_S + LIMIT_PER_DAM_S * len(plan.dams)
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._requests: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._wait_s = FIRST_WAIT_S
        self._thread = threading.Thread(target=self._supervise, name="refresher", daemon=True)

    @property
    def status(self) -> RefresherStatus:
        """The present state."""
        return self._status

    def start(self) -> None:
        """Start the process, and follow it in a thread."""
        self._thread.start()

    def close(self) -> None:
        """End the process."""
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._set(state="ended", next_due=None)

    def request(self, dam: str) -> str:
        """Ask for a refresh of a dam; a sentence on when it begins."""
        with self._lock:
            if dam not in self._requests:
                self._requests.append(dam)
        if self._status.state == "refreshing":
            return f"The refresh of {dam} begins after that of {', '.join(self._status.dams)}."
        return f"The refresh of {dam} begins within seconds."

    def _supervise(self) -> None:
        while not self._end.is_set():
            try:
                reason = self._run()
            except Exception as error:  # the thread must live as long as the server
                reason = f"it could not be started: {error}"
            if self._end.is_set():
                return
            write(logging.ERROR, "refresher", {"wait_s": self._wait_s}, f"the refresher is restarted: {reason}")
            failed = self._status.state == "refreshing"
            self._set(
                state="restarting",
                dams=(),
                sentence=f"The refresher is restarted: {reason}.",
                restarts=self._status.restarts + 1,
                failures=self._status.failures + failed,
                next_due=None,
            )
            self._end.wait(self._wait_s)
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)

    def _run(self) -> str:
        """Run the process until it ends, hangs, or the server ends; a sentence on the reason."""
        self._set(state="starting")
        process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._process = process
        try:
            assert process.stdin is not None
            process.stdin.write(f"{self._plan.to_json()}\n".encode())
            process.stdin.flush()
            return self._follow(process)
        except BrokenPipeError:
            return _end_reason(process)
        finally:
            _end(process)
            self._process = None

    def _follow(self, process: subprocess.Popen[bytes]) -> str:
        assert process.stdin is not None and process.stdout is not None
        text, last_event, begun = b"", monotonic(), 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not self._end.is_set():
                if selector.select(LOOK_S):
                    part = os.read(process.stdout.fileno(), 1 << 16)
                    if not part:
                        return _end_reason(process)
                    last_event = monotonic()
                    *lines, text = (text + part).split(b"\n")
                    for line in lines:
                        if self._event(line):
                            begun = monotonic()
                if monotonic() - last_event > SILENCE_S:
                    return f"it said nothing for {SILENCE_S:g} s"
                if self._status.state == "refreshing" and monotonic() - begun > self._limit_s:
                    return f"a refresh took longer than {self._limit_s:g} s"
                if self._status.state in ("waiting", "refreshing"):
                    self._send_requests(process)
        return ""

    def _send_requests(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        with self._lock:
            requests = list(self._requests)
        if requests:
            process.stdin.write(f"{' '.join(requests)}\n".encode())
            process.stdin.flush()  # an error leaves them for the next process
            with self._lock:
                self._requests = self._requests[len(requests) :]

    def _event(self, line: bytes) -> bool:
        """Follow an event of the process; True at the start of a refresh."""
        try:
            content: dict[str, Any] = json.loads(line)  # Any: values of JSON
            event, due = content["event"], content["next"]
        except (ValueError, KeyError, TypeError):
            write(logging.WARNING, "refresher", {}, line.decode(errors="replace")[:500])
            return False
        next_due = None if due is None else datetime.fromisoformat(due)
        if event == "start":
            self._set(state="refreshing", dams=tuple(content["dams"]), next_due=next_due)
            return True
        if event == "end":
            failed, sentence = tuple(content["failed"]), content["sentence"]
            if sentence:
                write(logging.ERROR, "refresher", {"seconds": content["seconds"]}, sentence)
            self._set(
                state="waiting",
                dams=(),
                last_end=datetime.now(UTC),
                last_seconds=content["seconds"],
                failed=failed,
                sentence=sentence,
                refreshes=self._status.refreshes + 1,
                failures=self._status.failures + bool(sentence),
                next_due=next_due,
            )
            if not failed:
                self._wait_s = FIRST_WAIT_S
        elif self._status.state == "starting" and event == "ready":
            self._set(state="waiting", next_due=next_due)
        elif next_due is not None:
            self._set(next_due=next_due)
        return False

    def _set(self, **fields: Any) -> None:  # Any: of a dataclass
        if "state" in fields and fields["state"] != self._status.state:
            fields["since"] = datetime.now(UTC)
        self._status = replace(self._status, **fields)


def _end_reason(process: subprocess.Popen[bytes]) -> str:
    """Why a process reads or writes no more."""
    try:
        return f"it ended with status {process.wait(END_S)}"
    except subprocess.TimeoutExpired:
        return "it closed its input or output"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process: its input first, then by force."""
    assert process.stdin is not None and process.stdout is not None
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
