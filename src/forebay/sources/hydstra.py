"""Gauges behind a Hydstra (Kisters) web service: WaterNSW, Victoria, Queensland.

Pure parsers, from an answer's text to tables, stand first; then the fetch. Answers come as text/html with status 200,
errors too, so only the JSON itself tells what they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from forebay.dams.dam import Dam, Gauge
from forebay.errors import ConfigError, SourceError
from forebay.settings import Settings
from forebay.sources.quality import MISSING, grade
from forebay.sources.transport import Request, open_transport
from forebay.tables import INSTANT, READINGS

Json = Any  # Any: a JSON value; what is taken from it is checked where it is taken
Ask = Callable[[str, str, Mapping[str, object]], bytes]
"""Function, version and params of a call → the answer."""

CLOCK = "%Y%m%d%H%M%S"
NO_DATA = 126
POINTS_PER_CALL = 20_000
ADVICE = {
    80: "check the gauge's hydstra.datasource in the dam file",
    83: "check the gauge's station in the dam file",
    84: "check the gauge's station in the dam file",
    100: "check the service's URL in the settings",
}
DATASOURCES = {"waternsw": "CP", "vicwater": "A", "qldwater": "A"}
VARIABLE_CODES = {
    "rainfall": ("10.00", "10.00"),
    "stream_level": ("100.00", "100.00"),
    "reservoir_level": ("130.00", "130.00"),
    "storage": ("136.00", "136.00"),
    "storage_percent": ("448.00", "448.00"),
    "discharge": ("100.00", "141.00"),
}
"""What the sensor measures and what is asked for; where they differ the service computes one from the other."""
DATA_TYPES = {"mean": "mean", "total": "tot", "instantaneous": "start"}
UNITS = {
    "m": "metres meters metre meter m",
    "cm": "centimetres centimeters cm",
    "mm": "millimetres millimeters mm",
    "ft": "feet ft",
    "in": "inches in",
    "ML": "megalitres megaliters ml",
    "GL": "gigalitres gigaliters gl",
    "ML/d": "megalitres/day megaliters/day ml/day ml/d",
    "m3/s": "cumecs m3/s m^3/s m³/s m3/sec",
    "%": "% percent",
    "degC": "degc °c",
}
"""Our name of a unit → how services write it, in small letters and without spaces."""
_UNIT_NAMES = {text: unit for unit, texts in UNITS.items() for text in texts.split()} | {
    "degreescelsius": "degC",
    "degreescelcius": "degC",  # as recorded
    "cubicmetres/second": "m3/s",
    "cubicmetrespersecond": "m3/s",
}


@dataclass(frozen=True)
class Trace:
    """One series of an answer: what its values are, and its points.

    `points` has time (station-local, as sent), raw_value and quality_code (text); `utc_offset` is the station's.
    """

    site: str
    variable: str
    unit: str
    utc_offset: timedelta
    quality_texts: Mapping[str, str]
    points: pl.DataFrame


def result_of(answer: str | bytes) -> Json | None:
    """What an answer returns; None where the service says that there is no data in the period (126).

    Raises
    ------
    SourceError
        If the answer is not JSON, has no result, or reports an error.
    """
    text = answer if isinstance(answer, str) else _decoded(answer)
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError):
        raise SourceError(f"the answer is not JSON, it begins {text[:60]!r}; try later", retryable=True) from None
    if not isinstance(envelope, dict):
        raise SourceError(f"the answer {text[:60]!r} is not a Hydstra answer; check the service's URL in the settings")
    if _error_number(envelope) == NO_DATA:
        return None
    for key in ("return", "_return"):
        if key in envelope:
            return envelope[key]
    raise SourceError(f"the answer has no result, only {', '.join(map(repr, envelope))}; check the URL in the settings")


def _decoded(answer: bytes) -> str:
    """Text of an answer, which is UTF-8 or, from some servers, the Windows code page."""
    try:
        return answer.decode("utf-8-sig")
    except UnicodeDecodeError:
        return answer.decode("cp1252", errors="replace")


def _error_number(told: Mapping[str, Json]) -> int:
    """0, or 126 for "no data"; raises on any other error number of an envelope or a trace."""
    for key in ("error_num", "err_num", "_error_num"):
        if key in told:
            try:
                number = int(told[key])
            except (TypeError, ValueError):
                raise SourceError(f"the answer's {key} = {told[key]!r} is not a number; try again later") from None
            if number not in (0, NO_DATA):
                message = " ".join(str(told.get(key.replace("num", "msg"), "no text")).split())
                advice = ADVICE.get(number, "check the gauge in the dam file")
                raise SourceError(f"the service reports error {number} ({message}); {advice}")
            return number
    return 0


def _take(table: Json, key: str) -> Json:
    if not isinstance(table, dict) or key not in table:
        raise SourceError(f"the answer lacks {key!r} in {str(table)[:80]!r}; Hydstra services send it")
    return table[key]


def _rows(answer: str | bytes, key: str | None) -> list[Json]:
    """The list that an answer returns, itself or under `key`; empty where there is no data."""
    result = result_of(answer)
    rows = [] if result is None else result if key is None else _take(result, key)
    if not isinstance(rows, list):
        raise SourceError(f"the answer has {str(rows)[:80]!r} where a list was due; Hydstra services send one")
    return rows


def parse_ts_traces(answer: str | bytes) -> list[Trace]:
    """The traces of an answer to `get_ts_traces`; a site without data in the period is not among them."""
    return [_trace(row) for row in _rows(answer, "traces") if _error_number(_checked(row)) != NO_DATA]


def _checked(row: Json) -> dict[str, Json]:
    if not isinstance(row, dict):
        raise SourceError(f"the answer has {row!r} where an object was due; Hydstra services send one")
    return row


def _trace(row: Json) -> Trace:
    holds, points = _take(row, "varto_details"), _take(row, "trace")
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
        variable=str(_take(holds, "variable")),
        unit=str(_take(holds, "units")),
        utc_offset=_utc_offset(_take(row, "site_details")),
        quality_texts=texts,
        points=frame.with_columns(_local_time(frame["time"])),
    )


def _utc_offset(site_details: Json) -> timedelta:
    """A station's fixed offset, which is told in hours ("10.0")."""
    told = _take(site_details, "timezone")
    try:
        offset = timedelta(minutes=round(float(told) * 60))
    except (TypeError, ValueError, OverflowError):
        offset = timedelta.max
    if abs(offset) > timedelta(hours=14):
        raise SourceError(f"the station's timezone {told!r} is not hours between -14 and 14; its times cannot be read")
    return offset


def _local_time(text: pl.Series) -> pl.Series:
    """Times of 14 digits as naive datetimes."""
    time = text.str.to_datetime(CLOCK, time_unit="us", strict=False)
    wrong = text.filter(time.is_null() | (text.str.len_chars() != 14))
    if len(wrong):
        raise SourceError(f"the answer's time {wrong[0]!r} is not 14 digits like 20200101000000; try again later")
    return time


def parse_variable_list(answer: str | bytes) -> pl.DataFrame:
    """Variables of each site, from an answer to `get_variable_list`.

    Columns: site, site_name, utc_offset (Duration), variable, name, units, period_start and period_end (station-local;
    null where they are no times).
    """
    schema = dict.fromkeys(("site", "site_name", "variable", "name", "units"), pl.String())
    of_variable = ("variable", "name", "units", "period_start", "period_end")
    rows: list[dict[str, object]] = []
    for site in _rows(answer, "sites"):
        details = _take(site, "site_details")
        for variable in _take(site, "variables"):
            told = {key: str(_take(variable, key)) for key in of_variable}
            names = {"site": str(_take(site, "site")), "site_name": str(_take(details, "name"))}
            rows.append({**names, **told, "utc_offset": _utc_offset(details)})
    frame = pl.DataFrame(
        rows, schema={**schema, "period_start": pl.String, "period_end": pl.String, "utc_offset": pl.Duration("us")}
    )
    period = pl.col("period_start", "period_end")
    return frame.with_columns(period.str.to_datetime(CLOCK, time_unit="us", strict=False))


def parse_datasources(answer: str | bytes) -> pl.DataFrame:
    """Columns site and datasource, one row each, from an answer to `get_datasources_by_site`."""
    rows = [
        (str(_take(site, "site")), str(name)) for site in _rows(answer, "sites") for name in _take(site, "datasources")
    ]
    return pl.DataFrame(rows, schema={"site": pl.String, "datasource": pl.String}, orient="row")


def parse_groups(answer: str | bytes) -> pl.DataFrame:
    """Members of groups, from an answer to `get_groups`.

    Columns: group, group_name, value, value_name (null where the group has none), station.
    """
    rows = [
        (_take(group, "group"), group.get("group_decode"), group.get("value"), group.get("value_decode"), str(station))
        for group in _rows(answer, None)
        for station in _take(group, "stations")
    ]
    columns = ("group", "group_name", "value", "value_name", "station")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def readings_of(trace: Trace, gauge: Gauge) -> pl.DataFrame:
    """A trace as readings (`tables.READINGS`), in time order.

    Values are converted from the unit that the answer names, times by the station's own offset. A value is null where
    none was sent, or where the quality code says that there is none; what was published stays in `raw_value`.
    """
    factor, offset = _conversion(trace.unit, gauge)
    end_stamp = timedelta(seconds=gauge.interval_s or 0) if gauge.stamp == "end" else timedelta(0)
    number = pl.col("raw_value").str.strip_chars()
    frame = trace.points.unique(maintain_order=True).with_columns(
        (pl.col("time") - trace.utc_offset - end_stamp).dt.replace_time_zone("UTC").cast(INSTANT),
        number.cast(pl.Float64, strict=False).alias("value"),
        grade(pl.col("quality_code"), gauge.source, trace.quality_texts).alias("quality"),
    )
    odd = frame.filter((number != "") & pl.col("value").is_null())
    if len(odd):
        raise SourceError(f"the answer's value {odd['raw_value'][0]!r} is not a number; try again later")
    twice = frame.filter(pl.col("time").is_duplicated())
    if len(twice):
        raise SourceError(f"the answer has two values for {twice['time'][0]:%Y-%m-%d %H:%M} UTC; try again later")
    given = pl.col("value").is_finite() & (pl.col("quality") != MISSING)
    frame = frame.with_columns(
        pl.when(given).then(pl.col("value") * factor + offset).alias("value"),
        pl.when(given).then("quality").otherwise(pl.lit(MISSING)).alias("quality"),
        *(pl.lit(held, dtype=READINGS.columns[column]).alias(column) for column, held in gauge.series.items()),
    )
    return READINGS.check(frame.sort("time"), unique=True)


def unit_of(text: str) -> str | None:
    """Our name of a unit that a service writes as `text`; None if it is none that we know.

    >>> unit_of("Megalitres/Day")
    'ML/d'
    """
    return _UNIT_NAMES.get("".join(text.lower().split()))


def _conversion(unit: str, gauge: Gauge) -> tuple[float, float]:
    """(factor, offset) from the unit that an answer names to the canonical one of the gauge's variable."""
    name = unit_of(unit)
    if name is None or name not in gauge.kind.units:
        raise SourceError(
            f"the answer's unit {unit!r} is not one for {gauge.variable} ({', '.join(gauge.kind.units)}); check the "
            "gauge's variable, or hydstra.variable, in the dam file"
        )
    return gauge.kind.conversion(name)


def fetch(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> pl.DataFrame:
    """Readings of a gauge of WaterNSW, Victoria or Queensland; see `forebay.sources.Fetch`.

    An interval that has not ended by `now` is left out: its mean or total is not yet what it will be.
    """
    url = settings.sources[gauge.source].url
    with open_transport(settings.http) as send:

        def ask(function: str, version: str, params: Mapping[str, object]) -> bytes:
            call = {"function": function, "version": version, "params": params}
            return send(Request(url, json.dumps(call, separators=(",", ":")).encode()))

        return fetch_through(ask, gauge, dam, since, until, now=now)


def fetch_through(ask: Ask, gauge: Gauge, dam: Dam, since: date | None, until: date, *, now: datetime) -> pl.DataFrame:
    """What `fetch` gives, with `ask` in the place of the service."""
    codes = _variable_codes(gauge)
    parts = [READINGS.empty()]
    try:
        record = _record(ask, gauge, codes[0])
        if record is not None:
            span = _span(gauge, record, since, until, now)
            for start, end in _calls(span, timedelta(seconds=gauge.interval_s or 0)):
                answer = ask("get_ts_traces", "2", _traces_params(gauge, codes, start, end))
                parts += [
                    readings_of(_within(trace, start, end), gauge) for trace in _wanted(answer, gauge.station, codes[1])
                ]
    except SourceError as error:
        where = f"{gauge.source}, station {gauge.station}"
        raise SourceError(f"{where}: {error}", retryable=error.retryable, retry_after=error.retry_after) from error
    day = gauge.local_day(dam.time_zone)
    return READINGS.check(pl.concat(parts).filter(day.is_between(since or date.min, until)), unique=True)


def _variable_codes(gauge: Gauge) -> tuple[str, str]:
    """Hydstra's codes of what the gauge's sensor measures and of what is asked for."""
    own = gauge.hydstra
    default = (own.variable, own.variable) if own.variable else VARIABLE_CODES.get(gauge.variable, (None, None))
    measured, asked = own.varfrom or default[0], own.varto or default[1]
    if measured is None or asked is None:
        raise ConfigError(
            f"gauge {gauge.station}: {gauge.variable} has no Hydstra variable of its own (only "
            f"{', '.join(VARIABLE_CODES)} have); give hydstra.variable in the dam file"
        )
    return measured, asked


@dataclass(frozen=True)
class _Record:
    """Period of record, station-local, and the station's offset."""

    start: datetime
    end: datetime
    utc_offset: timedelta


def _record(ask: Ask, gauge: Gauge, code: str) -> _Record | None:
    """A variable's period of record; None if the station has none at all.

    Beyond it a service may pad with zeros, so nothing else is ever asked for. Composite datasources such as CP are not
    always listed; then the archive's record, A, stands for them.
    """
    for datasource in dict.fromkeys((_datasource(gauge), "A")):
        answer = ask("get_variable_list", "1", {"site_list": gauge.station, "datasource": datasource})
        listed = parse_variable_list(answer).filter(pl.col("site") == gauge.station)
        if len(listed):
            break
    else:
        return None
    ours = listed.filter([_same(code, other) for other in listed["variable"]])
    start, end = ours["period_start"].min(), ours["period_end"].max()
    if isinstance(start, datetime) and isinstance(end, datetime):
        return _Record(start, end, ours["utc_offset"][0])
    has = ", ".join(f"{row['variable']} ({row['name']})" for row in listed.iter_rows(named=True))
    raise SourceError(f"there is no record of variable {code}, only of {has}; check hydstra.variable in the dam file")


def _datasource(gauge: Gauge) -> str:
    return gauge.hydstra.datasource or DATASOURCES[gauge.source]


def _same(code: str, other: str) -> bool:
    """Whether two codes name one variable, as "10" and "10.00" do."""
    try:
        return float(code) == float(other)
    except ValueError:
        return code == other


def _span(gauge: Gauge, record: _Record, since: date | None, until: date, now: datetime) -> tuple[datetime, datetime]:
    """Times, as the service stamps them, of the first and the last interval to ask for (station-local).

    They reach a day beyond `since` and `until`: which local day an interval belongs to is decided on the readings.
    """
    step, day = timedelta(seconds=gauge.interval_s or 0), timedelta(days=1)
    clock = gauge.reading_at or gauge.day_start

    def interval_at(time: datetime) -> datetime:
        start = datetime.combine(time.date(), clock)
        return start + (time - start) // step * step

    here = now.astimezone(UTC).replace(tzinfo=None) + record.utc_offset
    ends_after_stamp = step if gauge.stamp == "start" and gauge.table_interval else timedelta(0)
    first = interval_at(record.start)
    if since is not None and since > first.date():
        first = max(first, datetime.combine(since - day, clock))
    last = datetime.combine(min(until, here.date()) + 2 * day, clock) - step
    return first, min(last, interval_at(record.end), interval_at(here - ends_after_stamp))


def _calls(span: tuple[datetime, datetime], step: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """First and last interval of each call, so that no answer has more than `POINTS_PER_CALL` points."""
    start, last = span
    while start <= last:
        end = min(last, start + (POINTS_PER_CALL - 1) * step)
        yield start, end
        start = end + step


def _traces_params(gauge: Gauge, codes: tuple[str, str], start: datetime, end: datetime) -> dict[str, object]:
    """Parameters of `get_ts_traces`: intervals are counted from `start`; the one that starts at `end` is included."""
    measured, asked = codes
    every: dict[str, object] = {"interval": gauge.interval, "multiplier": 1}
    if gauge.interval not in ("day", "hour"):
        every = {"interval": "minute", "multiplier": (gauge.interval_s or 0) // 60}
    return {
        "site_list": gauge.station,
        "datasource": _datasource(gauge),
        "start_time": start.strftime(CLOCK),
        "end_time": end.strftime(CLOCK),
        **({"var_list": asked} if measured == asked else {"varfrom": measured, "varto": asked}),
        **every,
        "data_type": DATA_TYPES[gauge.reading],
    }


def _wanted(answer: bytes, station: str, code: str) -> Sequence[Trace]:
    """The traces of the station; one of another variable than was asked for is an error."""
    traces = [trace for trace in parse_ts_traces(answer) if trace.site == station]
    for trace in traces:
        if not _same(trace.variable, code):
            raise SourceError(f"the answer holds variable {trace.variable} where {code} was asked for; try again later")
    return traces


def _within(trace: Trace, start: datetime, end: datetime) -> Trace:
    """The trace without points outside of what was asked for."""
    return replace(trace, points=trace.points.filter(pl.col("time").is_between(start, end)))
