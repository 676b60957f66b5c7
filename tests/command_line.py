"""Run the command `forebay` in this process: its output and its exit code."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

from forebay.cli import app as cli


@dataclass(frozen=True)
class CommandResult:
    """Exit code, standard output and error stream of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # Any: a JSON value
        """The standard output of a command with --json, parsed."""
        return json.loads(self.out)


def forebay(*arguments: object) -> CommandResult:
    """Result of the command line with `arguments`."""
    out, err = StringIO(), StringIO()
    argv, sys.argv = sys.argv, ["forebay", *map(str, arguments)]
    code: str | int | None = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            cli.main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv = argv
    assert isinstance(code, int), f"the exit code is {code!r}"
    return CommandResult(code, out.getvalue(), err.getvalue())
