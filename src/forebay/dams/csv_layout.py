"""CSV files as people have them: their text within bounds, their numbers as the dam file says that they are written.

Each step reads a file right or refuses it by line. A quoted text must end in the line that it starts in: a quote left
open would swallow the lines below it.
"""

from __future__ import annotations

import codecs
import csv
import errno
import re
import stat
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from forebay.errors import ConfigError, SourceError
from forebay.services import services_with_quality_codes

MAX_BYTES = 128 << 20
EARLIEST, LATEST = date(1700, 1, 1), date(2199, 12, 31)
"""Days between which dates are believed."""
EMPTY = ("", "NaN", "nan", "NAN")
"""Texts of cells in which there is nothing."""
_NO_SUCH_FILE = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
_SHOWN_NAMES = 20
_LEADING_BLANK = re.compile(rb"\A(?:[ \t]*\n)+")
_DIRECTIVE = re.compile(r"%(.)", re.DOTALL)
_DIRECTIVES = frozenset("YmdHMSyjbBeIpzTRF%")
_LITERAL_ZONE = re.compile(r"(?<=%[SMTR])\s*(?:Z|UTC|GMT)$")


def _one_ascii_mark(text: str) -> str:
    if len(text) != 1 or not text.isascii() or text.isalnum() or text in '"\r\n\0+-':
        raise ValueError(f"{text!r} must be one character that parts fields, such as ',', ';', '|' or a tab (\"\\t\")")
    return text


def names_a_day(form: str) -> str:
    """`form` if it is a date format that names a day."""
    used = _DIRECTIVE.findall(form)
    odd = next((f"%{one}" for one in used if one not in _DIRECTIVES), None)
    if odd is not None or form.replace("%%", "").count("%") != len([one for one in used if one != "%"]):
        allowed = ", ".join(f"%{one}" for one in "YmdHMSyjbBeIpzTRF")
        raise ValueError(f"{form!r} holds {odd or 'a lone %'}; allowed are {allowed}")
    has = set(used)
    if not ("F" in has or (has & {"Y", "y"} and ("j" in has or (has & {"m", "b", "B"} and has & {"d", "e"})))):
        raise ValueError(f"{form!r} must name a day, as '%Y-%m-%d' or '%d.%m.%Y %H:%M' do")
    if _LITERAL_ZONE.search(form):
        raise ValueError(f"{form!r} ends in letters that name a time zone; write %z there, which reads Z and +10:00")
    try:
        reads, more = stamp_form(form)
        pl.Series(["1"]).str.to_datetime(reads, strict=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(f"{form!r} cannot be read: {str(error).splitlines()[0]}") from None
    return form


def stamp_form(form: str) -> tuple[str, str]:
    """How a date format is written for the reader, and what is put behind each stamp for it.

    An hour is only read with minutes, and Z as an offset only by another directive than Python's.

    >>> stamp_form("%Y-%m-%d %H")
    ('%Y-%m-%d %H:%M', ':00')
    """
    reads = form.replace("%z", "%#z")
    if "%H" in reads and not any(minutes in reads for minutes in ("%M", "%R", "%T")):
        return reads + ":%M", ":00"
    return reads, ""


class TextLayout(BaseModel):
    """How the text of a CSV file is written.

    A file that begins with a byte order mark says itself that it is UTF-8 or UTF-16, whatever `encoding` is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    path: Annotated[str, Field(min_length=1)]
    encoding: Literal["utf-8", "utf-16", "windows-1252", "latin-1"] = "utf-8"
    separator: Annotated[str, AfterValidator(_one_ascii_mark)] = ","
    decimal_comma: bool = False
    thousands: Literal[",", ".", " ", "'"] | None = None

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
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


def _has_quality_codes(service: str) -> str:
    if service not in services_with_quality_codes():
        allowed = ", ".join(services_with_quality_codes())
        raise ValueError(f"{service!r} has no table of quality codes; allowed are {allowed}")
    return service


class FileLayout(TextLayout):
    """Where a CSV file keeps a gauge: its path (relative to the dam file) and its columns.

    `dam` is set by the reader of the dam file: two dams' files may both have a column "level", so in the archive the
    source of a file's series is "csv:" and the dam's id.
    """

    date: str
    value: str
    quality: str | None = None
    date_format: Annotated[str, AfterValidator(names_a_day)] = "%Y-%m-%d"
    quality_codes: Annotated[str, AfterValidator(_has_quality_codes)] | None = None
    no_value: tuple[str, ...] = ()
    dam: Annotated[str, Field(exclude=True)] = ""


class CurveLayout(TextLayout):
    """Where a CSV file keeps a storage curve; its thousands may be marked without saying so."""

    level: str
    storage: str

    @model_validator(mode="before")
    @classmethod
    def _marked_thousands(cls, given: object) -> object:
        if isinstance(given, dict) and "thousands" not in given:
            return given | {"thousands": "." if given.get("decimal_comma") is True else ","}
        return given


def content_of(layout: TextLayout) -> bytes:
    """The file as UTF-8, its lines ended by LF or CRLF, without a byte order mark, with no quote left open.

    Raises
    ------
    ConfigError
        If there is no such file, or it is none that can be read to its end.
    SourceError
        If it cannot be read now, is too large, or is no text of this encoding: names the line.
    """
    path = Path(layout.path)
    advice = "give the path of a CSV file, relative to the dam file"
    try:
        found = path.stat()
        mode = found.st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # nobody knows where a pipe ends
            raise ConfigError(f"file.path {layout.path!r} cannot be read (it is no regular file); {advice}")
        too_large = found.st_size > MAX_BYTES
        with path.open("rb") as file:
            content = b"" if too_large else file.read(MAX_BYTES + 1)  # it may grow meanwhile
    except OSError as error:
        if error.errno in _NO_SUCH_FILE:
            raise ConfigError(f"file.path {layout.path!r} cannot be read ({error.strerror}); {advice}") from None
        raise SourceError(
            f"{layout.path} cannot be read now ({error.strerror}); see to its disk and its rights, then try again",
            retryable=True,
        ) from None
    except ConfigError:
        raise
    except ValueError as error:  # a NUL in the path
        raise ConfigError(f"file.path {layout.path!r} cannot be read ({error}); {advice}") from None
    if too_large or len(content) > MAX_BYTES:
        raise SourceError(
            f"{layout.path} is longer than {MAX_BYTES >> 20} MiB, which is the most that is read; split it by years, "
            "or keep the gauges of one dam"
        )
    return plain(content, layout)


def plain(content: bytes, layout: TextLayout) -> bytes:
    """What `content_of` gives, from the file's bytes."""
    text = _utf8(content, layout)
    if b"\0" in text:
        raise SourceError(
            f"{layout.path}, line {_line_at(text, text.index(0))}: there is a NUL byte, which no text has; if the file "
            'is UTF-16, set encoding = "utf-16" in the dam file'
        )
    if b"\r" in text and text.count(b"\r") != text.count(b"\r\n"):
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b'"' in text:
        for number, line in enumerate(text.split(b"\n"), 1):
            if line.count(b'"') % 2:
                raise SourceError(
                    f"{layout.path}, line {number}: a quote (\") is left open; close it in its line, or write it twice "
                    "inside of a quoted text"
                )
    if text[:1] in (b"\n", b" ", b"\t"):  # lines of blanks before the header, which the reader would take for it
        text = _LEADING_BLANK.sub(lambda blank: b"\n" * blank[0].count(b"\n"), text)
    return text


def _utf8(content: bytes, layout: TextLayout) -> bytes:
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding: str = "utf-16" if marked else layout.encoding
    if content.startswith(codecs.BOM_UTF8):
        content, encoding = content[len(codecs.BOM_UTF8) :], "utf-8"
    if encoding != "utf-16" and content.isascii():
        return content
    if encoding == "utf-16" and content[:1] == b"\0":  # without a mark: a header seldom begins beyond Latin letters
        encoding = "utf-16-be"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        where = f", line {_line_at(content, error.start)}" if not encoding.startswith("utf-16") else ""
        advice = 'often it is "windows-1252"' if encoding == "utf-8" else f"it is {layout.encoding!r} now"
        raise SourceError(
            f"{layout.path}{where}: byte {error.start} is not {encoding} text; set encoding in the dam file: {advice}"
        ) from None
    return content if encoding == "utf-8" else text.encode("utf-8", "replace")


def _line_at(content: bytes, place: int) -> int:
    """The line, from 1, of a place in the content: lines end with LF, CRLF or a lone CR."""
    before = content[:place]
    return 1 + before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")


def header(content: bytes, layout: TextLayout) -> list[str]:
    """The names in the file's first line that is not blank, as they stand there."""
    start = len(content) - len(content.lstrip(b"\r\n"))
    end = content.find(b"\n", start)
    line = content[start : end if end >= 0 else None].decode("utf-8-sig", "replace").rstrip("\r")
    try:
        names = next(csv.reader([line], delimiter=layout.separator, strict=True), [])
    except csv.Error as error:
        where = f"{layout.path}, line {header_line(content)}"
        raise SourceError(f"{where}: the header cannot be read ({error}); correct it") from None
    if not names or not line.strip():
        raise SourceError(f"{layout.path} is empty; a header line and at least a column of dates must be there")
    return names


def header_line(content: bytes) -> int:
    """The line, from 1, in which the header stands: blank ones may stand before it."""
    blank = len(content) - len(content.lstrip(b"\r\n"))
    return 1 + content[:blank].count(b"\n")


def columns_of(names: Sequence[str], wanted: Sequence[str], layout: TextLayout) -> dict[str, str]:
    """The wanted columns' names as they stand in the header, which may have spaces around them.

    Raises
    ------
    ConfigError
        If one is not there, or stands twice.
    """
    stripped = [name.strip() for name in names]
    for name in wanted:
        if stripped.count(name) == 1:
            continue
        if name in stripped:
            count = stripped.count(name)
            raise ConfigError(f"{name!r} is the name of {count} columns of {layout.path}; rename all but one")
        shown = ", ".join(repr(other[:40]) for other in stripped[:_SHOWN_NAMES])
        more = f" and {len(stripped) - _SHOWN_NAMES} more" if len(stripped) > _SHOWN_NAMES else ""
        raise ConfigError(f"{name!r} is not a column of {layout.path}; its columns are {shown}{more}")
    return {name: names[stripped.index(name)] for name in wanted}


def first_fault(content: bytes, layout: TextLayout) -> str | None:
    """Which line does not fit its header, and how; None if all do."""
    lines = content.decode("utf-8", "replace").split("\n")
    names, first = header(content, layout), header_line(content)
    for number, line in enumerate(lines[first:], first + 1):
        try:
            fields = next(csv.reader([line.rstrip("\r")], delimiter=layout.separator, strict=True), [])
        except csv.Error as error:
            return f"line {number}: {error}"
        if len(fields) > len(names):
            return f"line {number}: {len(fields)} fields where the header has {len(names)}"
    return None


def number(cell: pl.Expr, layout: TextLayout, *, strict: bool = True) -> pl.Expr:
    """The numbers that texts stand for; null, or an error if `strict`, where they are none.

    Marks of thousands count only where they part groups of three digits: "1,5" is never fifteen.
    """
    text = cell
    if layout.thousands is not None:
        mark = r"[ \u{a0}\u{202f}]" if layout.thousands == " " else re.escape(layout.thousands)
        grouped = rf"^[+-]?[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+(?:{re.escape(layout.decimal_mark)}[0-9]*)?$"
        text = pl.when(text.str.contains(grouped)).then(text.str.replace_all(mark, "")).otherwise(text)
    if layout.decimal_comma:  # a point is no decimal mark there: it makes the text no number
        text = text.str.replace_all(".", "?", literal=True).str.replace(",", ".", literal=True)
    return text.cast(pl.Float64, strict=strict)
