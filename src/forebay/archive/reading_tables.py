"""The tables of series and readings, and the checks of their contents; `database` has the other statements on them.

======================  =====================================================================================
`series`                id ↔ source, station, variable, aggregate, interval, rules; reading_rules (JSON)
`observation`           series, time, fetched_at (µs since 1970 UTC), value, raw_value, quality, quality_code
======================  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import sqlalchemy as sa

from forebay.archive.views import CONTENT, SERIES
from forebay.tables import GRADES, INSTANT, MANUAL, OBSERVATIONS, WITHDRAWN

_LARGEST = 1.7976931348623157e308  # of all finite numbers; NaN and values that are no number compare as larger
_FARTHEST = 2**62  # µs from 1970

METADATA = sa.MetaData()
series_table = sa.Table(
    "series",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    *(sa.Column(name, sa.Integer if name == "interval" else sa.Text, nullable=False) for name in SERIES),
    sa.Column("reading_rules", sa.Text),
    sa.UniqueConstraint(*SERIES),
)
observation_table = sa.Table(
    "observation",
    METADATA,
    sa.Column("series", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("fetched_at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Double),
    sa.Column("raw_value", sa.Text),
    sa.Column("quality", sa.Text, nullable=False),
    sa.Column("quality_code", sa.Text),
    # PostgreSQL checks it row by row: 85,000 rows/s with it, 290,000 without. There, `faults` checks it.
    sa.ForeignKeyConstraint(["series"], ["series.id"]).ddl_if(dialect="sqlite"),
    sqlite_with_rowid=False,
)
VERSION_COLUMNS: dict[str, pl.DataType] = {"series": pl.Int64()} | {
    column.name: OBSERVATIONS.columns[column.name] for column in observation_table.c if column.name != "series"
}
"""Columns of `Database.versions`, in the stored order."""


def faults(connection: sa.Connection, now: int) -> dict[str, int]:
    """Number of versions, or series, with each fault; all must be 0. `now` is in µs since 1970 UTC."""
    column = observation_table.c
    label = (column.series, column.time)
    before = {name: sa.func.lag(column[name]).over(partition_by=label, order_by=column.fetched_at)
              for name in ("fetched_at", *CONTENT)}  # fmt: skip
    pair = sa.select(observation_table, *(old.label(f"old_{name}") for name, old in before.items())).subquery().c
    same = [pair[name].is_not_distinct_from(pair[f"old_{name}"]) for name in CONTENT]
    valid = sa.and_(column.value.between(-_LARGEST, _LARGEST).is_not(sa.false()),
                    column.quality.in_((*GRADES, MANUAL, WITHDRAWN)),
                    column.time.between(-_FARTHEST, _FARTHEST),
                    column.fetched_at.between(-_FARTHEST, _FARTHEST))  # fmt: skip
    has_version = sa.exists().where(column.series == series_table.c.id)
    has_series = sa.exists().where(series_table.c.id == column.series)
    queries = {
        "a key that stands twice": sa.select(sa.func.count()).where(pair.fetched_at == pair.old_fetched_at),
        "no series": sa.select(sa.func.count()).select_from(observation_table).where(~has_series),
        "a series without any version": sa.select(sa.func.count()).select_from(series_table).where(~has_version),
        "a value, quality or time that is none": sa.select(sa.func.count()).where(~valid),
        "the same contents as the version before": sa.select(sa.func.count()).where(
            pair.old_fetched_at.is_not(None), *same
        ),
        "a fetch that lies in the future": sa.select(sa.func.count()).where(column.fetched_at > now),
    }
    return {fault: connection.execute(query).scalar_one() for fault, query in queries.items()}


def as_table(rows: Sequence[Sequence[object]], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """Rows of a result as a table; integers become instants by `schema`."""
    types = {name: pl.Int64() if dtype == INSTANT else dtype for name, dtype in schema.items()}
    columns = dict(zip(schema, zip(*rows, strict=True), strict=True)) if rows else {name: () for name in schema}
    return pl.DataFrame(columns, schema=types).select(pl.col(name).cast(dtype) for name, dtype in schema.items())
