"""Speed of the archive: appending and reading, on SQLite and PostgreSQL, for several sizes.

    python benchmarks/archive.py [--sizes 0.041,1,10] [--upkeep] [--folder DIR]

Each size (in millions of rows) is a separate archive of dams with eight daily gauges over 14 years. The program reads
one dam as a forecast and a hindcast do. PostgreSQL runs with its defaults in a temporary folder
(see `tests/postgres.py`); the SQLite files are in a temporary folder under DIR.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.postgres import Cluster, cluster

from forebay.archive import upkeep
from forebay.archive.store import Archive, open_archive
from forebay.dams.gauge import Gauge
from forebay.tables import READINGS

START = datetime(2007, 12, 31, 14, tzinfo=UTC)  # 1 January 2008 at +10:00
DAYS, GAUGES = 5113, 8  # 14 years
FETCHED = datetime(2022, 1, 10, tzinfo=UTC)
ZONE = "Australia/Sydney"
ROUNDS = 7
DAILY = 30


def gauges_of(dam: int) -> list[Gauge]:
    """The eight gauges of a dam: a level, five rain gauges, two rivers."""
    roles = [("target", "reservoir_level", "m")] + [("rainfall", "rainfall", "mm")] * 5
    roles += [("stream", "stream_level", "m")] * 2
    return [
        Gauge.model_validate({"role": role, "source": "waternsw", "station": f"{dam:05}{k}", "variable": variable,
                              "unit": unit})
        for k, (role, variable, unit) in enumerate(roles)
    ]  # fmt: skip


def readings_of(dam: int) -> pl.DataFrame:
    """Readings of a dam's gauges, numbers of three decimals and their texts, one day in ten marked as missing."""
    days = pl.datetime_range(START, START + timedelta(days=DAYS - 1), interval="1d", time_unit="us", eager=True)
    number = pl.Series(range(DAYS))
    parts = []
    for k, gauge in enumerate(gauges_of(dam)):
        value = ((number * (37 + k) + dam * 11) % 90_000 / 1000).round(3)
        missing = (number + k) % 10 == 0
        parts.append(
            pl.DataFrame({"time": days, "value": value, "missing": missing}).select(
                *(pl.lit(text, READINGS.columns[name]).alias(name) for name, text in gauge.series.items()),
                "time",
                pl.when(~pl.col("missing")).then("value").alias("value"),
                pl.col("value").cast(pl.String).alias("raw_value"),
                pl.when("missing").then(pl.lit("missing")).otherwise(pl.lit("good")).alias("quality"),
                pl.when("missing").then(pl.lit("255")).otherwise(pl.lit("1")).alias("quality_code"),
            )
        )
    return READINGS.check(pl.concat(parts).select(list(READINGS.columns)))


class Clock:
    """Time by the clock and CPU time; CPU time includes the server's processes on the machine."""

    def __init__(self, server: Cluster | None) -> None:
        self.server = server

    def cpu(self) -> float:
        spent = time.process_time()
        if self.server is None:
            return spent
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and "postgres" in (folder / "comm").read_text():
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                    spent += sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
            except OSError:
                continue  # the process has ended
        return spent

    def measure(self, call: Callable[[], object]) -> tuple[float, float]:
        """Time of a call by the clock, and its CPU time, in seconds."""
        cpu, clock = self.cpu(), time.perf_counter()
        call()
        return time.perf_counter() - clock, self.cpu() - cpu


def fill_archive(archive: Archive, rows: int, clock: Clock) -> tuple[float, float]:
    """Rows per second by the clock and of CPU time, while dams are appended until the archive has `rows` rows.

    The newest `DAILY` days are appended day by day for all dams, so that they are spread over the tables as in an
    archive in use. They do not count in the rate.
    """
    dams = max(1, round(rows / (GAUGES * DAYS)))
    newest = pl.col("time") >= START + timedelta(days=DAYS - DAILY)
    spent, count, late = [0.0, 0.0], 0, []
    for dam in range(dams):
        readings = readings_of(dam)  # not timed
        late.append(readings.filter(newest))
        bulk = readings.filter(~newest)
        count += bulk.height
        for part, seconds in enumerate(clock.measure(lambda rows=bulk: archive.append(rows, FETCHED))):
            spent[part] += seconds
    for number, (_, day) in enumerate(sorted(pl.concat(late).partition_by("time", as_dict=True).items())):
        archive.append(day, FETCHED + timedelta(days=number))
    return count / spent[0], count / spent[1]


def read_times(archive: Archive, clock: Clock, dam: int) -> dict[str, tuple[float, float]]:
    """View → median time of reading one dam, by the clock and of the CPU, in seconds."""
    gauges = gauges_of(dam)
    views: dict[str, Callable[[], pl.DataFrame]] = {
        "as_of": lambda: archive.as_of(gauges, FETCHED + timedelta(days=DAILY)),
        "known_at": lambda: archive.known_at(gauges, FETCHED + timedelta(days=DAILY), ZONE),
        "first_known": lambda: archive.first_known(gauges),
        "revisions": lambda: archive.revisions(gauges),
    }
    medians = {}
    for name, view in views.items():
        timings = [clock.measure(view) for _ in range(ROUNDS)]
        medians[name] = (statistics.median(t[0] for t in timings), statistics.median(t[1] for t in timings))
    return medians


@contextmanager
def places(kind: str, folder: Path) -> Iterator[tuple[Callable[[str], str], Cluster | None]]:
    """A function from a name to the URL of a new archive, and the server if there is one."""
    with cluster(("max_wal_size=4GB",)) if kind == "PostgreSQL" else nullcontext() as server:
        if server is not None:
            yield lambda _: server.new(), server
        else:
            yield lambda name: f"sqlite:///{folder}/{name}.db", None


def measure(place: Callable[[str], str], server: Cluster | None, sizes: list[float]) -> str:
    """URL of the last archive; prints a line per size."""
    clock = Clock(server)
    for size in sizes:
        url = place(f"{size:g}")
        with open_archive(url) as archive:
            rate = fill_archive(archive, round(size * 1e6), clock)
            views = read_times(archive, clock, 0).items()
        medians = "  ".join(f"{name} {seconds:.3f} ({cpu:.3f})" for name, (seconds, cpu) in views)
        print(f"{size:7g} M rows: ingest {rate[0]:,.0f} ({rate[1]:,.0f})/s  {medians}", flush=True)
    return url


def measure_upkeep(url: str, clock: Clock, folder: Path) -> None:
    """Print the time of a check, a compaction and a backup."""
    calls: dict[str, Callable[[], object]] = {
        "check": lambda: upkeep.check(url, datetime.now(UTC)),
        "compact": lambda: upkeep.compact(url),
        "backup": lambda: upkeep.backup(url, folder / "backup.db", replace=True),
    }
    for name, call in calls.items():
        seconds, cpu = clock.measure(call)
        print(f"    last archive: {name} {seconds:.1f} s ({cpu:.1f})", flush=True)


def main() -> None:
    """Print a table per database."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="0.041,1,10", help="millions of rows, one archive each")
    parser.add_argument("--upkeep", action="store_true", help="also check, compact and back up the last archive")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="forebay-benchmark-", dir=arguments.folder))
    try:
        for kind in ("SQLite", "PostgreSQL"):
            print(f"\n{kind}: by the clock (CPU time)")
            with places(kind, folder) as (place, server):
                url = measure(place, server, [float(text) for text in arguments.sizes.split(",")])
                if arguments.upkeep:
                    measure_upkeep(url, Clock(server), folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
