"""Checks of what gauges gave: each names a reason, none deletes a value.

A value of whatever quality code can be wrong; a reason says what speaks against it. Reasons by precedence: "sentinel",
a number that the dam file says means "no value"; "range", beyond what the gauge can measure.
"""

from __future__ import annotations

import polars as pl

from forebay.dams.dam import Dam, Gauge


def reasons(value: pl.Expr, gauge: Gauge) -> dict[str, pl.Expr]:
    """What can speak against a `value` (canonical unit) of the gauge: reason → whether it does, by precedence."""
    given = gauge.sentinels
    has_sentinels = given.values or given.below is not None or given.above is not None
    checks = {"sentinel": is_sentinel(value, gauge)} if has_sentinels else {}
    return checks | {"range": out_of_range(value, gauge)}


def is_sentinel(value: pl.Expr, gauge: Gauge) -> pl.Expr:
    """Whether `value` (canonical unit) is one of the gauge's numbers that mean "no value"."""
    # The same arithmetic as the value's own conversion, so that equal numbers stay equal.
    convert, given = gauge.kind.to_canonical, gauge.sentinels
    tests = [value.is_in([convert(number, gauge.unit) for number in given.values])] if given.values else []
    if given.below is not None:
        tests.append(value < convert(given.below, gauge.unit))
    if given.above is not None:
        tests.append(value > convert(given.above, gauge.unit))
    return pl.any_horizontal(tests) if tests else pl.lit(False)


def out_of_range(value: pl.Expr, gauge: Gauge) -> pl.Expr:
    """Whether `value` (canonical unit) lies outside the gauge's valid range, or else its variable's plausible one."""
    low, high = gauge.kind.plausible
    if gauge.valid_range is not None:
        low, high = (gauge.kind.to_canonical(bound, gauge.unit) for bound in gauge.valid_range)
    return ~value.is_between(low, high)


def of_gauge(readings: pl.DataFrame, gauge: Gauge) -> pl.DataFrame:
    """The rows of `readings` that are this gauge's."""
    return readings.filter(pl.col(key) == what for key, what in gauge.series.items())


def screen(readings: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """Every reading of the dam's gauges, with a column `reason`: why its value cannot be true, or null.

    Parameters
    ----------
    readings
        Rows as `tables.READINGS`, of one version each.
    """
    parts = []
    for gauge in dam.gauges:
        first = pl.coalesce(
            pl.when(is_so).then(pl.lit(name)) for name, is_so in reasons(pl.col("value"), gauge).items()
        )
        parts.append(of_gauge(readings, gauge).with_columns(first.alias("reason")))
    return pl.concat(parts)
