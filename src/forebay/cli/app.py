"""The command line: one command per step.

Exit codes: 0 done, 1 failed, 2 bad usage (an argument, a setting or a dam file is wrong).
"""

from __future__ import annotations

import difflib
import sys

from cyclopts import App, CycloptsError, UnknownCommandError

from forebay import __version__
from forebay.cli.archive import archive_commands, fetch, revisions
from forebay.cli.article import article
from forebay.cli.days import daily, screen
from forebay.cli.forecast import forecast, hindcast, run
from forebay.cli.setup import dams, settings
from forebay.cli.stations import stations
from forebay.errors import ConfigError, ForebayError

COMMANDS = (
    dams,
    settings,
    stations,
    fetch,
    revisions,
    archive_commands,
    daily,
    screen,
    hindcast,
    forecast,
    run,
    article,
)
"""Every command, or group of commands."""

app = App(
    name="forebay",
    version=__version__,
    help="Forecasts the water level of dams, 1 to 7 days ahead, from public gauges, with calibrated intervals.",
    suppress_keyboard_interrupt=False,  # main handles it
)
for command in COMMANDS:
    app.command(command)
app.register_install_completion_command(help="Install completion for the shell in use (bash, zsh or fish).")


def main() -> None:
    """Run the command line; an error that forebay raises on purpose prints one sentence and sets the exit code."""
    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
    except UnknownCommandError as error:
        print(f"forebay: {_unknown_command(error)}", file=sys.stderr)
        sys.exit(2)
    except (CycloptsError, ConfigError) as error:
        print(f"forebay: {error}", file=sys.stderr)
        sys.exit(2)
    except ForebayError as error:
        print(f"forebay: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("forebay: stopped; the readings fetched so far are in the archive", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)


def _unknown_command(error: UnknownCommandError) -> str:
    """The sentence for a command that does not exist, with the nearest one and all of its group."""
    word = (error.unused_tokens or [""])[0]
    group = error.app or app
    names = sorted(name for name in group if not name.startswith("-"))
    nearest = difflib.get_close_matches(word, names, n=1)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    return f"command {word!r} does not exist{hint}; allowed are {', '.join(names)}"
