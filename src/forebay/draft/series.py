"""Series of numbers in a user's tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from forebay.dams.value_checks import USUAL_SENTINELS
from forebay.draft.answers import Answers, Question
from forebay.draft.numbers import Marks, NumberTexts, number_texts, parse_texts
from forebay.draft.units import are_plausible, stated_unit
from forebay.draft.vocabulary import variable_of_name
from forebay.errors import SourceError

if TYPE_CHECKING:
    from forebay.draft.tables import UserTable


class Series(NamedTuple):
    """One series of a user's table: a column of numbers, and the lines that belong to it."""

    table: UserTable
    column: str
    numbers: NumberTexts
    line_texts: dict[str, str]
    name: str
    """Name that states the variable: that of the column, or the text of the lines."""
    key: str
    """Prefix of the keys of its decisions."""

    @property
    def rows(self) -> pl.DataFrame:
        """Lines of the series."""
        return self.table.rows.filter(*(pl.col(name) == text for name, text in self.line_texts.items()))

    def values(self, marks: Marks) -> pl.Series:
        """Numbers by rising stamp, in the unit of the column; null for no-data and usual sentinels."""
        texts = self.rows.sort("\0stamp")[self.column]
        texts = texts.set(texts.is_in(list(self.numbers.no_value)).fill_null(False), None)
        for remark in marks.missing_remarks:
            texts = texts.set(texts.str.ends_with(remark).fill_null(False), None)
        numbers = parse_texts(texts, marks, self.numbers.unit_suffix)
        return numbers.set(numbers.is_in(list(USUAL_SENTINELS)).fill_null(False), None)

    @property
    def first_marks(self) -> Marks:
        """The first possible reading of the marks."""
        return next(iter(self.numbers.readings))

    @property
    def span(self) -> str:
        """Lowest and highest number, as the first reading of the marks gives them."""
        numbers = self.values(self.first_marks).drop_nulls().to_numpy()
        return f"{numbers.min():g} to {numbers.max():g}" if len(numbers) else "no number"


def all_series(tables: Sequence[UserTable]) -> list[Series]:
    """Every series of numbers of the tables, each with a key of its own."""
    parts = [part for table in tables for part in _series_of(table)]
    names = [name for *_, name in parts]
    return [
        Series(table, column, numbers, texts, name, name if names.count(name) == 1 else f"{table.stem}:{name}")
        for table, column, numbers, texts, name in parts
    ]


def _series_of(table: UserTable) -> Iterable[tuple[UserTable, str, NumberTexts, dict[str, str], str]]:
    """Series of one table: its columns of numbers, or these for each variable that its lines name."""
    if table.variable_column is None:
        for column, numbers in table.numbers.items():
            yield table, column, numbers, {}, column
        return
    for text in table.rows[table.variable_column].drop_nulls().unique().sort():
        rows = table.rows.filter(pl.col(table.variable_column) == text)
        for column in table.numbers:
            try:
                own = number_texts(rows[column])
            except SourceError:
                continue
            if own is not None:
                name = text if len(table.numbers) == 1 else f"{text} {column}"
                yield table, column, own, {table.variable_column: text}, name


def decide_marks(one: Series, answers: Answers) -> Marks:
    """Marks of a series; asks where two readings are possible and no other column decides.

    Raises
    ------
    ConfigError
        If a question has no answer.
    """
    return _with_remarks(_with_brackets(_decimal_marks(one, answers), one, answers), one, answers)


def _with_brackets(marks: Marks, one: Series, answers: Answers) -> Marks:
    """The marks with the meaning of numbers in brackets, which is asked."""
    if marks.brackets is None:
        return marks
    bracketed = one.numbers.texts.filter(one.numbers.texts.str.starts_with("("))
    number = bracketed[0].strip("() ")
    question = Question(
        f"{one.key}.brackets",
        f"Some numbers of {one.name!r} stand in brackets, such as {bracketed[0]}; what do they mean",
        {"negative": f"-{number}, as in accounts", "number": f"{number} with a remark, such as an estimate"},
    )
    answer = answers.decide(question)
    return replace(marks, brackets="negative" if answer == "negative" else "number")


def _with_remarks(marks: Marks, one: Series, answers: Answers) -> Marks:
    """The marks with the meaning of the remarks after some numbers, which is asked."""
    if not marks.remarks:
        return marks
    texts = one.numbers.texts
    example = next(text for text in texts if text.endswith(marks.remarks))
    question = Question(
        f"{one.key}.remarks",
        f"Some numbers of {one.name!r} have a remark ({', '.join(marks.remarks)}), such as {example!r}; do they count",
        {"number": "as numbers: the remark changes nothing", "missing": "as missing values"},
    )
    if answers.decide(question) == "number":
        return marks
    return replace(marks, missing_remarks=marks.remarks)


def _decimal_marks(one: Series, answers: Answers) -> Marks:
    """Decimal and thousands marks of a series; asks where two readings are possible and no other column decides."""
    readings = one.numbers.readings
    by_mark = {marks.decimal_mark: marks for marks in readings}
    key = f"{one.key}.decimal_mark"
    if len(readings) == 1:
        if (marks := one.first_marks).decimal_comma or marks.thousands:
            grouping = f", thousands {marks.thousands!r}" if marks.thousands else ""
            answers.note(key, marks.decimal_mark, f"the only reading of all cells{grouping}")
        return marks
    conclusion, reason = None, ""
    if one.table.form.separator == "," and any(not m.decimal_comma and not m.thousands for m in readings):
        conclusion, reason = "point", "the commas separate the fields"
    elif (mark := _mark_of_table(one.table)) in by_mark:
        conclusion, reason = mark, "as in another column of the file, where only this is possible"
    elif (plausible := _plausible_mark(one, by_mark)) is not None:
        conclusion, reason = plausible, "the other reading is no possible value in its unit"
    options = {mark: f"{one.numbers.texts[0]} is {readings[marks][0]:,}" for mark, marks in by_mark.items()}
    question = Question(key, f"The numbers of {one.name!r} can be read in more than one way", options)
    return by_mark[answers.decide(question, conclusion, reason)]


def _plausible_mark(one: Series, by_mark: Mapping[str, Marks]) -> str | None:
    """The decimal mark with which alone the values are plausible in the unit that the name states."""
    variable = variable_of_name(one.name)
    unit = None if variable is None else stated_unit(one, variable)
    if variable is None or unit is None:
        return None
    readings = {mark: one.numbers.readings[marks] for mark, marks in by_mark.items()}
    plausible = [mark for mark, numbers in readings.items() if are_plausible(numbers, variable, unit)]
    return plausible[0] if len(plausible) == 1 else None


def _mark_of_table(table: UserTable) -> str | None:
    """The decimal mark of the columns in which only one is possible; None if there is none, or two."""
    decided = {
        next(iter(numbers.readings)).decimal_mark
        for numbers in table.numbers.values()
        if len(numbers.readings) == 1 and numbers.texts.str.contains(r"\d[.,]\d").any()
    }
    return decided.pop() if len(decided) == 1 else None
