"""Pictures that separate processes draw: no picture is lost when a process fails."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from forebay.charts import drawing, rendering

SPEC = {
    "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
    "data": {"values": [{"day": 1, "level": 2.0}, {"day": 2, "level": 3.0}]},
    "mark": "line",
    "encoding": {"x": {"field": "day"}, "y": {"field": "level"}},
}
PNG = b"\x89PNG\r\n\x1a\n"
TIMEOUT_S = 60
START = "import sys, threading, time; from pathlib import Path; from forebay.charts import drawing\n"
WRITE_CHILD_PID = (
    "drawing.vega_bundle(); process = lambda: drawing._process(threading.get_ident())\n"
    "Path(sys.argv[1]).write_text(str(drawing._threads().submit(process).result().pid))\n"
)


def test_pictures_equal_the_pictures_of_this_process(tmp_path: Path) -> None:
    drawing.write_pictures(drawing.start_drawing([("one", SPEC), ("two", SPEC)]), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "one.svg", "two.png", "two.svg"]
    picture = rendering.draw(SPEC)
    assert (tmp_path / "two.svg").read_text("utf-8") == picture.svg
    assert (tmp_path / "two.png").read_bytes() == picture.png
    assert picture.png.startswith(PNG)


def test_processes_that_start_early_have_drawn_before_and_draw_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = ThreadPoolExecutor(2)
    monkeypatch.setattr(drawing, "_threads", lambda: threads)
    requests: list[object] = []
    request = drawing._request
    monkeypatch.setattr(drawing, "_request", lambda spec: (requests.append(spec), request(spec))[1])
    drawing.start_processes()
    (picture,) = drawing.start_drawing([("one", SPEC)]).values()
    assert picture.result().svg == rendering.draw(SPEC).svg
    threads.shutdown()
    assert requests == [{"spec": drawing._EMPTY}] * 2 + [{"spec": SPEC}]


def test_the_progress_covers_every_picture(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    pictures = drawing.start_drawing([("one", SPEC), ("two", SPEC)])
    drawing.write_pictures(pictures, tmp_path, lambda *call: calls.append(call))
    assert calls == [("draw", 0, 2), ("draw", 1, 2), ("drawn", 2, 2)]


def test_the_bundle_equals_the_bundle_of_this_process() -> None:
    drawing.start_bundle()
    assert drawing.vega_bundle() == rendering.bundle_vega()


def test_no_picture_is_lost_when_a_process_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is killed while it draws and before it starts, as when memory runs out."""
    monkeypatch.setattr(drawing, "_process", lambda _: process)
    monkeypatch.setattr(drawing, "_threads", lambda: one_thread)
    one_thread = ThreadPoolExecutor(1)
    command = [sys.executable, "-P", rendering.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as process:
        futures = drawing.start_drawing([("one", SPEC), ("two", SPEC)])
        process.kill()
        pictures = [future.result() for future in futures.values()]
        process.wait()
        pictures += [future.result() for future in drawing.start_drawing([("three", SPEC)]).values()]
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # close flushes a request that has no reader
            process.stdin.close()
    assert [picture.svg for picture in pictures] == [rendering.draw(SPEC).svg] * 3


def test_no_picture_is_lost_after_an_incomplete_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    half = "import sys; sys.stdin.readline(); print('{\"svg\": \"<', end='')"
    with subprocess.Popen(
        [sys.executable, "-c", half], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        monkeypatch.setattr(drawing, "_process", lambda _: process)
        assert drawing._draw(SPEC).png.startswith(PNG)


def test_an_invalid_chart_fails_as_in_this_process(capfd: pytest.CaptureFixture[str]) -> None:
    invalid = SPEC | {"mark": "no such mark"}
    with pytest.raises(ValueError, match="SVG conversion failed"):
        rendering.draw(invalid)
    with pytest.raises(ValueError, match="SVG conversion failed"):
        drawing.start_drawing([("invalid", invalid)])["invalid"].result()
    assert drawing.start_drawing([("valid", SPEC)])["valid"].result().png.startswith(PNG)
    capfd.readouterr()


def test_the_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    with _parent("time.sleep(60)", tmp_path) as (parent, child):
        parent.send_signal(signal.SIGKILL)
    _await_end(child)


def test_a_process_whose_parent_has_ended_prints_no_traceback() -> None:
    command = [sys.executable, "-P", rendering.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(json.dumps({"spec": SPEC}).encode() + b"\n")
        process.stdin.close()
        process.stdout.close()  # before the picture is drawn
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_ctrl_c_reaches_the_parent_only(tmp_path: Path) -> None:
    """The parent finishes its pictures; a terminal sends SIGINT to the whole process group."""
    program = (
        "import signal; stopped = []; signal.signal(signal.SIGINT, lambda *_: stopped.append(1))\n"
        "Path(sys.argv[1] + '.ready').touch()\n"
        "while not stopped: time.sleep(0.01)\n"
        "drawing.rendering.draw = None  # so that only the process can draw\n"
        f"assert drawing.start_drawing([('one', {SPEC!r})])['one'].result().png"
    )
    with _parent(program, tmp_path) as (parent, child):
        _await(tmp_path / "pid.ready")
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.wait(TIMEOUT_S) == 0
    _await_end(child)


def test_code_in_the_working_folder_is_not_run(tmp_path: Path) -> None:
    for module in ("base64", "json", "vl_convert"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('code of the working folder')")
    program = tmp_path / "folder"
    program.mkdir()
    script = program / "draw.py"
    script.write_text(f"{START}print(drawing._request({{'spec': {SPEC!r}}})['svg'][:4])")
    process = subprocess.run(
        [sys.executable, script], check=True, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert (process.stdout, process.stderr) == ("<svg\n", "")


@contextmanager
def _parent(program: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A parent process in a new session, and the id of its drawing process."""
    file = folder / "pid"
    command = [sys.executable, "-c", START + WRITE_CHILD_PID + program, str(file)]
    with subprocess.Popen(command, start_new_session=True) as parent:
        _await(file)
        child = int(file.read_text())
        os.kill(child, 0)
        yield parent, child


def _await(file: Path) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not file.exists() or (file.suffix == "" and not file.read_text()):
        assert time.monotonic() < deadline, f"{file.name} was not written"
        time.sleep(0.05)


def _await_end(child: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < deadline, "the process outlives its parent"
        time.sleep(0.05)
