"""Readings from CSV files in the layout that the dam file describes.

The file is read as text, so that an error can quote it. A quality code is a number ("04" is 4), graded by the gauge's
`quality_codes`. A code that is not in that table, and a number without a code in a file that has codes, is "unknown".
Numbers of files without a quality column are "good": nothing indicates otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.csv_layout import quoted
from forebay.dams.csv_numbers import parse_numbers
from forebay.dams.csv_text import read_content
from forebay.dams.value_checks import are_sentinels
from forebay.errors import ConfigError, SourceError
from forebay.sources.accumulated import interval_totals
from forebay.sources.csv_cells import GaugeCells, read_cells, refuse_duplicates
from forebay.sources.csv_stamps import STAMP, interval_starts
from forebay.sources.quality import CODE, MISSING, NO_CODE, UNKNOWN, grades_by_number
from forebay.sources.request import PlannedRequest, plan_local_read
from forebay.tables import READINGS
from forebay.text import printable, unprintable

if TYPE_CHECKING:
    from forebay.dams.csv_layout import FileLayout
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.settings import Settings

MAX_NUMBER = 1e300
"""A larger number might not be finite in another unit."""
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_NO_VALUE = pl.Series([None], dtype=pl.Float64)
_NO_CODE_TEXT = pl.Series([None], dtype=pl.String)
_MARGIN = timedelta(hours=1, minutes=1)  # a local day may have 25 hours


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
    readings = _gauge_readings(read_gauge_files(gauge), gauge, dam)
    day = gauge.local_day(dam.time_zone)
    return readings.filter(day.is_between(since or date.min, until) | (pl.col("time") > now))


def plan_requests(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> list[PlannedRequest]:
    """The read of a gauge's file; see `forebay.sources.Plan`."""
    return [
        request for path in _layout_of(gauge).paths for request in plan_local_read(f"file {path}", since, until)
    ]


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
    parts = [_gauge_readings({_layout_of(gauge).paths[0]: content}, gauge, dam) for gauge in gauges]
    return pl.concat([READINGS.empty(), *parts])


def _layout_of(gauge: Gauge) -> FileLayout:
    """Layout of the gauge's file."""
    if gauge.file is None:
        raise ConfigError(f"gauge {gauge.column}: source {gauge.source!r} is not a file; allowed is 'csv'")
    return gauge.file


def read_gauge_files(gauge: Gauge) -> dict[str, bytes]:
    """Path → content of each of the gauge's files, as `dams.csv_text.read_content` returns it."""
    layout = _layout_of(gauge)
    try:
        return {path: read_content(layout.model_copy(update={"path": path})) for path in layout.paths}
    except ConfigError as error:
        raise ConfigError(f"gauge {gauge.column}: {error}") from None


def _gauge_readings(contents: Mapping[str, bytes], gauge: Gauge, dam: Dam) -> pl.DataFrame:
    """Readings of one gauge, by rising time, from the contents of its files."""
    layout = _layout_of(gauge)
    cells = read_cells(contents, gauge, layout)
    starts = interval_starts(cells, dam)
    numbers = _numbers(cells)
    codes = _codes(cells.rows[layout.quality]) if layout.quality else _NO_CODE_TEXT.new_from_index(0, len(numbers))
    grades = _code_grades(codes, layout)
    values = gauge.canonical(numbers, starts["time"], gauge.unit).zip_with(grades != MISSING, _NO_VALUE)
    table = starts.with_columns(
        values.alias("value"),
        cells.rows[layout.value].alias("raw_value"),
        grades.alias("quality"),
        codes.alias("quality_code"),
    )
    table = refuse_duplicates(cells, table, STAMP).sort("time")
    if gauge.accumulated:
        longest = timedelta(seconds=gauge.table_interval) + (_MARGIN if gauge.interval == "day" else timedelta(0))
        is_total = (table["value"] >= 0) & ~are_sentinels(table["value"], table["time"], gauge)
        totals = table["value"].zip_with(is_total.fill_null(False), _NO_VALUE)
        table = table.with_columns(interval_totals(totals, table["time"], longest).alias("value"))
    return READINGS.check(
        table.with_columns(
            pl.when(pl.col("value").is_null()).then(pl.lit(MISSING)).otherwise("quality").alias("quality"),
            *[pl.lit(value, READINGS.columns[key]).alias(key) for key, value in gauge.series.items()],
        )
    )


def _codes(codes: pl.Series) -> pl.Series:
    """The codes, which outputs show, without unprintable characters."""
    changed = {code: printable(code) for code in codes.unique() if code is not None and unprintable(code)}
    return codes.replace(changed) if changed else codes


def _code_grades(codes: pl.Series, layout: FileLayout) -> pl.Series:
    """Grades of quality codes (text), by the dam file and by the service that it names.

    Where the dam file grades codes itself, a number without a code is good.
    """
    if layout.quality is None:
        return pl.Series(["good"], dtype=pl.String).new_from_index(0, len(codes))
    if layout.quality_codes is None:
        grades = pl.Series([UNKNOWN], dtype=pl.String).new_from_index(0, len(codes))
    else:
        positions = codes.cast(CODE, strict=False).cast(pl.UInt32).fill_null(NO_CODE)
        grades = _grade_table(layout.quality_codes)[positions]  # costs a tenth of `replace_strict`
    if not layout.grades and not layout.missing_codes:
        return grades
    stated: dict[str, str] = {_plain(code): grade for grade, listed in layout.grades.items() for code in listed}
    stated |= {_plain(code): MISSING for code in layout.missing_codes}
    own = {text: stated.get(_plain(text or ""), "good" if text is None else None) for text in codes.unique()}
    listed = codes.replace_strict(list(own), list(own.values()), return_dtype=pl.String)
    return listed.zip_with(listed.is_not_null(), grades)


def _plain(code: str) -> str:
    """A code as it is compared: "04" and "4" are the same."""
    text = code.strip()
    return str(int(text)) if _WHOLE_NUMBER.fullmatch(text) else text


@lru_cache(maxsize=8)
def _grade_table(service: str) -> pl.Series:
    return pl.Series(grades_by_number(service), dtype=pl.String)


def _numbers(cells: GaugeCells) -> pl.Series:
    """Published numbers, null where a cell has none; raises for the first text that is not a number."""
    layout = cells.layout
    texts = cells.rows[layout.value]
    cell = pl.col(layout.value)
    has_value = cell.is_in(layout.no_value).not_()
    for remark in layout.missing_remarks:
        has_value &= cell.str.ends_with(remark).not_()
    number = pl.when(has_value).then(cell) if layout.no_value or layout.missing_remarks else cell
    numbers = cells.rows.select(parse_numbers(number, layout, strict=False).alias(layout.value)).to_series()
    has_text = cells.rows.select(has_value.fill_null(False)).to_series()
    is_bad = numbers.is_null() | numbers.is_finite().not_() | (numbers.abs() > MAX_NUMBER)
    bad = (has_text & is_bad).arg_true()
    if len(bad):
        raise SourceError(
            f"{cells.where(bad[0])}: {quoted(texts[bad[0]], layout)} in column {layout.value!r} is not a number; "
            "correct it, leave the cell empty where there is no value, or add such texts to no_value in the dam file"
        )
    return numbers
