"""Cells of a user's file as text, without the lines that do not belong to the table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from forebay.dams.csv_layout import ENCODINGS, TextLayout
from forebay.dams.csv_text import EMPTY, file_bytes, header_line, header_names, normalize, read_columns, read_content
from forebay.dams.workbook import is_workbook, sheet_names, sheet_text
from forebay.draft.answers import Answers, Question
from forebay.draft.dates import DateReading, date_failures, date_readings
from forebay.draft.other_lines import other_lines
from forebay.draft.text_form import TextForm, text_form
from forebay.errors import ConfigError, SourceError


@dataclass(frozen=True)
class FileCells:
    """Cells of a file.

    Attributes
    ----------
    path
        Path of the file, as the user gave it.
    form
        How its text is written.
    cells
        Every column as text, null where empty.
    readings
        Possible readings of its dates; none if it has no column of dates.
    first_line
        Number of the line below the header: that of the first row.
    """

    path: str
    form: TextForm
    cells: pl.DataFrame
    readings: list[DateReading]
    first_line: int

    @property
    def stem(self) -> str:
        """Name of the file without its suffix: the prefix of its keys."""
        return Path(self.path).stem

    def line_of(self, column: str, text: str) -> int:
        """Number of the first line with this text in a column."""
        return self.first_line + int((self.cells[column] == text).fill_null(False).arg_true()[0])


def read_cells(path: str, answers: Answers, now: datetime) -> FileCells:
    """Cells of a file, and the readings of its dates.

    Lines of totals, remarks and repeated headers are left out where none of them may be a reading.

    Raises
    ------
    ConfigError, SourceError
        If the file cannot be read, or is no table.
    """
    content, sheet = _content(path, answers)
    form = replace(text_form(content, path, stated_encoding=_stated_encoding(path, answers)), sheet=sheet)
    for reason in form.reasons:
        answers.note(f"{Path(path).stem}:{reason[0]}", *reason[1:])
    for _ in range(2):  # without the first other lines, the dates of the rest can be read
        text, cells, refusal = _table(content, form, path)
        readings = date_readings(cells, now)
        first_line, names = header_line(text) + 1, header_names(text, form.layout(path))
        failures = date_failures(cells, readings)
        others = other_lines(failures, text, form.separator, first_line=first_line, header=[n.strip() for n in names])
        if others is None:
            break
        form = replace(form, comments=(*form.comments, *others.texts))
        answers.note(f"{Path(path).stem}:comment", ", ".join(others.texts), others.reason)
    if refusal is not None:
        raise refusal
    return FileCells(path, form, cells, readings, first_line)


def _table(content: bytes, form: TextForm, path: str) -> tuple[bytes, pl.DataFrame, SourceError | None]:
    """Text and cells of the table; with the refusal of lines with too many fields, which are cut then."""
    layout = form.layout(path)
    text = normalize(content, layout)
    names = [name.strip() for name in header_names(text, layout)]
    doubled = next((name for name in names if names.count(name) > 1 and name), None)
    if doubled is not None:
        raise ConfigError(f"{path} has two columns of the name {doubled!r}; rename one of them")
    columns, refusal = [name for name in names if name], None
    try:
        table = read_columns(text, columns, layout)
    except SourceError as error:
        refusal = error
        try:
            table = read_columns(text, columns, layout, cut_long_lines=True)
        except SourceError:
            raise error from None
    return text, table.with_columns(pl.all().replace(EMPTY, None)), refusal


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
