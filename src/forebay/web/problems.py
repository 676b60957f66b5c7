"""Errors of the API as problem details (RFC 9457): what was wrong, what is allowed, what to do."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from forebay.errors import BusyError, DataError, ForebayError
from forebay.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MEDIA_TYPE = "application/problem+json"
MAX_VALUE_LENGTH = 80
EVERYWHERE = (400, 408, 413, 414, 422, 500, 503)
"""Errors that every route may have."""


class Problem(BaseModel):
    """An error: `detail` names the value, what is allowed, and what to do."""

    type: str = "about:blank"
    title: str
    status: int = Field(ge=400, le=599)
    detail: str


class ProblemError(Exception):
    """An error with the status and the sentence of its answer."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer of an error."""
    content = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail).model_dump()
    return JSONResponse(content, status, dict(headers or {}), MEDIA_TYPE)


def responses(*statuses: int, csv: bool = False) -> dict[int | str, dict[str, Any]]:
    """Answers of a route for the OpenAPI document besides its model: `statuses`, and the errors of every route.

    Parameters
    ----------
    csv
        Whether the route has its rows as CSV, too.
    """
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answers: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in (*statuses, *EVERYWHERE)
    }
    answers[304] = {"description": "The client has the newest answer (If-None-Match)."}
    if csv:
        answers[200] = {"content": {"text/csv": {"schema": {"type": "string"}}}}
    return answers


def add_handlers(app: FastAPI) -> None:
    """Let every error of `app` be a problem; a fault of the program names no detail of it."""
    app.add_exception_handler(ProblemError, _of_problem)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(ForebayError, _of_forebay)
    app.add_exception_handler(Exception, _of_fault)


def _of_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)
    return problem(error.status, error.detail, error.headers)


def _of_validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(_sentences(error.errors())))


def _sentences(errors: Sequence[Any]) -> list[str]:
    """One sentence for each wrong parameter."""
    sentences = []
    for item in errors:
        name = ".".join(str(part) for part in item["loc"][1:]) or "body"
        value = printable(str(item.get("input")))[:MAX_VALUE_LENGTH]
        sentences.append(f"{name} = {value!r}: {item['msg']}")
    return sentences


def _of_http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    details = {
        404: "There is no such address; /api/v1/openapi.json lists all.",
        405: "This method is not allowed here; /api/v1/openapi.json lists the methods of each address.",
    }
    return problem(error.status_code, details.get(error.status_code, str(error.detail)), error.headers)


def _of_forebay(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ForebayError)
    if isinstance(error, DataError):
        return problem(HTTPStatus.NOT_FOUND, str(error))
    headers = {"Retry-After": "5"} if isinstance(error, BusyError) else None
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers)


def _of_fault(_: Request, error: Exception) -> JSONResponse:
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, f"A fault of forebay ({type(error).__name__}); its log has more.")
