"""`forebay refresh`: many dams in one process, the fault of one of them, and one refresh per archive."""

import json
import os
import signal
import socket
import subprocess
import sys
import time as clock
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import forebay
from forebay.archive.lease import LeaseWait
from forebay.archive.store import open_archive
from forebay.dams.dam import Dam
from forebay.errors import BusyError
from forebay.jobs import refresh as job
from forebay.jobs.refresh import refresh
from tests import synthetic
from tests.command_line import forebay as command
from tests.test_jobs_forecast import Job, in_metres
from tests.test_lease import set_holder

__all__ = ["in_metres"]  # the fixture of the job

DAYS = 260
HOLDER = """
import sys, time
from forebay.archive.store import open_archive
sys.argv = ["forebay", "refresh", "lake.toml", "--json"]
with open_archive(sys.stdin.readline().strip()) as archive, archive.lease():
    print("holds", flush=True)
    time.sleep(600)
"""


def write_lake(folder: Path, name: str, *, seed: int = 1, days: int = DAYS) -> Path:
    """Path of a small dam with its files."""
    dam = synthetic.small_dam(synthetic.rain_gauge(), hindcast={"leads": (1, 3)}).model_copy(update={"id": name})
    place = folder / name
    place.mkdir()
    return synthetic.write_dam(dam, synthetic.daily(dam, seed=seed).head(days), place)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/archive.db"


def test_the_fault_of_a_dam_stops_no_other(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dam file with a fault, a dam whose source is gone, and an error that nobody expects."""
    first, gone, broken, last = (write_lake(tmp_path, name) for name in ("first", "gone", "broken", "last"))
    for file in gone.parent.glob("*.csv"):
        file.unlink()
    bad = tmp_path / "bad.toml"
    bad.write_text('id = "bad"\n')
    forecast = job.forecast

    def fails_once(dam: Dam, **options: object) -> object:
        if dam.id == "broken":
            raise ZeroDivisionError("division by zero")
        return forecast(dam, **options)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(job, "forecast", fails_once)
    monkeypatch.chdir(tmp_path)
    result = refresh([first, bad, gone, broken, last], archive=url)
    failures = {outcome.dam: outcome.failure for outcome in result.failures}
    assert set(failures) == {str(bad), "gone", "broken"}
    assert "key name is missing" in str(failures[str(bad)])
    assert "cannot be read (No such file or directory)" in str(failures["gone"])
    assert failures["broken"] == (
        "unexpected ZeroDivisionError: division by zero; this is a fault of forebay, its log has the details"
    )
    for name in ("first", "last"):
        assert {path.name for path in (tmp_path / "runs" / name).iterdir()} == {
            "forecast.csv", "explanation.csv", "probabilities.csv", "forecast.json"
        }  # fmt: skip
    assert not (tmp_path / "runs" / "gone").exists()


def test_an_outcome_has_the_numbers_of_the_forecast(tmp_path: Path, url: str) -> None:
    path = write_lake(tmp_path, "lake")
    (outcome,) = refresh([path], archive=url, output=tmp_path / "out").outcomes
    again = forebay.forecast(path, archive=url, update=False)
    at_lead = again.to_frame().filter(lead_time=3).sort("quantile")["level"].to_list()
    assert (outcome.low, outcome.median, outcome.high) == (at_lead[0], at_lead[3], at_lead[-1])
    assert (outcome.init_date, outcome.lead_time, outcome.not_fetched) == (again.issued.init_date, 3, 0)
    assert outcome.age_days == again.issued.age_days
    assert outcome.level == pytest.approx(again.verification.samples.level[-1])
    stored = json.loads((tmp_path / "out" / "lake" / "forecast.json").read_text())
    table = pl.read_csv(tmp_path / "out" / "lake" / "forecast.csv")
    assert np.array_equal([row["level"] for row in stored["forecast"]], table["level"])


def test_the_command_prints_a_row_per_dam_and_fails_if_one_failed(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good, bad = write_lake(tmp_path, "good"), tmp_path / "bad.toml"
    done = command("refresh", good, "--archive", url, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["failed"] == []
    assert done.json["dams"][0] | {"dam": "good", "failure": None} == done.json["dams"][0]
    failed = command("refresh", bad, good, "--archive", url)
    assert failed.code == 1
    assert failed.err == f"forebay: 1 of 2 dams failed: {bad}\n"
    assert f"{bad} failed: " in failed.out
    assert "good" in failed.out
    nothing = command("refresh")
    assert nothing.code == 2
    assert "no dam to refresh" in nothing.err


# --- one refresh per archive ----------------------------------------------------------------------------------------


def test_a_second_refresh_names_the_first_and_the_next_one_follows_a_killed_one(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lake = write_lake(tmp_path, "lake")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env=environ) as holder:  # fmt: skip
        assert holder.stdin is not None
        assert holder.stdout is not None
        print(url, file=holder.stdin, flush=True)
        assert holder.stdout.readline() == "holds\n"
        begun = clock.monotonic()
        second = command("refresh", lake, "--archive", url)
        assert clock.monotonic() - begun < 30, "it does not wait for lease_wait_s"
        assert second.code == 1
        process = f"{socket.gethostname()}, process {holder.pid} (forebay refresh lake.toml)"
        assert process in second.err
        assert "UTC if it is gone; nothing was changed" in second.err
        assert second.err.count("\n") == 1
        holder.send_signal(signal.SIGKILL)
    assert command("refresh", lake, "--archive", url).code == 0


def test_the_lease_of_a_refresh_on_a_lost_machine_expires(url: str) -> None:
    """A machine that is gone renews nothing: its lease ends, and until then the sentence names the time."""
    with open_archive(url, lease_wait=LeaseWait(60, never_for=job.COMMAND)) as archive:
        set_holder(archive, seconds_left=1.5, command="forebay refresh demo")
        with pytest.raises(BusyError, match=r"until \d\d:\d\d:\d\d UTC if it is gone"), archive.lease():
            pass
        clock.sleep(2.0)
        with archive.lease():
            pass


def test_a_refresh_waits_for_a_fetch(url: str) -> None:
    reports: list[str] = []
    with open_archive(url, lease_wait=LeaseWait(30, reports.append, job.COMMAND)) as archive:
        set_holder(archive, seconds_left=1.0, command="forebay refreshments")
        with archive.lease():
            pass
    assert len(reports) == 1


def test_the_outcome_of_a_dam_is_that_of_its_longest_lead_time_up_to_a_week(in_metres: Job) -> None:
    result = in_metres[0]
    issued, day = result.issued, timedelta(days=1)
    old = replace(issued, issue_time=issued.issue_time + day, level_date=issued.level_date - day)
    late = replace(result, issued=old)
    for leads, expected in (((1, 3), 3), ((1, 3, 14), 3), ((1, 14), 1)):
        hindcast = result.dam.hindcast.model_copy(update={"leads": leads})
        outcome = job._success(replace(late, dam=result.dam.model_copy(update={"hindcast": hindcast})), "folder", 1.5)
        own = issued.table.filter(model="default", lead_time=expected).sort("quantile")["level"].to_list()
        assert (outcome.lead_time, outcome.low, outcome.median, outcome.high) == (expected, own[0], own[3], own[6])
    for leads, expected in (((1, 2, 3, 4, 5, 6, 7), 7), ((1, 7, 8), 7), ((10, 14), 10)):
        hindcast = result.dam.hindcast.model_copy(update={"leads": leads})
        other = replace(late, dam=result.dam.model_copy(update={"hindcast": hindcast}))
        assert job._success(other, "folder", 1.5).lead_time == expected
    assert (outcome.age_days, outcome.current, outcome.init_date) == (2, True, issued.init_date)
    assert outcome.level == result.verification.samples.start_level[-1]
    errors = pl.DataFrame({"error": [None, "no answer", None]}, schema={"error": pl.String})
    assert job._success(replace(result, fetch_table=errors), "folder", 1.5).not_fetched == 1


def test_a_dam_whose_alerts_failed_is_a_failure() -> None:
    outcomes = [job.Outcome("a"), job.Outcome("b", failure="x"), job.Outcome("c", alert_failure="y")]
    result = job.RefreshResult(outcomes)
    assert [one.dam for one in result.failures] == ["b", "c"] and result.title() == "3 dams, 2 failed"
