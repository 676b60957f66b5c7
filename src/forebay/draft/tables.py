"""A user's table: its form, its dates, and its columns of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from forebay.dams.csv_layout import ENCODINGS, TextLayout
from forebay.dams.csv_text import EMPTY, file_bytes, header_names, normalize, read_columns, read_content
from forebay.dams.workbook import is_workbook, sheet_names, sheet_text
from forebay.draft.answers import Answers, Question
from forebay.draft.dates import DATE_WORDS, DateReading, date_readings, first_bad_date, with_clock_column
from forebay.draft.numbers import NumberTexts, first_bad_number, number_texts
from forebay.draft.text_form import TextForm, text_form
from forebay.draft.vocabulary import QUALITY_WORDS, name_words, variable_of_name
from forebay.errors import ConfigError, SourceError

_MAX_LISTED = 20
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


def read_cells(path: str, answers: Answers) -> tuple[TextForm, pl.DataFrame]:
    """Form of a file's text, and all its columns as text, null where a cell is empty.

    Raises
    ------
    ConfigError, SourceError
        If the file cannot be read, or is no table.
    """
    content, sheet = _content(path, answers)
    form = replace(text_form(content, path, stated_encoding=_stated_encoding(path, answers)), sheet=sheet)
    layout = form.layout(path)
    text = normalize(content, layout)
    names = [name.strip() for name in header_names(text, layout)]
    doubled = next((name for name in names if names.count(name) > 1 and name), None)
    if doubled is not None:
        raise ConfigError(f"{path} has two columns of the name {doubled!r}; rename one of them")
    table = read_columns(text, [name for name in names if name], layout)
    return form, table.with_columns(pl.all().replace(EMPTY, None))


def _stated_encoding(path: str, answers: Answers) -> str | None:
    """Encoding that the user states for a file; None if it is concluded from the content."""
    question = Question(f"{Path(path).stem}:encoding", "", dict.fromkeys(ENCODINGS, ""))
    return answers.decide(question) if question.key in answers.settings else None


def _content(path: str, answers: Answers) -> tuple[bytes, str | None]:
    """Bytes of a text file; or text and name of a workbook's sheet, which is asked if there are several."""
    if not is_workbook(path):
        read_content(TextLayout(path=path, encoding="latin-1"))  # checks size and kind; any bytes are latin-1 text
        return Path(path).read_bytes(), None
    content = file_bytes(TextLayout(path=path))
    names = sheet_names(content, path)
    question = Question(f"{Path(path).stem}:sheet", f"Which sheet of {path} has the readings", dict.fromkeys(names, ""))
    sheet = answers.decide(question, names[0] if len(names) == 1 else None, "the only sheet")
    return sheet_text(content, path, sheet=sheet, separator=","), sheet


def user_table(path: str, answers: Answers, now: datetime, dam_words: Sequence[str]) -> UserTable:
    """The table of a file with its dates and numbers; asks what the file does not tell.

    Raises
    ------
    ConfigError, SourceError
        If the file is no table with dates and numbers, or a question has no answer.
    """
    form, cells = read_cells(path, answers)
    stem = Path(path).stem
    for key, value, reason in form.reasons:
        answers.note(f"{stem}:{key}", value, reason)
    dates = _dates(cells, stem, answers, now)
    filled = cells.filter(dates.stamps.is_not_null())
    numbers = {}
    for name in cells.columns:
        if name in dates.columns:
            continue
        if (texts := _numbers(filled[name], path)) is not None:
            numbers[name] = texts
        else:
            _note_left_out(filled[name], path, answers)
    table = UserTable(path, form, cells, dates, numbers)
    return _of_one_series(table, answers, dam_words)


def _numbers(column: pl.Series, path: str) -> NumberTexts | None:
    try:
        return number_texts(column)
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from None


def _note_left_out(column: pl.Series, path: str, answers: Answers) -> None:
    """Note a column with digits that are no numbers; refuse it if it is named like readings and not ignored."""
    key = f"{column.name}.variable"
    bad = first_bad_number(column)
    if bad is None:
        return
    is_named = variable_of_name(column.name) is not None and not QUALITY_WORDS & set(name_words(column.name))
    is_ignored = answers.settings.get(key) == "ignore"
    if is_named and not is_ignored:
        raise SourceError(
            f"{path}: {bad!r} in column {column.name!r} is not a number like 1234.5 or 1.234,5, as the column's name "
            f"suggests; correct such cells, or leave the column out with --set '{key}=ignore'"
        )
    answers.note(key, "ignore", "stated with --set" if is_ignored else f"{bad!r} is no number")


def _dates(cells: pl.DataFrame, stem: str, answers: Answers, now: datetime) -> DateReading:
    """The reading of the dates; asks where two readings are possible."""
    readings = date_readings(cells, now)
    if not readings:
        bad = first_bad_date(cells)
        if bad is not None:
            column, form, text = bad
            raise SourceError(
                f"{text!r} in column {column!r} of {stem} is not a date of the format of its other cells, {form}; "
                "remove the line if it has no readings, such as a total or a source, or correct the date"
            )
        names = ", ".join(map(repr, cells.columns[:_MAX_LISTED]))
        raise SourceError(
            f"{stem} has no column in which every cell is a date of one format; its columns are {names}: correct the "
            "dates, or add a column of dates like 2026-01-31"
        )
    columns = _date_columns(readings, stem, answers)
    alternatives = [reading for reading in readings if reading.columns == columns]
    reading = _date_form(alternatives, stem, answers)
    if not reading.has_clock and not reading.stamps.drop_nulls().is_unique().all():
        joined = with_clock_column(cells, reading)
        if joined is not None:
            answers.note(f"{stem}:date", " + ".join(joined.columns), "the dates repeat; the time has a column")
            return joined
    return reading


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
            {value: f"{counts[value]} lines" for value in values},
        )
        texts[name] = answers.decide(question, conclusion, "the text has the dam's name")
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
