"""Intervals around a point forecast, from the model's own past out-of-sample errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forebay.models.model import Array
from forebay.tables import QUANTILES

MIN_ERRORS = 20
"""Fewer past errors than this give no interval."""

Days = NDArray[np.datetime64]


def error_quantiles(errors: Array, wet: NDArray[np.bool_], init_dates: Days, *, lead_time: int) -> Array:
    """Quantiles of the errors that were known on each init date, apart for wet and other days.

    An error of init date d is known once its valid date d + lead_time is over. The quantiles are renewed on the first
    of each month from all errors known by then: those of days as wet as this one if there are at least 20, else those
    of all days. The median is set to 0, so that the point forecast is the .5 quantile, and the others keep to their
    side of it.

    Parameters
    ----------
    errors
        Observed minus forecast per init date, shape (n,), in the target's unit; NaN where unknown.
    wet
        Whether the init date counts as wet, shape (n,).
    init_dates
        Consecutive days, shape (n,).
    lead_time
        Days.

    Returns
    -------
    array
        Shape (n, 7), to be added to the point forecast; NaN before 20 errors are known.
    """
    offsets = np.full((len(errors), len(QUANTILES)), np.nan)
    starts = np.flatnonzero(np.diff(init_dates.astype("datetime64[M]"), prepend=np.datetime64("1000-01", "M")) != 0)
    for first, after in zip(starts, [*starts[1:], len(errors)], strict=True):
        past = slice(0, max(0, first - lead_time + 1))
        known = np.isfinite(errors[past])
        for kind in (False, True):
            rows = np.flatnonzero(wet[first:after] == kind) + first
            alike = errors[past][known & (wet[past] == kind)]
            sample = alike if len(alike) >= MIN_ERRORS else errors[past][known]
            if len(rows) and len(sample) >= MIN_ERRORS:
                offsets[rows] = np.quantile(sample, QUANTILES)
    middle = QUANTILES.index(0.5)
    offsets[:, :middle] = np.minimum(offsets[:, :middle], 0.0)
    offsets[:, middle + 1 :] = np.maximum(offsets[:, middle + 1 :], 0.0)
    offsets[:, middle] = 0.0
    return offsets
