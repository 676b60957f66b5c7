"""Evidence from other gauges: support for a rise or fall of a lake or a river, which protects floods from the screen.

A rise needs a source of water: rain on the catchment, a river, an inflow. On days with such evidence the screen accepts
a large rise. Where no other gauge reports, a rise cannot be ruled out, and the screen accepts it too. Rain never lowers
a lake: the screen accepts a fall after a flood (gates) or with a large release.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forebay.screen.findings import Bools, Floats, any_recent, day_changes, moving_sum, past_quantile

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge

WET, FLOOD = 0.90, 0.98
"""Quantiles of a gauge's past. Rain, rise or flow above the first supports a rise; above the second, it is a flood."""
RAIN_DAYS, FLOOD_DAYS, GATE_DAYS, A_YEAR = 4, 10, 30, 365
"""Days over which rain is summed, in which the water of a flood arrives, in which gates release it; days of a year."""
_WATER = ("stream", "inflow", "upstream_level", "upstream_release")


@dataclass(frozen=True)
class Evidence:
    """Evidence from all other gauges for one gauge, day by day.

    Attributes
    ----------
    rise
        Whether a rise is supported, or cannot be ruled out because no other gauge reports.
    fall
        Whether a fall is supported: a flood in the last days, or a large release.
    water
        Whether another gauge shows a source of water for a rise.
    flood
        Whether other gauges show a flood, so that the lake must move.
    """

    water: Bools
    rise: Bools
    fall: Bools
    flood: Bools


def evidence_for(gauge: Gauge, dam: Dam, values: dict[str, Floats]) -> Evidence:
    """Evidence for rises and falls of `gauge`, from the usable values of all gauges (column → one value per day)."""
    indicators, has_evidence = [], np.zeros(len(values[gauge.column]), bool)
    if gauge.role != "rainfall" and dam.columns("rainfall"):
        rain = catchment_rain(dam, values)
        indicators.append([moving_sum(rain, RAIN_DAYS)])
        has_evidence |= _is_comparable(rain)
    for source in dam.gauges:
        # The storage is another reading of the lake itself, so the lake is no evidence for it.
        is_lake = source.role == "target" and gauge.role not in ("target", "storage")
        if source.column != gauge.column and (is_lake or source.role in _WATER):
            value = values[source.column]
            indicators.append(_rises(value) if is_lake else [value, *_rises(value)])
            has_evidence |= _is_comparable(value)
    wet = _any_above(indicators, WET, days=len(has_evidence))
    releases = [values[g.column] for g in dam.gauges if g.role == "release"]
    large_releases = [release > past_quantile(release, WET) for release in releases]
    flood = _any_above(indicators, FLOOD, days=len(has_evidence))
    water = wet | any_recent(flood, FLOOD_DAYS)
    return Evidence(
        water=water,
        rise=water | ~has_evidence,
        fall=np.logical_or.reduce([any_recent(wet, FLOOD_DAYS), any_recent(flood, GATE_DAYS), *large_releases]),
        flood=flood,
    )


def _any_above(indicators: list[list[Floats]], quantile: float, *, days: int) -> Bools:
    """Whether any indicator is above zero and above this quantile of its own past."""
    above = [(values > 0) & (values > past_quantile(values, quantile)) for group in indicators for values in group]
    return np.asarray(np.logical_or.reduce(above)) if above else np.zeros(days, bool)


def _is_comparable(value: Floats) -> Bools:
    """Whether a gauge reports on each day, with a record that is long enough to separate its wet days from others."""
    return np.isfinite(value) & np.isfinite(past_quantile(value, WET, warm_up=A_YEAR))


def _rises(value: Floats) -> list[Floats]:
    """Rise over one day and over two."""
    two_before = np.concatenate([np.full(2, np.nan), value[:-2]])[: len(value)]
    return [day_changes(value), value - two_before]


def catchment_rain(dam: Dam, values: dict[str, Floats]) -> Floats:
    """Mean rain of the gauges that report; NaN where none does."""
    return mean_across([values[column] for column in dam.columns("rainfall")])


def mean_across(series: list[Floats]) -> Floats:
    """Mean per day over the series that have a value; NaN where none has.

    >>> mean_across([np.array([1.0, np.nan]), np.array([3.0, np.nan])]).tolist()
    [2.0, nan]
    """
    stacked = np.stack(series)
    count = np.isfinite(stacked).sum(0)
    return np.where(count > 0, np.nansum(stacked, 0) / np.maximum(count, 1), np.nan)
