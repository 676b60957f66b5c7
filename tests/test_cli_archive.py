"""`forebay revisions` and `forebay archive …`: output, and the error for bad input."""

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
def _working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str) -> None:
    """Run each test in a new folder, with a new archive."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", url)


def fetch_levels(*levels: float) -> Path:
    """Path of a dam file after one fetch per level; all 40 days have that level."""
    for level in levels:
        columns = {"reservoir_level": [level] * 40, "rainfall_r1": [1.0] * 40}
        path = synthetic.write_dam(DAM, daily_frame(DAM, columns), Path())
        assert forebay("fetch", path).code == 0
    return path


def check_error(result: CommandResult, code: int, pattern: str) -> None:
    """Check the exit code `code`, an empty standard output, and one sentence on the error stream."""
    assert (result.code, result.out) == (code, "")
    assert re.fullmatch(r"forebay: [^\n]+\n", result.err), result.err
    assert re.search(pattern, result.err), result.err


def test_revisions() -> None:
    path = fetch_levels(1.0, 2.5)
    rows = forebay("revisions", path, "--json").json
    assert [(row["gauge"], row["old_value"], row["value"], row["change"], row["unit"]) for row in rows] == [
        ("reservoir_level", 1.0, 2.5, 1.5, "m")
    ] * 40
    assert forebay("revisions", path, "--gauge", "r1", "--json").json == []
    assert "Small Dam (SIMULATED): no revision of these gauges" in forebay("revisions", path, "--gauge", "r1").out
    text = forebay("revisions", path, "--since", "2024-01-01").out
    assert "1 → 2.5" in text
    assert "the newest 40 of 40 revisions" in text
    assert forebay("revisions", path, "--until", "2024-01-01", "--json").json == []


def test_the_newest_revisions_are_listed() -> None:
    text = forebay("revisions", fetch_levels(1.0, 2.5, 3.5)).out
    assert "the newest 40 of 80 revisions" in text
    assert (text.count("2.5 → 3.5"), text.count("1 → 2.5")) == (40, 0)


def test_a_dry_run_creates_no_archive(url: str, request: pytest.FixtureRequest) -> None:
    path = synthetic.write_dam(DAM, daily_frame(DAM, {"reservoir_level": [1.0] * 9, "rainfall_r1": [0.0] * 9}), Path())
    planned = forebay("fetch", path, "--dry-run", "--json", "--archive", url)
    assert (planned.code, planned.err, len(planned.json)) == (0, "", 2)
    check_error(forebay("archive", "check", "--archive", url), 2, "does not exist")
    if url.startswith("postgresql"):
        tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        assert request.getfixturevalue("postgres").execute(tables, url) == [(0,)]


def test_revisions_refuse_a_missing_archive_or_gauge(url: str) -> None:
    path = synthetic.write_dam(DAM, daily_frame(DAM, {"reservoir_level": [1.0] * 9, "rainfall_r1": [0.0] * 9}), Path())
    check_error(forebay("revisions", path), 2, "does not exist; give another one with --archive")
    fetch_levels(1.0)
    check_error(forebay("revisions", path, "--gauge", "r9"), 2, "'r9' is no gauge of Small Dam; give a station")
    check_error(
        forebay("revisions", path, "--since", "2024-02-01", "--until", "2024-01-01"), 2, "must not be before since"
    )


def test_check_backup_restore_copy_and_compact(url: str, new_url: Callable[[], str]) -> None:
    fetch_levels(1.0, 2.0)
    check = forebay("archive", "check", "--json").json
    assert (check["series"], check["versions"], check["file_faults"]) == (2, 120, [])
    assert set(check["faults"].values()) == {0}
    assert "2 series, 120 versions" in forebay("archive", "check").out

    assert forebay("archive", "backup", "b.db", "--json").json["versions"] == 120
    check_error(forebay("archive", "backup", "b.db"), 2, r"b\.db' exists already")
    text = forebay("archive", "backup", "b.db", "--replace").out
    assert re.fullmatch(r"(\S*/)?b\.db: 2 series, 120 versions, [0-9.]+ MB, verified against \S+://\S+\n", text)

    second, third = new_url(), new_url()
    assert forebay("archive", "restore", "b.db", "--archive", second, "--json").json["kept"] is None
    check_error(forebay("archive", "restore", "b.db", "--archive", second), 2, "holds 120 versions; .* --replace")
    replaced = forebay("archive", "restore", "b.db", "--archive", second, "--replace")
    assert re.search(r"the previous content is in b\.replaced-\w+\.db", replaced.out)

    assert forebay("archive", "copy", "--to", third, "--json").json["versions"] == 120
    check_error(forebay("archive", "copy", "--to", third), 2, "holds 120 versions; give another one")

    compacted = forebay("archive", "compact", "--json").json
    assert (compacted["versions"], sorted(compacted)) == (120, ["after", "before", "versions", "where"])
    assert re.search("120 versions, [0-9.]+ MB before, [0-9.]+ MB now", forebay("archive", "compact").out)
    output = "".join(part for result in (replaced, forebay("archive", "check")) for part in (result.out, result.err))
    assert re.search("//forebay:(?!\\*\\*\\*)", output) is None


def test_an_archive_with_faults(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("no archive" * 1000)
    check_error(forebay("archive", "check", "--archive", f"sqlite:///{text}"), 2, "is not an SQLite database")
    check_error(forebay("archive", "restore", "none.db"), 2, r"none\.db' is no file")
    fetch_levels(1.0)
    forebay("archive", "backup", "b.db")
    import sqlite3

    with sqlite3.connect("b.db") as connection:
        connection.execute("UPDATE observation SET quality = 'torn' WHERE time = (SELECT min(time) FROM observation)")
    connection.close()
    result = forebay("archive", "check", "--archive", "sqlite:///b.db", "--json")
    assert result.code == 1
    assert result.json["faults"]["a value, quality or time that is none"] == 2
    assert result.err.startswith("forebay: archive sqlite:///b.db has faults: 2 with a value, quality or time that is")


def test_fetch_to_a_read_only_file_or_a_full_disk(tmp_path: Path) -> None:
    path = fetch_levels(1.0)
    with disks.small_disk(tmp_path / "disk", "224k") as disk:
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
        check_error(result, 1, "the disk is full|is full")
        disks.mount("-o", "remount,ro", str(disk))
        check_error(forebay("fetch", path, "--archive", url), 2, "read-only|cannot be (opened|written)")
        disks.mount("-o", "remount,rw,size=8m", str(disk))
        assert forebay("fetch", path, "--archive", url).code == 0
        assert forebay("archive", "check", "--archive", url).code == 0
        last = [row for row in forebay("revisions", path, "--archive", url, "--json").json if row["value"] == level]
        assert len(last) == 40
