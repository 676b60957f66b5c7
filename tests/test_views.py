"""The views of the archive: by hand at clock changes, and against a model in plain Python."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.archive.store import Archive, open_archive
from forebay.dams.gauge import Gauge
from forebay.dams.local_time import day_start
from forebay.tables import OBSERVATIONS, READINGS
from tests.readings import GAUGES, GOOD, HOURLY, INSTANTANEOUS, LEVEL, MONDAY, RAIN, Content, make_gauge, readings


@pytest.fixture
def archive(url: str) -> Iterator[Archive]:
    with open_archive(url) as opened:
        yield opened


def test_a_record_fetched_late_is_known_from_its_publication(archive: Archive) -> None:
    zone = "Australia/Sydney"
    day = day_start(date(2017, 10, 1), zone)  # clocks go forward at 02:00: 23 hours
    rain_day = day_start(date(2017, 10, 1), zone, RAIN.day_start)  # 24 hours, and published 6.5 hours later
    archive.append(pl.concat([readings(LEVEL, {day: GOOD}), readings(RAIN, {rain_day: GOOD})]), MONDAY)
    for gauge, known in ((LEVEL, day + timedelta(hours=23)), (RAIN, rain_day + timedelta(hours=30.5))):
        assert archive.known_at([gauge], known, zone).height == 1
        assert archive.known_at([gauge], known - timedelta(microseconds=1), zone).is_empty()


def test_a_reading_fetched_before_the_end_of_its_interval_is_known_from_the_fetch(archive: Archive) -> None:
    day = day_start(date(2017, 10, 2), "+10:00")
    noon = day + timedelta(hours=12)
    archive.append(readings(LEVEL, {day: GOOD}), noon)
    assert archive.known_at([LEVEL], noon, "+10:00").height == 1
    assert archive.known_at([LEVEL], noon - timedelta(microseconds=1), "+10:00").is_empty()


def test_a_series_of_two_gauges_occurs_once_with_the_longer_latency(archive: Archive) -> None:
    day = day_start(date(2017, 10, 2), "+10:00")
    late = make_gauge(LEVEL.station, role="upstream_level", latency_h=5)
    archive.append(readings(LEVEL, {day: GOOD}), MONDAY)
    for order in ([LEVEL, late], [late, LEVEL]):
        assert archive.as_of(order).height == 1
        assert archive.known_at(order, day + timedelta(hours=28), "+10:00").is_empty()
        assert archive.known_at(order, day + timedelta(hours=29), "+10:00").height == 1


def test_a_day_with_a_start_that_differs_from_the_gauges_lasts_a_local_day(archive: Archive) -> None:
    start = day_start(date(2017, 10, 2), "+10:00") + timedelta(hours=7)
    archive.append(readings(LEVEL, {start: GOOD}), MONDAY)
    assert archive.known_at([LEVEL], start + timedelta(hours=24), "+10:00").height == 1
    assert archive.known_at([LEVEL], start + timedelta(hours=23), "+10:00").is_empty()


def test_where_clocks_change_at_midnight_the_day_still_ends_at_midnight(archive: Archive) -> None:
    zone = "America/Sao_Paulo"
    day, following = (day_start(date(2017, 10, d), zone) for d in (15, 16))
    assert following - day == timedelta(hours=23)
    archive.append(readings(LEVEL, {day: GOOD}), MONDAY)
    assert archive.known_at([LEVEL], following, zone).height == 1
    assert archive.known_at([LEVEL], following - timedelta(microseconds=1), zone).is_empty()


# --- against a model in plain Python --------------------------------------------------------------------------------

ZONES = ("+10:00", "Australia/Sydney", "America/Sao_Paulo", "America/New_York")
CLOCK_CHANGES = (date(2017, 10, 1), date(2017, 10, 15), date(2017, 11, 5), date(2018, 4, 1))
"""Sydney forward, São Paulo forward (at midnight), New York back, Sydney back."""
LOCAL_DAYS = [change + timedelta(days=k) for change in CLOCK_CHANGES for k in (-1, 0, 1)]
CONTENTS: list[Content] = [GOOD, (2.0, "2.0", "good", "1"), (None, "0.0", "missing", "255"), (1.0, "1.0", "fair", None)]
FETCHED = st.integers(0, 400).map(lambda half_days: datetime(2017, 9, 28, tzinfo=UTC) + timedelta(hours=12 * half_days))
BATCH = st.dictionaries(st.tuples(st.sampled_from(GAUGES), st.sampled_from(LOCAL_DAYS)), st.sampled_from(CONTENTS))
HISTORY = st.dictionaries(FETCHED, BATCH, max_size=5)
Versions = dict[tuple[str, datetime], list[tuple[datetime, Content]]]


def start_of(gauge: Gauge, day: date, zone: str) -> datetime:
    """Start of the interval of the reading of `gauge` on `day`."""
    return day_start(day, zone, gauge.reading_at or gauge.day_start)


def end_of(gauge: Gauge, day: date, zone: str) -> datetime:
    """End of the interval of the reading of `gauge` on `day`."""
    if gauge is HOURLY:
        return start_of(gauge, day, zone) + timedelta(hours=1)
    if gauge is INSTANTANEOUS:
        return start_of(gauge, day, zone)
    return day_start(day + timedelta(days=1), zone, gauge.day_start)


def append_history(archive: Archive, history: dict[datetime, dict[tuple[Gauge, date], Content]], zone: str) -> Versions:
    """Append `history`, and return its versions in plain Python."""
    versions_by_key: Versions = {}
    for fetched_at, batch in sorted(history.items()):
        for (gauge, day), content in batch.items():
            versions = versions_by_key.setdefault((gauge.station, start_of(gauge, day, zone)), [])
            if not versions or versions[-1][1] != content:
                versions.append((fetched_at, content))
        tables = [readings(gauge, {start_of(gauge, day, zone): content}) for (gauge, day), content in batch.items()]
        archive.append(pl.concat([READINGS.empty(), *tables]), fetched_at)
    return versions_by_key


def contents_of(view: pl.DataFrame) -> dict[tuple[str, datetime], tuple[datetime, Content]]:
    """The rows of a view in the form of the model."""
    names = ("station", "time", "fetched_at", "value", "raw_value", "quality", "quality_code")
    return {(station, time): (at, tuple(content)) for station, time, at, *content in view.select(names).iter_rows()}


@settings(max_examples=60)
@given(history=HISTORY, instant=FETCHED, zone=st.sampled_from(ZONES))
def test_views_equal_a_model_in_plain_python(
    empty_archive_url: Callable[[], str],
    history: dict[datetime, dict[tuple[Gauge, date], Content]],
    instant: datetime,
    zone: str,
) -> None:
    with open_archive(empty_archive_url()) as archive:
        versions_by_key = append_history(archive, history, zone)
        as_of = {key: [v for v in versions if v[0] <= instant] for key, versions in versions_by_key.items()}
        assert contents_of(archive.as_of(GAUGES, instant)) == {key: v[-1] for key, v in as_of.items() if v}
        assert contents_of(archive.as_of(GAUGES)) == {key: versions[-1] for key, versions in versions_by_key.items()}
        assert contents_of(archive.first_known(GAUGES)) == {key: v[0] for key, v in versions_by_key.items()}

        published = {
            (gauge.station, start_of(gauge, day, zone)): end_of(gauge, day, zone) + gauge.ready_after
            for gauge in GAUGES
            for day in LOCAL_DAYS
        }
        known = {
            key: [v for k, v in enumerate(versions) if (min(v[0], published[key]) if k == 0 else v[0]) <= instant]
            for key, versions in versions_by_key.items()
        }
        assert contents_of(archive.known_at(GAUGES, instant, zone)) == {key: v[-1] for key, v in known.items() if v}


@settings(max_examples=30)
@given(history=HISTORY, later=BATCH, instant=FETCHED)
def test_views_of_an_instant_never_change_afterwards(
    empty_archive_url: Callable[[], str],
    history: dict[datetime, dict[tuple[Gauge, date], Content]],
    later: dict[tuple[Gauge, date], Content],
    instant: datetime,
) -> None:
    past = {fetched_at: batch for fetched_at, batch in history.items() if fetched_at <= instant}
    with open_archive(empty_archive_url()) as archive:
        append_history(archive, past, "+10:00")
        before = archive.as_of(GAUGES, instant), archive.known_at(GAUGES, instant, "+10:00")
        revised = {key: (9.0, "9.0", "poor", "31") for key in later}
        append_history(archive, {instant + timedelta(hours=1): revised}, "+10:00")
        assert archive.as_of(GAUGES, instant).equals(before[0])
        known = archive.known_at(GAUGES, instant, "+10:00")
        unchanged = before[1].join(known, on=OBSERVATIONS.columns.keys(), how="semi", nulls_equal=True)
        assert unchanged.equals(before[1])  # late first versions can be added, revisions change nothing
