"""Pairs of level and storage of the same day, their difference from the storage curve, and days on which it changes.

A survey replaces the curve of a lake on a day. From then on the same level has another storage: a break.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from forebay.dams.curves import curve_on
from forebay.dams.variables import VARIABLES
from forebay.days.daily import usable_values
from forebay.screen.flags import VALID_REASONS, active_flags, screen_daily
from forebay.screen.supported_range import ready_for_screen
from forebay.tables import Table

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge

Array = NDArray[np.float64]

PAIRS = Table("pairs", {"date": pl.Date(), "level": pl.Float64(), "storage": pl.Float64()}, ("date",))
"""Level and storage of the same day, neither of them flagged, in stated units."""
RESIDUALS = Table("residuals", {**PAIRS.columns, "curve_storage": pl.Float64(), "residual": pl.Float64()}, ("date",))
"""Pairs with the storage of the curve and storage − curve_storage; null beyond the curve."""

TOLERANCE = 0.005
"""Two storages at one level differ if they are further apart than this share of the largest storage of the pairs."""
_GROUPS = 40
_MIN_IN_GROUP = 5
_MIN_IN_SEGMENT = 30
_NEAR = 20
"""Pairs around a break among which its day is searched exactly."""
_OFFSET, _SPREAD = 1e-4, 0.1
"""A constant difference exceeds this share of the largest storage; its spread is below this share of itself."""
_ROUNDING = 1e-10
"""Differences below this share of the largest storage are errors of arithmetic."""
BANDS = 5


@dataclass(frozen=True)
class Break:
    """A day from which on the same levels have other storages.

    Attributes
    ----------
    day
        First day with the new storages.
    change
        Median change of the storage at the same level.
    level, before, after
        The level at which most pairs show it, and the median storage there before and after.
    """

    day: date
    change: float
    level: float
    before: float
    after: float


@dataclass(frozen=True)
class CurveUnits:
    """Units of the level and of the storage of pairs."""

    level: str
    storage: str


class PairGauges(NamedTuple):
    """The gauges of level and storage of the lake, one of which is the target."""

    level: Gauge
    storage: Gauge


def pair_gauges(dam: Dam) -> PairGauges | None:
    """The gauges of level and storage: the target and the first gauge of the other variable; None without one."""
    partner = {"reservoir_level": ("storage", "storage"), "storage": ("level", "reservoir_level")}
    role_and_variable = partner.get(dam.target.variable)
    gauge = next((gauge for gauge in dam.gauges if (gauge.role, gauge.variable) == role_and_variable), None)
    if gauge is None:
        return None
    pair = (dam.target_gauge, gauge)
    return PairGauges(*(pair if dam.target.variable == "reservoir_level" else pair[::-1]))


def units_of(dam: Dam) -> CurveUnits:
    """Units of the newest storage curve, or of target and storage gauge without a curve."""
    if dam.storage_curves:
        newest = max(dam.storage_curves, key=lambda curve: curve.valid_from or date.min)
        return CurveUnits(newest.level_unit, newest.storage_unit)
    gauges = pair_gauges(dam)
    if gauges is None:
        return CurveUnits(dam.target.unit, dam.target.unit)
    level, storage = (dam.target.unit if gauge.role == "target" else gauge.unit for gauge in gauges)
    return CurveUnits(level, storage)


def storage_pairs(
    daily: pl.DataFrame, dam: Dam, *, since: date | None = None, until: date | None = None
) -> pl.DataFrame:
    """`PAIRS` in the units of `units_of`: days with a level and a storage that the screen does not flag.

    Parameters
    ----------
    daily
        Daily table of the dam.
    since, until
        First and last day; by default all.
    """
    gauges, units = pair_gauges(dam), units_of(dam)
    if gauges is None or daily.is_empty():
        return PAIRS.empty()
    ready = ready_for_screen(daily, dam)
    last: date = ready["date"].max()  # type: ignore[assignment]  # polars: the maximum of a column of dates
    columns = [gauge.column for gauge in gauges]
    flags = active_flags(screen_daily(ready, dam), last).filter(
        pl.col("gauge").is_in(columns), ~pl.col("reason").is_in(VALID_REASONS)
    )
    known = usable_values(ready, dam).filter(~pl.col("date").is_in(flags["date"].implode()))
    level, storage = (_canonical(known[gauge.column].cast(pl.Float64), gauge, dam) for gauge in gauges)
    pairs = pl.DataFrame(
        {
            "date": known["date"],
            "level": VARIABLES["reservoir_level"].from_canonical(level, units.level),
            "storage": VARIABLES["storage"].from_canonical(storage, units.storage),
        }
    ).drop_nulls()
    return PAIRS.check(pairs.filter(pl.col("date").is_between(since or date.min, until or date.max)))


def _canonical(values: pl.Series, gauge: Gauge, dam: Dam) -> pl.Series:
    """Values of a gauge in its canonical unit: only those of the target have the unit of the forecasts."""
    return gauge.kind.to_canonical(values, dam.target.unit) if gauge.role == "target" else values


def compare_with_curves(pairs: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """`RESIDUALS` of `pairs`, each against the curve in force on its day."""
    units = units_of(dam)
    parts = []
    for day, rows in _by_curve(pairs, dam):
        curve = curve_on(dam.storage_curves, day)
        level, volume = VARIABLES["reservoir_level"], VARIABLES["storage"]
        levels, factor = rows["level"], 1.0
        if curve.level_unit != units.level:
            levels = level.from_canonical(level.to_canonical(levels, units.level), curve.level_unit)
        if curve.storage_unit != units.storage:
            factor = volume.conversion(curve.storage_unit)[0] / volume.conversion(units.storage)[0]
        parts.append(rows.with_columns(curve_storage=factor * curve.storage(levels)))
    return with_residuals(pl.concat([RESIDUALS.empty().drop("residual"), *parts]).sort("date"))


def with_residuals(table: pl.DataFrame) -> pl.DataFrame:
    """`RESIDUALS` from pairs with curve_storage; differences that are errors of arithmetic are 0."""
    difference = pl.col("storage") - pl.col("curve_storage")
    is_rounding = difference.abs() < _ROUNDING * pl.col("storage").abs().max()
    return RESIDUALS.check(table.with_columns(residual=pl.when(is_rounding).then(0.0).otherwise(difference)))


def _by_curve(pairs: pl.DataFrame, dam: Dam) -> list[tuple[date, pl.DataFrame]]:
    """First day and pairs of each curve; pairs before every curve are left out."""
    starts = sorted({curve.valid_from or date.min for curve in dam.storage_curves})
    ends = [*starts[1:], date.max]
    return [
        (start, pairs.filter(pl.col("date") >= start, pl.col("date") < end))
        for start, end in zip(starts, ends, strict=True)
    ]


def errors_by_band(residuals: pl.DataFrame, bands: int = BANDS) -> pl.DataFrame:
    """low, high, n, median, error_95 of the residuals by level: `bands` bands of equal height, then all levels.

    error_95 is the 95% quantile of the absolute residual.
    """
    known = residuals.drop_nulls("residual").sort("level")
    if known.is_empty():
        schema = {"low": pl.Float64, "high": pl.Float64, "n": pl.UInt32, "median": pl.Float64, "error_95": pl.Float64}
        return pl.DataFrame(schema=schema)
    low, high = float(known["level"][0]), float(known["level"][-1])
    edges = np.linspace(low, high, bands + 1)
    parts = []
    for bottom, top in [*zip(edges[:-1], edges[1:], strict=True), (low, high)]:
        is_last = top >= high
        inside = (pl.col("level") >= bottom) & ((pl.col("level") <= top) if is_last else (pl.col("level") < top))
        rows = known.filter(inside)["residual"]
        error = rows.abs().quantile(0.95, "linear")
        parts.append({"low": bottom, "high": top, "n": len(rows), "median": rows.median(), "error_95": error})
    return pl.DataFrame(parts)


def errors_by_segment(residuals: pl.DataFrame, breaks: Sequence[Break]) -> pl.DataFrame:
    """from, to, n, median, error_95 of the residuals between breaks; `differs`: one of the two is beyond the tolerance.

    error_95 is the 95% quantile of the absolute residual.
    """
    known, tolerance = residuals.drop_nulls("residual"), tolerance_of(residuals)
    number = pl.sum_horizontal(pl.lit(0), *((pl.col("date") >= b.day).cast(pl.Int32) for b in breaks))
    error = pl.col("residual").abs().quantile(0.95, "linear")
    table = (
        known.group_by(segment=number)
        .agg(pl.col("date").min().alias("from"), pl.col("date").max().alias("to"), pl.len().alias("n"),
             pl.col("residual").median().alias("median"), error.alias("error_95"))
        .sort("segment")
        .drop("segment")
    )  # fmt: skip
    return table.with_columns(differs=(pl.max_horizontal(pl.col("median").abs(), "error_95") > tolerance))


def is_constant(residuals: pl.DataFrame) -> bool:
    """Whether the residuals are one difference from the curve at all levels, beyond the rounding of the storages."""
    known = residuals["residual"].drop_nulls()
    if known.is_empty():
        return False
    median = known.median()
    assert isinstance(median, float)
    spread = (known - median).abs().quantile(0.95, "linear")
    assert spread is not None
    largest = tolerance_of(residuals) / TOLERANCE
    return abs(median) > _OFFSET * largest and spread < _SPREAD * abs(median)


def tolerance_of(pairs: pl.DataFrame) -> float:
    """Difference of two storages at one level that is no agreement, in the unit of the pairs."""
    largest = pairs["storage"].abs().max()
    return 0.0 if largest is None else TOLERANCE * float(largest)  # type: ignore[arg-type]  # polars: of floats


def find_breaks(residuals: pl.DataFrame, tolerance: float) -> list[Break]:
    """Days from which on storages at the same levels differ by more than `tolerance`, by date.

    The day of a break is the one that best separates the ranks of the residuals among pairs of similar level (as in
    the test of Mann and Whitney, 1947); absolute deviations from the medians then choose among the days around it.
    Ranks and medians make isolated wrong readings harmless. Both sides of a break are searched for further ones.

    Parameters
    ----------
    residuals
        date, level, storage, residual (storage minus any smooth function of the level).
    """
    known = residuals.drop_nulls("residual").sort("date")
    if len(known) < 2 * _MIN_IN_SEGMENT:
        return []
    group = _level_groups(known["level"].to_numpy())
    split = _best_split(known["residual"].to_numpy(), group)
    if split is None:
        return []
    middle = _break_at(known, group, split, tolerance)
    if middle is None:
        return []
    return [*find_breaks(known[:split], tolerance), middle, *find_breaks(known[split:], tolerance)]


def _level_groups(level: Array) -> NDArray[np.intp]:
    """Group of each level: `_GROUPS` of equal height."""
    width = (level.max() - level.min()) / _GROUPS or 1.0
    group: NDArray[np.intp] = np.minimum(((level - level.min()) / width).astype(np.intp), _GROUPS - 1)
    return group


def _best_split(residual: Array, group: NDArray[np.intp]) -> int | None:
    """Number of pairs before the day that best separates the ranks within groups; None if no group can be split."""
    rank = np.zeros(len(residual))
    for member in np.unique(group):
        mask = group == member
        rank[mask] = rankdata(residual[mask]) / (mask.sum() + 1) - 0.5
    member_of = np.eye(_GROUPS)[group]
    before, total = member_of.cumsum(axis=0), member_of.sum(axis=0)
    after = total - before
    on_both_sides = (before > 0) & (after > 0)
    sums = (member_of * rank[:, None]).cumsum(axis=0)
    score = np.divide(sums**2 * total, before * after, out=np.zeros_like(sums), where=on_both_sides).sum(axis=1)
    score[: _MIN_IN_SEGMENT - 1] = score[len(score) - _MIN_IN_SEGMENT :] = 0.0
    return _refined(residual, group, int(score.argmax()) + 1) if score.max() > 0 else None


def _refined(residual: Array, group: NDArray[np.intp], split: int) -> int:
    """The split near `split` with the smallest absolute deviations from the medians of both sides, group by group."""
    medians = np.full((2, _GROUPS), np.nan)
    for side, place in enumerate((slice(None, split), slice(split, None))):
        for member in np.unique(group[place]):
            medians[side, member] = np.median(residual[place][group[place] == member])
    near = slice(max(0, split - _NEAR), split + _NEAR)
    deviation = np.abs(residual[near] - medians[:, group[near]])
    gain = np.nan_to_num(deviation[1] - deviation[0])  # of each pair, if it is before the break
    sums = np.concatenate([[0.0], gain.cumsum()])
    best = np.flatnonzero(sums >= sums.max() - 1e-12)
    return int(near.start + best[np.abs(near.start + best - split).argmin()])


def _break_at(known: pl.DataFrame, group: NDArray[np.intp], split: int, tolerance: float) -> Break | None:
    """The break before the pair `split`; None if the storages of the two sides agree."""
    sides = known.with_columns(group=pl.Series(group), later=pl.Series(np.arange(len(known)) >= split))
    medians = (
        sides.group_by("group", "later")
        .agg(pl.len(), pl.col("residual", "level", "storage").median())
        .filter(pl.col("len") >= _MIN_IN_GROUP)
    )
    both = medians.filter("later").join(medians.filter(~pl.col("later")), on="group", suffix="_before")
    if both.is_empty():
        return None
    change = (both["residual"] - both["residual_before"]).to_numpy()
    weight = np.minimum(both["len"].to_numpy(), both["len_before"].to_numpy())
    if np.average(np.abs(change), weights=weight) <= tolerance:
        return None
    most = int(weight.argmax())
    before = float(both["storage_before"][most])
    return Break(
        day=known["date"][split],
        change=float(np.median(np.repeat(change, weight.astype(int)))),
        level=float(both["level_before"][most]),
        before=before,
        after=before + float(change[most]),
    )
