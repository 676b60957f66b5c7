"""Readings from CSV files in the layout that the dam file describes.

The file is read as text, so that an error can quote it. A quality code is a number ("04" is 4), graded by the gauge's
`quality_codes`. A code that is not in that table, and a number without a code in a file that has codes, is "unknown".
Numbers of files without a quality column are "good": nothing indicates otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

from forebay.dams.csv_layout import EARLIEST, LATEST, FileLayout, polars_date_format
from forebay.dams.csv_text import (
    EMPTY,
    header_line,
    header_names,
    match_columns,
    parse_numbers,
    read_columns,
    read_content,
)
from forebay.dams.local_time import to_local, to_utc, zone
from forebay.errors import ConfigError, SourceError
from forebay.sources.quality import CODE, MISSING, NO_CODE, UNKNOWN, grades_by_number
from forebay.sources.transport import PlannedRequest, plan_local_read
from forebay.tables import INSTANT, READINGS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.settings import Settings

_ROW = "row of the file"
_STAMP = "stamp"
MAX_NUMBER = 1e300
"""A larger number might not be finite in another unit."""
_ONE_DAY = timedelta(days=1)
_NO_VALUE = pl.Series([None], dtype=pl.Float64)
_NO_CODE_TEXT = pl.Series([None], dtype=pl.String)


def fetch_readings(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> pl.DataFrame:
    """Readings (`tables.READINGS`) of `gauge` whose local day lies in `since` … `until`, or that lie after `now`.

    Each call reads the file anew, because files change. A file needs no `settings`. A reading after `now` has a wrong
    date: the caller reports it.

    Raises
    ------
    ConfigError
        If the file or one of its columns does not exist.
    SourceError
        If a cell cannot be read: names the line and the text.
    """
    readings = parse_readings(read_gauge_file(gauge), [gauge], dam)
    day = gauge.local_day(dam.time_zone)
    return readings.filter(day.is_between(since or date.min, until) | (pl.col("time") > now))


def plan_requests(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> list[PlannedRequest]:
    """The read of a gauge's file; see `forebay.sources.Plan`."""
    return plan_local_read(f"file {_layout_of(gauge).path}", since, until)


def parse_readings(content: bytes, gauges: Sequence[Gauge], dam: Dam) -> pl.DataFrame:
    """Readings (`tables.READINGS`) of `gauges`, all of one file, from the file's bytes.

    Raises
    ------
    ConfigError, SourceError
        As `fetch_readings`.

    Examples
    --------
    >>> from forebay.dams.dam_file import load_dam
    >>> dam = load_dam("tests/dams/warragamba.toml")
    >>> parse_readings(b"v,t,q\\n-0.600,20200812000000,155\\n", [dam.target_gauge], dam).row(0)[-4:]
    (-0.6, '-0.600', 'unknown', '155')
    """
    if not gauges:
        return READINGS.empty()
    cells = _cells(content, gauges)
    parts = [_gauge_readings(cells.filter(~_is_blank(gauge)), gauge, dam, content=content) for gauge in gauges]
    return pl.concat(parts)


def _layout_of(gauge: Gauge) -> FileLayout:
    """Layout of the gauge's file."""
    if gauge.file is None:
        raise ConfigError(f"gauge {gauge.column}: source {gauge.source!r} is not a file; allowed is 'csv'")
    return gauge.file


def read_gauge_file(gauge: Gauge) -> bytes:
    """Content of the gauge's file, as `dams.csv_text.read_content` returns it."""
    try:
        return read_content(_layout_of(gauge))
    except ConfigError as error:
        raise ConfigError(f"gauge {gauge.column}: {error}") from None


def _cells(content: bytes, gauges: Sequence[Gauge]) -> pl.DataFrame:
    """The needed columns as text without surrounding spaces, null where empty, and the row's number from 0."""
    layout = _layout_of(gauges[0])
    columns = _columns_of(gauges)
    _check_columns(header_names(content, layout), columns, gauges)
    return read_columns(content, columns, layout).with_columns(pl.all().replace(EMPTY, None)).with_row_index(_ROW)


def _columns_of(gauges: Iterable[Gauge]) -> list[str]:
    """Columns of the file that the gauges need."""
    names = [
        name
        for layout in map(_layout_of, gauges)
        for name in (layout.date, layout.value, layout.quality)
        if name is not None
    ]
    return list(dict.fromkeys(names))


def _check_columns(names: Sequence[str], columns: Sequence[str], gauges: Sequence[Gauge]) -> None:
    """Raise a `ConfigError` that names the gauge, if the header lacks one of the needed columns."""
    try:
        match_columns(names, columns, _layout_of(gauges[0]))
    except ConfigError as error:
        absent = next(column for column in columns if [name.strip() for name in names].count(column) != 1)
        user = next(gauge.column for gauge in gauges if absent in _columns_of([gauge]))
        raise ConfigError(f"gauge {user}: {error}") from None


def _is_blank(gauge: Gauge) -> pl.Expr:
    """Rows without any content for the gauge, such as blank lines."""
    return pl.all_horizontal(pl.col(_columns_of([gauge])).is_null())


def _gauge_readings(rows: pl.DataFrame, gauge: Gauge, dam: Dam, *, content: bytes) -> pl.DataFrame:
    """Readings of one gauge, by rising time, from the file's rows."""
    _refuse_unreadable(rows, gauge, content=content)
    layout = _layout_of(gauge)
    codes = rows[layout.quality] if layout.quality else _NO_CODE_TEXT.new_from_index(0, len(rows))
    numbers = rows.select(_number_expr(gauge)).to_series()
    grades = _code_grades(codes, gauge)
    starts = _interval_starts(rows, gauge, dam, content=content)
    values = gauge.canonical(numbers, starts["time"], gauge.unit).zip_with(grades != MISSING, _NO_VALUE)
    table = starts.with_columns(
        values.alias("value"),
        rows[layout.value].alias("raw_value"),
        grades.alias("quality"),
        codes.alias("quality_code"),
        rows[_ROW],
    )
    table = table.with_columns(
        pl.when(pl.col("value").is_null()).then(pl.lit(MISSING)).otherwise("quality").alias("quality"),
        *[pl.lit(value, READINGS.columns[key]).alias(key) for key, value in gauge.series.items()],
    )
    duplicates = table.filter(pl.col("time").is_first_distinct().not_())
    if not duplicates.is_empty():
        row = duplicates.row(0, named=True)
        raise SourceError(
            f"{_where(gauge, content, row[_ROW])}: the time {row[_STAMP]} occurs a second time; it must be unique, so "
            "delete one of the lines"
        )
    return READINGS.check(table.sort("time"))


def _code_grades(codes: pl.Series, gauge: Gauge) -> pl.Series:
    """Grades of the gauge's quality codes (text)."""
    layout = _layout_of(gauge)
    if layout.quality is None or layout.quality_codes is None:
        grade = "good" if layout.quality is None else UNKNOWN
        return pl.Series([grade], dtype=pl.String).new_from_index(0, len(codes))
    positions = codes.cast(CODE, strict=False).cast(pl.UInt32).fill_null(NO_CODE)
    return _grade_table(layout.quality_codes)[positions]  # costs a tenth of `replace_strict`


@lru_cache(maxsize=8)
def _grade_table(service: str) -> pl.Series:
    return pl.Series(grades_by_number(service), dtype=pl.String)


def _refuse_unreadable(rows: pl.DataFrame, gauge: Gauge, *, content: bytes) -> None:
    """Raise a SourceError for the first cell that is not a date or not a number."""
    layout = _layout_of(gauge)
    texts = rows[layout.value]
    day = rows.select(_stamp_expr(gauge).dt.date()).to_series()
    bad_dates = rows.filter(day.is_null() | (day < EARLIEST) | (day > LATEST))
    if not bad_dates.is_empty():
        row, text = bad_dates.row(0, named=True)[_ROW], _quoted(bad_dates[layout.date][0])
        raise SourceError(
            f"{_where(gauge, content, row)}: {text} in column {layout.date!r} is not a date of the form "
            f"{layout.date_format!r} from {EARLIEST} to {LATEST}; correct it, or date_format in the dam file"
        )
    numbers = rows.select(_number_expr(gauge, strict=False)).to_series()
    has_text = texts.is_not_null() & texts.is_in(list(layout.no_value)).not_()
    is_bad = numbers.is_null() | numbers.is_finite().not_() | (numbers.abs() > MAX_NUMBER)
    bad_numbers = rows.filter(has_text & is_bad)
    if not bad_numbers.is_empty():
        row, text = bad_numbers.row(0, named=True)[_ROW], _quoted(bad_numbers[layout.value][0])
        raise SourceError(
            f"{_where(gauge, content, row)}: {text} in column {layout.value!r} is not a number; correct it, leave the "
            "cell empty where there is no value, or add such texts to no_value in the dam file"
        )


def _number_expr(gauge: Gauge, *, strict: bool = True) -> pl.Expr:
    """The gauge's number, from its column of text."""
    layout = _layout_of(gauge)
    cell = pl.col(layout.value)
    text = pl.when(cell.is_in(layout.no_value).not_()).then(cell) if layout.no_value else cell
    return parse_numbers(text, layout, strict=strict).alias(layout.value)


def _stamp_expr(gauge: Gauge) -> pl.Expr:
    """A stamp as a clock time or, with an offset, an instant; null where it cannot be read."""
    form, suffix = polars_date_format(_layout_of(gauge).date_format)
    text = pl.col(_layout_of(gauge).date)
    return (text + suffix if suffix else text).str.to_datetime(form, time_unit="us", strict=False)


def _stamp_to_start(gauge: Gauge) -> timedelta:
    """From a stamp to the start of its interval, or to the reading; of a daily value in days."""
    length = _ONE_DAY if gauge.interval == "day" else timedelta(seconds=gauge.table_interval)
    return -length if gauge.stamp == "end" and gauge.reading_at is None else timedelta(0)


def _interval_starts(rows: pl.DataFrame, gauge: Gauge, dam: Dam, *, content: bytes) -> pl.DataFrame:
    """Start of each reading's interval: `time` (UTC), and `stamp` on the dam's clock.

    Of the stamp of a daily value only the date counts.
    """
    shift, clock = _stamp_to_start(gauge), gauge.reading_at or gauge.day_start
    instants = rows.select(_stamp_expr(gauge)).to_series()
    has_offset = isinstance(instants.dtype, pl.Datetime) and instants.dtype.time_zone is not None
    stamp = pl.col(_STAMP)
    local = instants.alias(_STAMP).to_frame().select(to_local(stamp, dam.time_zone) if has_offset else stamp)
    if gauge.interval == "day":
        if has_offset:
            _refuse_wrong_clock(local, rows, gauge, dam, content=content)
        local = local.select((stamp.dt.date() + shift).dt.combine(clock).cast(pl.Datetime("us")))
    elif has_offset:
        return local.select(stamp + shift, (instants + shift).cast(INSTANT).alias("time"))
    else:
        local = local.select(stamp + shift)
    return local.with_columns(_utc_instants(local[_STAMP], gauge, dam.time_zone))


def _refuse_wrong_clock(local: pl.DataFrame, rows: pl.DataFrame, gauge: Gauge, dam: Dam, *, content: bytes) -> None:
    """Raise a SourceError for the first daily stamp that is neither midnight nor the gauge's own clock time."""
    clock = gauge.reading_at or gauge.day_start
    bad_stamps = local.with_row_index(_ROW).filter(pl.col(_STAMP).dt.time().is_in([time(0), clock]).not_())
    if not bad_stamps.is_empty():
        row, stamp = bad_stamps.row(0)
        where, text = _where(gauge, content, rows[_ROW][row]), _quoted(rows[_layout_of(gauge).date][row])
        raise SourceError(
            f"{where}: {text} is {stamp:%H:%M} on the dam's clock ({dam.time_zone}), where a day starts at "
            f"{clock:%H:%M}; correct time_zone in the dam file, or the stamps"
        )


def _utc_instants(stamps: pl.Series, gauge: Gauge, time_zone: str) -> pl.Series:
    """Local starts as instants, `time`; where clocks go back, a clock time that occurs twice is two instants.

    Of the two, the first line is the earlier instant; in a file whose newest line comes first it is the later one.

    Raises
    ------
    SourceError
        If the file is in neither order, because then the two cannot be distinguished.
    """
    stamp = pl.col(_STAMP)
    instant = to_utc(stamp, time_zone)
    if not isinstance(zone(time_zone), ZoneInfo) or not stamps.is_duplicated().any():
        return stamps.to_frame().select(instant.alias("time")).to_series()
    is_descending = bool(stamps[0] > stamps[-1])
    later = stamp.dt.replace_time_zone(time_zone, ambiguous="latest", non_existent="null").dt.convert_time_zone("UTC")
    is_first = stamp.is_last_distinct() if is_descending else stamp.is_first_distinct()
    is_second = is_first.not_() & later.is_not_null()
    table = stamps.to_frame().select(stamp, pl.when(is_second).then(later).otherwise(instant).alias("time"))
    pairs = table.filter(stamp.is_duplicated(), pl.col("time").is_duplicated().not_())
    if not pairs.is_empty() and not table["time"].is_sorted(descending=is_descending):
        raise SourceError(
            f"{_layout_of(gauge).path}: the time {pairs[_STAMP][0]} occurs twice, because clocks went back, and the "
            "lines are not in order of time, so the earlier one is unknown; sort the lines, or write offsets (%z)"
        )
    return table["time"]


def _quoted(text: str | None) -> str:
    """A cell's text for an error message."""
    text = text or ""
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}…"


def _where(gauge: Gauge, content: bytes, row: int) -> str:
    """File and line of a row (counted from 0, without the header)."""
    return f"{_layout_of(gauge).path}, line {header_line(content) + 1 + row}"
