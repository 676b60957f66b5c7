"""Whether an archive has changed since the last look, without reading its content."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import PoolProxiedConnection

    from forebay.archive.database import Database

_POSTGRES_STATE = (
    "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END"
)


class ArchiveState:
    """A token of an archive that is another one after each change by any process.

    It may also change without one: a server's token follows all of its databases. Several threads may use it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._connection: PoolProxiedConnection | None = None
        self._number = 0

    def token(self) -> str:
        """The present token.

        Raises
        ------
        ForebayError
            If the archive cannot be read.
        """
        with self._lock, self._database.translate_errors():
            try:
                return self._token()
            except BaseException:
                self._close()
                raise

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._close()

    def _token(self) -> str:
        engine = self._database.engine
        if self._connection is None:
            # SQLite counts the changes by other connections for each connection, so that it must stay open. It is the
            # driver's: a transaction of SQLAlchemy would keep writers out of the file.
            self._connection = engine.raw_connection()
            self._number += 1
        cursor = self._connection.cursor()
        cursor.execute("PRAGMA data_version" if engine.dialect.name == "sqlite" else _POSTGRES_STATE)
        row = cursor.fetchone()
        assert row is not None
        cursor.close()
        self._connection.rollback()
        return f"{self._number}:{row[0]}"

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
