"""The routes that write; each needs a token."""

from __future__ import annotations

import re
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Protocol

import polars as pl
from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from forebay.archive.lease import LeaseWait
from forebay.archive.store import open_archive
from forebay.errors import ConfigError
from forebay.forecasts.alerts import RAISED
from forebay.settings import Settings
from forebay.web import answers
from forebay.web.access import RequiredBearer
from forebay.web.answers import source_of
from forebay.web.content import alert_states
from forebay.web.dam_routes import DamId, site_of, state_of
from forebay.web.formats import unstored_response
from forebay.web.problems import ProblemError, refuse_unknown_parameters, responses
from forebay.web.refresher import RefresherStatus

LEASE_WAIT_S = 2.0
"""Seconds that a request waits for another writer, such as a refresh; then it is refused, to be sent again."""

router = APIRouter(prefix="/api/v1", dependencies=[Depends(refuse_unknown_parameters)])


class Refresher(Protocol):
    """The process that refreshes the dams of a server."""

    @property
    def status(self) -> RefresherStatus:
        """Its present state."""
        ...

    def request(self, dam: str) -> str:
        """Ask for a refresh of a dam; a sentence on when it begins."""
        ...


class ObservationRequest(BaseModel):
    """A level that was read by hand at the staff gauge."""

    model_config = ConfigDict(extra="forbid")

    level: Annotated[float, Field(strict=True, allow_inf_nan=False, description="On the datum of the gauge.")]
    at: Annotated[str, Field(max_length=40, description="When it was read: ISO 8601; in the dam's zone by default.")]
    unit: Annotated[str | None, Field(max_length=20, description="By default the unit of the dam's target.")] = None
    note: Annotated[str | None, Field(max_length=500, description="A remark; no answer shows it.")] = None


@router.post(
    "/dams/{dam}/alerts/{rule}/acknowledge", response_model=answers.Acknowledged, responses=responses(401, 404, 409)
)
def acknowledge(
    request: Request,
    dam: DamId,
    rule: Annotated[str, Path(pattern="^[a-z0-9_-]{1,64}$", description="Id of the alert rule.")],
    bearer: RequiredBearer,
) -> Response:
    """Store that somebody has seen a raised alert; the first one who does so stays, until the state changes."""
    site, state = site_of(request), state_of(request, dam)
    last = site.archive.alerts.last_decisions(dam)
    own = last.filter(pl.col("rule") == rule)
    if own.is_empty():
        rules = ", ".join(last["rule"]) or "none has been decided yet"
        raise ProblemError(HTTPStatus.NOT_FOUND, f"{state.dam.name} has no alert {rule!r}; its alerts: {rules}.")
    if own["state"][0] != RAISED:
        sentence = f"The alert {rule!r} is {own['state'][0]}; only a raised one can be acknowledged."
        raise ProblemError(HTTPStatus.CONFLICT, sentence)
    site.archive.alerts.acknowledge(dam, rule, own["change"][0], bearer)
    (row,) = [row for row in alert_states(site.archive, dam) if row.rule == rule]
    return unstored_response(answers.Acknowledged(**source_of(state.dam), alert=row))


@router.post("/dams/{dam}/refresh", status_code=202, responses=responses(401, 404, 409))
def refresh(request: Request, dam: DamId, bearer: RequiredBearer) -> answers.RefreshAccepted:
    """Ask for a refresh of one dam now; its forecast appears when it is done."""
    state, refresher = state_of(request, dam), request.app.state.refresher
    if refresher is None:
        raise ProblemError(
            HTTPStatus.CONFLICT, "This server has no refresher (--no-refresh): `forebay refresh` runs beside it."
        )
    return answers.RefreshAccepted(**source_of(state.dam), text=refresher.request(dam))


@router.post("/dams/{dam}/observations", response_model=answers.Observed, responses=responses(401, 404))
def observe(request: Request, dam: DamId, body: ObservationRequest, bearer: RequiredBearer) -> Response:
    """Store a level that was read by hand; the name with it is that of the token."""
    from forebay.jobs.observe import observe as job

    state, (url, settings) = state_of(request, dam), writer_of(request)
    try:
        with open_archive(url, create=False, lease_wait=LeaseWait(LEASE_WAIT_S)) as archive:
            observation = job(
                state.dam, body.level, at=body.at, unit=body.unit, name=bearer.name, note=body.note, archive=archive,
                settings=settings,
            )  # fmt: skip
    except ConfigError as error:
        sentence = re.sub(r"--([a-z]+)", r"\1", str(error))  # the options of the command are fields here
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{sentence}.") from None
    content: dict[str, Any] = observation.content
    known = {name: content[name] for name in answers.Observed.model_fields if name in content}
    text = " ".join(observation.sentences())
    time = datetime.fromisoformat(observation.time.isoformat())
    return unstored_response(answers.Observed(**source_of(state.dam) | known | {"time": time, "text": text}))


def writer_of(request: Request) -> tuple[str, Settings]:
    """URL of the archive and settings for a job that writes."""
    writer: tuple[str, Settings] = request.app.state.writer
    return writer
