"""Section "Dam and gauges": facts of the dam file, the source of each gauge, and the last fetch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.formats import NO_VALUE, format_name, format_number, format_time
from forebay.dams.local_time import zone
from forebay.days.labels import gauge_labels

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge


def build(report: Report) -> Mapping[str, object]:
    """Gauges with the names of their files, and the table of the last fetch without its empty columns."""
    fetch, labels = report.gauge_table, gauge_labels(report.dam)
    if "gauge" in fetch.columns:
        titles = labels | {weather.column: weather.title for weather in report.dam.weather}
        fetch = fetch.with_columns(pl.col("gauge").replace(titles)).drop("source", "station", strict=False)
        fetch = fetch.drop("latency_h", "learned_least_h", "learned_most_h", "fetches", strict=False)
    columns = [name for name in fetch.columns if fetch[name].null_count() < len(fetch)]
    return {
        "gauges": [
            {
                "gauge": gauge,
                "label": labels[gauge.column],
                "file": _file_text(gauge),
                "known_after": _latency_text(gauge, report),
                "substitutes": ", ".join(labels[column] for column in report.dam.substitutes.get(gauge.column, ())),
            }
            for gauge in report.dam.gauges
        ],
        "fetch_headers": ["age, days" if name == "age" else format_name(name) for name in columns],
        "fetch_rows": [[_cell(value, report.dam) for value in row] for row in fetch.select(columns).iter_rows()],
        "fetch_texts": next((k for k, name in enumerate(columns) if fetch.schema[name] != pl.String), len(columns)),
    }


def _latency_text(gauge: Gauge, report: Report) -> str:
    """The latency of the dam file and, with enough fetches, the learned one."""
    learned = report.latencies.get(gauge.column)
    return "; ".join(filter(None, [f"{gauge.latency_h:g} h", learned.text if learned else ""]))


def _file_text(gauge: Gauge) -> str:
    """Name of a gauge's file with its columns; empty for a gauge that is fetched."""
    if gauge.file is None:
        return ""
    names = ", ".join(Path(path).name for path in gauge.file.paths)
    return f"{names} ({', '.join(gauge.file.columns)})"


def _cell(value: object, dam: Dam) -> str:
    if value is None:
        return NO_VALUE
    if isinstance(value, datetime):
        return format_time(value, zone(dam.time_zone))
    if isinstance(value, float):
        return format_number(value, 1)
    return f"{value:,}" if isinstance(value, int) else str(value)
