"""Intervals around a point forecast, from the model's past out-of-sample errors.

Each error is divided by its expected size, a regression of log|error| on the state of the day. The quantiles of these
scaled errors are conformal in the sense of Vovk et al. (2005) on an expanding window, separately for wet days. An
interval is the quantiles times the expected size of the day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.features.inputs import FORCING
from forebay.metrics import column_medians, quantiles
from forebay.tables import QUANTILES

if TYPE_CHECKING:
    from forebay.models.model import Array

MIN_ERRORS = 20
"""Minimum number of past errors for an interval."""
MIN_TAIL_SHARE = 0.4
"""Share of its nominal tail that a widened quantile has at least, so that single errors do not determine it."""
MAX_SIZE_QUANTILE = 0.999
"""Quantile of the past expected sizes that limits every expected size, because a regression of logs can explode."""
MIN_SCALED = 100
"""Minimum number of past errors for an expected size that depends on the state of the day."""

Days = NDArray[np.datetime64]


@dataclass(frozen=True)
class State:
    """The state of each init date, on which the size of an error depends; init dates are consecutive.

    Attributes
    ----------
    init_dates
        Shape (n,).
    wet
        Whether the day is wet, shape (n,); errors of wet days have their own quantiles.
    sizes
        Nonnegative sizes of recent changes, rain and rises, shape (n, k); NaN where unknown.
    """

    init_dates: Days
    wet: NDArray[np.bool_]
    sizes: Array

    def with_sizes(self, *columns: Array) -> State:
        """The state with `columns` appended to its sizes."""
        return State(self.init_dates, self.wet, np.column_stack([self.sizes, *columns]))


def state_from_inputs(inputs: pl.DataFrame, wet: NDArray[np.bool_], init_dates: Days) -> State:
    """The state of each day from the models' inputs: magnitudes of changes, rain, rises and forcings."""
    columns: list[str] = [
        c for c in ("last_change", "change_lag1", "rain_lag0", "rain_3d", "api") if c in inputs.columns
    ]
    columns += [c for c in inputs.columns if c.endswith("_rise") or c.startswith(FORCING)]
    return State(init_dates, wet, np.abs(inputs.select(columns).cast(pl.Float64).to_numpy()))


def error_quantiles(
    errors: Array,
    state: State,
    *,
    lead_time: int,
    probabilities: Sequence[float] = QUANTILES,
    mask: NDArray[np.bool_] | None = None,
    correlation_days: int | None = None,
) -> Array:
    """Quantiles of the errors as known on each init date, shape (n, number of probabilities).

    An error of init date d is known after its valid date d + lead_time. The expected size of errors is learned each
    1 January (each month while fewer than 400 errors are known). The quantiles are learned on the first of each month
    from all known errors of days with the same wetness, or from all known errors if fewer than 20 have it. The median
    is 0, so that the point forecast is the .5 quantile. All other quantiles stay on their side of it.

    Parameters
    ----------
    errors
        Observed minus forecast per init date, shape (n,), in the target's unit; NaN where unknown.
    lead_time
        Days.
    probabilities
        Rising.
    mask
        Init dates for which quantiles are computed, shape (n,); all by default.
    correlation_days
        Days over which errors are correlated and count as one error; three times the lead time by default.

    Returns
    -------
    array
        Offsets from the point forecast; NaN before 20 errors are known.
    """
    levels = np.asarray(probabilities)
    offsets = np.full((len(errors), len(levels)), np.nan)
    mask = np.ones(len(errors), bool) if mask is None else mask
    for month in _monthly_knowledge(errors, state, lead_time, mask):
        past, size = month.past, month.size
        for is_wet in (False, True):
            rows = np.flatnonzero((state.wet == is_wet)[month.days] & mask[month.days]) + month.days.start
            if not len(rows):
                continue
            same_wetness = past[state.wet[past] == is_wet]
            sample = same_wetness if len(same_wetness) >= MIN_ERRORS else past
            scaled_offsets = _conformal(errors[sample] / size[sample], levels, correlation_days or 3 * lead_time)
            offsets[rows] = size[rows, None] * scaled_offsets
    return _around_median(offsets, levels)


def quiet_median(errors: Array, state: State, *, lead_time: int) -> Array:
    """Median past error on quiet days, to be added to the point forecast; 0 on other days; shape (n,).

    Most days are quiet, with small errors that are biased: a lake in drawdown falls a little faster than a regression
    forecasts that also fits floods. Days in the lowest and in the middle third of expected sizes have the median of
    their past errors, in units of the expected size, learned as in `error_quantiles`. The upper third has no
    correction, because a median over few errors of flood days would reduce every peak.

    Returns
    -------
    array
        In the target's unit.
    """
    shift = np.zeros(len(errors))
    for month in _monthly_knowledge(errors, state, lead_time):
        past, size = month.past, month.size
        third = np.searchsorted(quantiles(size[past], [1 / 3, 2 / 3]), size)
        for number in (0, 1):
            rows = np.flatnonzero(third[month.days] == number) + month.days.start
            sample = past[third[past] == number]
            if len(rows) and len(sample) >= MIN_SCALED:
                shift[rows] = size[rows] * np.median(errors[sample] / size[sample])
    return shift


class _Knowledge(NamedTuple):
    """What is known of errors on the first day of a month.

    days: the days of the month. past: indices of the days whose errors are known. size: expected |error| of every day
    from the first past day to the end of the year, NaN on other days.
    """

    days: slice
    past: NDArray[np.intp]
    size: Array


def _monthly_knowledge(
    errors: Array, state: State, lead_time: int, mask: NDArray[np.bool_] | None = None
) -> Iterator[_Knowledge]:
    """The knowledge of each month with a day in `mask`; no month before `MIN_ERRORS` errors are known."""
    size: Array | None = None
    sample: NDArray[np.intp] | None = None  # days for a new regression of sizes, which runs when a month needs it
    for first, end in months(state.init_dates):
        past = np.flatnonzero(np.isfinite(errors[: max(0, first - lead_time + 1)]))
        if len(past) < MIN_ERRORS:
            continue
        if (size is None and sample is None) or len(past) < 400 or _starts_year(state.init_dates[first]):
            sample = past
        if mask is not None and not mask[first:end].any():
            continue
        if sample is not None:
            size = _expected_size(errors, state.sizes, sample, end=_year_end(state.init_dates, first))
            sample = None
        assert size is not None
        yield _Knowledge(slice(first, end), past, size)


def months(days: Days) -> Iterator[tuple[int, int]]:
    """First index and index after the last day of each month in consecutive `days`."""
    starts = np.flatnonzero(np.diff(days.astype("datetime64[M]"), prepend=np.datetime64("1000-01", "M")) != 0)
    yield from zip(map(int, starts), [*map(int, starts[1:]), len(days)], strict=True)


def _starts_year(day: np.datetime64) -> bool:
    return bool(day.astype("datetime64[Y]").astype("datetime64[M]") == day.astype("datetime64[M]"))


def _year_end(days: Days, first: int) -> int:
    """Index after the last of consecutive `days` in the year of the day at `first`."""
    next_year = (days[first].astype("datetime64[Y]") + 1).astype("datetime64[D]")
    return min(len(days), first + int((next_year - days[first]).astype(int)))


def _expected_size(errors: Array, sizes: Array, past: NDArray[np.intp], *, end: int) -> Array:
    """Expected |error| of each day: ridge regression of log|error| on the logs of the sizes, fitted on `past`.

    Computed from the first past day to the day before `end`; NaN on other days. The unit of each size is its median on
    past days where it is positive; an unknown size has the mean. Values outside the past range are clipped to it.
    """
    expected = np.full(len(errors), np.nan)
    rows = slice(past[0], end)
    sizes, past, errors = sizes[rows], past - past[0], errors[rows]
    unit = float(np.median(np.abs(errors[past]))) or float(np.mean(np.abs(errors[past]))) or 1.0
    positive = np.where(sizes[past] > 0, sizes[past], np.nan)
    usable = np.isfinite(positive).any(axis=0)
    if len(past) < MIN_SCALED or not usable.any():
        expected[rows] = unit
        return expected
    logs = np.log1p(sizes[:, usable] / column_medians(positive[:, usable]))
    center, deviation = np.nanmean(logs[past], axis=0), np.nanstd(logs[past], axis=0)
    standard = np.nan_to_num((logs - center) / np.maximum(deviation, 1e-9))
    standard = np.clip(standard, standard[past].min(axis=0), standard[past].max(axis=0))
    size = np.exp(_ridge_prediction(standard, np.log(np.abs(errors[past]) + 0.1 * unit), past))
    expected[rows] = np.minimum(size, quantiles(size[past], [MAX_SIZE_QUANTILE]))
    return expected


def _ridge_prediction(inputs: Array, target: Array, past: NDArray[np.intp]) -> Array:
    """Prediction of a ridge regression (α = 10), fitted on the `past` rows, for every row.

    It solves the normal equations, as scikit-learn does. Scikit-learn takes ten times as long, and a hindcast needs
    thousands of these fits.
    """
    mean = inputs[past].mean(axis=0)
    centered = inputs[past] - mean
    penalty = 10.0 * np.eye(len(mean))
    slope = np.linalg.solve(centered.T @ centered + penalty, centered.T @ (target - target.mean()))
    return np.asarray((inputs - mean) @ slope + target.mean())


def _conformal(scaled: Array, probabilities: Array, correlation_days: int) -> Array:
    """Quantiles of the scaled errors, widened for the finite sample.

    Split conformal prediction takes the quantile at p · (n + 1)/n. Errors of neighbouring days are correlated, because
    forecasts of a lead time of h days overlap and weather persists. n errors therefore count as n / correlation_days.
    """
    effective = len(scaled) / correlation_days
    nominal = np.abs(probabilities - 0.5)
    limit = 0.5 - MIN_TAIL_SHARE * (0.5 - nominal)
    widened = 0.5 + np.sign(probabilities - 0.5) * np.minimum(nominal * (effective + 1) / effective, limit)
    return quantiles(scaled, widened)


def _around_median(offsets: Array, probabilities: Array) -> Array:
    """The offsets with 0 for the median, and all other offsets on their side of it."""
    below, above = probabilities < 0.5, probabilities > 0.5
    offsets[:, below] = np.minimum(offsets[:, below], 0.0)
    offsets[:, above] = np.maximum(offsets[:, above], 0.0)
    offsets[:, ~below & ~above] = 0.0  # known before any error is
    return offsets
