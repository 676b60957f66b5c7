from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from forebay.dams.csv_text import normalize
from forebay.dams.dam import Dam
from forebay.errors import ConfigError, SourceError
from forebay.settings import Settings
from forebay.sources import csv_files
from forebay.tables import READINGS

NOW = datetime(2021, 1, 1, tzinfo=UTC)


def dam_with_file(
    path: Path | str | tuple[str, ...],
    *,
    zone: str = "+10:00",
    gauge: dict[str, object] | None = None,
    **layout: object,
) -> Dam:
    """A dam with one level gauge in the file `path`; `layout` and `gauge` replace keys of the dam file."""
    columns = {"path": path if isinstance(path, tuple) else str(path), "date": "date", "value": "level"} | layout
    target = {"role": "target", "source": "csv", "station": "s", "variable": "reservoir_level", "unit": "m"}
    return Dam.model_validate(
        {
            "id": "one",
            "name": "One",
            "country": "Nowhere",
            "latitude": 0.0,
            "longitude": 0.0,
            "time_zone": zone,
            "target": {"variable": "reservoir_level", "unit": "m", "datum": "none"},
            "gauges": [target | {"file": columns} | (gauge or {})],
        }
    )


def parse(text: str | bytes, dam: Dam) -> pl.DataFrame:
    content = text if isinstance(text, bytes) else text.encode()
    layout = dam.target_gauge.file
    assert layout is not None
    readings = csv_files.parse_readings(normalize(content, layout), [dam.target_gauge], dam)
    return READINGS.check(readings, unique=True)


def test_a_reading_has_value_text_quality_and_instant() -> None:
    dam = dam_with_file("x.csv", quality="q", quality_codes="waternsw")
    table = parse("date,level,q\n2020-01-01,1.50,4\n2020-01-02,9.9,255\n2020-01-03,,4\n2020-01-04,2,155\n", dam)
    assert table["value"].to_list() == [1.5, None, None, 2.0]
    assert table["raw_value"].to_list() == ["1.50", "9.9", None, "2"]
    assert table["quality"].to_list() == ["good", "missing", "missing", "unknown"]
    assert table["quality_code"].to_list() == ["4", "255", "4", "155"]
    assert table["time"][0] == datetime(2019, 12, 31, 14, tzinfo=UTC)
    assert table["interval"].unique().to_list() == [86_400]


def test_a_number_without_a_code_is_unknown_where_the_file_has_codes_and_good_where_it_has_none() -> None:
    text = "date,level,q\n2020-01-01,1.5,\n"
    graded = dam_with_file("x.csv", quality="q", quality_codes="waternsw")
    assert parse(text, graded)["quality"].to_list() == ["unknown"]
    assert parse(text, dam_with_file("x.csv", quality="q"))["quality"].to_list() == ["unknown"]
    assert parse(text, dam_with_file("x.csv"))["quality"].to_list() == ["good"]


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("\ufeffdate,level\r\n2020-01-01,1.5\r\n\r\n2020-01-02,2\r\n\r\n", {}),
        ('date,level\n2020-01-01,"1.5"\n2020-01-02," 2 "\n', {}),
        ("date; level ;x\n2020-01-01;1,5;\n2020-01-02; 2;\n", {"separator": ";", "decimal_comma": True}),
        ('date,level\n2020-01-02,2\n"2020-01-01","1.5"\n', {}),
        ("level,date\n1.5,01/01/2020\n2,02/01/2020\n", {"date_format": "%d/%m/%Y"}),
    ],
    ids=["BOM and blank lines", "quoted", "decimal comma", "not in order", "other date format"],
)
def test_layouts_are_read(text: str, layout: dict[str, object]) -> None:
    table = parse(text, dam_with_file("x.csv", zone="+00:00", gauge=None, **layout))
    assert table["value"].to_list() == [1.5, 2.0]
    assert table["time"].dt.date().to_list() == [date(2020, 1, 1), date(2020, 1, 2)]


@pytest.mark.parametrize(
    ("gauge", "start"),
    [
        ({"day_start": "09:00"}, "2020-01-02 09:00"),
        ({"day_start": "09:00", "stamp": "end"}, "2020-01-01 09:00"),
        ({"stamp": "end"}, "2020-01-01 00:00"),
        ({"reading": "instantaneous", "reading_at": "08:00"}, "2020-01-02 08:00"),
        ({"reading": "instantaneous", "reading_at": "08:00", "stamp": "end"}, "2020-01-02 08:00"),
    ],
)
def test_stamp_day_start_and_hour_of_reading_determine_the_instant(gauge: dict[str, object], start: str) -> None:
    time = parse("date,level\n2020-01-02,1\n", dam_with_file("x.csv", zone="+00:00", gauge=gauge))["time"]
    assert time[0].strftime("%Y-%m-%d %H:%M") == start


def test_a_repeated_hour_has_two_instants() -> None:
    dam = dam_with_file("x.csv", zone="America/Chicago", gauge={"interval": "hour"}, date_format="%Y-%m-%d %H:%M")
    text = "date,level\n2020-11-01 00:00,0\n2020-11-01 01:00,1\n2020-11-01 01:00,2\n2020-11-01 02:00,3\n"
    table = parse(text, dam)
    assert table["time"].dt.hour().to_list() == [5, 6, 7, 8]
    assert table["value"].to_list() == [0, 1, 2, 3]


def test_a_stamp_at_the_end_of_the_hour() -> None:
    hourly = {"interval": "hour", "stamp": "end"}
    dam = dam_with_file("x.csv", zone="+00:00", gauge={**hourly}, date_format="%Y-%m-%d %H:%M")
    assert parse("date,level\n2020-01-02 00:00,1\n", dam)["time"][0] == datetime(2020, 1, 1, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("date,level\n2020-01-01,1\n2020-01-02,n/a\n", SourceError, r"line 3: 'n/a' in column 'level' is not a number"),
        ("date,level\n2020-01-01,1\n\n2020-01-03,inf\n", SourceError, r"line 4: 'inf' in column 'level' is not a"),
        ('date,level\n"2020-01-01",1\n01.02.2020,1\n', SourceError, r"line 3: '01.02.2020' in column 'date' is"),
        ("date,level\n2020-01-01,1\n,1\n", SourceError, r"line 3: '' in column 'date' is not a date"),
        ("date,level\n2020-01-01,1\n2020-01-02,1\n2020-01-01,2\n", SourceError, r"line 4: the time 2020-01-01"),
        ("", SourceError, r"x\.csv is empty"),
        ("\n\n", SourceError, r"x\.csv is empty"),
        ("date,stage\n2020-01-01,1\n", ConfigError, r"'level' is not a column of x\.csv; its columns are 'date'"),
        ("date,level\n2020-01-01,1,2\n", SourceError, r"x\.csv cannot be read as a table"),
        ("date,level\n2020-01-01,1\n2020-01-02,1,2\n", SourceError, r"line 3: 3 fields where the header has 2"),
        (b"date,level\n2020-01-01,\xe9\n", SourceError, r"x\.csv, line 2: byte 22 is not utf-8 text; set encoding"),
        (b"date,level\r\n2020-01-01,1\r\n2020-01-02,\xe9\r\n", SourceError, r"x\.csv, line 3: byte 37 is not utf-8"),
        ("date,level\n2020-01-01\n2020-01-02,1,2\n", SourceError, r"line 3: 3 fields where the header has 2"),
        ("date,level\n2020-01-01,-nan\n", SourceError, r"line 2: '-nan' in column 'level' is not a number"),
        ("date,level\n0001-01-01,1\n", SourceError, r"line 2: '0001-01-01' .* from 1700-01-01 to 2199-12-31"),
        ("date,level\n2020-01-01,1e308\n", SourceError, r"line 2: '1e308' in column 'level' is not a number"),
        ('date,level\n2020-01-01,"1\n2020-01-02,2\n', SourceError, r'line 2: a quote \("\) is not closed'),
        ("date,level\n2020-01-01,1\0\n", SourceError, r"line 2: a NUL byte is not text"),
        ("date,level,level\n2020-01-01,1,2\n", ConfigError, r"'level' is the name of 2 columns of x\.csv"),
    ],
)
def test_errors_name_the_line_and_the_text(text: str | bytes, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse(text, dam_with_file("x.csv"))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"reservoir_level: file.path 'no/such.csv' cannot be read \(No such file"):
        csv_files.read_gauge_files(dam_with_file("no/such.csv").target_gauge)


@pytest.mark.parametrize("stamp", ["2020-01-01T14:30:00Z", "2020-01-02T00:30:00+10:00", "2020-01-01T09:30:00-0500"])
def test_a_stamp_with_an_offset_is_an_instant(stamp: str) -> None:
    layout = {"date_format": "%Y-%m-%dT%H:%M:%S%z"}
    for zone in ("+10:00", "America/Chicago"):
        dam = dam_with_file("x.csv", zone=zone, gauge={"interval": "15min"}, **layout)
        assert parse(f"date,level\n{stamp},1\n", dam)["time"][0] == datetime(2020, 1, 1, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stamp", "zone", "gauge", "day"),
    [
        ("2020-01-01T14:00:00Z", "+10:00", {}, date(2020, 1, 2)),
        ("2020-01-02T00:00:00+10:00", "+10:00", {}, date(2020, 1, 2)),
        ("2020-07-02T05:00:00Z", "America/Chicago", {}, date(2020, 7, 2)),
        ("2020-01-01T23:00:00Z", "+10:00", {"day_start": "09:00"}, date(2020, 1, 3)),
        ("2020-01-01T23:00:00Z", "+10:00", {"day_start": "09:00", "stamp": "end"}, date(2020, 1, 2)),
        ("2020-01-01T22:00:00Z", "+10:00", {"reading": "instantaneous", "reading_at": "08:00"}, date(2020, 1, 2)),
    ],
)
def test_a_daily_value_with_an_offset_belongs_to_the_day_on_the_dams_clock(
    stamp: str, zone: str, gauge: dict[str, object], day: date
) -> None:
    dam = dam_with_file("x.csv", zone=zone, gauge=gauge, date_format="%Y-%m-%dT%H:%M:%S%z")
    table = parse(f"date,level\n{stamp},1\n", dam)
    assert table.select(dam.target_gauge.local_day(zone)).item() == day


def test_a_daily_value_that_starts_within_the_dams_day_is_refused() -> None:
    dam = dam_with_file("x.csv", date_format="%Y-%m-%dT%H:%M:%S%z")
    with pytest.raises(SourceError, match=r"line 3: '2020-01-02T00:00:00Z' is 10:00 on the dam's clock \(\+10:00\)"):
        parse("date,level\n2020-01-01T14:00:00Z,1\n2020-01-02T00:00:00Z,2\n", dam)


def test_fetch_gives_the_requested_days_and_reads_a_changed_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("date,level\n2020-01-01,1\n2020-01-02,2\n2020-01-03,3\n")
    dam = dam_with_file(path)

    def fetch(since: date | None, until: date) -> list[float]:
        readings = csv_files.fetch_readings(dam.target_gauge, dam, since, until, settings=Settings(), now=NOW)
        return readings["value"].to_list()

    assert fetch(date(2020, 1, 2), date(2020, 1, 2)) == [2.0]
    assert fetch(None, date(2020, 1, 2)) == [1.0, 2.0]
    assert fetch(date(2021, 1, 1), date(2021, 1, 2)) == []
    path.write_text("date,level\n2020-01-02,5\n")
    assert fetch(None, date(2020, 1, 3)) == [5.0]
