"""The folder of a fleet's results: the files of each dam, and an entry that makes them complete.

One process writes: a lock refuses a second one. The entry of a dam comes last and names each file with its digest, so
that a killed process, a full disk or a damaged file leads to another computation and never to a wrong result.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.errors import BusyError
from forebay.files import unwritable, write_all

if TYPE_CHECKING:
    from forebay.fleet.task import Job, TaskResult

if sys.platform != "win32":
    import fcntl

LOCK = ".fleet-lock"


@dataclass(frozen=True)
class Entry:
    """A complete result of a dam: its key and its values for the table of the fleet."""

    key: str
    values: Mapping[str, object]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Context in which no other fleet writes into `folder`, which is created.

    Raises
    ------
    BusyError
        If another one does.
    ConfigError
        If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise unwritable(folder, error) from None
    try:
        if sys.platform != "win32":
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise BusyError(
                    f"another fleet writes into the folder {str(folder)!r}; wait for its end, or choose another folder "
                    "with -o DIR"
                ) from None
        yield
    finally:
        os.close(handle)


def read_entry(folder: Path, job: Job, dam: str) -> Entry | None:
    """The complete result of a dam; None if there is none, or if a file is missing or changed."""
    try:
        content = json.loads(_entry_path(folder, job, dam).read_text("utf-8"))
        for name, digest in content["files"].items():
            if _digest((folder / name).read_bytes()) != digest:
                return None
        return Entry(str(content["key"]), dict(content["values"]))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def write_result(folder: Path, job: Job, result: TaskResult) -> None:
    """Store the files of a dam and then, if its result is complete, its entry.

    Raises
    ------
    ConfigError
        If they cannot be written.
    """
    path = _entry_path(folder, job, result.dam)
    with suppress(OSError):
        path.unlink(missing_ok=True)
    for place in sorted({Path(name).parent for name in result.files}):
        with write_all(folder / place) as files:
            for name, content in result.files.items():
                if Path(name).parent == place:
                    (files.stage / Path(name).name).write_bytes(content)
    if result.key:
        digests = {name: _digest(content) for name, content in result.files.items()}
        entry = {"key": result.key, "values": result.values, "files": digests}
        with write_all(path.parent) as files:
            (files.stage / path.name).write_text(json.dumps(entry, default=str, indent=1, allow_nan=False), "utf-8")


def _entry_path(folder: Path, job: Job, dam: str) -> Path:
    return folder / f"dam={dam}" / f"{job}.json"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
