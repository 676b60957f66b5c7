"""Inputs from forcings: values forecast or planned for the days after the init date, one table per lead time.

Forcings differ from gauges in two ways. Their values are valid on days after day d, so row d uses only values *issued*
by the time of the forecast, never observed values. And the inputs depend on the lead time: the rain of the next h
days, the planned change of storage over h days. An input is null if any of its days has no issued value. Nothing
replaces it: models learn from the days on which it is null.

The time of a forecast is the end of day d, or the clock time at which the level of day d is read (`known_by`). A level
that is read at 08:00 is forecast at 08:00, and a weather run of that day that is available at noon comes too late.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.dams.local_time import to_utc
from forebay.features.inputs import AHEAD, BALANCE, FORCING, catchment_rain, change_per_flow
from forebay.features.row_sums import row_sum
from forebay.tables import FORCINGS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.forcing import Forcing

Floats = NDArray[np.float64]
RAIN_DAYS = (1, 2, 3, 5)
"""Numbers of days over which forecast rain is summed, in addition to the whole lead time."""
_SIGN = {"release": -1.0, "transfer": 1.0, "upstream_release": 1.0}


def known_by(dates: pl.Series, dam: Dam) -> pl.Series:
    """Instant (UTC) by which an issue must be available, for each init date: `Dam.known_by` of a column."""
    instant = to_utc(pl.col("date").cast(pl.Datetime("us")) + dam.known_by_clock, dam.time_zone)
    return pl.DataFrame({"date": dates}).select(instant).to_series()


def newest_issues(table: pl.DataFrame, dam: Dam, dates: pl.Series, days: Sequence[int]) -> pl.DataFrame:
    """The newest value that was issued for each valid day by the time of each init date's forecast.

    Parameters
    ----------
    table
        `tables.FORCINGS`.
    dates
        Init dates.
    days
        Days from the init date to the valid dates; negative before the init date.

    Returns
    -------
    DataFrame
        forcing, init_date, day, valid_date, value, issue_time: a row per series of a forcing (`Forcing.series`) and day
        with a value, from the newest issue known then that has the day. A day that an issue omits keeps the value of
        the issue before, unless that is older than the forcing's `max_age_h`.
    """
    inits = pl.DataFrame({"init_date": dates, "init_time": known_by(dates, dam)})
    ages = {name: forcing.max_age_h for forcing in dam.forcings for name in forcing.series}
    series = pl.DataFrame(
        {"forcing": list(ages), "max_age_h": list(ages.values())}, {"forcing": pl.String, "max_age_h": pl.Float64}
    )
    valid_days = (
        inits.join(pl.DataFrame({"day": pl.Series(days, dtype=pl.Int64)}), how="cross")
        .join(series, how="cross")
        .with_columns((pl.col("init_date") + pl.duration(days="day")).alias("valid_date"))
    )
    newest = valid_days.sort("init_time").join_asof(
        FORCINGS.check(table).sort("known_time", "issue_time"),
        left_on="init_time",
        right_on="known_time",
        by=["forcing", "valid_date"],
        strategy="backward",
        check_sortedness=False,
    )
    age_h = (pl.col("init_time") - pl.col("issue_time")).dt.total_seconds() / 3600
    is_current = pl.col("max_age_h").is_null() | (age_h < pl.col("max_age_h"))
    return newest.filter(pl.col("value").is_not_null(), is_current).select(
        "forcing", "init_date", "day", "valid_date", "value", "issue_time"
    )


def forcing_inputs(
    table: pl.DataFrame, dam: Dam, inputs: pl.DataFrame, level: Floats, leads: Sequence[int]
) -> dict[int, pl.DataFrame]:
    """Lead time → inputs from the dam's forcings, one row per row of `inputs`; empty without forcings.

    forcing_ID_1d … _5d, _lead: rain forecast for tomorrow, for the next 2, 3, 5 days and for the lead time (mm): rain
    of the last days may not arrive within the lead. …_api: the same times today's wetness index. For plans of flows:
    …_lead, the change of the target that they cause over the lead; …_step, the difference from the change if today's
    flow continued. balance_release_ahead, where a release is also gauged: the planned release as a mean change of the
    target per day; no model uses it yet. balance_ahead_ID_mean, …_q10 and so on, …_spread: the forecast inflow over
    the lead as a mean change of the target per day, its quantiles (sums of the days' quantiles), and q90 − q10.

    Parameters
    ----------
    table
        `tables.FORCINGS`.
    inputs
        `build_inputs` with `date`, one row per consecutive day.
    level
        The target on each day as known then; NaN where missing. It gives the change that a flow causes.
    """
    if not dam.forcings:
        return {}
    dates = inputs["date"]
    days_before = max(math.ceil(forcing.travel_time_h / 24) for forcing in dam.forcings)
    issued = newest_issues(table, dam, dates, range(-days_before, max(leads) + 1))
    arriving = {
        forcing: _arriving(issued.filter(pl.col("forcing") == forcing.id), forcing, dates, max(leads))
        for forcing in dam.forcings
    }
    known = pl.DataFrame({"date": dates, dam.target.variable: pl.Series(level, nan_to_null=True)})
    per_flow = change_per_flow(known, dam).to_numpy().astype(float)
    releases = [daily for forcing, daily in arriving.items() if forcing.kind == "release"]
    today_share = share_of_today(dam)
    by_lead = {}
    for lead in leads:
        columns: dict[str, Floats] = {}
        for forcing, daily in arriving.items():
            if forcing.kind == "rain":
                columns |= rain_inputs(daily[:, 1:], forcing, inputs, lead)
            elif forcing.kind == "inflow":
                columns |= _inflow(_of_series(issued, forcing, dates, max(leads)), forcing, per_flow, lead)
            else:
                columns |= _flow(daily, forcing, per_flow, today_share, lead)
        if releases and dam.columns("release"):
            release = flow_sum(np.sum(releases, axis=0), today_share, lead)
            columns[f"{BALANCE}release_ahead"] = per_flow * release / lead
        by_lead[lead] = pl.DataFrame({name: pl.Series(column, nan_to_null=True) for name, column in columns.items()})
    return by_lead


def days_with_forecasts(inputs: pl.DataFrame) -> NDArray[np.bool_]:
    """Whether every forcing has a value for each day up to the lead time, shape (n,).

    Parameters
    ----------
    inputs
        Those of `forcing_inputs` at the lead time.
    """
    names = [name for name in inputs.columns if name.startswith(AHEAD) or name.endswith("_lead")]
    return np.asarray(inputs.select(pl.all_horizontal(pl.col(names).is_not_null())).to_series().to_numpy())


def perfect_forecasts(table: pl.DataFrame, newest: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """`table` (`tables.FORCINGS`) with observed values in place of the forecast ones, in the same issues.

    A diagnostic, which no forecast may use. Rain is that of the rain gauges, inflow that of the inflow gauges, a
    release that of the release gauges. Without an inflow gauge, the inflow of a storage or of a level with a curve is
    its change plus the release. What no gauge shows has the value of the last issue that has its day. A day without an
    observed value has none, and its issues have none for it.

    Parameters
    ----------
    newest
        Daily table of usable values.
    """
    parts = [FORCINGS.empty()]
    for forcing in dam.forcings:
        rows = table.filter(pl.col("forcing").is_in(list(forcing.series)))
        values = observed_values(newest, forcing, dam)
        if values is None:
            last = rows.filter(pl.col("value").is_not_null()).sort("known_time", "issue_time")
            truth = last.unique(["forcing", "valid_date"], keep="last").select("forcing", "valid_date", truth="value")
            rows = rows.join(truth, on=["forcing", "valid_date"], how="left")
        else:
            truth = pl.DataFrame({"valid_date": newest["date"], "truth": values})
            rows = rows.join(truth, on="valid_date", how="left")
        parts.append(rows.with_columns(value=pl.when(pl.col("value").is_not_null()).then("truth")).drop("truth"))
    return FORCINGS.check(pl.concat(parts))


def observed_values(newest: pl.DataFrame, forcing: Forcing, dam: Dam) -> pl.Series | None:
    """Observed daily values of what a forcing forecasts, in its canonical unit; None if no gauge shows them."""

    def total(role: str) -> pl.Series:
        return newest.select(row_sum(dam.columns(role)).alias(role)).to_series()

    if forcing.kind == "rain" and dam.columns("rainfall"):
        return catchment_rain(newest, dam).cast(pl.Float64)
    if forcing.kind in ("inflow", "release") and dam.columns(forcing.kind):
        return total(forcing.kind)
    if forcing.kind == "inflow" and dam.columns("release") and dam.has_volume:
        return newest[dam.target.variable].cast(pl.Float64).diff() / change_per_flow(newest, dam) + total("release")
    return None


def _of_series(issued: pl.DataFrame, forcing: Forcing, dates: pl.Series, latest: int) -> dict[str, Floats]:
    """"mean" or quantile → the values issued for today and each later day, as `_arriving` returns them."""
    return {
        statistic: _arriving(issued.filter(pl.col("forcing") == name), forcing, dates, latest)
        for name, statistic in forcing.series.items()
    }


def _inflow(daily: Mapping[str, Floats], forcing: Forcing, per_flow: Floats, lead: int) -> dict[str, Floats]:
    """Mean change of the target per day over the lead that the forecast inflow causes: mean, quantiles and spread."""
    name = f"{AHEAD}{forcing.id}"
    changes = {s: per_flow * values[:, 1 : lead + 1].sum(axis=1) / lead for s, values in daily.items()}
    columns = {f"{name}_{statistic}": change for statistic, change in changes.items()}
    if "q10" in changes and "q90" in changes:
        columns[f"{name}_spread"] = changes["q90"] - changes["q10"]
    return columns


def _arriving(issued: pl.DataFrame, forcing: Forcing, dates: pl.Series, latest: int) -> Floats:
    """The values `issued` for today and each of the `latest` days after it, shape (n, latest + 1); NaN where none.

    Water released upstream arrives after its travel time. A travel time that is no whole number of days splits a
    release between two days.
    """
    travel = forcing.travel_time_h / 24
    days_before, whole = math.ceil(travel), int(travel)
    issues = issued.filter(pl.col("day") >= -days_before)
    values = np.full((len(dates), days_before + latest + 1), np.nan)
    row = (issues["init_date"] - dates[0]).dt.total_days().to_numpy()
    values[row, issues["day"].to_numpy() + days_before] = issues["value"].to_numpy()
    later_share = travel - whole
    if later_share == 0:
        return values[:, : latest + 1]
    return (1 - later_share) * values[:, 1:] + later_share * values[:, :-1]


def rain_inputs(daily: Floats, forcing: Forcing, inputs: pl.DataFrame, lead: int) -> dict[str, Floats]:
    """Sums of the rain forecast from tomorrow on, alone and times the wetness index; NaN if a day has no value.

    Parameters
    ----------
    daily
        Rain of tomorrow and of each later day, mm, shape (n, days).
    """
    name = f"{FORCING}{forcing.id}"
    days = {f"{count}d": count for count in RAIN_DAYS if count < lead} | {"lead": lead}
    sums = {f"{name}_{period}": daily[:, :count].sum(axis=1) for period, count in days.items()}
    if "api" not in inputs.columns:
        return sums
    wetness = inputs["api"].to_numpy().astype(float)
    return sums | {f"{column}_api": rain * wetness for column, rain in sums.items()}


def _flow(daily: Floats, forcing: Forcing, per_flow: Floats, today_share: float, lead: int) -> dict[str, Floats]:
    """Change of the target over the lead from a planned flow: in total, and minus that of today's flow continued."""
    name, change = f"{FORCING}{forcing.id}", _SIGN[forcing.kind] * per_flow
    return {
        f"{name}_lead": change * daily[:, 1 : lead + 1].sum(axis=1),
        f"{name}_step": change * (flow_sum(daily, today_share, lead) - lead * daily[:, 0]),
    }


def flow_sum(daily: Floats, today_share: float, lead: int) -> Floats:
    """Sum of daily flows between today's level and that of `lead` days later; of today's flow the `today_share`."""
    return np.asarray((today_share * daily[:, :lead] + (1 - today_share) * daily[:, 1 : lead + 1]).sum(axis=1))


def share_of_today(dam: Dam) -> float:
    """Share of a day's flow that comes after the reading of the day's level; one half if the level is a daily mean."""
    read_at = dam.target_gauge.reading_at
    return 0.5 if read_at is None else 1 - (read_at.hour + read_at.minute / 60) / 24
