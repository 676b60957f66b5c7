"""A user's table: its form, its dates, and its columns of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.csv_dates import BUDDHIST_YEARS
from forebay.draft.answers import Answers, Question
from forebay.draft.dates import DATE_WORDS, DateReading, date_failures, with_clock_column
from forebay.draft.numbers import BadNumberError, NumberTexts, first_bad_number, number_texts
from forebay.draft.vocabulary import QUALITY_WORDS, name_words, variable_of_name
from forebay.errors import SourceError

if TYPE_CHECKING:
    from forebay.draft.cells import FileCells
    from forebay.draft.text_form import TextForm

EACH = "each"
"""Answer to the question on the lines of a dam: every text is a series of its own."""
_MAX_LISTED = 20
_SECONDS = r"^1\d{9}(?:\d{3})?(?:\.\d+)?$"
_KIND_WORDS = {"dam", "lake", "reservoir", "the", "embalse", "presa", "lac", "lago", "barrage", "system", "de", "del"}
_KEY_WORDS = {
    "station", "site", "id", "name", "dam", "reservoir", "embalse", "lake", "sensor", "parameter", "variable", "code",
    "type", "gauge",
}  # fmt: skip


@dataclass(frozen=True)
class UserTable:
    """A table as a user has it.

    Attributes
    ----------
    path
        Path of the file, as the user gave it.
    form
        How its text is written.
    cells
        Every column as text, null where empty.
    dates
        The reading of its dates.
    numbers
        Column → readings of its numbers.
    line_texts
        Column → text that chooses the lines of this dam, for a table of several series.
    variable_column
        Column whose texts name the variables of the lines, for a table with a line per date and variable.
    later_paths
        Paths of further files of the same record.
    """

    path: str
    form: TextForm
    cells: pl.DataFrame
    dates: DateReading
    numbers: dict[str, NumberTexts]
    line_texts: dict[str, str] = field(default_factory=dict)
    variable_column: str | None = None
    later_paths: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """Name of the file without its suffix: the prefix of its keys."""
        return Path(self.path).stem

    @property
    def rows(self) -> pl.DataFrame:
        """Lines of this dam, with their stamps."""
        table = self.cells.with_columns(self.dates.stamps.alias("\0stamp"))
        return table.filter(*(pl.col(name) == text for name, text in self.line_texts.items()))

    @property
    def stamps(self) -> pl.Series:
        """Stamp of each line of this dam."""
        return self.rows["\0stamp"]


def user_table(file: FileCells, answers: Answers, dam_words: Sequence[str]) -> UserTable:
    """The table of a file with its dates and numbers; asks what the file does not tell.

    Raises
    ------
    ConfigError, SourceError
        If the file is no table with dates and numbers, or a question has no answer.
    """
    dates = _dates(file, answers)
    filled = file.cells.filter(dates.stamps.is_not_null())
    numbers = {}
    for name in file.cells.columns:
        if name in dates.columns:
            continue
        if (texts := _numbers(filled[name], file)) is not None:
            numbers[name] = texts
        else:
            _note_left_out(filled[name], file, answers)
    if numbers:
        _refuse_undated_numbers(file, dates, list(numbers))
    table = UserTable(file.path, file.form, file.cells, dates, numbers)
    return _of_one_series(table, answers, dam_words)


def _refuse_undated_numbers(file: FileCells, dates: DateReading, columns: Sequence[str]) -> None:
    """Raise a SourceError for the first line that has a number but no date."""
    has_number = pl.any_horizontal(pl.col(columns).str.contains(r"\d").fill_null(False))
    rows = (file.cells.select(has_number).to_series() & dates.stamps.is_null()).arg_true()
    if len(rows):
        raise SourceError(
            f"{file.path}, line {file.first_line + int(rows[0])} has a number but no date; write the date, or "
            "remove the line if it has no reading, such as a sum"
        )


def _numbers(column: pl.Series, file: FileCells) -> NumberTexts | None:
    try:
        return number_texts(column)
    except BadNumberError as error:
        raise SourceError(f"{file.path}, line {file.line_of(column.name, error.text)}: {error}") from None


def _note_left_out(column: pl.Series, file: FileCells, answers: Answers) -> None:
    """Note a column with digits that are no numbers; refuse it if it is named like readings and not ignored."""
    key = f"{column.name}.variable"
    bad = first_bad_number(column)
    if bad is None:
        return
    is_named = variable_of_name(column.name) is not None and not QUALITY_WORDS & set(name_words(column.name))
    is_ignored = answers.settings.get(key) == "ignore"
    if is_named and not is_ignored:
        raise SourceError(
            f"{file.path}, line {file.line_of(column.name, bad)}: {bad!r} in column {column.name!r} is not a number "
            "like 1234.5 or 1.234,5, as the column's name suggests; correct such cells, or leave the column out with "
            f"--set '{key}=ignore'"
        )
    answers.note(key, "ignore", "stated with --set" if is_ignored else f"{bad!r} is no number")


def _dates(file: FileCells, answers: Answers) -> DateReading:
    """The reading of the dates; asks where two readings are possible."""
    if not file.readings:
        raise SourceError(_no_dates(file))
    columns = _date_columns(file.readings, file.stem, answers)
    alternatives = [reading for reading in file.readings if reading.columns == columns]
    reading = _date_form(alternatives, file.stem, answers)
    if not reading.has_clock:
        joined = with_clock_column(file.cells, reading)
        if joined is not None:
            answers.note(f"{file.stem}:date", " + ".join(joined.columns), "the time has a column of its own")
            reading = joined
    if reading.calendar != "gregorian":
        years = reading.stamps.dt.year().drop_nulls() + BUDDHIST_YEARS
        reason = f"the years {years.to_numpy().min()} to {years.to_numpy().max()} are {BUDDHIST_YEARS} more than ours"
        answers.note(f"{file.stem}:calendar", reading.calendar, reason)
    return reading


def _no_dates(file: FileCells) -> str:
    """The sentence for a file without a column of dates: its first cell that is none, or its columns."""
    failures = date_failures(file.cells, [])
    if failures is not None:
        row = failures.rows[0]
        return (
            f"{file.path}, line {file.first_line + row}: {file.cells[failures.column][row]!r} in column "
            f"{failures.column!r} is not a date of the format of its other cells, {failures.form}; remove the line if "
            "it has no readings, or correct the date"
        )
    names = ", ".join(map(repr, file.cells.columns[:_MAX_LISTED]))
    filled = [texts for name in file.cells.columns if len(texts := file.cells[name].drop_nulls())]
    seconds = next((texts[0] for texts in filled if texts.str.contains(_SECONDS).all()), None)
    advice = "correct the dates, or add a column of dates like 2026-01-31"
    if seconds is not None:
        advice = f"{seconds} looks like seconds since 1970, write such times as dates like 2026-01-31 08:00"
    return f"{file.path} has no column in which every cell is a date of one format; its columns are {names}: {advice}"


def _date_columns(readings: Sequence[DateReading], stem: str, answers: Answers) -> tuple[str, ...]:
    """Columns of the dates: the first of equal ones; asks where columns differ."""
    named = [r for r in readings if len(r.columns) == 1 and DATE_WORDS & set(name_words(r.columns[0]))]
    pool = named or [r for r in readings if len(r.columns) > 1] or list(readings)
    distinct: dict[tuple[str, ...], DateReading] = {}
    for reading in pool:
        if reading.columns not in distinct and not any(reading.stamps.equals(r.stamps) for r in distinct.values()):
            distinct[reading.columns] = reading
    options = {" + ".join(columns): f"{r.stamps.drop_nulls()[0]} …" for columns, r in distinct.items()}
    by_text = dict(zip(options, distinct, strict=True))
    conclusion = next(iter(options)) if len(options) == 1 else None
    question = Question(f"{stem}:date", f"Which column of {stem} has the dates of the readings", options)
    return by_text[answers.decide(question, conclusion, "every cell is a date")]


def _date_form(alternatives: Sequence[DateReading], stem: str, answers: Answers) -> DateReading:
    """The reading of a column of dates: the only one, the only regular one, or the answer to a question."""
    by_text = {r.form if r.locale == "en" else f"{r.form} ({r.locale})": r for r in alternatives}
    conclusion, reason = (next(iter(by_text)), "every cell of the column fits") if len(by_text) == 1 else (None, "")
    regular = [text for text, reading in by_text.items() if reading.is_regular]
    if conclusion is None and len(regular) == 1:
        others = ", ".join(text for text in by_text if text not in regular)
        conclusion, reason = regular[0], f"the dates have equal steps; not so with {others}"
    options = {text: _first_and_last(reading.stamps) for text, reading in by_text.items()}
    question = Question(f"{stem}:date_format", f"The dates of {stem} can be read in more than one way", options)
    return by_text[answers.decide(question, conclusion, reason)]


def _first_and_last(stamps: pl.Series) -> str:
    filled = stamps.drop_nulls()
    return f"from {filled[0]:%d %b %Y} to {filled[-1]:%d %b %Y}, in the order of the lines"


def _of_one_series(table: UserTable, answers: Answers, dam_words: Sequence[str]) -> UserTable:
    """The table with the texts that choose the lines of this dam, where its dates repeat."""
    stamps = table.dates.stamps
    filled = table.cells.with_columns(stamps.alias("\0stamp")).filter(stamps.is_not_null())
    if filled["\0stamp"].is_unique().all():
        return table
    keys = _key_columns(filled, table)
    if not keys:
        return table
    texts: dict[str, str] = {}
    variable_column = next((name for name in keys if _names_variables(filled[name])), None)
    for name in keys:
        if name == variable_column:
            continue
        rest = filled.filter(*(pl.col(key) == text for key, text in texts.items()))
        values = rest[name].drop_nulls().unique().sort().to_list()
        own = [value for value in values if own_words(value) and set(own_words(value)) == set(dam_words)]
        conclusion = values[0] if len(values) == 1 else own[0] if len(own) == 1 else None
        counts = dict(rest[name].value_counts().iter_rows())
        question = Question(
            f"{table.stem}:where.{name}",
            f"{table.path} has several series; which text in column {name!r} is this dam's",
            {value: f"{counts[value]} lines" for value in values}
            | ({EACH: "each text is a series of this dam"} if variable_column is None else {}),
        )
        answer = answers.decide(question, conclusion, "the text has the dam's name")
        if answer == EACH:
            variable_column = name
        else:
            texts[name] = answer
    return replace(table, line_texts=texts, variable_column=variable_column)


def own_words(name: str) -> list[str]:
    """Words of a dam's name, without those for a dam or lake."""
    return [word for word in name_words(name) if word not in _KIND_WORDS]


def _names_variables(texts: pl.Series) -> bool:
    """Whether most texts of a column are names of different variables."""
    values = texts.drop_nulls().unique().to_list()
    variables = [variable_of_name(value) for value in values]
    return len(values) > 1 and len({v for v in variables if v}) > 1 and variables.count(None) <= len(values) / 2


def _key_columns(filled: pl.DataFrame, table: UserTable) -> list[str]:
    """The fewest columns that, with the stamp, make the lines differ: texts, or ids by their name."""
    candidates = [
        name
        for name in table.cells.columns
        if name not in table.dates.columns and filled[name].null_count() == 0 and filled[name].n_unique() > 1
        and (name not in table.numbers or _KEY_WORDS & set(name_words(name)))
    ]  # fmt: skip
    for name in candidates:
        if not filled.select("\0stamp", name).is_duplicated().any():
            return [name]
    for first, name in enumerate(candidates):
        for second in candidates[first + 1 :]:
            if not filled.select("\0stamp", name, second).is_duplicated().any():
                return [name, second]
    return []


def usual_step(stamps: pl.Series) -> timedelta | None:
    """The most frequent step between successive stamps; None with fewer than three stamps."""
    steps = stamps.drop_nulls().unique().sort().diff().drop_nulls()
    if len(steps) < 2:
        return None
    counts = steps.alias("step").value_counts(sort=True)
    step = counts["step"][0]
    assert isinstance(step, timedelta)
    return step
