"""Text of CSV files as people write them: bounded reads, encodings, headers, numbers.

Each step reads a file right or refuses it with the number of the line. A quoted text must end in its own line, because
an open quote would absorb the lines below it.
"""

from __future__ import annotations

import codecs
import csv
import errno
import json
import re
import stat
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from forebay.dams.csv_layout import TextLayout, content_text, quoted_list
from forebay.dams.csv_lines import BLANK, has_long_line, only_table_lines, without_surplus_fields
from forebay.dams.workbook import is_workbook, sheet_text
from forebay.errors import ConfigError, SourceError

MAX_BYTES = 128 << 20
EMPTY = ("", "NaN", "nan", "NAN")
"""Texts of cells without a value."""
_NO_SUCH_FILE = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
_MAX_NAMES = 20
_LEADING_BLANK = re.compile(rb"\A(?:[ \t]*\n)+")
_HEADER_SEARCH_LINES = 500
_OTHER_FORMATS = {
    b"PK\x03\x04": "an Excel workbook (.xlsx) or another zip file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook (.xls)",
    b"\x1f\x8b": "a gzip file",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF document",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
    b"<?xml": "an XML document",
    b"{": "a JSON document",
    b"[{": "a JSON document",
}
"""First bytes of files that are no CSV files."""


def read_content(layout: TextLayout) -> bytes:
    """Content of the file as normalized UTF-8; see `normalize`.

    Raises
    ------
    ConfigError, SourceError
        As `file_bytes`, and if it is not text of this encoding: names the line.
    """
    return normalize(table_text(file_bytes(layout), layout), layout)


def file_bytes(layout: TextLayout) -> bytes:
    """Bytes of the file.

    Raises
    ------
    ConfigError
        If there is no such file, or it is not a regular file.
    SourceError
        If it cannot be read now, or is too large.
    """
    path = Path(layout.path)
    advice = "give the path of a CSV file, relative to the dam file"
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):  # a pipe may have no end
            raise ConfigError(f"file.path {layout.path!r} cannot be read (it is not a regular file); {advice}")
        is_too_large = status.st_size > MAX_BYTES
        with path.open("rb") as file:
            content = b"" if is_too_large else file.read(MAX_BYTES + 1)  # the file may grow in the meantime
    except OSError as error:
        if error.errno in _NO_SUCH_FILE:
            raise ConfigError(f"file.path {layout.path!r} cannot be read ({error.strerror}); {advice}") from None
        raise SourceError(
            f"{layout.path} cannot be read now ({error.strerror}); check the disk and the file's permissions, then try "
            "again",
            retryable=True,
        ) from None
    except ConfigError:
        raise
    except ValueError as error:  # a NUL in the path
        raise ConfigError(f"file.path {layout.path!r} cannot be read ({error}); {advice}") from None
    if is_too_large or len(content) > MAX_BYTES:
        raise SourceError(
            f"{layout.path} is longer than {MAX_BYTES >> 20} MiB, the limit for a file; split it by years, or keep the "
            "gauges of one dam"
        )
    return content


def table_text(content: bytes, layout: TextLayout) -> bytes:
    """The bytes of a text file, or a workbook's sheet as text.

    Raises
    ------
    ConfigError, SourceError
        As `dams.workbook.sheet_text`.
    """
    if not is_workbook(layout.path):
        if layout.sheet is not None:
            raise ConfigError(f"sheet = {layout.sheet!r} is for an Excel workbook, not for {layout.path}; remove it")
        return content
    return sheet_text(content, layout.path, sheet=layout.sheet, separator=layout.separator)


def normalize(content: bytes, layout: TextLayout) -> bytes:
    """The file's bytes as UTF-8 without a byte order mark, with LF or CRLF at line ends and no open quote.

    Lines that do not belong to the table are blank, so that line numbers stay those of the file.
    """
    start = content[:100].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    for first_bytes, kind in _OTHER_FORMATS.items():
        if content.startswith(first_bytes) or start.startswith(first_bytes):
            raise SourceError(
                f"{layout.path} is {kind}, not a CSV file; save the table as CSV (in a spreadsheet: Save As, CSV UTF-8)"
            )
    text = content if is_workbook(layout.path) else _utf8(content, layout)
    if b"\0" in text:
        raise SourceError(
            f"{layout.path}, line {_line_at(text, text.index(0))}: a NUL byte is not text; if the file is UTF-16, set "
            'encoding = "utf-16" in the dam file'
        )
    if b"\r" in text and text.count(b"\r") != text.count(b"\r\n"):
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    text = only_table_lines(text, layout)
    if b'"' in text:
        for line_number, line in enumerate(text.split(b"\n"), 1):
            if line.count(b'"') % 2:
                raise SourceError(
                    f'{layout.path}, line {line_number}: a quote (") is not closed; close it in the same line, or '
                    "double it inside a quoted text"
                )
    if text[:1] in (b"\n", b" ", b"\t"):  # blank lines before the header, which polars would read as the header
        text = _LEADING_BLANK.sub(lambda blank: b"\n" * blank[0].count(b"\n"), text)
    return text


def _utf8(content: bytes, layout: TextLayout) -> bytes:
    has_utf16_mark = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding: str = "utf-16" if has_utf16_mark else layout.encoding
    if content.startswith(codecs.BOM_UTF8):
        content, encoding = content[len(codecs.BOM_UTF8) :], "utf-8"
    if encoding != "utf-16" and content.isascii():
        return content
    if encoding == "utf-16" and content[:1] == b"\0":  # without a mark: a header rarely starts beyond Latin letters
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


def _line_at(content: bytes, position: int) -> int:
    """The line, from 1, of a position in the content: lines end with LF, CRLF or a lone CR."""
    before = content[:position]
    return 1 + before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")


def header_names(content: bytes, layout: TextLayout) -> list[str]:
    """Names in the file's first line that is not blank, unchanged."""
    start = len(content) - len(content.lstrip(b"\r\n"))
    end = content.find(b"\n", start)
    line = content[start : end if end >= 0 else None].decode("utf-8-sig", "replace").rstrip("\r")
    try:
        names = next(csv.reader([line], delimiter=layout.separator, strict=True), [])
    except csv.Error as error:
        where = f"{layout.path}, line {header_line(content)}"
        raise SourceError(f"{where}: the header cannot be read ({error}); correct it") from None
    if not names or not line.strip():
        raise SourceError(f"{layout.path} is empty; it must have a header line and a column of dates")
    return names


def header_line(content: bytes) -> int:
    """Number of the header's line, from 1: blank lines may precede it."""
    blank = len(content) - len(content.lstrip(b"\r\n"))
    return 1 + content[:blank].count(b"\n")


def match_columns(names: Sequence[str], columns: Sequence[str], layout: TextLayout) -> dict[str, str]:
    """Each of `columns` → its name in the header, which may have spaces around it.

    Raises
    ------
    ConfigError
        If a column is missing, or occurs twice.
    """
    stripped = [name.strip() for name in names]
    for column in columns:
        count = stripped.count(column)
        if count == 1:
            continue
        if count:
            raise ConfigError(f"{column!r} is the name of {count} columns of {layout.path}; rename all but one")
        all_names = quoted_list(stripped, layout, _MAX_NAMES)
        raise ConfigError(f"{column!r} is not a column of {layout.path}; its columns are {all_names}")
    return {column: names[stripped.index(column)] for column in columns}


def read_columns(
    content: bytes, columns: Sequence[str], layout: TextLayout, *, cut_long_lines: bool = False
) -> pl.DataFrame:
    """The named columns as text without surrounding spaces, under these names and in this order.

    Parameters
    ----------
    cut_long_lines
        Read lines with more fields than the header without these fields, instead of refusing them.

    Raises
    ------
    ConfigError
        If a column is missing, or occurs twice.
    SourceError
        If the content is not a table: names the line.
    """
    names = header_names(content, layout)
    try:
        header_by_column = match_columns(names, columns, layout)
    except ConfigError as error:
        hint = _header_hint(content, columns, layout)
        raise ConfigError(f"{error}{hint}") from None
    if not cut_long_lines:
        _refuse_other_widths(content, len(header_by_column), layout)
    try:
        table = _csv_table(content, list(header_by_column.values()), layout, cut_long_lines=cut_long_lines)
    except pl.exceptions.PolarsError as error:
        raise not_a_table(content, layout, str(error).splitlines()[0]) from None
    return table.select(pl.col(header).str.strip_chars().alias(name) for name, header in header_by_column.items())


def _csv_table(
    content: bytes, columns: Sequence[str], layout: TextLayout, *, cut_long_lines: bool
) -> pl.DataFrame:
    """The columns as text; empty fields beyond the last column of the header have no effect."""

    def table(text: bytes) -> pl.DataFrame:
        return pl.read_csv(
            text,
            infer_schema=False,
            separator=layout.separator,
            columns=list(columns),
            truncate_ragged_lines=cut_long_lines,
        )

    try:
        return table(content)
    except pl.exceptions.ComputeError:
        return table(without_surplus_fields(content, layout.separator, len(header_names(content, layout))))


def _refuse_other_widths(content: bytes, count: int, layout: TextLayout) -> None:
    """Raise a SourceError for a line that polars would read although its fields are not those of the header.

    Polars checks long lines only if it reads every column. In a short line of aligned columns, it is unknown which
    field lacks.

    Parameters
    ----------
    count
        Number of columns to read.
    """
    width = len(header_names(content, layout))
    if count < width and has_long_line(content, layout.separator, width):
        raise not_a_table(content, layout, "a line is too long")
    if layout.separator != BLANK:
        return
    for number, line in enumerate(content.split(b"\n"), 1):
        if line and line.count(b" ") < width - 1:
            raise SourceError(
                f"{layout.path}, line {number}: {line.count(b' ') + 1} fields where the header has {width}, so it is "
                "unknown which column is empty; write a text such as NaN where there is no value"
            )


def _header_hint(content: bytes, columns: Sequence[str], layout: TextLayout) -> str:
    """Advice where the header does not have the columns: another line has them, or the separator is another one."""
    lines = content.decode("utf-8", "replace").split("\n")[:_HEADER_SEARCH_LINES]
    first = header_line(content) - 1
    for number, line in enumerate(lines[first + 1 :], first + 2):
        if set(columns) <= {name.strip() for name in _fields(line, layout.separator)}:
            above = [text.strip() for text in lines[first : number - 1] if text.strip()]
            comment = ' (or comment = "#")' if all(text.startswith("#") for text in above) else ""
            return f"; line {number} looks like the header: set header_line = {number}{comment} in the dam file"
    for separator in (";", "\t", "|", ","):
        if set(columns) <= {name.strip() for name in _fields(lines[first] if lines else "", separator)}:
            return f"; set separator = {json.dumps(separator)} in the dam file"
    return ""


def _fields(line: str, separator: str) -> list[str]:
    """Fields of a line; none where it cannot be read."""
    try:
        return next(csv.reader([line.rstrip("\r")], delimiter=separator, strict=True), [])
    except csv.Error:
        return []


def cells_of_line(content: bytes, line: int, layout: TextLayout) -> dict[str, str]:
    """Column → text of every cell of a line (its number in the file)."""
    text = content.decode("utf-8", "replace").split("\n")[line - 1]
    names = [name.strip() for name in header_names(content, layout)]
    return dict(zip(names, (cell.strip() for cell in _fields(text, layout.separator)), strict=False))


def not_a_table(content: bytes, layout: TextLayout, error: str) -> SourceError:
    """The error for content that is no table: names the first bad line, or gives the reason of polars."""
    reason = first_bad_line(content, layout) or content_text(error, layout)
    return SourceError(
        f"{layout.path} cannot be read as a table ({reason}); it must be UTF-8 text with as many fields in each "
        f"line as in its header, separated by {layout.separator!r}"
    )


def first_bad_line(content: bytes, layout: TextLayout) -> str | None:
    """The first line that does not fit its header, and why; None if all do."""
    names, first = header_names(content, layout), header_line(content)
    lines = without_surplus_fields(content, layout.separator, len(names)).decode("utf-8", "replace").split("\n")
    for line_number, line in enumerate(lines[first:], first + 1):
        try:
            fields = next(csv.reader([line.rstrip("\r")], delimiter=layout.separator, strict=True), [])
        except csv.Error as error:
            return f"line {line_number}: {error}"
        if len(fields) > len(names):
            return f"line {line_number}: {len(fields)} fields where the header has {len(names)}"
    return None
