"""Latency as fetches show it: when a reading was not yet published, and how long after its interval it was available.

A fetch that requests a day and does not get its reading proves that the reading was not available. The next fetch with
the reading gives an upper bound. Readings of the first fetch of a record have no such bounds: they may be years old.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.archive.views import interval_end
from forebay.tables import INSTANT

if TYPE_CHECKING:
    from forebay.dams.gauge import Gauge

MIN_FETCHES = 30
"""Fewest fetches of a gauge from which its latency is learned."""
MIN_READINGS = 30
"""Fewest readings with both bounds."""
MAX_WIDTH_H = 36.0
"""Largest difference of the two bounds of a reading: fetches that are farther apart show nothing about it."""
SHARE = 0.9
"""The learned latency covers this share of the readings."""
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class LearnedLatency:
    """Latency of a gauge as its fetches show it.

    Attributes
    ----------
    fetches, readings
        Number of fetches, and of readings with both bounds.
    least_h, most_h
        Hours after the interval's end: a share of `SHARE` of the readings was available after `most_h`, and not before
        `least_h`. None with too few fetches or readings.
    """

    fetches: int
    readings: int
    least_h: float | None = None
    most_h: float | None = None

    @property
    def text(self) -> str:
        """The bounds for readers: "learned 9–33 h, 45 fetches"; empty with too few fetches or readings."""
        if self.least_h is None or self.most_h is None:
            return ""
        return f"learned {floor(self.least_h)}–{ceil(self.most_h)} h, {self.fetches:,} fetches"


def last_misses(readings: pl.DataFrame, fetches: pl.DataFrame, gauge: Gauge, time_zone: str) -> pl.Series:
    """The last fetch before that of each reading that requested its day and did not get it; null without one.

    Parameters
    ----------
    readings
        time and fetched_at of first versions.
    fetches
        fetched_at, first_day and last_day of the gauge's fetches (`fetch_log.FETCHED_SPANS`), by fetched_at.
    """
    day = readings.select(gauge.local_day(time_zone).to_physical()).to_series().to_numpy()
    stamps = fetches["fetched_at"].to_physical().to_numpy()
    first = fetches["first_day"].to_physical().fill_null(np.iinfo(np.int32).min).to_numpy()
    last = fetches["last_day"].to_physical().to_numpy()
    span = np.searchsorted(stamps, readings["fetched_at"].to_physical().to_numpy(), side="left") - 1
    is_open = span >= 0
    while is_open.any():  # one step in most cases: the fetch before requested the newest days
        at = np.maximum(span, 0)
        is_open = (span >= 0) & ((day < first[at]) | (day > last[at]))
        span = np.where(is_open, span - 1, span)
    stamp = pl.Series(stamps[np.maximum(span, 0)] if len(stamps) else np.zeros(len(span), int), dtype=pl.Int64)
    nothing = pl.Series([None], dtype=pl.Int64)
    return stamp.zip_with(pl.Series(span >= 0), nothing).cast(INSTANT).alias("missed_at")


def missed_readings(readings: pl.DataFrame, fetches: pl.DataFrame, gauge: Gauge, time_zone: str) -> pl.DataFrame:
    """time, missed_at of the readings that a fetch looked for in vain when they should have been available."""
    published = interval_end(pl.col("time"), gauge, time_zone) + gauge.ready_after
    table = readings.with_columns(last_misses(readings, fetches, gauge, time_zone))
    return table.filter(pl.col("missed_at") >= published).select("time", "missed_at")


def learned_latency(readings: pl.DataFrame, fetches: pl.DataFrame, gauge: Gauge, time_zone: str) -> LearnedLatency:
    """Latency of a gauge; parameters as in `last_misses`, of the first versions with a value."""
    count = fetches["fetched_at"].n_unique()
    end = interval_end(pl.col("time"), gauge, time_zone)
    bounds = readings.with_columns(last_misses(readings, fetches, gauge, time_zone)).select(
        least=((pl.col("missed_at") - end) / _HOUR).clip(0.0), most=(pl.col("fetched_at") - end) / _HOUR
    )
    bounds = bounds.filter(pl.col("most") - pl.col("least") <= MAX_WIDTH_H)
    if count < MIN_FETCHES or len(bounds) < MIN_READINGS:
        return LearnedLatency(count, len(bounds))
    least, most = bounds.select(pl.all().quantile(SHARE, "higher")).row(0)
    return LearnedLatency(count, len(bounds), float(least), float(most))


def latency_note(gauge: Gauge, label: str, learned: LearnedLatency) -> str | None:
    """A sentence if most readings are later than the dam file says, with the value to write into it; otherwise None."""
    if learned.least_h is None or learned.most_h is None or learned.least_h <= gauge.latency_h:
        return None
    least, most = floor(learned.least_h), ceil(learned.most_h)
    return (
        f"{label} arrives {least} to {most} h after the end of its interval (learned from {learned.fetches:,} fetches)"
        f", but the dam file says latency_h = {gauge.latency_h:g}, so hindcasts know it too early; "
        f"set latency_h = {most}"
    )
