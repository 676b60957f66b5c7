"""Upgrade of an archive to this schema: in one transaction, after a backup, without loss of a version.

Schema 1 had no `rules` and no `reading_rules` in the table `series`. Its series get empty ones (`series.NO_RULES`): the
dam file by which they were read is not known.

Schema 2 had no table `lease`. Reading needs none, so the first write adds it. Both steps hold no lease, because an
archive of schema 1 or 2 has none. A step from schema 3 on must hold it.

Schema 3 had no tables of weather forecasts, and schema 4 none of fetches and of forecast records. Reading gives none,
and the first write adds the tables, under the lease. So it is with schema 5, which had no tables of alerts, and
schema 6, which had no notes on readings by hand, and with schema 7, which had no tokens.
"""

from __future__ import annotations

import sqlite3
from itertools import count
from pathlib import Path

import sqlalchemy as sa

from forebay.archive import access_tables, alert_tables, engines, fetch_log, record_tables, staff_notes, weather_tables
from forebay.archive.backup_file import staged_file
from forebay.archive.series import NO_RULES
from forebay.errors import ForebayError

OLD_VERSION = 1
"""The schema version that must be upgraded before anything is read."""

WITHOUT_LEASE = 2
"""The schema version that has no lease; it must be upgraded before anything is written."""

WITHOUT_WEATHER = 3
"""The schema version that has no weather forecasts; it must be upgraded before anything is written."""

WITHOUT_RECORDS = 4
"""The schema version that records no fetches and no forecasts; it must be upgraded before anything is written."""

WITHOUT_ALERTS = 5
"""The schema version that has no alerts; it must be upgraded before anything is written."""

WITHOUT_STAFF_NOTES = 6
"""The schema version that has no notes on readings by hand; it must be upgraded before anything is written."""

WITHOUT_ACCESS = 7
"""The schema version that has no tokens and no acknowledged alerts; it must be upgraded before anything is written."""

ADDED: dict[int, tuple[sa.MetaData, ...]] = {
    WITHOUT_WEATHER: (weather_tables.METADATA,),
    WITHOUT_RECORDS: (fetch_log.METADATA, record_tables.METADATA),
    WITHOUT_ALERTS: (alert_tables.METADATA,),
    WITHOUT_STAFF_NOTES: (staff_notes.METADATA,),
    WITHOUT_ACCESS: (access_tables.METADATA,),
}
"""Schema version → the tables that the next one adds."""

SCHEMA_VERSION = max(ADDED) + 1

READABLE = (WITHOUT_LEASE, *ADDED)
"""Older schema versions that can be read as they are."""


def upgrade(engine: sa.Engine, series: sa.Table, version: sa.Table, *, file: Path | None) -> None:
    """Upgrade an archive of schema version 1; an archive that another process has upgraded meanwhile stays as it is.

    The state before is kept: of an SQLite archive as a file beside it (NAME.schema-1.db), of a PostgreSQL database, in
    which only the table `series` changes, as the table `series_schema_1`.

    Parameters
    ----------
    series, version
        Tables of this schema.
    file
        The file of an SQLite archive; None for a server.
    """
    with engines.upgrading(engine) as connection:
        if connection.execute(sa.select(sa.func.max(version.c.version))).scalar_one() != OLD_VERSION:
            return
        if file is not None:
            _back_up(engine, file)
            _replace_series(connection, series)
        else:
            _alter_series(connection, series)
        connection.execute(sa.update(version).values(version=WITHOUT_LEASE))


def add_lease(engine: sa.Engine, lease: sa.Table, version: sa.Table) -> None:
    """Upgrade an archive of schema version 2. It needs no backup, because its tables stay as they are."""
    with engines.upgrading(engine) as connection:
        # Another process may have upgraded it meanwhile.
        if connection.execute(sa.select(sa.func.max(version.c.version))).scalar_one() == WITHOUT_LEASE:
            lease.create(connection)
            connection.execute(sa.update(version).values(version=WITHOUT_LEASE + 1))


def add_tables(connection: sa.Connection, version: sa.Table, step: int) -> None:
    """Upgrade an archive of schema version `step` of `ADDED` under its lease. Its tables stay as they are."""
    # Another process may have upgraded it meanwhile.
    if connection.execute(sa.select(sa.func.max(version.c.version))).scalar_one() == step:
        for tables in ADDED[step]:
            tables.create_all(connection)
        connection.execute(sa.update(version).values(version=step + 1))


def _back_up(engine: sa.Engine, file: Path) -> None:
    """Copy the archive's file to a new file beside it."""
    names = (f"{file.stem}.schema-{OLD_VERSION}{f'-{n}' if n else ''}{file.suffix}" for n in count())
    backup = next(path for path in map(file.with_name, names) if not path.exists())
    with staged_file(backup, replace=False) as part:
        with engines.for_reading(engine).begin() as connection:  # another connection: this one must not have the lock
            engines.copy_file(connection, part)
            versions = connection.exec_driver_sql("SELECT count(*) FROM observation").scalar_one()
        copy = sqlite3.connect(part)
        try:
            copied = copy.execute("SELECT count(*) FROM observation").fetchone()[0]
            faults = copy.execute("PRAGMA integrity_check").fetchone()[0]
        finally:
            copy.close()
        if copied != versions or faults != "ok":
            raise ForebayError(f"the backup {backup} differs from the archive; nothing was upgraded: check the disk")


def _replace_series(connection: sa.Connection, series: sa.Table) -> None:
    """Replace the table `series` of SQLite, which cannot change the unique key of a table."""
    table = series.to_metadata(sa.MetaData(), name="series_new")
    table.create(connection)
    old = [column.name for column in table.c if column.name not in ("rules", "reading_rules")]
    columns: list[sa.ColumnElement[object]] = [*(sa.column(name) for name in old), sa.literal(NO_RULES)]
    rows = sa.select(*columns).select_from(sa.table(series.name))
    connection.execute(sa.insert(table).from_select([*old, "rules"], rows))
    connection.exec_driver_sql(f"DROP TABLE {series.name}")
    connection.exec_driver_sql(f"ALTER TABLE {table.name} RENAME TO {series.name}")


def _alter_series(connection: sa.Connection, series: sa.Table) -> None:
    """Change the table `series` of PostgreSQL, after a copy."""
    name = series.name
    unique = sa.inspect(connection).get_unique_constraints(name)[0]["name"]
    key = ", ".join(column.name for constraint in series.constraints if isinstance(constraint, sa.UniqueConstraint)
                    for column in constraint.columns)  # fmt: skip
    for statement in (
        f"CREATE TABLE {name}_schema_{OLD_VERSION} AS TABLE {name}",
        f"ALTER TABLE {name} ADD COLUMN rules TEXT NOT NULL DEFAULT '{NO_RULES}', ADD COLUMN reading_rules TEXT",
        f"ALTER TABLE {name} ALTER COLUMN rules DROP DEFAULT",
        f'ALTER TABLE {name} DROP CONSTRAINT "{unique}", ADD UNIQUE ({key})',
    ):
        connection.exec_driver_sql(statement)
