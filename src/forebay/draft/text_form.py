"""How the text of a table is written: encoding, separator, header, lines that do not belong to the table."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from forebay.dams.csv_layout import ENCODINGS, TextLayout
from forebay.dams.csv_lines import BLANK
from forebay.draft.header import are_values, check_names, has_date_name, header_lines, is_value
from forebay.errors import SourceError

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar", " ": "blank"}
_COMMENTS = ("#", "//", "%", "!")
_SEARCHED_LINES = 3000


@dataclass(frozen=True)
class TextForm:
    """Form of a file's text, as in `TextLayout`, and the reason for each part that is not the default.

    `units_of_columns` has the column and the text of each cell of the line of units.
    """

    encoding: str = "utf-8"
    separator: str = ","
    header_line: int = 1
    units_line: int | None = None
    comments: tuple[str, ...] = ()
    reasons: tuple[tuple[str, str, str], ...] = ()
    units_of_columns: tuple[tuple[str, str], ...] = ()
    sheet: str | None = None
    header: str = ""
    """Text of the header's line."""

    def layout(self, path: str) -> TextLayout:
        """Layout of a file of this form."""
        return TextLayout(path=path, **self.keys())  # type: ignore[arg-type]  # pydantic checks each key

    def keys(self) -> dict[str, object]:
        """Keys of the dam file that are not the default."""
        keys: dict[str, object] = {} if self.sheet is None else {"sheet": self.sheet}
        if self.encoding != "utf-8":
            keys["encoding"] = self.encoding
        if self.separator != ",":
            keys["separator"] = self.separator
        if self.header_line > 1 or (self.comments and self.header.lstrip(' \t"').startswith(self.comments)):
            keys["header_line"] = self.header_line
        if self.units_line is not None:
            keys["units_line"] = self.units_line
        if self.comments:
            keys["comment"] = self.comments[0] if len(self.comments) == 1 else self.comments
        return keys


def text_form(content: bytes, path: str, *, stated_encoding: str | None = None) -> TextForm:
    """Form of the text of a table.

    Parameters
    ----------
    stated_encoding
        Encoding that the user states; None: concluded from the content.

    Raises
    ------
    SourceError
        If the content is no table with a header: says what lacks.
    """
    encoding, why = (stated_encoding, "stated with --set") if stated_encoding else _encoding(content)
    text = content.decode(_codec(content, encoding), "replace").removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    comment = _comment(lines)
    filled = [(number, line) for number, line in enumerate(lines[:_SEARCHED_LINES], 1) if line.strip(" \t,;|")]
    table_lines = [line for line in filled if not (comment and _is_comment(line[1], comment))]
    separator, width = _separator(table_lines, path)
    table_lines = _with_header_comment(table_lines, filled, separator, width)
    rows = [(number, fields(line, separator)) for number, line in table_lines]
    header, units = header_lines(rows, width, path)
    rows_of_units = next((cells for number, cells in rows if number == units), [])
    reasons = [
        ("encoding", encoding, why) if encoding != "utf-8" else None,
        ("separator", _SEPARATORS[separator], f"{width} fields in most lines") if separator != "," else None,
        ("header_line", str(header), "the line above the first line of values") if header > 1 else None,
        ("units_line", str(units), f"below the header: {', '.join(rows_of_units[:4])}") if units else None,
        ("comment", comment, "lines that begin so are no values") if comment else None,
    ]
    named = tuple(reason for reason in reasons if reason is not None)
    names = next(cells for number, cells in rows if number == header)
    check_names(names, [cells for number, cells in rows if number > header and number != units], path)
    return TextForm(
        encoding,
        separator,
        header,
        units,
        () if comment is None else (comment,),
        named,
        tuple(zip(names, rows_of_units, strict=False)),
        header=lines[header - 1],
    )


def _is_comment(line: str, comment: str) -> bool:
    return line.lstrip(' \t"').startswith(comment)


def _with_header_comment(
    table_lines: list[tuple[int, str]], filled: Sequence[tuple[int, str]], separator: str, width: int
) -> list[tuple[int, str]]:
    """`table_lines` after the comment line above them, if it is their header: the first of them has values then."""
    number, line = table_lines[0]
    first = fields(line, separator)
    above = next((one for one in reversed(filled) if one[0] < number), None)
    if above is None or len(first) != width or not are_values(first) or has_date_name(first):
        return table_lines
    names = fields(above[1], separator)
    return [above, *table_lines] if len(names) == width and not are_values(names) else table_lines


def fields(line: str, separator: str) -> list[str]:
    """Cells of a line without surrounding blanks; none where it cannot be read."""
    if separator == BLANK:
        return line.split()
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, strict=True), [])]
    except csv.Error:
        return []


def _encoding(content: bytes) -> tuple[str, str]:
    """Name of the encoding, and why."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", "the file begins with its mark"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8", ""
    western = content.decode("cp1252", "replace")
    if _is_western(western):
        return "windows-1252", "its letters are not UTF-8, and read like this they are those of western words"
    from charset_normalizer import from_bytes

    names = {_plain(codecs.lookup(_python_name(name)).name): name for name in ENCODINGS}
    best = from_bytes(content[: 1 << 20], cp_isolation=[codecs.lookup(_python_name(n)).name for n in ENCODINGS]).best()
    name = names.get(_plain(best.encoding)) if best else None
    return name or "windows-1252", "its letters are not UTF-8, and read like this they are words"


def _is_western(text: str) -> bool:
    """Whether the words with letters beyond ASCII consist mostly of ASCII letters, as those of western languages do."""
    words = [word for word in re.findall(r"[^\W\d_]+", text) if not word.isascii()]
    letters = "".join(words)
    is_foreign = any(letter in "\ufffd\u0192\u0152\u0160\u017d\u2030\u20ac" for letter in text)
    return not is_foreign and sum(letter.isascii() for letter in letters) >= len(letters) / 2


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _python_name(name: str) -> str:
    return name.replace("windows-", "cp") if name.startswith("windows-") else name


def _codec(content: bytes, encoding: str) -> str:
    return "utf-8-sig" if encoding == "utf-8" else _python_name(encoding)


def _comment(lines: Sequence[str]) -> str | None:
    """Text that comment lines begin with."""
    for mark in _COMMENTS:
        count = sum(line.lstrip().startswith(mark) for line in lines[:_SEARCHED_LINES])
        if count and (count > 1 or len([line for line in lines if line.strip()]) > count + 1):
            starts = [line for line in lines[:_SEARCHED_LINES] if line.lstrip().startswith(mark)]
            if not all(are_values(fields(line, ",")) for line in starts):
                return mark
    return None


def _separator(lines: Sequence[tuple[int, str]], path: str) -> tuple[str, int]:
    """Separator and number of fields of the table's lines.

    The separator gives most lines the same number of fields, two or more, of which most are dates or numbers.
    """
    best: tuple[float, str, int] = (0.0, "", 0)
    for separator in _SEPARATORS:
        rows = [fields(line, separator) for _, line in lines]
        widths = Counter(len(row) for row in rows if len(row) > 1)
        if not widths:
            continue
        width, count = widths.most_common(1)[0]
        cells = [cell for row in rows if len(row) == width for cell in row if cell]
        share_read = sum(is_value(cell) for cell in cells) / max(len(cells), 1)
        score = count / len(rows) * (0.2 + share_read)
        if score > best[0] * 1.02 and not (separator == " " and best[0] > 0.5):
            best = (score, separator, width)
    if best[2] < 2:
        raise SourceError(
            f"{path} is no table: no separator gives its lines two fields or more; save the table as CSV with a column "
            "of dates and a column of values"
        )
    return best[1], best[2]
