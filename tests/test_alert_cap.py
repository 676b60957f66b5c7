"""Messages by the Common Alerting Protocol 1.2, checked against the rules of its schema, which are written out here."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from forebay.archive.store import open_archive
from forebay.dams.alert_rules import AlertRule
from forebay.errors import ConfigError
from forebay.forecasts.cap import CapOrigin, cap_message
from forebay.jobs.alerts import write_cap_files
from forebay.settings import Settings, load_settings
from tests import synthetic
from tests.alert_sinks import FIRST_DAY, RULE, decide

PREFIX = "{urn:oasis:names:tc:emergency:cap:1.2}"
ORIGIN = CapOrigin("forebay@dam.example", "Exercise")
DAM = synthetic.small_dam(full_supply=96.0).model_copy(update={"latitude": -33.9, "longitude": 150.6})
# Element → whether it must occur and may be repeated, in the order of the schema.
ALERT = {"identifier": "1", "sender": "1", "sent": "1", "status": "1", "msgType": "1", "source": "?", "scope": "1",
         "restriction": "?", "addresses": "?", "code": "*", "note": "?", "references": "?", "incidents": "?",
         "info": "*"}  # fmt: skip
INFO = {"language": "?", "category": "+", "event": "1", "responseType": "*", "urgency": "1", "severity": "1",
        "certainty": "1", "audience": "?", "eventCode": "*", "effective": "?", "onset": "?", "expires": "?",
        "senderName": "?", "headline": "?", "description": "?", "instruction": "?", "web": "?", "contact": "?",
        "parameter": "*", "resource": "*", "area": "*"}  # fmt: skip
AREA = {"areaDesc": "1", "polygon": "*", "circle": "*", "geocode": "*", "altitude": "?", "ceiling": "?"}
VALUES = {
    "status": "Actual Exercise System Test Draft",
    "msgType": "Alert Update Cancel Ack Error",
    "scope": "Public Restricted Private",
    "category": "Geo Met Safety Security Rescue Fire Health Env Transport Infra CBRNE Other",
    "urgency": "Immediate Expected Future Past Unknown",
    "severity": "Extreme Severe Moderate Minor Unknown",
    "certainty": "Observed Likely Possible Unlikely Unknown",
}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d"


def check_children(element: Xml.Element, order: dict[str, str]) -> None:
    names = [child.tag.removeprefix(PREFIX) for child in element]
    assert all(child.tag.startswith(PREFIX) for child in element)
    places = [list(order).index(name) for name in names]
    assert places == sorted(places), names
    for name, number in order.items():
        count = names.count(name)
        assert {"1": count == 1, "?": count <= 1, "+": count >= 1, "*": True}[number], (name, count)


def check_cap(text: str) -> Xml.Element:
    """The alert of a document that keeps the rules of the schema, and those of the text of the standard."""
    alert = Xml.fromstring(text)
    assert alert.tag == f"{PREFIX}alert"
    check_children(alert, ALERT)
    for info in alert.iter(f"{PREFIX}info"):
        check_children(info, INFO)
        for area in info.iter(f"{PREFIX}area"):
            check_children(area, AREA)
        for parameter in info.iter(f"{PREFIX}parameter"):
            check_children(parameter, {"valueName": "1", "value": "1"})
        for name in ("event", "headline", "description"):
            assert value(info, name).strip()
    for name, allowed in VALUES.items():
        for element in alert.iter(f"{PREFIX}{name}"):
            assert element.text in allowed.split()
    assert re.fullmatch(TIME, value(alert, "sent"))
    assert not value(alert, "sent").endswith("+00:00"), "UTC is -00:00"
    for name in ("identifier", "sender"):
        assert not re.search(r"[\s,<&]", value(alert, name))
    for circle in alert.iter(f"{PREFIX}circle"):
        assert re.fullmatch(r"-?\d+(\.\d+)?,-?\d+(\.\d+)? \d+(\.\d+)?", str(circle.text))
    references = alert.find(f"{PREFIX}references")
    assert (references is None) == (value(alert, "msgType") == "Alert")
    for reference in () if references is None else str(references.text).split(" "):
        sender, identifier, sent = reference.split(",")
        assert re.fullmatch(TIME, sent) and sender and identifier
    return alert


def value(element: Xml.Element, name: str) -> str:
    return str(next(element.iter(f"{PREFIX}{name}")).text)


@pytest.mark.parametrize(
    ("values", "kind", "certainty", "references"),
    [
        ([0.9], "Alert", "Likely", []),
        ([0.1, 0.5], "Alert", "Possible", []),
        ([0.9, 0.6, 0.4], "Update", "Possible", [1]),
        ([0.9, 0.6, 0.02], "Cancel", "Unlikely", [1, 2]),
        ([0.9, 0.6, 0.02, 0.01], "Cancel", "Unlikely", [1, 2]),
        ([0.9, 0.1], "Cancel", "Possible", [1]),
        ([0.9, 0.1, 0.9], "Alert", "Likely", []),
        ([0.9, None], "Update", "Unknown", [1]),
    ],
)
def test_a_message_keeps_the_schema(
    tmp_path: Path, values: list[float | None], kind: str, certainty: str, references: list[int]
) -> None:
    with open_archive(f"sqlite:///{tmp_path}/a.db") as archive:
        decisions = decide(archive.alerts, values)
    alert = check_cap(cap_message(decisions, DAM, ORIGIN))
    assert (value(alert, "msgType"), value(alert, "certainty")) == (kind, certainty)
    element = alert.find(f"{PREFIX}references")
    named = [] if element is None else [part.split(",")[1] for part in str(element.text).split()]
    assert named == [f"lake.spill.{number}" for number in references]
    assert value(alert, "circle") == "-33.9,150.6 1.0"
    parameters = {value(p, "valueName"): value(p, "value") for p in alert.iter(f"{PREFIX}parameter")}
    assert parameters["threshold"] == "full_supply"
    assert parameters["record"].startswith("lake-")


@pytest.mark.parametrize(
    ("keys", "values", "expected"),
    [
        ({"direction": "above"}, [0.9], ("Met", "Reservoir level forecast", "Future", "Likely")),
        ({"direction": "below"}, [0.9], ("Infra", "Reservoir level forecast", "Future", "Likely")),
        ({"direction": "below"}, [0.9, 0.1], ("Infra", "Reservoir level forecast", "Past", "Possible")),
        ({"kind": "data"}, [1.0], ("Infra", "Missing gauge data", "Unknown", "Observed")),
        ({"kind": "data"}, [1.0, 0.0], ("Infra", "Missing gauge data", "Past", "Observed")),
    ],
)
def test_category_urgency_and_certainty_are_those_of_the_kind_of_alert(
    tmp_path: Path, keys: dict[str, str], values: list[float], expected: tuple[str, ...]
) -> None:
    event = {} if "kind" in keys else {"threshold": "full_supply", "within_days": 2, "probability": 0.5}
    rule = AlertRule.model_validate({"id": "watch", "severity": "Severe", **event, **keys})
    with open_archive(f"sqlite:///{tmp_path}/a.db") as archive:
        alert = check_cap(cap_message(decide(archive.alerts, values, rule=rule), DAM, ORIGIN))
    assert tuple(value(alert, name) for name in ("category", "event", "urgency", "certainty")) == expected
    assert value(alert, "severity") == "Severe"
    parameters = {value(p, "valueName"): value(p, "value") for p in alert.iter(f"{PREFIX}parameter")}
    last = {"init_date": str(FIRST_DAY + timedelta(days=len(values))), "record": f"lake-{len(values)}"}
    own = {"threshold": "full_supply", "within_days": "2", "probability": f"{values[-1]:.3f}"} if event else {}
    assert parameters == {"rule": "watch", "age_days": "0", **last, **own, **({} if "kind" in keys else keys)}


def test_without_a_position_there_is_no_circle(tmp_path: Path) -> None:
    dam = DAM.model_copy(update={"latitude": None, "longitude": None})
    with open_archive(f"sqlite:///{tmp_path}/a.db") as archive:
        alert = check_cap(cap_message(decide(archive.alerts, [0.9]), dam, ORIGIN))
    assert value(alert, "areaDesc") == dam.title and alert.find(f".//{PREFIX}circle") is None


def test_an_alert_that_was_never_raised_is_no_message(tmp_path: Path) -> None:
    with open_archive(f"sqlite:///{tmp_path}/a.db") as archive:
        assert cap_message(decide(archive.alerts, [0.1, 0.2]), DAM, ORIGIN) == ""
        assert write_cap_files(archive.alerts, DAM, Settings(alert_sender="a@b.example"), tmp_path) == []


def test_a_simulated_dam_is_never_actual(tmp_path: Path) -> None:
    with open_archive(f"sqlite:///{tmp_path}/a.db") as archive:
        decisions = decide(archive.alerts, [0.9], rule=RULE)
    origin = CapOrigin("a@b.example", "Actual")
    assert value(check_cap(cap_message(decisions, DAM, origin)), "status") == "Test"
    real = DAM.model_copy(update={"simulated": False})
    assert value(check_cap(cap_message(decisions, real, origin)), "status") == "Actual"


@pytest.mark.parametrize("sender", ["a b@c.example", "a,b", "a<b", "a&b", ""])
def test_a_sender_that_the_standard_does_not_allow_is_refused(tmp_path: Path, sender: str) -> None:
    with pytest.raises(ConfigError, match="alert_sender"):
        load_settings(tmp_path, {"FOREBAY_ALERT_SENDER": sender})
