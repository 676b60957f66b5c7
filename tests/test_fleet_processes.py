"""Fleets on real worker processes on loopback: kills, too little memory, broken data, lost schedulers.

Each test checks that every other dam is complete, that a failed one is named with its cause, and that a second call
computes only what is missing.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import psutil  # type: ignore[import-untyped]  # no types published
import pytest

import forebay
from forebay.archive.store import open_archive
from forebay.errors import SourceError
from forebay.fleet import cluster
from forebay.fleet.cluster import run_tasks
from forebay.fleet.task import Task
from forebay.jobs.record import verify_chain
from forebay.jobs.simulate import Fleet, write_fleet
from forebay.settings import Settings
from tests.command_line import forebay as command
from tests.disks import mount, small_disk
from tests.postgres import Cluster
from tests.test_fleet import task_for
from tests.test_jobs_refresh import write_lake

PROGRAM = "from forebay.cli import main; main()"
DASK = "import sys; from distributed.cli.dask_{name} import main; main()"
PATIENCE_S = 240
FILES = ("hindcast.parquet", "scores.parquet", "hindcast.json")
"""Files of a dam's hindcast."""


@dataclass(frozen=True)
class Place:
    """Folder of a cache and the results of a fleet, and of its archive if that is not on a server."""

    folder: Path
    server: str = ""

    @property
    def url(self) -> str:
        """URL of the archive."""
        return self.server or f"sqlite:///{self.folder / 'archive.db'}"

    @property
    def environ(self) -> dict[str, str]:
        """Environment of the processes."""
        path = os.pathsep.join(sys.path)
        return {**os.environ, "PYTHONPATH": path, "FOREBAY_CACHE": str(self.folder / "cache")}

    @property
    def output(self) -> Path:
        """Folder of the results."""
        return self.folder / "out"

    def start(self, *words: object) -> subprocess.Popen[str]:
        """A process of `forebay fleet`."""
        options = ["-o", str(self.output), "--archive", self.url, "--json"]
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "fleet", *map(str, words), *options],
            cwd=self.folder, env=self.environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def complete(self, job: str) -> int:
        """Number of complete dams."""
        return len(self.dams(job))

    def dams(self, job: str) -> set[str]:
        """Ids of the complete dams."""
        return {path.parent.name.removeprefix("dam=") for path in self.output.glob(f"dam=*/{job}.json")}


def end(process: subprocess.Popen[str]) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Exit code, rows by dam, and the error stream of a fleet."""
    out, errors = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in errors, errors
    return process.returncode, {row["dam"]: row for row in json.loads(out)["dams"]}, errors


def wait_until(condition: Any, process: subprocess.Popen[str]) -> None:  # Any: a function without arguments
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.05)


def busy_workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Worker processes of a fleet."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def states(rows: dict[str, dict[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows.values():
        counts[row["state"]] = counts.get(row["state"], 0) + 1
    return counts


def check_serial(place: Place, dam: Path) -> None:
    """Compare the results of a dam with those of its hindcast alone, without a cache."""
    settings = Settings(archive=place.url, cache_mb=0, workers=1)
    alone = forebay.hindcast(dam, archive=place.url, settings=settings)
    folder = place.output / f"dam={dam.stem}"
    for name, expected in (("hindcast", alone.to_frame()), ("scores", alone.scores)):
        table = pl.read_parquet(folder / f"{name}.parquet", hive_partitioning=False)
        assert table.equals(expected), (dam.stem, name)


@pytest.mark.slow
def test_eight_dams_on_two_workers_of_which_one_is_killed_equal_a_serial_run(tmp_path: Path) -> None:
    place = Place(tmp_path)
    write_fleet(Fleet(8, seed=3, years=1, last_day=date(2021, 8, 31)), tmp_path / "fleet")
    process = place.start("hindcast", "fleet", "--fetch", "--workers", 2)
    wait_until(lambda: place.complete("hindcast") >= 2, process)
    victim = busy_workers(process)[0]
    victim.send_signal(signal.SIGKILL)
    # Tasks start in the order of the dams, and two run: the dam of the killed worker is one of these.
    interrupted = set(sorted(f"sim-{n:05d}" for n in range(1, 9) if f"sim-{n:05d}" not in place.dams("hindcast"))[:2])
    code, rows, errors = end(process)
    assert (code, errors, states(rows)) == (0, "", {"computed": 8})
    assert not psutil.pid_exists(victim.pid)
    for name in sorted({"sim-00001", "sim-00008"} | interrupted):
        check_serial(place, tmp_path / "fleet" / f"{name}.toml")
    scores = pl.scan_parquet(place.output / "dam=*" / "scores.parquet", hive_partitioning=True)
    assert scores.select(pl.col("dam").n_unique()).collect().item() == 8
    assert "SIMULATED" in (place.output / "fleet.html").read_text()
    # Only what is missing: one dam is damaged, one is removed.
    (place.output / "dam=sim-00002" / "scores.parquet").write_bytes(b"damaged")
    shutil.rmtree(place.output / "dam=sim-00007")
    code, rows, _ = end(place.start("hindcast", "fleet", "--workers", 1))
    assert code == 0
    assert {name for name, row in rows.items() if row["state"] == "computed"} == {"sim-00002", "sim-00007"}
    assert rows["sim-00003"]["skill"] is not None, "the row of a complete dam comes from its entry"


@pytest.mark.slow
def test_too_little_memory_and_broken_data_stop_no_other_dam(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for name in ("first", "large", "broken", "last"):
        write_lake(tmp_path, name)
    (tmp_path / "broken" / "small.csv").write_text("date,reservoir_level,rainfall\n2020-01-01,abc,1\n")
    make_large(tmp_path / "large")
    names = [f"{name}/{name}.toml" for name in ("first", "large", "broken", "last")]
    process = place.start("refresh", *names, "--workers", 1, "--memory", "420MiB")
    code, rows, errors = end(process)
    assert code == 1 and errors == "forebay: 2 of 4 dams failed: large, broken\n"
    assert {name: row["state"] for name, row in rows.items()} == {
        "first": "computed", "large": "failed", "broken": "failed", "last": "computed"
    }  # fmt: skip
    assert rows["large"]["failure"].startswith("the worker had too little memory, 3 times (limit of each worker: 420")
    assert "small.csv" in rows["broken"]["failure"]
    for name in ("first", "last"):
        assert (place.output / name / "forecast.json").exists()


def make_large(folder: Path) -> None:
    """Give a dam two million readings, which need more memory than the small limit of the test."""
    start = pl.datetime(1960, 1, 1)
    rows = pl.select(pl.int_range(2_000_000).alias("n")).select(
        (start + pl.duration(minutes=15 * pl.col("n"))).dt.strftime("%Y-%m-%d %H:%M").alias("date"),
        (95 + (pl.col("n") % 977) / 1000).alias("reservoir_level"),
        pl.lit(0.0).alias("rainfall_r1"),
    )
    text = (folder / "large.toml").read_text().replace('unit = "m"\nlatency', 'unit = "m"\ninterval = "15min"\nlatency')
    (folder / "large.toml").write_text(text.replace('date = "date"', 'date = "date"\ndate_format = "%Y-%m-%d %H:%M"'))
    rows.write_csv(folder / "small.csv")


@pytest.mark.slow
def test_a_full_disk_stops_no_other_dam_and_the_next_call_computes_what_is_missing(tmp_path: Path) -> None:
    """Neither the results of one dam nor the report of the fleet find space; then the disk is larger."""
    place = Place(tmp_path)
    for name, days in {"first": 260, "large": 520, "last": 260}.items():
        write_lake(tmp_path, name, days=days)
    names = ("first", "large", "last")
    with small_disk(place.output, "192k"):
        code, rows, errors = end(place.start("hindcast", *names, "--fetch", "--workers", 1))
        assert code == 1 and len(errors.splitlines()) == 1
        assert errors.startswith("forebay: 1 of 3 dams failed: large; ")
        assert "fleet.html cannot be written (No space left on device)" in errors
        assert {name: row["state"] for name, row in rows.items()} == {
            "first": "computed", "large": "failed", "last": "computed"
        }  # fmt: skip
        assert rows["large"]["failure"].startswith("computed, but not written: ")
        assert "No space left" in rows["large"]["failure"]
        written = {str(path.relative_to(place.output)) for path in place.output.rglob("*") if path.is_file()}
        complete = {f"dam={name}/{file}" for name in ("first", "last") for file in FILES}
        assert written == {".fleet-lock", "fleet.csv", "fleet.json", *complete}, "no half of a file"
        mount("-o", "remount,size=8m", str(place.output))
        code, rows, errors = end(place.start("hindcast", *names, "--workers", 1))
        assert (code, errors) == (0, "")
        assert {name: row["state"] for name, row in rows.items()} == {
            "first": "unchanged", "large": "computed", "last": "unchanged"
        }  # fmt: skip
        check_serial(place, tmp_path / "large" / "large.toml")
        assert (place.output / "fleet.html").exists()


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        number: int = place.getsockname()[1]
        return number


@contextmanager
def dask_process(name: str, environ: dict[str, str], *words: object) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler or a worker of Dask, as a user starts it."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-c", DASK.format(name=name), *map(str, words)], env=environ, **quiet)
    try:
        yield process
    finally:
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            child.kill()
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("archive", ["sqlite", "postgresql"])
def test_a_fleet_goes_on_after_a_restart_of_its_scheduler(archive: str, tmp_path: Path, postgres: Cluster) -> None:
    place = Place(tmp_path, postgres.new() if archive == "postgresql" else "")
    names = [f"d{number}" for number in range(4)]
    paths = [write_lake(tmp_path, name, seed=number) for number, name in enumerate(names)]
    port = free_port()
    scheduler = ("--host", "127.0.0.1", "--port", port, "--no-dashboard")
    address = f"tcp://127.0.0.1:{port}"
    worker = (address, "--nthreads", 1, "--host", "127.0.0.1", "--no-dashboard", "--local-directory", tmp_path / "dask")
    relative = [path.relative_to(tmp_path) for path in paths]  # the workers have another working folder
    process = place.start("refresh", *relative, "--scheduler", address)
    try:
        two = dask_process("worker", place.environ, *worker, "--nworkers", 2)
        with dask_process("scheduler", place.environ, *scheduler), two:
            wait_until(lambda: place.complete("refresh") >= 1, process)
        before = place.dams("refresh")
        assert len(before) < 4, "the scheduler was gone before the end"
        with dask_process("scheduler", place.environ, *scheduler), dask_process("worker", place.environ, *worker):
            code, rows, errors = end(process)
    finally:
        process.kill()
    assert (code, states(rows)) == (0, {"computed": 4})
    (warning,) = errors.splitlines()
    assert f"scheduler {address} was lost" in warning and postgres.password not in errors
    with open_archive(place.url, create=False) as store:
        for name in names:
            check = verify_chain(store, name)
            content = json.loads((place.output / name / "forecast.json").read_text())
            assert not check.faults and check.head == content["record"]["hash"], "files of the last record"
    settings = Settings(archive=place.url, cache_mb=0, workers=1)
    after = next(path for path in paths if path.stem not in before)  # its worker was killed, or its result was lost
    for path in (next(path for path in paths if path.stem in before), after):
        alone = forebay.forecast(path, archive=place.url, settings=settings, update=False)
        table = pl.read_parquet(place.output / f"dam={path.stem}" / "forecast.parquet", hive_partitioning=False)
        assert table.equals(alone.to_frame()), path.stem


def test_a_scheduler_that_does_not_answer_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster.Place, "start_s", 0.5)
    lake = write_lake(tmp_path, "lake")
    done = command("fleet", "refresh", lake, "--scheduler", f"tcp://127.0.0.1:{free_port()}")
    assert done.code == 1 and done.out == ""
    assert "does not answer (" in done.err and "start it with `dask scheduler`" in done.err
    wrong = command("fleet", "refresh", lake, "--scheduler", "nowhere://127.0.0.1:1")
    assert wrong.code == 2 and "is not an address" in wrong.err


def three_tasks(folder: Path) -> list[Task]:
    settings = Settings(archive=Place(folder).url, cache_mb=0, workers=1)
    return [task_for(write_lake(folder, f"d{number}"), settings) for number in range(3)]


def remote(folder: Path) -> tuple[str, tuple[object, ...], tuple[object, ...]]:
    """Address of a scheduler on a free port, and the words that start it and a worker."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    here = ("--host", "127.0.0.1", "--no-dashboard")
    worker = (address, "--nthreads", 1, *here, "--local-directory", folder / "dask")
    return address, ("--port", port, *here), worker


@pytest.mark.slow
def test_dams_of_a_scheduler_that_stays_away_are_named_with_the_cause(tmp_path: Path) -> None:
    place, tasks = Place(tmp_path), three_tasks(tmp_path)
    address, scheduler, worker = remote(tmp_path)
    results = run_tasks(tasks, cluster.Place(address, start_s=60, patience_s=5))
    with dask_process("scheduler", place.environ, *scheduler), dask_process("worker", place.environ, *worker):
        first = next(results)
    assert first.failure is None and first.dam == "d0"
    rest = list(results)
    assert [result.dam for result in rest] == ["d1", "d2"]
    for result in rest:
        assert result.failure is not None and result.failure.startswith(f"not computed: scheduler {address} does not")


@pytest.mark.slow
def test_a_scheduler_without_workers_is_named_at_the_start_and_later(tmp_path: Path) -> None:
    from distributed import Client

    place, tasks = Place(tmp_path), three_tasks(tmp_path)
    address, scheduler, worker = remote(tmp_path)
    with dask_process("scheduler", place.environ, *scheduler):
        with pytest.raises(SourceError, match=f"scheduler {address} has no worker after 1 s; start one with: dask "):
            list(run_tasks(tasks, cluster.Place(address, start_s=60, patience_s=1)))
        with dask_process("worker", place.environ, *worker):
            with Client(address, set_as_default=False) as client:
                client.wait_for_workers(1, timeout=60)
            results = run_tasks(tasks, cluster.Place(address, start_s=60, patience_s=4))
            assert next(results).failure is None
        rest = list(results)
    assert [result.dam for result in rest] == ["d1", "d2"]
    for result in rest:
        assert result.failure == f"not computed: scheduler {address} has no worker since 4 s; start workers"
