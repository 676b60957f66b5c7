"""What the report tells of the forecast and of the largest rise, as tables.

Everything here is `table → table` and pure; drawing (`charts`) and wording (`sections`) come after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from forebay.dams.dam import Dam
from forebay.days.daily import UNUSABLE
from forebay.features.daily_tables import Reading
from forebay.features.inputs import near_full_margin
from forebay.forecasts.issue import IssuedForecast
from forebay.tables import QUANTILES, flag_of
from forebay.verify.diagnostics import Diagnostics
from forebay.verify.point_forecasts import DEFAULT
from forebay.verify.score_tables import SUMMARY_LEADS

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Report:
    """All that one report is made of.

    Attributes
    ----------
    forecast
        The issued forecast.
    newest
        The newest single reading of the target, or None if there is none.
    daily
        The daily frame: dam, date, per gauge its value and its flag; the target in the dam's unit.
    hindcast
        `tables.FORECASTS` of all scored init dates before that of the forecast.
    scores
        `tables.SCORES` of the hindcast.
    gauge_table
        Result of the last fetch, a row per gauge.
    diagnostics
        Reliability, coverage and largest misses of the hindcast; None without verification.
    """

    dam: Dam
    forecast: IssuedForecast
    newest: Reading | None
    daily: pl.DataFrame
    hindcast: pl.DataFrame
    scores: pl.DataFrame
    gauge_table: pl.DataFrame
    diagnostics: Diagnostics | None = None


def observed_levels(daily: pl.DataFrame, dam: Dam, since: date, until: date) -> pl.DataFrame:
    """date, level: the target on each day from `since` to `until`; null where it is missing."""
    days = pl.DataFrame({"date": pl.date_range(since, until, eager=True)})
    level = daily.select("date", level=pl.col(dam.target_gauge.column).cast(pl.Float64))
    return days.join(level, on="date", how="left").sort("date")


def quantile_column(quantile: float) -> str:
    """Name of a fan's column for `quantile`.

    >>> quantile_column(0.05)
    'q05'
    """
    return f"q{round(quantile * 100):02d}"


QUANTILE_COLUMNS = tuple(quantile_column(q) for q in QUANTILES)


def forecast_fan(forecasts: pl.DataFrame, model: str = DEFAULT) -> pl.DataFrame:
    """init_date, lead_time, valid_date, start, q05 … q95: a row per forecast day of `model`, levels in the dam's unit.

    `start` is the level that the forecast starts from; a row with lead_time 0 stands at it, on that level's day, all
    quantiles equal to it.
    """
    keys = ["init_date", "lead_time", "valid_date"]
    own = forecasts.filter(pl.col("model") == model)
    if own.is_empty():
        return pl.DataFrame(
            schema=dict(zip(keys, (pl.Date, pl.Int32, pl.Date), strict=True))
            | dict.fromkeys(("start", *QUANTILE_COLUMNS), pl.Float64)
        )
    level = pl.col("level").fill_nan(None)
    wide = own.group_by(keys).agg(
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


def reference_levels(dam: Dam, shown: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Full supply and thresholds: those near enough to be drawn, and all of them against the last level.

    Parameters
    ----------
    shown
        date, low, high: what the picture shows on each day, the level itself where it was observed.

    Returns
    -------
    near
        name, date, value: lines whose distance from what is shown is at most its own span, so that drawing them at
        most doubles the picture's height.
    all_lines
        name, value, near: each line's value on the last day.
    """
    days = shown["date"].unique().sort()
    low, high = shown.select(pl.col("low").min(), pl.col("high").max()).row(0)
    near, rows = [], []
    named = [("Full supply", dam.full_supply)] if dam.full_supply is not None else []
    for name, line in [*named, *((t.name, t.level) for t in dam.thresholds)]:
        values = pl.DataFrame({"date": days, "value": line.on(days)}).drop_nulls()
        if values.is_empty() or low is None:
            continue
        lowest, highest = values.select(pl.col("value").min(), pl.col("value").max().alias("high")).row(0)
        is_near = bool(max(lowest - high, low - highest, 0.0) <= high - low)
        rows.append({"name": name, "value": values["value"][-1], "near": is_near})
        if is_near:
            near.append(values.select(pl.lit(name).alias("name"), "date", "value"))
    empty = pl.DataFrame(schema={"name": pl.String, "date": pl.Date, "value": pl.Float64})
    flat = pl.DataFrame(rows, schema={"name": pl.String, "value": pl.Float64, "near": pl.Boolean})
    return pl.concat([empty, *near]), flat


def is_near_full(dam: Dam, day: date, level: float) -> bool:
    """Whether `level` counts as near the full supply level in force on `day`."""
    if dam.full_supply is None:
        return False
    full = dam.full_supply.on(pl.Series([day]))[0]
    return full is not None and bool(level >= full - near_full_margin(dam))


@dataclass(frozen=True)
class Rise:
    """The largest lasting rise of the level within the hindcast.

    `onset` is the last day before it, `rise` its size in the target's unit from that day to the next; `issued` are the
    init dates around the onset from which a forecast was issued, `missing` those from which none could be.
    """

    onset: date
    rise: float
    issued: tuple[date, ...]
    missing: tuple[date, ...]


def largest_rise(daily: pl.DataFrame, hindcast: pl.DataFrame, dam: Dam, around_days: int = 4) -> Rise | None:
    """The day-to-day rise that lasted and was the largest, among the init dates of the hindcast's `default`.

    A rise lasts if the level stays up: its size for ranking is min(L(d+1 … d+3)) − max(L(d−2 … d)), of which two on
    each side must be there. So a spike (up and down again) does not pass for a flood, nor does the return from one.
    Days in the dam file's `verification_exclude`, and readings flagged as wrong, do not count.

    Returns
    -------
    None if no such day is in the hindcast, or the level never rose.
    """
    column = dam.target_gauge.column
    inits = hindcast.filter(pl.col("model") == DEFAULT)["init_date"].unique().sort()
    if inits.is_empty():
        return None
    doubtful = pl.col(flag_of(column)).is_in(list(UNUSABLE)).fill_null(False) | is_excluded(dam)
    levels = daily.sort("date").select("date", level=pl.when(~doubtful).then(pl.col(column)))
    level = pl.col("level")
    after, before = [level.shift(-k) for k in (1, 2, 3)], [level.shift(k) for k in (0, 1, 2)]
    enough = pl.all_horizontal(
        pl.sum_horizontal(day.is_not_null().cast(pl.Int32) for day in side) >= 2 for side in (after, before)
    )
    ranked = (
        levels.with_columns(
            step=level.shift(-1) - level, lasting=pl.min_horizontal(after) - pl.max_horizontal(before), enough=enough
        )
        .filter(pl.col("enough") & (pl.col("step") > 0) & (pl.col("lasting") > 0))
        .filter(pl.col("date").is_in(inits.implode()))
        .sort("lasting", "date", descending=[True, False])
    )
    if ranked.is_empty():
        return None
    onset: date = ranked["date"][0]
    wanted = [onset + k * DAY for k in range(-around_days, around_days + 1)]
    issued = set(inits.to_list())
    return Rise(
        onset,
        float(ranked["step"][0]),
        tuple(d for d in wanted if d in issued),
        tuple(d for d in wanted if d not in issued),
    )


def is_excluded(dam: Dam) -> pl.Expr:
    """Whether a day (column `date`) lies in a spell of the dam file's `verification_exclude`."""
    spells = [pl.col("date").is_between(spell.from_, spell.to) for spell in dam.hindcast.verification_exclude]
    return pl.any_horizontal(*spells) if spells else pl.lit(False)


def compare_with_observed(
    fans: pl.DataFrame, levels: pl.DataFrame, leads: Sequence[int] = SUMMARY_LEADS
) -> pl.DataFrame:
    """init_date, lead_time, change, low, high, observed, verdict: each forecast change beside the one that came.

    Parameters
    ----------
    fans
        As `forecast_fan` returns them.
    levels
        date, level, as `observed_levels` returns them.

    Changes are from the level that the forecast started from; low and high bound the 90% interval. The verdict is
    "inside 80%", "inside 90%", "above 90%", "below 90%", "no interval" or "not observed".
    """
    seen = (
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
    return seen.select(
        "init_date",
        "lead_time",
        change=pl.col("q50") - pl.col("start"),
        low=pl.col("q05") - pl.col("start"),
        high=pl.col("q95") - pl.col("start"),
        observed=level - pl.col("start"),
        verdict=verdict,
    )
