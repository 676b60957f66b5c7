"""Tables that the charts of forecasts show: observed levels, forecast quantiles, reference levels, verification.

All functions here are pure, `table → table`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.features.full_supply import full_supply_regimes
from forebay.tables import DEFAULT_MODEL, QUANTILES, summary_leads

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

DAY = timedelta(days=1)
RECENT_DAYS = 60
"""Days of observations before the forecast that its chart shows at first."""
SPANS = (14, RECENT_DAYS, 365)
"""Days of observations that a reader can choose from."""


def quantile_column(quantile: float) -> str:
    """Column name of a quantile.

    >>> quantile_column(0.05)
    'q05'
    """
    return f"q{round(quantile * 100):02d}"


QUANTILE_COLUMNS = tuple(quantile_column(q) for q in QUANTILES)


def observed_levels(daily: pl.DataFrame, dam: Dam, since: date, until: date) -> pl.DataFrame:
    """date, level: the target on each day from `since` to `until`; null where it is missing."""
    days = pl.DataFrame({"date": pl.date_range(since, until, eager=True)})
    level = daily.select("date", level=pl.col(dam.target_gauge.column).cast(pl.Float64))
    return days.join(level, on="date", how="left").sort("date")


def forecast_fan(forecasts: pl.DataFrame, model: str = DEFAULT_MODEL) -> pl.DataFrame:
    """init_date, lead_time, valid_date, start, q05 … q95: a row per forecast day of `model`, in the dam's unit.

    `start` is the level from which the forecast starts. The row of lead time 0 is on that level's day; all its
    quantiles equal `start`.
    """
    keys = ["init_date", "lead_time", "valid_date"]
    rows = forecasts.filter(pl.col("model") == model)
    if rows.is_empty():
        return pl.DataFrame(
            schema=dict(zip(keys, (pl.Date, pl.Int32, pl.Date), strict=True))
            | dict.fromkeys(("start", *QUANTILE_COLUMNS), pl.Float64)
        )
    level = pl.col("level").fill_nan(None)
    wide = rows.group_by(keys).agg(
        pl.col("level_date").first(),
        (level - pl.col("change").fill_nan(None)).median().alias("start"),
        *(level.filter((pl.col("quantile") - q).abs() < 1e-9).first().alias(quantile_column(q)) for q in QUANTILES),
    )
    starts = wide.group_by("init_date").agg(pl.col("start", "level_date").first())
    anchors = starts.select(
        "init_date",
        pl.lit(0, pl.Int32).alias("lead_time"),
        pl.col("level_date").alias("valid_date"),
        "start",
        *(pl.col("start").alias(name) for name in QUANTILE_COLUMNS),
    )
    return pl.concat([anchors, wide.select(anchors.columns)]).sort("init_date", "lead_time")


def reference_levels(
    dam: Dam, extent: pl.DataFrame, *, first_day: date | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Full supply level and thresholds: lines for the chart, and all of them with their value on the last day.

    Parameters
    ----------
    extent
        date, low, high: range of the chart on each day.
    first_day
        First day of the lines; by default that of the extent.

    Returns
    -------
    lines
        name, date, value: only levels that are no farther from the extent than its height, so that each side of the
        chart grows by that height at most.
    levels
        name, value (on the last day), near (whether it is among the lines).
    """
    days = extent["date"].unique().sort()
    if first_day is not None and not extent.is_empty():
        days = pl.date_range(min(first_day, days[0]), days[-1], eager=True)
    low, high = extent.select(pl.col("low").min(), pl.col("high").max()).row(0)
    lines, rows = [], []
    full_supply = [("Full supply", dam.full_supply)] if dam.full_supply is not None else []
    for name, level in [*full_supply, *((t.name, t.level) for t in dam.thresholds)]:
        values = pl.DataFrame({"date": days, "value": level.on(days)}).drop_nulls()
        if values.is_empty() or low is None:
            continue
        lowest, highest = values.select(pl.col("value").min(), pl.col("value").max().alias("high")).row(0)
        near = bool(max(lowest - high, low - highest, 0.0) <= high - low)
        rows.append({"name": name, "value": values["value"][-1], "near": near})
        if near:
            lines.append(values.select(pl.lit(name).alias("name"), "date", "value"))
    empty = pl.DataFrame(schema={"name": pl.String, "date": pl.Date, "value": pl.Float64})
    levels = pl.DataFrame(rows, schema={"name": pl.String, "value": pl.Float64, "near": pl.Boolean})
    return pl.concat([empty, *lines]), levels


def full_supply_regime(dam: Dam, day: date, level: float) -> str | None:
    """Regime of a level on a day: near full supply, above it, or None."""
    regimes = full_supply_regimes(dam, pl.Series([day]), np.array([level]))
    return next((name for name, mask in regimes.items() if mask[0]), None)


def compare_with_observed(
    fans: pl.DataFrame, levels: pl.DataFrame, leads: Sequence[int] | None = None
) -> pl.DataFrame:
    """init_date, lead_time, change, low, high, observed, verdict: forecast and observed change.

    Changes are from the level at the start of the forecast; low and high bound the 90% interval. The verdict is
    "inside 80%", "inside 90%", "above 90%", "below 90%", "no interval" or "not observed".

    Parameters
    ----------
    fans
        As `forecast_fan` returns them.
    levels
        date, level, as `observed_levels` returns them.
    leads
        Lead times in days; by default the `summary_leads` of `fans`.
    """
    if leads is None:
        leads = summary_leads(lead for lead in fans["lead_time"] if lead > 0)
    rows = (
        fans.filter(pl.col("lead_time").is_in(list(leads)))
        .join(levels.rename({"date": "valid_date"}), on="valid_date", how="left")
        .sort("init_date", "lead_time")
    )
    level = pl.col("level")
    verdict = (
        pl.when(level.is_null())
        .then(pl.lit("not observed"))
        .when(pl.col("q05").is_null() | pl.col("q95").is_null())
        .then(pl.lit("no interval"))
        .when(level.is_between("q10", "q90"))
        .then(pl.lit("inside 80%"))
        .when(level.is_between("q05", "q95"))
        .then(pl.lit("inside 90%"))
        .when(level > pl.col("q95"))
        .then(pl.lit("above 90%"))
        .otherwise(pl.lit("below 90%"))
    )
    return rows.select(
        "init_date",
        "lead_time",
        change=pl.col("q50") - pl.col("start"),
        low=pl.col("q05") - pl.col("start"),
        high=pl.col("q95") - pl.col("start"),
        observed=level - pl.col("start"),
        verdict=verdict,
    )
