"""The tables of tokens and of acknowledged alerts, and every SQL statement on them.

=======================  ====================================================================================
`access_token`           id, name, hash (SHA-256 of the secret), created_at, revoked_at (µs since 1970 UTC)
`alert_acknowledgement`  dam, rule, change of the state; name and id of the token, acknowledged_at
=======================  ====================================================================================

No row is deleted. A secret is stored nowhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import sqlalchemy as sa

from forebay.tables import ACKNOWLEDGEMENTS, INSTANT, TOKENS, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

METADATA = sa.MetaData()
_token = sa.Table(
    "access_token",
    METADATA,
    *(sa.Column(name, sa.Text, nullable=False, primary_key=name == "id") for name in ("id", "name", "hash")),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("revoked_at", sa.BigInteger),
)
_acknowledgement = sa.Table(
    "alert_acknowledgement",
    METADATA,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("dam", "rule")),
    sa.Column("change", sa.BigInteger, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("name", "token")),
    sa.Column("acknowledged_at", sa.BigInteger, nullable=False),
)
_STORED = ((_token, TOKENS), (_acknowledgement, ACKNOWLEDGEMENTS))


def tokens(connection: sa.Connection) -> pl.DataFrame:
    """`TOKENS`, by the time of their creation."""
    return _read(connection, _token, TOKENS).sort("created_at", "id")


def add_token(connection: sa.Connection, row: Mapping[str, object]) -> None:
    """Add a token: id, name, hash, created_at."""
    connection.execute(sa.insert(_token), dict(row))


def revoke_token(connection: sa.Connection, token: str, now: int) -> None:
    """Set the time from which on a token is refused; an earlier one stays."""
    query = sa.update(_token).where(_token.c.id == token, _token.c.revoked_at.is_(None))
    connection.execute(query.values(revoked_at=now))


def acknowledgements(connection: sa.Connection, dam: str | None = None) -> pl.DataFrame:
    """`ACKNOWLEDGEMENTS` of a dam or of all dams, by key."""
    where = [] if dam is None else [_acknowledgement.c.dam == dam]
    return _read(connection, _acknowledgement, ACKNOWLEDGEMENTS, *where)


def counts(connection: sa.Connection) -> dict[str, int]:
    """Dam → number of its acknowledged alerts."""
    query = sa.select(_acknowledgement.c.dam, sa.func.count()).group_by(_acknowledgement.c.dam)
    return {dam: int(number) for dam, number in connection.execute(query)}


def acknowledge(connection: sa.Connection, row: Mapping[str, object]) -> None:
    """Add an acknowledgement; the first one of a change stays."""
    column = _acknowledgement.c
    where = [column[name] == row[name] for name in ACKNOWLEDGEMENTS.key]
    if not connection.execute(sa.select(sa.func.count()).select_from(_acknowledgement).where(*where)).scalar_one():
        connection.execute(sa.insert(_acknowledgement), dict(row))


def copy(source: sa.Connection, target: sa.Connection) -> None:
    """Copy all rows into the empty tables of another archive."""
    for stored, _ in _STORED:
        rows = [dict(row._mapping) for row in source.execute(sa.select(stored))]
        if rows:
            target.execute(sa.insert(stored), rows)


def checksums(connection: sa.Connection) -> dict[tuple[object, ...], tuple[int, int]]:
    """(table,) → number of its rows, and the sum of their hashes; a table without rows is left out."""
    sums: dict[tuple[object, ...], tuple[int, int]] = {}
    for stored, contract in _STORED:
        rows = _read(connection, stored, contract)
        if rows.height:
            sums[(contract.name,)] = rows.height, int(np.sum(rows.hash_rows().to_numpy(), initial=np.uint64(0)))
    return sums


def clear(connection: sa.Connection) -> None:
    """Delete all rows, so that others can replace them in the same transaction."""
    for stored, _ in _STORED:
        connection.execute(sa.delete(stored))


def faults(connection: sa.Connection) -> dict[str, int]:
    """Number of rows with each fault; all must be 0."""
    known = _read(connection, _acknowledgement, ACKNOWLEDGEMENTS)
    names = tokens(connection).select(token="id")
    return {"an acknowledged alert of no token": known.join(names, on="token", how="anti").height}


def _read(
    connection: sa.Connection, stored: sa.Table, contract: Table, *conditions: sa.ColumnElement[bool]
) -> pl.DataFrame:
    query = sa.select(stored).where(*conditions).order_by(*(stored.c[name] for name in contract.key))
    rows = [tuple(row) for row in connection.execute(query)]
    types = {name: pl.Int64() if dtype == INSTANT else dtype for name, dtype in contract.columns.items()}
    table = pl.DataFrame(rows, schema=types, orient="row")
    return table.select(pl.col(name).cast(dtype) for name, dtype in contract.columns.items())
