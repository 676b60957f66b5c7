"""`files.roots`: an error quotes nothing of a file outside these folders; such a file is read like any other."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forebay.archive.fetch import FetchRequest, fetch_dam
from forebay.archive.store import open_archive
from forebay.dams.csv_layout import PLACEHOLDER
from forebay.dams.dam_file import load_dam
from forebay.days.gauge_readings import gauge_readings
from forebay.errors import ConfigError, ForebayError
from forebay.screen.gauge_notes import gauge_notes
from forebay.settings import Settings, load_settings
from forebay.sources import csv_files, forcing_files
from tests.command_line import forebay

NOW = datetime(2024, 1, 1, tzinfo=UTC)
FEW = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
DAM = """
id = "lake"
name = "Lake"
country = "Nowhere"
latitude = 0.0
longitude = 0.0
time_zone = "{zone}"
target = {{variable = "reservoir_level", unit = "m", datum = "none"}}
[[gauges]]
role = "target"
source = "csv"
station = "s"
variable = "reservoir_level"
unit = "m"
{gauge}
file = {{path = {path}, date = "d", value = "v"{layout}}}
{rest}
"""
CURVE = (
    '[[storage_curves]]\nlevel_unit = "m"\nstorage_unit = "ML"\nfile = {{path = {path}, level = "d", storage = "v"}}'
)
FORCING = (
    '[[forcings]]\nkind = "rain"\nid = "nwp"\nunit = "mm"\nfile = {{path = {path}, issued = "d"'
    ', valid = "d", value = "v", issued_format = "%Y-%m-%d"}}'
)


def write_dam(
    folder: Path, path: Path, *, zone: str = "+10:00", gauge: str = "", layout: str = "", rest: str = ""
) -> Path:
    """The dam file in `folder`, with its gauge's file `path`."""
    text = DAM.format(
        path=json.dumps(str(path)), zone=zone, gauge=gauge, layout=f", {layout}" if layout else "", rest=rest
    )
    dam_file = folder / "lake.toml"
    dam_file.write_text(text, "utf-8")
    return dam_file


def error_of(dam_file: Path) -> str:
    """The error of reading everything that a dam file names."""
    with pytest.raises(ForebayError) as caught:
        dam = load_dam(str(dam_file))
        forcing_files.read_forcings(dam)
        csv_files.fetch_readings(dam.target_gauge, dam, None, date(2030, 1, 1), settings=Settings(), now=NOW)
    return str(caught.value)


def pieces(content: str) -> set[str]:
    """Every piece of four characters of a file's content."""
    return {content[start : start + 4] for start in range(len(content) - 3)}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder outside the dam file's."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (tmp_path / "dams").mkdir()
    return folder


# The content has no letter and no digit of a message: Greek letters, the years 1965 to 1967, the numbers 86…
FAULTS: dict[str, tuple[str, dict[str, str]]] = {
    "not a number": ("d,v\n1965-06-08,αβγδ\n", {}),
    "not a number with a unit": ("d,v\n1965-06-08,8686 αβγδ\n", {"layout": 'unit_suffix = "m"'}),
    "too large a number": ("d,v\n1965-06-08,8686e308\n", {}),
    "not a date": ("d,v\nαβγδ:ε:ζηθι,8686\n", {}),
    "a date in another format": ("d,v\n08.06.1965 08:06,8686\n", {}),
    "a date outside the range": ("d,v\n0865-06-08,8686\n", {}),
    "a date beyond Python's": ("d,v\n+86866-06-08,8686\n", {}),
    "no date": ("d,v\n,8686\n", {}),
    "the first line is the header": ("αβγδ:x:0:0:εζηθ:/ικλμ:/νξοπ\nρστυ:x:1:1\n", {}),
    "a header of many names": (",".join(f"αβγδ{n}" for n in range(30)) + "\n", {}),
    "two columns of one name": ("d,v,v\n1965-06-08,8686,8787\n", {}),
    "the header is in a later line": ("# αβγδεζηθ\nd,v\n1965-06-08,8686\n", {}),
    "another separator": ("d;v\n1965-06-08;8686\n", {}),
    "more fields than the header": ("d,v\n1965-06-08,8686,αβγδ\n", {}),
    "an open quote": ('d,v\n1965-06-08,"αβγδ\n', {}),
    "a broken quote": ('d,v\n1965-06-08,"αβ"γδ"\n', {}),
    "a broken header": ('d,"αβγδ"εζ"\n', {}),
    "NUL": ("d,v\n1965-06-08,αβ\0γδ\n", {}),
    "JSON": ('{"αβγδ": "εζηθ"}', {}),
    "empty": ("\n\n", {}),
    "text of another encoding": ("d,v\n1965-06-08,αβγδ\n", {"layout": 'encoding = "shift-jis"'}),
    "no line of the series": ("d,v,k\n1965-06-08,8686,αβγδ\n1965-06-09,8686,εζηθ\n", {"layout": 'where = {k = "1"}'}),
    "two lines of a time": ("d,v,αβγδ\n1965-06-08,8686,εζηθ\n1965-06-08,8787,ικλμ\n", {}),
    "two numbers of a time": ("d,v\n1965-06-08,8686\n1965-06-08,8787\n", {}),
    "a time of day that is not the start": (
        "d,v\n1965-06-08T08:06+01:15,8686\n", {"layout": 'date_format = "%Y-%m-%dT%H:%M%z"'},
    ),
    "a skipped hour": (
        "d,v\n1987-04-05 02:36,8686\n",
        {"zone": "America/Chicago", "gauge": 'interval = "15min"', "layout": 'date_format = "%Y-%m-%d %H:%M"'},
    ),
    "a repeated hour out of order": (
        "d,v\n1987-10-25 01:36,8686\n1987-10-25 06:36,8686\n1987-10-25 01:36,8787\n",
        {"zone": "America/Chicago", "gauge": 'interval = "15min"', "layout": 'date_format = "%Y-%m-%d %H:%M"'},
    ),
    "a curve that is not a number": ("d,v\n8686,αβγδ\n", {"rest": CURVE}),
    "a curve that falls": ("d,v\n8686,8787\n8688,8765\n", {"rest": CURVE}),
    "a curve of one point": ("d,v\n8686,8787\n", {"rest": CURVE}),
    "a curve without its columns": ("αβγδ,εζηθ\n1,2\n", {"rest": CURVE}),
    "a forcing that is not a number": ("d,v\n1965-06-08,αβγδ\n", {"rest": FORCING}),
    "a forcing without a date": ("d,v\nαβγδ,8686\n", {"rest": FORCING}),
    "a forcing out of range": ("d,v\n1965-06-08,-8686\n", {"rest": FORCING}),
    "a forcing outside the range of dates": ("d,v\n0865-06-08,8\n", {"rest": FORCING}),
    "a forcing of a day twice": ("d,v\n1965-06-08,8\n1965-06-08,7\n", {"rest": FORCING}),
}  # fmt: skip


@pytest.mark.parametrize(("content", "keys"), FAULTS.values(), ids=FAULTS)
def test_an_error_quotes_nothing_of_a_file_outside(content: str, keys: dict[str, str], outside: Path) -> None:
    path = outside / "secret"
    path.write_text(content, "utf-8")
    keys = keys | ({"rest": keys["rest"].format(path=json.dumps(str(path)))} if "rest" in keys else {})
    message = error_of(write_dam(outside.parent / "dams", path, **keys))
    assert {piece for piece in pieces(content) if piece in message} <= {"\nd,v", "d,v\n"}
    assert str(path) in message
    assert "line " in message or "column" in message or "'" in message or " is " in message or " must " in message
    inside = error_of(write_dam(outside, path, **keys))
    assert PLACEHOLDER not in inside


CELLS = st.text("αβγδεζηθ86", min_size=4, max_size=12)


@FEW
@given(st.lists(st.tuples(st.one_of(CELLS, st.just("1965-06-08")), CELLS), min_size=1, max_size=3), st.integers(0, 2))
@example([("1965-06-08", "86868"), ("1965-06-08", "68686")], 0)
def test_no_piece_of_any_content_is_quoted(outside: Path, rows: list[tuple[str, str]], kind: int) -> None:
    path = outside / "secret"
    content = "\n".join(["d,v", *(",".join(row) for row in rows), "αβγδ,εζηθ"])
    path.write_text(content, "utf-8")
    rest = ("", CURVE, FORCING)[kind].format(path=json.dumps(str(path)))
    message = error_of(write_dam(outside.parent / "dams", path, rest=rest))
    assert not [piece for piece in pieces(content.removeprefix("d,v\n")) if piece in message]


def test_links_and_dots_are_resolved(outside: Path) -> None:
    (outside / "secret").write_text("αβγδ,v\n", "utf-8")
    folder = outside.parent / "dams"
    (folder / "link.csv").symlink_to(outside / "secret")
    for path in ("link.csv", "../elsewhere/secret"):
        assert "αβγδ" not in error_of(write_dam(folder, Path(path)))
    (folder / "sub").mkdir()
    (folder / "x.csv").write_text("αβγδ,v\n", "utf-8")
    assert "αβγδ" in error_of(write_dam(folder, Path("sub/../x.csv")))
    (outside / "lake.csv").symlink_to(folder / "x.csv")
    (folder / "back").symlink_to(outside)
    assert "αβγδ" in error_of(write_dam(folder, Path("back/lake.csv")))  # a link out and back in


def test_the_current_folder_is_a_root(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (outside / "x.csv").write_text("αβγδ,v\n", "utf-8")
    dam_file = write_dam(outside.parent / "dams", outside / "x.csv")
    assert "αβγδ" not in error_of(dam_file)
    monkeypatch.chdir(outside)
    assert "αβγδ" in error_of(dam_file)


def test_a_file_outside_is_read_as_any_other(outside: Path) -> None:
    (outside / "x.csv").write_text("d,v\n2020-01-01,1.5\n", "utf-8")
    dam = load_dam(str(write_dam(outside.parent / "dams", outside / "x.csv")))
    table = csv_files.fetch_readings(dam.target_gauge, dam, None, date(2030, 1, 1), settings=Settings(), now=NOW)
    assert table["value"].to_list() == [1.5]


def test_notes_on_readings_quote_no_text_of_a_file_outside(outside: Path) -> None:
    (outside / "x.csv").write_text("d,v,q\n2020-01-01,868686,αβγδ\n2187-06-08,8,αβγδ\n", "utf-8")
    dam_file = write_dam(outside.parent / "dams", outside / "x.csv", layout='quality = "q"')
    dam = load_dam(str(dam_file))
    with open_archive(f"sqlite:///{outside / 'a.db'}") as archive:
        report = fetch_dam(dam, archive, settings=Settings(), request=FetchRequest(NOW))
        readings = archive.as_of(dam.gauges)
    notes = [report.table["note"][0], *gauge_notes(gauge_readings(readings, dam.target_gauge), dam.target_gauge, "x")]
    assert len(notes) == 3
    for text in ("8686", "αβγδ", "2187"):
        assert text not in " ".join(notes)


def test_an_unexpected_error_quotes_nothing_of_a_file_outside(outside: Path) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("αβγδ")

    dam = load_dam(str(write_dam(outside.parent / "dams", outside / "x.csv")))
    with open_archive(f"sqlite:///{outside / 'a.db'}") as archive:
        report = fetch_dam(dam, archive, settings=Settings(), request=FetchRequest(NOW), fetch=fail)  # type: ignore[arg-type]
    assert "ValueError" in report.table["error"][0]
    assert "αβγδ" not in report.table["error"][0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("root:x:0:αβγδ\n", "is not valid TOML: a text outside files.roots (at line 1, column 5)"),
        ("[αβγδ", "is not valid TOML: a text outside files.roots (at line 1, column 2)"),
        ('"αβγδ" = 1\n"αβγδ" = 2\n', "is not valid TOML: a text outside files.roots (at line 2, column 11)"),
        ('token = "αβγδ"\n', "a key or a value is not allowed in a dam file: a text outside files.roots"),
        ('["αβγδ"]\ntoken = "αβγδ"\n', "a key or a value is not allowed in a dam file: a text outside files.roots"),
        ('[[storage_curves]]\nfile = {level = "αβγδ"}\n', "is not allowed in a dam file: a text outside files.roots"),
    ],
)
def test_a_dam_file_outside_is_not_quoted(content: str, message: str, outside: Path) -> None:
    (outside / "secret").write_text(content, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_dam(str(outside / "secret"), roots=[str(outside.parent / "dams")])
    assert str(caught.value).endswith(message)
    assert "αβγδ" not in str(caught.value)
    link = outside.parent / "dams" / "lake.toml"
    link.symlink_to(outside / "secret")
    with pytest.raises(ConfigError) as caught:
        load_dam(str(link))
    assert "αβγδ" not in str(caught.value)


@pytest.mark.parametrize("place", ["gauges.file", "forcings.file", "storage_curves.file"])
def test_a_dam_file_cannot_name_its_own_roots(place: str, outside: Path) -> None:
    layouts = {"gauges.file": {"layout": 'roots = ["/"]'},
               "forcings.file": {"rest": FORCING.format(path='"x.csv", roots = ["/"]')},
               "storage_curves.file": {"rest": CURVE.format(path='"x.csv", roots = ["/"]')}}  # fmt: skip
    with pytest.raises(ConfigError, match=rf"key {place}\.roots is unknown; allowed are path, "):
        load_dam(str(write_dam(outside, Path("x.csv"), **layouts[place])))


def test_the_setting_reaches_the_command_and_the_function(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import forebay as package

    (outside / "x.csv").write_text("αβγδ,v\n", "utf-8")
    dam_file = write_dam(outside.parent / "dams", outside / "x.csv")
    url = f"sqlite:///{outside / 'a.db'}"
    monkeypatch.chdir(outside.parent / "dams")
    assert PLACEHOLDER in forebay("fetch", dam_file, "--archive", url).err
    monkeypatch.setenv("FOREBAY_FILES__ROOTS", f"/nowhere:{outside}")
    assert "αβγδ" in forebay("fetch", dam_file, "--archive", url).err
    with pytest.raises(ConfigError, match="αβγδ"):
        package.fetch(dam_file, archive=url)
    Path("forebay.toml").write_text('[files]\nroots = ["/nowhere"]\n', "utf-8")
    monkeypatch.delenv("FOREBAY_FILES__ROOTS")
    with pytest.raises(ConfigError, match=PLACEHOLDER):
        package.fetch(dam_file, archive=url)


def test_the_setting_is_a_list_of_folders(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {})[0].files.roots is None
    assert load_settings(tmp_path, {"FOREBAY_FILES__ROOTS": "/a:b"})[0].files.roots == ("/a", "b")
    for value in ("", "/a:"):
        with pytest.raises(ConfigError, match=r"environment \(FOREBAY_FILES__ROOTS\): setting files\.roots"):
            load_settings(tmp_path, {"FOREBAY_FILES__ROOTS": value})
