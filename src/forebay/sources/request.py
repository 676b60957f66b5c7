"""A request to a service, its plan, and the function that sends it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, quote_plus, unquote_plus, urlencode

from forebay.text import public_url, secret_segments

if TYPE_CHECKING:
    from forebay.errors import SourceError

_MIN_SECRET = 8
"""Characters of a segment of a path that is replaced everywhere in a text."""


@dataclass(frozen=True)
class Request:
    """A GET of `url`, or a POST if there is a `body`.

    `check` takes the answer and raises `SourceError` if it is invalid. If that error is retryable, the request is
    repeated. Answers with one of the `error_statuses` count as answers too: their body says what is wrong.
    `error_of` takes the status and the body of any other answer that is an error. It gives the error that the body
    names, if any; without one, the status itself is the error. `headers` are further headers.
    `secret_headers` and `secret_query` have the user's key; no log and no error shows it, and no other host gets it.
    `url` is without the parameters of `secret_query`, which are added when the request is sent.
    `cost` is the number of requests as which the service counts it.
    """

    url: str
    body: bytes | None = None
    check: Callable[[bytes], object] | None = None
    error_statuses: frozenset[int] = frozenset()
    error_of: Callable[[int, bytes], SourceError | None] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_query: Mapping[str, str] = field(default_factory=dict, repr=False)
    cost: int = 1

    @property
    def secret_url(self) -> str:
        """`url` with `secret_query`, for the client only."""
        if not self.secret_query:
            return self.url
        place, mark, fragment = self.url.partition("#")
        path, _, query = place.partition("?")
        pairs = [pair for pair in query.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in
                 self.secret_query]  # fmt: skip
        return f"{path}?{'&'.join([*pairs, urlencode(self.secret_query)])}{mark}{fragment}"

    def without_secrets(self, text: str) -> str:
        """`text` with ``***`` in place of each of the request's secrets, also where it is encoded for a URL.

        A service may repeat the path of the request in the text of an error.
        """
        for secret in (*self.secret_headers.values(), *self.secret_query.values()):
            for form in {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)} if secret else ():
                text = text.replace(form, "***")
        for segment in secret_segments(self.url):  # a short one may be a word of the text
            text = text.replace(f"/{segment}", "/***") if len(segment) < _MIN_SECRET else text.replace(segment, "***")
        return text

    @property
    def host(self) -> str:
        """Host, with the port if the URL has one."""
        return re.split(r"[/?#]", public_url(self.url).partition("//")[2])[0].rpartition("@")[2]


@dataclass(frozen=True)
class PlannedRequest:
    """A request that a fetch would send: the host, its content, the first and the last interval (station-local).

    Both intervals are None where it requests no readings. `first` is None where the record's start is not known yet.
    `host` is None for a source without a network service.
    """

    host: str | None
    asks: str
    first: datetime | None
    last: datetime | None


def plan_local_read(content: str, since: date | None, until: date) -> list[PlannedRequest]:
    """The plan of a source without a service: one read."""
    first = None if since is None else datetime.combine(since, time(0))
    return [PlannedRequest(None, content, first, datetime.combine(until, time(0)))]


class Send(Protocol):
    """Signature of the function that sends a request."""

    def __call__(self, request: Request, /) -> bytes:
        """Body of the answer to `request`; raises `SourceError` if there is none."""
        ...
