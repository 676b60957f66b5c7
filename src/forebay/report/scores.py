"""Section "How accurate are the forecasts?": scores of the hindcast against the reference models."""

from __future__ import annotations

import polars as pl

from forebay.charts.forecast_tables import Report
from forebay.charts.score_tables import (
    errors_by_lead,
    models_equal_to_default,
    scored_regimes,
    scored_windows,
    scored_years,
)
from forebay.charts.scores import error_panels
from forebay.models import REFERENCES
from forebay.report.content import Content, Figure, chart_heading, panel_figure
from forebay.verify.score_tables import compare_scores

REGIME_TITLES = {
    "all": "all days",
    "wet": "wet days",
    "dry": "dry days",
    "near_full": "near full supply",
    "level_missing": "level missing, forecast from the last good one",
}


def build(report: Report) -> Content:
    """Rows of the score tables by window, regime and year; figure `scores`."""
    scores = report.scores
    equal_models = models_equal_to_default(scores)
    values = {
        "references": REFERENCES,
        "regime_titles": REGIME_TITLES,
        "windows": {window.name: window for window in report.dam.hindcast.windows},
        "equal_model": equal_models[0] if equal_models else None,
        "by_window": _rows(scores, scored_windows(scores, report.dam), "window"),
        "by_regime": _rows(scores, scored_regimes(scores), "regime"),
        "by_year": _rows(scores, scored_years(scores), "regime"),
    }
    return Content(values, _figure(report))


def _rows(scores: pl.DataFrame, cells: list[tuple[str, str]], group: str) -> list[dict[str, object]]:
    """`compare_scores` with `group`, and `first`: whether the row is the first of its group."""
    table = compare_scores(scores, cells).with_columns(pl.col(group).alias("group"))
    return table.with_columns(first=pl.col("group").is_first_distinct()).to_dicts()


def _figure(report: Report) -> dict[str, Figure]:
    """Mean absolute error by lead time: all days, then each regime."""
    heading = chart_heading(report.dam)
    cells = [("all", "all"), *(cell for cell in scored_regimes(report.scores) if cell[1] in REGIME_TITLES)]
    tables = [
        (REGIME_TITLES[regime].capitalize(), table)
        for window, regime in cells
        if not (table := errors_by_lead(report.scores, window, regime)).is_empty()
    ]
    title = heading.title("mean absolute error by lead time")
    return panel_figure("scores", error_panels(tables, heading), title, 2)
