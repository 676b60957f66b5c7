from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.dams.dam import Dam
from forebay.dams.local_time import day_start
from forebay.dams.value_checks import USUAL_SENTINELS
from forebay.days.daily import UNUSABLE, daily_table, usable_values, write_daily
from forebay.errors import ConfigError, DataError, SourceError
from forebay.tables import READINGS
from tests.csv_tables import daily_from_files
from tests.test_csv_files import dam_with_file

FIRST = date(2020, 1, 1)
NO_VALUES = ("absent", "incomplete", "range", "sentinel", "unavailable")
GRADES = ("good", "fair", "poor", "estimated", "unknown", "missing")


def gauge_readings(dam: Dam, rows: Sequence[tuple[datetime, float | None, str]]) -> pl.DataFrame:
    """Readings of the dam's target gauge: (time, value, quality)."""
    series = dam.target_gauge.series
    return READINGS.check(
        pl.DataFrame(
            [
                {**series, "time": t, "value": v, "raw_value": None, "quality": q, "quality_code": None}
                for t, v, q in rows
            ],
            schema=READINGS.columns,
        )
    )


def hours(dam: Dam, day: date, count: int, *, quality: str = "good") -> list[tuple[datetime, float | None, str]]:
    """One reading for each of the first `count` hours of a local day, valued 0, 1, 2 …"""
    start = day_start(day, dam.time_zone)
    return [(start + timedelta(hours=n), float(n), quality) for n in range(count)]


@given(
    st.dictionaries(
        st.integers(0, 40),
        st.tuples(st.one_of(st.none(), st.floats(-1e6, 1e6)), st.sampled_from(GRADES)),
        min_size=1,
    )
)
def test_every_day_has_a_row_and_no_value_is_invented(values_by_day: dict[int, tuple[float | None, str]]) -> None:
    dam = dam_with_file("x.csv")
    rows = [
        (day_start(FIRST + timedelta(days=n), dam.time_zone), None if grade == "missing" else value, grade)
        for n, (value, grade) in values_by_day.items()
    ]
    frame = daily_table(gauge_readings(dam, rows), dam)
    first, last = FIRST + timedelta(days=min(values_by_day)), FIRST + timedelta(days=max(values_by_day))
    assert frame["date"].to_list() == pl.date_range(first, last, eager=True).to_list()
    for day, value, flag in frame.select("date", "reservoir_level", "reservoir_level_flag").iter_rows():
        number = (day - FIRST).days
        if number not in values_by_day:
            assert (value, flag) == (None, "absent")
            continue
        expected_value, grade = values_by_day[number]
        if expected_value is None or grade == "missing":
            assert (value, flag) == (None, "unavailable")
        else:
            assert value == expected_value
            expected = None if grade in ("good", "fair") else grade
            if expected_value in USUAL_SENTINELS:  # unless the reading before it is near
                assert flag in ("sentinel", expected, "range")
            else:
                assert flag == (expected if -500 <= expected_value <= 9000 else "range")
    used = usable_values(frame, dam)
    bad = frame["reservoir_level_flag"].is_in(list(UNUSABLE)).fill_null(False)
    assert used.filter(bad)["reservoir_level"].null_count() == bad.sum()
    assert used.filter(~bad).equals(frame.filter(~bad))


def test_rain_until_nine_belongs_to_the_day_on_which_it_ends() -> None:
    dam = dam_with_file("x.csv", gauge={"day_start": "09:00"})
    frame = daily_table(gauge_readings(dam, [(day_start(FIRST, "+10:00") + timedelta(hours=9), 1.0, "good")]), dam)
    assert frame["date"].to_list() == [FIRST + timedelta(days=1)]


def test_an_instantaneous_reading_belongs_to_its_day() -> None:
    dam = dam_with_file("x.csv", gauge={"reading": "instantaneous", "reading_at": "08:00"})
    frame = daily_table(gauge_readings(dam, [(datetime(2020, 1, 1, 22, tzinfo=UTC), 1.0, "good")]), dam)
    assert frame["date"].to_list() == [date(2020, 1, 2)]


@pytest.mark.parametrize(
    ("zone", "day", "length"),
    [
        ("America/Chicago", date(2020, 3, 8), 23),
        ("America/Chicago", date(2020, 11, 1), 25),
        ("America/Chicago", date(2020, 6, 1), 24),
        ("America/Sao_Paulo", date(2018, 11, 4), 23),  # 00:00 does not exist
        ("America/Sao_Paulo", date(2018, 2, 17), 25),
        ("+05:30", date(2020, 1, 1), 24),
    ],
)
def test_hours_are_aggregated_to_a_day_of_local_length(zone: str, day: date, length: int) -> None:
    dam = dam_with_file("x.csv", zone=zone, gauge={"interval": "hour", "share_required": 1.0})
    whole = daily_table(gauge_readings(dam, hours(dam, day, length)), dam)
    assert whole.select("date", "reservoir_level", "reservoir_level_flag").rows() == [(day, (length - 1) / 2, None)]
    short = daily_table(gauge_readings(dam, hours(dam, day, length - 1)), dam)
    assert short["reservoir_level_flag"].to_list() == ["incomplete"]
    assert short["reservoir_level"].to_list() == [(length - 2) / 2]  # present with its flag
    after = daily_table(gauge_readings(dam, hours(dam, day, length + 1)), dam)
    assert after["date"].to_list() == [day, day + timedelta(days=1)]


@pytest.mark.parametrize("day", [date(2018, 11, 3), date(2018, 11, 4), date(2018, 11, 5)])
def test_daily_means_keep_their_day_where_midnight_does_not_exist(day: date) -> None:
    dam = dam_with_file("x.csv", zone="America/Sao_Paulo")
    frame = daily_table(gauge_readings(dam, [(day_start(day, dam.time_zone), 1.0, "good")]), dam)
    assert frame["date"].to_list() == [day]


@pytest.mark.parametrize(
    ("aggregate", "expected"), [("mean", 11.5), ("total", 276.0), ("min", 0.0), ("max", 23.0), ("last", 23.0)]
)
def test_the_value_of_a_day_is_the_gauges_aggregate(aggregate: str, expected: float) -> None:
    dam = dam_with_file("x.csv", gauge={"interval": "hour", "aggregate": aggregate})
    assert daily_table(gauge_readings(dam, hours(dam, FIRST, 24)), dam)["reservoir_level"].to_list() == [expected]


@settings(max_examples=20)
@given(st.permutations(range(30)), st.sampled_from(["mean", "total", "min", "max", "last"]))
def test_the_order_of_the_readings_has_no_effect(order: list[int], aggregate: str) -> None:
    dam = dam_with_file("x.csv", gauge={"interval": "hour", "aggregate": aggregate, "share_required": 0.1})
    rows = hours(dam, FIRST, 30)
    shuffled = daily_table(gauge_readings(dam, [rows[hour] for hour in order]), dam)
    assert shuffled.equals(daily_table(gauge_readings(dam, rows), dam))


def test_a_day_of_mixed_grades_has_the_worst_grade_without_unusable_hours() -> None:
    dam = dam_with_file("x.csv", gauge={"interval": "hour", "sentinels": {"values": [-9999.0]}})
    rows = hours(dam, FIRST, 24)
    rows[3] = (rows[3][0], 3.0, "estimated")
    rows[4] = (rows[4][0], 4.0, "poor")
    rows[5] = (rows[5][0], -9999.0, "good")
    frame = daily_table(gauge_readings(dam, rows), dam)
    assert frame["reservoir_level_flag"].to_list() == ["poor"]
    assert frame["reservoir_level"][0] == pytest.approx((276 - 5) / 23)
    only_bad = [(time, -9999.0, "good") for time, _, _ in rows]
    empty = daily_table(gauge_readings(dam, only_bad), dam)
    assert empty["reservoir_level_flag"].to_list() == ["sentinel"]
    assert empty["reservoir_level"].to_list() == [None]


def test_quarter_hours_count_as_their_hours() -> None:
    dam = dam_with_file("x.csv", gauge={"interval": "15min", "share_required": 0.5})
    start = day_start(FIRST, dam.time_zone)
    complete_hours = [(start + timedelta(minutes=15 * n), 1.0, "good") for n in range(44)]  # 11 complete hours
    quarter_hours = [(start + timedelta(hours=n), 1.0, "good") for n in range(12)]  # the first quarter of 12 hours
    assert daily_table(gauge_readings(dam, complete_hours), dam)["reservoir_level_flag"].to_list() == ["incomplete"]
    assert daily_table(gauge_readings(dam, quarter_hours), dam)["reservoir_level_flag"].to_list() == [None]


@pytest.mark.parametrize(
    ("gauge", "readings_a_day"),
    [
        ({"interval": "720min"}, 2),
        ({"interval": "360min"}, 4),
        ({"interval": "hour", "reading": "instantaneous"}, 24),
        ({"interval": "30min", "reading": "instantaneous"}, 48),
    ],
)
def test_a_day_with_all_its_readings_is_complete(gauge: dict[str, object], readings_a_day: int) -> None:
    dam = dam_with_file("x.csv", gauge=gauge | {"share_required": 1.0})
    start = day_start(FIRST, dam.time_zone)
    rows = [(start + n * timedelta(days=1) / readings_a_day, 1.0, "good") for n in range(readings_a_day)]
    assert daily_table(gauge_readings(dam, rows), dam)["reservoir_level_flag"].to_list() == [None]
    an_hour_less = rows[: -max(1, readings_a_day // 24)]
    assert daily_table(gauge_readings(dam, an_hour_less), dam)["reservoir_level_flag"].to_list() == ["incomplete"]


@pytest.mark.parametrize("flag", [None, "poor", "unknown", "estimated", *NO_VALUES])
def test_a_value_is_usable_unless_its_flag_means_that_it_is_none(flag: str | None) -> None:
    dam = dam_with_file("x.csv")
    row = {"dam": [dam.id], "date": [FIRST], "reservoir_level": [1.5], "reservoir_level_flag": [flag]}
    frame = pl.DataFrame(row, schema_overrides={"reservoir_level_flag": pl.String})
    assert usable_values(frame, dam)["reservoir_level"].to_list() == [None if flag in NO_VALUES else 1.5]


def test_first_and_last_day_bound_the_axis() -> None:
    dam = dam_with_file("x.csv")
    rows = [(day_start(FIRST + timedelta(days=n), dam.time_zone), float(n), "good") for n in range(5)]
    inside = daily_table(gauge_readings(dam, rows), dam, first_day=date(2020, 1, 2), last_day=date(2020, 1, 3))
    assert inside["reservoir_level"].to_list() == [1.0, 2.0]
    around = daily_table(gauge_readings(dam, rows), dam, first_day=date(2019, 12, 31), last_day=date(2020, 1, 6))
    assert around["reservoir_level"].to_list() == [None, 0.0, 1.0, 2.0, 3.0, 4.0, None]
    assert around["reservoir_level_flag"].to_list() == ["absent", *[None] * 5, "absent"]


def test_without_any_reading_the_table_is_empty_or_all_absent() -> None:
    dam = dam_with_file("x.csv")
    assert daily_table(READINGS.empty(), dam).is_empty()
    requested = daily_table(READINGS.empty(), dam, first_day=FIRST, last_day=FIRST)
    assert requested["reservoir_level_flag"].to_list() == ["absent"]


def test_two_readings_of_one_day_are_refused() -> None:
    dam = dam_with_file("x.csv")
    start = day_start(FIRST, dam.time_zone)
    rows = [(start, 1.0, "good"), (start + timedelta(hours=3), 2.0, "good")]
    with pytest.raises(DataError, match="2 readings on 1 days that should have one each, first on 2020-01-01"):
        daily_table(gauge_readings(dam, rows), dam)


@pytest.mark.parametrize(
    "text",
    [
        "date,level\n2020-01-03,3\n2020-01-01,1\n",
        "date,level\n2020-01-01, 1\n\n2020-01-03,3\n\n",
        'date,level\n2020-01-01,"1"\n2020-01-02,NaN\n2020-01-03,""\n',
    ],
    ids=["not in order", "blank lines and spaces", "quotes and NaN"],
)
def test_files_with_unsorted_rows_blank_lines_or_quotes_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    frame = daily_from_files(dam_with_file(path))
    assert len(frame) == 3
    assert frame["reservoir_level"][0] == 1.0
    assert frame["reservoir_level_flag"][1] in ("absent", "unavailable")


def two_files(folder: Path, days: tuple[list[int], list[int]]) -> Dam:
    """A dam with level and rain in two files, on these days of January 2020."""
    for name, days_of_file in zip(("level", "rain"), days, strict=True):
        lines = "".join(f"2020-01-{day:02},{day}\n" for day in days_of_file)
        (folder / f"{name}.csv").write_text(f"date,{name}\n{lines}")
    rain = {"role": "rainfall", "source": "csv", "station": "r", "variable": "rainfall", "unit": "mm"}
    file = {"path": str(folder / "rain.csv"), "date": "date", "value": "rain"}
    dam = dam_with_file(folder / "level.csv")
    return Dam.model_validate(dam.model_dump() | {"gauges": [dam.gauges[0].model_dump(), {**rain, "file": file}]})


_DAYS = st.lists(st.integers(1, 9), min_size=1, unique=True).map(sorted)


@given(st.tuples(_DAYS, _DAYS))
def test_files_with_different_days_have_one_axis(days: tuple[list[int], list[int]]) -> None:
    with TemporaryDirectory() as folder:
        dam = two_files(Path(folder), days)
        frame = daily_from_files(dam)
    for column, days_of_file in zip(("reservoir_level", "rainfall_r"), days, strict=True):
        values = {day.day: value for day, value in frame.select("date", column).iter_rows() if value is not None}
        assert values == {day: float(day) for day in days_of_file}


@pytest.mark.parametrize(
    ("text", "message"),
    [("oops", r"x\.csv, line 2: 'oops'"), ("inf", "'inf' in column 'level' is not a number")],
)
def test_a_text_that_is_no_number_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"date,level\n2020-01-01,{text}\n")
    with pytest.raises(SourceError, match=message):
        daily_from_files(dam_with_file(path))


def test_an_hourly_file_gives_daily_means(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("date,level\n" + "".join(f"2020-01-01 {h:02}:00,{h}\n" for h in range(24)))
    frame = daily_from_files(dam_with_file(path, gauge={"interval": "hour"}, date_format="%Y-%m-%d %H:%M"))
    assert frame["reservoir_level"].to_list() == [11.5]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_a_written_daily_table_is_read_back(tmp_path: Path, suffix: str) -> None:
    dam = dam_with_file("x.csv")
    rows = [(day_start(FIRST + timedelta(days=n), dam.time_zone), 1.5, "good") for n in (0, 2)]
    frame = daily_table(gauge_readings(dam, rows), dam)
    path = tmp_path / f"daily{suffix}"
    write_daily(frame, path)
    match suffix:
        case ".csv":
            read = pl.read_csv(path)
        case ".parquet":
            read = pl.read_parquet(path)
        case _:
            read = pl.read_json(path)
    assert read.with_columns(pl.col("date").cast(pl.String).str.to_date()).equals(frame)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_a_suffix_in_capitals_gives_the_same_file(tmp_path: Path, suffix: str) -> None:
    dam = dam_with_file("x.csv")
    frame = daily_table(gauge_readings(dam, [(day_start(FIRST, dam.time_zone), 1.5, "good")]), dam)
    paths = [tmp_path / f"daily{suffix}", tmp_path / f"DAILY{suffix.upper()}"]
    for path in paths:
        write_daily(frame, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_write_daily_refuses_unknown_suffixes_and_missing_folders(tmp_path: Path) -> None:
    frame = daily_table(READINGS.empty(), dam_with_file("x.csv"))
    with pytest.raises(ConfigError, match=r"suffix '.xlsx' is unknown; allowed are .csv, .parquet, .json"):
        write_daily(frame, tmp_path / "daily.xlsx")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_daily(frame, tmp_path / "nowhere" / "daily.csv")
