"""Numbers in the cells of CSV files: decimal and thousands marks, units, brackets and remarks."""

from __future__ import annotations

import re

import polars as pl

from forebay.dams.csv_layout import LAKH, TextLayout

_BRACKETS = r"^\(\s*([0-9][^()]*|[.,][0-9][^()]*)\)$"
_SPACES = r"[ \u{a0}\u{202f}]"


def parse_numbers(cell: pl.Expr, layout: TextLayout, *, strict: bool = True) -> pl.Expr:
    """Numbers of text cells; null, or an error if `strict`, where a cell is not a number.

    Thousands marks count only between groups of three digits: "1,5" is never fifteen. With "lakh", the groups are those
    of India: 12,34,567.
    """
    text = cell
    for remark in layout.remarks:
        text = text.str.strip_suffix(remark).str.strip_chars()
    if layout.brackets is not None:
        text = text.str.replace(_BRACKETS, "-${1}" if layout.brackets == "negative" else "${1}").str.strip_chars()
    if layout.unit_suffix is not None:
        text = text.str.strip_suffix(layout.unit_suffix).str.strip_chars()
    if layout.thousands is not None:
        mark = {" ": _SPACES, LAKH: ","}.get(layout.thousands) or re.escape(layout.thousands)
        text = pl.when(text.str.contains(_grouped(mark, layout))).then(text.str.replace_all(mark, "")).otherwise(text)
    if layout.decimal_comma:  # a point is not a decimal mark then: it makes the text invalid
        text = text.str.replace_all(".", "?", literal=True).str.replace(",", ".", literal=True)
    return text.cast(pl.Float64, strict=strict)


def _grouped(mark: str, layout: TextLayout) -> str:
    """Pattern of a number whose digits are in groups."""
    digits = rf"[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+"
    if layout.thousands == LAKH:
        digits = "[0-9]{1,2}(?:,[0-9]{2})*,[0-9]{3}"
    return rf"^[+-]?{digits}(?:{re.escape(layout.decimal_mark)}[0-9]*)?$"
