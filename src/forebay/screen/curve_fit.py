"""A storage curve fitted to pairs of level and storage: monotone, with its errors, or a refusal that says why not.

The pairs give one point per group of levels: its median level and median storage. For a function that rises, the
median of its values is the value at the median, so isolated wrong readings do not move a point. Isotonic regression
(Barlow et al., 1972) makes the storage rise with the level. PCHIP (Fritsch and Carlson, 1980) interpolates between the
points without leaving their range. The written curve has at most `MAX_POINTS` points at round levels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import floor, log10

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.dams.variables import VARIABLES
from forebay.errors import DataError
from forebay.screen.storage_pairs import CurveUnits, find_breaks, tolerance_of

Array = NDArray[np.float64]
Points = tuple[tuple[float, float], ...]

MAX_POINTS = 60
MIN_PAIRS, MIN_LEVELS, MIN_RANGE = 60, 20, 0.05
"""Pairs, different levels, and range of the storage as share of the largest one, that a fit needs at least."""
MAX_SHARE = 0.02
"""Share of pairs that may differ from the others at their level: isolated wrong readings, which are left out."""
BLOCKS = 5
"""Consecutive blocks of days; the curve of four is tested on the fifth."""
_GROUPS, _MIN_IN_GROUP = 58, 5
_MAX_BREAKS_IN_TEXT = 3


@dataclass(frozen=True)
class FitError:
    """Absolute differences of pairs from a fitted curve: number, median and 95% quantile, in the unit of storage."""

    n: int
    median: float
    error_95: float


@dataclass(frozen=True)
class CurveFit:
    """A fitted curve.

    Attributes
    ----------
    points
        (level, storage), by rising level.
    in_sample, unseen
        Errors on the pairs of the fit, and on blocks of days that another fit has not seen.
    beyond
        Pairs of such blocks beyond the levels of the other blocks; they are not scored.
    left_out
        date, level, storage, expected: pairs that differ from the others at their level.
    """

    points: Points
    in_sample: FitError
    unseen: FitError
    beyond: int
    left_out: pl.DataFrame


def fit_curve(pairs: pl.DataFrame, units: CurveUnits) -> CurveFit:
    """Monotone curve through `pairs` (`storage_pairs.PAIRS`).

    Raises
    ------
    DataError
        If there are too few pairs, their range is too small, or they contradict each other: names days and size.
    """
    _refuse_few(pairs, units)
    tolerance = tolerance_of(pairs)
    residuals = _residuals(pairs, pairs)
    _refuse_breaks(pairs, residuals, units, tolerance)
    is_out = (residuals["residual"].abs() > tolerance).fill_null(True)
    _refuse_contradictions(residuals, is_out, units)
    used = pairs.filter(~is_out)
    curve = _interpolator(used)
    points = _points(used, curve)
    tests = [_errors_of_block(used, block) for block in np.array_split(np.arange(len(used)), BLOCKS)]
    errors = np.concatenate([errors for errors, _ in tests])
    return CurveFit(
        points=points,
        in_sample=_fit_error(_errors(used, points)),
        unseen=_fit_error(errors),
        beyond=sum(beyond for _, beyond in tests),
        left_out=residuals.filter(is_out).select(
            "date", "level", "storage", (pl.col("storage") - pl.col("residual")).alias("expected")
        ),
    )


def _residuals(pairs: pl.DataFrame, reference: pl.DataFrame) -> pl.DataFrame:
    """`pairs` with their residual from the medians of `reference` by level, which continue linearly at both ends."""
    x, y = _knots(reference)
    level = pairs["level"].to_numpy()
    typical = np.interp(level, x, y)
    if len(x) > 1:
        for end, inner, beyond in ((0, 1, level < x[0]), (-1, -2, level > x[-1])):
            slope = (y[end] - y[inner]) / (x[end] - x[inner])
            typical = np.where(beyond, y[end] + slope * (level - x[end]), typical)
    return pairs.with_columns(residual=pl.Series(pairs["storage"].to_numpy() - typical))


def _knots(pairs: pl.DataFrame) -> tuple[Array, Array]:
    """Median level and storage of each group of pairs of similar level; neither falls."""
    from sklearn.isotonic import IsotonicRegression

    low, high = pairs["level"].min(), pairs["level"].max()
    width = (high - low) / _GROUPS or 1.0  # type: ignore[operator]  # polars: of floats
    group = ((pl.col("level") - low) / width).floor().clip(upper_bound=_GROUPS - 1).cast(pl.Int64)
    counts = pairs.sort("level").with_columns(group=group)
    # Groups with few pairs join the next one: a lone wrong reading must not be its own median.
    sizes = counts.group_by("group").len().sort("group")
    merged, pending, name = {}, 0, 0
    for group, size in sizes.iter_rows():
        merged[group] = name
        pending += size
        if pending >= _MIN_IN_GROUP:
            pending, name = 0, name + 1
    if pending and name:
        merged = {group: min(number, name - 1) for group, number in merged.items()}
    medians = (
        counts.with_columns(pl.col("group").replace_strict(merged))
        .group_by("group")
        .agg(pl.len(), pl.col("level", "storage").quantile(0.5, "lower"))
        .group_by("level")
        .agg(pl.col("len").sum(), pl.col("storage").mean())
        .sort("level")
    )
    x, y = medians["level"].to_numpy(), medians["storage"].to_numpy()
    rising = IsotonicRegression().fit_transform(x, y, sample_weight=medians["len"].to_numpy())
    return x, np.asarray(rising, float)


def _interpolator(pairs: pl.DataFrame) -> Callable[[Array], Array]:
    """Storage as a function of the level, by PCHIP through medians and the two ends of the isotonic regression."""
    from scipy.interpolate import PchipInterpolator
    from sklearn.isotonic import IsotonicRegression

    x, y = _knots(pairs)
    level, storage = pairs["level"].to_numpy(), pairs["storage"].to_numpy()
    ends = np.array([level.min(), level.max()])
    at_ends = IsotonicRegression().fit(level, storage).predict(ends)
    inner = (x > ends[0]) & (x < ends[1])
    knots = np.concatenate([ends[:1], x[inner], ends[1:]])
    values = np.concatenate([at_ends[:1], np.clip(y[inner], *at_ends), at_ends[1:]])
    curve = PchipInterpolator(knots, values)
    return lambda levels: np.asarray(curve(levels), float)


def _points(pairs: pl.DataFrame, curve: Callable[[Array], Array]) -> Points:
    """Points of the curve at both ends of the pairs and at round levels between them, at most `MAX_POINTS`."""
    low, high = float(pairs["level"].min()), float(pairs["level"].max())  # type: ignore[arg-type]  # polars: of floats
    step = _round_step((high - low) / (MAX_POINTS - 2))
    inner = np.arange(np.floor(low / step) + 1, np.ceil(high / step)) * step
    inner = inner[(inner > low + step / 4) & (inner < high - step / 4)]
    levels = np.concatenate([[low], np.round(inner, 9), [high]])
    digits = 6 - floor(log10(max(abs(float(pairs["storage"].max())), 1e-9)))  # type: ignore[arg-type]  # of floats
    storages = np.maximum.accumulate(np.round(curve(levels), digits))
    return tuple(zip(levels.tolist(), storages.tolist(), strict=True))


def _round_step(smallest: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below `smallest`."""
    power = 10.0 ** floor(log10(smallest))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= smallest * (1 - 1e-9))


def _errors_of_block(pairs: pl.DataFrame, block: NDArray[np.intp]) -> tuple[Array, int]:
    """Errors on a block of pairs of the curve of all others, and the number of pairs beyond that curve."""
    is_block = pl.Series(np.isin(np.arange(len(pairs)), block))
    others, unseen = pairs.filter(~is_block), pairs.filter(is_block)
    points = _points(others, _interpolator(others))
    inside = unseen.filter(pl.col("level").is_between(points[0][0], points[-1][0]))
    return _errors(inside, points), len(unseen) - len(inside)


def _errors(pairs: pl.DataFrame, points: Points) -> Array:
    """Storage of pairs minus that of the curve, shape (n,)."""
    levels, storages = np.array(points, float).T
    curve_storage: Array = np.interp(pairs["level"].to_numpy(), levels, storages)
    errors: Array = pairs["storage"].to_numpy() - curve_storage
    return errors


def _fit_error(errors: Array) -> FitError:
    if not len(errors):
        return FitError(0, float("nan"), float("nan"))
    sizes = np.abs(errors)
    return FitError(len(errors), float(np.median(sizes)), float(np.quantile(sizes, 0.95)))


def _refuse_few(pairs: pl.DataFrame, units: CurveUnits) -> None:
    count, levels = len(pairs), pairs["level"].n_unique()
    if count < MIN_PAIRS or levels < MIN_LEVELS:
        raise DataError(
            f"{count} pairs at {levels} levels are too few for a storage curve, which needs {MIN_PAIRS} pairs at "
            f"{MIN_LEVELS} levels; fetch a longer record"
        )
    low, high = (float(x) for x in (pairs["storage"].min(), pairs["storage"].max()))  # type: ignore[arg-type]  # floats
    if high - low < MIN_RANGE * abs(high):
        raise DataError(
            f"the pairs cover storages from {low:,.6g} to {high:,.6g} {units.storage}, "
            f"{100 * (high - low) / abs(high or 1.0):.1f}% of the largest; a storage curve needs {100 * MIN_RANGE:g}%: "
            "fetch a longer record"
        )


def _refuse_breaks(pairs: pl.DataFrame, residuals: pl.DataFrame, units: CurveUnits, tolerance: float) -> None:
    breaks = find_breaks(residuals, tolerance)
    if not breaks:
        return
    # The medians of all pairs mix the surveys. Those of the first survey alone give the days exactly.
    first = pairs.filter(pl.col("date") < breaks[0].day)
    inside = pairs.filter(pl.col("level").is_between(first["level"].min(), first["level"].max()))
    breaks = find_breaks(_residuals(inside, first), tolerance) or breaks
    texts = [
        f"on {b.day} the storage at level {b.level:,.6g} {units.level} changes from {b.before:,.6g} to {b.after:,.6g} "
        f"{units.storage} ({_percent(b.after - b.before, b.before)}{_slip(b.after, b.before)})"
        for b in breaks[:_MAX_BREAKS_IN_TEXT]
    ]
    rest = f", and on {len(breaks) - len(texts)} more days" if len(breaks) > len(texts) else ""
    raise DataError(
        f"the pairs contradict each other: {'; '.join(texts)}{rest}; fit each survey by itself with --since and --until"
    )


def _refuse_contradictions(residuals: pl.DataFrame, is_out: pl.Series, units: CurveUnits) -> None:
    share = is_out.mean()
    assert isinstance(share, float)
    if share <= MAX_SHARE:
        return
    worst = residuals.filter(is_out).sort(pl.col("residual").abs(), descending=True).row(0, named=True)
    distance = (pl.col("level") - worst["level"]).abs()
    slip = _slip(worst["storage"], worst["storage"] - worst["residual"])
    partner = residuals.filter(~is_out).sort(distance, maintain_order=True).row(0, named=True)
    raise DataError(
        f"the pairs contradict each other: {is_out.sum()} of {len(is_out)} have another storage than others at their "
        f"level; on {worst['date']} level {worst['level']:,.6g} {units.level} has {worst['storage']:,.6g} "
        f"{units.storage}, on {partner['date']} level {partner['level']:,.6g} {units.level} has "
        f"{partner['storage']:,.6g} {units.storage}{slip}; correct the unit or "
        "the readings of the storage gauge (readings_from, valid_range), or select days with --since and --until"
    )


def _percent(change: float, base: float) -> str:
    return f"{100 * change / base:+.1f}%" if base else "from 0"


def _slip(first: float, second: float) -> str:
    """The two units of volume whose ratio is that of two storages, in words; empty if there are none."""
    if not first or not second or first / second <= 0:
        return ""
    units = VARIABLES["storage"].units
    for before, after in product(units, units):
        ratio = units[before][0] / units[after][0]
        if abs(ratio - 1) > 0.05 and abs(first / second / ratio - 1) < 0.01:
            return f", as from {before} to {after}"
    return ""
