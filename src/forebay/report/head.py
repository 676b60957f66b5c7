"""Head of the report, the answers of the first screen: level, forecast, trust, late data, and what was left out.

Where the report has a brief (`forecasts.brief`), the head has its lake, inflow, similar days and recent scores too.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts import brief_text
from forebay.charts.formats import TargetFormat, format_value
from forebay.charts.interval_coverage import AS_STATED, TOO_WIDE, UNKNOWN, regime_coverage, verdict
from forebay.charts.scores import REGIME_TITLES
from forebay.dams.local_time import local_date, zone
from forebay.report.outlook import build_headline
from forebay.report.storage import build_storage
from forebay.screen.flags import REASONS, VALID_REASONS, active_flags
from forebay.tables import summary_leads

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report


def build_head(report: Report) -> dict[str, object]:
    """Values for `head.html`: forecast days, local time and age of the newest reading, trust, and gauge status.

    The values of the reading are absent if there is none.
    """
    dam, reading, forecast = report.dam, report.newest, report.forecast
    fan = report.fan.to_dicts()
    leads = summary_leads(row["lead_time"] for row in fan if row["lead_time"] > 0)
    status = report.gauge_status
    values: dict[str, object] = {
        "zone": zone(dam.time_zone),
        "start": fan[0] if fan else None,
        "days": [row for row in fan if row["lead_time"] in leads],
        "storage": build_storage(report, leads),
        "outlook": build_headline(report),
        "beyond": report.beyond_record.to_dicts(),
        "gauges": _newest_values(status, report),
        "late": _late_by_age(status),
        "late_count": int(status["is_late"].sum()),
        "flagged": status.filter(pl.col("flag") != "").to_dicts(),
        "left_out": forecast.limitations,
        "brief": _brief(report),
        **_trust(report),
    }
    if reading is not None:
        values["reasons"] = REASONS
        values["suspect"] = _suspect_reason(report, local_date(reading.time, dam.time_zone))
        age = forecast.reference_time - reading.time - timedelta(seconds=dam.target_gauge.table_interval)
        values["reading_age_hours"] = max(0.0, age.total_seconds() / 3600)
    return values


def _brief(report: Report) -> dict[str, object]:
    """Rows and sentences of the brief; empty without one."""
    content = report.brief
    if content is None:
        return {}
    similar_headers, similar = brief_text.similar_rows(content)
    return {
        "dry": brief_text.dry_rows(content),
        "dry_note": brief_text.dry_sentence(content),
        "state_headers": brief_text.STATE_HEADERS,
        "state": brief_text.state_rows(content),
        "inflow": brief_text.inflow_lines(content),
        "similar_headers": similar_headers,
        "similar": similar if len(similar) > 1 else [],
        "similar_note": brief_text.similar_note(content),
        "recent_headers": brief_text.recent_headers(content),
        "recent": brief_text.recent_rows(content),
    }


def _suspect_reason(report: Report, day: date) -> str | None:
    """Reason of the flag on the target's level of `day`, as known at the init date; None without one."""
    flags = active_flags(report.flags, report.forecast.init_date).filter(
        pl.col("gauge") == report.dam.target_gauge.column,
        pl.col("date") == day,
        ~pl.col("reason").is_in(VALID_REASONS),
    )
    return None if flags.is_empty() else str(flags["reason"][0])


def _newest_values(status: pl.DataFrame, report: Report) -> list[dict[str, object]]:
    """The rows of `status` with `text`, the value with its unit: the target as precise as elsewhere in the report."""
    target = report.dam.target_gauge
    return [
        row | {"text": TargetFormat(report.dam).quantity(row["value"]) if gauge is target else _quantity(row)}
        for gauge, row in zip(report.dam.gauges, status.iter_rows(named=True), strict=True)
    ]


def _quantity(row: dict[str, object]) -> str:
    value = row["value"]
    assert value is None or isinstance(value, float)
    return f"{format_value(value)} {row['unit']}"


def _late_by_age(status: pl.DataFrame) -> list[dict[str, object]]:
    """age_days, gauges (labels) of the late gauges, the oldest first."""
    late = status.filter("is_late").sort("age_days", descending=True, nulls_last=False, maintain_order=True)
    return late.group_by("age_days", maintain_order=True).agg(gauges="gauge").to_dicts()


def _trust(report: Report) -> dict[str, object]:
    """Rows with the share of outcomes inside the 90% interval, and the verdict on it.

    On a day near or above full supply the verdict includes the coverage of past days like it.
    """
    rows = report.interval_coverage.to_dicts()
    regime = report.full_supply_regime
    by_regime = regime_coverage(report.scores, regime) if regime else pl.DataFrame()
    like_today = {row["lead_time"]: row for row in by_regime.to_dicts()}
    shares = [row[name] for row in rows for name in ("recent", "whole")] + [row["share"] for row in like_today.values()]
    judgement = verdict(shares)
    if report.forecast.outside_experience and judgement in (AS_STATED, TOO_WIDE, UNKNOWN):
        judgement = "a lower bound today"
    is_good = judgement in (AS_STATED, TOO_WIDE)
    title = REGIME_TITLES[regime] if regime else ""
    return {
        "coverage": rows,
        "regime": title,
        "like_today": like_today,
        "verdict": judgement,
        "is_good": is_good,
    }
