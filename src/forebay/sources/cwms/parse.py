"""Answers of the CWMS Data API as tables: pure parsers without any transport.

An answer without data has status 404 and the JSON `{"message": …, "incidentIdentifier": …}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl

from forebay.errors import SourceError
from forebay.sources.answers import Json, answer_parser, json_of, text_at
from forebay.sources.points import POINTS
from forebay.sources.quality import grade_by
from forebay.tables import INSTANT

SCREENED, OKAY, NO_VALUE, QUESTIONABLE, REJECTED, REPLACED = 1, 2, 4, 8, 16, 128
"""Bits of a quality code (HEC's documentation): screened, the four validity bits, "differs from the original"."""
_MAX_OFFSET = 1e6
_ALL_BITS = 0xFFFF_FFFF
_EPOCH = datetime(1970, 1, 1)
_MAX_MS = 7_258_118_400_000  # 2200-01-01
_MIN_MS = -8_520_336_000_000  # 1700-01-01


@dataclass(frozen=True)
class VerticalDatum:
    """Vertical datum of the levels of a series.

    Attributes
    ----------
    native
        Datum of the values, as published ("NGVD-29", "UNKNOWN"); empty if the answer does not name it.
    unit
        Unit of the offsets, which is the unit of the answer.
    offsets
        Datum → what to add to a value for a level above that datum.
    estimates
        Datums whose offset is an estimate.
    """

    native: str
    unit: str = ""
    offsets: Mapping[str, float] = field(default_factory=dict)
    estimates: frozenset[str] = frozenset()

    @property
    def text(self) -> str:
        """Datum and offsets for messages."""
        parts = [
            f"{value:+g} {self.unit} to {name}{' (estimate)' if name in self.estimates else ''}"
            for name, value in self.offsets.items()
        ]
        return ", ".join([self.native or "not named", *parts])


@dataclass(frozen=True)
class SeriesPage:
    """One page of a time series.

    `points` has time, raw_value and quality_code (`points.POINTS`). `total` is the number of values on all pages, None
    where the service does not state it; `next_page` is the cursor of the next page, None on the last one.
    """

    name: str
    office: str
    unit: str
    points: pl.DataFrame
    total: int | None
    next_page: str | None
    datum: VerticalDatum | None


@dataclass(frozen=True)
class CatalogPage:
    """One page of a catalog: its entries, the number of entries on all pages, the cursor of the next page."""

    entries: Sequence[Mapping[str, Json]]
    total: int | None
    next_page: str | None


@answer_parser
def parse_timeseries(answer: str | bytes) -> SeriesPage | None:
    """One page of a time series; None where the service has no data (the JSON message of status 404).

    Raises
    ------
    SourceError
        If the answer is not JSON, or not a time series.
    """
    page = _object(json_of(answer))
    if "values" not in page and isinstance(page.get("message"), str) and "incidentIdentifier" in page:
        return None
    columns = _columns(page)
    rows = _take_list(page, "values")
    return SeriesPage(
        name=text_at(page, "name"),
        office=text_at(page, "office-id"),
        unit=text_at(page, "units"),
        points=_points(rows, columns),
        total=_total(page),
        next_page=_cursor(page),
        datum=_datum(page.get("vertical-datum-info")),
    )


@answer_parser
def parse_catalog(answer: str | bytes) -> CatalogPage:
    """One page of a catalog of time series or locations."""
    page = _object(json_of(answer))
    entries = [_object(entry) for entry in _take_list(page, "entries")]
    return CatalogPage(entries, _total(page), _cursor(page))


@answer_parser
def error_of(status: int, answer: bytes) -> SourceError | None:
    """The error in the service's own words, and what to do; None if it has none."""
    try:
        content = json_of(answer)
    except SourceError:
        return None
    message = content.get("message") if isinstance(content, dict) else None
    words = message.strip().rstrip(".") if isinstance(message, str) else ""
    advice = "check the gauge's station and request in the dam file, or try again later"
    return SourceError(f"the service answers with status {status} ({words}); {advice}") if words else None


def record_start(entry: Mapping[str, Json]) -> datetime | None:
    """First instant (UTC) of a series, from its catalog entry; None if it has no values."""
    return min(_extents(entry, "earliest-time"), default=None)


def record_end(entry: Mapping[str, Json]) -> datetime | None:
    """Last instant (UTC) of a series, from its catalog entry; None if it has no values."""
    return max(_extents(entry, "latest-time"), default=None)


def _extents(entry: Mapping[str, Json], key: str) -> list[datetime]:
    extents = entry.get("extents")
    if not isinstance(extents, list):
        return []
    texts = [extent.get(key) for extent in extents if isinstance(extent, dict)]
    return [_instant(text) for text in texts if text is not None]


def _instant(text: Json) -> datetime:
    try:
        instant = datetime.fromisoformat(str(text))
        return instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise SourceError(f"the catalog's time {text!r} is not like 2020-01-31T06:00:00Z; try again later") from None


def grade_of_bits(code: str | None) -> str:
    """Grade of a quality code, a number of 32 bits that may be signed.

    A value that was rejected or questioned is "poor", one that replaces the original "estimated".

    >>> grade_of_bits("0"), grade_of_bits("3"), grade_of_bits("5"), grade_of_bits("-2147483645")
    ('unknown', 'good', 'missing', 'good')
    """
    bits = int(code or 0) & _ALL_BITS
    if not bits & SCREENED:
        return "unknown"
    for bit, grade in ((NO_VALUE, "missing"), (REJECTED | QUESTIONABLE, "poor"), (REPLACED, "estimated")):
        if bits & bit:
            return grade
    return "good" if bits & OKAY else "unknown"


def with_grades(points: pl.DataFrame) -> pl.DataFrame:
    """Points (`points.POINTS`) with the column `quality`."""
    grades = {code: grade_of_bits(code) for code in points["quality_code"].drop_nulls().unique()}
    return points.with_columns(grade_by(pl.col("quality_code"), grades).alias("quality"))


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise SourceError(
            f"the answer has {str(value)[:60]!r} instead of an object; check the service's URL in the settings"
        )
    return value


def _take_list(page: Mapping[str, Json], key: str) -> list[Json]:
    rows = page.get(key)
    if not isinstance(rows, list):
        message = page.get("message")
        problem = " ".join(message.split())[:100] if isinstance(message, str) else f"{key!r} = {str(rows)[:60]!r}"
        raise SourceError(
            f"the answer has no list of {key} ({problem}); check request.office in the dam file, and the service's URL "
            "in the settings"
        )
    return rows


def _total(page: Mapping[str, Json]) -> int | None:
    total = page.get("total")
    if total is not None and (isinstance(total, bool) or not isinstance(total, int) or total < 0):
        raise SourceError(f"the answer's total = {str(total)[:60]} is not a number of values; try again later")
    return total


def _cursor(page: Mapping[str, Json]) -> str | None:
    cursor = page.get("next-page")
    if cursor is not None and (not isinstance(cursor, str) or not cursor.strip()):
        raise SourceError(f"the answer's next-page = {str(cursor)[:60]!r} is not a text; try again later")
    return cursor


def _columns(page: Mapping[str, Json]) -> tuple[int, int, int | None]:
    """Positions of time, value and quality code in a row of values."""
    columns = page.get("value-columns")
    if columns is None:
        return 0, 1, 2
    names = [column.get("name") if isinstance(column, dict) else None for column in _take_list(page, "value-columns")]
    if "date-time" not in names or "value" not in names:
        raise SourceError(f"the answer's value-columns are {str(names)[:80]}, without date-time and value; report it")
    quality = names.index("quality-code") if "quality-code" in names else None
    return names.index("date-time"), names.index("value"), quality


def _points(rows: Sequence[Json], columns: tuple[int, int, int | None]) -> pl.DataFrame:
    """Rows of values as `points.POINTS`."""
    time_at, value_at, quality_at = columns
    cells: list[tuple[datetime, str | None, str | None]] = []
    for row in rows:
        if not isinstance(row, list) or len(row) <= max(time_at, value_at, quality_at or 0):
            raise SourceError(f"the answer's row {str(row)[:60]!r} is not [time, value, quality code]; try again later")
        quality = None if quality_at is None else row[quality_at]
        if quality is not None and not _is_whole_number(quality):
            raise SourceError(f"the answer's quality code {str(quality)[:60]!r} is not a whole number; try again later")
        value = row[value_at]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise SourceError(f"the answer's value {str(value)[:60]!r} is not a number; try again later")
        code = None if quality is None else str(quality)
        cells.append((_time(row[time_at]), None if value is None else str(value), code))
    schema = {"time": pl.Datetime("us"), "raw_value": pl.String(), "quality_code": pl.String()}
    frame = pl.DataFrame(cells, schema=schema, orient="row")
    return frame.with_columns(pl.col("time").dt.replace_time_zone("UTC").cast(INSTANT)).select(list(POINTS))


def _is_whole_number(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _ALL_BITS


def _time(value: Json) -> datetime:
    """The naive UTC time of a number of milliseconds since 1970."""
    if isinstance(value, bool) or not isinstance(value, int) or not _MIN_MS <= value <= _MAX_MS:
        raise SourceError(
            f"the answer's time {str(value)[:60]!r} is not a number of milliseconds since 1970; try again later"
        )
    return _EPOCH + timedelta(milliseconds=value)


def _datum(info: Json) -> VerticalDatum | None:
    """The vertical datum of an answer; None if it has no `vertical-datum-info`."""
    if info is None:
        return None
    offsets, estimates = {}, set()
    table = _object(info)
    listed = table.get("offsets") or []
    for offset in listed if isinstance(listed, list) else [listed]:
        name, value = (offset.get("to-datum"), offset.get("value")) if isinstance(offset, dict) else (None, None)
        is_name, is_number = isinstance(name, str), isinstance(value, int | float) and not isinstance(value, bool)
        if name is None or value is None or not (is_name and is_number and abs(value) < _MAX_OFFSET):
            raise SourceError(f"the answer's offset of datums {str(offset)[:60]!r} cannot be read; try again later")
        offsets[name] = float(value)
        if offset.get("estimate") is not False:
            estimates.add(name)
    native, unit = table.get("native-datum") or "", table.get("unit") or ""
    if not isinstance(native, str) or not isinstance(unit, str):
        raise SourceError(f"the answer's native-datum {str(native)[:60]!r} is not a text; try again later")
    return VerticalDatum(native, unit, offsets, frozenset(estimates))
