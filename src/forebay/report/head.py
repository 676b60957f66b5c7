"""Head of the report: the dam, the init date, the newest reading, the start and the last day of the forecast."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from forebay.dams.local_time import zone

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report
    from forebay.dams.dam import Dam


def build_head(report: Report) -> dict[str, object]:
    """Values for `head.html`: time zone, first and last row of the forecast, local time and age of the newest reading.

    The values of the reading are absent if there is none.
    """
    dam, reading = report.dam, report.newest
    fan = report.fan.to_dicts()
    values: dict[str, object] = {
        "zone": zone_name(dam),
        "start": fan[0] if fan else None,
        "end": fan[-1] if fan else None,
    }
    if reading is not None:
        age = report.forecast.issue_time - reading.time - timedelta(seconds=dam.target_gauge.table_interval)
        values["reading_time"] = reading.time.astimezone(zone(dam.time_zone))
        values["reading_age_hours"] = age.total_seconds() / 3600
    return values


def zone_name(dam: Dam) -> str:
    """The dam's time zone for readers: "UTC+10:00" or "America/Chicago"."""
    return f"UTC{dam.time_zone}" if dam.time_zone[0] in "+-" else dam.time_zone
