"""Checks of one gauge against its own past: jumps, spikes and steps, unit slips, stuck spells.

All thresholds are multiples of quantiles of the gauge's own earlier changes: they have no unit, and a day's depends on
earlier days only. docs/screening.md gives the formulas and where they come from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forebay.prepare.evidence import Evidence
from forebay.prepare.findings import Bools, Days, Finding, Floats, day_changes, learned

JUMP = 6.0
"""A change is a jump beyond this many times the 99% quantile of unsupported changes in its direction."""
WEATHER_JUMP = 2.5
"""The same for temperature and the like, which nothing supports and whose quantile is that of all changes."""
RETURN = 0.3
"""An excursion has returned when it is nearer to where it left than this share of its jump."""
STEP_DAYS = 10
LATE_EVIDENCE_DAYS = 2
LOOK_BACK_DAYS = 10
SLIPS = (10.0, 100.0, 1000.0, 1 / 10, 1 / 100, 1 / 1000, 1 / 0.3048, 0.3048)
"""Factors of a lost or shifted decimal point, and of feet taken for metres or metres for feet."""

STUCK_DAYS = 15
STUCK = 0.05
"""A spell is stuck when its range is below this share of (typical daily change × days)."""
EDGE = 1.5
"""A stuck spell begins with the first value within this many typical changes of its middle."""
REST_SHARE = 0.01
"""A level at which the lake rested on this share of its past days (a spillway) is no sign of a stuck gauge."""
CATCH_UP = 4.0
"""After a stuck spell, changes beyond this many typical ones are catching up."""


@dataclass(frozen=True)
class Thresholds:
    """Per day: the largest believable rise and fall in a day without evidence, and the typical change."""

    rise: Floats
    fall: Floats
    typical: Floats


def thresholds(value: Floats, evidence: Evidence, *, kind: str) -> Thresholds:
    """Thresholds of a gauge, learned from its past.

    Parameters
    ----------
    kind
        "lake" (rises need evidence, falls too), "river" (rises need evidence), "weather" (neither).
    """
    change = day_changes(value)
    typical = learned(np.abs(change), 0.5)
    smallest = np.fmin.accumulate(np.where(change != 0, np.abs(change), np.nan))  # the gauge's resolution, so far
    typical = np.fmax(typical, np.concatenate([[np.nan], smallest[:-1]]) * np.where(np.isfinite(typical), 1, np.nan))
    if kind == "weather":
        bound = WEATHER_JUMP * learned(np.abs(change), 0.99, warm_up=365)
        return Thresholds(bound, bound, typical)
    rise = JUMP * learned(np.where((change > 0) & ~evidence.rise, change, np.nan), 0.99)
    fall = JUMP * learned(np.where((change < 0) & ~evidence.fall, -change, np.nan), 0.99)
    if kind == "river":
        fall = np.full(len(value), np.nan)
    return Thresholds(np.fmax(rise, 10 * typical), np.fmax(fall, 10 * typical) if kind == "lake" else fall, typical)


def jumps(value: Floats, bounds: Thresholds, evidence: Evidence, *, steps: bool) -> list[Finding]:
    """Jumps, spikes, unit slips and (if `steps`) steps of datum.

    A jump is doubted on its own day. It becomes a spike when the gauge returns, a step when it stays for 10 days, and
    is believed after all when evidence comes late. A change over a gap is judged by its mean over the days of the gap.
    """
    good = np.flatnonzero(np.isfinite(value))
    if len(good) < 2:
        return []
    level, gap = value[good], np.diff(good, prepend=good[0])
    change = np.diff(level, prepend=level[0])
    rising = (change > bounds.rise[good] * gap) & ~_within(evidence.rise, good, gap)
    falling = (change < -bounds.fall[good] * gap) & ~evidence.fall[good]
    found: list[Finding] = []
    resume = 0
    for at in np.flatnonzero(rising | falling).tolist():
        if at <= resume:
            continue
        start = _unnoticed_start(level, good, evidence.rise, at, resume)
        if start is not None:
            found.append(Finding(good[start:at], "spike", int(good[at]), float(level[start - 1])))
            resume = at
            continue
        made, resume = _excursion(level, good, at, bounds, evidence if rising[at] else None, steps=steps)
        found += made
    return found


def _within(supported: Bools, good: Days, gap: Days) -> Bools:
    """Whether a rise since the reading before was supported on any day since."""
    total = np.concatenate([[0], np.cumsum(supported)])
    return total[good + 1] > total[good + 1 - np.maximum(gap, 1)]


def _unnoticed_start(level: Floats, good: Days, supported: Bools, at: int, resume: int) -> int | None:
    """Where the excursion began that ends with the jump `at`, if an earlier unsupported change mirrors it."""
    jump = level[at] - level[at - 1]
    for start in range(at - 1, max(resume, 0), -1):
        if good[at] - good[start] > LOOK_BACK_DAYS:
            return None
        change = level[start] - level[start - 1]
        mirrors = change * jump < 0 and abs(change) >= 0.6 * abs(jump)
        if mirrors and abs(level[at] - level[start - 1]) <= RETURN * abs(jump):
            return None if change > 0 and supported[good[start]] else start
    return None


def _excursion(
    level: Floats, good: Days, at: int, bounds: Thresholds, evidence: Evidence | None, *, steps: bool
) -> tuple[list[Finding], int]:
    """Findings of the excursion that begins with the jump `at`, and the position from which all is well again."""
    base, first = float(level[at - 1]), int(good[at])
    jump = level[at] - base
    typical = float(np.nan_to_num(bounds.typical[first]))
    slipped = _is_slip(level[at], base, float(np.nanmax([bounds.rise[first], 10 * typical])))
    name = "unit" if slipped else "jump"
    for k in range(at + 1, len(good)):
        day = int(good[k])
        back = RETURN * abs(jump) if not slipped else max(RETURN * abs(jump), 0)
        if abs(level[k] - base) <= back + min(typical * (day - first), RETURN * abs(jump)):
            days = good[at:k]
            if slipped:
                return [Finding(days, "unit", first, base)], k
            return [Finding(days, "jump", first, base, day), Finding(days, "spike", day, base)], k
        if evidence is not None and first < day <= first + LATE_EVIDENCE_DAYS and evidence.rise[day] and not slipped:
            return [Finding(good[at:k], name, first, base, day)], k
        if day - first >= STEP_DAYS and not slipped:
            doubted = Finding(good[at:k], name, first, base, day)
            is_step = steps and _is_alone(level, at)
            return [doubted, *([Finding(good[at : at + 1], "step", day, base)] if is_step else [])], k
    return [Finding(good[at:], name, first, base)], len(good)


def _is_alone(level: Floats, at: int) -> bool:
    """Whether a jump stands between two quiet days, as a moved datum does and a flood or a drawdown does not."""
    jump = abs(level[at] - level[at - 1])
    before = abs(level[at - 1] - level[at - 2]) if at > 1 else 0.0
    after = abs(level[at + 1] - level[at]) if at + 1 < len(level) else 0.0
    return bool(max(before, after) < RETURN * jump)


def _is_slip(value: float, before: float, allowed: float) -> bool:
    """Whether a factor of `SLIPS` brings `value` back to what it was before; told only where values are large."""
    if abs(before) <= 5 * allowed:
        return False
    return any(abs(value * factor - before) <= allowed for factor in SLIPS)


def stuck(value: Floats, typical: Floats) -> list[Finding]:
    """Spells in which a lake's gauge hardly moves for 15 days or more, and the days on which it catches up.

    Known on the 15th day. A spell at a level where the lake has rested before is not told from a full reservoir.
    """
    quiet = np.flatnonzero(_range(value, STUCK_DAYS) <= STUCK * typical * STUCK_DAYS).tolist()
    found: list[Finding] = []
    done = -1
    for known in quiet:
        first = known - STUCK_DAYS + 1
        if first <= done:
            continue
        middle, scale = float(np.median(value[first : known + 1])), float(typical[known])
        if _rested_before(value[:first], middle, scale):
            continue
        while first > done + 1 and abs(value[first - 1] - middle) <= EDGE * scale:
            first -= 1
        last = known
        while last + 1 < len(value) and abs(value[last + 1] - middle) <= EDGE * scale:
            last += 1
        found.append(Finding(np.arange(first, last + 1), "stuck", known, middle))
        done = _catch_up(value, last, scale, found)
    return found


def _catch_up(value: Floats, last: int, typical: float, found: list[Finding]) -> int:
    """Add to `found` the days after `last` on which the gauge catches up; the last of them holds once it rests."""
    day = last
    while day + 1 < len(value) and abs(value[day + 1] - value[day]) > CATCH_UP * typical and day - last < STEP_DAYS:
        day += 1
    if day > last:
        if day - 1 > last:
            found.append(Finding(np.arange(last + 1, day), "stuck", last + 1))
        arrived = day + 1 if day + 1 < len(value) else None
        found.append(Finding(np.arange(day, day + 1), "stuck", day, np.nan, arrived))
    return day


def _range(value: Floats, days: int) -> Floats:
    """Range over the last `days` days; NaN where one is missing."""
    made = np.full(len(value), np.nan)
    if len(value) >= days:
        windows = np.lib.stride_tricks.sliding_window_view(value, days)
        made[days - 1 :] = windows.max(1) - windows.min(1)
    return made


def _rested_before(past: Floats, level: float, typical: float) -> bool:
    """Whether more than a few past days, beyond the last month, lay at this level."""
    earlier = past[:-30] if len(past) > 30 else past[:0]
    at_rest = np.abs(earlier - level) <= EDGE * typical
    still = np.abs(day_changes(earlier)) <= typical / 2
    return bool((at_rest & still).sum() > max(20, REST_SHARE * np.isfinite(earlier).sum()))
