"""How much each driver lowers the out-of-sample error of the level's change beyond the level's own past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

    from forebay.dams.dam import Dam

Array = NDArray[np.float64]

FOLDS = 5
PURGE_DAYS = 7
"""Days between training and test days, so that no input of one overlaps the other."""
MIN_DAYS = 200
MIN_GAIN = 0.005
"""A driver that lowers the error by less is left out."""
LAGS = 3
_EPSILON, _PENALTY, _ITERATIONS = 1.35, 1e-3, 300


@dataclass(frozen=True)
class DriverScore:
    """Score of a driver.

    Attributes
    ----------
    gain
        1 − error with it / error without it, on days outside the training; NaN with fewer than `MIN_DAYS` days.
    days, first_day, last_day
        Number of days with all inputs, the first and the last of them; None where there is none.
    age_days
        Days from the newest reading to the fetch; None where there is none.
    correlation, lag
        Largest correlation (by magnitude) of the driver `lag` days before with the change to the next day.
    """

    gain: float
    days: int
    correlation: float
    lag: int
    age_days: int | None = None
    first_day: date | None = None
    last_day: date | None = None

    @property
    def overlap(self) -> str:
        """Days on which level and driver have all values: their number and their period."""
        if self.first_day is None or self.last_day is None:
            return f"{self.days} days"
        return f"{self.days} days from {self.first_day} to {self.last_day}"

    @property
    def sentence(self) -> str:
        """The score in words."""
        correlation = f"correlation {self.correlation:+.2f} {self.lag} d before"
        if self.age_days is not None:
            correlation += f"; newest reading {self.age_days} d old"
        if np.isnan(self.gain):
            return f"not ranked: {self.overlap} with all values, at least {MIN_DAYS} needed; {correlation}"
        verb = "lowers" if self.gain >= 0 else "raises"
        return f"{verb} the error of the next change by {abs(self.gain):.1%} on {self.overlap}; {correlation}"

    @property
    def is_useful(self) -> bool:
        """Whether the driver lowers the error by `MIN_GAIN` or more."""
        return bool(self.gain >= MIN_GAIN)


def rank_drivers(daily: pl.DataFrame, dam: Dam) -> dict[str, DriverScore]:
    """Column of each gauge but the target → its score, the best first.

    The error is the mean absolute error of the change to the next day, of a Huber regression on the last changes
    of the level, with and without the driver's last days. Both are fitted and tested on the same days, in five blocks
    of time.

    Parameters
    ----------
    daily
        A daily table without missing days; flagged values are not used.
    """
    level = _usable(daily, dam.target_gauge.column)
    change = np.diff(level, prepend=np.nan)
    next_change = np.append(change[1:], np.nan)
    own = _lagged(change, LAGS)
    scores = {
        gauge.column: _score(own, _usable(daily, gauge.column), next_change, daily["date"].to_list())
        for gauge in dam.gauges
        if gauge.role != "target"
    }
    return dict(sorted(scores.items(), key=lambda item: -np.nan_to_num(item[1].gain, nan=-np.inf)))


def _usable(daily: pl.DataFrame, column: str) -> Array:
    """Values of a gauge, NaN where missing or flagged."""
    values = daily[column].to_numpy().astype(float)
    return np.where(daily[f"{column}_flag"].is_null().to_numpy(), values, np.nan)


def _lagged(values: Array, count: int) -> Array:
    """Values of the day and of the `count` − 1 days before it, shape (days, count)."""
    return np.stack([np.append(np.full(lag, np.nan), values[: len(values) - lag]) for lag in range(count)], axis=1)


def _score(own: Array, driver: Array, next_change: Array, dates: Sequence[date]) -> DriverScore:
    inputs = np.hstack([own, _lagged(driver, LAGS)])
    is_complete = np.isfinite(inputs).all(axis=1) & np.isfinite(next_change)
    days = int(is_complete.sum())
    correlation, lag = _strongest_lag(driver, next_change)
    day = np.flatnonzero(is_complete)
    first, last = (dates[day[0]], dates[day[-1]]) if days else (None, None)
    if days < MIN_DAYS:
        return DriverScore(float("nan"), days, correlation, lag, first_day=first, last_day=last)
    target = next_change[day]
    low, high = np.quantile(target, (0.001, 0.999))
    clipped = np.clip(target, low, high)
    without = _test_error(own[day], clipped, day)
    gain = 1 - _test_error(inputs[day], clipped, day) / without if without > 0 else 0.0
    return DriverScore(float(gain), days, correlation, lag, first_day=first, last_day=last)


def _test_error(inputs: Array, target: Array, day: NDArray[np.int64]) -> float:
    """Mean absolute error on the days of each block, of a regression fitted on the days of the others."""
    edges = np.linspace(day[0], day[-1] + 1, FOLDS + 1)
    errors: list[Array] = []
    for start, end in zip(edges[:-1], edges[1:], strict=True):
        is_test = (day >= start) & (day < end)
        is_train = (day < start - PURGE_DAYS) | (day >= end + PURGE_DAYS)
        if is_test.any() and is_train.sum() > inputs.shape[1]:
            errors.append(np.abs(target[is_test] - _predict(inputs[is_train], target[is_train], inputs[is_test])))
    return float(np.concatenate(errors).mean()) if errors else 0.0


def _predict(train: Array, target: Array, test: Array) -> Array:
    """Huber regression on standardised inputs, which are cut at the range of the training days.

    Rain and floods have heavy tails: least squares would rank drivers by a few days.
    """
    from sklearn.linear_model import HuberRegressor

    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    scale = target.std()
    if scale == 0:
        return np.full(len(test), target[0])
    model = HuberRegressor(epsilon=_EPSILON, alpha=_PENALTY, max_iter=_ITERATIONS)
    model.fit((train - mean) / spread, target / scale)
    within = np.clip(test, train.min(axis=0), train.max(axis=0))
    predicted: Array = model.predict((within - mean) / spread) * scale
    return predicted


def _strongest_lag(driver: Array, next_change: Array) -> tuple[float, int]:
    """Correlation of largest magnitude over the lags, and its lag in days; 0 where there is none."""
    best, best_lag = 0.0, 0
    for lag in range(LAGS + 1):
        earlier = np.append(np.full(lag, np.nan), driver[: len(driver) - lag])
        both = np.isfinite(earlier) & np.isfinite(next_change)
        if both.sum() >= MIN_DAYS and earlier[both].std() > 0 and next_change[both].std() > 0:
            value = float(np.corrcoef(earlier[both], next_change[both])[0, 1])
            best, best_lag = (value, lag) if abs(value) > abs(best) else (best, best_lag)
    return best, best_lag

