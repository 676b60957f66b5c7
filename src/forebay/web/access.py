"""Who may write: the bearer of a token of the archive."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from forebay.archive.access import Bearer
from forebay.web.problems import ProblemError

if TYPE_CHECKING:
    from forebay.web.site import Site

_scheme = HTTPBearer(auto_error=False, description="A token that `forebay token new` printed.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_scheme)]


def optional_bearer(request: Request, credentials: Credentials) -> Bearer | None:
    """The bearer of the request's token; None without one.

    Raises
    ------
    ProblemError
        If the request has a token that is none of this archive, or was revoked.
    """
    if credentials is None:
        return None
    site: Site = request.app.state.site
    bearer = site.archive.access.bearer(credentials.credentials)
    if bearer is None:
        raise _refusal("This token is unknown or was revoked; `forebay token list` shows the valid ones.")
    return bearer


OptionalBearer = Annotated[Bearer | None, Depends(optional_bearer)]


def required_bearer(bearer: OptionalBearer) -> Bearer:
    """The bearer of the request's token; raises `ProblemError` also without one."""
    if bearer is None:
        raise _refusal("This needs a token in the header Authorization: Bearer TOKEN; `forebay token new` makes one.")
    return bearer


RequiredBearer = Annotated[Bearer, Depends(required_bearer)]


def _refusal(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})
