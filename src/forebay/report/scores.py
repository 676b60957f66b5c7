"""Section "How accurate are the forecasts?": scores of the hindcast against the reference models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from forebay.charts.score_tables import (
    models_equal_to_default,
    scored_regimes,
    scored_windows,
    scored_years,
    without_repeats,
)
from forebay.charts.scores import REGIME_TITLES
from forebay.tables import REFERENCES
from forebay.verify.recent import MIN_DAYS
from forebay.verify.score_tables import compare_scores

if TYPE_CHECKING:
    from forebay.charts.report_tables import Report


def build(report: Report) -> Mapping[str, object]:
    """Rows of the score tables by window, regime and year."""
    scores = report.scores
    windows, repeated = without_repeats(scores, scored_windows(scores, report.dam))
    regimes, _ = without_repeats(scores, [("all", "all"), *scored_regimes(scores)])
    equal_models = models_equal_to_default(scores)
    return {
        "references": REFERENCES,
        "regime_titles": REGIME_TITLES,
        "windows": {window.name: window for window in report.dam.hindcast.windows},
        "equal_model": equal_models[0] if equal_models else None,
        "min_days": MIN_DAYS,
        "recent": report.recent_scores.to_dicts(),
        "by_window": _rows(scores, windows, "window"),
        "repeated": repeated,
        "by_regime": _rows(scores, regimes[1:], "regime"),
        "forecast_value": report.forecast_value.to_dicts(),
        "by_year": _rows(scores, scored_years(scores), "regime"),
    }


def _rows(scores: pl.DataFrame, cells: list[tuple[str, str]], group: str) -> list[dict[str, object]]:
    """`compare_scores` with `group`, and `first`: whether the row is the first of its group."""
    table = compare_scores(scores, cells).with_columns(pl.col(group).alias("group"))
    return table.with_columns(first=pl.col("group").is_first_distinct()).to_dicts()
