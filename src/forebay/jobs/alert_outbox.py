"""Delivery of the messages of alerts: each at most once per sink, across processes, time-outs and kills.

A message is claimed in the archive before it is sent. A process that is killed between the two, or a time-out, leaves
it unconfirmed: it is never sent again, because it may have arrived, and `forebay alerts list` shows it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import polars as pl

from forebay.archive.alerts import AlertArchive, Message
from forebay.forecasts.alerts import due_change
from forebay.jobs.results import Result
from forebay.log import add_counts, step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from forebay.jobs.alert_sinks import Sink

DELIVERED, FAILED, UNCONFIRMED, UNREACHABLE = "delivered", "failed", "unconfirmed", "unreachable"
_SENTENCES = {
    FAILED: "the server did not accept it, or gave no answer; it is not sent again, because it may have arrived",
    UNCONFIRMED: "no answer in time; it is not sent again, because it may have arrived",
    UNREACHABLE: "no connection; the next `forebay alerts send` or `forebay refresh` tries again",
}


@dataclass(frozen=True)
class Delivery:
    """What became of one message: `outcome` is delivered, failed, unconfirmed or unreachable."""

    dam: str
    rule: str
    change: int
    sink: str
    title: str
    outcome: str

    @property
    def is_claimed(self) -> bool:
        """Whether the archive has a row of it."""
        return self.outcome != UNREACHABLE

    @property
    def sentence(self) -> str:
        """What happened, if it was not delivered."""
        return f"{self.dam}, {self.rule}, to {self.sink}: {_SENTENCES[self.outcome]}"


@dataclass(frozen=True, repr=False)
class SendResult(Result):
    """The messages that were due."""

    deliveries: Sequence[Delivery]

    @property
    def failures(self) -> list[Delivery]:
        """The messages that are not known to have been delivered."""
        return [delivery for delivery in self.deliveries if delivery.outcome != DELIVERED]

    def to_frame(self) -> pl.DataFrame:
        """A row per message: dam, rule, change, sink, title, outcome."""
        schema: dict[str, pl.DataType] = dict.fromkeys(Delivery.__match_args__, pl.String()) | {"change": pl.Int64()}
        return pl.DataFrame([asdict(delivery) for delivery in self.deliveries], schema=schema)

    def title(self) -> str:
        """Numbers of messages and of those delivered."""
        return f"{len(self.deliveries)} messages, {len(self.deliveries) - len(self.failures)} delivered"


@step("send_alerts")
def send_alerts(alerts: AlertArchive, sinks: Sequence[Sink], *, dam: str | None = None) -> SendResult:
    """Send every message that is due to every sink: of one dam, or of all dams of the archive.

    Raises
    ------
    ReadOnlyError
        If the archive cannot be written: then nothing is sent.
    """
    deliveries = [
        delivery
        for sink in sinks
        for row in due_messages(alerts, sink.name, alerts.now(), dam).iter_rows(named=True)
        if (delivery := _send(alerts, sink, row)) is not None
    ]
    add_counts({outcome: sum(d.outcome == outcome for d in deliveries) for outcome in (DELIVERED, *_SENTENCES)})
    return SendResult(deliveries)


def due_messages(alerts: AlertArchive, sink: str, now: datetime, dam: str | None = None) -> pl.DataFrame:
    """The decisions (`tables.ALERTS`) whose message is due at a sink."""
    changes = alerts.changes(dam)
    sent = alerts.deliveries(dam).filter(sink=sink)
    parts = [
        due_change(rows, sent.filter(dam=name, rule=rule)["change"].to_list(), now)
        for (name, rule), rows in changes.group_by("dam", "rule", maintain_order=True)
    ]
    return pl.concat([changes.clear(), *parts])


def _send(alerts: AlertArchive, sink: Sink, row: dict[str, object]) -> Delivery | None:
    """What became of one message; None if another process has claimed it, or its alert has changed again."""
    message = Message(str(row["dam"]), str(row["rule"]), int(str(row["change"])), sink.name)
    delivery = Delivery(*message.key, title=str(row["title"]), outcome=UNREACHABLE)
    if not sink.is_reachable():
        return delivery  # not claimed: nothing was sent
    if not alerts.claim(message):
        return None
    accepted = sink.send(str(row["title"]), str(row["text"]), str(row["severity"]))
    if accepted is not None:
        alerts.confirm(message, DELIVERED if accepted else FAILED)
    outcome = UNCONFIRMED if accepted is None else DELIVERED if accepted else FAILED
    return Delivery(*message.key, title=str(row["title"]), outcome=outcome)


def undelivered(alerts: AlertArchive, dam: str | None = None) -> pl.DataFrame:
    """`tables.ALERT_DELIVERIES` not known to have arrived, of the newest change of each alert.

    The server did not accept it, no answer came in time, or the process was killed.
    """
    newest = alerts.changes(dam).group_by("dam", "rule").agg(pl.col("change").max())
    sent = alerts.deliveries(dam).join(newest, on=("dam", "rule", "change"), how="semi", maintain_order="left")
    return sent.filter(pl.col("outcome").ne_missing(DELIVERED))
