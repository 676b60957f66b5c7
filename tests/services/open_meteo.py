"""A simulated Open-Meteo on loopback: archive, forecast, ensemble, single runs and previous runs.

Its values are simulated; the form of its answers is that of the recordings. It honours points, days, run, time zone and
key, and refuses what the service refuses. Rain is a function of point and hour; a run predicts it with an error that
depends on the run and the hour. `value_of` gives the same numbers to the tests.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from forebay.settings import Settings
from forebay.sources.open_meteo import parse
from tests.conformance import TRUTH, ContentFault, ServiceCase
from tests.loopback import Answer, Choose, Received, Reply, loopback_server

PATHS = {
    "": "/v1/archive",
    "forecast": "/forecast/v1/forecast",
    "ensemble": "/v1/ensemble",
    "single_runs": "/single/v1/forecast",
    "previous_runs": "/previous/v1/forecast",
}
UNITS = {"precipitation": "mm", "temperature_2m": "°C", "et0_fao_evapotranspiration": "mm", "snow_depth": "m"}
MEMBERS = 4
HOUR = timedelta(hours=1)
CYCLE = timedelta(hours=6)
DELAY = timedelta(hours=6)


def value_of(
    variable: str, point: tuple[float, float], hour: datetime, run: datetime | None = None, member: int = 0
) -> float:
    """Value of an hour: observed or, with `run`, predicted by that run (and member)."""
    origin = "" if run is None else f"{run:%Y%m%d%H} {member}"
    number = random.Random(f"{variable} {point[0]:.3f} {point[1]:.3f} {hour:%Y%m%d%H} {origin}")
    if variable == "temperature_2m":
        return round(15 + 10 * number.random(), 1)
    return round(max(0.0, number.uniform(-2, 3)), 2)


@dataclass
class OpenMeteo:
    """The service; `now` is its clock.

    Attributes
    ----------
    first_run
        The first single run that it has.
    missing_runs
        Single runs that it does not have.
    first_day
        First day of the archive with values.
    delay_days
        Newest days of the archive that have no values yet.
    unknown_hours
        Hours of the archive that have no rain yet.
    outside
        Whether a point lies outside the domain of the model.
    errors
        Path → replies that come before the correct answers.
    refused_key
        An API key that it does not know. The text of the refusal is not recorded.
    limit
        Number of requests after which every request is refused.
    """

    now: datetime
    first_run: datetime = datetime(2024, 3, 14, tzinfo=UTC)
    missing_runs: set[datetime] = field(default_factory=set)
    first_day: date = date(1940, 1, 1)
    delay_days: int = 2
    unknown_hours: set[datetime] = field(default_factory=set)
    outside: Callable[[float, float], bool] = lambda _latitude, _longitude: False
    errors: list[Reply] = field(default_factory=list)
    refused_key: str = "wrong-key"
    limit: int | None = None
    requests: int = 0

    def answer(self, request: Received) -> Reply:
        """The answer to a request."""
        self.requests += 1
        if self.errors:
            return self.errors.pop(0)
        if request.query.get("apikey") == self.refused_key:
            return refusal("The supplied API key is invalid.", 401)
        if self.limit is not None and self.requests > self.limit:
            return refusal("Hourly API request limit exceeded. Please try again in the next hour.", 429)
        endpoint = {path: name for name, path in PATHS.items()}.get(request.path)
        return Reply(b"Not Found", 404) if endpoint is None else self._data(endpoint, request.query)

    def _data(self, endpoint: str, query: Mapping[str, str]) -> Reply:
        points = list(zip(*(map(float, query[key].split(",")) for key in ("latitude", "longitude")), strict=True))
        try:
            if query.get("timezone") != "GMT":
                raise LookupError("Timezone is required")
            objects = [self._point(endpoint, query, point) for point in points]
        except LookupError as error:
            return refusal(str(error.args[0]))
        if any(self.outside(*point) for point in points):
            nan = '{"latitude":nan,"longitude":nan,"generationtime_ms":0.01,"utc_offset_seconds":0,"timezone":"GMT"}'
            texts = [nan if self.outside(*p) else json.dumps(o) for p, o in zip(points, objects, strict=True)]
            return Reply(("[" + ",".join(texts) + "]" if len(texts) > 1 else texts[0]).encode())
        return Reply(json.dumps(objects[0] if len(objects) == 1 else objects, ensure_ascii=False).encode())

    def _point(self, endpoint: str, query: Mapping[str, str], point: tuple[float, float]) -> dict[str, Any]:
        first, last, run = self._days(endpoint, query)
        hours = list(hours_of(first, last))
        content: dict[str, list[float | None]] = {}
        for key in query["hourly"].split(","):
            variable, _, days = key.partition("_previous_day")
            if variable not in UNITS:
                raise LookupError(f"Data corrupted at path ''. Cannot initialize from invalid String value {key}.")
            before = int(days or 0)
            for member in range(MEMBERS if endpoint == "ensemble" else 1):
                name = key + (f"_member{member:02d}" if member else "")
                value = partial(value_of, variable, point)
                content[name] = [self._value(endpoint, value, hour, (run, member, before)) for hour in hours]
        return {
            "latitude": point[0], "longitude": point[1], "generationtime_ms": 0.1, "utc_offset_seconds": 0,
            "timezone": "GMT", "timezone_abbreviation": "GMT", "elevation": 10.0,
            "hourly_units": {"time": "iso8601"} | {key: UNITS[variable_of(key)] for key in content},
            "hourly": {"time": [f"{hour:%Y-%m-%dT%H:%M}" for hour in hours], **content},
        }  # fmt: skip

    def _days(self, endpoint: str, query: Mapping[str, str]) -> tuple[date, date, datetime | None]:
        today = self.now.date()
        if endpoint in ("", "previous_runs"):
            first, last = (date.fromisoformat(query[key]) for key in ("start_date", "end_date"))
            earliest, latest = date(1940, 1, 1), today + timedelta(days=0 if endpoint == "" else 15)
            if not earliest <= first <= last <= latest:
                raise LookupError(f"Parameter 'start_date' is out of allowed range from {earliest} to {latest}")
            return first, last, None
        days = int(query.get("forecast_days", "7"))
        if not 0 < days <= 16:
            raise LookupError("Forecast days is invalid. Allowed range 0 to 16.")
        if endpoint == "single_runs":
            run = datetime.strptime(query["run"], "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
            if run < self.first_run or run in self.missing_runs or run + DELAY > self.now:
                raise LookupError("Unexpected error while streaming data: modelRunUnavailable(model: ecmwf_ifs)")
            return run.date(), run.date() + timedelta(days=days - 1), run
        return today, today + timedelta(days=days - 1), newest_run(self.now)

    def _value(
        self, endpoint: str, value: partial[float], hour: datetime, origin: tuple[datetime | None, int, int]
    ) -> float | None:
        run, member, before = origin
        if endpoint == "":
            has_value = self.first_day <= hour.date() <= self.now.date() - timedelta(days=self.delay_days)
            is_known = hour not in self.unknown_hours or value.args[0] != "precipitation"
            return value(hour) if has_value and is_known else None
        if endpoint == "previous_runs":
            return value(hour, newest_run(hour - before * timedelta(days=1), delay=timedelta(0)))
        assert run is not None
        return None if hour < run else value(hour, run, member)


def variable_of(key: str) -> str:
    return next(name for name in UNITS if key.startswith(name))


def newest_run(instant: datetime, delay: timedelta = DELAY) -> datetime:
    """The newest run that is complete at `instant`."""
    known = instant - delay
    return known.replace(hour=known.hour // 6 * 6, minute=0, second=0, microsecond=0)


def hours_of(first: date, last: date) -> Iterator[datetime]:
    """Each hour of the days."""
    hour = datetime(first.year, first.month, first.day, tzinfo=UTC)
    while hour.date() <= last:
        yield hour
        hour += HOUR


def refusal(reason: str, status: int = 400) -> Reply:
    """An error in the service's form."""
    return Reply(json.dumps({"reason": reason, "error": True}).encode(), status)


@contextmanager
def open_meteo_server(service: OpenMeteo, *, choose: Choose = lambda _: None, key: str = "") -> Iterator[
    tuple[Settings, list[Received]]
]:  # fmt: skip
    """Settings whose Open-Meteo is `service`, and the requests that it receives."""
    with loopback_server(service.answer, choose=choose) as (url, received), TemporaryDirectory() as cache:
        source = {
            "url": f"{url}{PATHS['']}",
            "endpoints": {name: f"{url}{path}" for name, path in PATHS.items() if name},
            "api_key": key,
        }
        http = {"first_wait_s": 0, "longest_wait_s": 0, "connect_timeout_s": 5, "read_timeout_s": 10, "deadline_s": 20}
        yield Settings.model_validate({"sources": {"open_meteo": source}, "http": http, "cache": cache}), received


# The case of the conformance suite.

ZONE_H = 10
STATIONS = {"-33.9,150.6": "snow_depth", "-34.1,150.2": "precipitation", "-33.5,149.9": "temperature_2m"}
CASE = OpenMeteo(datetime(2019, 3, 3, 3, tzinfo=UTC), first_day=date(2018, 12, 1))
_REQUEST = "request = { model = \"ecmwf_ifs\" }"
DAM_FILE = f"""
id = "cells"
name = "Cells of a weather model"
country = "Nowhere"
latitude = -33.9
longitude = 150.6
time_zone = "+{ZONE_H}:00"

[target]
variable = "reservoir_level"
unit = "m"
datum = "none: the depth of snow stands in for a level"

[[gauges]]
role = "target"
source = "open_meteo"
station = "-33.9,150.6"
variable = "reservoir_level"
unit = "m"
request = {{ model = "ecmwf_ifs", variable = "snow_depth" }}

[[gauges]]
role = "rainfall"
source = "open_meteo"
station = "-34.1,150.2"
variable = "rainfall"
unit = "mm"
{_REQUEST}

[[gauges]]
role = "temperature"
source = "open_meteo"
station = "-33.5,149.9"
variable = "temperature"
unit = "degC"
{_REQUEST}
"""


def _truth(station: str) -> pl.DataFrame:
    variable = STATIONS[station]
    latitude, longitude = map(float, station.split(","))
    rows = []
    day = datetime(2018, 12, 1, 24 - ZONE_H, tzinfo=UTC)  # the first whole local day is 2 December
    while day + timedelta(days=1) < datetime(2019, 3, 2, tzinfo=UTC):
        first = 1 if variable == "precipitation" else 0
        values = [value_of(variable, (latitude, longitude), day + (k + first) * HOUR) for k in range(24)]
        total = sum(values)
        rows.append((day, round(total if first else total / 24, 6), "unknown"))
        day += timedelta(days=1)
    return pl.DataFrame(rows, schema=TRUTH, orient="row")


def _answer_without(rows: Collection[int]) -> Answer:
    """The archive before it has the hours of some days of rain, the first hour of each."""
    first = datetime(2018, 12, 1, 25 - ZONE_H, tzinfo=UTC)
    return replace(CASE, unknown_hours={first + k * timedelta(days=1) for k in rows}).answer


def _without_an_hour(body: bytes) -> bytes:
    content = json.loads(body)
    for column in content["hourly"].values():
        del column[40]
    return json.dumps(content).encode()


def cases() -> list[ServiceCase]:
    """Open-Meteo's archive."""
    correct = {
        "latitude": 1.0, "longitude": 2.0, "utc_offset_seconds": 0, "timezone": "GMT",
        "hourly_units": {"time": "iso8601", "precipitation": "mm"},
        "hourly": {"time": ["2019-01-01T00:00", "2019-01-01T01:00"], "precipitation": [0.1, None]},
    }  # fmt: skip
    body = json.dumps(correct).encode()
    nan = b'{"latitude":nan,"longitude":nan,"generationtime_ms":0.01,"utc_offset_seconds":0,"timezone":"GMT"}'
    return [
        ServiceCase(
            service="open_meteo",
            dam_file=DAM_FILE,
            answer=CASE.answer,
            truth={station: _truth(station) for station in STATIONS},
            now=CASE.now,
            is_data=lambda request, station: station.split(",")[0] == request.query.get("latitude"),
            answer_without=_answer_without,
            answer_later=lambda now: replace(CASE, now=now, delay_days=2 + (now - CASE.now).days).answer,
            base=PATHS[""],
            content_faults=[
                ContentFault("another unit", lambda b: b.replace(b'"mm"', b'"km"'), "nothing", "unit 'km' is not"),
                ContentFault("an hour is missing", _without_an_hour, "nothing", "does not have each hour from"),
                ContentFault("renamed variable", lambda b: b.replace(b"precip", b"percip"), "nothing", "no hourly pre"),
                ContentFault("outside the domain", lambda _: nan, "nothing", "outside the domain of the model"),
                ContentFault(
                    "an error with status 200", lambda _: refusal("No").body, "nothing", r"refused the request \(No\)"
                ),
                ContentFault(
                    "limit of the day", lambda _: refusal("Daily API request limit exceeded.").body, "nothing",
                    "limit of requests is reached", status=429,
                ),
            ],
            parsers={
                "hourly": (body, lambda answer: parse.parse_series(answer, "precipitation")),
                "zone": (body, parse.check_zone),
            },
        )
    ]  # fmt: skip
