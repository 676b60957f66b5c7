"""Scores of past long outlooks, against the storage of the same days in past years and against today's storage.

Outlooks of consecutive months overlap, so a year of init dates is one independent case. The bands resample years.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from forebay.verify.long_tables import LONG_EVENT_SCORES, LONG_SCORES, MIN_YEARS
from forebay.verify.scorecard import resampled_gain

if TYPE_CHECKING:
    from forebay.verify.long_hindcast import LongHindcast

_NO_SKILL = (None, None, None)


def long_scores(hindcast: LongHindcast, dam_id: str) -> pl.DataFrame:
    """`long_tables.LONG_SCORES`: a row per month ahead."""
    rows = []
    for (month,), group in hindcast.months.group_by("month", maintain_order=True):
        years = group["year"].n_unique()
        crps, climatology, persistence = (group[name] for name in ("crps", "crps_climatology", "crps_persistence"))
        rows.append({
            "dam": dam_id, "month": month, "n": len(group), "years": years,
            "crps": crps.mean(), "crps_climatology": climatology.mean(), "crps_persistence": persistence.mean(),
            **dict(zip(("skill", "low", "high"), _gain(crps, climatology, group["year"], years), strict=True)),
            **dict(zip(("skill_persistence", "low_persistence", "high_persistence"),
                       _gain(crps, persistence, group["year"], years), strict=True)),
            "coverage_80": group["inside_80"].mean(),
        })  # fmt: skip
    return LONG_SCORES.check(pl.DataFrame(rows, schema=LONG_SCORES.columns).sort("month"), unique=True)


def long_event_scores(hindcast: LongHindcast, dam_id: str) -> pl.DataFrame:
    """`long_tables.LONG_EVENT_SCORES`: a row per threshold, direction, kind and month ahead."""
    keys = ["threshold", "direction", "kind", "month"]
    rows = []
    for key, group in hindcast.events.group_by(keys, maintain_order=True):
        known = group.drop_nulls("outcome")
        if known.is_empty():
            continue
        outcome = known["outcome"].cast(pl.Float64)
        brier, climatology = ((known[name] - outcome) ** 2 for name in ("probability", "climatology"))
        event_years = known.filter("outcome")["year"].n_unique()
        rows.append({
            "dam": dam_id, **dict(zip(keys, key, strict=True)), "n": len(known), "left_out": len(group) - len(known),
            "years": known["year"].n_unique(), "event_years": event_years, "frequency": outcome.mean(),
            "brier": brier.mean(), "brier_climatology": climatology.mean(), "brier_persistence": outcome.mean(),
            **dict(zip(("skill", "low", "high"), _gain(brier, climatology, known["year"], event_years), strict=True)),
            "skill_persistence": _gain(brier, outcome, known["year"], event_years)[0],
        })  # fmt: skip
    return LONG_EVENT_SCORES.check(pl.DataFrame(rows, schema=LONG_EVENT_SCORES.columns), unique=True)


def _gain(
    errors: pl.Series, baseline: pl.Series, years: pl.Series, independent: int
) -> tuple[float | None, float | None, float | None]:
    """Skill with its 90% band of resampled years; None with fewer than `MIN_YEARS` independent years."""
    if independent < MIN_YEARS or not baseline.sum():
        return _NO_SKILL
    return resampled_gain(errors.to_numpy(), baseline.to_numpy(), years.to_numpy())
