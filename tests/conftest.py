"""Fixtures of all tests. No test uses the settings or the files of the person who runs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from forebay.models.fits import Fits
from forebay.verify.hindcast import Execution
from tests.postgres import Cluster, cluster

if TYPE_CHECKING:
    from tests.web_server import Place

settings.register_profile("forebay", deadline=None, derandomize=True, database=None)  # the same cases on every machine
settings.load_profile("forebay")

SPLIT_MODULES = {"test_cli.py", "test_end_to_end.py", "test_no_look_ahead.py"}
"""Modules whose tests are long and share no fixture; their tests run on any worker."""


class ModuleScheduling(LoadScopeScheduling):  # type: ignore[misc]  # no types published
    """All tests of a module run on one worker, which computes their fixtures once; except `SPLIT_MODULES`."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return nodeid if Path(module).name in SPLIT_MODULES else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ModuleScheduling:
    """The distribution of tests over workers with --numprocesses."""
    return ModuleScheduling(config, log)


@pytest.fixture(autouse=True)
def _isolated_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Remove all FOREBAY_… variables, and set a data folder for each test."""
    for name in list(os.environ):
        if name.startswith("FOREBAY_"):
            monkeypatch.delenv(name)
    home: Path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(_shared_cache(tmp_path_factory)))
    monkeypatch.setenv("COLUMNS", "120")  # the same width of terminal tables on every machine


def _shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache folder for all tests and workers: each fit and each compiled program of jax is computed once."""
    base: Path = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"


@pytest.fixture(scope="session")
def execution(tmp_path_factory: pytest.TempPathFactory) -> Execution:
    """Execution of a hindcast of a real record, with the fits of the shared cache, as in the commands."""
    return Execution(Fits(_shared_cache(tmp_path_factory) / "forebay" / "fits", 10**9))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server; each worker starts its own when a test first needs it."""
    with cluster() as server:
        yield server


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def new_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Function that returns the URL of a new archive; tests that use it run on both databases."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path_factory.mktemp('archive') / 'folder' / 'forebay.db'}"
    server: Cluster = request.getfixturevalue("postgres")
    return server.new


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    """URL of an archive that does not exist yet; tests that use it run on both databases."""
    return new_url()


@pytest.fixture(scope="session")
def empty_archive_url(new_url: Callable[[], str], request: pytest.FixtureRequest) -> Callable[[], str]:
    """Like `new_url`, for tests that need many archives in turn: PostgreSQL clears and reuses one database."""
    url = new_url()
    if url.startswith("sqlite"):
        return new_url
    server: Cluster = request.getfixturevalue("postgres")
    return lambda: server.empty_database(url)


@pytest.fixture(scope="session")
def site_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the archive of a simulated lake and the results of its refreshes (`web_server.make_site`)."""
    from tests.web_server import make_site

    folder = tmp_path_factory.mktemp("site")
    make_site(folder)
    return folder


@pytest.fixture
def served(site_template: Path, tmp_path: Path) -> Iterator[Place]:
    """A server of a copy of that archive."""
    from tests.web_server import copied_site

    with copied_site(site_template, tmp_path) as copy:
        yield copy
