"""Alert rules: when a forecast, or a gauge without new data, changes the state of an alert."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from forebay.dams.fields import FrozenModel, check_id

Severity = Literal["Minor", "Moderate", "Severe", "Extreme"]
"""Severities of the Common Alerting Protocol."""

DATA_RULE = "data"
"""Id of the rule on the target gauge that a dam with rules has, unless one of its own rules is on data."""
CLEAR_SHARE = 0.6
"""Default of the probability below which an alert ends, as a share of the one from which on it is raised."""

_QUIET = re.compile(r"(([01]\d|2[0-3]):[0-5]\d)-(([01]\d|2[0-3]):[0-5]\d)")


def _check_quiet(text: str) -> str:
    match = _QUIET.fullmatch(text)
    if match is None or match[1] == match[3]:
        raise ValueError(f"{text!r} must be two clock times like '22:00-06:00', in the dam's time zone")
    return text


Probability = Annotated[float, Field(gt=0, lt=1)]


class AlertRule(FrozenModel):
    """One rule; its alert is raised or clear.

    Attributes
    ----------
    id
        Name of the alert, one of its dam.
    kind
        `threshold`: the probability of reaching a threshold. `data`: a gauge without new usable values.
    threshold, direction, within_days
        The event: a level at or above (or at or below) the threshold on any day up to `within_days` ahead.
    probability, clear_probability
        The alert is raised from `probability` on, and ends below `clear_probability`.
    min_duration
        Number of consecutive init dates that fulfil the rule before the alert is raised.
    gauges, max_age_days
        Of `data`: stations (by default the target's), and the age (days) beyond which a gauge has no new data; by
        default 3, of a driver its latency if that is longer.
    quiet_hours, through_quiet_hours
        Clock times in the dam's zone at which nothing is sent. Only `Extreme` may be sent all the same.
    severity
        As in the Common Alerting Protocol.
    """

    id: Annotated[str, AfterValidator(check_id)]
    kind: Literal["threshold", "data"] = "threshold"
    threshold: str | None = None
    direction: Literal["above", "below"] = "above"
    within_days: Annotated[int, Field(ge=1, le=7)] | None = None
    probability: Probability | None = None
    clear_probability: Probability | None = None
    min_duration: Annotated[int, Field(ge=1, le=30)] = 1
    gauges: tuple[str, ...] = ()
    max_age_days: Annotated[int, Field(ge=1, le=365)] | None = None
    quiet_hours: Annotated[str, AfterValidator(_check_quiet)] | None = None
    through_quiet_hours: bool = False
    severity: Severity = "Moderate"

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        """A rule has the keys of its kind, and only those."""
        own = ("threshold", "within_days", "probability") if self.kind == "threshold" else ()
        missing = [name for name in own if getattr(self, name) is None]
        if missing:
            raise ValueError(
                f"alert {self.id!r}: key {missing[0]} is missing; a rule on a threshold states {_listed(own)}"
            )
        others = ("gauges", "max_age_days") if self.kind == "threshold" else (
            "threshold", "direction", "within_days", "probability", "clear_probability"
        )  # fmt: skip
        unused = [name for name in others if name in self.model_fields_set and getattr(self, name) is not None]
        unused = [name for name in unused if getattr(self, name) != type(self).model_fields[name].default]
        if unused:
            raise ValueError(f"alert {self.id!r}: a rule of kind {self.kind!r} has no key {unused[0]}; remove it")
        if self.clear_probability is not None and self.clear_probability > self.raise_probability:
            raise ValueError(
                f"alert {self.id!r}: clear_probability ({self.clear_probability:g}) must not be above probability "
                f"({self.raise_probability:g}), or the alert would end as soon as it is raised"
            )
        if self.through_quiet_hours and self.severity != "Extreme":
            raise ValueError(
                f"alert {self.id!r}: through_quiet_hours is allowed for severity 'Extreme' only, not {self.severity!r}"
            )
        return self

    @property
    def raise_probability(self) -> float:
        """Probability from which on the alert is raised; of a rule on a threshold."""
        assert self.probability is not None
        return self.probability

    @property
    def end_probability(self) -> float:
        """Probability below which the alert ends."""
        return CLEAR_SHARE * self.raise_probability if self.clear_probability is None else self.clear_probability

    @property
    def limits(self) -> tuple[float, float]:
        """Values from which on the alert is raised, and below which it ends: probabilities, or 0.5 of a yes (1)."""
        return (0.5, 0.5) if self.kind == "data" else (self.raise_probability, self.end_probability)

    @property
    def quiet_times(self) -> tuple[time, time] | None:
        """Start and end of the quiet hours; None without any, or if the rule does not keep them."""
        if self.quiet_hours is None or self.through_quiet_hours:
            return None
        start, end = self.quiet_hours.split("-")
        return time.fromisoformat(start), time.fromisoformat(end)

    @property
    def question(self) -> tuple[object, ...]:
        """What the alert is about: a rule that asks another question has another alert, though its id is the same."""
        return (self.kind, self.threshold, self.direction, self.within_days, self.gauges)


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
