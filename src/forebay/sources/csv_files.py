"""Readings from CSV files in whatever layout the dam file describes.

Every number, stamp and code becomes a value by the expressions below, whether the readings are wanted as rows (`parse`,
`fetch`: the file is read as text, so that errors can show it) or, one column per gauge, as days (`clean`).

A quality code is a number ("04" is 4), graded by the gauge's `quality_codes`; a code that is not listed, and a number
without a code in a file that has codes, is "unknown". Numbers of files without a quality column are "good": nothing
says otherwise.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from forebay.dams.dam import Dam, FileLayout, Gauge
from forebay.dams.local_time import to_utc, zone
from forebay.errors import ConfigError, SourceError
from forebay.settings import Settings
from forebay.sources.quality import CODE, MISSING, NO_CODE, UNKNOWN, grades_by_number
from forebay.tables import READINGS

GRADES = ("good", "fair", "poor", "estimated", UNKNOWN, MISSING)
_ROW = "row of the file"
_EMPTY = ("", "NaN", "nan")
_STAMP = "stamp"
_A_DAY = timedelta(days=1)
_NO_VALUE = pl.Series([None], dtype=pl.Float64)
_NUMBERS = ("%Y%m%d", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S")  # date formats whose stamps are read faster as such
_FIRST_LINE = re.compile(rb"^.*\S.*$", re.MULTILINE)
_ALL_TEXT: Mapping[str, pl.DataType] = {}


def fetch(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> pl.DataFrame:
    """Readings (`tables.READINGS`) of `gauge` whose local day lies in `since` … `until`, both included.

    The file is read anew each time, since files change. `settings` and `now` do not matter to a file.

    Raises
    ------
    ConfigError
        If the dam file names a file or a column that is not there.
    SourceError
        If the file holds what cannot be read: names the line and the text.
    """
    readings = parse(content_of(gauge), [gauge], dam)
    day = gauge.local_day(dam.time_zone)
    return readings.filter(day.is_between(since or date.min, until))


def parse(content: bytes, gauges: Sequence[Gauge], dam: Dam) -> pl.DataFrame:
    """Readings (`tables.READINGS`) of `gauges`, all of one file, from the file's bytes.

    Raises
    ------
    ConfigError, SourceError
        As `fetch`.

    Examples
    --------
    >>> from forebay.dams.dam_file import load_dam
    >>> dam = load_dam("tests/dams/warragamba.toml")
    >>> parse(b"v,t,q\\n-0.600,20200812000000,155\\n", [dam.target_gauge], dam).row(0)[-4:]
    (-0.6, '-0.600', 'unknown', '155')
    """
    if not gauges:
        return READINGS.empty()
    cells = _cells(content, gauges)
    parts = [_readings(cells.filter(~_says_nothing(gauge)), gauge, dam, content=content) for gauge in gauges]
    return pl.concat(parts)


class Cells(NamedTuple):
    """What a file says of a gauge, line by line: numbers in the gauge's unit, and codes where they are graded.

    A code is given as its place in `quality.grades_by_number`.
    """

    number: pl.Series
    place: pl.Series | None


def clean(content: bytes, gauges: Sequence[Gauge]) -> pl.LazyFrame:
    """The columns of a file that one of the groups of `together` needs, typed as `stamps_of` and `cells_of` want them.

    It is the quick way for a clean file: collecting it raises a `PolarsError`, or gives null or repeated stamps or
    numbers that are not finite, where `parse` mends or explains.
    """
    layouts = [_layout(gauge) for gauge in gauges]
    types: dict[str, pl.DataType] = {layout.value: pl.Float64() for layout in layouts if not layout.decimal_comma}
    if layouts[0].date_format in _NUMBERS:
        types[layouts[0].date] = pl.Int64()
    types |= {layout.quality: CODE for layout in layouts if layout.quality and layout.quality_codes}
    # With types the reader itself turns text into numbers, at no cost.
    table = _scan(content, gauges, types=types)
    with_comma = [_number(gauge) for gauge, layout in zip(gauges, layouts, strict=True) if layout.decimal_comma]
    return table.with_columns(with_comma) if with_comma else table


def stamps_of(table: pl.DataFrame, gauge: Gauge) -> pl.Series:
    """The stamps in a table of `clean`: as text, or as numbers where their form makes them such."""
    return table.get_column(_layout(gauge).date)


def cells_of(table: pl.DataFrame, gauge: Gauge) -> Cells:
    """The gauge's part of a table of `clean`."""
    layout = _layout(gauge)
    place = _place(table.get_column(layout.quality)) if layout.quality and layout.quality_codes else None
    return Cells(table.get_column(layout.value).cast(pl.Float64), place)


def days(stamps: Sequence[pl.Series], gauges: Sequence[Gauge]) -> list[pl.Series]:
    """The local days that each file's stamps name, as `Gauge.local_day` says, by a daily gauge of each file."""
    read: list[tuple[object, pl.Series, pl.Series]] = []
    for of_file, gauge in zip(stamps, gauges, strict=True):
        form, count = _layout(gauge).date_format, len(of_file)
        offset = _from_stamp_to_start(gauge) + _A_DAY * gauge.ends_next_day
        # A dam's files mostly hold the same days, and comparing stamps costs a tenth of reading them as dates.
        alike = (read_before for read_before in read if read_before[0] == (form, offset))
        found = next((its_days for _, its, its_days in alike if of_file.equals(its.head(count))), None)
        if found is None:
            found = of_file.cast(pl.String).str.to_date(form, cache=False)  # as the same stamp seldom stands twice
            found = found + offset if offset else found
        read.append(((form, offset), of_file, found.head(count)))
    return [found for _, _, found in read]


def content_of(gauge: Gauge) -> bytes:
    """The bytes of the gauge's file."""
    path = Path(_layout(gauge).path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"gauge {gauge.column}: file.path {str(path)!r} cannot be read ({error.strerror}); give the path of a CSV "
            "file, relative to the dam file"
        ) from None


def together(gauges: Iterable[Gauge]) -> list[list[Gauge]]:
    """The gauges in groups that share a file, its layout and how its stamps name days."""
    groups: dict[object, list[Gauge]] = {}
    for gauge in gauges:
        f = _layout(gauge)
        file = (f.path, f.separator, f.date, f.date_format)
        groups.setdefault((file, gauge.interval, gauge.stamp, gauge.day_start, gauge.reading_at), []).append(gauge)
    return list(groups.values())


def values(cells: Cells, gauge: Gauge) -> pl.Series:
    """The gauge's numbers in its variable's canonical unit; null where there is none or its code says so."""
    factor, offset = gauge.kind.conversion(gauge.unit)
    number = cells.number if factor == 1 else cells.number * factor
    number = number if offset == 0 else number + offset
    agency = _layout(gauge).quality_codes
    if cells.place is None or agency is None:
        return number
    return number.zip_with(_has_value(agency)[cells.place], _NO_VALUE)


def quality(cells: Cells, gauge: Gauge, *, shown: frozenset[str] = frozenset(GRADES)) -> pl.Series:
    """The grades that the gauge's quality codes stand for; null if not among those to be `shown`."""
    agency = _layout(gauge).quality_codes
    if cells.place is not None and agency is not None:
        return _shown_grades(agency, shown)[cells.place]
    grade = "good" if _layout(gauge).quality is None else UNKNOWN
    return pl.Series([grade if grade in shown else None], dtype=pl.String).new_from_index(0, len(cells.number))


def _place(code: pl.Series) -> pl.Series:
    """Each code's place in `quality.grades_by_number`: looking up by it costs a tenth of `replace_strict`."""
    place = code.cast(pl.UInt32)
    return place.fill_null(NO_CODE) if place.null_count() else place


@lru_cache(maxsize=8)
def _has_value(agency: str) -> pl.Series:
    return pl.Series([its != MISSING for its in grades_by_number(agency)])


@lru_cache(maxsize=64)
def _shown_grades(agency: str, shown: frozenset[str]) -> pl.Series:
    return pl.Series([its if its in shown else None for its in grades_by_number(agency)], dtype=pl.String)


def _readings(cells: pl.DataFrame, gauge: Gauge, dam: Dam, *, content: bytes) -> pl.DataFrame:
    """Readings of one gauge, by rising time, from the file's cells."""
    _refuse_unreadable(cells, gauge, content=content)
    layout = _layout(gauge)
    place = _place(cells[layout.quality].cast(CODE, strict=False)) if layout.quality else None
    said = Cells(cells.select(_number(gauge)).to_series(), place)
    table = cells.select(
        _local_start(gauge).alias(_STAMP),
        values(said, gauge).alias("value"),
        pl.col(layout.value).alias("raw_value"),
        quality(said, gauge).alias("quality"),
        pl.lit(None, pl.String).alias("quality_code")
        if layout.quality is None
        else pl.col(layout.quality).alias("quality_code"),
        _ROW,
    )
    table = table.with_columns(
        _instants(table[_STAMP], dam.time_zone),
        pl.when(pl.col("value").is_null()).then(pl.lit(MISSING)).otherwise("quality").alias("quality"),
        *[pl.lit(what, READINGS.columns[key]).alias(key) for key, what in gauge.series.items()],
    )
    again = table.filter(pl.col("time").is_first_distinct().not_())
    if not again.is_empty():
        row = again.row(0, named=True)
        raise SourceError(
            f"{_where(gauge, content, row[_ROW])}: the time {row[_STAMP]} stands a second time; each may stand once, "
            "so delete one of the lines"
        )
    return READINGS.check(table.sort("time"))


def _instants(stamps: pl.Series, time_zone: str) -> pl.Series:
    """Local starts as instants, `time`; where clocks go back, a time that stands twice is first the earlier one."""
    stamp = pl.col(_STAMP)
    instant = to_utc(stamp, time_zone)
    if isinstance(zone(time_zone), ZoneInfo):
        later = stamp.dt.replace_time_zone(time_zone, ambiguous="latest", non_existent="null")
        second = stamp.is_first_distinct().not_() & later.is_not_null()
        instant = pl.when(second).then(later.dt.convert_time_zone("UTC")).otherwise(instant)
    return stamps.to_frame().select(instant.alias("time")).to_series()


def _local_start(gauge: Gauge) -> pl.Expr:
    """Clock time at which each reading's interval starts; of a daily value only the date of its stamp counts."""
    stamp, form = pl.col(_layout(gauge).date).str, _layout(gauge).date_format
    if gauge.interval == "day":
        day = stamp.to_date(form) + _from_stamp_to_start(gauge)
        return day.dt.combine(gauge.reading_at or gauge.day_start)
    return stamp.to_datetime(form, time_unit="us") + _from_stamp_to_start(gauge)


def _from_stamp_to_start(gauge: Gauge) -> timedelta:
    """From a stamp to the start of its interval, or to the reading; of a daily value in days."""
    length = _A_DAY if gauge.interval == "day" else timedelta(seconds=gauge.table_interval)
    return -length if gauge.stamp == "end" and gauge.reading_at is None else timedelta(0)


def _layout(gauge: Gauge) -> FileLayout:
    if gauge.file is None:
        raise ConfigError(f"gauge {gauge.column}: source {gauge.source!r} is not a file; allowed is 'csv'")
    if "%z" in gauge.file.date_format or "%Z" in gauge.file.date_format:
        raise ConfigError(
            f"gauge {gauge.column}: file.date_format {gauge.file.date_format!r} holds an offset; allowed are clock "
            "times of the dam's time_zone"
        )
    return gauge.file


def _number(gauge: Gauge, *, strict: bool = True) -> pl.Expr:
    """The gauge's number."""
    cell = pl.col(_layout(gauge).value)
    text = cell.str.replace(",", ".", literal=True) if _layout(gauge).decimal_comma else cell
    return text.cast(pl.Float64, strict=strict)


def _columns(gauges: Iterable[Gauge]) -> list[str]:
    """The columns of the file that the gauges need."""
    layouts = [_layout(gauge) for gauge in gauges]
    names = [name for f in layouts for name in (f.date, f.value, f.quality) if name is not None]
    return list(dict.fromkeys(names))


def _scan(content: bytes, gauges: Sequence[Gauge], *, types: Mapping[str, pl.DataType] = _ALL_TEXT) -> pl.LazyFrame:
    """The file's needed columns, of these `types` or else text, by their names without spaces around."""
    layout = _layout(gauges[0])
    first = _FIRST_LINE.search(content)
    text = first[0].decode("utf-8-sig", "replace").strip() if first else ""
    header = next(csv.reader([text], delimiter=layout.separator), [])
    if not header:
        raise SourceError(f"{layout.path} is empty; a header line and at least a column of dates must be there")
    names = [name.strip() for name in header]
    absent = next((name for name in _columns(gauges) if name not in names), None)
    if absent is not None:
        users = next(gauge.column for gauge in gauges if absent in _columns([gauge]))
        raise ConfigError(
            f"gauge {users}: {absent!r} is not a column of {layout.path}; its columns are {', '.join(map(repr, names))}"
        )
    found = {header[names.index(name)]: kind for name, kind in types.items()}
    table = pl.scan_csv(content, infer_schema=False, schema_overrides=found, separator=layout.separator, glob=False)
    if names != header:
        table = table.rename({old: new for old, new in zip(header, names, strict=True) if old != new})
    return table.select(_columns(gauges))


def _cells(content: bytes, gauges: Sequence[Gauge]) -> pl.DataFrame:
    """The needed columns as text without spaces around, null where empty, and the row's number from 0."""
    table = _scan(content, gauges).with_columns(pl.all().str.strip_chars().replace(_EMPTY, None))
    try:
        return table.with_row_index(_ROW).collect(engine="in-memory")
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise SourceError(
            f"{_layout(gauges[0]).path} cannot be read as a table ({reason}); it must be UTF-8 text with as many "
            f"fields in each line as in its header, separated by {_layout(gauges[0]).separator!r}"
        ) from None


def _says_nothing(gauge: Gauge) -> pl.Expr:
    """Rows that hold nothing at all, such as blank lines."""
    return pl.all_horizontal(pl.col(_columns([gauge])).is_null())


def _refuse_unreadable(cells: pl.DataFrame, gauge: Gauge, *, content: bytes) -> None:
    """Raise a SourceError for the first cell that is no date or no number."""
    layout = _layout(gauge)
    dates, texts = cells[layout.date], cells[layout.value]
    no_date = cells.filter(dates.str.to_datetime(layout.date_format, strict=False).is_null())
    if not no_date.is_empty():
        row, text = no_date.row(0, named=True)[_ROW], no_date[layout.date][0]
        raise SourceError(
            f"{_where(gauge, content, row)}: {text or ''!r} in column {layout.date!r} is no date of the form "
            f"{layout.date_format!r}; correct it, or date_format in the dam file"
        )
    number = cells.select(_number(gauge, strict=False)).to_series()
    no_number = cells.filter(texts.is_not_null() & (number.is_null() | number.is_infinite()))
    if not no_number.is_empty():
        row, text = no_number.row(0, named=True)[_ROW], no_number[layout.value][0]
        raise SourceError(
            f"{_where(gauge, content, row)}: {text!r} in column {layout.value!r} is no number; correct it, or leave "
            "the cell empty where there is no value"
        )


def _where(gauge: Gauge, content: bytes, row: int) -> str:
    """File and line of a row (counted from 0, without the header)."""
    layout = _layout(gauge)
    lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=layout.separator)
    header_seen = False
    for fields in lines:
        if not header_seen:
            header_seen = bool(fields)
        elif row == 0:
            break
        else:
            row -= 1
    return f"{layout.path}, line {lines.line_num}"
