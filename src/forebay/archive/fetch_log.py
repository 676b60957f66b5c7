"""The table of successful fetches, and every SQL statement on it: the proof that a reading was not yet published.

======================  =====================================================================================
`gauge_fetch`           series, fetched_at (µs since 1970 UTC), first_day, last_day (days since 1970)
======================  =====================================================================================

A row says that a fetch requested the station-local days from first_day (null: the start of the record) to last_day of a
series, and got a complete answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl
import sqlalchemy as sa

from forebay.archive import engines
from forebay.tables import INSTANT

METADATA = sa.MetaData()
_fetch = sa.Table(
    "gauge_fetch",
    METADATA,
    sa.Column("series", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("fetched_at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("last_day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("first_day", sa.Integer),
    sqlite_with_rowid=False,
)

FETCHED_SPANS: dict[str, pl.DataType] = {
    "series": pl.Int64(), "fetched_at": INSTANT, "last_day": pl.Date(), "first_day": pl.Date(),
}  # fmt: skip
"""Columns of a table of fetches, in the stored order."""


def add(connection: sa.Connection, spans: pl.DataFrame) -> None:
    """Store `spans` (`FETCHED_SPANS`)."""
    if spans.height:
        engines.load(connection, _fetch, spans.select(pl.all().to_physical()))


def fetches(connection: sa.Connection, series: Iterable[int]) -> pl.DataFrame:
    """The spans of all fetches of some series (`FETCHED_SPANS`), by series, fetched_at and last day."""
    column = _fetch.c
    query = sa.select(_fetch).where(column.series.in_(list(series)))
    rows = connection.execute(query.order_by(column.series, column.fetched_at, column.last_day)).fetchall()
    table = pl.DataFrame([tuple(row) for row in rows], schema=dict.fromkeys(FETCHED_SPANS, pl.Int64), orient="row")
    days = (pl.col(name).cast(pl.Int32).cast(pl.Date) for name in ("last_day", "first_day"))
    return table.select("series", pl.col("fetched_at").cast(INSTANT), *days)


def copy(source: sa.Connection, target: sa.Connection, ids: Mapping[int, int]) -> None:
    """Copy the fetches of the series `ids` (id in the source → id in the target)."""
    table = fetches(source, ids)
    add(target, table.with_columns(pl.col("series").replace_strict(dict(ids), return_dtype=pl.Int64)))


def checksum(connection: sa.Connection, series: int) -> tuple[int, int]:
    """Number of stored spans of a series, and the sum of their hashes."""
    hashes = fetches(connection, [series]).drop("series").hash_rows().to_numpy()
    return len(hashes), int(np.sum(hashes, initial=np.uint64(0)))  # unsigned: it wraps around


def clear(connection: sa.Connection) -> None:
    """Delete all fetches, so that others can replace them in the same transaction."""
    connection.execute(sa.delete(_fetch))


def faults(connection: sa.Connection, series: sa.Table, now: int) -> dict[str, int]:
    """Number of spans with each fault; all must be 0. `now` is in µs since 1970 UTC."""
    has_series = sa.exists().where(series.c.id == _fetch.c.series)
    count = sa.select(sa.func.count()).select_from(_fetch)
    queries = {
        "a fetch of no series": count.where(~has_series),
        "a fetch whose days are in the wrong order": count.where(_fetch.c.first_day > _fetch.c.last_day),
        "a recorded fetch in the future": count.where(_fetch.c.fetched_at > now),
    }
    return {fault: connection.execute(query).scalar_one() for fault, query in queries.items()}
