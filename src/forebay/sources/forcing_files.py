"""Forecast and planned series from CSV files, as the dam file describes them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.csv_dates import EARLIEST, LATEST, has_clock, parse_stamps
from forebay.dams.csv_layout import content_text
from forebay.dams.csv_numbers import parse_numbers
from forebay.dams.csv_text import (
    EMPTY,
    header_line,
    read_columns,
    read_content,
)
from forebay.dams.forcing import MAX_LEAD, ForcingFile
from forebay.dams.local_time import to_local, to_utc
from forebay.errors import ConfigError, SourceError
from forebay.tables import FORCINGS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.forcing import Forcing

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
    parts = []
    for name, statistic in forcing.series.items():
        cells = _cells(content, layout, layout.quantiles.get(statistic) or layout.value)
        parts.append(_series(_parsed_cells(cells, layout, dam), name, forcing, dam))
    return FORCINGS.check(pl.concat(parts).sort("issue_time", "valid_date", "forcing"))


def _series(cells: pl.DataFrame, name: str, forcing: Forcing, dam: Dam) -> pl.DataFrame:
    """`tables.FORCINGS` of one series of a forcing, from its parsed cells."""
    layout = _layout(forcing)
    factor, offset = forcing.conversion()
    low, high = forcing.variable.plausible
    value = pl.col("value parsed") * factor + offset
    # NaN and infinity lie outside too.
    _refuse(cells.filter(value.is_between(low, high).fill_null(True).not_()), layout, "value",
            f"is not a possible {forcing.variable.name}; leave the cell empty where there is no forecast")  # fmt: skip
    duplicates = cells.filter(pl.struct("issued parsed", "valid parsed").is_first_distinct().not_())
    _refuse(duplicates, layout, "valid", "occurs a second time in its issue; each day must be unique in an issue")
    issued = pl.col("issued parsed") + _issue_delay(layout)
    issued = issued.dt.cast_time_unit("us") if "%z" in layout.issued_format else to_utc(issued, dam.time_zone)
    return cells.select(
        pl.lit(name).alias("forcing"),
        issued.alias("issue_time"),
        (issued + timedelta(hours=forcing.latency_h)).alias("known_time"),
        pl.col("valid parsed").alias("valid_date"),
        value.alias("value"),
    )


def _parsed_cells(cells: pl.DataFrame, layout: ForcingFile, dam: Dam) -> pl.DataFrame:
    """The cells, with columns "issued parsed", "valid parsed" and "value parsed" (in the file's unit)."""
    issued = parse_stamps(cells["issued"], layout.issued_format)
    number = parse_numbers(pl.col("value"), layout, strict=False)
    if layout.valid is not None:
        valid = pl.lit(_local_days(parse_stamps(cells["valid"], layout.valid_format), dam))
        allowed = layout.valid_format
    else:
        lead = pl.col("valid").cast(pl.Int64, strict=False)
        valid = pl.lit(_local_days(issued, dam)) + pl.duration(days=pl.when(lead.is_between(0, MAX_LEAD)).then(lead))
        allowed = f"a whole number of days after the issue, 0 to {MAX_LEAD}"
    parsers = {
        "issued": (pl.lit(issued), layout.issued_format),
        "valid": (valid, allowed),
        "value": (number, "a number, or empty where there is no forecast"),
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
    if has_clock(layout.issued_format):
        return timedelta(0)
    if layout.issued_at is not None:
        return timedelta(hours=layout.issued_at.hour, minutes=layout.issued_at.minute)
    return timedelta(days=1)


def _layout(forcing: Forcing) -> ForcingFile:
    if forcing.file is None:
        raise ConfigError(f"forcing {forcing.id} has no [forcings.file] table to read from; add one to the dam file")
    return forcing.file


def _cells(content: bytes, layout: ForcingFile, value: str | None) -> pl.DataFrame:
    """issued, valid, value as text without surrounding spaces, null where empty; column (of the value); line, from 1.

    valid is the text of the valid day or of the days after the issue; value the name of the column of the values,
    unless `value_by_lead` names one for each of the days after the issue.
    """
    columns = [column for _, column in layout.value_by_lead] or [str(value)]
    day = layout.valid or layout.lead
    texts = read_columns(content, list(dict.fromkeys([layout.issued, *([day] if day else []), *columns])), layout)
    texts = texts.with_columns(pl.all().replace(EMPTY, None)).with_row_index(_LINE, offset=header_line(content) + 1)
    texts = texts.filter(pl.any_horizontal(pl.exclude(_LINE).is_not_null()))
    days = [pl.lit(str(lead)) for lead, _ in layout.value_by_lead] or [pl.col(str(day))]
    cells = [
        texts.select(
            _LINE, pl.col(layout.issued).alias("issued"), valid.alias("valid"), pl.col(column).alias("value"),
            pl.lit(column).alias("column"),
        )
        for column, valid in zip(columns, days, strict=True)
    ]  # fmt: skip
    return pl.concat(cells).sort(_LINE, maintain_order=True)


def _refuse(lines: pl.DataFrame, layout: ForcingFile, key: str, problem: str) -> None:
    """Raise a `SourceError` for the first of the `lines`, about its cell `key`."""
    if not lines.is_empty():
        # As text: a parsed date may have a year that Python's dates do not have.
        line = lines.select(_LINE, "column", *_KEYS).row(0, named=True)
        text = content_text(repr(line[key]), layout)
        names = {"issued": layout.issued, "valid": layout.valid or layout.lead or line["column"]}
        column = names.get(key, line["column"])
        raise SourceError(f"{layout.path}, line {line[_LINE]}: {column} {text} {problem}")
