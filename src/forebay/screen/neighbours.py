"""Rain gauges against their neighbours: single days that nobody else saw, blocked gauges, and the scale (double mass).

Double-mass analysis (Kohler, 1949; Searcy and Hardison, 1960) sets the running sum of one gauge against that of its
neighbours: a bend is a change of the gauge. Here its slope is taken by blocks of 90 days; blocks whose slope differs
from the median of all blocks so far are flagged.
"""

from __future__ import annotations

import numpy as np

from forebay.metrics import column_medians
from forebay.screen.findings import Finding, Floats, day_changes, learned, moving_sum

ALONE = 4.0
"""Rain beyond what neighbours explain is doubted above this many times the 98% quantile of that excess on wet days …"""
HEAVY = 0.98
"""… and above this quantile of the gauge's own wet days: a summer storm over one gauge is small and real."""
SHARE_SEEN = 0.25
"""Rain is explained where a neighbour had this share of it on that day or one beside it."""
LONE_RECORD = 4.0
"""Without neighbours: rain above this many times the highest of at least two years is doubted."""
BLOCK_DAYS, BLOCK_DAYS_BOTH = 90, 45
BLOCK_RAIN_SHARE = 0.5
"""Share of the neighbours' average block that must have fallen for a block's slope to be told."""
SLOPE_MADS, SLOPE_LOG = 3.0, float(np.log(1.75))
"""The bound of a slope: so many scaled median absolute deviations, at least this factor; by the root more where less
rain than usual fell, as it is then told by fewer storms."""
LASTING_BLOCKS, EACH, TOGETHER = 2, 0.7, 2.5
"""Blocks in a row that must be off to the same side, each by this share of the bound and together by this many bounds:
one block alone can be a few local storms."""
DRY_FACTOR = 3.0
"""A gauge is blocked when neighbours collect so many times what they ever did between two rains of the gauge."""
SAME_DAYS = 4
SLIP_FACTORS = (10.0, 25.4, 0.1, 1 / 25.4)


def rain_findings(rain: Floats, others: list[Floats], lake: Floats) -> list[Finding]:
    """Findings of one rain gauge, from its daily totals, its neighbours' and the level of the lake."""
    if not others:
        return [*_lone_extremes(rain, lake), *_repeated(rain)]
    alone = _alone(rain, others)
    believed = rain.copy()
    believed[[int(day) for finding in alone for day in finding.days]] = np.nan  # one false storm must not bend a scale
    return [*alone, *_blocked(rain, others), *_scale(believed, others), *_repeated(rain)]


def _alone(rain: Floats, others: list[Floats]) -> list[Finding]:
    """Days of heavy rain that no neighbour saw; withdrawn if one saw it on the day after."""
    highest = np.fmax.reduce(others) if len(others) > 1 else others[0]
    before = np.concatenate([[np.nan], highest[:-1]])
    seen = np.fmax(highest, before)
    excess = rain - seen
    wet = rain > 1
    bound = ALONE * learned(np.where(wet, excess, np.nan), 0.98)
    heavy = rain > learned(np.where(wet, rain, np.nan), HEAVY)
    found = []
    for day in np.flatnonzero((excess > bound) & heavy & (seen < SHARE_SEEN * rain)).tolist():
        seen_later = day + 1 < len(rain) and highest[day + 1] >= SHARE_SEEN * rain[day]
        found.append(Finding(np.array([day]), "neighbours", day, float(seen[day]), day + 1 if seen_later else None))
    return found


def _lone_extremes(rain: Floats, lake: Floats) -> list[Finding]:
    """Days far beyond the record of a gauge without neighbours; withdrawn if the lake rises within three days."""
    bound = LONE_RECORD * learned(rain, 1.0, warm_up=730)
    change = day_changes(lake)
    risen = change > learned(change, 0.95)
    found = []
    for day in np.flatnonzero(rain > bound).tolist():
        after = np.flatnonzero(risen[day : day + 4])
        known = None if len(after) == 0 else day + int(after[0])
        if known != day:
            found.append(Finding(np.array([day]), "neighbours", day, float(bound[day] / LONE_RECORD), known))
    return found


def _repeated(rain: Floats) -> list[Finding]:
    """The same rain four days in a row, more than 1 mm: a total repeated by the logger."""
    same = (np.diff(rain, prepend=np.nan) == 0) & (rain > 1)
    ends = np.flatnonzero(moving_sum(same.astype(float), SAME_DAYS - 1) == SAME_DAYS - 1).tolist()
    return [Finding(np.arange(end - SAME_DAYS + 1, end + 1), "stuck", end) for end in ends]


def _blocked(rain: Floats, others: list[Floats]) -> list[Finding]:
    """Dry spells of the gauge during which each of its neighbours collected far more than in any before."""
    near = np.fmin.reduce(others)
    dry = np.nan_to_num(rain) < 0.1
    collected = np.where(np.isfinite(rain) & dry, np.nan_to_num(near), 0.0)
    running = np.cumsum(collected)
    start = np.maximum.accumulate(np.where(dry, 0, np.arange(len(rain))))
    since = np.where(np.isfinite(rain), np.where(dry, running - running[start], 0.0), np.nan)
    bound = np.fmax(DRY_FACTOR * learned(since, 0.999, warm_up=365), DRY_FACTOR * learned(near, 0.99, warm_up=365))
    found = []
    wrong = since > bound
    for end in np.flatnonzero(wrong).tolist():
        first = int(start[end]) + 1 if not wrong[end - 1] else end
        days = np.arange(first, end + 1)
        found.append(Finding(days[np.isfinite(rain[days])], "neighbours", end, float(since[end])))
    return found


def _scale(rain: Floats, others: list[Floats]) -> list[Finding]:
    """Blocks whose slope against the neighbours differs from the gauge's median slope, as each block's end knows it."""
    slopes = np.stack([_slopes(rain, other) for other in others])
    weight = np.sqrt(np.clip(_share_of_usual(column_medians(np.stack(others))), 0, 1))
    blocks = slopes.shape[1]
    open_since: dict[int, tuple[int, str]] = {}
    found: list[Finding] = []
    for now in range(LASTING_BLOCKS, blocks):
        off = _off(slopes[:, : now + 1])
        wrong = _lasting(off, weight[: now + 1])
        end = (now + 1) * BLOCK_DAYS - 1
        for b in range(now + 1):
            if b in open_since and not wrong[b]:
                found.append(_of_block(rain, b, *open_since.pop(b), withdrawn=end))
            elif wrong[b] and b not in open_since:
                is_slip = any(abs(off[b] - np.log(factor)) < 0.25 for factor in SLIP_FACTORS)
                open_since[b] = (end, "unit" if is_slip else "scale")
    return found + [_of_block(rain, b, *since, withdrawn=None) for b, since in open_since.items()]


def _slopes(rain: Floats, other: Floats) -> Floats:
    """Log of the gauge's rain over a neighbour's by blocks; NaN where they share too few days or too little fell."""
    both = (rain >= 0) & (other >= 0)
    mine, theirs = (_block_sums(np.where(both, values, 0.0)) for values in (rain, other))
    share = _share_of_usual(np.where(both, other, np.nan))
    enough = (_block_sums(both.astype(float)) >= BLOCK_DAYS_BOTH) & (share >= BLOCK_RAIN_SHARE)
    return np.where(enough, np.log((mine + 0.1) / (theirs + 0.1)), np.nan)


def _share_of_usual(rain: Floats) -> Floats:
    """Rain of each block over what the mean of all days so far gives for as many days; 0 where nothing fell so far."""
    days, total = _block_sums(np.isfinite(rain).astype(float)), _block_sums(np.nan_to_num(rain))
    usual = np.cumsum(total) / np.maximum(np.cumsum(days), 1) * days
    return np.divide(total, usual, out=np.zeros_like(total), where=usual > 0)


def _block_sums(values: Floats) -> Floats:
    return np.asarray(values[: len(values) // BLOCK_DAYS * BLOCK_DAYS].reshape(-1, BLOCK_DAYS).sum(1))


def _off(slopes: Floats) -> Floats:
    """How far each block's slope is off the gauge's median, by most of its neighbours; NaN where untold.

    Of the neighbours' answers the one in the middle counts by size, the smaller of two: a gauge is not off because one
    neighbour is.
    """
    off = slopes - column_medians(slopes.T)[:, None]
    rank = np.argsort(np.abs(off), axis=0)  # NaN last
    told = np.isfinite(off).sum(0)
    middle = np.maximum(told - 1, 0) // 2
    blocks = np.arange(off.shape[1])
    return np.asarray(off[rank[middle, blocks], blocks])


def _lasting(off: Floats, weight: Floats) -> list[bool]:
    """Which blocks are off, in a run of blocks to the same side that is long and large enough."""
    order = np.flatnonzero(np.isfinite(off))
    lasting = [False] * len(off)
    if len(order) <= LASTING_BLOCKS:
        return lasting
    bound = max(SLOPE_MADS * 1.4826 * float(np.median(np.abs(off[order]))), SLOPE_LOG)
    size = off[order] * weight[order] / bound
    side = np.where(np.abs(size) > EACH, np.sign(size), 0)
    edges = np.flatnonzero(np.diff(side, prepend=2, append=2))
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        if side[start] != 0 and stop - start >= LASTING_BLOCKS and np.abs(size[start:stop]).sum() >= TOGETHER:
            for block in order[start:stop]:
                lasting[block] = True
    return lasting


def _of_block(rain: Floats, block: int, known: int, reason: str, *, withdrawn: int | None) -> Finding:
    days = np.arange(block * BLOCK_DAYS, (block + 1) * BLOCK_DAYS)
    return Finding(days[np.isfinite(rain[days])], reason, known, np.nan, withdrawn)
