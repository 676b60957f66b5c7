"""Inputs that tell of the days to come: what had been forecast or planned by the init time, per lead time.

They enter by a door of their own because they differ from gauges in two ways. A row of day d speaks of days after d; so
it may use only what had been *issued* by the end of day d, never what came. And what it says depends on the lead time:
the rain of the next h days, the planned change of storage over h days. Where nothing had been issued, or not of all the
days, the input is null: models learn what its absence is worth, and nothing is put in its place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.dams.dam import Dam
from forebay.dams.forcing import Forcing
from forebay.dams.local_time import to_utc
from forebay.features.inputs import BALANCE, FORCING, catchment_rain, change_per_flow
from forebay.tables import FORCINGS

Floats = NDArray[np.float64]
RAIN_DAYS = (1, 2, 3, 5)
"""Sums of forecast rain over so many days stand beside that of the whole lead."""
PERFECT = Forcing(kind="rain", id="perfect_rain", name="rain that nobody could know", unit="mm")
_SIGN = {"release": -1.0, "transfer": 1.0, "upstream_release": 1.0}


def newest_issues(table: pl.DataFrame, dam: Dam, dates: pl.Series, days: Sequence[int]) -> pl.DataFrame:
    """What had last been said, by the end of each init date, of the days around it.

    Parameters
    ----------
    table
        `tables.FORCINGS`.
    dates
        Init dates.
    days
        Days from the init date to the valid dates asked of, negative for days before it.

    Returns
    -------
    DataFrame
        forcing, init_date, day, valid_date, value, issue_time: a row for each that was said anything of; of several
        issues the newest that could be had. What an issue does not mention stands as it was said before.
    """
    inits = pl.DataFrame({"init_date": dates}).with_columns(
        to_utc(pl.col("init_date").cast(pl.Datetime("us")) + timedelta(days=1), dam.time_zone).alias("init_time")
    )
    asked = (
        inits.join(pl.DataFrame({"day": pl.Series(days, dtype=pl.Int64)}), how="cross")
        .join(pl.DataFrame({"forcing": [forcing.id for forcing in dam.forcings]}, {"forcing": pl.String}), how="cross")
        .with_columns((pl.col("init_date") + pl.duration(days="day")).alias("valid_date"))
    )
    found = asked.sort("init_time").join_asof(
        FORCINGS.check(table).sort("known_time", "issue_time"),
        left_on="init_time",
        right_on="known_time",
        by=["forcing", "valid_date"],
        strategy="backward",
        check_sortedness=False,
    )
    return found.filter(pl.col("value").is_not_null()).select(
        "forcing", "init_date", "day", "valid_date", "value", "issue_time"
    )


def ahead(
    table: pl.DataFrame, dam: Dam, inputs: pl.DataFrame, level: Floats, leads: Sequence[int]
) -> dict[int, pl.DataFrame]:
    """Lead time → inputs that the dam's forcings give, a row per row of `inputs`; empty without forcings.

    forcing_ID_1d … _5d, _lead: rain forecast for tomorrow, for the next 2, 3, 5 days and for the lead (mm), since late
    rain has not come down by then; …_api: the same times the wetness of today. Of flows: …_lead, the change of the
    target that they make over the lead, and …_step, how much that is more than if today's flow went on.
    balance_release_ahead: planned release, as the balance takes it, where a release is also gauged.

    Parameters
    ----------
    inputs
        As `build_inputs` gives them, with `date`, one row per consecutive day.
    level
        The target on each day as known then; NaN where missing. It says what a flow does to the level.
    """
    if not dam.forcings:
        return {}
    dates = inputs["date"]
    back = max(math.ceil(forcing.travel_time_h / 24) for forcing in dam.forcings)
    issued = newest_issues(table, dam, dates, range(-back, max(leads) + 1))
    arriving = {forcing: _arriving(issued, forcing, dates, max(leads)) for forcing in dam.forcings}
    known = pl.DataFrame({"date": dates, dam.target.variable: pl.Series(level, nan_to_null=True)})
    per_flow = change_per_flow(known, dam).to_numpy().astype(float)
    planned = [daily for forcing, daily in arriving.items() if forcing.kind == "release"]
    today = _share_of_today(dam)
    made = {}
    for lead in leads:
        columns: dict[str, Floats] = {}
        for forcing, daily in arriving.items():
            if forcing.kind == "rain":
                columns |= _rain(daily[:, 1:], forcing, inputs, lead)
            else:
                columns |= _flow(daily, forcing, per_flow, today, lead)
        if planned and dam.columns("release"):
            columns[f"{BALANCE}release_ahead"] = per_flow * _over(np.sum(planned, axis=0), today, lead) / lead
        made[lead] = pl.DataFrame({name: pl.Series(column, nan_to_null=True) for name, column in columns.items()})
    return made


def perfect_rain(newest: pl.DataFrame, dam: Dam, latest: int) -> tuple[Dam, pl.DataFrame]:
    """The dam with, for a rain forecast, the rain that then fell: a diagnostic, which no forecast may use.

    Parameters
    ----------
    newest
        Daily frame of usable values.
    latest
        The longest lead time, in days.
    """
    told = newest.select(
        pl.lit(PERFECT.id).alias("forcing"),
        *(
            (to_utc(pl.col("date").cast(pl.Datetime("us")), dam.time_zone) - timedelta(days=latest + 2)).alias(name)
            for name in ("issue_time", "known_time")
        ),
        pl.col("date").alias("valid_date"),
        catchment_rain(newest, dam).cast(pl.Float64).alias("value"),
    )
    return dam.model_copy(update={"forcings": (*dam.forcings, PERFECT)}), FORCINGS.check(told)


def _arriving(issued: pl.DataFrame, forcing: Forcing, dates: pl.Series, latest: int) -> Floats:
    """What was said to come today and on each of the `latest` days after it, shape (n, latest + 1); NaN where nothing.

    Water released upstream comes later than it is released, shared between two days where its travel takes no whole
    number of them.
    """
    travel = forcing.travel_time_h / 24
    back, whole = math.ceil(travel), int(travel)
    own = issued.filter(pl.col("forcing") == forcing.id, pl.col("day") >= -back)
    said = np.full((len(dates), back + latest + 1), np.nan)
    row = (own["init_date"] - dates[0]).dt.total_days().to_numpy()
    said[row, own["day"].to_numpy() + back] = own["value"].to_numpy()
    share = travel - whole
    if share == 0:
        return said[:, : latest + 1]
    return (1 - share) * said[:, 1:] + share * said[:, :-1]


def _rain(daily: Floats, forcing: Forcing, inputs: pl.DataFrame, lead: int) -> dict[str, Floats]:
    """Sums of the rain forecast for the days from tomorrow on; NaN unless all of them are told."""
    name = f"{FORCING}{forcing.id}"
    spans = {f"{days}d": days for days in RAIN_DAYS if days < lead} | {"lead": lead}
    made = {f"{name}_{span}": daily[:, :days].sum(axis=1) for span, days in spans.items()}
    if "api" in inputs.columns:
        wetness = inputs["api"].to_numpy().astype(float)
        made |= {f"{column}_api": rain * wetness for column, rain in made.items()}
    return made


def _flow(daily: Floats, forcing: Forcing, per_flow: Floats, today: float, lead: int) -> dict[str, Floats]:
    """What a planned flow makes of the target over the lead, in all and beyond what today's would."""
    name, makes = f"{FORCING}{forcing.id}", _SIGN[forcing.kind] * per_flow
    return {
        f"{name}_lead": makes * daily[:, 1 : lead + 1].sum(axis=1),
        f"{name}_step": makes * (_over(daily, today, lead) - lead * daily[:, 0]),
    }


def _over(daily: Floats, today: float, lead: int) -> Floats:
    """Sum of daily flows between the levels of today and of `lead` days later, of today's flow the share `today`."""
    return np.asarray((today * daily[:, :lead] + (1 - today) * daily[:, 1 : lead + 1]).sum(axis=1))


def _share_of_today(dam: Dam) -> float:
    """Share of a day's flow that comes after the day's level: half of it where the level is the day's mean."""
    read_at = dam.target_gauge.reading_at
    return 0.5 if read_at is None else 1 - (read_at.hour + read_at.minute / 60) / 24
