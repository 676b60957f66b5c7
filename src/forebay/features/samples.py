"""The samples that models learn from and are judged on: inputs, levels and regimes of every init date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.dams.dam import Dam
from forebay.dams.hindcast import DateRange
from forebay.days import datum
from forebay.days.daily import usable_values
from forebay.errors import DataError
from forebay.features.forcings import ahead
from forebay.features.inputs import BALANCE, BY_SLOPE, build_inputs, near_full_margin
from forebay.features.outages import Build, Outages, find_outages
from forebay.screen.flags import VALID_REASONS, daily_by_period, daily_known_after, daily_known_on, screen_daily
from forebay.tables import FORCINGS, flag_of

WET_MM, DRY_MM = 15.0, 1.0
WARM_UP = 0.4
"""Share of the record before the first scored init date, where the dam file names no start."""
NO_VALUE_FLAGS = ("unavailable", "absent", "sentinel", "incomplete")
"""Flags that the agency or the dam file sets; the program's own screen never removes a verification target."""


@dataclass(frozen=True)
class Samples:
    """One entry per consecutive day d, from the record's first to the last init date.

    Attributes
    ----------
    dates
        The days, `datetime64[D]`, shape (n,).
    inputs
        What was known at the end of each day; n rows.
    level
        The target as known and usable, in the dam's unit; NaN where missing. Forecasts start from it.
    trusted
        `level` without the spells that the dam file excludes from verification and without what the screen doubted on
        its own day; NaN where missing. Models and intervals learn from it.
    observed
        The target as it stands now, unscreened: forecasts are judged against it; NaN where it has no value or lies in a
        spell that the dam file excludes from verification.
    regimes
        Regime name → whether each day belongs to it, as known at init; a regime that cannot be told is absent.
    ahead
        Lead time → inputs that tell of the days to come, as issued by the end of each day; empty without forcings.
    outages
        The days on which level or drivers are silent; None where nobody looked for them.
    suspect_reason
        Why the last day's level is doubted (`prepare.flags.REASONS`), None where it is not. The forecast then starts
        from an earlier one, but for a gauge that is stuck.
    withheld_from
        First day of a datum that the dam file does not state, as known at the last day's end; None if there is none.
    withheld
        Whether each day lies in such a datum, as known at its end; None where nobody looked.
    """

    dates: NDArray[np.datetime64]
    inputs: pl.DataFrame
    level: NDArray[np.float64]
    trusted: NDArray[np.float64]
    observed: NDArray[np.float64]
    regimes: dict[str, NDArray[np.bool_]]
    ahead: Mapping[int, pl.DataFrame] = field(default_factory=dict)
    outages: Outages | None = None
    suspect_reason: str | None = None
    withheld_from: date | None = None
    withheld: NDArray[np.bool_] | None = None

    def inputs_at(self, lead_time: int) -> pl.DataFrame:
        """The inputs of models at one lead time: what was known, and what had been forecast or planned."""
        return self.inputs.hstack(self.ahead[lead_time]) if lead_time in self.ahead else self.inputs

    @property
    def start_level(self) -> NDArray[np.float64]:
        """The level that each day's forecast starts from: its own, else the last good one; NaN where there is none."""
        return self.level if self.outages is None else self.outages.start_level

    @property
    def level_age(self) -> NDArray[np.intp]:
        """Days since the level that each day's forecast starts from; 0 where it is the day's own."""
        return np.zeros(len(self.dates), int) if self.outages is None else self.outages.level_age

    def observed_change(self, lead_time: int) -> NDArray[np.float64]:
        """Change from `start_level` to d + lead_time as it stands now; NaN where either is missing or not yet."""
        made = np.full(len(self.level), np.nan)
        if lead_time < len(self.level):
            made[:-lead_time] = self.observed[lead_time:] - self.start_level[:-lead_time]
        return np.where(self.level_age > 0, made, self.change(self.observed, lead_time))

    def change(self, level: NDArray[np.float64], lead_time: int) -> NDArray[np.float64]:
        """level(d + lead_time) − level(d) per day; NaN where either is missing or not yet."""
        made = np.full(len(level), np.nan)
        if lead_time < len(level):
            made[:-lead_time] = level[lead_time:] - level[:-lead_time]
        return made

    def position(self, day: object) -> int:
        """Index of `day` (date or datetime64), clipped to 0 … n."""
        return int(np.clip((np.datetime64(day, "D") - self.dates[0]).astype(int), 0, len(self.dates)))  # type: ignore[call-overload]  # numpy's stubs miss date | datetime64


def make_samples(
    known: pl.DataFrame, newest: pl.DataFrame, dam: Dam, forcings: pl.DataFrame | None = None
) -> Samples:
    """Samples of every day of `known`.

    Parameters
    ----------
    known
        Daily frame of each reading's first version, up to the last init date: what a hindcast may use.
    newest
        Daily frame of the versions held now, over at least the same days. The last init date's inputs and the observed
        levels come from here.
    forcings
        `tables.FORCINGS`: every issue of what was forecast or planned. None: nothing was ever issued.

    Raises
    ------
    DataError
        If the target has no usable value at all.
    """
    target = dam.target.variable
    usable_known, usable_newest = usable_values(known, dam), usable_values(newest, dam)
    if usable_known[target].null_count() == len(usable_known):
        raise DataError(f"{dam.name}: {target} has no usable value in {len(known)} days; nothing can be forecast")
    last = known["date"][-1]
    then = newest.filter(pl.col("date") <= last)
    doubts, doubts_now = screen_daily(known, dam), screen_daily(then, dam)
    withheld_from = datum.withheld_from(doubts_now, dam, last)
    withheld = datum.withheld_days(known, doubts, dam).to_numpy().copy()
    withheld[-1] = withheld_from is not None

    def made(build: Build, hidden: pl.Series | None = None, columns: tuple[str, ...] = ()) -> pl.DataFrame:
        """A row for each day, `columns` hidden on some; the last one from the newest versions."""
        early, late = (_prepared(frame, dam, hidden, columns) for frame in (known, then))
        now = build(daily_known_on(late, doubts_now, last, dam), dam)
        periods = daily_by_period(early, doubts, dam)
        past = pl.concat(build(frame, dam).filter(pl.col("date") >= start) for start, frame in periods)
        rows = pl.concat([past.head(-1), now.tail(1)])
        return _without_datum(rows, withheld, dam)

    level = usable_known[target].to_numpy().astype(float)
    level[-1] = usable_newest.filter(pl.col("date") == last)[target].cast(float).to_numpy()[0]
    dates = known["date"].to_numpy().astype("datetime64[D]")
    observed = _observed(newest, dam, len(dates))
    excluded = in_spells(dates, dam.hindcast.verification_exclude)
    trusted = np.where(excluded, np.nan, _undoubted(known, doubts, dam))
    issues = FORCINGS.empty() if forcings is None else forcings
    comparable = np.where(withheld, np.nan, trusted)

    def told(rows: pl.DataFrame, unseen: NDArray[np.bool_]) -> Mapping[int, pl.DataFrame]:
        """What tells of the days to come, beside `rows`; `unseen` are the days whose level is hidden."""
        return ahead(issues, dam, rows, np.where(unseen, np.nan, comparable), dam.hindcast.leads)

    # The scored set is fixed, so past days start from what is only doubted too; today's forecast does not.
    own_level = np.where(np.isfinite(level), level, _observed(known, dam, len(dates)))
    doubted = _doubt(doubts_now, dam, last)
    if doubted != "stuck":  # a stuck gauge shows a level that the lake had; there may be no other for months
        own_level[-1] = daily_known_on(then, doubts_now, last, dam)[target].cast(float).to_numpy()[-1]
    inputs, outages = find_outages(made, made(build_inputs), dam, own_level=own_level, told=told)
    return Samples(
        dates=dates,
        inputs=inputs.drop("date"),
        level=level,
        trusted=trusted,
        observed=observed,
        regimes=_regimes(inputs, dam, np.where(withheld, np.nan, outages.start_level)),
        ahead=told(inputs, np.zeros(len(dates), bool)),
        outages=outages,
        suspect_reason=doubted,
        withheld_from=withheld_from,
        withheld=withheld,
    )


def in_spells(dates: NDArray[np.datetime64], spells: tuple[DateRange, ...]) -> NDArray[np.bool_]:
    """Whether each of `dates` lies in one of `spells`."""
    inside = np.zeros(len(dates), bool)
    for spell in spells:
        inside |= (dates >= np.datetime64(spell.from_)) & (dates <= np.datetime64(spell.to))
    return inside


def _prepared(daily: pl.DataFrame, dam: Dam, hidden: pl.Series | None, columns: tuple[str, ...]) -> pl.DataFrame:
    """`daily` without the target's values in spells that the dam file excludes from verification, as known wrong.

    And without those of `columns` on the days that are `hidden`.
    """
    excluded = in_spells(daily["date"].to_numpy().astype("datetime64[D]"), dam.hindcast.verification_exclude)
    kept = daily.with_columns(pl.when(~pl.Series(excluded)).then(dam.target.variable).alias(dam.target.variable))
    return kept if hidden is None else kept.with_columns(pl.when(~hidden).then(c).alias(c) for c in columns)


def _without_datum(rows: pl.DataFrame, withheld: NDArray[np.bool_], dam: Dam) -> pl.DataFrame:
    """Inputs without those that rest on the datum, on the days on which what the dam file says of it does not hold."""
    resting = [c for c in rows.columns if c.endswith("below_full")]
    if dam.target.variable == "reservoir_level" and dam.storage_curves:
        resting += [c for c in rows.columns if c.startswith(BALANCE) or c.endswith(BY_SLOPE)]
    return rows.with_columns(pl.when(~pl.Series(withheld)).then(pl.col(c)).alias(c) for c in resting)


def _undoubted(known: pl.DataFrame, doubts: pl.DataFrame, dam: Dam) -> NDArray[np.float64]:
    """The target without what was doubted on its own day: models learn from no spike, and no change across a datum."""
    return daily_known_after(known, doubts, dam, lag=0)[dam.target.variable].cast(pl.Float64).to_numpy().astype(float)


def _doubt(doubts: pl.DataFrame, dam: Dam, day: date) -> str | None:
    """Why the target's value of `day` is doubted at its end; None where it is not."""
    held = doubts.filter(
        pl.col("gauge") == dam.target_gauge.column,
        pl.col("date") == day,
        pl.col("withdrawn_on").is_null(),
        ~pl.col("reason").is_in(VALID_REASONS),
    )
    return None if held.is_empty() else str(held["reason"][0])


def _observed(newest: pl.DataFrame, dam: Dam, days: int) -> NDArray[np.float64]:
    target = dam.target.variable
    flag = pl.col(flag_of(target))
    kept = pl.when(flag.is_null() | ~flag.is_in(NO_VALUE_FLAGS)).then(pl.col(target)).cast(pl.Float64)
    level = newest.select(kept).to_series().to_numpy().astype(float)[:days].copy()
    level[in_spells(newest["date"].to_numpy().astype("datetime64[D]")[:days], dam.hindcast.verification_exclude)] = (
        np.nan
    )
    return level


def _is_steep(rise: pl.Series, warm_up: int) -> NDArray[np.bool_]:
    """Whether each rise is among the top 10% of the warm-up's; within the warm-up, of the days until then."""
    steep = rise.rolling_quantile(0.9, "linear", window_size=warm_up, min_samples=1).to_numpy().copy()
    steep[warm_up:] = steep[warm_up - 1]
    return np.asarray(rise.to_numpy() > steep)


def _regimes(inputs: pl.DataFrame, dam: Dam, level: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    regimes: dict[str, NDArray[np.bool_]] = {"all": np.ones(len(inputs), bool)}
    if "rain_3d" in inputs.columns:
        rain = inputs["rain_3d"].cast(float).to_numpy()
        regimes |= {"wet": rain > WET_MM, "dry": rain < DRY_MM}
    elif rises := [f"{c}_rise" for c in dam.columns("inflow", "stream")]:
        warm_up = max(1, int(WARM_UP * len(inputs)))
        told = [inputs[rise].cast(pl.Float64) for rise in rises if inputs[rise].head(warm_up).count() > 0]
        if told:
            regimes["wet"] = np.logical_or.reduce([_is_steep(rise, warm_up) for rise in told])
    if dam.full_supply is not None:
        full = dam.full_supply.on(inputs["date"]).to_numpy().astype(float)
        regimes["near_full"] = level >= full - near_full_margin(dam)
    return regimes
