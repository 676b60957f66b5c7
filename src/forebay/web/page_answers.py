"""The numbers of each page as JSON: `/index.json`, `/dams/{dam}.json` and so on; the pages show the same objects."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field

from forebay.web.answers import (
    AlertChange,
    AlertState,
    Chance,
    DamDetails,
    DamSummary,
    Interval,
    Source,
)

_REFRESH = "What the refresher of this server does, or why it has failed; null where there is nothing to say."


class DamRow(DamSummary):
    """A row of the overview."""

    level_now: float | None = Field(description="The newest usable daily level that is not suspect.")
    level_now_date: date | None
    level_age_hours: float | None = Field(description="Since the end of its day.")
    suspect_date: date | None = Field(description="Day of the newest level if it is suspect; null if it is not.")
    suspect_reason: str | None = Field(description="Reason of its flag.")
    change_1d: float | None = Field(description="Its change from the day before; null where that level is missing.")
    change_7d: float | None
    reach: list[Chance] = Field(description="By the longest lead: the chance to leave the present side of each level.")


class Overview(BaseModel):
    """The overview."""

    time: datetime = Field(description="The instant from which ages count.")
    failure: str | None = Field(description="Why the archive cannot be read now; the data are then older.")
    refresh: str | None = Field(default=None, description=_REFRESH)
    dams: list[DamRow]


class NewestReading(BaseModel):
    """The newest single reading of the target."""

    time: datetime
    value: float | None
    quality: str


class GaugeAge(BaseModel):
    """The newest usable value of a gauge."""

    gauge: str
    last_date: date | None
    value: float | None
    unit: str
    age_days: int | None
    is_late: bool
    flag: str = Field(description="Flags of the last days; empty without one.")


class PastRow(BaseModel):
    """What an earlier issued forecast stated for one day, and what was observed."""

    init_date: date
    lead_time: int
    valid_date: date
    q05: float | None
    q50: float | None
    q95: float | None
    observed: float | None
    verdict: str = Field(description="inside 90%, above 90%, below 90%, no interval or not observed.")


class DamPage(DamDetails):
    """The page of a dam."""

    time: datetime = Field(description="The instant from which ages count.")
    failure: str | None = Field(description="Why the archive cannot be read now; the data are then older.")
    refresh: str | None = Field(default=None, description=_REFRESH)
    reading: NewestReading | None
    year_before: float | None = Field(default=None, description="Level 365 days before the init date.")
    year_before_date: date | None = None
    limitations: list[str]
    outside_experience: list[str]
    forcings: list[str]
    quantiles: list[dict[str, Any]] = Field(description="Every quantile of the level, a row per lead time.")
    storage: list[dict[str, Any]] = Field(description="The same of storage, percentage and airspace; null if unknown.")
    reach: list[Chance] = Field(description="Chances by each day to leave the present side of each level.")
    coverage: list[dict[str, Any]] = Field(description="Share of outcomes inside the 90% interval.")
    gauge_ages: list[GaugeAge]
    inputs: list[dict[str, Any]] = Field(description="Values of the gauges on the last days, units as in `gauges`.")
    explanation: list[dict[str, Any]]
    last_365_days: list[dict[str, Any]]
    scores_by_regime: list[dict[str, Any]] = Field(description="Errors and skill of the hindcast by kind of day.")
    reliability: list[dict[str, Any]] = Field(description="Share of observed levels at or below each quantile.")
    past: list[PastRow] = Field(description="The last issued forecasts at 1, 3 and 7 days.")


class PastPage(Source):
    """The page of a past issued forecast, over what was observed afterwards; null without one."""

    time: datetime
    record: str | None
    init_date: date | None
    issue_time: datetime | None
    start_level: float | None
    rows: list[PastRow]
    forecast: list[Interval]
    issued: list[date] = Field(description="Init dates with an issued forecast, newest first.")


class ScenarioPage(Source):
    """Limits of the sliders, and the forecast without a scenario."""

    time: datetime
    init_date: date | None
    level_date: date | None
    stale: bool
    start_level: float | None
    rain_unit: str
    rain_days: int
    rain_max: float
    rain_step: float
    release_unit: str | None = Field(description="null where the dam file has no release.")
    release_max: float
    release_now: float | None = Field(description="The newest observed release.")
    forecast: list[Interval]
    notes: list[str]


class DamAlerts(Source):
    """Rules of one dam, and their changes, newest first."""

    states: list[AlertState]
    changes: list[AlertChange]


class AlertsPage(BaseModel):
    """The page of alerts."""

    time: datetime
    failure: str | None
    dams: list[DamAlerts]
