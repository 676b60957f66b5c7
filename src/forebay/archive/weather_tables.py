"""The tables of weather forecasts, and every SQL statement on them.

======================  =====================================================================================
`weather_series`        id ↔ service, model, point, variable, interval
`weather_run`           id, series, issued_at, known_at, fetched_at (µs since 1970 UTC): a version of a run
`weather_value`         run, member (-1: no ensemble), valid_time (µs since 1970 UTC), value
======================  =====================================================================================

A run is a row of its own, so that each of its values takes few bytes. Nothing is changed or deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
import sqlalchemy as sa

from forebay.archive import engines
from forebay.tables import INSTANT, WEATHER_FORECASTS

LABEL = ("service", "model", "point", "variable", "interval")
"""What identifies a series."""

NO_MEMBER = -1
_LARGEST = 1.7976931348623157e308
_FARTHEST = 2**62  # µs from 1970

METADATA = sa.MetaData()
_series = sa.Table(
    "weather_series",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.Integer if name == "interval" else sa.Text, nullable=False) for name in LABEL),
    sa.UniqueConstraint(*LABEL),
)
_run = sa.Table(
    "weather_run",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("series", sa.Integer, sa.ForeignKey("weather_series.id"), nullable=False),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("issued_at", "known_at", "fetched_at")),
    sa.UniqueConstraint("series", "issued_at", "fetched_at"),
)
_value = sa.Table(
    "weather_value",
    METADATA,
    sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("member", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("valid_time", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Double),
    # As for observations: on PostgreSQL, `faults` checks it instead.
    sa.ForeignKeyConstraint(["run"], ["weather_run.id"]).ddl_if(dialect="sqlite"),
    sqlite_with_rowid=False,
)

SERIES_COLUMNS: dict[str, pl.DataType] = {"id": pl.Int64()} | {n: WEATHER_FORECASTS.columns[n] for n in LABEL}
RUN_COLUMNS: dict[str, pl.DataType] = {
    "id": pl.Int64(), "series": pl.Int64(), "issued_at": INSTANT, "known_at": INSTANT, "fetched_at": INSTANT,
}  # fmt: skip
VALUE_COLUMNS: dict[str, pl.DataType] = {
    "run": pl.Int64(), "member": pl.Int32(), "valid_time": INSTANT, "value": pl.Float64(),
}  # fmt: skip


def series(connection: sa.Connection) -> pl.DataFrame:
    """All series (`SERIES_COLUMNS`), by id."""
    return _frame(connection.execute(sa.select(_series).order_by(_series.c.id)).fetchall(), SERIES_COLUMNS)


def runs(connection: sa.Connection, series_ids: Iterable[int]) -> pl.DataFrame:
    """Every version of the runs of some series (`RUN_COLUMNS`), by series, issued_at and fetched_at."""
    query = sa.select(_run).where(_run.c.series.in_(list(series_ids)))
    rows = connection.execute(query.order_by(_run.c.series, _run.c.issued_at, _run.c.fetched_at)).fetchall()
    return _frame(rows, RUN_COLUMNS)


def values(connection: sa.Connection, series_ids: Iterable[int]) -> pl.DataFrame:
    """The values of all runs of some series (`VALUE_COLUMNS`), by run, member and valid_time."""
    column = _value.c
    of_series = column.run == _run.c.id
    query = sa.select(_value).join(_run, of_series).where(_run.c.series.in_(list(series_ids)))
    return _values(connection, query.order_by(column.run, column.member, column.valid_time))


def values_of_runs(connection: sa.Connection, run_ids: Sequence[int]) -> pl.DataFrame:
    """The values of some runs (`VALUE_COLUMNS`), by run, member and valid_time."""
    column = _value.c
    query = sa.select(_value).where(column.run.in_(list(run_ids)))
    return _values(connection, query.order_by(column.run, column.member, column.valid_time))


def _values(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> pl.DataFrame:
    with connection.execute(query) as result:
        assert result.cursor is not None
        cursor = result.cursor  # the driver's: SQLAlchemy's row objects double the time
        pages = [_frame(rows, VALUE_COLUMNS) for rows in iter(lambda: cursor.fetchmany(100_000), [])]
    member = pl.when(pl.col("member") != NO_MEMBER).then("member").alias("member")
    return pl.concat([_frame([], VALUE_COLUMNS), *pages]).with_columns(member)


def add_series(connection: sa.Connection, labels: pl.DataFrame) -> pl.DataFrame:
    """`labels` (columns `LABEL`) with the `id` of each; new ones are added."""
    stored = series(connection)
    absent = labels.join(stored, on=LABEL, how="anti", maintain_order="left")
    if absent.height:
        first = _next_id(connection, _series)
        engines.load(connection, _series, absent.with_row_index("id", offset=first).select("id", *LABEL))
    return labels.join(series(connection), on=LABEL, maintain_order="left")


def insert(connection: sa.Connection, new_runs: pl.DataFrame, new_values: pl.DataFrame) -> None:
    """Add versions of runs (`RUN_COLUMNS`) with their values (`VALUE_COLUMNS`), whose `run` is an `id` of the former.

    The stored ids are others.
    """
    if new_runs.is_empty():
        return
    first = _next_id(connection, _run)
    numbers = new_runs.select("id").with_row_index("number", offset=first).cast(pl.Int64)
    numbered = new_runs.join(numbers, on="id", maintain_order="left")
    times = (pl.col(name).to_physical() for name in ("issued_at", "known_at", "fetched_at"))
    engines.load(connection, _run, numbered.select("number", "series", *times))
    rows = new_values.join(numbers, left_on="run", right_on="id").sort("number", "member", "valid_time")
    member = pl.col("member").fill_null(NO_MEMBER)
    engines.load(connection, _value, rows.select("number", member, pl.col("valid_time").to_physical(), "value"))


def _next_id(connection: sa.Connection, table: sa.Table) -> int:
    """The first free id: one process at a time writes."""
    largest = connection.execute(sa.select(sa.func.max(table.c.id))).scalar_one()
    return 1 if largest is None else int(largest) + 1


def copy(source: sa.Connection, target: sa.Connection) -> None:
    """Copy all forecasts into the empty tables of another archive, series by series."""
    labels = series(source)
    ids = add_series(target, labels.select(LABEL))["id"]
    for old, new in zip(labels["id"], ids, strict=True):
        versions = runs(source, [old]).with_columns(series=pl.lit(new, pl.Int64))
        insert(target, versions, values(source, [old]))


def checksums(connection: sa.Connection) -> dict[tuple[object, ...], tuple[int, int]]:
    """Label of each series → number of its values, and the sum of the hashes of its runs' values."""
    sums: dict[tuple[object, ...], tuple[int, int]] = {}
    for series_id, *label in series(connection).iter_rows():
        versions = runs(connection, [series_id]).drop("series")
        rows = values(connection, [series_id]).join(versions, left_on="run", right_on="id").drop("run")
        hashes = rows.hash_rows().to_numpy()
        sums[tuple(label)] = len(hashes), int(np.sum(hashes, initial=np.uint64(0)))  # unsigned: it wraps around
    return sums


def clear(connection: sa.Connection) -> None:
    """Delete all forecasts, so that others can replace them in the same transaction."""
    for table in (_value, _run, _series):
        connection.execute(sa.delete(table))


def count(connection: sa.Connection) -> int:
    """Number of stored values."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(_value)).scalar_one())


def faults(connection: sa.Connection, now: int) -> dict[str, int]:
    """Number of runs or values with each fault; all must be 0. `now` is in µs since 1970 UTC."""
    has_series = sa.exists().where(_series.c.id == _run.c.series)
    has_run = sa.exists().where(_run.c.id == _value.c.run)
    has_value = sa.exists().where(_value.c.run == _run.c.id)
    is_valid = sa.and_(
        _value.c.value.between(-_LARGEST, _LARGEST).is_not(sa.false()),
        _value.c.valid_time.between(-_FARTHEST, _FARTHEST),
    )
    queries = {
        "a weather run without series or values": sa.select(sa.func.count()).select_from(_run).where(
            sa.or_(~has_series, ~has_value)
        ),
        "a weather value without run": sa.select(sa.func.count()).select_from(_value).where(~has_run),
        "a weather value or time that is none": sa.select(sa.func.count()).select_from(_value).where(~is_valid),
        "a weather run known before its issue": sa.select(sa.func.count()).where(_run.c.known_at < _run.c.issued_at),
        "a weather run fetched in the future": sa.select(sa.func.count()).where(_run.c.fetched_at > now),
    }  # fmt: skip
    return {fault: connection.execute(query).scalar_one() for fault, query in queries.items()}


def _frame(rows: Sequence[Sequence[object]], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """Rows of a result as a table; integers become instants by `schema`."""
    types = {name: pl.Int64() if dtype == INSTANT else dtype for name, dtype in schema.items()}
    columns = dict(zip(schema, zip(*rows, strict=True), strict=True)) if rows else {name: () for name in schema}
    return pl.DataFrame(columns, schema=types).select(pl.col(name).cast(dtype) for name, dtype in schema.items())
