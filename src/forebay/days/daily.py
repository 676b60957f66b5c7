"""The daily frame: all gauges of a dam on one axis of local days, a flag beside each value, nothing filled.

A flag is null where nothing speaks against the value, otherwise the reason:

====================  ==============================================================================
unavailable           the agency published a reading and marked it as missing, or left it empty
absent                there is no reading of that day
incomplete            of a sub-daily series, fewer of the day's hours than the gauge requires
sentinel, range       see `prepare.screen`
poor, unknown,        the agency's grade; the value is used
estimated
====================  ==============================================================================

A reading belongs to the first local day by whose end it is complete: the rain of 9:00 on day d to 9:00 on d+1 belongs
to d+1, an instantaneous reading to the day that it lies in.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from math import isfinite
from pathlib import Path

import numpy as np
import polars as pl

from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.dams.local_time import to_utc
from forebay.days.value_checks import first_reason, gauge_readings
from forebay.errors import ConfigError, DataError
from forebay.sources import csv_files
from forebay.tables import flag_of

UNUSABLE = frozenset({"unavailable", "absent", "incomplete", "sentinel", "range"})
"""Flags whose value must not be used."""

_WORST_LAST = pl.Enum(["fine", "estimated", "unknown", "poor", "unavailable", "range", "sentinel"])
_GRADES = frozenset({"estimated", "unknown", "poor"})  # those that are worth a flag
_HOUR_S = 3600
_NO_DAY, _NO_VALUE = pl.Series("date", [None], pl.Date), pl.Series([None], dtype=pl.Float64)
_ABSENT, _UNAVAILABLE = pl.Series(["absent"]), pl.Series(["unavailable"])
_DAMS_AT_ONCE = 16  # few enough for what was read of them to be in the processor's cache still
_FILES_AT_ONCE = 100  # from 500 on, polars warns of a deadlock
# The reader's plan needs no more than this, and looking for more costs 0.2 ms a dam.
_PLAIN = pl.QueryOptFlags.none(projection_pushdown=True)


def daily_table(
    readings: pl.DataFrame, dam: Dam, *, first_day: date | None = None, last_day: date | None = None
) -> pl.DataFrame:
    """The dam's daily frame, from readings of one version each.

    Parameters
    ----------
    readings
        Rows as `tables.READINGS`; rows of other series are left aside.
    first_day, last_day
        Local days, both included; by default from the first day to the last that any gauge has a reading of.

    Returns
    -------
    pl.DataFrame
        dam, date (one row per local day), and for each gauge its `column` (canonical unit; the target in the dam's
        unit) and `flag_of` it. A value stands beside its flag wherever a number exists.

    Raises
    ------
    DataError
        If a daily gauge has two readings of one day.
    """
    parts = [_days_of(gauge_readings(readings, gauge), gauge, dam) for gauge in dam.gauges]
    return _on_axis(parts, dam, first_day, last_day)


def tables_from_files(dams: Sequence[Dam]) -> list[pl.DataFrame]:
    """The daily frames of dams whose gauges are all read from files, each file read once; equal to those of `join`.

    Raises
    ------
    ConfigError, SourceError
        As `csv_files.fetch_readings`.
    """
    return [frame for at in range(0, len(dams), _DAMS_AT_ONCE) for frame in _from_files(dams[at : at + _DAMS_AT_ONCE])]


def _from_files(dams: Sequence[Dam]) -> list[pl.DataFrame]:
    """`from_files` of a few dams, read together."""
    groups = [csv_files.together(dam.gauges) for dam in dams]
    contents = [[csv_files.content_of(group[0]) for group in of_dam] for of_dam in groups]
    quick = [all(map(csv_files.is_quick, dam.gauges)) for dam in dams]
    plans = [
        csv_files.clean(content, group)
        for of_dam, texts, is_quick in zip(groups, contents, quick, strict=True)
        for group, content in zip(of_dam, texts, strict=True)
        if is_quick
    ]
    try:
        tables = iter(_read(plans))
    except pl.exceptions.PolarsError:
        if len(dams) > 1:  # find the dam whose file is not clean
            return [frame for dam in dams for frame in _from_files([dam])]
        quick, tables = [False], iter(())
    frames = []
    for dam, of_dam, texts, is_quick in zip(dams, groups, contents, quick, strict=True):
        parts = _clean_days([next(tables) for _ in of_dam], of_dam, dam) if is_quick else None
        if parts is None:
            readings = [csv_files.parse(text, group, dam) for text, group in zip(texts, of_dam, strict=True)]
            frames.append(daily_table(pl.concat(readings), dam))
        else:
            frames.append(_on_axis(parts, dam, None, None))
    return frames


def _read(plans: Sequence[pl.LazyFrame]) -> list[pl.DataFrame]:
    """The plans' tables."""
    some = (plans[at : at + _FILES_AT_ONCE] for at in range(0, len(plans), _FILES_AT_ONCE))
    return [table for few in some for table in pl.collect_all(few, engine="streaming", optimizations=_PLAIN)]


def usable_values(frame: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """The daily frame with every value nulled whose flag says that it must not be used (see `UNUSABLE`)."""
    return frame.with_columns(
        pl.when(pl.col(flag_of(gauge.column)).is_in(UNUSABLE).fill_null(False).not_())
        .then(gauge.column)
        .alias(gauge.column)
        for gauge in dam.gauges
    )


def write_daily(frame: pl.DataFrame, path: Path) -> None:
    """The frame in a file: CSV, Parquet or JSON by the path's suffix; whole or not at all.

    Raises
    ------
    ConfigError
        If the suffix is another one, or the file cannot be written.
    """
    buffer = io.BytesIO()
    match path.suffix.lower():
        case ".csv":
            frame.write_csv(buffer)
        case ".parquet":
            frame.write_parquet(buffer)
        case ".json":
            frame.write_json(buffer)
        case other:
            raise ConfigError(f"{path}: suffix {other!r} is unknown; allowed are .csv, .parquet and .json")
    write_whole(path, buffer.getvalue())


def write_whole(path: Path, content: bytes) -> None:
    """`content` in a file, whole or not at all; raises a ConfigError if the file cannot be written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise ConfigError(f"{path} cannot be written ({error.strerror}); give a path in a folder that can be") from None


def _flag(values: pl.Series, grades: pl.Series, gauge: Gauge) -> pl.Series:
    """The flags of readings: unavailable, then what the screen says, then the grade if it is worth a flag."""
    flag = first_reason(values, gauge, otherwise=grades)
    if not values.null_count():
        return flag
    itself = values.eq(values)  # null where there is no value, otherwise true: a third of `is_null`'s time
    return flag.zip_with(itself, _UNAVAILABLE)


def _shown(values: pl.Series, gauge: Gauge, dam: Dam) -> pl.Series:
    """Canonical values in the unit of the daily frame."""
    return (dam.in_target_unit(values) if gauge.role == "target" else values).alias(gauge.column)


def _clean_days(
    tables: Sequence[pl.DataFrame], groups: Sequence[Sequence[Gauge]], dam: Dam
) -> list[pl.DataFrame] | None:
    """date, and for each gauge its value and flag, from the tables of `csv_files.clean`.

    None unless in each file the dates rise and all numbers are finite: else `parse` has something to mend.
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
            flag = _flag(values, csv_files.quality(cells, gauge, shown=_GRADES), gauge)
            columns += [_shown(values, gauge, dam), flag.alias(flag_of(gauge.column))]
        parts.append(pl.DataFrame(columns))
    return parts


def _all_finite(numbers: pl.Series) -> bool:
    """Whether all numbers, but those that are null, are finite in any unit."""
    if not isfinite(numbers.sum()):
        return False
    ends = numbers.min(), numbers.max()
    return all(end is None or (isinstance(end, float) and abs(end) <= csv_files.LARGEST) for end in ends)


def _days_of(rows: pl.DataFrame, gauge: Gauge, dam: Dam) -> pl.DataFrame:
    """date, the gauge's value and flag, by rising date, from its readings."""
    grades = rows.select(pl.when(pl.col("quality").is_in(_GRADES)).then("quality")).to_series()
    flag = _flag(rows["value"], grades, gauge).alias("flag")
    flagged = rows.select("time", "value", gauge.local_day(dam.time_zone).alias("date"), flag)
    days = flagged if gauge.interval == "day" else _aggregated(flagged, gauge, dam)
    twice = days.filter(pl.col("date").is_duplicated())
    if not twice.is_empty():
        raise DataError(
            f"gauge {gauge.column}: {len(twice)} readings on {twice['date'].n_unique()} days that should have one "
            f"each, first on {twice['date'].min()!s}; say how often it reads with interval in the dam file"
        )
    return days.select("date", _shown(days["value"], gauge, dam), pl.col("flag").alias(flag_of(gauge.column))).sort(
        "date"
    )


def _aggregated(rows: pl.DataFrame, gauge: Gauge, dam: Dam) -> pl.DataFrame:
    """date, value and flag per local day, from a sub-daily series' flagged readings.

    The day's value is that of its usable readings; a day of mixed grades takes the worst. The share of hours is
    counted against the day's own length, 23 or 25 h where clocks change.
    """
    slot_s = max(_HOUR_S, gauge.interval_s or 0)
    last = pl.col("time") + timedelta(seconds=gauge.table_interval, microseconds=-1 if gauge.table_interval else 0)
    start = to_utc(pl.col("date").cast(pl.Datetime("us")), dam.time_zone)
    end = to_utc((pl.col("date") + timedelta(days=1)).cast(pl.Datetime("us")), dam.time_zone)
    rank = pl.col("flag").fill_null("fine").cast(_WORST_LAST)
    is_usable = pl.col("flag").is_in(UNUSABLE).fill_null(False).not_()
    days = (
        rows.sort("time")
        .with_columns(
            ((last - start).dt.total_seconds() // slot_s).alias("slot"),
            (end - start).dt.total_seconds().alias("day_s"),
            rank.alias("rank"),
            is_usable.alias("usable"),
        )
        .group_by("date")
        .agg(
            _OF_DAY[gauge.aggregate](pl.col("value").filter("usable")).alias("value"),
            pl.col("slot").filter("usable").n_unique().alias("slots"),
            pl.col("rank").filter("usable").max().alias("grade"),
            pl.col("rank").max().alias("reason"),
            pl.col("day_s").first(),
        )
    )
    share = (pl.col("slots") * slot_s / pl.col("day_s")).clip(upper_bound=1.0)
    flag = (
        pl.when(pl.col("slots") == 0)
        .then(pl.col("reason").cast(pl.String))
        .when(share < gauge.share_required)
        .then(pl.lit("incomplete"))
        .when(pl.col("grade") != "fine")
        .then(pl.col("grade").cast(pl.String))
    )
    return days.select("date", pl.when(pl.col("slots") > 0).then("value").alias("value"), flag.alias("flag"))


_OF_DAY = {"mean": pl.Expr.mean, "total": pl.Expr.sum, "min": pl.Expr.min, "max": pl.Expr.max, "last": pl.Expr.last}


def _on_axis(parts: Sequence[pl.DataFrame], dam: Dam, first_day: date | None, last_day: date | None) -> pl.DataFrame:
    """The parts' columns, in the order of the dam's gauges, on one axis of days; what no part has is absent."""
    dates = [part["date"] for part in parts if not part.is_empty()]
    first = first_day or min((days[0] for days in dates), default=None)
    last = last_day or max((days[-1] for days in dates), default=None)
    days = pl.Series("date", [], pl.Date)
    if first is not None and last is not None:
        whole = [days for days in dates if days[0] == first and days[-1] == last and _without_gap(days)]
        days = whole[0] if whole else pl.date_range(first, last, eager=True).alias("date")
    columns = {series.name: series for part in parts for series in _placed(part, days).iter_columns()}
    order = [name for gauge in dam.gauges for name in (gauge.column, flag_of(gauge.column))]
    named = pl.Series("dam", [dam.id], pl.String).new_from_index(0, len(days))
    return pl.DataFrame({"dam": named, "date": days} | {name: columns[name] for name in order})


def _placed(part: pl.DataFrame, days: pl.Series) -> pl.DataFrame:
    """The rows of `part` (date, then values and flags by turns) on `days`, with absent ones where it has none."""
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
    row_of_day = np.full(len(days), len(part))
    row_of_day[dates.cast(pl.Int32).to_numpy() - days.cast(pl.Int32)[0]] = np.arange(len(part))
    return part.vstack(_absent(part, 1))[row_of_day]


def _without_gap(dates: pl.Series) -> bool:
    """Whether `dates`, which rise, are all days from the first to the last."""
    return bool(dates[-1] - dates[0] == timedelta(days=len(dates) - 1))


def _absent(part: pl.DataFrame, count: int) -> pl.DataFrame:
    """As many rows with the columns of `part`, for days of which there is no reading."""
    gaps = [_NO_DAY, *(_ABSENT if n % 2 else _NO_VALUE for n in range(part.width - 1))]
    named = zip(part.columns, gaps, strict=True)
    return pl.DataFrame([gap.new_from_index(0, count).alias(name) for name, gap in named])
