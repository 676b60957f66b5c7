"""Days that a fetch requests: missing days, and the newest days again, because agencies still revise them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from forebay.dams.gauge import Gauge

Span = tuple[date | None, date]
"""First and last local day, both included; None as the first: the start of the station's record."""

MAX_GAPS = 10
DOUBLING_DAYS, REPEAT_DAYS = 16, 30
"""A gap is requested each time its age has doubled, up to the first age; then at intervals of the second."""
DAY = timedelta(days=1)


@dataclass(frozen=True)
class FetchContext:
    """Time of a fetch, and the settings that determine its days.

    Attributes
    ----------
    now, before
        Instant of the fetch, and of the last fetch with a new reading of the dam.
    until
        Last local day to request.
    provisional_days
        Newest stored days that are requested again.
    """

    now: datetime
    before: datetime
    until: date
    provisional_days: int
    time_zone: str


def due_spans(gauge: Gauge, stored: pl.DataFrame, context: FetchContext) -> list[Span]:
    """Spans of days to request: the newest days first, then older gaps, from the newest to the oldest.

    A file is read completely each time: that is cheap, and it may be corrected anywhere.

    Parameters
    ----------
    stored
        The first version of every stored reading of the gauge (`tables.OBSERVATIONS`).
    """
    if gauge.file is not None or stored.is_empty():
        return [(None, context.until)]
    day = gauge.local_day(context.time_zone).alias("day")
    days = stored.group_by(day).agg(pl.col("fetched_at").min()).sort("day")
    resume = days["day"][-1] - context.provisional_days * DAY
    gaps = [(first, min(last, resume - DAY, context.until)) for first, last in _due_gaps(days, context)]
    merged = _merge_gaps([(first, last) for first, last in gaps if first <= last], max_days=context.provisional_days)
    newest: list[Span] = [(resume, context.until)] if resume <= context.until else []
    return newest + list(reversed(merged))


def _due_gaps(days: pl.DataFrame, context: FetchContext) -> Iterator[tuple[date, date]]:
    """First and last day of each gap that is due, in time order.

    A gap is detected when the readings after it are fetched. It is due 1, 2, 4, 8 and 16 days later and then every 30
    days, at the first fetch after each of these: agencies fill gaps late or never, and a gap that is never filled must
    not cost a request in every fetch. A request that fails is repeated a month later at the latest.
    """
    following = pl.col("day", "fetched_at").shift(-1).name.suffix("_after")
    gaps = days.with_columns(following).filter(pl.col("day_after") - pl.col("day") > DAY)
    for before, after, detected in gaps.select("day", "day_after", "fetched_at_after").iter_rows():
        if _times_due(detected, context.now) > _times_due(detected, context.before):
            yield before + DAY, after - DAY


def _times_due(detected: datetime, at: datetime) -> int:
    """How often a gap of that time of detection has been due until `at`.

    >>> monday = datetime(2024, 1, 1)
    >>> [_times_due(monday, monday + days * DAY) for days in (0, 1, 2, 3, 4, 7, 8, 16, 29, 30, 60)]
    [0, 1, 2, 2, 3, 3, 4, 5, 5, 6, 7]
    """
    age = max((at - detected).days, 0)
    return min(age, DOUBLING_DAYS).bit_length() + age // REPEAT_DAYS


def _merge_gaps(gaps: list[tuple[date, date]], *, max_days: int) -> list[tuple[date, date]]:
    """`gaps` in time order, merged where at most `max_days` lie between: a few extra days cost less than a request.

    There are at most `MAX_GAPS`; of more, the oldest are merged.
    """
    merged: list[tuple[date, date]] = []
    for first, last in gaps:
        if merged and (first - merged[-1][1]).days <= max_days:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    if len(merged) > MAX_GAPS:
        oldest, merged = merged[: 1 - MAX_GAPS], merged[1 - MAX_GAPS :]
        merged = [(oldest[0][0], oldest[-1][1]), *merged]
    return merged
