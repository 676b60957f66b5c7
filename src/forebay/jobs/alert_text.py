"""Messages of alerts: numbers, uncertainty and the age of the data, without advice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from forebay.charts.formats import TargetFormat, format_count, format_time
from forebay.charts.outlook_tables import event_title, format_probability, skill_sentence
from forebay.dams.local_time import zone
from forebay.forecasts.alerts import RAISED
from forebay.tables import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forebay.dams.alert_rules import AlertRule
    from forebay.dams.dam import Dam
    from forebay.jobs.forecast import ForecastResult

CLOSING = "A calculation from public gauges for those who decide; it is no official warning."


@dataclass(frozen=True)
class GaugeAge:
    """A gauge that a rule on data watches: its title, the age (days) of its newest usable value, and the limit."""

    title: str
    age_days: int | None
    limit: int

    @property
    def is_late(self) -> bool:
        """Whether it has no new data."""
        return self.age_days is None or self.age_days > self.limit

    @property
    def text(self) -> str:
        """Title and age."""
        if self.age_days is None:
            return f"{self.title}: no usable value"
        return f"{self.title}: newest usable value {format_count(self.age_days, 'day')} old (limit {self.limit})"


def event_text(rule: AlertRule) -> str:
    """The event of a rule on a threshold: "At or above full supply within 2 days"."""
    assert rule.threshold is not None and rule.within_days is not None
    return f"{event_title(rule.threshold, rule.direction)} within {format_count(rule.within_days, 'day')}"


def message(  # noqa: PLR0913  # what a message is made of
    rule: AlertRule, decision: Mapping[str, Any], dam: Dam, result: ForecastResult | None, *,
    gauges: Sequence[GaugeAge] = (), fault: str = "",
) -> tuple[str, str]:  # fmt: skip  # Any: values of columns
    """Title and text of the message about a decision.

    Parameters
    ----------
    result
        The forecast; None if none could be made.
    gauges
        The gauges of a rule on data.
    fault
        Why there is no forecast, or why the probability is unknown.
    """
    is_raised = decision["state"] == RAISED
    lines = [f"No forecast could be made: {fault}"] if result is None else [fault]
    if rule.kind == "data":
        title = _data_title(dam, gauges, is_raised=is_raised)
        lines += [gauge.text for gauge in gauges]
        if is_raised:
            lines.append("Alerts on levels keep their last state until the level has new data.")
    else:
        chance = "probability unknown" if decision["probability"] is None else (
            f"{format_probability(decision['probability'])} likely"
        )  # fmt: skip
        event = event_text(rule)
        if result is not None:
            valid_date = result.issued.init_date + timedelta(days=rule.within_days or 0)
            event = f"{event_title(str(rule.threshold), rule.direction)} by {valid_date}"
        title = f"{dam.title}: {event[0].lower()}{event[1:]}, {chance}{'' if is_raised else ' (alert ended)'}"
        if decision["is_change"] and not is_raised and _asks_another_question(rule, decision):
            lines.append("The rule was changed, so the alert of its earlier form ended.")
        if result is not None and decision["probability"] is not None:
            lines += _numbers(rule, decision, dam, result)
    if result is not None:
        lines.append(_ages(dam, result))
    lines.append(f"Severity by the rule: {decision['severity']}. Rule: {rule.id}.")
    if decision["record"] is not None:
        lines.append(f"Forecast record: {decision['record']}.")
    return " ".join(title.split()), "\n".join(filter(None, [*lines, CLOSING]))


def _asks_another_question(rule: AlertRule, decision: Mapping[str, Any]) -> bool:  # Any: values of columns
    """Whether the alert ended although its probability does not end it."""
    probability = decision["probability"]
    return probability is None or bool(probability >= rule.limits[1])


def _data_title(dam: Dam, gauges: Sequence[GaugeAge], *, is_raised: bool) -> str:
    late = [gauge.title for gauge in gauges if gauge.is_late]
    if not is_raised:
        return f"{dam.title}: data alert ended"
    further = f" and {format_count(len(late) - 1, 'other gauge')}" if len(late) > 1 else ""
    return f"{dam.title}: no new data of {late[0]}{further}" if late else f"{dam.title}: no forecast for its alerts"


def _numbers(
    rule: AlertRule, decision: Mapping[str, Any], dam: Dam, result: ForecastResult
) -> list[str]:  # Any: values of columns
    """Sentences on the probability, the level, its interval, and the skill of such probabilities."""
    target = TargetFormat(dam)
    start, end = rule.limits
    of_rule = result.outlook.probabilities.filter(
        threshold=rule.threshold, direction=rule.direction, kind="by", lead_time=rule.within_days
    )
    valid_date, level = of_rule.select("valid_date", "threshold_level").row(0)
    at_lead = result.issued.table.filter(pl.col("model") == DEFAULT_MODEL, pl.col("lead_time") == rule.within_days)
    quantiles = dict(zip(at_lead["quantile"].round(2).to_list(), at_lead["level"].to_list(), strict=True))
    event = event_title(str(rule.threshold), rule.direction)
    sentences = [
        f"{event} ({target.quantity(level)}) on any day up to {valid_date}: "
        f"{format_probability(decision['probability'])} likely; raised from {format_probability(start)}, "
        f"ended below {format_probability(end)}."
    ]
    kind = dam.target_gauge.kind.title
    if 0.05 in quantiles and 0.95 in quantiles:
        sentences.append(
            f"{kind} forecast for {valid_date}: {target.quantity(quantiles[0.5])}, with 90% probability "
            f"{target.quantity(quantiles[0.05])} to {target.quantity(quantiles[0.95])}."
        )
    if result.issued.outside_experience:
        sentences.append("Inputs are outside past experience: the intervals are a lower bound of the uncertainty.")
    scores = result.outlook.scores
    if rule.within_days in scores["lead_time"].to_list():
        skill = skill_sentence(scores, str(rule.threshold), rule.direction, int(rule.within_days or 0))
        sentences.append(f"Past probabilities of it: {skill[0].lower()}{skill[1:]}")
    return sentences


def _ages(dam: Dam, result: ForecastResult) -> str:
    """Sentence on the level that the forecast starts from, its age, and the issue time."""
    issued = result.issued
    level = TargetFormat(dam).quantity(float(result.verification.samples.start_level[-1]))
    age = format_count(issued.age_days + issued.level_age_days, "day")
    return (
        f"{dam.target_gauge.kind.title} of {issued.level_date}: {level}, {age} old; forecast issued "
        f"{format_time(issued.issue_time, zone(dam.time_zone))}."
    )
