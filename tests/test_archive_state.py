"""The token of an archive's state: another one after each change, and no lock while nobody asks."""

from __future__ import annotations

from datetime import date, timedelta

from forebay.archive.access import Bearer
from forebay.archive.store import open_archive
from forebay.dams.gauge import Gauge
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
    def versions(*gauges: Gauge) -> tuple[int, int]:
        return archive.counts({"lake": gauges})["lake"][:2]

    with open_archive(url) as archive:
        assert archive.counts({"lake": [LEVEL]}) == {"lake": (0, 0, 0, 0, 0)}
        archive.append(readings(LEVEL, day_contents(date(2015, 1, 1), [1.0, 2.0])), MONDAY)
        later = MONDAY + timedelta(days=1)
        archive.append(readings(LEVEL, day_contents(date(2015, 1, 1), [1.0, 2.5])), later)
        assert versions(LEVEL) == (3, round(later.timestamp() * 1e6))
        assert versions(other) == (0, 0)
        assert versions(LEVEL, other)[0] == versions(LEVEL, LEVEL)[0] == 3
        archive.alerts.acknowledge("lake", "spill", 1, Bearer("ffffffff", "a"))
        assert archive.counts({"lake": [other], "b": []}) == {"lake": (0, 0, 0, 0, 1), "b": (0, 0, 0, 0, 0)}
