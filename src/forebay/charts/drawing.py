"""Pictures, and the program that draws a page's charts, by vl-convert in processes of its own.

vl-convert holds the interpreter while it works, for seconds in a report: beside it nothing else could be done. The
processes are this module, run: each answers a line of JSON with one line of JSON until its input ends, so that it ends
with whoever started it.
"""

from __future__ import annotations

import atexit
import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

if TYPE_CHECKING:  # the process starts sooner without
    from forebay.charts.spec import Spec

VEGA_LITE = "6.4"
"""Version for which Altair writes and vl-convert draws."""
_PNG_SCALE = 2.0
_ENDS_WITHIN_S = 10.0
_AT_ONCE = 2


class Picture(NamedTuple):
    """A chart as SVG text and as the bytes of a PNG file."""

    svg: str
    png: bytes


def begin() -> None:
    """Start with `program`, so that it is there when a page asks for it; comes back at once."""
    _program()


def program() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, which sets `window.vegaEmbed`."""
    return _program().result()


def start(specs: Iterable[tuple[str, Spec]]) -> dict[str, Future[Picture]]:
    """Start to draw each Vega-Lite text as soon as `specs` gives it; does not wait for the pictures."""
    return {name: _waiters().submit(_drawn, spec) for name, spec in specs}


def write(drawings: Mapping[str, Future[Picture]], folder: Path) -> None:
    """Each picture as SVG and PNG in `folder`, by its name. Raises OSError if they cannot be written."""
    for name, drawing in drawings.items():
        picture = drawing.result()
        (folder / f"{name}.svg").write_text(picture.svg, "utf-8")
        (folder / f"{name}.png").write_bytes(picture.png)


def draw(spec: Spec) -> Picture:
    """The picture of a Vega-Lite text, drawn here and now."""
    import vl_convert

    svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
    return Picture(svg, vl_convert.svg_to_png(svg, scale=_PNG_SCALE))


def make_program() -> str:
    """`program`, made here and now."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE))


@cache
def _program() -> Future[str]:
    return _waiters().submit(_programmed)


@cache
def _waiters() -> ThreadPoolExecutor:
    """Threads, each of which waits for a process of its own to answer."""
    return ThreadPoolExecutor(_AT_ONCE)


def _programmed() -> str:
    answer = _ask({"program": True})
    return make_program() if answer is None else str(answer["program"])


def _drawn(spec: Spec) -> Picture:
    answer = _ask({"spec": spec})
    return draw(spec) if answer is None else Picture(answer["svg"], base64.b64decode(answer["png"]))


def _ask(request: dict[str, object]) -> dict[str, str] | None:
    """What the process answers; None if it does not, as when it was ended from outside or cannot draw this."""
    process = _process(threading.get_ident())
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        answer: dict[str, str] | None = json.loads(process.stdout.readline() or "null")
    except OSError:  # it does not listen any more
        return None
    return answer


@cache
def _process(thread: int) -> subprocess.Popen[str]:  # cached: one for each thread
    """The process of a thread; in a session of its own, so that Ctrl-C is for its parent to heed."""
    pipe, run = subprocess.PIPE, [sys.executable, "-m", __name__]
    process = subprocess.Popen(run, stdin=pipe, stdout=pipe, encoding="utf-8", start_new_session=True)
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.communicate(timeout=_ENDS_WITHIN_S)  # closes its input
    except subprocess.TimeoutExpired:
        process.kill()


def answer_all(requests: TextIO, answers: TextIO) -> None:
    """Answer each request, a line of JSON, with one; none can be answered with an error but by ending."""
    for line in requests:
        request = json.loads(line)
        if "program" in request:
            answer = {"program": make_program()}
        else:
            picture = draw(request["spec"])
            answer = {"svg": picture.svg, "png": base64.b64encode(picture.png).decode()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    answer_all(sys.stdin, sys.stdout)
