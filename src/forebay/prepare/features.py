"""Inputs of the models, built from gauge roles, never from station names.

Row d holds what was known at the end of day d and nothing later: a test changes everything after it and compares.
"""

from __future__ import annotations

import math
from datetime import date, time, timedelta

import polars as pl

from forebay.dams.dam import Dam, Gauge
from forebay.dams.local_time import day_start, init_time
from forebay.dams.variables import VARIABLES

API_DECAY = 0.9
"""Share of the antecedent precipitation index that is left a day later (0.85–0.98 in Linsley et al., 1949)."""


CONTEXT = "context_"
"""Beginning of the names of inputs that are for trees only."""


def build(daily: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """One row per day of `daily` (usable values only): `date` and the inputs, null where they are not known.

    Parameters
    ----------
    daily
        As `prepare.daily.usable` gives it: unusable values are null. Target in the dam's unit, the rest canonical.

    Returns
    -------
    DataFrame
        date; last_change and its lags; median_change_30d; day_of_year, season_sin, season_cos;
        rain_… of the mean of the rain gauges that report (mm), api, rain × api; per stream, inflow, release and
        upstream gauge its value and its 1-day rise; and `context_…` columns.
    """
    known = daily.sort("date").with_columns(
        pl.col(g.column).shift(days) for g in dam.gauges if (days := delay_days(g, dam)) > 0
    )
    frame = known.select("date", *_level(dam), *_season())
    frame = frame.with_columns(*_flows(known, dam), *_rain(known, dam))
    return frame.with_columns(*_context(known, frame, dam))


def delay_days(gauge: Gauge, dam: Dam) -> int:
    """Whole days by which a driver's daily value comes too late to be used on its own day.

    A day's forecast is issued when the target's value of that day is there; a driver whose day ends later, or whose
    latency is longer than the target's, is used a day (or more) late. The target is never late by this definition.
    """
    if gauge.role == "target":
        return 0
    day = date(2001, 1, 10)
    ends = day_start(day, dam.time_zone, gauge.day_start)
    if gauge.reading == "instantaneous" and gauge.reading_at is not None:
        ends = day_start(day, dam.time_zone, gauge.reading_at)
    elif gauge.day_start == time(0):
        ends = init_time(day, dam.time_zone)
    late = ends + gauge.ready_after - (init_time(day, dam.time_zone) + dam.target_gauge.ready_after)
    return max(0, math.ceil(late / timedelta(days=1)))


def with_late_drivers(dam: Dam) -> Dam:
    """The dam with every driver known a day later than it is: what its forecasts would be worth if data came late."""
    gauges = []
    for gauge in dam.gauges:
        late = gauge
        while gauge.role != "target" and delay_days(late, dam) == delay_days(gauge, dam):
            late = late.model_copy(update={"latency_h": late.latency_h + 24})
        gauges.append(late)
    return dam.model_copy(update={"gauges": tuple(gauges)})


def _level(dam: Dam) -> list[pl.Expr]:
    level = pl.col(dam.target.variable)
    change = level.diff()
    return [
        change.forward_fill().alias("last_change"),
        *(change.shift(k).alias(f"change_lag{k}") for k in (1, 2)),
        change.rolling_median(30, min_samples=5).alias("median_change_30d"),
    ]


def _season() -> list[pl.Expr]:
    day = pl.col("date").dt.ordinal_day()
    angle = 2 * math.pi * day / 365.25
    return [day.alias("day_of_year"), angle.sin().alias("season_sin"), angle.cos().alias("season_cos")]


def _flows(known: pl.DataFrame, dam: Dam) -> list[pl.Series]:
    """Value and 1-day rise of each stream, inflow, release and upstream gauge; flows as signed square roots.

    A reservoir's rise is nearly linear in the flow, but floods span orders of magnitude: the root tames their weight,
    the flow itself stays beside it.
    """
    made = []
    for gauge in dam.gauges:
        if gauge.role not in ("stream", "inflow", "release", "upstream_level", "upstream_release"):
            continue
        value = known[gauge.column]
        made += [value.alias(gauge.column), value.diff().alias(f"{gauge.column}_rise")]
        if gauge.variable in ("discharge", "inflow", "release"):
            made.append((value.abs().sqrt() * value.sign()).alias(f"{gauge.column}_root"))
    return made


def _rain(known: pl.DataFrame, dam: Dam) -> list[pl.Series]:
    """Catchment rain and its products with wetness; empty without rain gauges."""
    columns = dam.columns("rainfall")
    if not columns:
        return []
    rain = catchment_rain(known, dam)
    api = antecedent_precipitation_index(rain)
    three = rain.rolling_sum(3, min_samples=2)
    return [
        *(rain.shift(k).alias(f"rain_lag{k}") for k in (0, 1, 2)),
        three.alias("rain_3d"),
        api.alias("api"),
        (rain * api).alias("rain_api"),
        (rain * api).shift(1).alias("rain_api_lag1"),
        (three * api).alias("rain_3d_api"),
    ]


def _context(known: pl.DataFrame, frame: pl.DataFrame, dam: Dam) -> list[pl.Series]:
    """The state that the dam is in: level, longer sums and means.

    They tell which rule people run the dam by, which changes at thresholds: something for trees, through which no line
    should be drawn. Models that draw lines leave the columns aside whose names begin with `context_`.
    """
    change = frame["last_change"]
    level = known[dam.target.variable]
    made = [
        change.rolling_mean(3, min_samples=1).alias("change_3d"),
        change.rolling_mean(7, min_samples=2).alias("change_7d"),
        change.rolling_median(90, min_samples=20).alias("median_change_90d"),
        _below_full(known, dam) if dam.full_supply else level.alias("level"),
    ]
    if "rain_lag0" in frame.columns:
        rain = frame["rain_lag0"]
        made += [rain.rolling_sum(days, min_samples=round(0.7 * days)).alias(f"rain_{days}d") for days in (7, 14, 30)]
    for gauge in dam.gauges:
        if gauge.role in ("stream", "inflow"):
            flow = known[gauge.column]
            made += [
                flow.diff(3).alias(f"{gauge.column}_rise_3d"),
                (flow - flow.rolling_mean(30, min_samples=10)).alias(f"{gauge.column}_anomaly_30d"),
            ]
    return [column.alias(f"{CONTEXT}{column.name}") for column in made]


def _below_full(known: pl.DataFrame, dam: Dam) -> pl.Series:
    """Distance below full supply in margins, from −2 to 20."""
    assert dam.full_supply is not None
    below = dam.full_supply.on(known["date"]) - known[dam.target.variable]
    return (below / near_full_margin(dam)).clip(-2, 20).alias("below_full")


def catchment_rain(daily: pl.DataFrame, dam: Dam) -> pl.Series:
    """Mean daily rain (mm) of the gauges that report; null where none does."""
    return daily.select(pl.mean_horizontal(dam.columns("rainfall")).alias("rain")).to_series()


def antecedent_precipitation_index(rain: pl.Series) -> pl.Series:
    """API(d) = 0.9 · API(d − 1) + rain(d), in mm, from 0 before the first day (Kohler and Linsley, 1951).

    On a day without any rain reading the mean of all days before stands in for it: a named rule, since the index is a
    memory that one lost day must not erase.
    """
    mean_so_far = rain.fill_null(0.0).cum_sum() / rain.is_not_null().cum_sum()
    filled = rain.fill_null(mean_so_far).fill_nan(None).fill_null(0.0)
    from_nothing = pl.concat([pl.Series([0.0]), filled.rename("")])  # ewm_mean starts at the first value itself
    return from_nothing.ewm_mean(alpha=1 - API_DECAY, adjust=False)[1:] / (1 - API_DECAY)


def near_full_margin(dam: Dam) -> float:
    """Distance from full supply, in the target's unit, within which a day counts as near full.

    The dam file's, else 0.5 m for a level, 2% of full volume for a storage.
    """
    if dam.hindcast.near_full_margin is not None:
        return dam.hindcast.near_full_margin
    if dam.target.variable == "reservoir_level":
        return 0.5 / VARIABLES["reservoir_level"].conversion(dam.target.unit)[0]
    if dam.target.variable == "storage_percent" or dam.full_supply is None:
        return 2.0
    return 0.02 * float(dam.full_supply.on(pl.Series([date.max]))[0])  # what is in force last
