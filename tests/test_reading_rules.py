"""Reading rules: after a correction of the dam file or of a file, the archive gives what a fresh archive gives."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from forebay.archive import upkeep
from forebay.archive.fetch import FetchReport, FetchRequest, fetch_dam
from forebay.archive.series import NO_RULES, adoption
from forebay.archive.store import Archive, open_archive
from forebay.archive.views import SERIES
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from forebay.days.daily import daily_table
from forebay.services import HYDSTRA_KEYS
from forebay.settings import Settings
from forebay.sources import fetch_readings
from forebay.tables import READINGS
from forebay.text import public_url
from tests.postgres import Cluster
from tests.readings import make_gauge

NOW = datetime(2024, 2, 20, 3, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = [date(2024, 1, 1) + n * DAY for n in range(40)]
DAM = """id = "lake"
name = "Lake"
country = "Australia"
latitude = -33.9
longitude = 150.6
time_zone = "+10:00"

[target]
variable = "reservoir_level"
unit = "m"
datum = "m, invented"

[[gauges]]
role = "target"
source = "csv"
station = "lake"
variable = "reservoir_level"
unit = "m"
file = { path = "level.csv", date = "date", value = "level" }
"""


def write_level(path: Path, days: list[date] = DAYS, *, base: float = 94.0, lines: str = "") -> None:
    """A file of levels that rise by a centimetre a day, and two further columns."""
    rows = (f"{day},{base + 0.01 * n:.2f},{200 + n},09:00" for n, day in enumerate(days))
    path.write_text("\n".join(["date,level,feet,clock", *rows]) + "\n" + lines)


@pytest.fixture
def archive(url: str) -> Iterator[Archive]:
    with open_archive(url) as opened:
        yield opened


def read_dam(folder: Path, text: str = DAM, name: str = "dam.toml") -> Dam:
    (folder / name).write_text(text)
    return load_dam(str(folder / name))


def fetch(dam: Dam, archive: Archive, now: datetime = NOW) -> FetchReport:
    return fetch_dam(dam, archive, settings=Settings(), request=FetchRequest(now))


def fresh_daily(dam: Dam, folder: Path) -> pl.DataFrame:
    """The daily table of a fresh archive."""
    url = f"sqlite:///{folder}/fresh-{len(list(folder.iterdir()))}.db"
    with open_archive(url) as fresh:
        fetch(dam, fresh)
        return daily_table(fresh.as_of(dam.gauges), dam)


CORRECTIONS = {
    "unit": ('unit = "m"\nfile', 'unit = "ft"\nfile'),
    "zone": ('time_zone = "+10:00"', 'time_zone = "+00:00"'),
    "stamp": ('unit = "m"\nfile', 'unit = "m"\nstamp = "end"\nfile'),
    "day start": ('unit = "m"\nfile', 'unit = "m"\nday_start = "09:00"\nfile'),
    "reading": ('unit = "m"\nfile', 'unit = "m"\nreading = "instantaneous"\nreading_at = "08:00"\nfile'),
    "column": ('value = "level"', 'value = "feet"'),
    "date format": ('date = "date"', 'date = "date", date_format = "%Y-%d-%m"'),
    "interval": ('unit = "m"\nfile', 'unit = "m"\ninterval = "hour"\nshare_required = 0.01\nfile'),
}


@pytest.mark.parametrize("direction", [1, -1], ids=["to", "back"])
@pytest.mark.parametrize("correction", CORRECTIONS.values(), ids=CORRECTIONS)
def test_after_a_correction_of_the_dam_file_everything_equals_a_fresh_archive(
    tmp_path: Path, archive: Archive, correction: tuple[str, str], direction: int
) -> None:
    write_level(tmp_path / "level.csv", [day for day in DAYS if day.day < 13])  # either order of month and day is valid
    old, new = (DAM, DAM.replace(*correction))[::direction]
    assert old != new
    fetch(read_dam(tmp_path, old), archive, NOW - DAY)
    dam = read_dam(tmp_path, new)
    table = fetch(dam, archive).table
    assert table.select("revised", "withdrawn", "error").row(0) == (0, 0, None)
    assert daily_table(archive.as_of(dam.gauges), dam).equals(fresh_daily(dam, tmp_path))
    assert archive.revisions(dam.gauges).is_empty(), "a correction of the dam file is no revision by an agency"


RULES: dict[str, dict[str, object]] = {
    "unit": {"unit": "ft"},
    "scale": {"scale": 2.0},
    "offset": {"offset": 1.0},
    "readings_from": {"readings_from": ({"from": date(2024, 1, 9), "scale": 2.0},)},
    "reading": {"reading": "total"},
    "reading_at": {"reading": "instantaneous", "reading_at": "08:00"},
    "interval": {"interval": "hour"},
    "stamp": {"stamp": "end"},
    "day_start": {"day_start": "09:00"},
    **{f"request.{key}": {"request": {key: "131.00"}} for key in HYDSTRA_KEYS},
}
NO_RULES_OF_READINGS: dict[str, dict[str, object]] = {
    "name": {"name": "Lake"},
    "latency_h": {"latency_h": 6.0},
    "aggregate": {"aggregate": "max"},
    "share_required": {"share_required": 0.5},
    "valid_range": {"valid_range": (0.0, 100.0)},
    "sentinels": {"sentinels": {"values": (-1.0,)}},
    "accept": {"accept": ({"from": date(2024, 1, 9), "reason": "works"},)},
    "substitute": {"substitute": ("212243",)},
}


@pytest.mark.parametrize("key", [*RULES, *NO_RULES_OF_READINGS])
def test_a_key_is_a_reading_rule_if_it_affects_the_value_or_the_time_of_a_reading(key: str) -> None:
    changed = make_gauge(**RULES.get(key, NO_RULES_OF_READINGS.get(key, {})))
    assert (changed.series["rules"] != make_gauge().series["rules"]) == (key in RULES)


def test_every_key_of_a_gauge_is_a_reading_rule_or_not() -> None:
    tested = {key.partition(".")[0] for key in (*RULES, *NO_RULES_OF_READINGS)}
    identity = {"role", "source", "station", "variable"}
    assert tested | identity | {"file", "travel_time_h"} == set(Gauge.model_fields)


def test_before_the_next_fetch_nothing_read_by_other_rules_is_used(tmp_path: Path, archive: Archive) -> None:
    write_level(tmp_path / "level.csv")
    fetch(read_dam(tmp_path), archive)
    assert archive.as_of(read_dam(tmp_path, DAM.replace(*CORRECTIONS["unit"])).gauges).is_empty()
    assert archive.as_of(read_dam(tmp_path).gauges).height == len(DAYS), "the old rules still have their readings"


def test_a_key_with_its_default_value_and_a_text_for_people_are_no_rules(tmp_path: Path, archive: Archive) -> None:
    write_level(tmp_path / "level.csv")
    fetch(read_dam(tmp_path), archive)
    same = DAM.replace('unit = "m"\nfile', 'unit = "m"\nstamp = "start"\nname = "New"\nlatency_h = 5\nfile')
    same = same.replace('date = "date"', 'date = "date", date_format = "%Y-%m-%d", separator = ","')
    assert fetch(read_dam(tmp_path, same), archive).table.select("new", "revised").row(0) == (0, 0)


def test_dam_files_with_the_same_id_never_mix(tmp_path: Path, archive: Archive) -> None:
    dams = []
    for name, base in (("a", 94.0), ("b", 12.0)):
        (tmp_path / name).mkdir()
        write_level(tmp_path / name / "level.csv", DAYS if name == "a" else DAYS[5:], base=base)
        dams.append(read_dam(tmp_path / name))
    for dam in dams * 2:
        fetch(dam, archive)
    for dam in dams:
        assert daily_table(archive.as_of(dam.gauges), dam).equals(fresh_daily(dam, tmp_path))
        assert archive.revisions(dam.gauges).is_empty()


def test_a_moved_folder_keeps_its_history(tmp_path: Path, archive: Archive) -> None:
    (tmp_path / "old").mkdir()
    write_level(tmp_path / "old" / "level.csv")
    old = read_dam(tmp_path / "old")
    fetch(old, archive, NOW - DAY)
    (tmp_path / "old").rename(tmp_path / "new")
    lines = lines_of(tmp_path / "new" / "level.csv")
    lines[20] = lines[20].replace("94.19", "94.99")
    (tmp_path / "new" / "level.csv").write_text("".join(lines) + "2024-02-10,94.4,0,0\n")
    dam = load_dam(str(tmp_path / "new" / "dam.toml"))
    assert archive.as_of(dam.gauges).is_empty(), "only a fetch adopts a series"
    assert fetch(dam, archive).table.select("new", "revised", "withdrawn").row(0) == (1, 1, 0)
    assert archive.as_of(dam.gauges, NOW - DAY)["value"].to_list() == [94 + n / 100 for n in range(40)]
    assert archive.as_of(old.gauges).is_empty()
    snapshot = archive.snapshot(NOW - DAY)
    assert snapshot.as_of(old.gauges)["value"].equals(snapshot.as_of(dam.gauges)["value"]), "of a recorded dam file"


def test_a_snapshot_has_the_series_of_a_url_with_secrets(archive: Archive) -> None:
    """The dam file of a record has the URL without its secret."""
    keys = {"role": "target", "source": "kiwis", "station": "1", "variable": "reservoir_level", "unit": "m"}
    url = "https://me:hunter2@host.example/KiWIS"
    secret, public, other = (
        Gauge.model_validate(keys | {"request": {"url": text}})
        for text in (url, public_url(url), url.replace("host.", "other."))
    )
    reading = {"time": NOW - DAY, "interval": secret.table_interval, "value": 1.0, "raw_value": "1", "quality": "good"}
    rows = pl.DataFrame([secret.series | reading], schema=READINGS.columns)
    archive.append(rows, NOW, gauge=secret)
    assert archive.snapshot(NOW).as_of([public])["value"].to_list() == [1.0]
    assert archive.snapshot(NOW).as_of([other]).is_empty()
    assert archive.as_of([public]).is_empty()


@pytest.mark.parametrize("change", ["fewer days", "other levels"])
def test_a_file_that_is_invisible_here_keeps_its_series(tmp_path: Path, archive: Archive, change: str) -> None:
    """Two machines use one archive; neither sees the files of the other, and their dam files have the same id."""
    other = (DAYS[5:], 94.05) if change == "fewer days" else (DAYS, 12.0)
    for name, (days, base) in (("a", (DAYS, 94.0)), ("b", other)):
        (tmp_path / name).mkdir()
        write_level(tmp_path / name / "level.csv", days, base=base)
    first, second = (read_dam(tmp_path / name) for name in "ab")
    for number, (dam, hidden) in enumerate(((first, "b"), (second, "a"), (first, "b"), (second, "a"))):
        (tmp_path / hidden).rename(tmp_path / "hidden")
        assert fetch(dam, archive, NOW + number * DAY).table.select("withdrawn", "error").row(0) == (0, None)
        (tmp_path / "hidden").rename(tmp_path / hidden)
    assert archive.as_of(first.gauges).height == len(DAYS)
    assert archive.revisions((*first.gauges, *second.gauges)).is_empty()


@pytest.mark.parametrize("left", [(), ("old/1.csv",), ("old/2.csv",), ("old/1.csv", "old/2.csv")])
def test_files_were_moved_if_none_is_at_its_old_path(tmp_path: Path, left: tuple[str, ...]) -> None:
    (tmp_path / "old").mkdir()
    for name in left:
        (tmp_path / name).touch()

    def gauge_of(folder: str) -> Gauge:
        file = {"path": (f"{tmp_path}/{folder}/1.csv", f"{tmp_path}/{folder}/2.csv"), "date": "d", "value": "v"}
        return make_gauge(source="csv", file=file)

    old, new = gauge_of("old"), gauge_of("new")
    schema = {"id": pl.Int64, **{name: READINGS.columns[name] for name in SERIES}, "reading_rules": pl.String}
    stored = pl.DataFrame([{"id": 7} | old.series | {"reading_rules": old.reading_rules}], schema=schema)
    assert adoption(stored, new) == (None if left else 7)
    assert adoption(stored, old) is None, "it has its own series"


def test_a_copied_folder_has_a_history_of_its_own(tmp_path: Path, archive: Archive) -> None:
    (tmp_path / "old").mkdir()
    write_level(tmp_path / "old" / "level.csv")
    fetch(read_dam(tmp_path / "old"), archive, NOW - DAY)
    shutil.copytree(tmp_path / "old", tmp_path / "copy")
    assert fetch(load_dam(str(tmp_path / "copy" / "dam.toml")), archive).table["new"][0] == len(DAYS)


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


@pytest.mark.parametrize("row", [1, 20, -1])
def test_a_line_that_its_file_no_longer_has_is_withdrawn(tmp_path: Path, archive: Archive, row: int) -> None:
    write_level(tmp_path / "level.csv")
    dam = read_dam(tmp_path)
    fetch(dam, archive, NOW - DAY)
    lines = lines_of(tmp_path / "level.csv")
    deleted = lines.pop(row)
    (tmp_path / "level.csv").write_text("".join(lines))
    table = fetch(dam, archive).table
    assert table.select("rows", "new", "revised", "withdrawn").row(0) == (39, 0, 0, 1)
    assert daily_table(archive.as_of(dam.gauges), dam).equals(fresh_daily(dam, tmp_path))
    assert archive.as_of(dam.gauges, NOW - DAY).height == 40, "kept as history"
    assert archive.known_at(dam.gauges, NOW, dam.time_zone).height == 39
    revision = archive.revisions(dam.gauges).row(0, named=True)
    assert (revision["quality"], revision["value"], revision["old_raw_value"]) == (
        "withdrawn",
        None,
        deleted.split(",")[1],
    )
    assert fetch(dam, archive, NOW + DAY).table["withdrawn"][0] == 0, "withdrawn once"
    lines.insert(row if row > 0 else len(lines), deleted)
    (tmp_path / "level.csv").write_text("".join(lines))
    assert fetch(dam, archive, NOW + 2 * DAY).table.select("new", "revised").row(0) == (1, 0)
    assert archive.as_of(dam.gauges).height == 40


def test_only_days_of_the_fetch_are_withdrawn(tmp_path: Path, archive: Archive) -> None:
    write_level(tmp_path / "level.csv")
    dam = read_dam(tmp_path)
    fetch(dam, archive, NOW - DAY)
    write_level(tmp_path / "level.csv", [DAYS[20]])
    request = FetchRequest(NOW, since=DAYS[20], until=DAYS[25])
    report = fetch_dam(dam, archive, settings=Settings(), request=request)
    assert report.table["withdrawn"][0] == 5
    assert archive.as_of(dam.gauges).height == 35


def test_a_file_without_any_reading_withdraws_nothing(tmp_path: Path, archive: Archive) -> None:
    write_level(tmp_path / "level.csv")
    dam = read_dam(tmp_path)
    fetch(dam, archive, NOW - DAY)
    write_level(tmp_path / "level.csv", [])
    report = fetch(dam, archive)
    assert "has no reading of" in str(report.errors["reservoir_level"])
    assert archive.as_of(dam.gauges).height == 40


def test_a_line_with_an_error_withdraws_nothing(tmp_path: Path, archive: Archive) -> None:
    write_level(tmp_path / "level.csv")
    dam = read_dam(tmp_path)
    fetch(dam, archive, NOW - DAY)
    write_level(tmp_path / "level.csv", DAYS[:10], lines="2024-02-30,1,2,3\n")
    assert fetch(dam, archive).errors
    assert archive.as_of(dam.gauges).height == 40


def test_readings_in_the_future_are_counted_and_the_first_is_named(tmp_path: Path, archive: Archive) -> None:
    write_level(tmp_path / "level.csv", lines="2062-10-05,94.1,0,0\n2063-01-01,94.1,0,0\n2064-01-01,,,\n")
    table = fetch(read_dam(tmp_path), archive).table
    assert table.select("rows", "future").row(0) == (40, 2)
    assert table["note"][0] == (
        f"{tmp_path}/level.csv: 2 readings lie in the future and are left out, the first of 2062-10-05; "
        "correct its date, or date_format, stamp or time_zone in the dam file"
    )


def test_an_implausible_reading_is_never_the_newest(tmp_path: Path, archive: Archive) -> None:
    write_level(tmp_path / "level.csv", lines="2024-02-12,-9999,0,0\n2024-02-13,99999,0,0\n2024-02-14,99.5,0,0\n")
    dam = read_dam(tmp_path, DAM.replace('unit = "m"\nfile', 'unit = "m"\nvalid_range = [90, 97]\nfile'))
    assert fetch(dam, archive).table["newest"][0] == datetime(2024, 2, 8, 14, tzinfo=UTC)


def test_a_file_that_lies_in_the_future_as_a_whole_is_an_error(tmp_path: Path, archive: Archive) -> None:
    write_level(tmp_path / "level.csv", [day.replace(year=2068) for day in DAYS])
    report = fetch(read_dam(tmp_path), archive)
    assert "every reading lies in the future (40, the first of 2068-01-01)" in str(report.failure)


# The upgrade of schema 1.

SCHEMA_1 = Path(__file__).parent / "archives" / "schema_1.db"
RAIN = """
[[gauges]]
role = "rainfall"
source = "waternsw"
station = "000001"
variable = "rainfall"
unit = "mm"
day_start = "09:00"
"""
OLD_DAM = DAM.replace('"lake"', '"kept"', 1).replace('station = "lake"', 'station = "level"') + RAIN
AS_BEFORE = ["station", "time", "value", "raw_value", "quality", "quality_code", "fetched_at"]


def views_before() -> dict[datetime, list[list[object]]]:
    views = json.loads(SCHEMA_1.with_suffix(".json").read_text())
    return {datetime.fromisoformat(instant): rows for instant, rows in views.items()}


def views_now(archive: Archive, dam: Dam) -> dict[datetime, list[list[object]]]:
    texts = pl.col("time", "fetched_at").dt.strftime("%Y-%m-%dT%H:%M:%S+00:00")
    return {
        instant: [list(row) for row in archive.as_of(dam.gauges, instant + timedelta(seconds=1))
                  .with_columns(texts).select(AS_BEFORE).rows()]
        for instant in views_before()
    }  # fmt: skip


def old_tables(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        names = "id, source, station, variable, aggregate, interval"
        return {
            "series": connection.execute(f"SELECT {names} FROM series ORDER BY id").fetchall(),
            "observation": connection.execute("SELECT * FROM observation ORDER BY 1, 2, 3").fetchall(),
        }


@pytest.fixture
def upgraded(tmp_path: Path) -> Path:
    path = tmp_path / "forebay.db"
    shutil.copy(SCHEMA_1, path)
    return path


def test_an_upgrade_loses_no_version_and_answers_as_of_as_before(tmp_path: Path, upgraded: Path) -> None:
    before = old_tables(upgraded)
    dam = read_dam(tmp_path, OLD_DAM)
    with open_archive(f"sqlite:///{upgraded}", create=False) as archive:
        assert views_now(archive, dam) == views_before()
    assert old_tables(upgraded) == before
    assert old_tables(tmp_path / "forebay.schema-1.db") == before
    assert upkeep.check(f"sqlite:///{upgraded}", NOW).fault_summary == ""
    with closing(sqlite3.connect(upgraded)) as connection:
        assert connection.execute("PRAGMA foreign_key_list(observation)").fetchone()[2] == "series"
        connection.execute("PRAGMA foreign_keys=ON")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("INSERT INTO observation VALUES (77, 0, 0, 1.0, '1', 'good', '1')")
    with open_archive(f"sqlite:///{upgraded}"):
        assert not (tmp_path / "forebay.schema-1-1.db").exists(), "upgraded once"


def test_an_upgrade_overwrites_no_file(tmp_path: Path, upgraded: Path) -> None:
    before = old_tables(upgraded)
    (tmp_path / "forebay.schema-1.db").write_text("mine")
    open_archive(f"sqlite:///{upgraded}").close()
    assert (tmp_path / "forebay.schema-1.db").read_bytes() == b"mine"
    assert old_tables(tmp_path / "forebay.schema-1-1.db") == before


def test_two_gauges_of_one_old_series_each_have_its_readings(tmp_path: Path, upgraded: Path) -> None:
    dams = [read_dam(tmp_path, OLD_DAM), read_dam(tmp_path, OLD_DAM.replace("+10:00", "+09:00"), "other.toml")]
    with open_archive(f"sqlite:///{upgraded}") as archive:
        gauges = [dam.gauges[1] for dam in dams]
        known = archive.known_at(gauges, NOW, "+10:00")
        assert known["rules"].value_counts()["count"].to_list() == [35, 35]
        assert not known.select("rules", "time").is_duplicated().any()


def test_after_an_upgrade_a_fetch_adopts_the_series_of_each_gauge(tmp_path: Path, upgraded: Path) -> None:
    dam = read_dam(tmp_path, OLD_DAM)
    write_level(tmp_path / "level.csv", DAYS[:31])
    with open_archive(f"sqlite:///{upgraded}") as archive:
        level, rain = dam.gauges
        stored = archive.as_of([rain]).drop("fetched_at")

        def source(gauge: Gauge, dam: Dam, since: date | None, until: date, **options: Any) -> pl.DataFrame:
            return stored if gauge is rain else fetch_readings(gauge, dam, since, until, **options)

        report = fetch_dam(dam, archive, settings=Settings(), request=FetchRequest(NOW), fetch=source)
        assert report.table.select("new", "revised", "withdrawn").rows() == [(0, 2, 0), (0, 0, 0)]
        assert views_now(archive, dam) == views_before()
        assert archive.as_of([level])["value"].to_list() == [round(94 + n / 100, 2) for n in range(31)]
    with closing(sqlite3.connect(upgraded)) as connection:
        assert connection.execute("SELECT count(*) FROM series WHERE rules = ?", (NO_RULES,)).fetchone() == (0,)


def test_readings_of_another_zone_in_an_old_archive_are_withdrawn(tmp_path: Path, upgraded: Path) -> None:
    """The worst old archive: two series of the same file, one of each zone, under one key."""
    dam = read_dam(tmp_path, OLD_DAM.split('\n[[gauges]]\nrole = "rainfall"')[0].replace("+10:00", "+09:00"))
    write_level(tmp_path / "level.csv")
    with open_archive(f"sqlite:///{upgraded}") as archive:
        assert fetch(dam, archive).table.select("new", "withdrawn").row(0) == (40, 31)
        assert daily_table(archive.as_of(dam.gauges), dam).equals(fresh_daily(dam, tmp_path))


@pytest.mark.parametrize("broken", ["_replace_series", "_back_up"])
def test_an_upgrade_that_fails_changes_nothing(
    tmp_path: Path, upgraded: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    from forebay.archive import upgrade

    before = upgraded.read_bytes()

    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    function: Callable[..., None] = getattr(upgrade, broken)

    def fail_at_the_end(*arguments: object) -> None:
        function(*arguments)
        fail()

    with monkeypatch.context() as patch:
        patch.setattr(upgrade, broken, fail_at_the_end)
        with pytest.raises(Exception, match="No space left"):
            open_archive(f"sqlite:///{upgraded}")
    assert upgraded.read_bytes() == before
    with open_archive(f"sqlite:///{upgraded}") as archive:
        assert views_now(archive, read_dam(tmp_path, OLD_DAM)) == views_before()


def test_a_postgresql_archive_is_upgraded(tmp_path: Path, postgres: Cluster) -> None:
    url = postgres.new()
    before = old_tables(SCHEMA_1)
    columns = "series INTEGER, time BIGINT, fetched_at BIGINT, value DOUBLE PRECISION, raw_value TEXT"
    key = "source, station, variable, aggregate, interval"
    statements = [
        "CREATE TABLE archive_schema (version INTEGER PRIMARY KEY)",
        "INSERT INTO archive_schema VALUES (1)",
        "CREATE TABLE series (id SERIAL PRIMARY KEY, source TEXT NOT NULL, station TEXT NOT NULL,"
        f" variable TEXT NOT NULL, aggregate TEXT NOT NULL, interval INTEGER NOT NULL, UNIQUE ({key}))",
        f"CREATE TABLE observation ({columns}, quality TEXT NOT NULL, quality_code TEXT,"
        " PRIMARY KEY (series, time, fetched_at))",
    ]
    for table, rows in before.items():
        values = (", ".join("NULL" if cell is None else repr(cell) for cell in row) for row in rows)
        statements += [f"INSERT INTO {table} VALUES ({row})" for row in values]
    postgres.execute("; ".join(statements), url)
    dam = read_dam(tmp_path, OLD_DAM)
    with open_archive(url, create=False) as archive:
        assert views_now(archive, dam) == views_before()
    assert upkeep.check(url, NOW).fault_summary == ""
    write_level(tmp_path / "level.csv")
    with open_archive(url) as archive:
        assert fetch(read_dam(tmp_path, OLD_DAM.split('\n[[gauges]]\nrole = "rainfall"')[0]), archive).errors == {}
