"""Scenarios: the level if so much rain falls in the coming days. A scenario is no forecast: its rain is given.

`ScenarioDay` has all that one init date knows, as plain tables, arrays and fitted models. An answer takes a fraction of
a second, and it depends on nothing else. More rain on any day never gives a lower level or a lower probability, and
more release never a higher one (decision 25).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.features.forcings import flow_sum, rain_inputs
from forebay.features.full_supply import FullSupply
from forebay.features.known_ahead import PERFECT_RAIN, RELEASE_STEP, is_past_rain
from forebay.models.blend import weighted_sum
from forebay.models.exceedance import Probabilities, shares
from forebay.models.paths import LEVELS
from forebay.models.rain_rise import PROBABILITIES, Response, limited, unresponded
from forebay.models.response import respond
from forebay.tables import REFERENCES

if TYPE_CHECKING:
    from forebay.features.input_range import InputRange
    from forebay.models.model import Array, Model

Wetness: TypeAlias = Literal["dry", "current", "wet"]
WETNESS: tuple[Wetness, ...] = ("dry", "current", "wet")
"""Wetness of the catchment before the scenario: the .1 quantile of its past, as it is today, the .9 quantile."""
WETNESS_QUANTILES = {"dry": 0.1, "wet": 0.9}


@dataclass(frozen=True)
class Scenario:
    """Rain of the coming days, and what else is given.

    Attributes
    ----------
    name
        For tables and legends.
    rain
        Mean rain of the catchment (mm) on the day after the init date and on each later day; the other days are dry.
    wetness
        Of the catchment before.
    release
        Release (m³/s) on the day after the init date and on each later day; the last value continues. Empty: unknown.
    """

    name: str
    rain: tuple[float, ...]
    wetness: Wetness = "current"
    release: tuple[float, ...] = ()


@dataclass(frozen=True)
class Releases:
    """What a planned release changes.

    today: release of the init date (m³/s). per_flow: change of the target per day by 1 m³/s. today_share: share of
    today's flow that comes after the reading of the level. largest: the largest release of the record.
    """

    today: float
    per_flow: float
    today_share: float
    largest: float


@dataclass(frozen=True)
class LeadKnowledge:
    """What the init date knows at one lead time.

    Attributes
    ----------
    models
        Name → fitted model.
    weights
        Name → its weight in the blend.
    input_range
        Range of the inputs in training.
    forcing_inputs
        The dam's other plans for these days, one row.
    shift, unit
        Correction of a quiet day; typical error.
    offsets
        Quantiles of the scaled errors for `PROBABILITIES`, shape (k,).
    limits
        Lowest and highest possible level.
    full_supply
        Full supply of the valid date as known on the init date; NaN where it is unknown.
    largest_rain, largest_rain_from
        The largest rain of so many days in training (mm), and its first day.
    """

    models: Mapping[str, Model]
    weights: Mapping[str, float]
    input_range: InputRange
    forcing_inputs: pl.DataFrame
    shift: float
    unit: float
    offsets: Array
    limits: tuple[float, float]
    full_supply: float
    largest_rain: float
    largest_rain_from: date


@dataclass(frozen=True)
class ScenarioDay:
    """All that scenarios of one dam and init date need.

    Attributes
    ----------
    init_date, level
        The init date and its level, in the target's unit.
    inputs
        Inputs of the init date, a row for each of `WETNESS`.
    leads
        Lead time in days → what is known at it, rising.
    response
        Weights of the responses near full supply.
    ranks
        Order of the members of the sample paths, shape (leads, members).
    resolution
        Step of the readings; 0 without one.
    margin
        `near_full_margin`; NaN without full supply.
    releases
        None where no release is given to the models.
    withheld
        Whether the level is on a datum that the dam file does not state: no threshold can be compared with it.
    """

    init_date: date
    level: float
    inputs: pl.DataFrame
    leads: Mapping[int, LeadKnowledge]
    response: Response
    ranks: NDArray[np.intp]
    resolution: float
    margin: float
    releases: Releases | None = None
    withheld: bool = False

    def answer(self, scenarios: Sequence[Scenario]) -> Answers:
        """Levels of all `scenarios`, which are computed together."""
        dry = [Scenario("", (), scenario.wetness, scenario.release) for scenario in scenarios]
        changes = self._unlimited([*scenarios, *dry])
        count, start = len(scenarios), self.level
        known = list(self.leads.values())

        def rows(values: Sequence[float] | Sequence[Array]) -> Array:
            """The values of all lead times, once for each scenario."""
            return np.repeat(np.asarray(values, float)[None], count, axis=0)

        quantiles = unresponded(
            changes[count:],
            changes[:count],
            rows([lead.offsets for lead in known]),
            rows([lead.unit for lead in known]),
            np.full(count, self.resolution),
        )
        median = self._responded(changes[:count, :, None], self.response.median)
        quantiles = self._responded(quantiles, self.response.quantiles)
        low, high = (rows([lead.limits[end] - start for lead in known]) for end in (0, 1))
        return Answers(self, tuple(scenarios), start + limited(quantiles, median, low, high))

    def _unlimited(self, scenarios: Sequence[Scenario]) -> Array:
        """Blended changes before the response, shape (scenarios, leads)."""
        rain = self._daily([scenario.rain for scenario in scenarios])
        rows = self.inputs[[WETNESS.index(scenario.wetness) for scenario in scenarios]]
        columns = []
        for lead, known in self.leads.items():
            ahead = pl.DataFrame(rain_inputs(rain, PERFECT_RAIN, rows, lead))
            plans = known.forcing_inputs[[0] * len(rows)]
            inputs = rows.hstack(plans).hstack(ahead).hstack(self._step(scenarios, lead))
            winsorised = known.input_range.winsorised(inputs).with_columns(
                inputs[name] for name in inputs.columns if name == RELEASE_STEP
            )
            changes = {
                name: model.predict(inputs if name in REFERENCES else winsorised)
                for name, model in known.models.items()
            }
            columns.append(weighted_sum(known.weights, changes) + known.shift)
        return np.stack(columns, axis=1)

    def _daily(self, values: Sequence[Sequence[float]]) -> Array:
        """Values of each scenario on each day up to the longest lead time, 0 on further days, shape (n, days)."""
        daily = np.zeros((len(values), max(self.leads)))
        for row, series in enumerate(values):
            daily[row, : len(series)] = series
        return daily

    def _step(self, scenarios: Sequence[Scenario], lead: int) -> pl.DataFrame:
        """The input of a known release at a lead time; no column where no release is given to the models."""
        if self.releases is None:
            return pl.DataFrame()
        known = self.releases
        daily = np.full((len(scenarios), lead + 1), known.today)
        for row, scenario in enumerate(scenarios):
            planned = np.asarray(scenario.release or [known.today], float)
            daily[row, 1:] = planned[np.minimum(np.arange(lead), len(planned) - 1)]
        additional = flow_sum(daily, known.today_share, lead) - lead * known.today
        return pl.DataFrame({RELEASE_STEP: -known.per_flow * additional})

    def _responded(self, changes: Array, weights: Array | None) -> Array:
        """`changes` (n, leads, k) after the response near full supply."""
        if weights is None:
            return changes
        count = len(changes)
        ahead = {lead: np.full(count, known.full_supply) for lead, known in self.leads.items()}
        full = FullSupply(np.full(count, np.nan), np.full(count, self.margin), np.zeros(count, int), ahead)
        return respond(changes, np.full(count, self.level), full, weights, leads=list(self.leads))


@dataclass(frozen=True)
class Answers:
    """The levels of scenarios.

    Attributes
    ----------
    day, scenarios
        The init date, and the scenarios.
    quantiles
        Levels for `PROBABILITIES`, shape (scenarios, leads, k).
    """

    day: ScenarioDay
    scenarios: tuple[Scenario, ...]
    quantiles: Array = field(repr=False)

    def levels(self, probabilities: Sequence[float]) -> Array:
        """Levels at some of `PROBABILITIES`, shape (scenarios, leads, probabilities)."""
        return np.asarray(self.quantiles[:, :, np.searchsorted(PROBABILITIES, np.round(probabilities, 9))])

    @property
    def paths(self) -> Array:
        """Levels of the sample paths, shape (scenarios, leads, members)."""
        members = self.levels(LEVELS.tolist())
        order = np.broadcast_to(self.day.ranks, members.shape)
        return np.take_along_axis(members, order, axis=2)

    def probabilities(self, threshold: Array) -> Probabilities:
        """Shares of the paths at or above a threshold, on each day and by it, shape (scenarios, leads).

        Parameters
        ----------
        threshold
            On each valid date, shape (leads,).
        """
        return shares(self.paths, np.broadcast_to(threshold, self.quantiles.shape[:2]), "above")


def wetness_rows(inputs: pl.DataFrame) -> pl.DataFrame:
    """The last row of `inputs` with a dry, the current and a wet catchment, in the order of `WETNESS`.

    Dry and wet replace each input from past rain by a quantile of its values so far. Streams, season and level remain.
    """
    names = [name for name in inputs.columns if is_past_rain(name)]
    today = inputs.tail(1)
    rows = {
        wetness: today.with_columns(
            inputs.select(pl.col(names).cast(pl.Float64).fill_nan(None).quantile(share, "linear"))
        )
        for wetness, share in WETNESS_QUANTILES.items()
    }
    kinds = {name: pl.Float64 for name in names}
    return pl.concat([rows.get(wetness, today).cast(kinds) for wetness in WETNESS])  # type: ignore[arg-type]  # polars: a dict of column types
