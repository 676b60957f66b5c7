"""The log on the standard error stream: options, format, and which loggers it shows."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from cyclopts import Parameter

from forebay.log import public_text

CHATTY = ("absl", "alembic", "jax", "keras", "matplotlib", "stamina", "tensorflow", "torch")
"""Libraries of which only errors are shown: their warnings concern developers, or forebay reports the event itself."""


@Parameter(name="*")
@dataclass(frozen=True)
class LogOptions:
    """Options of every command."""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        Parameter(help="Lowest level of the log on standard error; by default warning, with --log-json info."),
    ] = None
    log_json: Annotated[bool, Parameter(negative="", help="Write the log as JSON lines: a step or error each.")] = False

    @property
    def level(self) -> int:
        """Lowest level, as a number of `logging`."""
        default = logging.INFO if self.log_json else logging.WARNING
        return default if self.log_level is None else logging.getLevelNamesMapping()[self.log_level.upper()]


class _StderrHandler(logging.Handler):
    """Prints on the standard error stream of the moment, which a progress bar replaces by its own."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr)
        except Exception:  # as every handler of the standard library: a log must not end the program
            self.handleError(record)


class _TextFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = public_text(record.message)
        return super().formatMessage(record)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        instant = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"time": instant.replace("+00:00", "Z"), "level": record.levelname.lower()}
        # A record of another library has no fields.
        line |= getattr(record, "fields", {"logger": record.name, "message": public_text(record.getMessage())})
        return json.dumps(line, default=str, ensure_ascii=False)


@contextmanager
def log_to_stderr(options: LogOptions) -> Iterator[None]:
    """Context in which the records of forebay from the chosen level on, and warnings of libraries, are printed."""
    handler = _StderrHandler()
    handler.setFormatter(_JsonFormatter() if options.log_json else _TextFormatter())
    handler.setLevel(options.level)
    levels = {"forebay": options.level, **dict.fromkeys(CHATTY, logging.ERROR)}
    previous = {name: logging.getLogger(name).level for name in levels}
    root = logging.getLogger()
    root.addHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(options.log_json)  # of Python: else they are lines that are not JSON
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        for name, level in previous.items():
            logging.getLogger(name).setLevel(level)


def is_json() -> bool:
    """Whether the log is JSON, so that nothing else may be on the standard error stream."""
    return any(isinstance(handler.formatter, _JsonFormatter) for handler in logging.getLogger().handlers)
