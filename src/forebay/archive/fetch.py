"""Updates of the archive from the services: which gauges, which days, and a report of the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from forebay.archive.prefetch import prefetch
from forebay.archive.source_readings import GaugeReadings, fetch_spans
from forebay.archive.spans import FetchContext, Span, due_spans
from forebay.archive.store import AppendResult, Archive, LocalDays
from forebay.archive.weather_fetch import WeatherFetch, WeatherRequest, fetch_weather, planned_weather
from forebay.dams.gauge import Gauge
from forebay.dams.local_time import local_date
from forebay.dams.value_checks import failed_checks
from forebay.dams.weather import Weather
from forebay.errors import ConfigError, DataError, SourceError
from forebay.log import add_counts, step
from forebay.services import SERVICES
from forebay.sources import Fetch, fetch_all_readings, plan_requests
from forebay.sources.request import PlannedRequest
from forebay.tables import INSTANT, OBSERVATIONS, Table

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.settings import Settings

FETCHES = Table(
    "fetches",
    {
        "gauge": pl.String(),  # the gauge's column in the daily table
        "source": pl.String(),
        "station": pl.String(),
        "rows": pl.Int64(),  # fetched readings
        "new": pl.Int64(),  # of these: readings of days (hours, …) that the archive did not have
        "revised": pl.Int64(),  # of these: readings that differ from the stored version
        "withdrawn": pl.Int64(),  # stored readings that the gauge's file no longer has
        "future": pl.Int64(),  # readings that were left out because they lie in the future
        "missing": pl.Int64(),  # days without a reading, between the first and the last day with one
        "unavailable": pl.Int64(),  # stored readings that the agency marks as missing
        "newest": INSTANT,  # start of the newest stored interval with a plausible value
        "age": pl.Int64(),  # days from that to today, station-local
        "latency_h": pl.Float64(),  # by the dam file: hours until a reading is available
        "learned_least_h": pl.Float64(),  # bounds of the same as the fetches show it (`archive.latency`)
        "learned_most_h": pl.Float64(),
        "fetches": pl.Int64(),  # recorded fetches of the gauge
        "error": pl.String(),  # why the fetch of this gauge failed; null if it did not
        "note": pl.String(),  # what was left out, and what to do; null if nothing
    },
    ("gauge",),
)
"""Result of a fetch, a row per gauge. With `since` or `until`, missing and unavailable count these days only.

A table of weather forecasts has a row too: rows and new count values, missing counts runs that the service does not
have, newest is the newest issue time.
"""

REQUESTS = Table(
    "requests",
    {
        "gauge": pl.String(),  # the gauge's column in the daily table
        "source": pl.String(),
        "station": pl.String(),
        "host": pl.String(),  # null without a service
        "asks": pl.String(),  # the service's function, or the file
        "first": pl.Datetime("us"),  # start of the first interval, station-local; null: start of the record
        "last": pl.Datetime("us"),  # start of the last interval; null for a request that needs no readings
    },
    (),
)
"""Requests of a fetch, in the order of the gauges; a request may occur twice."""

Progress = Callable[[Gauge | Weather, int], None]
"""Called before each gauge and each table of weather forecasts, with the number of finished ones."""


@dataclass(frozen=True)
class FetchRequest:
    """Time of a fetch, and the station-local days that it requests.

    Attributes
    ----------
    now
        Instant of the fetch.
    since
        First day. Without it, each gauge resumes `provisional_days` before its newest stored reading. A file, and a
        gauge without stored readings, starts with its record. Older days without a reading are requested less and less
        often (`spans.due_spans`); set `since` to request them now.
    until
        Last day; by default the day of `now`.
    forecasts_since
        First init date whose weather forecasts are fetched too, as far as the archive does not have them.
    clock
        Returns the current time: the `fetched_at` of a gauge's readings. So a view of the archive at an instant during
        the fetch contains no later reading. Without it, `fetched_at` is `now` for all gauges.
    """

    now: datetime
    since: date | None = None
    until: date | None = None
    forecasts_since: date | None = None
    clock: Callable[[], datetime] | None = None

    def __post_init__(self) -> None:
        if self.now.utcoffset() is None:
            raise ConfigError(f"now = {self.now} has no time zone; give an instant like 2024-05-01T00:00:00+00:00")
        if self.since and self.until and self.until < self.since:
            raise ConfigError(f"until ({self.until}) must not be before since ({self.since})")

    @property
    def weather(self) -> WeatherRequest:
        """The part on weather forecasts."""
        return WeatherRequest(self.now, self.forecasts_since, self.stamp)

    def check(self, dam: Dam) -> None:
        """Raise a `ConfigError` if past weather forecasts are requested of a dam file that has no table for them."""
        if self.forecasts_since is not None and not dam.weather:
            raise ConfigError(
                f"forecasts since {self.forecasts_since} are requested, but the dam file of {dam.name} has no "
                "[[weather]] table that names them; add one, or leave out --forecasts-since (in Python forecasts_since)"
            )

    def stamp(self) -> datetime:
        """`fetched_at` of readings that have just been fetched."""
        return self.now if self.clock is None else max(self.now, self.clock())

    def last_day(self, time_zone: str) -> date:
        """The last day to request, today at the latest."""
        today = local_date(self.now, time_zone)
        if self.since is not None and self.since > today:
            raise ConfigError(f"since ({self.since}) must not be after today ({today}, station-local)")
        return min(self.until or today, today)


@dataclass(frozen=True)
class FetchReport:
    """Result of a fetch.

    Attributes
    ----------
    table
        `FETCHES`, in the dam file's order of gauges.
    errors
        Error of each gauge that could not be fetched, by its column.
    failure
        Set if the archive cannot serve a forecast: no gauge could be fetched, or the target gauge could not and has no
        stored reading. Its text is one sentence for the user. A caller that works with stored readings uses `errors`
        instead.
    """

    table: pl.DataFrame
    errors: Mapping[str, SourceError | DataError]
    failure: SourceError | None


def fetch_dam(
    dam: Dam,
    archive: Archive,
    *,
    settings: Settings,
    request: FetchRequest,
    progress: Progress | None = None,
    fetch: Fetch = fetch_all_readings,
) -> FetchReport:
    """Update `archive` with the gauges of `dam`, and return a report.

    The fetch holds the archive's lease: of two processes, the second one waits and then fetches what is left.

    The failure of one gauge does not stop the others. The readings of a gauge are stored in one transaction, before
    those of the next gauge. Gauges are stored in the dam file's order, in whatever order their services respond.

    Parameters
    ----------
    request
        Time of the fetch, and days.
    progress
        Called before each gauge.
    fetch
        Fetch of one gauge's readings.

    Raises
    ------
    ConfigError
        If `since` lies in the future, past weather forecasts are requested of a dam file without a table for them, or
        the dam file requests something that a source does not offer: correct it, a retry cannot succeed.
    BusyError
        If another process writes to the archive for the whole wait.
    ForebayError
        If the archive cannot be written.
    """
    request.check(dam)

    def job(gauge: Gauge, spans: Sequence[Span]) -> tuple[str | None, Callable[[], GaugeReadings]]:
        host = gauge.source if SERVICES[gauge.source].url else None
        return host, partial(fetch_spans, fetch, gauge, dam, spans, settings=settings, now=request.now)

    errors: dict[str, SourceError | DataError] = {}
    rows = []
    with ExitStack() as stack:
        stack.enter_context(archive.lease())
        planned = _spans(dam, archive, settings, request)
        jobs = [job(gauge, spans) for gauge, spans in planned]
        results = stack.enter_context(prefetch(jobs, settings.http.requests_at_once))
        for count, ((gauge, spans), result) in enumerate(zip(planned, results, strict=True)):
            if progress is not None:
                progress(gauge, count)
            fetched = result()
            appended, stamp = AppendResult(0, 0, 0, 0), request.stamp()
            error = fetched.error
            try:
                with step("store", {"dam": dam.id, "gauge": gauge.column}):
                    appended = _store(fetched, gauge, dam, archive, request, stamp)
                    add_counts(vars(appended))
                    if fetched.error is None:
                        archive.record_fetch(gauge, spans, stamp)
            except (DataError, SourceError) as append_error:
                error = append_error
            if error is not None:
                errors[gauge.column] = error
            rows.append(_fetch_counts(gauge, fetched, appended, error) | _archive_state(gauge, dam, archive, request))
        failure = _failure(dam, archive, errors)
        for count, weather in enumerate(dam.weather, start=len(dam.gauges)):
            if progress is not None:
                progress(weather, count)
            forecasts = fetch_weather(weather, dam, archive, settings=settings, request=request.weather)
            if forecasts.error is not None:
                errors[weather.column] = forecasts.error
            rows.append(_weather_counts(forecasts, archive, request))
    table = FETCHES.check(pl.DataFrame(rows, schema_overrides=FETCHES.columns), unique=True)
    return FetchReport(table, errors, failure)


def plan_dam(dam: Dam, archive: Archive | None, *, settings: Settings, request: FetchRequest) -> pl.DataFrame:
    """`REQUESTS` that `fetch_dam` would send at most; sends and stores nothing.

    Parameters
    ----------
    archive
        None: no reading is stored yet.
    """
    request.check(dam)
    rows = []
    for gauge, spans in _spans(dam, archive, settings, request):
        for since, until in spans:
            planned = plan_requests(gauge, dam, since, until, settings=settings, now=request.now)
            label = {"gauge": gauge.column, "source": gauge.source, "station": gauge.station}
            rows += [label | vars(planned_request) for planned_request in planned]
    for weather in dam.weather:
        label = {"gauge": weather.column, "source": weather.service, "station": weather.model}
        for sent, text in planned_weather(weather, dam, archive, settings=settings, request=request.weather):
            rows.append(label | vars(PlannedRequest(sent.host, text, None, None)))
    return REQUESTS.check(pl.DataFrame(rows, schema=dict(REQUESTS.columns)))


def _spans(
    dam: Dam, archive: Archive | None, settings: Settings, request: FetchRequest
) -> list[tuple[Gauge, list[Span]]]:
    """Gauges of `dam` with the spans of days to request; no span where nothing is due."""
    until = request.last_day(dam.time_zone)
    if request.since is not None:
        return [(gauge, [(request.since, until)] if request.since <= until else []) for gauge in dam.gauges]
    resumed = [gauge for gauge in dam.gauges if gauge.file is None]
    stored = OBSERVATIONS.empty() if archive is None else archive.first_known(resumed)
    before = stored["fetched_at"].max()
    assert before is None or isinstance(before, datetime)
    context = FetchContext(request.now, before or request.now, until, settings.provisional_days, dam.time_zone)
    return [(gauge, due_spans(gauge, stored.filter(**gauge.series), context)) for gauge in dam.gauges]


def _store(
    fetched: GaugeReadings, gauge: Gauge, dam: Dam, archive: Archive, request: FetchRequest, stamp: datetime
) -> AppendResult:
    """Counts of the append of a gauge's readings, which come from a file as a whole; `stamp` is their `fetched_at`."""
    if fetched.readings.is_empty():
        if fetched.error is None and gauge.file is not None:
            _refuse_empty_file(gauge, dam, archive, request)
        return AppendResult(0, 0, 0, 0)
    complete = _complete_days(gauge, dam, request) if fetched.error is None else None
    return archive.append(fetched.readings, stamp, gauge=gauge, complete=complete)


def _complete_days(gauge: Gauge, dam: Dam, request: FetchRequest) -> LocalDays | None:
    """Days of which a fetch of `gauge` gives every reading; None for a service, whose answers may lack some."""
    if gauge.file is None:
        return None
    return request.since, request.last_day(dam.time_zone)


def _refuse_empty_file(gauge: Gauge, dam: Dam, archive: Archive, request: FetchRequest) -> None:
    """Raise if a file has no reading of the days any more, where the archive has some: probably it is being written."""
    day = gauge.local_day(dam.time_zone)
    last = request.last_day(dam.time_zone)
    stored = archive.as_of([gauge]).filter(day.is_between(request.since or date.min, last))
    if stored.height:
        raise SourceError(
            f"{gauge.file_names} has no reading of {gauge.title} any more, where the archive has {stored.height:,} of "
            "them; these stay in use: write the file again or, to forget them, remove the gauge from the dam file"
        )


def _fetch_counts(
    gauge: Gauge, fetched: GaugeReadings, appended: AppendResult, error: Exception | None
) -> dict[str, object]:
    """Columns of `FETCHES` on the fetch of `gauge`."""
    return {
        "gauge": gauge.column,
        "source": gauge.source,
        "station": gauge.station,
        "rows": appended.rows,
        "new": appended.new,
        "revised": appended.revised,
        "withdrawn": appended.withdrawn,
        "future": fetched.future,
        "error": None if error is None else str(error),
        "note": fetched.note,
    }


def _weather_counts(forecasts: WeatherFetch, archive: Archive, request: FetchRequest) -> dict[str, object]:
    """`FETCHES` of a table of weather forecasts: missing runs, and the newest issue."""
    weather = forecasts.weather
    newest = archive.weather.newest_issue(weather)
    return {
        "gauge": weather.column,
        "source": weather.service,
        "station": weather.model,
        "rows": forecasts.values,
        "new": forecasts.stored,
        "revised": 0,
        "withdrawn": 0,
        "future": 0,
        "error": None if forecasts.error is None else str(forecasts.error),
        "note": "; ".join(forecasts.notes) or None,
        "missing": forecasts.missing,
        "unavailable": 0,
        "newest": newest,
        "age": None if newest is None else (request.now - newest).days,
        "latency_h": None,
        "learned_least_h": None,
        "learned_most_h": None,
        "fetches": None,
    }


def _archive_state(gauge: Gauge, dam: Dam, archive: Archive, request: FetchRequest) -> dict[str, object]:
    """Columns of `FETCHES` on the stored readings of `gauge` after the fetch: missing, unavailable, newest, age."""
    day = gauge.local_day(dam.time_zone).alias("day")
    stored = archive.as_of([gauge]).select("time", "value", "quality", day)
    checks = failed_checks(stored["value"], stored["time"], gauge).values()
    newest = stored.filter(pl.col("value").is_not_null(), ~pl.any_horizontal(*checks)).tail(1)
    requested = stored.filter(pl.col("day").is_between(request.since or date.min, request.until or date.max))
    first, last = requested.select(pl.col("day").min().alias("first"), pl.col("day").max().alias("last")).row(0)
    today = local_date(request.now, dam.time_zone)
    learned = archive.learned_latency(gauge, dam.time_zone)
    return {
        "missing": (last - first).days + 1 - requested["day"].n_unique() if requested.height else 0,
        "unavailable": requested.filter(pl.col("quality") == "missing").height,
        "newest": newest["time"].first(),
        "age": (today - newest["day"][0]).days if newest.height else None,
        "latency_h": gauge.latency_h,
        "learned_least_h": learned.least_h,
        "learned_most_h": learned.most_h,
        "fetches": learned.fetches,
    }


def _failure(dam: Dam, archive: Archive, errors: Mapping[str, SourceError | DataError]) -> SourceError | None:
    """Error that makes a forecast impossible; None if there is none."""
    target = dam.target_gauge
    first = next(iter(errors.values()), None)
    if first is None:
        return None
    if len(errors) == len(dam.gauges):
        text = f"none of the {len(dam.gauges)} gauges of {dam.id} could be fetched; the first: {first}"
    elif target.column in errors and archive.newest(target) is None:
        first = errors[target.column]
        text = f"the target gauge of {dam.id} could not be fetched, and the archive has no reading of it: {first}"
    else:
        return None
    retryable = isinstance(first, SourceError) and first.retryable
    return SourceError(text, retryable=retryable, retry_after=getattr(first, "retry_after", None))
