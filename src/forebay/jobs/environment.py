"""What the digits of a forecast depend on besides its inputs: code, libraries, machine."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_info  # type: ignore[import-untyped]  # no types published

from forebay import __version__

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

NETS_ONLY = ("keras", "jax")
"""Libraries that only networks use."""


def environment(dam: Dam) -> dict[str, object]:
    """Version of forebay and of each library, digest of the source code, Python, machine, linear algebra library."""
    from forebay.models.fits import LIBRARIES  # here: a server that reads records needs no models

    names = [name for name in (*LIBRARIES, "polars") if dam.hindcast.nets or name not in NETS_ONLY]
    return {
        "forebay": __version__,
        "source code": source_digest(),
        "Python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "linear algebra": _linear_algebra(),
        "libraries": {name: text for name in names if (text := _version(name)) is not None},
    }


@cache
def source_digest() -> str:
    """SHA-256 of forebay's Python files: their paths and contents, by path."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _linear_algebra() -> str:
    """The BLAS libraries of this process: name, version and the processor type that they chose."""
    import scipy.linalg  # noqa: F401  # loads its library, too

    parts = {
        f"{entry['internal_api']} {entry['version']} {entry.get('architecture', '')}".rstrip()
        for entry in threadpool_info()
        if entry["user_api"] == "blas"
    }
    return ", ".join(sorted(parts))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
