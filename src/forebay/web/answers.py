"""The answers of the API; each has the unit, the licence and the attribution of its data."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

# The descriptions are those of the OpenAPI document.


class Source(BaseModel):
    """The dam that the data of an answer is of, and who provides the data."""

    dam: str = Field(description="Id of the dam.")
    name: str
    simulated: bool = Field(description="Whether weather, river and lake are invented: no forecast of a real dam.")
    time_zone: str = Field(description="Days are days of this time zone.")
    unit: str = Field(description="Unit of levels, changes and thresholds.")
    licence: str | None = Field(description="Licence of the data; null where the dam file does not state it.")
    attributions: list[str] = Field(description="Sentences that a publication of the data must show.")


def source_of(dam: Dam) -> dict[str, Any]:
    """The fields of `answers.Source`."""
    return {
        "dam": dam.id,
        "name": dam.name,
        "simulated": dam.simulated,
        "time_zone": dam.time_zone,
        "unit": dam.target.unit,
        "licence": dam.licence or None,
        "attributions": dam.attributions,
    }


class Page(Source):
    """A page of rows."""

    next: str | None = Field(description="Value of `after` for the next page; null on the last one.")


class Interval(BaseModel):
    """Quantiles of the level on one day."""

    lead_time: int = Field(description="Days after the init date.")
    valid_date: date
    q05: float | None
    q10: float | None
    q50: float | None
    q90: float | None
    q95: float | None


class Chance(BaseModel):
    """Probability that the daily level is at or beyond a threshold."""

    threshold: str
    direction: str = Field(description="above: at or above it; below: at or below it.")
    kind: str = Field(description="on: on the valid date; by: on any day up to it.")
    lead_time: int
    valid_date: date
    threshold_level: float | None
    probability: float = Field(ge=0, le=1)


class Level(BaseModel):
    """Observed level of one day."""

    date: date
    level: float | None = Field(description="null: no usable value.")
    suspect: str | None = Field(description="Reason of the flag of a suspect level, from which no forecast starts.")


class Age(BaseModel):
    """How old the newest forecast is now."""

    init_date: date | None = Field(description="Last day with known data; null without a forecast.")
    issue_time: datetime | None = Field(description="When the forecast was computed.")
    level_date: date | None = Field(description="Day of the level that it starts from.")
    start_level: float | None = Field(description="The level that it starts from.")
    age_hours: float | None = Field(description="Since the end of `level_date`, now.")
    stale: bool = Field(description="Whether that level is too old for a current forecast, or there is none.")


class DamSummary(Source, Age):
    """One dam in the overview."""

    variable: str = Field(description="reservoir_level, storage or storage_percent.")
    record: str | None = Field(description="Id of the record of the forecast.")
    levels: list[Level] = Field(description="The last days up to now.")
    forecast: list[Interval] = Field(description="Quantiles of the model `default`.")
    chances: list[Chance] = Field(description="Probabilities of each threshold by the longest lead time.")
    alerts: list[str] = Field(description="Rules whose alert is raised.")
    notes: list[str] = Field(description="What is missing, and why.")


class Dams(BaseModel):
    """A page of dams."""

    dams: list[DamSummary]
    next: str | None = Field(description="Value of `after` for the next page; null on the last one.")
    snapshot: int = Field(description="Another number after each change of the data.")
    failure: str | None = Field(description="Why the archive cannot be read now; the data are then older.")


class Gauge(BaseModel):
    """One gauge of a dam."""

    gauge: str = Field(description="Column of its values in the daily table.")
    title: str
    role: str
    unit: str
    source: str
    station: str


class DamDetails(DamSummary):
    """One dam with its gauges."""

    latitude: float | None
    longitude: float | None
    datum: str | None
    full_supply: float | None = Field(description="Today's full supply level; null where unknown.")
    has_storage_curve: bool
    gauges: list[Gauge]


class ForecastRow(BaseModel):
    """One quantile of one model."""

    model: str
    lead_time: int
    valid_date: date
    quantile: float
    change: float | None = Field(description="Level minus the level that the forecast starts from.")
    level: float | None


class Forecast(Source, Age):
    """An issued forecast as it was recorded."""

    record: str
    hash: str = Field(description="SHA-256 of the record.")
    retrospective: bool = Field(description="Whether it was computed for a past day, after its end.")
    limitations: list[str] = Field(description="What was missing.")
    outside_experience: list[str] = Field(description="Why the intervals are a lower bound; empty where they are not.")
    forecast: list[ForecastRow]
    probabilities: list[Chance]
    explanation: list[dict[str, Any]] | None = Field(description="Why this forecast; null where not stored.")
    notes: list[str]


class Chances(Source, Age):
    """Probabilities of the newest issued forecast."""

    probabilities: list[Chance]
    notes: list[str]


class RecordRow(BaseModel):
    """The place of an issued forecast in the chain of its dam."""

    record: str
    sequence: int
    recorded_at: datetime
    issue_time: datetime
    init_date: date
    retrospective: bool
    replaces: str | None
    hash: str
    previous: str


class Records(Page):
    """A page of records, oldest first."""

    records: list[RecordRow]


class RecordCheck(Source):
    """Check of the whole chain of records."""

    records: int
    head: str | None = Field(description="Hash of the last record; compare it with the one that you noted before.")
    faults: list[str] = Field(description="Empty if no record was changed, removed or added in between.")


class AlertState(BaseModel):
    """The present state of an alert rule."""

    rule: str
    state: str = Field(description="raised or clear.")
    since: datetime
    unknown_since: datetime | None = Field(description="Since when no current forecast could decide it.")
    severity: str
    probability: float | None
    age_days: int | None = Field(description="Age of the level, or of the oldest gauge of a rule on data.")
    init_date: date | None
    record: str | None = Field(description="Id of the forecast record that it was decided from.")


    acknowledged_by: str | None = Field(description="Name of the token that acknowledged the raised alert.")
    acknowledged_at: datetime | None


class AlertChange(BaseModel):
    """A change of the state of an alert rule, with the text of its message."""

    rule: str
    change: int
    state: str
    decided_at: datetime
    severity: str
    probability: float | None
    record: str | None
    title: str
    text: str
    acknowledged_by: str | None
    acknowledged_at: datetime | None


class Alerts(Page):
    """States of the alert rules, and a page of their changes, newest first."""

    states: list[AlertState]
    changes: list[AlertChange]


class Acknowledged(Source):
    """An alert that was acknowledged."""

    alert: AlertState


class RefreshAccepted(Source):
    """A refresh that was asked for."""

    text: str = Field(description="When it begins.")


class Observed(Source):
    """A reading by hand as it was stored."""

    time: datetime
    level: float
    day: date = Field(description="Day for whose value it counts.")
    quality: str
    outcome: str = Field(description="new, revised or unchanged.")
    old_level: float | None
    is_used: bool = Field(description="Whether it is the value of its day.")
    unused_because: str | None
    suspect: str | None = Field(description="Reason of the flag on the value of the day.")
    text: str


class Observation(BaseModel):
    """One reading as it is stored, newest version."""

    time: datetime = Field(description="Start of its interval.")
    value: float | None
    quality: str
    fetched_at: datetime


class Observations(Page):
    """A page of readings of one gauge."""

    gauge: str
    value_unit: str = Field(description="Unit of the values.")
    observations: list[Observation]


class Daily(Page):
    """A page of the daily table: a row per day, a value and a flag for each gauge."""

    units: dict[str, str] = Field(description="Unit of each gauge's values.")
    days: list[dict[str, Any]]


class Scores(Source):
    """How good the forecasts were: the last 365 days, and the whole hindcast."""

    record: str | None
    last_365_days: list[dict[str, Any]] | None
    hindcast: list[dict[str, Any]] | None
    by_regime: list[dict[str, Any]] | None = Field(
        description="Errors and skill of the hindcast by kind of day, such as wet, or near full supply."
    )
    reliability: list[dict[str, Any]] | None = Field(
        description="Share of observed changes at or below each quantile, by kind of day and lead time."
    )
    probabilities: list[dict[str, Any]] | None = Field(
        description="Brier scores of past probabilities of reaching each threshold."
    )
    notes: list[str]


class ScenarioLevel(BaseModel):
    """One quantile of the level of a scenario."""

    lead: int = Field(description="Days after the init date.")
    valid_date: date
    quantile: float
    level: float


class ScenarioChance(BaseModel):
    """Share of the sample paths of a scenario at or above a threshold."""

    threshold: str
    direction: str
    kind: str = Field(description="on: on the valid date; by: on any day up to it.")
    lead: int
    valid_date: date
    threshold_level: float
    probability: float = Field(ge=0, le=1)


class Scenario(Source):
    """The level if so much rain falls: no forecast."""

    is_forecast: Literal[False] = False
    init_date: date
    start_level: float = Field(description="The level that the scenario starts from.")
    wetness: str
    rain: list[float] = Field(description="As in the request.")
    rain_unit: str
    release: list[float] = Field(description="As in the request.")
    release_unit: str | None
    forecast: list[ScenarioLevel]
    probabilities: list[ScenarioChance]
    notes: list[str] = Field(description="What the scenario leaves open, and what lies beyond the record.")


class ScenarioLimits(Source):
    """What a scenario may give."""

    init_date: date
    start_level: float
    days: int = Field(description="Largest number of days of rain and release.")
    rain_unit: str
    largest_rain: float = Field(description="Largest rain of a day that is accepted.")
    largest_rain_in_training: dict[int, float] = Field(description="Days to their largest rain in the record.")
    release_unit: str | None = Field(description="null: the dam has no release gauge, and no release may be given.")
    release_today: float | None
    largest_release_in_record: float | None


class RefresherState(BaseModel):
    """The process that refreshes the dams beside this server."""

    state: str = Field(description="starting, waiting, refreshing, restarting or ended.")
    since: datetime
    last_end: datetime | None = Field(description="When the last refresh ended.")
    last_seconds: float | None
    failed: list[str] = Field(description="Dams of the last refresh without a new forecast.")
    sentence: str = Field(description="Why they failed, or why the process was restarted.")
    next_due: datetime | None
    restarts: int


class Health(BaseModel):
    """State of the server."""

    status: str = Field(description="ok; stale: a dam has no current forecast; failed: the archive cannot be read.")
    version: str
    time: datetime
    dams: int
    stale: list[str] = Field(description="Dams without a current forecast.")
    failure: str | None
    refresher: RefresherState | None = Field(description="null: the dams are refreshed by another program.")
