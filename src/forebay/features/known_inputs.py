"""The inputs of each day as they were known at its end: screened daily tables and a mask go in, a table comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.days import datum
from forebay.features.inputs import BALANCE, BY_SLOPE, CONTEXT, build_inputs
from forebay.features.outages import HiddenValues, build_extended_inputs
from forebay.features.substitutes import LATE, SUBSTITUTIONS, build_with_substitutes, substitutions, without_late
from forebay.screen.flags import daily_by_period, daily_known_on, screen_daily

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.hindcast import DateRange


@dataclass(frozen=True)
class ScreenedDaily:
    """The daily table in two versions up to the same day, with the flags of each.

    Attributes
    ----------
    known
        From the first version of every reading: inputs of all days but the last come from it.
    newest
        From the newest versions: the last day's inputs come from it.
    known_flags, newest_flags
        `screen.flags.FLAGS` of `known` and of `newest`.
    withheld_from
        First day of a datum that the dam file does not state, as known at the end of the last day; None if there is
        none.
    withheld
        Whether each day lies on such a datum, as known at its end, shape (n,).
    late
        `substitutes.LATE` of a dam with substitutes, otherwise empty.
    """

    known: pl.DataFrame
    newest: pl.DataFrame
    known_flags: pl.DataFrame
    newest_flags: pl.DataFrame
    withheld_from: date | None
    withheld: NDArray[np.bool_]
    late: pl.DataFrame = field(default_factory=LATE.empty)

    @property
    def last(self) -> date:
        """The last day of both tables."""
        last: date = self.known["date"][-1]
        return last


def screen_versions(
    known: pl.DataFrame, newest: pl.DataFrame, dam: Dam, late: pl.DataFrame | None = None
) -> ScreenedDaily:
    """Both daily tables, `newest` up to the last day of `known`, with their flags and the days on an unknown datum.

    Parameters
    ----------
    late
        `substitutes.LATE`; it counts only in a dam with substitutes.
    """
    last = known["date"][-1]
    newest = newest.filter(pl.col("date") <= last)
    late = late if late is not None and dam.substitutes else LATE.empty()
    known_flags, newest_flags = (screen_daily(without_late(daily, late), dam) for daily in (known, newest))
    withheld_from = datum.withheld_from(newest_flags, dam, last)
    withheld = datum.withheld_days(known, known_flags, dam).to_numpy().copy()
    withheld[-1] = withheld_from is not None
    return ScreenedDaily(known, newest, known_flags, newest_flags, withheld_from, withheld, late)


def inputs_as_known(screened: ScreenedDaily, dam: Dam) -> pl.DataFrame:
    """`inputs.build_inputs` with each day's row from what was known at its end; one row per day."""
    return _rows_as_known(screened, dam, lambda daily: build_inputs(daily, dam), hidden=None)


def substitutions_as_known(screened: ScreenedDaily, dam: Dam) -> pl.DataFrame:
    """`substitutes.SUBSTITUTIONS` of all init dates; empty for a dam without substitutes."""
    if not dam.substitutes:
        return SUBSTITUTIONS.empty()
    periods = list(_known_periods(screened, dam, hidden=None))
    ends = [*(start for start, _, _ in periods[1:]), date.max]
    tables = (
        substitutions(daily, dam, late, start).filter(pl.col("init_date") < end)
        for (start, daily, late), end in zip(periods, ends, strict=True)
    )
    return pl.concat(tables).sort(SUBSTITUTIONS.key)


def extended_inputs_as_known(
    screened: ScreenedDaily, dam: Dam, *, hidden: HiddenValues | None = None
) -> pl.DataFrame:
    """`outages.build_extended_inputs` with each day's row from what was known at its end; one row per day.

    Parameters
    ----------
    hidden
        Values to take as missing, on top of those that are.
    """
    return _rows_as_known(screened, dam, lambda daily: build_extended_inputs(daily, dam), hidden=hidden)


def _rows_as_known(
    screened: ScreenedDaily,
    dam: Dam,
    build: Callable[[pl.DataFrame], pl.DataFrame],
    *,
    hidden: HiddenValues | None,
) -> pl.DataFrame:
    """`build` of the daily tables, with each day's row from what was known at its end."""
    tables = (
        (start, build_with_substitutes(daily, dam, late, start, build) if dam.substitutes else build(daily))
        for start, daily, late in _known_periods(screened, dam, hidden=hidden)
    )
    return _withhold_datum(_newest_rows(tables), screened.withheld, dam)


def in_date_ranges(dates: NDArray[np.datetime64], ranges: tuple[DateRange, ...]) -> NDArray[np.bool_]:
    """Whether each of `dates` lies in one of `ranges`, both ends included; shape (n,)."""
    inside = np.zeros(len(dates), bool)
    for limits in ranges:
        inside |= (dates >= np.datetime64(limits.from_)) & (dates <= np.datetime64(limits.to))
    return inside


def excluded_days(daily: pl.DataFrame, dam: Dam) -> NDArray[np.bool_]:
    """Whether the dam file excludes each day of `daily` from verification, since its level is known to be wrong."""
    return in_date_ranges(daily["date"].to_numpy().astype("datetime64[D]"), dam.hindcast.verification_exclude)


def _known_periods(
    screened: ScreenedDaily, dam: Dam, *, hidden: HiddenValues | None
) -> Iterator[tuple[date, pl.DataFrame, pl.DataFrame]]:
    """First day of a period, the daily table as known in it, and the late values; the last day's from `newest`.

    What `newest` has is known on the last day, however late it was.
    """
    known, newest = (_mask_values(daily, dam, hidden) for daily in (screened.known, screened.newest))
    for start, daily in daily_by_period(known, screened.known_flags, dam):
        yield start, daily, screened.late
    late = screened.late.with_columns(pl.min_horizontal("known_on", pl.lit(screened.last)).alias("known_on"))
    yield screened.last, daily_known_on(newest, screened.newest_flags, screened.last, dam), late


def _newest_rows(tables: Iterable[tuple[date, pl.DataFrame]]) -> pl.DataFrame:
    """One row per day, from the last of `tables` (first valid day, rows) that is valid on the day."""
    rows = pl.concat(table.filter(pl.col("date") >= start) for start, table in tables)
    return rows.unique("date", keep="last", maintain_order=True)


def _mask_values(daily: pl.DataFrame, dam: Dam, hidden: HiddenValues | None) -> pl.DataFrame:
    """`daily` without the target's values on excluded days and without the `hidden` values."""
    target = dam.target.variable
    masked = daily.with_columns(pl.when(~pl.Series(excluded_days(daily, dam))).then(target).alias(target))
    if hidden is None:
        return masked
    visible = ~pl.Series(hidden.days)
    return masked.with_columns(pl.when(visible).then(column).alias(column) for column in hidden.columns)


def _withhold_datum(rows: pl.DataFrame, withheld: NDArray[np.bool_], dam: Dam) -> pl.DataFrame:
    """`rows` without the inputs that depend on the datum, on the days on which the dam file's datum does not apply."""
    dependent = [name for name in rows.columns if name in (f"{CONTEXT}below_full", f"{CONTEXT}level")]
    if dam.target.variable == "reservoir_level" and dam.storage_curves:
        dependent += [name for name in rows.columns if name.startswith(BALANCE) or name.endswith(BY_SLOPE)]
    return rows.with_columns(pl.when(~pl.Series(withheld)).then(pl.col(name)).alias(name) for name in dependent)
