"""What every test can count on: no setting of the person who runs it, and no file of theirs touched."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("forebay", deadline=None, derandomize=True, database=None)  # the same cases on every machine
settings.load_profile("forebay")


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without FOREBAY_… variables, and with a user's data folder of the test's own."""
    for name in list(os.environ):
        if name.startswith("FOREBAY_"):
            monkeypatch.delenv(name)
    home: Path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    # One for all tests: what jax compiled is used again.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("COLUMNS", "120")  # tables in the terminal are as wide everywhere
