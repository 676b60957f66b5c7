"""Programs in other languages that tests run: Elixir and Node."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def need_program(name: str, package: str) -> None:
    """Skip the test if a program is absent; a failure in CI."""
    if shutil.which(name) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed; scripts/test installs the Debian package {package}")
        pytest.skip(f"{name} is not installed (Debian package {package})")


def run_program(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The finished process of a command."""
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    return subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
