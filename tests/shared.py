"""Where the real data and recordings stand, and the mark of a test that needs them.

They lie beside the project and are never copied into it; a user of the project does not have them.
"""

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared"

# In CI a skip would hide that nothing was tested: there the tests run, and fail.
_ABSENT = not SHARED.is_dir() and os.environ.get("CI") != "true"
needs_shared = pytest.mark.skipif(_ABSENT, reason="../shared is absent")
