"""Keys of a gauge's file: each form of a table is read right, or refused with the true reason."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.dams.csv_dates import month_names, parse_stamps
from forebay.dams.csv_layout import FileLayout, TextLayout
from forebay.dams.csv_numbers import parse_numbers
from forebay.dams.csv_text import normalize
from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.dams.value_checks import are_sentinels
from forebay.days.gauge_readings import ignore_codes
from forebay.errors import ConfigError, ForebayError, SourceError
from forebay.settings import Settings
from forebay.sources import csv_files
from forebay.sources.accumulated import interval_totals
from tests.test_csv_files import NOW, dam_with_file, parse

LINES = "date,level\n2020-01-01,1\n2020-01-02,2\n"


def values(text: str, **layout: object) -> list[float | None]:
    return parse(text, dam_with_file("x.csv", **layout))["value"].to_list()


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("Title, with a comma\nSource: me\n" + LINES, {"skip_lines": 2}),
        ("Title\n\n" + LINES, {"skip_lines": 1}),
        ("Title\nSource\n" + LINES, {"header_line": 3}),
        ('# "open quote\n#\n' + LINES, {"comment": "#"}),
        ("date,level\n# gap\n2020-01-01,1\n  # note\n2020-01-02,2\n#end", {"comment": "#"}),
        ("// a\n" + LINES, {"comment": "//"}),
        (LINES.replace("date,level\n", "date,level\nd,m\n"), {"units_line": True}),
        (LINES.replace("date,level\n", "date,level\n\nd,m\n"), {"units_line": True}),
        ("T\ndate,level\nd,m\n2020-01-01,1\n2020-01-02,2\n", {"header_line": 2, "units_line": 3}),
        ("# a\n#date,level\n# b\n2020-01-01,1\n2020-01-02,2\n", {"comment": "#", "header_line": 2, "date": "#date"}),
        ("date,level\r# a\r2020-01-01,1\r2020-01-02,2", {"comment": "#"}),
        ("date,level\n2020-01-01,1 m\n2020-01-02,2m\n", {"unit_suffix": "m"}),
        ("y,m,d,level\n2020,1,1,1\n2020,1,2,2\n", {"date": ["y", "m", "d"], "date_format": "%Y %m %d"}),
        ("day,time,level\n2020-01-01,09:00,1\n2020-01-02,09:00,2\n", {"date": ("day", "time"), "date_format": "%F %R"}),
        (LINES + "2020-01-02,2\n2020-01-01,1\n", {}),
        ("name,date,level\nA,2020-01-01,1\nB,2020-01-01,7\n A ,2020-01-02,2\n", {"where": {"name": "A"}}),
        ("id,date,level\n7,2020-01-01,1\n8,2020-01-01,7\n7,2020-01-02,2\n", {"where": {"id": 7}}),
        ("id,n,date,level\n7,a,2020-01-01,1\n7,b,2020-01-01,7\n7,a,2020-01-02,2\n", {"where": {"id": 7, "n": "a"}}),
        ("date,level\n43831,1\n43832.0,2\n", {"date_format": "excel"}),
        ("date,level\n1 de ene. 2020,1\n2 de enero 2020,2\n", {"date_format": "%d de %b %Y", "locale": "es"}),
        ("date,level\n1 janvier 2020,1\n2 janv. 2020,2\n", {"date_format": "%d %B %Y", "locale": "fr"}),
        ("date,level\n1-jan-20,1\n2-JAN-20,2\n", {"date_format": "%d-%b-%y"}),
        ("date,level\n2019-12-31 24:00,1\n2020-01-02 00:00,2\n", {"date_format": "%Y-%m-%d %H:%M"}),
        ("date,level\n31/12/2019 24:00:00,1\n02/01/2020 00:00:00.000,2\n", {"date_format": "%d/%m/%Y %T"}),
    ],
)  # fmt: skip
def test_a_form_is_read_as_its_keys_say(text: str, layout: dict[str, object]) -> None:
    layout = {key: tuple(value) if isinstance(value, list) else value for key, value in layout.items()}
    table = parse(text, dam_with_file("x.csv", zone="+00:00", **layout))
    assert table["value"].to_list() == [1.0, 2.0]
    assert table["time"].to_list() == [datetime(2020, 1, day, tzinfo=UTC) for day in (1, 2)]


@pytest.mark.parametrize("thousands", [None, ".", " ", "'"])
def test_of_comma_and_point_only_the_decimal_mark_is_one(thousands: str | None) -> None:
    """With a decimal comma, 1.5 is no number: it may be a level of 1.5 m, or one of 15 m."""
    layout = TextLayout(path="x.csv", decimal_comma=True, thousands=thousands)
    texts = ["1,5", "-0,25", "12", "1.5", "12.50", "1.5,0", "1,5,0"]
    numbers = pl.DataFrame({"cell": texts}).select(parse_numbers(pl.col("cell"), layout, strict=False)).to_series()
    assert numbers.to_list() == [1.5, -0.25, 12.0, None, None, None, None]
    english = TextLayout(path="x.csv", thousands=None)
    texts = ["1.5", "-0.25", "12", "1,5", "12,50"]
    numbers = pl.DataFrame({"cell": texts}).select(parse_numbers(pl.col("cell"), english, strict=False)).to_series()
    assert numbers.to_list() == [1.5, -0.25, 12.0, None, None]


@pytest.mark.parametrize("space", [" ", "\u00a0", "\u202f"], ids=["space", "no-break", "narrow no-break"])
def test_any_space_separates_thousands(space: str) -> None:
    layout = TextLayout(path="x.csv", decimal_comma=True, thousands=" ")
    cells = pl.DataFrame({"cell": [f"1{space}234{space}567,5", f"-12{space}345", f"12{space}34"]})
    numbers = cells.select(parse_numbers(pl.col("cell"), layout, strict=False)).to_series()
    assert numbers.to_list() == [1_234_567.5, -12_345, None]


@pytest.mark.parametrize("cell", ["13m3", "13 m3", "13", "13.0 m3"])
def test_digits_of_the_unit_are_no_digits_of_the_number(cell: str) -> None:
    assert values(f"date,level\n2020-01-01,{cell}\n", unit_suffix="m3") == [13]
    with pytest.raises(SourceError, match="is not a number"):
        values("date,level\n2020-01-01,13m3m3\n", unit_suffix="m3")


@pytest.mark.parametrize(
    "encoding", ["windows-1250", "iso-8859-2", "shift_jis", "gb18030", "koi8-r", "cp850", "EUC-KR"]
)
def test_more_encodings(encoding: str) -> None:
    names = {"windows-1250": "żółw", "iso-8859-2": "žluť", "shift_jis": "水位", "gb18030": "水位", "koi8-r": "уровень",
             "cp850": "Größe", "EUC-KR": "수위"}  # fmt: skip
    text = LINES.replace("level", names[encoding]).encode(encoding)
    assert parse(text, dam_with_file("x.csv", value=names[encoding], encoding=encoding))["value"].to_list() == [1, 2]


@pytest.mark.parametrize(
    "stamp",
    ["2020-01-01T23:00:00Z", "2020-01-01T23:00:00.000Z", "2020-01-01T23:00:00+00:00", "2020-01-01T23:00:00.123456+0000",
     "2020-01-02T09:00:00+10:00", "2020-01-01T23:00:00 UTC", "2020-01-01T23:00:00GMT"],
)  # fmt: skip
def test_stamps_of_utc_are_instants_in_any_spelling(stamp: str) -> None:
    gauge = {"interval": "hour"}
    dam = dam_with_file("x.csv", gauge=gauge, date_format="%Y-%m-%dT%H:%M:%S%z")
    assert parse(f"date,level\n{stamp},1\n", dam)["time"][0].replace(microsecond=0) == datetime(
        2020, 1, 1, 23, tzinfo=UTC
    )


@pytest.mark.parametrize(
    "form", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.000Z", "%Y-%m-%d %H:%M:%S+00:00", "%F %R UTC"]
)
def test_a_format_that_only_spells_a_zone_is_refused(form: str) -> None:
    with pytest.raises(ValueError, match="write %z instead"):
        dam_with_file("x.csv", date_format=form)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("2020-01-01T23:00:00.000Z", "%Y-%m-%dT%H:%M:%S%z"),
        ("2020-01-01 23:00:00+00:00", "%Y-%m-%d %H:%M:%S%z"),
        ("20200101", "%Y%m%d"),
        ("31.12.2020", "%d.%m.%Y"),
    ],
)
def test_the_refusal_of_a_date_names_a_format_that_reads_it(text: str, advice: str) -> None:
    with pytest.raises(SourceError, match="is not a date of the form") as caught:
        values(f"date,level\n{text},1\n")
    assert f"({advice!r} reads this one)" in str(caught.value)


def test_the_zone_of_the_stamps_may_differ_from_the_dams() -> None:
    keys = {"date_format": "%Y-%m-%d %H:%M", "time_zone": "UTC"}
    hourly = dam_with_file("x.csv", zone="America/New_York", gauge={"interval": "hour"}, **keys)
    text = "date,level\n2020-03-08 06:00,1\n2020-03-08 07:00,2\n2020-03-08 08:00,3\n"
    assert parse(text, hourly)["time"].dt.hour().to_list() == [6, 7, 8]
    daily = dam_with_file("x.csv", zone="+10:00", **keys)
    (time,) = parse("date,level\n2020-01-01 14:00,1\n", daily)["time"]
    assert time == datetime(2020, 1, 1, 14, tzinfo=UTC), "midnight of 2 January in the dam's zone"
    with pytest.raises(SourceError, match=r"is 23:00 on the dam's clock \(\+10:00\)"):
        parse("date,level\n2020-01-01 13:00,1\n", daily)


@pytest.mark.parametrize(
    ("text", "layout", "message"),
    [
        ("a,b\n1,2\ndate,level\n2020-01-01,1\n", {}, "line 3 looks like the header: set header_line = 3 in"),
        ("# x\n# y\ndate,level\n2020-01-01,1\n", {}, r'header_line = 3 \(or comment = "#"\)'),
        ("date;level\n2020-01-01;1\n", {}, r'set separator = ";" in the dam file'),
        ("date\tlevel\n2020-01-01\t1\n", {}, r'set separator = "\\t" in the dam file'),
        ("date,level\nyyyy,m\n2020-01-01,1\n", {}, "line 2: 'yyyy' .* set units_line = true"),
        ("n,date,level\nA,2020-01-01,1\n", {"where": {"n": "B"}}, r"no line of x\.csv has n = 'B'; its texts are 'A'"),
        ("n,date,level\nA,2020-01-01,1\nB,2020-01-01,2\n", {}, r"line 3: the time .* \(first in line 2\); the lines "
            r"differ in n \('A' and 'B'\), level \('1' and '2'\): .* where = \{ n = \"A\" \}"),
        ("date,level\n2020-01-01,1\n2020-01-01,2\n", {}, r"level \('1' and '2'\): correct one of them, or delete it"),
        ("no,date,level\n1,2020-01-01,1\n2,2020-01-01,2\n", {}, r"where = \{ no = \"1\" \}"),
        (b"PK\x03\x04xx", {}, r"x\.csv is an Excel workbook \(\.xlsx\) .*, not a CSV file; save the table"),
        (b"\xd0\xcf\x11\xe0\xa1", {}, r"an Excel workbook \(\.xls\)"),
        (b"<!DOCTYPE html><html>", {}, "x.csv is a web page"),
        (b"<!doctype HTML><html>", {}, "x.csv is a web page"),
        (b"\xef\xbb\xbf \r\n<HTML xmlns='x'>", {}, "x.csv is a web page"),
        (b'<?xml version="1.0"?>', {}, "x.csv is an XML document"),
        (b'{"a": 1}', {}, "x.csv is a JSON document"),
        ("date,level\n99999999,1\n", {"date_format": "excel"}, "is not a date of the form 'excel'"),
        ("date,level\n2020-01-01 24:01,1\n", {"date_format": "%Y-%m-%d %H:%M"}, "'2020-01-01 24:01' in column"),
        ("date,level\n1 enero 2020,1\n", {"date_format": "%d %B %Y"}, "'1 enero 2020' in column"),
    ],
)  # fmt: skip
def test_a_refusal_has_the_true_reason(text: str | bytes, layout: dict[str, object], message: str) -> None:
    with pytest.raises(ForebayError, match=message):
        parse(text, dam_with_file("x.csv", **layout))


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"skip_lines": 1, "header_line": 2}, "give one of them"),
        ({"units_line": 1}, "must be true .* or the number of a line"),
        ({"comment": ""}, "must be the text that comment lines begin with"),
        ({"encoding": "rot13"}, "is not an encoding that forebay reads; allowed are utf-8, "),
        ({"locale": "xx"}, "locale 'xx' is unknown"),
        ({"time_zone": "Mars"}, "time zone 'Mars' is unknown"),
        ({"missing_codes": ("N",)}, "grades and missing_codes need quality"),
        ({"quality": "q", "missing_codes": ("N",), "grades": {"good": ("N",)}}, "quality code 'N' has two grades"),
        ({"quality": "q", "grades": {"fine": ("N",)}}, "grades.fine"),
        ({"path": ()}, "must be a text, or a list of texts"),
    ],
)
def test_a_wrong_key_is_refused(layout: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dam_with_file(**({"path": "x.csv"} | layout))  # type: ignore[arg-type]  # wrong on purpose


def test_codes_are_graded_by_the_dam_file() -> None:
    grades = {"good": ("A", 4), "estimated": ("e",), "poor": (40,)}
    dam = dam_with_file("x.csv", quality="q", grades=grades, missing_codes=("N", -1), no_value=("x",))
    lines = [("A", "good"), ("04", "good"), ("e", "estimated"), ("40", "poor"), ("N", "missing"), ("-1", "missing"),
             ("", "good"), ("r", "unknown")]  # fmt: skip
    text = "date,level,q\n" + "".join(f"2020-01-{n:02},{n},{code}\n" for n, (code, _) in enumerate(lines, 1))
    table = parse(text, dam)
    assert table["quality"].to_list() == [grade for _, grade in lines]
    assert [value is None for value in table["value"]] == [grade == "missing" for _, grade in lines]
    assert table["raw_value"].null_count() == 0


def test_the_dam_file_grades_the_codes_that_a_service_does_not() -> None:
    dam = dam_with_file("x.csv", quality="q", quality_codes="waternsw", grades={"good": (155,)})
    assert parse("date,level,q\n2020-01-01,1,155\n2020-01-02,1,255\n2020-01-03,1,4\n", dam)["quality"].to_list() == [
        "good", "missing", "good"
    ]  # fmt: skip


def fetch_all(dam: Dam) -> pl.DataFrame:
    return csv_files.fetch_readings(dam.target_gauge, dam, None, date(2199, 1, 1), settings=Settings(), now=NOW)


def test_several_files_follow_each_other(tmp_path: Path) -> None:
    for year in (2019, 2020):
        (tmp_path / f"{year}.csv").write_text(f"date,level\n{year}-12-31,1\n{year + 1}-01-01,2\n")
    (tmp_path / "other.csv").write_text("level,date,note\n2,2020-01-01,same\n3,2020-01-02,new\n")
    paths = tuple(str(tmp_path / name) for name in ("2019.csv", "2020.csv", "other.csv"))
    dam = dam_with_file(paths)
    assert fetch_all(dam)["value"].to_list() == [1.0, 2.0, 3.0, 1.0, 2.0], "a repetition of an earlier file is allowed"
    requests = csv_files.plan_requests(dam.target_gauge, dam, None, NOW.date(), settings=Settings(), now=NOW)
    assert [request.asks for request in requests] == [f"file {path}" for path in paths]
    (tmp_path / "other.csv").write_text("level,date\n4,2020-01-01\n")
    with pytest.raises(
        SourceError, match=r"other\.csv, line 2: the time 2020-01-01 .* differ in level \('2' and '4'\)"
    ):
        fetch_all(dam)
    (tmp_path / "other.csv").write_text("stage,date\n4,2020-01-01\n")
    with pytest.raises(ConfigError, match=r"'level' is not a column of .*other\.csv"):
        fetch_all(dam)


def test_scale_offset_and_a_change_of_them_on_a_day() -> None:
    change = {"from": date(2020, 1, 3), "unit": "ft", "scale": 10.0, "offset": 1.0}
    gauge = {"scale": 2.0, "offset": 100.0, "readings_from": (change,)}
    dam = dam_with_file("x.csv", gauge=gauge)
    text = "date,level\n2020-01-01,1\n2020-01-02,2\n2020-01-03,3\n2020-01-04,4\n"
    assert parse(text, dam)["value"].to_list() == [102.0, 104.0, 31 * 0.3048, 41 * 0.3048]
    assert parse(text, dam)["raw_value"].to_list() == ["1", "2", "3", "4"]
    sentinels = dam_with_file("x.csv", gauge=gauge | {"sentinels": {"values": (3.0, 1.0)}})
    table = parse(text, sentinels)
    assert are_sentinels(table["value"], table["time"], sentinels.target_gauge).to_list() == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("gauge", "message"),
    [
        ({"scale": 0.0}, "scale must not be 0"),
        (
            {"readings_from": ({"from": date(2020, 1, 1), "unit": "ML"},)},
            "unit 'ML' is not one of reservoir_level's units",
        ),
        (
            {"readings_from": ({"from": date(2020, 1, 1)}, {"from": date(2020, 1, 1)})},
            "readings_from: from 2020-01-01 occurs twice",
        ),
        ({"reading": "accumulated"}, 'reading = "accumulated" is for rainfall and evaporation'),
        ({"accept": ({"from": date(2020, 1, 2), "to": date(2020, 1, 1), "reason": "x"},)}, "must not be before from"),
    ],
)
def test_a_wrong_key_of_a_gauge_is_refused(gauge: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dam_with_file("x.csv", gauge=gauge)


DAY = timedelta(days=1)


def totals(accumulated: list[float | None], days: list[int] | None = None) -> list[float | None]:
    times = [datetime(2024, 9, 1, tzinfo=UTC) + day * DAY for day in days or range(len(accumulated))]
    result: list[float | None] = interval_totals(
        pl.Series(accumulated, dtype=pl.Float64), pl.Series(times), DAY
    ).to_list()
    return result


def test_totals_of_accumulated_readings() -> None:
    assert totals([10, 12, 12, 15]) == [None, 2, 0, 3]
    assert totals([100, 103, 4, 6]) == [None, 3, 4, 2], "a reset"
    assert totals([100, 102, 101, 103]) == [None, 2, 0, 1], "a small fall is no reset, and no rain"
    assert totals([10, None, 15, 16]) == [None, None, None, 1], "the total of two days is the total of neither"
    assert totals([10, 15, 16], [0, 2, 3]) == [None, None, 1]
    assert totals([]) == []


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40))
def test_increments_of_a_running_sum_are_its_terms(rain: list[int]) -> None:
    running = [float(sum(rain[: n + 1])) + 1 for n in range(len(rain))]
    assert totals(list(running))[1:] == rain[1:]


@given(
    st.dates(date(1700, 1, 1), date(2199, 12, 31)),
    st.sampled_from(["es", "fr", "de", "pt_BR", "it", "ru", "pl", "th", "el"]),
)
def test_month_names_of_a_language_are_read(day: date, locale: str) -> None:
    from babel.dates import format_date

    for width in ("d MMMM y", "d MMM y"):
        text = f"{day.day} {format_date(day, width.split()[1], locale=locale)} {day.year}"
        assert parse_stamps(pl.Series([text]), "%d %b %Y", locale=locale)[0] == datetime(day.year, day.month, day.day)


def test_every_month_of_a_language_has_its_own_names() -> None:
    for locale in ("en", "es", "fr", "de", "ru"):
        names = month_names(locale)
        assert len(set(names.values())) == 12 and names["sept" if locale == "en" else min(names)] is not None


@given(st.datetimes(datetime(1900, 3, 1), datetime(2199, 12, 31)))
def test_day_numbers_of_a_spreadsheet(stamp: datetime) -> None:
    stamp = stamp.replace(microsecond=0)
    number = (stamp - datetime(1899, 12, 30)) / DAY
    assert parse_stamps(pl.Series([repr(number)]), "excel")[0] == stamp


@given(
    st.datetimes(datetime(1700, 1, 1), datetime(2199, 12, 30)),
    st.sampled_from(["%Y-%m-%d %H:%M", "%d%b%Y %H%M", "%m/%d/%Y %T", "%F %H", "%Y-%m-%dT%H:%M%z"]),
)
def test_hour_24_is_hour_0_of_the_next_day(stamp: datetime, form: str) -> None:
    midnight = stamp.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
    text = midnight.strftime(form.replace("%H", "24").replace("%T", "24:%M:%S"))
    parsed = parse_stamps(pl.Series([text, midnight.strftime(form)]), form)
    assert parsed[0] - parsed[1] == DAY


def test_line_numbers_stay_those_of_the_file() -> None:
    text = 'Title\n"T2"\n#c\ndate,level\n#c\nd,m\n2020-01-01,1\n#c\n\n2020-01-02,x\n'
    dam = dam_with_file("x.csv", comment="#", skip_lines=2, units_line=True)
    with pytest.raises(SourceError, match=r"x\.csv, line 10: 'x' in column"):
        parse(text, dam)
    layout = dam.target_gauge.file
    assert layout is not None
    assert normalize(text.encode(), layout).count(b"\n") == text.count("\n")


@pytest.mark.parametrize(("first", "day"), [("2026-03-08", 8), ("2026-11-01", 1)])
def test_stamps_at_the_end_of_hours_of_a_clock_change_are_read(first: str, day: int) -> None:
    """Stamps of New York's clocks; the interval that ends at a stamp may begin on the other side of the change."""
    gauge = {"interval": "hour", "stamp": "end"}
    dam = dam_with_file("x.csv", zone="America/New_York", gauge=gauge, date_format="%Y-%m-%d %H:%M%z")
    clocks = dam_with_file("x.csv", zone="America/New_York", gauge=gauge, date_format="%Y-%m-%d %H:%M")
    start = datetime.fromisoformat(f"{first}T00:00").replace(tzinfo=ZoneInfo("America/New_York")).astimezone(UTC)
    instants = [(start + timedelta(hours=n)).astimezone(ZoneInfo("America/New_York")) for n in range(1, 7)]
    lines = [f"{instant:%Y-%m-%d %H:%M}" for instant in instants]
    offsets = [f"{line}{instant:%z}" for line, instant in zip(lines, instants, strict=True)]
    expected = [start + timedelta(hours=n) for n in range(6)]
    for stamps, reader in ((lines, clocks), (offsets, dam)):
        text = "date,level\n" + "".join(f"{stamp},{n}\n" for n, stamp in enumerate(stamps))
        assert parse(text, reader)["time"].to_list() == expected
    assert start.day == day


@pytest.mark.parametrize(
    ("zone", "stamp", "offset"),
    [
        ("America/Chicago", "2021-03-14 02:30", "-06:00"),
        ("America/St_Johns", "2021-03-14 02:30", "-03:30"),
        ("Australia/Lord_Howe", "2021-10-03 02:15", "+10:30"),
        ("Europe/Dublin", "2021-03-28 01:30", "+00:00"),  # its standard time is that of summer
        ("Europe/London", "1941-05-04 02:30", "+00:00"),  # from summer time to double summer time
    ],
)
def test_a_clock_time_that_a_zone_skips_is_refused_with_the_offset_of_winter(
    zone: str, stamp: str, offset: str
) -> None:
    dam = dam_with_file("x.csv", zone=zone, gauge={"interval": "15min"}, date_format="%Y-%m-%d %H:%M")
    with pytest.raises(SourceError, match=re.escape(f'time_zone = "{offset}"')):
        parse(f"date,level\n{stamp},1\n", dam)


@pytest.mark.parametrize("code", ["--5", "9" * 5000, "²", "-", "5-", "+5"])
def test_a_code_that_is_no_number_is_a_code(code: str) -> None:
    dam = dam_with_file("x.csv", quality="q", grades={"good": (5,)})
    table = parse(f"date,level,q\n2020-01-01,1,{code}\n2020-01-02,1,05\n", dam)
    assert table["quality"].to_list() == ["unknown", "good"]


def test_a_units_line_far_below_the_start_of_the_file_is_skipped() -> None:
    text = "# note\n" * 700 + "date,level\nd,m\n2020-01-01,1\n"
    assert values(text, comment="#", units_line=True) == [1.0]


ACCUMULATED = "date,level\n" + "".join(
    f"2020-01-{day:02},{total}\n" for day, total in enumerate((100, 105, -999, 115, 118, -9999), 1)
)


@pytest.mark.parametrize("sentinels", [{}, {"sentinels": {"values": (-999.0, -9999.0)}}], ids=["usual", "declared"])
def test_a_sentinel_in_an_accumulated_series_is_no_rain(sentinels: dict[str, object]) -> None:
    gauge = {"role": "rainfall", "variable": "rainfall", "unit": "mm", "reading": "accumulated"} | sentinels
    dam = dam_with_file("x.csv")
    rain = Gauge.model_validate({"source": "csv", "station": "r"} | gauge | {"file": dam.target_gauge.file})
    readings = csv_files.parse_readings(ACCUMULATED.encode(), [rain], dam)
    assert readings["value"].to_list() == [None, 5.0, None, None, 3.0, None]
    whole = dam.model_copy(update={"gauges": (rain,)})
    assert ignore_codes(readings, whole)["value"].to_list() == readings["value"].to_list()


def test_day_numbers_with_a_decimal_comma() -> None:
    layout = {"separator": ";", "decimal_comma": True, "date_format": "excel"}
    assert values("date;level\n43831,000;1\n43832;2\n", **layout) == [1, 2]


@pytest.mark.parametrize(
    ("stamp", "form", "advice"),
    [
        ("01/ago/2025", "%d/%b/%Y", "if the name of the month is not English, set locale"),
        ("01/ago/2025", "%d/%m/%Y", "a name of a month is read with %b"),
        ("45853", "%Y-%m-%d", "('excel' reads this one)"),
        ("2025-07-15 00:00 UTC", "%Y-%m-%d", "('%Y-%m-%d %H:%M%z' reads this one)"),
        ("2206-11-20", "%Y-%m-%d", "lies outside the days from 1700-01-01 to 2199-12-31; correct it"),
    ],
)
def test_the_refusal_of_a_date_names_the_remedy(stamp: str, form: str, advice: str) -> None:
    with pytest.raises(SourceError) as caught:
        values(f"date,level\n{stamp},1\n", date_format=form)
    assert advice in str(caught.value)


def test_an_unprintable_quality_code_is_replaced() -> None:
    text = "date,level,q\n2020-01-01,1,\x1b[2J\n2020-01-02,2,G\n"
    readings = parse(text, dam_with_file("x.csv", quality="q"))
    assert readings["quality_code"].to_list() == ["\ufffd[2J", "G"]
    assert readings["value"].to_list() == [1, 2]


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("29/02/2567", "%d/%m/%Y", datetime(2024, 2, 29)),
        ("2567-12-31 24:00", "%Y-%m-%d %H:%M", datetime(2025, 1, 1)),
        ("1 Mar 2567 08:05:06.5", "%d %b %Y %H:%M:%S", datetime(2024, 3, 1, 8, 5, 6, 500_000)),
        ("Thu, 29/02/2567", "%a, %d/%m/%Y", datetime(2024, 2, 29)),
        ("29/02/67", "%d/%m/%Y", None),
    ],
)
def test_years_of_the_buddhist_calendar(text: str, form: str, expected: datetime | None) -> None:
    assert parse_stamps(pl.Series([text]), form, calendar="buddhist").to_list() == [expected]


def test_years_too_late_name_the_key_of_the_calendar() -> None:
    dam = dam_with_file("x.csv", separator=";", date_format="%d/%m/%Y")
    with pytest.raises(SourceError, match=r'line 2: \'01/03/2567\' in column .* set calendar = "buddhist"'):
        csv_files.parse_readings(b"date;level\n01/03/2567;1\n", [dam.target_gauge], dam)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"calendar": "buddhist", "date_format": "%d.%m.%y"}, "needs a date_format with %Y"),
        ({"date_format": "%d.%m.%Y %a"}, "the name of a weekday is read only there"),
        ({"comment": ("#", "")}, "'' must be the text that comment lines begin with"),
        ({"comment": ()}, "'' must be the text that comment lines begin with"),
        ({"decimal_comma": True, "thousands": "lakh"}, "is the decimal mark too"),
        ({"brackets": "minus"}, "brackets"),
        ({"remarks": ("",)}, "remarks"),
    ],
)
def test_a_wrong_key_of_an_odd_file_is_refused(layout: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FileLayout.model_validate({"path": "x.csv", "date": "d", "value": "v", **layout})
