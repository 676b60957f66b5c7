"""Checks of single values: each check gives a reason, none deletes a value.

A value with any quality code can be wrong. Reasons by precedence: "sentinel", a number that means "no value" by the
dam file; "range", beyond what the gauge can measure.
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


def failed_checks(values: pl.Series, gauge: Gauge) -> dict[str, pl.Series]:
    """Reason → whether each of `values` (canonical unit) fails that check of the gauge, by precedence."""
    sentinels = gauge.sentinels
    has_sentinels = sentinels.values or sentinels.below is not None or sentinels.above is not None
    checks = {"sentinel": are_sentinels(values, gauge)} if has_sentinels else {}
    return checks | {"range": out_of_range(values, gauge)}


def first_reason(values: pl.Series, gauge: Gauge, *, otherwise: pl.Series) -> pl.Series:
    """First reason of `failed_checks` for each of `values`; `otherwise` where the value passes every check."""
    for reason, fails in reversed(failed_checks(values, gauge).items()):
        if fails.any():
            otherwise = pl.Series([reason]).zip_with(fails, otherwise)
    return otherwise


def are_sentinels(values: pl.Series, gauge: Gauge) -> pl.Series:
    """Whether each of `values` (canonical unit) is one of the gauge's numbers that mean "no value"."""
    sentinels = gauge.sentinels
    tests: list[pl.Series] = []
    for _, conversion in gauge.conversions(gauge.unit):
        # The same arithmetic as in the conversion of readings, so that equal numbers stay equal.
        tests += [values == number for number in conversion.canonical(pl.Series(sentinels.values, dtype=pl.Float64))]
        below, above = conversion.canonical(pl.Series([sentinels.below, sentinels.above], dtype=pl.Float64))
        tests += [values < below] if below is not None else []
        tests += [values > above] if above is not None else []
    return reduce(or_, tests)


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
