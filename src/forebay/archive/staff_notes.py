"""The table of who read a staff gauge and what they noted, and every SQL statement on it.

======================  =====================================================================================
`staff_note`            series, time, fetched_at (µs since 1970 UTC): the version of a reading; name, note
======================  =====================================================================================

Names stand in no other table: readings, forecasts, records and exports never have them. A backup of the whole archive
has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl
import sqlalchemy as sa

from forebay.tables import INSTANT

METADATA = sa.MetaData()
_note = sa.Table(
    "staff_note",
    METADATA,
    sa.Column("series", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("fetched_at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text),
    sa.Column("note", sa.Text),
    sqlite_with_rowid=False,
)

NOTES: dict[str, pl.DataType] = {
    "series": pl.Int64(), "time": INSTANT, "fetched_at": INSTANT, "name": pl.String(), "note": pl.String(),
}  # fmt: skip
"""Columns of a table of notes, in the stored order."""


def add(connection: sa.Connection, notes: pl.DataFrame) -> None:
    """Store `notes` (`NOTES`)."""
    if notes.height:
        rows = notes.with_columns(pl.col("time", "fetched_at").to_physical()).to_dicts()
        connection.execute(sa.insert(_note), rows)


def notes_of(connection: sa.Connection, series: Iterable[int]) -> pl.DataFrame:
    """The notes of some series (`NOTES`), by series, time and fetched_at."""
    column = _note.c
    query = sa.select(_note).where(column.series.in_(list(series)))
    rows = connection.execute(query.order_by(column.series, column.time, column.fetched_at)).fetchall()
    types = {name: pl.Int64() if dtype == INSTANT else dtype for name, dtype in NOTES.items()}
    table = pl.DataFrame([tuple(row) for row in rows], schema=types, orient="row")
    return table.with_columns(pl.col("time", "fetched_at").cast(INSTANT))


def copy(source: sa.Connection, target: sa.Connection, ids: Mapping[int, int]) -> None:
    """Copy the notes of the series `ids` (id in the source → id in the target)."""
    table = notes_of(source, ids)
    add(target, table.with_columns(pl.col("series").replace_strict(dict(ids), return_dtype=pl.Int64)))


def checksum(connection: sa.Connection, series: int) -> tuple[int, int]:
    """Number of stored notes of a series, and the sum of their hashes."""
    hashes = notes_of(connection, [series]).drop("series").hash_rows().to_numpy()
    return len(hashes), int(np.sum(hashes, initial=np.uint64(0)))  # unsigned: it wraps around


def clear(connection: sa.Connection) -> None:
    """Delete all notes, so that others can replace them in the same transaction."""
    connection.execute(sa.delete(_note))


def faults(connection: sa.Connection, observation: sa.Table) -> dict[str, int]:
    """Number of notes with each fault; all must be 0."""
    version = observation.c
    has_version = sa.exists().where(
        version.series == _note.c.series, version.time == _note.c.time, version.fetched_at == _note.c.fetched_at
    )
    query = sa.select(sa.func.count()).select_from(_note).where(~has_version)
    return {"a note of no reading": connection.execute(query).scalar_one()}
