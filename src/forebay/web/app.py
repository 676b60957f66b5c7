"""The server's application: the API with its limits, and the document that describes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastapi import FastAPI

import forebay
from forebay.jobs.arguments import current_settings
from forebay.web import api, dam_pages, events, forecast_api, metrics, pages, scenario_api, write_api
from forebay.web.cache import AnswerCache
from forebay.web.limits import Limits
from forebay.web.page_response import Pages, error_page
from forebay.web.problems import Problem, add_handlers
from forebay.web.scenarios import Scenarios

if TYPE_CHECKING:
    from forebay.settings import Settings
    from forebay.web.site import Site
    from forebay.web.write_api import Refresher

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Names of this machine that are always allowed."""
DESCRIPTION = (
    "Level forecasts of dams with calibrated intervals. Times are ISO 8601 with a zone; days are those of the dam's "
    "time zone. Every answer has the unit, licence and attribution of its data. A forecast supports decisions: it is "
    "no release advice, and no warning in the name of an agency."
)


def create_app(
    site: Site,
    hosts: Iterable[str] = (),
    *,
    writer: tuple[str, Settings] | None = None,
    refresher: Refresher | None = None,
) -> FastAPI:
    """The application that shows a site, which is started and closed by the caller.

    Parameters
    ----------
    hosts
        Names of this server besides `LOOPBACK`.
    writer
        URL of the archive and settings of the routes that write; by default those of the working folder.
    refresher
        None: the dams are refreshed by another program.
    """
    app = FastAPI(
        title="forebay",
        version=forebay.__version__,
        description=DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its page loads scripts from another host
        redoc_url=None,
    )
    app.state.site = site
    app.state.scenarios = Scenarios(site.folder)
    app.state.cache = AnswerCache()
    app.state.streams = events.Streams()
    app.state.writer = writer or default_writer()
    app.state.refresher = refresher
    app.state.pages = Pages()
    for routes in (api, forecast_api, scenario_api, write_api, events, metrics, pages, dam_pages):
        app.include_router(routes.router)
    add_handlers(app, error_page)
    app.state.counts = dict.fromkeys(("answered", "refused", "shed"), 0)
    app.add_middleware(Limits, hosts=(*LOOPBACK, *hosts), counts=app.state.counts)
    document = app.openapi()
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    return app


def default_writer() -> tuple[str, Settings]:
    """URL of the archive and settings in the working folder."""
    settings = current_settings()
    return settings.archive, settings
