"""Evidence from other gauges: support for a rise or fall of a lake or a river, which protects floods from the screen.

A rise needs a source of water: rain on the catchment, a river, an inflow. On days with such evidence the screen accepts
a large rise. Where no other gauge reports, a rise cannot be ruled out, and the screen accepts it too. Rain never lowers
a lake: the screen accepts a fall after a flood (gates) or with a large release.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forebay.dams.delays import delay_days
from forebay.dams.gauge import LAKE_ROLES
from forebay.screen.findings import Bools, Floats, any_recent, day_changes, moving_sum, past_quantile

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge

USUAL, WET, FLOOD = 0.75, 0.90, 0.98
"""Quantiles of a gauge's past. Rain, rise or flow above the second supports a rise; above the third, it is a flood. An
inflow up to the first contradicts a rise of the lake."""
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
    release
        Whether a release is large.
    low_inflow
        Whether the inflow of the lake contradicts a rise, whatever other gauges showed before.
    delay
        Days until the latest of the other gauges shows what happened on the day.
    """

    water: Bools
    rise: Bools
    fall: Bools
    flood: Bools
    release: Bools
    low_inflow: Bools
    delay: int

    @property
    def supports_rise(self) -> Bools:
        """Whether a rise is supported and the inflow does not contradict it."""
        return self.rise & ~self.low_inflow


def values_known_with(gauge: Gauge, dam: Dam, values: dict[str, Floats]) -> dict[str, Floats]:
    """`values` (column → one value per day) as known when the value of `gauge` is: later gauges have earlier values."""
    own_delay, known = delay_days(gauge, dam), dict(values)
    for source in dam.gauges:
        days = delay_days(source, dam) - own_delay
        if days > 0:
            value = values[source.column]
            known[source.column] = np.concatenate([np.full(days, np.nan), value[:-days]])[: len(value)]
    return known


def evidence_for(gauge: Gauge, dam: Dam, values: dict[str, Floats]) -> Evidence:
    """Evidence for rises and falls of `gauge` as known with each value of it.

    values: the usable values of all gauges, column → one value per day.
    """
    values = values_known_with(gauge, dam, values)
    indicators, has_evidence = [], np.zeros(len(values[gauge.column]), bool)
    if gauge.role != "rainfall" and dam.columns("rainfall"):
        rain = catchment_rain(dam, values)
        indicators.append([moving_sum(rain, RAIN_DAYS)])
        has_evidence |= _is_comparable(rain)
    for source in dam.gauges:
        # The storage is another reading of the lake itself, so the lake is no evidence for it.
        is_lake = source.role == "target" and gauge.role not in LAKE_ROLES
        if source.column != gauge.column and (is_lake or source.role in _WATER):
            value = values[source.column]
            indicators.append(_rises(value) if is_lake else [value, *_rises(value)])
            has_evidence |= _is_comparable(value)
    wet = _any_above(indicators, WET, days=len(has_evidence))
    releases = [values[g.column] for g in dam.gauges if g.role == "release"]
    large_releases = [release > past_quantile(release, WET) for release in releases]
    flood = _any_above(indicators, FLOOD, days=len(has_evidence))
    water = wet | any_recent(flood, FLOOD_DAYS)
    release = np.logical_or.reduce([np.zeros(len(water), bool), *large_releases])
    return Evidence(
        water=water,
        rise=water | ~has_evidence,
        fall=any_recent(wet, FLOOD_DAYS) | any_recent(flood, GATE_DAYS) | release,
        flood=flood,
        release=release,
        low_inflow=_low_inflow(gauge, dam, values),
        delay=_delay(gauge, dam),
    )


def _delay(gauge: Gauge, dam: Dam) -> int:
    """Days by which the latest of the other gauges is later than `gauge`."""
    return max(0, max(delay_days(source, dam) for source in dam.gauges) - delay_days(gauge, dam))


def _low_inflow(gauge: Gauge, dam: Dam, values: dict[str, Floats]) -> Bools:
    """Whether all inflows of the lake are at most usual on the day and the day before: no water arrives."""
    sources = [source for source in dam.gauges if source.role == "inflow"]
    is_late = any(delay_days(source, dam) > delay_days(gauge, dam) for source in sources)
    if not sources or is_late or gauge.role not in LAKE_ROLES:
        return np.zeros(len(values[gauge.column]), bool)
    inflows = [values[source.column] for source in sources]
    low = np.logical_and.reduce([inflow <= past_quantile(inflow, USUAL, warm_up=A_YEAR) for inflow in inflows])
    return np.asarray(low & np.concatenate([[False], low[:-1]]))


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
