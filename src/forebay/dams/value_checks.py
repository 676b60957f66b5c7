"""Checks of single values: each check gives a reason, none deletes a value.

A value with any quality code can be wrong. Reasons by precedence: "sentinel", a number that means "no value" by the
dam file, or one that agencies use for it (`USUAL_SENTINELS`); "range", beyond what the gauge can measure.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.conversion import by_day

if TYPE_CHECKING:
    from forebay.dams.conversion import Conversion
    from forebay.dams.gauge import Gauge

USUAL_SENTINELS = (
    -99.0, -99.9, -99.99, -999.0, -999.9, -999.99, -999.999, -9999.0, -9999.9, -9999.99, -99999.0, -999999.0,
    -9999999.0, -6999.0, -7999.0, -8888.0, -9996.0, -9997.0, -9998.0, -32768.0, -2147483648.0, -901.0, -902.0,
    9999.0, 9999.9, 9999.99, 9999.999, 99999.0, 99999.9, 99999.99, 999999.0, 999999.9, 9999999.0,
)  # fmt: skip
"""Numbers that agencies write for "no value": USGS, CWMS, NOAA, SNOTEL, GRDC, ESRI and others."""
REAL_SHARE = 0.1
"""A usual sentinel is a value if the reading before it is within this share of it."""


def failed_checks(values: pl.Series, times: pl.Series, gauge: Gauge) -> dict[str, pl.Series]:
    """Reason → whether each of `values` (canonical unit) fails that check of the gauge, by precedence.

    Parameters
    ----------
    values, times
        By rising time (start of the interval): the readings before a usual sentinel show whether it is a value.
    """
    is_sentinel = are_sentinels(values, times, gauge)
    checks = {"sentinel": is_sentinel} if is_sentinel.any() else {}
    return checks | {"range": out_of_range(values, gauge)}


def first_reason(values: pl.Series, times: pl.Series, gauge: Gauge, *, otherwise: pl.Series) -> pl.Series:
    """First reason of `failed_checks` for each of `values`; `otherwise` where the value passes every check."""
    for reason, fails in reversed(failed_checks(values, times, gauge).items()):
        if fails.any():
            otherwise = pl.Series([reason]).zip_with(fails, otherwise)
    return otherwise


def are_sentinels(values: pl.Series, times: pl.Series, gauge: Gauge) -> pl.Series:
    """Whether each of `values` (canonical unit, by rising time) means "no value".

    By the gauge's `sentinels` or, where the dam file declares none, as a usual sentinel far from the reading before it.
    Sentinels are published numbers, so each value is compared by the conversion of its own day.
    """
    check = _declared_sentinels if gauge.sentinels.declared else _usual_numbers
    parts = [(first_day, check(values, part, gauge)) for first_day, part in gauge.conversions(gauge.unit)]
    is_sentinel = by_day(parts, times, gauge.time_zone)
    if gauge.sentinels.declared or not is_sentinel.any():
        return is_sentinel
    before = values.zip_with(~is_sentinel, pl.Series([None], dtype=pl.Float64)).forward_fill().shift()
    is_near = ((values - before).abs() <= REAL_SHARE * values.abs()).fill_null(False)
    return is_sentinel & ~is_near


def _declared_sentinels(values: pl.Series, conversion: Conversion, gauge: Gauge) -> pl.Series:
    """Whether each of `values`, converted by `conversion`, is one of the dam file's sentinels."""
    sentinels = gauge.sentinels
    # The same arithmetic as in the conversion of readings, so that equal numbers stay equal.
    numbers = conversion.canonical(pl.Series(sentinels.values, dtype=pl.Float64))
    tests = [values == number for number in numbers]
    bounds = conversion.canonical(pl.Series([sentinels.below, sentinels.above], dtype=pl.Float64))
    below, above = bounds if conversion.scale > 0 else bounds[::-1]
    tests += [values < below] if below is not None else []
    tests += [values > above] if above is not None else []
    is_sentinel: pl.Series = reduce(or_, tests)
    return is_sentinel.fill_null(False)


def _usual_numbers(values: pl.Series, conversion: Conversion, _gauge: Gauge) -> pl.Series:
    """Whether each of `values`, converted by `conversion`, is a usual sentinel."""
    return values.is_in(conversion.canonical(pl.Series(USUAL_SENTINELS)).implode()).fill_null(False)


def out_of_range(values: pl.Series, gauge: Gauge) -> pl.Series:
    """Whether each of `values` (canonical unit) lies outside the plausible range of the gauge."""
    low, high = plausible_range(gauge)
    return (values < low) | (values > high)


def plausible_range(gauge: Gauge) -> tuple[float, float]:
    """Closed range of plausible values, in the canonical unit: `valid_range`, or the variable's plausible range."""
    if gauge.valid_range is None:
        return gauge.kind.plausible
    low, high = (gauge.kind.to_canonical(bound, gauge.unit) for bound in gauge.valid_range)
    return low, high
