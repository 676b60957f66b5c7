"""What was forecast or planned, from CSV files: a line per issue and valid day, as the dam file describes them."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from forebay.dams import csv_layout as layouts
from forebay.dams.csv_layout import EARLIEST, EMPTY, LATEST
from forebay.dams.dam import Dam
from forebay.dams.forcing import Forcing, ForcingFile
from forebay.dams.local_time import to_utc
from forebay.errors import ConfigError, SourceError
from forebay.tables import FORCINGS

_LINE = "line of the file"


def read(dam: Dam) -> pl.DataFrame:
    """`tables.FORCINGS` of all the dam's forcings, by forcing, issue time and valid date; their files are read anew.

    Raises
    ------
    ConfigError
        If the dam file names a file or a column that is not there.
    SourceError
        If a file holds what cannot be read: names the line and the text.
    """
    parts = [parse(layouts.content_of(_layout(forcing)), forcing, dam) for forcing in dam.forcings]
    return FORCINGS.check(pl.concat([FORCINGS.empty(), *parts]))


def parse(content: bytes, forcing: Forcing, dam: Dam) -> pl.DataFrame:
    """`tables.FORCINGS` of one forcing, from its file's bytes; lines that hold nothing at all are left out."""
    layout = _layout(forcing)
    cells = _cells(content, layout)
    form, more = layouts.stamp_form(layout.issued_format)
    value = layouts.number(pl.col("value"), layout, strict=False)
    read_as = {
        "issued": ((pl.col("issued") + more).str.to_datetime(form, strict=False), layout.issued_format),
        "valid": (pl.col("valid").str.to_date(layout.valid_format, strict=False), layout.valid_format),
        "value": (value, "a number, or nothing where nothing is foretold"),
    }
    read_cells = cells.with_columns(made.alias(f"{name} read") for name, (made, _) in read_as.items())
    for name, (_, wanted) in read_as.items():
        wrong = pl.col(f"{name} read").is_null() & (pl.col(name).is_not_null() | pl.lit(name != "value"))
        _refuse(read_cells.filter(wrong), layout, getattr(layout, name), f"cannot be read; it must be {wanted}")
    for name in ("issued", "valid"):
        beyond = pl.col(f"{name} read").dt.date().is_between(EARLIEST, LATEST).not_()
        why = f"is no date from {EARLIEST} to {LATEST}; correct it, or its format in the dam file"
        _refuse(read_cells.filter(beyond), layout, getattr(layout, name), why)
    factor, offset = forcing.variable.conversion(forcing.unit)
    low, high = forcing.variable.plausible
    value = pl.col("value read") * factor + offset
    # NaN and infinity lie outside too
    _refuse(read_cells.filter(value.is_between(low, high).fill_null(True).not_()), layout, layout.value,
            f"is no possible {forcing.variable.name}; leave the cell empty where nothing is foretold")  # fmt: skip
    again = read_cells.filter(pl.struct("issued read", "valid read").is_first_distinct().not_())
    _refuse(again, layout, layout.valid, "stands a second time for its issue; each day may stand once in an issue")
    issued = pl.col("issued read") + _until_issued(layout)
    issued = issued.dt.cast_time_unit("us") if "%z" in layout.issued_format else to_utc(issued, dam.time_zone)
    table = read_cells.select(
        pl.lit(forcing.id).alias("forcing"),
        issued.alias("issue_time"),
        (issued + timedelta(hours=forcing.latency_h)).alias("known_time"),
        pl.col("valid read").alias("valid_date"),
        value.alias("value"),
    )
    return FORCINGS.check(table.sort("issue_time", "valid_date"))


def _until_issued(layout: ForcingFile) -> timedelta:
    """From what an issue time reads as until it was issued: where only its day is known, the day's end is safe."""
    has_clock = any(code in layout.issued_format for code in ("%H", "%I", "%T", "%R", "%s"))
    return timedelta(0) if has_clock else timedelta(days=1)


def _layout(forcing: Forcing) -> ForcingFile:
    if forcing.file is None:
        raise ConfigError(f"forcing {forcing.id}: it has no [forcings.file] table to be read from")
    return forcing.file


def _cells(content: bytes, layout: ForcingFile) -> pl.DataFrame:
    """issued, valid, value as text without spaces around, null where empty, and the line from 1."""
    names = [layout.issued, layout.valid, layout.value]
    held = layouts.columns_of(layouts.header(content, layout), names, layout)
    try:
        table = pl.read_csv(content, infer_schema=False, separator=layout.separator, columns=list(held.values()))
    except pl.exceptions.PolarsError as error:
        reason = layouts.first_fault(content, layout) or str(error).splitlines()[0]
        raise SourceError(f"{layout.path} cannot be read as a table: {reason}") from None
    cells = table.select(
        pl.col(held[getattr(layout, name)]).str.strip_chars().replace(EMPTY, None).alias(name)
        for name in ("issued", "valid", "value")
    ).with_row_index(_LINE, offset=layouts.header_line(content) + 1)
    return cells.filter(pl.any_horizontal(pl.col("issued", "valid", "value").is_not_null()))


def _refuse(wrong: pl.DataFrame, layout: ForcingFile, column: str, why: str) -> None:
    """Raise a `SourceError` for the first of the `wrong` lines."""
    if not wrong.is_empty():
        # As text: what was read may be a year that Python's dates do not have.
        row = wrong.select(_LINE, "issued", "valid", "value").row(0, named=True)
        name = next(key for key in ("issued", "valid", "value") if getattr(layout, key) == column)
        raise SourceError(f"{layout.path}, line {row[_LINE]}: {column} {row[name]!r} {why}")
