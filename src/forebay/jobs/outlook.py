"""The outlook job: how likely the level reaches thresholds within the forecast, with the scores of earlier outlooks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.jobs.forecast import ForecastResult, forecast
from forebay.jobs.results import Result

if TYPE_CHECKING:
    import xarray

    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.forecasts.outlook import Outlook
    from forebay.settings import Settings
    from forebay.verify.hindcast import Progress


@dataclass(frozen=True, repr=False)
class OutlookResult(Result):
    """The outlook of one dam, and the forecast that it belongs to."""

    forecast: ForecastResult

    @property
    def outlook(self) -> Outlook:
        """Probabilities, times, scores, reliability and notes."""
        return self.forecast.outlook

    @property
    def scores(self) -> pl.DataFrame:
        """`verify.tables.PROBABILITY_SCORES` of the hindcast."""
        return self.outlook.scores

    @property
    def reliability(self) -> pl.DataFrame:
        """`verify.tables.PROBABILITY_RELIABILITY` of the hindcast."""
        return self.outlook.reliability

    def to_frame(self) -> pl.DataFrame:
        """`tables.PROBABILITIES` of the init date."""
        return self.outlook.probabilities

    def to_xarray(self) -> xarray.Dataset:
        """The forecast as a dataset by the CF conventions (`ForecastResult.to_xarray`)."""
        return self.forecast.to_xarray()

    def title(self) -> str:
        """Dam and init date."""
        return f"{self.forecast.dam.title}, thresholds from {self.forecast.issued.init_date}"


def outlook(
    dam: Dam | str | Path,
    *,
    archive: Archive | str | None = None,
    settings: Settings | None = None,
    init_date: date | None = None,
    update: bool = True,
    progress: Progress | None = None,
) -> OutlookResult:
    """Outlook of a dam: fetch its gauges, hindcast, forecast, and the probabilities of reaching thresholds.

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
    return OutlookResult(result)
