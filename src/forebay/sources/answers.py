"""JSON answers of services, which may be anything: their texts, and the errors of their parsers and calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from forebay.errors import ForebayError, SourceError
from forebay.text import printable, unprintable

Json = Any  # Any: a JSON value; each use checks its type
P = ParamSpec("P")
T = TypeVar("T")


def json_of(answer: str | bytes) -> Json:
    """The JSON value of an answer in UTF-8 or, from some servers, in the Windows code page.

    Its texts have no character that an output must not contain (`forebay.text`).

    Raises
    ------
    SourceError
        If the answer is not JSON.
    """
    text = answer if isinstance(answer, str) else decode_answer(answer)
    try:
        value = json.loads(text)
        # A control character or half of a character is escaped in JSON, so most answers need no second look.
        return _printable(value) if "\\u" in text or unprintable(text) else value
    except (ValueError, RecursionError):
        start = printable(text[:60])
        raise SourceError(f"the answer is not JSON, it begins {start!r}; try again later", retryable=True) from None


def decode_answer(answer: bytes) -> str:
    """The text of an answer in UTF-8 or, where it is not UTF-8, in the Windows code page."""
    try:
        return answer.decode("utf-8-sig")
    except UnicodeDecodeError:
        return answer.decode("cp1252", errors="replace")


def _printable(value: Json) -> Json:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {printable(key): _printable(item) for key, item in value.items()}
    return value


def text_at(row: Mapping[str, Json], key: str) -> str:
    """The text of a row under `key`, without blanks around it; an answer without one is a `SourceError`."""
    text = row.get(key)
    if not isinstance(text, str) or not text.strip():
        raise SourceError(f"the answer has {key} = {str(text)[:60]!r} instead of a text; try again later")
    return text.strip()


def answer_parser(parse: Callable[P, T]) -> Callable[P, T]:
    """A parser of answers that raises a `SourceError` for any answer that it cannot read.

    An answer may have any value in any place. The parser checks what it expects to go wrong; this is the last resort,
    so that one answer cannot end the fetch of the other gauges.
    """

    @wraps(parse)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return parse(*args, **kwargs)
        except (ForebayError, MemoryError):
            raise
        except Exception as error:
            reason = printable(" ".join(str(error).split()))[:120]
            raise SourceError(
                f"the answer does not have the expected form ({type(error).__name__}: {reason}); try again later, "
                "and report it if it stays so"
            ) from error

    return checked


@contextmanager
def errors_at(where: str) -> Iterator[None]:
    """Puts `where`, such as the name of the service, before the text of each `SourceError`."""
    try:
        yield
    except SourceError as error:
        raise SourceError(f"{where}: {error}", retryable=error.retryable, retry_after=error.retry_after) from error
