"""The value of a dam's forecasts as inputs: hindcasts without them, and with observed values in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from forebay.days.daily import usable_values
from forebay.errors import ConfigError
from forebay.features.forcings import perfect_forecasts
from forebay.features.samples import Samples, make_samples
from forebay.models import models_for
from forebay.tables import DEFAULT_MODEL
from forebay.verify.default import with_default
from forebay.verify.forecast_value import OtherInputs, forecast_value
from forebay.verify.hindcast import SEQUENTIAL, Execution, point_forecasts
from forebay.verify.scorecard import Forecasts, quantiles_by_day
from forebay.verify.tables import FORECAST_VALUE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forebay.dams.dam import Dam
    from forebay.features.daily_tables import DailyTables
    from forebay.verify.verification import Verification


def without_forecasts(dam: Dam, daily_tables: DailyTables) -> tuple[Samples, Dam]:
    """Samples without the dam's forcings, and the dam without them.

    Raises
    ------
    ConfigError
        If the dam has no forcings.
    """
    bare = _with_forcings(dam).model_copy(update={"forcings": ()})
    return make_samples(daily_tables.known, daily_tables.newest, bare, late=daily_tables.late), bare


def with_perfect_forecasts(dam: Dam, daily_tables: DailyTables) -> tuple[Samples, Dam]:
    """Samples with observed values in the issues of the dam's forcings, and the dam; raises as `without_forecasts`."""
    newest = usable_values(daily_tables.newest, _with_forcings(dam))
    issues = perfect_forecasts(daily_tables.forcings, newest, dam)
    return make_samples(daily_tables.known, daily_tables.newest, dam, issues, daily_tables.late), dam


def _with_forcings(dam: Dam) -> Dam:
    """The dam, if it has forcings."""
    if not dam.forcings:
        raise ConfigError(
            f"{dam.name} has no forecasts as inputs, so a hindcast without or with perfect ones shows nothing; "
            "add [[forcings]] to the dam file"
        )
    return dam


def value_of_forecasts(
    dam: Dam, daily_tables: DailyTables, verification: Verification, *, execution: Execution = SEQUENTIAL
) -> pl.DataFrame:
    """`verify.tables.FORECAST_VALUE` of a dam: two more hindcasts; empty without a day with forecasts.

    Parameters
    ----------
    verification
        The hindcast with the forecasts as issued.
    """
    if not any(verification.samples.has_forecasts(lead).any() for lead in dam.hindcast.leads):
        return FORECAST_VALUE.empty()
    others = other_inputs(dam, daily_tables, execution=execution)
    samples = verification.samples
    ends = interval_ends(verification.changes, samples, dam)
    return forecast_value(samples, dam, verification.points, others, quantiles=ends)


def other_inputs(dam: Dam, daily_tables: DailyTables, *, execution: Execution = SEQUENTIAL) -> OtherInputs:
    """Point forecasts of all models and of `default` without the dam's forcings, and with perfect ones."""
    points = []
    for make in (without_forecasts, with_perfect_forecasts):
        samples, its_dam = make(dam, daily_tables)
        models = models_for(its_dam)
        points.append(with_default(point_forecasts(samples, its_dam, models, execution=execution), samples))
    return OtherInputs(*points)


def interval_ends(forecasts: Forecasts, samples: Samples, dam: Dam) -> dict[int, NDArray[np.float64]]:
    """Lead time → .05 and .95 quantile of the change by `default`, shape (n, 2)."""
    return {
        lead: quantiles_by_day(forecasts, samples, lead)[DEFAULT_MODEL][:, [0, -1]] for lead in dam.hindcast.leads
    }
