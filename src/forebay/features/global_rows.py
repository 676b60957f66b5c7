"""Training rows of the global model: scale-free inputs and changes of one dam, as of records of many lengths."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.dams.local_time import to_utc
from forebay.features.scale_free import SCALE, LevelRecord, scale_free_inputs

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples

SHORT_DAYS, STEP_DAYS = 730, 500
"""Length of a short record, and days between the first days of two of them."""
MIN_DAYS = 200
"""Least length of a short record."""
ROWS = 10_000
"""Rows of one dam, drawn at random from all its records."""
FIRST_END = timedelta(hours=10)
"""Time (UTC) of the end of a calendar day where it ends first, at UTC+14: a forecast of this day may then exist."""


def global_rows(samples: Samples, dam: Dam, *, seed: int = 0, count: int = ROWS) -> pl.DataFrame:
    """Rows that the global model learns from: inputs with the prefix `scale_free.GLOBAL`, and what followed.

    The statistics of a short record are uncertain, and the model must know how uncertain. So each dam counts as its
    whole record and as records of two years that begin every 500 days. Each row has one lead time, drawn at random.

    Parameters
    ----------
    seed
        Of the draws.
    count
        Largest number of rows.

    Returns
    -------
    DataFrame
        The inputs, dam, lead_time, valid_date, known_date (`known_dates`), change (in units of the scale, never
        missing).
    """
    days = len(samples.dates)
    starts = range(0, days - MIN_DAYS, STEP_DAYS)
    spans = [(0, days), *((start, min(start + SHORT_DAYS, days)) for start in starts)]
    level = known_level(samples)
    leads = np.array(dam.hindcast.leads)
    changes = samples.changes(level, dam.hindcast.leads)
    random = np.random.default_rng(seed)
    tables = []
    for first, end in spans:
        inputs = inputs_of_span(samples, dam, first, end)
        columns = random.integers(len(leads), size=end - first)
        change = changes[first:end][np.arange(end - first), columns] / inputs[SCALE].to_numpy()
        valid = samples.dates[first:end] + leads[columns].astype("timedelta64[D]")
        table = inputs.with_columns(
            dam=pl.lit(dam.id), lead_time=pl.Series(leads[columns]), valid_date=pl.Series(valid), change=change
        )
        tables.append(table.filter(pl.col("change").is_finite()))
    rows = pl.concat(tables)
    sample = np.sort(random.permutation(len(rows))[:count])
    return rows[sample].with_columns(pl.col("valid_date").cast(pl.Date)).with_columns(known_dates(dam))


def known_dates(dam: Dam) -> pl.Expr:
    """Column `known_date`, from `valid_date`: the first day whose forecasts, at any place, may know the level of a day.

    It is after the valid date. By the end of this day at UTC+14, the level of the valid date has ended in the dam's
    zone, and is available after the latency of its gauge.
    """
    day = timedelta(days=1)
    available = to_utc(pl.col("valid_date") + day, dam.time_zone) + dam.target_gauge.ready_after
    first = (available - FIRST_END - timedelta(microseconds=1)).dt.date() + day
    return pl.max_horizontal(first, pl.col("valid_date") + day).alias("known_date")


def inputs_of_span(samples: Samples, dam: Dam, first: int, end: int) -> pl.DataFrame:
    """`scale_free_inputs` as of a record that begins with the day `first` and ends before `end`."""
    full = samples.full_supply
    level, start = known_level(samples), samples.start_level
    withheld = np.zeros(len(level), bool) if samples.withheld is None else samples.withheld
    days = slice(first, end)
    record = LevelRecord(
        samples.dates[days],
        np.where(withheld, np.nan, start)[days],
        level[days],
        None if full is None else full.of_days(first, end),
    )
    return scale_free_inputs(samples.inputs[days], dam, record)


def known_level(samples: Samples) -> NDArray[np.float64]:
    """The levels that models learn from, NaN on a datum that the dam file does not state."""
    return samples.trusted if samples.withheld is None else np.where(samples.withheld, np.nan, samples.trusted)
