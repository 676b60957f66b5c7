"""The contracts of the tables of scores: columns, types, units, key."""

from __future__ import annotations

import polars as pl

from forebay.tables import Table

SCORES = Table(
    "scores",
    {
        "dam": pl.String(),
        "model": pl.String(),
        "window": pl.String(),
        "regime": pl.String(),
        "lead_time": pl.Int32(),
        "metric": pl.String(),
        "value": pl.Float64(),
        "n": pl.Int64(),
        "low": pl.Float64(),  # 90% band; null where none is computed
        "high": pl.Float64(),
    },
    ("dam", "model", "window", "regime", "lead_time", "metric"),
)
"""Scores of a hindcast: one row per model, window, regime, lead time and metric, over `n` days."""

RECENT_SCORES = Table(
    "recent scores",
    {
        "source": pl.String(),  # hindcast: computed afterwards as on the day; issued: from the record
        "lead_time": pl.Int32(),
        "n": pl.Int64(),
        "first": pl.Date(),  # valid dates
        "last": pl.Date(),
        "mae": pl.Float64(),  # dam's unit; null with fewer than 30 days, as the next two
        "coverage_80": pl.Float64(),
        "coverage_90": pl.Float64(),
    },
    ("source", "lead_time"),
)
"""Scores of `default` over the last 365 days, or over the last 7 of any number."""

FORECAST_VALUE = Table(
    "forecast value",
    {
        "lead_time": pl.Int32(),
        "n": pl.Int64(),
        "best_reference": pl.String(),
        "mae_best_reference": pl.Float64(),  # errors are in the dam's unit
        "mae_without": pl.Float64(),
        "mae_as_issued": pl.Float64(),
        "mae_perfect": pl.Float64(),
        "gain": pl.Float64(),  # share by which the issued forecasts lower the error; with its 90% band
        "gain_low": pl.Float64(),
        "gain_high": pl.Float64(),
        "gain_perfect": pl.Float64(),
        "coverage_90": pl.Float64(),
    },
    ("lead_time",),
)
"""Errors without forecasts as inputs, with those as issued, and with perfect ones, on the same days."""

RELIABILITY = Table(
    "reliability",
    {
        "regime": pl.String(),
        "lead_time": pl.Int32(),
        "quantile": pl.Float64(),
        "observed": pl.Float64(),  # share of the observed changes at or below the quantile
        "n": pl.Int64(),
    },
    ("regime", "lead_time", "quantile"),
)
"""Reliability of the quantiles of `default`, by kind of day and lead time."""

PROBABILITY_SCORES = Table(
    "probability scores",
    {
        "dam": pl.String(),
        "threshold": pl.String(),
        "direction": pl.String(),
        "kind": pl.String(),
        "window": pl.String(),
        "regime": pl.String(),  # all, or near: within two margins of the threshold (`near_full_margin`)
        "lead_time": pl.Int32(),
        "n": pl.Int64(),  # scored init dates: with a level that is not beyond the threshold
        "left_out": pl.Int64(),  # init dates whose outcome is unknown: a level is missing, none was beyond
        "frequency": pl.Float64(),  # share of the scored init dates after which it happened
        "events": pl.Int64(),  # independent ones: more than 10 days apart
        "brier": pl.Float64(),
        "brier_frequency": pl.Float64(),  # of the frequency known on each init date
        "skill": pl.Float64(),  # 1 − brier / brier_frequency; null with fewer than 10 events
        "low": pl.Float64(),  # 90% band of 60-day blocks
        "high": pl.Float64(),
    },
    ("dam", "threshold", "direction", "kind", "window", "regime", "lead_time"),
)
"""Scores of past probabilities of reaching a threshold, from init dates that were not beyond it."""

PROBABILITY_RELIABILITY = Table(
    "probability reliability",
    {
        "dam": pl.String(),
        "threshold": pl.String(),
        "direction": pl.String(),
        "lead_time": pl.Int32(),
        "lowest": pl.Float64(),  # of the probabilities in the bin
        "highest": pl.Float64(),
        "n": pl.Int64(),
        "spells": pl.Int64(),  # groups of days in the bin more than 10 days apart
        "forecast": pl.Float64(),  # mean probability
        "observed": pl.Float64(),  # frequency
        "low": pl.Float64(),  # 90% band of the frequency, of resampled spells
        "high": pl.Float64(),
    },
    ("dam", "threshold", "direction", "lead_time", "lowest"),
)
"""Mean probability and observed frequency of reaching a threshold by a day, in bins of probability, window `all`."""

ALERT_SCORES = Table(
    "alert scores",
    {
        "dam": pl.String(),
        "rule": pl.String(),
        "forecasts": pl.String(),  # hindcast, or issued
        "probability": pl.Float64(),  # from which on the alert is raised
        "clear_probability": pl.Float64(),  # below which it ends
        "lead_time": pl.Int32(),  # days before the first day of an event at which the alert must be raised
        "n": pl.Int64(),  # scored init dates
        "events": pl.Int64(),  # hits and misses; spells beyond the threshold more than 10 days apart
        "hits": pl.Int64(),
        "misses": pl.Int64(),
        "alarms": pl.Int64(),  # times that the alert was raised, with a known outcome
        "false_alarms": pl.Int64(),  # those without an event, and spells of wrong days in others (verify.alert_scores)
        "csi": pl.Float64(),  # hits / (hits + misses + false alarms)
        "false_alarms_per_year": pl.Float64(),
        "lead_days": pl.Float64(),  # median time from the raised alert to the event, of the hits
        "raised_share": pl.Float64(),  # share of the scored init dates at which the alert is raised
        "left_out_events": pl.Int64(),  # their first day is unknown: no level on the day before
        "left_out_alarms": pl.Int64(),  # their outcome is unknown: a level is missing, or is not observed yet
    },
    ("dam", "rule", "forecasts", "probability", "lead_time"),
)
"""Hits, misses and false alarms of an alert rule; an event counts once."""
