"""Readings of single gauges, and readings without regard to quality codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from forebay.dams.csv_numbers import parse_numbers
from forebay.sources.quality import MISSING

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge


def gauge_readings(readings: pl.DataFrame, gauge: Gauge) -> pl.DataFrame:
    """The rows of `readings` that belong to the series of the gauge."""
    return readings.filter(pl.col(name) == label for name, label in gauge.series.items())


def ignore_codes(readings: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """Readings of the dam's gauges without regard to quality codes: a published number is a value, whatever its code.

    The quality of each reading is "good", or "missing" if no number was published. An accumulated number is no value
    itself.
    """
    parts = []
    for gauge in dam.gauges:
        rows = gauge_readings(readings, gauge)
        text = pl.col("raw_value").str.strip_chars() if not gauge.accumulated else pl.lit(None, pl.String)
        number = parse_numbers(text, gauge.file, strict=False) if gauge.file else text.cast(pl.Float64, strict=False)
        published = rows.select(pl.when(number.is_finite()).then(number)).to_series()
        value = pl.coalesce("value", gauge.canonical(published, rows["time"], gauge.unit))
        quality = pl.when(value.is_null()).then(pl.lit(MISSING)).otherwise(pl.lit("good"))
        parts.append(rows.with_columns(value.alias("value"), quality.alias("quality")))
    return pl.concat(parts)
