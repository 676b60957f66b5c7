"""The issued forecast of one init date."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.local_time import init_time
from forebay.tables import EXPLANATION

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

STALE_DAYS = 3
"""A forecast that starts from an older level is stale."""


@dataclass(frozen=True)
class IssuedForecast:
    """A forecast with its explanation and limitations.

    Attributes
    ----------
    init_date, init_time
        The last day with known data, and the instant (UTC) at its end.
    issue_time
        The instant (UTC) at which the forecast was computed.
    level_date
        The day with the level that the forecast starts from: `init_date`, or the last day with a usable level.
    table
        `tables.FORECASTS` of the init date, every model.
    limitations
        Sentences on missing data and missing intervals.
    outside_experience
        Sentences on quantities outside the range of the training days. The intervals are then a lower bound of the
        uncertainty.
    explanation
        `tables.EXPLANATION` of the model `default`.
    forcings
        Sentences on the forecasts and plans that were used, with their issue times.
    withheld_from
        First day of a datum that the dam file does not state; thresholds and storage are unknown from that day on.
        None without such a day.
    is_requested
        Whether the user chose the init date (`--init`). Ages then count from the init time.
    reader_time
        The instant (UTC) from which ages count on a page that is read later than the forecast was issued; by default
        the issue time.
    """

    init_date: date
    init_time: datetime
    issue_time: datetime
    level_date: date
    table: pl.DataFrame
    limitations: tuple[str, ...]
    outside_experience: tuple[str, ...] = ()
    explanation: pl.DataFrame = field(default_factory=EXPLANATION.empty)
    forcings: tuple[str, ...] = ()
    withheld_from: date | None = None
    is_requested: bool = False
    reader_time: datetime | None = None

    @property
    def level_age_days(self) -> int:
        """Days from the level that the forecast starts from to the init date."""
        return (self.init_date - self.level_date).days

    @property
    def age_days(self) -> int:
        """Whole days from the end of the init date to `reference_time`; 0 for a requested init date."""
        return max(0, (self.reference_time - self.init_time) // timedelta(days=1))

    @property
    def is_retrospective(self) -> bool:
        """Whether the user chose an init date that ended at least one day before the issue time."""
        return self.is_requested and self.issue_time - self.init_time >= timedelta(days=1)

    @property
    def reference_time(self) -> datetime:
        """The instant (UTC) from which ages count: a requested init time, `reader_time`, or the issue time."""
        return self.init_time if self.is_requested else self.reader_time or self.issue_time

    @property
    def stale(self) -> bool:
        """Whether the level that the forecast starts from is more than `STALE_DAYS` old at the reference time."""
        return self.age_days + self.level_age_days > STALE_DAYS

    @property
    def warnings(self) -> tuple[str, ...]:
        """`outside_experience`, then `limitations`."""
        return (*self.outside_experience, *self.limitations)


def issue(
    hindcast: pl.DataFrame, dam: Dam, init_date: date, *, now: datetime, limitations: tuple[str, ...]
) -> IssuedForecast:
    """The forecast of `init_date`: the rows of the hindcast for that day, with the same models and intervals."""
    table = hindcast.filter(pl.col("init_date") == init_date)
    return IssuedForecast(
        init_date=init_date,
        init_time=init_time(init_date, dam.time_zone),
        issue_time=now,
        level_date=init_date if table.is_empty() else table["level_date"][0],
        table=table,
        limitations=limitations,
    )
