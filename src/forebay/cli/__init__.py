"""The command line: one module per group of commands."""

import atexit
import gc
import os
import signal
import sys
from types import FrameType

RETRY_S = 0.02
"""Seconds after which Ctrl-C during an import is tried again."""

COLLECT_AFTER = 200_000
"""New objects after which Python looks for cycles of unused ones; 700 by default."""


def main() -> None:
    """Run the command line, the entry point `forebay`.

    While the commands are imported, Ctrl-C ends the process at once: there is nothing to finish, and a library that is
    interrupted half-way would report an error of its own.
    """
    signal.signal(signal.SIGINT, stop_at_once)
    # A command makes some millions of objects and few cycles: to look for them each 700 takes an eighth of a forecast.
    gc.set_threshold(COLLECT_AFTER, 50, 50)
    # The last collections of the interpreter would visit every object of a report, for half a second, to free none.
    atexit.register(gc.freeze)
    from forebay.cli.app import main as run

    try:
        signal.signal(signal.SIGINT, interrupt)
        run()
    except KeyboardInterrupt:  # before `run` could handle it
        stop_at_once()


def interrupt(_number: int, frame: FrameType | None) -> None:
    """Raise `KeyboardInterrupt`, during an import after its end: a library would make another error of it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            signal.signal(signal.SIGALRM, interrupt)
            signal.setitimer(signal.ITIMER_REAL, RETRY_S)
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def stop_at_once(_number: int = signal.SIGINT, _frame: FrameType | None = None) -> None:
    """End the process with one sentence, without any cleanup."""
    print("forebay: stopped; nothing was done", file=sys.stderr, flush=True)
    os._exit(128 + signal.SIGINT)
