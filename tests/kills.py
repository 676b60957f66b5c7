"""Kills of `forebay run`, `fetch` and `refresh` at random moments, and what is left after the next run.

Run: ``python -m tests.kills [KILLS]`` or ``python -m tests.kills refresh [KILLS]``; 50 by default. The second checks
after each kill that the archive and the chain of records are whole, and that a server still has a forecast to show.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from forebay.archive import upkeep
from forebay.archive.store import open_archive
from forebay.dams.dam_file import load_dam
from forebay.jobs.record import verify_chain
from forebay.jobs.scenario_files import read_scenario_model
from forebay.web.site import Site
from tests import synthetic
from tests.synthetic import rain_gauge, small_dam

LAKE = small_dam(rain_gauge(), hindcast={"leads": (1, 3)})
PROGRAM = "from forebay.cli import main; main()"
CHANGES_WITH_EACH_RUN = {"report.html", "forecast.csv"}
"""Files that contain the time of the run."""


@dataclass(frozen=True)
class Place:
    """Folder with a dam file, an archive, a cache and a folder of results."""

    folder: Path

    @property
    def url(self) -> str:
        """URL of the archive."""
        return f"sqlite:///{self.folder / 'a.db'}"

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start `forebay run`, `forebay fetch` or `forebay refresh`."""
        output = {"run": ["-o", "out"], "refresh": ["-o", "out", "--scenarios"]}.get(command, [])
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "FOREBAY_CACHE": str(self.folder / "cache")}
        return subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, command, "small.toml", "--archive", self.url, *output],
            cwd=self.folder, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def files(self) -> Iterator[Path]:
        """Every file and folder of results and cache, relative to the place."""
        for path in sorted([*(self.folder / "out").rglob("*"), *(self.folder / "cache").rglob("*")]):
            yield path.relative_to(self.folder)

    def contents(self) -> dict[str, bytes]:
        """Name → content of each file of results that does not contain the time of the run."""
        files = (path for path in (self.folder / "out").iterdir() if path.name not in CHANGES_WITH_EACH_RUN)
        return {path.name: path.read_bytes() for path in files if path.suffix == ".csv"}

    def readings(self) -> pl.DataFrame:
        """Every reading in the archive without the time of its fetch and the digest, which contains the path."""
        with open_archive(self.url) as archive:
            readings = archive.as_of(load_dam(str(self.folder / "small.toml")).gauges).drop("fetched_at", "rules")
        assert readings.height, "the archive is empty"
        return readings


def new_place(folder: Path) -> Place:
    """A place with a dam and nothing else."""
    folder.mkdir()
    path = synthetic.write_dam(LAKE, synthetic.daily(LAKE, days=500), folder)
    assert path.name == "small.toml"
    return Place(folder)


def run_to_the_end(place: Place, command: str = "run") -> float:
    """Duration of an undisturbed run, in seconds."""
    start = time.monotonic()
    process = place.start(command)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return time.monotonic() - start


def kill_at_random(place: Place, kills: int, longest: float, seed: int) -> int:
    """Start commands and kill each at a random moment; the number of those that had not ended before."""
    rng, hits = random.Random(seed), 0
    for count in range(kills):
        process = place.start("fetch" if count % 4 == 0 else "run")
        time.sleep(rng.uniform(0, longest if count % 4 else longest / 4))
        hits += process.poll() is None
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors, errors
    return hits


def check_recovery(kills: int, folder: Path, seed: int = 1) -> int:
    """Number of processes killed before their end; raises `AssertionError` if the next run leaves anything of them."""
    undisturbed, disturbed = new_place(folder / "undisturbed"), new_place(folder / "disturbed")
    longest = run_to_the_end(undisturbed)
    hits = kill_at_random(disturbed, kills, longest, seed)
    run_to_the_end(disturbed)
    assert list(disturbed.files()) == list(undisturbed.files())
    assert disturbed.contents() == undisturbed.contents()
    assert disturbed.readings().equals(undisturbed.readings())
    assert not upkeep.check(disturbed.url, datetime.now(UTC)).fault_summary
    return hits


def check_refresh_recovery(kills: int, folder: Path, seed: int = 2) -> int:
    """Number of refreshes killed before their end; raises `AssertionError` if one harms archive, records or answers."""
    place, rng, hits = new_place(folder / "refreshed"), random.Random(seed), 0
    run_to_the_end(place, "refresh")
    longest = run_to_the_end(place, "refresh")  # with the fits of the first: the usual morning
    dam = load_dam(str(place.folder / "small.toml"))
    with open_archive(place.url, create=False) as archive:
        site = Site({"small": dam}, archive, place.folder / "out")
        readings = place.readings()
        for _ in range(kills):
            process = place.start("refresh")
            time.sleep(rng.uniform(0, longest))
            hits += process.poll() is None
            process.send_signal(signal.SIGKILL)
            _, errors = process.communicate(timeout=60)
            assert "Traceback" not in errors, errors
            site.update()
            assert not site.snapshot.failure, site.snapshot.failure
            state = site.snapshot.dams["small"]
            assert state.record is not None and not state.forecast.is_empty(), state.notes
            check = verify_chain(archive, "small")
            assert not check.faults and check.head == state.record_hash, check.faults
            assert not upkeep.check(place.url, datetime.now(UTC)).fault_summary
            scenarios = read_scenario_model(place.folder / "out" / "small", planned_release=False)
            assert scenarios.day.init_date == state.init_date
        run_to_the_end(place, "refresh")
        site.update()
        state = site.snapshot.dams["small"]
        assert state.notes == () and state.result, "the files are those of the newest record"
        site.close()
    assert place.readings().equals(readings)
    assert not [path for path in place.files() if path.name.startswith(".unfinished-")]
    return hits


def main() -> None:
    """Print how many processes were killed; an assertion fails if anything is left."""
    words = sys.argv[1:]
    check = check_refresh_recovery if words[:1] == ["refresh"] else check_recovery
    numbers = [int(word) for word in words if word.isdigit()]
    kills = numbers[0] if numbers else 50
    with tempfile.TemporaryDirectory() as folder:
        hits = check(kills, Path(folder))
    print(f"{hits} of {kills} processes were killed before their end; after the next run nothing of them was left")


if __name__ == "__main__":
    main()
