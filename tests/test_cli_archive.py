"""`forebay revisions` and `forebay archive …` as they are called: what they print, and how bad input ends."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from forebay.dams.dam import Dam
from tests import disks, synthetic
from tests.command_line import CommandResult, forebay
from tests.synthetic import daily_frame, rain_gauge, small_dam

DAM: Dam = small_dam(rain_gauge())


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str) -> str:
    """In a folder of the test's own; the archive is empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", url)
    return url


def fetched(*levels: float) -> Path:
    """A dam file, after a fetch for each of `levels`, which all 40 days then have."""
    for level in levels:
        columns = {"reservoir_level": [level] * 40, "rainfall_r1": [1.0] * 40}
        path = synthetic.write_dam(DAM, daily_frame(DAM, columns), Path())
        assert forebay("fetch", path).code == 0
    return path


def one_sentence(result: CommandResult, code: int, pattern: str) -> None:
    assert (result.code, result.out) == (code, "")
    assert re.fullmatch(r"forebay: [^\n]+\n", result.err), result.err
    assert re.search(pattern, result.err), result.err


def test_revisions() -> None:
    path = fetched(1.0, 2.5)
    told = forebay("revisions", path, "--json").json
    assert [(row["gauge"], row["old_value"], row["value"], row["change"], row["unit"]) for row in told] == [
        ("reservoir_level", 1.0, 2.5, 1.5, "m")
    ] * 40
    assert forebay("revisions", path, "--gauge", "r1", "--json").json == []
    assert "Small Dam (SIMULATED): no revision of these gauges" in forebay("revisions", path, "--gauge", "r1").out
    shown = forebay("revisions", path, "--since", "2024-01-01").out
    assert "1 → 2.5" in shown
    assert "the newest 40 of 40 revisions" in shown
    assert forebay("revisions", path, "--until", "2024-01-01", "--json").json == []


def test_a_dry_run_makes_no_archive(url: str, request: pytest.FixtureRequest) -> None:
    path = synthetic.write_dam(DAM, daily_frame(DAM, {"reservoir_level": [1.0] * 9, "rainfall_r1": [0.0] * 9}), Path())
    planned = forebay("fetch", path, "--dry-run", "--json", "--archive", url)
    assert (planned.code, planned.err, len(planned.json)) == (0, "", 2)
    one_sentence(forebay("archive", "check", "--archive", url), 2, "does not exist")
    if url.startswith("postgresql"):
        tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        assert request.getfixturevalue("postgres").execute(tables, url) == [(0,)]


def test_revisions_of_what_is_not_there(url: str) -> None:
    path = synthetic.write_dam(DAM, daily_frame(DAM, {"reservoir_level": [1.0] * 9, "rainfall_r1": [0.0] * 9}), Path())
    one_sentence(forebay("revisions", path), 2, "does not exist; give another one with --archive")
    fetched(1.0)
    one_sentence(forebay("revisions", path, "--gauge", "r9"), 2, "'r9' is no gauge of Small Dam; give a station")
    one_sentence(
        forebay("revisions", path, "--since", "2024-02-01", "--until", "2024-01-01"), 2, "must not be before since"
    )


def test_the_life_of_an_archive(url: str, new_url: Callable[[], str]) -> None:
    fetched(1.0, 2.0)
    checked = forebay("archive", "check", "--json").json
    assert (checked["series"], checked["versions"], checked["file_faults"]) == (2, 120, [])
    assert set(checked["faults"].values()) == {0}
    assert "2 series, 120 versions" in forebay("archive", "check").out

    assert forebay("archive", "backup", "b.db", "--json").json["versions"] == 120
    one_sentence(forebay("archive", "backup", "b.db"), 2, r"b\.db' exists already")
    assert "120 versions" in forebay("archive", "backup", "b.db", "--replace").out

    other, third = new_url(), new_url()
    assert forebay("archive", "restore", "b.db", "--archive", other, "--json").json["kept"] is None
    one_sentence(forebay("archive", "restore", "b.db", "--archive", other), 2, "holds 120 versions; .* --replace")
    replaced = forebay("archive", "restore", "b.db", "--archive", other, "--replace")
    assert re.search(r"the previous content is in b\.replaced-\w+\.db", replaced.out)

    assert forebay("archive", "copy", "--to", third, "--json").json["versions"] == 120
    one_sentence(forebay("archive", "copy", "--to", third), 2, "holds 120 versions; give another one")

    done = forebay("archive", "compact", "--json").json
    assert (done["versions"], sorted(done)) == (120, ["after", "before", "versions", "where"])
    assert re.search("120 versions, [0-9.]+ MB before, [0-9.]+ MB now", forebay("archive", "compact").out)
    every = "".join(part for result in (replaced, forebay("archive", "check")) for part in (result.out, result.err))
    assert re.search("//forebay:(?!\\*\\*\\*)", every) is None


def test_an_archive_with_faults(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("no archive" * 1000)
    one_sentence(forebay("archive", "check", "--archive", f"sqlite:///{text}"), 2, "is not an SQLite database")
    one_sentence(forebay("archive", "restore", "none.db"), 2, r"none\.db' is no file")
    fetched(1.0)
    forebay("archive", "backup", "b.db")
    import sqlite3

    with sqlite3.connect("b.db") as connection:
        connection.execute("UPDATE observation SET quality = 'torn' WHERE time = (SELECT min(time) FROM observation)")
    connection.close()
    result = forebay("archive", "check", "--archive", "sqlite:///b.db", "--json")
    assert result.code == 1
    assert result.json["faults"]["a value, quality or time that is none"] == 2
    assert result.err.startswith("forebay: archive sqlite:///b.db has faults: 2 with a value, quality or time that is")


def test_fetch_into_a_file_that_is_read_only_or_a_disk_that_is_full(tmp_path: Path) -> None:
    path = fetched(1.0)
    with disks.small_disk(tmp_path / "disk", "96k") as disk:
        url = f"sqlite:///{disk}/a.db"
        assert forebay("fetch", path, "--archive", url).code == 0
        (disk / "filler").write_bytes(bytes(20 * 1024))
        result = CommandResult(0, "", "")
        for level in range(2, 40):
            columns = {"reservoir_level": [float(level)] * 40, "rainfall_r1": [1.0] * 40}
            synthetic.write_dam(DAM, daily_frame(DAM, columns), Path())
            result = forebay("fetch", path, "--archive", url)
            if result.code:
                break
        one_sentence(result, 1, "the disk is full|is full")
        disks.mount("-o", "remount,ro", str(disk))
        one_sentence(forebay("fetch", path, "--archive", url), 2, "read-only|cannot be (opened|written)")
        disks.mount("-o", "remount,rw,size=8m", str(disk))
        assert forebay("fetch", path, "--archive", url).code == 0
        assert forebay("archive", "check", "--archive", url).code == 0
        last = [row for row in forebay("revisions", path, "--archive", url, "--json").json if row["value"] == level]
        assert len(last) == 40
