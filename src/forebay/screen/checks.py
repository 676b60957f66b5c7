"""Checks of one gauge against its own past: jumps, spikes and steps, unit slips, stuck spells.

All thresholds are multiples of quantiles of the gauge's own earlier changes: they have no unit, and a day's depends on
earlier days only. docs/screening.md gives the formulas and where they come from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forebay.screen.evidence import GATE_DAYS, Evidence
from forebay.screen.findings import Bools, Days, Finding, Floats, day_changes, learned

JUMP = 6.0
"""A change is a jump beyond this many times the 99% quantile of unsupported changes in its direction."""
WEATHER_JUMP = 2.5
"""The same for temperature and the like, which nothing supports and whose quantile is that of all changes."""
COLLAPSE = 4.0
"""Water that falls by this many times the 99% quantile of all a lake's falls (a river's rises), back to just where it
was before it rose, never rose: not even a flood ends so."""
BEYOND_GATES = 3.0
"""A fall of a lake beyond this many times a collapse is doubted whatever was released."""
RETURN, RETURN_JUST, SUDDEN = 0.3, 0.1, 0.6
"""An excursion has returned when it is nearer to where it left than this share of its jump (strictly: the second), and
as a spike does when one change makes this share (the third) of the way: water returns by and by."""
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
FLOOD_TAKES_DAYS = 3
"""Days of flood evidence during which a gauge must have stood still to be stuck for sure, and days a flood may take."""
CATCH_UP = 4.0
"""After a stuck spell, changes beyond this many typical ones are catching up."""


@dataclass(frozen=True)
class Thresholds:
    """Per day: the largest believable rise and fall in a day without evidence, the typical change, and a collapse."""

    rise: Floats
    fall: Floats
    typical: Floats
    collapse: Floats


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
    never = np.full(len(value), np.nan)
    if kind == "weather":
        bound = WEATHER_JUMP * learned(np.abs(change), 0.99, warm_up=365)
        return Thresholds(bound, bound, typical, never)
    rises, falls = np.where(change > 0, change, np.nan), np.where(change < 0, -change, np.nan)
    rise = np.fmax(JUMP * learned(np.where(evidence.rise, np.nan, rises), 0.99), 10 * typical)
    if kind == "river":  # its floods come and go: the common ones among them need no evidence
        common = learned(rises, 0.98, warm_up=100)
        return Thresholds(np.maximum(rise, common), never, typical, COLLAPSE * learned(rises, 0.99, warm_up=100))
    fall = np.fmax(JUMP * learned(np.where(evidence.fall, np.nan, falls), 0.99), 10 * typical)
    every_fall = learned(falls, 0.99)
    return Thresholds(rise, np.fmax(fall, 3 * every_fall), typical, np.fmax(COLLAPSE * every_fall, 10 * typical))


def jumps(value: Floats, bounds: Thresholds, evidence: Evidence, *, kind: str) -> list[Finding]:
    """Jumps, spikes, and of a lake unit slips and steps of datum.

    A jump is doubted on its own day. It becomes a spike when the gauge returns, a step when it stays for 10 days, and
    is believed after all when evidence comes late. A change over a gap is judged by its mean over the days of the gap.
    """
    good = np.flatnonzero(np.isfinite(value))
    if len(good) < 2:
        return []
    level, gap = value[good], np.diff(good, prepend=good[0])
    change = np.diff(level, prepend=level[0])
    supported = _since_last(evidence.rise, good, gap)
    rising = (change > bounds.rise[good] * gap) & ~supported
    collapsing = change < -bounds.collapse[good] * gap
    falling = (change < -bounds.fall[good] * gap) & ~evidence.fall[good]
    if kind == "lake":
        falling |= (change < -BEYOND_GATES * bounds.collapse[good] * gap) & (level < _lowest_before(level))
        slips = _slips(level, np.fmax(bounds.rise[good], 10 * bounds.typical[good]))
        rising |= slips & (change > 0)
        falling |= slips & (change < 0)
    found: list[Finding] = []
    resume = 0
    for at in np.flatnonzero(rising | falling | collapsing).tolist():
        if at <= resume:
            continue
        start = None if not (rising[at] or falling[at]) else _mirror(level, good, at, resume, RETURN)
        if start is not None and level[start] > level[start - 1] and supported[start]:
            start = None
        if start is None and collapsing[at]:
            start = _mirror(level, good, at, resume, RETURN_JUST)
        if start is not None:
            found.append(Finding(good[start:at], "spike", int(good[at]), float(level[start - 1])))
            resume = at
        elif collapsing[at] and not falling[at]:
            made, resume = _collapse(level, good, at, is_lake=kind == "lake")
            found += made
        elif rising[at] or falling[at]:
            late = evidence.rise if rising[at] else np.zeros_like(evidence.rise)
            made, resume = _excursion(level, good, at, bounds, late, is_lake=kind == "lake")
            found += made
    return found


def _since_last(supported: Bools, good: Days, gap: Days) -> Bools:
    """Whether a rise since the reading before was supported on any day since."""
    total = np.concatenate([[0], np.cumsum(supported)])
    return np.asarray(total[good + 1] > total[good + 1 - np.maximum(gap, 1)])


def _mirror(level: Floats, good: Days, at: int, resume: int, share: float) -> int | None:
    """Where the excursion began that ends with the jump `at`: an opposite change from (nearly) the same level."""
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
    level: Floats, good: Days, at: int, bounds: Thresholds, late: Bools, *, is_lake: bool
) -> tuple[list[Finding], int]:
    """Findings of the excursion that begins with the jump `at`, and the position from which all is well again.

    `late` tells the days on which evidence for it comes in.
    """
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
            believed = [Finding(days, "jump", first, base, day)]
            sudden = abs(level[k] - level[k - 1]) >= SUDDEN * size
            return believed + ([Finding(days, "spike", day, base)] if sudden else []), k
        if slipped:
            continue
        believed = [Finding(days, "jump", first, base, day)]
        if day <= first + LATE_EVIDENCE_DAYS and late[day]:
            return believed, k
        if day - first >= STEP_DAYS:
            is_step = is_lake and _is_step(level, at)
            return believed + ([Finding(good[at : at + 1], "step", day, base)] if is_step else []), k
    return [Finding(good[at:], "unit" if slipped else "jump", first, base)], len(good)


def _collapse(level: Floats, good: Days, at: int, *, is_lake: bool) -> tuple[list[Finding], int]:
    """Findings of a fall that a flood or a release may explain.

    It does not if the level springs back to just where it was, or stays at once after days without a rise.
    """
    base, size = float(level[at - 1]), abs(level[at] - level[at - 1])
    for k in range(at + 1, len(good)):
        if abs(level[k] - base) <= RETURN_JUST * size and level[k] - level[k - 1] >= SUDDEN * size:
            return [Finding(good[at:k], "spike", int(good[k]), base)], k
        if good[k] - good[at] >= STEP_DAYS:
            is_step = is_lake and _is_step(level, at)
            return ([Finding(good[at : at + 1], "step", int(good[k]), base)], k) if is_step else ([], at)
    return [], at


def _is_step(level: Floats, at: int) -> bool:
    """Whether a jump stands between two quiet days, as a moved datum does and a flood or a drawdown does not.

    A fall that takes back what rose in the last days is no step either.
    """
    jump = level[at] - level[at - 1]
    before = abs(level[at - 1] - level[at - 2]) if at > 1 else 0.0
    after = abs(level[at + 1] - level[at]) if at + 1 < len(level) else 0.0
    had_risen = level[at - 1] - level[max(0, at - GATE_DAYS) : at].min() > RETURN * abs(jump)
    return bool(max(before, after) < RETURN * abs(jump) and not (jump < 0 and had_risen))


def _lowest_before(level: Floats) -> Floats:
    """Lowest of the readings before each, up to `GATE_DAYS` of them; infinite before the first."""
    padded = np.concatenate([np.full(GATE_DAYS, np.inf), level[:-1]])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, GATE_DAYS).min(1))


def _slips(level: Floats, allowed: Floats) -> Bools:
    """Whether a factor of `SLIPS` brings each level back to within `allowed` of the one before.

    Told only where levels are large beside what is allowed; no flood multiplies a lake by such a factor overnight.
    """
    before = np.concatenate([[np.nan], level[:-1]])
    factors = np.array(SLIPS)[:, None]
    back = np.abs(level * factors - before) <= allowed
    return np.asarray(back.any(0) & (np.abs(before) > 5 * allowed) & (np.abs(level - before) > allowed))


def stuck(value: Floats, typical: Floats, evidence: Evidence) -> list[Finding]:
    """Spells in which a lake's gauge hardly moves for 15 days or more, and the days on which it catches up.

    A spell is only noted ("still") from its 15th day on: lakes do rest. It is stuck once a flood came and it did not
    move, or once it catches up with a leap that nothing supports. A spell at a level where the lake has rested before
    (a full reservoir) needs the flood to be noted at all.
    """
    quiet = np.flatnonzero(_range(value, STUCK_DAYS) <= STUCK * typical * STUCK_DAYS).tolist()
    floods = np.concatenate([[0], np.cumsum(evidence.flood)])
    found: list[Finding] = []
    done = -1
    for known in quiet:
        first = known - STUCK_DAYS + 1
        if first <= done:
            continue
        middle, scale = float(np.median(value[first : known + 1])), float(typical[known])
        first, last = _spell(value, (first, known), middle, EDGE * scale, done)
        seen = floods[known + 1 : last + 2] - floods[min(first + FLOOD_TAKES_DAYS, known)]
        unmoved = np.flatnonzero(seen >= FLOOD_TAKES_DAYS)
        if len(unmoved) == 0 and _rested_before(value[:first], middle, scale):
            continue
        days, ended = np.arange(first, last + 1), last + 1 if last + 1 < len(value) else None
        found.append(Finding(days, "still", known, middle, ended))
        done = _arrival(value, last, scale, evidence)
        if len(unmoved) > 0:
            found.append(Finding(days, "stuck", known + int(unmoved[0]), middle))
        elif done > last:
            found.append(Finding(days, "stuck", last + 1, middle))
        found += _catching_up(last, done, len(value))
    return found


def _spell(value: Floats, core: tuple[int, int], middle: float, edge: float, done: int) -> tuple[int, int]:
    """First and last day of the run around `core` whose values lie within `edge` of `middle`, after day `done`."""
    first, last = core
    while first > done + 1 and abs(value[first - 1] - middle) <= edge:
        first -= 1
    while last + 1 < len(value) and abs(value[last + 1] - middle) <= edge:
        last += 1
    return first, last


def _arrival(value: Floats, last: int, typical: float, evidence: Evidence) -> int:
    """Last of the days on which the gauge catches up after `last`; `last` itself if it moves on gently."""
    day = last
    while day + 1 < len(value) and day - last < STEP_DAYS:
        change = value[day + 1] - value[day]
        explained = evidence.rise[day + 1] if change > 0 else evidence.fall[day + 1]
        if not abs(change) > CATCH_UP * typical or explained:
            break
        day += 1
    return day


def _catching_up(last: int, arrived: int, days: int) -> list[Finding]:
    """The days after `last` up to `arrived`: each doubted on its own day, the last believed when the gauge rests."""
    found = [Finding(np.arange(last + 1, arrived), "stuck", last + 1)] if arrived > last + 1 else []
    if arrived > last:
        rests = arrived + 1 if arrived + 1 < days else None
        found.append(Finding(np.arange(arrived, arrived + 1), "stuck", arrived, np.nan, rests))
    return found


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
