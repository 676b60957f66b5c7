"""The token of an archive's state: another one after each change, and no lock while nobody asks."""

from __future__ import annotations

from datetime import date, timedelta

from forebay.archive.store import open_archive
from tests.readings import LEVEL, MONDAY, day_contents, readings


def test_the_token_changes_with_each_stored_reading_and_only_then(url: str) -> None:
    rows = readings(LEVEL, day_contents(date(2015, 1, 1), [1.0, 2.0]))
    with open_archive(url) as archive, open_archive(url, create=False) as writer:
        state = archive.state()
        first = state.token()
        assert state.token() == first
        writer.append(rows, MONDAY)  # a transaction that stays open would keep it out
        second = state.token()
        assert second != first
        assert state.token() == second
        writer.append(readings(LEVEL, day_contents(date(2015, 1, 1), [1.5])), MONDAY + timedelta(days=1))
        assert state.token() not in (first, second)
        state.close()
        assert state.token() not in (first, second), "another connection counts anew"
        state.close()


def test_versions_are_counted_by_series(url: str) -> None:
    other = LEVEL.model_copy(update={"station": "elsewhere"})
    with open_archive(url) as archive:
        assert archive.version_count([LEVEL]) == (0, 0)
        archive.append(readings(LEVEL, day_contents(date(2015, 1, 1), [1.0, 2.0])), MONDAY)
        later = MONDAY + timedelta(days=1)
        archive.append(readings(LEVEL, day_contents(date(2015, 1, 1), [1.0, 2.5])), later)
        assert archive.version_count([LEVEL]) == (3, round(later.timestamp() * 1e6))
        assert archive.version_count([other]) == (0, 0)
        assert archive.version_count([LEVEL, other])[0] == 3
