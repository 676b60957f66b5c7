"""Long outlooks of past days: traces from the first of each month, with the years that were complete by then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.dams.thresholds import FULL_SUPPLY
from forebay.features.water_balance import Array, StorageRecord, balance_until
from forebay.metrics import crps_ensemble, plotting_quantiles
from forebay.verify.traces import (
    MIN_TRACES,
    Limits,
    PastWindows,
    Traces,
    month_ends,
    monthly,
    return_rate,
    route,
    windows_before,
)

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.thresholds import ReferenceLevel
    from forebay.features.samples import Samples
    from forebay.verify.hindcast import Progress

Events = NDArray[np.bool_]



@dataclass(frozen=True)
class Demand:
    """Outflow of each month, January to December, in m³/s.

    future: of the traces. past: what no release gauge measured; it adds to the release gauges.
    """

    future: tuple[float, ...]
    past: tuple[float, ...] = (0.0,) * 12


@dataclass(frozen=True)
class StorageThreshold:
    """A threshold of storage: of the dam file (`level`, the target's unit), a share of full supply, or a storage.

    One of the three is not None; of `FULL_SUPPLY` none is.
    """

    name: str
    level: ReferenceLevel | None = None
    share: float | None = None
    storage: float | None = None


@dataclass(frozen=True)
class LongForecast:
    """Traces of the months after one init date.

    Attributes
    ----------
    day, init_date
        Index of the init date in the record, and the init date.
    ends, leads
        Last day of each month, and its lead time in days.
    start
        Storage that the traces start from; NaN where it is unknown.
    limits
        Full supply of each day as known on the init date, and the lowest storage.
    windows, traces
        Past years, and the trace of each.
    rate
        `return_rate` of traces without a demand.
    """

    day: int
    init_date: date
    ends: list[date]
    leads: list[int]
    start: float
    limits: Limits
    windows: PastWindows
    traces: Traces
    rate: float

    @property
    def is_complete(self) -> bool:
        """Whether there is a start and enough past years."""
        return bool(np.isfinite(self.start)) and len(self.windows.years) >= MIN_TRACES

    @property
    def valid_dates(self) -> pl.Series:
        """The day of each column of `traces.spill`."""
        days = [self.init_date + timedelta(days=k + 1) for k in range(self.leads[-1])]
        return pl.Series("valid_date", days)


def long_forecast(
    record: StorageRecord, dam: Dam, day: int, months: int, demand: Demand | None = None
) -> LongForecast:
    """The traces from one day; only what was known on it counts.

    Parameters
    ----------
    day
        Index of the init date.
    months
        Number of months.
    demand
        Demand of the traces; None: each trace repeats the operation of its year, with the learned return.
    """
    init_date: date = record.dates[day].astype(object)
    ends = month_ends(init_date, months)
    leads = [(end - init_date).days for end in ends]
    start = float(record.start[day])
    limits = _limits(record, dam, init_date, leads[-1], start)
    past_outflow = None if demand is None else _past_outflow(record, demand)
    has_gauge = demand is not None and record.outflow is not None
    balance = balance_until(record, day, past_outflow, with_surcharge=has_gauge)
    windows = windows_before(record.dates, balance, leads[-1])
    future = np.zeros(leads[-1])
    rate = 0.0
    if demand is not None:
        valid = np.datetime64(init_date) + np.arange(1, leads[-1] + 1)
        future = record.volumes.volume_per_day(monthly(demand.future, valid))
    elif len(windows.years) >= MIN_TRACES:
        rate = return_rate(windows, leads, limits)
    traces = route(start, windows, future, limits, rate=rate)
    return LongForecast(day, init_date, ends, leads, start, limits, windows, traces, rate)


def _past_outflow(record: StorageRecord, demand: Demand) -> Array:
    stated = record.volumes.volume_per_day(monthly(demand.past, record.dates))
    return stated if record.outflow is None else record.outflow + stated


def _limits(record: StorageRecord, dam: Dam, init_date: date, days: int, start: float) -> Limits:
    """Full supply of each coming day, otherwise the top of the curve; dead storage, otherwise its bottom or 0."""
    lowest, highest = record.volumes.ends(init_date)
    full = np.full(days, np.nan)
    inits = pl.Series([init_date]).new_from_index(0, days)
    valid = inits.to_frame("init").select(pl.col("init") + pl.duration(days=pl.int_range(1, pl.len() + 1))).to_series()
    if dam.full_supply is not None:
        full = record.volumes.storage(dam.full_supply.known_on(inits, valid).to_numpy().astype(float), init_date)
    if dam.lowest_level is not None:
        stated = record.volumes.storage(dam.lowest_level.on(inits.head(1)).to_numpy().astype(float), init_date)[0]
        lowest = float(stated) if np.isfinite(stated) else lowest
    return Limits(np.where(np.isfinite(full), full, highest), float(np.fmin(lowest, start)), full)


def threshold_storages(threshold: StorageThreshold, forecast: LongForecast, record: StorageRecord) -> Array:
    """Storage of a threshold on each coming day as known on the init date, shape (days,); NaN where unknown."""
    days = forecast.valid_dates
    if threshold.storage is not None:
        return np.full(len(days), threshold.storage)
    if threshold.share is not None:
        return threshold.share * forecast.limits.full_supply
    if threshold.level is None:
        return forecast.limits.full_supply
    inits = pl.Series([forecast.init_date]).new_from_index(0, len(days))
    levels = threshold.level.known_on(inits, days).to_numpy().astype(float)
    return record.volumes.storage(levels, forecast.init_date)


def thresholds_of(dam: Dam, own: Sequence[StorageThreshold] = ()) -> list[StorageThreshold]:
    """Full supply, the thresholds of the dam file, and further ones."""
    full = [] if dam.full_supply is None else [StorageThreshold(FULL_SUPPLY)]
    return [*full, *(StorageThreshold(t.name, level=t.level) for t in dam.thresholds), *own]


def is_reachable(level: Array, limits: Limits) -> bool:
    """Whether a threshold is known and within the limits of the traces on some day; False if it is above or below."""
    return bool(((level <= limits.full) & (level >= limits.lowest)).any())


def sides(name: str) -> tuple[str, ...]:
    """Directions of a threshold; of full supply only "above", since the traces are storage up to full supply."""
    return ("above",) if name == FULL_SUPPLY else ("above", "below")


def is_beyond(storage: Array, threshold: Array, direction: str) -> Events:
    """Whether storages are at or beyond a threshold; False where either is NaN."""
    return np.asarray(storage >= threshold if direction == "above" else storage <= threshold)


def beyond_by_month(storages: Array, threshold: Array, direction: str, leads: Sequence[int]) -> tuple[Events, Events]:
    """Whether each trace is beyond a threshold at the end of each month, and on any day up to it; (traces, months).

    Parameters
    ----------
    storages
        Shape (traces, days), from the day after the init date on.
    """
    beyond = is_beyond(storages, threshold, direction)
    columns = np.asarray(leads) - 1
    return beyond[:, columns], np.logical_or.accumulate(beyond, axis=1)[:, columns]


@dataclass(frozen=True)
class LongHindcast:
    """Past long outlooks and what was observed.

    months: init_date, year, month, crps, crps_climatology, crps_persistence, inside_80 (whether the observed storage
    lies between the 10% and the 90% quantile). events: init_date, year, threshold, direction, kind, month, probability,
    climatology, outcome (null where unknown).
    """

    months: pl.DataFrame
    events: pl.DataFrame


MONTHS = {"init_date": pl.Date, "year": pl.Int32, "month": pl.Int32, "crps": pl.Float64, "crps_climatology": pl.Float64,
          "crps_persistence": pl.Float64, "inside_80": pl.Boolean}  # fmt: skip
EVENTS = {"init_date": pl.Date, "year": pl.Int32, "threshold": pl.String, "direction": pl.String, "kind": pl.String,
          "month": pl.Int32, "probability": pl.Float64, "climatology": pl.Float64, "outcome": pl.Boolean}  # fmt: skip


def long_hindcast(  # noqa: PLR0913  # the record is made of the samples
    record: StorageRecord,
    samples: Samples,
    dam: Dam,
    months: int,
    thresholds: Sequence[StorageThreshold],
    *,
    progress: Progress | None = None,
) -> LongHindcast:
    """Long outlooks from the first day of each month of the record, as operated, against what was observed later.

    Outcomes are of the newest version of the target, up to full supply as known on the init date.
    """
    withheld = np.zeros(len(samples.dates), bool) if samples.withheld is None else samples.withheld
    observed = np.where(withheld, np.nan, samples.observed)
    firsts = np.flatnonzero(record.dates == record.dates.astype("datetime64[M]").astype("datetime64[D]"))
    month_rows: list[tuple[object, ...]] = []
    event_rows: list[tuple[object, ...]] = []
    for count, day in enumerate(firsts):
        if progress:
            progress("past outlooks", count, len(firsts))
        if not np.isfinite(record.start[day]):
            continue
        forecast = long_forecast(record, dam, int(day), months)
        if not forecast.is_complete:
            continue
        later = np.full(forecast.leads[-1], np.nan)
        values = observed[day + 1 : day + 1 + len(later)]
        later[: len(values)] = record.volumes.storage(values, forecast.init_date)
        later = np.minimum(later, forecast.limits.full)
        month_rows += _month_rows(forecast, later)
        for threshold in thresholds:
            event_rows += _event_rows(forecast, later, threshold.name, threshold_storages(threshold, forecast, record))
    if progress:
        progress("past outlooks", len(firsts), len(firsts))
    return LongHindcast(
        pl.DataFrame(month_rows, schema=MONTHS, orient="row"), pl.DataFrame(event_rows, schema=EVENTS, orient="row")
    )


def _month_rows(forecast: LongForecast, later: Array) -> Iterator[tuple[object, ...]]:
    """Rows of `LongHindcast.months` of one init date; none for a month-end without an observed storage."""
    for month, lead in enumerate(forecast.leads, start=1):
        truth = later[lead - 1 : lead]
        if not np.isfinite(truth[0]):
            continue
        members = forecast.traces.storage[:, lead]
        past = forecast.windows.storage[:, lead]
        start = min(forecast.start, forecast.limits.full[lead - 1])
        low, high = plotting_quantiles(members, (0.1, 0.9))
        scores = (crps_ensemble(ensemble[None], truth)[0] for ensemble in (members, past, np.array([start])))
        yield forecast.init_date, forecast.init_date.year, month, *scores, bool(low <= truth[0] <= high)


def _event_rows(forecast: LongForecast, later: Array, name: str, level: Array) -> Iterator[tuple[object, ...]]:
    """Rows of `LongHindcast.events` of one threshold; none for a side on which the start already is."""
    if not is_reachable(level, forecast.limits):
        return
    unknown = np.logical_or.accumulate(np.isnan(later))
    for direction in sides(name):
        if is_beyond(np.array([forecast.start]), level[:1], direction)[0]:
            continue
        shares = [
            [events.mean(axis=0) for events in beyond_by_month(storages, level, direction, forecast.leads)]
            for storages in (forecast.traces.storage[:, 1:], forecast.windows.storage[:, 1:])
        ]
        outcomes = beyond_by_month(later[None], level, direction, forecast.leads)
        for column, lead in enumerate(forecast.leads):
            for index, kind in enumerate(("on", "by")):
                happened = bool(outcomes[index][0, column])
                is_open = np.isnan(later[lead - 1]) if kind == "on" else unknown[lead - 1] and not happened
                yield (
                    forecast.init_date, forecast.init_date.year, name, direction, kind, column + 1,
                    shares[0][index][column], shares[1][index][column], None if is_open else happened,
                )  # fmt: skip
