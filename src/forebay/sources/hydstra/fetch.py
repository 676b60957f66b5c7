"""Readings of one gauge from a Hydstra service: its period of record first, then the span in bounded parts.

One gauge per request: `docs/decisions/0004-one-gauge-a-request.md` gives the reasons.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.local_time import zone
from forebay.dams.variables import DAY_S
from forebay.errors import ConfigError, SourceError
from forebay.services import service_named
from forebay.sources.datums import check_unit_datum
from forebay.sources.gauge_fetch import Period, readings_in_period, refuse_lost_start, station_errors
from forebay.sources.hydstra.parse import (
    CLOCK,
    DATA_TYPES,
    VARIABLE_CODES,
    Trace,
    parse_ts_traces,
    parse_variable_list,
    readings_of,
    result_of,
)
from forebay.sources.request import PlannedRequest, Request, Send
from forebay.sources.transport import open_transport
from forebay.tables import READINGS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.settings import HttpSettings, Settings

Call = Callable[[str, str, Mapping[str, object]], bytes]
"""A service: function, version and params of a call → the answer."""


def fetch_readings(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> pl.DataFrame:
    """Readings of a gauge of a Hydstra service; see `forebay.sources.Fetch`.

    An interval that has not ended by `now` is left out: its mean or total is not final yet.
    """
    limits = settings.http_for(gauge.source)
    with open_transport(limits) as send:
        call = call_to(send, settings.sources[gauge.source].url)
        return fetch_by_calls(call, gauge, dam, Period(since, until, now), limits=limits)


def call_to(send: Send, url: str) -> Call:
    """Calls of the service at `url`; it repeats the request where the answer is a maintenance page, say."""

    def call(function: str, version: str, params: Mapping[str, object]) -> bytes:
        body = {"function": function, "version": version, "params": params}
        return send(Request(url, json.dumps(body, separators=(",", ":")).encode(), check=result_of))

    return call


def plan_requests(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> list[PlannedRequest]:
    """The requests that `fetch_readings` would send; see `forebay.sources.Plan`.

    The plan does not know the period of record. Where that is shorter, the fetch requests less. Where the service does
    not list the gauge's datasource, the fetch requests the variables twice.
    """
    _variable_codes(gauge)
    limits = settings.http_for(gauge.source)
    host = Request(settings.sources[gauge.source].url).host
    offset = now.astimezone(zone(dam.time_zone)).utcoffset() or timedelta(0)
    span = _span(gauge, _Record(datetime.min, datetime.max, offset), Period(since, until, now))
    if since is None:
        text = f"get_ts_traces from the record's start, {_points_per_call(gauge, limits)} readings each"
        traces = [PlannedRequest(host, text, None, span[1])]
    else:
        traces = [PlannedRequest(host, "get_ts_traces", *bounds) for bounds in _calls(span, gauge, limits)]
    return [PlannedRequest(host, "get_variable_list", None, None), *traces]


def fetch_by_calls(call: Call, gauge: Gauge, dam: Dam, period: Period, *, limits: HttpSettings) -> pl.DataFrame:
    """The readings that `fetch_readings` returns, with any `call` as the service."""
    codes = _variable_codes(gauge)
    parts = [READINGS.empty()]
    with station_errors(gauge):
        record = _record(call, gauge, codes[0])
        for start, end in _calls(_span(gauge, record, period), gauge, limits):
            answer = call("get_ts_traces", "2", _traces_params(gauge, codes, start, end))
            traces = _traces_of(answer, gauge.station, codes[1])
            for trace in traces:
                check_unit_datum(trace.unit, gauge, dam)
            part = [readings_of(_within(trace, start, end), gauge) for trace in traces]
            if start == _interval_at(gauge, record.start) and codes[0] == codes[1]:
                # Not where the service computes the variable: the computed record may begin later.
                refuse_lost_start(pl.concat([READINGS.empty(), *part]), record.start.date(), end.date())
            parts += part
    return readings_in_period(pl.concat(parts), gauge.in_time_zone(dam.time_zone), period)


def _variable_codes(gauge: Gauge) -> tuple[str, str]:
    """Hydstra's codes of the variable that the sensor measures and of the one that is requested."""
    request = dict(gauge.request)
    by_variable = VARIABLE_CODES.get(gauge.variable, (None, None))
    default = (request["variable"], request["variable"]) if "variable" in request else by_variable
    measured, requested = request.get("varfrom", default[0]), request.get("varto", default[1])
    if measured is None or requested is None:
        raise ConfigError(
            f"gauge {gauge.station}: {gauge.variable} has no default Hydstra variable (only "
            f"{', '.join(VARIABLE_CODES)} have one); give request.variable in the dam file"
        )
    return measured, requested


@dataclass(frozen=True)
class _Record:
    """Period of record, station-local, and the station's offset."""

    start: datetime
    end: datetime
    utc_offset: timedelta


def _record(call: Call, gauge: Gauge, code: str) -> _Record:
    """A variable's period of record.

    A service may pad with zeros outside of that period, so a fetch never requests more. Composite datasources such as
    CP are not always listed; then the record of the archive, A, stands in.
    """
    datasources = dict.fromkeys((_datasource(gauge), "A"))
    for datasource in datasources:
        answer = call("get_variable_list", "1", {"site_list": gauge.station, "datasource": datasource})
        variables = parse_variable_list(answer).filter(pl.col("site") == gauge.station)
        if len(variables):
            break
    else:
        raise SourceError(
            f"the service lists no variable of this station in datasource {' or '.join(datasources)}; check the "
            "gauge's station in the dam file"
        )
    matches = variables.filter([_is_same_code(code, listed) for listed in variables["variable"]])
    start, end = matches["period_start"].min(), matches["period_end"].max()
    if isinstance(start, datetime) and isinstance(end, datetime):
        return _Record(start, end, matches["utc_offset"][0])
    if len(matches):
        raise SourceError(f"the service gives no times for the period of record of variable {code}; try again later")
    names = ", ".join(f"{row['variable']} ({row['name']})" for row in variables.iter_rows(named=True))
    raise SourceError(f"there is no record of variable {code}, only of {names}; check request.variable in the dam file")


def _datasource(gauge: Gauge) -> str:
    return dict(gauge.request).get("datasource", service_named(gauge.source).options["datasource"])


def _is_same_code(first: str, second: str) -> bool:
    """Whether two codes name one variable, as "10" and "10.00" do."""
    try:
        return float(first) == float(second)
    except ValueError:
        return first == second


def _span(gauge: Gauge, record: _Record, period: Period) -> tuple[datetime, datetime]:
    """Times, as the service stamps them, of the first and the last interval to request (station-local).

    They extend a day beyond `since` and `until`, because the local day of an interval is determined on the readings.
    """
    step, day = timedelta(seconds=gauge.interval_s or 0), timedelta(days=1)
    clock = gauge.reading_at or gauge.day_start
    now = period.now.astimezone(UTC).replace(tzinfo=None) + record.utc_offset
    end_after_stamp = step if gauge.stamp == "start" and gauge.table_interval else timedelta(0)
    first = _interval_at(gauge, record.start)
    if period.since is not None and period.since > first.date():
        first = max(first, datetime.combine(period.since - day, clock))
    last = datetime.combine(min(period.until, now.date()) + 2 * day, clock) - step
    return first, min(last, _interval_at(gauge, record.end), _interval_at(gauge, now - end_after_stamp))


def _interval_at(gauge: Gauge, time: datetime) -> datetime:
    """Start of the gauge's interval that contains `time` (both station-local)."""
    step = timedelta(seconds=gauge.interval_s or 0)
    start = datetime.combine(time.date(), gauge.reading_at or gauge.day_start)
    return start + (time - start) // step * step


def _calls(span: tuple[datetime, datetime], gauge: Gauge, limits: HttpSettings) -> Iterator[tuple[datetime, datetime]]:
    """First and last interval of each call, within the points and days that `limits` allow."""
    start, last = span
    step = timedelta(seconds=gauge.interval_s or 0)
    while start <= last:
        end = min(last, start + (_points_per_call(gauge, limits) - 1) * step)
        yield start, end
        start = end + step


def _points_per_call(gauge: Gauge, limits: HttpSettings) -> int:
    return min(limits.points_per_request, limits.days_per_request * DAY_S // (gauge.interval_s or DAY_S))


def _traces_params(gauge: Gauge, codes: tuple[str, str], start: datetime, end: datetime) -> dict[str, object]:
    """Parameters of `get_ts_traces`: intervals are counted from `start`; the one that starts at `end` is included."""
    measured, requested = codes
    spacing: dict[str, object] = {"interval": gauge.interval, "multiplier": 1}
    if gauge.interval not in ("day", "hour"):
        spacing = {"interval": "minute", "multiplier": (gauge.interval_s or 0) // 60}
    return {
        "site_list": gauge.station,
        "datasource": _datasource(gauge),
        "start_time": start.strftime(CLOCK),
        "end_time": end.strftime(CLOCK),
        **({"var_list": requested} if measured == requested else {"varfrom": measured, "varto": requested}),
        **spacing,
        "data_type": DATA_TYPES[gauge.reading],
    }


def _traces_of(answer: bytes, station: str, code: str) -> Sequence[Trace]:
    """The traces of the station; a trace of another variable than the requested one is an error."""
    traces = [trace for trace in parse_ts_traces(answer) if trace.site == station]
    for trace in traces:
        if not _is_same_code(trace.variable, code):
            raise SourceError(f"the answer has variable {trace.variable} instead of {code}; try again later")
    return traces


def _within(trace: Trace, start: datetime, end: datetime) -> Trace:
    """The trace without points outside of the requested span."""
    return replace(trace, points=trace.points.filter(pl.col("time").is_between(start, end)))
