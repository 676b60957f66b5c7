"""The command line: one command per step.

Exit codes: 0 done, 1 failed, 2 bad usage (an argument, a setting or a dam file is wrong).
"""

from __future__ import annotations

import difflib
import io
import logging
import os
import sys
import traceback
from typing import Annotated, NoReturn

from cyclopts import App, CycloptsError, Group, Parameter, UnknownCommandError, UnusedCliTokensError

from forebay import __version__
from forebay.cli.alerts import alert_commands
from forebay.cli.archive import archive_commands, fetch, revisions
from forebay.cli.article import article
from forebay.cli.brief import brief
from forebay.cli.curve import curve
from forebay.cli.days import daily, screen
from forebay.cli.export import export
from forebay.cli.fleet import fleet_commands
from forebay.cli.forecast import forecast, hindcast, run
from forebay.cli.log_output import LogOptions, log_to_stderr
from forebay.cli.new import new
from forebay.cli.observe import observe
from forebay.cli.outlook import outlook
from forebay.cli.record import record_commands, replay, score_record
from forebay.cli.refresh import refresh
from forebay.cli.serve import serve
from forebay.cli.setup import dams, settings
from forebay.cli.simulate import simulate
from forebay.cli.stations import stations
from forebay.cli.token import token_commands
from forebay.errors import ConfigError, ForebayError
from forebay.log import log_fields, step, write
from forebay.text import printable, without_secrets

COMMANDS = (
    dams,
    settings,
    new,
    stations,
    fetch,
    observe,
    revisions,
    archive_commands,
    daily,
    screen,
    curve,
    hindcast,
    forecast,
    run,
    refresh,
    fleet_commands,
    serve,
    token_commands,
    outlook,
    brief,
    alert_commands,
    record_commands,
    replay,
    score_record,
    simulate,
    export,
    article,
)
"""Every command, or group of commands."""

NO_OPTIONS = LogOptions()

app = App(
    name="forebay",
    version=__version__,
    help="Forecasts the water level of dams, 1 to 7 days ahead, from public gauges, with calibrated intervals.",
    suppress_keyboard_interrupt=False,  # main handles it
)
for command in COMMANDS:
    app.command(command)
app.register_install_completion_command(help="Install completion for the shell in use (bash, zsh or fish).")


app.meta.group_parameters = Group("Log", sort_key=1)


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)], options: LogOptions = NO_OPTIONS
) -> None:
    """Run the command of `tokens` with its log, and exit with its code if it fails."""
    command = tokens[0] if tokens and tokens[0] in app else ""
    with log_to_stderr(options), log_fields({"command": command}):
        try:
            with log_fields({}), step("command"):
                app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
                _flush_output()
        except _HANDLED as error:
            _exit(error, options)
        except Exception as error:
            if not options.log_json:
                raise
            write(logging.CRITICAL, "command", {"error": type(error).__name__, "exit_code": 1}, traceback.format_exc())
            sys.exit(1)


def main() -> None:
    """Run the command line; an error that forebay raises on purpose prints one sentence and sets the exit code.

    A character that the encoding of the output lacks is written as "?".
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app.meta(sys.argv[1:], exit_on_error=False, print_error=False, result_action="return_value")
        _flush_output()
    except _HANDLED as error:  # of the options of the log
        _exit(error, NO_OPTIONS)


_HANDLED = (CycloptsError, ForebayError, KeyboardInterrupt, OSError)
"""Errors that are reported in one sentence; of the `OSError`s, those of the standard output."""


def _exit(error: BaseException, options: LogOptions) -> NoReturn:
    """Report an error, as a sentence or as a line of the log, and exit with its code."""
    if isinstance(error, OSError):
        if error.filename is not None:
            raise error
        _drop_output()
    sentence, code = _sentence(error)
    if options.log_json:
        dam = {"dam": error.dam} if isinstance(error, ForebayError) and error.dam else {}
        write(logging.ERROR, "command", {**dam, "error": type(error).__name__, "exit_code": code}, sentence)
    elif sentence:
        print(f"forebay: {printable(without_secrets(sentence))}", file=sys.stderr, flush=True)
    if isinstance(error, KeyboardInterrupt):
        os._exit(code)  # without waiting for the threads that draw
    sys.exit(code)


def _sentence(error: BaseException) -> tuple[str, int]:
    """The sentence for an error, and the exit code."""
    if isinstance(error, UnknownCommandError):
        return _unknown_command(error), 2
    if isinstance(error, UnusedCliTokensError):
        return _unused_arguments(error), 2
    if isinstance(error, KeyboardInterrupt):
        return "stopped; the readings fetched so far are in the archive", 130
    if isinstance(error, BrokenPipeError):  # the reader has seen enough
        return "", 1
    if isinstance(error, OSError):
        return f"the output cannot be written: {error.strerror or error}", 1
    return str(error), 2 if isinstance(error, CycloptsError | ConfigError) else 1


def _flush_output() -> None:
    """Write what the standard output still holds: here its error has a sentence, at exit it has none."""
    if sys.stdout is not None:  # None: closed by the caller
        sys.stdout.flush()


def _drop_output() -> None:
    """Discard what the standard output still holds: at exit, Python would try to write it once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unknown_command(error: UnknownCommandError) -> str:
    """The sentence for a command that does not exist, with the nearest one and all of its group."""
    word = (error.unused_tokens or [""])[0]
    group = error.app or app
    names = sorted(name for name in group if not name.startswith("-"))
    nearest = difflib.get_close_matches(word, names, n=1)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    return f"command {word!r} does not exist{hint}; allowed are {', '.join(names)}"


def _unused_arguments(error: UnusedCliTokensError) -> str:
    """The sentence for arguments that a command does not take."""
    words = ", ".join(map(repr, error.unused_tokens or ()))
    command = " ".join(["forebay", *(error.command_chain or ())])
    return f"`{command}` does not take the argument {words}; `{command} --help` lists what it takes"
