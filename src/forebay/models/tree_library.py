"""LightGBM, imported on first use."""

from __future__ import annotations

import sys
from types import ModuleType

from forebay.errors import ForebayError

OPTIONAL = ("sklearn", "pandas")
"""Packages to which LightGBM has interfaces, if they are installed. Their import takes most of the time of its own."""


def load_lightgbm_alone() -> None:
    """Import LightGBM without its interfaces to other packages: for a command, which uses none of them.

    No other thread may run yet: its imports of these packages would fail meanwhile.
    """
    hidden = [name for name in OPTIONAL if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: an import fails, as documented
    try:
        load_lightgbm()
    finally:
        for name in hidden:
            del sys.modules[name]


def load_lightgbm() -> ModuleType:
    """The package `lightgbm`.

    Raises
    ------
    ForebayError
        If a library of the system that it needs is missing: libgomp, which LightGBM does not contain. It is no
        `ModelError`, because no other model may replace the trees for this reason.
    """
    try:
        import lightgbm
    except OSError as error:
        raise ForebayError(
            f"LightGBM cannot be loaded ({error}); install the system's OpenMP library, for example by "
            "`apt-get install libgomp1` (Debian, Ubuntu), `dnf install libgomp` (Fedora), `brew install libomp` (macOS)"
        ) from None
    return lightgbm
