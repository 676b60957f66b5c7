"""Errors as problem details (RFC 9457), or as pages: what was wrong, what is allowed, what to do."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from forebay.errors import BusyError, DataError, ForebayError
from forebay.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


async def refuse_unknown_parameters(request: Request) -> None:
    """Raise `ProblemError` if the address has a parameter that its route does not know, such as a misspelt one.

    It does not wait for anything; as a plain function it would need a thread for each request.
    """
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known:
            allowed = f"its parameters are {', '.join(known)}" if known else "it has none"
            sentence = f"This address has no parameter {printable(name)[:MAX_VALUE_LENGTH]!r}; {allowed}."
            raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, sentence)


def add_handlers(app: FastAPI, error_page: Callable[[int, str, Mapping[str, str] | None], Response]) -> None:
    """Let every error of `app` be a problem, or a page where a page was asked for.

    Parameters
    ----------
    error_page
        Status, sentence and headers of an error → the page that shows it.
    """

    def handler(describe: Callable[[Any], ProblemError]) -> Callable[[Request, Exception], Response]:
        def answer(request: Request, error: Exception) -> Response:
            described = describe(error)
            show = error_page if is_page(request.url.path) else problem
            return show(described.status, described.detail, described.headers)

        return answer

    app.add_exception_handler(ProblemError, handler(lambda error: error))
    app.add_exception_handler(RequestValidationError, handler(_of_validation))
    app.add_exception_handler(HTTPException, handler(_of_http))
    app.add_exception_handler(ForebayError, handler(_of_forebay))
    app.add_exception_handler(Exception, handler(_of_fault))


def is_page(path: str) -> bool:
    """Whether the answer of an address is a page.

    >>> is_page("/dams/lake"), is_page("/dams/lake.json"), is_page("/api/v1/dams")
    (True, False, False)
    """
    return not path.startswith(("/api/", "/static/", "/metrics")) and not path.endswith(".json")


def _of_validation(error: RequestValidationError) -> ProblemError:
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(map(_sentence, error.errors())) + ".")


_EXPECTED = {
    "date": "it must be a day such as 2026-11-28",
    "datetime": "it must be a time with its zone, such as 2026-11-28T06:10Z",
    "extra_forbidden": "there is no such field; /api/v1/openapi.json lists the fields",
    "model_attributes_type": "the body must be an object of JSON, with the header Content-Type: application/json",
}
"""What is allowed, for errors whose text is not for readers; by their type, or its first word."""


def _sentence(item: Mapping[str, Any]) -> str:
    """A sentence on one wrong parameter: its value, and what is allowed."""
    kind = str(item["type"])
    if kind == "json_invalid":
        return f"The body is no JSON: {item['ctx']['error']} at character {item['loc'][-1]}"
    name = ".".join(str(part) for part in item["loc"][1:]) or "body"
    value = item.get("input")
    text = printable(value.decode(errors="replace") if isinstance(value, bytes) else str(value))[:MAX_VALUE_LENGTH]
    expected = _EXPECTED.get(kind) or _EXPECTED.get(kind.split("_", maxsplit=1)[0]) or item["msg"]
    return f"{name} = {text!r}: {expected}"


def _of_http(error: HTTPException) -> ProblemError:
    details = {
        404: "There is no such address; /api/v1/openapi.json lists all.",
        405: "This method is not allowed here; /api/v1/openapi.json lists the methods of each address.",
    }
    detail = details.get(error.status_code, str(error.detail))
    return ProblemError(HTTPStatus(error.status_code), detail, error.headers)


def _of_forebay(error: ForebayError) -> ProblemError:
    if isinstance(error, DataError):
        return ProblemError(HTTPStatus.NOT_FOUND, f"{error}.")
    headers = {"Retry-After": "5"} if isinstance(error, BusyError) else None
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}.", headers)


def _of_fault(error: Exception) -> ProblemError:
    sentence = f"A fault of forebay ({type(error).__name__}); its log has more."
    return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, sentence)
