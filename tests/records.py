"""Records of synthetic forecasts for the tests: contents, rows and chains, without any model."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl

from forebay.archive.records import NO_HASH, Head
from forebay.archive.store import Archive
from forebay.dams.dam import Dam
from forebay.forecasts.issue import issue
from forebay.forecasts.record import Content, Origin, add_to_chain, record_content
from forebay.tables import RECORDS
from tests import synthetic

INIT = date(2024, 5, 1)
ISSUED_AT = datetime(2024, 5, 2, 1, 30, 0, 250_000, tzinfo=UTC)
DAM = synthetic.dam(name="Stausee Ä “x”")
ORIGIN = Origin(
    {"known": "a" * 64, "newest": "b" * 64, "forcings": {}},
    {"forebay": "0.2.0", "machine": "x86_64", "libraries": {"numpy": "2.4.6"}},
    [["reservoir_level", "2024-04-30", "2024-05-01", "poor"]],
)


def content(
    *, init: date = INIT, level: float = 95.0, dam: Dam = DAM, retrospective: bool = False, now: datetime = ISSUED_AT
) -> Content:
    """Content of the record of a forecast that starts from `level`."""
    table = synthetic.forecasts(dam, synthetic.level_table(dam, init, [level]), [init])
    issued = issue(table, dam, init, now=now, limitations=("No rain.",))
    return record_content(dam, replace(issued, is_requested=retrospective), ORIGIN)


def head_of(chain: pl.DataFrame, init: date, now: datetime) -> Head:
    """The end of a chain, as the archive gives it."""
    if chain.is_empty():
        return Head(0, NO_HASH, None, None, now)
    last = chain.row(-1, named=True)
    same = chain.filter(pl.col("init_date") == init, ~pl.col("retrospective"))["sequence"].max()
    return Head(last["sequence"], last["hash"], last["recorded_at"], same, now)  # type: ignore[arg-type]  # int


def chain(count: int, *, dam: Dam = DAM) -> pl.DataFrame:
    """`tables.RECORDS`: a forecast every hour, two per init date."""
    rows = RECORDS.empty()
    for k in range(count):
        init, now = INIT + timedelta(days=k // 2), ISSUED_AT + timedelta(days=k // 2, hours=k)
        record = content(init=init, level=95.0 + 0.1 * k, dam=dam, now=now)
        rows = pl.concat([rows, add_to_chain(record, head_of(rows, init, now + timedelta(seconds=9)))])
    return rows


def append_chain(archive: Archive, rows: pl.DataFrame) -> None:
    """Store the records of a chain."""
    for row in rows.iter_slices(1):
        assert archive.records.append(row)
