"""The command line: one command per step.

Exit codes: 0 done, 1 failed, 2 bad usage (an argument, a setting or a dam file is wrong).
"""

from __future__ import annotations

import sys

from cyclopts import App, CycloptsError

from forebay import __version__
from forebay.cli.archive import archive_commands, fetch, revisions
from forebay.cli.article import article
from forebay.cli.days import daily, screen
from forebay.cli.forecast import hindcast, run
from forebay.cli.setup import dams, settings
from forebay.cli.stations import stations
from forebay.errors import ConfigError, ForebayError

app = App(
    name="forebay",
    version=__version__,
    help="Forecasts the water level of dams, 1 to 7 days ahead, from public gauges, with honest intervals.",
    suppress_keyboard_interrupt=False,  # main says what was kept
)
for command in (dams, settings, stations, fetch, revisions, daily, screen, hindcast, run, article):
    app.command(command)
app.command(archive_commands)


def main() -> None:
    """Run the command line; any error that forebay raises on purpose ends in one sentence and an exit code."""
    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
    except (CycloptsError, ConfigError) as error:
        print(f"forebay: {error}", file=sys.stderr)
        sys.exit(2)
    except ForebayError as error:
        print(f"forebay: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("forebay: stopped; what was fetched so far is kept", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
