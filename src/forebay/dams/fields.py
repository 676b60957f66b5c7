"""Field types and checks that the models of the dam file share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import time
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, field_validator

from forebay.dams.local_time import zone
from forebay.text import unprintable


class FrozenModel(BaseModel):
    """A table of the dam file: unknown keys, NaN and infinity are errors, and nothing changes after reading.

    A text with a character that no output may contain (`forebay.text`) is an error too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _check_characters(cls, value: object) -> object:
        for text in value if isinstance(value, list | tuple) else (value,):
            if isinstance(text, str) and (code := unprintable(text)) is not None:
                raise ValueError(f"{text!r} has the character {code}, which must not be printed; remove it")
        return value


def check_id(text: str) -> str:
    """`text`, if it can be the id of a dam or window."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", text):
        raise ValueError(f"{text!r} must be 1 to 64 of a-z, 0-9, '_', '-', and start with a letter or digit")
    return text


def check_unique(label: str, values: Iterable[object]) -> None:
    """Raise a ValueError if a value occurs twice."""
    previous: set[object] = set()
    for value in values:
        if value in previous:
            text = repr(value) if isinstance(value, str) and not value.isprintable() else value
            raise ValueError(f"{label} {text} occurs twice; it must be unique")
        previous.add(value)


def _check_zone(text: str) -> str:
    zone(text)
    return text


def _parse_clock(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError(f"{value!r} must be a clock time like '08:00'")
    return time.fromisoformat(value)


Clock = Annotated[time, BeforeValidator(_parse_clock)]
TimeZone = Annotated[str, AfterValidator(_check_zone)]
