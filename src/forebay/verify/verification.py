"""The verification of a dam's models: hindcast, scores and diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
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
from forebay.verify.exceedance import ThresholdForecast, threshold_forecasts
from forebay.verify.exceedance_scores import reliability_of_probabilities, score_probabilities
from forebay.verify.row_store import rows_of

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples
    from forebay.models.rows import Rows
    from forebay.verify.point_forecasts import PointForecasts


@dataclass(frozen=True)
class Verification:
    """A hindcast with its scores and diagnostics. Tables and scores are computed when they are first used.

    Attributes
    ----------
    samples
        The samples that the hindcast learned from.
    dam, daily
        The dam, and the daily table that the inputs of `samples` come from.
    points
        Model → its point forecasts, `default` included.
    changes
        Quantiles of the forecast changes of every day and model.
    paths
        Changes of the sample paths of `default`, shape (days, leads, members).
    crps
        Model → lead time → CRPS of each day.
    outside
        The table of `experience`: the range of each quantity in the training rows, and whether a day lies outside it.
    threshold_forecasts
        Probabilities of reaching each threshold of the dam on every init date, and the outcomes.
    regimes
        Regime → scored days, instead of the regimes of `samples`; None for those.
    """

    samples: Samples
    dam: Dam
    daily: pl.DataFrame
    points: dict[str, PointForecasts]
    changes: hindcast.ForecastChanges
    paths: NDArray[np.float64]
    crps: Mapping[str, Mapping[int, NDArray[np.float64]]]
    outside: pl.DataFrame
    threshold_forecasts: tuple[ThresholdForecast, ...]
    regimes: Mapping[str, NDArray[np.bool_]] | None = None

    @cached_property
    def forecasts(self) -> pl.DataFrame:
        """`tables.FORECASTS` of every init date."""
        return hindcast.table_of(self.changes, self.samples, self.dam)

    @cached_property
    def newest(self) -> pl.DataFrame:
        """`tables.FORECASTS` of the last init date."""
        return self.last_forecasts(1)

    def last_forecasts(self, days: int) -> pl.DataFrame:
        """`tables.FORECASTS` of the last init dates."""
        first = max(0, len(self.samples.dates) - days)
        return hindcast.table_of(self.changes, self.samples, self.dam, first=first)

    @cached_property
    def scores(self) -> pl.DataFrame:
        """`verify.tables.SCORES` of every window and regime."""
        return self._score(only_all=False)

    @cached_property
    def overall_scores(self) -> pl.DataFrame:
        """The rows of `scores` of the regime `all`."""
        if "scores" in vars(self):
            return self.scores.filter(pl.col("regime") == "all")
        return self._score(only_all=True)

    @cached_property
    def diagnostics(self) -> Diagnostics:
        """Reliability, coverage and largest misses of `default`."""
        return diagnose(self.changes, self._scored_samples, self.dam, daily=self.daily)

    @cached_property
    def probability_scores(self) -> pl.DataFrame:
        """`verify.tables.PROBABILITY_SCORES`."""
        return score_probabilities(self.threshold_forecasts, self.samples, self.dam)

    @cached_property
    def probability_reliability(self) -> pl.DataFrame:
        """`verify.tables.PROBABILITY_RELIABILITY`."""
        return reliability_of_probabilities(self.threshold_forecasts, self.samples, self.dam)

    @property
    def _scored_samples(self) -> Samples:
        return self.samples if self.regimes is None else replace(self.samples, regimes=dict(self.regimes))

    def _score(self, *, only_all: bool) -> pl.DataFrame:
        outside = {DEFAULT_MODEL: outside_days(self.outside, len(self.samples.dates))}
        return scorecard.score(
            self.changes,
            self._scored_samples,
            self.dam,
            daily_scores=scorecard.DailyScores(self.crps, outside),
            only_all=only_all,
        )


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
    models, leads = models_for(dam), dam.hindcast.leads
    rows = rows_of(execution.hindcasts, samples, dam)
    points = hindcast.point_forecasts(samples, dam, models, execution=execution, rows=rows)
    points = with_default(points, samples, rows)
    changes = hindcast.forecast_changes(samples, points, rows)
    members = uncertainty.marginals(samples, points, DEFAULT_MODEL, rows)
    crps = {DEFAULT_MODEL: uncertainty.crps_by_day(samples, members, leads)}
    for name in (name for name in REFERENCES if name in points):
        crps[name] = uncertainty.crps_by_day(samples, uncertainty.marginals(samples, points, name, rows), leads)
    refits = hindcast.refit_days(samples.dates, hindcast.first_origin(samples, dam))
    paths = uncertainty.sample_paths(samples, points, members, rows=rows)
    verification = Verification(
        samples=samples,
        dam=dam,
        daily=daily,
        points=points,
        changes=changes,
        paths=paths,
        crps={name: _extended(by_lead, name, rows) for name, by_lead in crps.items()},
        outside=experience(samples, dam, refits, max(leads)),
        threshold_forecasts=threshold_forecasts(samples, dam, paths, rows),
        regimes=regimes,
    )
    if execution.hindcasts is not None:
        execution.hindcasts.save(rows, dam)
    return verification


def _extended(
    by_lead: Mapping[int, NDArray[np.float64]], name: str, rows: Rows
) -> dict[int, NDArray[np.float64]]:
    """CRPS of each lead time, with the earlier rows."""
    return {lead: rows.extend(f"{name}/crps{lead}", by_day) for lead, by_day in by_lead.items()}
