"""Answers of a Hydstra (Kisters) web service, as tables: pure parsers without any transport.

Answers are text/html with status 200, errors too: only the JSON itself shows whether an answer is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.errors import SourceError
from forebay.sources.answers import Json, answer_parser, json_of
from forebay.sources.points import readings_of_points
from forebay.sources.units import gauge_unit
from forebay.tables import INSTANT

if TYPE_CHECKING:
    from forebay.dams.gauge import Gauge

CLOCK = "%Y%m%d%H%M%S"
NO_DATA = 126
ADVICE = {
    80: "check the gauge's request.datasource in the dam file",
    83: "check the gauge's station in the dam file",
    84: "check the gauge's station in the dam file",
    100: "check the service's URL in the settings",
}
VARIABLE_CODES = {
    "rainfall": ("10.00", "10.00"),
    "stream_level": ("100.00", "100.00"),
    "reservoir_level": ("130.00", "130.00"),
    "storage": ("136.00", "136.00"),
    "storage_percent": ("448.00", "448.00"),
    "discharge": ("100.00", "141.00"),
}
"""Code that the sensor measures, and code to request; where they differ, the service computes the second."""
DATA_TYPES = {"mean": "mean", "total": "tot", "instantaneous": "start"}


@dataclass(frozen=True)
class Trace:
    """One series of an answer: its variable and unit, and its points.

    `points` has time (station-local), raw_value and quality_code (text); `utc_offset` is the station's.
    """

    site: str
    variable: str
    unit: str
    utc_offset: timedelta
    quality_texts: Mapping[str, str]
    points: pl.DataFrame


@answer_parser
def result_of(answer: str | bytes) -> Json | None:
    """The result in an answer; None where the service has no data in the period (error 126).

    Raises
    ------
    SourceError
        If the answer is not JSON, has no result, or reports an error.
    """
    envelope = json_of(answer)
    if not isinstance(envelope, dict):
        text = str(envelope)[:60]
        raise SourceError(f"the answer {text!r} is not a Hydstra answer; check the service's URL in the settings")
    if _error_number(envelope) == NO_DATA:
        return None
    for key in ("return", "_return"):
        if key in envelope:
            return envelope[key]
    raise SourceError(f"the answer has no result, only {', '.join(map(repr, envelope))}; check the URL in the settings")


def _error_number(table: Mapping[str, Json]) -> int:
    """0, or 126 for "no data", from an envelope or a trace; raises on any other error number."""
    for key in ("error_num", "err_num", "_error_num"):
        if key in table:
            try:
                number = int(table[key])
            except (TypeError, ValueError, OverflowError):
                raise SourceError(f"the answer's {key} = {table[key]!r} is not a number; try again later") from None
            if number not in (0, NO_DATA):
                message = " ".join(str(table.get(key.replace("num", "msg"), "no text")).split())
                advice = ADVICE.get(number, "check the gauge in the dam file")
                raise SourceError(f"the service reports error {number} ({message}); {advice}")
            return number
    return 0


def _take(table: Json, key: str) -> Json:
    if not isinstance(table, dict) or key not in table:
        raise SourceError(f"the answer lacks {key!r} in {str(table)[:80]!r}; check the service's URL in the settings")
    return table[key]


def _take_list(table: Json, key: str) -> list[Json]:
    rows = _take(table, key)
    if not isinstance(rows, list):
        text = str(rows)[:80]
        raise SourceError(f"the answer has {text!r} instead of a list; check the service's URL in the settings")
    return rows


def _rows(answer: str | bytes, key: str) -> list[Json]:
    """The list under `key` of an answer's result; empty where there is no data."""
    result = result_of(answer)
    return [] if result is None else _take_list(result, key)


@answer_parser
def parse_ts_traces(answer: str | bytes) -> list[Trace]:
    """The traces of an answer to `get_ts_traces`; it has no trace for a site without data in the period."""
    return [_trace(row) for row in _rows(answer, "traces") if _error_number(_as_object(row)) != NO_DATA]


def _as_object(row: Json) -> dict[str, Json]:
    if not isinstance(row, dict):
        raise SourceError(f"the answer has {row!r} instead of an object; check the service's URL in the settings")
    return row


def _trace(row: Json) -> Trace:
    details, points = _take(row, "varto_details"), _take(row, "trace")
    texts = row.get("quality_codes") or {}
    try:
        frame = pl.DataFrame(
            {
                "time": [str(point["t"]) for point in points],
                "raw_value": [None if point["v"] is None else str(point["v"]) for point in points],
                "quality_code": [None if point.get("q") is None else str(point["q"]) for point in points],
            },
            schema={"time": pl.String, "raw_value": pl.String, "quality_code": pl.String},
        )
        texts = {str(code): str(text) for code, text in texts.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"a point of the answer is not {{v, t, q}} ({error!r}); try again later") from None
    return Trace(
        site=str(_take(row, "site")),
        variable=str(_take(details, "variable")),
        unit=str(_take(details, "units")),
        utc_offset=_utc_offset(_take(row, "site_details")),
        quality_texts=texts,
        points=frame.with_columns(_local_time(frame["time"])),
    )


def _utc_offset(site_details: Json) -> timedelta:
    """A station's fixed offset from UTC; the answer gives hours ("10.0")."""
    hours = _take(site_details, "timezone")
    try:
        offset = timedelta(minutes=round(float(hours) * 60))
    except (TypeError, ValueError, OverflowError):
        offset = timedelta.max
    if abs(offset) > timedelta(hours=14):
        raise SourceError(f"the station's timezone {hours!r} must be hours from -14 to 14; its times cannot be read")
    return offset


def _local_time(text: pl.Series) -> pl.Series:
    """Times of 14 digits as naive datetimes."""
    time = text.str.to_datetime(CLOCK, time_unit="us", strict=False)
    bad_times = text.filter(time.is_null() | (text.str.len_chars() != 14))
    if len(bad_times):
        raise SourceError(f"the answer's time {bad_times[0]!r} is not 14 digits like 20200101000000; try again later")
    return time


@answer_parser
def parse_variable_list(answer: str | bytes) -> pl.DataFrame:
    """Variables of each site, from an answer to `get_variable_list`.

    Columns: site, site_name, utc_offset (Duration), variable, name, units, period_start and period_end (station-local;
    null where they are not times).
    """
    schema = dict.fromkeys(("site", "site_name", "variable", "name", "units"), pl.String())
    variable_keys = ("variable", "name", "units", "period_start", "period_end")
    rows: list[dict[str, object]] = []
    for site in _rows(answer, "sites"):
        details = _take(site, "site_details")
        for variable in _take_list(site, "variables"):
            site_cells = {"site": str(_take(site, "site")), "site_name": str(_take(details, "name"))}
            variable_cells = {key: str(_take(variable, key)) for key in variable_keys}
            rows.append({**site_cells, **variable_cells, "utc_offset": _utc_offset(details)})
    frame = pl.DataFrame(
        rows, schema={**schema, "period_start": pl.String, "period_end": pl.String, "utc_offset": pl.Duration("us")}
    )
    period = pl.col("period_start", "period_end")
    return frame.with_columns(period.str.to_datetime(CLOCK, time_unit="us", strict=False))


@answer_parser
def parse_datasources(answer: str | bytes) -> pl.DataFrame:
    """Columns site and datasource, one row each, from an answer to `get_datasources_by_site`."""
    rows = [
        (str(_take(site, "site")), str(name))
        for site in _rows(answer, "sites")
        for name in _take_list(site, "datasources")
    ]
    return pl.DataFrame(rows, schema={"site": pl.String, "datasource": pl.String}, orient="row")


@answer_parser
def readings_of(trace: Trace, gauge: Gauge) -> pl.DataFrame:
    """A trace as readings (`tables.READINGS`), in time order; times by the station's offset."""
    time = (pl.col("time") - trace.utc_offset).dt.replace_time_zone("UTC").cast(INSTANT)
    unit = gauge_unit(trace.unit, gauge)
    return readings_of_points(trace.points.with_columns(time), gauge, unit, quality_texts=trace.quality_texts)
