"""The daily tables of one dam, read from its archive up to an init date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.gauge import LAKE_ROLES
from forebay.dams.local_time import init_time, local_date
from forebay.dams.staff_gauge import staff_gauge
from forebay.dams.value_checks import failed_checks
from forebay.days.daily import daily_table, usable_values
from forebay.days.gauge_readings import gauge_readings, ignore_codes
from forebay.days.staff_readings import staff_day, unfinished_days
from forebay.errors import DataError
from forebay.features.late_readings import first_readings, known_readings, late_days, missed_readings
from forebay.features.later_levels import later_levels, no_levels
from forebay.features.level_change import OLDEST_LEVEL_DAYS
from forebay.features.observed_forcings import check_forcings
from forebay.features.substitutes import LATE
from forebay.features.weather import read_weather_forcings
from forebay.log import add_counts, step
from forebay.screen.supported_range import ready_for_screen
from forebay.sources import forcing_files
from forebay.tables import FORCINGS, READINGS

if TYPE_CHECKING:
    from forebay.archive.latency import LearnedLatency
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam


@dataclass(frozen=True)
class Reading:
    """One published reading of the target: its instant (UTC), value in the target's unit, quality and datum."""

    time: datetime
    value: float | None
    quality: str
    datum: str


@dataclass(frozen=True)
class DailyTables:
    """The daily table in two versions, both up to the same init date, and what a forecast needs with them.

    Attributes
    ----------
    known
        From the first version of every reading: what a hindcast may use.
    newest
        From the newest version of every reading in the archive.
    init_date
        The last day of both tables.
    reading
        The newest single reading of the target, which may be later than `init_date`; None if there is none.
    forcings
        `tables.FORCINGS`: every issue of the forecast or planned values.
    uncoded
        `known` and `newest` with the agencies' "unavailable" codes ignored; None unless `add_uncoded` read them.
    later_levels
        date, level: observed after a requested init date; for display only.
    late
        `substitutes.LATE`: values that arrived late, of a dam with substitutes; otherwise empty.
    latencies
        Column of each gauge → its latency as the fetches show it.
    """

    known: pl.DataFrame
    newest: pl.DataFrame
    init_date: date
    reading: Reading | None
    forcings: pl.DataFrame = field(default_factory=FORCINGS.empty)
    uncoded: tuple[pl.DataFrame, pl.DataFrame] | None = None
    later_levels: pl.DataFrame = field(default_factory=no_levels)
    late: pl.DataFrame = field(default_factory=LATE.empty)
    latencies: Mapping[str, LearnedLatency] = field(default_factory=dict)


@step("daily_table")
def read_daily_tables(dam: Dam, archive: Archive, *, now: datetime, init_date: date | None = None) -> DailyTables:
    """Daily tables of all readings in the archive, up to `init_date` or by default the newest day with data.

    Raises
    ------
    DataError
        If the archive has no usable level, or none on `init_date` or in the 30 days before; if the values of a forcing
        are the observations of their days.
    """
    until, later = now, no_levels()
    due = local_date(now - dam.target_gauge.ready_after, dam.time_zone) - timedelta(days=1)
    if init_date is not None:
        # The whole record first: an error then names the nearest day of the record, not of the part before init_date
        whole = _daily(known_readings(dam, archive, now), dam)
        choose_init_date(whole, dam, init_date, due=due)
        later = later_levels(whole, dam, init_date)
        until = init_time(init_date, dam.time_zone) + dam.target_gauge.ready_after
    readings = without_early_staff(known_readings(dam, archive, until), dam, until)
    newest = _daily(readings, dam)
    last, _ = choose_init_date(newest, dam, init_date, due=due)
    if last > newest["date"][-1]:
        newest = _daily(readings, dam, last_day=last)
    first = usable_values(newest, dam).filter(pl.col(dam.target.variable).is_not_null())["date"][0]
    known = _daily(first_readings(dam, archive), dam, first_day=first, last_day=last)
    days = pl.col("date").is_between(first, last)
    add_counts({"gauges": len(dam.gauges), "days": (last - first).days + 1, "first": first, "last": last})
    reading = newest_reading(dam, archive, until=until)
    forcings = pl.concat([forcing_files.read_forcings(dam), read_weather_forcings(dam, archive, now)])
    check_forcings(forcings, usable_values(newest.filter(days), dam), dam)
    tables = DailyTables(known.filter(days), newest.filter(days), last, reading, forcings, later_levels=later)
    latencies = {gauge.column: archive.learned_latency(gauge, dam.time_zone) for gauge in dam.gauges}
    return replace(tables, late=late_days(missed_readings(dam, archive), dam), latencies=latencies)


def without_early_staff(readings: pl.DataFrame, dam: Dam, now: datetime) -> pl.DataFrame:
    """`readings` without those by hand of a day that has not ended, as long as the target gauge works.

    The gauge works if it has a usable value of the day before. Otherwise the reading by hand is the newest level.
    """
    early = unfinished_days(readings, dam, now)
    if early.is_empty():
        return readings
    others = readings.join(early, on=READINGS.key, how="anti", maintain_order="left")
    day_before = early.select(staff_day(dam).min()).item() - timedelta(days=1)
    gauge = gauge_readings(others, dam.target_gauge)
    daily = usable_values(daily_table(gauge, dam), dam)
    works = daily.filter(pl.col("date") >= day_before, pl.col(dam.target_gauge.column).is_not_null())
    return readings if works.is_empty() else others


def add_uncoded(daily_tables: DailyTables, dam: Dam, archive: Archive, *, now: datetime) -> DailyTables:
    """`daily_tables` with `uncoded`: the tables as if no agency had marked a reading as unavailable."""
    first, last = daily_tables.known["date"][0], daily_tables.init_date
    versions = (archive.first_known(dam.gauges), archive.known_at(dam.gauges, now, dam.time_zone))
    known, newest = (
        _daily(ignore_codes(readings, dam), dam, first_day=first, last_day=last)
        for readings in versions
    )
    return replace(daily_tables, uncoded=(known, newest))


def _daily(
    readings: pl.DataFrame, dam: Dam, *, first_day: date | None = None, last_day: date | None = None
) -> pl.DataFrame:
    """`days.daily.daily_table` on one datum, with the levels above the valid range that other gauges support."""
    daily = daily_table(readings, dam, first_day=first_day, last_day=last_day)
    return ready_for_screen(daily, dam)


def newest_reading(dam: Dam, archive: Archive, *, until: datetime) -> Reading | None:
    """The newest reading of the target, by its gauge or by hand, that has a plausible value, as known at `until`."""
    rows = archive.known_at([dam.target_gauge], until, dam.time_zone).filter(pl.col("value").is_not_null())
    checks = failed_checks(rows["value"], rows["time"], dam.target_gauge).values()
    staff = archive.as_of([staff_gauge(dam)], until)
    plausible = rows.filter(~pl.any_horizontal(*checks))
    columns = ["time", "value", "quality"]
    rows = pl.concat([plausible.select(columns), staff.select(columns)]).sort("time", maintain_order=True).tail(1)
    if rows.is_empty():
        return None
    value = rows.select(dam.in_target_unit(pl.col("value"))).item()
    return Reading(rows["time"][0], value, rows["quality"][0], dam.target.datum)


def choose_init_date(daily: pl.DataFrame, dam: Dam, requested: date | None, *, due: date) -> tuple[date, date]:
    """The init date, and the date of the level that the forecast starts from: the same day, or the last with a level.

    The init date is `requested`, or by default the newest day with a level or, up to `due`, with rain or a flow.

    Parameters
    ----------
    daily
        Daily table of what is known.
    due
        The last day whose level should be available by now: the level of a later day is not missing yet.

    Raises
    ------
    DataError
        If there is no usable level, or none that is at most `OLDEST_LEVEL_DAYS` older than the init date.
    """
    target = dam.target.variable
    known = usable_values(daily, dam)
    level_dates: list[date] = known.filter(pl.col(target).is_not_null())["date"].to_list()
    if not level_dates:
        raise DataError(f"{dam.name}: gauge {dam.target_gauge.station} has no usable {target}; nothing can be forecast")
    init = requested or max(level_dates[-1], _newest_driver_date(known, dam, due) or date.min)
    newest_allowed = max(level_dates[-1], due)
    level = max((day for day in level_dates if day <= init <= newest_allowed), default=None)
    if level is not None and (init - level).days <= OLDEST_LEVEL_DAYS:
        return init, level
    limit = f"a forecast starts from a level that is at most {OLDEST_LEVEL_DAYS} days old"
    if requested is None:
        level = level_dates[-1]
        raise DataError(
            f"{dam.name}: the last usable {target} is of {level}, {(init - level).days} days before the newest "
            f"readings ({init}), but {limit}; choose a day on or shortly after {level} with --init"
        )
    nearest = min(level_dates, key=lambda day: abs(day - requested))
    raise DataError(
        f"{dam.name} has no usable {target} on {requested} or the {OLDEST_LEVEL_DAYS} days before, but {limit}; the "
        f"nearest day that has one is {nearest} (the record runs from {level_dates[0]} to {level_dates[-1]})"
    )


def _newest_driver_date(known: pl.DataFrame, dam: Dam, due: date) -> date | None:
    """The newest day up to `due` with a value of a driver; None if there is none."""
    drivers = [gauge.column for gauge in dam.gauges if gauge.role not in LAKE_ROLES]
    days = known.filter(pl.col("date") <= due, pl.any_horizontal(pl.lit(False), pl.col(drivers).is_not_null()))
    newest: date | None = days["date"].max()  # type: ignore[assignment]  # of a column of dates
    return newest
