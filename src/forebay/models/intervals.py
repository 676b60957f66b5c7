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
from forebay.metrics import quantiles, weighted_quantiles
from forebay.models.day_kinds import WET
from forebay.models.error_size import MIN_SCALED, ErrorSize, StandardSizes
from forebay.tables import QUANTILES

if TYPE_CHECKING:
    from forebay.models.model import Array

MIN_ERRORS = 20
"""Minimum number of past errors for an interval."""
MIN_TAIL_SHARE = 0.4
"""Share of its nominal tail that a widened quantile has at least, so that single errors do not determine it."""
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
    sizes = np.abs(inputs.select(size_inputs(inputs.columns)).cast(pl.Float64).to_numpy())
    return State(init_dates, kind, sizes, is_unusual)


def size_inputs(names: Sequence[str]) -> list[str]:
    """Those of the inputs `names` whose magnitudes belong to the state of a day, in the order of its sizes."""
    columns = [name for name in ("last_change", "change_lag1", "rain_lag0", "rain_3d", "api") if name in names]
    return columns + [name for name in names if name.endswith("_rise") or name.startswith((FORCING, AHEAD))]


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
            scaled = _scaled_quantiles(month, state, int(kind), levels, common, correlation)
            offsets[rows] = month.size[rows, :, None] * scaled
    return _around_median(offsets, levels).reshape(*errors.shape, len(levels))


def _scaled_quantiles(
    month: _Knowledge, state: State, kind: int, levels: Array, common: float, correlation: int
) -> Array:
    """Quantiles of the scaled errors on a day of `kind`, shape (models, probabilities)."""
    weights = _error_weights(state.kind[month.past], kind, common)
    widened = _widened(levels, weights.sum() / correlation)
    return weighted_quantiles(month.scaled, weights[month.order], widened)


class LearnedErrors(NamedTuple):
    """What is known of the errors of one model in the month of a day.

    size: the expected size. scaled: kind of day → quantiles of the scaled errors, shape (probabilities,), whose sides
    are not restricted yet (`error_quantiles`). thirds: the expected sizes that divide the past days into thirds.
    shares: of a day in the lowest and in the middle third, the correction as a share of the expected size
    (`quiet_median`).
    """

    size: ErrorSize
    scaled: dict[int, Array]
    thirds: Array
    shares: tuple[float, float]


def learned_errors(
    errors: Array,
    state: State,
    day: int,
    kinds: Sequence[int],
    *,
    lead_time: int,
    correlation_days: int | None = None,
) -> LearnedErrors | None:
    """What `error_quantiles` and `quiet_median` have learned for a day of each of `kinds`; None with too few errors.

    Parameters
    ----------
    errors
        Of one model, shape (n,).
    day
        Index of the day.
    correlation_days
        As in `error_quantiles`.
    """
    mask = np.arange(len(errors)) == day
    common, correlation = COMMON_ERRORS + COMMON_ERRORS_PER_LEAD * lead_time, correlation_days or 3 * lead_time
    month = next(_monthly_knowledge(errors[:, None], state, lead_time, mask), None)
    if month is None:
        return None
    scaled = {
        kind: _scaled_quantiles(month, state, kind, np.asarray(QUANTILES), common, correlation)[0] for kind in kinds
    }
    thirds, *shares = _quiet_shares(errors, month)
    return LearnedErrors(month.models[0], scaled, thirds, (shares[0], shares[1]))


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
        size = month.size[:, 0]
        thirds, *shares = _quiet_shares(errors, month)
        third = np.searchsorted(thirds, size)
        for number, share in enumerate(shares):
            rows = np.flatnonzero(third[month.days] == number) + month.days.start
            shift[rows] = size[rows] * share
    return shift


def _quiet_shares(errors: Array, month: _Knowledge) -> tuple[Array, float, float]:
    """Expected sizes that end the lowest and the middle third, and for both the correction in units of the size."""
    past, size = month.past, month.size[:, 0]
    thirds = quantiles(size[past], [1 / 3, 2 / 3])
    third = np.searchsorted(thirds, size[past])
    samples = (past[third == number] for number in (0, 1))
    low, middle = (
        float(np.median(errors[sample] / size[sample])) if len(sample) >= MIN_SCALED else 0.0 for sample in samples
    )
    return thirds, low, middle


class _Knowledge(NamedTuple):
    """What is known of errors on the first day of a month.

    days: the days of the month. past: indices of the days whose errors are known. size: expected |error| of every day
    from the first past day to the end of the year, shape (n, models), NaN on other days. order, scaled: position in
    `past` and value of the known errors of each model in units of their size, rising, shape (models, past days).
    models: expected size of the errors of each model.
    """

    days: slice
    past: NDArray[np.intp]
    size: Array
    order: NDArray[np.intp]
    scaled: Array
    models: list[ErrorSize]


def _monthly_knowledge(
    errors: Array, state: State, lead_time: int, mask: NDArray[np.bool_] | None = None
) -> Iterator[_Knowledge]:
    """The knowledge of each month with a day in `mask`; no month before `MIN_ERRORS` errors are known."""
    complete: NDArray[np.bool_] = np.asarray(np.isfinite(errors).all(axis=1))
    complete_days = np.flatnonzero(complete)
    number = np.cumsum(complete) - 1  # of each error that is known in the end
    size: Array | None = None
    sample: NDArray[np.intp] | None = None  # days for a new regression of sizes, which runs when a month needs it
    for first, end in months(state.init_dates):
        known = max(0, first - lead_time + 1)
        count = int(number[known - 1]) + 1 if known else 0
        if count < MIN_ERRORS:
            continue
        if (size is None and sample is None) or count < 400 or _starts_year(state.init_dates[first]):
            sample = complete_days[:count]
        if mask is not None and not mask[first:end].any():
            continue
        past = complete_days[:count]
        if sample is not None:
            size, models = _expected_size(errors, state, sample, end=_year_end(state.init_dates, first))
            scaled = (errors / size).T
            rising = np.argsort(scaled, axis=1, kind="stable")  # once for all months that use these sizes
            sample = None
        assert size is not None
        order = rising[(rising < known) & complete[rising]].reshape(len(rising), -1)
        rising_errors = np.take_along_axis(scaled, order, axis=1)
        yield _Knowledge(slice(first, end), past, size, number[order], rising_errors, models)


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


def _expected_size(
    errors: Array, state: State, past: NDArray[np.intp], *, end: int
) -> tuple[Array, list[ErrorSize]]:
    """Expected |error| of each day and model, shape (n, models), and how it is computed.

    It is fitted on `past` and computed from the first past day to the day before `end`; NaN on other days.
    """
    expected = np.full(errors.shape, np.nan)
    rows = slice(past[0], end)
    sizes, past, errors = state.sizes[rows], past - past[0], np.abs(errors[rows])
    standard = StandardSizes.of(sizes[past])
    columns = np.tile(np.arange(sizes.shape[1]), (errors.shape[1], 1)) if state.columns is None else state.columns
    logs = standard.standardised(sizes)
    fits = [ErrorSize.fit(error, standard, own, logs, past) for error, own in zip(errors[past].T, columns, strict=True)]
    for model, fitted in enumerate(fits):
        expected[rows, model] = fitted.expected(logs, state.is_unusual[rows])
    return expected, fits


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
