"""The log: a record per step for library users, lines on standard error for commands, nothing else and no secrets."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import forebay as package
from forebay import log
from forebay.article import faults, page, trials
from forebay.cli.log_output import LogOptions, log_to_stderr
from forebay.errors import ConfigError
from forebay.sources.request import Request
from forebay.sources.transport import open_transport
from tests import synthetic
from tests.command_line import CommandResult, forebay
from tests.synthetic import daily_frame, rain_gauge, small_dam
from tests.test_secrets import END, START, settings_with_a_secret
from tests.test_transport import QUICK, serving, status

LAKE = small_dam(rain_gauge(), full_supply=1.0, hindcast={"leads": (1,)})
FORECAST_STEPS = ["daily_table", "screen", "screen", "inputs", "earlier_rows", "point_forecasts", "intervals",
                  "save_rows", "forecast", "record"]  # fmt: skip


@pytest.fixture(autouse=True)
def _working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run each test in a new folder, which also has the archive."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", f"sqlite:///{tmp_path}/archive.db")


def write_dam(**columns: list[float | None]) -> Path:
    """Path of a dam file in the current folder."""
    rng = np.random.default_rng(7)
    values = {"rainfall_r1": rng.gamma(0.3, 10.0, 300).tolist()}
    values["reservoir_level"] = np.cumsum(rng.normal(0, 0.05, 300)).tolist()
    return synthetic.write_dam(LAKE, daily_frame(LAKE, values | columns), Path())


def lines(result: CommandResult) -> list[dict[str, Any]]:  # Any: JSON values
    """The JSON lines of the error stream, which has nothing else."""
    records = [json.loads(line) for line in result.err.splitlines()]
    for record in records:
        assert datetime.fromisoformat(record["time"]).utcoffset() == timedelta(0)
        assert record["level"] in ("debug", "info", "warning", "error", "critical")
    return records


# --- a library user -------------------------------------------------------------------------------------------------


def test_a_record_of_a_step_has_its_duration_in_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "forebay")
    start = time.monotonic()
    with log.step("inputs"):
        time.sleep(0.1)
    longest = time.monotonic() - start
    (record,) = caplog.records
    assert 0.1 <= record.fields["seconds"] + 0.001 <= longest + 0.002  # type: ignore[attr-defined]  # set by forebay.log


def test_a_forecast_has_a_record_per_step(caplog: pytest.LogCaptureFixture) -> None:
    path = write_dam()
    caplog.set_level(logging.INFO, "forebay")
    result = package.forecast(path)
    first = [record.fields for record in caplog.records]  # type: ignore[attr-defined]  # set by forebay.log
    assert [record["step"] for record in first] == ["fetch", "store"] * 2 + FORECAST_STEPS
    assert {record["dam"] for record in first} == {LAKE.id}
    assert all(record["seconds"] >= 0 for record in first)
    assert (first[0]["gauge"], first[0]["rows"], first[1]["new"]) == ("reservoir_level", 300, 300)
    assert str(first[0]["last"] - first[0]["first"]) == "299 days, 0:00:00"
    fits = next(record for record in first if record["step"] == "point_forecasts")
    assert fits["fits"] > 20 and fits["from_cache"] < fits["fits"]
    assert caplog.records[0].name == "forebay.fetch"
    assert caplog.messages[1].startswith(f"store: dam={LAKE.id} gauge=reservoir_level rows=300 new=300 ")

    caplog.clear()
    package.forecast(path, update=False)
    again = {record.fields["step"]: record.fields for record in caplog.records}  # type: ignore[attr-defined]
    assert again["point_forecasts"]["from_cache"] == again["point_forecasts"]["fits"] == fits["fits"]

    caplog.clear()
    result.report("report.html")
    package.daily(path)
    assert [record.name for record in caplog.records] == [
        "forebay.scores", "forebay.screen",
        "forebay.earlier_rows", "forebay.point_forecasts", "forebay.save_rows", "forebay.known_rain",  # the brief
        "forebay.report", "forebay.daily_table",
    ]  # fmt: skip


def test_nothing_is_printed_without_a_handler() -> None:
    code = "import logging; from forebay import log; log.write(logging.ERROR, 'fetch', {}, 'x')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout + result.stderr == ""


def test_the_steps_of_the_article_are_logged() -> None:
    for function in (trials.train_all, faults.fault_costs, page.write_page):
        assert hasattr(function, "__wrapped__"), function.__name__


def test_a_step_that_fails_has_the_class_of_its_error_and_not_the_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "forebay")
    with pytest.raises(ConfigError) as caught, log.log_fields({"dam": "lake"}), log.step("inputs"):
        log.add_counts({"days": 5})
        raise ConfigError("a sentence")
    (record,) = caplog.records
    assert record.fields | {"seconds": 0} == {  # type: ignore[attr-defined]
        "step": "inputs", "dam": "lake", "days": 5, "failed": "ConfigError", "seconds": 0
    }  # fmt: skip
    assert caught.value.dam == "lake"
    assert "sentence" not in record.getMessage()


def test_an_interrupted_step_is_recorded_as_failed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "forebay")
    with pytest.raises(KeyboardInterrupt), log.step("inputs"):
        raise KeyboardInterrupt
    (record,) = caplog.records
    assert record.fields.get("failed") == "KeyboardInterrupt"  # type: ignore[attr-defined]


def test_counts_belong_to_the_innermost_step(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "forebay")
    with log.step("outer"):
        log.add_counts({"days": 5})
        with log.step("inner"):
            log.add_counts({"rows": 7})
        log.add_counts({"gauges": 2})
    log.add_counts({"lost": 1})
    fields = [record.fields for record in caplog.records]  # type: ignore[attr-defined]
    counts = [{name: value for name, value in record.items() if name not in ("step", "seconds")} for record in fields]
    assert counts == [{"rows": 7}, {"days": 5, "gauges": 2}]


def test_an_error_belongs_to_the_dam_in_which_it_began() -> None:
    with pytest.raises(ConfigError) as caught, log.log_fields({"dam": "all"}), log.log_fields({"dam": "lake"}):
        raise ConfigError("a sentence")
    assert caught.value.dam == "lake"


def test_a_text_is_one_line_of_the_log_whatever_breaks_it() -> None:
    breaks = "\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"
    for mark in breaks:
        assert log.public_text(f"a{mark}b{mark}") == "a b", repr(mark)


def test_each_attempt_of_a_request_is_a_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "forebay")
    steps = status(503), status(429), status(200, b"done")
    with serving(*steps) as (url, _), open_transport(QUICK) as send:
        assert send(Request(f"{url}x?token=secret")) == b"done"
    records = [record for record in caplog.records if record.name.startswith("forebay")]
    assert [record.levelname for record in records] == ["INFO", "INFO", "DEBUG"]
    assert [record.fields["attempt"] for record in records] == [1, 2, 3]  # type: ignore[attr-defined]
    assert "answered with status 503" in records[0].getMessage()
    assert "secret" not in caplog.text


# --- commands -------------------------------------------------------------------------------------------------------


def test_a_run_writes_a_json_line_per_step_and_the_same_output() -> None:
    path = write_dam()
    forebay("fetch", path)
    plain = forebay("forecast", path, "--json")
    assert (plain.code, plain.err) == (0, "")
    logged = forebay("forecast", path, "--json", "--log-json")
    own = {"issue_time": "", "record": ""}
    assert logged.json | own == plain.json | own
    records = lines(logged)
    steps = [record["step"] for record in records]
    assert [step for step in steps if step in FORECAST_STEPS] == FORECAST_STEPS
    assert set(steps) == {*FORECAST_STEPS, "scores", "command"} and steps[-1] == "command"
    assert {record["dam"] for record in records} == {LAKE.id}
    assert {record["command"] for record in records} == {"forecast"}
    assert lines(forebay("--log-json", "screen", path))[-2]["step"] == "pictures"  # the options may precede the command


def test_the_log_as_text_and_its_levels() -> None:
    path = write_dam()
    text = forebay("fetch", path, "--log-level", "info").err
    start = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO store: "
    assert re.search(rf"(?m)^{start}.*gauge=reservoir_level rows=300 new=300 ", text)
    for option in ((), ("--log-level", "warning"), ("--log-json", "--log-level", "error")):
        assert forebay("fetch", path, *option).err == "", option
    assert forebay("fetch", path, "--log-level", "all").err.startswith('forebay: Invalid value "all" for --log-level.')


def test_an_error_is_a_line_of_the_log_and_the_only_one() -> None:
    path = write_dam()
    error = forebay("forecast", path, "--log-json")
    assert error.code == 2
    assert [record["level"] for record in lines(error)] == ["info", "error"]
    last = lines(error)[-1]
    assert (last["dam"], last["command"]) == (LAKE.id, "forecast")
    assert (last["error"], last["exit_code"]) == ("NoArchiveError", 2)
    assert last["message"] == forebay("forecast", path).err.removeprefix("forebay: ").strip()
    assert lines(forebay("nope", "--log-json"))[-1]["message"].startswith("command 'nope' does not exist")
    assert "\n" not in forebay("forecast", path, "--log-level", "info").err.splitlines()[-1]


def test_an_unexpected_error_is_a_line_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("http://me:secret@host")

    monkeypatch.setattr("forebay.cli.setup.settings_in_force", fail)
    result = forebay("settings", "--log-json")
    assert result.code == 1
    last = lines(result)[-1]
    assert (last["level"], last["error"]) == ("critical", "RuntimeError")
    assert "in fail" in last["message"] and "***@host" in last["message"] and "me:secret@" not in last["message"]
    with pytest.raises(RuntimeError):
        forebay("settings")


def test_a_gauge_that_failed_is_a_warning_if_the_command_continues() -> None:
    path = write_dam()
    file = Path("small.csv")
    text = file.read_text("utf-8").rstrip()
    file.write_text(f"{text}x\n", "utf-8")
    result = forebay("fetch", path)
    assert result.code == 0
    assert re.fullmatch(r"\S+ WARNING fetch: \S.* is not a number; .*gauge=rainfall_r1\)\n", result.err), result.err
    file.write_text("{}", "utf-8")
    assert len(forebay("fetch", path, "--archive", "sqlite:///new.db").err.splitlines()) == 1  # the error itself


def test_other_libraries_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with log_to_stderr(LogOptions("debug")):
        for name in ("jax", "httpx2", "urllib3", "sqlalchemy.engine", "keras", "matplotlib", "stamina", "unknown"):
            logging.getLogger(name).info("info of %s", name)
        logging.getLogger("jax").warning("chatter")
        logging.getLogger("sqlalchemy.pool").warning("a warning")
        logging.getLogger("keras").error("an error")
    assert [line.partition(" ")[2] for line in capsys.readouterr().err.splitlines()] == [
        "WARNING a warning",
        "ERROR an error",
    ]


@pytest.fixture
def _in_sydney(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clock of this process is that of Sydney."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Australia/Sydney")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_in_sydney")
@pytest.mark.parametrize("log_json", [False, True])
def test_the_times_of_the_log_are_utc(capsys: pytest.CaptureFixture[str], log_json: bool) -> None:
    with log_to_stderr(LogOptions(log_json=log_json)):
        log.write(logging.WARNING, "fetch", {}, "late")
    line = capsys.readouterr().err
    written = datetime.fromisoformat(json.loads(line)["time"] if log_json else line.partition(" ")[0])
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=5)


def test_warnings_of_python_are_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    import warnings

    with warnings.catch_warnings(), log_to_stderr(LogOptions(log_json=True)):
        warnings.simplefilter("always")
        warnings.warn("a warning\nof two lines", stacklevel=1)
    (line,) = capsys.readouterr().err.splitlines()
    assert "a warning of two lines" in json.loads(line)["message"]


def test_a_command_leaves_the_loggers_as_they_were() -> None:
    def state() -> tuple[object, ...]:
        return tuple((logging.getLogger(n).level, *logging.getLogger(n).handlers) for n in (None, "forebay", "jax"))

    before = state()
    forebay("dams", "--log-level", "debug")
    forebay("nope", "--log-json")
    assert state() == before


@pytest.mark.parametrize("command", [(), ("fetch",), ("archive", "check"), ("stations",)])
def test_the_help_of_every_command_has_the_options(command: tuple[str, ...]) -> None:
    text = forebay(*command, "--help").out
    assert "--log-level" in text and "--log-json" in text


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(settings_with_a_secret())
def test_no_secret_in_a_line_of_the_log(setting: tuple[str, str]) -> None:
    name, value = setting
    gauge = {"role": "target", "source": "waternsw", "station": "1", "variable": "reservoir_level", "unit": "m"}
    dam = small_dam(gauge)
    values = {name: value, "FOREBAY_HTTP__ATTEMPTS": "2", "FOREBAY_HTTP__FIRST_WAIT_S": "0"}
    no_names = mock.patch("socket.getaddrinfo", side_effect=socket.gaierror("no such host"))
    named = mock.patch("forebay.cli.archive.dam_named", return_value=dam)
    with mock.patch.dict(os.environ, values), no_names, named:
        result = forebay("fetch", "lake", "--log-json", "--log-level", "debug")
    assert result.code in (1, 2)
    assert lines(result)
    assert START not in result.err + result.out and END not in result.err + result.out, (value, result.err)


TERMINAL = """
import logging, time
from forebay import log
from forebay.cli import terminal
from forebay.cli.log_output import LogOptions, log_to_stderr
with log_to_stderr(LogOptions("info", {json})), terminal.progress() as progress:
    for n in range(4):
        progress("work", n, 4)
        time.sleep(0.12)  # longer than the bar's refresh
        log.write(logging.INFO, "fetch", {{"gauge": f"g{{n}}"}})
"""


def on_a_terminal(code: str) -> str:
    """The error stream of a program on a terminal of 200 columns."""
    parent, child = pty.openpty()
    environ = os.environ | {"COLUMNS": "200", "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=child, stdout=subprocess.DEVNULL, env=environ)
    os.close(child)
    output = b""
    try:
        while part := os.read(parent, 65536):
            output += part
    except OSError:  # the program has ended
        pass
    assert process.wait() == 0
    return output.decode()


def test_a_progress_bar_and_the_log_share_a_terminal() -> None:
    output = on_a_terminal(TERMINAL.format(json=False))
    assert "━" in output and "3/4" in output
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    logged = [line for line in re.split(r"[\r\n]+", plain) if "INFO" in line]
    assert [re.sub(r"^\S+Z ", "", line).strip() for line in logged] == [f"INFO fetch: gauge=g{n}" for n in range(4)]


def test_a_log_of_json_has_no_progress_bar_on_a_terminal() -> None:
    output = on_a_terminal(TERMINAL.format(json=True))
    assert [json.loads(line)["gauge"] for line in output.splitlines()] == ["g0", "g1", "g2", "g3"]
