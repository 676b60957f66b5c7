"""Excel workbooks as text: each sheet is a table of cells (extra `excel`)."""

from __future__ import annotations

import csv
import io

from forebay.errors import ConfigError, SourceError

SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".ods")
_MAX_NAMES = 20
_MIDNIGHT = " 00:00:00"


def is_workbook(path: str) -> bool:
    """Whether a path names a workbook by its suffix."""
    return path.lower().endswith(SUFFIXES)


def sheet_names(content: bytes, path: str) -> list[str]:
    """Names of the sheets of a workbook.

    Raises
    ------
    ConfigError
        If the extra `excel` is not installed.
    SourceError
        If the content is no workbook.
    """
    try:
        import fastexcel
    except ImportError:
        raise ConfigError(
            f"{path} is an Excel workbook, which needs the extra excel: install forebay[excel], or save it as CSV"
        ) from None
    try:
        return fastexcel.read_excel(content).sheet_names
    except fastexcel.FastExcelError as error:
        raise _unreadable(path, error) from None


def sheet_text(content: bytes, path: str, *, sheet: str | None, separator: str) -> bytes:
    """A sheet of a workbook as CSV text (UTF-8), a line per row, which also keeps empty rows.

    Dates are written as 2026-01-31, with a clock time if any cell of the column has one; numbers with a decimal point
    and at most nine decimals.

    Parameters
    ----------
    sheet
        Name of the sheet; None: the first one.

    Raises
    ------
    ConfigError
        If there is no such sheet, or the extra `excel` is not installed.
    SourceError
        If the content is no workbook.
    """
    names = sheet_names(content, path)
    if sheet is not None and sheet not in names:
        raise ConfigError(
            f"{sheet!r} is not a sheet of {path}; its sheets are {', '.join(map(repr, names[:_MAX_NAMES]))}"
        )
    import fastexcel

    try:
        cells = fastexcel.read_excel(content).load_sheet(sheet or 0, header_row=None, dtypes="string").to_polars()
    except fastexcel.FastExcelError as error:
        raise _unreadable(path, error) from None
    for name in cells.columns:
        stamps = cells[name].str.contains(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$").fill_null(False)
        if stamps.any() and cells[name].filter(stamps).str.ends_with(_MIDNIGHT).all():
            cells = cells.with_columns(cells[name].str.strip_suffix(_MIDNIGHT))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    for row in cells.iter_rows():
        writer.writerow(["" if cell is None else " ".join(cell.splitlines()) for cell in row])
    return text.getvalue().encode()


def _unreadable(path: str, error: Exception) -> SourceError:
    reason = str(error).splitlines()[0]
    return SourceError(f"{path} cannot be read as an Excel workbook ({reason}); save it again, or as CSV")
