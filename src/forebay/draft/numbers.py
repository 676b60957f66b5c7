"""Numbers in the cells of a column: decimal and thousands marks, unit suffix, texts that mean no-data."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from forebay.dams.csv_layout import TextLayout
from forebay.dams.csv_text import parse_numbers
from forebay.errors import SourceError

_SUFFIX = re.compile(r"[+-]?[\d.,'\s\u00a0\u202f]*\d\s*([^\d\s.,'+-][^\d.,]*\d?)")
_LEADING_ZERO = {".": re.compile(r"[+-]?0\.\d"), ",": re.compile(r"[+-]?0,\d")}
_MAX_NO_VALUE = 8
_NUMERIC_SHARE = 0.5
_BAD_SHARE = 0.02


@dataclass(frozen=True)
class Marks:
    """Marks of numbers, as in `TextLayout`."""

    decimal_comma: bool = False
    thousands: Literal[",", ".", " ", "'"] | None = None

    @property
    def decimal_mark(self) -> str:
        """"comma" or "point"."""
        return "comma" if self.decimal_comma else "point"


_ALL_MARKS = (
    Marks(), Marks(thousands=","), Marks(thousands=" "), Marks(thousands="'"),
    Marks(True), Marks(True, "."), Marks(True, " "), Marks(True, "'"),
)  # fmt: skip


@dataclass(frozen=True)
class NumberTexts:
    """Texts of a column of numbers.

    Attributes
    ----------
    readings
        Marks → numbers of `texts`; readings with equal numbers stand once.
    texts
        Distinct texts of numbers.
    no_value
        Texts without a number, and how often they occur.
    unit_suffix
        Text that follows every number.
    """

    readings: dict[Marks, pl.Series]
    texts: pl.Series
    no_value: dict[str, int] = field(default_factory=dict)
    unit_suffix: str | None = None


def number_texts(column: pl.Series) -> NumberTexts | None:
    """Possible readings of a column's texts (null where empty) as numbers; None if it is no column of numbers.

    Raises
    ------
    SourceError
        If some texts have digits but are no numbers, among many numbers: quotes the first.
    """
    counts = column.drop_nulls().value_counts().sort(column.name)
    texts, count = counts[column.name], counts["count"]
    has_digit = texts.str.contains(r"\d")
    number_count = int(count.filter(has_digit).sum())
    if not number_count or number_count < _NUMERIC_SHARE * int(count.sum()):
        return None
    no_value = dict(zip(texts.filter(~has_digit), count.filter(~has_digit), strict=True))
    numeric = texts.filter(has_digit)
    suffix = _unit_suffix(numeric)
    readings = _readings(numeric, suffix)
    if not readings or len(no_value) > _MAX_NO_VALUE:
        is_bad = parse_texts(numeric, Marks(), suffix).is_null()
        bad_count = int(count.filter(has_digit).filter(is_bad).sum())
        if not 0 < bad_count <= _BAD_SHARE * number_count:
            return None
        bad = numeric.filter(is_bad)[0]
        raise SourceError(
            f"{bad!r} in column {column.name!r} is not a number, unlike its other cells; correct the cell, or leave it "
            "empty where there is no value"
        )
    return NumberTexts(readings, numeric, no_value, suffix)


def first_bad_number(column: pl.Series) -> str | None:
    """First text with digits that is no number with a decimal point; None if fewer than half have digits."""
    texts = column.drop_nulls()
    numeric = texts.filter(texts.str.contains(r"\d"))
    if not len(numeric) or len(numeric) < _NUMERIC_SHARE * len(texts):
        return None
    bad = numeric.filter(parse_texts(numeric, Marks(), None).is_null())
    return bad[0] if len(bad) else None


def parse_texts(texts: pl.Series, marks: Marks, suffix: str | None) -> pl.Series:
    """Numbers of texts, null where a text is not a number with these marks."""
    layout = TextLayout(path="-", decimal_comma=marks.decimal_comma, thousands=marks.thousands, unit_suffix=suffix)
    return texts.to_frame("text").select(parse_numbers(pl.col("text"), layout, strict=False)).to_series()


def _readings(texts: pl.Series, suffix: str | None) -> dict[Marks, pl.Series]:
    """Marks → numbers, of all marks with which each text is a number; the simpler ones of equal readings."""
    readings: dict[Marks, pl.Series] = {}
    for marks in _ALL_MARKS:
        grouping = marks.thousands
        if grouping in _LEADING_ZERO and any(_LEADING_ZERO[grouping].match(text) for text in texts):
            continue
        numbers = parse_texts(texts, marks, suffix)
        if not numbers.null_count() and not any(numbers.equals(known) for known in readings.values()):
            readings[marks] = numbers
    return readings


def _unit_suffix(texts: pl.Series) -> str | None:
    """Text that follows the number in every cell; None if there is none or they differ."""
    suffixes = set()
    for text in texts:
        match = _SUFFIX.fullmatch(text)
        suffixes.add(match[1].strip() if match else None)
        if len(suffixes) > 1:
            return None
    return suffixes.pop() if suffixes else None
