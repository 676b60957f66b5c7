"""The document that describes the API: stored, complete, and true of every answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests import openapi


@pytest.fixture(scope="module")
def document() -> Any:  # Any: a JSON value
    return openapi.document()


def test_a_change_of_the_api_is_deliberate(document: Any) -> None:
    stored = json.loads(openapi.STORED.read_text())
    assert document == stored, "the API differs from docs/openapi.json; python -m tests.openapi stores it"


def test_every_route_and_parameter_is_described(document: Any) -> None:
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert route["description"], (path, method)
            assert set(route["responses"]) >= {"400", "422", "503"}, (path, method)
            assert set(route["responses"]) & {"200", "202"}, (path, method)
            for parameter in route.get("parameters", ()):
                name, limits = parameter["name"], json.dumps(parameter["schema"])
                assert parameter.get("description") or name in ("format", "sequence", "init_date"), (path, name)
                bounds = ("maxLength", "pattern", "maximum", "enum", "format")
                assert any(bound in limits for bound in bounds), f"{path}: {name} has no limit"


def test_every_error_is_a_problem(document: Any) -> None:
    for methods in document["paths"].values():
        for route in methods.values():
            for status, response in route["responses"].items():
                if status not in ("200", "202", "304"):
                    assert list(response["content"]) == ["application/problem+json"], status
    assert set(document["components"]["schemas"]["Problem"]["properties"]) == {"type", "title", "status", "detail"}
