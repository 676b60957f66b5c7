"""The value of forecasts as inputs: the error without them, with them as issued, and with perfect ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.tables import DEFAULT_MODEL, REFERENCES
from forebay.verify.scorecard import paired_gain, windows
from forebay.verify.tables import FORECAST_VALUE

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.samples import Samples
    from forebay.models.model import Array
    from forebay.verify.point_forecasts import PointForecasts

@dataclass(frozen=True)
class OtherInputs:
    """Point forecasts of all models with other inputs: without forecasts, and with perfect ones."""

    without: Mapping[str, PointForecasts]
    perfect: Mapping[str, PointForecasts]


def forecast_value(
    samples: Samples,
    dam: Dam,
    points: Mapping[str, PointForecasts],
    others: OtherInputs,
    *,
    quantiles: Mapping[int, Array] | None = None,
    days: NDArray[np.bool_] | None = None,
) -> pl.DataFrame:
    """Errors of `default` with three kinds of inputs on the same days: a row per lead time.

    The days are those of the window `all` with a level, on which every forcing has a value for each day up to the lead
    time, and all three hindcasts have a forecast.

    Parameters
    ----------
    points
        Point forecasts with the forecasts as issued.
    quantiles
        Lead time → .05 and .95 quantile of the change with the forecasts as issued, shape (n, 2).
    days
        Days to score, shape (n,); all by default.

    Returns
    -------
    DataFrame
        `FORECAST_VALUE`: number of days; the reference with the least MAE and its MAE; MAE without forecasts, with
        those as issued, with perfect ones; gain = 1 − MAE as issued / MAE without, with the 90% band of a paired 60-day
        block bootstrap; gain_perfect, the same of perfect forecasts; coverage of the 90% interval as issued, null
        without `quantiles`. A lead time without such days has no row.
    """
    window = windows(samples, dam).get("all")
    if window is None or not dam.forcings:
        return FORECAST_VALUE.empty()
    rows = []
    for lead in dam.hindcast.leads:
        observed = np.where(samples.level_missing, np.nan, samples.observed_change(lead))
        by_input = {"without": others.without, "as_issued": points, "perfect": others.perfect}
        errors = {name: np.abs(p[DEFAULT_MODEL].changes[lead] - observed) for name, p in by_input.items()}
        errors |= {name: np.abs(points[name].changes[lead] - observed) for name in REFERENCES if name in points}
        scored = window & samples.has_forecasts(lead) & np.all(np.isfinite(list(errors.values())), axis=0)
        scored &= True if days is None else days
        if scored.any():
            at_lead = None if quantiles is None else quantiles[lead]
            rows.append(_row(lead, errors, np.flatnonzero(scored), observed, at_lead))
    return pl.DataFrame(rows, schema=FORECAST_VALUE.columns)


def _row(
    lead: int, errors: Mapping[str, Array], days: NDArray[np.intp], observed: Array, quantiles: Array | None
) -> dict[str, object]:
    """The row of one lead time, over `days` (indices)."""
    scored = {name: error[days] for name, error in errors.items()}
    mae = {name: float(error.mean()) for name, error in scored.items()}
    best = min((name for name in REFERENCES if name in mae), key=lambda name: mae[name])
    gain, low, high = paired_gain(scored["as_issued"], scored["without"], days)
    inside = None
    if quantiles is not None and np.isfinite(quantiles[days]).all():
        inside = float(np.mean((quantiles[days, 0] <= observed[days]) & (observed[days] <= quantiles[days, 1])))
    return {
        "lead_time": lead,
        "n": len(days),
        "best_reference": best,
        "mae_best_reference": mae[best],
        **{f"mae_{name}": mae[name] for name in ("without", "as_issued", "perfect")},
        "gain": gain,
        "gain_low": low,
        "gain_high": high,
        "gain_perfect": 1 - mae["perfect"] / mae["without"] if mae["without"] else None,
        "coverage_90": inside,
    }
