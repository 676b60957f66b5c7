"""The routes of scenarios."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Depends, Request, Response

from forebay.errors import ConfigError
from forebay.web import answers
from forebay.web.access import OptionalBearer
from forebay.web.dam_routes import DamId, site_of, state_of
from forebay.web.formats import json_response, unstored_response
from forebay.web.problems import ProblemError, refuse_unknown_parameters, responses
from forebay.web.scenarios import ScenarioRequest, Scenarios

router = APIRouter(prefix="/api/v1", dependencies=[Depends(refuse_unknown_parameters)])


@router.get("/dams/{dam}/scenario", response_model=answers.ScenarioLimits, responses=responses(404))
def scenario_limits(request: Request, dam: DamId) -> Response:
    """What a scenario may give: days, units, the largest rain and release, and those in the record."""
    return json_response(request, _scenarios(request).limits(state_of(request, dam).dam))


@router.post("/dams/{dam}/scenario", response_model=answers.Scenario, responses=responses(401, 404, 429))
def scenario(request: Request, dam: DamId, body: ScenarioRequest, bearer: OptionalBearer) -> Response:
    """The level if so much rain falls, and so much is released; no forecast, and nothing is stored."""
    state, scenarios = state_of(request, dam), _scenarios(request)
    wait = 0 if bearer is not None else scenarios.rate.wait_s()
    if wait:
        raise ProblemError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"Too many scenarios; try again in {wait} s, or send a token (`forebay token new`).",
            {"Retry-After": str(wait)},
        )
    newest = site_of(request).snapshot.dams[dam].init_date
    try:
        answer = scenarios.answer(state.dam, body, newest)
    except ConfigError as error:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}.") from None
    return unstored_response(answer)


def _scenarios(request: Request) -> Scenarios:
    scenarios: Scenarios = request.app.state.scenarios
    return scenarios
