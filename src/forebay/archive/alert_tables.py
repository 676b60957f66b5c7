"""The tables of alerts, and every SQL statement on them.

`alert_decision` has a row per decision of a rule, `alert_delivery` a row per message and sink. The second row is stored
before the message is sent, so its key allows each message once. Times are µs since 1970 UTC, days ISO 8601. No row is
deleted; of a delivery, only the outcome is added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import sqlalchemy as sa

from forebay.archive import engines
from forebay.tables import ALERT_DELIVERIES, ALERTS, INSTANT, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

METADATA = sa.MetaData()
_TYPES: dict[pl.DataType, sa.types.TypeEngine[str] | sa.types.TypeEngine[int] | sa.types.TypeEngine[float]] = {
    pl.String(): sa.Text(), pl.Date(): sa.Text(), pl.Boolean(): sa.Integer(), pl.Int64(): sa.Integer(),
    pl.Float64(): sa.Double(),
}  # fmt: skip
_NULLABLE = (
    "unknown_since", "record", "sequence", "init_date", "probability", "age_days", "outcome", "delivered_at"
)  # fmt: skip


def _columns(table: Table) -> list[sa.Column[object]]:
    return [
        sa.Column(
            name,
            _TYPES.get(dtype, sa.BigInteger()),
            nullable=name in _NULLABLE,
            primary_key=name in table.key,
            autoincrement=False,
        )
        for name, dtype in table.columns.items()
    ]


_decision = sa.Table(
    "alert_decision", METADATA, *_columns(ALERTS), sa.UniqueConstraint("dam", "rule", "record")
)
_delivery = sa.Table("alert_delivery", METADATA, *_columns(ALERT_DELIVERIES))
_STORED = {ALERTS.name: _decision, ALERT_DELIVERIES.name: _delivery}
_CONTRACTS = (ALERTS, ALERT_DELIVERIES)


def decisions(connection: sa.Connection, dam: str | None = None) -> pl.DataFrame:
    """`ALERTS` of a dam or of all dams, by key."""
    return _read(connection, ALERTS, dam)


def counts(connection: sa.Connection) -> dict[str, int]:
    """Dam → number of its decisions."""
    query = sa.select(_decision.c.dam, sa.func.count()).group_by(_decision.c.dam)
    return {dam: int(number) for dam, number in connection.execute(query)}


def changes(connection: sa.Connection, dam: str | None = None) -> pl.DataFrame:
    """The decisions that changed a state: a few of `decisions`, by key."""
    return _read(connection, ALERTS, dam, _decision.c.is_change == 1)


def last_decisions(connection: sa.Connection, dam: str) -> pl.DataFrame:
    """The last decision of each rule of a dam, by rule."""
    later = _decision.alias()
    has_later = sa.exists().where(
        later.c.dam == _decision.c.dam, later.c.rule == _decision.c.rule, later.c.number > _decision.c.number
    )
    return _read(connection, ALERTS, dam, ~has_later)


def last_sequence(connection: sa.Connection, dam: str, rule: str) -> int:
    """Largest number of the records that a rule has decided on; 0 without one."""
    column = _decision.c
    query = sa.select(sa.func.max(column.sequence)).where(column.dam == dam, column.rule == rule)
    return int(connection.execute(query).scalar_one() or 0)


def deliveries(connection: sa.Connection, dam: str | None = None) -> pl.DataFrame:
    """`ALERT_DELIVERIES` of a dam or of all dams, by key."""
    return _read(connection, ALERT_DELIVERIES, dam)


def last_decision(connection: sa.Connection, dam: str, rule: str, before: date | None = None) -> pl.DataFrame:
    """The last decision of a rule (one row of `ALERTS`, or none).

    Parameters
    ----------
    before
        Only decisions on another init date than this one.
    """
    column = _decision.c
    query = sa.select(_decision).where(column.dam == dam, column.rule == rule)
    if before is not None:
        query = query.where(sa.or_(column.init_date.is_(None), column.init_date != before.isoformat()))
    return _frame(connection.execute(query.order_by(column.number.desc()).limit(1)).fetchall(), ALERTS)


def last_change(connection: sa.Connection, dam: str, rule: str) -> int:
    """Number of changes of the state of a rule; 0 without one."""
    column = _decision.c
    query = sa.select(sa.func.max(column.change)).where(column.dam == dam, column.rule == rule)
    return int(connection.execute(query).scalar_one() or 0)


def insert(connection: sa.Connection, rows: pl.DataFrame, table: Table) -> None:
    """Add rows of `ALERTS` or `ALERT_DELIVERIES`."""
    columns = (
        pl.col(name).to_physical() if dtype == INSTANT
        else pl.col(name).dt.to_string("iso") if dtype == pl.Date()
        else pl.col(name).cast(pl.Int64) if dtype == pl.Boolean()
        else pl.col(name)
        for name, dtype in table.columns.items()
    )  # fmt: skip
    if rows.height:
        engines.load(connection, _STORED[table.name], table.check(rows).select(columns))


def claim(connection: sa.Connection, key: tuple[str, str, int, str], now: int) -> bool:
    """Add the row of a message that is about to be sent; False if there is one already."""
    column = _delivery.c
    names = ALERT_DELIVERIES.key
    where = [column[name] == value for name, value in zip(names, key, strict=True)]
    if connection.execute(sa.select(sa.func.count()).select_from(_delivery).where(*where)).scalar_one():
        return False
    connection.execute(sa.insert(_delivery), dict(zip(names, key, strict=True)) | {"claimed_at": now})
    return True


def confirm(connection: sa.Connection, key: tuple[str, str, int, str], outcome: str, now: int) -> None:
    """Add the outcome of a message."""
    column = _delivery.c
    where = [column[name] == value for name, value in zip(ALERT_DELIVERIES.key, key, strict=True)]
    query = sa.update(_delivery).where(*where, column.outcome.is_(None))
    connection.execute(query.values(outcome=outcome, delivered_at=now))


def copy(source: sa.Connection, target: sa.Connection) -> None:
    """Copy all rows into the empty tables of another archive."""
    for contract in _CONTRACTS:
        insert(target, _read(source, contract), contract)


def checksums(connection: sa.Connection) -> dict[tuple[object, ...], tuple[int, int]]:
    """(table,) → number of its rows, and the sum of their hashes; a table without rows is left out."""
    sums: dict[tuple[object, ...], tuple[int, int]] = {}
    for contract in _CONTRACTS:
        rows = _read(connection, contract)
        if rows.height:
            sums[(contract.name,)] = rows.height, int(np.sum(rows.hash_rows().to_numpy(), initial=np.uint64(0)))
    return sums


def clear(connection: sa.Connection) -> None:
    """Delete all rows, so that others can replace them in the same transaction."""
    for stored in _STORED.values():
        connection.execute(sa.delete(stored))


def faults(connection: sa.Connection) -> dict[str, int]:
    """Number of rows with each fault; all must be 0."""
    rows, sent = decisions(connection), deliveries(connection)
    of_rule = pl.struct("dam", "rule")
    of_state = rows.filter(pl.col("is_change"))
    steps = rows.select(
        number=pl.col("number") != pl.int_range(1, pl.len() + 1).over(of_rule),
        change=pl.col("change") != pl.col("is_change").cast(pl.Int64).cum_sum().over(of_rule),
    )
    return {
        "a decision of an alert that does not follow the one before": int(steps["number"].sum()),
        "a change of an alert that does not follow the one before": int(steps["change"].sum()),
        "a message about no change of an alert": sent.join(of_state, on=("dam", "rule", "change"), how="anti").height,
    }


def _read(
    connection: sa.Connection, contract: Table, dam: str | None = None, *conditions: sa.ColumnElement[bool]
) -> pl.DataFrame:
    stored = _STORED[contract.name]
    query = sa.select(stored).where(*conditions).order_by(*(stored.c[name] for name in contract.key))
    if dam is not None:
        query = query.where(stored.c.dam == dam)
    return _frame(connection.execute(query).fetchall(), contract)


def _frame(rows: Sequence[Sequence[object]], contract: Table) -> pl.DataFrame:
    """Rows of a result as a table; a day or a flag that `insert` did not write is null."""
    stored = {
        name: pl.Int64() if dtype in (INSTANT, pl.Boolean()) else pl.String() if dtype == pl.Date() else dtype
        for name, dtype in contract.columns.items()
    }
    columns = dict(zip(stored, zip(*rows, strict=True), strict=True)) if rows else {name: () for name in stored}
    table = pl.DataFrame(columns, schema=stored)
    return table.select(
        pl.col(name).str.to_date("%Y-%m-%d", strict=False) if dtype == pl.Date() else pl.col(name).cast(dtype)
        for name, dtype in contract.columns.items()
    )
