"""The article's eight gauges: from its three CSV files, or from the live service by way of the archive.

Either way the readings go through the archive, which keeps each as it was published: the number beside a quality code
that says "unavailable" too, since the published recipes use it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import polars as pl

from forebay.archive.fetch import FetchRequest, fetch_dam
from forebay.archive.store import Archive
from forebay.dams.csv_layout import FileLayout
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from forebay.dams.local_time import to_local
from forebay.errors import ConfigError, DataError
from forebay.features.daily_tables import DailyTables, read_daily_tables
from forebay.settings import Settings

FIRST_DAY, LAST_DAY = date(2008, 1, 30), date(2022, 1, 12)
"""The days that the article asks the service for."""

FILES = {"target": "*dam_level*.csv", "rainfall": "rainfall*.csv", "stream": "*stream_level*.csv"}
"""How the article's files are named, by the role of the gauges in them."""
_CODES = {"rainfall": "10", "stream": "100"}


@dataclass(frozen=True)
class Record:
    """What was measured, as published, and as the project's own forecast takes it.

    Attributes
    ----------
    level
        date, v (m), q: a row per calendar day; null where the file has none.
    drivers
        date, then v_<station>_<variable> (mm or m) and q_<station>_<variable>: a row per calendar day.
    """

    dam: Dam
    level: pl.DataFrame
    drivers: pl.DataFrame
    days: DailyTables


def dam_of_files(folder: Path) -> Dam:
    """Warragamba with its gauges read from the article's three CSV files in `folder`.

    Raises
    ------
    ConfigError
        If the folder is not there, or one of the three files is not in it exactly once.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"folder {str(folder)!r} does not exist; give with --data the one with the article's CSV files, or leave "
            "--data out to fetch the readings"
        )
    paths = {role: _only(folder, pattern) for role, pattern in FILES.items()}
    dam = load_dam("warragamba")
    gauges = tuple(_in_file(gauge, paths[gauge.role], dam) for gauge in dam.gauges)
    return dam.model_copy(update={"gauges": gauges})


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise ConfigError(
            f"folder {str(folder)!r} holds {len(found)} files named {pattern}, must be 1; give with --data the folder "
            "with "
            f"the article's three files ({', '.join(FILES.values())}), or leave --data out to fetch the readings"
        )
    return found[0]


def _in_file(gauge: Gauge, path: Path, dam: Dam) -> Gauge:
    mark = "" if gauge.role == "target" else f"_{gauge.station}_{_CODES[gauge.role]}"
    layout = FileLayout(
        path=str(path), date="t", value=f"v{mark}", quality=f"q{mark}", date_format="%Y%m%d%H%M%S",
        quality_codes="waternsw", dam=dam.id,
    )  # fmt: skip
    return gauge.model_copy(update={"source": "csv", "file": layout})


def gather(
    dam: Dam,
    archive: Archive,
    *,
    settings: Settings,
    now: datetime,
    progress: Callable[[Gauge, int], None] | None = None,
) -> Record:
    """The record of all gauges of `dam`, brought into `archive` first.

    Raises
    ------
    ConfigError, SourceError
        If a file or the service does not give a gauge: the recipes need all of them.
    DataError
        If a quality code is no whole number.
    """
    from_files = dam.target_gauge.file is not None
    span = (None, None) if from_files else (FIRST_DAY, LAST_DAY)
    request = FetchRequest(now=now, since=span[0], until=span[1])
    report = fetch_dam(dam, archive, settings=settings, request=request, progress=progress)
    for error in report.errors.values():
        raise error
    held = archive.as_of(dam.gauges)
    level = _days(held, dam.target_gauge, dam, "")
    drivers = None
    for gauge in dam.gauges:
        if gauge.role == "target":
            continue
        own = _days(held, gauge, dam, f"_{gauge.station}_{_CODES[gauge.role]}")
        drivers = own if drivers is None else drivers.join(own, on="date", how="inner")
    assert drivers is not None  # the dam of the article has seven drivers
    if not from_files:
        asked = pl.col("date").is_between(FIRST_DAY, LAST_DAY)
        level, drivers = level.filter(asked), drivers.filter(asked)
    last = level.filter(~pl.col("q").is_in((201, 255)) & pl.col("v").is_not_null())["date"].max()
    return Record(dam, level, drivers, read_daily_tables(dam, archive, now=now, init_date=_a_day(last)))


def _a_day(day: object) -> date:
    if not isinstance(day, date):
        raise DataError("no day of the level has a reading that is available; give files or a period that have some")
    return day


def _days(held: pl.DataFrame, gauge: Gauge, dam: Dam, mark: str) -> pl.DataFrame:
    """date, v…, q… of one gauge as published, a row per calendar day from its first to its last."""
    own = held.filter(
        pl.all_horizontal(pl.col(key) == value for key, value in gauge.series.items() if key != "interval")
    )
    try:
        table = own.select(
            to_local(pl.col("time"), dam.time_zone).dt.date().alias("date"),
            pl.col("raw_value").replace("", None).cast(pl.Float64).alias(f"v{mark}"),  # a service's empty cell
            pl.col("quality_code").cast(pl.Int64).alias(f"q{mark}"),
        )
    except pl.exceptions.InvalidOperationError:
        raise DataError(
            f"gauge {gauge.column}: a reading or its quality code is no number; the article's recipes need both"
        ) from None
    return table.sort("date").upsample("date", every="1d")
