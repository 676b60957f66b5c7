"""Forecast records in an archive: store, find, list, verify."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.dam_content import dam_of_content
from forebay.dams.dam_file import load_dam
from forebay.errors import BusyError, ConfigError, DataError
from forebay.forecasts.record import (
    Content,
    Origin,
    add_to_chain,
    chain_faults,
    forecast_table,
    input_digests,
    parse_id,
    parse_time,
    quality_mask,
    record_content,
    record_faults,
    record_id,
)
from forebay.jobs.environment import environment
from forebay.log import add_counts, step
from forebay.tables import FORECASTS, INSTANT

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.features.daily_tables import DailyTables
    from forebay.forecasts.issue import IssuedForecast
    from forebay.settings import Settings

ATTEMPTS = 100
"""Attempts to add a record; each one fails only if another process has added one meanwhile."""
HASH_DIGITS = 8
"""Least number of digits of a hash that stands for a record."""


@dataclass(frozen=True)
class RecordReference:
    """The place of a stored forecast in its chain: its id, its hash, that of the record before, what it replaces."""

    id: str
    hash: str
    previous: str
    replaces: str | None
    retrospective: bool


@step("record")
def store_forecast(  # noqa: PLR0913  # the parts of a forecast
    store: Archive,
    dam: Dam,
    daily_tables: DailyTables,
    issued: IssuedForecast,
    flags: pl.DataFrame,
    *,
    clock_fault: str | None = None,
    probabilities: pl.DataFrame | None = None,
) -> RecordReference:
    """Store an issued forecast at the end of its dam's chain.

    Parameters
    ----------
    flags
        `screen.flags.FLAGS` of the forecast.
    clock_fault, probabilities
        As in `forecasts.record.add_to_chain` and `record_content`.

    Raises
    ------
    ReadOnlyError
        If the archive cannot be written.
    ForebayError
        If it cannot be stored for another reason: the sentence says that the forecast is not shown.
    """
    mask = quality_mask(daily_tables.newest, flags, issued.init_date)
    origin = Origin(input_digests(daily_tables, issued.issue_time), environment(dam), mask)
    content = record_content(dam, issued, origin, probabilities)
    for _ in range(ATTEMPTS):
        row = add_to_chain(content, store.records.head(dam.id, issued.init_date), clock_fault=clock_fault)
        if store.records.append(row):
            dam_id, sequence, replaces, retrospective, digest, previous = row.select(
                "dam", "sequence", "replaces", "retrospective", "hash", "previous"
            ).row(0)
            add_counts({"sequence": sequence, "bytes": len(row["payload"][0])})
            return RecordReference(record_id(dam_id, sequence), digest, previous, replaces, retrospective)
    raise BusyError(f"other processes added {ATTEMPTS} records of {dam.name} meanwhile; run it again")


def dam_of_name(name: str, settings: Settings) -> str:
    """Id of the dam that `name`, an id or the path of a dam file, stands for; of an id, no dam file must exist.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    is_id = re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name) and not Path(name).exists()
    return name if is_id else load_dam(name, roots=settings.files.roots).id


def dam_with_records(store: Archive, name: str, settings: Settings) -> str:
    """Id of the dam that `name` stands for (`dam_of_name`), of which the archive has records.

    Raises
    ------
    DataError
        If the archive has no record of it.
    """
    dam = dam_of_name(name, settings)
    if store.records.index(dam).is_empty():
        others = store.records.index()["dam"].unique().sort().to_list()
        known = f"; it has records of {', '.join(others)}" if others else ""
        raise DataError(
            f"the archive has no forecast record of {dam}{known}; `forebay forecast` stores one with each forecast"
        )
    return dam


def dam_title(store: Archive, dam: str) -> str:
    """Name for people of a dam in its last record, with a mark if the dam is simulated."""
    number = store.records.index(dam)["sequence"][-1]
    (page,) = store.records.pages(dam, [number])
    return dam_of_content(content_of(page)["dam_file"]).title


def find_record(store: Archive, text: str) -> pl.DataFrame:
    """The record (one row of `tables.RECORDS`) with an id, or whose hash starts with `text`.

    Raises
    ------
    DataError
        If there is none, or more than one.
    ConfigError
        If the text is neither an id nor the start of a hash.
    """
    if re.fullmatch(rf"[0-9a-f]{{{HASH_DIGITS},64}}", text):
        rows = store.records.with_hash(text)
        if rows.height == 1:
            return rows
        problem = "several records have" if rows.height else "no record has"
        raise DataError(f"{problem} a hash that starts with {text}; `forebay record list` prints every id")
    dam, sequence = parse_id(text)
    rows = pl.concat(list(store.records.pages(dam, [sequence])) or [pl.DataFrame()])
    if rows.is_empty():
        numbers = store.records.index(dam)["sequence"]
        ids = dict.fromkeys(record_id(dam, numbers[end]) for end in (0, -1)) if len(numbers) else {}
        have = f"; it has {' to '.join(ids)}" if ids else ""
        raise DataError(f"the archive has no record {text}{have}; `forebay record list` prints every id")
    return rows


def content_of(record: pl.DataFrame) -> Content:
    """Content of a record (one row of `tables.RECORDS`).

    Raises
    ------
    DataError
        If it was changed since it was stored.
    """
    row = record.row(0, named=True)
    faults = record_faults(row, row["dam"])
    if faults:
        name = record_id(row["dam"], row["sequence"])
        raise DataError(f"{name}: {faults[0]}; `forebay record verify {row['dam']}` checks the whole chain")
    content: Content = json.loads(row["payload"])
    return content


@dataclass(frozen=True)
class ChainReport:
    """Result of the check of a dam's chain: number of records, hash of the last one, sentences on its faults."""

    dam: str
    records: int
    head: str | None
    faults: tuple[str, ...]


@step("record_verify")
def verify_chain(store: Archive, dam: str, *, head: str | None = None, file: Path | None = None) -> ChainReport:
    """Check of a dam's chain: every hash, link, column, number and time.

    Parameters
    ----------
    head
        Hash of a record (or its first digits) that the chain must have, such as the last one of an earlier day.
    file
        An exported file to compare with the records.

    Raises
    ------
    ConfigError
        If the head is no hash, or the file is none that `forebay record export` writes.
    """
    from forebay.jobs.record_files import file_faults

    hashes = store.records.index(dam)["hash"]
    faults = chain_faults(store.records.pages(dam), dam)
    if head is not None:
        faults += _head_faults(head, hashes, dam)
    if file is not None:
        faults += file_faults(file, store, dam)
    return ChainReport(dam, len(hashes), hashes[-1] if len(hashes) else None, tuple(faults))


def _head_faults(head: str, hashes: Iterable[str], dam: str) -> list[str]:
    if not re.fullmatch(rf"[0-9a-f]{{{HASH_DIGITS},64}}", head):
        raise ConfigError(f"--head {head!r} is no hash; give its {HASH_DIGITS} to 64 digits 0-9 and a-f")
    if any(digest.startswith(head) for digest in hashes):
        return []
    return [f"no record of {dam} has the hash {head}: that record, and perhaps later ones, were removed or changed"]


def last_issued(index: pl.DataFrame) -> pl.DataFrame:
    """The last record of each init date that is not retrospective, by init date.

    Parameters
    ----------
    index
        `tables.RECORDS`, or its index, of one dam.
    """
    issued = index.filter(~pl.col("retrospective")).sort("init_date", "sequence")
    return issued.filter(pl.col("init_date").is_last_distinct())


def issued_contents(
    store: Archive, dam: str, days: tuple[date | None, date | None] = (None, None)
) -> Iterator[tuple[Content, str]]:
    """Content and hash of the last issued record of each init date, by init date; retrospective ones are left out.

    Parameters
    ----------
    days
        First and last init date; by default all.

    Raises
    ------
    DataError
        If a record was changed.
    """
    first, last = days[0] or date.min, days[1] or date.max
    index = last_issued(store.records.index(dam)).filter(pl.col("init_date").is_between(first, last))
    by_number = {}
    for page in store.records.pages(dam, index["sequence"].to_list()):
        for record in page.iter_slices(1):
            by_number[record["sequence"][0]] = (content_of(record), record["hash"][0])
    yield from (by_number[number] for number in index["sequence"])


def recorded_forecasts(store: Archive, dam: str, since: date | None = None) -> pl.DataFrame:
    """`tables.FORECASTS` and `issue_time` of the last issued forecast of each init date `since` (`issued_contents`)."""
    return forecasts_of(content for content, _ in issued_contents(store, dam, (since, None)))


def forecasts_of(contents: Iterable[Content]) -> pl.DataFrame:
    """`tables.FORECASTS` and `issue_time` of the contents of records."""
    parts = [FORECASTS.empty().with_columns(pl.lit(None, INSTANT).alias("issue_time"))]
    for content in contents:
        issue_time = pl.lit(parse_time(content["issue_time"]), INSTANT).alias("issue_time")
        parts.append(forecast_table(content).with_columns(issue_time))
    return pl.concat(parts)
