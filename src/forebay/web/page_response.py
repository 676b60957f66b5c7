"""What the routes of all pages share: the site and the memories of a server, and the answer with a page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, ParamSpec

from fastapi import Request, Response

from forebay.dams.local_time import init_time, zone
from forebay.errors import BusyError, ForebayError
from forebay.forecasts.issue import STALE_DAYS
from forebay.web.assets import POLICY
from forebay.web.content import now_utc
from forebay.web.dam_state import DamState
from forebay.web.formats import text_response
from forebay.web.memory import Memory
from forebay.web.page_answers import AlertsPage, Overview
from forebay.web.page_environment import render
from forebay.web.problems import ProblemError

if TYPE_CHECKING:
    from forebay.web.page_cache import DamContent

CHART_SCRIPTS = ("vega.js", "start.js")
"""Scripts of a page with charts."""

Arguments = ParamSpec("Arguments")


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


def html_response(request: Request, text: str, status: int = 200) -> Response:
    """The answer with a page, under the policy of all pages."""
    return text_response(request, text, {"Content-Security-Policy": POLICY}, status)


def with_error_page(route: Callable[Arguments, Response]) -> Callable[Arguments, Response]:
    """The route of a page whose errors are pages too."""

    @wraps(route)
    def answer(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Response:
        try:
            return route(*args, **kwargs)
        except ProblemError as error:
            return _error_page(error.status, error.detail, _request_of(kwargs))
        except BusyError as error:
            return _error_page(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}. Try again.", _request_of(kwargs))
        except ForebayError as error:
            return _error_page(HTTPStatus.NOT_FOUND, f"{error}.", _request_of(kwargs))

    return answer


def _request_of(values: object) -> Request:
    assert isinstance(values, dict)
    request = values["request"]
    assert isinstance(request, Request)
    return request


def _error_page(status: HTTPStatus, detail: str, request: Request) -> Response:
    values = {"detail": detail, "title": status.phrase, "page": "", "json_url": "/index.json", "scripts": (),
              "dam_id": None}  # fmt: skip
    return html_response(request, render("error.html", values), status)


def _stale_at(state: DamState) -> str:
    """The instant from which the forecast of a state is stale; empty without a forecast."""
    if state.record is None or state.level_date is None:
        return ""
    return init_time(state.level_date + timedelta(days=STALE_DAYS + 1), state.dam.time_zone).isoformat()
