"""The public gauge services, files and the simulation: one module each, all behind one call.

A fetch gives the readings of one gauge for a span of local days, or raises; it never gives part of what was asked as if
it were whole. A gauge without readings in that span gives an empty table.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Protocol

import polars as pl

from forebay.dams.dam import Dam, Gauge
from forebay.settings import Settings
from forebay.sources import csv_files, simulated
from forebay.sources.hydstra import fetch as hydstra_fetch
from forebay.sources.transport import Planned


class Fetch(Protocol):
    """What every source offers."""

    def __call__(
        self, gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
    ) -> pl.DataFrame:
        """Readings (`tables.READINGS`) of `gauge` whose local day lies in `since` … `until`, both included.

        Without `since` from the start of the station's record. Raises `SourceError`, or `ConfigError` where the dam
        file asks for something that the source does not have.
        """
        ...


class Plan(Protocol):
    """What every source offers that asks a service."""

    def __call__(
        self, gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
    ) -> list[Planned]:
        """The requests that a fetch would make, in order; asks nothing."""
        ...


SOURCES: dict[str, Fetch] = {
    "waternsw": hydstra_fetch.fetch,
    "vicwater": hydstra_fetch.fetch,
    "qldwater": hydstra_fetch.fetch,
    "csv": csv_files.fetch,
    "simulated": simulated.fetch,
}
"""The fetch of every source that a dam file may name."""

PLANS: dict[str, Plan] = dict.fromkeys(("waternsw", "vicwater", "qldwater"), hydstra_fetch.plan)
"""What a fetch would ask, for every source with a service behind it: these are fetched several at a time."""
