"""The contract of every table that passes between packages: columns, types, units, key.

Instants are UTC (`pl.Datetime("us", "UTC")`), days are station-local dates (`pl.Date`), lead times whole days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from forebay.errors import DataError

INSTANT = pl.Datetime("us", "UTC")
"""Type of every column of instants."""

QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Probabilities of the quantiles of every forecast; the point forecast is 0.5."""

DEFAULT_MODEL = "default"
"""Name of the model that a user gets: the blend of all models."""

REFERENCES = ("no_change", "last_change", "damped_change", "climatology")
"""Names of the reference forecasts, which need no model. A model is useful if it beats the best of them."""

SUMMARY_LEADS = (1, 3, 7)
"""Lead times (days) in a table or picture that does not have all of them."""


def summary_leads(leads: Iterable[int]) -> list[int]:
    """Lead times of a short table or picture: those of `SUMMARY_LEADS`, or the first three where none of them occurs.

    >>> summary_leads([1, 2, 3, 4]), summary_leads([2, 2, 4, 5, 6])
    ([1, 3], [2, 4, 5])
    """
    ordered = sorted(leads.unique() if isinstance(leads, pl.Series) else set(leads))
    return [lead for lead in ordered if lead in SUMMARY_LEADS] or ordered[:3]


@dataclass(frozen=True)
class Table:
    """One table's contract: its name, its columns with their types, and the columns that identify a row."""

    name: str
    columns: Mapping[str, pl.DataType]
    key: tuple[str, ...]

    def check(self, frame: pl.DataFrame, *, unique: bool = False) -> pl.DataFrame:
        """`frame` with only this table's columns, in order.

        Raises
        ------
        DataError
            If a column is missing or of another type, or (with `unique`) a key occurs twice.
        """
        for column, dtype in self.columns.items():
            if column not in frame.columns:
                raise DataError(f"table {self.name}: column {column!r} is missing; it has {frame.columns}")
            if frame.schema[column] != dtype:
                raise DataError(f"table {self.name}: column {column!r} is {frame.schema[column]}, must be {dtype}")
        if unique and frame.select(self.key).is_duplicated().any():
            raise DataError(f"table {self.name}: {list(self.key)} must identify a row, but some occur twice")
        return frame.select(list(self.columns))

    def empty(self) -> pl.DataFrame:
        """This table without rows."""
        return pl.DataFrame(schema=self.columns)


GRADES = ("good", "fair", "poor", "estimated", "unknown", "missing")
"""Values of `quality`."""

_SERIES: dict[str, pl.DataType] = {
    "source": pl.String(),
    "station": pl.String(),
    "variable": pl.String(),
    "aggregate": pl.String(),
    "rules": pl.String(),  # digest of the reading rules (`Gauge.reading_rules`)
}

READINGS = Table(
    "readings",
    _SERIES
    | {
        "time": INSTANT,  # start of the interval
        "interval": pl.Int32(),  # seconds; 86,400 is one local day (23 or 25 h at a clock change), 0 an instant
        "value": pl.Float64(),  # canonical unit of the variable; null when missing
        "raw_value": pl.String(),  # as published
        "quality": pl.String(),  # one of GRADES, or MANUAL
        "quality_code": pl.String(),  # as published
    },
    ("source", "station", "variable", "aggregate", "rules", "time", "interval"),
)
"""Readings of a source: observations before the archive stamps them."""

OBSERVATIONS = Table("observations", {**READINGS.columns, "fetched_at": INSTANT}, (*READINGS.key, "fetched_at"))
"""Every version of every reading; a revision is a separate row with a later `fetched_at`."""

MANUAL = "manual"
"""`quality` of a reading by hand, and the flag of a day whose value it is. The value is used."""

WITHDRAWN = "withdrawn"
"""`quality` of a version that ends a reading: its file has no such line any more. Only revisions show it."""

FORCINGS = Table(
    "forcings",
    {
        "forcing": pl.String(),  # its id in the dam file
        "issue_time": INSTANT,
        "known_time": INSTANT,  # issue_time and the forcing's latency
        "valid_date": pl.Date(),
        "value": pl.Float64(),  # canonical unit; null where an issue withdraws an earlier value
    },
    ("forcing", "issue_time", "valid_date"),
)
"""Forecast and planned values, by issue."""

WEATHER_VALUES = Table(
    "weather values",
    {
        "service": pl.String(),
        "model": pl.String(),
        "point": pl.String(),  # "latitude,longitude"
        "variable": pl.String(),
        "issued_at": INSTANT,  # time of the model run; of an answer that names no run, the time of the answer
        "known_at": INSTANT,  # from then on, a forecast may use it
        "valid_time": INSTANT,  # start of the interval
        "interval": pl.Int32(),  # seconds; 86,400 is one local day
        "member": pl.Int32(),  # of an ensemble, 0: its control; null: the single forecast of a model
        "value": pl.Float64(),  # canonical unit of the variable; null: the run has no value
    },
    ("service", "model", "point", "variable", "interval", "issued_at", "member", "valid_time"),
)
"""Forecasts of weather models: before the archive stamps them."""

WEATHER_FORECASTS = Table(
    "weather_forecasts", {**WEATHER_VALUES.columns, "fetched_at": INSTANT}, (*WEATHER_VALUES.key, "fetched_at")
)
"""Every version of every run of a weather model; a revised run is a separate version with a later `fetched_at`."""

REVISIONS = Table(
    "revisions",
    {
        **OBSERVATIONS.columns,
        "old_fetched_at": INSTANT,
        "old_value": pl.Float64(),
        "old_raw_value": pl.String(),
        "old_quality": pl.String(),
        "old_quality_code": pl.String(),
    },
    OBSERVATIONS.key,
)
"""Every version that replaced another one (`old_…`)."""

FORECASTS = Table(
    "forecasts",
    {
        "dam": pl.String(),
        "model": pl.String(),
        "init_date": pl.Date(),
        "init_time": INSTANT,  # the instant that ends init_date
        "lead_time": pl.Int32(),  # days
        "valid_date": pl.Date(),
        "quantile": pl.Float64(),
        "change": pl.Float64(),  # dam's unit: level on valid_date minus level on level_date
        "level": pl.Float64(),  # dam's unit
        "level_date": pl.Date(),  # day of the level that it starts from: init_date, or the last usable one before it
    },
    ("dam", "model", "init_date", "lead_time", "quantile"),
)
"""Quantiles of the forecasts of every model: one row per init date, lead time and quantile."""

STORAGE_FORECASTS = Table(
    "storage forecasts",
    {
        **FORECASTS.columns,
        "reservoir_level": pl.Float64(),  # level_unit; of a storage, by the storage curve
        "level_unit": pl.String(),
        "storage": pl.Float64(),  # storage_unit; of a level, by the storage curve
        "storage_unit": pl.String(),
        "airspace": pl.Float64(),  # storage_unit; storage at full supply minus storage, negative above full supply
        "survey_date": pl.Date(),  # of the storage curve; null where the dam file does not state it
        "storage_percent": pl.Float64(),  # % of the volume that `percent_of` names
        "percent_of": pl.String(),
        "storage_note": pl.String(),  # why a value of these columns is null; null where none is
    },
    FORECASTS.key,
)
"""Forecasts as level, storage and percentage; what is unknown is null with its reason, never 0."""

PROBABILITIES = Table(
    "probabilities",
    {
        "dam": pl.String(),
        "init_date": pl.Date(),
        "threshold": pl.String(),  # "full_supply", a name of the dam file, or "level+0.25 m": a rise of the level
        "direction": pl.String(),  # "above": at or above the threshold; "below": at or below it
        "kind": pl.String(),  # "on": on the valid date; "by": on any day up to it
        "lead_time": pl.Int32(),
        "valid_date": pl.Date(),
        "threshold_level": pl.Float64(),  # dam's unit, of the valid date as known on the init date
        "probability": pl.Float64(),
    },
    ("dam", "init_date", "threshold", "direction", "kind", "lead_time"),
)
"""Probabilities that the daily level is beyond a threshold; a threshold that is unknown has no row."""

_SCENARIO: dict[str, pl.DataType] = {
    "scenario": pl.String(),
    "wetness": pl.String(),  # of the catchment: dry, current or wet
    "rain": pl.Float64(),  # total rain of the scenario, mm
}

SCENARIOS = Table(
    "scenarios",
    {
        "dam": pl.String(),
        "init_date": pl.Date(),
        **_SCENARIO,
        "lead_time": pl.Int32(),
        "valid_date": pl.Date(),
        "quantile": pl.Float64(),
        "change": pl.Float64(),  # dam's unit: level on valid_date minus level on init_date
        "level": pl.Float64(),  # dam's unit
    },
    ("dam", "init_date", "scenario", "wetness", "lead_time", "quantile"),
)
"""Quantiles of the level if the rain of a scenario falls: no forecast."""

SCENARIO_PROBABILITIES = Table(
    "scenario probabilities",
    {**PROBABILITIES.columns, **_SCENARIO},
    ("dam", "init_date", "scenario", "wetness", "threshold", "direction", "kind", "lead_time"),
)
"""Probabilities that the daily level is beyond a threshold if the rain of a scenario falls."""

LEAST_RAIN = Table(
    "least rain",
    {
        "dam": pl.String(),
        "init_date": pl.Date(),
        "threshold": pl.String(),
        "hours": pl.Int32(),  # from the end of the init date on; the rest is dry
        "probability": pl.Float64(),  # of reaching the threshold by the last lead time
        "rain": pl.Float64(),  # mm; null if no rain up to `largest` is enough
        "largest": pl.Float64(),  # mm; the largest rain that was tried
        "extrapolates": pl.Boolean(),  # whether `rain` is more than any rain in training
    },
    ("dam", "init_date", "threshold", "hours", "probability"),
)
"""The least rain that brings the level to a threshold with a probability."""

MIN_EVENTS = 10
"""Independent events from which on the skill of a probability is stated."""

RECORDS = Table(
    "records",
    {
        "dam": pl.String(),
        "sequence": pl.Int64(),  # 1, 2, … per dam
        "recorded_at": INSTANT,  # by the clock of the archive
        "issue_time": INSTANT,  # the forecast uses what the archive held then
        "init_date": pl.Date(),
        "retrospective": pl.Boolean(),  # from a day that the user chose, after its end
        "replaces": pl.String(),  # id of the earlier record of the same init date; null without one
        "hash": pl.String(),  # SHA-256 of payload
        "previous": pl.String(),  # hash of the dam's record before; zeros in the first one
        "payload": pl.String(),  # canonical JSON (`forecasts.record`)
    },
    ("dam", "sequence"),
)
"""Issued forecasts as they are stored: a chain per dam."""

ALERTS = Table(
    "alerts",
    {
        "dam": pl.String(),
        "rule": pl.String(),
        "number": pl.Int64(),  # 1, 2, … per dam and rule
        "state": pl.String(),  # clear, raised
        "since": INSTANT,  # decision from which on it has this state
        "unknown_since": INSTANT,  # first decision without a current forecast; null if the last one had one
        "decided_at": INSTANT,  # by the clock of the archive
        "record": pl.String(),  # id of the forecast record; null if no forecast could be made
        "sequence": pl.Int64(),  # number of that record
        "init_date": pl.Date(),
        "probability": pl.Float64(),  # of the event; null for a rule on data, or if it is unknown
        "age_days": pl.Int64(),  # of the level, or of the oldest gauge of a rule on data; null if there is none
        "streak": pl.Int64(),  # consecutive init dates that fulfil the rule
        "change": pl.Int64(),  # number of changes of the state so far; 0: it was always clear
        "is_change": pl.Boolean(),  # whether this decision changed the state: its text is a message
        "severity": pl.String(),
        "title": pl.String(),
        "text": pl.String(),
        "rule_content": pl.String(),  # the rule as JSON
        "time_zone": pl.String(),  # of the dam
    },
    ("dam", "rule", "number"),
)
"""Every decision of an alert rule: one per forecast record and rule."""

ALERT_DELIVERIES = Table(
    "alert deliveries",
    {
        "dam": pl.String(),
        "rule": pl.String(),
        "change": pl.Int64(),  # the change of the state that the message is about
        "sink": pl.String(),  # name of a sink, which has nothing of its URL but the scheme
        "claimed_at": INSTANT,  # just before the message was sent
        "outcome": pl.String(),  # delivered, failed; null: not confirmed, as after a kill
        "delivered_at": INSTANT,  # when the outcome was known
    },
    ("dam", "rule", "change", "sink"),
)
"""Messages that were sent, or were about to be: none is sent twice."""

TOKENS = Table(
    "tokens",
    {
        "id": pl.String(),  # public part of the token
        "name": pl.String(),  # of the person or program that has it
        "hash": pl.String(),  # SHA-256 of the secret part
        "created_at": INSTANT,  # by the clock of the archive
        "revoked_at": INSTANT,  # from then on it is refused; null: valid
    },
    ("id",),
)
"""Tokens that may write by the API."""

ACKNOWLEDGEMENTS = Table(
    "acknowledgements",
    {
        "dam": pl.String(),
        "rule": pl.String(),
        "change": pl.Int64(),  # the change of the state that was acknowledged
        "name": pl.String(),  # of the token
        "token": pl.String(),  # its id
        "acknowledged_at": INSTANT,  # by the clock of the archive
    },
    ("dam", "rule", "change"),
)
"""Alerts that somebody has acknowledged: the first one of each change."""

EXPLANATION = Table(
    "explanation",
    {
        "dam": pl.String(),
        "init_date": pl.Date(),
        "lead_time": pl.Int32(),
        # rain, level, since_level, limit, season, weather, forcing, full_supply, missing, a gauge's role, other, base
        "group": pl.String(),
        "gauge": pl.String(),  # its title; empty for a group that is not a single gauge
        "contribution": pl.Float64(),  # dam's unit; those of a lead sum to the change of `default`
        "words": pl.String(),
    },
    ("dam", "init_date", "lead_time", "group", "gauge"),
)
"""Contributions to a forecast."""


LEVEL_BREAK = "level_break"
"""Column of a daily table as known on a day: whether no change of the target into the day counts. A new datum begins,
or the reading or the one before it is suspect."""


def flag_of(column: str) -> str:
    """Name of the daily table's column with the flags of `column`.

    >>> flag_of("reservoir_level")
    'reservoir_level_flag'
    """
    return f"{column}_flag"
