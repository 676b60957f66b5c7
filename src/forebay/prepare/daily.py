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

from forebay.dams.dam import Dam, Gauge
from forebay.dams.local_time import to_utc
from forebay.errors import ConfigError, DataError
from forebay.prepare.screen import of_gauge, reasons
from forebay.sources import csv_files
from forebay.tables import flag_of

UNUSABLE = frozenset({"unavailable", "absent", "incomplete", "sentinel", "range"})
"""Flags whose value must not be used."""

_GRADES = ("estimated", "unknown", "poor")
_WORST_LAST = pl.Enum(["fine", *_GRADES, "unavailable", "range", "sentinel"])
_HOUR_S = 3600
_NO_DAY, _NO_VALUE = pl.Series("date", [None], pl.Date), pl.Series([None], dtype=pl.Float64)
_ABSENT = pl.Series(["absent"])
_PLAIN = pl.QueryOptFlags(comm_subplan_elim=False, comm_subexpr_elim=False)  # nothing is common: searching costs 1 ms


def join(
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
    parts = [_days_of(of_gauge(readings, gauge), gauge, dam) for gauge in dam.gauges]
    return _on_axis(parts, dam, first_day, last_day)


def from_files(dams: Sequence[Dam]) -> list[pl.DataFrame]:
    """The daily frames of dams whose gauges are all read from files, each file read once; equal to those of `join`.

    Raises
    ------
    ConfigError, SourceError
        As `csv_files.fetch`.
    """
    groups = [csv_files.together(dam.gauges) for dam in dams]
    contents = [[csv_files.content_of(group[0]) for group in of_dam] for of_dam in groups]
    quick = [all(gauge.interval == "day" for gauge in dam.gauges) for dam in dams]
    plans = [
        _flagged(csv_files.days(content, group, shown=frozenset(_GRADES)), group, dam)
        for dam, of_dam, texts, is_quick in zip(dams, groups, contents, quick, strict=True)
        for group, content in zip(of_dam, texts, strict=True)
        if is_quick
    ]
    try:
        parts = iter(pl.collect_all(plans, engine="in-memory", optimizations=_PLAIN))
    except pl.exceptions.PolarsError:
        if len(dams) > 1:  # find the dam whose file is not clean
            return [frame for dam in dams for frame in from_files([dam])]
        quick, parts = [False], iter(())
    frames = []
    for dam, of_dam, texts, is_quick in zip(dams, groups, contents, quick, strict=True):
        days = [next(parts) for _ in of_dam] if is_quick else []
        if is_quick and all(_is_clean(part) for part in days):
            frames.append(_on_axis(days, dam, None, None))
        else:
            readings = [csv_files.parse(text, group, dam) for text, group in zip(texts, of_dam, strict=True)]
            frames.append(join(pl.concat(readings), dam))
    return frames


def usable(frame: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """The daily frame with every value nulled whose flag says that it must not be used (see `UNUSABLE`)."""
    return frame.with_columns(
        pl.when(pl.col(flag_of(gauge.column)).is_in(UNUSABLE).fill_null(False).not_()).then(gauge.column).alias(
            gauge.column
        )
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
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(buffer.getvalue())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise ConfigError(f"{path} cannot be written ({error.strerror}); give a path in a folder that can be") from None


def _flag(value: pl.Expr, quality: pl.Expr, gauge: Gauge) -> pl.Expr:
    """The flag of a reading: unavailable, then what the screen says, then the agency's grade if it is worth a flag."""
    flag = quality
    for name, speaks_against in reversed(reasons(value, gauge).items()):
        flag = pl.when(speaks_against).then(pl.lit(name)).otherwise(flag)
    return pl.when(value.is_null()).then(pl.lit("unavailable")).otherwise(flag)


def _shown(value: pl.Expr, gauge: Gauge, dam: Dam) -> pl.Expr:
    """A canonical value in the unit of the daily frame."""
    return (dam.in_target_unit(value) if gauge.role == "target" else value).alias(gauge.column)


def _flagged(days: pl.LazyFrame, gauges: Sequence[Gauge], dam: Dam) -> pl.LazyFrame:
    """date, and for each gauge its value and flag, from `csv_files.days`."""
    cells: list[pl.Expr] = []
    for gauge in gauges:
        value, quality = pl.col(gauge.column), pl.col(f"{gauge.column}_quality")
        cells += [_shown(value, gauge, dam), _flag(value, quality, gauge).alias(flag_of(gauge.column))]
    return days.select("date", *cells)


def _is_clean(days: pl.DataFrame) -> bool:
    """Whether all rows have a date, by rising order, and all numbers are finite: then `parse` has nothing to mend."""
    dates = days["date"]
    in_order = not dates.has_nulls() and dates.is_sorted() and dates.n_unique() == len(dates)
    return in_order and all(isfinite(days[column].sum()) for column in days.columns[1::2])


def _days_of(rows: pl.DataFrame, gauge: Gauge, dam: Dam) -> pl.DataFrame:
    """date, the gauge's value and flag, by rising date, from its readings."""
    value = pl.col("value")
    flagged = rows.select(
        "time",
        value,
        gauge.local_day(dam.time_zone).alias("date"),
        _flag(value, pl.when(pl.col("quality").is_in(_GRADES)).then("quality"), gauge).alias("flag"),
    )
    days = flagged if gauge.interval == "day" else _aggregated(flagged, gauge, dam)
    twice = days.filter(pl.col("date").is_duplicated())
    if not twice.is_empty():
        raise DataError(
            f"gauge {gauge.column}: {len(twice)} readings on {twice['date'].n_unique()} days that should have one "
            f"each, first on {twice['date'].min()!s}; say how often it reads with interval in the dam file"
        )
    return days.select("date", _shown(value, gauge, dam), pl.col("flag").alias(flag_of(gauge.column))).sort("date")


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
        days = pl.date_range(first, last, eager=True).alias("date")
    columns = {series.name: series for part in parts for series in _placed(part, days).iter_columns()}
    order = [name for gauge in dam.gauges for name in (gauge.column, flag_of(gauge.column))]
    named = pl.Series("dam", [dam.id], pl.String).new_from_index(0, len(days))
    return pl.DataFrame({"dam": named, "date": days} | {name: columns[name] for name in order})


def _placed(part: pl.DataFrame, days: pl.Series) -> pl.DataFrame:
    """The rows of `part` (date, then values and flags by turns) on `days`, with absent ones where it has none."""
    if len(part) != 0 and (part["date"][0] < days[0] or part["date"][-1] > days[-1]):
        part = part.filter(pl.col("date").is_between(days[0], days[-1]))
    if len(part) == len(days):
        return part
    row_of_day = np.full(len(days), len(part))
    row_of_day[part["date"].to_physical().to_numpy() - days.to_physical()[0]] = np.arange(len(part))
    absent = [(_ABSENT if name in part.columns[2::2] else _NO_VALUE).alias(name) for name in part.columns[1:]]
    return pl.concat([part, pl.DataFrame([_NO_DAY, *absent])])[row_of_day]
