"""The target's datum: readings before and after a step of datum are valid, each on its own datum.

The screen detects a step that the dam file does not state (flag "step"). Thresholds and storage refer to the datum
before the step. After it they are withheld until the dam file states the offset.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from forebay.dams.dam import Dam


def on_one_datum(daily: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """The daily table with the target on the dam file's datum: stated offsets are subtracted."""
    if not dam.datum_offsets:
        return daily
    stated = sorted(dam.datum_offsets, key=lambda offset: offset.from_)
    starts = np.array([offset.from_ for offset in stated], "datetime64[D]")
    offsets = np.array([0.0, *(offset.offset for offset in stated)])
    day_offsets = pl.Series(offsets[np.searchsorted(starts, daily["date"].to_numpy(), side="right")])
    target = dam.target_gauge.column
    return daily.with_columns((pl.col(target) - day_offsets).alias(target))


def withheld_from(flags: pl.DataFrame, dam: Dam, day: date) -> date | None:
    """First day of a datum that the dam file does not state, as known at the end of `day`; None if there is none.

    Thresholds and storage are withheld from this day on.
    """
    days = _steps(flags, dam).filter(pl.col("known_on") <= day)["date"].sort()
    return None if days.is_empty() else days[0]


def withheld_days(daily: pl.DataFrame, flags: pl.DataFrame, dam: Dam) -> pl.Series:
    """Whether thresholds and storage are withheld on each day, as known at its end."""
    known_on = _steps(flags, dam)["known_on"].min()
    return (daily["date"] >= known_on) if known_on is not None else pl.Series([False]).new_from_index(0, len(daily))


def _steps(flags: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """Flags of the target's steps."""
    return flags.filter(pl.col("gauge") == dam.target_gauge.column, pl.col("reason") == "step")
