"""Processes whom the modes of files restrict, also where the tests run as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import forebay
from tests.shared import PROJECT


def run_restricted(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in `folder` without root's right to ignore the modes of files."""
    command = [sys.executable, "-c", code]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not installed: root ignores the modes of files")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    package = Path(forebay.__file__).parents[1]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(package), str(PROJECT)])}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)
