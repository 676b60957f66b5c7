"""A server of the API on a free port of the loopback address, in a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

from forebay.archive.store import open_archive
from forebay.dams.dam import Dam
from forebay.web import server
from forebay.web.app import create_app
from forebay.web.site import Site


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
def serving(dams: Mapping[str, Dam], url: str, folder: Path) -> Iterator[tuple[httpx.Client, Site]]:
    """A client and the site of `dams`, which reads the archive at `url` when the test calls `site.update()`."""
    with open_archive(url, create=False) as archive:
        site = Site(dams, archive, folder)
        site.update()
        try:
            with running(create_app(site)) as client:
                yield client, site
        finally:
            site.close()
