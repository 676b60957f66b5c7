"""The article's record, which is read once for all tests, and a small table for nets."""

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
    """The three CSV files in the form that the article's recipes use."""
    return article.read_readings(FOLDER, settings=load_settings(Path.cwd(), {})[0], now=NOW)


def rain_table(rows: int = 400) -> pl.DataFrame:
    """Columns rain, stream and change; the change is a simple function of rain and stream, with noise."""
    random = np.random.default_rng(1)
    rain, stream = random.gamma(0.5, 8.0, rows), random.normal(2.0, 0.5, rows)
    change = 0.02 * rain + 0.1 * (stream - 2) + random.normal(0, 0.01, rows)
    return pl.DataFrame({"rain": rain, "stream": stream, "change": change})
