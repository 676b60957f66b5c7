"""The pages of one dam: its forecast, its past forecasts and its scenarios; the numbers of each as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

import polars as pl
from fastapi import APIRouter, Query, Request, Response

from forebay.charts.context import context_figure
from forebay.charts.figures import figures_by_name
from forebay.charts.formats import TargetFormat
from forebay.charts.report_tables import Report
from forebay.charts.scenario import FULL, SCENARIO_COLOURS, slider_chart
from forebay.charts.spec import chart_spec, page_spec
from forebay.dams.dam_content import dam_of_content
from forebay.jobs.record import content_of, find_record, last_issued
from forebay.report.forecast import build as build_forecast
from forebay.web.dam_routes import DamId, site_of, state_of
from forebay.web.dam_state import DamState, recorded_state
from forebay.web.formats import json_response
from forebay.web.page_answers import DamPage, PastPage, ScenarioPage
from forebay.web.page_cache import DamContent, read_content
from forebay.web.page_content import dam_page, past_page, past_rows, scenario_page
from forebay.web.page_render import render_head, render_part
from forebay.web.page_report import at_time, report_of
from forebay.web.page_response import (
    CHART_SCRIPTS,
    html_response,
    page_text,
    pages_of,
    refresh_of_dam,
    this_minute,
)
from forebay.web.problems import ProblemError

router = APIRouter(include_in_schema=False)
FOLDED = ("scores", "reliability", "coverage", "dam_and_gauges", "glossary")
"""Sections that are folded until somebody opens them; they are below the answers, and longest on a phone."""
InitDate = Annotated[date | None, Query()]


@router.get("/dams/{dam}.json")
def dam_numbers(request: Request, dam: DamId) -> Response:
    """The numbers of the page of a dam."""
    return json_response(request, _dam(request, state_of(request, dam), this_minute())[0])


@router.get("/dams/{dam}")
def dam_forecast(request: Request, dam: DamId) -> Response:
    """The page of a dam: its newest forecast."""
    state, now = state_of(request, dam), this_minute()
    failure, refresh = site_of(request).snapshot.failure, refresh_of_dam(request, state)
    request.app.state.scenarios.expect(state.dam)

    def text() -> str:
        answer, content = _dam(request, state, now)
        report = None if content.report is None else at_time(content.report, now)
        values: dict[str, object] = {
            "content": answer,
            "report": report,
            "head": None if report is None else render_head(report),
            "sections": content.sections,
            "folded": FOLDED,
            "target": TargetFormat(state.dam),
            "page": "dam",
            "live": dam,
        }
        return page_text("dam.html", values, f"/dams/{dam}.json", ("live.js", *CHART_SCRIPTS, "fold.js"), state)

    return html_response(request, pages_of(request).texts.get(("dam", dam), (state, now, failure, refresh or ""), text))


@router.get("/dams/{dam}/past.json")
def past_numbers(request: Request, dam: DamId, init_date: InitDate = None) -> Response:
    """The numbers of the page of a past forecast."""
    return json_response(request, _past(request, state_of(request, dam), init_date)[0])


@router.get("/dams/{dam}/past")
def past_forecast(request: Request, dam: DamId, init_date: InitDate = None) -> Response:
    """The page of a past forecast, over what was observed; by default the newest one."""
    state = state_of(request, dam)
    answer, report = _past(request, state, init_date)
    html = None
    if report is not None:
        values = {**build_forecast(report), "scores_url": f"/dams/{dam}#scores"}
        html = render_part("forecast.html", report, figures_by_name([context_figure(report)]), values)
    shared: dict[str, object] = {"content": answer, "report": report, "html": html, "page": "past",
                                 "note": " ".join(state.notes) or "Its days are not in the archive."}  # fmt: skip
    address = f"/dams/{dam}/past.json" + (f"?init_date={init_date}" if init_date else "")
    return html_response(request, page_text("past_page.html", shared, address, CHART_SCRIPTS, state))


@router.get("/dams/{dam}/scenario.json")
def scenario_numbers(request: Request, dam: DamId) -> Response:
    """The numbers of the page of scenarios."""
    return json_response(request, _scenario(request, state_of(request, dam), this_minute())[0])


@router.get("/dams/{dam}/scenario")
def scenario(request: Request, dam: DamId) -> Response:
    """The page of scenarios."""
    state, now = state_of(request, dam), this_minute()
    request.app.state.scenarios.expect(state.dam)
    answer, report = _scenario(request, state, now)
    spec, legend, reason = None, [], ""
    if report is None or answer.init_date is None:
        reason = "Scenarios need a forecast."
    elif not state.dam.columns("rainfall"):
        reason = "The dam file has no rain gauge, so that scenarios have no past rain to learn from."
    else:
        spec = page_spec(chart_spec(slider_chart(report)))
        in_chart = report.reference_levels[0]["name"].str.to_lowercase().to_list()
        legend = [(name, colour) for name, colour in SCENARIO_COLOURS.items() if name != FULL or FULL in in_chart]
    values: dict[str, object] = {
        "content": answer,
        "spec": spec,
        "legend": legend,
        "reason": reason,
        "target": TargetFormat(state.dam),
        "days": [] if answer.init_date is None else [
            answer.init_date + timedelta(days=lead) for lead in range(1, answer.rain_days + 1)
        ],
        "page": "scenario",
    }  # fmt: skip
    scripts = (*CHART_SCRIPTS, "scenario.js") if spec else ()
    return html_response(request, page_text("scenario.html", values, f"/dams/{dam}/scenario.json", scripts, state))


def _dam(request: Request, state: DamState, now: datetime) -> tuple[DamPage, DamContent]:
    content = _content(request, state)
    report = None if content.report is None else at_time(content.report, now)
    page = dam_page(state, report, content.past, now, site_of(request).snapshot.failure)
    return page.model_copy(update={"refresh": refresh_of_dam(request, state)}), content


def _content(request: Request, state: DamState) -> DamContent:
    site = site_of(request)
    return pages_of(request).contents.get(state.dam.id, (state,), lambda: read_content(state, site))


def _past(request: Request, state: DamState, init_date: date | None) -> tuple[PastPage, Report | None]:
    """The numbers and the report of a past forecast; both empty without an issued one."""
    archive, now = site_of(request).archive, this_minute()
    issued = last_issued(archive.records.index(state.dam.id)).reverse()
    if issued.is_empty():
        return past_page(state, None, now, [], pl.DataFrame()), None
    days = issued["init_date"].to_list()
    rows = issued.filter(pl.col("init_date") == (init_date or days[0]))
    if rows.is_empty():
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no issued forecast from {init_date}; choose another day.")
    record = find_record(archive, f"{state.dam.id}-{rows['sequence'][0]}")
    content = content_of(record)
    past = recorded_state(dam_of_content(content["dam_file"]), content, record["hash"][0])
    tables = _content(request, state).tables
    report = None if tables is None else report_of(past, tables, past_time(content))
    return past_page(state, past, now, days, past_rows(past.forecast, state.levels)), report


def past_time(content: Mapping[str, Any]) -> datetime:  # Any: JSON
    """The issue time of a record."""
    return datetime.fromisoformat(content["issue_time"])


def _scenario(request: Request, state: DamState, now: datetime) -> tuple[ScenarioPage, Report | None]:
    content = _content(request, state)
    return scenario_page(state, content.report, now), content.report
