"""Tables of the newest values: the age of every gauge, what was left out, and the range that was ever recorded."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.forecast_tables import QUANTILE_COLUMNS
from forebay.days.daily import FLAGGED_GRADES
from forebay.days.labels import display_unit, gauge_labels, in_display_unit
from forebay.features.substitutes import SUBSTITUTED
from forebay.screen.flags import VALID_REASONS, active_flags, daily_known_on
from forebay.tables import flag_of

if TYPE_CHECKING:
    from datetime import date

    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge

LAST_DAYS = 3
"""Days up to the init date whose flags are shown as flags on the last readings."""
_STATUS = {
    "gauge": pl.String(),
    "last_date": pl.Date(),
    "value": pl.Float64(),
    "unit": pl.String(),
    "age_days": pl.Int64(),
    "is_late": pl.Boolean(),
    "flag": pl.String(),
}


def gauge_status(daily: pl.DataFrame, flags: pl.DataFrame, dam: Dam, *, age_days: int = 0) -> pl.DataFrame:
    """A row per gauge: its newest usable value on or before the last day of `daily`, and that value's age.

    Parameters
    ----------
    daily
        The daily table up to the init date.
    flags
        `screen.flags.FLAGS` of `daily`.
    age_days
        Whole days from the init date to the time from which ages count.

    Returns
    -------
    DataFrame
        gauge, last_date, value, unit, age_days, is_late (older than the gauge's latency), flag (reasons of the
        flags of the last `LAST_DAYS` days).
    """
    last, labels = daily["date"][-1], gauge_labels(dam)
    usable = daily_known_on(daily, flags, last, dam)
    rows = []
    for gauge in dam.gauges:
        values = usable.select("date", value=in_display_unit(pl.col(gauge.column), gauge, dam)).drop_nulls()
        newest = None if values.is_empty() else values["date"][-1]
        age = None if newest is None else (last - newest).days + age_days
        rows.append({
            "gauge": labels[gauge.column], "last_date": newest,
            "value": None if newest is None else values["value"][-1], "unit": display_unit(gauge, dam), "age_days": age,
            "is_late": age is None or age > ceil(gauge.latency_h / 24),
            "flag": _last_flags(daily.tail(LAST_DAYS), flags, gauge),
        })  # fmt: skip
    return pl.DataFrame(rows, schema=_STATUS)


def add_substitutes(status: pl.DataFrame, substitutions: pl.DataFrame, dam: Dam, init_date: date) -> pl.DataFrame:
    """`status` with a flag on each gauge whose newest input is an estimate: "substituted: Rain B on 2020-02-09".

    Parameters
    ----------
    substitutions
        `features.substitutes.SUBSTITUTIONS`.
    """
    labels, flags = gauge_labels(dam), dict(zip(status["gauge"], status["flag"], strict=True))
    current = substitutions.filter(pl.col("init_date") == init_date)
    for gauge, day, source in current.select("gauge", "date", "substitute").iter_rows():
        text = f"{SUBSTITUTED}: {labels[source]} on {day}"
        flags[labels[gauge]] = f"{flags[labels[gauge]]}, {text}".removeprefix(", ")
    return status.with_columns(pl.Series("flag", list(flags.values()), dtype=pl.String))


def _last_flags(daily: pl.DataFrame, flags: pl.DataFrame, gauge: Gauge) -> str:
    """Flags of the last days of one gauge, of the table and of the screen: "spike on 2020-02-09 (not used)"."""
    first, last = daily["date"][0], daily["date"][-1]
    recent = active_flags(flags, last).filter(pl.col("gauge") == gauge.column, pl.col("date").is_between(first, last))
    own = daily.select("date", reason=pl.col(flag_of(gauge.column)).cast(pl.String)).drop_nulls()
    both = pl.concat([recent.select("date", "reason"), own.select("date", "reason")])
    both = both.filter(pl.col("reason") != "absent")
    spans = both.group_by("reason").agg(start=pl.col("date").min(), end=pl.col("date").max()).sort("start", "reason")
    return ", ".join(
        f"{reason} on {start if start == end else f'{start} to {end}'}{_use_of(reason, gauge)}"
        for reason, start, end in spans.iter_rows()
    )


def _use_of(reason: str, gauge: Gauge) -> str:
    """Whether the models use a value with this flag. The limitations state it for the target."""
    if gauge.role == "target":
        return ""
    return " (still used)" if reason in VALID_REASONS | FLAGGED_GRADES else " (not used)"


def recorded_range(daily: pl.DataFrame, flags: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """date, level of the lowest and of the highest level of the record, in this order; empty without a level.

    Suspect levels, and those that must not be used, do not count.
    """
    usable = daily_known_on(daily, flags, daily["date"][-1], dam)
    levels = usable.select("date", level=pl.col(dam.target_gauge.column)).drop_nulls().sort("level", "date")
    return pl.concat([levels.head(1), levels.tail(1)])


def beyond_record(fan: pl.DataFrame, record: pl.DataFrame) -> pl.DataFrame:
    """The forecast's bounds outside the recorded range: a row per side, of the lead time that is farthest outside.

    Parameters
    ----------
    fan
        One forecast, as `forecast_fan` returns it.
    record
        As `recorded_range` returns it.

    Returns
    -------
    DataFrame
        side ("above" or "below"), valid_date, level (of the bound), limit (recorded extreme), limit_date, excess,
        start_outside.
    """
    if fan.is_empty() or record.is_empty():
        return pl.DataFrame()
    sides = (("below", QUANTILE_COLUMNS[0], 0, -1), ("above", QUANTILE_COLUMNS[-1], 1, 1))
    rows = [_excess(fan, record, *side) for side in sides]
    return pl.DataFrame([row for row in rows if row])


def _excess(fan: pl.DataFrame, record: pl.DataFrame, side: str, column: str, end: int, sign: int) -> dict[str, object]:
    """The largest excess of one side; empty without one. Without intervals the median counts."""
    limit_date, limit = record.row(end)
    bound = pl.coalesce(pl.col(column).fill_nan(None), pl.col("q50"))
    outside = fan.with_columns(level=bound, excess=sign * (bound - limit)).filter(pl.col("excess") > 1e-9)
    if outside.is_empty():
        return {}
    worst = outside.sort("excess", descending=True).row(0, named=True)
    keys = {name: worst[name] for name in ("valid_date", "level", "excess")}
    start_outside = bool((outside["lead_time"] == 0).any())
    return {"side": side, "limit": limit, "limit_date": limit_date, "start_outside": start_outside} | keys

