"""Hits, misses and false alarms of an alert that was raised on some init dates.

An event is a spell of days with a level beyond the threshold; days beyond it that are at most 10 days apart are one
event. It is a hit at a lead time of k days if the alert was raised by the forecast of k days before its first day. An
alert is a false alarm if no day of an event lies between its init date and `within_days` after its last one. So several
alerts about one event are no false alarms, and the event is one hit.

An alert that is always raised must not score well. Therefore each time that a raised alert is wrong on more than 10
consecutive days is a false alarm, too. A day is wrong if no day of an event lies within `within_days` of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.models.exceedance import signed
from forebay.verify.scorecard import EVENT_GAP

if TYPE_CHECKING:
    from forebay.dams.thresholds import ReferenceLevel
    from forebay.features.samples import Samples
    from forebay.models.exceedance import Direction
    from forebay.models.model import Array

LEADS = (1, 2)
"""Lead times (days) at which alerts are scored."""
DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class AlertDays:
    """An alert on consecutive days, shape (n,).

    Attributes
    ----------
    raised
        Whether the alert is raised after the forecast of the day.
    beyond
        1 where the level of the day is beyond the threshold, 0 where not, NaN where unknown.
    scored
        Whether alerts of the day count.
    within_days
        The days ahead that the alert is about.
    """

    raised: NDArray[np.bool_]
    beyond: Array
    scored: NDArray[np.bool_]
    within_days: int


def days_beyond(samples: Samples, level: ReferenceLevel, direction: Direction) -> Array:
    """`AlertDays.beyond` of the observed levels, by the threshold that is in force on each day."""
    dates = pl.Series(samples.dates).cast(pl.Date)
    distance = samples.observed - level.on(dates).cast(pl.Float64).to_numpy().astype(float)
    if samples.withheld is not None:
        distance = np.where(samples.withheld, np.nan, distance)
    return np.where(np.isnan(distance), np.nan, signed(distance, direction) >= 0)


def event_starts(beyond: Array) -> NDArray[np.intp]:
    """First day of each event: of days beyond the threshold, more than `EVENT_GAP` days after the one before.

    >>> event_starts(np.array([0, 1, 1, 0, 0, 1] + [0] * 10 + [1.0]))
    array([ 1, 16])
    """
    days = np.flatnonzero(beyond == 1)
    return days[np.diff(days, prepend=-EVENT_GAP - 1) > EVENT_GAP]


def event_days(beyond: Array) -> NDArray[np.bool_]:
    """Whether each day belongs to an event: from its first day to its last one, with the pauses between.

    >>> event_days(np.array([0, 1, 0, 1, 0.0]))
    array([False,  True,  True,  True, False])
    """
    inside: NDArray[np.bool_] = np.asarray(beyond == 1)
    days = np.flatnonzero(inside)
    for first, second in pairwise(days.tolist()):
        if second - first <= EVENT_GAP:
            inside[first:second] = True
    return inside


def spells(raised: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last day of each spell in which the alert is raised.

    >>> spells(np.array([True, False, True, True]))
    [(0, 0), (2, 3)]
    """
    steps = np.diff(np.concatenate(([0], raised.astype(int), [0])))
    return list(zip(np.flatnonzero(steps == 1).tolist(), (np.flatnonzero(steps == -1) - 1).tolist(), strict=True))


def score_alert(alert: AlertDays, lead: int) -> dict[str, object]:
    """The columns of `verify.tables.ALERT_SCORES` from `lead_time` on."""
    raised_spells = spells(alert.raised)
    starts = [int(day) for day in event_starts(alert.beyond) if day >= lead and alert.scored[day - lead]]
    known = [day for day in starts if alert.beyond[day - 1] == 0]
    hits = [day for day in known if alert.raised[day - lead]]
    scored_spells = spells(alert.raised & alert.scored)
    outcomes = [outcome_of(alert, *spell) for spell in scored_spells]
    unknown = outcomes.count(None)
    false = sum(false_alarms(alert, *spell) for spell in scored_spells)
    count, total = int(alert.scored.sum()), len(known) + false
    times = [_time_before(alert, day, lead, raised_spells) for day in hits]
    return {
        "lead_time": lead,
        "n": count,
        "events": len(known),
        "hits": len(hits),
        "misses": len(known) - len(hits),
        "alarms": len(outcomes) - unknown,
        "false_alarms": false,
        "csi": len(hits) / total if total else None,
        "false_alarms_per_year": false * DAYS_PER_YEAR / count if count else None,
        "lead_days": float(np.median(times)) if times else None,
        "raised_share": float(alert.raised[alert.scored].mean()) if count else None,
        "left_out_events": len(starts) - len(known),
        "left_out_alarms": unknown,
    }


def outcome_of(alert: AlertDays, first: int, last: int) -> bool | None:
    """Whether an event came while an alert was raised or within the days that it was about; None if that is unknown."""
    until = last + alert.within_days
    if event_days(alert.beyond)[first : until + 1].any():
        return True
    is_unknown = np.isnan(alert.beyond[first : until + 1]).any() or until >= len(alert.beyond)
    return None if is_unknown else False


def false_alarms(alert: AlertDays, first: int, last: int) -> int:
    """Number of false alarms of an alert that was raised from day `first` to `last`; what is unknown is none."""
    outcome = outcome_of(alert, first, last)
    if not outcome:
        return int(outcome is False)
    inside = event_days(alert.beyond)
    wrong = np.array([not inside[day : day + alert.within_days + 1].any() for day in range(first, last + 1)])
    runs = [(first + start, first + end) for start, end in spells(wrong) if end - start + 1 > EVENT_GAP]
    windows = [alert.beyond[start : end + alert.within_days + 1] for start, end in runs]
    return sum(
        not np.isnan(window).any() and end + alert.within_days < len(alert.beyond)
        for window, (_, end) in zip(windows, runs, strict=True)
    )


def _time_before(alert: AlertDays, day: int, lead: int, raised_spells: Sequence[tuple[int, int]]) -> int:
    """Days from the start of the alert to the event on `day`, or from the end of the event before if that is later."""
    start = max(first for first, _ in raised_spells if first <= day - lead)
    earlier = np.flatnonzero(alert.beyond[:day] == 1)
    return day - max(start, int(earlier[-1]) if len(earlier) else 0)


def score_at_leads(alert: AlertDays, leads: Sequence[int] = LEADS) -> list[dict[str, object]]:
    """`score_alert` at each lead time."""
    return [score_alert(alert, lead) for lead in leads]
