"""Pictures drawn in the background, by processes that run `rendering`.

vl-convert holds the interpreter lock for seconds while it draws. In a thread it would stop all other work.

The processes are our own instead of `concurrent.futures.ProcessPoolExecutor` (spawn), for these reasons, measured on
Python 3.11 and 2 cores:

- The pool imports the caller's main module again. A script without `if __name__ == "__main__":` then fails with
  `BrokenProcessPool`, and our Python interface must work in such a script.
- The pool starts its workers by `python -c`, so that a file such as `struct.py` in the working folder is executed.
  Our processes start with `-P`.
- A worker that is killed breaks the whole pool with all its pictures. Here each picture is drawn in this process if its
  process does not answer.
- Ctrl-C reaches the workers of a pool, which print tracebacks. Our processes are in sessions of their own.
- The first two pictures take 6.2 to 10 s in a pool and 4.0 to 5.0 s here (three runs of each, on a busy machine).

Each process answers a line of JSON by a line of JSON and ends when its input ends, so it never outlives its parent.
"""

from __future__ import annotations

import atexit
import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.charts import rendering
from forebay.charts.rendering import Picture
from forebay.files import staging_folder
from forebay.log import add_counts, step

if TYPE_CHECKING:
    from forebay.charts.spec import Spec

_BUNDLES: list[Future[str]] = []
"""The bundle of this process, once it is needed."""
_PROCESSES = 2
_EMPTY: Spec = {"data": {"values": []}, "mark": "point"}
"""The first picture of a process takes it as long as several others."""
_EXIT_TIMEOUT_S = 10.0


def start_bundle(folder: Path | None = None) -> None:
    """Start to build the bundle, so that it is ready when a page needs it; returns at once.

    With `folder`, it is built once for each version of vl-convert and stored there.
    """
    _bundle(folder)


def start_processes() -> None:
    """Start the processes that draw, so that they are ready when the first figure is; returns at once."""
    for _ in range(_PROCESSES):
        _threads().submit(_request, {"spec": _EMPTY})


def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, which sets `window.vegaEmbed`."""
    return _bundle().result()


def start_drawing(specs: Iterable[tuple[str, Spec]]) -> dict[str, Future[Picture]]:
    """Pictures by name, in the background: each is started as soon as `specs` yields its specification."""
    return {name: _threads().submit(_draw, spec) for name, spec in specs}


def bundle_name() -> str:
    """Version of the bundle: of Vega-Lite and of vl-convert."""
    return f"{rendering.VEGA_LITE}-{version('vl-convert-python')}"


@step("pictures")
def write_pictures(
    pictures: Mapping[str, Future[Picture]], folder: Path, progress: Callable[[str, int, int], None] | None = None
) -> None:
    """Write each picture as NAME.svg and NAME.png into `folder`.

    Parameters
    ----------
    progress
        Called with "draw", the number of complete pictures and the number of all, before the first and after each.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    add_counts({"pictures": len(pictures)})
    for count, (name, future) in enumerate(pictures.items()):
        if progress:
            progress("draw", count, len(pictures))
        picture = future.result()
        (folder / f"{name}.svg").write_text(picture.svg, "utf-8")
        (folder / f"{name}.png").write_bytes(picture.png)
    if progress:
        progress("drawn", len(pictures), len(pictures))


def _bundle(folder: Path | None = None) -> Future[str]:
    if not _BUNDLES:
        _BUNDLES.append(_threads().submit(_stored_bundle, folder))
    return _BUNDLES[0]


def _stored_bundle(folder: Path | None) -> str:
    """The bundle from its file in `folder`, whose first line is the digest of the rest, or a new one."""
    if folder is None:
        return _request_bundle()
    path = folder / f"vega-{bundle_name()}.js"
    with suppress(OSError, ValueError):
        digest, _, text = path.read_bytes().decode().partition("\n")
        if digest == _digest(text):
            os.utime(path)
            return text
    text = _request_bundle()
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with staging_folder(folder) as stage:
            (stage / path.name).write_bytes(f"{_digest(text)}\n{text}".encode())
            os.replace(stage / path.name, path)
    return text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _threads() -> ThreadPoolExecutor:
    """Threads that wait for the answers, each of its own process."""
    return ThreadPoolExecutor(_PROCESSES)


def _request_bundle() -> str:
    answer = _request({"bundle": True})
    return rendering.bundle_vega() if answer is None else answer["bundle"]


def _draw(spec: Spec) -> Picture:
    answer = _request({"spec": spec})
    return rendering.draw(spec) if answer is None else Picture(answer["svg"], base64.b64decode(answer["png"]))


def _request(request: dict[str, object]) -> dict[str, str] | None:
    """The process's answer; None if it was killed or if the request made it fail."""
    process = _process(threading.get_ident())
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        answer: dict[str, str] | None = json.loads(process.stdout.readline() or "null")
    except (OSError, json.JSONDecodeError):  # the process has ended, perhaps within a line
        return None
    return answer


@cache
def _process(_thread: int) -> subprocess.Popen[str]:
    """The process of a thread, in a session of its own: Ctrl-C must reach its parent only."""
    command = [sys.executable, "-P", rendering.__file__]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", start_new_session=True
    )
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.communicate(timeout=_EXIT_TIMEOUT_S)  # closes its input
    except subprocess.TimeoutExpired:
        process.kill()
