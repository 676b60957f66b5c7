"""`Report`: the tables of one report, and those that its charts and sections derive from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from forebay.charts.coverage_tables import coverage_spells
from forebay.charts.forecast_tables import (
    DAY,
    RECENT_DAYS,
    SPANS,
    forecast_fan,
    full_supply_regime,
    observed_levels,
    reference_levels,
)
from forebay.charts.formats import TargetFormat
from forebay.charts.gauge_status import add_substitutes, beyond_record, gauge_status, recorded_range
from forebay.charts.interval_coverage import coverage_of_scores, interval_coverage
from forebay.charts.rises import Rise, largest_rise
from forebay.charts.storage_tables import storage_fan
from forebay.charts.style import Heading
from forebay.features.later_levels import no_levels
from forebay.features.substitutes import SUBSTITUTIONS
from forebay.screen.flags import screen_daily
from forebay.verify.tables import FORECAST_VALUE, RECENT_SCORES

if TYPE_CHECKING:
    from forebay.archive.latency import LearnedLatency
    from forebay.dams.dam import Dam
    from forebay.features.daily_tables import Reading
    from forebay.forecasts.issue import IssuedForecast
    from forebay.forecasts.outlook import Outlook
    from forebay.verify.diagnostics import Diagnostics


@dataclass(frozen=True)
class Report:
    """Everything that one report shows.

    Attributes
    ----------
    forecast
        The issued forecast.
    newest
        The newest single reading of the target, or None if there is none.
    daily
        The daily table: dam, date, value and flag of each gauge; the target in the dam's unit.
    hindcast
        `tables.FORECASTS` of all scored init dates before that of the forecast.
    scores
        `verify.tables.SCORES` of the hindcast.
    gauge_table
        Result of the last fetch, a row per gauge.
    diagnostics
        Reliability, coverage and largest errors of the hindcast; None without verification.
    later_levels
        date, level: observed after a requested init date.
    forecast_value
        `verify.tables.FORECAST_VALUE`: errors without, with issued and with perfect forecasts as inputs; empty
        for a dam without forcings.
    outlook
        Probabilities of reaching thresholds; None where they were not computed.
    recent_scores
        `verify.tables.RECENT_SCORES`: errors and intervals of the last 365 days.
    substitutions
        `features.substitutes.SUBSTITUTIONS` of the hindcast and of the forecast.
    latencies
        Column of a gauge → its latency as the fetches show it.
    record_note
        Id and hash of the forecast's record, or why there is none.
    make_brief
        Makes `brief`, when the page needs it: other processes draw meanwhile. None without a brief.
    newest_days
        The daily table of all readings of an archive that grows after the forecast: the gauges' ages and flags are
        those of this table. None for a page that is written with its forecast.
    newest_flags
        `screen.flags.FLAGS` of `newest_days`; by default the flags are computed.
    """

    dam: Dam
    forecast: IssuedForecast
    newest: Reading | None
    daily: pl.DataFrame
    hindcast: pl.DataFrame
    scores: pl.DataFrame
    gauge_table: pl.DataFrame
    diagnostics: Diagnostics | None = None
    later_levels: pl.DataFrame = field(default_factory=no_levels)
    forecast_value: pl.DataFrame = field(default_factory=FORECAST_VALUE.empty)
    outlook: Outlook | None = None
    recent_scores: pl.DataFrame = field(default_factory=RECENT_SCORES.empty)
    substitutions: pl.DataFrame = field(default_factory=SUBSTITUTIONS.empty)
    latencies: Mapping[str, LearnedLatency] = field(default_factory=dict)
    record_note: str = ""
    make_brief: Callable[[], Mapping[str, Any]] | None = None  # Any: JSON
    newest_days: pl.DataFrame | None = None
    newest_flags: pl.DataFrame | None = None

    @cached_property
    def brief(self) -> Mapping[str, Any] | None:  # Any: JSON
        """`forecasts.brief.brief_content` of the forecast; None without one."""
        return None if self.make_brief is None else self.make_brief()

    @property
    def heading(self) -> Heading:
        """Heading of every chart."""
        return heading_of(self.dam)

    @cached_property
    def fan(self) -> pl.DataFrame:
        """The forecast as `forecast_fan` returns it; empty if no forecast could be issued."""
        return forecast_fan(self.forecast.table)

    @cached_property
    def storage_fan(self) -> pl.DataFrame:
        """The forecast as `storage_tables.storage_fan` returns it: storage and % of each lead time."""
        return storage_fan(self.fan, self.dam, self.forecast.init_date, self.forecast.withheld_from)

    @cached_property
    def recent_levels(self) -> pl.DataFrame:
        """date, level of the last `RECENT_DAYS` days up to the init date."""
        until = self.forecast.init_date
        return observed_levels(self.daily, self.dam, until - RECENT_DAYS * DAY, until)

    @cached_property
    def chart_levels(self) -> pl.DataFrame:
        """date, level of the longest of `SPANS` up to the init date, from the first day of the record."""
        until = self.forecast.init_date
        since = max(until - max(SPANS) * DAY, min(self.daily["date"][0], until - RECENT_DAYS * DAY))
        return observed_levels(self.daily, self.dam, since, until)

    @cached_property
    def reference_levels(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Lines for the forecast's chart, and all reference levels; both empty if they are withheld."""
        extent = pl.concat(
            [
                self.recent_levels.select("date", low="level", high="level"),
                self.fan.select(date="valid_date", low="q05", high="q95"),
            ]
        )
        if self.forecast.withheld_from is not None:
            extent = extent.clear()
        return reference_levels(self.dam, extent, first_day=self.chart_levels["date"][0])

    @cached_property
    def full_supply_regime(self) -> str | None:
        """`near_full` or `above_full` if the forecast starts there; None where full supply is withheld."""
        if self.fan.is_empty() or self.forecast.withheld_from is not None:
            return None
        return full_supply_regime(self.dam, self.forecast.init_date, float(self.fan["start"][0]))

    @cached_property
    def flags(self) -> pl.DataFrame:
        """`screen.flags.FLAGS` of the daily table, and of the days after it."""
        if self.newest_flags is not None:
            return self.newest_flags
        return screen_daily(self.daily if self.newest_days is None else self.newest_days, self.dam)

    @cached_property
    def gauge_status(self) -> pl.DataFrame:
        """Age and flags of the newest value of every gauge."""
        days = self.daily if self.newest_days is None else self.newest_days
        later = (days["date"][-1] - self.daily["date"][-1]).days
        status = gauge_status(days, self.flags, self.dam, age_days=max(0, self.forecast.age_days - later))
        return add_substitutes(status, self.substitutions, self.dam, self.forecast.init_date)

    @cached_property
    def record(self) -> pl.DataFrame:
        """date, level of the lowest and the highest recorded level."""
        return recorded_range(self.daily, self.flags, self.dam)

    @cached_property
    def beyond_record(self) -> pl.DataFrame:
        """Bounds of the forecast outside the recorded range, a row per side."""
        return beyond_record(self.fan, self.record)

    @cached_property
    def interval_coverage(self) -> pl.DataFrame:
        """Share of outcomes inside the 90% interval per lead time: the last 365 days, and the whole hindcast."""
        if self.diagnostics is None:
            return coverage_of_scores(self.scores, self.recent_scores)
        return interval_coverage(self.diagnostics, self.recent_scores)

    @cached_property
    def rise(self) -> Rise | None:
        """The largest lasting rise of the hindcast."""
        return largest_rise(self.daily, self.hindcast, self.dam)

    @cached_property
    def rise_fans(self) -> pl.DataFrame:
        """Forecasts issued around the largest rise; empty without a rise."""
        init_dates = list(self.rise.init_dates) if self.rise else []
        return forecast_fan(self.hindcast.filter(pl.col("init_date").is_in(init_dates)))

    @cached_property
    def rise_levels(self) -> pl.DataFrame:
        """date, level around the largest rise; empty without a rise."""
        if self.rise is None:
            return self.recent_levels.clear()
        until = max([*self.rise_fans["valid_date"], self.rise.onset + DAY])
        return observed_levels(self.daily, self.dam, self.rise.init_dates[0] - 3 * DAY, until)

    @cached_property
    def coverage(self) -> tuple[pl.DataFrame, int]:
        """Spells of each gauge's readings in one state, and the days that one step of them covers."""
        return coverage_spells(self.daily, self.dam)


def heading_of(dam: Dam) -> Heading:
    """Heading of every chart of a dam."""
    return Heading(dam.name, TargetFormat(dam).axis, dam.simulated)
