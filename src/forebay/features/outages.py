"""Days on which the level, or all that drives it, is silent; and drills, in which it is taken for silent.

When the level is silent a forecast starts from the last good one, and its inputs are made from a level that went on
from there. How much worse such forecasts are can hardly be told from the few of them: so drills take spells of days as
if they had been silent, and what came is known of nearly all of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.dams.dam import Dam
from forebay.features.inputs import build_inputs

OLDEST_LEVEL_DAYS = 30
"""A forecast starts from no level that is older than this."""
DAMPING = 0.9
"""Share of the last daily change that is left a day later, where the level goes on unseen."""
SIMULATED_OUTAGE_DAYS = 30
"""Days that a drill lasts, and days between two of them."""

Build = Callable[[pl.DataFrame, Dam], pl.DataFrame]
Made = Callable[..., pl.DataFrame]
"""What makes a row for each day by a `Build`, the values of some columns hidden on the days chosen."""
Told = Callable[[pl.DataFrame, NDArray[np.bool_]], Mapping[int, pl.DataFrame]]
"""What gives, per lead time, the inputs that tell of the days to come, from the others and the days without a level."""


@dataclass(frozen=True)
class SimulatedOutage:
    """Days of one kind of silence, and what would have been known on others had they been of that kind.

    Attributes
    ----------
    days
        Whether each day is silent in this way, shape (n,), as the others.
    inputs
        What was known in the drills; n rows, of which those with an age count.
    start
        Level that a forecast starts from in the drills; NaN where there is none.
    level_age, drivers_age
        Days since what the drills hide last spoke; 0 where nothing is hidden.
    ahead
        Lead time → inputs that tell of the days to come, as in the drills; empty without forcings.
    """

    days: NDArray[np.bool_]
    inputs: pl.DataFrame
    start_level: NDArray[np.float64]
    level_age: NDArray[np.intp]
    drivers_age: NDArray[np.intp]
    ahead: Mapping[int, pl.DataFrame]

    def inputs_at(self, lead_time: int) -> pl.DataFrame:
        """The inputs of models at one lead time."""
        return self.inputs.hstack(self.ahead[lead_time]) if lead_time in self.ahead else self.inputs

    @property
    def rows(self) -> NDArray[np.intp]:
        """Days that the drills take for silent."""
        return np.flatnonzero((self.level_age > 0) | (self.drivers_age > 0))


@dataclass(frozen=True)
class Outages:
    """What is silent on each day, shape (n,) each, and the drills of each kind of silence that there is.

    start: the level that a forecast starts from, the day's own or the last good one, NaN where there is none or it is
    too old; level_age: days since that level, 0 where it is the day's own; drivers_age: days since the drivers last
    spoke, 0 where one does.
    """

    start_level: NDArray[np.float64]
    level_age: NDArray[np.intp]
    drivers_age: NDArray[np.intp]
    simulated: dict[str, SimulatedOutage]


def find_outages(
    made: Made, inputs: pl.DataFrame, dam: Dam, *, own_level: NDArray[np.float64], told: Told
) -> tuple[pl.DataFrame, Outages]:
    """`inputs`, on days without a level from one that goes on, and what is silent on each day.

    Parameters
    ----------
    own_level
        The level that each day's forecast may start from, as known then; NaN where there is none.
    told
        What gives the inputs of the days to come.
    """
    start, level_age, silent = own_level, np.zeros(len(inputs), int), _drivers_age(inputs, dam)
    unseen = np.isnan(own_level)
    if unseen.any():
        seen = made(build_with_extended_level)
        age = seen["level_age"].fill_null(0).to_numpy().astype(int)
        level_age = np.where(unseen, np.maximum(1, age), 0)
        start = np.where(unseen, seen["start"].to_numpy(), own_level)
        inputs = seen.select(
            pl.when(pl.Series(unseen)).then(pl.col(c)).otherwise(inputs[c]).alias(c) for c in inputs.columns
        )
    simulated = simulate_outages(made, dam, told, level_age=level_age, drivers_age=silent)
    return inputs, Outages(start, level_age, silent, simulated)


def build_with_extended_level(daily: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """The inputs of `build_inputs`, made from a level that goes on where it is silent; `start` and `level_age`.

    From the last level on its last change goes on and fades by `DAMPING` a day, for `OLDEST_LEVEL_DAYS` days. That is
    no forecast: rain and rivers come in with the models, which forecast the change of each silent day.
    """
    level, row = pl.col(dam.target.variable).cast(pl.Float64), pl.int_range(pl.len())
    last = pl.when(level.is_not_null()).then(row).forward_fill()
    told = daily.select(
        start=level.forward_fill(limit=OLDEST_LEVEL_DAYS),
        age=row - last,
        change=level.diff().forward_fill().fill_null(0.0),
    )
    gone = DAMPING * (1 - DAMPING ** told["age"]) / (1 - DAMPING) * told["change"]
    course = daily[dam.target.variable].fill_null(told["start"] + gone)
    made = build_inputs(daily.with_columns(course.alias(dam.target.variable)), dam)
    return made.with_columns(told["start"], told["age"].alias("level_age"))


def _drivers_age(inputs: pl.DataFrame, dam: Dam) -> NDArray[np.intp]:
    """Days since the dam's drivers last spoke, 0 where one does and before the first: its rain, else its flows."""
    flows = [g.column for g in dam.gauges if g.column in inputs.columns]
    columns = ["rain_lag0"] if "rain_lag0" in inputs.columns else flows
    if not columns:
        return np.zeros(len(inputs), int)
    return days_since(inputs.select(pl.any_horizontal(pl.col(columns).is_not_null())).to_series().to_numpy())


def days_since(speaks: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Days since the last day on which it spoke; 0 before the first."""
    day = np.arange(len(speaks))
    last = np.maximum.accumulate(np.where(speaks, day, -1))
    return np.where(last >= 0, day - last, 0)


def simulate_outages(
    made: Made, dam: Dam, told: Told, *, level_age: NDArray[np.intp], drivers_age: NDArray[np.intp]
) -> dict[str, SimulatedOutage]:
    """The drills of each kind of silence that there is: of the level, the drivers, or both."""
    hidden = np.arange(len(level_age)) // SIMULATED_OUTAGE_DAYS % 2 == 1
    drivers = tuple(gauge.column for gauge in dam.gauges if gauge.role != "target")
    level = (dam.target.variable,)
    kinds = {
        "level": (level, (level_age > 0) & (drivers_age == 0)),
        "drivers": (drivers, (level_age == 0) & (drivers_age > 0)),
        "both": (level + drivers, (level_age > 0) & (drivers_age > 0)),
    }
    found = {}
    for kind, (columns, days) in kinds.items():
        if days.any():
            rows = made(build_with_extended_level, pl.Series(hidden), columns)
            since = rows["level_age"].fill_null(0).to_numpy().astype(int)
            hushed = _drivers_age(rows, dam)  # as old as in the drill, or as they really are where that is older
            drill = SimulatedOutage(
                days=days,
                inputs=rows.drop("date", "start", "level_age"),
                start_level=rows["start"].to_numpy().copy(),
                level_age=np.where(hidden & (kind != "drivers"), since, 0),
                drivers_age=np.where((hushed > drivers_age) & (kind != "level"), hushed, 0),
                ahead={},
            )
            found[kind] = replace(drill, ahead=told(rows, drill.level_age > 0))
            # a drill of one that falls on a real silence of the other is of another kind
            elsewise = {"level": drivers_age, "drivers": level_age}.get(kind)
            if elsewise is not None:
                found[kind].start_level[elsewise > 0] = np.nan
    return found
