"""Delays: by how many days the values of drivers are too late for the forecast of their own day."""

from __future__ import annotations

import math
from datetime import date, time, timedelta
from typing import TYPE_CHECKING

from forebay.dams.local_time import day_start, init_time

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge


def delay_days(gauge: Gauge, dam: Dam) -> int:
    """Whole days by which a driver's daily value is too late for the forecast of its own day; 0 for the target.

    A day's forecast is issued when the target's value of that day is available. A driver whose day ends later, or whose
    latency is longer than the target's, is used one or more days late.
    """
    if gauge.role == "target":
        return 0
    day = date(2001, 1, 10)
    ends = day_start(day, dam.time_zone, gauge.day_start)
    if gauge.reading == "instantaneous" and gauge.reading_at is not None:
        ends = day_start(day, dam.time_zone, gauge.reading_at)
    elif gauge.interval != "day" or gauge.day_start == time(0):  # sub-daily numbers fill the calendar day
        ends = init_time(day, dam.time_zone)
    late = ends + gauge.ready_after - (init_time(day, dam.time_zone) + dam.target_gauge.ready_after)
    return max(0, math.ceil(late / timedelta(days=1)))


def input_delay(gauge: Gauge, dam: Dam) -> int:
    """Whole days by which the newest value of a driver's inputs is older than the day: its own, or a substitute's."""
    substitutes = dam.substitutes.get(gauge.column, ())
    columns = (gauge.column, *substitutes)
    return min(delay_days(source, dam) for source in dam.gauges if source.column in columns)


def with_late_drivers(dam: Dam) -> Dam:
    """The dam with every driver known a day later, to measure what late data cost."""
    gauges = []
    for gauge in dam.gauges:
        late = gauge
        while gauge.role != "target" and delay_days(late, dam) == delay_days(gauge, dam):
            late = late.model_copy(update={"latency_h": late.latency_h + 24})
        gauges.append(late)
    return dam.model_copy(update={"gauges": tuple(gauges)})
