"""Pictures drawn in a process of their own, which nothing that happens to it may cost."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from forebay.charts import drawing

SPEC = {
    "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
    "data": {"values": [{"day": 1, "level": 2.0}, {"day": 2, "level": 3.0}]},
    "mark": "line",
    "encoding": {"x": {"field": "day"}, "y": {"field": "level"}},
}
PNG = b"\x89PNG\r\n\x1a\n"


def test_pictures_are_those_that_are_drawn_here(tmp_path: Path) -> None:
    drawing.write(drawing.start([("one", SPEC), ("two", SPEC)]), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "one.svg", "two.png", "two.svg"]
    here = drawing.draw(SPEC)
    assert (tmp_path / "two.svg").read_text("utf-8") == here.svg
    assert (tmp_path / "two.png").read_bytes() == here.png
    assert here.png.startswith(PNG)


def test_the_program_is_that_which_is_made_here() -> None:
    drawing.begin()
    assert drawing.program() == drawing.make_program()


def test_a_process_that_was_ended_costs_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its middle and before its start, as by a system that is out of memory."""
    monkeypatch.setattr(drawing, "_process", lambda _: process)
    monkeypatch.setattr(drawing, "_waiters", lambda: one_waiter)
    one_waiter = ThreadPoolExecutor(1)
    run = [sys.executable, "-m", "forebay.charts.drawing"]
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as process:
        drawings = drawing.start([("one", SPEC), ("two", SPEC)])
        process.kill()
        made = [future.result() for future in drawings.values()]
        process.wait()
        made += [future.result() for future in drawing.start([("three", SPEC)]).values()]
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # what was not sent need not be
            process.stdin.close()
    assert [picture.svg for picture in made] == [drawing.draw(SPEC).svg] * 3


def test_what_cannot_be_drawn_is_told_as_it_is_here(capfd: pytest.CaptureFixture[str]) -> None:
    bad = SPEC | {"mark": "no such mark"}
    with pytest.raises(ValueError, match="SVG conversion failed"):
        drawing.draw(bad)
    with pytest.raises(ValueError, match="SVG conversion failed"):
        drawing.start([("bad", bad)])["bad"].result()
    assert drawing.start([("good", SPEC)])["good"].result().png.startswith(PNG)
    capfd.readouterr()


def test_it_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """Even if that is killed without a chance to say so."""
    told = tmp_path / "pid"
    parent_does = (
        "import sys, threading, time; from pathlib import Path; from forebay.show import drawing\n"
        "drawing.program(); of_thread = lambda: drawing._process(threading.get_ident())\n"
        "process = drawing._waiters().submit(of_thread).result()\n"
        "Path(sys.argv[1]).write_text(str(process.pid)); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent_does, str(told)]) as parent:
        until = time.monotonic() + 60
        while not (told.exists() and told.read_text()):
            assert time.monotonic() < until
            time.sleep(0.05)
        child = int(told.read_text())
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < until, "the process outlives its parent"
        time.sleep(0.05)
