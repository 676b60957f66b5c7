"""Net inflow of each past day: the change of storage plus the outflow of that day, nothing filled without a count.

Evaporation and seepage are part of it, as losses. What a full lake spills is not, unless a release gauge measures it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.features.row_sums import row_sum
from forebay.features.volumes import Volumes
from forebay.screen.flags import daily_known_after, screen_daily

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

MAX_GAP_DAYS = 7
"""Days without a value between two days with one whose balance is known in total, and spread evenly over them."""


@dataclass(frozen=True)
class StorageRecord:
    """Storage of every day of a record, by each storage curve of the dam.

    Attributes
    ----------
    dates
        Consecutive days, `datetime64[D]`, shape (n,).
    volumes
        The conversion, with the unit of all volumes.
    storages
        Storage of each day by each curve, shape (curves, n); NaN where the level is missing, flagged, on an unknown
        datum or beyond the curve.
    full
        Storage at full supply of each day by each curve, as known on the day, shape (curves, n); NaN where unknown.
    in_force
        Index of the curve in force on each day, shape (n,).
    start
        Storage from which the forecast of each day starts, by the curve in force, shape (n,).
    outflow
        Outflow of each day (unit of storage per day) that release gauges measured, shape (n,); NaN where one has no
        value. None without a release gauge.
    """

    dates: NDArray[np.datetime64]
    volumes: Volumes
    storages: Array
    full: Array
    in_force: NDArray[np.intp]
    start: Array
    outflow: Array | None

    def position(self, day: date) -> int:
        """Index of a day; negative before the record."""
        return int((np.datetime64(day, "D") - self.dates[0]).astype(int))


@dataclass(frozen=True)
class DailyBalance:
    """Balance of each day up to an init date, shape (n,) each.

    net: net inflow, or net change of storage where no outflow is known; NaN where unknown. is_bridged: whether a value
    is missing and its gap is short. is_full: whether the lake was at or above full supply. storage: storage up to full
    supply by the curve of the last day, short gaps bridged.
    """

    net: Array
    is_bridged: Flags
    is_full: Flags
    storage: Array


def storage_record(samples: Samples, dam: Dam, known: pl.DataFrame) -> StorageRecord:
    """The storage of every day of the samples.

    Parameters
    ----------
    known
        Daily table of the first versions, as `samples` has it: the outflow comes from it.

    Raises
    ------
    DataError
        If the dam's volume is unknown (`Volumes`).
    """
    volumes = Volumes(dam)
    starts = volumes.starts()
    days = pl.Series(samples.dates).cast(pl.Date)
    withheld = np.zeros(len(days), bool) if samples.withheld is None else samples.withheld
    level = np.where(withheld, np.nan, samples.trusted)
    full = np.full(len(days), np.nan) if dam.full_supply is None else dam.full_supply.on(days).to_numpy().astype(float)
    storages = np.stack([volumes.storage(level, start) for start in starts])
    in_force = np.searchsorted(np.array(starts, "datetime64[D]"), samples.dates, side="right") - 1
    start_level = np.where(withheld, np.nan, samples.start_level)
    by_curve = np.stack([volumes.storage(start_level, start) for start in starts])
    before = in_force < 0
    start = np.where(before, np.nan, by_curve[np.maximum(in_force, 0), np.arange(len(days))])
    return StorageRecord(
        dates=samples.dates,
        volumes=volumes,
        storages=storages,
        full=np.stack([volumes.storage(full, start) for start in starts]),
        in_force=in_force,
        start=start,
        outflow=_outflow(known, dam, volumes),
    )


def _outflow(known: pl.DataFrame, dam: Dam, volumes: Volumes) -> Array | None:
    """Sum of the release gauges of each day, without values that are flagged on their own day; None without one."""
    columns = dam.columns("release")
    if not columns:
        return None
    unflagged = daily_known_after(known, screen_daily(known, dam), dam, lag=0)
    total = unflagged.select(row_sum(columns)).to_series()
    return volumes.volume_per_day(total.to_numpy().astype(float))


def balance_until(record: StorageRecord, day: int, outflow: Array | None, *, with_surcharge: bool) -> DailyBalance:
    """The balance of the days up to the one with index `day`; nothing later has an effect.

    Parameters
    ----------
    outflow
        Outflow of each day of the record (unit of storage per day), shape (n,); None: the balance is the net change.
    with_surcharge
        Whether storage above full supply counts. It must not where its release is not in `outflow`: the balance would
        then have the release and not the flood that caused it.
    """
    end = day + 1
    net, is_bridged = np.full(end, np.nan), np.zeros(end, bool)
    is_full = np.zeros(end, bool)
    for index, (storages, full) in enumerate(zip(record.storages, record.full, strict=True)):
        own = record.in_force[:end] == index
        capped = storages[:end] if with_surcharge else np.fmin(storages[:end], _where_known(full[:end], storages[:end]))
        bridged, in_gap = bridge(capped, MAX_GAP_DAYS)
        net[own] = np.diff(bridged, prepend=np.nan)[own]
        is_bridged[own] = in_gap[own]
        is_full[own] = (storages[:end] >= full[:end])[own]
    if outflow is not None:
        flows, in_gap = bridge(outflow[:end], MAX_GAP_DAYS)
        net, is_bridged = net + flows, is_bridged | in_gap
    newest = max(int(record.in_force[day]), 0)
    storages, full = record.storages[newest, :end], record.full[newest, :end]
    storage, _ = bridge(np.fmin(storages, _where_known(full, storages)), MAX_GAP_DAYS)
    return DailyBalance(net, is_bridged, is_full, storage)


def _where_known(full: Array, storages: Array) -> Array:
    """Full supply where the storage is known, so that a missing storage stays missing."""
    return np.where(np.isfinite(storages), full, np.nan)


def bridge(values: Array, longest: int) -> tuple[Array, Flags]:
    """`values` with gaps of at most `longest` days between two values filled on a line, and which days these are.

    >>> filled, in_gap = bridge(np.array([1.0, np.nan, 3.0, np.nan, np.nan, 6.0, np.nan]), 1)
    >>> filled.tolist(), in_gap.nonzero()[0].tolist()
    ([1.0, 2.0, 3.0, nan, nan, 6.0, nan], [1])
    """
    known = np.flatnonzero(np.isfinite(values))
    in_gap = np.zeros(len(values), bool)
    if not len(known):
        return values.copy(), in_gap
    days = np.arange(len(values))
    after = np.searchsorted(known, days)
    inside = (after > 0) & (after < len(known)) & ~np.isfinite(values)
    previous, following = known[np.maximum(after - 1, 0)], known[np.minimum(after, len(known) - 1)]
    in_gap = inside & (following - previous - 1 <= longest)
    return np.where(in_gap, np.interp(days, known, values[known]), values), in_gap
