"""Scores (`verify.tables.SCORES`) arranged for reading: one row per window, regime and lead time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import polars as pl

from forebay.tables import DEFAULT_MODEL, REFERENCES, summary_leads

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

METRICS = ("mae_top5", "pinball", "crps", "coverage_80", "coverage_90", "above_95", "events")
"""Metrics of `default` besides MAE and skill."""
_TITLES = ("top 5%", "pinball", "crps", "in 80%", "in 90%", "above 95%", "events")
YEAR = r"^y\d{4}$"
"""Pattern of the regime of a year."""

_Cell = tuple[str, str, int]
_Score = tuple[float | None, float | None, float | None, int | None]
_NO_SCORE: _Score = (None, None, None, None)
_Row = dict[str, str | int | float | None]

COMPARISON = (
    {"window": pl.String(), "regime": pl.String(), "lead_time": pl.Int32(), "n": pl.Int64()}
    | dict.fromkeys(("mae", *REFERENCES), pl.Float64())
    | {"best": pl.String()}
    | dict.fromkeys(("skill", "skill_low", "skill_high", *METRICS), pl.Float64())
)
"""Columns of `compare_scores`."""


def compare_scores(
    scores: pl.DataFrame, cells: Iterable[tuple[str, str]] | None = None, leads: Sequence[int] | None = None
) -> pl.DataFrame:
    """The scores of `default` and the MAE of the references, one row per window, regime and lead time.

    Parameters
    ----------
    cells
        Pairs of window and regime, in the order of the rows; by default all of `scores` but the years.
    leads
        Lead times, in days; by default the `summary_leads` of `scores`.

    Returns
    -------
    DataFrame
        window, regime, lead_time, n, mae, one column per reference (its MAE), best (the reference of least MAE), skill,
        skill_low, skill_high (against the best, with its 90% band), then `METRICS`. A missing score is null. A cell
        without the MAE of `default` has no row.
    """
    pairs = _pairs(scores) if cells is None else cells
    summary = summary_leads(scores["lead_time"]) if leads is None else leads
    columns = ["window", "regime", "lead_time", "model", "metric", "value", "low", "high", "n"]
    of_reference = pl.col("model").is_in(REFERENCES) & (pl.col("metric") == "mae")
    used = scores.filter(
        pl.col("lead_time").is_in(list(summary)), (pl.col("model") == DEFAULT_MODEL) | of_reference
    ).select(columns)
    by_cell: dict[_Cell, dict[tuple[str, str], _Score]] = {}
    for window, regime, lead, model, metric, *score in used.iter_rows():
        by_cell.setdefault((window, regime, lead), {})[model, metric] = (score[0], score[1], score[2], score[3])
    rows = [
        _comparison((window, regime, lead), by_cell[window, regime, lead])
        for window, regime in pairs
        for lead in summary
        if by_cell.get((window, regime, lead), {}).get((DEFAULT_MODEL, "mae"), _NO_SCORE)[0] is not None
    ]
    return pl.DataFrame(rows, schema=COMPARISON)


def _pairs(scores: pl.DataFrame) -> list[tuple[str, str]]:
    """Every window with each of its regimes but the years, both in the order of `scores`."""
    present = scores.filter(~pl.col("regime").str.contains(YEAR)).select("window", "regime")
    windows, regimes = (present[column].unique(maintain_order=True).to_list() for column in present.columns)
    pairs = set(present.unique().iter_rows())
    return [(window, regime) for window in windows for regime in regimes if (window, regime) in pairs]


def _comparison(cell: _Cell, scores: dict[tuple[str, str], _Score]) -> _Row:
    """The row of one cell, of which the scores are given by model and metric."""
    mae, _, _, n = scores[DEFAULT_MODEL, "mae"]
    references = {name: scores.get((name, "mae"), _NO_SCORE)[0] for name in REFERENCES}
    scored = {name: value for name, value in references.items() if value is not None}
    best = min(scored, key=lambda name: scored[name]) if scored else None
    skill, low, high, _ = scores.get((DEFAULT_MODEL, f"skill_{best}"), _NO_SCORE)
    row: _Row = {"window": cell[0], "regime": cell[1], "lead_time": cell[2], "n": n, "mae": mae}
    row |= references | {"best": best, "skill": skill, "skill_low": low, "skill_high": high}
    return row | {metric: scores.get((DEFAULT_MODEL, metric), _NO_SCORE)[0] for metric in METRICS}


def score_summary(scores: pl.DataFrame, dam: Dam) -> list[dict[str, object]]:
    """Rows for a reader: one per window, regime (key `days`) and lead time, years left out.

    MAE of `default` and of the best reference, skill with its 90% band, and `METRICS` under short titles. The lead
    times are the `summary_leads` of the dam.
    """
    leads = summary_leads(dam.hindcast.leads)
    return [
        {"window": row["window"], "days": row["regime"], "lead": f"{row['lead_time']} d", "n": row["n"]}
        | {"mae": row["mae"], "best reference": row["best"], "its mae": row[row["best"]] if row["best"] else None}
        | {"skill": row["skill"], "90% band": _band(row["skill_low"], row["skill_high"])}
        | {title: row[metric] for title, metric in zip(_TITLES, METRICS, strict=True)}
        for row in compare_scores(scores, leads=leads).iter_rows(named=True)
    ]


def _band(low: float | None, high: float | None) -> str | None:
    return None if low is None else f"{low:.2f} … {high:.2f}"


def input_costs(on_time: pl.DataFrame, variant: pl.DataFrame, dam: Dam) -> list[dict[str, object]]:
    """MAE of `default` with the usual inputs and with those of a variant, one row per window, regime and lead time.

    Parameters
    ----------
    on_time, variant
        `verify.tables.SCORES` of the two hindcasts.

    Returns
    -------
    list
        Keys window, days, lead, n, mae, "mae then" (of the variant), cost (relative increase of MAE), "in 90% then",
        "skill then". A row that only one of the two has is left out.
    """
    keys = ("window", "days", "lead")
    variant_rows = {tuple(row[key] for key in keys): row for row in score_summary(variant, dam)}
    rows: list[dict[str, object]] = []
    for row in score_summary(on_time, dam):
        changed = variant_rows.get(tuple(row[key] for key in keys))
        if changed is None:
            continue
        mae, variant_mae = row["mae"], changed["mae"]
        assert isinstance(mae, float) and isinstance(variant_mae, float)
        rows.append(
            {key: row[key] for key in (*keys, "n", "mae")}
            | {"mae then": variant_mae, "cost": f"{100 * (variant_mae / mae - 1):+.1f}%" if mae > 0 else None}
            | {"in 90% then": changed["in 90%"], "skill then": changed["skill"]}
        )
    return rows
