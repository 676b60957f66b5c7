"""Selection of one version per reading: pure functions from versions to versions.

`versions` are rows of `database.VERSION_COLUMNS`, sorted by series, time, fetched_at; a key is (series, time).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.local_time import to_local, to_utc
from forebay.dams.variables import DAY_S
from forebay.tables import WITHDRAWN

if TYPE_CHECKING:
    from forebay.dams.gauge import Gauge

KEY = ("series", "time")
SERIES = ("source", "station", "variable", "aggregate", "interval", "rules")
"""What identifies a series."""

CONTENT = ("value", "raw_value", "quality", "quality_code")
"""Contents of a version; a revision differs from the version before in one of these."""


def newest_versions(versions: pl.DataFrame) -> pl.DataFrame:
    """The last version of each key."""
    return versions.filter(~_same_key(-1))


def current_versions(versions: pl.DataFrame) -> pl.DataFrame:
    """The last version of each key, without keys that are withdrawn."""
    return newest_versions(versions).filter(pl.col("quality") != WITHDRAWN)


def first_versions(versions: pl.DataFrame) -> pl.DataFrame:
    """The first version of each key."""
    return versions.filter(~_same_key(1))


def revisions(versions: pl.DataFrame) -> pl.DataFrame:
    """Every version that replaced an earlier one, with the contents of that one as `old_…`."""
    old = [pl.col(name).shift().alias(f"old_{name}") for name in versions.columns if name not in KEY]
    return versions.with_columns(*old, _same_key(1).alias("same")).filter("same").drop("same")


def without_placeholders(versions: pl.DataFrame) -> pl.DataFrame:
    """`versions` without those of each key before its first value: cells that an agency fills later."""
    has_value = pl.col("value").is_not_null()
    return versions.filter(has_value.cum_max().over(KEY) | ~has_value.any().over(KEY))


def _same_key(rows: int) -> pl.Expr:
    """Whether a row has the key of the row that is `rows` before it; versions are sorted by key."""
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(rows) for name in KEY)
    return same.fill_null(False)  # null: there is no such row


def known_versions(
    versions: pl.DataFrame, gauge: Gauge, instant: datetime, time_zone: str, missed_at: pl.Expr | None = None
) -> pl.DataFrame:
    """The version of each key that is known at `instant`, as if the gauge had always been fetched on time.

    The first version of a key is known from the end of its interval plus the gauge's latency, or from `fetched_at` if
    that is earlier: a record fetched today was published long ago. A revision is known from its `fetched_at` on.

    Parameters
    ----------
    missed_at
        The last fetch that looked for the reading in vain: its first version is known only after it.
    """
    published = interval_end(pl.col("time"), gauge, time_zone) + gauge.ready_after
    known = pl.when(_same_key(1)).then("fetched_at").otherwise(pl.min_horizontal("fetched_at", published))
    is_known = known <= instant
    if missed_at is not None:
        is_known &= _same_key(1) | (missed_at < instant).fill_null(True)
    return current_versions(versions.filter(is_known))


def interval_end(start: pl.Expr, gauge: Gauge, time_zone: str) -> pl.Expr:
    """End of the interval of `gauge` that begins at `start` (UTC).

    A day is a local day, 23 or 25 hours long at a clock change; an instantaneous reading ends when it begins.
    """
    if gauge.table_interval != DAY_S:
        return start + timedelta(seconds=gauge.table_interval)
    # Where clocks change at the start of a day (São Paulo until 2019), one day begins at 01:00, the next at 00:00. So
    # the end follows from the gauge's day start, and from the row's own time of day only where that differs.
    since_midnight = timedelta(hours=gauge.day_start.hour, minutes=gauge.day_start.minute)
    clock = to_local(start, time_zone)
    begins = (clock - since_midnight).dt.truncate("1d") + since_midnight
    day = timedelta(days=1)
    on_time = to_utc(begins, time_zone) == start
    return pl.when(on_time).then(to_utc(begins + day, time_zone)).otherwise(to_utc(clock + day, time_zone))
