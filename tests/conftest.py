"""What every test can count on: no setting of the person who runs it, and no file of theirs touched."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from forebay.models.fits import Fits
from forebay.verify.hindcast import Execution
from tests.postgres import Cluster, cluster

settings.register_profile("forebay", deadline=None, derandomize=True, database=None)  # the same cases on every machine
settings.load_profile("forebay")

SPREAD = {"test_cli.py", "test_end_to_end.py", "test_no_look_ahead.py"}
"""Modules whose tests are long and share nothing: any worker takes any of them."""


class ByModule(LoadScopeScheduling):  # type: ignore[misc]  # no types published
    """All tests of any other module go to one worker, which makes their fixtures once."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return nodeid if Path(module).name in SPREAD else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByModule:
    """Who runs what, with --numprocesses."""
    return ByModule(config, log)


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without FOREBAY_… variables, and with a user's data folder of the test's own."""
    for name in list(os.environ):
        if name.startswith("FOREBAY_"):
            monkeypatch.delenv(name)
    home: Path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(_shared_cache(tmp_path_factory)))
    monkeypatch.setenv("COLUMNS", "120")  # tables in the terminal are as wide everywhere


def _shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache folder for all tests and workers, so that fits of one record and programs of jax are computed once."""
    base: Path = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"


@pytest.fixture(scope="session")
def execution(tmp_path_factory: pytest.TempPathFactory) -> Execution:
    """Execution of a hindcast of a real record: with the fits of the shared cache, as the commands have it."""
    return Execution(Fits(_shared_cache(tmp_path_factory) / "forebay" / "fits", 10**9))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server; each worker starts its own when a test first needs it."""
    with cluster() as server:
        yield server


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Gives the URL of an archive that is not there yet; tests that use it run on both databases."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path_factory.mktemp('archive') / 'folder' / 'forebay.db'}"
    server: Cluster = request.getfixturevalue("postgres")
    return server.new


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    """URL of an archive that is not there yet; tests that use it run on both databases."""
    return new_url()


@pytest.fixture(scope="session")
def emptied(new_url: Callable[[], str], request: pytest.FixtureRequest) -> Callable[[], str]:
    """As `new_url`, for a test that needs many one after the other: the same PostgreSQL database, emptied."""
    url = new_url()
    if url.startswith("sqlite"):
        return new_url
    server: Cluster = request.getfixturevalue("postgres")
    return lambda: server.emptied(url)
