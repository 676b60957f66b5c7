"""Readings that arrived late: fetches looked for them in vain when the dam file says that they are available.

The first fetch after the time of a day's forecast decides what that forecast knows. A live forecast after that fetch
and the day's hindcast therefore have the same readings.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.delays import delay_days
from forebay.dams.local_time import to_local, to_utc
from forebay.dams.staff_gauge import staff_gauge
from forebay.days.staff_readings import staff_day
from forebay.features.substitutes import LATE
from forebay.tables import INSTANT, Table

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam

MISSED = Table(
    "missed readings",
    {"gauge": pl.String(), "time": INSTANT, "date": pl.Date(), "missed_at": INSTANT},
    ("gauge", "time"),
)
"""Readings of drivers, their local day, and the last fetch that looked for them in vain."""


def missed_readings(dam: Dam, archive: Archive) -> pl.DataFrame:
    """`MISSED` of a dam with substitutes; empty for any other, whose hindcast knows every reading on time."""
    parts = [MISSED.empty()]
    for gauge in dam.gauges if dam.substitutes else ():
        if gauge.role != "target":
            day = gauge.local_day(dam.time_zone).alias("date")
            missed = archive.missed(gauge, dam.time_zone).with_columns(pl.lit(gauge.column).alias("gauge"), day)
            parts.append(MISSED.check(missed))
    return pl.concat(parts)


def late_days(missed: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """`substitutes.LATE`: days whose values arrived later than the delay of their gauge.

    A forecast of day d is issued when the target of d is available; it knows a reading if the last miss was before.
    """
    parts = [LATE.empty()]
    issue = to_local(pl.col("missed_at") - dam.target_gauge.ready_after, dam.time_zone).dt.date()
    for gauge in dam.gauges:
        days = missed.filter(pl.col("gauge") == gauge.column).group_by("date").agg(issue.max().alias("known_on"))
        late = days.filter(pl.col("known_on") > pl.col("date").dt.offset_by(f"{delay_days(gauge, dam)}d"))
        parts.append(LATE.check(late.sort("date").with_columns(pl.lit(gauge.column).alias("gauge"))))
    return pl.concat(parts)


def first_readings(dam: Dam, archive: Archive) -> pl.DataFrame:
    """The first version of every reading: what a hindcast may use, as far as it was known.

    A reading by hand is known from its entry on, and never before: one that was entered later is left out.
    In a dam with substitutes an empty cell of a driver is no reading, as long as the agency fills it later.
    """
    staff = _staff_on_time(dam, archive)
    if not dam.substitutes:
        return pl.concat([archive.first_known(dam.gauges), staff])
    drivers = [archive.first_arrived(gauge) for gauge in dam.gauges if gauge.role != "target"]
    return pl.concat([archive.first_known([dam.target_gauge]), staff, *drivers])


def _staff_on_time(dam: Dam, archive: Archive) -> pl.DataFrame:
    """The first version of each reading by hand that was stored by the time of its day's forecast."""
    readings = archive.first_known([staff_gauge(dam)])
    end = to_utc((staff_day(dam) + timedelta(days=1)).cast(pl.Datetime("us")), dam.time_zone)
    return readings.filter(pl.col("fetched_at") <= end + dam.target_gauge.ready_after)


def known_readings(dam: Dam, archive: Archive, instant: datetime) -> pl.DataFrame:
    """The readings that are known at `instant`; in a dam with substitutes, drivers' readings from their arrival on.

    A reading by hand is known from its entry on.
    """
    staff = archive.as_of([staff_gauge(dam)], instant).filter(pl.col("time") <= instant)
    if not dam.substitutes:
        return pl.concat([archive.known_at(dam.gauges, instant, dam.time_zone), staff])
    drivers = [archive.arrived_at(g, instant, dam.time_zone) for g in dam.gauges if g.role != "target"]
    return pl.concat([archive.known_at([dam.target_gauge], instant, dam.time_zone), staff, *drivers])
