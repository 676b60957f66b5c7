"""The state of an alert: raised or clear, from the state before and what a forecast says.

A threshold's alert is raised when its probability has been at or above that of the rule on `min_duration` consecutive
init dates. It ends when the probability falls below `clear_probability` (hysteresis). A forecast that is stale or has
no such probability changes nothing: the state is unknown since then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.dams.alert_rules import AlertRule
from forebay.dams.local_time import local_clock
from forebay.tables import ALERTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

RAISED, CLEAR = "raised", "clear"


@dataclass(frozen=True)
class AlertState:
    """State of an alert: whether it is raised, and the number of consecutive init dates that fulfil the rule."""

    is_raised: bool = False
    streak: int = 0


def next_state(rule: AlertRule, state: AlertState, value: float | None) -> AlertState:
    """The state after one more init date.

    Parameters
    ----------
    value
        Probability of the event; of a rule on data 1 if data are missing, otherwise 0. None if it is unknown.

    Examples
    --------
    >>> rule = AlertRule(id="spill", threshold="full_supply", within_days=2, probability=0.5)
    >>> next_state(rule, AlertState(), 0.5), next_state(rule, AlertState(is_raised=True), 0.31).is_raised
    (AlertState(is_raised=True, streak=1), True)
    """
    if value is None:
        return AlertState(state.is_raised, 0)
    start, end = rule.limits
    streak = state.streak + 1 if value >= start else 0
    is_raised = value >= end if state.is_raised else streak >= rule.min_duration
    return AlertState(is_raised, streak)


def raised_days(rule: AlertRule, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the alert is raised after each of consecutive init dates, shape (n,); `values` are NaN where unknown."""
    state, raised = AlertState(), np.zeros(len(values), bool)
    for day, value in enumerate(values):
        state = next_state(rule, state, None if np.isnan(value) else float(value))
        raised[day] = state.is_raised
    return raised


def has_passed(rule: AlertRule, age_days: int) -> bool:
    """Whether all days of a rule on a threshold have ended, `age_days` whole days after the end of the init date."""
    assert rule.within_days is not None
    return age_days >= rule.within_days


@dataclass(frozen=True)
class Evidence:
    """What one forecast says about a rule.

    Attributes
    ----------
    value
        As in `next_state`.
    record, sequence, init_date
        Of the forecast record; None if there is no forecast.
    age_days
        Age of the level, or of the oldest gauge of a rule on data.
    """

    value: float | None
    record: str | None = None
    sequence: int | None = None
    init_date: date | None = None
    age_days: int | None = None


def next_decision(  # noqa: PLR0913  # the parts of a decision
    rule: AlertRule, evidence: Evidence, last: pl.DataFrame, day_before: pl.DataFrame, *, dam: str, time_zone: str,
    now: datetime,
) -> dict[str, object]:  # fmt: skip
    """The decision of a rule (a row of `tables.ALERTS`, without `title` and `text`).

    A rule that asks another question than at its last decision starts again, and an alert that was raised ends.

    Parameters
    ----------
    last, day_before
        The last decision of the rule, and the last one on the init date before (one row of `tables.ALERTS`, or none).
    """
    row = last.row(0, named=True) if last.height else None
    streak = day_before["streak"][0] if day_before.height and _asks_the_same(day_before, rule) else 0
    before = AlertState(row is not None and row["state"] == RAISED, streak)
    is_same = row is None or _asks_the_same(last, rule)
    if is_same:
        after = next_state(rule, before, evidence.value)
    else:
        after = AlertState() if before.is_raised else next_state(rule, AlertState(), evidence.value)
    is_change = after.is_raised != before.is_raised
    unknown_since = None if row is None else row["unknown_since"]
    return {
        "dam": dam,
        "rule": rule.id,
        "number": 1 if row is None else row["number"] + 1,
        "state": RAISED if after.is_raised else CLEAR,
        "since": now if row is None or is_change else row["since"],
        "unknown_since": None if evidence.value is not None else unknown_since or now,
        "decided_at": now,
        "record": evidence.record,
        "sequence": evidence.sequence,
        "init_date": evidence.init_date,
        "probability": evidence.value if rule.kind == "threshold" else None,
        "age_days": evidence.age_days,
        "streak": after.streak,
        "change": (0 if row is None else row["change"]) + is_change,
        "is_change": is_change,
        "severity": rule.severity,
        "rule_content": rule.model_dump_json(),
        "time_zone": time_zone,
    }


def _asks_the_same(decision: pl.DataFrame, rule: AlertRule) -> bool:
    """Whether a decision (one row of `tables.ALERTS`) answered the question of a rule."""
    return AlertRule.model_validate_json(decision["rule_content"][0]).question == rule.question


def decision_row(decision: dict[str, object], title: str, text: str) -> pl.DataFrame:
    """A decision with its message as one row of `tables.ALERTS`."""
    return ALERTS.check(pl.DataFrame([decision | {"title": title, "text": text}], schema=ALERTS.columns))


def with_acknowledgements(decided: pl.DataFrame, acknowledged: pl.DataFrame) -> pl.DataFrame:
    """`tables.ALERTS` with acknowledged_by and acknowledged_at: of the change of a raised alert; null without one.

    Parameters
    ----------
    acknowledged
        `tables.ACKNOWLEDGEMENTS`.
    """
    names = acknowledged.select("dam", "rule", "change", "acknowledged_at", acknowledged_by="name")
    joined = decided.join(names, on=["dam", "rule", "change"], how="left", maintain_order="left")
    is_raised = pl.col("state") == RAISED
    return joined.with_columns(
        pl.when(is_raised).then(pl.col(name)) for name in ("acknowledged_by", "acknowledged_at")
    )


def is_quiet(rule: AlertRule, time_zone: str, now: datetime) -> bool:
    """Whether `now` is within the quiet hours of a rule that keeps them.

    >>> from datetime import UTC
    >>> rule = AlertRule(id="a", kind="data", quiet_hours="22:00-06:00")
    >>> [is_quiet(rule, "+10:00", datetime(2024, 1, 1, hour, tzinfo=UTC)) for hour in (11, 12, 19, 20)]
    [False, True, True, False]
    """
    if rule.quiet_times is None:
        return False
    start, end = rule.quiet_times
    clock = local_clock(now, time_zone).time()
    return start <= clock < end if start < end else clock >= start or clock < end


def due_change(decisions: pl.DataFrame, sent: Sequence[int], now: datetime) -> pl.DataFrame:
    """The message of one alert that is due at one sink: the decision (one row of `tables.ALERTS`, or none).

    Only the newest change of the state is ever due, and only if the sink knows another state. A change within quiet
    hours is due after them, unless the state has changed back by then.

    Parameters
    ----------
    decisions
        `tables.ALERTS` of one rule.
    sent
        Changes that were sent to the sink, whatever became of them.
    """
    changes = decisions.filter(pl.col("is_change"))
    newest = changes.tail(1)
    known = max(sent, default=0)
    if newest.is_empty() or newest["change"][0] <= known:
        return newest.clear()
    # The state changes with every change, and the first one raises the alert.
    if newest["change"][0] % 2 == known % 2:
        return newest.clear()
    rule = AlertRule.model_validate_json(newest["rule_content"][0])
    return newest.clear() if is_quiet(rule, newest["time_zone"][0], now) else newest


def quiet_until(rule: AlertRule, time_zone: str, now: datetime) -> datetime | None:
    """The instant (UTC) at which the present quiet hours end; None outside them."""
    if not is_quiet(rule, time_zone, now):
        return None
    minutes = now.replace(second=0, microsecond=0)
    steps = (minutes + timedelta(minutes=k) for k in range(1, 25 * 60))
    return next(instant for instant in steps if not is_quiet(rule, time_zone, instant))
