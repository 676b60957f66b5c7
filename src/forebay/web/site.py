"""The dams of a server, as of the newest state of the archive."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import thread_time
from typing import TYPE_CHECKING

from forebay.errors import ForebayError
from forebay.log import write
from forebay.web.dam_state import DamState, Token, read_state, token_of_result, tokens_of

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam

POLL_S = 1.0
"""Seconds between two looks for a change."""
LOOK_SHARE = 4.0
"""A look that took so much time of the processor is followed by a wait of this multiple: answers come first."""


@dataclass(frozen=True)
class Snapshot:
    """The state of every dam, by id in the order of the command.

    Attributes
    ----------
    number
        1, 2, …: another one after each change.
    dams
        State of each dam.
    failure
        Sentence if the archive cannot be read now: the states are then the last ones that could be read.
    """

    number: int
    dams: Mapping[str, DamState] = field(repr=False)
    failure: str = ""


class Site:
    """The dams of a server; a thread of its own follows the archive, so that a request never waits for it.

    Parameters
    ----------
    dams
        Each with another id.
    archive
        Open archive, which stays open.
    folder
        Folder in which a refresh writes one folder for each dam.
    """

    def __init__(self, dams: Mapping[str, Dam], archive: Archive, folder: Path) -> None:
        self.dams, self.archive, self.folder = dict(dams), archive, folder
        self._state = archive.state()
        self._archive_token = ""
        self._end = threading.Event()
        self._changed = threading.Condition()
        self._snapshot = Snapshot(0, {})
        self._thread = threading.Thread(target=self._follow, name="site", daemon=True)

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot."""
        return self._snapshot

    def start(self) -> None:
        """Read every dam, then follow the archive until `close`."""
        self.update()
        self._thread.start()

    def close(self) -> None:
        """Stop to follow the archive."""
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._state.close()

    def update(self) -> bool:
        """Whether a new snapshot was made, because something changed."""
        before = self._snapshot
        states: dict[str, DamState] = {}
        try:
            archive_token = self._state.token()
            if archive_token == self._archive_token:
                tokens = self._tokens_with_results()
            else:
                tokens = tokens_of(self.dams, self.archive, self.folder)
            for name, dam in self.dams.items():
                old = before.dams.get(name)
                if old is None or old.token != tokens[name]:
                    old = read_state(dam, self.archive, self.folder, tokens[name])
                states[name] = old
        except ForebayError as error:
            return self._publish(before.dams, f"The archive cannot be read: {error}.")
        self._archive_token = archive_token
        return self._publish(states, "")

    def wait(self, number: int, timeout_s: float) -> Snapshot:
        """The first snapshot with another number, or the present one after `timeout_s` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._snapshot.number != number, timeout_s)
        return self._snapshot

    def _tokens_with_results(self) -> dict[str, Token]:
        """The token of each dam where the archive has not changed: only the files of a refresh may have."""
        states = self._snapshot.dams
        return {
            name: replace(states[name].token, result=token_of_result(dam, self.folder))
            for name, dam in self.dams.items()
        }

    def _publish(self, dams: Mapping[str, DamState], failure: str) -> bool:
        before = self._snapshot
        is_same = failure == before.failure and all(dams[name] is before.dams.get(name) for name in dams)
        if before.number and is_same:
            return False
        with self._changed:
            self._snapshot = Snapshot(before.number + 1, dams, failure)
            self._changed.notify_all()
        return True

    def _follow(self) -> None:
        wait = POLL_S
        while not self._end.wait(wait):
            start = thread_time()
            try:
                self.update()
            except Exception as error:  # the thread must live as long as the server
                write(logging.ERROR, "site", {"error": type(error).__name__}, str(error))
            wait = max(POLL_S, LOOK_SHARE * (thread_time() - start))
