"""A server of the API on a free port of the loopback address, in a thread of the test."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import uvicorn
from fastapi import FastAPI

from forebay.archive import upkeep
from forebay.archive.store import open_archive
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.jobs.refresh import refresh
from forebay.settings import Settings
from forebay.web import server
from forebay.web.app import create_app
from forebay.web.site import Site, Snapshot
from tests import synthetic
from tests.synthetic import FIRST_DAY, daily_frame, rain_gauge, small_dam

DAYS = 420
LAKE = small_dam(
    rain_gauge(),
    full_supply=1.0,
    hindcast={"leads": (1, 3)},
    thresholds=[{"name": "Weir", "level": 0.5}],
)
LAST = FIRST_DAY + timedelta(days=DAYS - 1)


@dataclass
class Place:
    """A copy of the archive and of the results of its refresh, with a server."""

    folder: Path
    client: httpx.Client
    site: Site
    app: FastAPI

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/a.db"

    def get(self, path: str, status: int = 200, **parameters: object) -> Any:  # Any: a JSON value
        answer = self.client.get(path, params={name: str(value) for name, value in parameters.items()})
        assert answer.status_code == status, answer.text
        return answer.json()

    def execute(self, statement: str, *values: object) -> None:
        """Change the archive from outside, as another process does."""
        with closing(sqlite3.connect(self.folder / "a.db")) as connection:
            connection.execute(statement, values)
            connection.commit()

    def revise(self, level: float) -> None:
        """Add a revision of the newest level."""
        self.execute(
            "INSERT INTO observation SELECT series, time, fetched_at + 1, ?, ?, quality, quality_code FROM observation "
            "WHERE series = 1 AND time = (SELECT max(time) FROM observation WHERE series = 1)", level, str(level)
        )  # fmt: skip

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "a.db")) as connection:
            return connection.execute(query).fetchall()


def make_site(folder: Path) -> None:
    """Write the dam file, the archive and the results of two refreshes of the lake into `folder`."""
    rng = np.random.default_rng(5)
    rain = rng.gamma(0.3, 10.0, DAYS)
    levels = np.cumsum(rng.normal(0, 0.03, DAYS)) + np.cumsum(np.append(0.0, rain[:-1]) - rain.mean()) * 0.004
    columns = {"reservoir_level": levels.tolist(), "rainfall_r1": rain.tolist()}
    settings = Settings(cache=str(folder / "cache"))
    for days in (DAYS - 1, DAYS):
        frame = daily_frame(LAKE, {name: values[:days] for name, values in columns.items()})
        path = synthetic.write_dam(LAKE, frame, folder)
        path.write_text('licence = "CC BY 4.0"\n' + path.read_text())
        url, with_scenarios = f"sqlite:///{folder}/a.db", days == DAYS
        result = refresh([path], archive=url, settings=settings, output=folder / "runs", scenarios=with_scenarios)
        assert not result.failures, result.failures


@contextmanager
def copied_site(template: Path, folder: Path) -> Iterator[Place]:
    """A server of a copy of the site that `make_site` wrote."""
    url = copied_archive(template, folder)
    shutil.copytree(template / "runs", folder / "runs")
    dam = load_dam(str(template / "small.toml"))
    with serving({"small": dam}, url, folder / "runs") as (client, site, app):
        yield Place(folder, client, site, app)


def serve_dam(place: Place, changes: Mapping[str, object]) -> None:
    """Let the server read the lake again, with other values of its dam file, from the same archive and records."""
    dam = place.site.dams["small"].model_copy(update=changes)
    for name in set(vars(dam)) - set(Dam.model_fields):
        del vars(dam)[name]  # a cached property of the dam before
    place.site.dams["small"] = dam
    place.site._snapshot, place.site._archive_token = Snapshot(place.site.snapshot.number, {}), ""
    assert place.site.update()


def copied_archive(template: Path, folder: Path) -> str:
    """URL of a copy of the archive that `make_site` wrote."""
    upkeep.backup(f"sqlite:///{template}/a.db", folder / "a.db")
    return f"sqlite:///{folder}/a.db"


@contextmanager
def running(app: FastAPI) -> Iterator[httpx.Client]:
    """A client of `app`, whose server ends with the context."""
    listener = server.listen("127.0.0.1", 0)
    config = uvicorn.Config(app, log_config=None, lifespan="off")
    worker = uvicorn.Server(config)
    thread = threading.Thread(target=worker.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1", timeout=30) as client:
            yield client
    finally:
        worker.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def serving(dams: Mapping[str, Dam], url: str, folder: Path) -> Iterator[tuple[httpx.Client, Site, FastAPI]]:
    """A client, the site and the application of `dams`; the site reads the archive on `site.update()`."""
    with open_archive(url, create=False) as archive:
        site = Site(dams, archive, folder)
        site.update()
        try:
            app = create_app(site, writer=(url, Settings(cache=str(folder / "cache"))))
            with running(app) as client:
                yield client, site, app
        finally:
            site.close()
