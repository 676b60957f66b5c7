"""Storage curve among a user's files: a table of levels and storages without dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.dams.variables import VARIABLES
from forebay.draft.answers import Answers, Question
from forebay.draft.numbers import NumberTexts, number_texts
from forebay.draft.unit_names import unit_of_name, unit_of_text
from forebay.draft.vocabulary import name_words, variable_of_name

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class CurveDraft:
    """A storage curve's file: its keys in the dam file (without the path), and its units."""

    path: str
    keys: dict[str, object]
    level_unit: str
    storage_unit: str


def draft_curve(path: str, form: Mapping[str, object], cells: pl.DataFrame, answers: Answers) -> CurveDraft | None:
    """The storage curve in a table without dates; None if it has not one column of levels and one of storages.

    Parameters
    ----------
    form
        Keys of the file's form.

    Raises
    ------
    ConfigError
        If a question has no answer.
    """
    numbers = {name: texts for name in cells.columns if (texts := number_texts(cells[name])) is not None}
    levels = [name for name in numbers if variable_of_name(name) == "reservoir_level"]
    storages = [name for name in numbers if _is_storage(name)]
    if len(levels) != 1 or len(storages) != 1:
        return None
    columns = {"reservoir_level": levels[0], "storage": storages[0]}
    key = f"{Path(path).stem}:curve"
    answers.note(key, " → ".join(columns.values()), "no dates; a column of levels, one of storages")
    units = {variable: _unit(path, name, variable, answers) for variable, name in columns.items()}
    keys = {"level": levels[0], "storage": storages[0], **form, **_marks([numbers[name] for name in columns.values()])}
    return CurveDraft(path, keys, units["reservoir_level"], units["storage"])


def _is_storage(name: str) -> bool:
    is_named = variable_of_name(name) == "storage" or "capacity" in name_words(name)
    return is_named or unit_of_text(name, "storage") is not None  # a column named "Acre-Ft"


def _unit(path: str, name: str, variable: str, answers: Answers) -> str:
    question = Question(
        f"{Path(path).stem}:{name}.unit",
        f"Which unit has {name!r} of the storage curve in {path}",
        dict.fromkeys(VARIABLES[variable].units, ""),
    )
    return answers.decide(question, unit_of_name(name, variable) or unit_of_text(name, variable), "its name")


def _marks(columns: list[NumberTexts]) -> dict[str, object]:
    """Decimal comma of a curve's file, whose thousands need no key."""
    uses_comma = any(all(marks.decimal_comma for marks in column.readings) for column in columns)
    return {"decimal_comma": True} if uses_comma else {}
