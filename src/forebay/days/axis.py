"""The axis of local days on which a dam's gauges are joined; days without a reading get the flag "absent"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.tables import flag_of

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

_NO_DAY, _NO_VALUE = pl.Series("date", [None], pl.Date), pl.Series([None], dtype=pl.Float64)
_ABSENT = pl.Series(["absent"])


def join_gauges(parts: Sequence[pl.DataFrame], dam: Dam, first_day: date | None, last_day: date | None) -> pl.DataFrame:
    """Daily table of the dam: a row per local day, the columns of all parts in the order of the dam's gauges.

    Parameters
    ----------
    parts
        date, then the value and flag of one or more gauges, by rising date; each gauge in one part.
    first_day, last_day
        First and last row; by default the first and last date of any part.
    """
    dates = [part["date"] for part in parts if not part.is_empty()]
    first = first_day or min((days[0] for days in dates), default=None)
    last = last_day or max((days[-1] for days in dates), default=None)
    days = pl.Series("date", [], pl.Date)
    if first is not None and last is not None:
        complete = [days for days in dates if days[0] == first and days[-1] == last and _without_gap(days)]
        days = complete[0] if complete else pl.date_range(first, last, eager=True).alias("date")
    columns = {series.name: series for part in parts for series in _on_days(part, days).iter_columns()}
    order = [name for gauge in dam.gauges for name in (gauge.column, flag_of(gauge.column))]
    dam_ids = pl.Series("dam", [dam.id], pl.String).new_from_index(0, len(days))
    return pl.DataFrame({"dam": dam_ids, "date": days} | {name: columns[name] for name in order})


def _on_days(part: pl.DataFrame, days: pl.Series) -> pl.DataFrame:
    """The rows of `part` (date, then values and flags in turn) on `days`, with absent rows for its other days."""
    dates = part["date"]
    if len(part) != 0 and (dates[0] < days[0] or dates[-1] > days[-1]):
        part = part.filter(pl.col("date").is_between(days[0], days[-1]))
        dates = part["date"]
    if len(part) == len(days):
        return part
    if len(part) != 0 and _without_gap(dates):
        before, after = (dates[0] - days[0]).days, (days[-1] - dates[-1]).days
        part = _absent(part, before).vstack(part) if before else part
        return part.vstack(_absent(part, after)) if after else part
    part_rows = np.full(len(days), len(part))
    part_rows[dates.cast(pl.Int32).to_numpy() - days.cast(pl.Int32)[0]] = np.arange(len(part))
    return part.vstack(_absent(part, 1))[part_rows]


def _without_gap(dates: pl.Series) -> bool:
    """Whether the rising `dates` are all days from the first to the last."""
    return bool(dates[-1] - dates[0] == timedelta(days=len(dates) - 1))


def _absent(part: pl.DataFrame, count: int) -> pl.DataFrame:
    """`count` rows with the columns of `part`, for days without a reading."""
    cells = [_NO_DAY, *(_ABSENT if n % 2 else _NO_VALUE for n in range(part.width - 1))]
    columns = zip(part.columns, cells, strict=True)
    return pl.DataFrame([cell.new_from_index(0, count).alias(name) for name, cell in columns])
