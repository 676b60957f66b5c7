"""The contracts of the tables of long outlooks: columns, types, units, key."""

from __future__ import annotations

import polars as pl

from forebay.tables import Table

LONG_OUTLOOK = Table(
    "long outlook",
    {
        "dam": pl.String(),
        "init_date": pl.Date(),
        "month": pl.Int32(),  # 1: the month of the day after init_date
        "valid_date": pl.Date(),  # last day of the month
        "quantile": pl.Float64(),
        "storage": pl.Float64(),  # storage_unit; storage above full supply counts as spill
        "storage_unit": pl.String(),
        "storage_percent": pl.Float64(),  # % of the storage at full supply on valid_date; null without full supply
        "level": pl.Float64(),  # level_unit; null without a storage curve
        "level_unit": pl.String(),
    },
    ("dam", "init_date", "month", "quantile"),
)
"""Quantiles of the traces of a long outlook at the end of each month."""

_LONG_EVENT: dict[str, pl.DataType] = {
    "threshold": pl.String(),
    "direction": pl.String(),  # "above": at or above the threshold; "below": at or below it
    "kind": pl.String(),  # "on": on the last day of the month; "by": on any day up to it
    "month": pl.Int32(),
}

LONG_PROBABILITIES = Table(
    "long probabilities",
    {
        "dam": pl.String(),
        "init_date": pl.Date(),
        **_LONG_EVENT,
        "valid_date": pl.Date(),
        "threshold_storage": pl.Float64(),  # unit of storage, on valid_date as known on init_date
        "is_beyond": pl.Boolean(),  # whether the storage of init_date is beyond it
        "traces": pl.Int64(),  # number of traces that are beyond it
        "all_traces": pl.Int64(),
        "probability": pl.Float64(),  # traces / all_traces
    },
    ("dam", "init_date", "threshold", "direction", "kind", "month"),
)
"""Share of the traces that are beyond a threshold of storage."""

LONG_TRACES = Table(
    "long traces",
    {
        "dam": pl.String(),
        "init_date": pl.Date(),
        "year": pl.Int32(),  # of the first day of the past year whose balance it repeats
        "valid_date": pl.Date(),
        "storage": pl.Float64(),  # all volumes in storage_unit
        "storage_unit": pl.String(),
        "storage_percent": pl.Float64(),
        "level": pl.Float64(),
        "net_inflow": pl.Float64(),  # volume of the day; without a demand, the net change of the past year
        "outflow": pl.Float64(),  # the demand; without one, the difference of the outflow from that of the past year
        "spill": pl.Float64(),
        "shortfall": pl.Float64(),
    },
    ("dam", "init_date", "year", "valid_date"),
)
"""Traces by day: net_inflow − outflow − spill + shortfall is the change of storage."""

LONG_BALANCE = Table(
    "long balance",
    {
        "dam": pl.String(),
        "init_date": pl.Date(),
        "year": pl.Int32(),
        "days_full": pl.Int32(),  # days of the past year at or above full supply
        "days_bridged": pl.Int32(),  # days of the past year whose balance is spread over a short gap
        "start": pl.Float64(),  # all volumes in storage_unit, of all days together
        "net_inflow": pl.Float64(),
        "outflow": pl.Float64(),
        "spill": pl.Float64(),
        "shortfall": pl.Float64(),
        "end": pl.Float64(),
        "storage_unit": pl.String(),
    },
    ("dam", "init_date", "year"),
)
"""Volumes of each trace: start + net_inflow − outflow − spill + shortfall = end."""

LONG_SCORES = Table(
    "long scores",
    {
        "dam": pl.String(),
        "month": pl.Int32(),
        "n": pl.Int64(),  # init dates, each the first of a month
        "years": pl.Int64(),  # calendar years of the init dates
        "crps": pl.Float64(),  # unit of storage
        "crps_climatology": pl.Float64(),  # of the storage of the same days in the years of the traces
        "crps_persistence": pl.Float64(),  # of the storage of the init date
        "skill": pl.Float64(),  # 1 − crps / crps_climatology; null with fewer than 10 years, as all skills
        "low": pl.Float64(),  # 90% band of resampled years
        "high": pl.Float64(),
        "skill_persistence": pl.Float64(),
        "low_persistence": pl.Float64(),
        "high_persistence": pl.Float64(),
        "coverage_80": pl.Float64(),  # share of observed storages within the 10% and 90% quantile of the traces
    },
    ("dam", "month"),
)
"""Scores of past long outlooks by month ahead."""

LONG_EVENT_SCORES = Table(
    "long event scores",
    {
        "dam": pl.String(),
        **_LONG_EVENT,
        "n": pl.Int64(),  # init dates that were not beyond the threshold
        "left_out": pl.Int64(),  # init dates whose outcome is unknown: a level is missing and none was beyond
        "years": pl.Int64(),  # calendar years of the n init dates
        "event_years": pl.Int64(),  # those after an init date of which it happened
        "frequency": pl.Float64(),
        "brier": pl.Float64(),
        "brier_climatology": pl.Float64(),  # of the share of the same past years whose storage was beyond it
        "brier_persistence": pl.Float64(),  # of "it does not happen"
        "skill": pl.Float64(),  # 1 − brier / brier_climatology; null with fewer than 10 event years
        "low": pl.Float64(),
        "high": pl.Float64(),
        "skill_persistence": pl.Float64(),
    },
    ("dam", "threshold", "direction", "kind", "month"),
)
"""Scores of past chances of reaching a threshold of storage."""

MIN_YEARS = 10
"""Independent years from which on the skill of a long outlook is stated."""
