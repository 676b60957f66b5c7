"""The routes of the API, version 1, but those of issued forecasts: JSON, or CSV where an answer is a table."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

import polars as pl
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

import forebay
from forebay.dams.dam import Dam
from forebay.dams.gauge import Gauge
from forebay.dams.local_time import init_time
from forebay.days.daily import daily_table
from forebay.days.labels import display_unit
from forebay.forecasts.alerts import with_acknowledgements
from forebay.web import answers
from forebay.web.answers import source_of
from forebay.web.cache import FRESH_S, AnswerCache
from forebay.web.content import age_of, alert_states, chances_of, details, now_utc, summary
from forebay.web.dam_routes import DamId, site_of, state_of
from forebay.web.dam_state import DIGITS, level_column
from forebay.web.formats import (
    Encoded,
    csv_response,
    csv_table,
    encoded_json,
    finite_rows,
    json_response,
    response_of,
)
from forebay.web.parameters import DEFAULT_ROWS, FIRST_DAY, LAST_DAY, Form, Limit, Since, Until
from forebay.web.problems import ProblemError, refuse_unknown_parameters, responses

router = APIRouter(prefix="/api/v1", dependencies=[Depends(refuse_unknown_parameters)])


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
