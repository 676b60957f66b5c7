"""Memory that a fetch of a large CSV file takes, for the first time and again.

Run: ``python benchmarks/csv_memory.py [LINES]``; 4,600,000 lines by default, a file near the limit of 128 MiB with a
level and a rain gauge. The peak is that of a process which only fetches, without what the program takes by itself.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

DAM = """\
id = "large"
name = "Large file (simulated)"
country = "Nowhere"
latitude = 0.0
longitude = 0.0
time_zone = "+00:00"
simulated = true
[target]
variable = "reservoir_level"
unit = "m"
datum = "none"
[[gauges]]
role = "target"
source = "csv"
station = "lake"
variable = "reservoir_level"
unit = "m"
interval = "3min"
file = { path = "large.csv", date = "time", value = "level", date_format = "%Y-%m-%d %H:%M" }
[[gauges]]
role = "rainfall"
source = "csv"
station = "rain"
variable = "rainfall"
unit = "mm"
interval = "3min"
file = { path = "large.csv", date = "time", value = "rain", date_format = "%Y-%m-%d %H:%M" }
"""
FETCH = """
import re, sys
from pathlib import Path
from forebay.cli import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""
"""A command of forebay, then its largest memory in KiB (`ru_maxrss` is that of the parent where that is larger)."""


def write_file(lines: int, path: Path) -> None:
    """Write a level and the rain of every third minute (simulated)."""
    rng = np.random.default_rng(1)
    start = datetime(2000, 1, 1)
    times = pl.datetime_range(start, start + timedelta(minutes=3 * (lines - 1)), "3m", eager=True)
    table = {
        "time": times.dt.strftime("%Y-%m-%d %H:%M"),
        "level": np.round(95 + np.cumsum(rng.normal(0, 0.001, lines)), 3),
        "rain": np.round(rng.gamma(0.1, 2, lines), 1),
    }
    pl.DataFrame(table).write_csv(path)


def peaks(lines: int, folder: Path) -> tuple[int, list[int]]:
    """Size of the file, and memory above that of an idle program for a first and a second fetch, in bytes."""
    write_file(lines, folder / "large.csv")
    (folder / "large.toml").write_text(DAM)
    idle = _peak("dams", folder=folder)
    fetch = ("fetch", "large.toml", "--archive", "sqlite:///large.db")
    return (folder / "large.csv").stat().st_size, [_peak(*fetch, folder=folder) - idle for _ in range(2)]


def _peak(*arguments: str, folder: Path) -> int:
    """Largest memory (bytes) of a command of forebay."""
    command = [sys.executable, "-P", "-c", FETCH, *arguments]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return int(process.stderr.split()[-1]) * 1024


def main() -> None:
    """Print the size of the file and the memory of both fetches."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 4_600_000
    with tempfile.TemporaryDirectory() as folder:
        size, memory = peaks(lines, Path(folder))
    print(f"{lines:,} lines, {size / 2**20:.0f} MiB")
    for name, peak in zip(("first fetch", "second fetch"), memory, strict=True):
        print(f"{name}: {peak / 2**20:,.0f} MiB, {peak / size:.1f} times the file")


if __name__ == "__main__":
    main()
