"""The article's eight gauges, from its three CSV files or from the live service.

Both go through the archive, which stores each reading as published. That includes the number of a reading whose quality
code is "unavailable", since the published recipes use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.archive.fetch import FetchRequest, Progress, fetch_dam
from forebay.dams.csv_layout import FileLayout
from forebay.dams.dam_file import load_dam
from forebay.dams.local_time import to_local
from forebay.errors import ConfigError, DataError
from forebay.features.daily_tables import DailyTables, read_daily_tables

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.settings import Settings

FIRST_DAY, LAST_DAY = date(2008, 1, 30), date(2022, 1, 12)
"""First and last day that the article requests."""

FILES = {"target": "*dam_level*.csv", "rainfall": "rainfall*.csv", "stream": "*stream_level*.csv"}
"""Role of the gauges in a file → pattern of its name."""
_CODES = {"rainfall": "10", "stream": "100"}


@dataclass(frozen=True)
class Record:
    """Readings as published, and the daily tables for the project's forecast.

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
    daily_tables: DailyTables


def dam_from_files(folder: Path) -> Dam:
    """The dam Warragamba whose gauges are the article's three CSV files in `folder`.

    Raises
    ------
    ConfigError
        If the folder does not exist, or does not contain each of the three files exactly once.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"folder {str(folder)!r} does not exist; --data must name the folder with the article's CSV files; "
            "without --data the readings are fetched"
        )
    paths = {role: _only(folder, pattern) for role, pattern in FILES.items()}
    dam = load_dam("warragamba")
    gauges = tuple(_with_file(gauge, paths[gauge.role], dam) for gauge in dam.gauges)
    return dam.model_copy(update={"gauges": gauges})


def _only(folder: Path, pattern: str) -> Path:
    paths = sorted(folder.glob(pattern))
    if len(paths) != 1:
        raise ConfigError(
            f"folder {str(folder)!r} contains {len(paths)} files named {pattern}, must be 1; --data must name the "
            f"folder with the article's three files ({', '.join(FILES.values())}); without --data the readings are "
            "fetched"
        )
    return paths[0]


def _with_file(gauge: Gauge, path: Path, dam: Dam) -> Gauge:
    suffix = "" if gauge.role == "target" else f"_{gauge.station}_{_CODES[gauge.role]}"
    layout = FileLayout(
        path=str(path), date="t", value=f"v{suffix}", quality=f"q{suffix}", date_format="%Y%m%d%H%M%S",
        quality_codes="waternsw", dam=dam.id,
    )  # fmt: skip
    return gauge.model_copy(update={"source": "csv", "file": layout})


def read_record(
    dam: Dam,
    archive: Archive,
    *,
    settings: Settings,
    now: datetime,
    progress: Progress | None = None,
) -> Record:
    """The record of all gauges of `dam`; fetches them into `archive` first.

    Raises
    ------
    ConfigError, SourceError
        If a file or the service lacks a gauge: the recipes need all of them.
    DataError
        If a quality code is not a whole number.
    """
    from_files = dam.target_gauge.file is not None
    span = (None, None) if from_files else (FIRST_DAY, LAST_DAY)
    request = FetchRequest(now=now, since=span[0], until=span[1])
    report = fetch_dam(dam, archive, settings=settings, request=request, progress=progress)
    for error in report.errors.values():
        raise error
    readings = archive.as_of(dam.gauges)
    level = _days(readings, dam.target_gauge, dam, "")
    drivers = None
    for gauge in dam.gauges:
        if gauge.role == "target":
            continue
        columns = _days(readings, gauge, dam, f"_{gauge.station}_{_CODES[gauge.role]}")
        drivers = columns if drivers is None else drivers.join(columns, on="date", how="inner")
    assert drivers is not None  # the dam of the article has seven drivers
    if not from_files:
        days = pl.col("date").is_between(FIRST_DAY, LAST_DAY)
        level, drivers = level.filter(days), drivers.filter(days)
    return Record(dam, level, drivers, read_daily_tables(dam, archive, now=now, init_date=last_day(level)))


def last_day(level: pl.DataFrame) -> date:
    """The last day with an available level, of `Record.level`.

    Raises
    ------
    DataError
        If there is none.
    """
    day = level.filter(~pl.col("q").is_in((201, 255)) & pl.col("v").is_not_null())["date"].max()
    if not isinstance(day, date):
        raise DataError("no level reading is available; give files or a period with available readings")
    return day


def _days(readings: pl.DataFrame, gauge: Gauge, dam: Dam, suffix: str) -> pl.DataFrame:
    """date, v…, q… of one gauge as published: a row per calendar day from the first to the last."""
    rows = readings.filter(
        pl.all_horizontal(pl.col(key) == value for key, value in gauge.series.items() if key != "interval")
    )
    try:
        table = rows.select(
            to_local(pl.col("time"), dam.time_zone).dt.date().alias("date"),
            pl.col("raw_value").replace("", None).cast(pl.Float64).alias(f"v{suffix}"),  # a service's empty cell
            pl.col("quality_code").cast(pl.Int64).alias(f"q{suffix}"),
        )
    except pl.exceptions.InvalidOperationError:
        raise DataError(
            f"gauge {gauge.column}: a reading or its quality code is not a number; the article's recipes need both"
        ) from None
    return table.sort("date").upsample("date", every="1d")
