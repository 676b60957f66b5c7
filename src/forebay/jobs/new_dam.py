"""The jobs for a new dam: a draft from gauges near a place, and the pictures of its record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import isnan
from typing import TYPE_CHECKING

from forebay.archive.fetch import FetchRequest, fetch_dam
from forebay.charts import drawing
from forebay.charts.drivers import drivers_chart
from forebay.charts.record import record_chart
from forebay.charts.spec import chart_spec, file_spec
from forebay.days.daily import daily_table
from forebay.draft.candidates import WEATHER_SERVICE, Candidate, candidates, drivers_near, far_notes, weather_points
from forebay.draft.near import choose_drivers, dam_of, decide_place, decide_target, first_day, near_text
from forebay.draft.ranking import DriverScore, rank_drivers
from forebay.errors import ConfigError, DataError
from forebay.files import write_all
from forebay.jobs.observations import daily
from forebay.screen.flags import flag_runs, screen_daily
from forebay.screen.supported_range import ready_for_screen
from forebay.services import services_offering
from forebay.sources import search_services
from forebay.sources.stations import check_circle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import polars as pl

    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.dams.weather import Weather
    from forebay.draft.answers import Answers
    from forebay.settings import Settings
    from forebay.verify.hindcast import Progress


@dataclass(frozen=True)
class NewRecord:
    """The record of a new dam: its daily table, its spells of flagged values, and its pictures."""

    daily: pl.DataFrame
    spells: list[dict[str, object]]
    pictures: list[Path]


def write_record(
    dam: Dam,
    archive: Archive,
    folder: Path,
    *,
    settings: Settings,
    drivers: Sequence[Mapping[str, object]] = (),
) -> NewRecord:
    """The screened record of a dam's archive; writes ID_record.png and .svg, with drivers also ID_drivers.

    Parameters
    ----------
    drivers
        Rows of `NearbyDraft.rows`.

    Raises
    ------
    DataError
        If the archive has no reading.
    """
    table = ready_for_screen(daily(dam, archive=archive, settings=settings).to_frame(), dam)
    flags = screen_daily(table, dam)
    charts = [(f"{dam.id}_record", record_chart(table, flags, dam))]
    if drivers:
        charts.append((f"{dam.id}_drivers", drivers_chart(drivers, f"{dam.name}: candidates for drivers")))
    with write_all(folder) as files:
        pictures = drawing.start_drawing([(name, file_spec(chart_spec(chart))) for name, chart in charts])
        drawing.write_pictures(pictures, files.stage)
    return NewRecord(table, flag_runs(flags).to_dicts(), files.paths)


@dataclass(frozen=True)
class NearbySearch:
    """A search for the gauges of a new dam.

    Attributes
    ----------
    services
        Services to ask; none: all of the region, and a reanalysis at the place for the rain.
    years
        Length of the record that is fetched to rank the drivers.
    now
        The current time.
    """

    latitude: float
    longitude: float
    radius_km: float = 50.0
    services: tuple[str, ...] = ()
    years: int = 4
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class NearbyDraft:
    """A draft of a dam file from gauges near a place.

    Attributes
    ----------
    scores
        Each candidate for a driver, and its score; the best first.
    notes
        Sentences on services and gauges that are left out.
    """

    id: str
    text: str
    answers: Answers
    scores: tuple[tuple[Candidate, DriverScore], ...] = ()
    notes: tuple[str, ...] = ()

    def rows(self, dam: Dam) -> list[dict[str, object]]:
        """A row per candidate, the best first: its title and series, its score, and whether the draft has it."""
        used = {(gauge.source, gauge.station, gauge.variable) for gauge in dam.gauges}
        return [
            {
                "title": candidate.title,
                "source": candidate.source,
                "station": candidate.keys["station"],
                "variable": candidate.variable,
                "gain": None if isnan(score.gain) else score.gain,
                "days": score.days,
                "first_day": score.first_day and str(score.first_day),
                "last_day": score.last_day and str(score.last_day),
                "age_days": score.age_days,
                "correlation": score.correlation,
                "lag": score.lag,
                "used": (candidate.source, candidate.keys["station"], candidate.variable) in used,
            }
            for candidate, score in self.scores
        ]


def draft_near(
    dam_id: str,
    search: NearbySearch,
    answers: Answers,
    *,
    archive: Archive,
    settings: Settings,
    progress: Progress | None = None,
) -> NearbyDraft:
    """Draft of a dam file from gauges near a place; every candidate is fetched into the archive.

    Raises
    ------
    ConfigError, DataError, SourceError
        If the place has no level, a question has no answer, or the target cannot be fetched.
    """
    now = search.now
    check_circle(search.latitude, search.longitude, search.radius_km)
    for name in search.services:
        if name not in (*services_offering("stations"), WEATHER_SERVICE):
            allowed = ", ".join((*services_offering("stations"), WEATHER_SERVICE))
            raise ConfigError(f"--service {name!r} offers no search for stations; allowed are {allowed}")
    place = decide_place(dam_id, search.latitude, search.longitude, answers)
    known = [name for name in search.services if name != WEATHER_SERVICE]
    nearby = search_services(
        search.latitude, search.longitude, search.radius_km, sources=known or None, settings=settings
    )
    series, notes = candidates(nearby, now.date())
    if not search.services or WEATHER_SERVICE in search.services:
        series += weather_points(search.latitude, search.longitude)
    target = decide_target(series, answers)
    drivers = drivers_near(series, target)
    dam = dam_of(place, target, drivers)
    request = FetchRequest(now, since=first_day(now.date(), search.years))
    days, ages, failures = _fetched_days(dam, request, archive, settings, progress)
    by_column = dict(zip((gauge.column for gauge in dam.gauges[1:]), drivers, strict=True))
    scores = {
        column: replace(score, age_days=ages[column])
        for column, score in rank_drivers(days, dam).items()
        if column not in failures
    }
    used = choose_drivers(by_column, scores, failures, answers)
    by_key = {by_column[column].key: score for column, score in scores.items()}
    text = near_text(place, target, used, answers, scores=by_key, now=now)
    ranked = tuple((by_column[column], score) for column, score in scores.items())
    return NearbyDraft(dam_id, text, answers, ranked, (*nearby.notes, *notes, *far_notes(series, target, drivers)))


def _fetched_days(
    dam: Dam, request: FetchRequest, archive: Archive, settings: Settings, progress: Progress | None
) -> tuple[pl.DataFrame, dict[str, int | None], dict[str, str]]:
    """Daily table of target and drivers, age of the newest reading, and a sentence for columns without a reading.

    Raises
    ------
    SourceError, ConfigError, DataError
        If the target could not be fetched, or has no reading.
    """

    def report_gauge(gauge: Gauge | Weather, count: int) -> None:
        if progress:
            progress(f"fetch {gauge.title}", count, len(dam.gauges))

    with archive.lease():
        report = fetch_dam(dam, archive, settings=settings, request=request, progress=report_gauge)
    if (target_error := report.errors.get(dam.target_gauge.column)) is not None:
        raise target_error
    rows = dict(zip(report.table["gauge"], report.table["rows"], strict=True))
    if not rows[dam.target_gauge.column]:
        title = dam.target_gauge.title
        raise DataError(f"{title} has no reading since {request.since}; choose another gauge with --set target=KEY")
    failures = {column: str(error) for column, error in report.errors.items()}
    empty = (gauge.column for gauge in dam.gauges if not rows[gauge.column] and gauge.column not in failures)
    failures |= dict.fromkeys(empty, f"no reading since {request.since}")
    ages = dict(zip(report.table["gauge"], report.table["age"], strict=True))
    return daily_table(archive.as_of(dam.gauges), dam), ages, failures
