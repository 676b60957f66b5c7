"""Requested days: the newest days again, and gaps at growing intervals."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.archive.spans import MAX_GAPS, FetchContext, Span, due_spans
from forebay.tables import OBSERVATIONS
from tests.readings import GOOD, LEVEL, MONDAY, RAIN, readings

FIRST = date(2024, 1, 1)
DAY = timedelta(days=1)


def stored(days: set[int], fetched: dict[int, datetime] | None = None) -> pl.DataFrame:
    """Readings of the level on `days` after `FIRST`; `fetched` has the fetch time by day, default `MONDAY`."""
    table = readings(LEVEL, {datetime(2024, 1, 1, tzinfo=UTC) + k * DAY: GOOD for k in sorted(days)})
    stamps = [(fetched or {}).get(k, MONDAY) for k in sorted(days)]
    return table.with_columns(pl.Series("fetched_at", stamps, dtype=OBSERVATIONS.columns["fetched_at"]))


def context(**overrides: object) -> FetchContext:
    known: dict[str, object] = {
        "now": MONDAY + DAY,
        "before": MONDAY,
        "until": FIRST + 400 * DAY,
        "provisional_days": 10,
        "time_zone": "+00:00",
    }
    return FetchContext(**(known | overrides))  # type: ignore[arg-type]  # of several types


def offsets(spans: list[Span]) -> list[tuple[int, int]]:
    """Spans as days after `FIRST`."""
    return [(((first or date.min) - FIRST).days, (last - FIRST).days) for first, last in spans]


def test_an_empty_archive_requests_the_complete_record() -> None:
    until = FIRST + 400 * DAY
    assert due_spans(LEVEL, stored(set()), context()) == [(None, until)]


def test_the_newest_days_are_requested_again() -> None:
    assert offsets(due_spans(LEVEL, stored(set(range(100))), context())) == [(89, 400)]
    assert offsets(due_spans(LEVEL, stored(set(range(100))), context(provisional_days=0))) == [(99, 400)]
    assert due_spans(LEVEL, stored(set(range(100))), context(until=FIRST + 50 * DAY)) == []


def test_a_rain_day_belongs_to_the_day_that_it_ends_in() -> None:
    by_time = {datetime(2024, 1, 1, 9, tzinfo=UTC) + k * DAY: GOOD for k in range(20) if k != 4}
    rows = readings(RAIN, by_time).with_columns(pl.lit(MONDAY, OBSERVATIONS.columns["fetched_at"]).alias("fetched_at"))
    assert offsets(due_spans(RAIN, rows, context())) == [(10, 400), (5, 5)]


@pytest.mark.parametrize(
    ("before", "now", "due"),
    [
        (0, 0.9, False),  # less than a day later
        (0, 1, True),
        (1, 1.5, False),
        (1, 2, True),
        (2, 3, False),
        (3, 4, True),
        (4, 7, False),
        (7, 8, True),
        (1, 300, True),  # no fetch for a long time
        (16, 29, False),
        (29, 30, True),
        (30, 59, False),
        (500, 509, False),  # then every 30 days
        (500, 510, True),
    ],
)
def test_a_gap_is_due_at_doubling_ages_and_then_every_month(before: float, now: float, due: bool) -> None:
    spans = due_spans(
        LEVEL, stored(set(range(100)) - {40, 41}), context(before=MONDAY + before * DAY, now=MONDAY + now * DAY)
    )
    assert offsets(spans) == [(89, 400), (40, 41)] if due else [(89, 400)]


def test_the_age_of_a_gap_starts_with_the_readings_after_it() -> None:
    later = MONDAY + 100 * DAY
    table = stored(set(range(100)) - {40}, {k: later for k in range(41, 100)})
    on = {"before": later, "now": later + DAY}
    assert offsets(due_spans(LEVEL, table, context(**on))) == [(89, 400), (40, 40)]


def test_close_gaps_are_merged_and_recent_ones_belong_to_the_newest_days() -> None:
    table = stored(set(range(100)) - {20, 30, 50, 87, 88, 89, 90, 95})
    assert offsets(due_spans(LEVEL, table, context())) == [(89, 400), (87, 88), (50, 50), (20, 30)]
    assert offsets(due_spans(LEVEL, table, context(until=FIRST + 40 * DAY))) == [(20, 30)]


def test_of_many_gaps_the_oldest_are_merged() -> None:
    gaps = set(range(20, 1000, 20))
    spans = offsets(due_spans(LEVEL, stored(set(range(1000)) - gaps), context(until=FIRST + 1000 * DAY)))
    assert len(spans) == 1 + MAX_GAPS
    assert spans[1:3] == [(980, 980), (960, 960)]
    assert spans[-1] == (20, 800)


@given(missing=st.sets(st.integers(1, 198)), provisional=st.integers(0, 40))
def test_all_missing_days_are_requested_when_due(missing: set[int], provisional: int) -> None:
    days = set(range(200)) - missing
    spans = offsets(due_spans(LEVEL, stored(days), context(provisional_days=provisional)))
    requested = [day for first, last in spans for day in range(first, last + 1)]
    assert len(requested) == len(set(requested))
    assert missing <= set(requested)
    assert len(spans) <= 1 + MAX_GAPS


@given(calls=st.lists(st.floats(0.01, 40), min_size=1, max_size=200))
def test_a_gap_that_remains_is_requested_rarely(calls: list[float]) -> None:
    """For any fetch times a gap is requested at most 5 times in its first 29 days, then once in 30 days."""
    table = stored(set(range(100)) - {40})
    now, requested = MONDAY, 0
    for wait in calls:
        before, now = now, now + wait * DAY
        requested += len(due_spans(LEVEL, table, context(before=before, now=now))) - 1
    days = (now - MONDAY).days
    assert requested <= min(days, 16).bit_length() + days // 30
    assert requested >= max(min(days, 1), (days - 40) // 70), "fetches come every 40 days at the latest"
