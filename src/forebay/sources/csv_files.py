"""Readings from CSV files in whatever layout the dam file describes.

A file is read as text, so that an error can show the text of a cell.

A quality code is a number ("04" is 4), graded by the gauge's `quality_codes`; a code that is not listed, and a number
without a code in a file that has codes, is "unknown". Numbers of files without a quality column are "good": nothing
says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from forebay.dams import csv_layout as layouts
from forebay.dams.csv_layout import EARLIEST, EMPTY, LATEST, FileLayout
from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.dams.local_time import to_local, to_utc, zone
from forebay.errors import ConfigError, SourceError
from forebay.settings import Settings
from forebay.sources.quality import CODE, MISSING, NO_CODE, UNKNOWN, grades_by_number
from forebay.sources.transport import PlannedRequest, plan_local_read
from forebay.tables import INSTANT, READINGS

_ROW = "row of the file"
LARGEST = 1e300
"""Numbers beyond it would no longer be finite in another unit."""
_STAMP = "stamp"
_A_DAY = timedelta(days=1)
_NO_VALUE, _NO_CODE = pl.Series([None], dtype=pl.Float64), pl.Series([None], dtype=pl.String)


def fetch_readings(
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


def plan_requests(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> list[PlannedRequest]:
    """The read of a gauge's file; see `forebay.sources.Plan`."""
    return plan_local_read(f"file {_layout(gauge).path}", since, until)


def parse(content: bytes, gauges: Sequence[Gauge], dam: Dam) -> pl.DataFrame:
    """Readings (`tables.READINGS`) of `gauges`, all of one file, from the file's bytes.

    Raises
    ------
    ConfigError, SourceError
        As `fetch_readings`.

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


def content_of(gauge: Gauge) -> bytes:
    """The gauge's file, as `dams.layout.content_of` gives it."""
    try:
        return layouts.content_of(_layout(gauge))
    except ConfigError as error:
        raise ConfigError(f"gauge {gauge.column}: {error}") from None


def values(cells: Cells, gauge: Gauge) -> pl.Series:
    """The gauge's numbers in its variable's canonical unit; null where there is none or its code says so."""
    factor, offset = gauge.kind.conversion(gauge.unit)
    number = cells.number if factor == 1 else cells.number * factor
    number = number if offset == 0 else number + offset
    agency = _layout(gauge).quality_codes
    if cells.place is None or agency is None:
        return number
    return number.zip_with(_has_value(agency)[cells.place], _NO_VALUE)


def quality(cells: Cells, gauge: Gauge) -> pl.Series:
    """The grades that the gauge's quality codes stand for."""
    agency = _layout(gauge).quality_codes
    if cells.place is not None and agency is not None:
        return _grades(agency)[cells.place]
    grade = "good" if _layout(gauge).quality is None else UNKNOWN
    return pl.Series([grade], dtype=pl.String).new_from_index(0, len(cells.number))


def _place(code: pl.Series) -> pl.Series:
    """Each code's place in `quality.grades_by_number`: looking up by it costs a tenth of `replace_strict`."""
    place = code.cast(pl.UInt32)
    return place.fill_null(NO_CODE) if place.null_count() else place


@lru_cache(maxsize=8)
def _has_value(agency: str) -> pl.Series:
    return pl.Series([its != MISSING for its in grades_by_number(agency)])


@lru_cache(maxsize=8)
def _grades(agency: str) -> pl.Series:
    return pl.Series(grades_by_number(agency), dtype=pl.String)


def _readings(cells: pl.DataFrame, gauge: Gauge, dam: Dam, *, content: bytes) -> pl.DataFrame:
    """Readings of one gauge, by rising time, from the file's cells."""
    _refuse_unreadable(cells, gauge, content=content)
    layout = _layout(gauge)
    codes = cells[layout.quality] if layout.quality else _NO_CODE.new_from_index(0, len(cells))
    place = _place(codes.cast(CODE, strict=False)) if layout.quality else None
    said = Cells(cells.select(_number(gauge)).to_series(), place)
    table = _starts(cells, gauge, dam, content=content).with_columns(
        values(said, gauge).alias("value"),
        cells[layout.value].alias("raw_value"),
        quality(said, gauge).alias("quality"),
        codes.alias("quality_code"),
        cells[_ROW],
    )
    table = table.with_columns(
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


def _starts(cells: pl.DataFrame, gauge: Gauge, dam: Dam, *, content: bytes) -> pl.DataFrame:
    """When each reading's interval starts: `time`, and on the dam's clock; of a daily value only the date counts."""
    shift, clock = _from_stamp_to_start(gauge), gauge.reading_at or gauge.day_start
    moment = cells.select(_moment(gauge)).to_series()
    with_offset = isinstance(moment.dtype, pl.Datetime) and moment.dtype.time_zone is not None
    stamp = pl.col(_STAMP)
    local = moment.alias(_STAMP).to_frame().select(to_local(stamp, dam.time_zone) if with_offset else stamp)
    if gauge.interval == "day":
        odd = local.with_row_index(_ROW).filter(stamp.dt.time().is_in([time(0), clock]).not_()) if with_offset else None
        if odd is not None and not odd.is_empty():
            row, at = odd.row(0)
            where, text = _where(gauge, content, cells[_ROW][row]), _shown(cells[_layout(gauge).date][row])
            raise SourceError(
                f"{where}: {text} is {at:%H:%M} on the dam's clock ({dam.time_zone}), where a day starts at "
                f"{clock:%H:%M}; correct time_zone in the dam file, or the stamps"
            )
        local = local.select((stamp.dt.date() + shift).dt.combine(clock).cast(pl.Datetime("us")))
    elif with_offset:
        return local.select(stamp + shift, (moment + shift).cast(INSTANT).alias("time"))
    else:
        local = local.select(stamp + shift)
    return local.with_columns(_instants(local[_STAMP], gauge, dam.time_zone))


def _instants(stamps: pl.Series, gauge: Gauge, time_zone: str) -> pl.Series:
    """Local starts as instants, `time`; where clocks go back, a time that stands twice is two instants.

    The first of the two is the earlier one, in a file whose newest line stands first the later one.

    Raises
    ------
    SourceError
        If the file is in neither order, so that nothing tells which is which.
    """
    stamp = pl.col(_STAMP)
    instant = to_utc(stamp, time_zone)
    if not isinstance(zone(time_zone), ZoneInfo) or not stamps.is_duplicated().any():
        return stamps.to_frame().select(instant.alias("time")).to_series()
    falls = bool(stamps[0] > stamps[-1])
    later = stamp.dt.replace_time_zone(time_zone, ambiguous="latest", non_existent="null").dt.convert_time_zone("UTC")
    second = (stamp.is_last_distinct() if falls else stamp.is_first_distinct()).not_() & later.is_not_null()
    made = stamps.to_frame().select(stamp, pl.when(second).then(later).otherwise(instant).alias("time"))
    twice = made.filter(stamp.is_duplicated(), pl.col("time").is_duplicated().not_())
    if not twice.is_empty() and not made["time"].is_sorted(descending=falls):
        raise SourceError(
            f"{_layout(gauge).path}: the time {twice[_STAMP][0]} stands twice, as clocks went back, and the lines are "
            "not in order of time, so that nothing tells which is the earlier; sort the lines, or write offsets (%z)"
        )
    return made["time"]


def _from_stamp_to_start(gauge: Gauge) -> timedelta:
    """From a stamp to the start of its interval, or to the reading; of a daily value in days."""
    length = _A_DAY if gauge.interval == "day" else timedelta(seconds=gauge.table_interval)
    return -length if gauge.stamp == "end" and gauge.reading_at is None else timedelta(0)


def _layout(gauge: Gauge) -> FileLayout:
    if gauge.file is None:
        raise ConfigError(f"gauge {gauge.column}: source {gauge.source!r} is not a file; allowed is 'csv'")
    return gauge.file


def _moment(gauge: Gauge) -> pl.Expr:
    """What a stamp names: a clock time or, with an offset, an instant; null where it is none."""
    form, more = layouts.stamp_form(_layout(gauge).date_format)
    text = pl.col(_layout(gauge).date)
    return (text + more if more else text).str.to_datetime(form, time_unit="us", strict=False)


def _number(gauge: Gauge, *, strict: bool = True) -> pl.Expr:
    """The gauge's number."""
    layout = _layout(gauge)
    cell = pl.col(layout.value)
    text = pl.when(cell.is_in(layout.no_value).not_()).then(cell) if layout.no_value else cell
    return layouts.number(text, layout, strict=strict).alias(layout.value)


def _columns(gauges: Iterable[Gauge]) -> list[str]:
    """The columns of the file that the gauges need."""
    names = [name for f in map(_layout, gauges) for name in (f.date, f.value, f.quality) if name is not None]
    return list(dict.fromkeys(names))


def _scan(content: bytes, gauges: Sequence[Gauge]) -> pl.LazyFrame:
    """The file's needed columns as text, by their names without spaces around."""
    layout = _layout(gauges[0])
    names = layouts.header(content, layout)
    try:
        held = layouts.columns_of(names, _columns(gauges), layout)
    except ConfigError as error:
        absent = next(name for name in _columns(gauges) if [n.strip() for n in names].count(name) != 1)
        user = next(gauge.column for gauge in gauges if absent in _columns([gauge]))
        raise ConfigError(f"gauge {user}: {error}") from None
    table = pl.scan_csv(content, infer_schema=False, separator=layout.separator, glob=False)
    if any(old != new for new, old in held.items()):
        table = table.rename({old: new for new, old in held.items() if old != new})
    return table.select(_columns(gauges))


def _cells(content: bytes, gauges: Sequence[Gauge]) -> pl.DataFrame:
    """The needed columns as text without spaces around, null where empty, and the row's number from 0."""
    table = _scan(content, gauges).with_columns(pl.all().str.strip_chars().replace(EMPTY, None))
    try:
        return table.with_row_index(_ROW).collect(engine="in-memory")
    except pl.exceptions.PolarsError as error:
        layout = _layout(gauges[0])
        reason = layouts.first_fault(content, layout) or str(error).splitlines()[0]
        raise SourceError(
            f"{layout.path} cannot be read as a table ({reason}); it must be UTF-8 text with as many fields in each "
            f"line as in its header, separated by {layout.separator!r}"
        ) from None


def _says_nothing(gauge: Gauge) -> pl.Expr:
    """Rows that hold nothing at all, such as blank lines."""
    return pl.all_horizontal(pl.col(_columns([gauge])).is_null())


def _refuse_unreadable(cells: pl.DataFrame, gauge: Gauge, *, content: bytes) -> None:
    """Raise a SourceError for the first cell that is no date or no number."""
    layout = _layout(gauge)
    texts = cells[layout.value]
    day = cells.select(_moment(gauge).dt.date()).to_series()
    no_date = cells.filter(day.is_null() | (day < EARLIEST) | (day > LATEST))
    if not no_date.is_empty():
        row, text = no_date.row(0, named=True)[_ROW], _shown(no_date[layout.date][0])
        raise SourceError(
            f"{_where(gauge, content, row)}: {text} in column {layout.date!r} is no date of the form "
            f"{layout.date_format!r} from {EARLIEST} to {LATEST}; correct it, or date_format in the dam file"
        )
    number = cells.select(_number(gauge, strict=False)).to_series()
    given = texts.is_not_null() & texts.is_in(list(layout.no_value)).not_()
    no_number = cells.filter(given & (number.is_null() | number.is_finite().not_() | (number.abs() > LARGEST)))
    if not no_number.is_empty():
        row, text = no_number.row(0, named=True)[_ROW], _shown(no_number[layout.value][0])
        raise SourceError(
            f"{_where(gauge, content, row)}: {text} in column {layout.value!r} is no number; correct it, leave the "
            "cell empty where there is no value, or name such texts in no_value in the dam file"
        )


def _shown(text: str | None) -> str:
    """A cell's text as a sentence shows it."""
    text = text or ""
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}…"


def _where(gauge: Gauge, content: bytes, row: int) -> str:
    """File and line of a row (counted from 0, without the header)."""
    return f"{_layout(gauge).path}, line {layouts.header_line(content) + 1 + row}"
