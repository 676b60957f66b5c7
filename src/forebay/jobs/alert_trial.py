"""Alert rules over the record: what each would have sent, and how often it would have been right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from pydantic import ValidationError

from forebay.dams.alert_rules import AlertRule
from forebay.dams.dam import check_alerts
from forebay.dams.dam_file import first_error
from forebay.dams.thresholds import FULL_SUPPLY
from forebay.errors import ConfigError, DataError
from forebay.features.samples import samples_of
from forebay.forecasts.alerts import has_passed, raised_days
from forebay.forecasts.issue import STALE_DAYS
from forebay.forecasts.record import Content, parse_time
from forebay.jobs.alerts import alert_rules, largest_age, watched_stations
from forebay.jobs.arguments import as_dam, current_settings, local_execution, open_store
from forebay.jobs.record import issued_contents
from forebay.jobs.results import Result
from forebay.jobs.stored_tables import readable_tables
from forebay.log import add_counts, log_fields, step
from forebay.tables import MIN_EVENTS
from forebay.verify.alert_scores import AlertDays, days_beyond, score_at_leads, spells
from forebay.verify.scorecard import windows
from forebay.verify.tables import ALERT_SCORES
from forebay.verify.verification import verify_hindcast

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.dams.thresholds import ReferenceLevel
    from forebay.features.samples import Samples
    from forebay.models.model import Array
    from forebay.settings import Settings
    from forebay.verify.hindcast import Progress
    from forebay.verify.verification import Verification

PROBABILITIES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Probabilities that the table for a choice has."""
CHANGES: dict[str, pl.DataType] = {
    "rule": pl.String(), "forecasts": pl.String(), "init_date": pl.Date(), "state": pl.String(),
    "probability": pl.Float64(), "level": pl.Float64(), "came_true": pl.Boolean(),
}  # fmt: skip


@dataclass(frozen=True, repr=False)
class AlertTrial(Result):
    """Alert rules over the record.

    Attributes
    ----------
    rules
        The rules.
    scores
        `verify.tables.ALERT_SCORES` of the rules as they are, of the hindcast and of issued forecasts.
    choices
        `verify.tables.ALERT_SCORES` of the hindcast with other probabilities.
    changes
        rule, forecasts (hindcast, issued), init_date, state (raised, clear), probability, level (of the init date),
        came_true (of a raised alert: whether the event came): what each rule would have sent.
    notes
        Sentences on what is not scored, and on the number of events.
    """

    dam: Dam
    rules: Sequence[AlertRule]
    scores: pl.DataFrame = field(repr=False)
    choices: pl.DataFrame = field(repr=False)
    changes: pl.DataFrame = field(repr=False)
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pl.DataFrame:
        """`verify.tables.ALERT_SCORES` of the rules."""
        return self.scores

    def title(self) -> str:
        """Dam and number of rules."""
        return f"{self.dam.title}, {len(self.rules)} alert rules over the record"


@dataclass(frozen=True)
class _Forecasts:
    """Probabilities of one rule on each day of the record (NaN where unknown), and which days are scored."""

    name: str
    values: Array
    scored: np.ndarray


@step("alert_trial")
def try_alerts(
    dam: Dam | str | Path,
    *,
    rules: Sequence[AlertRule] = (),
    archive: Archive | str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> AlertTrial:
    """Alert rules of a dam over its hindcast and its issued forecasts; nothing is sent or stored.

    Parameters
    ----------
    dam, archive, settings, progress
        As in `forebay.forecast`.
    rules
        By default those of the dam, or `usual_rule` for a dam without any.

    Raises
    ------
    ConfigError
        If a rule does not fit the dam.
    DataError
        If the archive does not have the data for a hindcast.
    """
    settings = settings or current_settings()
    loaded = as_dam(dam, settings)
    rules = tuple(rules) or alert_rules(dam, settings) or (usual_rule(loaded),)
    try:
        check_alerts(rules, loaded)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    with log_fields({"dam": loaded.id}):
        with open_store(archive, settings, create=False) as store:
            contents = [content for content, _ in issued_contents(store, loaded.id)]
            tables = readable_tables(loaded, store, now=datetime.now(UTC))
        samples = samples_of(tables, loaded)
        verification = verify_hindcast(samples, loaded, tables.known, execution=local_execution(settings, progress))
        add_counts({"rules": len(rules), "issued": len(contents)})
        return _trial(loaded, rules, verification, contents)


def _trial(
    dam: Dam, rules: Sequence[AlertRule], verification: Verification, contents: Sequence[Content]
) -> AlertTrial:
    samples = verification.samples
    scores, choices, changes, notes = [], [], [], []
    for rule in rules:
        if rule.kind == "data":
            changes += _data_changes(rule, dam, samples)
            continue
        beyond = days_beyond(samples, _reference(rule, dam), rule.direction)
        of_hindcast = _of_hindcast(rule, dam, verification)
        of_records, left_out = of_issued(rule, dam, samples, contents)
        notes += left_out
        for forecasts in (of_hindcast, of_records):
            if forecasts.scored.any():
                alert = _alert(rule, forecasts, beyond)
                scores += [_head(rule, dam, forecasts.name) | row for row in score_at_leads(alert)]
                changes += _changes(rule, forecasts, alert, samples)
        for probability in PROBABILITIES:
            variant = with_probability(rule, probability)
            rows = score_at_leads(_alert(variant, of_hindcast, beyond))
            choices += [_head(variant, dam, of_hindcast.name) | row for row in rows]
        notes += _event_notes(rule, [row for row in scores if row["rule"] == rule.id])
    return AlertTrial(
        dam,
        tuple(rules),
        ALERT_SCORES.check(pl.DataFrame(scores, schema=ALERT_SCORES.columns), unique=True),
        ALERT_SCORES.check(pl.DataFrame(choices, schema=ALERT_SCORES.columns), unique=True),
        pl.DataFrame(changes, schema=CHANGES),
        tuple(notes),
    )


def with_probability(rule: AlertRule, probability: float) -> AlertRule:
    """The rule with another probability, and an end of the alert that is the same share of it."""
    start, end = rule.limits
    return rule.model_copy(update={"probability": probability, "clear_probability": probability * end / start})


def _alert(rule: AlertRule, forecasts: _Forecasts, beyond: Array) -> AlertDays:
    return AlertDays(raised_days(rule, forecasts.values), beyond, forecasts.scored, int(rule.within_days or 0))


def _head(rule: AlertRule, dam: Dam, name: str) -> dict[str, object]:
    start, end = rule.limits
    return {"dam": dam.id, "rule": rule.id, "forecasts": name, "probability": start, "clear_probability": end}


def _reference(rule: AlertRule, dam: Dam) -> ReferenceLevel:
    """The reference level of a rule's threshold."""
    named = {FULL_SUPPLY: dam.full_supply} | {threshold.name: threshold.level for threshold in dam.thresholds}
    level = named[str(rule.threshold)]
    assert level is not None
    return level


def _of_hindcast(rule: AlertRule, dam: Dam, verification: Verification) -> _Forecasts:
    """Probabilities of the hindcast; unknown where the forecast is stale, as those of issued forecasts."""
    samples = verification.samples
    forecast = next(
        forecast
        for forecast in verification.threshold_forecasts
        if (forecast.threshold.name, forecast.threshold.direction) == (rule.threshold, rule.direction)
    )
    column = list(dam.hindcast.leads).index(int(rule.within_days or 0))
    values = np.where(samples.level_age > STALE_DAYS, np.nan, forecast.probabilities.by[:, column])
    none = np.zeros(len(samples.dates), bool)
    return _Forecasts("hindcast", values, windows(samples, dam).get("all", none))


def of_issued(
    rule: AlertRule, dam: Dam, samples: Samples, contents: Iterable[Content]
) -> tuple[_Forecasts, list[str]]:
    """Probabilities of issued forecasts on the days of the record, and sentences on those that are left out.

    Scored are the days from the first issued forecast to the last one; a day without one changes no state.
    """
    day_of = {day.item(): k for k, day in enumerate(samples.dates.astype("datetime64[D]"))}
    values = np.full(len(samples.dates), np.nan)
    days, others = [], 0
    for content in contents:
        init_date = date.fromisoformat(content["init_date"])
        if content["dam_file"]["target"] != dam.target.model_dump() or init_date not in day_of:
            others += 1
            continue
        days.append(day_of[init_date])
        values[days[-1]] = _issued_probability(rule, content)
    scored = np.zeros(len(values), bool)
    if days:
        scored[min(days) : max(days) + 1] = True
    sentence = f"{others} issued forecasts have another target than the dam file now, or a day that the record has not"
    return _Forecasts("issued", values, scored), [f"Rule {rule.id}: {sentence}."] if others else []


def _issued_probability(rule: AlertRule, content: Content) -> float:
    """Probability of a rule's event in a record; NaN if it has none, or was too late."""
    init_date = date.fromisoformat(content["init_date"])
    late = (parse_time(content["issue_time"]) - parse_time(content["init_time"])).days
    level_dates = content["forecast"]["level_date"]
    level_age = (init_date - date.fromisoformat(level_dates[0])).days if level_dates else STALE_DAYS + 1
    if max(0, late) + level_age > STALE_DAYS or has_passed(rule, late):
        return np.nan
    table = content["probabilities"]
    names = ("threshold", "direction", "kind", "lead_time")
    rows = zip(*(table.get(name, ()) for name in (*names, "probability")), strict=True)
    event = (rule.threshold, rule.direction, "by", rule.within_days)
    return next((float(probability) for *key, probability in rows if tuple(key) == event), np.nan)


def _changes(rule: AlertRule, forecasts: _Forecasts, alert: AlertDays, samples: Samples) -> list[dict[str, object]]:
    """A row per change of the state on a scored day."""
    from forebay.verify.alert_scores import outcome_of

    rows: list[dict[str, object]] = []
    raised = np.concatenate(([False], alert.raised))  # by the place of the day after
    for first, last in spells(alert.raised & forecasts.scored):
        outcome = outcome_of(alert, first, last)
        for day, state, is_true in ((first, "raised", outcome), (last + 1, "clear", None)):
            if day < len(alert.raised) and forecasts.scored[day] and raised[day] != raised[day + 1]:
                rows.append({
                    "rule": rule.id, "forecasts": forecasts.name, "init_date": samples.dates[day].item(),
                    "state": state, "probability": _or_none(forecasts.values[day]),
                    "level": _or_none(samples.level[day]), "came_true": is_true,
                })  # fmt: skip
    return rows


def _data_changes(rule: AlertRule, dam: Dam, samples: Samples) -> list[dict[str, object]]:
    """Changes of a rule on the data of the target; those of other gauges are not computed."""
    if watched_stations(rule, dam) != (dam.target_gauge.station,):
        return []
    limit = rule.max_age_days or largest_age(dam.target_gauge)
    raised = raised_days(rule, (samples.level_age > limit).astype(float))
    scored = windows(samples, dam).get("all", np.zeros(len(raised), bool))
    return [
        {"rule": rule.id, "forecasts": "hindcast", "init_date": samples.dates[day].item(), "state": state}
        for first, last in spells(raised)
        for day, state in ((first, "raised"), (last + 1, "clear"))
        if day < len(raised) and scored[day]
    ]


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _event_notes(rule: AlertRule, rows: Sequence[dict[str, object]]) -> list[str]:
    """Sentences on the number of events, and on what was left out, by source of the forecasts."""
    notes = []
    for row in rows:
        if row["lead_time"] != 1:
            continue
        name, events = row["forecasts"], int(str(row["events"]))
        if events < MIN_EVENTS:
            notes.append(
                f"Rule {rule.id}, {name}: no skill is claimed: the number of events is {events}, and at least "
                f"{MIN_EVENTS} are needed to judge it."
            )
        for key, text in (("left_out_events", "events"), ("left_out_alarms", "alerts")):
            if row[key]:
                why = "no level on the day before" if key == "left_out_events" else "a level is missing after them"
                notes.append(f"Rule {rule.id}, {name}: left out are {row[key]} of the {text}: {why}.")
    return notes


def usual_rule(dam: Dam) -> AlertRule:
    """A rule that no file has: full supply within 2 days, from 50% on.

    A dam without full supply has its first threshold instead, and without a lead time of 2 days the nearest one.
    """
    return AlertRule(
        id="trial",
        threshold=dam.thresholds[0].name if dam.full_supply is None and dam.thresholds else FULL_SUPPLY,
        within_days=min(dam.hindcast.leads, key=lambda lead: (abs(lead - 2), lead)),
        probability=0.5,
    )


def trial_rule(dam: Dam, keys: Mapping[str, object]) -> AlertRule:
    """`usual_rule` with other values of some keys.

    Raises
    ------
    ConfigError
        If a value is not allowed.
    """
    try:
        rule = AlertRule.model_validate(usual_rule(dam).model_dump() | dict(keys))
        check_alerts([rule], dam)
    except ValueError as error:
        reason = first_error(error, AlertRule) if isinstance(error, ValidationError) else str(error)
        raise ConfigError(f"this rule is not possible: {reason}") from None
    return rule


def require_threshold(dam: Dam) -> None:
    """Raise `DataError` for a dam without any threshold."""
    if dam.full_supply is None and not dam.thresholds:
        raise DataError(f"{dam.title} has no full supply and no thresholds; add full_supply or [[thresholds]]")
