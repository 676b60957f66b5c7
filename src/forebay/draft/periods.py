"""Files of successive periods that are one record, such as a file per year."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.draft.answers import Answers, Question
from forebay.draft.numbers import number_texts
from forebay.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from forebay.draft.tables import UserTable

ONE_RECORD, SEPARATE = "one", "separate"
_YEARS = re.compile(r"(?:19|20)\d\d(?:[-_]?\d{2,4})*")


def check_stems(paths: Sequence[str]) -> None:
    """Refuse files whose names differ in the suffix or the folder only: their keys would be the same.

    Raises
    ------
    ConfigError
        If there are two: names them.
    """
    by_stem: dict[str, str] = {}
    for path in paths:
        first_path = by_stem.setdefault(Path(path).stem, path)
        if first_path is not path:
            raise ConfigError(
                f"{first_path} and {path} have the same name, or are one file; rename one, or leave it out"
            )


def join_periods(tables: Sequence[UserTable], answers: Answers) -> list[UserTable]:
    """The tables, of which those with the same columns and successive dates are joined if they are one record.

    They are one record if their names differ in the year only; otherwise the user is asked.

    Raises
    ------
    ConfigError
        If the question has no answer.
    """
    joined: list[UserTable] = []
    for table in tables:
        place = next((n for n, one in enumerate(joined) if _are_successive(one, table)), None)
        if place is not None and _is_one_record(joined[place], table, answers):
            joined[place] = _join(joined[place], table)
        else:
            joined.append(table)
    return joined


def _are_successive(one: UserTable, second: UserTable) -> bool:
    """Whether two tables have the same form and columns, and no date within the period of the second."""
    forms = [
        (t.form.keys(), t.cells.columns, t.dates.columns, t.dates.form, t.dates.locale, t.line_texts, t.variable_column)
        for t in (one, second)
    ]
    if forms[0] != forms[1]:
        return False
    (first, last), (other_first, other_last) = (
        (stamps[0], stamps[-1]) for t in (one, second) if len(stamps := t.stamps.drop_nulls().sort())
    )
    return bool(last < other_first or other_last < first)


def _is_one_record(one: UserTable, second: UserTable, answers: Answers) -> bool:
    names = [_YEARS.sub("", table.stem) for table in (one, second)]
    question = Question(
        f"{second.stem}:record",
        f"{one.path} and {second.path} have the same columns and successive dates; are they one record",
        {ONE_RECORD: "the same gauges in successive periods", SEPARATE: "different gauges"},
    )
    conclusion = ONE_RECORD if names[0] == names[1] else None
    reason = f"same columns, successive dates, and names that differ in the year: it continues {one.stem}"
    return answers.decide(question, conclusion, reason) == ONE_RECORD


def _join(one: UserTable, second: UserTable) -> UserTable:
    """One table of the lines of both."""
    cells = pl.concat([one.cells, second.cells])
    dates = replace(one.dates, stamps=pl.concat([one.dates.stamps, second.dates.stamps]))
    filled = cells.filter(dates.stamps.is_not_null())
    numbers = {}
    for name in [name for name in cells.columns if name in one.numbers or name in second.numbers]:
        texts = number_texts(filled[name])
        if texts is None:
            raise SourceError(
                f"the numbers of column {name!r} are written differently in {one.path} and {second.path}; write them "
                "alike, or draft the dam from one of the files"
            )
        numbers[name] = texts
    return replace(one, cells=cells, dates=dates, numbers=numbers, later_paths=(*one.later_paths, second.path))
