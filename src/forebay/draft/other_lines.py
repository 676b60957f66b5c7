"""Lines of totals, remarks and repeated headers among the lines of a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forebay.draft.header import is_value
from forebay.draft.text_form import fields
from forebay.draft.vocabulary import name_words

if TYPE_CHECKING:
    from forebay.draft.dates import DateFailures

_SUMMARY_WORDS = {
    "total", "totals", "totale", "totales", "sum", "summe", "suma", "soma", "mean", "average", "avg", "media",
    "mittel", "mittelwert", "moyenne", "promedio", "medio", "max", "maximum", "maximo", "massimo", "maxi", "min",
    "minimum", "minimo", "mini", "median", "std", "count", "subtotal", "toplam", "ortalama", "gesamt",
}  # fmt: skip
_WORD_START = re.compile(r"[^\n]*?[^\W\d_]{3,}[^\d]*")
_MAX_TEXTS = 8
_MAX_LENGTH = 40
_MAX_QUOTED = 60


@dataclass(frozen=True)
class OtherLines:
    """Lines that do not belong to the table.

    Attributes
    ----------
    texts
        Texts that they, and no line of the table, begin with.
    count
        Number of such lines.
    first_line, first_text
        Number and text of the first one.
    """

    texts: tuple[str, ...]
    count: int
    first_line: int
    first_text: str

    @property
    def reason(self) -> str:
        """Why these lines are no readings."""
        text = self.first_text.strip()
        quoted = repr(text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…")
        kind = "line is a total, a remark or a header" if self.count == 1 else "lines are totals, remarks or headers"
        return f"{self.count} {kind} without a date, such as line {self.first_line}: {quoted}"


def other_lines(
    failures: DateFailures | None, content: bytes, separator: str, *, first_line: int, header: Sequence[str]
) -> OtherLines | None:
    """Lines of totals, remarks and repeated headers; None unless every line without a date is one.

    Parameters
    ----------
    failures
        Rows of the table whose dates cannot be read.
    content
        The table's text, in which the row n is the line `first_line` + n.
    """
    if failures is None or not len(failures.rows):
        return None
    lines = content.split(b"\n")
    texts, numbers = [], [first_line + int(row) for row in failures.rows]
    for number in numbers:
        text = _start(lines[number - 1].decode("utf-8", "replace"), separator, header)
        if text is None:
            return None
        texts.append(text)
    distinct = sorted(dict.fromkeys(texts), key=len)
    shortest = [text for n, text in enumerate(distinct) if not text.startswith(tuple(distinct[:n]))]
    if len(shortest) > _MAX_TEXTS or _begins_a_reading(failures, shortest):
        return None
    first = lines[numbers[0] - 1].decode("utf-8", "replace")
    return OtherLines(tuple(shortest), len(numbers), numbers[0], first)


def _begins_a_reading(failures: DateFailures, texts: Sequence[str]) -> bool:
    """Whether a row with a date begins with one of these texts."""
    pattern = f"^(?:{'|'.join(map(re.escape, texts))})"
    return bool(failures.first_cells_of_dates.str.contains(pattern).any())


def _start(line: str, separator: str, header: Sequence[str]) -> str | None:
    """Text that a line of a total, a remark or a header begins with; None if it may be a reading."""
    cells = fields(line.rstrip("\r"), separator)
    filled = [cell for cell in cells if cell]
    if not filled or not cells[0]:
        return None
    has_numbers = any(is_value(cell) for cell in filled)
    is_total = bool(_SUMMARY_WORDS & set(name_words(filled[0])))
    is_header = [cell for cell in header if cell] == filled
    if is_value(filled[0]) or not (is_header or is_total or not has_numbers):
        return None
    return _beginning(filled[0], separator)


def _beginning(cell: str, separator: str) -> str | None:
    """Text of a cell up to the digits after its first word, which another file may have too."""
    if not any(character.isdigit() for character in cell):
        text = cell
    elif (match := _WORD_START.match(cell)) and not cell[0].isdigit():
        text = match[0]
    else:
        return None
    text = text[:_MAX_LENGTH].split(separator)[0].strip()
    return text if text and '"' not in text else None
