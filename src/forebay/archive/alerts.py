"""The alerts of an archive: every decision of a rule, and every message that was sent or was about to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.tables import ACKNOWLEDGEMENTS, ALERT_DELIVERIES, ALERTS, Table

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from forebay.archive.access import Bearer
    from forebay.archive.database import Database

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Message:
    """Key of a message: a change of the state of one alert, to one sink."""

    dam: str
    rule: str
    change: int
    sink: str

    @property
    def key(self) -> tuple[str, str, int, str]:
        """Values of the key of `tables.ALERT_DELIVERIES`."""
        return self.dam, self.rule, self.change, self.sink


Decide = Callable[[pl.DataFrame, pl.DataFrame, datetime], pl.DataFrame]
"""A decision (one row of `tables.ALERTS`) from the last one, the last one on another init date, and the time."""


class AlertArchive:
    """The alerts of an open archive.

    The tables are `tables.ALERTS` and `tables.ALERT_DELIVERIES`. An archive from before schema 6 has none.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __repr__(self) -> str:
        return f"<AlertArchive: {self._database.where}>"

    def decisions(self, dam: str | None = None) -> pl.DataFrame:
        """Every decision of the rules of a dam, or of all dams."""
        from forebay.archive import alert_tables as sql

        return self._read(ALERTS, lambda connection: sql.decisions(connection, dam))

    def changes(self, dam: str | None = None) -> pl.DataFrame:
        """The decisions of a dam, or of all dams, that changed a state: each is a message."""
        from forebay.archive import alert_tables as sql

        return self._read(ALERTS, lambda connection: sql.changes(connection, dam))

    def last_decisions(self, dam: str) -> pl.DataFrame:
        """The last decision of each rule of a dam, by rule."""
        from forebay.archive import alert_tables as sql

        return self._read(ALERTS, lambda connection: sql.last_decisions(connection, dam))

    def deliveries(self, dam: str | None = None) -> pl.DataFrame:
        """Every message about a dam, or about all dams, that was sent or was about to be."""
        from forebay.archive import alert_tables as sql

        return self._read(ALERT_DELIVERIES, lambda connection: sql.deliveries(connection, dam))

    def acknowledgements(self, dam: str | None = None) -> pl.DataFrame:
        """`tables.ACKNOWLEDGEMENTS` of a dam, or of all dams."""
        from forebay.archive import access_tables as sql

        if not self._database.has_access:
            return ACKNOWLEDGEMENTS.empty()
        with self._database.reading() as connection:
            return sql.acknowledgements(connection, dam)

    def acknowledge(self, dam: str, rule: str, change: int, bearer: Bearer) -> None:
        """Store who has acknowledged a change of the state of a rule, and when; the first one stays.

        Raises
        ------
        ReadOnlyError
            If the archive cannot be written.
        """
        from forebay.archive import access_tables as sql

        self._database.prepare_access()
        with self._database.transaction() as connection:
            now = self._database.now(connection)
            row = {"dam": dam, "rule": rule, "change": change, "name": bearer.name, "token": bearer.token}
            sql.acknowledge(connection, row | {"acknowledged_at": now})

    def now(self) -> datetime:
        """The time by the clock of the archive."""
        with self._database.reading() as connection:
            return _instant(self._database.now(connection))

    def decide(
        self, dam: str, rule: str, *, sequence: int | None, init_date: date | None, decide: Decide
    ) -> pl.DataFrame:
        """Store the decision of a rule on a record, in one transaction; a table without rows if it was decided before.

        A record that is older than the last one that was decided on changes nothing either.

        Parameters
        ----------
        sequence, init_date
            Number of the record and its init date; None if there is no forecast.

        Raises
        ------
        ReadOnlyError
            If the archive cannot be written.
        """
        from forebay.archive import alert_tables as sql

        self._prepare()
        with self._database.transaction() as connection:
            if sequence is not None and sql.last_sequence(connection, dam, rule) >= sequence:
                return ALERTS.empty()
            last = sql.last_decision(connection, dam, rule)
            other_day = last if init_date is None else sql.last_decision(connection, dam, rule, init_date)
            row = decide(last, other_day, _instant(self._database.now(connection)))
            sql.insert(connection, row, ALERTS)
        return row

    def claim(self, message: Message) -> bool:
        """Whether this process, and no other one, is to send a message now; stored before it is sent.

        False if any process has claimed it before, or the state has changed again.

        Raises
        ------
        ReadOnlyError
            If the archive cannot be written.
        """
        from forebay.archive import alert_tables as sql

        self._prepare()
        with self._database.transaction() as connection:
            if sql.last_change(connection, message.dam, message.rule) != message.change:
                return False
            return sql.claim(connection, message.key, self._database.now(connection))

    def confirm(self, message: Message, outcome: str) -> None:
        """Store the outcome of a message (`delivered`, `failed`)."""
        from forebay.archive import alert_tables as sql

        with self._database.transaction() as connection:
            sql.confirm(connection, message.key, outcome, self._database.now(connection))

    def _read(self, table: Table, query: Callable[[Connection], pl.DataFrame]) -> pl.DataFrame:
        """Result of a query for `table`; without rows where the archive has no alerts."""
        if not self._database.has_alerts:
            return table.empty()
        with self._database.reading() as connection:
            return query(connection)

    def _prepare(self) -> None:
        """Add the tables to an archive of an older schema."""
        if not self._database.has_alerts:
            with self._database.lease():
                pass


def _instant(count: int) -> datetime:
    """Instant of microseconds since 1970 UTC, exactly."""
    return _EPOCH + timedelta(microseconds=count)
