"""A forecast as JSON: what `--json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forebay.jobs.forecast import ForecastResult


def forecast_content(result: ForecastResult, files: Sequence[Path]) -> dict[str, object]:
    """The forecast with its age, limitations, explanation and scores, and the paths of its `files`."""
    dam, issued, substitutions = result.dam, result.issued, result.substitutions
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
        "substitutions": substitutions.filter(substitutions["init_date"] == issued.init_date).to_dicts(),
        "outside_experience": issued.outside_experience,
        "intervals_are_a_lower_bound": bool(issued.outside_experience),
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
