"""The pages of all dams, the files that pages load, and the numbers of each page as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from forebay.charts.formats import TargetFormat
from forebay.dams.local_time import zone
from forebay.forecasts.alerts import with_acknowledgements
from forebay.forecasts.issue import STALE_DAYS
from forebay.web.answers import AlertChange, source_of
from forebay.web.assets import IMMUTABLE, asset
from forebay.web.content import alert_states
from forebay.web.dam_routes import site_of
from forebay.web.formats import finite_rows, json_response
from forebay.web.page_answers import AlertsPage, DamAlerts, Overview
from forebay.web.page_content import overview
from forebay.web.page_response import (
    html_response,
    page_text,
    pages_of,
    refresh_of_all,
    this_minute,
)
from forebay.web.problems import ProblemError

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.web.site import Snapshot

MAX_CHANGES = 100
"""Changes of alerts of one dam on the page."""

router = APIRouter(include_in_schema=False)


@router.get("/static/{digest}/{name}")
def static(request: Request, digest: str, name: str) -> Response:
    """A style, script or picture; its content does not depend on the digest in its address."""
    try:
        file = asset(name)
    except KeyError:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no file {name!r}.") from None
    headers = {"Cache-Control": IMMUTABLE, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.compressed, media_type=file.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(file.body, media_type=file.media_type, headers=headers)


@router.get("/index.json")
def overview_numbers(request: Request) -> Response:
    """The numbers of the overview."""
    return json_response(request, _overview(request))


@router.get("/")
def overview_page(request: Request) -> Response:
    """The overview: every dam."""
    content = _overview(request)
    states = site_of(request).snapshot.dams

    def text() -> str:
        formats = {name: TargetFormat(state.dam) for name, state in states.items()}
        values = {"content": content, "formats": formats, "page": "overview", "live": "*", "stale_days": STALE_DAYS}
        return page_text("overview.html", values, "/index.json", ("live.js", "overview.js"), UTC)

    return html_response(request, pages_of(request).texts.get("overview", (content,), text))


@router.get("/alerts.json")
def alerts_numbers(request: Request) -> Response:
    """The states of all alert rules, and their changes."""
    return json_response(request, _alerts(request))


@router.get("/alerts")
def alerts(request: Request) -> Response:
    """The page of alerts."""
    content = _alerts(request)
    states = site_of(request).snapshot.dams

    def text() -> str:
        zones = {name: zone(state.dam.time_zone) for name, state in states.items()}
        values = {"content": content, "zones": zones, "page": "alerts", "live": "*"}
        return page_text("alerts.html", values, "/alerts.json", ("live.js", "alerts.js"), UTC)

    return html_response(request, pages_of(request).texts.get("alerts", (content,), text))


def _overview(request: Request) -> Overview:
    snapshot, now = site_of(request).snapshot, this_minute()
    refresh = refresh_of_all(request)
    return pages_of(request).overviews.get(
        "overview",
        (snapshot, now, refresh or ""),
        lambda: overview(snapshot, now).model_copy(update={"refresh": refresh}),
    )


def _alerts(request: Request) -> AlertsPage:
    site, now = site_of(request), this_minute()
    snapshot, acknowledgements = site.snapshot, site.archive.alerts.acknowledgements().height
    key = (snapshot, now, acknowledgements)
    return pages_of(request).alerts.get("alerts", key, lambda: alerts_page(snapshot, site.archive, now))


def alerts_page(snapshot: Snapshot, archive: Archive, now: datetime) -> AlertsPage:
    """The states and changes of alerts of every dam with rules, by name."""
    dams = []
    for state in sorted(snapshot.dams.values(), key=lambda each: (each.dam.name.casefold(), each.dam.id)):
        if state.alerts.is_empty():
            continue
        store, dam = archive.alerts, state.dam.id
        changes = with_acknowledgements(store.changes(dam), store.acknowledgements(dam))
        changes = changes.sort("decided_at", "rule", descending=True).head(MAX_CHANGES)
        dams.append(
            DamAlerts(
                **source_of(state.dam),
                states=alert_states(archive, dam),
                changes=[AlertChange(**row) for row in finite_rows(changes.select(list(AlertChange.model_fields)))],
            )
        )
    return AlertsPage(time=now, failure=snapshot.failure or None, dams=dams)
