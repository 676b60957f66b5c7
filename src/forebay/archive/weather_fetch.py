"""Fetch of weather forecasts into the archive: the current one, its members, and past runs that are not stored yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from time import monotonic, sleep
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from forebay.dams.local_time import day_start, local_date
from forebay.dams.weather import DAYS_BEFORE, days_before_model
from forebay.errors import DataError, ForebayError, MissingRunError, SourceError
from forebay.log import add_counts, step
from forebay.services import service_named
from forebay.sources import weather_source
from forebay.sources.request_counts import Allowance, count_requests, history_allowance
from forebay.sources.transport import open_transport
from forebay.tables import INSTANT
from forebay.text import printable

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.archive.weather import WeatherAppend
    from forebay.dams.dam import Dam
    from forebay.dams.weather import Weather
    from forebay.settings import HttpSettings, Settings
    from forebay.sources import WeatherSource
    from forebay.sources.request import Request, Send

FIRST_RUNS = {"ecmwf_ifs": date(2024, 3, 14)}
"""Model → day of the oldest single run that the service has."""
FIRST_RUN = date(2026, 4, 2)
"""Day of the oldest single run of every other model."""
CYCLE = timedelta(hours=12)
"""Time between the runs that are fetched: those of 06 and 18 UTC are shorter."""
MAX_MISSING = 5
"""Consecutive runs that the service does not have, after which no older one is requested."""
_DAY = timedelta(days=1)

Item = TypeVar("Item")


@dataclass
class WeatherFetch:
    """Result of the fetch of one `[[weather]]` table.

    Attributes
    ----------
    values, stored
        Fetched values, and those of them that the archive did not have.
    missing
        Runs that the service does not have.
    errors, notes
        What failed, and what is left to do; one sentence each.
    """

    weather: Weather
    values: int = 0
    stored: int = 0
    missing: int = 0
    errors: list[SourceError | DataError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, appended: WeatherAppend) -> None:
        """Count an append."""
        self.values += appended.values
        self.stored += appended.stored

    @property
    def error(self) -> SourceError | DataError | None:
        """All errors as one; None if there is none."""
        if len(self.errors) < 2:
            return self.errors[0] if self.errors else None
        retryable = all(isinstance(error, SourceError) and error.retryable for error in self.errors)
        return SourceError("; ".join(dict.fromkeys(map(str, self.errors))), retryable=retryable)


@dataclass(frozen=True)
class WeatherRequest:
    """Time of a fetch, the first init date whose forecasts are fetched too, and the clock of `fetched_at`."""

    now: datetime
    since: date | None
    stamp: Callable[[], datetime]


def fetch_weather(
    weather: Weather, dam: Dam, archive: Archive, *, settings: Settings, request: WeatherRequest
) -> WeatherFetch:
    """Store the current forecast of a `[[weather]]` table, its members, and with `since` its past runs.

    Each answer is stored when it has been received. An error of one part does not stop the others.
    """
    result = WeatherFetch(weather)
    limits = settings.http_for(weather.service)
    source = weather_source(weather.service)
    with step("fetch", {"dam": dam.id, "gauge": weather.column}), open_transport(limits) as plain_send:
        send = count_requests(plain_send, weather.service, settings, request.stamp)
        job = _Job(weather, dam, archive, settings, request, source, send, limits)
        parts: list[Callable[[WeatherFetch], None]] = [job.store_current]
        parts += [job.store_members] if weather.members else []
        parts += [job.store_history] if request.since is not None else []
        for part in parts:
            try:
                part(result)
            except (SourceError, DataError) as error:
                where = f"{weather.service}, {weather.column}"
                retryable = isinstance(error, SourceError) and error.retryable
                result.errors.append(SourceError(f"{where}: {error}", retryable=retryable))
            except ForebayError:
                raise
            except Exception as unexpected:  # of one table: it must not stop the others
                reason = printable(" ".join(str(unexpected).split()))[:200]
                result.errors.append(
                    SourceError(f"{weather.column}: {type(unexpected).__name__}: {reason}; please report it")
                )
        add_counts({"source": weather.service, "rows": result.values, "new": result.stored})
    return result


@dataclass(frozen=True)
class _Job:
    weather: Weather
    dam: Dam
    archive: Archive
    settings: Settings
    request: WeatherRequest
    source: WeatherSource
    send: Send
    limits: HttpSettings

    def store_current(self, result: WeatherFetch) -> None:
        """Store the current forecast; it is known from its arrival on."""
        forecast = self.source.current_forecast(
            self.send, self.weather, self.dam, settings=self.settings, now=self.request.now
        )
        self._store_as_of_now(forecast, result)

    def store_members(self, result: WeatherFetch) -> None:
        """Store the members of the current ensemble; they are known from their arrival on."""
        members = self.source.ensemble_members(
            self.send, self.weather, self.dam, settings=self.settings, now=self.request.now
        )
        self._store_as_of_now(members, result)

    def _store_as_of_now(self, forecast: pl.DataFrame, result: WeatherFetch) -> None:
        stamp = self.request.stamp()
        stamps = (pl.lit(stamp, INSTANT).alias(name) for name in ("issued_at", "known_at"))
        result.add(self.archive.weather.append(forecast.with_columns(*stamps), stamp))

    def store_history(self, result: WeatherFetch) -> None:
        """Store the past forecasts that are not stored yet, the newest first."""
        if not self.weather.uses_history:
            result.notes.append(
                f'{self.weather.column}: no past forecast was requested, because input = "member_mean" uses members '
                'and the service has none of past runs; set input = "deterministic" in the dam file to use past runs'
            )
        elif self.weather.history == "single_runs":
            self._store_runs(result)
        else:
            self._store_previous_days(result)

    def _store_runs(self, result: WeatherFetch) -> None:
        due = due_runs(self.weather, self.dam, self.archive, self.request)
        allowed, allowance = self._allowed(due)
        consecutive = 0
        for count, run in enumerate(self._paced(allowed)):
            try:
                forecast = self.source.single_run(self.send, self.weather, self.dam, run, settings=self.settings)
            except MissingRunError:
                result.missing += 1
                consecutive += 1
                if consecutive == MAX_MISSING:
                    result.notes.append(
                        f"{self.weather.column}: the service does not have the run of {run:%Y-%m-%d %H:%M} UTC and "
                        f"the {MAX_MISSING - 1} after it; no older one was requested"
                    )
                    return
                continue
            except SourceError:
                self._note_rest(result, "past runs", count - result.missing, len(due) - count, None)
                raise
            consecutive = 0
            result.add(self.archive.weather.append(forecast, self.request.stamp()))
        self._note_rest(result, "past runs", len(allowed) - result.missing, len(due) - len(allowed), allowance)

    def _store_previous_days(self, result: WeatherFetch) -> None:
        due = due_days(self.weather, self.dam, self.archive, self.request, self.limits)
        allowed, allowance = self._allowed(due)
        noun = "spans of past forecasts"
        for count, span in enumerate(self._paced(allowed)):
            try:
                forecast = self.source.previous_days(self.send, self.weather, self.dam, span, settings=self.settings)
            except SourceError:
                self._note_rest(result, noun, count, len(due) - count, None)
                raise
            result.add(self.archive.weather.append(forecast, self.request.stamp()))
        self._note_rest(result, noun, len(allowed), len(due) - len(allowed), allowance)

    def _allowed(self, items: Sequence[Item]) -> tuple[Sequence[Item], Allowance | None]:
        """The items that the service's limits allow now, and these limits; each point counts as a request."""
        allowance = history_allowance(self.weather.service, self.settings, self.request.stamp())
        return items if allowance is None else items[: allowance.requests // len(self.weather.labels)], allowance

    def _note_rest(
        self, result: WeatherFetch, noun: str, stored: int, left: int, allowance: Allowance | None
    ) -> None:
        """Add a note on what is stored and what is left, if something is; with `allowance`, that is the reason."""
        reason, when = "", "later"
        if allowance is not None:
            limit = f"{allowance.limit:,} requests per {allowance.period}"
            reason, when = f", because the free use of {self.weather.service} is limited to {limit}", allowance.when
        if left:
            result.notes.append(
                f"{self.weather.column}: {stored:,} {noun} are stored by this command and {left:,} older ones are left"
                f"{reason}; the same command continues {when}"
            )

    def _paced(self, items: Sequence[Item]) -> Iterator[Item]:
        """The items, not faster than the service allows; each point counts as a request."""
        per_minute = service_named(self.weather.service).limits.requests_per_minute
        pause = 0.0 if per_minute is None else 60 / per_minute * len(self.weather.labels)
        for item in items:
            start = monotonic()
            yield item
            sleep(max(0.0, pause - (monotonic() - start)))


def due_runs(weather: Weather, dam: Dam, archive: Archive | None, request: WeatherRequest) -> list[datetime]:
    """The runs to request, the newest first: of each init date the newest run that its forecast can know.

    That of today is among them if the level of today has been read. No forecast uses another run, unless this one is
    missing. Runs that are stored at every point are not requested again.
    """
    if request.since is None or not weather.uses_history:
        return []
    delay = timedelta(hours=service_named(weather.service).run_delay_h)
    first_run = FIRST_RUNS.get(weather.model, FIRST_RUN)
    days = _days(max(request.since, first_run), local_date(request.now, dam.time_zone))
    stored = set() if archive is None else archive.weather.runs(weather, weather.model)
    instants = [known_by for day in days if (known_by := dam.known_by(day)) <= request.now]
    runs = {_run_before(known_by - delay) for known_by in instants}
    return sorted((run for run in runs - stored if run.date() >= first_run), reverse=True)


def _run_before(instant: datetime) -> datetime:
    """The newest run that is not later than `instant`."""
    midnight = datetime.combine(instant.astimezone(UTC).date(), time(0), UTC)
    return midnight + (instant - midnight) // CYCLE * CYCLE


def due_days(
    weather: Weather, dam: Dam, archive: Archive | None, request: WeatherRequest, limits: HttpSettings
) -> list[tuple[date, date]]:
    """First and last day (UTC) of each request for what was predicted days before, the newest first.

    Each request covers whole local days, the last of them yesterday. Days that are stored are not requested again.
    """
    if request.since is None or not weather.uses_history:
        return []
    last = local_date(request.now, dam.time_zone) - _DAY
    model = days_before_model(weather.model, DAYS_BEFORE[0])
    stored = set() if archive is None else archive.weather.runs(weather, model)
    due = [day for day in _days(request.since, last)
           if day_start(day + _DAY, dam.time_zone) - DAYS_BEFORE[0] * _DAY not in stored]  # fmt: skip
    per_day = 24 * len(DAYS_BEFORE) * len(weather.labels)
    longest = max(1, min(limits.days_per_request, limits.points_per_request // per_day) - 2)
    spans: list[list[date]] = []
    for day in due:
        if spans and day - spans[-1][1] == _DAY and (day - spans[-1][0]).days < longest:
            spans[-1][1] = day
        else:
            spans.append([day, day])
    bounds = ((day_start(a, dam.time_zone), day_start(b + _DAY, dam.time_zone)) for a, b in spans)
    return [(start.date(), end.date()) for start, end in bounds][::-1]


def _days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += _DAY


def planned_weather(
    weather: Weather, dam: Dam, archive: Archive | None, *, settings: Settings, request: WeatherRequest
) -> list[tuple[Request, str]]:
    """The requests that `fetch_weather` would send, with a text for each; the runs together are one row."""
    source, now = weather_source(weather.service), request.now
    planned = [(source.current_request(weather, dam, settings=settings), "current forecast")]
    if weather.members:
        planned.append((source.members_request(weather, dam, settings=settings), "members of the ensemble"))
    if request.since is None:
        return planned
    if weather.history == "previous_runs":
        spans = due_days(weather, dam, archive, request, settings.http_for(weather.service))
        return planned + [
            (source.previous_request(weather, first, last, settings=settings), f"predicted before, {first} to {last}")
            for first, last in spans
        ]
    runs = due_runs(weather, dam, archive, request)
    if runs:
        text = f"{len(runs):,} single runs, {runs[-1]:%Y-%m-%d %H:%M} to {runs[0]:%Y-%m-%d %H:%M} UTC, one request each"
        planned.append((source.run_request(weather, dam, now, settings=settings), text))
    return planned
