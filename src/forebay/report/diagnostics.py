"""Section "Are the probabilities reliable?": probabilistic scores, reliability, coverage, and the largest errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from forebay.tables import DEFAULT_MODEL, SUMMARY_LEADS

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report
    from forebay.dams.dam import Dam

_METRICS = ("mae", "crps", "pinball", "coverage_80", "coverage_90", "width_90", "above_95", "events", "share_forecast",
            "outside_experience")  # fmt: skip
_INPUT_TITLES = {
    "rain_lag0": "rain today, mm",
    "rain_3d": "rain in 3 days, mm",
    "api": "wetness index, mm",
    "last_change": "last daily change",
}
_ERROR_COLUMNS = ("init_date", "lead_time", "observed", "q05", "q50", "q95", "miss", "flags")


def is_diagnosed(report: Report) -> bool:
    """Whether the hindcast has scored days."""
    return report.diagnostics is not None and not report.diagnostics.peaks.is_empty()


def build(report: Report) -> Mapping[str, object]:
    """Rows of the three tables."""
    diagnostics = report.diagnostics
    assert diagnostics is not None, "the section's condition is `is_diagnosed`"
    errors = _at_report_leads(diagnostics.largest_misses)
    inputs = [column for column in errors.columns if column not in _ERROR_COLUMNS]
    return {
        "score_rows": _score_rows(report.scores),
        "year_rows": _at_report_leads(diagnostics.coverage_by_year).to_dicts(),
        "error_rows": errors.to_dicts(),
        "inputs": {column: input_title(column, report.dam) for column in inputs},
    }


def input_title(column: str, dam: Dam) -> str:
    """Title of a model input for readers, with its unit: "rain today, mm", "Coxs River level, m"."""
    gauge = next((gauge for gauge in dam.gauges if gauge.column == column), None)
    if gauge is not None:
        return f"{gauge.title}, {gauge.kind.unit}"
    return _INPUT_TITLES.get(column, column.replace("_", " "))


def _at_report_leads(table: pl.DataFrame) -> pl.DataFrame:
    return table.filter(pl.col("lead_time").is_in(SUMMARY_LEADS))


def _score_rows(scores: pl.DataFrame) -> list[dict[str, object]]:
    """Per regime and lead time the value of each metric, None where there is none, and n."""
    cells = _at_report_leads(scores).filter(
        pl.col("model") == DEFAULT_MODEL, pl.col("window") == "all", pl.col("regime").is_in(["all", "wet"])
    )
    rows: list[dict[str, object]] = []
    groups = cells.sort("regime", "lead_time").group_by("regime", "lead_time", maintain_order=True)
    for (regime, lead), cell in groups:
        n = cell.filter(pl.col("metric") == "mae")["n"]
        rows.append(
            {"regime": regime, "lead_time": lead, "n": n[0] if len(n) else None}
            | dict.fromkeys(_METRICS)
            | dict(cell.select("metric", "value").iter_rows())
        )
    return rows
