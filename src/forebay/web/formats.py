"""JSON and CSV answers with an ETag: an unchanged answer is not sent again."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
from fastapi import Request, Response

if TYPE_CHECKING:
    from pydantic import BaseModel

CACHE_CONTROL = "no-cache"
"""A client may store an answer, and asks each time whether it has changed."""


@dataclass(frozen=True)
class Encoded:
    """The bytes of an answer, their type, and their ETag."""

    body: bytes
    media_type: str
    tag: str


def encoded_json(answer: BaseModel) -> Encoded:
    """The answer as JSON."""
    return _encoded(answer.model_dump_json().encode(), "application/json")


def json_response(request: Request, answer: BaseModel) -> Response:
    """The answer as JSON, or 304 if the client has it."""
    return response_of(request, encoded_json(answer))


def unstored_response(answer: BaseModel) -> Response:
    """The answer to a POST as JSON, which no client stores."""
    return Response(answer.model_dump_json(), media_type="application/json", headers={"Cache-Control": "no-store"})


def csv_response(request: Request, table: pl.DataFrame) -> Response:
    """A table as CSV, or 304 if the client has it."""
    return response_of(request, _encoded(table.write_csv().encode(), "text/csv; charset=utf-8"))


def text_response(request: Request, text: str, headers: Mapping[str, str]) -> Response:
    """A page as HTML, or 304 if the client has it."""
    response = response_of(request, _encoded(text.encode(), "text/html; charset=utf-8"))
    response.headers.update(headers)
    return response


def csv_table(row: type[BaseModel], rows: Sequence[BaseModel], fixed: Mapping[str, str]) -> pl.DataFrame:
    """Rows as a table of texts and numbers.

    Parameters
    ----------
    row
        Type of the rows, whose fields are the columns.
    fixed
        Columns with one value, such as the dam and the unit, which come first.
    """
    if rows:
        table = pl.DataFrame([one.model_dump(mode="json") for one in rows], infer_schema_length=None)
    else:
        table = pl.DataFrame(schema=dict.fromkeys(row.model_fields, pl.String))
    return table.select(*(pl.lit(value).alias(name) for name, value in fixed.items()), pl.all())


def finite_rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table; a number that JSON does not know is null."""
    return table.with_columns(pl.selectors.float().fill_nan(None)).to_dicts()


def finite(value: object) -> float | None:
    """`value` as a number; None if it is none, or infinite."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _encoded(body: bytes, media_type: str) -> Encoded:
    return Encoded(body, media_type, f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"')


def response_of(request: Request, encoded: Encoded) -> Response:
    """An answer, or 304 if the client has it."""
    headers = {"ETag": encoded.tag, "Cache-Control": CACHE_CONTROL, "Vary": "Accept-Encoding"}
    known = [text.strip().removeprefix("W/") for text in request.headers.get("if-none-match", "").split(",")]
    if encoded.tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(encoded.body, media_type=encoded.media_type, headers=headers)
