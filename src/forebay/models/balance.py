"""A water balance with error correction, for dams whose inflow or release is gauged."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import polars as pl

from forebay.errors import ModelError
from forebay.features.inputs import BALANCE
from forebay.models.model import BASELINE, Array
from forebay.models.references import MIN_CHANGES, least_error_factor
from forebay.models.regression import MIN_ROWS

FACTORS = tuple(float(factor) for factor in np.round(np.arange(0.0, 1.001, 0.05), 2))
"""Candidate values of persistence, recession and memory."""


class _Flows(NamedTuple):
    """The balance inputs, shape (n,) each; 0 for a gauge that the dam does not have.

    `expected` is the change that the flows imply; `median_…` are medians of the last 10 days.
    """

    inflow: Array
    median_inflow: Array
    release: Array
    median_release: Array
    expected: Array
    median_expected: Array
    change: Array
    median_change: Array


class _Parts(NamedTuple):
    """The parts of the forecast, shape (n,) each, without missing values."""

    course: Array
    inflow: Array
    release: Array
    error: Array


class Balance:
    """Change = k · (inflow − release) + ungauged flow, summed over the lead time.

    The balance of the last 10 days continues with a factor p. It is k · (median inflow − median release) plus the
    balance error, median change − k · median of the change that the flows imply. Three parts are added:

    - the inflow's excess over its median, which recedes by a factor r per day;
    - the release's excess over its median, which is constant;
    - the last day's balance error minus its median, which decays by a factor m per day.

    k converts flow to change. It is near 1 with a storage curve or a volume and learned from the past otherwise. If
    fewer than 5 of the last 10 days have flows and changes, the median change of 30 days replaces the balance.

    Attributes
    ----------
    factor_, persistence_, recession_, memory_
        k, p, r and m, with the least absolute error on past days.
    """

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Fit the factors.

        Raises
        ------
        ModelError
            If the dam has no flow gauge, or too few past days have flows.
        """
        if not any(c.startswith(BALANCE) for c in inputs.columns):
            raise ModelError("balance needs an inflow or a release gauge, but the dam has neither; use another model")
        if len(target) < MIN_ROWS:
            raise ModelError(f"balance needs at least {MIN_ROWS} past days to learn from, but there are {len(target)}")
        flows = self._flows(inputs)
        # Deviations from the medians, so that ungauged flow does not bias the factor
        implied, observed = flows.expected - flows.median_expected, flows.change - flows.median_change
        usable = np.isfinite(implied) & np.isfinite(observed) & (implied != 0)
        if usable.sum() < MIN_CHANGES:
            raise ModelError(
                f"balance needs at least {MIN_CHANGES} past days whose flows and change are known and whose flows "
                f"vary, but there are {usable.sum()}"
            )
        self.factor_ = max(0.0, least_error_factor(implied[usable], observed[usable]))
        self.persistence_, self.recession_, self.memory_ = self._best_factors(self._daily_parts(inputs), target)
        return self

    def _best_factors(self, parts: _Parts, target: Array) -> tuple[float, ...]:
        """p, r and m: from 1, 0.5 and 0, the best of `FACTORS` for one after the other, in two rounds."""
        best = [1.0, 0.5, 0.0]
        for position in (0, 1, 2) * 2:
            error = {}
            for factor in FACTORS:
                trial = (*best[:position], factor, *best[position + 1 :])
                error[factor] = float(np.abs(target - sum(self._lead_parts(parts, *trial))).sum())
            # Nine digits, so that the order of summation does not decide
            best[position] = min(error, key=lambda factor: (float(f"{error[factor]:.9g}"), factor))
        return tuple(best)

    def predict(self, inputs: pl.DataFrame) -> Array:
        """Expected change of each row."""
        return np.asarray(sum(self._fitted_parts(inputs)), float)

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """The balance of the last 10 days, the excess of inflow and release, and the last error; the baseline is 0."""
        parts = self._fitted_parts(inputs)._asdict()
        names = {"course": "change_10d", "inflow": "inflow", "release": "release", "error": "change"}
        columns = {BALANCE + name: parts[part] for part, name in names.items() if BALANCE + name in inputs.columns}
        return pl.DataFrame({**columns, BASELINE: np.zeros(len(inputs))})

    def _fitted_parts(self, inputs: pl.DataFrame) -> _Parts:
        return self._lead_parts(self._daily_parts(inputs), self.persistence_, self.recession_, self.memory_)

    def _lead_parts(self, parts: _Parts, persistence: float, recession: float, memory: float) -> _Parts:
        """Daily parts summed over the lead time."""
        days = self.lead_time
        remaining = recession ** np.arange(days + 1)
        # Daily means are half a day old: the change to tomorrow is half of today's and half of tomorrow's inflow.
        receding = float((remaining[:-1] + remaining[1:]).sum() / 2)
        decaying = float((memory ** np.arange(1, days + 1)).sum())
        return _Parts(
            persistence * days * parts.course, receding * parts.inflow, days * parts.release, decaying * parts.error
        )

    def _daily_parts(self, inputs: pl.DataFrame) -> _Parts:
        """Change per day from each part."""
        flows, factor = self._flows(inputs), self.factor_
        median_error = flows.median_change - factor * flows.median_expected
        course = factor * (flows.median_inflow - flows.median_release) + median_error
        has_balance = np.isfinite(course)
        slow_change = inputs["median_change_30d"].cast(pl.Float64).fill_null(0.0).to_numpy()

        def known(part: Array) -> Array:
            """The part, 0 where today's flow or change is unknown."""
            return np.where(has_balance & np.isfinite(part), part, 0.0)

        return _Parts(
            np.where(has_balance, course, slow_change),
            known(factor * (flows.inflow - flows.median_inflow)),
            known(-factor * (flows.release - flows.median_release)),
            known(flows.change - factor * flows.expected - median_error),
        )

    def _flows(self, inputs: pl.DataFrame) -> _Flows:
        def column(name: str) -> Array:
            if BALANCE + name not in inputs.columns:
                return np.zeros(len(inputs))
            return inputs[BALANCE + name].cast(pl.Float64).to_numpy()

        pairs = (column(name + end) for name in ("inflow", "release", "expected", "change") for end in ("", "_10d"))
        return _Flows(*pairs)
