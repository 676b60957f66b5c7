"""The report of a dam on a server: the tables of its newest record, of its readings and of the last refresh."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from forebay.charts.report_tables import Report
from forebay.dams.local_time import local_date
from forebay.days.daily import daily_table
from forebay.days.datum import withheld_from
from forebay.features.daily_tables import newest_reading
from forebay.features.later_levels import later_levels
from forebay.features.substitutes import SUBSTITUTIONS
from forebay.forecasts.issue import IssuedForecast
from forebay.forecasts.record import parse_time
from forebay.screen.flags import screen_daily
from forebay.tables import EXPLANATION, PROBABILITIES, Table
from forebay.verify.tables import (
    PROBABILITY_RELIABILITY,
    PROBABILITY_SCORES,
    RECENT_SCORES,
    RELIABILITY,
    SCORES,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.features.daily_tables import Reading
    from forebay.web.dam_state import DamState


@dataclass(frozen=True)
class DamTables:
    """What the pages of a dam read from the archive besides its state.

    Attributes
    ----------
    days, flags
        The daily table of all readings, and its `screen.flags.FLAGS`; both empty without a reading.
    reading
        The newest single reading of the target; None without one.
    """

    days: pl.DataFrame = field(repr=False)
    flags: pl.DataFrame = field(repr=False)
    reading: Reading | None


def read_tables(dam: Dam, archive: Archive, now: datetime, init_date: date | None) -> DamTables | None:
    """The tables of a dam as known now, at least up to `init_date`; None without a reading."""
    readings = archive.known_at(dam.gauges, now, dam.time_zone)
    if readings.is_empty():
        return None
    days = daily_table(readings, dam)
    if not days.is_empty() and init_date is not None and days["date"][-1] < init_date:
        days = daily_table(readings, dam, last_day=init_date)
    days = days.filter(pl.col("date") < local_date(now, dam.time_zone))  # today has not ended
    if days.is_empty():
        return None
    return DamTables(days, screen_daily(days, dam), newest_reading(dam, archive, until=now))


def report_of(state: DamState, tables: DamTables, now: datetime) -> Report | None:
    """The report of the record of a state, whose ages count from `now`; None without a record or its days.

    Its scores are those of the last refresh. It has no diagnostics and no hindcast: a server computes none.
    """
    from forebay.forecasts.outlook import recorded_outlook  # here: it needs the modules of the hindcast

    if state.record is None:
        return None
    issued = issued_forecast(state, tables.flags, now)
    days = tables.days.filter(pl.col("date") <= issued.init_date)
    if days.is_empty() or days["date"][-1] != issued.init_date:
        return None
    result = state.result
    outlook = recorded_outlook(recorded_probabilities(state), issued, state.dam, state.start_level)
    if "probability_scores" in result:
        outlook = replace(
            outlook,
            stored_scores=table_of(result["probability_scores"], PROBABILITY_SCORES),
            stored_reliability=table_of(result.get("probability_reliability"), PROBABILITY_RELIABILITY),
        )
    return Report(
        dam=state.dam,
        forecast=issued,
        newest=tables.reading,
        daily=days,
        hindcast=state.forecast.clear(),
        scores=scores_of(state),
        gauge_table=pl.DataFrame(),
        later_levels=later_levels(tables.days, state.dam, issued.init_date),
        outlook=outlook,
        recent_scores=table_of(result.get("last_365_days"), RECENT_SCORES),
        substitutions=table_of(result.get("substitutions"), SUBSTITUTIONS),
        record_note=f"Record {state.record['id']} of the forecast, SHA-256 {state.record_hash}.",
        newest_days=tables.days,
        newest_flags=tables.flags,
    )


def scores_of(state: DamState) -> pl.DataFrame:
    """`verify.tables.SCORES` of the last refresh, by window and by kind of day; empty without any."""
    rows = [*state.result.get("scores", ()), *state.result.get("scores_by_regime", ())]
    return table_of(rows, SCORES)


def reliability_of(state: DamState) -> pl.DataFrame:
    """`verify.tables.RELIABILITY` of the last refresh; empty without one."""
    return table_of(state.result.get("reliability"), RELIABILITY)


def at_time(report: Report, now: datetime) -> Report:
    """The same report for a reader at `now`: ages and staleness count from then."""
    return replace(report, forecast=replace(report.forecast, reader_time=now))


def issued_forecast(state: DamState, flags: pl.DataFrame, now: datetime) -> IssuedForecast:
    """The forecast of a state's record, whose ages count from `now`."""
    record = state.record
    assert record is not None
    init_date = date.fromisoformat(record["init_date"])
    return IssuedForecast(
        init_date=init_date,
        init_time=parse_time(record["init_time"]),
        issue_time=parse_time(record["issue_time"]),
        level_date=state.level_date or init_date,
        table=state.forecast,
        limitations=tuple(record["limitations"]),
        outside_experience=tuple(record["outside_experience"]),
        explanation=table_of(state.result.get("explanation"), EXPLANATION),
        forcings=tuple(record["forcings"]),
        withheld_from=withheld_from(flags, state.dam, init_date),
        reader_time=now,
    )


def recorded_probabilities(state: DamState) -> pl.DataFrame:
    """`tables.PROBABILITIES` of a state's record; empty without any."""
    init_date = state.record and state.record["init_date"]
    return table_of([{"init_date": init_date, **row} for row in state.probabilities.to_dicts()], PROBABILITIES)


def table_of(rows: Sequence[dict[str, Any]] | None, table: Table) -> pl.DataFrame:  # Any: JSON
    """Rows of JSON, whose days are texts, as a table; null where a row lacks a column, empty without rows."""
    if not rows:
        return table.empty()
    days = [name for name, kind in table.columns.items() if kind == pl.Date()]
    frame = pl.DataFrame(rows, schema={**table.columns, **dict.fromkeys(days, pl.String())})
    return table.check(frame.with_columns(pl.col(days).str.to_date()))
