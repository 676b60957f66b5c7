"""The dams of a fleet, from ids, dam files, folders of dam files, and lists in TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os.path import abspath
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.dams.dam_file import MAX_BYTES, catalogue, load_dam
from forebay.errors import ConfigError

if TYPE_CHECKING:
    from forebay.dams.csv_layout import FileLayout
    from forebay.dams.dam import Dam
    from forebay.dams.forcing import ForcingFile
    from forebay.dams.global_model import GlobalModelFile
    from forebay.settings import Settings

NO_DAM_FILES = ("forebay.toml", "alerts.toml")
"""Files of a folder that are no dam files: settings and alert rules."""
MAX_LISTS = 10
"""Lists inside of lists."""
LIST_EXAMPLE = 'dams = ["demo", "lake.toml", "folder"]'


@dataclass(frozen=True)
class Member:
    """A dam of a fleet, or the sentence on why it cannot be read.

    Attributes
    ----------
    name
        Id of the dam; where it cannot be read, what was given for it.
    folder
        Folder of its dam file; None for a built-in dam.
    """

    name: str
    dam: Dam | None = None
    failure: str | None = None
    folder: Path | None = None


def fleet_members(names: Sequence[str], settings: Settings) -> list[Member]:
    """Dams of `names` in their order, each once; a dam file with a fault becomes a member with a failure.

    The files that a dam names have absolute paths, because a worker has another current folder.

    Raises
    ------
    ConfigError
        If no name is given, a folder or a list has no dam, a list is wrong, or two dam files have the same id.
    """
    if not names:
        raise ConfigError("no dam is given; give ids of built-in dams, dam files, folders of them, or a list (TOML)")
    places: dict[str, str] = {}
    members = []
    built_in = catalogue()
    files: dict[str, str] = {}
    for name in _expanded(names, Path(), 0):
        files.setdefault(name if name in built_in else abspath(name), name)
    for name in files.values():
        try:
            dam = load_dam(name, roots=settings.files.roots)
        except ConfigError as error:
            members.append(Member(name, failure=f"{error}{_list_hint(Path(name))}"))
            continue
        if dam.id in places:
            raise ConfigError(f"{places[dam.id]} and {name} both have the id {dam.id!r}; give each dam its own")
        places[dam.id] = name
        folder = None if name in built_in else Path(abspath(name)).parent
        members.append(Member(dam.id, _with_absolute_paths(dam), folder=folder))
    return members


def _with_absolute_paths(dam: Dam) -> Dam:
    """`dam` with an absolute path of each file that it names."""
    update = {
        "gauges": tuple(gauge.model_copy(update={"file": _absolute(gauge.file)}) for gauge in dam.gauges),
        "forcings": tuple(forcing.model_copy(update={"file": _absolute(forcing.file)}) for forcing in dam.forcings),
        "global_model": _absolute(dam.global_model),
    }
    return dam.model_copy(update=update)


def _absolute(file: FileLayout | ForcingFile | GlobalModelFile | None) -> object:
    if file is None:
        return None
    path = abspath(file.path) if isinstance(file.path, str) else tuple(map(abspath, file.path))
    return file.model_copy(update={"path": path})


def _list_hint(path: Path) -> str:
    """The end of a failure's sentence for a TOML file that has no key of every dam file: a list may be meant."""
    content = _content(path)
    if content is None or {"id", "target", "gauges"} & set(content):
        return ""
    return f"; if {path} is a list of dams, its one key is dams: {LIST_EXAMPLE}"


def _expanded(names: Sequence[str], folder: Path, depth: int) -> Iterator[str]:
    """Ids and paths of dam files, with folders and lists replaced by what they contain; paths start at `folder`."""
    if depth > MAX_LISTS:
        raise ConfigError(f"lists of dams in {folder} name each other; a list must not contain itself")
    built_in = catalogue()
    for name in names:
        path = folder / Path(name).expanduser()
        if name in built_in:
            yield name
        elif path.is_dir():
            yield from _in_folder(path)
        elif (listed := _listed(path)) is not None:
            yield from _expanded(listed, path.parent, depth + 1)
        else:
            yield str(path)


def _in_folder(folder: Path) -> Iterator[str]:
    """Paths of the dam files of a folder, by name."""
    paths = [
        path for path in sorted(folder.glob("*.toml")) if path.name not in NO_DAM_FILES and _listed(path) is None
    ]
    if not paths:
        raise ConfigError(f"folder {folder} has no dam file; give a folder with dam files (*.toml)")
    yield from map(str, paths)


def _listed(path: Path) -> list[str] | None:
    """Names in a list of dams (`dams = […]`); None for another file, whose fault `load_dam` reports."""
    content = _content(path)
    if content is None or "dams" not in content:
        return None
    dams = content["dams"]
    if set(content) != {"dams"} or not isinstance(dams, list) or not all(isinstance(name, str) for name in dams):
        raise ConfigError(f"{path}: a list of dams has one key, such as: {LIST_EXAMPLE}")
    if not dams:
        raise ConfigError(f"{path}: the list has no dam; give one or more, such as: {LIST_EXAMPLE}")
    return dams


def _content(path: Path) -> dict[str, object] | None:
    """Content of a TOML file; None for another file."""
    try:
        if path.suffix != ".toml" or path.stat().st_size > MAX_BYTES:
            return None
        return tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
