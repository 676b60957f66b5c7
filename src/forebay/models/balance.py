"""A water balance with error correction, for dams whose inflow or release is gauged."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import polars as pl

from forebay.errors import ModelError
from forebay.features.inputs import BALANCE
from forebay.models.model import BASELINE, Array
from forebay.models.references import MIN_MOVED, least_error_factor
from forebay.models.regression import MIN_ROWS

SHARES = tuple(float(share) for share in np.round(np.arange(0.0, 1.001, 0.05), 2))
"""Values tried for the recession, the persistence and the memory."""


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


class _Parts(NamedTuple):
    """What is summed up, shape (n,) each; nothing in it is unknown."""

    course: Array
    inflow: Array
    release: Array
    error: Array


class Balance:
    """Change = k · (inflow − release) + what the gauges do not see, summed over the days to come.

    Of the last 10 days: their balance, k · (median inflow − median release), plus its error, median change − k · median
    of what the flows said, goes on with a factor p. On top of it the inflow's excess over its median recedes by a
    factor r a day, the release keeps its excess or goes by its plan where there is one, and what the last day's error
    differs from the median fades by a factor m a day. k turns flow into change: near 1 where a storage curve or a
    volume stands behind it, else whatever the past tells. Where less than 5 of the last 10 days have both flows and
    changes no balance can be drawn, and the median change of 30 days goes on in its place.

    Attributes
    ----------
    factor_, persistence_, recession_, memory_
        k, p, r and m; all by least absolute error on the past.
    """

    def __init__(self, lead_time: int) -> None:
        self.lead_time = lead_time

    def fit(self, inputs: pl.DataFrame, target: Array) -> Self:
        """Learn the factors; `ModelError` without flows, or with too few past days of them."""
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
        self.factor_ = max(0.0, least_error_factor(said[moved], came[moved]))
        self.persistence_, self.recession_, self.memory_ = self._tuned(self._parts(inputs), target)
        return self

    def _tuned(self, parts: _Parts, target: Array) -> tuple[float, ...]:
        """p, r and m: one after the other the best of `SHARES`, from 1, 0.5, 0, twice over."""
        chosen = [1.0, 0.5, 0.0]
        for turn in (0, 1, 2) * 2:
            cost = {}
            for share in SHARES:
                trial = (*chosen[:turn], share, *chosen[turn + 1 :])
                cost[share] = float(np.abs(target - sum(self._weighed(parts, *trial))).sum())
            # to nine digits: in which order the days are summed must not decide
            chosen[turn] = min(cost, key=lambda share: (float(f"{cost[share]:.9g}"), share))
        return tuple(chosen)

    def predict(self, inputs: pl.DataFrame) -> Array:
        """The expected change of each row."""
        return np.asarray(sum(self._contributed(inputs)), float)

    def contributions(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """What the last 10 days brought, what inflow and release differ from theirs, the last error; the base is 0."""
        parts = self._contributed(inputs)._asdict()
        names = {"course": "change_10d", "inflow": "inflow", "release": "release", "error": "change"}
        told = {BALANCE + name: parts[part] for part, name in names.items() if BALANCE + name in inputs.columns}
        return pl.DataFrame({**told, BASELINE: np.zeros(len(inputs))})

    def _contributed(self, inputs: pl.DataFrame) -> _Parts:
        return self._weighed(self._parts(inputs), self.persistence_, self.recession_, self.memory_)

    def _weighed(self, parts: _Parts, persistence: float, recession: float, memory: float) -> _Parts:
        """Daily parts summed over the lead."""
        days = self.lead_time
        left = recession ** np.arange(days + 1)
        # daily means lie half a day back: the change to tomorrow is half today's inflow and half tomorrow's
        receding = float((left[:-1] + left[1:]).sum() / 2)
        fading = float((memory ** np.arange(1, days + 1)).sum())
        return _Parts(
            persistence * days * parts.course, receding * parts.inflow, days * parts.release, fading * parts.error
        )

    def _parts(self, inputs: pl.DataFrame) -> _Parts:
        """Change a day from each part."""
        flows, factor = self._flows(inputs), self.factor_
        usual_error = flows.usual_change - factor * flows.usual_expected
        course = factor * (flows.usual_inflow - flows.usual_release) + usual_error
        drawn = np.isfinite(course)
        slow = inputs["median_change_30d"].cast(pl.Float64).fill_null(0.0).to_numpy()

        def known(part: Array) -> Array:
            """A flow or change that is not known today adds nothing to the medians."""
            return np.where(drawn & np.isfinite(part), part, 0.0)

        return _Parts(
            np.where(drawn, course, slow),
            known(factor * (flows.inflow - flows.usual_inflow)),
            known(-factor * (flows.release - flows.usual_release)),
            known(flows.change - factor * flows.expected - usual_error),
        )

    def _flows(self, inputs: pl.DataFrame) -> _Flows:
        def column(name: str) -> Array:
            if BALANCE + name not in inputs.columns:
                return np.zeros(len(inputs))
            return inputs[BALANCE + name].cast(pl.Float64).to_numpy()

        release = column("release")
        if BALANCE + "release_ahead" in inputs.columns:
            planned = column("release_ahead")
            release = np.where(np.isfinite(planned), planned, release)
        pairs = (column(name + end) for name in ("inflow", "release", "expected", "change") for end in ("", "_10d"))
        return _Flows(*pairs)
