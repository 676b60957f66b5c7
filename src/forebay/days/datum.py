"""The target's datum: readings before and after a step of datum belong to two segments, each valid by itself.

A step that the dam file does not state is found by the screen (`flags`, reason "step"). Until the dam file states its
offset, thresholds and storage cannot be told in the new segment: they are given on the datum before it.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from forebay.dams.dam import Dam


def on_one_datum(daily: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """The daily frame with the target on the dam file's own datum: the offsets that it states are taken off."""
    if not dam.datum_offsets:
        return daily
    stated = sorted(dam.datum_offsets, key=lambda offset: offset.from_)
    starts = np.array([offset.from_ for offset in stated], "datetime64[D]")
    offsets = np.array([0.0, *(offset.offset for offset in stated)])
    in_force = pl.Series(offsets[np.searchsorted(starts, daily["date"].to_numpy(), side="right")])
    target = dam.target_gauge.column
    return daily.with_columns((pl.col(target) - in_force).alias(target))


def segments(daily: pl.DataFrame, flags: pl.DataFrame, dam: Dam, day: date) -> pl.Series:
    """Number of each day's datum segment, 0 for the first, as known at the end of `day`.

    A change between days of different segments is missing.

    Parameters
    ----------
    found
        Flags (`prepare.flags`) of the frame on one datum.
    """
    steps = _steps(flags, dam, day)
    begun = np.searchsorted(steps.to_numpy(), daily["date"].to_numpy(), side="right")
    return pl.Series("segment", begun, dtype=pl.Int32)


def withheld_from(flags: pl.DataFrame, dam: Dam, day: date) -> date | None:
    """First day of a datum that the dam file does not state, as known at the end of `day`; None if there is none.

    From it on thresholds and storage are withheld.
    """
    steps = _steps(flags, dam, day)
    return None if steps.is_empty() else steps[0]


def withheld_days(daily: pl.DataFrame, flags: pl.DataFrame, dam: Dam) -> pl.Series:
    """Whether thresholds and storage are withheld on each day, as known at its end."""
    is_step = (pl.col("gauge") == dam.target_gauge.column) & (pl.col("reason") == "step")
    known_on = flags.filter(is_step)["known_on"].min()
    return (daily["date"] >= known_on) if known_on is not None else pl.Series([False]).new_from_index(0, len(daily))


def _steps(flags: pl.DataFrame, dam: Dam, day: date) -> pl.Series:
    is_step = (pl.col("gauge") == dam.target_gauge.column) & (pl.col("reason") == "step")
    return flags.filter(is_step, pl.col("known_on") <= day)["date"].unique().sort()
