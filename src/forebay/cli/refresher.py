"""The program of the process that `forebay serve` starts for its refreshes."""

from __future__ import annotations

import os
import sys

from forebay.cli.log_output import LogOptions, log_to_stderr
from forebay.log import log_fields

LOG_JSON = "--log-json"


def main() -> None:
    """Run until standard input ends."""
    from forebay.models.tree_library import load_lightgbm_alone
    from forebay.web.refresher_process import run

    load_lightgbm_alone()
    # Only events go to the pipe of the server: what a library prints goes to the log.
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    orders = os.fdopen(os.dup(sys.stdin.fileno()), "r", encoding="utf-8", buffering=1)
    with log_to_stderr(LogOptions(log_json=LOG_JSON in sys.argv)), log_fields({"command": "refresher"}):
        run(orders, events)


if __name__ == "__main__":
    main()
