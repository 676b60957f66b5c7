"""Answers of a KiWIS hub, as tables: pure parsers without any transport.

A list is a table with a header row. Values come as one object per series, and one answer may have several. An error is
a JSON object or an XML report, whatever format the request names, with any status; a blocked client gets HTML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, final

import polars as pl

from forebay.errors import SourceError
from forebay.sources.answers import Json, answer_parser, json_of
from forebay.sources.points import POINTS, instants, readings_of_points
from forebay.sources.quality import MISSING
from forebay.sources.units import gauge_unit, unit_of
from forebay.tables import INSTANT
from forebay.text import printable

if TYPE_CHECKING:
    from forebay.dams.gauge import Gauge

NO_MATCHES = "No matches."
UNKNOWN_DATUM_M = 9999.0
ADVICE = "check the keys of the gauge's request in the dam file, and the service's URL"

_REPORT = re.compile(
    r"exceptionCode\s*=\s*[\"']([^\"']{0,80})[\"'](?:.{0,400}?<(?:\w+:)?ExceptionText>(.{0,400}?)<)?", re.DOTALL
)
_LIST_COLUMNS = {
    "ts_id": pl.String(),
    "ts_path": pl.String(),
    "ts_name": pl.String(),
    "station": pl.String(),
    "parameter": pl.String(),
    "unit": pl.String(),
    "first": INSTANT,
    "last": INSTANT,
    "first_day": pl.Date(),
    "last_day": pl.Date(),
}


@final
class HubError(SourceError):
    """An error that the hub itself reports: a request for too many values, or a wrong one."""


@dataclass(frozen=True)
class Series:
    """One series of an answer: its id, its points (`POINTS`), and its station and unit where the answer has them."""

    ts_id: str
    station: str
    unit: str
    points: pl.DataFrame


def error_of(status: int, body: bytes) -> SourceError | None:
    """The error of an answer with an error status; None where the status says all.

    Hubs answer 500 to a request for too many values, with or without a report.
    """
    reported = _reported_error(body)
    if reported is None and status == 403:
        return SourceError(
            "the hub refuses this client (status 403), as the Bureau of Meteorology does with clients that it blocks; "
            "try again from another network, or ask the agency"
        )
    if reported is None and status == 500:
        return HubError(f"the hub answers with status 500, as it does to a request for too many values; {ADVICE}")
    return reported


def _reported_error(body: bytes) -> SourceError | None:
    """The error that an XML report or a JSON object describes."""
    text = body[:4000].decode("utf-8", errors="replace").strip()
    if text.startswith("<"):
        report = _REPORT.search(text) if "ExceptionReport" in text else None
        return None if report is None else _hub_error(report[1], unescape(report[2] or "no text"))
    try:
        value = json_of(body) if text.startswith("{") else None
    except SourceError:
        return None
    if isinstance(value, dict) and ("code" in value or "message" in value):
        return _hub_error(value.get("code"), value.get("message"))
    return None


def _hub_error(code: Json, message: Json) -> HubError:
    text = " ".join(printable(str(message)).split())[:200]
    return HubError(f"the hub reports {printable(str(code))[:80]} ({text}); {ADVICE}")


@answer_parser
def result_of(answer: bytes) -> list[Json]:
    """The list in an answer.

    Raises
    ------
    SourceError
        If the answer reports an error, is a page in HTML, or is not a JSON list.
    """
    if error := _reported_error(answer):
        raise error
    if answer.lstrip().startswith(b"<"):
        start = printable(" ".join(answer[:80].decode("utf-8", errors="replace").split()))
        raise SourceError(
            f"the hub sent a page instead of data, it begins {start!r}; it may be down for maintenance, or block this "
            "client; try again later",
            retryable=True,
        )
    result = json_of(answer)
    if not isinstance(result, list):
        raise SourceError(f"the answer {str(result)[:60]!r} is not a KiWIS answer; check the service's URL")
    return result


def rows_of(answer: bytes) -> list[dict[str, str]]:
    """The rows of a list, each by the names of the header row; cells are texts, empty where the hub has none."""
    result = result_of(answer)
    if not result or result in ([NO_MATCHES], [[NO_MATCHES]]):
        return []
    header, *rows = result
    if not isinstance(header, list) or not all(isinstance(name, str) for name in header):
        raise SourceError(f"the answer has {str(header)[:80]!r} instead of a header row; check the service's URL")
    for row in rows:
        if not isinstance(row, list) or len(row) != len(header):
            raise _misfit(row, len(header))
    cells = [["" if cell is None else str(cell).strip() for cell in row] for row in rows]
    return [dict(zip(header, row, strict=True)) for row in cells]


def _misfit(row: Json, count: int) -> SourceError:
    return SourceError(f"the answer's row {str(row)[:80]!r} does not fit its {count} columns; try again later")


@answer_parser
def parse_series_list(answer: bytes) -> pl.DataFrame:
    """Series of an answer to `getTimeseriesList`.

    Columns: ts_id, ts_path, ts_name, station (its number), parameter (name of its type), unit (as published, empty
    where it is unknown), first and last (instants of the coverage; null where the hub gives none), first_day
    and last_day (their days in the zone of the stamps).
    """
    rows = [
        {
            "ts_id": _cell(row, "ts_id"),
            "ts_path": row.get("ts_path", ""),
            "ts_name": row.get("ts_name", ""),
            "station": row.get("station_no", ""),
            "parameter": row.get("parametertype_name") or row.get("stationparameter_name", ""),
            "unit": _unit_text(row),
            "first": row.get("from") or None,
            "last": row.get("to") or None,
        }
        for row in rows_of(answer)
    ]
    texts = {name: pl.String() for name in _LIST_COLUMNS if not name.endswith("_day")}
    frame = pl.DataFrame(rows, schema=texts)
    days = (pl.col(name).str.slice(0, 10).str.to_date("%Y-%m-%d").alias(f"{name}_day") for name in ("first", "last"))
    return frame.with_columns(_instants_or_null(frame["first"]), _instants_or_null(frame["last"]), *days)


def _instants_or_null(text: pl.Series) -> pl.Series:
    known = text.drop_nulls().unique()
    return text.replace_strict(known, instants(known), default=None, return_dtype=INSTANT)


def _cell(row: Mapping[str, str], name: str) -> str:
    if not row.get(name):
        raise SourceError(f"the answer lacks {name!r} in {str(row)[:80]!r}; check the service's URL")
    return row[name]


def _unit_text(row: Mapping[str, Json]) -> str:
    """The unit's symbol, or its name where only that is a known unit."""
    symbol, name = (str(row.get(key) or "").strip() for key in ("ts_unitsymbol", "ts_unitname"))
    return name if unit_of(symbol) is None and (unit_of(name) is not None or not symbol) else symbol


@answer_parser
def parse_values(answer: bytes) -> list[Series]:
    """The series of an answer to `getTimeseriesValues`; a series without values in the span has no points.

    Raises
    ------
    SourceError
        If a series has not as many rows as it states, or lacks a column, or a time is not one.
    """
    return [_series(table) for table in result_of(answer)]


def _series(table: Json) -> Series:
    for key in ("ts_id", "rows", "columns", "data"):
        if not isinstance(table, dict) or key not in table:
            raise SourceError(f"the answer lacks {key!r} in {str(table)[:80]!r}; check the service's URL")
    columns, rows = str(table["columns"]).split(","), table["data"]
    if not isinstance(rows, list) or str(table["rows"]) != str(len(rows)):
        count = len(rows) if isinstance(rows, list) else "no"
        raise SourceError(
            f"the answer states {str(table['rows'])[:20]!r} rows of series {str(table['ts_id'])[:40]!r} and has "
            f"{count}; try again later",
            retryable=True,
        )
    names = ["Timestamp", "Value", *(["Quality Code"] if "Quality Code" in columns else [])]
    if missing := [name for name in names if name not in columns]:
        raise SourceError(f"the answer's columns {str(table['columns'])[:80]!r} lack {missing[0]!r}; try again later")
    positions = [columns.index(name) for name in names]
    for row in rows:
        if not isinstance(row, list) or len(row) != len(columns):
            raise _misfit(row, len(columns))
    cells = [[row[k] for row in rows] for k in positions]
    texts = [[None if cell is None else str(cell) for cell in column] for column in cells]
    codes = texts[2] if len(texts) == 3 else [None] * len(rows)
    points = pl.DataFrame(
        {"time": texts[0], "raw_value": texts[1], "quality_code": codes}, schema=dict.fromkeys(POINTS, pl.String())
    )
    points = points.with_columns(instants(points["time"]))
    return Series(str(table["ts_id"]), str(table.get("station_no") or ""), _unit_text(table), points)


@answer_parser
def readings_of(series: Series, gauge: Gauge, *, unit: str, zero_code: str | None = None) -> pl.DataFrame:
    """A series as readings (`tables.READINGS`), in time order.

    Parameters
    ----------
    unit
        The answer's unit, as published.
    zero_code
        Quality code with which the hub serves 0 where nothing was measured; such a reading is missing.
    """
    readings = readings_of_points(series.points, gauge, gauge_unit(unit, gauge))
    if zero_code is None:
        return readings
    number = pl.col("raw_value").cast(pl.Float64, strict=False)
    is_empty = ((pl.col("quality_code") == zero_code) & (number == 0)).fill_null(False)
    return readings.with_columns(
        pl.when(~is_empty).then("value").alias("value"),
        pl.when(is_empty).then(pl.lit(MISSING)).otherwise("quality").alias("quality"),
    )


@dataclass(frozen=True)
class StationAttributes:
    """A station's attributes; None where the hub has none. The unknown gauge datum 9999.0 is None."""

    gauge_datum_m: float | None
    full_storage_level_m: float | None
    full_storage_volume_ml: float | None

    @property
    def description(self) -> str:
        """The known ones, as text."""
        texts = {
            "full storage level {:.10g} m": self.full_storage_level_m,
            "full storage volume {:.10g} ML": self.full_storage_volume_ml,
            "gauge datum {:.10g} m": self.gauge_datum_m,
        }
        return ", ".join(text.format(number) for text, number in texts.items() if number is not None)


@answer_parser
def parse_attributes(answer: bytes) -> dict[str, StationAttributes]:
    """Attributes by station number (empty where the answer has no numbers), from an answer to `getStationList`."""
    return {
        row.get("station_no", ""): StationAttributes(
            _number(row, "station_gauge_datum", unknown=UNKNOWN_DATUM_M),
            _number(row, "FullStorageLevel"),
            _number(row, "FullStorageVolume"),
        )
        for row in rows_of(answer)
    }


def _number(row: Mapping[str, str], name: str, *, unknown: float | None = None) -> float | None:
    try:
        number = float(row.get(name, ""))
    except ValueError:
        return None
    return number if number != unknown and abs(number) < 1e12 else None
