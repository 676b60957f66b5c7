"""Section "Are the probabilities reliable?": probabilistic scores, reliability, coverage, and the largest errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from forebay.report.input_values import input_texts
from forebay.tables import DEFAULT_MODEL, QUANTILES, summary_leads
from forebay.verify.recent import MIN_DAYS

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report

_METRICS = ("mae", "nse", "kge", "crps", "crps_skill_best", "pinball", "coverage_80", "coverage_90", "width_90",
            "above_95", "events", "share_forecast", "outside_experience", "outside_limits")  # fmt: skip
_NEEDS_DAYS = ("nse", "kge", "crps_skill_best")
"""Skill scores, which are not shown for fewer than `MIN_DAYS` days."""


def is_diagnosed(report: Report) -> bool:
    """Whether the hindcast has scored days."""
    return report.diagnostics is not None and not report.diagnostics.peaks.is_empty()


def build(report: Report) -> Mapping[str, object]:
    """Rows of the three tables."""
    diagnostics = report.diagnostics
    assert diagnostics is not None, "the section's condition is `is_diagnosed`"
    errors = _at_report_leads(diagnostics.largest_misses).to_dicts()
    return {
        "score_rows": _score_rows(report.scores),
        **build_reliability(diagnostics.reliability),
        "bin_rows": _at_report_leads(diagnostics.pit_histogram).to_dicts(),
        "year_rows": _at_report_leads(diagnostics.coverage_by_year).to_dicts(),
        "error_rows": [{**row, "inputs": input_texts(row, report.dam)} for row in errors],
        "min_days": MIN_DAYS,
    }


def build_reliability(reliability: pl.DataFrame) -> Mapping[str, object]:
    """Values for `reliability.html`, of `verify.tables.RELIABILITY`."""
    return {"quantiles": QUANTILES, "quantile_rows": _quantile_rows(reliability)}


def _quantile_rows(reliability: pl.DataFrame) -> list[dict[str, object]]:
    """regime, lead_time, n, and `shares`: the observed frequency at each quantile."""
    groups = _at_report_leads(reliability).sort("regime", "lead_time", "quantile")
    keys = ("regime", "lead_time", "n")
    return groups.group_by(keys, maintain_order=True).agg(shares="observed").to_dicts()


def _at_report_leads(table: pl.DataFrame) -> pl.DataFrame:
    return table.filter(pl.col("lead_time").is_in(summary_leads(table["lead_time"])))


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
            | dict.fromkeys(_NEEDS_DAYS if len(n) and n[0] < MIN_DAYS else ())
        )
    return rows
