"""Text of a dam file with comments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from textwrap import wrap

_WIDTH = 100


@dataclass(frozen=True)
class TomlTable:
    """A table of a dam file: its heading ("" for the top), keys with values, and comments of keys.

    A key without a value in `comments` only stands as a comment line.
    """

    heading: str
    keys: Mapping[str, object]
    comments: Mapping[str, str] = field(default_factory=dict)


def dam_text(tables: Sequence[TomlTable], head: Sequence[str]) -> str:
    """TOML text of tables in their order, below the comment lines of the head."""
    lines = [f"# {line}".rstrip() for line in head]
    for table in tables:
        lines += ["", table.heading] if table.heading else [""]
        for key, value in table.keys.items():
            comment = f"  # {_one_line(table.comments[key])}" if key in table.comments else ""
            lines.append(f"{key} = {toml_value(value)}{comment}")
        notes = (text for key, text in table.comments.items() if key not in table.keys)
        lines += [f"# {line}" for text in notes for line in wrap(_one_line(text), _WIDTH)]
    return "\n".join(lines) + "\n"


def toml_value(value: object) -> str:
    """A value in TOML: tables inline, texts quoted.

    >>> toml_value({"path": "a.csv", "separator": chr(9), "where": {"lake name": "B"}})
    '{ path = "a.csv", separator = "\\\\t", where = { "lake name" = "B" } }'
    """
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)


def _key(text: str) -> str:
    is_bare = text.isascii() and text.replace("_", "").replace("-", "").isalnum()
    return text if is_bare else json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())
