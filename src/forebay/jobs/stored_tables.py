"""Tables that jobs read from an archive and write into files."""

from __future__ import annotations

import io
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.errors import DataError
from forebay.features.daily_tables import DailyTables, read_daily_tables

if TYPE_CHECKING:
    from forebay.archive.fetch import FetchReport
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam


def readable_tables(
    dam: Dam, store: Archive, *, now: datetime, init_date: date | None = None, report: FetchReport | None = None
) -> DailyTables:
    """Daily tables of a dam from its archive.

    Raises
    ------
    SourceError
        If the archive holds no level because the fetch of `report` failed.
    DataError
        If the archive holds no level, or none to forecast from.
    """
    if store.newest(dam.target_gauge) is None:
        if report is None:
            raise DataError(f"the archive holds no level of {dam.name}; fetch it first with `forebay fetch DAM`")
        if report.failure is not None:
            raise report.failure
    return read_daily_tables(dam, store, now=now, init_date=init_date)


def write_parquet(table: pl.DataFrame, path: Path) -> None:
    """Write a Parquet file through memory: on a full disk Polars raises an error that is no `OSError`."""
    path.write_bytes(parquet_content(table))


def parquet_content(table: pl.DataFrame) -> bytes:
    """Content of a Parquet file with this table."""
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()
