"""The forecast records of an archive: a chain per dam, which only grows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.errors import DataError
from forebay.tables import RECORDS

if TYPE_CHECKING:
    from forebay.archive.database import Database

NO_HASH = "0" * 64
"""`previous` of the first record of a dam."""


def content_hash(payload: str) -> str:
    """SHA-256 of the text of a record, in hexadecimal digits."""
    return hashlib.sha256(payload.encode()).hexdigest()


@dataclass(frozen=True)
class Head:
    """The end of a dam's chain.

    Attributes
    ----------
    sequence, hash, recorded_at
        Of the last record; 0, `NO_HASH` and None without one.
    replaced
        `sequence` of the last issued record of one init date, which the next record of that day replaces; None
        without one.
    now
        The time by the clock of the archive.
    """

    sequence: int
    hash: str
    recorded_at: datetime | None
    replaced: int | None
    now: datetime


class RecordArchive:
    """The forecast records of an open archive. No record is ever changed or deleted.

    The tables are `tables.RECORDS`, by dam and sequence. An archive from before schema 5 has no records.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __repr__(self) -> str:
        return f"<RecordArchive: {self._database.where}>"

    def index(self, dam: str | None = None) -> pl.DataFrame:
        """The records of a dam, or of all dams, without `payload`."""
        from forebay.archive import record_tables as sql

        if not self._database.has_records:
            return RECORDS.empty().drop("payload")
        with self._database.reading() as connection:
            return sql.index(connection, dam)

    def pages(self, dam: str, sequences: Sequence[int] | None = None) -> Iterator[pl.DataFrame]:
        """The records of a dam, or those with these numbers, some at a time."""
        from forebay.archive import record_tables as sql

        if not self._database.has_records:
            return
        parts = [sequences[k : k + sql.PAGE] for k in range(0, len(sequences), sql.PAGE)] if sequences else []
        conditions = [()] if sequences is None else [(sql.with_numbers(part),) for part in parts]
        with self._database.reading() as connection:
            for condition in conditions:
                yield from sql.pages(connection, sql.of_dam(dam), *condition)

    def with_hash(self, start: str) -> pl.DataFrame:
        """The records whose hash starts with these hexadecimal digits."""
        from forebay.archive import record_tables as sql

        if not self._database.has_records:
            return RECORDS.empty()
        with self._database.reading() as connection:
            return pl.concat([RECORDS.empty(), *sql.pages(connection, sql.with_hash(start))])

    def head(self, dam: str, init_date: date) -> Head:
        """The end of a dam's chain, and the record of `init_date` that the next one replaces."""
        from forebay.archive import record_tables as sql

        end: tuple[int, str, int | None] = (0, NO_HASH, None)
        replaced = None
        with self._database.reading() as connection:
            if self._database.has_records:
                end, replaced = sql.last(connection, dam), sql.last_issued(connection, dam, init_date)
            now = _instant(self._database.now(connection))
        sequence, digest, recorded_at = end
        return Head(sequence, digest, None if recorded_at is None else _instant(recorded_at), replaced, now)

    def append(self, record: pl.DataFrame) -> bool:
        """Store one record at the end of its chain, in one transaction; False if another process has added one.

        It waits for a transaction of another process, not for the lease: a fetch may take minutes, and nothing that a
        fetch writes changes a record.

        Raises
        ------
        ReadOnlyError
            If the archive cannot be written.
        DataError
            If the record is not one row of `tables.RECORDS`.
        """
        from forebay.archive import record_tables as sql

        record = RECORDS.check(record, unique=True)
        if record.height != 1:
            raise DataError(f"table records: {record.height} rows; a record is stored alone")
        row = record.row(0, named=True)
        if not self._database.has_records:
            with self._database.lease():  # adds the table
                pass
        with self._database.transaction() as connection:
            if sql.last(connection, row["dam"])[:2] != (row["sequence"] - 1, row["previous"]):
                return False
            sql.insert(connection, record)
        return True


def _instant(count: int) -> datetime:
    """Instant of microseconds since 1970 UTC, exactly."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=count)
