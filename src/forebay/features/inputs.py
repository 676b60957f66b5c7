"""Inputs of the models, built from gauge roles, never from station names.

Row d uses only what was known at the end of day d. A test changes everything after day d and compares.
"""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.curves import curve_on
from forebay.dams.delays import input_delay
from forebay.dams.variables import DAY_S, VARIABLES
from forebay.features.full_supply import near_full_margin
from forebay.features.level_change import change_per_day, last_change
from forebay.features.row_sums import row_mean, row_sum

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge

API_DECAY = 0.9
"""Share of the antecedent precipitation index that is left a day later (0.85–0.98 in Linsley et al., 1949)."""

CONTEXT = "context_"
"""Prefix of the names of inputs that only trees use."""

BALANCE = "balance_"
"""Prefix of the names of inputs that only the balance model uses."""
AHEAD = f"{BALANCE}ahead_"
"""Prefix of the names of inputs from inflow forecasts, which only the model `inflow_ahead` uses."""
BALANCE_DAYS = 10
"""Days of the balance's medians."""

BY_SLOPE = ("rise_per_flow", "rain_api_rise", "rain_3d_api_rise")
"""Suffixes of the names of inputs that depend on the storage curve at the day's level."""

FORCING = "forcing_"
"""Prefix of the names of inputs from forcings."""

MELT_MM = 4.0
"""Snow that a degree-day melts, mm (1.6 to 6.0 over snow in Hock, 2003)."""


def build_inputs(daily: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """One row per day of `daily` (usable values only): `date` and the inputs, null where they are not known.

    Parameters
    ----------
    daily
        As `days.daily.usable_values` returns it: unusable values are null. The target is in the dam's unit, all other
        columns are in canonical units.

    Returns
    -------
    DataFrame
        date; last_change and its lags; median_change_30d; day_of_year, season_sin, season_cos;
        rain_… of the mean of the rain gauges that report (mm), api, rain × api; the value and the 1-day rise of each
        stream, inflow, release and upstream gauge; the water that has passed an upstream gauge and has not arrived;
        degree-days, evaporation and snow; `context_…` columns; with inflow or release gauges `balance_…`.
    """
    known = daily.sort("date").with_columns(
        pl.col(g.column).shift(days) for g in dam.gauges if (days := input_delay(g, dam)) > 0
    )
    frame = known.select("date", *_level(known, dam), *_season())
    frame = frame.with_columns(
        *_flows(known, dam), *_arriving_water(known, dam), *_rain(known, dam), *_weather(known, dam)
    )
    return frame.with_columns(*_context(known, frame, dam), *_balance(known, dam))


def _level(known: pl.DataFrame, dam: Dam) -> list[pl.Series]:
    change = change_per_day(known, dam.target.variable)
    return [
        last_change(change).alias("last_change"),
        *(change.shift(k).alias(f"change_lag{k}") for k in (1, 2)),
        change.rolling_median(30, min_samples=5).alias("median_change_30d"),
    ]


def _season() -> list[pl.Expr]:
    day = pl.col("date").dt.ordinal_day()
    angle = 2 * math.pi * day / 365.25
    return [day.alias("day_of_year"), angle.sin().alias("season_sin"), angle.cos().alias("season_cos")]


def _flows(known: pl.DataFrame, dam: Dam) -> list[pl.Series]:
    """Value and 1-day rise of each stream, inflow, release and upstream gauge; flows as signed square roots.

    A reservoir's rise is nearly linear in the flow, but floods span orders of magnitude. The root reduces the weight of
    floods. The flow itself is an input too.
    """
    series = []
    for gauge in dam.gauges:
        if gauge.role not in ("stream", "inflow", "release", "upstream_level", "upstream_release"):
            continue
        value = known[gauge.column]
        series += [value.alias(gauge.column), value.diff().alias(f"{gauge.column}_rise")]
        if gauge.variable in ("discharge", "inflow", "release"):
            series.append((value.abs().sqrt() * value.sign()).alias(f"{gauge.column}_root"))
    return series


def _arriving_water(known: pl.DataFrame, dam: Dam) -> list[pl.Series]:
    """Water that has passed an upstream gauge: what arrives today, and its mean over the next days.

    …_arriving is today's, …_due_1d tomorrow's, …_due_3d the mean of the next 3 days; only for days whose water has
    passed the gauge by now. Gauges with a travel time below one day have no such inputs.
    """
    series = []
    for gauge in dam.gauges:
        ahead = int(_days_upstream(gauge, dam))
        if ahead < 1:
            continue
        passed = known[gauge.column]  # already shifted by `input_delay`
        due = [_delayed(passed, _days_upstream(gauge, dam) - j) for j in range(ahead + 1)]
        series.append(due[0].alias(f"{gauge.column}_arriving"))
        total = due[0] - due[0]
        for days, arriving in enumerate(due[1:], start=1):
            total = total + arriving
            series.append((total / days).alias(f"{gauge.column}_due_{days}d"))
    return series


def _days_upstream(gauge: Gauge, dam: Dam) -> float:
    """Days from when a value of `gauge` is known until its water arrives."""
    return max(0.0, gauge.travel_time_h / 24 - input_delay(gauge, dam))


def _delayed(values: pl.Series, days: float) -> pl.Series:
    """Daily means, delayed by `days` (≥ 0); a delay that is no whole number splits a mean between two days."""
    whole = int(days)
    part = days - whole
    return values.shift(whole) if part == 0 else (1 - part) * values.shift(whole) + part * values.shift(whole + 1)


def _weather(known: pl.DataFrame, dam: Dam) -> list[pl.Series]:
    """Degree-days above 0 °C, evaporation and snow, each the mean of the gauges that report; empty without such gauges.

    `snow` is the snow water equivalent (mm), `snow_melt` the part of it that the day's degree-days can melt.
    """
    series: list[pl.Series] = []
    warm = _mean_of(known, dam, "temperature")
    if warm is not None:
        warm = warm.clip(0.0)
        # Without a snow gauge, degree-days show little more than the season: only trees use them then.
        state = "" if dam.columns("snow") else CONTEXT
        three = warm.rolling_sum(3, min_samples=2)
        series += [warm.alias(f"{state}degree_days"), three.alias(f"{state}degree_days_3d")]
    evaporation = _mean_of(known, dam, "evaporation")
    if evaporation is not None:
        series += [evaporation.alias("evaporation"), evaporation.rolling_mean(7, min_samples=4).alias("evaporation_7d")]
    snow = _mean_of(known, dam, "snow")
    if snow is not None:
        series += [snow.alias("snow"), snow.diff().alias("snow_change"), snow.diff(7).alias("snow_change_7d")]
    if snow is not None and warm is not None:
        can_melt = pl.DataFrame({"warm": MELT_MM * warm, "snow": snow})
        series.append(can_melt.select(pl.when(pl.all_horizontal(pl.all().is_not_null())).then(
            pl.min_horizontal("warm", "snow")).alias("snow_melt")).to_series())  # fmt: skip
    return series


def _mean_of(known: pl.DataFrame, dam: Dam, role: str) -> pl.Series | None:
    """Mean of the gauges of `role` that report, null where none does; None without such gauges."""
    columns = dam.columns(role)
    return known.select(row_mean(columns).alias(role)).to_series() if columns else None


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
    """The state of the dam: level, longer sums and means.

    Operating rules depend on it and change at thresholds, so only trees use it. Linear models ignore the columns whose
    names begin with `context_`.
    """
    change = frame["last_change"]
    level = known[dam.target.variable]
    series = [
        change.rolling_mean(3, min_samples=1).alias("change_3d"),
        change.rolling_mean(7, min_samples=2).alias("change_7d"),
        change.rolling_median(90, min_samples=20).alias("median_change_90d"),
        _below_full(known, dam) if dam.full_supply else level.alias("level"),
    ]
    if dam.storage_curves and dam.target.variable == "reservoir_level":
        # Rise of the level per volume of water. Only trees use it: on a dam whose level left the training range, the
        # products increased the error of linear models by 17% at 3 and 7 days and reduced that of trees by up to 2%.
        rise = change_per_flow(known, dam)
        series.append(rise.alias("rise_per_flow"))
        if "rain_api" in frame.columns:
            series += [(frame[name] * rise).alias(f"{name}_rise") for name in ("rain_api", "rain_3d_api")]
    if "rain_lag0" in frame.columns:
        rain = frame["rain_lag0"]
        series += [rain.rolling_sum(days, min_samples=round(0.7 * days)).alias(f"rain_{days}d") for days in (7, 14, 30)]
    for gauge in dam.gauges:
        if gauge.role in ("stream", "inflow"):
            flow = known[gauge.column]
            series += [
                flow.diff(3).alias(f"{gauge.column}_rise_3d"),
                (flow - flow.rolling_mean(30, min_samples=10)).alias(f"{gauge.column}_anomaly_30d"),
            ]
    return [column.alias(f"{CONTEXT}{column.name}") for column in series]


def _below_full(known: pl.DataFrame, dam: Dam) -> pl.Series:
    """Distance below full supply as a multiple of `near_full_margin`, clipped to −2 … 20."""
    assert dam.full_supply is not None
    below = dam.full_supply.on(known["date"]) - known[dam.target.variable]
    return (below / near_full_margin(dam, known["date"])).clip(-2, 20).alias("below_full")


def _balance(known: pl.DataFrame, dam: Dam) -> list[pl.Series]:
    """Change of the target per day that the gauged flows imply, and its observed change; empty without a flow gauge.

    balance_inflow, balance_release: the day's flow as a change of the target per day, in the target's unit; in ML per
    day for a level without a storage curve and for a share of volume. balance_expected: the change to this day that
    the flows imply, half of it from the day before, because daily means lie half a day back. balance_change: the
    observed change. …_10d: medians of the last 10 days; those of expected and change use the days that have both.
    """
    if not dam.columns("inflow", "release"):
        return []
    sources = {"inflow": dam.columns("inflow") or dam.columns("upstream_release"), "release": dam.columns("release")}
    arrived = ((g.column, _days_upstream(g, dam)) for g in dam.gauges)
    known = known.with_columns(_delayed(known[column], days).alias(column) for column, days in arrived if days)
    per_flow = change_per_flow(known, dam)
    # The sum of some of the gauges is not the inflow: it is null unless all report.
    flows = {
        role: known.select(row_sum(columns).alias(role)).to_series() * per_flow
        for role, columns in sources.items()
        if columns
    }
    nothing = pl.Series([0.0]).new_from_index(0, len(known))
    net = flows.get("inflow", nothing) - flows.get("release", nothing)
    pair = pl.DataFrame({"expected": (net + net.shift(1)) / 2, "change": known[dam.target.variable].diff()})
    both = pair.with_columns(pl.when(pl.all_horizontal(pl.all().is_not_null())).then(pl.all()))
    daily = pl.DataFrame(flows).with_columns(pair)
    medians = {f"{c.name}_10d": _recent_median(c) for c in (*pl.DataFrame(flows), *both)}
    return [column.alias(f"{BALANCE}{column.name}") for column in daily.with_columns(**medians)]


def _recent_median(column: pl.Series) -> pl.Series:
    return column.rolling_median(BALANCE_DAYS, min_samples=BALANCE_DAYS // 2)


def change_per_flow(known: pl.DataFrame, dam: Dam) -> pl.Series:
    """Change of the target (its unit per day) by 1 m³/s; ML per day where volume and target cannot be compared."""
    volume = VARIABLES["storage"]
    ml = pl.Series([DAY_S / 1000]).new_from_index(0, len(known))
    target = known[dam.target.variable].cast(pl.Float64)
    if dam.target.variable == "storage":
        return ml / volume.conversion(dam.target.unit)[0]
    if dam.target.variable == "storage_percent" or not dam.storage_curves:
        return ml
    per_ml = pl.Series([None], dtype=pl.Float64).new_from_index(0, len(known))
    starts = sorted({c.valid_from or date.min for c in dam.storage_curves})
    level = VARIABLES["reservoir_level"]
    unit_m = level.conversion(dam.target.unit)[0]
    for start in starts:
        curve = curve_on(dam.storage_curves, start)
        curve_m, curve_ml = level.conversion(curve.level_unit)[0], volume.conversion(curve.storage_unit)[0]
        rise = curve.rise_per_storage(target * unit_m / curve_m) * curve_m / unit_m / curve_ml
        per_ml = rise.zip_with(known["date"] >= start, per_ml)
    return ml * per_ml


def catchment_rain(daily: pl.DataFrame, dam: Dam) -> pl.Series:
    """Mean daily rain (mm) of the gauges that report; null where none does."""
    return daily.select(row_mean(dam.columns("rainfall")).alias("rain")).to_series()


def antecedent_precipitation_index(rain: pl.Series) -> pl.Series:
    """API(d) = 0.9 · API(d − 1) + rain(d), in mm, from 0 before the first day (Kohler and Linsley, 1951).

    On a day without any rain reading, the mean of all days before replaces it: one missing day must not erase the
    index, which sums the rain of many days.
    """
    mean_so_far = rain.fill_null(0.0).cum_sum() / rain.is_not_null().cum_sum()
    filled = rain.fill_null(mean_so_far).fill_nan(None).fill_null(0.0)
    from_nothing = pl.concat([pl.Series([0.0]), filled.rename("")])  # ewm_mean starts at the first value itself
    return from_nothing.ewm_mean(alpha=1 - API_DECAY, adjust=False)[1:] / (1 - API_DECAY)
