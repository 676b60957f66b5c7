"""Arguments that several commands take, the settings in force, the archive, and how a command prints its result."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, Token

from forebay.errors import ConfigError
from forebay.log import add_fields

if TYPE_CHECKING:
    from forebay.archive.lease import LeaseWait
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.settings import Settings

DamName = Annotated[
    str, Parameter(name="DAM", help="Id of a built-in dam (see `forebay dams`) or path of a dam file (TOML).")
]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON for machines.")]
DamNames = Annotated[
    str, Parameter(name="DAMS", help="Ids of built-in dams, dam files, folders of dam files, or lists of them (TOML).")
]
ArchiveUrl = Annotated[
    str | None, Parameter(name="--archive", help="URL of the archive, such as sqlite:///forebay.db.")
]


def _whole_number(_type: type, tokens: Sequence[Token]) -> int:
    text = tokens[-1].value
    if not re.fullmatch(r"[+-]?[0-9]{1,100}", text):
        raise ValueError(f"{text!r} is no whole number")  # cyclopts adds the name of the option
    return int(text)


WholeNumber = Annotated[int, Parameter(converter=_whole_number)]
"""An integer; cyclopts alone would take 1.5 as 2."""
Form = Annotated[
    Literal["csv", "netcdf"], Parameter(name="--format", help="netcdf also writes the forecasts as NetCDF.")
]


def settings_in_force() -> tuple[Settings, dict[str, str]]:
    """Settings in force, and the origin of each value by its key."""
    from forebay.settings import load_settings

    return load_settings(Path.cwd(), os.environ)


def dam_named(name: str, settings: Settings) -> Dam:
    """The dam with this id or file; later records of the log have its id."""
    from forebay.dams.dam_file import load_dam

    dam = load_dam(name, roots=settings.files.roots)
    add_fields({"dam": dam.id})
    return dam


def archive_at(url: str | None, settings: Settings, *, create: bool = True) -> AbstractContextManager[Archive]:
    """Open archive at `url`, by default the one that the settings name."""
    from forebay.archive.store import open_archive

    return open_archive(url or settings.archive, create=create, lease_wait=lease_wait(settings))


def lease_wait(settings: Settings) -> LeaseWait:
    """Wait for another writer, which prints a line on the error stream."""
    from forebay.archive.lease import LeaseWait

    return LeaseWait(settings.lease_wait_s, lambda sentence: print(f"forebay: {sentence}", file=sys.stderr, flush=True))


def print_result(content: object, as_json: bool, print_text: Callable[[], None]) -> None:
    """Print `content`, or what it returns if it is a function, as JSON; or call `print_text`."""
    if as_json:
        value = content() if callable(content) else content
        print(json.dumps(value, default=str, indent=1, allow_nan=False))
    else:
        print_text()


def point_of(text: str) -> tuple[float, float]:
    """Latitude and longitude as --near has them.

    Raises
    ------
    ConfigError
        If the text is not LAT,LON.
    """
    try:
        latitude, longitude = map(float, text.split(","))
    except ValueError:
        raise ConfigError(f"--near {text!r} must be LAT,LON in degrees, such as --near=-33.9,150.6") from None
    return latitude, longitude
