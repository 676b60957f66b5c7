"""Arguments of the public functions: a dam or its name, an archive or its URL, settings or none."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from forebay.archive.lease import LeaseWait
from forebay.archive.store import Archive, open_archive
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.models.fits import open_fits
from forebay.settings import Settings, load_settings
from forebay.verify.hindcast import Execution, Progress
from forebay.verify.row_store import open_row_store


def as_dam(dam: Dam | str | Path, settings: Settings) -> Dam:
    """`dam`, or the dam with this id or file."""
    return dam if isinstance(dam, Dam) else load_dam(str(dam), roots=settings.files.roots)


def current_settings() -> Settings:
    """Settings of `forebay.toml` in the working folder and of the environment."""
    return load_settings(Path.cwd(), os.environ)[0]


def open_store(
    archive: Archive | str | None,
    settings: Settings,
    *,
    create: bool = True,
    progress: Progress | None = None,
    never_for: str | None = None,
) -> AbstractContextManager[Archive]:
    """An archive: an open one stays open, a URL (by default the one of the settings) is opened and closed.

    `progress` is called when a write waits for another process; it never waits for one that runs `never_for`.
    """
    if isinstance(archive, Archive):
        return nullcontext(archive)

    def report(sentence: str) -> None:
        if progress:
            progress(sentence, 0, 1)

    wait = LeaseWait(settings.lease_wait_s, report, never_for)
    return open_archive(archive or settings.archive, create=create, lease_wait=wait)


def local_execution(settings: Settings, progress: Progress | None = None) -> Execution:
    """Execution with the store of fits and the number of threads that the settings give."""
    return Execution(open_fits(settings), settings.workers, progress, open_row_store(settings))
