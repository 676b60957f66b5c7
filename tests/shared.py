"""Path of the real data and recordings, and the mark of a test that needs them.

The folder is next to the project and is never copied into it. A user of the project does not have it.
"""

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared"

# In CI a skip would hide a missing folder: the tests run and fail.
_ABSENT = not SHARED.is_dir() and os.environ.get("CI") != "true"
needs_shared = pytest.mark.skipif(_ABSENT, reason="../shared is absent")
