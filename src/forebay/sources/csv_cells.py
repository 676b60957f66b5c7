"""Cells of a gauge's CSV files as text, each row with its file and line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from forebay.dams.csv_layout import content_text, quoted, quoted_list
from forebay.dams.csv_text import EMPTY, cells_of_line, header_line, read_columns
from forebay.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from forebay.dams.csv_layout import FileLayout
    from forebay.dams.gauge import Gauge

_MAX_TEXTS = 10


class _LineColumns(NamedTuple):
    path: str = "path of the file"
    number: str = "line of the file"


LINE = _LineColumns()
"""Columns of `GaugeCells.rows` that locate a row."""


@dataclass(frozen=True)
class GaugeCells:
    """Rows of a gauge's files, in their order.

    Attributes
    ----------
    rows
        `FileLayout.columns` as text without surrounding spaces, null where empty; file and line (`LINE`).
    contents
        Path → normalized content of each file.
    """

    gauge: Gauge
    layout: FileLayout
    rows: pl.DataFrame
    contents: Mapping[str, bytes]

    def where(self, row: int) -> str:
        """File and line of a row, for a message."""
        path, number = self.rows.select(LINE).row(row)
        return f"{path}, line {number}"

    def all_cells(self, row: int) -> dict[str, str]:
        """Column → text of every cell in the line of a row."""
        path, number = self.rows.select(LINE).row(row)
        return cells_of_line(self.contents[path], number, self.layout.model_copy(update={"path": path}))


def read_cells(contents: Mapping[str, bytes], gauge: Gauge, layout: FileLayout) -> GaugeCells:
    """Cells of the gauge's lines in all its files; lines without any content for it are left out.

    Raises
    ------
    ConfigError
        If a column is missing, or occurs twice, or no line has the texts of `where`.
    SourceError
        If a file is not a table.
    """
    parts = []
    for path, content in contents.items():
        try:
            texts = read_columns(content, layout.columns, layout.model_copy(update={"path": path}))
        except ConfigError as error:
            raise ConfigError(f"gauge {gauge.column}: {error}") from None
        lines = texts.with_row_index(LINE.number, header_line(content) + 1)
        parts.append(lines.with_columns(pl.lit(path).alias(LINE.path)))
    rows = pl.concat(parts).with_columns(pl.col(layout.columns).replace(EMPTY, None))
    own = [name for name in layout.columns if name not in layout.where] or list(layout.columns)
    rows = _lines_of_series(rows, gauge, layout).filter(~pl.all_horizontal(pl.col(own).is_null()))
    return GaugeCells(gauge, layout, rows, contents)


def _lines_of_series(rows: pl.DataFrame, gauge: Gauge, layout: FileLayout) -> pl.DataFrame:
    """The rows with the texts of `where`."""
    for column, text in layout.where.items():
        matches = rows.filter(pl.col(column) == text)
        if matches.is_empty() and not rows.is_empty():
            texts = quoted_list(rows[column].drop_nulls().unique(maintain_order=True), layout, _MAX_TEXTS)
            raise ConfigError(
                f"gauge {gauge.column}: no line of {', '.join(layout.paths)} has {column} = {text!r}; its texts "
                f"are {texts}"
            )
        rows = matches
    return rows


def refuse_duplicates(cells: GaugeCells, table: pl.DataFrame, stamp: str) -> pl.DataFrame:
    """`table` (a row per row of the cells: time, stamp, contents) without identical repetitions.

    Raises
    ------
    SourceError
        If two lines of one time differ: names the columns in which they differ, and what to do.
    """
    if not table["time"].is_duplicated().any():
        return table
    contents = ["value", "raw_value", "quality", "quality_code"]
    numbered = table.with_row_index("row")
    distinct = numbered.unique(["time", *contents], keep="first", maintain_order=True)
    repeated = distinct.filter(pl.col("time").is_first_distinct().not_())
    if repeated.is_empty():
        return distinct.drop("row")
    second = repeated.row(0, named=True)
    first_row = distinct.filter(pl.col("time") == second["time"])["row"][0]
    time = content_text(second[stamp], cells.layout)
    raise SourceError(
        f"{cells.where(second['row'])}: the time {time} occurs a second time (first in line "
        f"{cells.rows[LINE.number][first_row]}); {_difference(cells, first_row, second['row'])}"
    )


def _difference(cells: GaugeCells, first: int, second: int) -> str:
    """How two lines of one time differ, and the key that selects one of them."""
    layout = cells.layout
    if layout.is_outside:
        return "the lines differ: correct one of them, or delete it"
    pairs = [cells.all_cells(row) for row in (first, second)]
    names = [name for name in pairs[0] if pairs[0][name] != pairs[1].get(name)]
    listed = names[:_MAX_TEXTS]
    texts = ", ".join(f"{name} ({' and '.join(quoted(pair.get(name), layout) for pair in pairs)})" for name in listed)
    keys = [name for name in names if name not in (*layout.date_columns, layout.value, layout.quality)]
    labels = [name for name in keys if not _is_number(pairs[0][name])] or keys
    if labels:
        key = f"where = {{ {_toml_key(labels[0])} = {_toml_text(pairs[0][labels[0]])} }}"
        return f"the lines differ in {texts}: if the file has several series, choose one with {key} in the dam file"
    return f"the lines differ in {texts}: correct one of them, or delete it"


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _toml_key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").replace("-", "").isalnum() else _toml_text(name)


def _toml_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
