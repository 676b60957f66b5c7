"""A folder with the rows of each dam's last hindcast, so that a hindcast over a longer record computes new days only.

An entry belongs to a dam file, a version of forebay's code and libraries, and a type of machine. It has the digest of
what was known on each day. The rows of the first days are used as long as these digests are equal, and later days are
computed again from the nearest state of the sequential learners.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forebay.files import prune, staging_folder
from forebay.log import add_counts, step
from forebay.models.fits import ALL_CODE, environment_digest
from forebay.models.rows import ALL_ROWS, Rows, Values
from forebay.models.stages import EARLY_UNTIL

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples
    from forebay.settings import Settings

SUFFIX = ".npz"
RECENT_DAYS = 40
"""The last days are always computed: late readings often change what was known on them."""
_DIGESTS = "digests"
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class RowStore:
    """A folder with the rows of hindcasts.

    Several processes may share it, and it may be deleted at any time. An entry is written to a temporary file and moved
    into place. Without a readable entry every day is computed. Where the folder cannot be written, nothing is stored.

    Attributes
    ----------
    folder
        Created on first use.
    max_bytes
        Limit of the size of the folder.
    """

    folder: Path
    max_bytes: int

    def path(self, dam: Dam, kind: str = "") -> Path:
        """File of a dam's entry for a kind of hindcast: the name of what it computes, if not that of forecasts."""
        content = environment_digest(ALL_CODE) + dam.model_dump_json(exclude={"alerts"}).encode() + kind.encode()
        name = hashlib.blake2b(content, digest_size=20).hexdigest()
        return self.folder / name[:2] / f"{name}{SUFFIX}"

    @step("earlier_rows")
    def rows(self, samples: Samples, dam: Dam, kind: str = "") -> Rows:
        """The earlier rows of a dam's hindcast, and the days whose states this hindcast saves."""
        count, memory = len(samples.dates), max(dam.hindcast.leads)
        digests = row_digests(samples.columns_by_day(dam.hindcast.leads))
        earlier = _read(self.path(dam, kind))
        unchanged = _equal_rows(digests, earlier.get(_DIGESTS, digests[:0]))
        days = (_day(name) for name in earlier)
        first = max((day for day in days if day <= min(unchanged, count - RECENT_DAYS)), default=0)
        add_counts({"days": count, "unchanged": unchanged, "first": first})
        if first and len(earlier[_DIGESTS]) >= count and unchanged >= count - RECENT_DAYS:
            return Rows(count, first, memory, earlier=earlier)  # the entry has more already
        save_days = _save_days(samples, memory)
        states = {name: values for name, values in earlier.items() if _day(name) in save_days and _day(name) <= first}
        return Rows(count, first, memory, save_days, earlier, {_DIGESTS: digests, **states} if save_days else {})

    @step("save_rows")
    def save(self, rows: Rows, dam: Dam, kind: str = "") -> None:
        """Store the rows of a hindcast, whole or not at all, and delete the oldest entries beyond the limit."""
        if not rows.current:
            return
        path = self.path(dam, kind)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with staging_folder(path.parent) as stage:
                np.savez(stage / path.name, allow_pickle=False, **rows.current)
                os.replace(stage / path.name, path)
        prune(self.folder, SUFFIX, self.max_bytes)


def open_row_store(settings: Settings) -> RowStore | None:
    """The store in the settings' cache; None if the cache is off (`cache_mb = 0`)."""
    return RowStore(Path(settings.cache) / "hindcasts", settings.cache_mb * 10**6) if settings.cache_mb else None


def rows_of(store: RowStore | None, samples: Samples, dam: Dam, kind: str = "") -> Rows:
    """The earlier rows of a dam's hindcast of a kind (`RowStore.path`); none without a store."""
    return ALL_ROWS if store is None else store.rows(samples, dam, kind)


def row_digests(columns: Mapping[str, Values]) -> Values:
    """Digest of the values of each day, with the names of all columns; shape (n, 16)."""
    matrix = np.stack(list(columns.values()), axis=1)
    matrix[np.isnan(matrix)] = np.nan  # one of its many forms
    start = hashlib.blake2b(repr(list(columns)).encode(), digest_size=_DIGEST_BYTES)
    digests = bytearray()
    for row in matrix:
        digest = start.copy()
        digest.update(row.tobytes())
        digests += digest.digest()
    return np.frombuffer(bytes(digests), np.uint8).reshape(-1, _DIGEST_BYTES)


def _equal_rows(first: Values, second: Values) -> int:
    """Number of the first rows that are equal in both."""
    count = min(len(first), len(second))
    different = np.flatnonzero((first[:count] != second[:count]).any(axis=1))
    return int(different[0]) if len(different) else count


def _save_days(samples: Samples, memory: int) -> frozenset[int]:
    """Days whose states are saved: each 1 January and the first recent day, after the years that are learned apart."""
    years = samples.dates.astype("datetime64[Y]")
    new_years = np.flatnonzero(years[1:] != years[:-1]) + 1
    days = [*map(int, new_years), len(samples.dates) - RECENT_DAYS]
    return frozenset(day for day in days if EARLY_UNTIL + memory <= day <= len(samples.dates) - RECENT_DAYS)


def _day(name: str) -> int:
    """The day of a state; 0 for the rows of all days."""
    return int(name.rpartition("@")[2]) if "@" in name else 0


def _read(path: Path) -> dict[str, Values]:
    """The content of an entry; empty if there is none that can be read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as entry:
            content = {name: entry[name] for name in entry.files}
        os.utime(path)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):
        return {}
    return content
