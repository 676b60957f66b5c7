"""Writes a set of files all or nothing.

Every file of a set is written into a staging folder first. When all are complete, each is moved into place, so that a
reader never meets half a file and a failed run leaves the files of the last one.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from forebay.errors import ConfigError


@dataclass(frozen=True)
class FileSet:
    """Files on their way into a folder.

    Attributes
    ----------
    stage
        Staging folder: write each file here, under its final name.
    paths
        Final paths in the order of their names; empty until the files are in place.
    """

    stage: Path
    paths: list[Path] = field(default_factory=list)


@contextmanager
def write_all(folder: Path) -> Iterator[FileSet]:
    """A set of files for `folder`; they are moved into place when the block ends without an error.

    >>> with tempfile.TemporaryDirectory() as name:
    ...     with write_all(Path(name)) as files:
    ...         _ = (files.stage / "level.csv").write_text("level")
    ...     [path.name for path in files.paths]
    ['level.csv']

    Raises
    ------
    ConfigError
        If the folder cannot be written. An `OSError` of the block counts as such.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as stage:
            files = FileSet(Path(stage))
            yield files
            for path in sorted(path for path in files.stage.iterdir() if path.is_file()):
                os.replace(path, folder / path.name)
                files.paths.append(folder / path.name)
    except OSError as error:
        raise unwritable(folder, error) from None


def write_file(path: Path, content: bytes) -> None:
    """Write `content` to a file, complete or not at all.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise ConfigError(f"{path} cannot be written ({error.strerror}); give a path in a folder that can be") from None


def check_writable(folder: Path) -> None:
    """Raise `ConfigError` if `folder` cannot be created or written, before any work is done; creates nothing."""
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=existing) as probe:
            probe.write(b"forebay")
    except OSError as error:
        raise unwritable(folder, error) from None


def unwritable(folder: Path, error: OSError) -> ConfigError:
    """The error for a folder that cannot be written, with the system's reason."""
    reason = error.strerror or str(error)
    return ConfigError(f"folder {str(folder)!r} cannot be written: {reason}; choose another with -o DIR")
