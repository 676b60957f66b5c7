"""The table of forecast records, and every SQL statement on it.

`forecast_record` has a row per issued forecast: `payload`, the text that its `hash` is computed from, and the columns
by which records are found. Times are µs since 1970 UTC, days ISO 8601. Nothing is changed or deleted. Two records of a
dam cannot follow the same record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import polars as pl
import sqlalchemy as sa

from forebay.archive import engines
from forebay.archive.records import NO_HASH, content_hash
from forebay.tables import INSTANT, RECORDS

METADATA = sa.MetaData()
_TYPES: dict[pl.DataType, sa.types.TypeEngine[str] | sa.types.TypeEngine[int]] = {
    pl.String(): sa.Text(), pl.Date(): sa.Text(), pl.Boolean(): sa.Integer(), pl.Int64(): sa.Integer(),
}  # fmt: skip
_record = sa.Table(
    "forecast_record",
    METADATA,
    *(
        sa.Column(
            name,
            _TYPES.get(dtype, sa.BigInteger()),
            nullable=name == "replaces",
            primary_key=name in RECORDS.key,
            autoincrement=False,
        )
        for name, dtype in RECORDS.columns.items()
    ),
    sa.UniqueConstraint("dam", "previous"),
    sa.UniqueConstraint("hash"),
)
INDEX = tuple(name for name in RECORDS.columns if name != "payload")
"""Columns of `RECORDS` without the text."""

PAGE = 200
"""Records in memory at a time."""


def index(connection: sa.Connection, dam: str | None = None) -> pl.DataFrame:
    """`RECORDS` without `payload`, of one dam or of all, by dam and sequence."""
    query = sa.select(*(_record.c[name] for name in INDEX)).order_by(_record.c.dam, _record.c.sequence)
    if dam is not None:
        query = query.where(_record.c.dam == dam)
    return _frame(connection.execute(query).fetchall(), INDEX)


def last_sequences(connection: sa.Connection) -> dict[str, int]:
    """Dam → number of its last record."""
    query = sa.select(_record.c.dam, sa.func.max(_record.c.sequence)).group_by(_record.c.dam)
    return {dam: int(number) for dam, number in connection.execute(query)}


def of_dam(dam: str) -> sa.ColumnElement[bool]:
    """Condition on the records of a dam."""
    return _record.c.dam == dam


def with_numbers(sequences: Sequence[int]) -> sa.ColumnElement[bool]:
    """Condition on the records with these numbers."""
    return _record.c.sequence.in_(sequences)


def with_hash(start: str) -> sa.ColumnElement[bool]:
    """Condition on the records whose hash starts with these hexadecimal digits."""
    return _record.c.hash.startswith(start, autoescape=True)


def last(connection: sa.Connection, dam: str) -> tuple[int, str, int | None]:
    """`sequence`, `hash` and `recorded_at` (µs) of the last record of a dam; 0, `NO_HASH` and None without one."""
    query = sa.select(_record.c.sequence, _record.c.hash, _record.c.recorded_at).where(_record.c.dam == dam)
    row = connection.execute(query.order_by(_record.c.sequence.desc()).limit(1)).one_or_none()
    return (0, NO_HASH, None) if row is None else (int(row[0]), str(row[1]), int(row[2]))


def last_issued(connection: sa.Connection, dam: str, init_date: date) -> int | None:
    """`sequence` of the last record of an init date that is not retrospective."""
    column = _record.c
    query = sa.select(sa.func.max(column.sequence)).where(
        column.dam == dam, column.init_date == init_date.isoformat(), column.retrospective == 0
    )
    sequence: int | None = connection.execute(query).scalar_one()
    return sequence


def insert(connection: sa.Connection, records: pl.DataFrame) -> None:
    """Add `records` (`RECORDS`)."""
    columns = (
        pl.col(name).to_physical() if dtype == INSTANT
        else pl.col(name).dt.to_string("iso") if dtype == pl.Date()
        else pl.col(name).cast(pl.Int64) if dtype == pl.Boolean()
        else pl.col(name)
        for name, dtype in RECORDS.columns.items()
    )  # fmt: skip
    if records.height:
        engines.load(connection, _record, records.select(columns))


def pages(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> Iterator[pl.DataFrame]:
    """The `RECORDS` that fulfil the conditions, by dam and sequence, at most `PAGE` at a time."""
    query = sa.select(_record).where(*conditions).order_by(_record.c.dam, _record.c.sequence)
    with connection.execute(query.execution_options(yield_per=PAGE)) as result:
        for rows in result.partitions():
            yield _frame(rows, tuple(RECORDS.columns))


def copy(source: sa.Connection, target: sa.Connection) -> None:
    """Copy all records into the empty table of another archive."""
    for page in pages(source):
        insert(target, page)


def checksums(connection: sa.Connection) -> dict[tuple[object, ...], tuple[int, int]]:
    """("record", dam) → number of its records, and the sum of their hashes."""
    sums: dict[tuple[object, ...], tuple[int, int]] = {}
    for page in pages(connection):
        for (dam,), rows in page.group_by("dam", maintain_order=True):
            count, total = sums.get(("record", dam), (0, 0))
            hashes = rows.hash_rows().to_numpy()
            sums["record", dam] = count + len(hashes), int(np.sum(hashes, initial=np.uint64(total)))  # it wraps around
    return sums


def clear(connection: sa.Connection) -> None:
    """Delete all records, so that others can replace them in the same transaction."""
    connection.execute(sa.delete(_record))


def count(connection: sa.Connection) -> int:
    """Number of records."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(_record)).scalar_one())


def faults(connection: sa.Connection) -> dict[str, int]:
    """Number of records with each fault; all must be 0. `forebay record verify` names the records."""
    changed = broken = 0
    last: tuple[str, int, str] | None = None
    for page in pages(connection):
        for dam, sequence, digest, previous, payload in page.select(
            "dam", "sequence", "hash", "previous", "payload"
        ).iter_rows():
            changed += digest != content_hash(payload)
            follows = last is not None and last == (dam, sequence - 1, previous)
            broken += not (follows or ((last is None or last[0] != dam) and sequence == 1))
            last = dam, sequence, digest
    return {
        "a forecast record that differs from its hash": changed,
        "a forecast record that does not follow the one before": broken,
    }


def _frame(rows: Sequence[Sequence[object]], names: tuple[str, ...]) -> pl.DataFrame:
    """Rows of a result as `RECORDS`, or some of its columns; a day or a flag that `insert` did not write is null."""
    types = {name: RECORDS.columns[name] for name in names}
    stored = {
        name: pl.Int64() if dtype in (INSTANT, pl.Boolean()) else pl.String() if dtype == pl.Date() else dtype
        for name, dtype in types.items()
    }
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {name: () for name in names}
    table = pl.DataFrame(columns, schema=stored)
    return table.select(_parsed(name, dtype) for name, dtype in types.items())


def _parsed(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column of the table as the type of `RECORDS`."""
    if dtype == pl.Date():
        day = pl.col(name).str.to_date("%Y-%m-%d", strict=False)
        return pl.when(day.dt.to_string("iso") == pl.col(name)).then(day).alias(name)
    if dtype == pl.Boolean():
        return pl.when(pl.col(name).is_in([0, 1])).then(pl.col(name) == 1).alias(name)
    return pl.col(name).cast(dtype)
