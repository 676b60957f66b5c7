"""Bringing the archive up to date: which gauges, which days, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial

import polars as pl

from forebay.archive.prefetch import prefetch
from forebay.archive.spans import FetchContext, Span, due_spans
from forebay.archive.store import AppendResult, Archive
from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.dams.local_time import local_date
from forebay.errors import ConfigError, DataError, SourceError
from forebay.services import SERVICES
from forebay.settings import Settings
from forebay.sources import Fetch, fetch_readings, plan_requests
from forebay.tables import INSTANT, OBSERVATIONS, READINGS, Table

FETCHES = Table(
    "fetches",
    {
        "gauge": pl.String(),  # the gauge's column in the daily frame
        "source": pl.String(),
        "station": pl.String(),
        "rows": pl.Int64(),  # readings that came this time
        "new": pl.Int64(),  # of these: of days (hours, …) not held before
        "revised": pl.Int64(),  # of these: other than what was held
        "missing": pl.Int64(),  # days without any reading, between the first and the last that have one
        "unavailable": pl.Int64(),  # readings held that the agency marks as missing
        "newest": INSTANT,  # start of the newest interval of which a value is held
        "age": pl.Int64(),  # days from that to today, station-local
        "error": pl.String(),  # why this gauge could not be fetched; null if it could
    },
    ("gauge",),
)
"""What a fetch did, a row per gauge. With `since` or `until`, missing and unavailable count these days only."""

REQUESTS = Table(
    "requests",
    {
        "gauge": pl.String(),  # the gauge's column in the daily frame
        "source": pl.String(),
        "station": pl.String(),
        "host": pl.String(),  # null where no service is asked
        "asks": pl.String(),  # the service's function, or what is read
        "first": pl.Datetime("us"),  # start of the first interval, station-local; null: where the record starts
        "last": pl.Datetime("us"),  # start of the last; null for a request that asks for no readings
    },
    (),
)
"""What a fetch would ask, a row per request, in the order of the gauges; a request may stand twice."""

Progress = Callable[[Gauge, int], None]
"""Told each gauge as its turn comes, with the number of gauges that are done."""


@dataclass(frozen=True)
class FetchRequest:
    """When a fetch happens, and which station-local days it asks for.

    Attributes
    ----------
    now
        The instant of the fetch.
    since
        First day; without it each gauge goes on from what is held of it, `provisional_days` before its newest reading;
        a file, and a gauge of which nothing is held, starts with its record. Days without a reading further back are
        asked for again more and more seldom (`spans.due_spans`); give `since` to ask for them now.
    until
        Last day; without it the day of `now`.
    clock
        Tells the time. What is stored of a gauge is stamped with when it had come: a view of a moment during the fetch
        shows nothing that came later. Without it, all is stamped with `now`.
    """

    now: datetime
    since: date | None = None
    until: date | None = None
    clock: Callable[[], datetime] | None = None

    def __post_init__(self) -> None:
        if self.now.utcoffset() is None:
            raise ConfigError(f"now = {self.now} has no time zone; give an instant like 2024-05-01T00:00:00+00:00")
        if self.since and self.until and self.until < self.since:
            raise ConfigError(f"until ({self.until}) must not be before since ({self.since})")

    def stamp(self) -> datetime:
        """The instant with which readings that have come just now are stamped."""
        return self.now if self.clock is None else max(self.now, self.clock())

    def last_day(self, time_zone: str) -> date:
        """The last day that is asked for: none after today."""
        today = local_date(self.now, time_zone)
        if self.since is not None and self.since > today:
            raise ConfigError(f"since ({self.since}) must not be after today ({today}, station-local)")
        return min(self.until or today, today)


@dataclass(frozen=True)
class FetchReport:
    """What came of a fetch.

    Attributes
    ----------
    table
        `FETCHES`, in the dam file's order of gauges.
    errors
        Why a gauge could not be fetched, by its column.
    failure
        Set where there is nothing to go on with: no gauge could be fetched, or not the target's, of which nothing is
        held either. Its text is one sentence for the person at the keyboard. A caller who can do with what is held
        looks at `errors` instead.
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
    fetch: Fetch = fetch_readings,
) -> FetchReport:
    """Report of bringing `archive` up to date with the gauges of `dam`.

    A gauge whose source fails stops no other, and what a gauge gave is kept, whole, before the next one's turn. Gauges
    are stored in the dam file's order, whatever order their services answered in.

    Parameters
    ----------
    request
        When, and which days.
    progress
        Called as each gauge's turn comes.
    fetch
        Fetch of one gauge's readings.

    Raises
    ------
    ConfigError
        If `since` lies in the future, or the dam file asks for something that a source does not have: another try would
        end in the same way, so that is to be mended first.
    ForebayError
        If the archive cannot be written.
    """
    jobs = [
        (
            gauge.source if SERVICES[gauge.source].url else None,
            partial(_ask, fetch, gauge, dam, spans, settings=settings, now=request.now),
        )
        for gauge, spans in _spans(dam, archive, settings, request)
    ]
    errors: dict[str, SourceError | DataError] = {}
    rows = []
    with prefetch(jobs, settings.http.requests_at_once) as turns:
        for done, (gauge, turn) in enumerate(zip(dam.gauges, turns, strict=True)):
            if progress is not None:
                progress(gauge, done)
            given, error = turn()
            appended = AppendResult(0, 0, 0, 0)
            try:
                appended = archive.append(given, request.stamp())
            except DataError as refused:
                error = refused
            if error is not None:
                errors[gauge.column] = error
            rows.append(_row(gauge, appended, errors) | _held(gauge, dam, archive, request))
    table = FETCHES.check(pl.DataFrame(rows, schema_overrides=FETCHES.columns), unique=True)
    return FetchReport(table, errors, _failure(dam, archive, errors))


def plan_dam(dam: Dam, archive: Archive | None, *, settings: Settings, request: FetchRequest) -> pl.DataFrame:
    """`REQUESTS`: what `fetch_dam` would ask for, at most; asks nothing and stores nothing.

    Parameters
    ----------
    archive
        What is held; without one, nothing is.
    """
    rows = []
    for gauge, spans in _spans(dam, archive, settings, request):
        for since, until in spans:
            planned = plan_requests(gauge, dam, since, until, settings=settings, now=request.now)
            label = {"gauge": gauge.column, "source": gauge.source, "station": gauge.station}
            rows += [label | vars(one) for one in planned]
    return REQUESTS.check(pl.DataFrame(rows, schema=dict(REQUESTS.columns)))


def _spans(
    dam: Dam, archive: Archive | None, settings: Settings, request: FetchRequest
) -> list[tuple[Gauge, list[Span]]]:
    """The gauges of `dam`, each with the spans of days to ask for; none where all is held."""
    until = request.last_day(dam.time_zone)
    if request.since is not None:
        return [(gauge, [(request.since, until)] if request.since <= until else []) for gauge in dam.gauges]
    resumed = [gauge for gauge in dam.gauges if gauge.file is None]
    held = OBSERVATIONS.empty() if archive is None else archive.first_known(resumed)
    before = held["fetched_at"].max()
    assert before is None or isinstance(before, datetime)
    occasion = FetchContext(request.now, before or request.now, until, settings.provisional_days, dam.time_zone)
    return [(gauge, due_spans(gauge, held.filter(**gauge.series), occasion)) for gauge in dam.gauges]


Given = tuple[pl.DataFrame, SourceError | DataError | None]
"""Readings of a gauge, each span of them whole, and why a span could not be had."""


def _ask(fetch: Fetch, gauge: Gauge, dam: Dam, spans: Sequence[Span], *, settings: Settings, now: datetime) -> Given:
    """What the source gives for `spans`; the first that fails is the last to be asked for."""
    given = [READINGS.empty()]
    for since, until in spans:
        try:
            given.append(_of_gauge(fetch(gauge, dam, since, until, settings=settings, now=now), gauge))
        except (SourceError, DataError) as error:
            return pl.concat(given), error
    return pl.concat(given), None


def _of_gauge(readings: pl.DataFrame, gauge: Gauge) -> pl.DataFrame:
    """`readings`, refused where they are of another series: the archive would hold what nobody reads."""
    readings = READINGS.check(readings)
    for name, expected in gauge.series.items():
        other = readings.filter(pl.col(name).ne_missing(expected))
        if other.height:
            raise DataError(
                f"source {gauge.source} gave {name} {other[name][0]!r} where gauge {gauge.column} has {expected!r}; "
                "nothing was kept of it: report this as a fault of the source"
            )
    return readings


def _row(gauge: Gauge, appended: AppendResult, errors: Mapping[str, Exception]) -> dict[str, object]:
    """What a fetch did for `gauge`."""
    error = errors.get(gauge.column)
    return {
        "gauge": gauge.column,
        "source": gauge.source,
        "station": gauge.station,
        "rows": appended.rows,
        "new": appended.new,
        "revised": appended.revised,
        "error": None if error is None else str(error),
    }


def _held(gauge: Gauge, dam: Dam, archive: Archive, request: FetchRequest) -> dict[str, object]:
    """What is held of `gauge` afterwards: missing, unavailable, newest, age."""
    day = gauge.local_day(dam.time_zone).alias("day")
    held = archive.as_of([gauge]).select("time", "value", "quality", day)
    usable = held.filter(pl.col("value").is_not_null()).tail(1)
    asked = held.filter(pl.col("day").is_between(request.since or date.min, request.until or date.max))
    first, last = asked.select(pl.col("day").min().alias("first"), pl.col("day").max().alias("last")).row(0)
    today = local_date(request.now, dam.time_zone)
    return {
        "missing": (last - first).days + 1 - asked["day"].n_unique() if asked.height else 0,
        "unavailable": asked.filter(pl.col("quality") == "missing").height,
        "newest": usable["time"].first(),
        "age": (today - usable["day"][0]).days if usable.height else None,
    }


def _failure(dam: Dam, archive: Archive, errors: Mapping[str, SourceError | DataError]) -> SourceError | None:
    """Why there is nothing to go on with, if so."""
    target = dam.target_gauge
    first = next(iter(errors.values()), None)
    if first is None:
        return None
    if len(errors) == len(dam.gauges):
        text = f"none of the {len(dam.gauges)} gauges of {dam.id} could be fetched; the first: {first}"
    elif target.column in errors and archive.newest(target) is None:
        first = errors[target.column]
        text = f"the target gauge of {dam.id} could not be fetched, and nothing is held of it: {first}"
    else:
        return None
    retryable = isinstance(first, SourceError) and first.retryable
    return SourceError(text, retryable=retryable, retry_after=getattr(first, "retry_after", None))
