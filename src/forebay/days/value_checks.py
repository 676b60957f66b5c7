"""Checks of single values: each check gives a reason, none deletes a value.

A value with any quality code can be wrong. Reasons by precedence: "sentinel", a number that means "no value" by the
dam file, or one that agencies use for it (`USUAL_SENTINELS`); "range", beyond what the gauge can measure.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.csv_text import parse_numbers
from forebay.sources.quality import MISSING

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge


USUAL_SENTINELS = (
    -99.0, -99.9, -99.99, -999.0, -999.9, -999.99, -999.999, -9999.0, -9999.9, -9999.99, -99999.0, -999999.0,
    -9999999.0, -6999.0, -7999.0, -8888.0, -9996.0, -9997.0, -9998.0, -32768.0, -2147483648.0, -901.0, -902.0,
    9999.0, 9999.9, 9999.99, 9999.999, 99999.0, 99999.9, 99999.99, 999999.0, 999999.9, 9999999.0,
)  # fmt: skip
"""Numbers that agencies write for "no value": USGS, CWMS, NOAA, SNOTEL, GRDC, ESRI and others."""
REAL_SHARE = 0.1
"""A usual sentinel is a value if the reading before it is within this share of it."""


def failed_checks(values: pl.Series, gauge: Gauge) -> dict[str, pl.Series]:
    """Reason → whether each of `values` (canonical unit) fails that check of the gauge, by precedence.

    Parameters
    ----------
    values
        By rising time: the readings before a usual sentinel show whether it is a value.
    """
    is_sentinel = are_sentinels(values, gauge)
    checks = {"sentinel": is_sentinel} if is_sentinel.any() else {}
    return checks | {"range": out_of_range(values, gauge)}


def first_reason(values: pl.Series, gauge: Gauge, *, otherwise: pl.Series) -> pl.Series:
    """First reason of `failed_checks` for each of `values`; `otherwise` where the value passes every check."""
    for reason, fails in reversed(failed_checks(values, gauge).items()):
        if fails.any():
            otherwise = pl.Series([reason]).zip_with(fails, otherwise)
    return otherwise


def are_sentinels(values: pl.Series, gauge: Gauge) -> pl.Series:
    """Whether each of `values` (canonical unit, by rising time) means "no value".

    By the gauge's `sentinels` or, where the dam file declares none, as a usual sentinel far from the reading before it.
    """
    if not gauge.sentinels.declared:
        return _usual_sentinels(values, gauge)
    sentinels = gauge.sentinels
    tests: list[pl.Series] = []
    for _, conversion in gauge.conversions(gauge.unit):
        # The same arithmetic as in the conversion of readings, so that equal numbers stay equal.
        tests += [values == number for number in conversion.canonical(pl.Series(sentinels.values, dtype=pl.Float64))]
        bounds = conversion.canonical(pl.Series([sentinels.below, sentinels.above], dtype=pl.Float64))
        below, above = bounds if conversion.scale > 0 else bounds[::-1]
        tests += [values < below] if below is not None else []
        tests += [values > above] if above is not None else []
    return reduce(or_, tests)


def _usual_sentinels(values: pl.Series, gauge: Gauge) -> pl.Series:
    """Whether each of `values` is a usual sentinel and not within `REAL_SHARE` of the reading before it."""
    parts = [conversion for _, conversion in gauge.conversions(gauge.unit)]
    numbers = pl.concat([part.canonical(pl.Series(USUAL_SENTINELS)) for part in parts])
    is_usual = values.is_in(numbers.implode()).fill_null(False)
    if not is_usual.any():
        return is_usual
    before = values.zip_with(~is_usual, pl.Series([None], dtype=pl.Float64)).forward_fill().shift()
    is_near = ((values - before).abs() <= REAL_SHARE * values.abs()).fill_null(False)
    return is_usual & ~is_near


def implausible_note(readings: pl.DataFrame, gauge: Gauge, label: str) -> str | None:
    """Sentence on the readings of a gauge that are left out as implausible, with what to do; None without any.

    Parameters
    ----------
    label
        Name of the gauge for people.
    """
    values = gauge_readings(readings, gauge).sort("time")["value"]
    is_sentinel = are_sentinels(values, gauge).fill_null(False)
    is_out = out_of_range(values, gauge).fill_null(False)
    left_out = values.filter(is_out & ~is_sentinel if gauge.sentinels.declared else is_out | is_sentinel)
    if left_out.is_empty():
        return None
    factor, offset = gauge.kind.conversion(gauge.unit)
    counts = ((left_out - offset) / factor).round(6).value_counts(sort=True)
    texts = [f"{number:.10g}".replace("-", "−") for number in counts.to_series().head(3)]
    ellipsis = ", …" if counts.height > 3 else ""
    count = "1 reading is" if left_out.len() == 1 else f"{left_out.len():,} readings are"
    low, high = plausible_range(gauge)
    return (
        f"{label}: {count} left out as implausible ({', '.join(texts)}{ellipsis} {gauge.unit}): declare "
        f"sentinels in the dam file, or valid_range if they are real (plausible is {low:,.6g} to {high:,.6g} "
        f"{gauge.unit})"
    )


def plausible_range(gauge: Gauge) -> tuple[float, float]:
    """Closed range of plausible values in the gauge's unit: `valid_range`, or the variable's plausible range."""
    if gauge.valid_range is not None:
        return gauge.valid_range
    factor, offset = gauge.kind.conversion(gauge.unit)
    low, high = gauge.kind.plausible
    return (low - offset) / factor, (high - offset) / factor


def out_of_range(values: pl.Series, gauge: Gauge) -> pl.Series:
    """Whether each of `values` (canonical unit) lies outside the range of the gauge.

    That is `valid_range` of the dam file or, without it, the variable's plausible range.
    """
    low, high = gauge.kind.plausible
    if gauge.valid_range is not None:
        low, high = (gauge.kind.to_canonical(bound, gauge.unit) for bound in gauge.valid_range)
    return (values < low) | (values > high)


def gauge_readings(readings: pl.DataFrame, gauge: Gauge) -> pl.DataFrame:
    """The rows of `readings` that belong to the series of the gauge."""
    return readings.filter(pl.col(name) == label for name, label in gauge.series.items())


def ignore_codes(readings: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """Readings of the dam's gauges without regard to quality codes: a published number is a value, whatever its code.

    The quality of each reading is "good", or "missing" if no number was published.
    """
    parts = []
    for gauge in dam.gauges:
        rows = gauge_readings(readings, gauge)
        text = pl.col("raw_value").str.strip_chars()
        number = parse_numbers(text, gauge.file, strict=False) if gauge.file else text.cast(pl.Float64, strict=False)
        published = rows.select(pl.when(number.is_finite()).then(number)).to_series()
        value = pl.coalesce("value", gauge.canonical(published, rows["time"], gauge.unit))
        quality = pl.when(value.is_null()).then(pl.lit(MISSING)).otherwise(pl.lit("good"))
        parts.append(rows.with_columns(value.alias("value"), quality.alias("quality")))
    return pl.concat(parts)
