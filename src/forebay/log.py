"""Log records: one per step, with its duration and its counts.

They go to the loggers `forebay.STEP` of the standard library. Without a handler nothing is printed. Each record has the
attribute `fields`, a dict: step, dam, gauge, seconds and counts, where they exist. No text of a record has a secret.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

from forebay.errors import ForebayError
from forebay.text import printable, without_secrets

Fields = Mapping[str, object]

_NO_FIELDS: Fields = {}
_context: ContextVar[Fields] = ContextVar("fields of every record", default=_NO_FIELDS)
_counts: ContextVar[dict[str, object] | None] = ContextVar("counts of the present step", default=None)

logging.getLogger("forebay").addHandler(logging.NullHandler())  # else Python prints warnings of a library


def write(level: int, step: str, fields: Fields, message: str = "") -> None:
    """Write one record of a step."""
    logger = logging.getLogger(f"forebay.{step}")
    if not logger.isEnabledFor(level):
        return
    content = {"step": step, **_context.get(), **fields} | ({"message": message} if message else {})
    public = {name: public_text(value) if isinstance(value, str) else value for name, value in content.items()}
    pairs = " ".join(f"{name}={value}" for name, value in public.items() if name not in ("step", "message"))
    text = f"{step}: {public['message']} ({pairs})" if message else f"{step}: {pairs}"
    logger.log(level, "%s", text, extra={"fields": public})


def public_text(text: str) -> str:
    """`text` in one line, without secrets and without characters that no output may contain."""
    return printable(without_secrets(" ".join(text.splitlines())))


@contextmanager
def log_fields(fields: Fields) -> Iterator[None]:
    """Context in which every record of this thread has these fields; an error that leaves it has its `dam`."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    except ForebayError as error:
        error.dam = error.dam or str(_context.get().get("dam", ""))
        raise
    finally:
        _context.reset(token)


def add_fields(fields: Fields) -> None:
    """Add fields to every later record of the present `log_fields`."""
    _context.set({**_context.get(), **fields})


@contextmanager
def step(name: str, fields: Fields = _NO_FIELDS) -> Iterator[None]:
    """Context or decorator that writes a record of the step at its end: seconds, counts, the class of its error.

    The record has no text of an error: who handles the error reports it.
    """
    counts: dict[str, object] = {}
    token = _counts.set(counts)
    start = monotonic()
    try:
        yield
    except BaseException as error:
        counts["failed"] = type(error).__name__
        raise
    finally:
        _counts.reset(token)
        write(logging.INFO, name, {**fields, **counts, "seconds": round(monotonic() - start, 3)})


def add_counts(counts: Fields) -> None:
    """Add counts to the record of the innermost step of this thread."""
    present = _counts.get()
    if present is not None:
        present.update(counts)
