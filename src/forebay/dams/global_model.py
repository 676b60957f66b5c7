"""The file of a global model: trees that learned from many dams (`forebay fleet train`), in a text without code.

The first line names the format, the second is JSON that describes the rest, which is LightGBM's own text of the trees
of each vintage. A vintage knows nothing of the day it is named after, or later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from forebay.dams.fields import FrozenModel
from forebay.errors import ConfigError

TITLE = "forebay global model 1"
MAX_BYTES = 100 * 10**6
WHAT = "a global model is a file that `forebay fleet train` wrote"


class GlobalModelFile(FrozenModel):
    """The global model that a dam file names.

    Attributes
    ----------
    path
        The file.
    digest
        SHA-256 of its text when the dam file was loaded: another text is another model.
    """

    path: str
    digest: str


@dataclass(frozen=True)
class Vintage:
    """The trees that were known on a day.

    Attributes
    ----------
    until
        Every change that they learned from ended before this day.
    rows, dams
        Number of training rows, and the ids of the dams that these come from.
    trees
        LightGBM's text.
    """

    until: date
    rows: int
    dams: tuple[str, ...]
    trees: str


@dataclass(frozen=True)
class GlobalModel:
    """The content of a file.

    Attributes
    ----------
    inputs
        Names of the inputs of the trees, in order.
    licences
        Id of each dam → licence of its data.
    vintages
        By rising day.
    """

    inputs: tuple[str, ...]
    licences: tuple[tuple[str, str], ...]
    vintages: tuple[Vintage, ...]


def global_model_text(model: GlobalModel) -> str:
    """The text of a file with this content."""
    trees = "".join(vintage.trees for vintage in model.vintages)
    head = {
        "inputs": model.inputs,
        "licences": dict(model.licences),
        "vintages": [
            {"until": v.until.isoformat(), "rows": v.rows, "dams": v.dams, "characters": len(v.trees)}
            for v in model.vintages
        ],
        "sha256": hashlib.sha256(trees.encode()).hexdigest(),
    }
    return f"{TITLE}\n{json.dumps(head)}\n{trees}"


def named_model(path: str | Path) -> GlobalModelFile:
    """The file at `path` with the digest of its text; raises `ConfigError` if it is no global model."""
    text = _text(path)
    _content(text, str(path))
    return GlobalModelFile(path=str(path), digest=hashlib.sha256(text.encode()).hexdigest())


@lru_cache(maxsize=4)
def read_global_model(file: GlobalModelFile) -> GlobalModel:
    """The content of a file that a dam file names.

    Raises
    ------
    ConfigError
        If it cannot be read, is no global model, or is not the one that the dam file named when it was loaded.
    """
    text = _text(file.path)
    if hashlib.sha256(text.encode()).hexdigest() != file.digest:
        raise ConfigError(
            f"{file.path} is another global model than the one of the forecast (SHA-256 {file.digest[:12]}…); restore "
            "that file, or load the dam file again for a new forecast"
        )
    return _content(text, file.path)


def _text(path: str | Path) -> str:
    try:
        size = Path(path).stat().st_size
        if size > MAX_BYTES:
            raise ConfigError(f"global_model {path} has {size} bytes; allowed are at most {MAX_BYTES}")
        return Path(path).read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"global_model {path} cannot be read: {error.strerror}; {WHAT}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"global_model {path} is not text; {WHAT}") from None


def _content(text: str, path: str) -> GlobalModel:
    title, _, rest = text.partition("\n")
    head, _, trees = rest.partition("\n")
    if title != TITLE:
        raise ConfigError(f"global_model {path} does not begin with {TITLE!r}; {WHAT}")
    try:
        fields: dict[str, Any] = json.loads(head)  # Any: values of JSON
        if hashlib.sha256(trees.encode()).hexdigest() != fields["sha256"]:
            raise ValueError("its trees have changed since it was written")
        model = GlobalModel(
            tuple(_strings(fields["inputs"])),
            tuple((name, str(licence)) for name, licence in fields["licences"].items()),
            tuple(_vintages(fields["vintages"], trees)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"key {error} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"global_model {path} cannot be used: {reason}; {WHAT}, so write it again") from None
    return model


def _vintages(fields: Sequence[dict[str, Any]], trees: str) -> list[Vintage]:
    """The vintages of the second line, each with its part of the trees' text."""
    vintages, start = list[Vintage](), 0
    for vintage in fields:
        end = start + int(vintage["characters"])
        until = date.fromisoformat(vintage["until"])
        if vintages and until <= vintages[-1].until:
            raise ValueError(f"vintage {until} does not come after {vintages[-1].until}")
        vintages.append(Vintage(until, int(vintage["rows"]), tuple(_strings(vintage["dams"])), trees[start:end]))
        start = end
    if not vintages or start != len(trees):
        raise ValueError("its vintages do not have the length of its trees")
    return vintages


def _strings(values: object) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("a list of names is expected")
    return values
