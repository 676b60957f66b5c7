"""LightGBM, imported on first use."""

from __future__ import annotations

from types import ModuleType

from forebay.errors import ForebayError


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
