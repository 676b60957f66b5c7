"""The command line: one module per group of commands."""

import atexit
import gc
import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line, the entry point `forebay`.

    While the commands are imported, Ctrl-C ends the process at once: there is nothing to finish, and a library that is
    interrupted half-way would report an error of its own.
    """
    signal.signal(signal.SIGINT, stop_at_once)
    # The last collections of the interpreter would visit every object of a report, for half a second, to free none.
    atexit.register(gc.freeze)
    from forebay.cli.app import main as run

    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        run()
    except KeyboardInterrupt:  # before `run` could handle it
        stop_at_once()


def stop_at_once(_number: int = signal.SIGINT, _frame: FrameType | None = None) -> None:
    """End the process with one sentence, without any cleanup."""
    print("forebay: stopped; nothing was done", file=sys.stderr, flush=True)
    os._exit(128 + signal.SIGINT)
