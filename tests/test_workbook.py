"""`forebay.dams.workbook`: the text of a sheet, cell by cell."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from pathlib import Path

import pytest

from forebay.dams.workbook import sheet_text

ROWS: list[list[object]] = [
    ["Read at", "Day", "Level, m", "Remark"],
    [datetime(2024, 1, 1), datetime(2024, 1, 1), 437.5, "two\nlines"],
    [datetime(2024, 1, 1, 6, 30), datetime(2024, 1, 2), 437.0, 'a "quote"'],
    [None, None, None, None],
    [datetime(2024, 1, 2), datetime(2024, 1, 3), -0.25, None],
]


@pytest.mark.parametrize("separator", [",", ";"])
def test_dates_have_clock_times_where_a_cell_of_their_column_has_one(tmp_path: Path, separator: str) -> None:
    xlsxwriter = pytest.importorskip("xlsxwriter")
    pytest.importorskip("fastexcel")
    with xlsxwriter.Workbook(str(tmp_path / "levels.xlsx")) as book:
        form = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        sheet = book.add_worksheet("Levels")
        for row, cells in enumerate(ROWS):
            for column, cell in enumerate(cells):
                if isinstance(cell, datetime):
                    sheet.write_datetime(row, column, cell, form)
                elif cell is not None:
                    sheet.write(row, column, cell)
    content = (tmp_path / "levels.xlsx").read_bytes()
    text = sheet_text(content, "levels.xlsx", sheet=None, separator=separator).decode()
    head, *rows = csv.reader(io.StringIO(text), delimiter=separator)
    assert head == ROWS[0]
    assert [row[0] for row in rows] == ["2024-01-01 00:00:00", "2024-01-01 06:30:00", "", "2024-01-02 00:00:00"]
    assert [row[1] for row in rows] == ["2024-01-01", "2024-01-02", "", "2024-01-03"]
    assert [float(row[2]) for row in rows if row[2]] == [437.5, 437.0, -0.25] and rows[2] == [""] * 4
    assert [row[3] for row in rows] == ["two lines", 'a "quote"', "", ""]
