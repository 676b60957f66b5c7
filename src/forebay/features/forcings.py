"""Inputs from forcings: values forecast or planned for the days after the init date, one table per lead time.

Forcings differ from gauges in two ways. Their values are valid on days after day d, so row d uses only values *issued*
by the end of day d, never observed values. And the inputs depend on the lead time: the rain of the next h days, the
planned change of storage over h days. An input is null if any of its days has no issued value. Nothing replaces it:
models learn from the days on which it is null.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.dams.forcing import Forcing
from forebay.dams.local_time import to_utc
from forebay.features.inputs import BALANCE, FORCING, catchment_rain, change_per_flow
from forebay.tables import FORCINGS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

Floats = NDArray[np.float64]
RAIN_DAYS = (1, 2, 3, 5)
"""Numbers of days over which forecast rain is summed, in addition to the whole lead time."""
PERFECT_RAIN = Forcing(kind="rain", id="perfect_rain", name="observed rain of later days", unit="mm")
_SIGN = {"release": -1.0, "transfer": 1.0, "upstream_release": 1.0}


def newest_issues(table: pl.DataFrame, dam: Dam, dates: pl.Series, days: Sequence[int]) -> pl.DataFrame:
    """The newest value that was issued for each valid day by the end of each init date.

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
        forcing, init_date, day, valid_date, value, issue_time: a row per forcing and day with a value, from the newest
        issue known at init that has the day. A day that an issue omits keeps the value of the issue before.
    """
    inits = pl.DataFrame({"init_date": dates}).with_columns(
        to_utc(pl.col("init_date").cast(pl.Datetime("us")) + timedelta(days=1), dam.time_zone).alias("init_time")
    )
    valid_days = (
        inits.join(pl.DataFrame({"day": pl.Series(days, dtype=pl.Int64)}), how="cross")
        .join(pl.DataFrame({"forcing": [forcing.id for forcing in dam.forcings]}, {"forcing": pl.String}), how="cross")
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
    return newest.filter(pl.col("value").is_not_null()).select(
        "forcing", "init_date", "day", "valid_date", "value", "issue_time"
    )


def forcing_inputs(
    table: pl.DataFrame, dam: Dam, inputs: pl.DataFrame, level: Floats, leads: Sequence[int]
) -> dict[int, pl.DataFrame]:
    """Lead time → inputs from the dam's forcings, one row per row of `inputs`; empty without forcings.

    forcing_ID_1d … _5d, _lead: rain forecast for tomorrow, for the next 2, 3, 5 days and for the lead time (mm): rain
    of the last days may not arrive within the lead. …_api: the same times today's wetness index. For flows: …_lead, the
    change of the target that they cause over the lead; …_step, the difference from the change if today's flow
    continued. balance_release_ahead, where a release is also gauged: the planned release as a mean change of the target
    per day; no model uses it yet.

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
    arriving = {forcing: _arriving(issued, forcing, dates, max(leads)) for forcing in dam.forcings}
    known = pl.DataFrame({"date": dates, dam.target.variable: pl.Series(level, nan_to_null=True)})
    per_flow = change_per_flow(known, dam).to_numpy().astype(float)
    releases = [daily for forcing, daily in arriving.items() if forcing.kind == "release"]
    today_share = _share_of_today(dam)
    by_lead = {}
    for lead in leads:
        columns: dict[str, Floats] = {}
        for forcing, daily in arriving.items():
            if forcing.kind == "rain":
                columns |= _rain(daily[:, 1:], forcing, inputs, lead)
            else:
                columns |= _flow(daily, forcing, per_flow, today_share, lead)
        if releases and dam.columns("release"):
            release = _flow_sum(np.sum(releases, axis=0), today_share, lead)
            columns[f"{BALANCE}release_ahead"] = per_flow * release / lead
        by_lead[lead] = pl.DataFrame({name: pl.Series(column, nan_to_null=True) for name, column in columns.items()})
    return by_lead


def perfect_rain(newest: pl.DataFrame, dam: Dam, latest: int) -> tuple[Dam, pl.DataFrame]:
    """The dam with the observed rain of later days as a rain forecast, and its `tables.FORCINGS`.

    A diagnostic, which no forecast may use.

    Parameters
    ----------
    newest
        Daily table of usable values.
    latest
        The longest lead time, in days.
    """
    issues = newest.select(
        pl.lit(PERFECT_RAIN.id).alias("forcing"),
        *(
            (to_utc(pl.col("date").cast(pl.Datetime("us")), dam.time_zone) - timedelta(days=latest + 2)).alias(name)
            for name in ("issue_time", "known_time")
        ),
        pl.col("date").alias("valid_date"),
        catchment_rain(newest, dam).cast(pl.Float64).alias("value"),
    )
    return dam.model_copy(update={"forcings": (*dam.forcings, PERFECT_RAIN)}), FORCINGS.check(issues)


def _arriving(issued: pl.DataFrame, forcing: Forcing, dates: pl.Series, latest: int) -> Floats:
    """The values issued for today and each of the `latest` days after it, shape (n, latest + 1); NaN where none.

    Water released upstream arrives after its travel time. A travel time that is no whole number of days splits a
    release between two days.
    """
    travel = forcing.travel_time_h / 24
    days_before, whole = math.ceil(travel), int(travel)
    issues = issued.filter(pl.col("forcing") == forcing.id, pl.col("day") >= -days_before)
    values = np.full((len(dates), days_before + latest + 1), np.nan)
    row = (issues["init_date"] - dates[0]).dt.total_days().to_numpy()
    values[row, issues["day"].to_numpy() + days_before] = issues["value"].to_numpy()
    later_share = travel - whole
    if later_share == 0:
        return values[:, : latest + 1]
    return (1 - later_share) * values[:, 1:] + later_share * values[:, :-1]


def _rain(daily: Floats, forcing: Forcing, inputs: pl.DataFrame, lead: int) -> dict[str, Floats]:
    """Sums of the rain forecast from tomorrow on, alone and times the wetness index; NaN if a day has no value."""
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
        f"{name}_step": change * (_flow_sum(daily, today_share, lead) - lead * daily[:, 0]),
    }


def _flow_sum(daily: Floats, today_share: float, lead: int) -> Floats:
    """Sum of daily flows between today's level and that of `lead` days later; of today's flow the `today_share`."""
    return np.asarray((today_share * daily[:, :lead] + (1 - today_share) * daily[:, 1 : lead + 1]).sum(axis=1))


def _share_of_today(dam: Dam) -> float:
    """Share of a day's flow that comes after the reading of the day's level; one half if the level is a daily mean."""
    read_at = dam.target_gauge.reading_at
    return 0.5 if read_at is None else 1 - (read_at.hour + read_at.minute / 60) / 24
