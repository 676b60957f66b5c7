"""Header of a table: which line has the names of its columns, and which one their units."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from forebay.dams.csv_dates import LOCALES, month_names
from forebay.draft.unit_names import is_unit
from forebay.draft.vocabulary import name_words
from forebay.errors import SourceError

_HEADER_LINES = 200
_NUMBER = re.compile(r"[+-]?[\d][\d.,' \u00a0\u202f]*|[+-]?[.,]\d+")
_CLOCK = r"[\d:.]+ ?(?:[AaPp]\.?[Mm]\.?)?(?:Z|UTC|GMT| ?[+-]\d\d(?::?\d\d)?)?"
_WEEKDAY = r"(?:[^\W\d_]{2,12}\.?,? +)?"
_DATE_LIKE = re.compile(
    rf"{_WEEKDAY}\d{{1,4}}([-/. ]?)(?:\d{{1,2}}|[^\W\d_]{{3,9}}\.?)\1\d{{1,4}}\.?(?:(?:T|,? ){_CLOCK})?"
    rf"|\d{{1,2}}:\d\d(?::\d\d)?|[^\W\d_]{{3,9}}\.? \d{{1,2}},? \d{{4}}(?: {_CLOCK})?"
    r"|\d{4} ?[年년.] ?\d{1,2} ?[月월.] ?\d{1,2} ?[日일.]?"
)
_HEADER_DATE_WORDS = {
    "date", "datetime", "date time", "timestamp", "fecha", "data", "datum", "jour", "dia", "tag", "day", "year",
    "month",
}  # fmt: skip
"""Names of a column of dates, which only a header has."""
_WIDTH_OR_BRACKETS = re.compile(r"\d+[sdn]|[(\[].*[)\]]|-+")


def header_lines(rows: Sequence[tuple[int, list[str]]], width: int, path: str) -> tuple[int, int | None]:
    """Number of the header's line, and of the line of units below it if there is one."""
    first = next(
        (n for n, (_, row) in enumerate(rows) if len(row) == width and are_values(row) and not has_date_name(row)),
        None,
    )
    if first is None:
        last = ", ".join(repr(cell) for cell in (rows[-1][1] if rows else [])[:4])
        raise SourceError(
            f"{path} has no line with a date and a number, its last one has {last}; give a table with a line per date "
            "like 2026-01-31 (not per week or month), without names of weekdays, and with numbers"
        )
    column = next((n for n, cell in enumerate(rows[first][1]) if is_day(cell)), None)
    least = width - _empty_at_end([row for _, row in rows[first:] if len(row) == width])
    above = [
        (number, row)
        for number, row in rows[max(first - _HEADER_LINES, 0) : first]
        # a line without a number is no header
        if least <= len(row) <= width and (column is None or not is_day("".join(row[column : column + 1])))
    ]
    if not above and first and rows[first - 1][1] and not are_values(rows[first - 1][1]):
        raise SourceError(
            f"{path}, line {rows[first][0]} has {width} fields where the header, line {rows[first - 1][0]}, has "
            f"{len(rows[first - 1][1])}; give every line as many fields as the header, such as with another separator "
            "where the comma is the decimal mark"
        )
    if not above:
        raise SourceError(
            f"{path} has no header: its first line of {width} fields has values already; add a line with the names of "
            "the columns"
        )
    number, row = above[-1]
    if len(above) > 1 and _names(above[-2][1]) >= least and _are_units(row):
        return above[-2][0], number
    if len(above) > 1 and _names(row) < len(row) and _names(above[-2][1]) > _names(row):
        return above[-2][0], number
    return number, None


def _empty_at_end(rows: Sequence[Sequence[str]]) -> int:
    """Number of fields at the end of the lines that are empty in all of them."""
    return min((len(row) - len(_stripped(row)) for row in rows), default=0)


def _stripped(row: Sequence[str]) -> Sequence[str]:
    """The row without empty fields at its end."""
    return row[: next((n for n in range(len(row), 0, -1) if row[n - 1]), 0)]


def is_day(cell: str) -> bool:
    """Whether a cell is a date, not only a clock time or a short number."""
    return len(cell) >= 6 and _DATE_LIKE.fullmatch(cell) is not None


def has_date_name(row: Sequence[str]) -> bool:
    """Whether a cell is the name of a column of dates: then numbers beside it are names too, such as station ids."""
    return any(" ".join(name_words(cell)) in _HEADER_DATE_WORDS for cell in row)


@lru_cache(maxsize=1)
def _month_names() -> set[str]:
    """Names and abbreviations of months in the languages of the dates."""
    return {name for locale in LOCALES for name in month_names(locale)}


def check_names(names: Sequence[str], rows: Sequence[Sequence[str]], path: str) -> None:
    """Refuse a column per year or per day of the month, and values below a cell without a name."""
    years = [name for name in names if re.fullmatch(r"(?:19|20)\d\d", name)]
    days = [name for name in names if (day := re.search(r"(?:^|\D)(\d\d?)$", name)) and 1 <= int(day[1]) <= 31]
    months = [name for name in names if name.rstrip(".").casefold() in _month_names()]
    for kind, names_of_kind, least in (("year", years, 2), ("month", months, 12), ("day of the month", days, 28)):
        if len(names_of_kind) >= least:
            raise SourceError(
                f"{path} has a column per {kind} ({', '.join(names_of_kind[:3])}…); give a table with a line per date, "
                "such as one that a spreadsheet makes by unpivoting these columns"
            )
    for number, name in enumerate(names, 1):
        text = next((row[number - 1] for row in rows if len(row) >= number and row[number - 1]), None)
        is_index = number == 1 and text is not None and not is_day(text)
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


def are_values(row: Sequence[str]) -> bool:
    """Whether a row has values: at least half of its filled cells are numbers or dates, with one number."""
    filled = [cell for cell in row if cell]
    read = sum(is_value(cell) for cell in filled)
    return bool(filled) and read >= 2 and read >= 0.4 * len(filled) or (read == 1 == len(filled) and len(row) > 1)


def is_value(cell: str) -> bool:
    """Whether a cell is a number, with its unit or without, or a date."""
    if _NUMBER.fullmatch(cell) or _DATE_LIKE.fullmatch(cell):
        return True
    number = _NUMBER.match(cell)
    return number is not None and is_unit(cell[number.end() :])
