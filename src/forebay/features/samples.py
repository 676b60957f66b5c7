"""The samples that models learn from and are verified on: inputs, levels and regimes of every init date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.days.daily import usable_values
from forebay.errors import DataError
from forebay.features.day_values import day_columns, days_since
from forebay.features.flow_days import check_flow_days
from forebay.features.forcings import days_with_forecasts, forcing_inputs
from forebay.features.full_supply import FullSupply, full_supply_of, full_supply_regimes
from forebay.features.known_inputs import (
    ScreenedDaily,
    excluded_days,
    extended_inputs_as_known,
    inputs_as_known,
    screen_versions,
    substitutions_as_known,
)
from forebay.features.limits import Limits, hard_limits
from forebay.features.outages import (
    Outages,
    fill_level_outages,
    hidden_values,
    outage_days,
    outages_of,
    simulated_outage,
)
from forebay.features.reading_pattern import resolution_by_day
from forebay.features.scale_free import LevelRecord, scale_free_inputs
from forebay.features.substitutes import SUBSTITUTIONS
from forebay.log import add_counts, step
from forebay.metrics import quantile_so_far
from forebay.screen.flags import FLAGS, VALID_REASONS, daily_known_after
from forebay.tables import FORCINGS, flag_of

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.features.daily_tables import DailyTables

WET_MM, DRY_MM = 15.0, 1.0
"""Catchment rain of three days, in mm, above which a day is wet and below which it is dry."""
STEEP, MIN_RISES = 0.9, 100
"""Quantile of a flow's past rises above which a rise is steep, and the number of rises from which on it is known."""
NOT_BY_DAY = ("suspect_reason", "newest_flags", "withheld_from", "substitutions")
"""Attributes of `Samples` that describe the last day, or the inputs for readers; every other one has a value per day,
or one for all days."""
NO_VALUE_FLAGS = ("unavailable", "absent", "sentinel", "range", "incomplete")
"""Flags of days without a verification target: coded missing, or outside the variable's plausible range. The program's
own screen never removes a target."""


@dataclass(frozen=True)
class Samples:
    """One entry per consecutive day d, from the first day of the record to the last init date.

    Attributes
    ----------
    dates
        The days, `datetime64[D]`, shape (n,).
    inputs
        What was known at the end of each day; n rows.
    level
        The usable target as known on the day, in the dam's unit; NaN where missing. Forecasts start from it.
    trusted
        `level` without the days that the dam file excludes from verification and without values that the screen flags
        on their own day; NaN where missing. Models and intervals learn from it.
    observed
        The newest version of the target, unscreened: forecasts are verified against it. NaN where it is missing or the
        dam file excludes the day from verification.
    regimes
        Regime name → whether each day belongs to it, as known at init; without regimes that the gauges cannot show.
    forcing_inputs
        Lead time → forecast and planned inputs, as issued by the end of each day; empty without forcings.
    outages
        The days on which level or drivers are missing; None where they were not determined.
    suspect_reason
        Reason of the flag on the last day's level (`screen.flags.REASONS`), None without a flag. The forecast then
        starts from an earlier level, unless the reason is `stuck`. So does the forecast of each past day.
    suspect_level
        Level of each day that is suspect at the day's end, so that the forecast starts from an earlier one; otherwise
        NaN. The interval includes it. None where it was not determined.
    newest_flags
        `screen.flags.FLAGS` of the newest versions.
    withheld_from
        First day of a datum that the dam file does not state, as known at the last day's end; None if there is none.
    resolution
        Step of the published readings as known on each day, in the dam's unit, 0 without one; None where it was not
        determined.
    full_supply
        Full supply of each day and what is known of levels above it; None without a full supply level.
    limits
        Lead time → lowest and highest possible level (`features.limits`). No forecast leaves them.
    possible
        Lowest and highest value that exists for the variable (`Variable.possible`), in the target's unit.
    withheld
        Whether each day lies on such a datum, as known at its end; None where it was not determined.
    substitutions
        `substitutes.SUBSTITUTIONS`: init dates on which a gauge's newest input is an estimate from its substitute.
    """

    dates: NDArray[np.datetime64]
    inputs: pl.DataFrame
    level: NDArray[np.float64]
    trusted: NDArray[np.float64]
    observed: NDArray[np.float64]
    regimes: dict[str, NDArray[np.bool_]]
    forcing_inputs: Mapping[int, pl.DataFrame] = field(default_factory=dict)
    outages: Outages | None = None
    suspect_reason: str | None = None
    suspect_level: NDArray[np.float64] | None = None
    newest_flags: pl.DataFrame = field(default_factory=FLAGS.empty)
    withheld_from: date | None = None
    withheld: NDArray[np.bool_] | None = None
    substitutions: pl.DataFrame = field(default_factory=SUBSTITUTIONS.empty)
    resolution: NDArray[np.float64] | None = None
    full_supply: FullSupply | None = None
    limits: Limits = field(default_factory=dict)
    possible: tuple[float, float] = (-np.inf, np.inf)

    def inputs_at(self, lead_time: int) -> pl.DataFrame:
        """The inputs of models at one lead time: what was known, and what was forecast or planned."""
        return self.inputs.hstack(self.forcing_inputs[lead_time]) if lead_time in self.forcing_inputs else self.inputs

    @property
    def start_level(self) -> NDArray[np.float64]:
        """The level that each day's forecast starts from: the day's own or the last one; NaN where there is none."""
        return self.level if self.outages is None else self.outages.start_level

    @property
    def level_age(self) -> NDArray[np.intp]:
        """Days since the level that each day's forecast starts from; 0 where it is the day's own."""
        return np.zeros(len(self.dates), int) if self.outages is None else self.outages.level_age

    def has_forecasts(self, lead_time: int) -> NDArray[np.bool_]:
        """Whether every forcing has a value for each day up to the lead time, shape (n,); False without forcings."""
        if lead_time not in self.forcing_inputs:
            return np.zeros(len(self.dates), bool)
        return days_with_forecasts(self.forcing_inputs[lead_time])

    def observed_change(self, lead_time: int) -> NDArray[np.float64]:
        """Observed change from init to valid date, shape (n,); NaN where either level is missing.

        Where the init date has no level, or a suspect one, the change is from `start_level`.
        """
        from_start = _difference(self.start_level, self.observed, lead_time)
        return np.where(self.level_age > 0, from_start, self.change(self.observed, lead_time))

    @property
    def level_missing(self) -> NDArray[np.bool_]:
        """Whether each day has no level; a suspect level, from which no forecast starts, is not missing."""
        return np.asarray((self.level_age > 0) & np.isnan(self.level))

    def change(self, level: NDArray[np.float64], lead_time: int) -> NDArray[np.float64]:
        """level(d + lead_time) − level(d) per day, shape (n,); NaN where either is missing."""
        return _difference(level, level, lead_time)

    def changes(self, level: NDArray[np.float64], leads: Sequence[int]) -> NDArray[np.float64]:
        """`change` at each lead time, shape (n, leads)."""
        return np.stack([self.change(level, lead) for lead in leads], axis=1)

    def since(self, begin: int) -> Samples:
        """The samples without their first `begin` days."""
        by_day = (item.name for item in fields(self) if item.name not in NOT_BY_DAY)
        later = {name: days_since(getattr(self, name), begin) for name in by_day} if begin else {}
        return replace(self, **later)

    def columns_by_day(self, leads: Sequence[int]) -> dict[str, NDArray[np.float64]]:
        """Name → value of each day, of every array and table but those `NOT_BY_DAY`.

        In place of `observed` it has the observed changes at `leads`, which belong to their init date.
        """
        observed = {lead: self.observed_change(lead) for lead in leads}
        by_day = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in NOT_BY_DAY}
        del by_day["observed"]
        return dict(day_columns(by_day | {"observed_change": observed}, len(self.dates)))

    def position(self, day: object) -> int:
        """Index of `day` (date or datetime64), clipped to 0 … n."""
        return int(np.clip((np.datetime64(day, "D") - self.dates[0]).astype(int), 0, len(self.dates)))  # type: ignore[call-overload]  # numpy's stubs miss date | datetime64


@step("inputs")
def make_samples(
    known: pl.DataFrame,
    newest: pl.DataFrame,
    dam: Dam,
    forcings: pl.DataFrame | None = None,
    late: pl.DataFrame | None = None,
) -> Samples:
    """Samples of every day of `known`.

    Parameters
    ----------
    known
        Daily table of each reading's first version, up to the last init date: what a hindcast may use.
    newest
        Daily table of the newest versions, over at least the same days. The last init date's inputs and the observed
        levels come from it.
    forcings
        `tables.FORCINGS`: every issue of the forecast or planned values; None if there is none.
    late
        `substitutes.LATE`: values that arrived late; None if there is none.

    Raises
    ------
    DataError
        If the target has no usable value at all, or the flows of each day are its change to the next day.
    """
    add_counts({"days": len(known)})
    target = dam.target.variable
    if usable_values(known, dam)[target].null_count() == len(known):
        raise DataError(f"{dam.name}: {target} has no usable value in {len(known)} days; nothing can be forecast")
    check_flow_days(usable_values(known, dam), dam)
    screened = screen_versions(known, newest, dam, late)
    level = _level(screened, dam)
    trusted = np.where(excluded_days(known, dam), np.nan, _unflagged_level(screened, dam))
    reasons = _suspect_reasons(screened, dam)
    own_level = _level_to_start_from(level, reasons)
    inputs, outages = _inputs_and_outages(screened, dam, own_level)
    # No change of the level is taken across a step of the datum
    on_known_datum = np.where(screened.withheld, np.nan, trusted)
    issues = FORCINGS.empty() if forcings is None else forcings
    samples = Samples(
        dates=known["date"].to_numpy().astype("datetime64[D]"),
        inputs=inputs.drop("date"),
        level=level,
        trusted=trusted,
        observed=_observed(newest, dam)[: len(known)],
        regimes=_regimes(inputs, dam, np.where(screened.withheld, np.nan, outages.start_level)),
        forcing_inputs=forcing_inputs(issues, dam, inputs, on_known_datum, dam.hindcast.leads),
        outages=outages,
        suspect_reason=reasons[-1],
        suspect_level=np.where([reason not in (None, "stuck") for reason in reasons], level, np.nan),
        newest_flags=screened.newest_flags,
        withheld_from=screened.withheld_from,
        withheld=screened.withheld,
        substitutions=substitutions_as_known(screened, dam),
        resolution=_resolution(level, dam),
        full_supply=full_supply_of(dam, inputs["date"], on_known_datum, screened.withheld),
        possible=_possible(dam),
        limits=hard_limits(dam, inputs["date"], on_known_datum, dam.hindcast.leads, withheld=screened.withheld),
    )
    samples = replace(samples, outages=_outages_with_forcings(samples, issues, dam, on_known_datum))
    return samples if dam.global_model is None else _with_scale_free_inputs(samples, dam, on_known_datum)


def _with_scale_free_inputs(samples: Samples, dam: Dam, level: NDArray[np.float64]) -> Samples:
    """`samples` whose inputs, those of simulated outages too, have those of the global model as well.

    The statistics of a day in a simulated outage are those without it.
    """

    def longer(inputs: pl.DataFrame, start_level: NDArray[np.float64]) -> pl.DataFrame:
        withheld = np.zeros(len(inputs), bool) if samples.withheld is None else samples.withheld
        record = LevelRecord(samples.dates, np.where(withheld, np.nan, start_level), level, samples.full_supply)
        return inputs.hstack(scale_free_inputs(inputs, dam, record, samples.inputs))

    outages = samples.outages
    if outages is not None:
        simulated = {
            kind: replace(outage, inputs=longer(outage.inputs, outage.start_level))
            for kind, outage in outages.simulated.items()
        }
        outages = replace(outages, simulated=simulated)
    return replace(samples, inputs=longer(samples.inputs, samples.start_level), outages=outages)


def samples_of(daily_tables: DailyTables, dam: Dam) -> Samples:
    """Samples of every day of the daily tables of a dam, as its forecast has them; raises as `make_samples`."""
    return make_samples(
        daily_tables.known, daily_tables.newest, dam, daily_tables.forcings, daily_tables.late
    )


def with_other_forcings(samples: Samples, issues: pl.DataFrame, dam: Dam) -> Samples:
    """`samples` without outages, whose forcing inputs come from `issues` (`tables.FORCINGS`) of the forcings of `dam`.

    They are equal to those of `make_samples` with these forcings.
    """
    level = np.where(False if samples.withheld is None else samples.withheld, np.nan, samples.trusted)
    inputs = samples.inputs.with_columns(date=pl.Series(samples.dates))
    by_lead = forcing_inputs(issues, dam, inputs, level, dam.hindcast.leads)
    return replace(samples, forcing_inputs=by_lead, outages=None)


def _possible(dam: Dam) -> tuple[float, float]:
    """Lowest and highest possible value of the target, in its unit."""
    kind = dam.target_gauge.kind
    low, high = (kind.from_canonical(bound, dam.target.unit) for bound in kind.possible)
    return low, high


def _difference(start: NDArray[np.float64], end: NDArray[np.float64], lead_time: int) -> NDArray[np.float64]:
    """end(d + lead_time) − start(d) per day, shape (n,); NaN where either is missing."""
    change = np.full(len(start), np.nan)
    if lead_time < len(start):
        change[:-lead_time] = end[lead_time:] - start[:-lead_time]
    return change


def _resolution(level: NDArray[np.float64], dam: Dam) -> NDArray[np.float64]:
    """Resolution of the readings as known on each day, in the target's unit, from the level in the gauge's unit."""
    gauge = dam.target_gauge
    canonical = gauge.kind.to_canonical(pl.Series(level), dam.target.unit)
    steps = resolution_by_day(gauge.kind.from_canonical(canonical, gauge.unit).to_numpy())
    return steps * gauge.kind.conversion(gauge.unit)[0] / gauge.kind.conversion(dam.target.unit)[0]


def _level(screened: ScreenedDaily, dam: Dam) -> NDArray[np.float64]:
    """The usable target of each day as known on the day; of the last day, the newest version."""
    known, newest = (usable_values(daily, dam)[dam.target.variable] for daily in (screened.known, screened.newest))
    level = known.to_numpy().astype(float)
    level[-1] = newest.cast(float).to_numpy()[-1]
    return level


def _unflagged_level(screened: ScreenedDaily, dam: Dam) -> NDArray[np.float64]:
    """The target without values that are flagged on their own day: no spike, and no change across a datum."""
    unflagged = daily_known_after(screened.known, screened.known_flags, dam, lag=0)
    return unflagged[dam.target.variable].cast(pl.Float64).to_numpy().astype(float)


def _suspect_reasons(screened: ScreenedDaily, dam: Dam) -> list[str | None]:
    """Reason of the flag on each day's level, as known at the end of the day; None without a flag."""
    flags = pl.concat(
        [
            screened.known_flags.filter(pl.col("date") < screened.last),
            screened.newest_flags.filter(pl.col("date") == screened.last),
        ]
    )
    flags = flags.filter(
        pl.col("gauge") == dam.target_gauge.column,
        pl.col("known_on") == pl.col("date"),  # a flag whose withdrawal is known by then is no flag (`FLAGS`)
        ~pl.col("reason").is_in(VALID_REASONS),
    )
    by_day = flags.unique("date", keep="first", maintain_order=True).select("date", "reason")
    return screened.known.select("date").join(by_day, on="date", how="left", maintain_order="left")["reason"].to_list()


def _level_to_start_from(level: NDArray[np.float64], reasons: Sequence[str | None]) -> NDArray[np.float64]:
    """The level that each day's forecast may start from, as known on the day; NaN where missing or suspect.

    A forecast starts from the level of a stuck gauge, because it is right and may be the only one for months.
    """
    return np.where([reason in (None, "stuck") for reason in reasons], level, np.nan)


def _inputs_and_outages(
    screened: ScreenedDaily, dam: Dam, own_level: NDArray[np.float64]
) -> tuple[pl.DataFrame, Outages]:
    """Inputs of each day, from an extended level where it is missing, and the outages with their simulations."""
    inputs, missing = inputs_as_known(screened, dam), np.isnan(own_level)
    extended = extended_inputs_as_known(screened, dam) if missing.any() else None
    outages = outages_of(inputs, dam, level=own_level, extended=extended)
    simulated = {}
    for kind in outage_days(outages):
        hidden = hidden_values(kind, dam, len(inputs))
        rows = extended_inputs_as_known(screened, dam, hidden=hidden)
        simulated[kind] = simulated_outage(kind, rows, outages, dam, hidden=hidden)
    if extended is not None:
        inputs = fill_level_outages(inputs, extended, missing)
    return inputs, replace(outages, simulated=simulated)


def _outages_with_forcings(
    samples: Samples, issues: pl.DataFrame, dam: Dam, level: NDArray[np.float64]
) -> Outages | None:
    """The outages of `samples`; their simulations have `forcing_inputs` from a `level` that they hide."""
    if samples.outages is None:
        return None
    simulated = {}
    for kind, outage in samples.outages.simulated.items():
        inputs = outage.inputs.with_columns(date=pl.Series(samples.dates))
        visible = np.where(outage.level_age > 0, np.nan, level)
        by_lead = forcing_inputs(issues, dam, inputs, visible, dam.hindcast.leads)
        simulated[kind] = replace(outage, forcing_inputs=by_lead)
    return replace(samples.outages, simulated=simulated)


def _observed(daily: pl.DataFrame, dam: Dam) -> NDArray[np.float64]:
    """The target, also where our own screen flags it; NaN where missing or on an excluded day."""
    target, flag = dam.target.variable, pl.col(flag_of(dam.target.variable))
    valid = pl.when(flag.is_null() | ~flag.is_in(NO_VALUE_FLAGS)).then(pl.col(target)).cast(pl.Float64)
    level = daily.select(valid).to_series().to_numpy().astype(float)
    return np.where(excluded_days(daily, dam), np.nan, level)


def wet_limits(inputs: pl.DataFrame, dam: Dam) -> dict[str, NDArray[np.float64]]:
    """Input → value above which a day is wet, shape (n,); NaN while fewer than 100 rises are known.

    It is the rain of 3 days, or the rise of each stream and inflow: the top 10% of the record up to the day.
    """
    if "rain_3d" in inputs.columns:
        return {"rain_3d": np.full(len(inputs), WET_MM)}
    rises = {name: inputs[name].cast(pl.Float64) for name in (f"{c}_rise" for c in dam.columns("inflow", "stream"))}
    return {
        name: quantile_so_far(rise, STEEP, MIN_RISES) for name, rise in rises.items() if rise.count() >= MIN_RISES
    }


def _regimes(inputs: pl.DataFrame, dam: Dam, level: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Regime name → whether each day belongs to it.

    all; wet and dry by rain, or wet by steep rises of flows; near_full and above_full.
    """
    regimes: dict[str, NDArray[np.bool_]] = {"all": np.ones(len(inputs), bool)}
    limits = wet_limits(inputs, dam)
    values = {name: inputs[name].cast(pl.Float64).to_numpy().astype(float) for name in inputs.columns if name in limits}
    if limits:
        regimes["wet"] = np.logical_or.reduce([values[name] > limit for name, limit in limits.items()])
    if "rain_3d" in limits:
        regimes["dry"] = values["rain_3d"] < DRY_MM
    return regimes | full_supply_regimes(dam, inputs["date"], level)
