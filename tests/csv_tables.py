"""Daily tables of dams with all gauges in CSV files, without an archive."""

from datetime import UTC, date, datetime

import polars as pl

from forebay.dams.dam import Dam
from forebay.days.daily import daily_table
from forebay.settings import Settings
from forebay.sources import csv_files

LAST_DAY = date(2199, 12, 31)
NOW = datetime(2200, 1, 1, tzinfo=UTC)


def daily_from_files(dam: Dam) -> pl.DataFrame:
    """The daily table of the dam from all readings of its files."""
    readings = [
        csv_files.fetch_readings(gauge, dam, None, LAST_DAY, settings=Settings(), now=NOW) for gauge in dam.gauges
    ]
    return daily_table(pl.concat(readings), dam)
