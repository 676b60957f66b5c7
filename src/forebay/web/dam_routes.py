"""The dam that a route is about."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import Path, Request

from forebay.web.problems import ProblemError

if TYPE_CHECKING:
    from forebay.web.dam_state import DamState
    from forebay.web.site import Site

DamId = Annotated[str, Path(description="Id of the dam.", pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


def site_of(request: Request) -> Site:
    """The site that the server shows."""
    site: Site = request.app.state.site
    return site


def state_of(request: Request, dam: str) -> DamState:
    """The state of a dam; raises `ProblemError` if the server does not show it."""
    states = site_of(request).snapshot.dams
    if dam not in states:
        names = ", ".join([*list(states)[:20], *(["…"] if len(states) > 20 else [])])
        raise ProblemError(HTTPStatus.NOT_FOUND, f"The dam {dam!r} is not shown here; the dams are {names}.")
    return states[dam]
