"""A mail server and a web service on loopback that get alerts, and alerts that are due."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from typing import Any

import polars as pl
from aiosmtpd.controller import Controller

from forebay.archive.alerts import AlertArchive
from forebay.dams.alert_rules import AlertRule
from forebay.forecasts.alerts import Evidence, decision_row, next_decision
from tests.loopback import Received

RULE = AlertRule(id="spill", threshold="full_supply", within_days=2, probability=0.5)
FIRST_DAY = date(2024, 1, 1)


@dataclass
class Mailbox:
    """Subjects and texts of the mails that a mail server on loopback has accepted."""

    port: int
    subjects: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """URL of apprise."""
        return f"mailto://127.0.0.1:{self.port}?smtp=127.0.0.1&mode=insecure&from=a@dam.example&to=b@dam.example"


class _Handler:
    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # Any: aiosmtpd's
        mail = message_from_bytes(envelope.content)
        self.mailbox.subjects.append(str(make_header(decode_header(str(mail["Subject"])))).replace("\n", ""))
        for kind, texts in (("text/plain", self.mailbox.texts), ("text/html", self.mailbox.html)):
            parts = (part for part in mail.walk() if part.get_content_type() == kind)
            texts += [part.get_payload(decode=True).decode() for part in parts]
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A mail server on loopback until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        mailbox = Mailbox(free.getsockname()[1])
    controller = Controller(_Handler(mailbox), hostname="127.0.0.1", port=mailbox.port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


def hook(url: str) -> str:
    """URL of apprise for the web service at `url`."""
    return url.replace("http://", "json://") + "/alerts"


def titles(received: Sequence[Received]) -> Counter[str]:
    """Title → number of times that it was received."""
    return Counter(json.loads(request.body)["title"] for request in received)


def decide(  # noqa: PLR0913  # of a forecast
    alerts: AlertArchive, values: Sequence[float | None], *, rule: AlertRule = RULE, first: int = 1, dam: str = "lake",
    day: date | None = None,
) -> pl.DataFrame:  # fmt: skip
    """The decisions of a rule on successive days (or on one day); titles have the rule, the change and the state."""
    parts = []
    for number, value in enumerate(values, start=first):
        init_date = day or FIRST_DAY + timedelta(days=number)
        evidence = Evidence(value, f"{dam}-{number}", number, init_date, 0)

        def make(last: pl.DataFrame, day_before: pl.DataFrame, now: Any, evidence: Evidence = evidence) -> pl.DataFrame:
            decision = next_decision(rule, evidence, last, day_before, dam=dam, time_zone="+10:00", now=now)
            return decision_row(decision, f"{rule.id} {decision['change']} {decision['state']}", "text")

        parts.append(alerts.decide(dam, rule.id, sequence=number, init_date=init_date, decide=make))
    return pl.concat(parts)
