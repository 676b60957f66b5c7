"""The routes of the API, version 1: JSON, or CSV where an answer is a table."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Literal

import polars as pl
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

import forebay
from forebay.archive.store import Archive
from forebay.dams.dam import Dam
from forebay.dams.dam_content import dam_of_content
from forebay.dams.gauge import Gauge
from forebay.dams.local_time import init_time
from forebay.days.daily import daily_table
from forebay.days.labels import display_unit
from forebay.forecasts.alerts import with_acknowledgements
from forebay.jobs.record import content_of, find_record, last_issued, verify_chain
from forebay.tables import DEFAULT_MODEL
from forebay.web import answers
from forebay.web.answers import source_of
from forebay.web.cache import FRESH_S, AnswerCache
from forebay.web.content import (
    age_of,
    alert_states,
    chances_of,
    details,
    forecast_of,
    now_utc,
    record_rows,
    summary,
)
from forebay.web.dam_routes import DamId, site_of, state_of
from forebay.web.dam_state import DIGITS, DamState, level_column, recorded_state
from forebay.web.formats import (
    Encoded,
    csv_response,
    csv_table,
    encoded_json,
    finite_rows,
    json_response,
    response_of,
)
from forebay.web.problems import ProblemError, refuse_unknown_parameters, responses

MAX_ROWS, DEFAULT_ROWS = 1000, 100
"""Largest and usual number of rows of a page."""
MAX_NUMBER = 2**53
"""Largest number of a record; JSON has no larger integers."""

router = APIRouter(prefix="/api/v1", dependencies=[Depends(refuse_unknown_parameters)])

FIRST_DAY, LAST_DAY = date(1800, 1, 1), date(2200, 12, 31)
"""Days outside of which no request has one: a time zone cannot move them beyond the calendar of Python."""

Limit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="Largest number of rows of the page.")]
Form = Annotated[Literal["json", "csv"], Query(alias="format")]
Day = Annotated[date, Field(ge=FIRST_DAY, le=LAST_DAY)]
Since = Annotated[Day | None, Query(description="First day, in the dam's time zone; by default all.")]
Until = Annotated[Day | None, Query(description="Last day, in the dam's time zone; by default the newest.")]
Before = Annotated[Day | None, Query(description="Init date of the last row of the page before.")]
Model = Annotated[
    str, Query(pattern="^[a-z0-9_]{1,40}$", description="A model of the forecast, or all of them: all.")
]


@router.get("/health", response_model=answers.Health, responses=responses())
def health(request: Request) -> Response:
    """State of the server; status 200 in every state, so that it is no check of a single dam."""
    site, now = site_of(request), now_utc()
    snapshot = site.snapshot
    stale = [name for name, state in snapshot.dams.items() if state.is_stale(now)]
    answer = answers.Health(
        status="failed" if snapshot.failure else "stale" if stale else "ok",
        version=forebay.__version__,
        time=now,
        dams=len(snapshot.dams),
        stale=stale,
        failure=snapshot.failure or None,
        refresher=_refresher_state(request),
    )
    return json_response(request, answer)


@router.get("/dams", response_model=answers.Dams, responses=responses())
async def dams(
    request: Request,
    limit: Limit = DEFAULT_ROWS,
    after: Annotated[str, Query(max_length=64, description="Id of the last dam of the page before.")] = "",
) -> Response:
    """Every dam with its level, its forecast and its chances of reaching thresholds, by id."""
    snapshot, now = site_of(request).snapshot, now_utc()

    def compute() -> Encoded:
        names = sorted(name for name in snapshot.dams if name > after)
        page = names[:limit]
        answer = answers.Dams(
            dams=[summary(snapshot.dams[name], now) for name in page],
            next=page[-1] if len(names) > limit else None,
            snapshot=snapshot.number,
            failure=snapshot.failure or None,
        )
        return encoded_json(answer)

    cache: AnswerCache = request.app.state.cache
    moment = snapshot.number, now.timestamp() // FRESH_S
    return response_of(request, await cache.answer((limit, after), moment, compute))


@router.get("/dams/{dam}", response_model=answers.DamDetails, responses=responses(404))
def dam_details(request: Request, dam: DamId) -> Response:
    """One dam with its gauges."""
    return json_response(request, details(state_of(request, dam), now_utc()))


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


@router.get("/dams/{dam}/probabilities", response_model=answers.Chances, responses=responses(404, csv=True))
def probabilities(request: Request, dam: DamId, form: Form = "json") -> Response:
    """Probabilities that the level reaches full supply and each threshold, on and by each day."""
    state = state_of(request, dam)
    rows = chances_of(state)
    if form == "csv":
        return csv_response(request, csv_table(answers.Chance, rows, {"dam": dam, "unit": state.dam.target.unit}))
    answer = answers.Chances(
        **source_of(state.dam), **age_of(state, now_utc()), probabilities=rows, notes=list(state.notes)
    )
    return json_response(request, answer)


@router.get("/dams/{dam}/scores", response_model=answers.Scores, responses=responses(404))
def scores(request: Request, dam: DamId) -> Response:
    """How good the forecasts were: the last 365 days, and the whole hindcast."""
    state = state_of(request, dam)
    answer = answers.Scores(
        **source_of(state.dam),
        record=None if state.record is None else state.record["id"],
        last_365_days=state.result.get("last_365_days"),
        hindcast=state.result.get("scores"),
        by_regime=state.result.get("scores_by_regime"),
        reliability=state.result.get("reliability"),
        probabilities=state.result.get("probability_scores"),
        notes=list(state.notes),
    )
    return json_response(request, answer)


@router.get("/dams/{dam}/alerts", response_model=answers.Alerts, responses=responses(404))
def alerts(
    request: Request,
    dam: DamId,
    limit: Limit = DEFAULT_ROWS,
    before: Annotated[datetime | None, Query(description="`decided_at` of the last change of the page before.")] = None,
) -> Response:
    """State of each alert rule, and the changes of states, newest first; `next` is the next value of `before`."""
    state = state_of(request, dam)
    store = site_of(request).archive.alerts
    changes = with_acknowledgements(store.changes(dam), store.acknowledgements(dam))
    changes = changes.sort("decided_at", "rule", descending=True)
    if before is not None:
        changes = changes.filter(pl.col("decided_at") < _with_zone(before, "before"))
    page = changes.head(limit)
    answer = answers.Alerts(
        **source_of(state.dam),
        next=page["decided_at"][-1].isoformat() if changes.height > limit else None,
        states=alert_states(site_of(request).archive, dam),
        changes=[answers.AlertChange(**row) for row in _rows(page, answers.AlertChange)],
    )
    return json_response(request, answer)


@router.get("/dams/{dam}/observations", response_model=answers.Observations, responses=responses(404, csv=True))
def observations(  # noqa: PLR0913, PLR0917  # the parameters of the route
    request: Request,
    dam: DamId,
    gauge: Annotated[str, Query(max_length=80, description="Column of the gauge; by default the target.")] = "",
    since: Since = None,
    until: Until = None,
    after: Annotated[datetime | None, Query(description="Time of the last row of the page before.")] = None,
    limit: Limit = DEFAULT_ROWS,
    form: Form = "json",
) -> Response:
    """Readings of a gauge as they are stored, newest version of each, by time."""
    state = state_of(request, dam)
    _check_order(since, until)
    column = _gauge(state.dam, gauge)
    rows = site_of(request).archive.as_of([column])
    if since is not None:
        rows = rows.filter(pl.col("time") >= _start_of(since, state.dam))
    if until is not None:
        rows = rows.filter(pl.col("time") < init_time(until, state.dam.time_zone))
    if after is not None:
        rows = rows.filter(pl.col("time") > _with_zone(after, "after"))
    unit = display_unit(column, state.dam)
    page = rows.head(limit).with_columns(_in_unit("value", column, unit))
    readings = [answers.Observation(**row) for row in finite_rows(page.select(list(answers.Observation.model_fields)))]
    if form == "csv":
        fixed = {"dam": dam, "gauge": column.column, "unit": unit}
        return csv_response(request, csv_table(answers.Observation, readings, fixed))
    answer = answers.Observations(
        **source_of(state.dam),
        next=page["time"][-1].isoformat() if rows.height > limit else None,
        gauge=column.column,
        value_unit=unit,
        observations=readings,
    )
    return json_response(request, answer)


@router.get("/dams/{dam}/daily", response_model=answers.Daily, responses=responses(404, csv=True))
def daily(
    request: Request,
    dam: DamId,
    since: Since = None,
    until: Until = None,
    limit: Limit = DEFAULT_ROWS,
    form: Form = "json",
) -> Response:
    """The daily table as known now: a value and a flag of each gauge; the first days from `since` on.

    `next` is the value of `since` for the next page. Without `since`, the page has the newest days.
    """
    state, now = state_of(request, dam), now_utc()
    _check_order(since, until)
    readings = site_of(request).archive.known_at(state.dam.gauges, now, state.dam.time_zone)
    table = pl.DataFrame(schema={"date": pl.Date()}) if readings.is_empty() else daily_table(readings, state.dam)
    if since is not None:
        table = table.filter(pl.col("date") >= since)
    if until is not None:
        table = table.filter(pl.col("date") <= until)
    page = table.tail(limit) if since is None else table.head(limit)
    if not page.is_empty():
        others = [gauge for gauge in state.dam.gauges if gauge is not state.dam.target_gauge]
        page = page.with_columns(level_column(state.dam), *(_in_unit(each.column, each, each.unit) for each in others))
    has_more = since is not None and table.height > limit
    if form == "csv":
        return csv_response(request, page)
    answer = answers.Daily(
        **source_of(state.dam),
        next=(page["date"][-1] + timedelta(days=1)).isoformat() if has_more else None,
        units={gauge.column: display_unit(gauge, state.dam) for gauge in state.dam.gauges},
        days=finite_rows(page.drop("dam", strict=False)),
    )
    return json_response(request, answer)


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


def _refresher_state(request: Request) -> answers.RefresherState | None:
    refresher = request.app.state.refresher
    if refresher is None:
        return None
    fields = vars(refresher.status)
    return answers.RefresherState(**{name: fields[name] for name in answers.RefresherState.model_fields})


def _gauge(dam: Dam, column: str) -> Gauge:
    gauges = {gauge.column: gauge for gauge in dam.gauges}
    if not column:
        return dam.target_gauge
    if column not in gauges:
        raise ProblemError(
            HTTPStatus.NOT_FOUND, f"{dam.name} has no gauge {column!r}; its gauges are {', '.join(gauges)}."
        )
    return gauges[column]


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


def _start_of(day: date, dam: Dam) -> datetime:
    return init_time(day - timedelta(days=1), dam.time_zone)


def _rows(table: pl.DataFrame, row: type[BaseModel]) -> list[dict[str, Any]]:
    return finite_rows(table.select(list(row.model_fields)))


def _check_order(since: date | None, until: date | None) -> None:
    if since is not None and until is not None and since > until:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"since = {since} is after until = {until}; give the first day as since, and the last one as until.",
        )


def _with_zone(instant: datetime, name: str) -> datetime:
    if instant.tzinfo is None:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{name} = {instant.isoformat()} has no time zone; end it with Z or +10:00.",
        )
    if not FIRST_DAY.year <= instant.year <= LAST_DAY.year:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{name} = {instant.isoformat()} must be between {FIRST_DAY} and {LAST_DAY}.",
        )
    return instant


def _in_unit(column: str, gauge: Gauge, unit: str) -> pl.Expr:
    """A column of canonical values in `unit`, without the noise of the conversion in its last digits."""
    if unit == gauge.kind.unit:
        return pl.col(column)
    return gauge.kind.from_canonical(pl.col(column), unit).round_sig_figs(DIGITS)
