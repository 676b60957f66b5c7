"""Contents of pages, computed once for each state of the archive, and once a minute where ages are part of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import polars as pl

from forebay.dams.local_time import init_time
from forebay.errors import DataError
from forebay.jobs.record import forecasts_of, issued_contents, last_issued
from forebay.web.page_content import past_rows
from forebay.web.page_render import render_sections
from forebay.web.page_report import DamTables, read_tables, report_of

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report
    from forebay.web.dam_state import DamState
    from forebay.web.site import Site

Value = TypeVar("Value")
PAST_FORECASTS = 14
"""Issued forecasts in the table of a dam's page."""


class Memory(Generic[Value]):
    """The last value of each name, which is computed again when its key has changed; once, however many wait for it."""

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[tuple[Any, ...], Value]] = {}  # Any: keys are compared by identity too
        self._locks: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, name: Hashable, key: tuple[object, ...], compute: Callable[[], Value]) -> Value:
        """The value of a name for a key.

        Parameters
        ----------
        key
            Objects that are compared by identity, or texts, numbers and instants that are compared by value.
        """
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            entry = self._values.get(name)
            if entry is None or not _is_same(entry[0], key):
                entry = (key, compute())
                self._values[name] = entry
            return entry[1]


def _is_same(one: tuple[object, ...], two: tuple[object, ...]) -> bool:
    plain = (str, int, date, datetime)
    return len(one) == len(two) and all(
        a is b or (isinstance(a, plain) and type(a) is type(b) and a == b) for a, b in zip(one, two, strict=True)
    )


@dataclass(frozen=True)
class DamContent:
    """What the page of a dam has besides ages.

    Attributes
    ----------
    tables
        None without a reading.
    report
        None without an issued forecast; its ages count from the time at which it was read.
    past
        As `page_content.past_rows` returns them.
    sections
        name, title, html of each section.
    """

    tables: DamTables | None
    report: Report | None
    past: pl.DataFrame = field(repr=False)
    sections: list[dict[str, object]] = field(repr=False)


def read_content(state: DamState, site: Site) -> DamContent:
    """The content of the page of a dam, from what the archive has now."""
    now = datetime.now(UTC)
    init_date = None if state.record is None else date.fromisoformat(state.record["init_date"])
    tables = read_tables(state.dam, site.archive, now, init_date)
    past = past_of(state, site)
    report = None if tables is None else report_of(state, tables, now)
    return DamContent(tables, report, past, [] if report is None else render_sections(report, past.to_dicts()))


def past_of(state: DamState, site: Site) -> pl.DataFrame:
    """`page_content.past_rows` of the last issued forecasts of a dam; without rows if a record was changed."""
    index = last_issued(site.archive.records.index(state.dam.id)).tail(PAST_FORECASTS)
    if index.is_empty():
        return past_rows(forecasts_of(()), state.levels)
    contents = issued_contents(site.archive, state.dam.id, (index["init_date"][0], None))
    try:
        return past_rows(forecasts_of([content for content, _ in contents]), state.levels)
    except DataError:  # the page has a note on the newest record, and `records/verify` names every fault
        return past_rows(forecasts_of(()), state.levels)


def end_of_staleness(state: DamState, stale_days: int) -> datetime | None:
    """The instant from which the forecast of a state is stale; None without a forecast."""
    if state.record is None or state.level_date is None:
        return None
    last = state.level_date.toordinal() + stale_days + 1
    return init_time(date.fromordinal(last), state.dam.time_zone)
