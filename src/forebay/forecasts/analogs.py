"""Similar past situations: the past days most like the init date, and what the level did after them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.features.inputs import CONTEXT
from forebay.tables import SUMMARY_LEADS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples

COUNT = 3
"""Situations to return."""
SEPARATION_DAYS = 30
"""Days between two situations, and between a situation and the init date, at least: one flood counts once."""
QUANTITIES = ("level", "change_1d", "change_3d", "rain_1d", "rain_7d", "inflow")
"""Quantities that are compared, besides the season."""
_SEASON = ("season_sin", "season_cos")
_ROOTS = frozenset({"change_1d", "change_3d", "rain_1d", "rain_7d", "inflow"})
"""Quantities whose signed square root is compared: floods span orders of magnitude."""
_SEASON_WEIGHT = 0.5
"""Weight of each of the two parts of the season; every other quantity has weight 1."""
_COLUMNS: dict[str, pl.DataType] = {
    "date": pl.Date(),
    "distance": pl.Float64(),
    **{name: pl.Float64() for name in QUANTITIES},
    **{f"then_{lead}d": pl.Float64() for lead in SUMMARY_LEADS},
}


@dataclass(frozen=True)
class Analogs:
    """The past days most like one init date.

    Attributes
    ----------
    today
        The init date's row, with the columns of `days`; its distance is 0 and the changes after it are null.
    days
        A row per situation, the nearest first. date. distance: root mean square of the differences in standard
        deviations, over the compared quantities. level: above full supply, or without one the level itself (target's
        unit). change_1d, change_3d: change of the level in the last days. rain_1d, rain_7d: catchment rain (mm).
        inflow: m³/s. then_1d, then_3d, then_7d: observed change of the level after the day.
    compared
        Quantities that the distance includes; those that are unknown today, or never vary, are left out.
    candidates, first
        Number of past days that were compared, and the first of them; 0 and None without any.
    median_distance
        Of all candidates, to compare the distance with; NaN without any.
    """

    today: pl.DataFrame
    days: pl.DataFrame
    compared: tuple[str, ...] = ()
    candidates: int = 0
    first: object = None
    median_distance: float = field(default=float("nan"))


def find_analogs(samples: Samples, dam: Dam, *, day: int = -1, count: int = COUNT) -> Analogs:
    """The `count` past days most like a day of `samples`, with the observed changes of the level after them.

    Only what was known at the end of the day is used: all candidates, their changes and the standard deviations lie
    before it. A candidate has all compared quantities and all changes after it.

    Parameters
    ----------
    day
        Position of the day; by default the last one.
    """
    end = range(len(samples.dates))[day] + 1
    level = _usable_level(samples)[:end]
    values = {name: column[:end] for name, column in _quantities(samples, dam, level).items()}
    then = {f"then_{lead}d": _change_after(level, lead) for lead in SUMMARY_LEADS}
    is_candidate = np.arange(end) <= end - 1 - max(SEPARATION_DAYS, *SUMMARY_LEADS)
    for column in then.values():
        is_candidate &= np.isfinite(column)
    known = {name: _comparable(name, column) for name, column in values.items() if np.isfinite(column[-1])}
    for column in known.values():
        is_candidate &= np.isfinite(column)
    rows = np.flatnonzero(is_candidate)
    spread = {name: float(np.std(column[rows])) for name, column in known.items()} if len(rows) else {}
    compared = tuple(name for name in known if spread.get(name, 0.0) > 0)
    if not compared:
        rows = rows[:0]
    distances = _distances(known, spread, compared, rows)
    nearest = _nearest_separate(rows, distances, count)
    columns = {**{name: values.get(name, np.full(end, np.nan)) for name in QUANTITIES}, **then}
    by_row = dict(zip(rows.tolist(), distances.tolist(), strict=True)) | {end - 1: 0.0}
    return Analogs(
        today=_table(samples, columns, [end - 1], by_row),
        days=_table(samples, columns, nearest, by_row),
        compared=tuple(name for name in compared if name not in _SEASON) + (("season",) if compared else ()),
        candidates=len(rows),
        first=samples.dates[rows[0]].item() if len(rows) else None,
        median_distance=float(np.median(distances)) if len(rows) else float("nan"),
    )


def _usable_level(samples: Samples) -> NDArray[np.float64]:
    """The level on a known datum, without days that were suspect or that the dam file excludes; NaN where missing."""
    usable = np.isfinite(samples.level)
    if samples.suspect_level is not None:
        usable &= np.isnan(samples.suspect_level)
    # The exclusion of a day concerns what is learned from it, not the comparison of that day with the past
    level = samples.trusted.copy()
    if usable[-1]:
        level[-1] = samples.level[-1]
    return level if samples.withheld is None else np.where(samples.withheld, np.nan, level)


def _quantities(samples: Samples, dam: Dam, level: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Quantity → its value as known on each day, NaN where unknown."""
    days = pl.Series(samples.dates[: len(level)]).cast(pl.Date)
    full = 0.0 if dam.full_supply is None else dam.full_supply.on(days).cast(pl.Float64).to_numpy()
    values = {"level": level - full}
    values |= {f"change_{k}d": -_change_after(level[::-1], k)[::-1] for k in (1, 3)}
    columns = {"rain_1d": "rain_lag0", "rain_7d": f"{CONTEXT}rain_7d", **dict(zip(_SEASON, _SEASON, strict=True))}
    for name, column in columns.items():
        if column in samples.inputs.columns:
            values[name] = samples.inputs[column].cast(pl.Float64).to_numpy()
    if gauges := dam.columns("inflow"):
        total = samples.inputs.select(pl.sum_horizontal(gauges, ignore_nulls=False).cast(pl.Float64).alias("inflow"))
        values["inflow"] = total["inflow"].to_numpy()
    return values


def _change_after(level: NDArray[np.float64], days: int) -> NDArray[np.float64]:
    """level(d + days) − level(d) per day; NaN where either is missing."""
    change = np.full(len(level), np.nan)
    if days < len(level):
        change[:-days] = level[days:] - level[:-days]
    return change


def _comparable(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values as they are compared: signed square roots of changes, rain and flows."""
    return np.sign(values) * np.sqrt(np.abs(values)) if name in _ROOTS else values


def _distances(
    known: Mapping[str, NDArray[np.float64]],
    spread: Mapping[str, float],
    compared: tuple[str, ...],
    rows: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Root of the weighted mean square of the differences between each of `rows` and the last day, in deviations."""
    weights = {name: _SEASON_WEIGHT if name in _SEASON else 1.0 for name in compared}
    total = np.zeros(len(rows))
    for name, weight in weights.items():
        total += weight * ((known[name][rows] - known[name][-1]) / spread[name]) ** 2
    return np.sqrt(total / sum(weights.values())) if weights else total


def _nearest_separate(rows: NDArray[np.intp], distances: NDArray[np.float64], count: int) -> list[int]:
    """The nearest rows, each at least `SEPARATION_DAYS` from the nearer ones; of two equally near, the later."""
    nearest: list[int] = []
    for place in np.lexsort((-rows, distances)):
        row = int(rows[place])
        if all(abs(row - nearer) >= SEPARATION_DAYS for nearer in nearest):
            nearest.append(row)
        if len(nearest) == count:
            break
    return nearest


def _table(
    samples: Samples, columns: Mapping[str, NDArray[np.float64]], rows: list[int], distances: Mapping[int, float]
) -> pl.DataFrame:
    """`Analogs.days` of some rows."""
    table = pl.DataFrame(
        {
            "date": pl.Series(samples.dates[rows]).cast(pl.Date),
            "distance": [distances[row] for row in rows],
            **{name: column[rows] for name, column in columns.items()},
        },
        schema=_COLUMNS,
    )
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))
