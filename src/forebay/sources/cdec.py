"""Readings of the California Data Exchange Center (CDEC), from its JSON or CSV servlet.

The clock of the service is Pacific Standard Time all year. Months, days and hours may lack their leading zero.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import polars as pl

from forebay.dams.local_time import day_start, local_date
from forebay.errors import ConfigError, SourceError
from forebay.sources.answers import Json, answer_parser, decode_answer, json_of
from forebay.sources.gauge_fetch import (
    Instants,
    Period,
    instant_parts,
    instants_to_request,
    planned_instants,
    readings_in_period,
    station_errors,
)
from forebay.sources.points import interval_starts, readings_of_points, starts_of_dates
from forebay.sources.request import PlannedRequest, Request, Send
from forebay.sources.transport import open_transport
from forebay.sources.units import one_unit
from forebay.tables import INSTANT, READINGS
from forebay.text import printable

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.settings import Settings

SENSORS = {
    "reservoir_level": "6",
    "storage": "15",
    "inflow": "76",
    "release": "23",
    "rainfall": "45",  # of a day
    "stream_level": "1",
    "discharge": "20",
}
"""Variable → sensor number that is requested by default."""
NO_VALUE = ("---", "BRT", "ART", "-9999", "-9999.0", "m")
"""Texts without a value: missing, below and above the rating table, missing in JSON and in the old service."""
PST = "-08:00"
EARLIEST_DAILY, EARLIEST_OTHER = date(1900, 1, 1), date(1980, 1, 1)
"""First day of a fetch of the whole record: the service has no list of its records."""
CSV_COLUMNS = {
    "STATION_ID": "stationId",
    "DURATION": "durCode",
    "SENSOR_NUMBER": "SENSOR_NUM",
    "DATE TIME": "date",
    "OBS DATE": "obsDate",
    "VALUE": "value",
    "DATA_FLAG": "dataFlag",
    "UNITS": "units",
}
"""Column of the CSV servlet → key of the JSON servlet."""
ROWS: dict[str, pl.DataType] = {
    "station": pl.String(),
    "sensor": pl.String(),
    "duration": pl.String(),  # D, H, E (event) or M
    "date": pl.Datetime("us"),  # on the clock of the service; of a daily value the start of its day
    "obs_date": pl.Datetime("us"),  # null where the service gives none
    "raw_value": pl.String(),
    "quality_code": pl.String(),  # the data flag; null where it is blank
    "units": pl.String(),
}
"""Columns of an answer."""
_STAMP = re.compile(r"(\d{4})-?(\d{1,2})-?(\d{1,2})(?:[ T]+(\d{1,2}):?(\d{2})(?::00(?:\.0)?)?)?")


def fetch_readings(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> pl.DataFrame:
    """Readings of one sensor of a CDEC station; see `forebay.sources.Fetch`.

    Raises
    ------
    SourceError
        Also if the fetch covers the whole record and there is no reading: an unknown station, sensor or duration has
        the same empty answer as a station without data.
    """
    gauge = gauge.in_time_zone(dam.time_zone)
    sensor, duration = sensor_of(gauge), duration_of(gauge)
    limits, period = settings.http_for(gauge.source), Period(since, until, now)
    with station_errors(gauge), open_transport(limits) as send:
        url = settings.sources[gauge.source].url
        parts = [
            _rows_of_part(send, _address(url, gauge, part), gauge)
            for part in instant_parts(instants_to_request(period, gauge, _earliest(gauge)), gauge, limits)
        ]
        rows = pl.concat([pl.DataFrame(schema=ROWS), *parts]).unique(maintain_order=True)
        if since is None and rows.is_empty():
            raise SourceError(
                f"the service has no value of sensor {sensor} with duration {duration} of this station; check station, "
                "interval and request.sensor in the dam file"
            )
        readings = readings_of_rows(rows, gauge)
    return readings_in_period(readings, gauge, period)


def plan_requests(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> list[PlannedRequest]:
    """The requests that `fetch_readings` would send; see `forebay.sources.Plan`."""
    gauge = gauge.in_time_zone(dam.time_zone)
    text = f"sensor {sensor_of(gauge)}, duration {duration_of(gauge)}"
    host = Request(settings.sources[gauge.source].url).host
    span = instants_to_request(Period(since, until, now), gauge, _earliest(gauge))
    return planned_instants(host, text, span, gauge, settings.http_for(gauge.source))


def sensor_of(gauge: Gauge) -> str:
    """Sensor number of the gauge: `request.sensor`, or the default of its variable.

    Raises
    ------
    ConfigError
        If there is no default, or the number is none.
    """
    sensor = dict(gauge.request).get("sensor") or SENSORS.get(gauge.variable)
    if sensor is None or (sensor == SENSORS["rainfall"] and gauge.interval != "day"):
        raise ConfigError(
            f"gauge {gauge.station}: {gauge.variable} with interval = {gauge.interval!r} has no default sensor "
            f"(defaults have {', '.join(SENSORS)}; rainfall per day only); give request.sensor in the dam file"
        )
    if not sensor.isdecimal():
        raise ConfigError(f"gauge {gauge.station}: request.sensor = {sensor!r} must be a sensor's number, such as 6")
    return sensor


def duration_of(gauge: Gauge) -> str:
    """Duration code of the gauge's interval: D, H, or E (event) for minutes."""
    return {"day": "D", "hour": "H"}.get(gauge.interval, "E")


def _earliest(gauge: Gauge) -> datetime:
    return day_start(EARLIEST_DAILY if gauge.interval == "day" else EARLIEST_OTHER, "+00:00")


def _address(url: str, gauge: Gauge, part: Instants) -> str:
    """URL of a request; the last day is one day late, because the service may end it at its start."""
    first, last = (local_date(instant, PST) for instant in part)
    query = {
        "Stations": gauge.station,
        "SensorNums": sensor_of(gauge),
        "dur_code": duration_of(gauge),
        "Start": f"{first:%Y-%m-%d}",
        "End": f"{last + timedelta(days=1):%Y-%m-%d}",
    }
    return f"{url}?{urlencode(query)}"


def _rows_of_part(send: Send, address: str, gauge: Gauge) -> pl.DataFrame:
    """Rows (`ROWS`) of an answer, all of the gauge's sensor."""
    rows = parse_answer(send(Request(address, check=parse_answer)))
    for column, requested in (
        ("station", gauge.station),
        ("sensor", sensor_of(gauge)),
        ("duration", duration_of(gauge)),
    ):
        wrong = rows.filter(pl.col(column).str.to_uppercase() != requested.upper())
        if len(wrong):
            raise SourceError(f"the answer has {column} {wrong[column][0]!r} instead of {requested!r}; try again later")
    return rows


@answer_parser
def parse_answer(answer: str | bytes) -> pl.DataFrame:
    """Rows (`ROWS`) of an answer of the JSON or the CSV servlet; none where it has no data.

    Raises
    ------
    SourceError
        If it is neither, or a row lacks something.
    """
    text = answer if isinstance(answer, str) else decode_answer(answer)
    rows = _csv_rows(text) if text.lstrip().startswith("STATION_ID") else json_of(answer)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SourceError(
            f"the answer {str(rows)[:60]!r} is not a list of readings; check the service's URL in the settings"
        )
    cells = [
        (
            _text(row, "stationId"),
            _text(row, "SENSOR_NUM"),
            _text(row, "durCode"),
            _stamp(row, "date"),
            None if row.get("obsDate") is None else _stamp(row, "obsDate"),
            _value(row),
            str(row.get("dataFlag") or "").strip() or None,
            str(row.get("units") or "").strip(),
        )
        for row in rows
    ]
    return pl.DataFrame(cells, schema=ROWS, orient="row")


def _csv_rows(text: str) -> list[dict[str, str]]:
    """Rows of the CSV servlet under the keys of the JSON servlet."""
    lines = csv.reader(io.StringIO(printable(text)), skipinitialspace=True)
    header, *rows = [line for line in lines if line]
    names = [CSV_COLUMNS.get(name.strip(), name.strip()) for name in header]
    if missing := set(CSV_COLUMNS.values()) - set(names):
        raise SourceError(f"the answer lacks the column of {min(missing)!r} in {', '.join(header)}; report it")
    for row in rows:
        if len(row) != len(names):
            raise SourceError(f"the answer's line {','.join(row)[:60]!r} has {len(row)} cells instead of {len(names)}")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _text(row: Mapping[str, Json], key: str) -> str:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise SourceError(f"the answer lacks {key!r} in {str(row)[:80]!r}; try again later")
    return str(value).strip()


def _value(row: Mapping[str, Json]) -> str | None:
    value = row.get("value")
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise SourceError(f"the answer's value {str(value)[:60]!r} is not a number; try again later")
    return None if value is None else str(value).strip()


def _stamp(row: Mapping[str, Json], key: str) -> datetime:
    """Clock time of a text like "2026-8-5 0:00" or "20260805 2400".

    >>> _stamp({"date": "2026-8-5 24:00"}, "date")
    datetime.datetime(2026, 8, 6, 0, 0)
    """
    text = str(row.get(key)).strip()
    match = _STAMP.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        year, month, day, hour, minute = (int(group or 0) for group in match.groups())
        if hour > 24 or minute > 59 or not 1700 <= year <= 2199:
            raise ValueError
        return datetime(year, month, day) + timedelta(hours=hour, minutes=minute)
    except ValueError:
        raise SourceError(f"the answer's {key} {text[:60]!r} is not like '2026-8-5 0:00'; try again later") from None


@answer_parser
def readings_of_rows(rows: pl.DataFrame, gauge: Gauge) -> pl.DataFrame:
    """Rows (`ROWS`) of one sensor as readings (`tables.READINGS`).

    The date of a daily value is a day of the dam. A daily reading at a clock time is an instant, its `obs_date`.

    Raises
    ------
    SourceError
        If the unit is none of the variable, or changes.
    """
    if rows.is_empty():
        return READINGS.empty()
    unit = one_unit(rows["units"], gauge)
    if gauge.interval == "day" and gauge.reading_at is None:
        starts = rows.with_columns(starts_of_dates(pl.col("date").dt.date(), gauge).alias("time"))
    else:
        stamp = pl.col("date") if gauge.interval != "day" else pl.col("obs_date").fill_null(pl.col("date"))
        instant = (stamp + timedelta(hours=8)).dt.replace_time_zone("UTC").cast(INSTANT)
        starts = interval_starts(rows.with_columns(instant.alias("time")), gauge)
    points = starts.select("time", "raw_value", "quality_code")
    return readings_of_points(points, gauge, unit, no_value=NO_VALUE, times="starts")
