"""An alert as a message of the Common Alerting Protocol 1.2 (OASIS Standard CAP-V1.2, 1 July 2010).

https://docs.oasis-open.org/emergency/cap/v1.2/CAP-v1.2-os.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree as Xml

import polars as pl

from forebay.dams.alert_rules import AlertRule
from forebay.dams.local_time import zone
from forebay.forecasts.alerts import RAISED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from forebay.dams.dam import Dam

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
LIKELY, UNLIKELY = 0.5, 0.05
"""Probabilities above which an event is Likely, and up to which it is Unlikely; between them it is Possible."""
RADIUS_KM = 1.0
"""Radius of the circle around the dam: its place, not the area that it affects."""

Status = Literal["Actual", "Exercise", "System", "Test", "Draft"]


@dataclass(frozen=True)
class CapOrigin:
    """Who sends a CAP message, and whether it is meant.

    Attributes
    ----------
    sender
        Id of the sender, such as a name in a domain; without spaces, commas, < and &.
    status
        `Actual` only for messages that all recipients shall act on.
    """

    sender: str
    status: Status = "Test"


def cap_message(decisions: pl.DataFrame, dam: Dam, origin: CapOrigin) -> str:
    """The last decision of one alert as an XML document; an empty text if the alert was never raised.

    The decision that raised the alert is an Alert, a later one an Update, and the one that ended it a Cancel; the last
    two refer to the message before them. Numbers after the end of an alert are no messages.

    Parameters
    ----------
    decisions
        `tables.ALERTS` of one rule, at least one.
    """
    changes = decisions.filter(pl.col("is_change"))
    if changes.is_empty():
        return ""
    change = changes.row(-1, named=True)
    row = decisions.row(-1, named=True) if change["state"] == RAISED else change
    kind = "Cancel" if change["state"] != RAISED else "Alert" if row["number"] == change["number"] else "Update"
    alert = Xml.Element("alert", xmlns=NAMESPACE)
    head = {
        "identifier": identifier(row),
        "sender": origin.sender,
        "sent": cap_time(row["decided_at"], row["time_zone"]),
        "status": "Test" if dam.simulated and origin.status == "Actual" else origin.status,
        "msgType": kind,
        "scope": "Public",
    }
    if kind != "Alert":
        raising = change if kind == "Update" else changes.row(-2, named=True)
        before = raising if kind == "Update" else _last_raised(decisions, change["number"])
        sent = {entry["number"]: entry for entry in (raising, before)}
        head["references"] = " ".join(
            f"{origin.sender},{identifier(entry)},{cap_time(entry['decided_at'], entry['time_zone'])}"
            for entry in sent.values()
            if entry["number"] != row["number"]
        )
    _add(alert, head)
    alert.append(_info(row, dam, ended=kind == "Cancel"))
    Xml.indent(alert)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(alert, encoding="unicode")}\n'


def _last_raised(decisions: pl.DataFrame, number: int) -> dict[str, Any]:  # Any: values of columns
    """The last decision before `number`."""
    return decisions.filter(pl.col("number") < number).row(-1, named=True)


def identifier(decision: Mapping[str, Any]) -> str:  # Any: values of columns
    """Identifier of the message about a decision: dam, rule and number."""
    return f"{decision['dam']}.{decision['rule']}.{decision['number']}"


def cap_time(instant: datetime, time_zone: str) -> str:
    """An instant in the dam's zone as CAP has it: whole seconds, an offset, never a Z.

    >>> from datetime import UTC, datetime
    >>> [cap_time(datetime(2024, 1, 1, 20, 0, 0, 5, tzinfo=UTC), zone) for zone in ("+10:00", "UTC")]
    ['2024-01-02T06:00:00+10:00', '2024-01-01T20:00:00-00:00']
    """
    text = instant.astimezone(zone(time_zone)).isoformat(timespec="seconds")
    return text.replace("+00:00", "-00:00")


def certainty(probability: float | None) -> str:
    """Certainty as CAP has it.

    >>> [certainty(p) for p in (0.9, 0.5, 0.05, None)]
    ['Likely', 'Possible', 'Unlikely', 'Unknown']
    """
    if probability is None:
        return "Unknown"
    return "Likely" if probability > LIKELY else "Possible" if probability > UNLIKELY else "Unlikely"


def _info(row: Mapping[str, Any], dam: Dam, *, ended: bool) -> Xml.Element:  # Any: values of columns
    rule = AlertRule.model_validate_json(row["rule_content"])
    is_data = rule.kind == "data"
    info = Xml.Element("info")
    _add(info, {
        "language": "en",
        "category": "Infra" if is_data or rule.direction == "below" else "Met",
        "event": "Missing gauge data" if is_data else "Reservoir level forecast",
        "urgency": "Past" if ended else "Future" if not is_data else "Unknown",
        "severity": row["severity"],
        "certainty": "Observed" if is_data else certainty(row["probability"]),
        "headline": row["title"],
        "description": row["text"],
    })  # fmt: skip
    values = {
        "rule": rule.id,
        "threshold": rule.threshold,
        "direction": None if is_data else rule.direction,
        "within_days": rule.within_days,
        "probability": row["probability"],
        "age_days": row["age_days"],
        "init_date": row["init_date"],
        "record": row["record"],
    }
    for name, value in values.items():
        if value is not None:
            text = f"{value:.3f}" if isinstance(value, float) else str(value)
            _add(Xml.SubElement(info, "parameter"), {"valueName": name, "value": text})
    area = Xml.SubElement(info, "area")
    _add(area, {"areaDesc": dam.title})
    if dam.has_position:
        _add(area, {"circle": f"{dam.latitude},{dam.longitude} {RADIUS_KM}"})
    return info


def _add(parent: Xml.Element, texts: Mapping[str, str]) -> None:
    """Add elements with these texts, in order."""
    for name, text in texts.items():
        Xml.SubElement(parent, name).text = text
