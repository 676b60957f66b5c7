"""Changes of readings: by hand, and against a model in plain Python."""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.archive.revisions import CHANGES, changes, select_gauges, summary, text_rows
from forebay.archive.store import Archive, open_archive
from forebay.dams.local_time import day_start
from forebay.dams.staff_gauge import staff_gauge
from forebay.errors import ConfigError
from forebay.tables import OBSERVATIONS, READINGS
from tests.readings import GAUGES, LEVEL, MONDAY, Content, readings
from tests.synthetic import rain_gauge, small_dam

RIVER = {"role": "stream", "station": "creek", "variable": "stream_level", "unit": "m", "interval": "hour"}
DAM = small_dam(rain_gauge("r1", unit="in"), RIVER, unit="ft")
LAKE, RAIN, CREEK = DAM.gauges
DAY = date(2024, 5, 1)
START = day_start(DAY, DAM.time_zone)
NEXT = timedelta(days=1)


@pytest.fixture
def archive(url: str) -> Iterator[Archive]:
    """One day of each gauge; the level was fetched three times, the rest twice, and the rain did not change."""
    good: Content = (3.048, "10.0", "good", "1")
    fetches: list[dict[object, Content]] = [
        {LAKE: good, RAIN: (25.4, "1.0", "good", "1"), CREEK: (1.0, "1.00", "unknown", "130")},
        {LAKE: (3.3528, "11.0", "fair", "30"), RAIN: (25.4, "1.0", "good", "1"), CREEK: (1.0, "1.00", "good", None)},
        {LAKE: (None, "0", "missing", "255")},
    ]
    with open_archive(url) as opened:
        for number, fetched in enumerate(fetches):
            for gauge, content in fetched.items():
                opened.append(readings(gauge, {START: content}), MONDAY + timedelta(days=200 + number))
        yield opened


def test_each_change_has_both_values_in_the_units_of_the_daily_table(archive: Archive) -> None:
    table = changes(DAM, archive, DAM.gauges)
    rows = table.select("gauge", "day", "old_value", "value", "change", "unit", "old_code", "code", "quality").rows()
    assert rows == [
        ("reservoir_level", DAY, pytest.approx(10), pytest.approx(11), pytest.approx(1), "ft", "1", "30", "fair"),
        ("reservoir_level", DAY, pytest.approx(11), None, None, "ft", "30", "255", "missing"),
        ("stream_level_creek", DAY, 1.0, 1.0, 0.0, "m", "130", None, "good"),
    ]
    assert (table["changed"] - table["held_since"]).to_list() == [NEXT] * 3
    assert table.equals(CHANGES.check(table, unique=True))


def test_since_and_until_are_days_of_the_fetch(archive: Archive) -> None:
    first = (MONDAY + timedelta(days=201)).date()  # 00:00 UTC is 10:00 at the dam: the same day
    assert changes(DAM, archive, DAM.gauges, since=first, until=first).height == 2
    assert changes(DAM, archive, DAM.gauges, since=first + NEXT).height == 1
    assert changes(DAM, archive, DAM.gauges, until=first - NEXT).is_empty()
    assert changes(DAM, archive, DAM.gauges, since=date.min, until=date.max).height == 3
    with pytest.raises(ConfigError, match=r"until \(2024-07-18\) must not be before since \(2024-07-19\)"):
        changes(DAM, archive, DAM.gauges, since=date(2024, 7, 19), until=date(2024, 7, 18))


@pytest.mark.parametrize(("clock", "day"), [("13:59", 18), ("14:00", 19), ("23:59", 19)])
def test_the_day_of_a_fetch_is_that_of_the_dams_clock(url: str, clock: str, day: int) -> None:
    fetched = datetime.fromisoformat(f"2024-07-18T{clock}Z")  # the dam's clock is ten hours ahead
    with open_archive(url) as archive:
        for value, instant in ((1.0, MONDAY), (2.0, fetched)):
            archive.append(readings(LAKE, {START: (value, str(value), "good", "1")}), instant)
        days = [date(2024, 7, number) for number in (17, 18, 19, 20)]
        assert [found for found in days if changes(DAM, archive, [LAKE], since=found, until=found).height] == [
            date(2024, 7, day)
        ]
        assert [found for found in days if changes(DAM, archive, [LAKE], since=found).height] == days[: day - 16]
        assert [found for found in days if changes(DAM, archive, [LAKE], until=found).height] == days[day - 17 :]


def test_a_gauge_is_named_by_its_station_or_column() -> None:
    assert select_gauges(DAM, None) == (*DAM.gauges, staff_gauge(DAM))
    assert select_gauges(DAM, "r1") == select_gauges(DAM, "rainfall_r1") == (RAIN,)
    with pytest.raises(ConfigError, match=r"'r2' is no gauge of Small Dam; give a station or column of lake "):
        select_gauges(DAM, "r2")


def test_changes_are_texts_for_the_terminal(archive: Archive) -> None:
    table = changes(DAM, archive, DAM.gauges)
    lake, lost, code = text_rows(table)
    assert (lake["reading"], lake["value"], lake["change"], lake["code"]) == (DAY, "10 → 11", "+1", "1 → 30")
    assert (lost["value"], lost["change"], lost["quality"]) == ("11 → missing", None, "fair → missing")
    assert (code["reading"], code["value"], code["code"]) == (START, "1", "130 → none")
    assert [(row["gauge"], row["revisions"], row["readings"], row["values changed"]) for row in summary(table)] == [
        ("reservoir_level", 2, 1, 1), ("stream_level_creek", 1, 1, 0)]  # fmt: skip
    assert summary(table)[0]["largest change"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("changed", "largest"), [((1.0, 4.0, 2.0), 3.0), ((1.0, -4.0, -2.0), -5.0), ((1.0, None), None)]
)
def test_the_largest_change_of_a_gauge_may_be_a_fall(
    url: str, changed: tuple[float | None, ...], largest: float | None
) -> None:
    with open_archive(url) as archive:
        for number, value in enumerate(changed):
            archive.append(readings(CREEK, {START: (value, str(value), "good", "1")}), MONDAY + number * NEXT)
        (row,) = summary(changes(DAM, archive, [CREEK]))
    assert row["largest change"] == largest
    assert row["values changed"] == sum(None not in pair for pair in pairwise(changed))


def test_a_change_of_the_text_only_is_listed(url: str) -> None:
    with open_archive(url) as archive:
        for number, raw in enumerate(("1.0", "1.00")):
            archive.append(readings(RAIN, {START: (25.4, raw, "good", "1")}), MONDAY + number * NEXT)
        (row,) = text_rows(changes(DAM, archive, DAM.gauges))
    assert (row["value"], row["code"], row["as published"]) == ("25.4", None, "1.0 → 1.00")


# --- against a model in plain Python --------------------------------------------------------------------------------

CONTENTS: list[Content] = [(1.0, "1", "good", "1"), (2.0, "2", "good", "1"), (None, "0", "missing", None)]
FETCHES = st.lists(
    st.dictionaries(st.tuples(st.sampled_from(GAUGES), st.integers(0, 2)), st.sampled_from(CONTENTS)), max_size=5
)


@settings(max_examples=40)
@given(fetches=FETCHES)
def test_revisions_equal_a_model_in_plain_python(
    empty_archive_url: Callable[[], str], fetches: list[dict[tuple[object, int], Content]]
) -> None:
    versions_by_key: dict[tuple[str, datetime], list[tuple[datetime, Content]]] = {}
    with open_archive(empty_archive_url()) as archive:
        for number, batch in enumerate(fetches):
            now = MONDAY + number * NEXT
            for (gauge, day), content in batch.items():
                versions = versions_by_key.setdefault((gauge.station, MONDAY + day * NEXT), [])
                if not versions or versions[-1][1] != content:
                    versions.append((now, content))
            tables = [readings(gauge, {MONDAY + day * NEXT: content}) for (gauge, day), content in batch.items()]
            archive.append(pl.concat([READINGS.empty(), *tables]), now)
        table = archive.revisions(GAUGES)
        expected = {
            (*key, after[0]): (*after[1], *before)
            for key, versions in versions_by_key.items()
            for before, after in zip(versions, versions[1:], strict=False)
        }
        names = ("value", "raw_value", "quality", "quality_code", "old_fetched_at", "old_value", "old_raw_value",
                 "old_quality", "old_quality_code")  # fmt: skip
        rows = table.select("station", "time", "fetched_at", *names).rows()
        assert {row[:3]: (*row[3:8], row[8:]) for row in rows} == expected
        assert archive.revisions([LEVEL]).equals(table.filter(pl.col("station") == LEVEL.station))
        new = pl.concat([archive.first_known(GAUGES), table.select(list(OBSERVATIONS.columns))])
        assert new.height == sum(map(len, versions_by_key.values())), "first versions and revisions are all versions"
