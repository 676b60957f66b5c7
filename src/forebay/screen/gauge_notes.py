"""Notes on the readings of a gauge that are left out or suspect, each with the key of the dam file that resolves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.csv_layout import content_text
from forebay.dams.value_checks import are_sentinels, out_of_range, plausible_range
from forebay.sources.quality import UNKNOWN

if TYPE_CHECKING:
    from forebay.dams.gauge import Gauge

_MAX_TEXTS = 8
MIN_RISES = 20
"""Fewest rises for the question whether a series is accumulated."""
MAX_FALL_SHARE = 0.02
"""Share of falls among the changes of an accumulated series, at most: its resets. Half of the changes of daily rain are
falls."""


def gauge_notes(readings: pl.DataFrame, gauge: Gauge, label: str) -> list[str]:
    """Notes on one gauge.

    Parameters
    ----------
    readings
        Rows of the gauge (`tables.READINGS`), by rising time.
    label
        Name of the gauge for people.
    """
    notes = (_ungraded_codes(readings, gauge), _implausible_values(readings, gauge), _accumulation(readings, gauge))
    return [f"{label}: {note}" for note in notes if note is not None]


def _ungraded_codes(readings: pl.DataFrame, gauge: Gauge) -> str | None:
    """Quality codes of a file to which the dam file gives no grade."""
    layout = gauge.file
    if layout is None or layout.quality is None or layout.quality_codes:
        return None
    codes = readings.filter(pl.col("quality") == UNKNOWN)["quality_code"].drop_nulls().unique().sort()
    codes = codes.filter(~codes.is_in(list(layout.grades.get("unknown", ()))))
    if codes.is_empty():
        return None
    texts = content_text(_list(codes, quote=True), layout)
    return (
        f"the dam file has no grade for the codes {texts} in column {layout.quality!r}, so their "
        'values are "unknown" and in use; state missing_codes and grades, or quality_codes'
    )


def _implausible_values(readings: pl.DataFrame, gauge: Gauge) -> str | None:
    """Values that are left out as implausible; a sentinel that the dam file declares is no news."""
    values = readings["value"]
    is_sentinel = are_sentinels(values, readings["time"], gauge)
    is_out = out_of_range(values, gauge).fill_null(False)
    texts = readings["raw_value"].filter(is_out & ~is_sentinel if gauge.sentinels.declared else is_out | is_sentinel)
    if texts.is_empty():
        return None
    count = "1 reading is" if texts.len() == 1 else f"{texts.len():,} readings are"
    low, high = (gauge.kind.from_canonical(bound, gauge.unit) for bound in plausible_range(gauge))
    numbers = texts.fill_null("").value_counts(sort=True).to_series()
    listed = content_text(_list(numbers), gauge.file)
    return (
        f"{count} left out as implausible ({listed}): declare sentinels in the dam file, or valid_range if "
        f"they are real (plausible is {low:,.6g} to {high:,.6g} {gauge.unit})"
    )


def _accumulation(readings: pl.DataFrame, gauge: Gauge) -> str | None:
    """Is a series of totals accumulated? It then hardly ever falls, and rises on its wet days."""
    if gauge.kind.aggregate != "total" or gauge.accumulated:
        return None
    changes = readings["value"].drop_nulls().diff().drop_nulls()
    rises, falls = int((changes > 0).sum()), int((changes < 0).sum())
    if rises < MIN_RISES or falls > MAX_FALL_SHARE * (rises + falls):
        return None
    often = "never falls" if falls == 0 else f"falls only {falls} time{'s' if falls > 1 else ''}"
    return (
        f"the value {often} in {len(changes) + 1:,} readings; is it accumulated? If so, set "
        'reading = "accumulated" in the dam file'
    )


def _list(texts: pl.Series, *, quote: bool = False) -> str:
    """The first of some texts."""
    ellipsis = ", …" if len(texts) > _MAX_TEXTS else ""
    return ", ".join(repr(text) if quote else text for text in texts.head(_MAX_TEXTS)) + ellipsis
