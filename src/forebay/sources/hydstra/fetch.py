"""Asking a Hydstra service for the readings of one gauge: its period of record, then the span in bounded parts.

One gauge a request: `docs/decisions/0004-one-gauge-a-request.md` says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import polars as pl

from forebay.dams.dam import Dam, Gauge
from forebay.dams.local_time import zone
from forebay.dams.variables import DAY_S
from forebay.errors import ConfigError, SourceError
from forebay.settings import HttpSettings, Settings
from forebay.sources.hydstra.parse import (
    CLOCK,
    DATA_TYPES,
    DATASOURCES,
    VARIABLE_CODES,
    Trace,
    parse_ts_traces,
    parse_variable_list,
    readings_of,
    result_of,
)
from forebay.sources.transport import Planned, Request, Send, open_transport
from forebay.tables import READINGS

Ask = Callable[[str, str, Mapping[str, object]], bytes]
"""Function, version and params of a call → the answer."""


@dataclass(frozen=True)
class Period:
    """Which local days are asked for, and when: without `since` from the start of the record."""

    since: date | None
    until: date
    now: datetime


def fetch(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> pl.DataFrame:
    """Readings of a gauge of WaterNSW, Victoria or Queensland; see `forebay.sources.Fetch`.

    An interval that has not ended by `now` is left out: its mean or total is not yet what it will be.
    """
    url = settings.sources[gauge.source].url
    with open_transport(settings.http) as send:
        return fetch_through(asking(send, url), gauge, dam, Period(since, until, now), limits=settings.http)


def asking(send: Send, url: str) -> Ask:
    """Calls of the service at `url`; an answer that is none, such as a page on its maintenance, is asked for again."""

    def ask(function: str, version: str, params: Mapping[str, object]) -> bytes:
        call = {"function": function, "version": version, "params": params}
        return send(Request(url, json.dumps(call, separators=(",", ":")).encode(), check=result_of))

    return ask


def plan(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> list[Planned]:
    """What `fetch` would ask for; see `forebay.sources.Plan`.

    Where the period of record, which is not known here, is shorter, less will be asked for. Where the service does not
    list the gauge's datasource, the variables are asked for a second time.
    """
    _variable_codes(gauge)
    host = Request(settings.sources[gauge.source].url).host
    offset = now.astimezone(zone(dam.time_zone)).utcoffset() or timedelta(0)
    span = _span(gauge, _Record(datetime.min, datetime.max, offset), Period(since, until, now))
    if since is None:
        most = _points(gauge, settings.http)
        traces = [Planned(host, f"get_ts_traces from the record's start, {most} readings each", None, span[1])]
    else:
        traces = [Planned(host, "get_ts_traces", *call) for call in _calls(span, gauge, settings.http)]
    return [Planned(host, "get_variable_list", None, None), *traces]


def fetch_through(ask: Ask, gauge: Gauge, dam: Dam, period: Period, *, limits: HttpSettings) -> pl.DataFrame:
    """What `fetch` gives, with `ask` in the place of the service."""
    codes = _variable_codes(gauge)
    parts = [READINGS.empty()]
    try:
        record = _record(ask, gauge, codes[0])
        for start, end in _calls(_span(gauge, record, period), gauge, limits):
            answer = ask("get_ts_traces", "2", _traces_params(gauge, codes, start, end))
            traces = _wanted(answer, gauge.station, codes[1])
            part = [readings_of(_within(trace, start, end), gauge) for trace in traces]
            if start == _interval_at(gauge, record.start) and codes[0] == codes[1]:
                _refuse_lost_start(part, record, end)
            parts += part
    except SourceError as error:
        where = f"{gauge.source}, station {gauge.station}"
        raise SourceError(f"{where}: {error}", retryable=error.retryable, retry_after=error.retry_after) from error
    day = gauge.local_day(dam.time_zone)
    asked = day.is_between(period.since or date.min, period.until)
    return READINGS.check(pl.concat(parts).filter(asked), unique=True)


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


def _record(ask: Ask, gauge: Gauge, code: str) -> _Record:
    """A variable's period of record.

    Beyond it a service may pad with zeros, so nothing else is ever asked for. Composite datasources such as CP are not
    always listed; then the archive's record, A, stands for them.
    """
    datasources = dict.fromkeys((_datasource(gauge), "A"))
    for datasource in datasources:
        answer = ask("get_variable_list", "1", {"site_list": gauge.station, "datasource": datasource})
        listed = parse_variable_list(answer).filter(pl.col("site") == gauge.station)
        if len(listed):
            break
    else:
        raise SourceError(
            f"the service lists no variable of this station in datasource {' or '.join(datasources)}; check the "
            "gauge's station in the dam file"
        )
    ours = listed.filter([_same(code, other) for other in listed["variable"]])
    start, end = ours["period_start"].min(), ours["period_end"].max()
    if isinstance(start, datetime) and isinstance(end, datetime):
        return _Record(start, end, ours["utc_offset"][0])
    if len(ours):
        raise SourceError(f"the service gives no times for the period of record of variable {code}; try again later")
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


def _span(gauge: Gauge, record: _Record, period: Period) -> tuple[datetime, datetime]:
    """Times, as the service stamps them, of the first and the last interval to ask for (station-local).

    They reach a day beyond `since` and `until`: which local day an interval belongs to is decided on the readings.
    """
    step, day = timedelta(seconds=gauge.interval_s or 0), timedelta(days=1)
    clock = gauge.reading_at or gauge.day_start
    here = period.now.astimezone(UTC).replace(tzinfo=None) + record.utc_offset
    ends_after_stamp = step if gauge.stamp == "start" and gauge.table_interval else timedelta(0)
    first = _interval_at(gauge, record.start)
    if period.since is not None and period.since > first.date():
        first = max(first, datetime.combine(period.since - day, clock))
    last = datetime.combine(min(period.until, here.date()) + 2 * day, clock) - step
    return first, min(last, _interval_at(gauge, record.end), _interval_at(gauge, here - ends_after_stamp))


def _interval_at(gauge: Gauge, time: datetime) -> datetime:
    """Start of the gauge's interval that holds `time` (both station-local)."""
    step = timedelta(seconds=gauge.interval_s or 0)
    start = datetime.combine(time.date(), gauge.reading_at or gauge.day_start)
    return start + (time - start) // step * step


def _refuse_lost_start(part: Sequence[pl.DataFrame], record: _Record, end: datetime) -> None:
    """Raise where nothing came of the record's start: later fetches go on from the first reading that is held.

    What the service computes from the measured variable may begin later than that does, so there nothing tells.
    """
    if not any(len(readings) for readings in part):
        raise SourceError(
            f"the service lists a record from {record.start:%Y-%m-%d} on but gave nothing of it until {end:%Y-%m-%d}; "
            "nothing was kept, so that these days are not lost: try again later or, if it stays so, start on a later "
            "day (--since)",
            retryable=True,
        )


def _calls(
    span: tuple[datetime, datetime], gauge: Gauge, limits: HttpSettings
) -> Iterator[tuple[datetime, datetime]]:
    """First and last interval of each call, so that none asks for more points or days than `limits` allow."""
    start, last = span
    step = timedelta(seconds=gauge.interval_s or 0)
    while start <= last:
        end = min(last, start + (_points(gauge, limits) - 1) * step)
        yield start, end
        start = end + step


def _points(gauge: Gauge, limits: HttpSettings) -> int:
    """How many readings one call may ask for."""
    return min(limits.points_per_request, limits.days_per_request * DAY_S // (gauge.interval_s or DAY_S))


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
