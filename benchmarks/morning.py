"""Cost of a new day: the first run of a dam, and the runs of the next mornings, by the clock and in CPU time.

Run: ``python benchmarks/morning.py [DAM FILE] [--last DAY]`` (default ``tests/dams/warragamba.toml``, 2021-12-16).
The dam's files must have times such as 20211215000000. Copies of them end two days before the last day, then one, then
on it. Each command is a process of its own, with an archive and a cache in a temporary folder. The first one also
compiles Python's source files, as after an installation, whatever ``PYTHONDONTWRITEBYTECODE`` is:

- first: ``forebay run`` with an empty archive and an empty cache;
- next day: ``forebay run`` after one more day;
- repeated: the same as the next day's, with the fits of the cache, but without the rows of the hindcast;
- forecast: ``forebay fetch`` after one more day (not measured), then ``forebay forecast``.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
COMMAND = "import sys; from forebay.cli import main; main()"
STAMP = re.compile(r"\b(\d{8})\d{6}\b")
GOALS_S = {"next day": 6.0, "forecast": 3.0}
"""Seconds by the clock on 2 idle processors, where no refit is due."""


@dataclass(frozen=True)
class Cost:
    """Seconds of one process by the clock, and its CPU time with that of its own processes."""

    wall: float
    cpu: float


def write_files(dam: Path, folder: Path, last: date) -> None:
    """Write the dam file and its files up to a day into `folder`."""
    text = dam.read_text("utf-8")
    for source in sorted(set(re.findall(r'path = "([^"]+)"', text))):
        path = dam.parent / source
        lines = path.read_text("utf-8").splitlines(keepends=True)
        if not any(STAMP.search(line) for line in lines):
            sys.exit(f"{path} has no times such as 20211215000000; give a dam file whose files have them")
        stamps = (STAMP.search(line) for line in lines)
        first = [line for line, stamp in zip(lines, stamps, strict=True) if not stamp or stamp[1] <= f"{last:%Y%m%d}"]
        (folder / path.name).write_text("".join(first), "utf-8")
        text = text.replace(source, path.name)
    (folder / "dam.toml").write_text(text, "utf-8")


def run(folder: Path, *words: str) -> Cost:
    """Cost of a command in `folder`; a failure ends the benchmark."""
    left_out = ("FOREBAY_", "PYTHONDONTWRITEBYTECODE")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    environ |= {"FOREBAY_CACHE": str(folder / "cache"), "FOREBAY_ARCHIVE": f"sqlite:///{folder / 'a.db'}"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.run([sys.executable, "-c", COMMAND, *words], cwd=folder, env=environ, capture_output=True,
                             text=True, check=False)  # fmt: skip
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode != 0:
        sys.exit(f"forebay {' '.join(words)} failed: {process.stderr.strip()}")
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def measure(dam: Path, last: date) -> dict[str, Cost]:
    """Name of a step → its cost."""
    costs = {}
    with tempfile.TemporaryDirectory(prefix="forebay-morning-") as name:
        folder = Path(name)
        write_files(dam, folder, last - timedelta(days=2))
        costs["first"] = run(folder, "run", "dam.toml")
        write_files(dam, folder, last - timedelta(days=1))
        costs["next day"] = run(folder, "run", "dam.toml")
        shutil.rmtree(folder / "cache" / "hindcasts")
        costs["repeated"] = run(folder, "run", "dam.toml")
        write_files(dam, folder, last)
        run(folder, "fetch", "dam.toml")
        costs["forecast"] = run(folder, "forecast", "dam.toml", "--json")
    return costs


def main() -> None:
    """Print the costs and their ratios to the first run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dam", nargs="?", type=Path, default=PROJECT / "tests" / "dams" / "warragamba.toml")
    parser.add_argument("--last", type=date.fromisoformat, default=date(2021, 12, 16), help="the last day")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    costs = measure(arguments.dam, arguments.last)
    for name, cost in costs.items():
        goal = f", goal {GOALS_S[name]:g} s" if name in GOALS_S else ""
        ratio = costs["first"].cpu / cost.cpu
        print(f"{name}: {cost.wall:.1f} s by the clock{goal}, {cost.cpu:.1f} s CPU; first / {name} = {ratio:.1f}")
    print(f"load of the machine before: {load:.1f}")


if __name__ == "__main__":
    main()
