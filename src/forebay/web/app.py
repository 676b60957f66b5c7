"""The server's application: the API with its limits, and the document that describes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastapi import FastAPI

import forebay
from forebay.web import api, dam_pages, pages, scenario_api
from forebay.web.limits import Limits
from forebay.web.page_response import Pages
from forebay.web.problems import Problem, add_handlers
from forebay.web.scenarios import Scenarios

if TYPE_CHECKING:
    from forebay.web.site import Site

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Names of this machine that are always allowed."""
DESCRIPTION = (
    "Level forecasts of dams with calibrated intervals. Times are ISO 8601 with a zone; days are those of the dam's "
    "time zone. Every answer has the unit, licence and attribution of its data. A forecast supports decisions: it is "
    "no release advice, and no warning in the name of an agency."
)


def create_app(site: Site, hosts: Iterable[str] = ()) -> FastAPI:
    """The application that shows a site, which is started and closed by the caller.

    Parameters
    ----------
    hosts
        Names of this server besides `LOOPBACK`.
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
    app.state.pages = Pages()
    app.include_router(api.router)
    app.include_router(scenario_api.router)
    app.include_router(pages.router)
    app.include_router(dam_pages.router)
    add_handlers(app)
    app.add_middleware(Limits, hosts=(*LOOPBACK, *hosts))
    document = app.openapi()
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    return app
