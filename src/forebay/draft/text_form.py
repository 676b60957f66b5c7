"""How the text of a table is written: encoding, separator, header, lines that do not belong to the table."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from forebay.dams.csv_layout import ENCODINGS, TextLayout
from forebay.draft.vocabulary import is_unit, name_words
from forebay.errors import SourceError

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar", " ": "blank"}
_COMMENTS = ("#", "//", "%", "!")
_SEARCHED_LINES = 3000
_HEADER_LINES = 200
_NUMBER = re.compile(r"[+-]?[\d][\d.,' \u00a0\u202f]*|[+-]?[.,]\d+")
_CLOCK = r"[\d:.]+ ?(?:[AaPp]\.?[Mm]\.?)?(?:Z|UTC|GMT| ?[+-]\d\d:?\d\d)?"
_DATE_LIKE = re.compile(
    rf"\d{{1,4}}([-/. ]?)(?:\d{{1,2}}|[^\W\d_]{{3,9}}\.?)\1\d{{1,4}}(?:(?:T|,? ){_CLOCK})?|\d{{1,2}}:\d\d(?::\d\d)?"
    rf"|[^\W\d_]{{3,9}}\.? \d{{1,2}},? \d{{4}}(?: {_CLOCK})?"
)
_HEADER_DATE_WORDS = {
    "date", "datetime", "date time", "timestamp", "fecha", "data", "datum", "jour", "dia", "tag", "day", "year",
    "month",
}  # fmt: skip
"""Names of a column of dates, which only a header has."""
_WIDTH_OR_BRACKETS = re.compile(r"\d+[sdn]|[(\[].*[)\]]|-+")


@dataclass(frozen=True)
class TextForm:
    """Form of a file's text, as in `TextLayout`, and the reason for each part that is not the default.

    `units_of_columns` has the column and the text of each cell of the line of units.
    """

    encoding: str = "utf-8"
    separator: str = ","
    header_line: int = 1
    units_line: int | None = None
    comment: str | None = None
    reasons: tuple[tuple[str, str, str], ...] = ()
    units_of_columns: tuple[tuple[str, str], ...] = ()
    sheet: str | None = None

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
        if self.header_line > 1:
            keys["header_line"] = self.header_line
        if self.units_line is not None:
            keys["units_line"] = self.units_line
        if self.comment is not None:
            keys["comment"] = self.comment
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
    table_lines = [
        (number, line)
        for number, line in enumerate(lines[:_SEARCHED_LINES], 1)
        if line.strip(" \t,;|") and not (comment and line.lstrip().startswith(comment) and number > 1)
    ]
    separator, width = _separator(table_lines, path)
    rows = [(number, fields(line, separator)) for number, line in table_lines]
    header, units = _header(rows, width, path)
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
    _check_names(names, [cells for number, cells in rows if number > header and number != units], path)
    return TextForm(encoding, separator, header, units, comment, named, tuple(zip(names, rows_of_units, strict=False)))


def fields(line: str, separator: str) -> list[str]:
    """Cells of a line without surrounding blanks; none where it cannot be read."""
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
            if not all(_is_values(fields(line, ",")) for line in starts):
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
        share_read = sum(_is_value(cell) for cell in cells) / max(len(cells), 1)
        score = count / len(rows) * (0.2 + share_read)
        if score > best[0] * 1.02 and not (separator == " " and best[0] > 0.5):
            best = (score, separator, width)
    if best[2] < 2:
        raise SourceError(
            f"{path} is no table: no separator gives its lines two fields or more; save the table as CSV with a column "
            "of dates and a column of values"
        )
    return best[1], best[2]


def _header(rows: Sequence[tuple[int, list[str]]], width: int, path: str) -> tuple[int, int | None]:
    """Number of the header's line, and of the line of units below it if there is one."""
    first = next(
        (n for n, (_, row) in enumerate(rows) if len(row) == width and _is_values(row) and not _has_date_name(row)),
        None,
    )
    if first is None:
        last = ", ".join(repr(cell) for cell in (rows[-1][1] if rows else [])[:4])
        raise SourceError(
            f"{path} has no line with a date and a number, its last one has {last}; give a table with a line per date "
            "like 2026-01-31 (not per week or month), without names of weekdays, and with numbers"
        )
    column = next((n for n, cell in enumerate(rows[first][1]) if _is_day(cell)), None)
    above = [
        (number, row)
        for number, row in rows[max(first - _HEADER_LINES, 0) : first]
        if len(row) == width and (column is None or not _is_day(row[column]))  # a line without a number is no header
    ]
    if not above and first and rows[first - 1][1] and not _is_values(rows[first - 1][1]):
        raise SourceError(
            f"{path}, line {rows[first][0]} has {width} fields where the header, line {rows[first - 1][0]}, has "
            f"{len(rows[first - 1][1])}; give every line as many fields as the header, such as without separators at "
            "its end"
        )
    if not above:
        raise SourceError(
            f"{path} has no header: its first line of {width} fields has values already; add a line with the names of "
            "the columns"
        )
    number, row = above[-1]
    if len(above) > 1 and _names(above[-2][1]) == width and _are_units(row):
        return above[-2][0], number
    if len(above) > 1 and _names(row) < len(row) and _names(above[-2][1]) > _names(row):
        return above[-2][0], number
    return number, None


def _is_day(cell: str) -> bool:
    """Whether a cell is a date, not only a clock time or a short number."""
    return len(cell) >= 6 and _DATE_LIKE.fullmatch(cell) is not None


def _has_date_name(row: Sequence[str]) -> bool:
    """Whether a cell is the name of a column of dates: then numbers beside it are names too, such as station ids."""
    return any(" ".join(name_words(cell)) in _HEADER_DATE_WORDS for cell in row)


def _check_names(names: Sequence[str], rows: Sequence[Sequence[str]], path: str) -> None:
    """Refuse a column per year or per day of the month, and values below a cell without a name."""
    years = [name for name in names if re.fullmatch(r"(?:19|20)\d\d", name)]
    days = [name for name in names if re.fullmatch(r"\d\d?", name) and 1 <= int(name) <= 31]
    for kind, names_of_kind, least in (("year", years, 2), ("day of the month", days, 28)):
        if len(names_of_kind) >= least:
            raise SourceError(
                f"{path} has a column per {kind} ({', '.join(names_of_kind[:3])}…); give a table with a line per date, "
                "such as one that a spreadsheet makes by unpivoting these columns"
            )
    for number, name in enumerate(names, 1):
        text = next((row[number - 1] for row in rows if len(row) >= number and row[number - 1]), None)
        is_index = number == 1 and text is not None and not _is_day(text)
        if not name and text is not None and not is_index:
            raise SourceError(
                f"{path}: column {number} has values such as {text!r} but no name in the header; name each column in "
                "one line, also where the header has two lines or merged cells"
            )


def _names(row: Sequence[str]) -> int:
    """Number of different names in a row; an index column without a name counts."""
    return len(set(row))


def _are_units(row: Sequence[str]) -> bool:
    """Whether the cells of a row below the names are units, widths or descriptions in brackets, or empty."""
    filled = [cell for cell in row if cell]
    return bool(filled) and all(_WIDTH_OR_BRACKETS.fullmatch(cell) or is_unit(cell) for cell in filled)


def _is_values(row: Sequence[str]) -> bool:
    """Whether a row has values: at least half of its filled cells are numbers or dates, with one number."""
    filled = [cell for cell in row if cell]
    read = sum(_is_value(cell) for cell in filled)
    return bool(filled) and read >= 2 and read >= 0.4 * len(filled) or (read == 1 == len(filled) and len(row) > 1)


def _is_value(cell: str) -> bool:
    """Whether a cell is a number, with its unit or without, or a date."""
    if _NUMBER.fullmatch(cell) or _DATE_LIKE.fullmatch(cell):
        return True
    number = _NUMBER.match(cell)
    return number is not None and is_unit(cell[number.end() :])
