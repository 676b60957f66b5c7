"""Real full and read-only disks: tests run as root, and chmod does not restrict root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def mount(*options: str) -> None:
    """Run mount; without permission the test is skipped (in CI it fails)."""
    process = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if process.returncode and os.environ.get("CI") == "true":
        pytest.fail(f"mount is not permitted: {process.stderr}")
    if process.returncode:
        pytest.skip(f"mount is not permitted: {process.stderr.strip()}")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of a size ("512k") at a new `folder`."""
    folder.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
