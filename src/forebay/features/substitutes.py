"""Substitutes in the inputs: a missing or late value of a gauge is an estimate from a gauge that the dam file names.

A forecast from day d knows a value from the day on which it is available: its own day and the gauge's delay or, if
fetches looked for it in vain, the day on which it arrived (`late_readings`). Until then the inputs use the estimate,
and afterwards the value itself. So each row of inputs has its own table. Rows `BLOCK_DAYS` apart share one: inputs sum
at most 30 days, except the antecedent precipitation index, which keeps 0.9^60 = 0.2% of a value of that age.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.dams.delays import delay_days, input_delay
from forebay.dams.value_checks import plausible_range
from forebay.features.relations import Estimates, Floats, Rows, estimate_changes, estimate_totals
from forebay.tables import Table, flag_of

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge

BLOCK_DAYS = 60
"""Days between two rows of inputs from one table. A value that arrives later is not used: the estimate remains."""

SUBSTITUTED = "substituted"
"""First word of the flag of an estimate: "substituted: rainfall_563046"."""

LATE = Table(
    "late readings",
    {"gauge": pl.String(), "date": pl.Date(), "known_on": pl.Date()},  # known at the end of `known_on`, not before
    ("gauge", "date"),
)
"""Daily values that were available later than their gauge's delay says."""

SUBSTITUTIONS = Table(
    "substitutions",
    {
        "init_date": pl.Date(),
        "gauge": pl.String(),  # column of the daily table
        "date": pl.Date(),  # newest day of the gauge's inputs
        "substitute": pl.String(),  # column of the gauge whose value is used
        "value": pl.Float64(),  # the estimate, in the canonical unit
        "factor": pl.Float64(),  # ratio of sums, or slope
    },
    ("init_date", "gauge"),
)
"""Init dates on which a gauge's newest input is an estimate."""


@dataclass(frozen=True)
class KnownValues:
    """The gauges' values in one daily table, the rows from which on they are known, and their estimates.

    Attributes
    ----------
    values, known
        Column → value of each day (NaN where missing), and the first row whose forecast knows it.
    estimates
        Column → substitute's column → estimates, in the order of the dam file.
    """

    values: Mapping[str, Floats]
    known: Mapping[str, Rows]
    estimates: Mapping[str, Mapping[str, Estimates]]

    def at(self, column: str, views: Rows) -> tuple[Floats, Floats, list[str | None]]:
        """Value of each day as known at the row `views`, the relation's factor, and the substitute, if any."""
        value = np.where(self.known[column] <= views, self.values[column], np.nan)
        factor = np.full(len(value), np.nan)
        names = np.full(len(value), None, object)
        for source, estimates in self.estimates.get(column, {}).items():
            is_filled = np.isnan(value) & (self.known[source] <= views) & np.isfinite(estimates.values)
            value = np.where(is_filled, estimates.values, value)
            factor = np.where(is_filled, estimates.factor, factor)
            names[is_filled] = source
        return value, factor, names.tolist()


def known_values(daily: pl.DataFrame, dam: Dam, late: pl.DataFrame) -> KnownValues:
    """Values and estimates of all drivers in `daily`, the usable values as known in some period.

    Parameters
    ----------
    late
        `LATE`.
    """
    drivers = {gauge.column: gauge for gauge in dam.gauges if gauge.role != "target"}
    values = {column: daily[column].cast(pl.Float64).to_numpy().astype(float) for column in drivers}
    known = {column: _known_rows(daily["date"], gauge, dam, late) for column, gauge in drivers.items()}
    estimates = {
        column: {source: _estimates(column, source, values, known, drivers[column]) for source in sources}
        for column, sources in dam.substitutes.items()
    }
    return KnownValues(values, known, estimates)


def build_with_substitutes(
    daily: pl.DataFrame, dam: Dam, late: pl.DataFrame, start: date, build: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    """`build(daily)`, each row from `start` on from what was known at its end, with substitutes for what was not."""
    known = known_values(daily, dam, late)
    rows = np.arange(len(daily))
    affected = _affected_rows(known, dam, len(daily)) & (daily["date"] >= start).to_numpy()
    table = build(_as_known(daily, known, dam, rows + BLOCK_DAYS - 1))
    parts = [table.filter(pl.Series(~affected))]
    block_day = daily["date"].cast(pl.Int32).to_numpy() % BLOCK_DAYS
    for day in np.unique(block_day[affected]):
        views = rows + (day - block_day) % BLOCK_DAYS  # the next row of this block day
        table = build(_as_known(daily, known, dam, views))
        parts.append(table.filter(pl.Series(affected & (block_day == day))))
    return pl.concat(parts).sort("date")


def substitutions(daily: pl.DataFrame, dam: Dam, late: pl.DataFrame, start: date) -> pl.DataFrame:
    """`SUBSTITUTIONS` of the init dates from `start` on; parameters as in `build_with_substitutes`."""
    known, parts = known_values(daily, dam, late), [SUBSTITUTIONS.empty()]
    for gauge in dam.gauges:
        if gauge.column not in dam.substitutes:
            continue
        delay = input_delay(gauge, dam)
        value, factor, names = known.at(gauge.column, np.arange(len(daily)) + delay)
        table = daily.select(
            init_date=pl.col("date").dt.offset_by(f"{delay}d"),
            gauge=pl.lit(gauge.column),
            date="date",
            substitute=pl.Series(names, dtype=pl.String),
            value=pl.Series(value),
            factor=pl.Series(factor),
        )
        in_period = pl.col("init_date").is_between(start, daily["date"][-1])
        parts.append(SUBSTITUTIONS.check(table.filter(in_period, pl.col("substitute").is_not_null())))
    return pl.concat(parts)


def with_substitutes(daily: pl.DataFrame, known: pl.DataFrame, substituted: pl.DataFrame) -> pl.DataFrame:
    """The daily table with the estimates that the forecast from its last day uses, flagged "substituted: GAUGE".

    Parameters
    ----------
    known
        Usable values of `daily` as known on the last day, on the same days.
    substituted
        `SUBSTITUTIONS`.
    """
    is_current = pl.col("init_date") == daily["date"][-1]
    for (column,), rows in substituted.with_columns(is_current.alias("current")).group_by("gauge"):
        name, flag = str(column), flag_of(str(column))
        table = daily.select("date", name, flag).with_columns(known[name].is_null().alias("missing"))
        joined = table.join(rows.drop("gauge"), on="date", how="left", maintain_order="left")
        is_used = pl.when(pl.col("value").is_not_null() & (pl.col("missing") | pl.col("current")))
        source = pl.concat_str(pl.lit(f"{SUBSTITUTED}: "), "substitute")
        daily = daily.with_columns(
            joined.select(
                is_used.then("value").otherwise(name).alias(name), is_used.then(source).otherwise(flag).alias(flag)
            )
        )
    return daily


def without_late(daily: pl.DataFrame, late: pl.DataFrame) -> pl.DataFrame:
    """`daily` without the late values: on their own day, they can support or contradict no other gauge's value."""
    for (column,), rows in late.group_by("gauge"):
        is_late = pl.col("date").is_in(rows["date"].implode())
        daily = daily.with_columns(pl.when(~is_late).then(str(column)).alias(str(column)))
    return daily


def _known_rows(dates: pl.Series, gauge: Gauge, dam: Dam, late: pl.DataFrame) -> Rows:
    """First row whose forecast knows the value of each day."""
    known = np.arange(len(dates)) + delay_days(gauge, dam)
    rows = late.filter(pl.col("gauge") == gauge.column, pl.col("date").is_between(dates[0], dates[-1]))
    day, known_on = ((rows[name] - dates[0]).dt.total_days().to_numpy() for name in ("date", "known_on"))
    known[day] = np.maximum(known[day], known_on)
    return known


def _estimates(
    column: str, source: str, values: Mapping[str, Floats], known: Mapping[str, Rows], gauge: Gauge
) -> Estimates:
    """Plausible estimates of a gauge from one substitute."""
    estimate = estimate_totals if gauge.kind.aggregate == "total" else estimate_changes
    estimates = estimate(values[column], values[source], np.maximum(known[column], known[source]))
    low, high = plausible_range(gauge)
    is_plausible = (estimates.values >= low) & (estimates.values <= high)
    return Estimates(np.where(is_plausible, estimates.values, np.nan), estimates.factor)


def _affected_rows(known: KnownValues, dam: Dam, count: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Rows in whose last `BLOCK_DAYS` a value was not known: late, or missing with a substitute."""
    changes = np.zeros(count + 1, int)
    for gauge in dam.gauges:
        if gauge.role == "target":
            continue
        first = np.arange(count) + input_delay(gauge, dam)
        end = known.known[gauge.column]
        if gauge.column in dam.substitutes:
            end = np.where(np.isnan(known.values[gauge.column]), count, end)
        end = np.minimum(end, np.arange(count) + BLOCK_DAYS)
        is_late = end > first
        np.add.at(changes, np.minimum(first[is_late], count), 1)
        np.add.at(changes, np.minimum(end[is_late], count), -1)
    return np.cumsum(changes[:-1]) > 0


def _as_known(daily: pl.DataFrame, known: KnownValues, dam: Dam, views: Rows) -> pl.DataFrame:
    """`daily` with each driver's value of each day as known at the row `views`."""
    columns = [gauge.column for gauge in dam.gauges if gauge.role != "target"]
    return daily.with_columns(
        pl.Series(column, known.at(column, views)[0]).fill_nan(None) for column in columns
    )
