"""The alerts of a dam: its rules, the decision of each one on a new forecast, and CAP files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.gauge_status import gauge_status
from forebay.dams.alert_file import NAME, combined_rules, dams_with_rules, read_alert_rules
from forebay.dams.alert_rules import DATA_RULE, AlertRule
from forebay.days.labels import gauge_labels
from forebay.files import write_file
from forebay.forecasts.alerts import RAISED, Evidence, decision_row, has_passed, next_decision
from forebay.forecasts.cap import CapOrigin, cap_message
from forebay.forecasts.issue import STALE_DAYS
from forebay.forecasts.record import parse_id
from forebay.jobs.alert_text import GaugeAge, message
from forebay.jobs.arguments import as_dam
from forebay.log import add_counts, step
from forebay.tables import ALERTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from forebay.archive.alerts import AlertArchive
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.jobs.forecast import ForecastResult
    from forebay.settings import Settings


def alert_rules(dam: Dam | str | Path, settings: Settings, folder: Path | None = None) -> tuple[AlertRule, ...]:
    """Every alert rule of a dam: of its dam file, of `alerts.toml` beside it, and of the file that the settings name.

    A dam with rules has one on the data of its target gauge; `data` by itself, unless it states a rule on data.

    Parameters
    ----------
    folder
        Folder of the dam file of a loaded dam, in which `alerts.toml` may be.

    Raises
    ------
    ConfigError
        If a file is wrong, or two rules have the same id.
    """
    loaded = as_dam(dam, settings)
    rules = list(loaded.alerts)
    for file in _rule_files(dam, settings, folder):
        rules += read_alert_rules(file, loaded)
        combined_rules(rules, loaded, str(file))
    if rules and not any(rule.kind == "data" for rule in rules):
        rules.append(AlertRule(id=_free_id(rules), kind="data", severity="Minor"))
    return tuple(rules)


def no_rules_sentence(dam: Dam | str | Path, settings: Settings) -> str:
    """Sentence on a dam without alert rules, with the ids that its files of rules have: one may be misspelt."""
    loaded, files = as_dam(dam, settings), _rule_files(dam, settings)
    ids = {file: dams_with_rules(file, loaded) for file in files}
    others = [f"{file} has rules of {', '.join(names)} only" for file, names in ids.items() if names]
    return "; ".join(
        [f"{loaded.title} has no alert rules", *others, f"add [[alerts]] to its dam file, or [[{loaded.id}]] to {NAME}"]
    )


def _rule_files(dam: Dam | str | Path, settings: Settings, folder: Path | None = None) -> list[Path]:
    """`alerts.toml` beside the dam file, if there is one, and the file that the settings name."""
    if isinstance(dam, str | Path) and Path(dam).is_file():
        folder = Path(dam).parent
    files = [] if folder is None else [file for file in [folder / NAME] if file.is_file()]
    if settings.alert_rules is not None and Path(settings.alert_rules).resolve() not in [f.resolve() for f in files]:
        files.append(Path(settings.alert_rules))
    return files


def _free_id(rules: Sequence[AlertRule]) -> str:
    """Id of the rule on data that a dam has by itself."""
    return DATA_RULE if all(rule.id != DATA_RULE for rule in rules) else f"{DATA_RULE}_of_target"


@dataclass(frozen=True)
class Situation:
    """What is known when alerts are decided: a forecast, or why there is none.

    Attributes
    ----------
    dam
        The dam.
    result
        The forecast; None if none could be made.
    failure
        Why there is none, a sentence.
    """

    dam: Dam
    result: ForecastResult | None
    failure: str = ""

    @property
    def gauges(self) -> list[GaugeAge]:
        """Each gauge of the dam with its age, in order; empty without a forecast."""
        if self.result is None:
            return []
        daily, flags = self.result.daily_tables.newest, self.result.verification.samples.newest_flags
        status = gauge_status(daily, flags, self.dam, age_days=self.result.issued.age_days)
        labels = gauge_labels(self.dam)
        return [
            GaugeAge(labels[gauge.column], age, largest_age(gauge))
            for gauge, age in zip(self.dam.gauges, status["age_days"], strict=True)
        ]

    def unknown(self, rules: Sequence[AlertRule]) -> list[str]:
        """The rules on thresholds whose probability is unknown."""
        return [rule.id for rule in rules if rule.kind == "threshold" and threshold_value(rule, self.result)[0] is None]


def largest_age(gauge: Gauge) -> int:
    """Age (days) beyond which a gauge has no new data, where a rule states none.

    Of the target it is that of a stale forecast, so that no alert on a level is unknown without a data alert.
    """
    return STALE_DAYS if gauge.role == "target" else max(STALE_DAYS, ceil(gauge.latency_h / 24))


@step("alerts")
def decide_alerts(
    alerts: AlertArchive, situation: Situation, rules: Sequence[AlertRule]
) -> pl.DataFrame:
    """The decisions of every rule (`tables.ALERTS`), which are stored; without rows if the forecast was decided before.

    Only the newest forecast counts: a requested or retrospective one decides nothing.

    Raises
    ------
    ReadOnlyError
        If the archive cannot be written.
    """
    result = situation.result
    if result is not None and result.issued.is_requested:
        return ALERTS.empty()
    gauges = list(zip(situation.dam.gauges, situation.gauges, strict=False))
    unknown = situation.unknown(rules)
    parts = [_decide(alerts, situation, rule, gauges, unknown) for rule in rules]
    decided = pl.concat([ALERTS.empty(), *parts])
    add_counts({"decided": decided.height, "changes": int(decided["is_change"].sum())})
    return decided


def _decide(
    alerts: AlertArchive,
    situation: Situation,
    rule: AlertRule,
    gauges: Sequence[tuple[Gauge, GaugeAge]],
    unknown: Sequence[str],
) -> pl.DataFrame:
    dam, result = situation.dam, situation.result
    watched = [
        age if rule.max_age_days is None else GaugeAge(age.title, age.age_days, rule.max_age_days)
        for gauge, age in gauges
        if gauge.station in watched_stations(rule, dam)
    ]
    if rule.kind == "data":
        value, fault = _data_value(situation, rule, watched, unknown)
    else:
        value, fault = threshold_value(rule, result)
    ages = [gauge.age_days for gauge in watched if gauge.age_days is not None]
    if rule.kind == "threshold" and result is not None:
        ages = [result.issued.age_days + result.issued.level_age_days]
    record = None if result is None else result.record
    evidence = Evidence(
        value,
        record=None if record is None else record.id,
        sequence=None if record is None else parse_id(record.id)[1],
        init_date=None if result is None else result.issued.init_date,
        age_days=max(ages, default=None),
    )

    def decide(last: pl.DataFrame, day_before: pl.DataFrame, now: datetime) -> pl.DataFrame:
        decision = next_decision(rule, evidence, last, day_before, dam=dam.id, time_zone=dam.time_zone, now=now)
        fault_text = situation.failure if result is None else fault
        return decision_row(decision, *message(rule, decision, dam, result, gauges=watched, fault=fault_text))

    return alerts.decide(
        dam.id, rule.id, sequence=evidence.sequence, init_date=evidence.init_date, decide=decide
    )


def watched_stations(rule: AlertRule, dam: Dam) -> tuple[str, ...]:
    """Stations that a rule on data watches."""
    return rule.gauges or (dam.target_gauge.station,)


def threshold_value(rule: AlertRule, result: ForecastResult | None) -> tuple[float | None, str]:
    """Probability of the event of a rule, or None with the reason why it is unknown."""
    if result is None:
        return None, ""
    issued = result.issued
    if issued.stale:
        age = issued.age_days + issued.level_age_days
        return None, f"The level is {age} days old, so this alert keeps its last state; its probability is unknown."
    if has_passed(rule, issued.age_days):
        valid_date = issued.init_date + timedelta(days=rule.within_days or 0)
        return None, (
            f"The forecast starts on {issued.init_date}, so the days of this rule, up to {valid_date}, have passed; "
            "this alert keeps its last state, and its probability is unknown."
        )
    rows = result.outlook.probabilities.filter(
        threshold=rule.threshold, direction=rule.direction, kind="by", lead_time=rule.within_days
    )
    if rows.is_empty():
        return None, "The forecast has no probability of this event, so this alert keeps its last state."
    return float(rows["probability"][0]), ""


def _data_value(
    situation: Situation, rule: AlertRule, watched: Sequence[GaugeAge], unknown: Sequence[str]
) -> tuple[float | None, str]:
    """1 if a gauge has no new data, 0 if all have, None if that is unknown; and a sentence on unknown probabilities.

    A rule on the target is also fulfilled without a forecast, or if the probability of another rule is unknown.
    """
    is_of_target = situation.dam.target_gauge.station in watched_stations(rule, situation.dam)
    if situation.result is None:
        return (1.0 if is_of_target else None), ""
    is_late = any(gauge.is_late for gauge in watched)
    if is_of_target and unknown:
        return 1.0, "" if is_late else f"The probability is unknown for the alert {', '.join(unknown)}."
    return float(is_late), ""


def write_cap_files(alerts: AlertArchive, dam: Dam, settings: Settings, folder: Path) -> list[Path]:
    """Write the newest message of each alert that was ever raised to `folder`: alert_RULE.cap.xml; returns the paths.

    Without the setting `alert_sender` nothing is written.

    Raises
    ------
    ConfigError
        If a file cannot be written.
    """
    if settings.alert_sender is None:
        return []
    paths = []
    origin = CapOrigin(settings.alert_sender, settings.alert_status)
    for (rule,), decisions in alerts.decisions(dam.id).group_by("rule", maintain_order=True):
        text = cap_message(decisions, dam, origin)
        if text:
            paths.append(folder / f"alert_{rule}.cap.xml")
            write_file(paths[-1], text.encode())
    return paths


def last_decisions(alerts: AlertArchive, dam: str, rules: Sequence[AlertRule]) -> pl.DataFrame:
    """The last decision of each rule (`tables.ALERTS`), of those that the dam has now."""
    return alerts.last_decisions(dam).filter(pl.col("rule").is_in([rule.id for rule in rules]))


def raised_alerts(decided: pl.DataFrame) -> list[str]:
    """Rules whose alert is raised, of the last decision of each rule."""
    return decided.filter(pl.col("state") == RAISED)["rule"].to_list()
