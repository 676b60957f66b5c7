"""How a CSV file is laid out: its encoding, separator, marks, columns and date format, as the dam file gives them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from forebay.dams.csv_dates import check_date_format, month_names
from forebay.dams.local_time import zone
from forebay.services import services_with_quality_codes
from forebay.tables import GRADES

ENCODINGS = (
    "utf-8", "utf-16", "latin-1", *(f"windows-125{n}" for n in range(9)),
    *(f"iso-8859-{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 15)), "koi8-r", "koi8-u", "mac-roman", "cp437", "cp850",
    "cp866", "shift-jis", "cp932", "euc-jp", "gb18030", "gbk", "big5", "euc-kr", "cp949", "tis-620", "cp874",
)  # fmt: skip
"""Encodings of files."""


LAKH = "lakh"
"""Thousands mark: commas between groups of two digits before the last three, as in India."""
Thousands = Literal[",", ".", " ", "'", "lakh"]


def _check_separator(text: str) -> str:
    if len(text) != 1 or not text.isascii() or text.isalnum() or text in '"\r\n\0+-':
        raise ValueError(f"{text!r} must be one character to separate fields, such as ',', ';', '|' or a tab (\"\\t\")")
    return text


def _check_encoding(name: str) -> str:
    if name.lower().replace("_", "-") not in ENCODINGS:
        raise ValueError(f"{name!r} is not an encoding that forebay reads; allowed are {', '.join(ENCODINGS)}")
    return name.lower().replace("_", "-")


def _check_comment(value: object) -> object:
    texts = value if isinstance(value, tuple) else (value,)
    for text in texts or ("",):
        is_text = isinstance(text, str) and text.strip()
        if not is_text or any(character in text for character in '"\r\n\0'):
            raise ValueError(f"{text!r} must be the text that comment lines begin with, such as '#'")
    return value


def _check_units_line(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, int) and value > 1):
        return value
    raise ValueError(f"{value!r} must be true (the line below the header) or the number of a line")


class TextLayout(BaseModel):
    """How the text of a CSV file is written.

    A byte order mark at the start of the file (UTF-8 or UTF-16) overrides `encoding`. Line numbers count all lines of
    the file, from 1.

    Attributes
    ----------
    unit_suffix
        Unit that follows the numbers in their cells.
    skip_lines
        Number of lines at the start of the file that do not belong to the table.
    header_line
        Number of the line with the column names, instead of `skip_lines`; lines above it do not belong to the table.
    units_line
        True if the line below the header has units, widths or descriptions; or the number of that line.
    comment
        Text that comment lines begin with, or several: also lines of totals or sources, and repeated headers.
    brackets
        Meaning of a number in brackets: "negative", or "number" (the brackets are a remark).
    remarks
        Texts after a number that do not change it, such as "e".
    sheet
        Sheet of an Excel workbook; by default its first one.
    roots
        Folders whose files a message may quote; without any, it may quote every file. `load_dam` sets them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    path: Annotated[str, Field(min_length=1)]
    encoding: Annotated[str, AfterValidator(_check_encoding)] = "utf-8"
    separator: Annotated[str, AfterValidator(_check_separator)] = ","
    decimal_comma: bool = False
    thousands: Thousands | None = None
    unit_suffix: str | None = None
    skip_lines: Annotated[int, Field(ge=0)] = 0
    header_line: Annotated[int, Field(ge=1)] | None = None
    units_line: Annotated[bool | int, BeforeValidator(_check_units_line)] = False
    comment: Annotated[str | tuple[str, ...], BeforeValidator(_check_comment)] | None = None
    brackets: Literal["negative", "number"] | None = None
    remarks: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    sheet: str | None = None
    roots: Annotated[tuple[str, ...], Field(exclude=True)] = ()

    @model_validator(mode="after")
    def _check_marks(self) -> Self:
        if (self.thousands or "").replace(LAKH, ",") == self.decimal_mark:
            raise ValueError(
                f"thousands = {self.thousands!r} is the decimal mark too (decimal_comma = "
                f"{str(self.decimal_comma).lower()}); give another one, or none"
            )
        if self.skip_lines and self.header_line is not None:
            raise ValueError("skip_lines and header_line both say where the header is; give one of them")
        return self

    @property
    def comments(self) -> tuple[str, ...]:
        """Texts that lines begin with which do not belong to the table."""
        return (self.comment,) if isinstance(self.comment, str) else self.comment or ()

    @property
    def decimal_mark(self) -> str:
        """Comma or point."""
        return "," if self.decimal_comma else "."

    @property
    def paths(self) -> tuple[str, ...]:
        """Path of each file."""
        return (self.path,)

    @property
    def is_outside(self) -> bool:
        """Whether a file lies outside `roots`, so that no message may quote it."""
        return bool(self.roots) and not all(is_inside(path, self.roots) for path in self.paths)


PLACEHOLDER = "a text outside files.roots"
"""Stands for the content of a file that no message may quote."""
_MAX_QUOTED = 40


def is_inside(path: str | Path, folders: Sequence[str]) -> bool:
    """Whether a path leads into one of these folders, after symbolic links and `..`."""
    try:
        target = Path(path).resolve()
        return any(target.is_relative_to(Path(folder).resolve()) for folder in folders)
    except (OSError, RuntimeError, ValueError):  # a loop of links, or a NUL
        return False


def content_text(content: object, layout: TextLayout | None) -> str:
    """Content of a file for a message: as it is, or `PLACEHOLDER`. Every content of a file passes here."""
    return PLACEHOLDER if layout is not None and layout.is_outside else str(content)


def quoted(text: str | None, layout: TextLayout) -> str:
    """A cell's text for a message."""
    text = text or ""
    return content_text(repr(text) if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]!r}…", layout)


def quoted_list(texts: Iterable[str], layout: TextLayout, most: int) -> str:
    """The first texts of some for a message, and the number of the rest."""
    texts = list(texts)
    first = ", ".join(quoted(text, layout) for text in islice(texts, most))
    return content_text(f"{first} and {len(texts) - most} more" if len(texts) > most else first, layout)


def _check_quality_codes(service: str) -> str:
    if service not in services_with_quality_codes():
        allowed = ", ".join(services_with_quality_codes())
        raise ValueError(f"{service!r} has no table of quality codes; allowed are {allowed}")
    return service


def _check_locale(locale: str) -> str:
    month_names(locale)
    return locale


def _check_zone(text: str) -> str:
    zone(text)
    return text


def _check_texts(value: object) -> object:
    if isinstance(value, str) or (value and isinstance(value, tuple) and all(isinstance(part, str) for part in value)):
        return value
    raise ValueError(f"{list(value) if isinstance(value, tuple) else value!r} must be a text, or a list of texts")


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Texts = Annotated[str | tuple[str, ...], BeforeValidator(_check_texts)]
Code = Annotated[str, BeforeValidator(_as_text)]
"""A quality code, or a cell's text, in the dam file: a text or a whole number."""


class FileLayout(TextLayout):
    """Layout of a gauge's CSV file (or files): paths relative to the dam file, and columns.

    `load_dam` sets `dam`. Two dams' files may both have a column "level", so the archive identifies the series of a
    file by the source "csv:" and the dam's id.

    Attributes
    ----------
    path
        One file, or several of one layout that follow each other.
    date
        Column of the dates, or several columns whose texts are joined by a space.
    locale
        Language of month names in dates.
    calendar
        Calendar of the years in dates.
    time_zone
        Zone of the stamps, if it is not the dam's.
    where
        Column → text: only lines with these texts belong to the gauge.
    missing_remarks
        Texts after a number that mean no-data.
    quality_codes, grades, missing_codes
        Grades of quality codes: by a service's table, by grade (`tables.GRADES`), and codes that mean no-data.
    """

    path: Texts  # type: ignore[assignment]  # wider than that of other files
    date: Texts
    value: str
    quality: str | None = None
    date_format: Annotated[str, AfterValidator(check_date_format)] = "%Y-%m-%d"
    locale: Annotated[str, AfterValidator(_check_locale)] = "en"
    calendar: Literal["gregorian", "buddhist"] = "gregorian"
    time_zone: Annotated[str, AfterValidator(_check_zone)] | None = None
    where: dict[str, Code] = Field(default_factory=dict)
    quality_codes: Annotated[str, AfterValidator(_check_quality_codes)] | None = None
    grades: dict[Literal["good", "fair", "poor", "estimated", "unknown", "missing"], tuple[Code, ...]] = Field(
        default_factory=dict
    )
    missing_codes: tuple[Code, ...] = ()
    no_value: tuple[str, ...] = ()
    missing_remarks: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    dam: Annotated[str, Field(exclude=True)] = ""

    @model_validator(mode="after")
    def _check_calendar(self) -> Self:
        if self.calendar == "buddhist" and "%Y" not in self.date_format and "%F" not in self.date_format:
            raise ValueError(f"calendar = 'buddhist' needs a date_format with %Y, not {self.date_format!r}")
        return self

    @model_validator(mode="after")
    def _check_codes(self) -> Self:
        if self.quality is None and (self.grades or self.missing_codes):
            raise ValueError("grades and missing_codes need quality, the name of the column of quality codes")
        codes = [code for codes in (*self.grades.values(), self.missing_codes) for code in codes]
        twice = next((code for code in codes if codes.count(code) > 1), None)
        if twice is not None:
            raise ValueError(f"quality code {twice!r} has two grades; give one of {', '.join(GRADES)}")
        return self

    @property
    def paths(self) -> tuple[str, ...]:
        """Path of each file."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def date_columns(self) -> tuple[str, ...]:
        """Columns whose texts, joined by a space, are the date."""
        return (self.date,) if isinstance(self.date, str) else self.date

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the file that the gauge needs."""
        quality = () if self.quality is None else (self.quality,)
        return tuple(dict.fromkeys((*self.date_columns, self.value, *quality, *self.where)))


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
