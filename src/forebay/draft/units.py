"""Unit of a series: by its name and its cells, if its values are plausible in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.variables import VARIABLES
from forebay.draft.answers import Answers, Question
from forebay.draft.unit_names import unit_of_name, unit_of_text
from forebay.draft.vocabulary import name_words

if TYPE_CHECKING:
    from forebay.draft.series import Series

_PLAUSIBLE_SHARE = 0.98
_UNIT_COLUMNS = {"unit", "units", "unidad", "unidades", "unite", "einheit", "uom"}


def decide_unit(
    one: Series, variables: Sequence[str], values: pl.Series, answers: Answers, *, earlier: str | None = None
) -> str:
    """Unit of a series of one of these variables; asks if neither name, cells nor values tell it.

    Parameters
    ----------
    values
        Its numbers, null or left out where missing.
    earlier
        Unit of another column of the file with the same variable, which counts where this one states none.

    Raises
    ------
    ConfigError
        If the question has no answer.
    """
    options = {
        unit: f"{VARIABLES[name].title.lower()} of {_span(values, name, unit)}"
        for name in variables
        for unit in VARIABLES[name].units
        if are_plausible(values, name, unit)
    }
    question = Question(f"{one.key}.unit", f"Which unit has {one.name!r} ({one.span})", options)
    for unit, origin in _stated_units(one, variables):
        if unit in options:
            return answers.decide(question, unit, origin)
    if earlier in options:
        return answers.decide(question, earlier, f"as another column of {variables[0]} in the file")
    only = next(iter(options)) if len(options) == 1 else None
    return answers.decide(question, only, "the only unit in which its values are plausible")


def foreign_unit(one: Series, variable: str) -> str | None:
    """Unit that name or cells state and that is none of this variable's; None if there is none."""
    if states_unit(one, variable):
        return None
    texts = [text for text, _ in _unit_texts(one)] + name_words(one.name)[1:][-1:]
    return next((text for text in texts if len(text) > 1 and any(unit_of_text(text, name) for name in VARIABLES)), None)


def states_unit(one: Series, variable: str) -> bool:
    """Whether name or cells state a unit of this variable."""
    return stated_unit(one, variable) is not None


def stated_unit(one: Series, variable: str) -> str | None:
    """Unit of this variable that name or cells state; None if they state none."""
    return next((unit for unit, _ in _stated_units(one, [variable])), None)


def are_plausible(values: pl.Series, variable: str, unit: str) -> bool:
    """Whether nearly all values lie in the plausible range of the variable, read in this unit."""
    low, high = VARIABLES[variable].plausible
    filled = values.drop_nulls()
    within = VARIABLES[variable].to_canonical(filled, unit).is_between(low, high).sum()
    return bool(within >= _PLAUSIBLE_SHARE * len(filled))


def _stated_units(one: Series, variables: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Units that cells or name state, and where."""
    for text, origin in _unit_texts(one):
        for name in variables:
            if (unit := unit_of_text(text, name)) is not None:
                yield unit, origin
    for name in variables:
        if (unit := unit_of_name(one.name, name)) is not None:
            yield unit, "its name"


def _unit_texts(one: Series) -> Iterator[tuple[str, str]]:
    """Texts of a unit, and where they stand: after each number, in the line of units, in a column of units."""
    if one.numbers.unit_suffix:
        yield one.numbers.unit_suffix, "written after each number"
    for name, text in one.table.form.units_of_columns:
        if name == one.column and text:
            yield text.strip("()[] "), "the line of units below the header"
    for name in one.table.cells.columns:
        if set(name_words(name)) & _UNIT_COLUMNS:
            values = one.rows[name].drop_nulls().unique()
            if len(values) == 1:
                yield values[0], f"the column {name!r}"


def _span(values: pl.Series, variable: str, unit: str) -> str:
    """Lowest and highest value in the canonical unit."""
    filled = values.drop_nulls()
    if filled.is_empty():
        return "no value"
    canonical = VARIABLES[variable].to_canonical(filled, unit).to_numpy()
    return f"{canonical.min():,.6g} to {canonical.max():,.6g} {VARIABLES[variable].unit}"
