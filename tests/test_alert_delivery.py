"""Messages reach a real mail server and a web service on loopback at most once: restarts, time-outs, kills, races."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time as clock
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from forebay.archive import upkeep
from forebay.archive.alerts import Message
from forebay.archive.store import open_archive
from forebay.dams.alert_rules import AlertRule
from forebay.jobs.alert_outbox import send_alerts, undelivered
from forebay.jobs.alert_sinks import Sink, _address, alert_sinks
from forebay.settings import Settings
from tests.alert_sinks import RULE, decide, hook, mail_server, titles
from tests.command_line import forebay
from tests.loopback import Reply, loopback_server

OK = Reply(b"{}")
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.alert_sinks", "forebay.archive.database"])
SENDER = """
import os, signal, sys
from forebay.archive.alerts import AlertArchive
from forebay.archive.store import open_archive
from forebay.jobs.alert_outbox import send_alerts
from forebay.jobs.alert_sinks import Sink, alert_sinks
from forebay.jobs.arguments import current_settings

url, point = sys.argv[1:]

def dies(place, is_after):
    original = getattr(place, point.split()[1])
    def method(*arguments, **options):
        result = original(*arguments, **options) if is_after else None
        os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(place, point.split()[1], method)

if point:
    dies(Sink if point.endswith("send") else AlertArchive, point.startswith("after"))
with open_archive(url) as archive:
    sinks = alert_sinks(current_settings())
    print("ready", flush=True)
    sys.stdin.readline()
    print(send_alerts(archive.alerts, sinks).title())
"""


def sinks_of(*urls: str, timeout_s: float = 20.0) -> list[Sink]:
    return alert_sinks(Settings.model_validate({"alert_urls": " ".join(urls), "alert_timeout_s": timeout_s}))


def start_sender(archive: str, urls: str, point: str = "") -> subprocess.Popen[str]:
    """Start a process that sends what is due as soon as it reads a line, and is killed at a point."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "FOREBAY_ALERT_URLS": urls}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", SENDER, archive, point],
        env=environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def go(sender: subprocess.Popen[str]) -> None:
    """Let a process send that is ready."""
    assert sender.stdin is not None and sender.stdout is not None
    assert sender.stdout.readline() == "ready\n"
    print(file=sender.stdin, flush=True)


@contextmanager
def silent_server() -> Iterator[tuple[str, list[bytes]]]:
    """URL of a service that reads a request and never answers, and what it has read."""
    read: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def serve() -> None:
            open_sockets = []
            while not done.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                open_sockets.append(connection)
                connection.settimeout(5)
                while (part := connection.recv(65536)) and b'"message"' not in part:
                    pass
                if part:
                    read.append(part)
            for connection in open_sockets:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", read
        finally:
            done.set()
            thread.join()


# --- what arrives -----------------------------------------------------------------------------------------------------


def test_a_change_reaches_the_mailbox_and_the_service_once_each(url: str) -> None:
    with mail_server() as mailbox, loopback_server(lambda _: OK) as (service, received), open_archive(url) as archive:
        sinks = sinks_of(mailbox.url, hook(service))
        for number, value in enumerate((0.1, 0.6, 0.7, 0.4, 0.2, 0.55), start=1):
            decide(archive.alerts, [value], first=number)
            for _ in range(2):
                send_alerts(archive.alerts, sinks)
        expected = {"spill 1 raised": 1, "spill 2 clear": 1, "spill 3 raised": 1}
        assert titles(received) == expected
        assert Counter(mailbox.subjects) == expected
        rows = archive.alerts.deliveries()
    assert rows["outcome"].to_list() == ["delivered"] * 6
    assert rows["delivered_at"].is_not_null().all()


@pytest.mark.parametrize("form", ["text", "html"])
def test_a_text_keeps_its_characters_in_mails_and_services(form: str) -> None:
    """A mail has "< 1%" as it is, and as HTML it is no tag."""
    text = "Full supply: < 1% likely & level −3.5 m <b>"
    with mail_server() as mailbox, loopback_server(lambda _: OK) as (service, received):
        for sink in sinks_of(f"{mailbox.url}&format={form}", hook(service)):
            assert sink.send("Damm Föhr: 5 < 6", text, "Minor")
        assert [content.strip() for content in mailbox.texts] == [text]
        assert len(mailbox.html) == (form == "html")
        assert mailbox.subjects == ["Damm Föhr: 5 < 6"]
        assert json.loads(received[0].body)["message"] == text
        pages = [page.replace("&nbsp;", " ") for page in mailbox.html]
        assert all("&lt; 1% likely &amp; level −3.5" in page and "<b>" not in page for page in pages)


def test_only_the_newest_state_is_sent_and_only_if_the_sink_does_not_know_it(url: str) -> None:
    """A sink that could not be reached while an alert was raised and ended gets nothing; then the next one."""
    with loopback_server(lambda _: OK) as (service, received), open_archive(url) as archive:
        sinks = sinks_of(hook(service))
        decide(archive.alerts, [0.9, 0.1])
        assert not send_alerts(archive.alerts, sinks).deliveries
        decide(archive.alerts, [0.9, 0.1, 0.8], first=3)
        send_alerts(archive.alerts, sinks)
        assert titles(received) == {"spill 5 raised": 1}


def test_a_dam_that_is_named_sends_its_own_messages_only(url: str) -> None:
    with loopback_server(lambda _: OK) as (service, received), open_archive(url) as archive:
        sinks = sinks_of(hook(service))
        for dam in ("lake", "other"):
            decide(archive.alerts, [0.9], dam=dam)
        sent = [[d.dam for d in send_alerts(archive.alerts, sinks, dam=dam).deliveries] for dam in ("lake", None)]
        assert sent == [["lake"], ["other"]] and len(received) == 2
        assert archive.alerts.deliveries("other")["dam"].to_list() == ["other"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("json://dam.example/x", ("dam.example", 80)),
        ("jsons://dam.example/x", ("dam.example", 443)),
        ("jsons://dam.example:8443", ("dam.example", 8443)),
        ("xml://dam.example", ("dam.example", 80)),
        ("forms://dam.example", ("dam.example", 443)),
        ("mailto://me:word@dam.example?smtp=mail.example&mode=insecure", ("mail.example", 25)),
        ("mailto://me:word@dam.example:2525?mode=insecure", ("dam.example", 2525)),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", (None, 0)),
    ],
)
def test_a_sink_is_asked_at_the_port_of_its_scheme(address: str, expected: tuple[str | None, int]) -> None:
    (sink,) = sinks_of(address)
    assert _address(sink._plugin) == expected


def test_a_message_waits_for_a_sink_that_cannot_be_reached(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with open_archive(url) as archive:
        decide(archive.alerts, [0.9])
        (delivery,) = send_alerts(archive.alerts, sinks_of(f"json://127.0.0.1:{port}/alerts")).deliveries
        assert delivery.outcome == "unreachable"
        assert "the next `forebay alerts send` or `forebay refresh` tries again" in delivery.sentence
        assert archive.alerts.deliveries().is_empty()
        with loopback_server(lambda _: OK) as (service, received):
            assert [d.outcome for d in send_alerts(archive.alerts, sinks_of(hook(service))).deliveries] == ["delivered"]
            assert titles(received) == {"spill 1 raised": 1}


@pytest.mark.parametrize("status", [400, 500, 503])
def test_a_refusal_is_not_repeated(url: str, status: int) -> None:
    with loopback_server(lambda _: Reply(b"no", status)) as (service, received), open_archive(url) as archive:
        sinks = sinks_of(hook(service) + "?retry=3&wait=0.1")
        decide(archive.alerts, [0.9])
        for _ in range(3):
            send_alerts(archive.alerts, sinks)
        assert len(received) == 1
        assert archive.alerts.deliveries()["outcome"].to_list() == ["failed"]
        assert undelivered(archive.alerts).height == 1


def test_undelivered_is_only_the_newest_change_of_an_alert(url: str) -> None:
    """What an older change said is no longer so; a message that arrives ends the note on the one before."""
    status = [500]
    with loopback_server(lambda _: Reply(b"", status[0])) as (service, _), open_archive(url) as archive:
        sinks = sinks_of(hook(service))
        expected = []
        for number, (value, answer) in enumerate([(0.9, 500), (0.1, 200), (0.9, 200), (0.1, 500)], start=1):
            status[0] = answer
            decide(archive.alerts, [value], first=number)
            (delivery,) = send_alerts(archive.alerts, sinks).deliveries
            assert delivery.outcome == ("delivered" if answer == 200 else "failed")
            expected.append([] if answer == 200 else [number])
            assert undelivered(archive.alerts)["change"].to_list() == expected[-1]
        assert archive.alerts.deliveries().height == 4


def test_a_time_out_is_not_repeated(url: str) -> None:
    """The service has read the message: it may have acted on it."""
    with silent_server() as (service, read), open_archive(url) as archive:
        sinks = sinks_of(hook(service) + "?retry=2&wait=0.1", timeout_s=0.3)
        decide(archive.alerts, [0.9])
        outcomes = [d.outcome for _ in range(3) for d in send_alerts(archive.alerts, sinks).deliveries]
        assert len(outcomes) == 1
        assert outcomes[0] in ("failed", "unconfirmed")
        clock.sleep(0.5)
        assert len(read) == 1


def test_a_service_that_answers_for_ever_is_not_waited_for(url: str) -> None:
    """It sends a byte now and then, so no read of the library times out; the message stays unconfirmed."""
    done = threading.Event()

    def drip(handler: Any, _: bytes) -> None:  # Any: the handler of the request
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not done.wait(0.05):
            handler.wfile.write(b"a")

    with loopback_server(lambda _: OK, choose=lambda _: drip) as (service, received), open_archive(url) as archive:
        sinks = sinks_of(hook(service), timeout_s=0.3)
        decide(archive.alerts, [0.9])
        outcomes = [d.outcome for _ in range(2) for d in send_alerts(archive.alerts, sinks).deliveries]
        done.set()
        assert outcomes == ["unconfirmed"]
        assert len(received) == 1


def test_a_process_waits_for_a_sink_that_is_slow_and_the_other_sinks_get_theirs(url: str) -> None:
    with silent_server() as (slow, _), mail_server() as mailbox, open_archive(url) as archive:
        decide(archive.alerts, [0.9])
        result = send_alerts(archive.alerts, sinks_of(hook(slow), mailbox.url, timeout_s=0.3))
        assert [d.outcome for d in result.deliveries][1] == "delivered"
        assert mailbox.subjects == ["spill 1 raised"]


def test_quiet_hours_hold_a_message_until_they_end(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback_server(lambda _: OK) as (service, received), open_archive(url) as archive:
        sinks, alerts = sinks_of(hook(service)), archive.alerts
        now = alerts.now()
        local = now + timedelta(hours=10)
        hours = f"{local - timedelta(hours=1):%H:%M}-{local + timedelta(hours=1):%H:%M}"
        quiet = RULE.model_copy(update={"quiet_hours": hours})
        decide(alerts, [0.9], rule=quiet)
        urgent = {"id": "urgent", "severity": "Extreme", "quiet_hours": hours, "through_quiet_hours": True}
        decide(alerts, [0.9], rule=RULE.model_copy(update=urgent))
        send_alerts(alerts, sinks)
        assert titles(received) == {"urgent 1 raised": 1}
        monkeypatch.setattr(type(alerts), "now", lambda _: now + timedelta(hours=2))
        send_alerts(alerts, sinks)
        send_alerts(alerts, sinks)
        assert titles(received) == {"urgent 1 raised": 1, "spill 1 raised": 1}


def test_a_copy_of_the_archive_sends_nothing_again(url: str, tmp_path: Path) -> None:
    with loopback_server(lambda _: OK) as (service, received):
        sinks = sinks_of(hook(service))
        with open_archive(url) as archive:
            decide(archive.alerts, [0.9])
            send_alerts(archive.alerts, sinks)
            now = archive.alerts.now()
        upkeep.backup(url, tmp_path / "backup.db")
        upkeep.restore(tmp_path / "backup.db", f"sqlite:///{tmp_path}/other.db", now)
        with open_archive(f"sqlite:///{tmp_path}/other.db") as other:
            assert not send_alerts(other.alerts, sinks).deliveries
            assert other.alerts.decisions().height == 1
        assert not upkeep.check(f"sqlite:///{tmp_path}/other.db", now).fault_summary
    assert len(received) == 1


# --- kills and processes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "expected"),
    [("before claim", 1), ("after claim", 0), ("before send", 0), ("after send", 1), ("before confirm", 1),
     ("after confirm", 1)],
)  # fmt: skip
def test_a_killed_process_leaves_each_message_sent_at_most_once(url: str, point: str, expected: int) -> None:
    """A kill between claim and sending loses the message, which `alerts list` shows; it never sends it twice."""
    with mail_server() as mailbox, loopback_server(lambda _: OK) as (service, received):
        with open_archive(url) as archive:
            decide(archive.alerts, [0.9])
        place = hook(service) if point != "after send" else mailbox.url
        with start_sender(url, place, point) as sender:
            go(sender)
            _, errors = sender.communicate(timeout=120)
            assert sender.returncode == -signal.SIGKILL, errors
        with open_archive(url) as archive:
            for _ in range(2):  # restarts
                send_alerts(archive.alerts, sinks_of(place))
            assert len(received) + len(mailbox.subjects) == expected
            is_lost = point in ("after claim", "before send", "after send", "before confirm")
            assert undelivered(archive.alerts).height == is_lost


def test_two_processes_decide_on_each_record_once(url: str) -> None:
    """Both decide on all records: whichever comes first, and in whatever order."""
    with open_archive(url) as archive:
        values = [0.9 if number % 3 else 0.1 for number in range(30)]
        workers = [PROCESSES.Process(target=decide_in_process, args=(url, values)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
        assert [worker.exitcode for worker in workers] == [0, 0]
        rows, now = archive.alerts.decisions(), archive.alerts.now()
    assert rows["record"].n_unique() == rows.height == 30
    assert rows["sequence"].is_sorted()
    assert [state == "raised" for state in rows["state"]] == [value > 0.5 for value in values]
    assert not upkeep.check(url, now).fault_summary


def decide_in_process(url: str, values: list[float]) -> None:
    with open_archive(url) as archive:
        decide(archive.alerts, values)


def test_two_processes_send_each_message_once(url: str) -> None:
    rules = [AlertRule.model_validate(RULE.model_dump() | {"id": f"rule{k}"}) for k in range(15)]
    with loopback_server(lambda _: OK) as (service, received):
        with open_archive(url) as archive:
            for rule in rules:
                decide(archive.alerts, [0.9], rule=rule)
        senders = [start_sender(url, hook(service)) for _ in range(2)]
        for sender in senders:
            go(sender)
        outputs = [sender.communicate(timeout=300) for sender in senders]
        assert [sender.returncode for sender in senders] == [0, 0], outputs
        assert titles(received) == {f"{rule.id} 1 raised": 1 for rule in rules}


@pytest.mark.slow
def test_kills_at_random_moments_send_nothing_twice(url: str) -> None:
    rng, count = random.Random(5), 60
    rules = [AlertRule.model_validate(RULE.model_dump() | {"id": f"rule{k}"}) for k in range(count)]

    def answer(_: object) -> Reply:
        clock.sleep(0.02)
        return OK

    with loopback_server(answer) as (service, received):
        with open_archive(url) as archive:
            for rule in rules:
                decide(archive.alerts, [0.9], rule=rule)
        kills = 0
        for _ in range(8):
            with start_sender(url, hook(service)) as sender:
                go(sender)
                clock.sleep(rng.uniform(0.05, 0.4))
                kills += sender.poll() is None
                sender.kill()
        with open_archive(url) as archive:
            send_alerts(archive.alerts, sinks_of(hook(service)))
            lost = undelivered(archive.alerts)
        counts = titles(received)
    assert kills, "no process was killed before its end"
    assert set(counts.values()) == {1}
    assert len(counts) >= count - kills
    assert lost.height <= kills
    arrived = {title.split()[0] for title in counts}
    assert {rule.id for rule in rules} - arrived <= set(lost["rule"]), "a message is gone without a trace"


# --- commands ---------------------------------------------------------------------------------------------------------


def test_send_says_what_failed_and_list_shows_what_is_not_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests import synthetic

    sqlite_url = f"sqlite:///{tmp_path}/archive.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", sqlite_url)
    dam = synthetic.small_dam(full_supply=96.0, alerts=[RULE.model_dump(exclude_none=True)])
    path = synthetic.write_dam(dam, synthetic.daily(dam).head(20), tmp_path)
    with path.open("a") as file:
        file.write('[[alerts]]\nid = "spill"\nthreshold = "full_supply"\nwithin_days = 2\nprobability = 0.5\n')
    with open_archive(sqlite_url) as archive:
        decide(archive.alerts, [0.9], dam="small")
        archive.alerts.claim(Message("small", "spill", 1, "json-000000"))  # and then the process was killed
    listed = forebay("alerts", "list", path)
    assert listed.code == 1
    assert "1 messages of Small Dam (SIMULATED) are not known to have been delivered" in listed.err
    assert "unconfirmed" in listed.out
    content = forebay("alerts", "list", path, "--json").json
    assert [(row["rule"], row["state"]) for row in content["states"]] == [("spill", "raised"), ("data", None)]
    assert content["undelivered"] == ["spill 1 json-000000"]

    nowhere = forebay("alerts", "send")
    assert nowhere.code == 1
    assert "set FOREBAY_ALERT_URLS or FOREBAY_ALERT_URLS_FILE" in nowhere.err
    with loopback_server(lambda _: Reply(b"", 500)) as (service, _):
        monkeypatch.setenv("FOREBAY_ALERT_URLS", hook(service))
        refused = forebay("alerts", "send", "--json")
        assert refused.code == 1
        assert [row["outcome"] for row in refused.json] == ["failed"]
        assert "the server did not accept it, or gave no answer; it is not sent again" in refused.err
        assert forebay("alerts", "send").out == "No message is due.\n"
