"""The parameters that several routes of the API have: size of a page, form of an answer, days."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

MAX_ROWS, DEFAULT_ROWS = 1000, 100
"""Largest and usual number of rows of a page."""
FIRST_DAY, LAST_DAY = date(1800, 1, 1), date(2200, 12, 31)
"""Days outside of which no request has one: a time zone cannot move them beyond the calendar of Python."""

Limit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="Largest number of rows of the page.")]
Form = Annotated[Literal["json", "csv"], Query(alias="format")]
Day = Annotated[date, Field(ge=FIRST_DAY, le=LAST_DAY)]
Since = Annotated[Day | None, Query(description="First day, in the dam's time zone; by default all.")]
Until = Annotated[Day | None, Query(description="Last day, in the dam's time zone; by default the newest.")]
Before = Annotated[Day | None, Query(description="Init date of the last row of the page before.")]
