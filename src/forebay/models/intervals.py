"""Intervals around a point forecast, from the model's past out-of-sample errors.

Each error is divided by its expected size, a regression of log|error| on the state of the day. The quantiles of these
scaled errors are conformal in the sense of Vovk et al. (2005) on an expanding window, separately for wet days, for days
near and above full supply, and for days of a fast fall or rise. An interval is the quantiles times the expected size of
the day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.features.inputs import AHEAD, FORCING
from forebay.metrics import column_medians, quantiles, weighted_quantiles
from forebay.models.day_kinds import WET
from forebay.tables import QUANTILES

if TYPE_CHECKING:
    from forebay.models.model import Array

MIN_ERRORS = 20
"""Minimum number of past errors for an interval."""
MIN_TAIL_SHARE = 0.4
"""Share of its nominal tail that a widened quantile has at least, so that single errors do not determine it."""
MAX_SIZE_QUANTILE = 0.999
"""Quantile of the past expected sizes that limits every expected size, because a regression of logs can explode."""
UNUSUAL_SIZE_QUANTILE = 0.99
"""Quantile of the past expected sizes that is the least expected size on an unusual day."""
MIN_SCALED = 100
"""Minimum number of past errors for an expected size that depends on the state of the day."""
COMMON_ERRORS, COMMON_ERRORS_PER_LEAD = 60, 45
"""All errors of the same wetness together count like so many errors of another kind of day; the second
number is multiplied by the lead time, because errors of long lead times overlap."""

Days = NDArray[np.datetime64]


@dataclass(frozen=True)
class State:
    """The state of each init date, on which the size of an error depends; init dates are consecutive.

    Attributes
    ----------
    init_dates
        Shape (n,).
    kind
        Kind of the day (`day_kinds`), shape (n,); errors of each kind have their own quantiles.
    sizes
        Nonnegative sizes of recent changes, rain and rises, shape (n, k); NaN where unknown.
    is_unusual
        Whether an input is far outside experience or the models disagree wildly, shape (n,). Errors are then expected
        to be as large as the largest so far.
    columns
        Columns of `sizes` on which the errors of each model depend, shape (models, columns); None for all columns.
    """

    init_dates: Days
    kind: NDArray[np.intp]
    sizes: Array
    is_unusual: NDArray[np.bool_]
    columns: NDArray[np.intp] | None = None

    def head(self, count: int) -> State:
        """The state of the first `count` days."""
        init_dates, kind, sizes = self.init_dates[:count], self.kind[:count], self.sizes[:count]
        return State(init_dates, kind, sizes, self.is_unusual[:count], self.columns)

    def with_sizes(self, *sizes: Array) -> State:
        """The state with `sizes` appended, on which the errors of all models depend."""
        longer, columns = np.column_stack([self.sizes, *sizes]), self.columns
        if columns is not None:
            added = np.arange(self.sizes.shape[1], longer.shape[1])
            columns = np.hstack([columns, np.tile(added, (len(columns), 1))])
        return replace(self, sizes=longer, columns=columns)

    def with_sizes_by_model(self, sizes: Array) -> State:
        """The state with one more size for each model, the columns of `sizes` (n, models)."""
        count, models = self.sizes.shape[1], sizes.shape[1]
        columns = np.column_stack([np.tile(np.arange(count), (models, 1)), count + np.arange(models)])
        return replace(self, sizes=np.hstack([self.sizes, sizes]), columns=columns)


def state_from_inputs(
    inputs: pl.DataFrame, kind: NDArray[np.intp], init_dates: Days, is_unusual: NDArray[np.bool_]
) -> State:
    """The state of each day from the models' inputs: magnitudes of changes, rain, rises and forcings."""
    columns: list[str] = [
        c for c in ("last_change", "change_lag1", "rain_lag0", "rain_3d", "api") if c in inputs.columns
    ]
    columns += [c for c in inputs.columns if c.endswith("_rise") or c.startswith((FORCING, AHEAD))]
    return State(init_dates, kind, np.abs(inputs.select(columns).cast(pl.Float64).to_numpy()), is_unusual)


def error_quantiles(
    errors: Array,
    state: State,
    *,
    lead_time: int,
    probabilities: Sequence[float] = QUANTILES,
    mask: NDArray[np.bool_] | None = None,
    correlation_days: int | None = None,
) -> Array:
    """Quantiles of the errors of one or more models as known on each init date, shape (n, …, number of probabilities).

    An error of init date d is known after its valid date d + lead_time. The expected size of errors is learned each
    1 January (each month while fewer than 400 errors are known). The quantiles are learned on the first of each month
    from all known errors of days with the same wetness, or from all known errors if fewer than 20 have it. On days of
    another kind (`day_kinds`), the known errors of such days count one each, and those of all days of the same wetness
    together count like `COMMON_ERRORS` + `COMMON_ERRORS_PER_LEAD` · lead_time. The median is 0, so that the point
    forecast is the .5 quantile. All other quantiles stay on their side of it.

    Parameters
    ----------
    errors
        Observed minus forecast per init date, shape (n,) or (n, models), in the target's unit; NaN where unknown. The
        errors of a day count if those of all models are known.
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
    levels, by_model = np.asarray(probabilities), errors.reshape(len(errors), -1)
    offsets = np.full((*by_model.shape, len(levels)), np.nan)
    mask = np.ones(len(errors), bool) if mask is None else mask
    correlation = correlation_days or 3 * lead_time
    common = COMMON_ERRORS + COMMON_ERRORS_PER_LEAD * lead_time
    for month in _monthly_knowledge(by_model, state, lead_time, mask):
        days = np.flatnonzero(mask[month.days]) + month.days.start
        for kind in np.unique(state.kind[days]):
            rows = days[state.kind[days] == kind]
            weights = _error_weights(state.kind[month.past], int(kind), common)
            widened = _widened(levels, weights.sum() / correlation)
            scaled = weighted_quantiles(month.scaled, weights[month.order], widened)
            offsets[rows] = month.size[rows, :, None] * scaled
    return _around_median(offsets, levels).reshape(*errors.shape, len(levels))


def _error_weights(kinds: NDArray[np.intp], kind: int, common: float) -> Array:
    """Weight of each known error for the quantiles of a day of `kind`, shape (n,)."""
    same_wetness = (kinds & WET) == (kind & WET)
    if same_wetness.sum() < MIN_ERRORS:
        same_wetness[:] = True
    if kind in (0, WET):
        return np.where(same_wetness, 1.0, 0.0)
    return np.where(kinds == kind, 1.0, 0.0) + np.where(same_wetness, common / same_wetness.sum(), 0.0)


def quiet_median(
    errors: Array, state: State, *, lead_time: int, mask: NDArray[np.bool_] | None = None
) -> Array:
    """Median past error on quiet days, to be added to the point forecast; 0 on other days; shape (n,).

    Most days are quiet, with small errors that are biased: a lake in drawdown falls a little faster than a regression
    forecasts that also fits floods. Days in the lowest and in the middle third of expected sizes have the median of
    their past errors, in units of the expected size, learned as in `error_quantiles`. The upper third has no
    correction, because a median over few errors of flood days would reduce every peak.

    Parameters
    ----------
    errors, state, lead_time
        As in `error_quantiles`, of one model.
    mask
        Init dates whose months are computed, shape (n,); all by default.

    Returns
    -------
    array
        In the target's unit.
    """
    shift = np.zeros(len(errors))
    for month in _monthly_knowledge(errors[:, None], state, lead_time, mask):
        past, size = month.past, month.size[:, 0]
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
    from the first past day to the end of the year, shape (n, models), NaN on other days. order, scaled: position in
    `past` and value of the known errors of each model in units of their size, rising, shape (models, past days).
    """

    days: slice
    past: NDArray[np.intp]
    size: Array
    order: NDArray[np.intp]
    scaled: Array


def _monthly_knowledge(
    errors: Array, state: State, lead_time: int, mask: NDArray[np.bool_] | None = None
) -> Iterator[_Knowledge]:
    """The knowledge of each month with a day in `mask`; no month before `MIN_ERRORS` errors are known."""
    complete: NDArray[np.bool_] = np.asarray(np.isfinite(errors).all(axis=1))
    number = np.cumsum(complete) - 1  # of each error that is known in the end
    size: Array | None = None
    sample: NDArray[np.intp] | None = None  # days for a new regression of sizes, which runs when a month needs it
    for first, end in months(state.init_dates):
        known = max(0, first - lead_time + 1)
        past = np.flatnonzero(complete[:known])
        if len(past) < MIN_ERRORS:
            continue
        if (size is None and sample is None) or len(past) < 400 or _starts_year(state.init_dates[first]):
            sample = past
        if mask is not None and not mask[first:end].any():
            continue
        if sample is not None:
            size = _expected_size(errors, state, sample, end=_year_end(state.init_dates, first))
            scaled = (errors / size).T
            rising = np.argsort(scaled, axis=1, kind="stable")  # once for all months that use these sizes
            sample = None
        assert size is not None
        order = rising[(rising < known) & complete[rising]].reshape(len(rising), -1)
        yield _Knowledge(slice(first, end), past, size, number[order], np.take_along_axis(scaled, order, axis=1))


def months(days: Days) -> Iterator[tuple[int, int]]:
    """First index and index after the last day of each month in consecutive `days`."""
    month = days.astype("datetime64[M]")
    starts = np.flatnonzero(np.append(np.ones(len(month[:1]), bool), month[1:] != month[:-1]))
    yield from zip(map(int, starts), [*map(int, starts[1:]), len(days)], strict=True)


def _starts_year(day: np.datetime64) -> bool:
    return bool(day.astype("datetime64[Y]").astype("datetime64[M]") == day.astype("datetime64[M]"))


def _year_end(days: Days, first: int) -> int:
    """Index after the last of consecutive `days` in the year of the day at `first`."""
    next_year = (days[first].astype("datetime64[Y]") + np.timedelta64(1, "Y")).astype("datetime64[D]")
    return min(len(days), first + int((next_year - days[first]).astype(int)))


def _expected_size(errors: Array, state: State, past: NDArray[np.intp], *, end: int) -> Array:
    """Expected |error| of each day and model: ridge regression of log|error| on the logs of the sizes.

    It is fitted on `past` and computed from the first past day to the day before `end`; NaN on other days; shape
    (n, models). An unusual day has the largest expected size.
    """
    expected = np.full(errors.shape, np.nan)
    rows = slice(past[0], end)
    sizes, past, errors = state.sizes[rows], past - past[0], np.abs(errors[rows])
    standard, is_usable = _standard_sizes(sizes, past)
    columns = np.tile(np.arange(sizes.shape[1]), (errors.shape[1], 1)) if state.columns is None else state.columns
    for model, (error, own) in enumerate(zip(errors[past].T, columns, strict=True)):
        unit = float(np.median(error)) or float(np.mean(error)) or 1.0
        usable = own[is_usable[own]]
        if len(past) < MIN_SCALED or not len(usable):
            expected[rows, model] = unit
            continue
        size = np.exp(_ridge_prediction(standard[:, usable], np.log(error + 0.1 * unit), past))
        unusual, largest = quantiles(size[past], [UNUSUAL_SIZE_QUANTILE, MAX_SIZE_QUANTILE])
        size = np.where(state.is_unusual[rows], np.maximum(size, unusual), size)
        expected[rows, model] = size.clip(max=largest)
    return expected


def _standard_sizes(sizes: Array, past: NDArray[np.intp]) -> tuple[Array, NDArray[np.bool_]]:
    """Standardised logs of the `sizes`, shape (n, k), and whether each column is positive on any past day.

    The unit of each size is its median on past days where it is positive; an unknown size has the mean. Values outside
    the past range are clipped to it.
    """
    known = sizes[past]
    positive = np.where(known > 0, known, np.nan)
    usable: NDArray[np.bool_] = np.asarray(np.isfinite(positive).any(axis=0))
    logs = np.log1p(sizes / np.where(usable, column_medians(positive), 1.0))
    past_logs = logs[past]
    is_known = ~np.isnan(past_logs)
    count = np.maximum(is_known.sum(axis=0), 1)
    center = np.where(is_known, past_logs, 0.0).sum(axis=0) / count
    deviation = np.sqrt(np.where(is_known, (past_logs - center) ** 2, 0.0).sum(axis=0) / count)
    standard = np.nan_to_num((logs - center) / np.maximum(deviation, 1e-9))
    past_standard = standard[past]
    return np.clip(standard, past_standard.min(axis=0), past_standard.max(axis=0)), usable


def _ridge_prediction(inputs: Array, target: Array, past: NDArray[np.intp]) -> Array:
    """Prediction of a ridge regression (α = 10), fitted on the `past` rows, for every row.

    It solves the normal equations, as scikit-learn does. Scikit-learn takes ten times as long, and a hindcast needs
    thousands of these fits. The rows are predicted by `einsum`: a matrix product may compute the last rows in another
    way, and no digit of a row may depend on the number of rows after it.
    """
    mean = inputs[past].mean(axis=0)
    centered = inputs[past] - mean
    penalty = 10.0 * np.eye(len(mean))
    slope = np.linalg.solve(centered.T @ centered + penalty, centered.T @ (target - target.mean()))
    return np.asarray(np.einsum("nk,k->n", inputs - mean, slope) + target.mean())


def _widened(probabilities: Array, effective: float) -> Array:
    """`probabilities` of quantiles, widened for a finite sample of so many independent errors.

    Split conformal prediction takes the quantile at p · (n + 1)/n. Errors of neighbouring days are correlated, because
    forecasts of a lead time of h days overlap and weather persists. n errors therefore count as n / correlation_days.
    """
    nominal = np.abs(probabilities - 0.5)
    limit = 0.5 - MIN_TAIL_SHARE * (0.5 - nominal)
    return np.asarray(
        0.5 + np.sign(probabilities - 0.5) * np.minimum(nominal * (effective + 1) / effective, limit)
    )


def _around_median(offsets: Array, probabilities: Array) -> Array:
    """The offsets with 0 for the median, and all other offsets on their side of it."""
    below, above = probabilities < 0.5, probabilities > 0.5
    offsets[..., below] = np.minimum(offsets[..., below], 0.0)
    offsets[..., above] = np.maximum(offsets[..., above], 0.0)
    offsets[..., ~below & ~above] = 0.0  # known before any error is
    return offsets
