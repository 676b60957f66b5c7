"""The process that refreshes: it fails, hangs and is killed, and the supervisor starts it again."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from forebay.archive import upkeep
from forebay.archive.store import open_archive
from forebay.dams.local_time import zone
from forebay.jobs.record import verify_chain
from forebay.jobs.refresh import Outcome, RefreshResult
from forebay.settings import Settings
from forebay.web import refresher, refresher_process
from forebay.web.dam_state import RESULT_FILE
from forebay.web.refresher import RefresherStatus, Supervisor
from forebay.web.refresher_process import Plan, Worker, due_before, missed
from tests import synthetic
from tests.web_server import DAYS, LAKE, copied_archive

WAIT_S = 90.0


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan of a lake whose folder is the working folder of the process."""
    path = synthetic.write_dam(LAKE, synthetic.daily(LAKE, days=DAYS), tmp_path)
    monkeypatch.setenv("FOREBAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.chdir(tmp_path)
    return Plan({"small": str(path)}, f"sqlite:///{tmp_path}/a.db", str(tmp_path / "runs"), "07:30", scenarios=False)


def wait_for(supervisor: Supervisor, condition: Callable[[RefresherStatus], bool]) -> RefresherStatus:
    end = time.monotonic() + WAIT_S
    while not condition(supervisor.status):
        assert time.monotonic() < end, supervisor.status
        time.sleep(0.02)
    return supervisor.status


@contextmanager
def supervised(plan: Plan, *command: str) -> Iterator[Supervisor]:
    """A supervisor that has started; of a Python program as its process, if one is given."""
    supervisor = Supervisor(plan, [sys.executable, "-c", *command]) if command else Supervisor(plan)
    with closing(supervisor):
        supervisor.start()
        yield supervisor


def pid_of(supervisor: Supervisor) -> int:
    process = supervisor._process
    assert process is not None
    return process.pid


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_it_catches_up_is_killed_and_continues(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresher, "FIRST_WAIT_S", 0.05)
    with supervised(plan) as supervisor:
        status = wait_for(supervisor, lambda status: status.refreshes == 1)
        assert (status.failed, status.failures, status.sentence, status.restarts) == ((), 0, "", 0)
        assert status.last_seconds is not None and status.next_due is not None and status.next_due > datetime.now(UTC)
        assert (tmp_path / "runs" / "small" / "forecast.json").is_file()
        assert supervisor.request("small").startswith("The refresh of small begins ")
        wait_for(supervisor, lambda status: status.state == "refreshing")
        first = pid_of(supervisor)
        os.kill(first, signal.SIGKILL)
        status = wait_for(supervisor, lambda status: status.restarts == 1)
        assert status.failures == 1 and status.sentence == "The refresher is restarted: it ended with status -9."
        wait_for(supervisor, lambda status: status.state == "waiting")
        supervisor.request("small")
        wait_for(supervisor, lambda status: status.refreshes == 2)
        second = pid_of(supervisor)
        assert is_alive(second) and second != first
    assert not is_alive(second), "the process ends with the server"
    with open_archive(str(plan.archive), create=False) as archive:
        check = verify_chain(archive, "small")
        assert (check.records >= 2, check.faults) == (True, ())
    assert not upkeep.check(str(plan.archive), datetime.now(UTC)).fault_summary


# --- processes that go wrong; each is a Python program --------------------------------------------------------------

SAY = """
import json, sys, time, os
sys.stdin.readline()
def say(event, **content): print(json.dumps({"event": event, "next": None, **content}), flush=True)
"""


def test_a_process_that_ends_is_started_again_after_longer_and_longer_waits(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresher, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(refresher, "LONGEST_WAIT_S", 0.04)
    waits: list[float] = []
    with supervised(plan, "raise SystemExit(3)") as supervisor:
        original = supervisor._end.wait
        monkeypatch.setattr(supervisor._end, "wait", lambda seconds: waits.append(seconds) or original(seconds))
        status = wait_for(supervisor, lambda status: status.restarts >= 5)
        assert status.sentence == "The refresher is restarted: it ended with status 3."
    assert sorted(waits) == waits and set(waits) <= {0.01, 0.02, 0.04} and waits[-1] == 0.04


def test_a_refresh_that_hangs_is_ended(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresher, "LIMIT_S", 0.5)
    monkeypatch.setattr(refresher, "LIMIT_PER_DAM_S", 0.5)
    monkeypatch.setattr(refresher, "END_S", 0.2)
    monkeypatch.setattr(refresher, "FIRST_WAIT_S", 600.0)
    hangs = SAY + 'say("start", dams=["small"])\nwhile True: say("alive"); time.sleep(0.05)'
    with supervised(plan, hangs) as supervisor:
        wait_for(supervisor, lambda status: status.state == "refreshing")
        pid = pid_of(supervisor)
        status = wait_for(supervisor, lambda status: status.restarts == 1)
        assert status.sentence == "The refresher is restarted: a refresh took longer than 1 s."
        assert (status.failures, is_alive(pid)) == (1, False)


def test_a_process_that_says_nothing_is_ended(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresher, "SILENCE_S", 0.6)
    monkeypatch.setattr(refresher, "END_S", 0.2)
    monkeypatch.setattr(refresher, "FIRST_WAIT_S", 600.0)
    stops = SAY + 'say("ready")\nos.kill(os.getpid(), 19)'  # SIGSTOP: it neither answers nor ends
    with supervised(plan, stops) as supervisor:
        wait_for(supervisor, lambda status: status.state == "waiting")
        pid = pid_of(supervisor)
        status = wait_for(supervisor, lambda status: status.restarts == 1)
        assert status.sentence == "The refresher is restarted: it said nothing for 0.6 s."
        assert not is_alive(pid)


def test_a_failed_refresh_is_counted_and_other_output_is_ignored(plan: Plan) -> None:
    fails = SAY + (
        'print("no json", flush=True); print("[1]", flush=True); say("ready"); say("start", dams=["small"])\n'
        'say("end", dams=["small"], failed=["small"], sentence="small: no network", seconds=1.5)\n'
        "sys.stdin.read()"
    )
    with supervised(plan, fails) as supervisor:
        status = wait_for(supervisor, lambda status: status.refreshes == 1)
        assert (status.state, status.failed, status.failures) == ("waiting", ("small",), 1)
        assert (status.sentence, status.last_seconds, status.restarts) == ("small: no network", 1.5, 0)


def test_requests_are_sent_once(plan: Plan) -> None:
    echoes = SAY + (
        'say("ready")\nfor line in sys.stdin: say("end", dams=[], failed=[], sentence=line.strip(), seconds=0)'
    )
    with supervised(plan, echoes) as supervisor:
        for _ in range(3):
            supervisor.request("small")
        assert wait_for(supervisor, lambda status: status.refreshes == 1).sentence == "small"
        supervisor.request("small")
        assert wait_for(supervisor, lambda status: status.refreshes == 2).sentence == "small"


# --- what the process does ------------------------------------------------------------------------------------------


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_dam_without_a_forecast_since_its_time_is_due(plan: Plan) -> None:
    settings = Settings()
    now = datetime(2026, 5, 3, 2, 0, tzinfo=UTC)  # 12:00 at the dam
    assert missed(plan, settings, now) == ["small"], "no forecast at all"
    for local, at, expected in (
        ("2026-05-03T12:00:00+10:00", (7, 30), "2026-05-03T07:30:00+10:00"),
        ("2026-05-03T07:29:59+10:00", (7, 30), "2026-05-02T07:30:00+10:00"),
    ):
        assert due_before(datetime.fromisoformat(local), at, "+10:00").isoformat() == expected


def test_a_forecast_without_its_results_is_due(site_template: Path, tmp_path: Path) -> None:
    """`forebay run` issues a forecast without the results that a server shows, and so does another folder."""
    url, runs = copied_archive(site_template, tmp_path), tmp_path / "runs"
    shutil.copytree(site_template / "runs", runs)
    with open_archive(url) as archive:
        newest = archive.records.index("small")["issue_time"].max()
    assert isinstance(newest, datetime)
    at = f"{newest.astimezone(zone('+10:00')) + timedelta(hours=12):%H:%M}"  # no refresh is due before tonight

    def due() -> list[str]:
        plan = Plan({"small": str(site_template / "small.toml")}, url, str(runs), at, scenarios=False)
        return missed(plan, Settings(), newest + timedelta(minutes=1))

    assert due() == []
    path = runs / "small" / RESULT_FILE
    text = path.read_text()
    path.write_text(text.replace('"id": "small-2"', '"id": "small-1"'))
    assert due() == ["small"], "they belong to another forecast"
    path.write_text(text[:-9])
    assert due() == ["small"], "they cannot be read"
    path.unlink()
    assert due() == ["small"], "there are none"


def test_each_zone_has_its_clock(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next refresh is at the clock time of the dam's zone, whatever the zone of the machine."""
    monkeypatch.setattr(refresher_process, "missed", lambda *_: [])
    text = Path(plan.dams["small"]).read_text()
    paths = {}
    for name, time_zone in (("east", "Australia/Sydney"), ("west", "America/Los_Angeles")):
        paths[name] = str(tmp_path / f"{name}.toml")
        own = text.replace('"+10:00"', f'"{time_zone}"').replace('id = "small"', f'id = "{name}"')
        assert own.count(time_zone) == 1
        Path(paths[name]).write_text(own)
    output = io.StringIO()
    worker = Worker(Plan(paths | {"gone": "gone.toml"}, plan.archive, plan.output, "07:30", False), Settings(), output)
    worker.start()
    jobs = {job.id: job.next_run_time for job in worker._scheduler.get_jobs()}
    worker._scheduler.shutdown()
    assert set(jobs) == {"at Australia/Sydney", "at America/Los_Angeles", "at UTC"}
    for name, at in jobs.items():
        assert (at.hour, at.minute, str(at.tzinfo)) == (7, 30, name.removeprefix("at "))
        assert timedelta(0) < at - datetime.now(UTC) <= timedelta(hours=25)
    (ready,) = events_of(output.getvalue())
    assert ready == {"event": "ready", "next": min(jobs.values()).astimezone(UTC).isoformat()}


def test_a_dam_is_refreshed_again_only_without_a_new_forecast() -> None:
    """Its alerts have an archive of their own attempts: they are told, and sent by the next refresh."""
    outcomes = [
        Outcome("good"),
        Outcome("failed", failure="no level"),
        Outcome("unsent", alert_failure="no connection"),
        Outcome("dry", scenario_failure="no rain gauge"),
    ]
    failed, sentence = refresher_process.failures(RefreshResult(outcomes), ["good", "failed", "unsent", "dry"])
    assert failed == ["failed"]
    assert sentence == "failed: no level; unsent: no connection"


def test_failures_are_events_and_are_tried_again(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    monkeypatch.setattr(sys, "argv", ["x"])
    Path(plan.dams["small"]).write_text("id = 'small'\n")
    worker = Worker(plan, Settings(), output)
    worker._scheduler.start(paused=True)
    worker.refresh(["small"])
    (again,) = worker._scheduler.get_jobs()
    worker._scheduler.shutdown()
    assert (again.args, timedelta(minutes=29) < again.next_run_time - datetime.now(UTC)) == ((["small"],), True)
    start, end = events_of(output.getvalue())
    assert (start["event"], start["dams"], end["event"], end["failed"]) == ("start", ["small"], "end", ["small"])
    assert "key name is missing" in end["sentence"] and end["sentence"].startswith(f"{plan.dams['small']}: ")

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("x")

    monkeypatch.setattr("forebay.jobs.refresh.refresh", fail)
    worker = Worker(plan, Settings(), output)
    worker._scheduler.start(paused=True)
    worker.refresh(["small"])
    worker._scheduler.shutdown()
    assert events_of(output.getvalue())[-1]["sentence"] == "unexpected ZeroDivisionError: x"
