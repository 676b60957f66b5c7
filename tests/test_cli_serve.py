"""`forebay serve` as a process, its faults, and the examples of docs/web.md."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.command_line import forebay
from tests.test_refresher import is_alive
from tests.test_weights import need_program, run_program

COMMAND = (sys.executable, "-c", "from forebay.cli import main; main()", "serve")
PAGE = (Path(__file__).parents[1] / "docs" / "web.md").read_text("utf-8")


@contextmanager
def server(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Address of a server process of the dam in `folder`, and the process, which ends with the context."""
    words = [*COMMAND, str(folder / "small.toml"), "--port", "0", "--archive", f"sqlite:///{folder}/a.db",
             "--results", str(folder / "runs"), *(options or ["--no-refresh"])]  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        sentence = r"forebay: (http://127\.0\.0\.1:\d+)/ has the pages, /api/v1 the numbers; Ctrl-C ends it\n"
        match = re.fullmatch(sentence, line)
        assert match, (line, process.stderr.read() if process.stderr and process.poll() is not None else "")
        yield match[1], process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def test_a_server_answers_and_ends_on_ctrl_c(site_template: Path) -> None:
    with server(site_template) as (address, process):
        with urllib.request.urlopen(f"{address}/api/v1/dams", timeout=60) as answer:
            (dam,) = json.load(answer)["dams"]
        assert (dam["dam"], dam["record"]) == ("small", "small-2")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 130, -signal.SIGINT)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def child_of(pid: int) -> int:
    """Number of the only child process of a process."""
    for _ in range(600):
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [child for task in tasks for child in (task / "children").read_text().split()]
        if children:
            (child,) = children
            return int(child)
        time.sleep(0.1)
    raise AssertionError("the server has no child process")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_the_refresher_ends_with_the_server(site_template: Path, tmp_path: Path, end: signal.Signals) -> None:
    shutil.copytree(site_template, tmp_path / "site")
    with server(tmp_path / "site", "--refresh-at", "00:00") as (address, process):
        child = child_of(process.pid)
        with urllib.request.urlopen(f"{address}/api/v1/health", timeout=60) as answer:
            assert json.load(answer)["refresher"]["state"] in ("starting", "waiting", "refreshing")
        process.send_signal(end)
        process.wait(60)
        for _ in range(600):
            if not is_alive(child):
                break
            time.sleep(0.1)
        assert not is_alive(child)


def test_another_name_of_the_server_is_allowed(site_template: Path) -> None:
    with server(site_template, "--no-refresh", "--allow-host", "levels.example.org") as (address, _):
        for host, status in (("levels.example.org", 200), ("other.example.org", 400)):
            request = urllib.request.Request(f"{address}/api/v1/health", headers={"Host": host})
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    assert answer.status == status
            except urllib.error.HTTPError as error:
                assert error.code == status
                error.close()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "no dam to serve; give ids of built-in dams or paths of dam files, such as: demo lake.toml"),
        (["demo", "demo"], "two of the dams have the same id; "),
        (["demo", "--host", "192.0.2.1"], "--host 192.0.2.1 --port 8000 cannot be used"),
        (["demo", "--host", "no such host"], "--host 'no such host' is no address of this machine"),
        (["demo", "--port", "70000"], "--port 70000 is no port; give 1 to 65535, or 0 for a free one"),
        (["demo", "--port", "0", "--archive", "sqlite:///absent.db", "--no-refresh"], "absent.db"),
        (["demo", "--refresh-at", "24:00"], "--refresh-at '24:00' is no clock time; give one like 07:30, up to 23:59"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = forebay("serve", *words)
    assert (result.code, result.out) == (2, "")
    assert re.fullmatch(r"forebay: [^\n]+\n", result.err), result.err
    assert sentence in result.err


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = forebay("serve", "demo", "--port", str(other.getsockname()[1]))
    assert result.code == 2
    assert "cannot be used (Address already in use); give another port, or end the other server" in result.err


def example(language: str, address: str) -> str:
    """The example of docs/web.md in a language, with the address of a test's server."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert "http://127.0.0.1:8000" in code
    return str(code).replace("http://127.0.0.1:8000", address)


def levels_of(output: str) -> list[tuple[str, str, float, str]]:
    rows = [line.split(" ") for line in output.splitlines()]
    return [(day, quantile, round(float(level), 2), unit) for day, quantile, level, unit in rows]


@pytest.mark.slow
def test_the_examples_of_the_page_print_the_forecast(site_template: Path, tmp_path: Path) -> None:
    result = json.loads((site_template / "runs" / "small" / "forecast.json").read_text())
    expected = [
        (row["valid_date"], str(row["quantile"]), round(row["level"], 2), "m")
        for row in result["forecast"]
        if row["model"] == "default" and row["quantile"] in (0.05, 0.5, 0.95)
    ]
    need_program("elixir", "elixir")
    with server(site_template) as (address, _):
        (tmp_path / "example.py").write_text(example("python", address))
        (tmp_path / "example.exs").write_text(example("elixir", address))
        for command in (sys.executable, "example.py"), ("elixir", "example.exs"):
            process = run_program(*command, cwd=tmp_path)
            assert process.returncode == 0, process.stderr
            assert levels_of(process.stdout) == expected


def test_the_page_has_every_address() -> None:
    document = json.loads((Path(__file__).parents[1] / "docs" / "openapi.json").read_text())
    listed = re.findall(r"^\| `(/[^`]*)` \|", PAGE, re.MULTILINE)
    assert sorted(f"/api/v1{path}" for path in listed) == sorted(document["paths"])
