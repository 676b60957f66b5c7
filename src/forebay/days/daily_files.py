"""Daily tables from CSV files, many dams at a time, without the detour over readings where the files are clean."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np
import polars as pl

from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.days.axis import join_gauges
from forebay.days.daily import FLAGGED_GRADES, daily_table, flag_values, in_table_unit
from forebay.sources import csv_files
from forebay.tables import flag_of

_DAMS_PER_BATCH = 16  # few enough that their files stay in the processor's cache
_FILES_PER_BATCH = 100  # from 500 on, polars warns of a deadlock
# The plan of the reader needs no further optimization, and the search for it costs 0.2 ms a dam.
_PLAIN = pl.QueryOptFlags.none(projection_pushdown=True)


def tables_from_files(dams: Sequence[Dam]) -> list[pl.DataFrame]:
    """Daily tables of dams with gauges in CSV files only; equal to those of `daily_table`. Each file is read once.

    Raises
    ------
    ConfigError, SourceError
        As `csv_files.fetch_readings`.
    """
    batches = [dams[at : at + _DAMS_PER_BATCH] for at in range(0, len(dams), _DAMS_PER_BATCH)]
    return [table for batch in batches for table in _read_batch(batch)]


def _read_batch(dams: Sequence[Dam]) -> list[pl.DataFrame]:
    """`tables_from_files` of a few dams."""
    groups = [csv_files.together(dam.gauges) for dam in dams]
    contents = [[csv_files.content_of(group[0]) for group in dam_groups] for dam_groups in groups]
    quick = [all(map(csv_files.is_quick, dam.gauges)) for dam in dams]
    plans = [
        csv_files.clean(content, group)
        for dam_groups, texts, is_quick in zip(groups, contents, quick, strict=True)
        for group, content in zip(dam_groups, texts, strict=True)
        if is_quick
    ]
    try:
        file_tables = iter(_collect(plans))
    except pl.exceptions.PolarsError:
        if len(dams) > 1:  # find the dam with the file that is not clean
            return [table for dam in dams for table in _read_batch([dam])]
        quick, file_tables = [False], iter(())
    tables = []
    for dam, dam_groups, texts, is_quick in zip(dams, groups, contents, quick, strict=True):
        parts = _clean_days([next(file_tables) for _ in dam_groups], dam_groups, dam) if is_quick else None
        if parts is None:
            readings = [csv_files.parse(text, group, dam) for text, group in zip(texts, dam_groups, strict=True)]
            tables.append(daily_table(pl.concat(readings), dam))
        else:
            tables.append(join_gauges(parts, dam, None, None))
    return tables


def _collect(plans: Sequence[pl.LazyFrame]) -> list[pl.DataFrame]:
    """Tables of the plans, read in batches."""
    batches = (plans[at : at + _FILES_PER_BATCH] for at in range(0, len(plans), _FILES_PER_BATCH))
    return [table for batch in batches for table in pl.collect_all(batch, engine="streaming", optimizations=_PLAIN)]


def _clean_days(
    tables: Sequence[pl.DataFrame], groups: Sequence[Sequence[Gauge]], dam: Dam
) -> list[pl.DataFrame] | None:
    """date, value and flag of each gauge, from the tables of `csv_files.clean`.

    None unless the dates of each file rise and all numbers are finite: otherwise `csv_files.parse` must read the file.
    """
    stamps = [csv_files.stamps_of(table, group[0]) for table, group in zip(tables, groups, strict=True)]
    try:
        dates = csv_files.days(stamps, [group[0] for group in groups])
    except pl.exceptions.PolarsError:
        return None
    parts = []
    for table, group, days in zip(tables, groups, dates, strict=True):
        since_1970 = days.cast(pl.Int32).to_numpy()
        if days.null_count() or not (np.diff(since_1970) > 0).all():
            return None
        if len(days) and not (since_1970[0] >= csv_files.FIRST_DAY and since_1970[-1] <= csv_files.LAST_DAY):
            return None
        columns = [days.alias("date")]
        for gauge in group:
            cells = csv_files.cells_of(table, gauge)
            if not _all_finite(cells.number):
                return None
            values = csv_files.values(cells, gauge)
            flag = flag_values(values, csv_files.quality(cells, gauge, shown=FLAGGED_GRADES), gauge)
            columns += [in_table_unit(values, gauge, dam), flag.alias(flag_of(gauge.column))]
        parts.append(pl.DataFrame(columns))
    return parts


def _all_finite(numbers: pl.Series) -> bool:
    """Whether all numbers that are not null are finite in any unit."""
    if not isfinite(numbers.sum()):
        return False
    ends = numbers.min(), numbers.max()
    return all(end is None or (isinstance(end, float) and abs(end) <= csv_files.LARGEST) for end in ends)
