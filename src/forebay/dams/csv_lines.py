"""Lines of a CSV file that do not belong to its table, and the separators of those that do."""

from __future__ import annotations

import re

from forebay.dams.csv_layout import TextLayout

BLANK = " "
"""Separator of files whose columns are aligned with blanks."""
_BLANKS = re.compile(rb"[ \t]+")


def only_table_lines(text: bytes, layout: TextLayout) -> bytes:
    """`text` with blank lines instead of comments, the lines above the header, and the line of units."""
    first = layout.skip_lines if layout.header_line is None else layout.header_line - 1
    if first or layout.comments or layout.units_line is not False:
        text = _without_other_lines(text, layout, first)
    return _with_single_blanks(text) if layout.separator == BLANK else text


def _without_other_lines(text: bytes, layout: TextLayout, first: int) -> bytes:
    above, header, below = _parts(text, first, keep_header=layout.header_line is not None)
    if layout.comments:
        below = comment_pattern(layout.comments).sub(b"", below)
    text = b"\n" * above.count(b"\n") + header + below
    if layout.units_line is False:
        return text
    line = _line_below_header(text) if layout.units_line is True else layout.units_line
    before, units, after = _parts(text, line - 1, keep_header=True)
    return before + b"\n" * units.count(b"\n") + after


def comment_pattern(comments: tuple[str, ...]) -> re.Pattern[bytes]:
    """Pattern of lines that begin with one of these texts, after blanks and a quote."""
    texts = b"|".join(re.escape(text.encode()) for text in comments)
    return re.compile(rb'(?m)^[ \t]*"?(?:' + texts + rb")[^\n]*")


def _parts(text: bytes, lines: int, *, keep_header: bool) -> tuple[bytes, bytes, bytes]:
    """The first `lines` lines, the line after them if `keep_header`, and the rest, each with its line ends."""
    ends = [0]
    for _ in range(lines + keep_header):
        end = text.find(b"\n", ends[-1])
        ends.append(len(text) if end < 0 else end + 1)
    return text[: ends[lines]], text[ends[lines] : ends[-1]], text[ends[-1] :]


def _line_below_header(text: bytes) -> int:
    """Number of the first line below the header that is not blank."""
    filled = (number for number, line in enumerate(text.split(b"\n"), 1) if line.strip())
    next(filled, None)  # the header
    return next(filled, text.count(b"\n") + 2)


def _with_single_blanks(text: bytes) -> bytes:
    """Lines of aligned columns with one blank between two fields, none at their ends."""
    return b"\n".join(_BLANKS.sub(b" ", line).strip() for line in text.split(b"\n"))


def without_surplus_fields(content: bytes, separator: str, width: int) -> bytes:
    """`content` without empty fields at the end of lines that have more than `width` fields."""
    mark = separator.encode()
    lines = content.split(b"\n")
    for number, line in enumerate(lines):
        surplus = _field_count(line, mark) - width
        if surplus > 0:
            start, *rest = line.rsplit(mark, surplus)
            if not any(part.strip() for part in rest):
                lines[number] = start
    return b"\n".join(lines)


def has_long_line(content: bytes, separator: str, width: int) -> bool:
    """Whether a line has a text beyond its first `width` fields."""
    mark = re.escape(separator.encode())
    unquoted = re.sub(rb'"[^"\n]*"', b"0", content) if b'"' in content else content
    pattern = rb"(?m)^(?:[^%b\n]*%b){%d}[%b \t]*[^%b \t\r\n]" % (mark, mark, width, mark, mark)
    return re.search(pattern, unquoted) is not None


def _field_count(line: bytes, mark: bytes) -> int:
    """Number of fields; a separator within quotes is none."""
    unquoted = re.sub(rb'"[^"]*"', b"", line) if b'"' in line else line
    return unquoted.count(mark) + 1
