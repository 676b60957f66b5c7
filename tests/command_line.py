"""`forebay` as it is called in a terminal, in this process: what it prints, and the code that it ends with."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

from forebay.cli import app as cli


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # Any: a JSON value
        """What it printed with --json, all of it."""
        return json.loads(self.out)


def forebay(*arguments: object) -> Ended:
    """Run the command line with these arguments."""
    out, err = StringIO(), StringIO()
    before, sys.argv = sys.argv, ["forebay", *map(str, arguments)]
    code: str | int | None = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            cli.main()
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.argv = before
    assert isinstance(code, int), f"the exit code is {code!r}"
    return Ended(code, out.getvalue(), err.getvalue())
