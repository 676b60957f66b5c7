"""Weather forecasts in the archive: versions of runs, the two views, the upgrade, copies and checks."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from forebay.archive import upgrade, upkeep
from forebay.archive.database import SCHEMA_VERSION
from forebay.archive.store import Archive, open_archive
from forebay.archive.weather import WeatherAppend
from forebay.dams.weather import Weather
from forebay.errors import DataError
from forebay.tables import WEATHER_FORECASTS, WEATHER_VALUES
from tests.postgres import Cluster
from tests.readings import LEVEL, MONDAY, day_contents, readings

RUN = datetime(2024, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DELAY = 6 * HOUR
WEATHER = Weather.model_validate({"id": "rain", "model": "ecmwf_ifs", "points": "1,2; 3,4", "members": True})
SCHEMA_3 = Path(__file__).parent / "archives" / "schema_3.db"


def run(
    *values: float | None,
    issued: datetime = RUN,
    point: str = "1,2",
    delay: timedelta = DELAY,
    member: int | None = None,
) -> pl.DataFrame:
    """`tables.WEATHER_VALUES` of a run with these hourly values from its issue time on."""
    rows = [
        ("open_meteo", "ecmwf_ifs", point, "rainfall", issued, issued + delay, issued + k * HOUR, 3600, member, value)
        for k, value in enumerate(values)
    ]
    return pl.DataFrame(rows, WEATHER_VALUES.columns, orient="row")


def live(*values: float | None, at: datetime) -> pl.DataFrame:
    """The answer of a service that names no run, at this time."""
    return run(*values, issued=at, delay=timedelta(0))


def two_levels() -> pl.DataFrame:
    return readings(LEVEL, day_contents(MONDAY.date(), [1.0, 2.0]))


def held(table: pl.DataFrame) -> list[tuple[datetime, float | None]]:
    return list(table.select("issued_at", "value").iter_rows())


@pytest.fixture
def archive(url: str) -> Iterator[Archive]:
    with open_archive(url) as store:
        yield store


def test_a_run_is_stored_once(archive: Archive) -> None:
    weather = archive.weather
    assert weather.versions([WEATHER]).equals(WEATHER_FORECASTS.empty())
    assert weather.append(run(1.0, 2.0), RUN + 9 * HOUR) == WeatherAppend(2, 2, 1)
    assert weather.append(run(1.0, 2.0), RUN + 99 * HOUR) == WeatherAppend(2, 0, 0)
    assert weather.append(WEATHER_VALUES.empty(), RUN) == WeatherAppend(0, 0, 0)
    (first, second) = weather.versions([WEATHER]).iter_rows(named=True)
    assert first == {
        "service": "open_meteo", "model": "ecmwf_ifs", "point": "1,2", "variable": "rainfall", "issued_at": RUN,
        "known_at": RUN + DELAY, "valid_time": RUN, "interval": 3600, "member": None, "value": 1.0,
        "fetched_at": RUN + 9 * HOUR,
    }  # fmt: skip
    assert second["valid_time"] == RUN + HOUR


def test_another_content_of_a_run_is_a_version_that_is_known_when_it_was_fetched(archive: Archive) -> None:
    weather = archive.weather
    weather.append(run(1.0, 2.0), RUN + 9 * HOUR)
    assert weather.append(run(1.0, 5.0), RUN + 50 * HOUR).runs == 1
    assert weather.append(run(1.0), RUN + 60 * HOUR).runs == 1, "a value that disappears is a difference"
    assert weather.append(run(1.0), RUN + 70 * HOUR).runs == 0
    for view in (weather.as_of, weather.known_at):
        assert held(view([WEATHER], RUN + 5 * HOUR)) == []
        assert held(view([WEATHER], RUN + 49 * HOUR)) == [(RUN, 1.0), (RUN, 2.0)]
        assert held(view([WEATHER], RUN + 50 * HOUR)) == [(RUN, 1.0), (RUN, 5.0)]
        assert held(view([WEATHER], RUN + 60 * HOUR)) == [(RUN, 1.0)]
    assert held(weather.as_of([WEATHER], RUN + 8 * HOUR)) == []
    for hours, versions in ((8, 0), (9, 2), (50, 4), (60, 5)):
        assert archive.snapshot(RUN + hours * HOUR).weather.versions([WEATHER]).height == versions
    assert held(weather.known_at([WEATHER], RUN + 6 * HOUR)) == [(RUN, 1.0), (RUN, 2.0)]
    with pytest.raises(DataError, match="differs from the one fetched at"):
        weather.append(run(7.0), RUN + 60 * HOUR)


def test_a_past_run_is_known_from_its_delay_on_and_held_from_its_fetch_on(archive: Archive) -> None:
    later = RUN + timedelta(days=400)
    archive.weather.append(pl.concat([run(1.0), run(2.0, issued=RUN + 12 * HOUR)]), later)
    assert held(archive.weather.known_at([WEATHER], RUN + 17 * HOUR)) == [(RUN, 1.0)]
    assert held(archive.weather.known_at([WEATHER], RUN + 18 * HOUR)) == [(RUN, 1.0), (RUN + 12 * HOUR, 2.0)]
    assert held(archive.weather.as_of([WEATHER], later - HOUR)) == []


def test_an_answer_without_a_run_is_stored_if_it_has_something_new(archive: Archive) -> None:
    weather = archive.weather
    assert weather.append(live(1.0, 2.0, 3.0, at=RUN), RUN).runs == 1
    assert weather.append(live(2.0, 3.0, at=RUN + HOUR), RUN + HOUR).runs == 0, "the same values, an hour later"
    assert weather.append(live(3.0, 4.0, at=RUN + 2 * HOUR), RUN + 2 * HOUR).runs == 1
    assert weather.append(live(4.0, None, at=RUN + 3 * HOUR), RUN + 3 * HOUR).runs == 1
    assert weather.runs(WEATHER, "ecmwf_ifs") == set(), "none of them is a run"


def test_a_run_counts_when_each_point_has_it(archive: Archive) -> None:
    archive.weather.append(run(0.0), RUN + DELAY)
    assert archive.weather.runs(WEATHER, "ecmwf_ifs") == set()
    archive.weather.append(run(None, point="3,4"), RUN + DELAY)
    assert archive.weather.runs(WEATHER, "ecmwf_ifs") == {RUN}, "a run without values counts too"


def test_members_and_points_are_series_of_their_own(archive: Archive) -> None:
    tables = [run(float(k), member=k) for k in range(3)] + [run(9.0), run(8.0, point="3,4"), run(7.0, point="5,6")]
    archive.weather.append(pl.concat(tables), RUN + DELAY)
    stored = archive.weather.versions([WEATHER])
    assert stored.select("point", "member", "value").rows() == [
        ("1,2", None, 9.0), ("1,2", 0, 0.0), ("1,2", 1, 1.0), ("1,2", 2, 2.0), ("3,4", None, 8.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (run(float("nan")), "value nan is no number"),
        (pl.concat([run(1.0), run(2.0)]), "must identify a row"),
        (run(1.0).with_columns(pl.lit(None, pl.String).alias("point")), "column 'point' has a null"),
    ],
)
def test_a_table_that_breaks_its_contract_is_refused(archive: Archive, table: pl.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        archive.weather.append(table, RUN + DELAY)
    assert archive.weather.versions([WEATHER]).is_empty()


def test_check_copy_backup_and_restore_have_the_forecasts(url: str, tmp_path: Path) -> None:
    with open_archive(url) as store:
        store.append(two_levels(), MONDAY + timedelta(days=5))
        store.weather.append(pl.concat([run(1.0, None), run(3.0, point="3,4", member=2)]), RUN + DELAY)
        store.weather.append(run(2.0, None), RUN + 2 * DELAY)
        expected = store.weather.versions([WEATHER])
    now = RUN + timedelta(days=9)
    checked = upkeep.check(url, now)
    assert checked.fault_summary == ""
    target = f"sqlite:///{tmp_path}/copy.db"
    assert upkeep.copy(url, target).versions == checked.versions == 2 + 5
    backup = tmp_path / "backup.db"
    upkeep.backup(url, backup)
    restored = f"sqlite:///{tmp_path}/restored.db"
    upkeep.restore(backup, restored, now)
    for place in (target, f"sqlite:///{backup}", restored):
        with open_archive(place, create=False) as store:
            assert store.weather.versions([WEATHER]).equals(expected), place
    assert "1 with a weather run fetched in the future" in upkeep.check(url, RUN + DELAY + HOUR).fault_summary


def test_a_damage_is_counted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with open_archive(url) as store:
        store.weather.append(run(1.0), RUN + DELAY)
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.execute("DELETE FROM weather_run")
        connection.commit()
    assert "1 with a weather value without run" in upkeep.check(url, RUN + DELAY).fault_summary


# The upgrade of schema 3.


def tables_of(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_reading_leaves_schema_3_and_the_first_write_upgrades_it(tmp_path: Path) -> None:
    path = tmp_path / "forebay.db"
    shutil.copy(SCHEMA_3, path)
    content, url = path.read_bytes(), f"sqlite:///{path}"
    with open_archive(url, create=False) as reader:
        assert reader.weather.versions([WEATHER]).is_empty()
        assert reader.weather.runs(WEATHER, "ecmwf_ifs") == set()
        versions = upkeep.check(url, RUN).versions
        upkeep.backup(url, tmp_path / "backup.db")
        assert path.read_bytes() == content
        with open_archive(url) as writer:
            assert writer.weather.append(run(1.0), RUN + DELAY).runs == 1
            assert writer.weather.append(run(2.0, issued=RUN + DELAY), RUN + 2 * DELAY).runs == 1
        assert reader.weather.versions([WEATHER]).is_empty(), "opened before the upgrade"
    assert {"weather_series", "weather_run", "weather_value"} <= tables_of(path)
    assert upkeep.check(url, RUN + 9 * DELAY).versions == versions + 2
    assert "weather_run" not in tables_of(tmp_path / "backup.db")
    upkeep.restore(tmp_path / "backup.db", f"sqlite:///{tmp_path}/new.db", RUN)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM archive_schema").fetchall() == [(SCHEMA_VERSION,)]
        assert connection.execute("SELECT count(*) FROM lease").fetchone() == (0,)


def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "forebay.db"
    shutil.copy(SCHEMA_3, path)
    before = tables_of(path)

    def fail(*arguments: object) -> None:
        add_tables(*arguments)
        raise OSError(28, "No space left on device")

    add_tables = upgrade.add_tables
    with monkeypatch.context() as patch, open_archive(f"sqlite:///{path}") as store:
        patch.setattr(upgrade, "add_tables", fail)
        with pytest.raises(Exception, match="No space left"):
            store.weather.append(run(1.0), RUN + DELAY)
    assert tables_of(path) == before
    with open_archive(f"sqlite:///{path}") as store:
        assert store.weather.append(run(1.0), RUN + DELAY).runs == 1


def test_a_postgresql_archive_of_schema_3_is_upgraded(postgres: Cluster) -> None:
    url = postgres.new()
    with open_archive(url) as store:
        store.append(two_levels(), MONDAY + timedelta(days=5))
    tables = "forecast_record, weather_value, weather_run, weather_series"
    postgres.execute(f"DROP TABLE {tables}, gauge_fetch; UPDATE archive_schema SET version = 3", url)
    with open_archive(url) as store:
        assert store.weather.versions([WEATHER]).is_empty()
        assert postgres.execute("SELECT version FROM archive_schema", url) == [(3,)]
        assert store.weather.append(run(1.0, None), RUN + DELAY).runs == 1
        assert held(store.weather.versions([WEATHER])) == [(RUN, 1.0), (RUN, None)]
        assert store.as_of([LEVEL]).height == 2
    assert postgres.execute("SELECT version FROM archive_schema", url) == [(SCHEMA_VERSION,)]
