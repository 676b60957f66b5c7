"""The article's record, read once for all tests that need it, and a small table for nets."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from forebay.article import run as article
from forebay.article.gauges import Record
from forebay.settings import load_settings
from tests.shared import SHARED

FOLDER = SHARED / "data" / "warragamba"
NOW = datetime(2022, 1, 13, tzinfo=UTC)


@cache
def record() -> Record:
    """The three CSV files, as the article's recipes take them."""
    return article.read_readings(FOLDER, settings=load_settings(Path.cwd(), {})[0], now=NOW)


def rain_table(rows: int = 400) -> pl.DataFrame:
    """rain, stream, change: the change is a simple function of the two, with noise."""
    random = np.random.default_rng(1)
    rain, stream = random.gamma(0.5, 8.0, rows), random.normal(2.0, 0.5, rows)
    change = 0.02 * rain + 0.1 * (stream - 2) + random.normal(0, 0.01, rows)
    return pl.DataFrame({"rain": rain, "stream": stream, "change": change})
