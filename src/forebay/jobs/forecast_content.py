"""A forecast and its outlook as JSON: what `--json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.days.daily import usable_values
from forebay.screen.flags import suspect_values
from forebay.tables import DEFAULT_MODEL
from forebay.verify.score_tables import METRICS, YEAR

if TYPE_CHECKING:
    from forebay.jobs.forecast import ForecastResult


def forecast_content(result: ForecastResult, files: Sequence[Path]) -> dict[str, object]:
    """The forecast with its age, limitations, explanation and scores, and the paths of its `files`."""
    issued, substitutions = result.issued, result.substitutions
    return {
        **_head(result),
        "substitutions": substitutions.filter(substitutions["init_date"] == issued.init_date).to_dicts(),
        "forcings": issued.forcings,
        "forecast": result.storage_forecasts.to_dicts(),
        "probabilities": result.outlook.probabilities.to_dicts(),
        "explanation": issued.explanation.to_dicts(),
        "last_365_days": result.recent_scores.to_dicts(),
        "scores": result.overall_scores.to_dicts(),
        "record": None if result.record is None else asdict(result.record),
        "not_recorded": result.not_recorded or None,
        "files": [str(path) for path in files],
    }


NEWEST_DAYS = 30
"""Days up to the init date whose levels are in `server_content` with what the screen says of them."""


def server_content(result: ForecastResult) -> dict[str, object]:
    """What a server shows besides `forecast_content`: skill by kind of day, reliability, newest suspect levels.

    Of the scores it has those of window `all`: every score of `default` that a page shows, and the MAE of each model.
    """
    is_of_default = (pl.col("model") == DEFAULT_MODEL) & (
        pl.col("metric").is_in(METRICS) | pl.col("metric").str.starts_with("skill_")
    )
    by_regime = result.scores.filter(
        pl.col("window") == "all",
        pl.col("regime") != "all",
        ~pl.col("regime").str.contains(YEAR),
        (pl.col("metric") == "mae") | is_of_default,
    )
    outlook = result.outlook
    return {
        "newest_levels": _newest_levels(result).to_dicts(),
        "scores_by_regime": by_regime.to_dicts(),
        "reliability": result.verification.diagnostics.reliability.to_dicts(),
        "probability_scores": outlook.scores.filter(pl.col("window") == "all").to_dicts(),
        "probability_reliability": outlook.reliability.to_dicts(),
    }


def _newest_levels(result: ForecastResult) -> pl.DataFrame:
    """date, level, suspect: usable levels of the last days, and the reason of the flag of a suspect one."""
    dam, init_date = result.dam, result.issued.init_date
    column, daily = dam.target_gauge.column, result.daily_tables.newest
    levels = usable_values(daily.filter(pl.col("date") <= init_date), dam).select("date", level=column).drop_nulls()
    suspect = suspect_values(result.verification.samples.newest_flags, column, init_date)
    return levels.tail(NEWEST_DAYS).join(suspect.rename({"reason": "suspect"}), on="date", how="left")


def outlook_content(result: ForecastResult, files: Sequence[Path]) -> dict[str, object]:
    """The outlook of a forecast with the scores of earlier ones, and the paths of its `files`."""
    outlook = result.outlook
    return {
        **_head(result),
        "probabilities": outlook.probabilities.to_dicts(),
        "storage": result.storage_forecasts.filter(pl.col("model") == DEFAULT_MODEL).to_dicts(),
        "times": outlook.times.to_dicts(),
        "scores": outlook.scores.filter(pl.col("window") == "all").to_dicts(),
        "reliability": outlook.reliability.to_dicts(),
        "notes": outlook.notes,
        "files": [str(path) for path in files],
    }


def _head(result: ForecastResult) -> dict[str, object]:
    """The dam, the times and ages of a forecast, and its limitations."""
    dam, issued = result.dam, result.issued
    return {
        "dam": dam.id,
        "simulated": dam.simulated,
        "unit": dam.target.unit,
        "init_date": issued.init_date,
        "init_time": issued.init_time,
        "issue_time": issued.issue_time,
        "age_days": issued.age_days,
        "level_date": issued.level_date,
        "level_age_days": issued.level_age_days,
        "thresholds_withheld_from": issued.withheld_from,
        "current": not (issued.stale or issued.is_retrospective),
        "lacks": issued.limitations,
        "outside_experience": issued.outside_experience,
        "intervals_are_a_lower_bound": bool(issued.outside_experience),
    }
