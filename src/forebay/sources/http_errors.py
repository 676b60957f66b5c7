"""What went wrong with a request: error statuses, their bodies, answers that are too long, and broken connections."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from forebay.errors import SourceError
from forebay.text import printable, public_url, without_secrets

if TYPE_CHECKING:
    import httpx2

    from forebay.settings import HttpSettings
    from forebay.sources.request import Request

RETRIED_STATUS = frozenset({408, 429, 502, 503, 504})
MAX_ERROR_BYTES, MAX_ERROR_TEXT = 100_000, 600
"""Longest body of an error that is read, and longest text of it that an error shows."""


def read_body(request: Request, response: httpx2.Response, limit: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > limit:
            raise SourceError(
                f"{request.host} sent more than {limit} bytes (http.max_bytes); ask for a shorter period, or raise the "
                "limit"
            )
    return bytes(body)


def check_status(request: Request, response: httpx2.Response) -> None:
    """Raise the error of an answer with an error status: that which its body names, otherwise that of the status."""
    status = response.status_code
    if status in request.error_statuses or response.is_success:
        return
    is_retried = status in RETRIED_STATUS
    answered = f"{request.host} answered with status {status} ({response.reason_phrase})"
    error = _named_error(request, response)
    if error is not None and not is_retried:
        raise error
    if is_retried:
        raise SourceError(
            f"{answered}: {error or 'it is busy or down; try again later'}",
            retryable=True,
            retry_after=seconds_to_wait(response.headers.get("retry-after"), datetime.now(UTC)),
        )
    path = urlsplit(public_url(request.url)).path
    raise SourceError(f"{answered} to {path}; check the service's URL in the settings")


def _named_error(request: Request, response: httpx2.Response) -> SourceError | None:
    """The error that the body names by the request's `error_of`, without the user's key."""
    if request.error_of is None:
        return None
    try:
        body = read_body(request, response, MAX_ERROR_BYTES)
    except SourceError:
        return None
    error = request.error_of(response.status_code, body)
    if error is None:
        return None
    text = request.without_secrets(str(error))
    text = " ".join(without_secrets(printable(text)).split())[:MAX_ERROR_TEXT]
    return type(error)(text, retryable=error.retryable, retry_after=error.retry_after)


def seconds_to_wait(header: str | None, now: datetime) -> float | None:
    """Seconds to wait, from a Retry-After header (seconds or a date).

    >>> seconds_to_wait("Wed, 01 Jan 2020 00:00:30 GMT", datetime(2020, 1, 1, tzinfo=UTC))
    30.0
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def failure(request: Request, error: httpx2.HTTPError, limits: HttpSettings) -> SourceError:
    """The failure as a SourceError, retryable or not."""
    import httpx2

    text = without_secrets(str(error))
    if isinstance(error, httpx2.ConnectTimeout):
        reason = f"accepted no connection within {limits.connect_timeout_s:g} s (http.connect_timeout_s)"
    elif isinstance(error, httpx2.TimeoutException):
        reason = f"sent nothing for {limits.read_timeout_s:g} s (http.read_timeout_s)"
    elif "certificate has expired" in text:
        return SourceError(
            f"{request.host} has a certificate that has expired; try again later, and check the clock of this computer"
        )
    elif "CERTIFICATE_VERIFY_FAILED" in text:
        return SourceError(
            f"{request.host} has a certificate that is not trusted ({text}); check the service's URL and SSL_CERT_FILE"
        )
    elif isinstance(error, httpx2.ConnectError):
        reason = f"cannot be reached ({text})"
    elif isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError | httpx2.DecodingError):
        reason = f"broke off its answer ({text})"
    else:
        return SourceError(f"{request.host} cannot be requested ({text}); check the service's URL and the proxy")
    return SourceError(f"{request.host} {reason}; check the network, or try again later", retryable=True)
