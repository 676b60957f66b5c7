"""`forebay observe`: readings by hand in the archive and in the daily table, their names, and what is refused."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forebay.archive import upgrade, upkeep
from forebay.archive.database import SCHEMA_VERSION
from forebay.archive.store import Archive, open_archive
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.local_time import day_start, init_time, local_date
from forebay.dams.staff_gauge import staff_gauge
from forebay.dams.thresholds import ReferenceLevel
from forebay.days.daily import UNUSABLE, daily_table
from forebay.days.staff_readings import fill_with_staff, staff_day, staff_days, unfinished_days
from forebay.errors import ConfigError, DataError
from forebay.features.daily_tables import newest_reading, read_daily_tables
from forebay.jobs.forecast import forecast_dam
from forebay.jobs.observe import Observation, _in_target_unit, observe, possible_levels
from forebay.tables import MANUAL, READINGS
from tests import synthetic
from tests.command_line import forebay
from tests.postgres import Cluster
from tests.synthetic import small_dam
from tests.test_alerts import zone_near_noon
from tests.test_jobs_forecast import DAYS, LAST, METRES, NOW, fetch, record

NAME, NOTE = "Zebedee Quillfeather", "waves of a hand's breadth"
ZONE = METRES.time_zone
LIMITED_DAYS = 900
"""A record long enough for hard limits."""
GAP = LAST - timedelta(days=40)
LEVEL = pl.col("reservoir_level")


def at(day: date, hour: float) -> datetime:
    return day_start(day, ZONE) + timedelta(hours=hour)


def without_level(*days: date) -> pl.DataFrame:
    """The record without the level of some days."""
    return record().with_columns(pl.when(~pl.col("date").is_in(days)).then(LEVEL).alias("reservoir_level"))


def place(folder: Path, *days: date) -> tuple[Dam, str]:
    """A dam whose gauge has no level on `days`, fetched, and the URL of its archive."""
    dam, _ = fetch(synthetic.write_dam(METRES, without_level(*days), folder), folder, NOW)
    return dam, f"sqlite:///{folder}/archive.db"


def level_on(day: date) -> float:
    return float(record().filter(pl.col("date") == day)["reservoir_level"].item())


def enter(archive: Archive, dam: Dam, time: datetime, level: float, stamp: datetime) -> None:
    """Store a reading by hand as of `stamp`."""
    row = {**staff_gauge(dam).series, "time": time, "value": level, "raw_value": str(level), "quality": MANUAL,
           "quality_code": None}  # fmt: skip
    archive.append(rows_of(row), stamp, gauge=staff_gauge(dam))


def rows_of(*rows: dict[str, object]) -> pl.DataFrame:
    return READINGS.check(pl.DataFrame(list(rows), schema={name: READINGS.columns[name] for name in rows[0]}))


# --- the daily table --------------------------------------------------------------------------------------------------


def test_a_reading_fills_only_a_day_without_a_usable_value(tmp_path: Path) -> None:
    dam, url = place(tmp_path, GAP)
    with open_archive(url) as archive:
        before = read_daily_tables(dam, archive, now=NOW).newest
        used = observe(dam, 95.25, at=at(GAP, 6), archive=archive)
        other = observe(dam, 95.5, at=at(GAP + timedelta(days=1), 6), archive=archive)
        after = read_daily_tables(dam, archive, now=datetime.now(UTC)).newest
    assert (used.outcome, used.day, used.unused_because) == ("new", GAP, "")
    assert other.unused_because == f"the gauge has a usable value of {GAP + timedelta(days=1)}"
    row = after.filter(pl.col("date") == GAP).row(0, named=True)
    assert (row["reservoir_level"], row["reservoir_level_flag"]) == (95.25, MANUAL)
    assert_frame_equal(before.filter(pl.col("date") != GAP), after.filter(pl.col("date") != GAP))


@pytest.mark.parametrize(
    ("keys", "hour", "expected"),
    [
        ({"aggregate": "mean"}, 0.0, 0), ({"aggregate": "mean"}, 23.9, 0), ({"aggregate": "max"}, 6.0, 0),
        ({"aggregate": "last"}, 6.0, -1), ({"aggregate": "last"}, 11.9, -1), ({"aggregate": "last"}, 12.0, 0),
        ({"reading": "instantaneous", "reading_at": "08:00"}, 8.0, 0),
        ({"reading": "instantaneous", "reading_at": "08:00"}, 19.9, 0),
        ({"reading": "instantaneous", "reading_at": "08:00"}, 20.1, 1),
        ({"reading": "instantaneous", "reading_at": "18:00"}, 5.9, -1),
    ],
)  # fmt: skip
def test_a_reading_counts_for_the_day_whose_value_is_nearest_in_time(
    keys: dict[str, str], hour: float, expected: int
) -> None:
    """A mean stands for noon, a last value for the end of its day, a reading for its clock time."""
    target = {"role": "target", "station": "lake", "variable": "reservoir_level", "unit": "m", **keys}
    dam = small_dam(target)
    day = date(2020, 5, 10)
    assert pl.DataFrame({"time": [at(day, hour)]}).select(staff_day(dam)).item() == day + timedelta(days=expected)


def test_of_several_readings_the_nearest_counts() -> None:
    dam = small_dam(unit="ft")
    day = date(2020, 5, 10)
    rows = [
        {**staff_gauge(dam).series, "time": at(day, hour), "value": value, "raw_value": "", "quality": MANUAL,
         "quality_code": None}
        for hour, value in ((6, 1.0), (11, 2.0), (13, 3.0), (23, 4.0))
    ]  # fmt: skip
    assert staff_days(rows_of(*rows), dam).rows() == [(day, at(day, 13), pytest.approx(3.0 / 0.3048))]
    assert daily_table(rows_of(*rows), dam)["reservoir_level_flag"].to_list() == [MANUAL]


def test_a_day_that_has_not_ended_is_filled_only_if_the_gauge_has_failed(tmp_path: Path) -> None:
    today, morning = LAST + timedelta(days=1), at(LAST + timedelta(days=1), 6)
    for days, expected in (((), LAST), ((LAST,), today)):
        folder = tmp_path / str(len(days))
        folder.mkdir()
        dam, url = place(folder, *days)
        with open_archive(url) as archive:
            enter(archive, dam, morning, 95.0, morning + timedelta(minutes=5))
            now = morning + timedelta(minutes=10)
            tables = read_daily_tables(dam, archive, now=now)
            assert tables.init_date == expected
            assert newest_reading(dam, archive, until=now).quality == MANUAL  # type: ignore[union-attr]
            evening = read_daily_tables(dam, archive, now=morning + timedelta(hours=20))
            assert evening.init_date == today, "the day has ended without a value of the gauge"


def test_a_hindcast_knows_a_reading_only_if_it_was_entered_in_time(tmp_path: Path) -> None:
    """No look-ahead: what was typed in afterwards was not known on the day; the newest table has it."""
    early, late = GAP, GAP - timedelta(days=7)
    dam, url = place(tmp_path, early, late)
    with open_archive(url) as archive:
        enter(archive, dam, at(early, 6), 95.1, at(early, 7))
        enter(archive, dam, at(late, 6), 95.2, at(late, 24) + timedelta(hours=1))
        tables = read_daily_tables(dam, archive, now=NOW + timedelta(hours=1))
        as_of_day = read_daily_tables(dam, archive, now=NOW, init_date=late)
    flags = {
        name: dict(table.select("date", "reservoir_level_flag").iter_rows())
        for name, table in (("known", tables.known), ("newest", tables.newest), ("day", as_of_day.newest))
    }
    assert flags["known"][early] == flags["newest"][early] == flags["newest"][late] == MANUAL
    assert flags["known"][late] != MANUAL and flags["day"][late] != MANUAL


# --- the archive ------------------------------------------------------------------------------------------------------


def test_telemetry_that_comes_back_takes_its_day_and_leaves_the_reading(tmp_path: Path) -> None:
    dam, url = place(tmp_path, GAP)
    staff = staff_gauge(dam)
    with open_archive(url) as archive:
        observe(dam, 95.25, at=at(GAP, 6), archive=archive)
        stored = archive.as_of([staff])
    record().select("date", "reservoir_level", "rainfall_r1").write_csv(tmp_path / "small.csv")
    for _ in range(2):
        assert forebay("fetch", tmp_path / "small.toml", "--archive", url).code == 0
        with open_archive(url) as archive:
            assert_frame_equal(archive.as_of([staff]), stored)
            day = read_daily_tables(dam, archive, now=datetime.now(UTC)).newest.filter(pl.col("date") == GAP)
            assert day["reservoir_level"].item() == pytest.approx(level_on(GAP))
            assert day["reservoir_level_flag"].item() is None
            assert archive.revisions([staff]).is_empty()


def test_a_repeated_reading_is_a_revision(tmp_path: Path) -> None:
    dam, url = place(tmp_path, GAP)
    with open_archive(url) as archive:
        outcomes = [observe(dam, level, at=at(GAP, 6), archive=archive) for level in (95.25, 95.25, 95.3)]
        (change,) = archive.revisions([staff_gauge(dam)]).iter_rows(named=True)
    assert [(one.outcome, one.old_level) for one in outcomes] == [
        ("new", None), ("unchanged", None), ("revised", 95.25)
    ]  # fmt: skip
    assert (change["old_value"], change["value"]) == (95.25, 95.3)
    assert "stored before; nothing was changed" in outcomes[1].sentences()[0]
    assert "95.3 m at 2019-07-14T06:00+10:00 is stored and replaces 95.25 m" in outcomes[2].sentences()[0]
    rows = forebay("revisions", tmp_path / "small.toml", "--gauge", "staff", "--archive", url, "--json").json
    assert "95.3" in json.dumps(rows)


def test_another_unit_of_the_dam_file_leaves_the_readings(tmp_path: Path) -> None:
    dam, url = place(tmp_path, GAP)
    with open_archive(url) as archive:
        observe(dam, 312.5, unit="ft", at=at(GAP, 6), archive=archive)
        target = dam.target.model_copy(update={"unit": "ft"})
        feet = dam.model_copy(update={"target": target, "full_supply": None})
        value = staff_days(archive.as_of([staff_gauge(feet)]), feet)["value"].item()
        metres = staff_days(archive.as_of([staff_gauge(dam)]), dam)["value"].item()
    assert (value, metres) == (pytest.approx(312.5), pytest.approx(312.5 * 0.3048))


def test_a_reading_that_contradicts_is_suspect_like_any_other(tmp_path: Path) -> None:
    dam, url = place(tmp_path, GAP)
    doubtful = observe(dam, level_on(GAP - timedelta(days=1)) - 1.5, at=at(GAP, 6), archive=url)
    assert doubtful.suspect is not None
    assert f"It is suspect ({doubtful.suspect}): " in doubtful.sentences()[2]
    near = observe(dam, level_on(GAP - timedelta(days=1)), at=at(GAP, 6), archive=url)
    assert near.suspect is None and len(near.sentences()) == 2


@pytest.mark.parametrize("days", [1, 3])
def test_a_change_larger_than_any_of_the_record_is_pointed_out(tmp_path: Path, days: int) -> None:
    """Where all other gauges lack the day, nothing contradicts two digits that were swapped."""
    gap = [GAP - timedelta(days=k) for k in range(days)]
    dam, url = place(tmp_path, *gap)
    before = GAP - timedelta(days=days)
    level = record().filter(pl.col("date") <= before)["reservoir_level"].to_list()
    pairs = zip(level[:-days], level[days:], strict=True)
    largest = max(later - first for first, later in pairs if first is not None and later is not None)
    with open_archive(url) as archive:
        warnings = [
            observe(dam, level_on(before) + change, at=at(GAP, 12), archive=archive).warning
            for change in (largest - 0.001, largest + 0.001, 0.0)
        ]
    assert warnings[0] is warnings[2] is None
    span = "1 day" if days == 1 else f"{days} days"
    text = f"{level_on(before):.10g} m), more than any change in {span} of the record (+{largest:.4g} m)."
    assert f"from {before} ({text}" in str(warnings[1])


def test_a_forecast_from_a_reading_by_hand_says_so(tmp_path: Path) -> None:
    dam, url = place(tmp_path, LAST)
    with open_archive(url) as archive:
        enter(archive, dam, at(LAST, 6), 95.5, at(LAST, 7))
        tables = read_daily_tables(dam, archive, now=NOW)
    result = forecast_dam(dam, tables, now=NOW)
    assert (result.issued.level_date, result.issued.level_age_days) == (LAST, 0)
    assert result.verification.samples.start_level[-1] == 95.5
    assert (
        f"The level of {LAST} was read by hand, because the gauge has no usable value of that day: it is one reading "
        "and stands for the mean of the day."
    ) in result.issued.limitations


# --- names ------------------------------------------------------------------------------------------------------------


def test_names_and_notes_are_in_no_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    dam, url = place(tmp_path, LAST)
    path = tmp_path / "small.toml"
    arguments = ("observe", path, "95.5", "--at", f"{LAST}T06:10", "--by", NAME, "--note", NOTE, "--archive", url)
    out = tmp_path / "out"
    outputs = [
        forebay(*arguments, "--json", "--log-json", "--log-level", "debug"),
        forebay("run", path, "-o", out, "--format", "netcdf", "--archive", url, "--json", "--log-json"),
        forebay("record", "export", path, "-o", out / "record", "--format", "netcdf", "--archive", url),
        forebay("daily", path, "-o", out / "daily.csv", "--archive", url),
        forebay("screen", path, "-o", out / "screen", "--archive", url),
        forebay("brief", path, "--archive", url, "--json"),
        forebay("revisions", path, "--archive", url, "--json"),
    ]
    assert [result.code for result in outputs] == [0] * len(outputs), [result.err for result in outputs]
    texts = [result.out + result.err for result in outputs] + list(capfd.readouterr())
    contents = [text.encode() for text in texts] + [file.read_bytes() for file in out.rglob("*") if file.is_file()]
    assert len(contents) > 20
    for secret in (NAME, "Quillfeather", NOTE):
        assert not [content[:80] for content in contents if secret.encode() in content]
    with open_archive(url) as archive:
        assert archive.notes(staff_gauge(dam)).select("name", "note").rows() == [(NAME, NOTE)]
        assert NAME not in str(archive.as_of([staff_gauge(dam)]).rows())
    assert outputs[5].json["lake"][0]["value"] == 95.5, "the reading itself is in use"


def test_a_copy_and_a_backup_have_the_notes(tmp_path: Path) -> None:
    dam, url = place(tmp_path, GAP)
    observe(dam, 95.25, at=at(GAP, 6), name=NAME, archive=url)
    target = f"sqlite:///{tmp_path}/copy.db"
    upkeep.copy(url, target)
    upkeep.backup(url, tmp_path / "backup.db")
    for place_of_copy in (target, f"sqlite:///{tmp_path}/backup.db"):
        with open_archive(place_of_copy) as archive:
            assert archive.notes(staff_gauge(dam))["name"].to_list() == [NAME]
        assert upkeep.check(place_of_copy, datetime.now(UTC)).fault_summary == ""


def test_a_note_without_its_reading_is_a_fault(tmp_path: Path) -> None:
    dam, url = place(tmp_path, GAP)
    observe(dam, 95.25, at=at(GAP, 6), name=NAME, archive=url)
    with closing(sqlite3.connect(tmp_path / "archive.db")) as connection, connection:
        connection.execute("UPDATE staff_note SET time = time + 1")
    assert upkeep.check(url, datetime.now(UTC)).fault_summary == "1 with a note of no reading"


# --- the schema -------------------------------------------------------------------------------------------------------

OLD = f"DROP TABLE staff_note; UPDATE archive_schema SET version = {upgrade.WITHOUT_STAFF_NOTES}"


def check_upgrade(dam: Dam, url: str) -> None:
    with open_archive(url, create=False) as archive:
        assert archive.notes(staff_gauge(dam)).is_empty(), "reading needs no table"
        first = observe(dam, 95.25, at=at(GAP, 6), name=NAME, archive=archive)
        assert first.outcome == "new" and archive.notes(staff_gauge(dam))["name"].to_list() == [NAME]


def test_an_archive_without_notes_is_upgraded_by_the_first_write(tmp_path: Path) -> None:
    dam, url = place(tmp_path, GAP)
    with closing(sqlite3.connect(tmp_path / "archive.db")) as connection:
        connection.executescript(OLD)
    check_upgrade(dam, url)
    with closing(sqlite3.connect(tmp_path / "archive.db")) as connection:
        assert connection.execute("SELECT version FROM archive_schema").fetchall() == [(SCHEMA_VERSION,)]


def test_a_postgresql_archive_without_notes_is_upgraded(postgres: Cluster, tmp_path: Path) -> None:
    dam, url = place(tmp_path, GAP)
    server = postgres.new()
    upkeep.copy(url, server)
    postgres.execute(OLD, server)
    check_upgrade(dam, server)
    assert postgres.execute("SELECT version FROM archive_schema", server) == [(SCHEMA_VERSION,)]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("fetched")
    level = pl.when(pl.col("date") != GAP).then(LEVEL).alias("reservoir_level")
    path = synthetic.write_dam(METRES, record(LIMITED_DAYS).with_columns(level), folder)
    url = f"sqlite:///{folder}/archive.db"
    assert forebay("fetch", path, "--archive", url).code == 0
    return path, url


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["95", "--at", "2099-01-01T06:00"], "--at 2099-01-01T06:00+10:00 lies in the future; it is "),
        (["95", "--at", "2001-01-01T06:00Z"], "lies before the record, which begins at 2018-01-01T00:00+10:00"),
        (["95", "--at", "2019-07-14"], "--at '2019-07-14' is no time; give day and clock time like 2024-05-01T06:10"),
        (["95", "--at", "yesterday"], "--at 'yesterday' is no time"),
        (["95", "--at", "yesterday at six"], "--at 'yesterday at six' is no time"),
        (["9500", "--at", "2019-07-14T06:00"], "the level 9500 m is outside the hard limits of Small Dam, "),
        (["-95", "--at", "2019-07-14T06:00"], "the level −95 m is outside the hard limits"),
        (["nan", "--at", "2019-07-14T06:00"], "the level nan is no number; give one in m"),
        (["95", "--at", "2019-07-14T06:00", "--unit", "yd"], "--unit 'yd' is unknown; allowed for reservoir level "),
        (["95", "--at", "2019-07-14T06:00", "--by", "a\nb"], "--by has characters that must not be printed"),
        (["95", "--at", "2019-07-14T06:00", "--note", "x" * 501], "--note has 501 characters; at most 500 are stored"),
    ],
)  # fmt: skip
def test_one_sentence_for_what_cannot_be(fetched: tuple[Path, str], arguments: list[str], sentence: str) -> None:
    path, url = fetched
    result = forebay("observe", path, *arguments, "--archive", url)
    assert result.code == 2 and result.out == "" and sentence in result.err and result.err.count("\n") == 1
    with open_archive(url) as archive:
        assert archive.as_of([staff_gauge(load_dam(str(path)))]).is_empty()


def test_a_level_can_be_as_high_and_as_low_as_a_forecast(fetched: tuple[Path, str]) -> None:
    """By the record, by the crest and the lowest level of the dam file, and never beyond what the gauge can measure."""
    dam, url = load_dam(str(fetched[0])), fetched[1]
    with open_archive(url) as archive:
        levels = read_daily_tables(dam, archive, now=datetime.now(UTC)).newest["reservoir_level"].drop_nulls()
        least, most = float(levels.min()), float(levels.max())  # type: ignore[arg-type]  # numbers
        low, high = possible_levels(dam, archive)
        assert least - 2 * (most - least) < low < least and most < high < most + 2 * (most - least)
        levels_of_file = {"crest_level": most + 0.5, "lowest_level": least - 0.25}
        stated = dam.model_copy(update={name: ReferenceLevel(value=value) for name, value in levels_of_file.items()})
        assert possible_levels(stated, archive) == pytest.approx((least - 0.25, most + 0.5))
        keys = dam.model_dump(by_alias=True)
        keys["gauges"][0]["valid_range"] = (least - 0.01, most + 0.02)
        assert possible_levels(Dam.model_validate(keys), archive) == pytest.approx((least - 0.01, most + 0.02))
        with pytest.raises(ConfigError, match="is outside the hard limits of Small Dam"):
            observe(stated, round(most + 0.75, 2), at=at(GAP, 6), archive=archive)


def test_an_archive_without_a_reading_of_the_target(tmp_path: Path) -> None:
    path = synthetic.write_dam(METRES, record(), tmp_path)
    url = f"sqlite:///{tmp_path}/empty.db"
    open_archive(url).close()
    with pytest.raises(DataError, match="the archive has no reading of .*; run `forebay fetch small` first|compared"):
        observe(str(path), 95.0, at=at(GAP, 6), archive=url)
    assert forebay("observe", path, "95", "--at", f"{GAP}T06:00", "--archive", f"sqlite:///{tmp_path}/no.db").code == 2


@pytest.mark.parametrize(
    ("clock", "problem"), [("2024-03-10T02:30", "does not exist"), ("2024-11-03T01:30", "occurs twice")]
)
def test_a_clock_time_of_a_change_of_clocks(clock: str, problem: str, tmp_path: Path) -> None:
    dam = small_dam(time_zone="America/Chicago")
    with pytest.raises(ConfigError, match=f"--at {clock} {problem} in America/Chicago, because clocks change"):
        observe(dam, 95.0, at=clock, archive=f"sqlite:///{tmp_path}/no.db")


def test_times_with_an_offset_and_in_the_zone_of_the_dam(tmp_path: Path) -> None:
    dam, url = place(tmp_path, GAP)
    times = (f"{GAP}T06:00", f"{GAP}T06:00+10:00", f"{GAP - timedelta(days=1)}T20:00Z", f"{GAP} 06:00:00")
    stored = [observe(dam, 95.25, at=text, archive=url) for text in times]
    assert {one.time for one in stored} == {at(GAP, 6)}
    assert [one.outcome for one in stored] == ["new", *["unchanged"] * 3]
    assert isinstance(stored[0], Observation) and stored[0].to_frame()["level"].to_list() == [95.25]
    assert init_time(GAP, ZONE) - stored[0].time == timedelta(hours=18)


def test_a_reading_of_today_waits_while_the_gauge_works(tmp_path: Path) -> None:
    zone_name = zone_near_noon()
    now = datetime.now(UTC)
    today = local_date(now, zone_name)
    dam = METRES.model_copy(update={"time_zone": zone_name})
    frame = record().with_columns(date=pl.date_range(today - timedelta(days=DAYS), today, eager=True, closed="left"))
    fetched, _ = fetch(synthetic.write_dam(dam, frame, tmp_path), tmp_path, now)
    waiting = observe(fetched, 95.5, at=now - timedelta(hours=1), archive=f"sqlite:///{tmp_path}/archive.db")
    assert (waiting.day, waiting.suspect) == (today, None)
    assert waiting.unused_because == f"{today} has not ended, and the gauge has the level of the day before"


def test_a_value_that_must_not_be_used_is_replaced_and_no_other() -> None:
    dates = [date(2020, 5, day) for day in range(1, 6)]
    table = pl.DataFrame({"date": dates[:4], "level": [1.0, 2.0, 3.0, None],
                          "level_flag": [None, "unavailable", "poor", "absent"]})  # fmt: skip
    staff = pl.DataFrame({"date": dates, "time": [None] * 5, "value": [7.0] * 5})
    filled = fill_with_staff(table, staff, UNUSABLE)
    assert filled.rows() == list(
        zip(dates, [1.0, 7.0, 3.0, 7.0, 7.0], [None, MANUAL, "poor", MANUAL, MANUAL], strict=True)
    )
    assert fill_with_staff(table, staff.filter(pl.col("date") > dates[4]), UNUSABLE).rows() == table.rows()


@pytest.mark.parametrize(
    ("level", "unit", "target", "expected"), [(300.0, "cm", "ft", 300 / 30.48), (10.0, None, "ft", 10.0)]
)
def test_a_level_is_stored_in_the_unit_of_the_dam(
    level: float, unit: str | None, target: str, expected: float
) -> None:
    assert _in_target_unit(level, unit, small_dam(unit=target)) == pytest.approx(expected)


def test_the_doubt_of_another_day_is_none_of_the_reading(tmp_path: Path) -> None:
    other = GAP + timedelta(days=20)
    dam, url = place(tmp_path, GAP, other)
    doubtful = observe(dam, level_on(GAP - timedelta(days=1)) - 1.5, at=at(GAP, 6), archive=url)
    near = observe(dam, level_on(other - timedelta(days=1)), at=at(other, 6), archive=url)
    assert doubtful.suspect is not None and (near.suspect, near.unused_because) == (None, "")


def test_a_copy_has_the_notes_of_all_dams(tmp_path: Path) -> None:
    dam, url = place(tmp_path, GAP)
    second = dam.model_copy(update={"id": "second"})
    for one, name in ((dam, NAME), (second, "B. Second")):
        observe(one, 95.25, at=at(GAP, 6), name=name, archive=url)
    target = f"sqlite:///{tmp_path}/copy.db"
    upkeep.copy(url, target)
    with open_archive(target) as archive:
        names = [archive.notes(staff_gauge(one))["name"].to_list() for one in (dam, second)]
    assert names == [[NAME], ["B. Second"]]


@pytest.mark.parametrize(
    ("keys", "days"), [({"aggregate": "mean"}, [1]), ({"reading": "instantaneous", "reading_at": "06:00"}, [])]
)
def test_the_value_of_a_clock_time_exists_before_its_day_ends(keys: dict[str, str], days: list[int]) -> None:
    """A mean of today is unknown in the morning; the reading at 06:00 is not."""
    dam = small_dam({"role": "target", "station": "lake", "variable": "reservoir_level", "unit": "m", **keys})
    today = date(2020, 5, 10)
    rows = [
        {**staff_gauge(dam).series, "time": at(today - timedelta(days=back), 6), "value": 1.0, "raw_value": "",
         "quality": MANUAL, "quality_code": None}
        for back in (1, 0)
    ]  # fmt: skip
    open_days = unfinished_days(rows_of(*rows), dam, at(today, 7))
    assert open_days["time"].to_list() == [at(today, 6) for _ in days]


def test_of_several_readings_for_a_last_value_that_nearest_to_midnight_counts() -> None:
    target = {"role": "target", "station": "lake", "variable": "reservoir_level", "unit": "m"}
    dam, day = small_dam({**target, "aggregate": "last"}), date(2020, 5, 10)
    rows = [
        {**staff_gauge(dam).series, "time": at(day, hour), "value": value, "raw_value": "", "quality": MANUAL,
         "quality_code": None}
        for hour, value in ((13, 1.0), (20, 2.0), (26, 3.0), (35, 4.0))
    ]  # fmt: skip
    assert staff_days(rows_of(*rows), dam).rows() == [(day, at(day, 26), 3.0)]
