"""What the commands share: their arguments, the settings in force, the archive, and how they answer."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.settings import Settings

DamArgument = Annotated[str, Parameter(help="Id of a built-in dam (see `forebay dams`) or path of a dam file (TOML).")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON for machines.")]
ArchiveUrl = Annotated[
    str | None, Parameter(name="--archive", help="URL of the archive, such as sqlite:///forebay.db.")
]


def settings_in_force() -> tuple[Settings, dict[str, str]]:
    """The settings, and where each came from."""
    from forebay.settings import load_settings

    return load_settings(Path.cwd(), os.environ)


def opened(url: str | None, chosen: Settings, *, create: bool = True) -> AbstractContextManager[Archive]:
    """The archive at `url`, or the one that the settings name."""
    from forebay.archive.store import open_archive

    return open_archive(url or chosen.archive, create=create)


def say(content: object, as_json: bool, show: Callable[[], None]) -> None:
    """Print `content` as JSON, or call `show`."""
    if as_json:
        print(json.dumps(content, default=str, indent=1, allow_nan=False))
    else:
        show()
