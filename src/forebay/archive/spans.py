"""Which days a fetch asks for: what is missing, and the newest days again, because agencies still revise them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from forebay.dams.gauge import Gauge

Span = tuple[date | None, date]
"""First and last local day, both included; without a first one from the start of the station's record."""

MOST_HOLES = 10
OFTEN_DAYS, SELDOM_DAYS = 16, 30
"""Up to which age a hole is asked for whenever that has doubled, and how often from then on."""
DAY = timedelta(days=1)


@dataclass(frozen=True)
class FetchContext:
    """When a fetch happens, and what it goes by.

    Attributes
    ----------
    now, before
        The instant of the fetch, and of the last one that brought anything new of the dam.
    until
        The last local day to ask for.
    provisional_days
        Newest days of those held that are asked for again.
    """

    now: datetime
    before: datetime
    until: date
    provisional_days: int
    time_zone: str


def due_spans(gauge: Gauge, held: pl.DataFrame, occasion: FetchContext) -> list[Span]:
    """The spans of days to ask for: the newest days first, then holes further back, from the newest to the oldest.

    A file is read whole each time: that costs nothing, and it may be corrected anywhere.

    Parameters
    ----------
    held
        The first version of every reading that is held of the gauge (`tables.OBSERVATIONS`).
    """
    if gauge.file is not None or held.is_empty():
        return [(None, occasion.until)]
    day = gauge.local_day(occasion.time_zone).alias("day")
    days = held.group_by(day).agg(pl.col("fetched_at").min()).sort("day")
    resume = days["day"][-1] - occasion.provisional_days * DAY
    holes = [(first, min(last, resume - DAY, occasion.until)) for first, last in _due_holes(days, occasion)]
    joined = _joined([(first, last) for first, last in holes if first <= last], closer_than=occasion.provisional_days)
    newest: list[Span] = [(resume, occasion.until)] if resume <= occasion.until else []
    return newest + list(reversed(joined))


def _due_holes(days: pl.DataFrame, occasion: FetchContext) -> Iterator[tuple[date, date]]:
    """First and last day of each hole that is to be asked for now, in time order.

    A hole was first seen when the readings behind it came. From then on it is due 1, 2, 4, 8, 16 days later and then
    every 30 days, at the first fetch after each: agencies fill holes late, or never, and those must not be asked for
    on every call. One that could not be had when it was due is had a month later at the latest.
    """
    behind = pl.col("day", "fetched_at").shift(-1).name.suffix("_behind")
    gaps = days.with_columns(behind).filter(pl.col("day_behind") - pl.col("day") > DAY)
    for first, last, seen in gaps.select("day", "day_behind", "fetched_at_behind").iter_rows():
        if _times_due(seen, occasion.now) > _times_due(seen, occasion.before):
            yield first + DAY, last - DAY


def _times_due(seen: datetime, at: datetime) -> int:
    """How often a hole seen at `seen` has been due until `at`.

    >>> monday = datetime(2024, 1, 1)
    >>> [_times_due(monday, monday + days * DAY) for days in (0, 1, 2, 3, 4, 7, 8, 16, 29, 30, 60)]
    [0, 1, 2, 2, 3, 3, 4, 5, 5, 6, 7]
    """
    age = max((at - seen).days, 0)
    return min(age, OFTEN_DAYS).bit_length() + age // SELDOM_DAYS


def _joined(holes: list[tuple[date, date]], *, closer_than: int) -> list[tuple[date, date]]:
    """`holes` in time order, those joined that are close: a few held days cost a service less than another request.

    There are at most `MOST_HOLES`: of more, the oldest become one.
    """
    made: list[tuple[date, date]] = []
    for first, last in holes:
        if made and (first - made[-1][1]).days <= closer_than:
            made[-1] = (made[-1][0], last)
        else:
            made.append((first, last))
    if len(made) > MOST_HOLES:
        oldest, made = made[: 1 - MOST_HOLES], made[1 - MOST_HOLES :]
        made = [(oldest[0][0], oldest[-1][1]), *made]
    return made
