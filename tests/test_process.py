"""The program as a process: outputs that cannot be written, encodings, Ctrl-C at any time, a missing system library."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from forebay.features.samples import make_samples
from forebay.files import staging_folder, write_all, write_file
from forebay.models.model import Array
from forebay.models.references import DampedChange, NoChange
from forebay.verify import hindcast
from tests import synthetic
from tests.synthetic import rain_gauge, small_dam

PROGRAM = "from forebay.cli import main; main()"
READY = (
    "import signal, sys; from forebay.cli import main, stop_at_once; signal.signal(signal.SIGINT, stop_at_once); "
    "sys.stderr.write('ready\\n'); sys.stderr.flush(); main()"
)
LAKE = small_dam(rain_gauge(), hindcast={"leads": (1, 3)}, name="Łódź 三峡")


def command(*arguments: object, program: str = PROGRAM) -> list[str]:
    return [sys.executable, "-P", "-c", program, *map(str, arguments)]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **changes}


def lake_file(folder: Path) -> Path:
    return synthetic.write_dam(LAKE, synthetic.daily(LAKE, days=700), folder)


# --- the standard output --------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize(
    "arguments",
    [
        ["dams"], ["dams", "--json"], ["settings"], ["--help"], ["--version"],
        ["fetch", "demo", "--dry-run", "--json"],  # short: all of it is written at the end
    ],
)  # fmt: skip
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_standard_output_is_one_sentence(arguments: list[str], unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            command(*arguments), stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            env=environment(PYTHONUNBUFFERED=unbuffered, FOREBAY_ARCHIVE="sqlite:///none/archive.db"),
        )  # fmt: skip
    assert process.stderr == "forebay: the output cannot be written: No space left on device\n"
    assert process.returncode == 1


def test_a_closed_standard_output_is_no_error() -> None:
    process = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command("dams")], stderr=subprocess.PIPE, text=True, check=False
    )
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "koi8-r"])
def test_a_character_that_the_encoding_lacks_becomes_a_question_mark(encoding: str, tmp_path: Path) -> None:
    path = lake_file(tmp_path)
    process = subprocess.run(
        command("fetch", path, "--archive", f"sqlite:///{tmp_path}/a.db"), capture_output=True, check=False,
        env=environment(PYTHONIOENCODING=encoding, PYTHONUTF8="0"),
    )  # fmt: skip
    assert (process.returncode, process.stderr) == (0, b"")
    title = process.stdout.decode(encoding).splitlines()[0]
    assert title == f"{LAKE.name.encode(encoding, 'replace').decode(encoding)}: the archive's gauges"
    assert "?" in title


# --- Ctrl-C ---------------------------------------------------------------------------------------------------------


def test_ctrl_c_in_the_first_half_second_is_one_sentence(tmp_path: Path) -> None:
    path = lake_file(tmp_path)
    arguments = command("run", path, "--archive", f"sqlite:///{tmp_path}/a.db", "-o", tmp_path / "out", program=READY)
    for delay in np.linspace(0, 0.5, 12):
        with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert process.stderr.readline() == "ready\n"
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
        assert rest.startswith("forebay: stopped; "), f"after {delay:.2f} s: {rest}"
        assert (rest.count("\n"), process.returncode) == (1, 130)


def test_ctrl_c_waits_for_an_import(tmp_path: Path) -> None:
    """A library that is interrupted while it is imported may report an error of its own, as pydantic does."""
    (tmp_path / "slow_library.py").write_text(
        "import sys, time\n"
        "try:\n    sys.stderr.write('ready\\n'); sys.stderr.flush(); time.sleep(0.5)\n"
        "except BaseException as error:\n    raise ValueError('half a library') from error\n"
    )
    program = (
        "import signal, sys; from forebay.cli import interrupt; signal.signal(signal.SIGINT, interrupt)\n"
        "try:\n    import slow_library; sys.stderr.write('imported\\n')\n    while True: signal.pause()\n"
        "except KeyboardInterrupt:\n    sys.stderr.write('stopped\\n')\n"
    )
    arguments = command(program=program)
    env = environment(PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert (rest.splitlines()[-1], process.returncode) == ("stopped", 0), rest
    assert "half a library" not in rest


def test_little_is_imported_before_ctrl_c_is_handled() -> None:
    code = "import sys; before = set(sys.modules); import forebay.cli; print(*sorted(set(sys.modules) - before))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(process.stdout.split()) < 25, process.stdout
    assert "typing" not in process.stdout.split()


def test_ctrl_c_in_a_hindcast_begins_no_further_fit() -> None:
    fits: list[int] = []

    class Counted(NoChange):
        def fit(self, inputs: object, target: Array) -> Counted:
            fits.append(len(target))
            return self

    def stop(_step: str, count: int, _of: int) -> None:
        if count == 2:
            raise KeyboardInterrupt

    frame = synthetic.daily(LAKE, days=2500)
    samples = make_samples(frame, frame, LAKE)
    models = {"counted": Counted, "damped_change": DampedChange}
    hindcast.point_forecasts(samples, LAKE, models)
    of_all, fits[:] = len(fits), []
    with pytest.raises(KeyboardInterrupt):
        hindcast.point_forecasts(samples, LAKE, models, execution=hindcast.Execution(workers=1, progress=stop))
    assert len(fits) < of_all / 2


# --- a system library -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_missing_openmp_library_is_one_sentence_with_the_remedy(tmp_path: Path) -> None:
    """LightGBM as on a system without libgomp1: its library asks for one that does not exist."""
    package = tmp_path / "packages" / "lightgbm"
    shutil.copytree(Path(lightgbm.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (library,) = package.rglob("lib_lightgbm.so")
    content = library.read_bytes()
    assert content.count(b"libgomp.so.1\0") == 1
    library.write_bytes(content.replace(b"libgomp.so.1\0", b"libgomp.so.9\0"))
    path, url = lake_file(tmp_path), f"sqlite:///{tmp_path}/a.db"
    variables = environment(PYTHONPATH=os.pathsep.join([str(package.parent), *sys.path]), FOREBAY_CACHE_MB="0")
    code = f"import forebay; forebay.forecast({str(path)!r}, archive={url!r})"
    script = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False, timeout=100, env=variables
    )
    assert "ForebayError: LightGBM cannot be loaded" in script.stderr, "no other model replaces the trees"
    process = subprocess.run(
        command("run", path, "--archive", url, "-o", tmp_path / "out"),
        capture_output=True, text=True, check=False, timeout=100, env=variables,
    )  # fmt: skip
    assert process.returncode == 1
    assert process.stderr.count("\n") == 1, process.stderr
    assert process.stderr.startswith("forebay: LightGBM cannot be loaded (libgomp.so.9: cannot open shared object file")
    assert "apt-get install libgomp1" in process.stderr


# --- folders of killed runs -----------------------------------------------------------------------------------------


def hold_staging_folder(folder: Path) -> Sequence[str]:
    """A process that is in the middle of `write_all`; it prints the name of its staging folder."""
    code = (
        "import sys; from pathlib import Path; from forebay.files import write_all\n"
        "with write_all(Path(sys.argv[1])) as files:\n"
        "    (files.stage / 'page.html').write_text('half'); print(files.stage.name, flush=True); sys.stdin.read()"
    )
    return [sys.executable, "-P", "-c", code, str(folder)]


def test_the_next_run_removes_the_folder_of_a_killed_one_and_no_other(tmp_path: Path) -> None:
    arguments = hold_staging_folder(tmp_path)
    with (
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed,
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as working,
    ):
        assert killed.stdout is not None
        assert working.stdout is not None
        left, used = killed.stdout.readline().strip(), working.stdout.readline().strip()
        killed.kill()
        killed.wait()
        assert {path.name for path in tmp_path.iterdir()} == {left, used}
        with write_all(tmp_path) as files:
            (files.stage / "a.csv").write_text("a")
            write_file(tmp_path / "b.csv", b"b")  # within a process, too, no folder in use is removed
        assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "b.csv", used}
        working.kill()
    with staging_folder(tmp_path):
        assert not (tmp_path / used).exists()


def test_a_staging_folder_with_its_own_prefix_removes_only_such_folders(tmp_path: Path) -> None:
    for name in ("forebay-dask-left", ".unfinished-left", "forebay-fleet-left"):
        (tmp_path / name).mkdir()
    with staging_folder(tmp_path, prefix="forebay-dask-") as used, staging_folder(tmp_path, prefix="forebay-dask-"):
        assert used.exists() and used.name.startswith("forebay-dask-")
        assert used.stat().st_mode & 0o777 == 0o700, "of this user alone: it may be in /tmp"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".unfinished-left", "forebay-fleet-left"]


def test_links_and_files_with_the_name_of_a_staging_folder_stay(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "kept").touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / ".unfinished-link").symlink_to(other)
    (folder / ".unfinished-file").touch()
    with staging_folder(folder):
        pass
    assert sorted(path.name for path in folder.iterdir()) == [".unfinished-file", ".unfinished-link"]
    assert (other / "kept").exists()
