"""CSV files of any form: a known table in any dialect is read exactly; all other content is read or refused.

A refusal is a `ForebayError` in one sentence, for any bytes.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from forebay.dams import csv_text
from forebay.dams.csv_text import MAX_BYTES
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.days.daily import daily_table
from forebay.errors import ConfigError, ForebayError, SourceError
from forebay.settings import Settings
from forebay.sources import csv_files, forcing_files
from tests.command_line import forebay
from tests.test_csv_files import dam_with_file
from tests.test_forcing_files import dam as forcing_dam

NOW = datetime(2030, 1, 1, tzinfo=UTC)
WITH_FILES = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def fetch_level(dam: Dam) -> pl.DataFrame:
    return csv_files.fetch_readings(dam.target_gauge, dam, None, date(2199, 12, 31), settings=Settings(), now=NOW)


def one_sentence(error: BaseException, path: Path | None = None) -> None:
    message = str(error)
    assert isinstance(error, ForebayError)
    assert message and "\n" not in message and "\r" not in message and "\0" not in message, repr(message)
    assert len(message) < 2000, len(message)
    assert path is None or str(path) in message or "gauge " in message


# --- a known table in any dialect -----------------------------------------------------------------------------------

SEPARATORS = (",", ";", "\t", "|", ":")
THOUSANDS = (None, ",", ".", " ", "'")
ENCODINGS = {
    "utf-8": ("utf-8", "utf-8-sig"),
    "utf-16": ("utf-16", "utf-16-le", "utf-16-be"),
    "windows-1252": ("cp1252",),
    "latin-1": ("latin-1",),
}
FORMS = (
    "%Y-%m-%d",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%Y%m%d",
    "%Y%m%d%H%M%S",
    "%d %b %Y",
    "%Y-%j",
    "%Y-%m-%d %H",
    "%F",
    "%e/%m/%y",
)
NAMES = ("Zufluß", "Pegel (m)", "niveau é", "a b", "level", "x,y", "x;y", "ü" * 40)


@dataclass(frozen=True)
class Dialect:
    """Form of a table: `layout` has the keys of the dam file, the other fields have no key."""

    layout: dict[str, Any]
    written_as: str
    newline: str
    quoted: bool
    blanks: bool
    last_newline: bool


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    encoding = draw(st.sampled_from(list(ENCODINGS)))
    written_as = draw(st.sampled_from(ENCODINGS[encoding]))
    layout: dict[str, Any] = {"separator": draw(st.sampled_from(SEPARATORS)), "decimal_comma": draw(st.booleans())}
    thousands = draw(st.sampled_from(THOUSANDS))
    if thousands is not None and thousands != ("," if layout["decimal_comma"] else "."):
        layout["thousands"] = thousands
    if encoding != "utf-8" and not (written_as == "utf-16" and draw(st.booleans())):  # a byte order mark determines it
        layout["encoding"] = encoding
    layout["date_format"] = draw(st.sampled_from(FORMS))
    layout |= {"date": draw(st.sampled_from(("t", "Tag / Zeit", "datum"))), "value": draw(st.sampled_from(NAMES))}
    return Dialect(
        layout, written_as, draw(st.sampled_from(("\n", "\r\n", "\r"))), draw(st.booleans()), draw(st.booleans()),
        draw(st.booleans()),
    )  # fmt: skip


def format_number(number: float | None, dialect: Dialect) -> str:
    """A number in the dialect, with thousands separators if the layout has them."""
    if number is None:
        return ""
    text = repr(number)
    digits, _, rest = text.partition(".")
    mark = dialect.layout.get("thousands")
    if mark and "e" not in text:
        digits = f"{int(digits):,}".replace(",", mark) if digits != "-0" else digits
    return digits + (("," if dialect.layout["decimal_comma"] else ".") + rest if rest else "")


def field(text: str, dialect: Dialect) -> str:
    if dialect.quoted or dialect.layout["separator"] in text:
        return f'"{text}"'
    return f" {text} " if dialect.blanks else text


def table_bytes(rows: Sequence[tuple[date, float | None]], dialect: Dialect) -> bytes:
    """The table as bytes, with one unused column at the start and one in the middle."""
    layout, separator = dialect.layout, dialect.layout["separator"]
    lines = [["remark", layout["date"], "other", layout["value"]]]
    form = layout["date_format"]
    lines += [["né, so", day.strftime(form), "1", format_number(number, dialect)] for day, number in rows]
    text = dialect.newline.join(separator.join(field(cell, dialect) for cell in line) for line in lines)
    if dialect.blanks:
        text = text.replace(dialect.newline, dialect.newline * 2, 1)
    return (text + dialect.newline * dialect.last_newline).encode(dialect.written_as)


numbers = st.one_of(
    st.none(),
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3) + 0.0),
    st.floats(-1e15, 1e15, allow_nan=False).filter(lambda x: "e" not in repr(x)),
    st.floats(1e16, 1e299, allow_nan=False),
    st.integers(-(10**12), 10**12).map(float),
)
tables = st.dictionaries(st.dates(date(1999, 12, 1), date(2001, 1, 31)), numbers, min_size=1, max_size=12)


@WITH_FILES
@given(tables, dialects())
def test_a_known_table_is_read_exactly(
    tmp_path: Path, table: Mapping[date, float | None], dialect: Dialect
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(table_bytes(list(table.items()), dialect))
    dam = dam_with_file(path, **dialect.layout)
    readings = fetch_level(dam)
    days = readings.select(dam.target_gauge.local_day(dam.time_zone)).to_series()
    assert dict(zip(days, readings["value"], strict=True)) == dict(table)
    if len(set(table)) == len(table):
        frame = daily_table(readings, dam).filter(pl.col("date").is_in(list(table)))
        assert dict(zip(frame["date"], frame["reservoir_level"], strict=True)) == dict(table)


@given(st.text("0123456789.,' eE+-\u00a0", min_size=1, max_size=14), st.booleans(), st.sampled_from(THOUSANDS))
@example("1,5", False, ",")
@example("1.500", True, None)
@example("12,34,567", False, ",")
@example("1.234.567,5", True, ".")
@example("1 234 567,5", True, " ")
def test_a_number_is_read_correctly_or_refused(text: str, comma: bool, thousands: str | None) -> None:
    """Expected: `float` of the text without separators of complete groups of three, and with a decimal point."""
    import re

    decimal = "," if comma else "."
    assume(thousands != decimal)
    expected: float | None = None
    stripped = text.strip()
    mark = {" ": "[ \u00a0\u202f]", None: "(?!)"}.get(thousands) or re.escape(thousands or "")
    whole = re.fullmatch(rf"[+-]?[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+(?:{re.escape(decimal)}[0-9]*)?", stripped)
    plain = re.sub(mark, "", stripped) if whole else stripped
    point = re.escape(decimal)
    if re.fullmatch(rf"[+-]?(?:[0-9]+{point}?[0-9]*|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?", plain):
        expected = float(plain.replace(",", "."))
    dam = dam_with_file("x.csv", decimal_comma=comma, separator=";", **({"thousands": thousands} if thousands else {}))
    content = f"date;level\n2020-01-01;{text}\n".encode()
    try:
        (value,) = csv_files.parse_readings(content, [dam.target_gauge], dam)["value"]
    except SourceError:
        assert expected is None or abs(expected) > csv_files.MAX_NUMBER, f"{text!r} is {expected}"
        return
    assert value == expected if stripped else value is None


# --- clocks ---------------------------------------------------------------------------------------------------------

ZONES = ("America/Chicago", "Australia/Sydney", "Europe/Rome", "America/Sao_Paulo", "Australia/Lord_Howe", "+05:30")


@settings(max_examples=60)
@given(
    st.sampled_from(ZONES), st.datetimes(datetime(2015, 1, 1), datetime(2019, 12, 1)), st.integers(2, 60), st.booleans()
)
@example("America/Chicago", datetime(2018, 11, 4, 4), 30, True)
@example("America/Chicago", datetime(2018, 11, 4, 4), 30, False)
@example("Australia/Lord_Howe", datetime(2018, 3, 31, 13), 30, False)
def test_half_hours_across_a_clock_change_are_the_original_instants(
    zone: str, start: datetime, hours: int, newest_first: bool
) -> None:
    """Times are on the station's clock, include the hour that occurs twice, and can have the newest line first."""
    from forebay.dams.local_time import zone as zone_of

    first = start.replace(minute=0, second=0, microsecond=0, tzinfo=UTC)
    instants = [first + timedelta(minutes=30 * place) for place in range(2 * hours)]
    lines = [f"{at.astimezone(zone_of(zone)):%Y-%m-%d %H:%M},{place}" for place, at in enumerate(instants)]
    dam = dam_with_file("x.csv", zone=zone, gauge={"interval": "30min"}, date_format="%Y-%m-%d %H:%M")
    content = "\n".join(["date,level", *(reversed(lines) if newest_first else lines)]).encode()
    readings = csv_files.parse_readings(content, [dam.target_gauge], dam)
    times = dict(zip(readings["value"], readings["time"], strict=True))
    for place, at in enumerate(instants):
        local = at.astimezone(zone_of(zone))
        twin = local.replace(fold=1 - local.fold).astimezone(UTC)
        only_later_exists = twin != at and twin not in instants and local.fold == 1
        expected = twin if only_later_exists else at
        assert times[float(place)] == expected, "a single one of two equal times is the earlier"


def test_repeated_hours_out_of_order_are_refused() -> None:
    dam = dam_with_file("x.csv", zone="America/Chicago", gauge={"interval": "hour"}, date_format="%Y-%m-%d %H:%M")
    content = b"date,level\n2020-11-01 01:00,1\n2020-11-01 00:00,0\n2020-11-01 01:00,2\n2020-11-01 02:00,3\n"
    with pytest.raises(SourceError, match=r"x\.csv: the time 2020-11-01 01:00:00 occurs twice, because clocks w"):
        csv_files.parse_readings(content, [dam.target_gauge], dam)


# --- any content ----------------------------------------------------------------------------------------------------

ODD_CELLS = (
    "n/a", "NA", "-", "#N/A", "1e308", "-1e308", "1e400", "inf", "-inf", "Infinity", "nan", "NAN", "-nan", "1_000",
    "0x1F", "99999999999999999999999999", "1,5", "1.5", '"', '"1', '1"', '""', "\0", "\ufeff", "１２", "٣", "\u2028",
    "\x85", "2020-02-30", "2020-01-01", "9999-12-31", "0001-01-01", "+12345-01-01", "-0001-01-01",
    "2020-01-01T00:00:00Z", "", " ", "\t", "1" * 400, "255", "4", "-4", "4.0", "256", "=1+1", "\r", "\n", "x" * 5000,
)  # fmt: skip
cells = st.one_of(st.sampled_from(ODD_CELLS), st.text(max_size=8), st.floats().map(repr), st.dates().map(str))
lines = st.lists(st.lists(cells, max_size=5).map(",".join), max_size=8)
HEADERS = ("date,level,q", "level,date,q", '"date","level","q"', "date,level", "date,level,q,date",
           "\ufeffdate,level,q", "")  # fmt: skip


def read_or_refused(dam: Dam, path: Path) -> None:
    """A file gives a daily table with finite levels, or an error in one sentence."""
    try:
        frame = daily_table(fetch_level(dam), dam)
    except ForebayError as error:
        one_sentence(error, path)
    else:
        assert frame["reservoir_level"].is_finite().fill_null(True).all()


@pytest.mark.slow
@WITH_FILES
@example("date,level", ["+12345-01-01,1"], "\n", False, False)
@given(st.sampled_from(HEADERS), lines, st.sampled_from(("\n", "\r\n", "\r")), st.booleans(), st.booleans())
def test_odd_cells_are_read_or_refused(
    tmp_path: Path, header: str, rows: list[str], newline: str, coded: bool, comma: bool
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(newline.join([header, *rows]).encode("utf-8", "surrogatepass"))
    codes = {"quality": "q", "quality_codes": "waternsw"} if coded else {}
    read_or_refused(dam_with_file(path, decimal_comma=comma, **codes), path)


@WITH_FILES
@given(st.binary(max_size=200), st.booleans(), st.sampled_from(list(ENCODINGS)))
@example(b"", False, "utf-8")
@example(b"date,level", False, "utf-8")
@example(b"date,level\r2020-01-01,1\r2020-01-02,2", False, "utf-8")
@example(b"\xff\xfed", False, "utf-8")
@example(b"\xff\xfe\x00\xd8", False, "utf-8")
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, headed: bool, encoding: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes((b"date,level\n2020-01-01,1\n" if headed else b"") + content)
    read_or_refused(dam_with_file(path, encoding=encoding), path)


@WITH_FILES
@given(st.integers(0, 400), st.integers(0, 255), st.integers(1, 3))
def test_a_good_file_with_a_changed_byte_is_read_or_refused(tmp_path: Path, place: int, byte: int, length: int) -> None:
    path = tmp_path / "x.csv"
    good = bytearray(b"date,level,q\n" + b"".join(b"2020-01-%02d,%d.5,4\n" % (day, day) for day in range(1, 20)))
    good[place % len(good) : place % len(good) + length] = bytes([byte])
    path.write_bytes(good)
    read_or_refused(dam_with_file(path, quality="q", quality_codes="waternsw"), path)


@given(st.text("%YmdHMSyjbBeIpzTRFQfZ-/ .:\0", max_size=12))
@example("%Y-%m-%dT%H:%M:%SZ")
@example("%")
@example("%Y-%m-%d %")
@example("%H:%M")
@example("%Y-%m-%d %I")
def test_any_date_format_is_refused_with_the_dam_file_or_works(form: str) -> None:
    try:
        dam = dam_with_file("x.csv", date_format=form)
    except ValueError as error:
        assert "date_format" in str(error)
        return
    day = date(2021, 3, 4)
    try:
        readings = csv_files.parse_readings(f"date,level\n{day.strftime(form)},1\n".encode(), [dam.target_gauge], dam)
    except ForebayError as error:
        one_sentence(error)
        return
    read = readings.select(dam.target_gauge.local_day(dam.time_zone)).item()
    assert (read.year % 100, read.month, read.day) == (21, 3, 4) or "%z" in form


# --- sizes ----------------------------------------------------------------------------------------------------------


def test_a_file_with_thousands_of_columns_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    names = ["date", *(f"c{n}" for n in range(20_000)), "level"]
    row = ["2020-01-01", *("1" for _ in range(20_000)), "2.5"]
    path.write_text(",".join(names) + "\n" + ",".join(row) + "\n")
    assert fetch_level(dam_with_file(path))["value"].to_list() == [2.5]
    with pytest.raises(ConfigError) as caught:
        fetch_level(dam_with_file(path, value="stage_m"))
    one_sentence(caught.value)
    assert "'stage_m' is not a column of" in str(caught.value) and "and 19982 more" in str(caught.value)


ENDLESS = {
    "a word": b"x" * 5_000_000,
    "a quoted cell": b'date,level\n2020-01-01,"' + b"1" * 300_000 + b'"\n',
    "a name": b"date,level," + b"y" * 300_000 + b"\n2020-01-01,1,2\n",
    "empty cells": b"," * 500_000,
}


@pytest.mark.parametrize("content", ENDLESS.values(), ids=ENDLESS)
def test_an_endless_line_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(ForebayError) as caught:
        fetch_level(dam_with_file(path))
    one_sentence(caught.value)


def test_a_pipe_and_a_device_are_no_files(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, Path("a\0b"), Path("x" * 5000)):
        with pytest.raises(ConfigError, match=r"gauge reservoir_level: file\.path .* cannot be read"):
            fetch_level(dam_with_file(path))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/mem is a file that cannot be read at its start")
def test_an_unreadable_file_stops_no_other_gauge() -> None:
    with pytest.raises(SourceError, match=r"/proc/self/mem cannot be read now \(Input/output error\)") as caught:
        fetch_level(dam_with_file(Path("/proc/self/mem")))
    assert caught.value.retryable


LIMITED = """
import resource, sys
from pathlib import Path
from tests.test_csv_files import dam_with_file
from tests.test_fuzz_csv import fetch_level
from forebay.errors import ForebayError
for path in sys.argv[1:]:
    try:
        fetch_level(dam_with_file(Path(path), gauge={"interval": "1min"}, date_format="%Y-%m-%d %H:%M"))
    except ForebayError as error:
        print(error)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


def test_a_too_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path, small = tmp_path / "x.csv", tmp_path / "small.csv"
    with path.open("wb") as stream:
        stream.truncate(64 << 30)  # a sparse file uses no space on the disk
    small.write_text("date,level\n2020-01-01 00:00,1\n")
    process = subprocess.run([sys.executable, "-c", LIMITED, small, path], capture_output=True, text=True, check=True)
    before, message, after = process.stdout.splitlines()
    limit = MAX_BYTES >> 20
    advice = "split it by years, or keep the gauges of one dam"
    assert message == f"{path} is longer than {limit} MiB, the limit for a file; {advice}"
    assert int(after) - int(before) < limit / 2, "MiB more at the peak"


MOST_TIMES = 25
"""Limit of peak memory in bytes per byte of a file; measured: 10 for valid lines, 19 for invalid lines."""


def _minutes(size: int) -> str:
    """Valid readings, one per minute."""
    lines = size // 24
    stamps = pl.datetime_range(datetime(2015, 1, 1), interval="1m", end=datetime(2040, 1, 1), eager=True).head(lines)
    return "\n".join(stamp + ",123.45" for stamp in stamps.dt.to_string("%Y-%m-%d %H:%M"))


FILLS = {
    "readings": _minutes,
    "nothing that can be read": lambda size: "x,y\n" * (size // 4),
    "a line without end": lambda size: "2020-01-01 00:00," + "1" * size,
    "a line of thousands of columns": lambda size: "2020-01-01 00:00," + "1," * (size // 2),
    "quotes that never close": lambda size: '"' * size,
}


@pytest.mark.slow
@pytest.mark.parametrize("fill", FILLS.values(), ids=FILLS)
def test_memory_grows_with_the_size_of_the_file_only(
    fill: Callable[[int], str], tmp_path: Path
) -> None:
    paths = [tmp_path / "small.csv", tmp_path / "large.csv"]
    size = 16 << 20
    for path, content in zip(paths, ("2020-01-01 00:00,1", fill(size)), strict=True):
        path.write_text("date,level\n" + content + "\n")
    process = subprocess.run([sys.executable, "-c", LIMITED, *paths], capture_output=True, text=True, check=True)
    before, *refused, after = process.stdout.splitlines()
    assert bool(refused) == (fill is not _minutes)
    assert int(after) - int(before) < MOST_TIMES * (size >> 20), "MiB more at the peak"


# --- forcings -------------------------------------------------------------------------------------------------------

ODD_STAMPS = ("2024-05-01 06:00", "+12000-01-01 00:00", "0000-01-01 00:00", "-0044-03-15 06:00", "1700-01-01 00:00",
              "2199-12-31 23:59", "2262-04-12 00:00", "")  # fmt: skip
STAMPS = st.sampled_from(ODD_STAMPS) | st.text("0123456789-+: ", max_size=18)
FORCING_LINES = st.lists(st.tuples(STAMPS, STAMPS.map(lambda text: text[:-6]), st.text("0123456789.-e", max_size=6)))


@pytest.mark.slow
@given(FORCING_LINES, st.sampled_from(["%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y-%m-%d %H:%M%z"]))
@example([("+12000-01-01 00:00", "2024-05-02", "1")], "%Y-%m-%d %H:%M")
@example([("2024-05-01 06:00", "+12000-01-01", "1")], "%Y-%m-%d %H:%M")
@example([("0000-01-01 00:00", "0000-01-01", "1")], "%Y-%m-%d %H:%M")
def test_any_lines_of_a_forcing_are_read_or_refused(rows: list[tuple[str, str, str]], form: str) -> None:
    dam = forcing_dam(issued_format=form)
    text = "\n".join(["issued,day,rain", *map(",".join, rows)])
    try:
        table = forcing_files.parse_forcing(text.encode(), dam.forcings[0], dam)
    except ForebayError as error:
        one_sentence(error)
    else:
        assert table["issue_time"].dt.year().is_between(1699, 2200).all()
        assert len(table.rows()) <= len(rows)


@given(st.binary(max_size=80))
def test_any_bytes_of_a_forcing_are_read_or_refused(content: bytes) -> None:
    dam = forcing_dam()
    try:
        text = csv_text.normalize(b"issued,day,rain\n" + content, dam.forcings[0].file)
        forcing_files.parse_forcing(text, dam.forcings[0], dam)
    except ForebayError as error:
        one_sentence(error)


# --- the whole command ----------------------------------------------------------------------------------------------

DAM = """
id = "lake"
name = "The Lake"
country = "Nowhere"
latitude = 0.0
longitude = 0.0
time_zone = "+10:00"
[target]
variable = "reservoir_level"
unit = "m"
datum = "none"
[[gauges]]
role = "target"
source = "csv"
station = "s"
variable = "reservoir_level"
unit = "m"
file = { path = "x.csv", date = "date", value = "level" }
"""


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=60), lines.map(lambda rows: "\n".join(["date,level", *rows]).encode("utf-8"))))
def test_an_error_of_the_command_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", f"sqlite:///{tmp_path}/archive.db")
    Path("archive.db").unlink(missing_ok=True)
    Path("lake.toml").write_text(DAM)
    Path("x.csv").write_bytes(content)
    has_daily_table = False
    for arguments in (["fetch", "lake.toml"], ["daily", "lake.toml", "-o", "out.csv"]):
        result = forebay(*arguments)
        assert result.code in (0, 1, 2)
        assert (result.code == 0) or (result.err.startswith("forebay: ") and result.err.count("\n") == 1), result.err
        has_daily_table = has_daily_table or (arguments[0] == "daily" and result.code == 0)
    if not has_daily_table:
        assert not Path("out.csv").exists() or Path("out.csv").unlink() is None
    load_dam("lake.toml")
