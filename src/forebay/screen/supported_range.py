"""Levels above the gauge's valid range that rain or inflow supports: a flood crest is water, not a fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.dams.gauge import LAKE_ROLES
from forebay.dams.value_checks import plausible_range
from forebay.days.daily import usable_values
from forebay.days.datum import on_one_datum
from forebay.screen.evidence import evidence_for
from forebay.screen.flows import unlikely_flows, without_unlikely_flows
from forebay.tables import flag_of

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.screen.findings import Bools

MAX_EXCESS = 1.0
"""A supported level exceeds the valid range by at most this share of the range's width."""


def ready_for_screen(daily: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """The daily table on one datum, with the levels above the valid range that other gauges support."""
    return with_supported_levels(on_one_datum(daily, dam), dam)


def with_supported_levels(daily: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """`daily` without the flag "range" on levels and storages above the valid range that other gauges support.

    The first day above the range needs a source of water on that day (`evidence.Evidence.water`), each further day a
    day before above the range. Neither the variable's own plausible range nor a sentinel yields.
    """
    gauges = [gauge for gauge in dam.gauges if gauge.role in LAKE_ROLES and gauge.valid_range is not None]
    for gauge in gauges:
        flag = flag_of(gauge.column)
        supported = _supported(daily, gauge, dam)
        if supported.any():
            cleared = pl.when(~pl.Series(supported)).then(flag).alias(flag)
            daily = daily.with_columns(cleared)
    return daily


def _supported(daily: pl.DataFrame, gauge: Gauge, dam: Dam) -> Bools:
    """Whether each day's level is above the valid range and supported, shape (n,)."""
    is_out = (daily[flag_of(gauge.column)] == "range").fill_null(False).to_numpy()
    if not is_out.any():
        return is_out
    low, high = plausible_range(gauge)
    value = daily[gauge.column]
    if gauge.role == "target":
        value = gauge.kind.to_canonical(value, dam.target.unit)
    highest = min(gauge.kind.plausible[1], high + MAX_EXCESS * (high - low))
    is_possible = ((value > high) & (value <= highest)).fill_null(False).to_numpy()
    usable = usable_values(daily, dam)
    values = {g.column: usable[g.column].cast(pl.Float64).to_numpy().astype(float) for g in dam.gauges}
    water = evidence_for(gauge, dam, without_unlikely_flows(values, unlikely_flows(dam, values))).water
    supported = np.zeros(len(daily), bool)
    for day in np.flatnonzero(is_out & is_possible):
        supported[day] = water[day] or (day > 0 and supported[day - 1])
    return supported
