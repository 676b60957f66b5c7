"""From the stamps of a CSV file to the starts of the intervals of its readings."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

from forebay.dams.csv_dates import EARLIEST, EXCEL, LATEST, has_clock, parse_stamps
from forebay.dams.csv_layout import content_text, quoted
from forebay.dams.local_time import to_local, to_utc, zone
from forebay.errors import SourceError
from forebay.sources.csv_cells import LINE, GaugeCells
from forebay.tables import INSTANT

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

STAMP = "stamp"
_ONE_DAY = timedelta(days=1)
_MONTH_NAME = re.compile(r"\d\W*[^\W\d_]{3,}\W*\d")
_FORMS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
          "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y/%m/%d", "%Y%m%d", "%Y%m%d %H%M", "%d.%m.%Y",
          "%d.%m.%Y %H:%M", "%d-%b-%Y", "%d-%b-%y", "%Y-%m-%d %H:%M%z", "%d/%b/%Y", EXCEL)  # fmt: skip
"""Formats without an ambiguous order of day and month, for the advice in an error."""


def interval_starts(cells: GaugeCells, dam: Dam) -> pl.DataFrame:
    """Start of each reading's interval: `time` (UTC), and `stamp` on the dam's clock; a row per row of the cells.

    Of the stamp of a daily value only the date counts.

    Raises
    ------
    SourceError
        If a stamp cannot be read, or its clock time does not exist or has two instants.
    """
    gauge, layout, form = cells.gauge, cells.layout, cells.layout.date_format
    stamps = _stamps(cells)
    shift, clock = _stamp_to_start(cells), gauge.reading_at or gauge.day_start
    is_daily = gauge.interval == "day"
    if stamps.dtype == pl.Datetime("us") and not (is_daily and (layout.time_zone is None or not has_clock(form))):
        stamps = _instants(stamps.alias(STAMP), cells, layout.time_zone or dam.time_zone)
    has_offset = stamps.dtype != pl.Datetime("us")
    stamp = pl.col(STAMP)
    local = stamps.alias(STAMP).to_frame().select(to_local(stamp, dam.time_zone) if has_offset else stamp)
    if not is_daily:
        return local.select(stamp, (stamps + shift).cast(INSTANT).alias("time"))
    if has_offset:
        _refuse_wrong_clock(local, cells, dam)
    local = local.select((stamp.dt.date() + shift).dt.combine(clock).cast(pl.Datetime("us")))
    return local.with_columns(to_utc(stamp, dam.time_zone).alias("time"))


def _stamps(cells: GaugeCells) -> pl.Series:
    """Stamps as clock times or, with an offset, as instants; raises for the first that cannot be read."""
    layout = cells.layout
    texts = cells.rows.select(pl.concat_str(layout.date_columns, separator=" ").alias(STAMP)).to_series()
    if layout.date_format == EXCEL and layout.decimal_comma:
        texts = texts.str.replace(",", ".", literal=True)
    stamps = parse_stamps(texts, layout.date_format, locale=layout.locale, calendar=layout.calendar)
    days = stamps.dt.date()
    bad = (days.is_null() | (days < EARLIEST) | (days > LATEST)).arg_true()
    if len(bad):
        row = bad[0]
        names = " and ".join(repr(name) for name in layout.date_columns)
        is_far = not days.is_null()[row]  # the day itself may be no Python date: years beyond 9999
        problem = "lies outside the days" if is_far else f"is not a date of the form {layout.date_format!r}"
        advice = _advice_for_years(stamps) if is_far else _advice(texts[row], cells, row)
        raise SourceError(
            f"{cells.where(row)}: {quoted(texts[row], layout)} in column {names} {problem} from {EARLIEST} to {LATEST}"
            f"; correct it, or date_format in the dam file{advice}"
        )
    return stamps


def _advice_for_years(stamps: pl.Series) -> str:
    """Advice for years too late: those of the Buddhist calendar."""
    years = stamps.dt.year().drop_nulls()
    is_buddhist = len(years) > 0 and years.is_between(2400, 2700).all()
    return '; for years of the Buddhist calendar, set calendar = "buddhist"' if is_buddhist else ""


def _advice(text: str | None, cells: GaugeCells, row: int) -> str:
    """Advice for a stamp that cannot be read: the format that reads it, or the key for a line of units."""
    layout_form = cells.layout.date_format
    form = next((form for form in _FORMS if text and parse_stamps(pl.Series([text]), form).null_count() == 0), None)
    if form is not None:
        return f" ({form!r} reads this one)"
    if text and _MONTH_NAME.search(text) and "%b" not in layout_form.replace("%B", "%b"):
        return "; a name of a month is read with %b"
    if text and _MONTH_NAME.search(text):
        return "; if the name of the month is not English, set locale"
    if row == 0 and cells.rows[cells.layout.value].str.contains(r"^[0-9.+-]+$").to_list()[:1] != [True]:
        return "; if the line has units or widths instead of a reading, set units_line = true"
    return ""


def _stamp_to_start(cells: GaugeCells) -> timedelta:
    """From a stamp to the start of its interval, or to the reading; of a daily value in days."""
    gauge = cells.gauge
    length = _ONE_DAY if gauge.interval == "day" else timedelta(seconds=gauge.table_interval)
    return -length if gauge.stamp == "end" and gauge.reading_at is None else timedelta(0)


def _refuse_wrong_clock(local: pl.DataFrame, cells: GaugeCells, dam: Dam) -> None:
    """Raise a SourceError for the first daily stamp that is neither midnight nor the gauge's own clock time."""
    clock = cells.gauge.reading_at or cells.gauge.day_start
    bad_stamps = local.with_row_index("row").filter(pl.col(STAMP).dt.time().is_in([time(0), clock]).not_())
    if not bad_stamps.is_empty():
        row, stamp = bad_stamps.row(0)
        text = quoted(" ".join(cells.rows.select(cells.layout.date_columns).row(row)), cells.layout)
        time_of_day = content_text(f"{stamp:%H:%M}", cells.layout)
        raise SourceError(
            f"{cells.where(row)}: {text} is {time_of_day} on the dam's clock ({dam.time_zone}), where a day starts at "
            f"{clock:%H:%M}; correct time_zone in the dam file, or the stamps"
        )


def _instants(stamps: pl.Series, cells: GaugeCells, time_zone: str) -> pl.Series:
    """Stamps of a zone as instants; where clocks go back, a clock time that occurs twice is two instants.

    Of the two, the first line is the earlier instant; in a file whose newest line comes first it is the later one.

    Raises
    ------
    SourceError
        If the file is in neither order, because then the two cannot be distinguished; or if it has a clock time that
        the zone skips, because then the clock of the file does not change.
    """
    stamp = pl.col(STAMP)
    instant = to_utc(stamp, time_zone)
    if not isinstance(zone(time_zone), ZoneInfo):
        return stamps.to_frame().select(instant.alias("time")).to_series()
    _refuse_skipped_times(stamps, cells, time_zone)
    if not stamps.is_duplicated().any():
        return stamps.to_frame().select(instant.alias("time")).to_series()
    is_descending = bool(stamps[0] > stamps[-1])
    later = stamp.dt.replace_time_zone(time_zone, ambiguous="latest", non_existent="null").dt.convert_time_zone("UTC")
    is_first = stamp.is_last_distinct() if is_descending else stamp.is_first_distinct()
    is_second = is_first.not_() & later.is_not_null()
    table = stamps.to_frame().select(stamp, pl.when(is_second).then(later).otherwise(instant).alias("time"))
    pairs = table.filter(stamp.is_duplicated(), pl.col("time").is_duplicated().not_())
    if not pairs.is_empty() and not table["time"].is_sorted(descending=is_descending):
        twice = content_text(pairs[STAMP][0], cells.layout)
        raise SourceError(
            f"{cells.rows[LINE.path][0]}: the time {twice} occurs twice, because clocks went back, and the "
            "lines are not in order of time, so the earlier one is unknown; sort the lines, or write offsets (%z)"
        )
    return table["time"]


def _refuse_skipped_times(stamps: pl.Series, cells: GaugeCells, time_zone: str) -> None:
    """Raise a SourceError for the first clock time that does not exist in the zone."""
    skipped = stamps.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null").is_null().arg_true()
    if not len(skipped):
        return
    stamp: datetime = stamps[skipped[0]]
    offset = _standard_offset(stamp, time_zone)
    clock_time = content_text(stamp, cells.layout)
    raise SourceError(
        f"{cells.where(skipped[0])}: the time {clock_time} does not exist in {time_zone}, whose clocks "
        "skip it, so the clock of the file does not change; set a fixed offset, probably standard time: "
        f'time_zone = "{offset}" in the gauge\'s file table (or of the dam)'
    )


def _standard_offset(stamp: datetime, time_zone: str) -> str:
    """Offset of the zone's winter time near `stamp`, as "-05:00"."""
    before = stamp.replace(tzinfo=zone(time_zone)) - _ONE_DAY
    summer_time = max(before.dst() or timedelta(0), timedelta(0))  # below 0 where winter time is the exception: Ireland
    offset = (before.utcoffset() or timedelta(0)) - summer_time
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
