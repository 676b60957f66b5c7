"""A dam as plain values, such as for JSON, and back: with every default, so that a later default changes nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from os.path import abspath
from typing import Any

from pydantic import ValidationError

from forebay.dams.dam import Dam
from forebay.errors import ConfigError
from forebay.text import public_url

_SECONDS = re.compile(r"(\d\d:\d\d):00")
_CLOCKS = ("day_start", "reading_at", "issued_at")


def dam_content(dam: Dam) -> dict[str, Any]:
    """Every key of the dam file with its value, as JSON has them.

    Paths are absolute, curves have their points, and URLs have no secrets.
    """
    content: dict[str, Any] = dam.model_dump(mode="json", by_alias=True)  # Any: values of any type
    for gauge, fields in zip(dam.gauges, content["gauges"], strict=True):
        fields["request"] = {key: public_url(value) if key == "url" else value for key, value in gauge.request}
        if gauge.file is not None:
            fields["file"] |= {"path": [abspath(path) for path in gauge.file.paths], "dam": gauge.file.dam}
    for fields in content["forcings"]:
        if fields["file"] is not None:
            fields["file"]["path"] = abspath(fields["file"]["path"])
    if dam.global_model is not None:
        content["global_model"]["path"] = abspath(dam.global_model.path)
    return content


def dam_of_content(content: dict[str, Any], roots: Sequence[str] = ()) -> Dam:
    """The dam of `dam_content`.

    Parameters
    ----------
    roots
        Folders whose files an error may quote; by default all.

    Raises
    ------
    ConfigError
        If it is the content of another version's dam that this version does not read.
    """
    fields = _with_clocks(content)
    for part in (*fields.get("gauges", ()), *fields.get("forcings", ())):
        if part.get("file") is not None:
            part["file"]["roots"] = list(roots)
    try:
        return Dam.model_validate(fields)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise ConfigError(
            f"this forebay does not read the recorded dam file: {place}: {error.errors()[0]['msg']}; use the forebay "
            "that recorded it"
        ) from None


def _with_clocks(value: Any, key: str = "") -> Any:  # Any: values of any type
    """A copy of the content with lists as tuples, and clock times as a dam file writes them, without seconds."""
    if isinstance(value, dict):
        return {name: _with_clocks(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return tuple(_with_clocks(part) for part in value)
    if key in _CLOCKS and isinstance(value, str):
        return _SECONDS.sub(r"\1", value)
    return value
