"""Archives that cannot be written: files of mode 0444 in a folder of mode 0555, with and without a log."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from forebay.archive import read_only, upkeep
from forebay.archive.store import open_archive
from forebay.dams.dam_file import load_dam
from forebay.errors import BusyError
from tests import synthetic
from tests.command_line import forebay
from tests.postgres import Cluster
from tests.read_only import run_restricted
from tests.readings import LEVEL, MONDAY, day_contents, readings

WEATHER = "weather_series, weather_run, weather_value"
RECORDS = "forecast_record"
ALERTS = "alert_decision, alert_delivery"
ACCESS = "access_token, alert_acknowledgement"

DAYS = 400
RUN = """
import json, sys
from tests.command_line import forebay
results = [forebay(*arguments) for arguments in json.loads({commands!r})]
print(json.dumps([[result.code, result.out, result.err] for result in results]))
"""


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a dam file and an archive of its readings, which have one revision (simulated)."""
    folder = tmp_path_factory.mktemp("record")
    dam = synthetic.small_dam(synthetic.rain_gauge(), full_supply=1.0, hindcast={"leads": (1,)})
    rng = np.random.default_rng(DAYS)
    levels, rain = np.cumsum(rng.normal(0, 0.05, DAYS)).tolist(), rng.gamma(0.3, 10.0, DAYS).tolist()
    for last in (0.5, 0.6):
        columns = {"reservoir_level": [*levels[:-1], last], "rainfall_r1": rain}
        path = synthetic.write_dam(dam, synthetic.daily_frame(dam, columns), folder)
        assert forebay("fetch", path, "--archive", f"sqlite:///{folder}/forebay.db").code == 0
    return path


@pytest.fixture
def archive(record: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the archive in a folder of its own, which becomes writable again at the end."""
    folder = tmp_path / "archive"
    folder.mkdir()
    shutil.copy(record.parent / "forebay.db", folder)
    yield folder / "forebay.db"
    folder.chmod(0o755)


def protect(archive: Path) -> None:
    """Make the archive and its folder read-only."""
    for file in archive.parent.iterdir():
        file.chmod(0o444)
    archive.parent.chmod(0o555)


def run_commands(folder: Path, *commands: list[object]) -> list[tuple[int, str, str]]:
    """Exit code, output and error stream of forebay's commands, run by a user whom modes restrict."""
    texts = [[str(word) for word in command] for command in commands]
    process = run_restricted(folder, RUN.format(commands=json.dumps(texts)))
    assert process.returncode == 0, process.stderr
    return [tuple(result) for result in json.loads(process.stdout.splitlines()[-1])]


def add_log(archive: Path) -> None:
    """Leave a stored change in the log, as after a kill."""
    code = (
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('DELETE FROM observation WHERE time = (SELECT min(time) FROM observation)')\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-P", "-c", code, archive], check=True)
    assert Path(f"{archive}-wal").stat().st_size > 0


def check_sentence(result: tuple[int, str, str], code: int, pattern: str) -> None:
    assert result[0] == code, result
    assert re.fullmatch(r"forebay: [^\n]+\n", result[2]), result[2]
    assert re.search(pattern, result[2]), result[2]


@pytest.mark.parametrize(("name", "twin"), [("a%20b.db", "a b.db"), ("a?b.db", "a"), ("a#b.db", "a"), ("a&b.db", "c")])
def test_an_archive_that_is_read_without_locks_is_the_one_of_this_name(
    archive: Path, monkeypatch: pytest.MonkeyPatch, name: str, twin: str
) -> None:
    open_archive(f"sqlite:///{archive.with_name(twin)}").close()
    place = archive.rename(archive.with_name(name))
    monkeypatch.setattr(read_only, "is_immutable", lambda _path, _where: True)
    url = f"sqlite:///{quote(str(place))}"
    with open_archive(url, create=False) as opened, opened._database.reading() as connection:
        assert opened._database.count(connection) == 2 * DAYS + 1


@pytest.mark.parametrize("change", ["content", "length", "another file"])
def test_any_change_of_a_file_that_is_read_without_locks_is_detected(tmp_path: Path, change: str) -> None:
    path = tmp_path / "forebay.db"
    path.write_bytes(b"before")
    os.utime(path, (1, 1))
    before = path.stat()
    with read_only.unchanged(path, before, "x"):
        path.read_bytes()
    with pytest.raises(BusyError, match="was changed by another process"), read_only.unchanged(path, before, "x"):
        if change == "another file":
            (tmp_path / "new").write_bytes(b"before")
            os.utime(tmp_path / "new", (1, 1))
            (tmp_path / "new").replace(path)
        else:
            path.write_bytes(b"after!" if change == "content" else b"longer than before")
        if change == "length":
            os.utime(path, (1, 1))


def test_commands_that_read_work_on_a_read_only_archive(record: Path, archive: Path, tmp_path: Path) -> None:
    protect(archive)
    content = archive.read_bytes()
    place = ["--archive", f"sqlite:///{archive}"]
    check, daily, revisions, backup = run_commands(
        tmp_path,
        ["archive", "check", *place],
        ["daily", record, "-o", "daily.csv", *place],
        ["revisions", record, "--json", *place],
        ["archive", "backup", "backup.db", *place],
    )
    assert [check[0], daily[0], revisions[0], backup[0]] == [0, 0, 0, 0], (check, daily, revisions, backup)
    assert f"2 series, {2 * DAYS + 1} versions" in check[1]
    assert len((tmp_path / "daily.csv").read_text().splitlines()) == DAYS + 1
    assert [row["value"] for row in json.loads(revisions[1])] == [0.6]
    assert archive.read_bytes() == content
    assert [file.name for file in archive.parent.iterdir()] == ["forebay.db"]


@pytest.mark.slow
def test_a_forecast_and_a_screening_of_a_read_only_archive(record: Path, archive: Path, tmp_path: Path) -> None:
    protect(archive)
    place = ["--archive", f"sqlite:///{archive}"]
    forecast, screen = run_commands(
        tmp_path, ["forecast", record, "--json", *place], ["screen", record, "-o", "screening", *place]
    )
    assert (forecast[0], screen[0]) == (0, 0), (forecast, screen)
    content = json.loads(forecast[1])
    assert len(content["forecast"]) > 0
    assert content["record"] is None
    assert content["not_recorded"] == (
        f"This forecast is not recorded: archive sqlite:///{archive} cannot be written: file or folder is read-only; "
        "choose another with --archive."
    )


def test_a_command_that_writes_is_refused_in_one_sentence(record: Path, archive: Path, tmp_path: Path) -> None:
    protect(archive)
    place = ["--archive", f"sqlite:///{archive}"]
    fetch, compact = run_commands(tmp_path, ["fetch", record, *place], ["archive", "compact", *place])
    check_sentence(fetch, 2, "cannot be written: file or folder is read-only; choose another with --archive")
    check_sentence(compact, 2, "cannot be written: file or folder is read-only; choose another with --archive")


def test_a_log_is_read_or_the_archive_is_refused(record: Path, archive: Path, tmp_path: Path) -> None:
    add_log(archive)
    protect(archive)
    check = ["archive", "check", "--archive", f"sqlite:///{archive}"]
    (with_log,) = run_commands(tmp_path, check)
    assert f"{2 * DAYS - 1} versions" in with_log[1], "the log is read: its change is there"
    archive.parent.chmod(0o755)
    Path(f"{archive}-shm").unlink()
    protect(archive)
    (without_index,) = run_commands(tmp_path, check)
    check_sentence(without_index, 2, r"forebay\.db-wal has changes that cannot be read in a folder without write perm")
    archive.parent.chmod(0o755)
    assert forebay(*check).code == 0, "a user who can write"
    assert not Path(f"{archive}-wal").exists()
    protect(archive)
    (merged,) = run_commands(tmp_path, check)
    assert f"{2 * DAYS - 1} versions" in merged[1]


def test_a_link_to_an_archive_is_read_like_the_archive(archive: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(archive)
    protect(archive)
    (result,) = run_commands(tmp_path, ["archive", "check", "--archive", f"sqlite:///{link}"])
    assert f"{2 * DAYS + 1} versions" in result[1], result


def test_an_empty_log_does_not_matter(archive: Path, tmp_path: Path) -> None:
    Path(f"{archive}-wal").touch()
    protect(archive)
    (result,) = run_commands(tmp_path, ["archive", "check", "--archive", f"sqlite:///{archive}"])
    assert f"{2 * DAYS + 1} versions" in result[1]


def test_older_schemas(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    for number in (1, 2, 3, 4):
        shutil.copy(Path(__file__).parent / "archives" / f"schema_{number}.db", folder)
    protect(folder / "schema_1.db")
    urls = [f"sqlite:///{folder}/schema_{number}.db" for number in (1, 2, 3, 4)]
    first, *others = run_commands(tmp_path, *(["archive", "check", "--archive", url] for url in urls))
    folder.chmod(0o755)
    check_sentence(first, 2, "has schema version 1 and cannot be upgraded in a folder without write permission; copy")
    assert [result[0] for result in others] == [0, 0, 0]
    assert sorted(file.name for file in folder.iterdir()) == [f"schema_{number}.db" for number in (1, 2, 3, 4)]


def test_a_user_of_a_server_who_may_only_read(postgres: Cluster, record: Path, tmp_path: Path) -> None:
    url = postgres.new()
    upkeep.copy(f"sqlite:///{record.parent}/forebay.db", url)
    postgres.execute("CREATE ROLE reader LOGIN PASSWORD 'reader-secret'")
    tables = f"series, observation, archive_schema, gauge_fetch, staff_note, {WEATHER}, {RECORDS}, {ALERTS}, {ACCESS}"
    postgres.execute(f"GRANT SELECT ON {tables} TO reader", url)
    place = ["--archive", url.replace(f"//forebay:{postgres.password}@", "//reader:reader-secret@")]
    for schema in (8, 7, 6, 5, 4, 3, 2):
        if schema == 7:
            postgres.execute(f"DROP TABLE {ACCESS}; UPDATE archive_schema SET version = 7", url)
        if schema == 6:
            postgres.execute("DROP TABLE staff_note; UPDATE archive_schema SET version = 6", url)
        if schema == 5:
            postgres.execute(f"DROP TABLE {ALERTS}; UPDATE archive_schema SET version = 5", url)
        if schema == 4:
            postgres.execute(f"DROP TABLE gauge_fetch, {RECORDS}; UPDATE archive_schema SET version = 4", url)
        if schema == 3:
            postgres.execute(f"DROP TABLE {WEATHER}; UPDATE archive_schema SET version = 3", url)
        if schema == 2:
            postgres.execute("DROP TABLE lease; UPDATE archive_schema SET version = 2", url)
        assert f"{2 * DAYS + 1} versions" in forebay("archive", "check", *place).out
        assert forebay("daily", record, "-o", tmp_path / "daily.csv", *place).code == 0
        refused = forebay("fetch", record, *place)
        check_sentence((refused.code, refused.out, refused.err), 2, "refuses its user; grant the right to create")


def test_a_change_of_a_file_that_is_read_without_locks_is_an_error(
    archive: Path, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gauges = load_dam(str(record)).gauges
    url = f"sqlite:///{archive}"
    with monkeypatch.context() as patch:
        patch.setattr(read_only.os, "access", lambda _path, _mode: False)  # for the reader only
        reader = open_archive(url, create=False)
    with reader:
        assert reader.as_of(gauges).height == 2 * DAYS
        with open_archive(url) as writer:
            writer.append(readings(LEVEL, day_contents(date(2020, 1, 1), [1.0] * 5000)), MONDAY)
            assert reader.as_of(gauges).height == 2 * DAYS, "the change is in the log, not in the file"
        with pytest.raises(BusyError, match="was changed by another process while it was read; try again"):
            reader.as_of(gauges)


def test_an_archive_in_a_folder_that_can_be_written_has_locks(archive: Path) -> None:
    archive.chmod(0o444)
    assert not read_only.is_immutable(archive, "")
