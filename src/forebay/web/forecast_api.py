"""The routes of the API that answer with issued forecasts and with the chain of their records."""

from __future__ import annotations

from datetime import date
from http import HTTPStatus
from typing import Annotated

import polars as pl
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from forebay.archive.store import Archive
from forebay.dams.dam_content import dam_of_content
from forebay.jobs.record import content_of, find_record, last_issued, verify_chain
from forebay.tables import DEFAULT_MODEL
from forebay.web import answers
from forebay.web.answers import source_of
from forebay.web.content import forecast_of, now_utc, record_rows
from forebay.web.dam_routes import DamId, site_of, state_of
from forebay.web.dam_state import DamState, recorded_state
from forebay.web.formats import csv_response, csv_table, json_response
from forebay.web.parameters import DEFAULT_ROWS, Before, Form, Limit
from forebay.web.problems import ProblemError, refuse_unknown_parameters, responses

MAX_NUMBER = 2**53
"""Largest number of a record; JSON has no larger integers."""

router = APIRouter(prefix="/api/v1", dependencies=[Depends(refuse_unknown_parameters)])

Model = Annotated[
    str, Query(pattern="^[a-z0-9_]{1,40}$", description="A model of the forecast, or all of them: all.")
]


@router.get("/dams/{dam}/forecast", response_model=answers.Forecast, responses=responses(404, csv=True))
def newest_forecast(request: Request, dam: DamId, model: Model = DEFAULT_MODEL, form: Form = "json") -> Response:
    """The newest issued forecast."""
    state = state_of(request, dam)
    if state.record is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, state.notes[0])
    return _forecast_response(request, state, model, form)


@router.get("/dams/{dam}/forecasts", response_model=answers.Records, responses=responses(404))
def forecasts(request: Request, dam: DamId, limit: Limit = DEFAULT_ROWS, before: Before = None) -> Response:
    """Init dates with an issued forecast, newest first; `next` is the value of `before` for the next page."""
    state, site = state_of(request, dam), site_of(request)
    issued = last_issued(site.archive.records.index(dam)).reverse()
    if before is not None:
        issued = issued.filter(pl.col("init_date") < before)
    page = issued.head(limit)
    answer = answers.Records(
        **source_of(state.dam),
        next=page["init_date"][-1].isoformat() if issued.height > limit else None,
        records=record_rows(page),
    )
    return json_response(request, answer)


@router.get("/dams/{dam}/forecasts/{init_date}", response_model=answers.Forecast, responses=responses(404, csv=True))
def past_forecast(
    request: Request, dam: DamId, init_date: date, model: Model = DEFAULT_MODEL, form: Form = "json"
) -> Response:
    """The issued forecast of an init date, as it was recorded."""
    state_of(request, dam)
    archive = site_of(request).archive
    issued = last_issued(archive.records.index(dam)).filter(pl.col("init_date") == init_date)
    if issued.is_empty():
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            f"There is no issued forecast of {dam} from {init_date}; /dams/{dam}/forecasts lists them.",
        )
    return _forecast_response(request, _recorded(archive, f"{dam}-{issued['sequence'][0]}"), model, form)


@router.get("/dams/{dam}/records", response_model=answers.Records, responses=responses(404, csv=True))
def records(
    request: Request,
    dam: DamId,
    limit: Limit = DEFAULT_ROWS,
    after: Annotated[
        int, Query(ge=0, le=MAX_NUMBER, description="Number of the last record of the page before.")
    ] = 0,
    form: Form = "json",
) -> Response:
    """The chain of recorded forecasts, oldest first."""
    state = state_of(request, dam)
    index = site_of(request).archive.records.index(dam).filter(pl.col("sequence") > after)
    page = record_rows(index.head(limit))
    if form == "csv":
        return csv_response(request, csv_table(answers.RecordRow, page, {"dam": dam}))
    answer = answers.Records(
        **source_of(state.dam), next=str(page[-1].sequence) if index.height > limit else None, records=page
    )
    return json_response(request, answer)


@router.get("/dams/{dam}/records/verify", response_model=answers.RecordCheck, responses=responses(404))
def verify_records(
    request: Request,
    dam: DamId,
    head: Annotated[
        str | None,
        Query(pattern="^[0-9a-f]{8,64}$", description="Hash, or its start, of a record that the chain must have."),
    ] = None,
) -> Response:
    """Check of every hash and link of the chain."""
    state = state_of(request, dam)
    check = verify_chain(site_of(request).archive, dam, head=head)
    answer = answers.RecordCheck(
        **source_of(state.dam), records=check.records, head=check.head, faults=list(check.faults)
    )
    return json_response(request, answer)


@router.get("/dams/{dam}/records/{sequence}", response_model=answers.Forecast, responses=responses(404, csv=True))
def recorded_forecast(
    request: Request, dam: DamId, sequence: Annotated[int, Path(ge=1, le=MAX_NUMBER)], model: Model = DEFAULT_MODEL,
    form: Form = "json",
) -> Response:  # fmt: skip
    """One recorded forecast, replaced and retrospective ones included."""
    state_of(request, dam)
    return _forecast_response(request, _recorded(site_of(request).archive, f"{dam}-{sequence}"), model, form)


def _recorded(archive: Archive, name: str) -> DamState:
    record = find_record(archive, name)
    recorded = content_of(record)
    return recorded_state(dam_of_content(recorded["dam_file"]), recorded, record["hash"][0])


def _forecast_response(request: Request, state: DamState, model: str, form: str) -> Response:
    models = state.forecast["model"].unique(maintain_order=True).to_list()
    if model not in (*models, "all"):
        raise ProblemError(
            HTTPStatus.NOT_FOUND, f"The forecast has no model {model!r}; its models are {', '.join(models)}; or all."
        )
    answer = forecast_of(state, now_utc(), model=model)
    if form == "csv":
        fixed = {"dam": state.dam.id, "record": answer.record, "unit": state.dam.target.unit}
        return csv_response(request, csv_table(answers.ForecastRow, answer.forecast, fixed))
    return json_response(request, answer)
