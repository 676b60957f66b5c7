"""The dam's rain forecast for the days after an init date, as the presets of scenarios use it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.forcing import RELATIVE
from forebay.errors import DataError
from forebay.features.forcings import newest_issues

if TYPE_CHECKING:
    from forebay.dams.dam import Dam


@dataclass(frozen=True)
class RainForecast:
    """title: of the forecast. by_day: day after the init date → rain in mm. is_relative: it has no amounts in mm."""

    title: str
    by_day: dict[int, float]
    is_relative: bool

    def daily(self, init_date: date) -> tuple[float, ...]:
        """Rain of each day from the day after the init date to the last day without a gap before it, mm.

        Raises
        ------
        DataError
            If no issue that was known then has the first day, or the forecast has no amounts in mm.
        """
        if self.is_relative:
            raise DataError(
                f"{self.title} states rain as a share of a mean day, not in mm; give the rain in mm with --rain"
            )
        days = next(k for k in range(1, len(self.by_day) + 2) if k not in self.by_day)
        if days == 1:
            raise DataError(
                f"{self.title}: no issue that was known on {init_date} covers the next day; fetch it, or give --rain"
            )
        return tuple(self.by_day[day] for day in range(1, days))


def rain_forecast(table: pl.DataFrame, dam: Dam, init_date: date) -> RainForecast | None:
    """The first rain forecast of the dam file, from the newest issues known on the init date; None without one.

    Parameters
    ----------
    table
        `tables.FORCINGS`.
    """
    forcing = next((forcing for forcing in dam.forcings if forcing.kind == "rain"), None)
    if forcing is None:
        return None
    leads = range(1, max(dam.hindcast.leads) + 1)
    issues = newest_issues(table, dam, pl.Series([init_date]), leads).filter(pl.col("forcing") == forcing.id)
    by_day = dict(issues.select("day", "value").iter_rows())
    return RainForecast(forcing.title, by_day, forcing.unit == RELATIVE)
