"""Agencies' quality codes, as one scale: good, fair, poor, estimated, unknown, missing.

Codes differ by agency. A code that is not listed is "unknown": its value is kept. Only what says that there is no
value is "missing"; the number beside such a code is garbage. `forebay.services` has each agency's codes.
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
"""Codes as numbers: no agency has one beyond 255."""
NO_CODE = 256
"""Place in `grades_by_number` of a number without a code, or with one that no agency has."""

_NO_VALUE = re.compile(r"\b(unavailable|not available|not recorded|missing|no data|data lost)\b", re.IGNORECASE)
# What such a text may speak of instead: values put in the place of missing ones, a part of the interval, or the
# grading itself ("quality not available").
_BUT_VALUE = re.compile(
    r"(?<!no )(?<!not )\b(in-?fill|fill|estimat|interpolat|correlat|synth|simulat|replac|reconstruct|deriv|model|patch)"
    r"|\b(some|part|partly|partial|quality|rating|gauging)\b|%",
    re.IGNORECASE,
)


@lru_cache(maxsize=8)
def grades(agency: str) -> Mapping[str, str]:
    """Grade of each listed quality code of `agency`; what is not listed is "unknown".

    >>> grades("waternsw")["201"], grades("waternsw").get("155", "unknown")
    ('missing', 'unknown')
    """
    quality_codes = SERVICES[agency].quality_codes if agency in SERVICES else {}
    table = {code: grade for grade, codes in quality_codes.items() for code in _codes(codes)}
    return MappingProxyType(table)


@lru_cache(maxsize=8)
def grades_by_number(agency: str) -> tuple[str, ...]:
    """Grade of each of the codes 0 to 255 of `agency`, and last (`NO_CODE`) that of a number without a code.

    >>> grades_by_number("waternsw")[201], len(grades_by_number("waternsw"))
    ('missing', 257)
    """
    return tuple(grades(agency).get(str(code), UNKNOWN) for code in range(NO_CODE + 1))


def _codes(text: str) -> list[str]:
    """The codes of a list like "1-3 8"."""
    spans = [part.partition("-") for part in text.split()]
    return [str(code) for low, _, high in spans for code in range(int(low), int(high or low) + 1)]


def says_missing(text: str) -> bool:
    """Whether a code's text says that there is no value (and not that one was put in its place).

    >>> says_missing("Data Unavailable"), says_missing("Missing data, infilled by correlation")
    (True, False)
    """
    return bool(_NO_VALUE.search(text)) and not _BUT_VALUE.search(text)


def grade(code: pl.Expr, agency: str, texts: Mapping[str, str] | None = None) -> pl.Expr:
    """Grade of each quality code (text), by the agency's table and by the texts that the answer itself gives.

    Parameters
    ----------
    code
        Codes as published, as text; null is "unknown".
    agency
        Whose codes they are; of an agency without a table every code is "unknown" unless its text says otherwise.
    texts
        Code → text, as in a Hydstra answer's `quality_codes`; one that says that there is no value makes its code
        "missing", whatever the table says.
    """
    without_value = {number: MISSING for number, text in (texts or {}).items() if says_missing(text)}
    table = {**grades(agency), **without_value}
    if not table:
        return pl.when(code.is_null()).then(pl.lit(UNKNOWN)).otherwise(pl.lit(UNKNOWN))
    return code.replace_strict(table, default=UNKNOWN, return_dtype=pl.String).fill_null(UNKNOWN)
