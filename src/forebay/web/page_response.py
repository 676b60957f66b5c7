"""What the routes of all pages share: the memories of a server, and the answer with a page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from forebay.dams.local_time import init_time, zone
from forebay.forecasts.issue import STALE_DAYS
from forebay.web.assets import POLICY
from forebay.web.content import now_utc
from forebay.web.dam_routes import site_of
from forebay.web.dam_state import DamState
from forebay.web.formats import text_response
from forebay.web.memory import Memory
from forebay.web.page_answers import AlertsPage, Overview
from forebay.web.page_environment import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forebay.web.page_cache import DamContent
    from forebay.web.refresher import RefresherStatus

ERROR_TITLES = {404: "This page does not exist", 422: "Wrong request", 503: "The server is busy"}
"""Titles of errors whose names in the protocol are not for readers."""
MAX_NAMES = 5
"""Dams that a sentence on the refresher names."""
CHART_SCRIPTS = ("vega.js", "start.js")
"""Scripts of a page with charts."""

class Pages:
    """The memories of a server's pages."""

    def __init__(self) -> None:
        self.overviews = Memory[Overview]()
        self.alerts = Memory[AlertsPage]()
        self.contents: Memory[DamContent] = Memory()
        self.texts = Memory[str]()


def pages_of(request: Request) -> Pages:
    """The memories of the server."""
    pages: Pages = request.app.state.pages
    return pages


def refresh_of_all(request: Request) -> str | None:
    """A sentence on the refresher if it works, was restarted, or has failed; None without any."""
    status = status_of(request)
    if status is None:
        return None
    if status.state == "refreshing":
        return f"New forecasts are being computed: {_names(request, status.dams)}."
    if status.state == "restarting":
        return status.sentence
    return _failure(request, status) if status.failed else None


def refresh_of_dam(request: Request, state: DamState) -> str | None:
    """The same of one dam."""
    status, dam = status_of(request), state.dam.id
    if status is None:
        return None
    if status.state == "refreshing" and dam in status.dams:
        return "A new forecast is being computed."
    return _failure(request, status) if dam in status.failed else None


def status_of(request: Request) -> RefresherStatus | None:
    """The state of the server's refresher; None without one."""
    refresher = request.app.state.refresher
    return None if refresher is None else refresher.status


def _failure(request: Request, status: RefresherStatus) -> str:
    return f"The last refresh failed for {_names(request, status.failed)}: {status.sentence}"


def _names(request: Request, dams: Sequence[str]) -> str:
    """Names of the first dams, and the number of the others."""
    known = site_of(request).snapshot.dams
    names = [known[dam].dam.name if dam in known else dam for dam in dams[:MAX_NAMES]]
    return ", ".join(names) + (f" and {len(dams) - MAX_NAMES} more" if len(dams) > MAX_NAMES else "")


def this_minute() -> datetime:
    """The present minute: the ages of pages count from it, and a page is the same within it."""
    return now_utc().replace(second=0, microsecond=0)


def page_text(
    template: str, values: dict[str, object], json_url: str, scripts: tuple[str, ...], place: DamState | tzinfo
) -> str:
    """HTML text of a page.

    Parameters
    ----------
    values
        Values of the template, with `content`, the numbers of the page.
    json_url
        Address of the same numbers as JSON.
    scripts
        Names of its assets, in their order.
    place
        The dam of the page, or the time zone of a page of several dams.
    """
    shared = {"json_url": json_url, "scripts": scripts, "zone": place, "dam_id": None, "dam_name": None, "stale_at": ""}
    if isinstance(place, DamState):
        dam = place.dam
        shared |= {"zone": zone(dam.time_zone), "dam_id": dam.id, "dam_name": dam.name, "stale_at": _stale_at(place)}
    return render(template, {**shared, **values})


def html_response(request: Request, text: str) -> Response:
    """The answer with a page, under the policy of all pages."""
    return text_response(request, text, {"Content-Security-Policy": POLICY})


def error_page(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The page of an error: what was wrong, what is allowed, what to do."""
    title = ERROR_TITLES.get(status, HTTPStatus(status).phrase)
    values = {"detail": detail, "title": title, "page": "", "json_url": "/index.json",
              "scripts": (), "dam_id": None}  # fmt: skip
    text = render("error.html", values)
    return HTMLResponse(text, status, {**(headers or {}), "Content-Security-Policy": POLICY})


def _stale_at(state: DamState) -> str:
    """The instant from which the forecast of a state is stale; empty without a forecast."""
    if state.record is None or state.level_date is None:
        return ""
    return init_time(state.level_date + timedelta(days=STALE_DAYS + 1), state.dam.time_zone).isoformat()
