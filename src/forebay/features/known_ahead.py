"""Values of later days as forcings that are known ahead: a diagnostic, and what scenarios learn from.

No forecast may use them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.forcing import Forcing
from forebay.dams.local_time import to_utc
from forebay.features.forcings import observed_values
from forebay.features.inputs import CONTEXT, FORCING, catchment_rain
from forebay.tables import FORCINGS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

PERFECT_RAIN = Forcing(kind="rain", id="perfect_rain", name="observed rain of later days", unit="mm")
RAIN_AHEAD = f"{FORCING}{PERFECT_RAIN.id}_"
"""Prefix of the names of inputs from `PERFECT_RAIN`."""
KNOWN_RELEASE = Forcing(kind="release", id="known_release", name="observed release of later days", unit="m3/s")
RELEASE_AHEAD = f"{FORCING}{KNOWN_RELEASE.id}_"
"""Prefix of the names of inputs from `KNOWN_RELEASE`."""
RELEASE_STEP = f"{RELEASE_AHEAD}step"
"""Change of the target over the lead time by the difference of `KNOWN_RELEASE` from today's release."""


def is_past_rain(name: str) -> bool:
    """Whether an input comes from the rain of past days alone, or from a product with it: the catchment's wetness."""
    plain = name.removeprefix(CONTEXT)
    return plain == "api" or plain.startswith("rain_")


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
    rain = catchment_rain(newest, dam).cast(pl.Float64)
    issues = _known_ahead(PERFECT_RAIN, newest["date"], rain, dam, latest)
    return dam.model_copy(update={"forcings": (*dam.forcings, PERFECT_RAIN)}), issues


def known_ahead(
    newest: pl.DataFrame, dam: Dam, latest: int, *, planned_release: bool
) -> tuple[Dam, pl.DataFrame]:
    """The dam of scenarios and `tables.FORCINGS` of its known rain, with `planned_release` also of its known release.

    Forecasts of rain and inflow are no forcings of this dam, because a scenario replaces them. Neither is a planned
    release that the scenario gives.

    Parameters
    ----------
    newest, latest
        As in `perfect_rain`.
    """
    replaced = ("rain", "inflow", "release") if planned_release else ("rain", "inflow")
    unchanged = tuple(forcing for forcing in dam.forcings if forcing.kind not in replaced)
    dam, issues = perfect_rain(newest, dam.model_copy(update={"forcings": unchanged}), latest)
    if not planned_release:
        return dam, issues
    release = observed_values(newest, KNOWN_RELEASE, dam)
    assert release is not None
    releases = _known_ahead(KNOWN_RELEASE, newest["date"], release, dam, latest)
    return dam.model_copy(update={"forcings": (*dam.forcings, KNOWN_RELEASE)}), pl.concat([issues, releases])


def _known_ahead(forcing: Forcing, dates: pl.Series, values: pl.Series, dam: Dam, latest: int) -> pl.DataFrame:
    """`tables.FORCINGS` of daily values that are known before all init times that they are valid for."""
    day = to_utc(pl.col("valid_date").cast(pl.Datetime("us")), dam.time_zone)
    issued = day - timedelta(days=latest + 2)
    table = pl.DataFrame({"valid_date": dates, "value": values})
    return FORCINGS.check(
        table.select(pl.lit(forcing.id).alias("forcing"), issued.alias("issue_time"), issued.alias("known_time"),
                     "valid_date", "value")
    )  # fmt: skip
