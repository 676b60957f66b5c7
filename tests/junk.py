"""Junk in the JSON answers of services: every value of an answer replaced by values that it must not have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Json = Any  # Any: a JSON value

JUNK = (
    "null", "true", '""', '"\\ud800"', '"\\u0001\\u001b[2J\\u202e"', '"text"', "-1", "0", "1e400", "-1e400", "NaN",
    "1e30", "9" * 400, "[]", "{}", "[null]", '{"v": null}', "[[]]", '"20200230000000"', '"99999999999999"',
)  # fmt: skip
"""JSON texts of the values that are put in place of each value."""
PLACE = "forebay-junk-here"
MAX_ITEMS = 2
"""Items of each list that are kept and replaced: the later ones are like the first."""


def with_junk(answer: str) -> Iterator[tuple[str, str, str]]:
    """Path of a value, the junk in its place, and the answer with it."""
    value = shortened(json.loads(answer))
    for path in paths(value):
        marked = json.dumps(replaced(value, path, PLACE), ensure_ascii=False)
        for junk in JUNK:
            yield "/".join(map(str, path)), junk, marked.replace(f'"{PLACE}"', junk)


def paths(value: Json, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of each value in `value`, which has the empty path."""
    yield above
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*above, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from paths(item, (*above, position))


def shortened(value: Json) -> Json:
    """`value` with the first items of each list."""
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    return [shortened(item) for item in value[:MAX_ITEMS]] if isinstance(value, list) else value


def replaced(value: Json, path: tuple[str | int, ...], by: Json) -> Json:
    """A copy of `value` with `by` at `path`."""
    if not path:
        return by
    first, *rest = path
    if isinstance(value, dict):
        return {key: replaced(item, tuple(rest), by) if key == first else item for key, item in value.items()}
    return [replaced(item, tuple(rest), by) if k == first else item for k, item in enumerate(value)]
