"""How a CSV file is laid out: its encoding, separator, marks, columns and date format, as the dam file gives them."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from forebay.services import services_with_quality_codes

EARLIEST, LATEST = date(1700, 1, 1), date(2199, 12, 31)
"""Range of dates that are accepted."""
_DIRECTIVE = re.compile(r"%(.)", re.DOTALL)
_ALLOWED_DIRECTIVES = "YmdHMSyjbBeIpzTRF"
_LITERAL_ZONE = re.compile(r"(?<=%[SMTR])\s*(?:Z|UTC|GMT)$")


def _check_separator(text: str) -> str:
    if len(text) != 1 or not text.isascii() or text.isalnum() or text in '"\r\n\0+-':
        raise ValueError(f"{text!r} must be one character to separate fields, such as ',', ';', '|' or a tab (\"\\t\")")
    return text


def check_date_format(form: str) -> str:
    """`form`, if it is a date format that defines a day."""
    directives = _DIRECTIVE.findall(form)
    unknown = next((f"%{letter}" for letter in directives if letter not in f"{_ALLOWED_DIRECTIVES}%"), None)
    lone_percent = form.replace("%%", "").count("%") != len([letter for letter in directives if letter != "%"])
    if unknown is not None or lone_percent:
        allowed = ", ".join(f"%{letter}" for letter in _ALLOWED_DIRECTIVES)
        raise ValueError(f"{form!r} contains {unknown or 'a lone %'}; allowed are {allowed}")
    letters = set(directives)
    has_year, has_month = letters & {"Y", "y"}, letters & {"m", "b", "B"}
    has_day = letters & {"d", "e"}
    if not ("F" in letters or (has_year and ("j" in letters or (has_month and has_day)))):
        raise ValueError(f"{form!r} must define a day, as '%Y-%m-%d' or '%d.%m.%Y %H:%M' do")
    if _LITERAL_ZONE.search(form):
        raise ValueError(f"{form!r} ends in the letters of a time zone; write %z instead, which reads Z and +10:00")
    try:
        polars_form, _ = polars_date_format(form)
        pl.Series(["1"]).str.to_datetime(polars_form, strict=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(f"{form!r} cannot be read: {str(error).splitlines()[0]}") from None
    return form


def polars_date_format(form: str) -> tuple[str, str]:
    """A date format as polars reads it, and the text to append to each stamp.

    Polars reads an hour only with minutes, and Z as an offset only with another directive than Python's.

    >>> polars_date_format("%Y-%m-%d %H")
    ('%Y-%m-%d %H:%M', ':00')
    """
    polars_form = form.replace("%z", "%#z")
    if "%H" in polars_form and not any(minutes in polars_form for minutes in ("%M", "%R", "%T")):
        return polars_form + ":%M", ":00"
    return polars_form, ""


class TextLayout(BaseModel):
    """How the text of a CSV file is written.

    A byte order mark at the start of the file (UTF-8 or UTF-16) overrides `encoding`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    path: Annotated[str, Field(min_length=1)]
    encoding: Literal["utf-8", "utf-16", "windows-1252", "latin-1"] = "utf-8"
    separator: Annotated[str, AfterValidator(_check_separator)] = ","
    decimal_comma: bool = False
    thousands: Literal[",", ".", " ", "'"] | None = None

    @model_validator(mode="after")
    def _check_marks(self) -> Self:
        if self.thousands == self.decimal_mark:
            raise ValueError(
                f"thousands = {self.thousands!r} is the decimal mark too (decimal_comma = "
                f"{str(self.decimal_comma).lower()}); give another one, or none"
            )
        return self

    @property
    def decimal_mark(self) -> str:
        """Comma or point."""
        return "," if self.decimal_comma else "."


def _check_quality_codes(service: str) -> str:
    if service not in services_with_quality_codes():
        allowed = ", ".join(services_with_quality_codes())
        raise ValueError(f"{service!r} has no table of quality codes; allowed are {allowed}")
    return service


class FileLayout(TextLayout):
    """Layout of a gauge's CSV file: its path (relative to the dam file) and its columns.

    `load_dam` sets `dam`. Two dams' files may both have a column "level", so the archive identifies the series of a
    file by the source "csv:" and the dam's id.
    """

    date: str
    value: str
    quality: str | None = None
    date_format: Annotated[str, AfterValidator(check_date_format)] = "%Y-%m-%d"
    quality_codes: Annotated[str, AfterValidator(_check_quality_codes)] | None = None
    no_value: tuple[str, ...] = ()
    dam: Annotated[str, Field(exclude=True)] = ""


class CurveLayout(TextLayout):
    """Layout of a storage curve's CSV file; by default its thousands may be marked."""

    level: str
    storage: str

    @model_validator(mode="before")
    @classmethod
    def _add_thousands(cls, fields: object) -> object:
        if isinstance(fields, dict) and "thousands" not in fields:
            return fields | {"thousands": "." if fields.get("decimal_comma") is True else ","}
        return fields

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        if self.level == self.storage:
            raise ValueError(f"level and storage are both column {self.level!r}; give two different columns")
        return self
