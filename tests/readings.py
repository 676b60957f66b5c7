"""Invented gauges and readings for the tests of the archive."""

from datetime import UTC, date, datetime, timedelta

import polars as pl

from forebay.dams.gauge import Gauge
from forebay.tables import READINGS

Content = tuple[float | None, str | None, str, str | None]  # value, raw_value, quality, quality_code
GOOD: Content = (1.0, "1.0", "good", "1")
MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


def make_gauge(station: str = "212242", **overrides: object) -> Gauge:
    """A gauge of the level; `overrides` replaces its keys."""
    known = {"role": "target", "source": "waternsw", "variable": "reservoir_level", "unit": "m"}
    return Gauge.model_validate(known | {"station": station} | overrides)


LEVEL = make_gauge()
RAIN = make_gauge("563035", role="rainfall", variable="rainfall", unit="mm", day_start="09:00", latency_h=6.5)
HOURLY = make_gauge("212250", role="stream", variable="stream_level", interval="hour", latency_h=2)
INSTANTANEOUS = make_gauge("bilancino", reading="instantaneous", reading_at="08:00", latency_h=1)
GAUGES = (LEVEL, RAIN, HOURLY, INSTANTANEOUS)


def readings(gauge: Gauge, contents: dict[datetime, Content]) -> pl.DataFrame:
    """`tables.READINGS` of a gauge with `contents` by time."""
    names = ("value", "raw_value", "quality", "quality_code")
    rows = [gauge.series | {"time": t} | dict(zip(names, content, strict=True)) for t, content in contents.items()]
    return pl.DataFrame(rows, schema=dict(READINGS.columns))


def day_contents(first: date, values: list[float | None]) -> dict[datetime, Content]:
    """Contents of consecutive UTC days."""
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    unavailable: Content = (None, "0.000", "missing", "255")
    return {
        start + timedelta(days=k): unavailable if value is None else (value, str(value), "good", "1")
        for k, value in enumerate(values)
    }
