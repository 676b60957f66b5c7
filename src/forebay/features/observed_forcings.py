"""A check of forcings: values of a file that are issued ahead must not be the observations of their days.

A file of forecasts often has a column of what was observed afterwards. A hindcast with such a column as a forecast has
an impossible skill, and today's forecast does not have it. The check reads the record up to the init date. It refuses
such a forcing and changes no value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.forcing import RELATIVE
from forebay.dams.local_time import to_local, to_utc
from forebay.errors import DataError
from forebay.features.forcings import observed_values

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.forcing import Forcing

MAX_SHARE = 0.05
"""Median difference from the observation, as a share of its median change from day to day, below which a forecast is
the observation. At Folsom the observed column has .03 and the forecast of the next day 1.4."""
MIN_DAYS = 30
"""Minimum number of compared days."""
KINDS = ("rain", "inflow")
"""Kinds that are compared. An operator can follow a plan of releases exactly."""


def check_forcings(table: pl.DataFrame, daily: pl.DataFrame, dam: Dam) -> None:
    """Raise a `DataError` if the values of a forcing are the observations of their days.

    Parameters
    ----------
    table
        `tables.FORCINGS`.
    daily
        Daily table of usable values, one row per consecutive day.
    """
    for forcing in dam.forcings:
        shares = observed_shares(table, daily, forcing, dam)
        observed = shares.filter(pl.col("share") < MAX_SHARE)
        if observed.height:
            series, ahead, days, share = observed.row(0)
            raise DataError(
                f"{dam.name}: the values of forcing {series!r} for day {ahead} after the issue are the observed "
                f"{forcing.variable.title.lower()} of that day (median difference {share:.1%} of its change from day "
                f"to day, on {days:,} days); never use an observation as a forecast: name the column of the forecast "
                "in the dam file, or delete the forcing"
            )


def observed_shares(table: pl.DataFrame, daily: pl.DataFrame, forcing: Forcing, dam: Dam) -> pl.DataFrame:
    """series, ahead, days, share: difference of a forcing's values from the observations, by days after the issue.

    The share is median |value − observation| / median |observation − that of the day before|. Only values that are
    known before their day begins are compared, on days whose observation is not zero and differs from the day before.
    No row where fewer than `MIN_DAYS` days can be compared, or no gauge shows what the forcing forecasts.
    """
    empty = pl.DataFrame(schema={"series": pl.String, "ahead": pl.Int64, "days": pl.Int64, "share": pl.Float64})
    truth = observed_values(daily, forcing, dam) if forcing.kind in KINDS and forcing.unit != RELATIVE else None
    if truth is None:
        return empty
    observed = pl.DataFrame({"valid_date": daily["date"], "truth": truth}).with_columns(
        (pl.col("truth") - pl.col("truth").shift(1)).abs().alias("change")
    )
    day_start = to_utc(pl.col("valid_date").cast(pl.Datetime("us")), dam.time_zone)
    issue_date = to_local(pl.col("issue_time"), dam.time_zone).dt.date()
    is_ahead = pl.col("forcing").is_in(list(forcing.series)) & (pl.col("known_time") <= day_start)
    ahead = table.filter(is_ahead).with_columns(
        (pl.col("valid_date") - issue_date).dt.total_days().alias("ahead")
    )
    compared = ahead.join(observed, on="valid_date").filter(
        pl.col("value").is_finite(), pl.col("truth") != 0, pl.col("change") > 0
    )
    by_ahead = compared.group_by(pl.col("forcing").alias("series"), "ahead").agg(
        pl.col("valid_date").n_unique().cast(pl.Int64).alias("days"),
        ((pl.col("value") - pl.col("truth")).abs().median() / pl.col("change").median()).alias("share"),
    )
    return pl.concat([empty, by_ahead.filter(pl.col("days") >= MIN_DAYS).sort("series", "ahead")])
