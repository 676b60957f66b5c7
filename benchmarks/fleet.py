"""Speed and memory of fleets of simulated dams: hindcasts of several sizes, and a refresh with kept rows.

Run: ``python benchmarks/fleet.py [--dams 10,30,100] [--years 12] [--workers 1,2] [--refresh 1000] [--refresh-years 2]``

Each run is a process of ``forebay fleet`` with an empty archive and an empty cache, in a temporary folder:

- serial: the same tasks one after the other in one process without Dask, for the smallest number of dams;
- hindcast: each number of dams with each number of workers, after a fetch in the same task;
- refresh: a refresh that fills the cache (not measured), then a new day in the files of every dam and its refresh.

The exponent is that of time over dams between the smallest and the largest number of dams. The overhead of the
scheduler is the time of the fleet with one worker, less the time in its tasks, over that time. It includes the start of
the worker.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from forebay.jobs.simulate import Fleet, write_fleet

PROJECT = Path(__file__).resolve().parents[1]
COMMAND = "from forebay.cli import main; main()"
SERIAL = """
import sys
from pathlib import Path
from forebay.fleet.place import Place
from forebay.fleet.members import fleet_members
from forebay.fleet.run import FleetJob, task_of, worker_settings
from forebay.fleet.worker import run_task
from forebay.jobs.arguments import current_settings
settings = worker_settings(current_settings(), Place())
for member in fleet_members([sys.argv[1]], settings):
    result = run_task(task_of(member, FleetJob("hindcast", fetch=True), settings, Path("serial")))
    assert result.failure is None, result.failure
"""
LAST_DAYS = (date(2021, 12, 30), date(2021, 12, 31))
"""Last days of the records before and after the new day of a refresh."""


@dataclass(frozen=True)
class Cost:
    """Cost of one fleet.

    wall, cpu: seconds of the process and of all of its workers. in_tasks: seconds in the tasks, summed over workers.
    task_cpu: mean CPU seconds of a task. peak_mb: most memory of a worker. dams: those that did not fail.
    """

    wall: float
    cpu: float
    in_tasks: float = 0.0
    task_cpu: float = 0.0
    peak_mb: float = 0.0
    dams: int = 0


def run(folder: Path, *words: str) -> tuple[Cost, str]:
    """Cost and standard output of a Python process in `folder`; an error ends the benchmark, a failed dam does not."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")}
    environ |= {"FOREBAY_CACHE": str(folder / "cache"), "FOREBAY_ARCHIVE": f"sqlite:///{folder / 'a.db'}"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.run([sys.executable, "-c", *words], cwd=folder, env=environ, capture_output=True, text=True,
                             check=False)  # fmt: skip
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode not in (0, 1) or not process.stdout and process.returncode:
        sys.exit(f"{' '.join(words[1:])} failed: {process.stderr.strip()}")
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), process.stdout


def run_fleet(folder: Path, job: str, dams: Path, workers: int, *options: str) -> Cost:
    """Cost of `forebay fleet`."""
    words = ("fleet", job, str(dams), "--workers", str(workers), "-o", "out", "--json", *options)
    cost, out = run(folder, COMMAND, *words)
    content = json.loads(out)
    rows = [row for row in content["dams"] if row["state"] != "failed"]  # such as those of a gauge that has ended
    in_tasks, cpu = (sum(row[name] for row in rows) for name in ("seconds", "cpu_s"))
    return Cost(cost.wall, cost.cpu, in_tasks, cpu / len(rows), content["peak_mb"], len(rows))


def describe(title: str, dams: int, workers: int, cost: Cost) -> str:
    """One line of the output."""
    idle = 1 - cost.in_tasks / workers / cost.wall
    return (
        f"{title}: {dams} dams ({dams - cost.dams} failed), {workers} workers: {cost.wall:.1f} s, "
        f"{60 * cost.dams / cost.wall:.2f} dams a minute, "
        f"{cost.task_cpu:.2f} s CPU per task, {100 * idle:.1f}% outside of tasks, peak {cost.peak_mb:.0f} MB a worker"
    )


def hindcasts(folder: Path, dams: list[int], years: int, workers: list[int]) -> None:
    """Print the cost of each number of dams with each number of workers, and the exponent of time."""
    costs: dict[tuple[int, int], Cost] = {}
    write_fleet(Fleet(max(dams), years=years), folder / "all")
    for count in dams:
        listed = folder / f"fleet-{count}.toml"
        names = ", ".join(f'"all/sim-{number:05d}.toml"' for number in range(1, count + 1))
        listed.write_text(f"dams = [{names}]\n")
    serial = folder / "serial"
    serial.mkdir()
    cost, _ = run(serial, SERIAL, str(folder / f"fleet-{min(dams)}.toml"))
    per_dam = cost.cpu / min(dams)
    print(f"serial: {min(dams)} dams x {years} years: {cost.wall:.1f} s, {per_dam:.2f} s CPU a dam", flush=True)
    for number in workers:
        for count in dams:
            place = folder / f"h{count}-{number}"
            place.mkdir()
            costs[count, number] = run_fleet(place, "hindcast", folder / f"fleet-{count}.toml", number, "--fetch")
            print(describe(f"hindcast, {years} years", count, number, costs[count, number]), flush=True)
        if len(dams) > 1:
            power = exponent(costs, min(dams), max(dams), number)
            print(f"exponent of time, {number} workers: {power:.3f} (goal 1.05)", flush=True)


def exponent(costs: dict[tuple[int, int], Cost], few: int, many: int, workers: int) -> float:
    """Exponent of time over the number of dams that did not fail."""
    most, least = costs[many, workers], costs[few, workers]
    return math.log(most.wall / least.wall) / math.log(most.dams / least.dams)


def refreshes(folder: Path, dams: int, years: int, workers: list[int]) -> None:
    """Print the cost of a new day of many dams."""
    before, after = LAST_DAYS
    for number in workers:
        place = folder / f"r{dams}-{number}"
        write_fleet(Fleet(dams, years=years, last_day=before), place / "fleet")
        run_fleet(place, "refresh", place / "fleet", number)
        write_fleet(Fleet(dams, years=years, last_day=after), place / "fleet")
        print(describe(f"refresh, {years} years", dams, number, run_fleet(place, "refresh", place / "fleet", number)))


def numbers(text: str) -> list[int]:
    """Numbers of an option."""
    return [int(part) for part in text.split(",")]


def main() -> None:
    """Print the costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dams", type=numbers, default=[10, 30, 100], help="numbers of dams of the hindcasts")
    parser.add_argument("--years", type=int, default=12)
    parser.add_argument("--workers", type=numbers, default=[1, 2])
    parser.add_argument("--refresh", type=int, default=1000, help="dams of the refresh; 0: none")
    parser.add_argument("--refresh-years", type=int, default=2)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="forebay-fleet-") as name:
        hindcasts(Path(name), arguments.dams, arguments.years, arguments.workers)
        if arguments.refresh:
            refreshes(Path(name), arguments.refresh, arguments.refresh_years, arguments.workers)
    print(f"load of the machine before: {load:.1f}")


if __name__ == "__main__":
    main()
