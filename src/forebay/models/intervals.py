"""Intervals around a point forecast, from the model's own past out-of-sample errors.

Errors are first divided by the size that they could be expected to have (a regression of log|error| on the state of the
day), then their quantiles, conformal in the sense of Vovk et al. (2005) on an expanding window and apart for wet days,
are multiplied by the expected size of today.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.features.inputs import FORCING
from forebay.metrics import column_medians, quantiles
from forebay.models.model import Array
from forebay.tables import QUANTILES

MIN_ERRORS = 20
"""Fewer past errors than this give no interval."""
MIN_TAIL_SHARE = 0.4
"""Share of its nominal tail that a widened quantile keeps: beyond it, single errors would rule."""
MOST_LIVELY = 0.999
"""Share of the past days whose expected size of errors bounds that of any day: a line through logs explodes."""
MIN_SCALED = 100
"""Fewer past errors than this are not told apart by the state of the day."""

Days = NDArray[np.datetime64]


@dataclass(frozen=True)
class State:
    """What the size of an error depends on, per consecutive init date.

    Attributes
    ----------
    init_dates
        Shape (n,).
    wet
        Whether the day counts as wet, shape (n,): errors of wet days are calibrated apart.
    sizes
        Nonnegative measures of how much is going on (recent changes, rain, rises), shape (n, k); NaN where unknown.
    """

    init_dates: Days
    wet: NDArray[np.bool_]
    sizes: Array

    def with_sizes(self, *columns: Array) -> State:
        """The state with `columns` appended to its sizes."""
        return State(self.init_dates, self.wet, np.column_stack([self.sizes, *columns]))


def state_from_inputs(inputs: pl.DataFrame, wet: NDArray[np.bool_], init_dates: Days) -> State:
    """The state of each day from the models' inputs: changes, rain, rises, and what is foretold, by magnitude."""
    chosen: list[str] = [
        c for c in ("last_change", "change_lag1", "rain_lag0", "rain_3d", "api") if c in inputs.columns
    ]
    chosen += [c for c in inputs.columns if c.endswith("_rise") or c.startswith(FORCING)]
    return State(init_dates, wet, np.abs(inputs.select(chosen).cast(pl.Float64).to_numpy()))


def error_quantiles(
    errors: Array,
    state: State,
    *,
    lead_time: int,
    probabilities: Sequence[float] = QUANTILES,
    mask: NDArray[np.bool_] | None = None,
    correlation_days: int | None = None,
) -> Array:
    """Quantiles of the errors as known on each init date.

    An error of init date d is known once its valid date d + lead_time is over. The expected size of errors is learned
    anew each 1 January (each month while fewer than 400 errors are known), the quantiles on the first of each month,
    from all errors known by then: those of days as wet as this one if there are at least 20, else all. The median is 0,
    so that the point forecast is the .5 quantile, and the others keep to their side of it.

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
        Shape (n, number of probabilities), to be added to the point forecast; NaN before 20 errors are known.
    """
    asked = np.asarray(probabilities)
    offsets = np.full((len(errors), len(asked)), np.nan)
    mask = np.ones(len(errors), bool) if mask is None else mask
    for renewed in _renewals(errors, state, lead_time, mask):
        past, size = renewed.past, renewed.size
        for kind in (False, True):
            rows = np.flatnonzero((state.wet == kind)[renewed.days] & mask[renewed.days]) + renewed.days.start
            if not len(rows):
                continue
            alike = past[state.wet[past] == kind]
            sample = alike if len(alike) >= MIN_ERRORS else past
            drawn = _conformal(errors[sample] / size[sample], asked, correlation_days or 3 * lead_time)
            offsets[rows] = size[rows, None] * drawn
    return _around_median(offsets, asked)


def quiet_median(errors: Array, state: State, *, lead_time: int) -> Array:
    """What a point forecast of a quiet day was usually off by, to be added to it; 0 on other days.

    Most days are quiet, the errors are small and lean to one side (a lake that is drawn down falls a little faster than
    a line says that also has floods to fit). Days of the lowest and of the middle third of expected sizes each take the
    median of their past errors, in units of those sizes, learned as in `error_quantiles`. Livelier days keep their
    forecast: there the median of few errors, of floods that came and floods that did not, would lower every peak.

    Returns
    -------
    array
        Shape (n,), in the target's unit.
    """
    shift = np.zeros(len(errors))
    for renewed in _renewals(errors, state, lead_time):
        past, size = renewed.past, renewed.size
        third = np.searchsorted(quantiles(size[past], [1 / 3, 2 / 3]), size)
        for kind in (0, 1):
            rows = np.flatnonzero(third[renewed.days] == kind) + renewed.days.start
            alike = past[third[past] == kind]
            if len(rows) and len(alike) >= MIN_SCALED:
                shift[rows] = size[rows] * np.median(errors[alike] / size[alike])
    return shift


class _Renewed(NamedTuple):
    """What is known of errors on the first of a month.

    days: the month's; past: numbers of the days whose errors are known; size: expected |error| of every day from the
    first of those to the year's end, NaN on others.
    """

    days: slice
    past: NDArray[np.intp]
    size: Array


def _renewals(
    errors: Array, state: State, lead_time: int, wanted: NDArray[np.bool_] | None = None
) -> Iterator[_Renewed]:
    """Month by month what is known of the errors, where a day is `wanted`; none before `MIN_ERRORS` are known."""
    size: Array | None = None
    due: NDArray[np.intp] | None = None  # what the sizes are to be learned from, once a day asks for them
    for first, after in months(state.init_dates):
        past = np.flatnonzero(np.isfinite(errors[: max(0, first - lead_time + 1)]))
        if len(past) < MIN_ERRORS:
            continue
        if (size is None and due is None) or len(past) < 400 or _starts_year(state.init_dates[first]):
            due = past
        if wanted is not None and not wanted[first:after].any():
            continue
        if due is not None:
            size, due = _expected_size(errors, state.sizes, due, until=_year_end(state.init_dates, first)), None
        assert size is not None
        yield _Renewed(slice(first, after), past, size)


def months(days: Days) -> Iterator[tuple[int, int]]:
    """(first, after last) index of each month's days; `days` are consecutive."""
    starts = np.flatnonzero(np.diff(days.astype("datetime64[M]"), prepend=np.datetime64("1000-01", "M")) != 0)
    yield from zip(map(int, starts), [*map(int, starts[1:]), len(days)], strict=True)


def _starts_year(day: np.datetime64) -> bool:
    return bool(day.astype("datetime64[Y]").astype("datetime64[M]") == day.astype("datetime64[M]"))


def _year_end(days: Days, first: int) -> int:
    """Index after the last of consecutive `days` in the year of the `first` of them."""
    following = (days[first].astype("datetime64[Y]") + 1).astype("datetime64[D]")
    return min(len(days), first + int((following - days[first]).astype(int)))


def _expected_size(errors: Array, sizes: Array, past: NDArray[np.intp], *, until: int) -> Array:
    """Expected |error| of every day, learned on `past`: ridge regression of log|error| on the logs of the sizes.

    It is told of the days from the first past one to the one before `until`, and NaN on others. Each size is taken in
    units of its median on the past days on which it was not 0; an unknown one counts as the average. Days beyond what
    the past has seen count as its extremes.
    """
    expected = np.full(len(errors), np.nan)
    rows = slice(past[0], until)
    sizes, past, errors = sizes[rows], past - past[0], errors[rows]
    unit = float(np.median(np.abs(errors[past]))) or float(np.mean(np.abs(errors[past]))) or 1.0
    learned = np.where(sizes[past] > 0, sizes[past], np.nan)
    seen = np.isfinite(learned).any(axis=0)
    if len(past) < MIN_SCALED or not seen.any():
        expected[rows] = unit
        return expected
    logs = np.log1p(sizes[:, seen] / column_medians(learned[:, seen]))
    center, spread = np.nanmean(logs[past], axis=0), np.nanstd(logs[past], axis=0)
    standard = np.nan_to_num((logs - center) / np.maximum(spread, 1e-9))
    standard = np.clip(standard, standard[past].min(axis=0), standard[past].max(axis=0))
    size = np.exp(_ridge(standard, np.log(np.abs(errors[past]) + 0.1 * unit), past))
    expected[rows] = np.minimum(size, quantiles(size[past], [MOST_LIVELY]))
    return expected


def _ridge(inputs: Array, target: Array, past: NDArray[np.intp]) -> Array:
    """What ridge regression (α = 10), fitted on the `past` rows, says of every row.

    By its normal equations, as scikit-learn's does; that one takes ten times as long, and this is done thousands of
    times in a hindcast.
    """
    mean = inputs[past].mean(axis=0)
    centered = inputs[past] - mean
    penalty = 10.0 * np.eye(len(mean))
    slope = np.linalg.solve(centered.T @ centered + penalty, centered.T @ (target - target.mean()))
    return np.asarray((inputs - mean) @ slope + target.mean())


def _conformal(scaled: Array, probabilities: Array, lasting: int) -> Array:
    """Quantiles of `scaled`, widened for the finite sample.

    Split conformal prediction takes the quantile at p · (n + 1)/n. Errors of neighbouring days are not independent:
    those of a lead of h days overlap, and weather lasts, so that n errors count as n / lasting, by default n / 3h.
    """
    effective = len(scaled) / lasting
    nominal = np.abs(probabilities - 0.5)
    at_most = 0.5 - MIN_TAIL_SHARE * (0.5 - nominal)
    asked = 0.5 + np.sign(probabilities - 0.5) * np.minimum(nominal * (effective + 1) / effective, at_most)
    return quantiles(scaled, asked)


def _around_median(offsets: Array, probabilities: Array) -> Array:
    below, above = probabilities < 0.5, probabilities > 0.5
    offsets[:, below] = np.minimum(offsets[:, below], 0.0)
    offsets[:, above] = np.maximum(offsets[:, above], 0.0)
    offsets[:, ~below & ~above] = 0.0  # known before any error is
    return offsets
