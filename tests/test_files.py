"""`forebay.files`: a set of files is written completely or not at all; an unwritable folder is an early error."""

from collections.abc import Callable
from pathlib import Path

import pytest

from forebay.errors import ConfigError, ModelError
from forebay.files import check_writable, check_writable_file, write_all, write_file
from tests.disks import mount, small_disk


def test_files_are_in_place_after_the_block_and_not_before(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    with write_all(folder) as files:
        (files.stage / "b.csv").write_text("b")
        (files.stage / "a.csv").write_text("a")
        assert not (folder / "a.csv").exists()
    assert files.paths == [folder / "a.csv", folder / "b.csv"]
    assert [path.read_text() for path in files.paths] == ["a", "b"]
    assert sorted(folder.iterdir()) == files.paths, "the staging folder is removed"


def test_a_folder_among_the_files_stays_behind(tmp_path: Path) -> None:
    with write_all(tmp_path) as files:
        (files.stage / "b.csv").write_text("b")
        (files.stage / "a").mkdir()
        (files.stage / "a" / "inner.csv").write_text("inner")
    assert files.paths == [tmp_path / "b.csv"]
    assert list(tmp_path.iterdir()) == files.paths


@pytest.mark.parametrize("error", [ModelError("the model failed"), OSError(28, "No space left on device")])
def test_after_an_error_the_files_of_the_last_run_are_unchanged(tmp_path: Path, error: Exception) -> None:
    (tmp_path / "a.csv").write_text("last run")
    message = r"the model failed|No space left on device; choose another"
    with pytest.raises((ModelError, ConfigError), match=message), write_all(tmp_path) as files:
        (files.stage / "a.csv").write_text("new")
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "last run"


def _write_set(path: Path, content: bytes) -> None:
    with write_all(path.parent) as files:
        (files.stage / path.name).write_bytes(content)


@pytest.mark.parametrize("write", [_write_set, write_file])
def test_a_reader_has_the_whole_file_of_one_run(tmp_path: Path, write: Callable[[Path, bytes], None]) -> None:
    path = tmp_path / "a.csv"
    path.write_text("last run")
    with path.open() as reader:
        write(path, b"new")
        assert reader.read() == "last run", "who has opened the file reads it to its end"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_completed_leaves_the_last_one(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        path = disk / "a.csv"
        path.write_text("last run")
        with pytest.raises(ConfigError, match=r"a\.csv cannot be written \(No space left on device\)"):
            write_file(path, b"x" * 100_000)
        assert path.read_text() == "last run"
        assert [entry.name for entry in disk.iterdir() if entry.name != "lost+found"] == ["a.csv"]


def test_a_writable_folder_is_not_created_early(tmp_path: Path) -> None:
    check_writable(tmp_path / "not" / "yet")
    check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(
            ConfigError, match=r"folder '.*' cannot be written: Not a directory; choose another with -o"
        ):
            check_writable(folder)


def test_a_folder_on_a_disk_that_is_read_only(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        mount("-o", "remount,ro", str(disk))
        for folder in (disk, disk / "below"):
            with pytest.raises(
                ConfigError, match="cannot be written: Read-only file system; choose another with -o DIR"
            ):
                check_writable(folder)


def test_a_link_to_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for folder in (tmp_path / "link", tmp_path / "link" / "below"):
        with pytest.raises(ConfigError, match=r"'.*/link' is a link to a folder that does not exist"):
            check_writable(folder)


def test_a_file_that_cannot_be_written_is_refused_early(tmp_path: Path) -> None:
    check_writable_file(tmp_path / "a.csv", (".csv",))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "folder.csv").mkdir()
    for name, reason in (
        ("a.txt", r"suffix '.txt' is unknown; allowed are \.csv, \.json"),
        ("folder.csv", r"cannot be written \(it is a folder\)"),
        ("nothing/a.json", r"cannot be written \(No such file or directory\); give a path in a folder that can be"),
    ):
        with pytest.raises(ConfigError, match=reason):
            check_writable_file(tmp_path / name, (".csv", ".json"))
