"""The archive: appended readings and their versions."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from forebay.archive.store import AppendResult, Archive, open_archive
from forebay.errors import ConfigError, DataError
from forebay.tables import OBSERVATIONS, READINGS
from tests.readings import GOOD, LEVEL, MONDAY, RAIN, Content, day_contents, make_gauge, readings


@pytest.fixture
def archive(url: str) -> Iterator[Archive]:
    with open_archive(url) as opened:
        yield opened


def test_appended_readings_are_returned_exactly(archive: Archive) -> None:
    contents: dict[datetime, Content] = {
        MONDAY: (0.1 + 0.2, "0.30", "good", "1"),
        MONDAY + timedelta(days=1): (None, "-86.895", "missing", "255"),
        MONDAY + timedelta(days=2, microseconds=1): (-0.0, None, "unknown", None),
    }
    incoming = readings(LEVEL, contents)
    fetched_at = MONDAY + timedelta(days=9, microseconds=7)
    assert archive.append(incoming, fetched_at) == AppendResult(rows=3, new=3, revised=0, unchanged=0)
    stored = archive.as_of([LEVEL])
    assert stored.equals(OBSERVATIONS.check(stored))
    assert stored.select(list(READINGS.columns)).equals(incoming)
    assert stored["fetched_at"].unique().to_list() == [fetched_at]
    assert archive.newest(LEVEL) == MONDAY + timedelta(days=2, microseconds=1)


def test_the_same_readings_are_not_stored_again(archive: Archive) -> None:
    incoming = readings(LEVEL, day_contents(date(2020, 1, 1), [1.0, None, 3.0]))
    archive.append(incoming, MONDAY)
    for later in (timedelta(0), timedelta(days=1), timedelta(days=-1)):
        assert archive.append(incoming, MONDAY + later) == AppendResult(rows=3, new=0, revised=0, unchanged=3)
    assert archive.as_of([LEVEL])["fetched_at"].unique().to_list() == [MONDAY]


@pytest.mark.parametrize(
    "revision",
    [(2.0, "1.0", "good", "1"), (1.0, "1", "good", "1"), (1.0, "1.0", "fair", "1"), (1.0, "1.0", "good", None)],
    ids=["value", "raw_value", "quality", "quality_code"],
)
def test_a_change_of_any_part_is_a_revision_and_the_old_version_stays(archive: Archive, revision: Content) -> None:
    time = datetime(2020, 1, 1, tzinfo=UTC)
    archive.append(readings(LEVEL, {time: GOOD}), MONDAY)
    tuesday = MONDAY + timedelta(days=1)
    assert archive.append(readings(LEVEL, {time: revision}), tuesday) == AppendResult(1, new=0, revised=1, unchanged=0)

    def contents_of(frame: pl.DataFrame) -> list[tuple[object, ...]]:
        return frame.select("value", "raw_value", "quality", "quality_code").rows()

    assert contents_of(archive.as_of([LEVEL])) == contents_of(archive.as_of([LEVEL], tuesday)) == [revision]
    assert contents_of(archive.as_of([LEVEL], tuesday - timedelta(microseconds=1))) == [GOOD]
    assert contents_of(archive.first_known([LEVEL])) == [GOOD]
    assert archive.as_of([LEVEL], MONDAY - timedelta(microseconds=1)).is_empty()
    # back to the first content: a third version, not the first version again
    assert archive.append(readings(LEVEL, {time: GOOD}), tuesday + timedelta(days=1)).revised == 1


def test_a_revision_that_was_not_fetched_later_is_refused_completely(archive: Archive) -> None:
    archive.append(readings(LEVEL, day_contents(date(2020, 1, 1), [1.0, 2.0])), MONDAY)
    readings_of_two_days = readings(LEVEL, day_contents(date(2020, 1, 2), [2.5, 3.0]))
    for earlier in (timedelta(0), timedelta(hours=-1)):
        with pytest.raises(DataError, match="station 212242: 1 readings .* 2024-01-01.* check the clock and"):
            archive.append(readings_of_two_days, MONDAY + earlier)
    assert archive.as_of([LEVEL])["value"].to_list() == [1.0, 2.0]


def test_tables_that_break_their_contract_are_refused(archive: Archive) -> None:
    incoming = readings(LEVEL, day_contents(date(2020, 1, 1), [1.0, 2.0]))
    broken = {
        "must identify a row": pl.concat([incoming, incoming]),
        "'quality' is missing": incoming.drop("quality"),
        "'value' is String": incoming.with_columns(pl.col("value").cast(pl.String)),
        "'quality' has 2 nulls": incoming.with_columns(quality=pl.lit(None, pl.String)),
        "'station' has 2 nulls": incoming.with_columns(station=pl.lit(None, pl.String)),
        "value nan of station 212242": incoming.with_columns(value=pl.lit(float("nan"))),
        "value inf": incoming.with_columns(value=pl.lit(float("inf"))),
    }
    for message, table in broken.items():
        with pytest.raises(DataError, match=message):
            archive.append(table, MONDAY)
    for naive in (lambda t: archive.append(incoming, t), lambda t: archive.as_of([LEVEL], t)):
        with pytest.raises(ConfigError, match="has no time zone"):
            naive(datetime(2024, 1, 1))
    assert archive.as_of([LEVEL]).is_empty()


def test_gauges_without_stored_readings_have_no_rows(archive: Archive) -> None:
    archive.append(readings(LEVEL, day_contents(date(2020, 1, 1), [1.0])), MONDAY)
    assert archive.newest(RAIN) is None
    for view in (archive.as_of([RAIN]), archive.first_known([]), archive.known_at([RAIN], MONDAY, "+10:00")):
        assert view.schema == OBSERVATIONS.empty().schema
        assert view.is_empty()
    assert archive.as_of([RAIN, LEVEL]).height == 1


def test_one_station_may_have_several_series(archive: Archive) -> None:
    daily, hourly = make_gauge("x"), make_gauge("x", interval="hour")
    midnight = datetime(2020, 1, 1, tzinfo=UTC)
    both = [readings(daily, {midnight: GOOD}), readings(hourly, {midnight: (2.0, "2", "good", "1")})]
    assert archive.append(pl.concat(both), MONDAY).new == 2
    assert archive.as_of([daily])["value"].to_list() == [1.0]
    assert archive.as_of([hourly])["value"].to_list() == [2.0]


def test_a_reading_that_returns_to_its_file_is_new_again(archive: Archive) -> None:
    """The counts of three fetches of a whole file: with two readings, with one, and with both."""
    days = date(2024, 1, 1), date(2024, 1, 2)
    both = readings(LEVEL, day_contents(days[0], [1.0, 2.0]))
    counts = [
        archive.append(incoming, MONDAY + timedelta(days=n), gauge=LEVEL, complete=(None, days[1]))
        for n, incoming in enumerate((both, both.head(1), both.head(1), both), start=3)
    ]
    assert counts == [
        AppendResult(rows=2, new=2, revised=0, unchanged=0),
        AppendResult(rows=1, new=0, revised=0, unchanged=1, withdrawn=1),
        AppendResult(rows=1, new=0, revised=0, unchanged=1, withdrawn=0),
        AppendResult(rows=2, new=1, revised=0, unchanged=1),
    ]
