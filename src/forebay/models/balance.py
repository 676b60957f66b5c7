"""A water balance with error correction, for dams whose inflow or release is gauged."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import polars as pl

from forebay.errors import ModelError
from forebay.models.model import BASE, Array
from forebay.models.references import MIN_MOVED, factor_of_least_error
from forebay.models.regression import MIN_ROWS
from forebay.prepare.features import BALANCE

RECESSIONS = tuple(np.round(np.arange(0.0, 1.0, 0.05), 2))
PERSISTENCES = (0.0, 0.25, 0.5, 0.75, 1.0)


class _Flows(NamedTuple):
    """Columns of `features.BALANCE`, shape (n,) each; 0 for a gauge that the dam does not have."""

    inflow: Array
    usual_inflow: Array
    release: Array
    usual_release: Array
    expected: Array
    usual_expected: Array
    change: Array
    usual_change: Array


class Balance:
    """Change = k · (inflow − release) + what the gauges do not see, summed over the days to come.

    The inflow's excess over its median of the last 10 days recedes by a factor r a day; the release stays as it is; the
    balance error of the last 10 days (median change − k · median of what the flows say) goes on with a factor p. k
    turns flow into change: near 1 where a storage curve or a volume stands behind it, else whatever the past tells.
    Where less than 5 of the last 10 days have both flows and changes the balance cannot be drawn, and the median change
    of 30 days goes on.

    Attributes
    ----------
    factor_, recession_, persistence_
        k, r and p; all by least absolute error on the past.
    """

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Learn k, r and p; `ModelError` without flows, or with too few past days of them."""
        if not any(c.startswith(BALANCE) for c in inputs.columns):
            raise ModelError("balance needs an inflow or a release gauge, but the dam has neither; use another model")
        if len(target) < MIN_ROWS:
            raise ModelError(f"balance needs at least {MIN_ROWS} past days to learn from, but there are {len(target)}")
        flows = self._flows(inputs)
        # against their own medians, since what the gauges do not see must not bend the factor
        said, came = flows.expected - flows.usual_expected, flows.change - flows.usual_change
        moved = np.isfinite(said) & np.isfinite(came) & (said != 0)
        if moved.sum() < MIN_MOVED:
            raise ModelError(
                f"balance needs at least {MIN_MOVED} past days whose flows and change are known and whose flows vary, "
                f"but there are {moved.sum()}"
            )
        self.factor_ = max(0.0, factor_of_least_error(said[moved], came[moved]))
        cost = {}
        for self.recession_ in RECESSIONS:
            for self.persistence_ in PERSISTENCES:
                made = sum(self._parts(inputs))
                cost[self.recession_, self.persistence_] = float(np.abs(target - made).sum())
        self.recession_, self.persistence_ = min(cost, key=lambda pair: (round(cost[pair], 12), pair))
        return self

    def predict(self, inputs: pl.DataFrame) -> Array:
        """The expected change of each row."""
        return np.asarray(sum(self._parts(inputs)), float)

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """What the last 10 days brought, and what inflow and release differ from theirs; the base is 0."""
        course, inflow, release = self._parts(inputs)
        parts = {"change_10d": course, "inflow": inflow, "release": release}
        told = {f"{BALANCE}{name}": part for name, part in parts.items() if f"{BALANCE}{name}" in inputs.columns}
        return pl.DataFrame({**told, BASE: np.zeros(len(inputs))})

    def _parts(self, inputs: pl.DataFrame) -> tuple[Array, Array, Array]:
        """What goes on as in the last 10 days, what the inflow adds to it, and what the release does."""
        flows, days = self._flows(inputs), self.lead_time
        error = flows.usual_change - self.factor_ * flows.usual_expected
        usual = flows.usual_inflow - flows.usual_release
        course = days * (self.factor_ * usual + self.persistence_ * error)
        slow = inputs["median_change_30d"].cast(pl.Float64).fill_null(0.0).to_numpy()
        drawn = np.isfinite(course)
        # daily means: of the day after, half lies with today's inflow and half with tomorrow's
        left = self.recession_ ** np.arange(days + 1)
        lasting = float((left[:-1] + left[1:]).sum() / 2)
        inflow = self.factor_ * lasting * (flows.inflow - flows.usual_inflow)
        release = -self.factor_ * days * (flows.release - flows.usual_release)
        # a flow that is not known today adds nothing to the median of the last 10 days
        return (
            np.where(drawn, course, days * slow),
            np.where(drawn & np.isfinite(inflow), inflow, 0.0),
            np.where(drawn & np.isfinite(release), release, 0.0),
        )

    def _flows(self, inputs: pl.DataFrame) -> _Flows:
        def column(name: str) -> Array:
            if BALANCE + name not in inputs.columns:
                return np.zeros(len(inputs))
            return inputs[BALANCE + name].cast(pl.Float64).to_numpy()

        pairs = (column(name + end) for name in ("inflow", "release", "expected", "change") for end in ("", "_10d"))
        return _Flows(*pairs)
