"""Random requests by the OpenAPI document: no error of the server, and every answer as the document says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from forebay.archive.store import open_archive
from tests.web_server import Place

CASES_PER_ROUTE = 180
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.slow
def test_random_requests(served: Place, tmp_path: Path) -> None:
    """Also of the routes that write, with a valid token; their rates are open here, so that every case is reached."""
    base = str(served.client.base_url)
    served.app.state.streams.is_ending = lambda: True  # a stream has no end of its own
    with open_archive(served.url) as archive:
        token = archive.access.new_token("schemathesis")
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{base}openapi.json",
        "--url", base.removesuffix("/api/v1/"), "--checks", CHECKS, "--max-examples", str(CASES_PER_ROUTE),
        "--header", f"Authorization: Bearer {token}", "--mode", "all", "--phases", "fuzzing,coverage",
        "--seed", "1", "--generation-database", "none", "--no-color",
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=900, check=False)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    (cases,) = re.findall(r"([\d,]+) generated", result.stdout)
    assert int(cases.replace(",", "")) >= 2000, result.stdout[-3000:]
