"""Checks of one gauge against its own past: jumps, spikes and steps, unit slips, stuck spells.

All thresholds are multiples of quantiles of the gauge's own earlier changes. So they have no unit, and the threshold of
a day depends on earlier days only. docs/screening.md gives the formulas and their sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from forebay.screen.evidence import GATE_DAYS, Evidence
from forebay.screen.findings import Bools, Days, Finding, Floats, day_changes, past_quantile

JUMP = 6.0
"""A change is a jump beyond this many times the 99% quantile of unsupported changes in its direction."""
WEATHER_JUMP = 2.5
"""The same for temperature, for which there is no evidence; its quantile is that of all changes."""
COLLAPSE = 4.0
"""A fall larger than any flood recession: this many times the 99% quantile of all falls of a lake (of all rises of a
river). If it ends just at the level before the rise, the rise was a spike."""
BEYOND_GATES = 3.0
"""A fall of a lake beyond this many times a collapse is suspect despite any release."""
RETURN, RETURN_JUST, SUDDEN = 0.3, 0.1, 0.6
"""Shares of the jump of an excursion. It has returned when it is nearer to its base than the first (strictly: than the
second). It is a spike when one change covers the third: water returns gradually."""
STEP_DAYS = 10
CONSISTENT_READINGS, CONSISTENT_SHARE = 2, 0.25
"""A jump is real if so many readings after it each continue it by this share of its size: a drawdown, a flood."""
CONSISTENT_FACTOR = 2.0
"""Such a movement goes on, without a flag, as long as its changes are at most this many times its largest so far."""
LATE_EVIDENCE_DAYS = 2
LOOK_BACK_DAYS = 10
SLIPS = (10.0, 100.0, 1000.0, 1 / 10, 1 / 100, 1 / 1000, 1 / 0.3048, 0.3048)
"""Factors of a lost or shifted decimal point, and of feet read as metres or metres as feet."""

STUCK_DAYS = 15
STUCK = 0.05
"""A spell is still when its range is below this share of (typical daily change × days)."""
EDGE = 1.5
"""A still spell begins with the first value within this many typical changes of its median."""
REST_SHARE = 0.01
"""A level at which the lake rested on this share of its past days (a spillway) is no evidence of a stuck gauge."""
FLOOD_ARRIVAL_DAYS = 3
"""A gauge is stuck if it is still on this many days of a flood; also the days until the flood's water arrives."""
CATCH_UP, CATCH_UP_DAYS = 4.0, 3
"""After a still spell, the gauge catches up while its changes are beyond this many typical ones, for this many days at
most: then the lake moves."""


@dataclass(frozen=True)
class Thresholds:
    """Per day: the largest plausible rise and fall in a day without evidence, the typical change, and a collapse."""

    rise: Floats
    fall: Floats
    typical: Floats
    collapse: Floats


def thresholds(value: Floats, evidence: Evidence, *, kind: str) -> Thresholds:
    """Thresholds of a gauge on each day, from its past.

    Parameters
    ----------
    kind
        "lake" (rises and falls need evidence), "river" (only rises need it), "weather" (neither needs it).
    """
    change = day_changes(value)
    typical = past_quantile(np.abs(change), 0.5)
    smallest = np.fmin.accumulate(np.where(change != 0, np.abs(change), np.nan))  # the gauge's resolution, so far
    typical = np.fmax(typical, np.concatenate([[np.nan], smallest[:-1]]) * np.where(np.isfinite(typical), 1, np.nan))
    no_bound = np.full(len(value), np.nan)
    if kind == "weather":
        bound = WEATHER_JUMP * past_quantile(np.abs(change), 0.99, warm_up=365)
        return Thresholds(bound, bound, typical, no_bound)
    rises, falls = np.where(change > 0, change, np.nan), np.where(change < 0, -change, np.nan)
    rise = np.fmax(JUMP * past_quantile(np.where(evidence.rise, np.nan, rises), 0.99), 10 * typical)
    if kind == "river":  # floods are common: those of usual size need no evidence
        common = past_quantile(rises, 0.98, warm_up=100)
        collapse = COLLAPSE * past_quantile(rises, 0.99, warm_up=100)
        return Thresholds(np.maximum(rise, common), no_bound, typical, collapse)
    fall = np.fmax(JUMP * past_quantile(np.where(evidence.fall, np.nan, falls), 0.99), 10 * typical)
    large_fall = past_quantile(falls, 0.99)
    return Thresholds(rise, np.fmax(fall, 3 * large_fall), typical, np.fmax(COLLAPSE * large_fall, 10 * typical))


def jumps(value: Floats, bounds: Thresholds, evidence: Evidence, *, kind: str) -> list[Finding]:
    """Jumps and spikes; for a lake also unit slips and steps of datum.

    A jump is flagged on its own day. It becomes a spike when the gauge returns, and a step when it stays for 10 days.
    Late evidence withdraws it, and so do the next two readings if they continue it. A change over a gap is checked by
    its mean over the days of the gap.
    """
    good = np.flatnonzero(np.isfinite(value))
    if len(good) < 2:
        return []
    level, gap = value[good], np.diff(good, prepend=good[0])
    change = np.diff(level, prepend=level[0]) / np.maximum(gap, 1)  # per day
    supported = _supported_since_last(evidence.supports_rise, good, gap)
    rising = (change > bounds.rise[good]) & ~supported
    collapsing = change < -bounds.collapse[good]
    falling = (change < -bounds.fall[good]) & ~evidence.fall[good]
    if kind == "lake":
        falling |= (change < -BEYOND_GATES * bounds.collapse[good]) & (level < _lowest_before(level))
        slips = _slips(level, np.fmax(bounds.rise[good], 10 * bounds.typical[good]))
        rising |= slips & (change > 0)
        falling |= slips & (change < 0)
    findings: list[Finding] = []
    resume, movement = 0, NO_MOVEMENT
    unusual = rising | falling | collapsing
    for at in np.flatnonzero(unusual).tolist():
        if at <= resume:
            continue
        if movement.includes(change[at], int(good[at])):
            movement = movement.extended(change[at], int(good[at]))
            continue
        start = None if not (rising[at] or falling[at]) else _excursion_start(level, good, at, resume, RETURN)
        is_back = start is not None  # the readings on both sides of an excursion agree, whatever it was
        if start is not None and level[start] > level[start - 1] and supported[start]:
            start = None
        if start is None and collapsing[at]:
            start = _excursion_start(level, good, at, resume, RETURN_JUST)
        if start is not None and _is_crest(level, good, (start, at), bounds, evidence):
            start = None
        if start is not None:
            findings.append(Finding(good[start:at], "spike", int(good[at]), float(level[start - 1])))
            resume = at
        elif collapsing[at] and not falling[at]:
            collapse, resume = _collapse(level, good, at, unusual, is_lake=kind == "lake")
            findings += collapse
        elif (rising[at] or falling[at]) and not is_back:
            late_evidence = _late_evidence(evidence, int(good[at]), is_rise=bool(rising[at]))
            excursion, resume = _excursion(level, good, at, bounds, late_evidence, is_lake=kind == "lake")
            findings += excursion
            if resume == at + CONSISTENT_READINGS and _is_continued(level, at):
                largest = float(np.abs(change[at : resume + 1]).max() * np.sign(change[at]))
                movement = Movement(largest, int(good[resume]))
    return findings


def _late_evidence(evidence: Evidence, first: int, *, is_rise: bool) -> Bools:
    """Whether each day withdraws the flag of a jump on day `first`: water for a rise, a late release for a fall."""
    events = evidence.supports_rise if is_rise else evidence.release
    last = first + evidence.delay + (LATE_EVIDENCE_DAYS if is_rise else 0)
    days = np.arange(len(events))
    return np.asarray(events & (days > first) & (days <= last))


def _is_crest(level: Floats, good: Days, excursion: tuple[int, int], bounds: Thresholds, evidence: Evidence) -> bool:
    """Whether an excursion between two positions, its rise and its fall, is a crest that other gauges support.

    A large release explains the fall, or a flood the rise. Other water explains the rise if the fall is moderate.
    """
    start, at = excursion
    fall = (level[at - 1] - level[at]) / (good[at] - good[at - 1])
    is_moderate = fall <= BEYOND_GATES * bounds.collapse[good[at]]
    water = evidence.water & ~evidence.low_inflow if is_moderate else evidence.flood
    known = min(good[start] + evidence.delay, good[at])
    has_water = water[good[start - 1] : known + 1].any()
    return bool(fall > 0 and (has_water or evidence.release[good[at - 1] + 1 : good[at] + 1].any()))


class Movement(NamedTuple):
    """A movement of the lake that its own readings support: its largest change (with sign), and its last day."""

    change: float
    last_day: int

    def includes(self, change: float, day: int) -> bool:
        """Whether a change per day up to `day` continues the movement."""
        is_same_way = change * self.change > 0
        return is_same_way and day - self.last_day <= STEP_DAYS and abs(change) <= CONSISTENT_FACTOR * abs(self.change)

    def extended(self, change: float, day: int) -> Movement:
        """The movement with one more change."""
        return Movement(max(self.change, change, key=abs), day)


NO_MOVEMENT = Movement(0.0, 0)


def _is_continued(level: Floats, at: int) -> bool:
    """Whether the readings after the jump `at` continue it, so that it is no fault of the gauge."""
    jump = level[at] - level[at - 1]
    changes = np.diff(level[at : at + CONSISTENT_READINGS + 1])
    return len(changes) == CONSISTENT_READINGS and bool((changes * np.sign(jump) >= CONSISTENT_SHARE * abs(jump)).all())


def _supported_since_last(supported: Bools, good: Days, gap: Days) -> Bools:
    """Whether a rise is supported on any day since the reading before it."""
    total = np.concatenate([[0], np.cumsum(supported)])
    return np.asarray(total[good + 1] > total[good + 1 - np.maximum(gap, 1)])


def _excursion_start(level: Floats, good: Days, at: int, resume: int, share: float) -> int | None:
    """Position of the opposite change that starts the excursion which the jump `at` ends; None if there is none."""
    jump = level[at] - level[at - 1]
    for start in range(at - 1, max(resume, 0), -1):
        if good[at] - good[start] > LOOK_BACK_DAYS:
            return None
        change = level[start] - level[start - 1]
        is_opposite = change * jump < 0 and abs(change) >= SUDDEN * abs(jump)
        if is_opposite and abs(level[at] - level[start - 1]) <= share * abs(jump):
            return start
    return None


def _excursion(
    level: Floats, good: Days, at: int, bounds: Thresholds, late_evidence: Bools, *, is_lake: bool
) -> tuple[list[Finding], int]:
    """Findings of the excursion that begins with the jump `at`, and the position at which it ends."""
    base, first = float(level[at - 1]), int(good[at])
    size = abs(level[at] - base)
    typical = float(np.nan_to_num(bounds.typical[first]))
    allowed = np.full(2, np.nanmax([bounds.rise[first], 10 * typical, 0.0]))
    slipped = is_lake and bool(_slips(level[at - 1 : at + 1], allowed)[1])
    for k in range(at + 1, len(good)):
        day, days = int(good[k]), good[at:k]
        if abs(level[k] - base) <= RETURN * size + min(typical * (day - first), RETURN * size):
            if slipped:
                return [Finding(days, "unit", first, base)], k
            withdrawn = [Finding(days, "jump", first, base, day)]
            sudden = abs(level[k] - level[k - 1]) >= SUDDEN * size
            return withdrawn + ([Finding(days, "spike", day, base)] if sudden else []), k
        if slipped:
            continue
        withdrawn = [Finding(days, "jump", first, base, day)]
        if late_evidence[day]:
            return withdrawn, k
        if k == at + CONSISTENT_READINGS and _is_continued(level, at):
            return withdrawn, k
        if day - first >= STEP_DAYS:
            is_step = is_lake and _is_step(level, at)
            return withdrawn + ([Finding(good[at : at + 1], "step", day, base)] if is_step else []), k
    return [Finding(good[at:], "unit" if slipped else "jump", first, base)], len(good)


def _collapse(level: Floats, good: Days, at: int, unusual: Bools, *, is_lake: bool) -> tuple[list[Finding], int]:
    """Findings of a collapse with evidence, and the position at which it ends.

    The evidence does not explain it if the level springs back to its base (a spike). Nor does it if the fall is a step
    after days without a rise. The collapse ends at the next `unusual` change.
    """
    base, size = float(level[at - 1]), abs(level[at] - level[at - 1])
    for k in range(at + 1, len(good)):
        if abs(level[k] - base) <= RETURN_JUST * size and level[k] - level[k - 1] >= SUDDEN * size:
            return [Finding(good[at:k], "spike", int(good[k]), base)], k
        if good[k] - good[at] >= STEP_DAYS:
            is_step = is_lake and _is_step(level, at)
            return ([Finding(good[at : at + 1], "step", int(good[k]), base)], k) if is_step else ([], at)
        if unusual[k]:  # it is checked by itself on its own day
            return [], at
    return [], at


def _is_step(level: Floats, at: int) -> bool:
    """Whether a jump lies between two quiet days, as a step of datum does; a flood or a drawdown does not.

    A fall that reverses a rise of the last days is no step either.
    """
    jump = level[at] - level[at - 1]
    before = abs(level[at - 1] - level[at - 2]) if at > 1 else 0.0
    after = abs(level[at + 1] - level[at]) if at + 1 < len(level) else 0.0
    after_rise = level[at - 1] - level[max(0, at - GATE_DAYS) : at].min() > RETURN * abs(jump)
    return bool(max(before, after) < RETURN * abs(jump) and not (jump < 0 and after_rise))


def _lowest_before(level: Floats) -> Floats:
    """Lowest of the up to `GATE_DAYS` readings before each reading; infinite before the first."""
    padded = np.concatenate([np.full(GATE_DAYS, np.inf), level[:-1]])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, GATE_DAYS).min(1))


def _slips(level: Floats, allowed: Floats) -> Bools:
    """Whether a factor of `SLIPS` brings each level back to within `allowed` of the one before.

    False where levels are not large compared with `allowed`. No flood multiplies a lake's level by such a factor in a
    day.
    """
    before = np.concatenate([[np.nan], level[:-1]])
    factors = np.array(SLIPS)[:, None]
    back = np.abs(level * factors - before) <= allowed
    return np.asarray(back.any(0) & (np.abs(before) > 5 * allowed) & (np.abs(level - before) > allowed))


def stuck(value: Floats, typical: Floats, evidence: Evidence) -> list[Finding]:
    """Spells of 15 days or more in which a lake's gauge hardly moves, and the days on which it catches up.

    From its 15th day on, a spell is flagged "still", which leaves the value in use: lakes do rest. It is "stuck" once
    it stays still in a flood, or once it catches up with a leap without evidence. A spell at a level where the lake
    has rested before (a full reservoir) is flagged only with a flood.
    """
    quiet = np.flatnonzero(_range(value, STUCK_DAYS) <= STUCK * typical * STUCK_DAYS).tolist()
    floods = np.concatenate([[0], np.cumsum(evidence.flood)])
    findings: list[Finding] = []
    last_flagged = -1
    for known in quiet:
        first = known - STUCK_DAYS + 1
        if first <= last_flagged:
            continue
        middle, scale = float(np.median(value[first : known + 1])), float(typical[known])
        first, last = _spell(value, (first, known), middle, EDGE * scale, last_flagged)
        flood_days = floods[known + 1 : last + 2] - floods[min(first + FLOOD_ARRIVAL_DAYS, known)]
        still_in_flood = np.flatnonzero(flood_days >= FLOOD_ARRIVAL_DAYS)
        if len(still_in_flood) == 0 and _rested_before(value[:first], middle, scale):
            continue
        days, end = np.arange(first, last + 1), last + 1 if last + 1 < len(value) else None
        findings.append(Finding(days, "still", known, middle, end))
        last_flagged = _catch_up_end(value, last, scale, evidence)
        if len(still_in_flood) > 0:
            findings.append(Finding(days, "stuck", known + int(still_in_flood[0]), middle))
        elif last_flagged > last:
            findings.append(Finding(days, "stuck", last + 1, middle))
        findings += _catch_up(last, last_flagged, len(value))
    return findings


def _spell(value: Floats, core: tuple[int, int], middle: float, edge: float, last_flagged: int) -> tuple[int, int]:
    """First and last day of the run around `core` with values within `edge` of `middle`, after day `last_flagged`."""
    first, last = core
    while first > last_flagged + 1 and abs(value[first - 1] - middle) <= edge:
        first -= 1
    while last + 1 < len(value) and abs(value[last + 1] - middle) <= edge:
        last += 1
    return first, last


def _catch_up_end(value: Floats, last: int, typical: float, evidence: Evidence) -> int:
    """Last of the days on which the gauge catches up after `last`; `last` itself if it moves on gradually."""
    day = last
    while day + 1 < len(value) and day - last < CATCH_UP_DAYS:
        change = value[day + 1] - value[day]
        explained = evidence.rise[day + 1] if change > 0 else evidence.fall[day + 1]
        if not abs(change) > CATCH_UP * typical or explained:
            break
        day += 1
    return day


def _catch_up(last: int, end: int, days: int) -> list[Finding]:
    """Findings of the days after `last` up to `end`, each known on its own day; the last is withdrawn a day later."""
    findings = [Finding(np.arange(last + 1, end), "stuck", last + 1)] if end > last + 1 else []
    if end > last:
        withdrawn = end + 1 if end + 1 < days else None
        findings.append(Finding(np.arange(end, end + 1), "stuck", end, np.nan, withdrawn))
    return findings


def _range(value: Floats, days: int) -> Floats:
    """Range over the last `days` days; NaN where one is missing."""
    ranges = np.full(len(value), np.nan)
    if len(value) >= days:
        windows = np.lib.stride_tricks.sliding_window_view(value, days)
        ranges[days - 1 :] = windows.max(1) - windows.min(1)
    return ranges


def _rested_before(past: Floats, level: float, typical: float) -> bool:
    """Whether the lake rested at this level on more than a few past days before the last month."""
    earlier = past[:-30] if len(past) > 30 else past[:0]
    at_rest = np.abs(earlier - level) <= EDGE * typical
    still = np.abs(day_changes(earlier)) <= typical / 2
    return bool((at_rest & still).sum() > max(20, REST_SHARE * np.isfinite(earlier).sum()))
