"""Forecast and planned series from CSV files: one line per issue and valid day, as the dam file describes them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.csv_dates import EARLIEST, LATEST, has_clock, parse_stamps
from forebay.dams.csv_layout import content_text
from forebay.dams.csv_text import (
    EMPTY,
    header_line,
    parse_numbers,
    read_columns,
    read_content,
)
from forebay.dams.local_time import to_local, to_utc
from forebay.errors import ConfigError, SourceError
from forebay.tables import FORCINGS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.forcing import Forcing, ForcingFile

_LINE = "line of the file"
_KEYS = ("issued", "valid", "value")


def read_forcings(dam: Dam) -> pl.DataFrame:
    """`tables.FORCINGS` of all the dam's forcings with a file, by forcing, issue time and valid date.

    It reads the files anew.

    Raises
    ------
    ConfigError
        If a file or one of its columns does not exist.
    SourceError
        If a cell cannot be read: names the line and the text.
    """
    from_archive = {weather.id for weather in dam.weather}
    own = [forcing for forcing in dam.forcings if forcing.id not in from_archive]
    parts = [parse_forcing(read_content(_layout(forcing)), forcing, dam) for forcing in own]
    return FORCINGS.check(pl.concat([FORCINGS.empty(), *parts]))


def parse_forcing(content: bytes, forcing: Forcing, dam: Dam) -> pl.DataFrame:
    """`tables.FORCINGS` of one forcing, from its file's bytes; blank lines are left out."""
    layout = _layout(forcing)
    cells = _parsed_cells(_cells(content, layout), layout, dam)
    factor, offset = forcing.variable.conversion(forcing.unit)
    low, high = forcing.variable.plausible
    value = pl.col("value parsed") * factor + offset
    # NaN and infinity lie outside too.
    _refuse(cells.filter(value.is_between(low, high).fill_null(True).not_()), layout, "value",
            f"is not a possible {forcing.variable.name}; leave the cell empty where there is no forecast")  # fmt: skip
    duplicates = cells.filter(pl.struct("issued parsed", "valid parsed").is_first_distinct().not_())
    _refuse(duplicates, layout, "valid", "occurs a second time in its issue; each day must be unique in an issue")
    issued = pl.col("issued parsed") + _issue_delay(layout)
    issued = issued.dt.cast_time_unit("us") if "%z" in layout.issued_format else to_utc(issued, dam.time_zone)
    table = cells.select(
        pl.lit(forcing.id).alias("forcing"),
        issued.alias("issue_time"),
        (issued + timedelta(hours=forcing.latency_h)).alias("known_time"),
        pl.col("valid parsed").alias("valid_date"),
        value.alias("value"),
    )
    return FORCINGS.check(table.sort("issue_time", "valid_date"))


def _parsed_cells(cells: pl.DataFrame, layout: ForcingFile, dam: Dam) -> pl.DataFrame:
    """The cells, with columns "issued parsed", "valid parsed" and "value parsed" (in the file's unit)."""
    issued = parse_stamps(cells["issued"], layout.issued_format)
    valid = _local_days(parse_stamps(cells["valid"], layout.valid_format), dam)
    parsers = {
        "issued": (pl.lit(issued), layout.issued_format),
        "valid": (pl.lit(valid), layout.valid_format),
        "value": (
            parse_numbers(pl.col("value"), layout, strict=False),
            "a number, or empty where there is no forecast",
        ),
    }
    parsed = cells.with_columns(parser.alias(f"{key} parsed") for key, (parser, _) in parsers.items())
    for key, (_, allowed) in parsers.items():
        is_bad = pl.col(f"{key} parsed").is_null() & (pl.col(key).is_not_null() | pl.lit(key != "value"))
        _refuse(parsed.filter(is_bad), layout, key, f"cannot be read; it must be {allowed}")
    for key in ("issued", "valid"):
        is_out_of_range = pl.col(f"{key} parsed").dt.date().is_between(EARLIEST, LATEST).not_()
        problem = f"is not a date from {EARLIEST} to {LATEST}; correct it, or its format in the dam file"
        _refuse(parsed.filter(is_out_of_range), layout, key, problem)
    return parsed


def _local_days(stamps: pl.Series, dam: Dam) -> pl.Series:
    """Days of clock times, or of instants on the dam's clock."""
    has_offset = stamps.dtype != pl.Datetime("us")
    local = to_local(pl.col("valid"), dam.time_zone) if has_offset else pl.col("valid")
    return stamps.to_frame("valid").select(local.dt.date()).to_series()


def _issue_delay(layout: ForcingFile) -> timedelta:
    """Time from a parsed issue time to the issue: where only the day is known, the issue counts at the day's end."""
    return timedelta(0) if has_clock(layout.issued_format) else timedelta(days=1)


def _layout(forcing: Forcing) -> ForcingFile:
    if forcing.file is None:
        raise ConfigError(f"forcing {forcing.id} has no [forcings.file] table to read from; add one to the dam file")
    return forcing.file


def _cells(content: bytes, layout: ForcingFile) -> pl.DataFrame:
    """issued, valid and value as text without surrounding spaces, null where empty, and the line from 1."""
    texts = read_columns(content, [layout.issued, layout.valid, layout.value], layout)
    cells = texts.select(
        pl.col(getattr(layout, key)).replace(EMPTY, None).alias(key) for key in _KEYS
    ).with_row_index(_LINE, offset=header_line(content) + 1)
    return cells.filter(pl.any_horizontal(pl.col(_KEYS).is_not_null()))


def _refuse(lines: pl.DataFrame, layout: ForcingFile, key: str, problem: str) -> None:
    """Raise a `SourceError` for the first of the `lines`, about its cell `key`."""
    if not lines.is_empty():
        # As text: a parsed date may have a year that Python's dates do not have.
        line = lines.select(_LINE, *_KEYS).row(0, named=True)
        text = content_text(repr(line[key]), layout)
        raise SourceError(f"{layout.path}, line {line[_LINE]}: {getattr(layout, key)} {text} {problem}")
