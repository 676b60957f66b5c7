"""Commands on alerts: `forebay alerts list`, `test`, `send`, `cap`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from forebay.cli.arguments import (
    ArchiveUrl,
    AsJson,
    DamName,
    WholeNumber,
    archive_at,
    dam_named,
    print_result,
    settings_in_force,
)
from forebay.errors import DataError, ForebayError
from forebay.files import check_writable

if TYPE_CHECKING:
    import polars as pl

    from forebay.jobs.alert_trial import AlertTrial

LISTED_CHANGES = 40
"""Newest changes that a terminal lists; --json has all decisions."""

alert_commands = App(
    name="alerts",
    help="Alerts on thresholds and on missing data: list, test, send.\n\nExample: forebay alerts list lake.toml",
)


@alert_commands.command(name="list")
def list_alerts(dam_name: DamName, /, *, archive: ArchiveUrl = None, as_json: AsJson = False) -> None:
    """List the rules of a dam with their present states, and the messages about each change.

    Exit code 1 if a message is not known to have been delivered.

    Example: forebay alerts list lake.toml
    """
    from forebay.cli import terminal
    from forebay.forecasts.alerts import with_acknowledgements
    from forebay.jobs.alert_outbox import undelivered
    from forebay.jobs.alerts import alert_rules, last_decisions, no_rules_sentence

    settings, _ = settings_in_force()
    dam = dam_named(dam_name, settings)
    rules = alert_rules(dam_name, settings)
    with archive_at(archive, settings, create=False) as store:
        decisions, deliveries = store.alerts.decisions(dam.id), store.alerts.deliveries(dam.id)
        last, lost = last_decisions(store.alerts, dam.id, rules), undelivered(store.alerts, dam.id)
        last = with_acknowledgements(last, store.alerts.acknowledgements(dam.id))
    states = state_rows(last, [rule.id for rule in rules])
    content = {
        "dam": dam.id,
        "simulated": dam.simulated,
        "rules": [rule.model_dump(mode="json") for rule in rules],
        "states": states,
        "decisions": decisions.drop("rule_content").to_dicts(),
        "deliveries": deliveries.to_dicts(),
        "undelivered": [" ".join(map(str, row)) for row in lost.select("rule", "change", "sink").iter_rows()],
    }

    def print_rows() -> None:
        if not rules:
            terminal.line(no_rules_sentence(dam_name, settings))
            return
        terminal.table(f"{dam.title}: alerts", states)
        rows = message_rows(decisions, deliveries)[-LISTED_CHANGES:]
        if rows:
            terminal.table("Messages", rows)

    print_result(content, as_json, print_rows)
    if lost.height:
        raise ForebayError(
            f"{lost.height} messages of {dam.title} are not known to have been delivered; they are not sent again, "
            "because they may have arrived: check the sink"
        )


def state_rows(last: pl.DataFrame, rules: list[str]) -> list[dict[str, object]]:
    """A row per rule: its present state, since when, and what it was decided from."""
    by_rule = {row["rule"]: row for row in last.iter_rows(named=True)}
    names = (
        "state", "since", "unknown_since", "probability", "age_days", "init_date", "record", "acknowledged_by",
        "acknowledged_at",
    )  # fmt: skip
    return [{"rule": rule} | {name: by_rule.get(rule, {}).get(name) for name in names} for rule in rules]


def message_rows(decisions: pl.DataFrame, deliveries: pl.DataFrame) -> list[dict[str, object]]:
    """A row per change and sink, in order of time; of a change that was sent to no sink, a row without one."""
    changes = decisions.filter(decisions["is_change"]).sort("decided_at", "rule")
    rows = changes.join(deliveries, on=("dam", "rule", "change"), how="left", maintain_order="left")
    names = ("decided_at", "rule", "change", "state", "severity", "title", "record", "sink")
    return [
        {name: row[name] for name in names}
        | {"outcome": None if row["sink"] is None else row["outcome"] or "unconfirmed", "at": row["delivered_at"]}
        for row in rows.iter_rows(named=True)
    ]


@Parameter(name="*")
@dataclass(frozen=True)
class TrialOptions:
    """A rule that no file has, in place of those of the dam; what is not given is that of a dam without rules."""

    threshold: Annotated[str | None, Parameter(help="Threshold: full_supply, or a name in the dam file.")] = None
    direction: Annotated[
        Literal["above", "below"] | None, Parameter(help="At or above the threshold, or below it.")
    ] = None
    within: Annotated[WholeNumber | None, Parameter(help="Days ahead that the alert is about.")] = None
    probability: Annotated[float | None, Parameter(help="Probability from which on the alert is raised.")] = None


DAMS_RULES = TrialOptions()


@alert_commands.command(name="test")
def try_rules(
    dam_name: DamName,
    /,
    *,
    rule: TrialOptions = DAMS_RULES,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show what each rule would have sent over the record, and how often it would have been right; sends nothing.

    The table of other probabilities helps to choose one. Any option on the rule tries that rule instead of the dam's:
    by default full supply (or the first threshold) within 2 days (or the nearest lead time), raised from 50% on.

    Example: forebay alerts test warragamba --threshold full_supply --within 2
    """
    from forebay.cli import terminal
    from forebay.jobs import alert_trial as job
    from forebay.models.tree_library import load_lightgbm_alone

    settings, _ = settings_in_force()
    dam = dam_named(dam_name, settings)
    job.require_threshold(dam)
    keys: dict[str, object] = {"threshold": rule.threshold, "direction": rule.direction}
    keys |= {"within_days": rule.within, "probability": rule.probability}
    keys = {key: value for key, value in keys.items() if value is not None}
    rules = (job.trial_rule(dam, keys),) if keys else ()
    load_lightgbm_alone()
    with terminal.progress() as progress:
        result = job.try_alerts(
            dam_name, rules=rules, archive=archive or settings.archive, settings=settings, progress=progress
        )
    content = {
        "dam": dam.id,
        "simulated": dam.simulated,
        "unit": dam.target.unit,
        "rules": [rule.model_dump(mode="json") for rule in result.rules],
        "scores": result.scores.to_dicts(),
        "choices": result.choices.to_dicts(),
        "changes": result.changes.to_dicts(),
        "notes": result.notes,
    }
    print_result(content, as_json, lambda: print_trial(result))


def print_trial(result: AlertTrial) -> None:
    """Print, for each rule, its messages, its scores, and those of other probabilities."""
    from forebay.cli import terminal
    from forebay.jobs.alert_text import event_text

    for rule in result.rules:
        name = f"{result.dam.title}, rule {rule.id}"
        changes = result.changes.filter(rule=rule.id).drop("rule").to_dicts()
        if rule.kind == "data":
            terminal.line(f"{name}: {len(changes)} messages on missing data of the target")
            continue
        title = f"{name}: {event_text(rule)}"
        if changes:
            terminal.table(f"{title}; the newest messages of {len(changes)}", changes[-LISTED_CHANGES:])
        scores = score_rows(result.scores.filter(rule=rule.id))
        if scores:
            terminal.table(f"{title}, raised from {100 * rule.limits[0]:g}% on", scores)
        rows = choice_rows(result.choices.filter(rule=rule.id))
        terminal.table(f"{title}: raised from and ended below other probabilities, hindcast", rows)
    for note in result.notes:
        terminal.line(f"  · {note}")


def score_rows(scores: pl.DataFrame) -> list[dict[str, object]]:
    """A row per lead time and source of the forecasts of `verify.tables.ALERT_SCORES`, with headings for 80 columns."""
    return [
        {
            "forecasts": row["forecasts"], "days": row["n"], "lead": f"{row['lead_time']} d",
            "hits": f"{row['hits']}/{row['events']}", "misses": row["misses"], "false alarms": row["false_alarms"],
            "a year": rounded(row["false_alarms_per_year"], 2), "CSI": rounded(row["csi"], 2),
            "lead days": row["lead_days"], "raised %": rounded(row["raised_share"], 1, scale=100),
        }
        for row in scores.iter_rows(named=True)
    ]  # fmt: skip


def rounded(value: float | None, decimals: int, *, scale: int = 1) -> float | None:
    """`value` times `scale` with so many decimals; None stays None."""
    return None if value is None else round(scale * value, decimals)


def choice_rows(choices: pl.DataFrame) -> list[dict[str, object]]:
    """A row per probability of `verify.tables.ALERT_SCORES`: hits at each lead time, false alarms, lead time."""
    rows = []
    for _, group in choices.group_by("probability", maintain_order=True):
        first, leads = group.row(0, named=True), group.to_dicts()
        start, end = (f"{100 * first[name]:g}%" for name in ("probability", "clear_probability"))
        rows.append(
            {"from": start, "below": end}
            | {f"hits {row['lead_time']} d": f"{row['hits']}/{row['events']}" for row in leads}
            | {f"CSI {row['lead_time']} d": rounded(row["csi"], 2) for row in leads}
            | {"false alarms": first["false_alarms"], "a year": rounded(first["false_alarms_per_year"], 2)}
            | {"lead days": first["lead_days"], "raised %": rounded(first["raised_share"], 1, scale=100)}
        )
    return rows


@alert_commands.command
def send(
    dam_name: Annotated[
        str | None, Parameter(name="DAM", help="Only of this dam: an id, or the path of a dam file.")
    ] = None,
    /,
    *,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Send the messages that wait: after quiet hours, or because a sink could not be reached.

    `forebay refresh` sends too. Each message is sent to each sink at most once. Exit code 1 if one failed.

    Example: forebay alerts send
    """
    from forebay.cli import terminal
    from forebay.jobs.alert_outbox import send_alerts
    from forebay.jobs.alert_sinks import FILE_VARIABLE, VARIABLE, alert_sinks
    from forebay.jobs.record import dam_of_name

    settings, _ = settings_in_force()
    sinks = alert_sinks(settings)
    if not sinks:
        raise DataError(f"there is no sink to send to; set {VARIABLE} or {FILE_VARIABLE}")
    with archive_at(archive, settings, create=False) as store:
        dam = None if dam_name is None else dam_of_name(dam_name, settings)
        result = send_alerts(store.alerts, sinks, dam=dam)
    rows = result.to_frame().to_dicts()

    def print_rows() -> None:
        if rows:
            terminal.table(result.title(), rows)
        else:
            terminal.line("No message is due.")

    print_result(rows, as_json, print_rows)
    if result.failures:
        raise ForebayError("; ".join(delivery.sentence for delivery in result.failures))


@alert_commands.command
def cap(
    dam_name: DamName,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Folder for a file per alert.")],
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write the newest message of each alert that was ever raised, by the Common Alerting Protocol 1.2.

    The setting `alert_sender` names the sender.

    Example: forebay alerts cap lake.toml --output cap
    """
    from forebay.cli import terminal
    from forebay.errors import ConfigError
    from forebay.jobs.alerts import write_cap_files

    settings, _ = settings_in_force()
    dam = dam_named(dam_name, settings)
    if settings.alert_sender is None:
        raise ConfigError("a CAP file names its sender; set FOREBAY_ALERT_SENDER, such as forebay@dam.example")
    check_writable(output)
    with archive_at(archive, settings, create=False) as store:
        paths = [str(path) for path in write_cap_files(store.alerts, dam, settings, output)]

    def print_paths() -> None:
        for path in paths or ["No alert was ever raised: no file is written."]:
            terminal.line(path)

    print_result({"dam": dam.id, "files": paths}, as_json, print_paths)
