"""Rain gauges against their neighbours: lone storms, blocked gauges, and the scale (double mass).

Double-mass analysis (Kohler, 1949; Searcy and Hardison, 1960) plots the running sum of one gauge against that of its
neighbours: a bend is a change of the gauge. Here the slope is computed for blocks of 90 days. The screen flags blocks
whose slope differs from the median of all blocks so far.
"""

from __future__ import annotations

import numpy as np

from forebay.metrics import column_medians
from forebay.screen.findings import Finding, Floats, day_changes, moving_sum, past_quantile

EXCESS_FACTOR = 4.0
"""Rain is suspect if its excess over the neighbours is above this many times the excess' 98% quantile on wet days …"""
HEAVY = 0.98
"""… and if it is above this quantile of the gauge's own wet days: a summer storm over one gauge is small and real."""
CONFIRMING_SHARE = 0.25
"""A neighbour confirms rain if it has this share of it on the same day or the day before or after."""
LONE_RECORD = 4.0
"""Without neighbours, rain above this many times the highest of at least two years is suspect."""
BLOCK_DAYS, BLOCK_DAYS_BOTH = 90, 45
BLOCK_RAIN_SHARE = 0.5
"""Least rain of a block, as a share of the neighbours' average block, for a slope to be computed."""
SLOPE_MADS, SLOPE_LOG = 3.0, float(np.log(1.75))
"""Bound of a slope: so many scaled median absolute deviations, and at least this factor. Where less rain than usual
fell, fewer storms determine the slope: the bound is then divided by the root of the share."""
RUN_BLOCKS, BLOCK_SHARE, RUN_SUM = 2, 0.7, 2.5
"""Fewest consecutive blocks that deviate to the same side, least deviation of each and least sum of all (in bounds).
A few local storms can move one block."""
DRY_FACTOR = 3.0
"""A gauge is blocked when its neighbours collect so many times their past maximum between two rains of the gauge."""
SAME_DAYS = 4
SLIP_FACTORS = (10.0, 25.4, 0.1, 1 / 25.4)


def rain_findings(rain: Floats, neighbours: list[Floats], lake: Floats) -> list[Finding]:
    """Findings of one rain gauge, from its daily totals, those of its neighbours, and the level of the lake."""
    if not neighbours:
        return [*_record_storms(rain, lake), *_repeated(rain)]
    lone_storms = _lone_storms(rain, neighbours)
    confirmed = rain.copy()
    confirmed[[int(day) for finding in lone_storms for day in finding.days]] = np.nan  # they would bend the scale
    return [*lone_storms, *_blocked(rain, neighbours), *_scale(confirmed, neighbours), *_repeated(rain)]


def _lone_storms(rain: Floats, neighbours: list[Floats]) -> list[Finding]:
    """Days of heavy rain that no neighbour confirms; withdrawn if one confirms it on the day after."""
    highest = np.fmax.reduce(neighbours) if len(neighbours) > 1 else neighbours[0]
    before = np.concatenate([[np.nan], highest[:-1]])
    nearby = np.fmax(highest, before)
    excess = rain - nearby
    wet = rain > 1
    bound = EXCESS_FACTOR * past_quantile(np.where(wet, excess, np.nan), 0.98)
    heavy = rain > past_quantile(np.where(wet, rain, np.nan), HEAVY)
    findings = []
    for day in np.flatnonzero((excess > bound) & heavy & (nearby < CONFIRMING_SHARE * rain)).tolist():
        is_confirmed = day + 1 < len(rain) and highest[day + 1] >= CONFIRMING_SHARE * rain[day]
        withdrawn = day + 1 if is_confirmed else None
        findings.append(Finding(np.array([day]), "neighbours", day, float(nearby[day]), withdrawn))
    return findings


def _record_storms(rain: Floats, lake: Floats) -> list[Finding]:
    """Days far beyond the record of a gauge without neighbours; withdrawn if the lake rises within three days."""
    bound = LONE_RECORD * past_quantile(rain, 1.0, warm_up=730)
    change = day_changes(lake)
    large_rise = change > past_quantile(change, 0.95)
    findings = []
    for day in np.flatnonzero(rain > bound).tolist():
        rises = np.flatnonzero(large_rise[day : day + 4])
        withdrawn = None if len(rises) == 0 else day + int(rises[0])
        if withdrawn != day:
            findings.append(Finding(np.array([day]), "neighbours", day, float(bound[day] / LONE_RECORD), withdrawn))
    return findings


def _repeated(rain: Floats) -> list[Finding]:
    """The same rain of more than 1 mm on four days in a row: the logger repeats a total."""
    same = (np.diff(rain, prepend=np.nan) == 0) & (rain > 1)
    ends = np.flatnonzero(moving_sum(same.astype(float), SAME_DAYS - 1) == SAME_DAYS - 1).tolist()
    return [Finding(np.arange(end - SAME_DAYS + 1, end + 1), "stuck", end) for end in ends]


def _blocked(rain: Floats, neighbours: list[Floats]) -> list[Finding]:
    """Dry spells of the gauge in which each neighbour collects far more than in any dry spell before."""
    lowest = np.fmin.reduce(neighbours)
    dry = np.nan_to_num(rain) < 0.1
    collected = np.where(np.isfinite(rain) & dry, np.nan_to_num(lowest), 0.0)
    running = np.cumsum(collected)
    start = np.maximum.accumulate(np.where(dry, 0, np.arange(len(rain))))
    since = np.where(np.isfinite(rain), np.where(dry, running - running[start], 0.0), np.nan)
    records = past_quantile(since, 0.999, warm_up=365), past_quantile(lowest, 0.99, warm_up=365)
    bound = np.fmax(DRY_FACTOR * records[0], DRY_FACTOR * records[1])
    findings = []
    blocked = since > bound
    for end in np.flatnonzero(blocked).tolist():
        first = int(start[end]) + 1 if not blocked[end - 1] else end
        days = np.arange(first, end + 1)
        findings.append(Finding(days[np.isfinite(rain[days])], "neighbours", end, float(since[end])))
    return findings


def _scale(rain: Floats, neighbours: list[Floats]) -> list[Finding]:
    """Blocks whose slope against the neighbours differs from the gauge's median slope, as known at each block's end."""
    slopes = np.stack([_slopes(rain, neighbour) for neighbour in neighbours])
    weight = np.sqrt(np.clip(_relative_rain(column_medians(np.stack(neighbours))), 0, 1))
    blocks = slopes.shape[1]
    open_flags: dict[int, tuple[int, str]] = {}  # block → number of the day on which it is flagged, reason
    findings: list[Finding] = []
    for newest in range(RUN_BLOCKS, blocks):
        deviations = _deviations(slopes[:, : newest + 1])
        in_run = _in_run(deviations, weight[: newest + 1])
        end = (newest + 1) * BLOCK_DAYS - 1
        for block in range(newest + 1):
            if block in open_flags and not in_run[block]:
                findings.append(_block_finding(rain, block, *open_flags.pop(block), withdrawn=end))
            elif in_run[block] and block not in open_flags:
                is_slip = any(abs(deviations[block] - np.log(factor)) < 0.25 for factor in SLIP_FACTORS)
                open_flags[block] = (end, "unit" if is_slip else "scale")
    return findings + [_block_finding(rain, block, *flag, withdrawn=None) for block, flag in open_flags.items()]


def _slopes(rain: Floats, neighbour: Floats) -> Floats:
    """Log of the gauge's rain over a neighbour's by blocks; NaN where too few days have both, or too little rain."""
    both = (rain >= 0) & (neighbour >= 0)
    total, neighbour_total = (_block_sums(np.where(both, values, 0.0)) for values in (rain, neighbour))
    share = _relative_rain(np.where(both, neighbour, np.nan))
    enough = (_block_sums(both.astype(float)) >= BLOCK_DAYS_BOTH) & (share >= BLOCK_RAIN_SHARE)
    return np.where(enough, np.log((total + 0.1) / (neighbour_total + 0.1)), np.nan)


def _relative_rain(rain: Floats) -> Floats:
    """Rain of each block over the mean rain so far of as many days; 0 where that mean is 0."""
    days, total = _block_sums(np.isfinite(rain).astype(float)), _block_sums(np.nan_to_num(rain))
    mean = np.cumsum(total) / np.maximum(np.cumsum(days), 1) * days
    return np.divide(total, mean, out=np.zeros_like(total), where=mean > 0)


def _block_sums(values: Floats) -> Floats:
    """Sum of each whole block."""
    return np.asarray(values[: len(values) // BLOCK_DAYS * BLOCK_DAYS].reshape(-1, BLOCK_DAYS).sum(1))


def _deviations(slopes: Floats) -> Floats:
    """Deviation of each block's slope from the gauge's median slope; NaN where no neighbour gives one.

    Of the neighbours' deviations, the one of middle size counts, and the smaller of two: one wrong neighbour must not
    make the gauge suspect.
    """
    deviations = slopes - column_medians(slopes.T)[:, None]
    rank = np.argsort(np.abs(deviations), axis=0)  # NaN last
    count = np.isfinite(deviations).sum(0)
    middle = np.maximum(count - 1, 0) // 2
    blocks = np.arange(deviations.shape[1])
    return np.asarray(deviations[rank[middle, blocks], blocks])


def _in_run(deviations: Floats, weight: Floats) -> list[bool]:
    """Whether each block belongs to a run of blocks that deviate to the same side, long and far enough."""
    order = np.flatnonzero(np.isfinite(deviations))
    in_run = [False] * len(deviations)
    if len(order) <= RUN_BLOCKS:
        return in_run
    bound = max(SLOPE_MADS * 1.4826 * float(np.median(np.abs(deviations[order]))), SLOPE_LOG)
    size = deviations[order] * weight[order] / bound
    side = np.where(np.abs(size) > BLOCK_SHARE, np.sign(size), 0)
    edges = np.flatnonzero(np.diff(side, prepend=2, append=2))
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        if side[start] != 0 and stop - start >= RUN_BLOCKS and np.abs(size[start:stop]).sum() >= RUN_SUM:
            for block in order[start:stop]:
                in_run[block] = True
    return in_run


def _block_finding(rain: Floats, block: int, known: int, reason: str, *, withdrawn: int | None) -> Finding:
    """Finding of the days of one block on which the gauge reports."""
    days = np.arange(block * BLOCK_DAYS, (block + 1) * BLOCK_DAYS)
    return Finding(days[np.isfinite(rain[days])], reason, known, np.nan, withdrawn)
