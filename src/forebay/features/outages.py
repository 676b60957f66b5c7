"""Days on which the level or all drivers are missing, and simulated outages, which hide values that exist.

Where the level is missing, a forecast starts from the last level, and its inputs come from an extension of that level.
Too few real outages exist to estimate the errors of such forecasts. Simulated outages hide the values of every other
30 days of the record; the outcome of nearly all of these days is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.features.inputs import build_inputs
from forebay.features.level_change import DAMPING, OLDEST_LEVEL_DAYS, change_per_day

if TYPE_CHECKING:
    from forebay.dams.dam import Dam

SIMULATED_OUTAGE_DAYS = 30
"""Length of a simulated outage in days, and days between two of them."""


@dataclass(frozen=True)
class HiddenValues:
    """A mask of a daily table: the columns whose values are hidden, and whether on each day, shape (n,)."""

    columns: tuple[str, ...]
    days: NDArray[np.bool_]


@dataclass(frozen=True)
class SimulatedOutage:
    """Days of one kind of outage, and what would have been known on the hidden days of a simulation of that kind.

    Attributes
    ----------
    days
        Whether each day has a real outage of this kind, shape (n,), as the others.
    inputs
        Inputs under the simulation, n rows; only rows with an age above 0 are used.
    start_level
        Level that a forecast starts from under the simulation; NaN where there is none.
    level_age, drivers_age
        Days since the last value that the simulation leaves; 0 where nothing is hidden.
    forcing_inputs
        Lead time → forecast and planned inputs under the simulation; empty without forcings.
    """

    days: NDArray[np.bool_]
    inputs: pl.DataFrame
    start_level: NDArray[np.float64]
    level_age: NDArray[np.intp]
    drivers_age: NDArray[np.intp]
    forcing_inputs: Mapping[int, pl.DataFrame] = field(default_factory=dict)

    def inputs_at(self, lead_time: int) -> pl.DataFrame:
        """The inputs of models at one lead time."""
        return self.inputs.hstack(self.forcing_inputs[lead_time]) if lead_time in self.forcing_inputs else self.inputs

    @property
    def rows(self) -> NDArray[np.intp]:
        """Indices of the days on which the simulation hides values."""
        return np.flatnonzero((self.level_age > 0) | (self.drivers_age > 0))


@dataclass(frozen=True)
class Outages:
    """The outages of each day, and a simulation of each kind of outage that occurs.

    Attributes
    ----------
    start_level
        The level that a forecast starts from: the day's own or the last one; NaN where there is none or it is too old.
    level_age
        Days since that level; 0 where it is the day's own.
    drivers_age
        Days since the last value of any driver; 0 where the day has one.
    simulated
        Kind of outage (level, drivers, both) → its simulation.
    """

    start_level: NDArray[np.float64]
    level_age: NDArray[np.intp]
    drivers_age: NDArray[np.intp]
    simulated: Mapping[str, SimulatedOutage] = field(default_factory=dict)


def build_extended_inputs(daily: pl.DataFrame, dam: Dam) -> pl.DataFrame:
    """`build_inputs` from a level that is extended where it is missing, with `start_level` and `level_age`.

    The extension continues the last change, damped by `DAMPING` a day; `start_level` is null more than
    `OLDEST_LEVEL_DAYS` after the last level. The extension is no forecast: the models forecast the change of each
    missing day from rain and flows.
    """
    level, row = pl.col(dam.target.variable).cast(pl.Float64), pl.int_range(pl.len())
    last_row = pl.when(level.is_not_null()).then(row).forward_fill()
    last = daily.select(start_level=level.forward_fill(limit=OLDEST_LEVEL_DAYS), level_age=row - last_row)
    change = change_per_day(daily, dam.target.variable).forward_fill().fill_null(0.0)
    # Sum of a geometric series: change · (DAMPING + DAMPING² + … + DAMPING^age)
    growth = DAMPING * (1 - DAMPING ** last["level_age"]) / (1 - DAMPING) * change
    extended = daily[dam.target.variable].fill_null(last["start_level"] + growth)
    inputs = build_inputs(daily.with_columns(extended.alias(dam.target.variable)), dam)
    return inputs.with_columns(last["start_level"], last["level_age"])


def fill_level_outages(inputs: pl.DataFrame, extended: pl.DataFrame, missing: NDArray[np.bool_]) -> pl.DataFrame:
    """`inputs`, on the days with a `missing` level from `extended` (`build_extended_inputs`)."""
    return extended.select(
        pl.when(pl.Series(missing)).then(pl.col(name)).otherwise(inputs[name]).alias(name) for name in inputs.columns
    )


def outages_of(
    inputs: pl.DataFrame, dam: Dam, *, level: NDArray[np.float64], extended: pl.DataFrame | None
) -> Outages:
    """The outages of each day, without simulations.

    Parameters
    ----------
    inputs
        Inputs of each day, from the level as it is.
    level
        The level that each day's forecast may start from, as known on the day; NaN where missing.
    extended
        `build_extended_inputs` of each day; None if no level is missing.
    """
    if extended is None:
        return Outages(level, np.zeros(len(level), int), drivers_age(inputs, dam))
    missing = np.isnan(level)
    age = extended["level_age"].fill_null(0).to_numpy().astype(int)
    return Outages(
        start_level=np.where(missing, extended["start_level"].to_numpy(), level),
        level_age=np.where(missing, np.maximum(1, age), 0),
        drivers_age=drivers_age(inputs, dam),
    )


def drivers_age(inputs: pl.DataFrame, dam: Dam) -> NDArray[np.intp]:
    """Days since the last value of any driver (its rain, else its flows); 0 on a day with one and before the first."""
    columns = driver_inputs(inputs.columns, dam)
    if not columns:
        return np.zeros(len(inputs), int)
    return days_since(inputs.select(pl.any_horizontal(pl.col(columns).is_not_null())).to_series().to_numpy())


def driver_inputs(names: Sequence[str], dam: Dam) -> list[str]:
    """Those of the inputs `names` of which a day without an outage of drivers has at least one: rain, else flows."""
    return ["rain_lag0"] if "rain_lag0" in names else [gauge.column for gauge in dam.gauges if gauge.column in names]


def days_since(observed: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Days since the last observed day, shape (n,); 0 before the first."""
    day = np.arange(len(observed))
    last = np.maximum.accumulate(np.where(observed, day, -1))
    return np.where(last >= 0, day - last, 0)


def outage_days(outages: Outages) -> dict[str, NDArray[np.bool_]]:
    """Kind of outage (level, drivers, both) → its days, shape (n,); without kinds that do not occur."""
    level, drivers = outages.level_age > 0, outages.drivers_age > 0
    kinds = {"level": level & ~drivers, "drivers": ~level & drivers, "both": level & drivers}
    return {kind: days for kind, days in kinds.items() if days.any()}


def hidden_values(kind: str, dam: Dam, days: int) -> HiddenValues:
    """The values that a simulation of an outage of `kind` hides in a table of so many `days`: every other 30 days."""
    drivers = tuple(gauge.column for gauge in dam.gauges if gauge.role != "target")
    level = (dam.target.variable,)
    columns = {"level": level, "drivers": drivers, "both": level + drivers}[kind]
    return HiddenValues(columns, np.arange(days) // SIMULATED_OUTAGE_DAYS % 2 == 1)


def simulated_outage(
    kind: str, extended: pl.DataFrame, outages: Outages, dam: Dam, *, hidden: HiddenValues
) -> SimulatedOutage:
    """The simulation of an outage of `kind`, without `forcing_inputs`.

    Parameters
    ----------
    extended
        `build_extended_inputs` of each day without the `hidden` values.
    outages
        The real outages.
    """
    level_age = extended["level_age"].fill_null(0).to_numpy().astype(int)
    age = drivers_age(extended, dam)  # includes real outages, where they are longer
    start_level = extended["start_level"].to_numpy().copy()
    # A simulated outage of level or drivers on a day on which the second is really missing is of another kind
    second_age = {"level": outages.drivers_age, "drivers": outages.level_age}.get(kind)
    if second_age is not None:
        start_level[second_age > 0] = np.nan
    return SimulatedOutage(
        days=outage_days(outages)[kind],
        inputs=extended.drop("date", "start_level", "level_age"),
        start_level=start_level,
        level_age=np.where(hidden.days & (kind != "drivers"), level_age, 0),
        drivers_age=np.where((age > outages.drivers_age) & (kind != "level"), age, 0),
    )
