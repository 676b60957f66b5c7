"""Inputs without a unit, so that one model can learn from many dams: changes in units of the dam's own past ones.

Each statistic of a day (mean change, rank, slope) is that of the record up to the day. Nothing later has an effect, and
a level in feet, or three times as large, has the same inputs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.features.inputs import BALANCE, CONTEXT

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.full_supply import FullSupply

Array = NDArray[np.float64]

GLOBAL = f"{BALANCE}global_"
"""Prefix of the names of inputs that only the global model uses."""
DAY = f"{GLOBAL}day"
"""Number of the day since 1970-01-01: it determines which vintage of the global model is known."""
SCALE = f"{GLOBAL}scale"
"""Unit of the changes: that of the dam's own past changes, in the target's unit."""

MIN_CHANGES, MIN_RAIN_DAYS, MIN_RANKED = 10, 30, 20
"""Days from which on the scale, the mean rain and a rank are known."""
SLOPE_LEADS = (1, 3, 7)
"""Lead times at which the dam's own slopes are learned."""
PRIOR_DAYS, PRIOR_PERSISTENCE = 30.0, 0.4
"""Weight of a slope's first value, and the persistence of a change over one day before any is known."""
LARGEST = 10.0
"""Largest absolute value of a change or a driver that counts for a slope, in units of its scale."""
RESERVE = 2.5
"""A value that a slope multiplies is at most this multiple of the largest so far: one absurd reading has no more."""
MIN_RAIN_MM = 0.05
"""Least mean daily rain."""
CHANGES = (
    "last_change",
    "change_lag1",
    "change_lag2",
    "median_change_30d",
    f"{CONTEXT}change_3d",
    f"{CONTEXT}change_7d",
    f"{CONTEXT}median_change_90d",
)
RAINS = ("rain_lag0", "rain_lag1", "rain_lag2", "rain_3d", f"{CONTEXT}rain_7d", f"{CONTEXT}rain_30d")
BALANCES = ("inflow", "release", "expected", "inflow_10d", "release_10d", "expected_10d", "change_10d")
FLOWS = {"in": ("inflow", "stream"), "out": ("release",)}
KINDS = {"reservoir_level": 0.0, "storage": 1.0, "storage_percent": 2.0}
"""Number of each kind of target."""


@dataclass(frozen=True)
class LevelRecord:
    """The level of consecutive days, n of them.

    Attributes
    ----------
    dates
        The days, `datetime64[D]`, shape (n,).
    start
        Level that the forecast of each day starts from, shape (n,); NaN on a datum that the dam file does not state.
    level
        Levels that models learn from, shape (n,); NaN where missing. The slopes of a day use those up to the day.
    full_supply
        Full supply of each day; None without one.
    """

    dates: NDArray[np.datetime64]
    start: Array
    level: Array
    full_supply: FullSupply | None


def scale_free_inputs(
    inputs: pl.DataFrame, dam: Dam, record: LevelRecord, history: pl.DataFrame | None = None
) -> pl.DataFrame:
    """The inputs of the global model, one row per day, with the prefix `GLOBAL`; NaN where one is not known.

    Parameters
    ----------
    inputs
        `inputs.build_inputs` as known on each day, n rows.
    record
        The level of the same days.
    history
        Inputs that the statistics come from, in place of `inputs`: those without a simulated outage.
    """
    past = inputs if history is None else history
    change = _column(past, "last_change")
    roots, days = _mean_so_far(np.sqrt(np.abs(change)), MIN_CHANGES)
    scale = np.where(roots > 0, roots, np.nan) ** 2
    columns = {name: _column(inputs, name) / scale for name in CHANGES}
    columns |= _course(change, scale, days)
    columns |= _state(record.start, scale, record.full_supply)
    columns |= _rain(inputs, past)
    columns |= _flows(inputs, past, dam, scale)
    columns |= _place(inputs, dam)
    drivers = {"rain": columns["rain_3d"] / 3, "inflow": columns["in_rise"]}
    columns |= _slopes(change / scale, columns["last_change"], drivers, record.level, scale)
    day_numbers = record.dates.astype("datetime64[D]").astype(np.int32)
    return pl.DataFrame(
        {f"{GLOBAL}{name}": values for name, values in columns.items()} | {SCALE: scale, DAY: day_numbers}
    )


def _course(change: Array, scale: Array, days: NDArray[np.intp]) -> dict[str, Array]:
    """The shape of the distribution of the changes so far, and how many are known."""
    is_known = np.isfinite(change)
    still = np.where(is_known, np.abs(change) < scale / 20, np.nan)
    return {
        "mean_change": _mean_so_far(change, MIN_CHANGES)[0] / scale,
        "mean_size": _mean_so_far(np.abs(change), MIN_CHANGES)[0] / scale,
        "mean_rise": _mean_so_far(np.maximum(change, 0.0), MIN_CHANGES)[0] / scale,
        "share_still": _mean_so_far(still, MIN_CHANGES)[0],
        "log_days": np.log1p(days.astype(float)),
    }


def _state(level: Array, scale: Array, full_supply: FullSupply | None) -> dict[str, Array]:
    """The level against full supply and against the record so far."""
    below = np.full(len(level), np.nan) if full_supply is None else full_supply.level - level
    margin = np.full(len(level), np.nan) if full_supply is None else full_supply.margin
    return {
        "below_full": np.clip(below / scale, -300.0, 3000.0),
        "below_margin": np.clip(below / margin, -3.0, 30.0),
        "level_rank": rank_so_far(level, level),
        "below_high": (np.fmax.accumulate(level) - level) / scale,
        "above_low": (level - np.fmin.accumulate(level)) / scale,
    }


def _rain(inputs: pl.DataFrame, past: pl.DataFrame) -> dict[str, Array]:
    """Rain in units of the mean daily rain so far, and in mm; wetness by its rank."""
    mean = np.maximum(_mean_so_far(_column(past, "rain_lag0"), MIN_RAIN_DAYS)[0], MIN_RAIN_MM)
    columns = {name: _column(inputs, name) / mean for name in RAINS}
    api = _column(inputs, "api")
    return columns | {
        "rain_3d_mm": _column(inputs, "rain_3d"),
        "rain_mean": mean,
        "api": api / mean,
        "api_rank": rank_so_far(api, _column(past, "api")),
        "rain_api": _column(inputs, "rain_api") / mean**2,
    }


def _flows(inputs: pl.DataFrame, past: pl.DataFrame, dam: Dam, scale: Array) -> dict[str, Array]:
    """Ranks and rises of flows and stages, and the changes that flows explain where a flow determines a change."""
    columns = {}
    for group, roles in FLOWS.items():
        gauges = [g.column for g in dam.gauges if g.role in roles and g.column in inputs.columns]
        ranks = [rank_so_far(_column(inputs, name), _column(past, name)) for name in gauges]
        rises = []
        for name in (f"{gauge}_rise" for gauge in gauges):
            typical = _mean_so_far(np.abs(_column(past, name)), MIN_RANKED)[0]
            rises.append(_column(inputs, name) / np.where(typical > 0, typical, np.nan))
        columns[f"{group}_rank"], columns[f"{group}_rise"] = (_mean_of(parts, len(inputs)) for parts in (ranks, rises))
    for name in BALANCES:
        value = _column(inputs, f"{BALANCE}{name}") / scale
        columns[f"balance_{name}"] = value if dam.has_volume else np.full(len(inputs), np.nan)
    return columns | {"net_now": columns["balance_inflow"] - columns["balance_release"]}


def _place(inputs: pl.DataFrame, dam: Dam) -> dict[str, Array]:
    """Season by hemisphere, latitude, kind of target, warmth; NaN where the dam file has no latitude."""
    latitude = np.nan if dam.latitude is None else dam.latitude
    hemisphere = np.nan if dam.latitude is None else (1.0 if latitude >= 0 else -1.0)
    warm = "degree_days" if "degree_days" in inputs.columns else f"{CONTEXT}degree_days"
    return {
        "degree_days": _column(inputs, warm),
        "season_sin": hemisphere * _column(inputs, "season_sin"),
        "season_cos": hemisphere * _column(inputs, "season_cos"),
        "latitude": np.full(len(inputs), abs(latitude)),
        "kind": np.full(len(inputs), KINDS[dam.target.variable]),
    }


def _slopes(
    past_change: Array, change: Array, drivers: dict[str, Array], level: Array, scale: Array
) -> dict[str, Array]:
    """Persistence of the changes so far, and the changes that it, rain and inflow imply by the dam's own slopes.

    persistence_h: slope of the change over h days on the last change. own_h: slope · last change. rain_h, inflow_h:
    slope of what is left on the driver, times the driver.
    """
    columns = dict[str, Array]()
    change = _bounded(change)
    for lead in SLOPE_LEADS:
        ahead = np.full(len(level), np.nan)
        if lead < len(level):
            ahead[:-lead] = level[lead:] - level[:-lead]
        ahead = ahead / scale
        slope = _slope_so_far(past_change, ahead, lead, PRIOR_PERSISTENCE * lead**0.5)
        columns |= {f"persistence_{lead}": slope, f"own_{lead}": slope * change}
        for name, driver in drivers.items():
            rest = _slope_so_far(driver, ahead - slope * past_change, lead, 0.0)
            columns[f"{name}_{lead}"] = rest * _bounded(driver)
    return columns


def _slope_so_far(driver: Array, ahead: Array, lead: int, first: float) -> Array:
    """Slope of `ahead` (n,) on `driver` by the pairs whose valid date is not after each day, shape (n,).

    A ridge regression through 0: `PRIOR_DAYS` pairs with a driver of 1 have the slope `first`.
    """
    is_known = np.isfinite(driver) & np.isfinite(ahead)
    x = np.clip(np.where(is_known, driver, 0.0), -LARGEST, LARGEST)
    y = np.clip(np.where(is_known, ahead, 0.0), -LARGEST * lead, LARGEST * lead)
    product, square = (np.concatenate([np.zeros(lead), np.cumsum(part)])[: len(x)] for part in (x * y, x * x))
    return np.asarray((product + PRIOR_DAYS * first) / (square + PRIOR_DAYS))


def _bounded(values: Array) -> Array:
    """`values` within `RESERVE` times the largest size of all earlier days; unbounded while none is known."""
    largest = np.fmax.accumulate(np.abs(values))
    limit = RESERVE * np.concatenate([[np.nan], largest[:-1]])
    limit = np.where(limit > 0, limit, np.inf)
    return np.clip(values, -limit, limit)


def rank_so_far(values: Array, history: Array) -> Array:
    """Share of the days before each day whose `history` is below its value, ties half, shape (n,).

    NaN before `MIN_RANKED` values.

    >>> rank_so_far(np.arange(22.0), np.arange(22.0))[-3:].tolist()
    [nan, 1.0, 1.0]
    """
    ranks, past = np.full(len(values), np.nan), list[float]()
    for day, (value, known) in enumerate(zip(values.tolist(), history.tolist(), strict=True)):
        if not isnan(value) and len(past) >= MIN_RANKED:
            ranks[day] = (bisect_left(past, value) + bisect_right(past, value)) / 2 / len(past)
        if not isnan(known):
            insort(past, known)
    return ranks


def _mean_so_far(values: Array, least: int) -> tuple[Array, NDArray[np.intp]]:
    """Mean of the values up to each day, NaN before `least` of them, and their number."""
    is_known = np.isfinite(values)
    count = np.cumsum(is_known)
    mean = np.cumsum(np.where(is_known, values, 0.0)) / np.maximum(count, 1)
    return np.where(count >= least, mean, np.nan), count


def _mean_of(parts: list[Array], count: int) -> Array:
    """Mean of the parts that are known on each day, shape (count,); NaN where none is."""
    if not parts:
        return np.full(count, np.nan)
    known = np.isfinite(parts)
    total = np.where(known, parts, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def _column(inputs: pl.DataFrame, name: str) -> Array:
    """A column as floats; NaN where it is missing or has no value."""
    if name not in inputs.columns:
        return np.full(len(inputs), np.nan)
    return inputs[name].cast(pl.Float64).to_numpy().astype(float)
