"""Storage traces of the coming months: from today's storage, with the net inflow of each past year in turn.

The method is that of ensemble streamflow prediction (Day, 1985) with the observed water balance in place of a runoff
model: past years are equally likely, and the lake fills, spills and empties by its own limits.
"""

from __future__ import annotations

from calendar import isleap, monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forebay.metrics import crps_ensemble

if TYPE_CHECKING:
    from forebay.features.water_balance import Array, DailyBalance

MIN_TRACES = 5
"""Complete past years from which on traces are computed."""


RETURN_DAYS = (np.inf, 730.0, 365.0, 240.0, 180.0, 120.0, 90.0, 60.0, 30.0)
"""Candidates of the time in which operation returns a lake to the storage of the past year of a trace; infinite: never.
"""


class Traces(NamedTuple):
    """Routed traces: storage of shape (years, days + 1), from the start on; the flows of shape (years, days).

    Of each day and trace: net inflow − outflow − spill + shortfall = change of storage. `outflow` is the demand, or the
    difference of the outflow from that of the past year.
    """

    storage: Array
    outflow: Array
    spill: Array
    shortfall: Array


@dataclass(frozen=True)
class Limits:
    """Highest storage of each day, shape (days,), and the lowest storage of all days.

    `full` is full supply, otherwise the top of the storage curve, otherwise infinite; `full_supply` is NaN where it is
    unknown.
    """

    full: Array
    lowest: float
    full_supply: Array


@dataclass(frozen=True)
class PastWindows:
    """The same days of past years.

    Attributes
    ----------
    years
        Calendar year of the first day of each window.
    starts
        Index of the day before the first day of each window.
    net
        Balance of each day, shape (years, days).
    storage
        Observed storage up to full supply, shape (years, days + 1), from the day before the first one on; short gaps
        are bridged, and NaN is left where it is unknown.
    days_full, days_bridged
        Days of each window at or above full supply, and days whose balance is spread over a short gap.
    left_out
        Year → number of days of a window without a balance: gaps that are too long.
    """

    years: tuple[int, ...]
    starts: NDArray[np.intp]
    net: Array
    storage: Array
    days_full: NDArray[np.intp]
    days_bridged: NDArray[np.intp]
    left_out: dict[int, int]


def month_ends(init_date: date, months: int) -> list[date]:
    """The ends of the months after the init date, the first of them that of its own month.

    >>> [str(day) for day in month_ends(date(2023, 12, 31), 2)], str(month_ends(date(2024, 2, 1), 1)[0])
    (['2024-01-31', '2024-02-29'], '2024-02-29')
    """
    first = init_date + timedelta(days=1)
    count = first.year * 12 + first.month - 1
    years_and_months = (divmod(count + k, 12) for k in range(months))
    return [date(year, month + 1, monthrange(year, month + 1)[1]) for year, month in years_and_months]


def same_day(day: date, year: int) -> date:
    """The day of another year; of 29 February in a common year, 28 February."""
    if (day.month, day.day) == (2, 29) and not isleap(year):
        return date(year, 2, 28)
    return day.replace(year=year)


def windows_before(dates: NDArray[np.datetime64], balance: DailyBalance, horizon: int) -> PastWindows:
    """The windows of past years that end by the last day of the balance and have a balance on each day.

    Parameters
    ----------
    dates
        Days of the record.
    balance
        Balance up to the init date.
    horizon
        Days of a window.
    """
    day = len(balance.net) - 1
    init_date: date = dates[day].astype(object)
    first: date = dates[0].astype(object)
    years, starts, left_out = [], [], {}
    for year in range(first.year, init_date.year):
        start = (same_day(init_date, year) - first).days
        if start < 0 or start + horizon > day:
            continue
        days = slice(start + 1, start + horizon + 1)
        missing = int((np.isnan(balance.net[days]) | np.isnan(balance.storage[days])).sum())
        if missing:
            left_out[year] = missing
            continue
        years.append(year)
        starts.append(start)
    rows = np.array(starts, int)[:, None] + np.arange(1, horizon + 1)
    return PastWindows(
        years=tuple(years),
        starts=np.array(starts, int),
        net=balance.net[rows],
        storage=balance.storage[np.array(starts, int)[:, None] + np.arange(horizon + 1)],
        days_full=balance.is_full[rows].sum(axis=1),
        days_bridged=balance.is_bridged[rows].sum(axis=1),
        left_out=left_out,
    )


def route(start: float, windows: PastWindows, demand: Array, limits: Limits, *, rate: float = 0.0) -> Traces:
    """Traces from a storage: what does not fit spills, and what is not there is a shortfall of the outflow.

    Parameters
    ----------
    start
        Storage at the init date; above full supply, the excess spills on the first day.
    windows
        Past years with their balance of each day.
    demand
        Demand of each day, shape (days,).
    rate
        Share of the difference between the trace and its past year by which the outflow of a day differs from that of
        the past year (`return_rate`).
    """
    net = windows.net
    storage = np.full((len(net), net.shape[1] + 1), start, float)
    outflow, spill, shortfall = (np.zeros_like(net) for _ in range(3))
    for day in range(net.shape[1]):
        outflow[:, day] = demand[day]
        if rate:
            outflow[:, day] += rate * (storage[:, day] - windows.storage[:, day])
        free = storage[:, day] + net[:, day] - outflow[:, day]
        spill[:, day] = np.maximum(free - limits.full[day], 0.0)
        shortfall[:, day] = np.maximum(limits.lowest - free, 0.0)
        storage[:, day + 1] = np.minimum(limits.full[day], np.maximum(limits.lowest, free))
    return Traces(storage, outflow, spill, shortfall)


def return_rate(windows: PastWindows, leads: Sequence[int], limits: Limits) -> float:
    """Rate per day at which operation returns a lake to the storage of a past year, learned from the past years.

    A lake that is fuller than in the past year releases more, so that the difference decays. Each past year is forecast
    from all others, as `route` does it, with each of `RETURN_DAYS`. The rate has the least mean CRPS, of which each
    lead counts alike; of equal ones, the slowest.

    Parameters
    ----------
    leads
        Lead times (days) that count.
    """
    rates = 1 / np.array(RETURN_DAYS)
    routed = _routed_from_others(windows, rates, leads, limits)
    crps = np.array([
        [crps_ensemble(routed[column, row], windows.storage[:, lead]).mean() for column, lead in enumerate(leads)]
        for row in range(len(rates))
    ])  # fmt: skip
    typical = crps.mean(axis=0)
    counts = typical > 0
    if not counts.any():
        return 0.0
    relative = (crps[:, counts] / typical[counts]).mean(axis=1)
    return float(rates[int(np.argmin(np.round(relative, 9)))])


def _routed_from_others(windows: PastWindows, rates: Array, leads: Sequence[int], limits: Limits) -> Array:
    """Storage of each past year by the balance of each other one, shape (leads, rates, years, years − 1)."""
    count = len(windows.years)
    rows = np.array([[row for row in range(count) if row != year] for year in range(count)], int)
    past, net = windows.storage[rows], windows.net[rows]
    storage = np.broadcast_to(windows.storage[:, :1], rows.shape) + np.zeros((len(rates), 1, 1))
    at_leads = []
    for day in range(leads[-1]):
        free = storage + net[:, :, day] - rates[:, None, None] * (storage - past[:, :, day])
        storage = np.minimum(limits.full[day], np.maximum(limits.lowest, free))
        if day + 1 in leads:
            at_leads.append(storage)
    return np.stack(at_leads)


def monthly(values: Sequence[float], days: NDArray[np.datetime64]) -> Array:
    """The value of each day's month, from 12 values of January to December."""
    of_month: Array = np.asarray(values, float)[days.astype("datetime64[M]").astype(int) % 12]
    return of_month
