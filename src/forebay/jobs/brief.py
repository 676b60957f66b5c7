"""The brief job: a forecast as one page for the operator, with the path of the level without further rain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.errors import ForebayError
from forebay.forecasts.analogs import find_analogs
from forebay.forecasts.brief import Brief, brief_content, lake_state
from forebay.forecasts.net_inflow import net_inflow
from forebay.forecasts.scenario import Scenario
from forebay.jobs.forecast import ForecastResult, forecast
from forebay.jobs.results import Result
from forebay.jobs.scenario import check_gauges, scenarios_of
from forebay.screen.flags import daily_known_on
from forebay.tables import DEFAULT_MODEL
from forebay.verify.recent import LAST_DAYS, RECENT_DAYS

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.settings import Settings
    from forebay.verify.hindcast import Progress

NO_RAIN = Scenario("none", (), "current")
"""No rain on the coming days, with the catchment as wet as it is."""


@dataclass(frozen=True, repr=False)
class BriefResult(Result):
    """The brief of one dam, and the forecast that it belongs to."""

    forecast: ForecastResult
    brief: Brief

    @property
    def content(self) -> dict[str, object]:
        """The brief as JSON has it (`forecasts.brief.brief_content`)."""
        return brief_content(self.brief)

    def text(self) -> str:
        """One page of text, at most 60 lines of 80 characters."""
        from forebay.charts.brief_text import brief_text

        return brief_text(self.content)

    def to_frame(self) -> pl.DataFrame:
        """`tables.STORAGE_FORECASTS` of the model `default`."""
        return self.forecast.storage_forecasts.filter(pl.col("model") == DEFAULT_MODEL)

    def title(self) -> str:
        """Dam and init date."""
        return f"{self.brief.dam.title}, brief from {self.brief.issued.init_date}"


def brief(
    dam: Dam | str | Path,
    *,
    archive: Archive | str | None = None,
    settings: Settings | None = None,
    init_date: date | None = None,
    update: bool = True,
    progress: Progress | None = None,
) -> BriefResult:
    """Brief of a dam: fetch its gauges, hindcast, forecast, and everything that an operator reads in the morning.

    Parameters
    ----------
    dam, archive, settings, init_date, update, progress
        As in `forebay.forecast`.

    Raises
    ------
    SourceError, DataError, ConfigError, ModelError
        If a forecast is not possible; the message states what to do.
    """
    result = forecast(
        dam, archive=archive, settings=settings, init_date=init_date, update=update, progress=progress
    )
    return BriefResult(result, brief_of(result))


def brief_of(result: ForecastResult) -> Brief:
    """The brief of a forecast; computes a second hindcast for the path without further rain."""
    from forebay.charts.gauge_status import add_substitutes, gauge_status

    dam, issued, samples = result.dam, result.issued, result.verification.samples
    newest, flags = result.daily_tables.newest, samples.newest_flags
    daily = daily_known_on(newest, flags, issued.init_date, dam)
    status = gauge_status(newest, flags, dam, age_days=issued.age_days)
    return Brief(
        dam=dam,
        issued=issued,
        outlook=result.outlook,
        reading=result.daily_tables.reading,
        state=lake_state(daily, dam, issued),
        storage_forecasts=result.storage_forecasts,
        inflow=net_inflow(
            daily,
            dam,
            issued.level_date,
            withheld_from=issued.withheld_from,
            resolution=0.0 if samples.resolution is None else float(samples.resolution[-1]),
        ),
        dry=path_without_rain(result),
        gauges=add_substitutes(status, result.substitutions, dam, issued.init_date),
        # Without a level of the init date only the season, rain and rivers could be compared
        analogs=find_analogs(samples, dam, day=len(samples.dates) - 1 - issued.level_age_days),
        recent={LAST_DAYS: result.scores_of_last(LAST_DAYS), RECENT_DAYS: result.recent_scores},
    )


def path_without_rain(result: ForecastResult) -> pl.DataFrame | str:
    """`tables.SCENARIOS` without further rain, or the sentence that says why there is none."""
    try:
        check_gauges(result.dam, planned_release=False)
        samples = result.verification.samples
        model = scenarios_of(result.dam, result.daily_tables, samples, execution=result.execution)
        return model.answer([NO_RAIN]).levels
    except ForebayError as error:
        return str(error)
