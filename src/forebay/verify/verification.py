"""The verification of a dam's models: hindcast, scores and diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.features.experience import experience, outside_days
from forebay.models import models_for
from forebay.tables import DEFAULT_MODEL, REFERENCES
from forebay.verify import hindcast, scorecard, uncertainty
from forebay.verify.default import with_default
from forebay.verify.diagnostics import Diagnostics, diagnose

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples
    from forebay.verify.point_forecasts import PointForecasts


@dataclass(frozen=True)
class Verification:
    """A hindcast with its scores and diagnostics.

    Attributes
    ----------
    samples
        The samples that the hindcast learned from.
    points
        Model → its point forecasts, `default` included.
    forecasts
        `tables.FORECASTS` of every init date.
    paths
        Changes of the sample paths of `default`, shape (days, leads, members).
    outside
        The table of `experience`: the range of each quantity in the training rows, and whether a day lies outside it.
    scores
        `tables.SCORES`.
    diagnostics
        Reliability, coverage and largest misses of `default`.
    """

    samples: Samples
    points: dict[str, PointForecasts]
    forecasts: pl.DataFrame
    paths: NDArray[np.float64]
    outside: pl.DataFrame
    scores: pl.DataFrame
    diagnostics: Diagnostics


def verify_hindcast(
    samples: Samples,
    dam: Dam,
    daily: pl.DataFrame,
    *,
    regimes: Mapping[str, NDArray[np.bool_]] | None = None,
    execution: hindcast.Execution = hindcast.SEQUENTIAL,
) -> Verification:
    """Hindcast of every model of the dam, with scores and diagnostics.

    Parameters
    ----------
    daily
        The daily table that the inputs of `samples` come from; the diagnostics list its flags.
    regimes
        Regime → scored days, instead of the regimes of `samples`.
    """
    points = hindcast.point_forecasts(samples, dam, models_for(dam), execution=execution)
    points = with_default(points, samples)
    forecasts = hindcast.forecast_table(samples, dam, points)
    members = uncertainty.marginals(samples, points, DEFAULT_MODEL)
    crps = {DEFAULT_MODEL: uncertainty.crps_by_day(samples, members, dam.hindcast.leads)}
    for name in (name for name in REFERENCES if name in points):
        marginals = uncertainty.marginals(samples, points, name)
        crps[name] = uncertainty.crps_by_day(samples, marginals, dam.hindcast.leads)
    refits = hindcast.refit_days(samples.dates, hindcast.first_origin(samples, dam))
    outside = experience(samples, dam, refits, max(dam.hindcast.leads))
    daily_scores = scorecard.DailyScores(crps, {DEFAULT_MODEL: outside_days(outside, len(samples.dates))})
    scored = samples if regimes is None else replace(samples, regimes=dict(regimes))
    return Verification(
        samples=samples,
        points=points,
        forecasts=forecasts,
        paths=uncertainty.sample_paths(samples, points, members),
        outside=outside,
        scores=scorecard.score(forecasts, scored, dam, daily_scores=daily_scores),
        diagnostics=diagnose(forecasts, scored, dam, daily=daily),
    )
