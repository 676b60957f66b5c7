"""The document that describes the API. ``python -m tests.openapi`` stores it as docs/openapi.json."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from forebay.archive.store import open_archive
from forebay.web.app import create_app
from forebay.web.site import Site
from tests.synthetic import small_dam

STORED = Path(__file__).parents[1] / "docs" / "openapi.json"


def document() -> Any:  # Any: a JSON value
    """The document of a server with one dam."""
    with tempfile.TemporaryDirectory() as folder, open_archive(f"sqlite:///{folder}/a.db") as archive:
        site = Site({"small": small_dam()}, archive, Path(folder))
        app = create_app(site)
        site.close()
    return json.loads(json.dumps(app.openapi()))


if __name__ == "__main__":
    STORED.write_text(json.dumps(document(), indent=1, sort_keys=True) + "\n", "utf-8")
