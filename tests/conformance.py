"""What every gauge service must do, as a description of one service that `tests/test_conformance.py` checks.

To add a service, write a module in `tests/services` with a function `cases() -> list[ServiceCase]`. The case has a dam
file with at least two gauges of the service, a function that answers requests as the service does, and the readings
that the service holds. The suite starts the server and does the rest.
"""

from __future__ import annotations

import pkgutil
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from importlib import import_module
from pathlib import Path

import polars as pl

import tests.services
from forebay.archive.fetch import FetchRequest, fetch_dam
from forebay.archive.store import Archive, open_archive
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from forebay.settings import Settings
from forebay.sources import fetch_readings
from forebay.tables import INSTANT
from tests.loopback import Answer, Choose, Misbehave, Received

TRUTH = {"time": INSTANT, "value": pl.Float64(), "quality": pl.String()}
"""Readings that a service holds: start of the interval (UTC), value in the canonical unit, grade."""


@dataclass(frozen=True)
class ContentFault:
    """A fault of the answer's content: the correct body changed, and what a fetch must make of it.

    `stored` says what the archive then has of the gauge: "nothing", "all", or "other" (something else, which a test of
    the service itself checks). `message` is a pattern of the error; without an error it is empty.
    """

    name: str
    change: Callable[[bytes], bytes]
    stored: str
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True)
class ServiceCase:
    """One service on loopback.

    Attributes
    ----------
    service
        Its name in `forebay.services.SERVICES`.
    dam_file
        A dam file (TOML) with at least two gauges of the service. Faults affect the second one.
    answer
        The service: request → reply. It honours the spans, limits and pages of the request as the service does.
    truth
        Station → `TRUTH`: everything that the service holds of the gauge up to `now`, at least 40 days.
    now
        Instant of the fetches, a day or more after the newest reading.
    is_data
        Whether a request asks for readings of this station. Faults affect such requests.
    answer_without
        The service before it has published some readings of the bad gauge, by their positions in its `truth`.
    answer_later
        The service at a later instant, without newer readings; by default `answer`, if its answers need no clock.
    base
        Path of the service's URL on its host.
    small
        Settings of `http` that need several requests or pages for 30 days.
    pages
        Whether a fetch of 30 days within `small` has several requests; False if the service has no limits at all.
    content_faults
        Faults of the answer's content.
    parsers
        Name → (a correct answer, its parser): junk is put into each place of the answer. Parsers of text other than
        JSON get each line and each cell replaced.
    needs_shared
        Whether the case reads the recordings.
    """

    service: str
    dam_file: str
    answer: Answer
    truth: Mapping[str, pl.DataFrame]
    now: datetime
    is_data: Callable[[Received, str], bool]
    answer_without: Callable[[Collection[int]], Answer]
    answer_later: Callable[[datetime], Answer] | None = None
    base: str = ""
    small: Mapping[str, float] = field(default_factory=lambda: {"days_per_request": 10})
    pages: bool = True
    content_faults: Sequence[ContentFault] = ()
    parsers: Mapping[str, tuple[bytes, Callable[[bytes], object]]] = field(default_factory=dict)
    needs_shared: bool = False

    @property
    def dam(self) -> Dam:
        """The dam of `dam_file`."""
        return _dam(self.dam_file)

    @property
    def bad_gauge(self) -> Gauge:
        """The gauge that faults affect."""
        return self.dam.gauges[1]

    @property
    def days(self) -> tuple[date, date]:
        """First and last local day of 30 days of which the bad gauge has readings."""
        gauge = self.bad_gauge
        days = self.truth[gauge.station].select(gauge.local_day(self.dam.time_zone).alias("day"))["day"]
        last = days.max()
        assert isinstance(last, date)
        return last - timedelta(days=29), last

    def settings(self, url: str, **http: float) -> Settings:
        """Settings for the service at `url`, with short waits."""
        limits = {"first_wait_s": 0, "longest_wait_s": 0.05, "attempts": 3, "connect_timeout_s": 20}
        limits |= {"read_timeout_s": 20, "deadline_s": 40, "max_bytes": 1_000_000}
        sources = {self.service: {"url": url + self.base}}
        return Settings.model_validate({"sources": sources, "http": limits | http, "provisional_days": 5})

    def expected(self, gauge: Gauge, since: date | None = None, until: date | None = None) -> list[tuple[object, ...]]:
        """(time, value, quality) of each reading of these local days."""
        day = gauge.local_day(self.dam.time_zone)
        in_span = day.is_between(since or date.min, until or date.max)
        return self.truth[gauge.station].filter(in_span).sort("time").select(*TRUTH).rows()

    def fetched(
        self, url: str, gauge: Gauge, since: date | None, until: date, *, now: datetime | None = None, **http: float
    ) -> pl.DataFrame:
        """Readings of a fetch."""
        settings = self.settings(url, **http)
        return fetch_readings(gauge, self.dam, since, until, settings=settings, now=now or self.now)

    def fetch_all(
        self, archive: Archive, url: str, since: date | None, until: date, *, now: datetime | None = None, **http: float
    ) -> dict[str, str]:
        """Fetch every gauge into an archive; errors by column. The limits `http` apply to the bad gauge only."""
        request = FetchRequest(now or self.now, since=since, until=until)
        limited = self.settings(url, **http)

        def fetch(
            gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
        ) -> pl.DataFrame:
            settings = limited if gauge == self.bad_gauge else settings
            return fetch_readings(gauge, dam, since, until, settings=settings, now=now)

        report = fetch_dam(self.dam, archive, settings=self.settings(url), request=request, fetch=fetch)
        return {column: str(error) for column, error in report.errors.items()}

    def misbehaving(self, misbehave: Misbehave, times: int | None = None) -> Choose:
        """Misbehave on the bad gauge's requests for readings: on the first `times` of them, or on all."""
        count = 0

        def choose(request: Received) -> Misbehave | None:
            nonlocal count
            if not self.is_data(request, self.bad_gauge.station):
                return None
            count += 1
            return misbehave if times is None or count <= times else None

        return choose


@cache
def _dam(text: str) -> Dam:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dam.toml"
        path.write_text(text, "utf-8")
        return load_dam(str(path))


def cases() -> list[ServiceCase]:
    """The case of each service that has one."""
    modules = [module.name for module in pkgutil.iter_modules(tests.services.__path__)]
    return [case for name in modules for case in import_module(f"tests.services.{name}").cases()]


@contextmanager
def temporary_archive() -> Iterator[Archive]:
    """A temporary archive in SQLite."""
    with tempfile.TemporaryDirectory() as folder, open_archive(f"sqlite:///{folder}/forebay.db") as archive:
        yield archive


def stored(archive: Archive, gauge: Gauge) -> pl.DataFrame:
    """Readings (`TRUTH`) of a gauge in an archive, in time order."""
    return archive.as_of([gauge]).sort("time").select(*TRUTH)


def is_one_sentence(message: str) -> bool:
    """Whether an error is one line of text that can be shown: no traceback, no key, no terminal code."""
    return bool(message) and message.isprintable() and not re.search(r"Traceback|api_?key=", message)
