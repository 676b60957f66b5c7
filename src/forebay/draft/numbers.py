"""Numbers in the cells of a column: marks, unit suffix, brackets, remarks, texts that mean no-data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from forebay.dams.csv_layout import TextLayout, Thousands
from forebay.dams.csv_numbers import parse_numbers
from forebay.draft.unit_names import is_unit
from forebay.errors import SourceError

_SUFFIX = re.compile(r"[+-]?[\d.,'\s\u00a0\u202f]*\d\s*([^\d\s.,'+-][^\d.,]*\d?)")
_REMARK = re.compile(r"\(?[+-]?[\d.,' \u00a0\u202f]*\d\)?\s*([^\d\s.,'+()-][^\d,]{0,7})")
_SENTENCE = r"^[^\d+\-.,(].*[^\W\d_]{2,} [^\W\d_]{2,}"
_BRACKETED = r"^\(.*\d.*\)$"
_LEADING_ZERO = {".": re.compile(r"[+-]?0\.\d"), ",": re.compile(r"[+-]?0,\d")}
_MAX_NO_VALUE = 8
_MAX_REMARKS = 6
_NUMERIC_SHARE = 0.5
_BAD_SHARE = 0.02


class BadNumberError(SourceError):
    """A cell that is no number, among many numbers."""

    def __init__(self, text: str, column: str) -> None:
        self.text = text
        super().__init__(
            f"{text!r} in column {column!r} is not a number, unlike its other cells; correct the cell, or leave it "
            "empty where there is no value"
        )


@dataclass(frozen=True)
class Marks:
    """Marks of numbers and what stands around them, as in `TextLayout`.

    `missing_remarks` follow numbers that are not values.
    """

    decimal_comma: bool = False
    thousands: Thousands | None = None
    brackets: Literal["negative", "number"] | None = None
    remarks: tuple[str, ...] = ()
    missing_remarks: tuple[str, ...] = ()

    @property
    def decimal_mark(self) -> str:
        """"comma" or "point"."""
        return "comma" if self.decimal_comma else "point"


_ALL_MARKS = (
    Marks(), Marks(thousands=","), Marks(thousands=" "), Marks(thousands="'"),
    Marks(True), Marks(True, "."), Marks(True, " "), Marks(True, "'"), Marks(thousands="lakh"),
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
    BadNumberError
        If some texts have digits but are no numbers, among many numbers: quotes the first.
    """
    counts = column.drop_nulls().value_counts().sort(column.name)
    texts, count = counts[column.name], counts["count"]
    has_number = texts.str.contains(r"\d") & ~texts.str.contains(_SENTENCE)
    number_count = int(count.filter(has_number).sum())
    if not number_count or number_count < _NUMERIC_SHARE * int(count.sum()):
        return None
    no_value = dict(zip(texts.filter(~has_number), count.filter(~has_number), strict=True))
    numeric = texts.filter(has_number)
    suffix = _unit_suffix(numeric)
    extra = Marks(
        brackets="number" if numeric.str.contains(_BRACKETED).any() else None,
        remarks=() if suffix else _remarks(numeric, count.filter(has_number)),
    )
    readings = _readings(numeric, suffix, extra)
    if not readings or len(no_value) > _MAX_NO_VALUE:
        is_bad = parse_texts(numeric, extra, suffix).is_null()
        bad_count = int(count.filter(has_number).filter(is_bad).sum())
        if not 0 < bad_count <= _BAD_SHARE * number_count:
            return None
        bad = numeric.filter(is_bad)[0]
        raise BadNumberError(bad, column.name)
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
    """Numbers of texts, null where a text is not a number with these marks, or has a remark of missing values."""
    layout = TextLayout(
        path="-", decimal_comma=marks.decimal_comma, thousands=marks.thousands, unit_suffix=suffix,
        brackets=marks.brackets, remarks=marks.remarks,
    )  # fmt: skip
    return texts.to_frame("text").select(parse_numbers(pl.col("text"), layout, strict=False)).to_series()


def _readings(texts: pl.Series, suffix: str | None, extra: Marks) -> dict[Marks, pl.Series]:
    """Marks → numbers, of all marks with which each text is a number; the simpler ones of equal readings."""
    readings: dict[Marks, pl.Series] = {}
    for usual in _ALL_MARKS:
        grouping = usual.thousands
        if grouping in _LEADING_ZERO and any(_LEADING_ZERO[grouping].match(text) for text in texts):
            continue
        marks = replace(usual, brackets=extra.brackets, remarks=extra.remarks)
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


def _remarks(texts: pl.Series, counts: pl.Series) -> tuple[str, ...]:
    """Texts that follow some of the numbers, such as "e" or "*", the longest first; none if one is a unit."""
    is_plain = pl.Series([not match for match in map(_REMARK.fullmatch, texts)], dtype=pl.Boolean)
    if is_plain.all() or int(counts.filter(is_plain).sum()) < _NUMERIC_SHARE * int(counts.sum()):
        return ()
    remarks = _distinct(match[1].strip() for text in texts if (match := _REMARK.fullmatch(text)))
    has_unit = any(is_unit(remark) for remark in remarks)
    return () if has_unit or len(remarks) > _MAX_REMARKS else tuple(sorted(remarks, key=len, reverse=True))


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
