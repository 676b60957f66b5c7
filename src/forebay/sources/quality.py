"""Quality codes of agencies on one scale: good, fair, poor, estimated, unknown, missing.

Codes differ by agency; `forebay.services` has the codes of each. A code that is not listed is "unknown", and its value
stays in use. A code is "missing" only if it means that there is no value; the number next to such a code is garbage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import polars as pl

from forebay.services import SERVICES

UNKNOWN = "unknown"
MISSING = "missing"
CODE = pl.UInt8()
"""Type of codes as numbers: no agency has a code above 255."""
NO_CODE = 256
"""Position in `grades_by_number` for a number without a code, or with a code that no agency has."""

BY_WEIGHT = (MISSING, "estimated", "poor", UNKNOWN, "fair", "good")
"""Grades by weight: of a code of several words, such as "Approved ESTIMATED", the word with the first grade counts."""
_RANGE = re.compile(r"(\d+)-(\d+)")
_NUMBER = re.compile(r"-?\d+")
_NO_VALUE = re.compile(r"\b(unavailable|not available|not recorded|missing|no data|data lost)\b", re.IGNORECASE)
# Words that give such a text another meaning: values that replace missing ones, a part of the interval, or the grading
# itself ("quality not available").
_HAS_VALUE = re.compile(
    r"(?<!no )(?<!not )\b(in-?fill|fill|estimat|interpolat|correlat|synth|simulat|replac|reconstruct|deriv|model|patch)"
    r"|\b(some|part|partly|partial|quality|rating|gauging)\b|%",
    re.IGNORECASE,
)


@lru_cache(maxsize=8)
def grades(agency: str) -> Mapping[str, str]:
    """Code → grade, for the listed quality codes of `agency`; all other codes are "unknown".

    >>> grades("waternsw")["201"], grades("waternsw").get("155", "unknown")
    ('missing', 'unknown')
    """
    quality_codes = SERVICES[agency].quality_codes if agency in SERVICES else {}
    table = {code: grade for grade, codes in quality_codes.items() for code in _codes(codes)}
    return MappingProxyType(table)


@lru_cache(maxsize=8)
def grades_by_number(agency: str) -> tuple[str, ...]:
    """Grades of the codes 0 to 255 of `agency`, and last (`NO_CODE`) of a number without a code.

    >>> grades_by_number("waternsw")[201], len(grades_by_number("waternsw"))
    ('missing', 257)
    """
    return tuple(grades(agency).get(str(code), UNKNOWN) for code in range(NO_CODE + 1))


def _codes(text: str) -> list[str]:
    """The codes of a list like "1-3 8 Good"; only two whole numbers with a hyphen are a range.

    >>> _codes("1-3 -1 Good A-B")
    ['1', '2', '3', '-1', 'Good', 'A-B']
    """
    codes = []
    for part in text.split():
        span = _RANGE.fullmatch(part)
        codes += [str(code) for code in range(int(span[1]), int(span[2]) + 1)] if span else [part]
    return codes


def means_missing(text: str) -> bool:
    """Whether a code's text means that there is no value (and no replacement for it).

    >>> means_missing("Data Unavailable"), means_missing("Missing data, infilled by correlation")
    (True, False)
    """
    return bool(_NO_VALUE.search(text)) and not _HAS_VALUE.search(text)


def grade(code: pl.Expr, agency: str, texts: Mapping[str, str] | None = None) -> pl.Expr:
    """Grade of each quality code (text), from the agency's table and from the texts of the answer itself.

    A code may have several words, separated by blanks; the weightiest grade counts (`BY_WEIGHT`).

    Parameters
    ----------
    code
        Codes as published, as text; null is "unknown".
    agency
        Agency of the codes; without a table for it, every code is "unknown" unless its text means "missing".
    texts
        Code → text, as in a Hydstra answer's `quality_codes`; a text that means "no value" makes its code "missing",
        whatever the table's grade.
    """
    without_value = {number: MISSING for number, text in (texts or {}).items() if means_missing(text)}
    table = {**grades(agency), **without_value}
    return grade_by(code, table)


def grade_by(code: pl.Expr, grades: Mapping[str, str]) -> pl.Expr:
    """Grade of each quality code (text) by a table of codes; null, and a code that is not listed, is "unknown"."""
    if not grades:
        return pl.when(code.is_null()).then(pl.lit(UNKNOWN)).otherwise(pl.lit(UNKNOWN))
    if all(_NUMBER.fullmatch(number) for number in grades):
        return code.replace_strict(grades, default=UNKNOWN, return_dtype=pl.String).fill_null(UNKNOWN)
    weights = {word: BY_WEIGHT.index(grade) for word, grade in grades.items()}
    word_weight = pl.element().replace_strict(weights, default=BY_WEIGHT.index(UNKNOWN), return_dtype=pl.UInt8)
    weight = code.str.split(" ").list.eval(word_weight).list.min()
    return weight.replace_strict(dict(enumerate(BY_WEIGHT)), return_dtype=pl.String).fill_null(UNKNOWN)
