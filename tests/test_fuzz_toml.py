"""Dam files, settings and storage curves of any content: read correctly, or refused in a sentence with the file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forebay.dams.dam_file import catalogue, load_dam
from forebay.errors import ConfigError
from forebay.settings import FILE_NAME, Settings, leaves, load_settings, public_value
from tests.command_line import forebay

WITH_FILES = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
Value = Any  # Any: a TOML value is of many types

LAYOUT: dict[str, Value] = {
    "path": "x.csv", "date": "d", "value": "v", "quality": "q", "date_format": "%d.%m.%Y", "quality_codes": "waternsw",
    "separator": ";", "decimal_comma": True, "thousands": ".", "encoding": "latin-1", "no_value": ["n/a", "-"],
}  # fmt: skip
FULL: dict[str, Value] = {
    "id": "lake", "name": "The Lake", "country": "Nowhere", "latitude": -33.0, "longitude": 150.0,
    "time_zone": "+10:00", "notes": "none", "licence": "none", "simulated": False,
    "full_supply": {"dated": [{"from": date(2001, 1, 1), "value": 100.0}]},
    "target": {"variable": "reservoir_level", "unit": "m", "datum": "nothing"},
    "thresholds": [{"name": "low", "level": 1.0},
                   {"name": "rule", "level": {"rule_curve": [{"day": "01-01", "value": 2}]}}],
    "storage_curves": [{
        "survey_date": date(2000, 1, 1), "valid_from": date(2000, 1, 1), "level_unit": "m", "storage_unit": "ML",
        "source": "survey", "points": [[1.0, 2.0], [3.0, 4.0]],
    }],
    "datum_offsets": [{"from": date(2000, 1, 1), "offset": 0.1, "reason": "moved"}],
    "hindcast": {
        "start": date(2012, 1, 1), "leads": [1, 3], "near_full_margin": 0.5,
        "windows": [{"name": "T", "from": date(2012, 1, 1), "to": date(2013, 1, 1), "reason": "r",
                     "exclude": [{"from": date(2012, 2, 1), "to": date(2012, 3, 1), "reason": "r"}]}],
        "verification_exclude": [{"from": date(2012, 2, 1), "to": date(2012, 3, 1), "reason": "r"}],
    },
    "gauges": [
        {"role": "target", "source": "csv", "station": "s", "name": "S", "variable": "reservoir_level", "unit": "m",
         "reading": "mean", "interval": "day", "stamp": "end", "day_start": "09:00", "aggregate": "mean",
         "share_required": 0.5, "latency_h": 1.0, "valid_range": [0.0, 1.0],
         "sentinels": {"values": [-9.0], "below": -8.0, "above": 1e9}, "file": LAYOUT},
        {"role": "stream", "source": "waternsw", "station": "c", "variable": "discharge", "unit": "ML/d",
         "hydstra": {"varfrom": "100.00", "varto": "141.00", "datasource": "A", "variable": "141.00"}},
    ],
    "weather": [
        {"id": "ifs", "name": "n", "service": "open_meteo", "model": "ecmwf_ifs", "ensemble_model": "ecmwf_ifs025",
         "variable": "rainfall", "points": "1,2; 3,4", "members": True, "input": "member_mean",
         "history": "single_runs"},
    ],
}  # fmt: skip


def toml(value: Value) -> str:
    """A value as inline TOML."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            plain = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
            return f'"{plain}"'
        case date() | time():  # `datetime` is a subclass of `date`
            return value.isoformat()
        case Mapping():
            return "{" + ", ".join(f"{toml(str(key))} = {toml(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
    return repr(value)


def text_of(tree: Mapping[str, Value]) -> str:
    return "\n".join(f"{toml(key)} = {toml(value)}" for key, value in tree.items()) + "\n"


def places(tree: Value, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every key and list item of a tree, at all depths."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield (*above, key)
        yield from places(value, (*above, key))


def with_value(tree: Value, place: Sequence[str | int], value: Value) -> Value:
    """The tree with a new value at a place."""
    if not place:
        return value
    first, *rest = place
    if isinstance(tree, dict):
        return tree | {str(first): with_value(tree[first], rest, value)}
    return [with_value(inner, rest, value) if at == first else inner for at, inner in enumerate(tree)]


def deep(levels: int, *, tables: bool) -> Value:
    value: Value = 1
    for _ in range(levels):
        value = {"a": value} if tables else [value]
    return value


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.one_of(
    st.booleans(), st.integers(), st.integers(-(10**400), 10**400), st.floats(), st.dates(), st.times(),
    st.datetimes(), words, st.sampled_from(("", "\0", "a\nb", "%Q", "%", "é" * 300, "+99:99", "24:00", "02-30", "nan")),
)  # fmt: skip
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=6
)


def one_sentence(error: ConfigError, where: Path) -> None:
    message = str(error)
    assert str(where) in message
    assert message.isprintable(), repr(message)
    assert len(message) < 1000, len(message)


def refusal(path: Path) -> str:
    """The error message for a dam file, which must be one sentence; empty if the file is read."""
    try:
        load_dam(str(path))
    except ConfigError as error:
        one_sentence(error, path)
        return str(error)
    return ""


def test_the_whole_dam_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lake.toml"
    path.write_text(text_of(FULL), "utf-8")
    dam = load_dam(str(path))
    layout = dam.target_gauge.file
    assert layout is not None
    expected = LAYOUT | {"path": str(tmp_path / "x.csv"), "no_value": ("n/a", "-")}
    assert layout.model_dump(include=set(expected)) == expected
    assert dam.storage_curves[0].points == ((1.0, 2.0), (3.0, 4.0))


@pytest.mark.parametrize("top", FULL)
def test_a_wrong_type_is_refused_for_every_key(tmp_path: Path, top: str) -> None:
    path = tmp_path / "lake.toml"
    samples: tuple[Value, ...] = (
        True, -1, 10**400, float("nan"), "a\nb\0", "x" * 5000, [[1, 2], [3, 4]], {"a\nb": {"c": []}},
        datetime(2020, 1, 1), deep(30, tables=False),
    )  # fmt: skip
    for place in places(FULL):
        for value in samples if place[0] == top else ():
            path.write_text(text_of(with_value(FULL, place, value)), "utf-8")
            if message := refusal(path):
                assert any(part in message for part in place if isinstance(part, str)), f"{value!r}: {message}"


@WITH_FILES
@given(st.sampled_from(list(places(FULL))), trees)
def test_any_value_of_any_key_is_read_or_refused(tmp_path: Path, place: tuple[str | int, ...], value: Value) -> None:
    path = tmp_path / "lake.toml"
    path.write_text(text_of(with_value(FULL, place, value)), "utf-8")
    refusal(path)


@settings(WITH_FILES, max_examples=40)
@given(words, trees)
@example("a\nb", 1)
@example("x" * 100_000, 1)
@example("a", "b" * 100_000)
@example("a", 10**4000)
def test_an_additional_key_is_refused(tmp_path: Path, key: str, value: Value) -> None:
    path = tmp_path / "lake.toml"
    for place in ((), ("target",), ("gauges", 0), ("gauges", 0, "file"), ("hindcast", "windows", 0), ("full_supply",)):
        table = FULL
        for part in place:
            table = table[part]  # type: ignore[index]  # a list's place is a number
        if key not in table:
            path.write_text(text_of(with_value(FULL, place, table | {key: value})), "utf-8")
            assert refusal(path)


@WITH_FILES
@given(st.one_of(st.binary(max_size=80), words.map(str.encode)), st.booleans())
@example(b"\xff\xfei\x00d\x00", False)
@example(b"latitude = " + b"9" * 5000, False)
@example(b"x = 2020-13-45", False)
@example(b"\xef\xbb\xbf", False)
@example(b"x = \0", False)
@example(b'name = "Forgg\xe9e"', False)
@example(b"a" + b".a" * 3000 + b" = 1", False)
@example(b"[" + b"a." * 3000 + b"a]", False)
@example(b"x = " + b"[" * 100_000, False)
@example(b"x = " + b"{a=" * 330 + b"1" + b"}" * 330, False)
@example(b"x = " + b"[" * 300 + b"]" * 300, False)
def test_any_bytes_of_a_dam_file_and_of_settings_are_read_or_refused(
    tmp_path: Path, content: bytes, good: bool
) -> None:
    path = tmp_path / "lake.toml"
    path.write_bytes(content + (text_of(FULL).encode() if good else b""))
    refusal(path)
    (tmp_path / FILE_NAME).write_bytes(content)
    try:
        load_settings(tmp_path, {})
    except ConfigError as error:
        one_sentence(error, tmp_path / FILE_NAME)


@WITH_FILES
@given(st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 4))
def test_a_good_dam_file_with_a_changed_byte_is_read_or_refused(
    tmp_path: Path, place: int, byte: int, length: int
) -> None:
    path = tmp_path / "lake.toml"
    good = bytearray(catalogue()["warragamba"].encode())
    place %= len(good)
    good[place : place + length] = bytes([byte])
    path.write_bytes(good)
    refusal(path)


# --- settings -------------------------------------------------------------------------------------------------------

SETTINGS: dict[str, Value] = {
    "archive": "sqlite:///a.db", "output": "runs", "provisional_days": 3,
    "sources": {name: {"url": "http://127.0.0.1/"} for name in ("waternsw", "vicwater", "qldwater")},
    "http": Settings().http.model_dump(),
}  # fmt: skip


@WITH_FILES
@given(st.sampled_from(list(places(SETTINGS))), trees)
@example(("http",), deep(200, tables=True))
@example(("sources",), {"a\nb": {"url": "http://x"}})
@example(("sources", "waternsw", "url"), "x" * 100_000)
def test_any_value_of_any_setting_is_read_or_refused(
    tmp_path: Path, place: tuple[str | int, ...], value: Value
) -> None:
    (tmp_path / FILE_NAME).write_text(text_of(with_value(SETTINGS, place, value)), "utf-8")
    try:
        load_settings(tmp_path, {})
    except ConfigError as error:
        one_sentence(error, tmp_path / FILE_NAME)


@given(st.text("ABHTPSOURCE_.ÄÖ\n ", max_size=30), words)
@example("A__" * 300, "1")
@example("HTTP__ATTEMPTS", "9" * 5000)
@example("SOURCES__A\nB__URL", "x")
def test_any_environment_variable_is_read_or_refused(name: str, value: str) -> None:
    try:
        settings, _ = load_settings(Path("/nowhere"), {f"FOREBAY_{name}": value})
        for _, setting in leaves(settings.model_dump()):
            public_value(setting)
    except ConfigError as error:
        assert str(error).isprintable() and len(str(error)) < 1000 + len(name), str(error)


@given(
    st.sampled_from(["ARCHIVE", "SOURCES__WATERNSW__URL", "OUTPUT"]),
    st.sampled_from(["postgresql+psycopg://", "http://", "http:", "//", ""]),
    st.text("/:#&=[]% é1x", max_size=8),
)
@example("ARCHIVE", "postgresql+psycopg://", "@host:abc/x")
def test_settings_appear_without_passwords(name: str, scheme: str, rest: str) -> None:
    for value in (f"{scheme}me:secret@{rest}", f"{scheme}{rest}:secret@h:abc/x", f"{scheme}{rest}?password=secret"):
        try:
            settings, _ = load_settings(Path("/nowhere"), {f"FOREBAY_{name}": value})
            text = str([public_value(setting) for _, setting in leaves(settings.model_dump())])
        except ConfigError as error:
            text = str(error)
        assert "secret" not in text, (value, text)


def test_a_file_of_settings_that_is_too_large_or_none(tmp_path: Path) -> None:
    import os

    path = tmp_path / FILE_NAME
    path.write_bytes(b"#" * (1 << 21))
    with pytest.raises(ConfigError, match=r"forebay\.toml is longer than 1048576 bytes"):
        load_settings(tmp_path, {})
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ConfigError, match=r"forebay\.toml cannot be read as TOML: it is not a file"):
        load_settings(tmp_path, {})


# --- storage curves -------------------------------------------------------------------------------------------------

points = st.dictionaries(
    st.floats(-1e4, 1e4).map(lambda x: round(x, 2) + 0.0), st.integers(0, 10**9).map(float), min_size=2, max_size=8
)


@WITH_FILES
@given(points, st.booleans(), st.sampled_from((",", ";", "\t")), st.sampled_from(("\n", "\r\n", "\r")), st.booleans())
def test_a_known_curve_is_read_exactly(
    tmp_path: Path, curve: dict[float, float], comma: bool, separator: str, newline: str, marked: bool
) -> None:
    known = list(zip(sorted(curve), sorted(curve.values()), strict=True))
    decimal, mark = (",", ".") if comma else (".", ",")

    def format_number(number: float) -> str:
        digits, rest = f"{abs(number):,.2f}".split(".")
        return f'"{"-" * (number < 0)}{digits.replace(",", mark if marked else "")}{decimal}{rest}"'

    rows = [f"Höhe{separator}Inhalt", *(f"{format_number(a)}{separator}{format_number(b)}" for a, b in reversed(known))]
    (tmp_path / "curve.csv").write_bytes(newline.join(rows).encode("latin-1"))
    file = {"path": "curve.csv", "level": "Höhe", "storage": "Inhalt", "encoding": "latin-1", "separator": separator}
    curve = {"level_unit": "m", "storage_unit": "ML", "file": file | {"decimal_comma": comma}}
    (tmp_path / "lake.toml").write_text(text_of(FULL | {"storage_curves": [curve]}), "utf-8")
    assert list(load_dam(str(tmp_path / "lake.toml")).storage_curves[0].points) == known


ROWS = (
    "1,2", "2,3", "3,", ",", "x,1", "1e400,5", "nan,1", '"1', "1,2,3", "1,5,", '"1,5",2', '"1,500","2,000"', "4\r5,6",
    "\0,1", "9" * 400 + ",1",
)  # fmt: skip
rows_of_curves = st.lists(st.sampled_from(ROWS), max_size=5).map(lambda rows: "\n".join(["l,s", *rows]).encode())


@WITH_FILES
@given(st.one_of(st.binary(max_size=80), rows_of_curves))
@example(b'l,s\n1,2\n"1,5",3\n')
def test_any_bytes_of_a_storage_curve_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "curve.csv").write_bytes(content)
    curve = {"level_unit": "m", "storage_unit": "ML", "file": {"path": "curve.csv", "level": "l", "storage": "s"}}
    (tmp_path / "lake.toml").write_text(text_of(FULL | {"storage_curves": [curve]}), "utf-8")
    refusal(tmp_path / "lake.toml")


def test_a_decimal_comma_in_a_curve_is_no_thousands_separator(tmp_path: Path) -> None:
    """The error names the line: "1,5" is not fifteen."""
    (tmp_path / "curve.csv").write_text('l,s\n1,2\n"1,5",3\n')
    curve = {"level_unit": "m", "storage_unit": "ML", "file": {"path": "curve.csv", "level": "l", "storage": "s"}}
    (tmp_path / "lake.toml").write_text(text_of(FULL | {"storage_curves": [curve]}), "utf-8")
    with pytest.raises(ConfigError, match=r"curve\.csv, line 3: '1,5' in column 'l' is not a number; correct it"):
        load_dam(str(tmp_path / "lake.toml"))


# --- the whole command ----------------------------------------------------------------------------------------------


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(list(places(FULL))), trees, st.sampled_from(("fetch", "daily", "run", "hindcast", "screen")))
def test_an_error_of_the_command_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[str | int, ...], value: Value, command: str
) -> None:
    """The files of the gauges are missing, so a valid dam file ends in an error too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", f"sqlite:///{tmp_path}/archive.db")
    only = FULL | {"gauges": FULL["gauges"][:1]}
    if place[:2] == ("gauges", 1):
        return
    Path("lake.toml").write_text(text_of(with_value(only, place, value)), "utf-8")
    result = forebay(command, "lake.toml", *(["-o", "out.csv"] if command == "daily" else []))
    assert result.code in (1, 2)
    assert re.fullmatch(r"forebay: [^\n]+\n", result.err), result.err
