"""Load of `forebay serve`: the overview of many dams at a rate of requests while a refresh runs, and a surge.

Run: ``python benchmarks/server_load.py [--dams 100] [--seconds 60] [--rate 200]``; needs Debian's package ``wrk``.

The dams are copies of a simulated lake with a forecast each, in a temporary folder. The refresher of the server
refreshes them one after the other for the whole time. In the surge, 16 times as many requests come for 10 s. Recovery
is the time from its end to the first answer within `GOAL_MS` where each later one for 3 s is as fast.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import synthetic
from tests.synthetic import rain_gauge, small_dam

from forebay.archive.store import open_archive
from forebay.jobs.refresh import refresh
from forebay.settings import Settings

GOAL_MS, GOAL_RECOVERY_S = 250.0, 5.0
SURGE, SURGE_S = 16, 10
CALM_S = 3.0
DELAY_MS = 1000
"""Mean wait of a connection between two requests."""
DAYS = 420
LUA = Path(__file__).with_suffix(".lua")
PROGRAM = "from forebay.cli import main; main()"
OVERVIEW = "/api/v1/dams"


@dataclass(frozen=True)
class Load:
    """What wrk counted.

    seconds: duration. answered: status 200. refused: status 503 with Retry-After. wrong: any other answer. broken:
    connections without an answer, such as after 30 s. p50_ms, p99_ms, max_ms: time to the answer.
    """

    seconds: float
    answered: int
    refused: int
    wrong: int
    broken: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def make_place(folder: Path, dams: int) -> list[Path]:
    """Paths of the dam files of lakes with a forecast each, in an archive in `folder`."""
    lake = small_dam(rain_gauge(), full_supply=1.0, thresholds=[{"name": "Weir", "level": 0.5}])
    text = synthetic.write_dam(lake, synthetic.daily(lake, days=DAYS), folder).read_text("utf-8")
    paths = [folder / f"lake{number:03d}.toml" for number in range(dams)]
    for path in paths:
        path.write_text(re.sub(r"^id = .*$", f'id = "{path.stem}"', text, flags=re.MULTILINE), "utf-8")
    settings = Settings(cache=str(folder / "cache"))
    result = refresh(paths, archive=f"sqlite:///{folder}/a.db", settings=settings, output=folder / "runs")
    assert not result.failures, result.failures[:3]
    return paths


@contextmanager
def server(folder: Path, paths: list[Path], *options: str) -> Iterator[str]:
    """Address of a server of the dams, which ends with the context."""
    words = [sys.executable, "-c", PROGRAM, "serve", *map(str, paths), "--port", "0", "--archive",
             f"sqlite:///{folder}/a.db", "--results", str(folder / "runs"), *options]  # fmt: skip
    environment = os.environ | {"FOREBAY_CACHE": str(folder / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder)
    try:
        assert process.stdout is not None
        match = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert match, "the server did not start"
        yield match[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()


def get(url: str) -> Any:  # Any: a JSON value
    """The JSON of an answer."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def keep_refreshing(address: str, folder: Path, paths: list[Path]) -> None:
    """Ask for a refresh of every dam, and wait until the first one runs."""
    with open_archive(f"sqlite:///{folder}/a.db") as archive:
        token = archive.access.new_token(f"load {time.time_ns()}")
    for path in paths:
        request = urllib.request.Request(
            f"{address}{OVERVIEW}/{path.stem}/refresh", method="POST", headers={"Authorization": f"Bearer {token}"}
        )
        urllib.request.urlopen(request, timeout=60).close()
    while get(f"{address}/api/v1/health")["refresher"]["state"] != "refreshing":
        time.sleep(0.1)


def measure(address: str, *, rate: float, seconds: float) -> Load:
    """The overview at `rate` requests a second."""
    connections = max(2, round(1.04 * rate * DELAY_MS / 1000))  # the answer itself takes time, too
    command = ["wrk", "-t2", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(LUA),
               f"{address}{OVERVIEW}"]  # fmt: skip
    environment = os.environ | {"DELAY_MS": str(DELAY_MS)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    (line,) = re.findall(r"^RESULT (.*)$", result.stdout, re.MULTILINE)
    return Load(**json.loads(line))


def recovery_s(address: str) -> float:
    """Seconds until every answer of the next `CALM_S` seconds has the status 200 within `GOAL_MS`."""
    start = calm_since = time.monotonic()
    while time.monotonic() - calm_since < CALM_S:
        begin = time.monotonic()
        try:
            urllib.request.urlopen(f"{address}{OVERVIEW}", timeout=30).read()
            is_fast = time.monotonic() - begin <= GOAL_MS / 1000
        except urllib.error.URLError:
            is_fast = False
        if not is_fast:
            calm_since = time.monotonic()
        time.sleep(0.05)
    return calm_since - start


def main() -> None:
    """Print the figures and the load of the machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"dams": 100, "seconds": 60, "rate": 200}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = make_place(folder, options.dams)
        with server(folder, paths, "--refresh-at", "00:00", "--no-scenarios") as address:
            size = len(json.dumps(get(f"{address}{OVERVIEW}")))
            keep_refreshing(address, folder, paths)
            before = os.getloadavg()
            load = measure(address, rate=options.rate, seconds=options.seconds)
            state = get(f"{address}/api/v1/health")["refresher"]["state"]
            print_load(f"{options.rate} requests/s for {options.seconds} s", load)
            keep_refreshing(address, folder, paths)
            surge = measure(address, rate=SURGE * options.rate, seconds=SURGE_S)
            recovery = recovery_s(address)
            print_load(f"surge, {SURGE * options.rate} requests/s for {SURGE_S} s", surge)
        after = os.getloadavg()
    print(f"overview of {options.dams} dams: {size / 1e3:.0f} kB; refresher at the end of the first: {state}")
    print(f"recovery after the surge: {recovery:.1f} s (goal {GOAL_RECOVERY_S:g} s)")
    print(f"load of the machine before {before[0]:.1f}, after {after[0]:.1f}, on {os.cpu_count()} processors")


def print_load(title: str, load: Load) -> None:
    """Print a line of figures."""
    values: Mapping[str, object] = vars(load) | {"rate": round(load.answered / load.seconds, 1)}
    print(f"{title}: " + ", ".join(f"{name} {value}" for name, value in values.items()), flush=True)


if __name__ == "__main__":
    main()
