"""Rain gauges against their neighbours: single days that nobody else saw, blocked gauges, and the scale (double mass).

Double-mass analysis (Kohler, 1949; Searcy and Hardison, 1960) sets the running sum of one gauge against that of its
neighbours: a bend is a change of the gauge. Here its slope is taken by blocks of 90 days, and a block whose slope differs
from the median of all blocks so far is flagged.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forebay.prepare.evidence import middle_of
from forebay.prepare.findings import Finding, Floats, day_changes, learned, moving_sum

ALONE = 4.0
"""Rain beyond what neighbours explain is doubted above this many times the 98% quantile of that excess on wet days …"""
HEAVY = 0.98
"""… and above this quantile of the gauge's own wet days: a summer storm over one gauge is small and real."""
SHARE_SEEN = 0.25
"""Rain is explained where a neighbour had this share of it on that day or one beside it."""
LONE_RECORD = 4.0
"""Without neighbours: rain above this many times the highest of at least two years is doubted."""
BLOCK_DAYS, BLOCK_DAYS_BOTH = 90, 45
BLOCK_RAIN_SHARE = 0.3
"""Share of the neighbours' average block that must have fallen for a block's slope to be told."""
SLOPE_MADS, SLOPE_LOG = 3.0, float(np.log(1.75))
"""A slope is wrong beyond both: so many scaled median absolute deviations, and this factor."""
LASTING_BLOCKS = 2
"""Blocks in a row that must be wrong to the same side: one block alone can be a few local storms."""
DRY_FACTOR = 3.0
"""A gauge is blocked when neighbours collect so many times what they ever did between two rains of the gauge."""
SAME_DAYS = 4
SLIP_FACTORS = (10.0, 25.4, 0.1, 1 / 25.4)


class _Block(NamedTuple):
    first: int
    last: int
    slope: float  # log of own rain over the neighbours'; NaN where too little fell


def rain_findings(rain: Floats, others: list[Floats], lake: Floats) -> list[Finding]:
    """Findings of one rain gauge, from its daily totals, its neighbours' and the level of the lake."""
    if not others:
        return [*_lone_extremes(rain, lake), *_repeated(rain)]
    near = middle_of(others)
    return [*_alone(rain, others), *_blocked(rain, near), *_scale(rain, near), *_repeated(rain)]


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


def _blocked(rain: Floats, near: Floats) -> list[Finding]:
    """Dry spells of the gauge during which its neighbours collected far more than in any before."""
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


def _scale(rain: Floats, near: Floats) -> list[Finding]:
    """Blocks whose slope against the neighbours differs from the gauge's median slope, as each block's end knows it."""
    blocks = _blocks(rain, near)
    slopes = np.array([block.slope for block in blocks])
    open_since: dict[int, int] = {}
    found: list[Finding] = []
    for now in range(LASTING_BLOCKS, len(blocks)):
        wrong = _wrong_slopes(slopes[: now + 1])
        for b in range(now + 1):
            if b in open_since and not wrong[b]:
                found.append(_scale_finding(blocks, b, open_since.pop(b), slopes[: now + 1], blocks[now].last, rain))
            elif wrong[b]:
                open_since.setdefault(b, blocks[now].last)
    return found + [_scale_finding(blocks, b, known, slopes, None, rain) for b, known in open_since.items()]


def _blocks(rain: Floats, near: Floats) -> list[_Block]:
    both = np.isfinite(rain) & np.isfinite(near)
    own, theirs = np.where(both, rain, 0.0), np.where(both, near, 0.0)
    made: list[_Block] = []
    collected, days = 0.0, 0
    for first in range(0, len(rain) - BLOCK_DAYS + 1, BLOCK_DAYS):
        part = slice(first, first + BLOCK_DAYS)
        mine, fell, count = own[part].sum(), theirs[part].sum(), int(both[part].sum())
        collected, days = collected + fell, days + count
        enough = count >= BLOCK_DAYS_BOTH and fell >= BLOCK_RAIN_SHARE * collected / max(days, 1) * count and fell > 0
        slope = float(np.log((mine + 0.1) / (fell + 0.1))) if enough else np.nan
        made.append(_Block(first, first + BLOCK_DAYS - 1, slope))
    return made


def _wrong_slopes(slopes: Floats) -> list[bool]:
    """Which blocks differ from the median of those told, and have a neighbour in time that does to the same side."""
    told = slopes[np.isfinite(slopes)]
    if len(told) <= LASTING_BLOCKS:
        return [False] * len(slopes)
    middle = np.median(told)
    bound = max(SLOPE_MADS * 1.4826 * float(np.median(np.abs(told - middle))), SLOPE_LOG)
    side = np.where(np.abs(slopes - middle) > bound, np.sign(slopes - middle), 0)
    order = np.flatnonzero(np.isfinite(slopes))
    lasting = np.zeros(len(slopes), bool)
    for one, following in zip(order[:-1], order[1:], strict=True):
        if side[one] != 0 and side[one] == side[following]:
            lasting[[one, following]] = True
    return [bool(x) for x in lasting]


def _scale_finding(
    blocks: list[_Block], b: int, known: int, slopes: Floats, withdrawn: int | None, rain: Floats
) -> Finding:
    days = np.arange(blocks[b].first, blocks[b].last + 1)
    off = blocks[b].slope - float(np.nanmedian(slopes))
    reason = "unit" if any(abs(off - np.log(f)) < 0.25 for f in SLIP_FACTORS) else "scale"
    return Finding(days[np.isfinite(rain[days])], reason, known, np.nan, withdrawn)
