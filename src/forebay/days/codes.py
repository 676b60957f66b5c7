"""Checks of what gauges gave: each names a reason, none deletes a value.

A value of whatever quality code can be wrong; a reason says what speaks against it. Reasons by precedence: "sentinel",
a number that the dam file says means "no value"; "range", beyond what the gauge can measure.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

import polars as pl

from forebay.dams.dam import Dam, Gauge
from forebay.sources.quality import MISSING


def reasons(values: pl.Series, gauge: Gauge) -> dict[str, pl.Series]:
    """What can speak against `values` (canonical unit) of the gauge: reason → whether it does, by precedence."""
    given = gauge.sentinels
    has_sentinels = given.values or given.below is not None or given.above is not None
    checks = {"sentinel": are_sentinels(values, gauge)} if has_sentinels else {}
    return checks | {"range": out_of_range(values, gauge)}


def first_reason(values: pl.Series, gauge: Gauge, *, otherwise: pl.Series) -> pl.Series:
    """The first of `reasons` that speaks against each of `values`; `otherwise` where none does."""
    for name, speaks_against in reversed(reasons(values, gauge).items()):
        if speaks_against.any():
            otherwise = pl.Series([name]).zip_with(speaks_against, otherwise)
    return otherwise


def are_sentinels(values: pl.Series, gauge: Gauge) -> pl.Series:
    """Whether each of `values` (canonical unit) is one of the gauge's numbers that mean "no value"."""
    # The same arithmetic as the value's own conversion, so that equal numbers stay equal.
    convert, given = gauge.kind.to_canonical, gauge.sentinels
    tests = [values == convert(number, gauge.unit) for number in given.values]
    if given.below is not None:
        tests.append(values < convert(given.below, gauge.unit))
    if given.above is not None:
        tests.append(values > convert(given.above, gauge.unit))
    return reduce(or_, tests)


def out_of_range(values: pl.Series, gauge: Gauge) -> pl.Series:
    """Whether each of `values` (canonical unit) lies outside the gauge's valid range, or else the plausible one."""
    low, high = gauge.kind.plausible
    if gauge.valid_range is not None:
        low, high = (gauge.kind.to_canonical(bound, gauge.unit) for bound in gauge.valid_range)
    return (values < low) | (values > high)


def of_gauge(readings: pl.DataFrame, gauge: Gauge) -> pl.DataFrame:
    """The rows of `readings` that are this gauge's."""
    return readings.filter(pl.col(key) == what for key, what in gauge.series.items())


def without_codes(readings: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """`readings` as if no agency had marked any as missing: the number beside such a code is the value again.

    Every reading of the dam's gauges is "good" then; one that was published without a number stays missing.
    """
    parts = []
    for gauge in dam.gauges:
        factor, offset = gauge.kind.conversion(gauge.unit)
        text = pl.col("raw_value").str.strip_chars()
        if gauge.file is not None and gauge.file.decimal_comma:
            text = text.str.replace(",", ".", literal=True)
        number = text.cast(pl.Float64, strict=False)
        beside = pl.when(number.is_finite()).then(number * factor + offset)
        value = pl.coalesce("value", beside)
        graded = pl.when(value.is_null()).then(pl.lit(MISSING)).otherwise(pl.lit("good")).alias("quality")
        parts.append(of_gauge(readings, gauge).with_columns(value.alias("value"), graded))
    return pl.concat(parts)


def screen(readings: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """Every reading of the dam's gauges, with a column `reason`: why its value cannot be true, or null.

    Parameters
    ----------
    readings
        Rows as `tables.READINGS`, of one version each.
    """
    parts = []
    for gauge in dam.gauges:
        rows = of_gauge(readings, gauge)
        none = pl.Series([None], dtype=pl.String).new_from_index(0, len(rows))
        parts.append(rows.with_columns(first_reason(rows["value"], gauge, otherwise=none).alias("reason")))
    return pl.concat(parts)
