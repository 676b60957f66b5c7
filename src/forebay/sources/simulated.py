"""The source `simulated`: gauges of the dam `demo` or of another simulated dam, with the faults of real gauges.

`simulation` computes the catchment and the lake. This module computes the readings: instruments round, drift and fail.
The readings have the same table and the same quality codes (NSW) as those of a real service. `Truth` has the true
values and the faults, for tests; they never enter the archive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from forebay.dams.local_time import local_date, to_utc
from forebay.dams.variables import DAY_S
from forebay.errors import ConfigError
from forebay.sources.catchment import DEMO, Catchment
from forebay.sources.quality import MISSING, grade
from forebay.sources.request import PlannedRequest, plan_local_read
from forebay.sources.simulation import Floats, draws, normals, simulate_nature
from forebay.tables import READINGS

if TYPE_CHECKING:
    from forebay.dams.dam import Dam
    from forebay.dams.gauge import Gauge
    from forebay.settings import Settings

SEED = 41
FIRST_DAY = date(2010, 1, 1)
LEVEL_STATION = "SIM-LEVEL"


def station_variables(catchment: Catchment = DEMO) -> dict[str, str]:
    """Station → its variable, the lake's level first."""
    rain = dict.fromkeys(catchment.rain_stations, "rainfall")
    return {LEVEL_STATION: "reservoir_level", **rain, **dict.fromkeys(catchment.river_stations, "stream_level")}


VARIABLE_OF = station_variables()
"""Station → its variable, of the dam `demo`."""

QUALITY_CODES = "waternsw"
"""Service whose quality codes the readings have."""
GOOD_CODE = "4"
UNLISTED_CODE = "155"  # as on the crest of Warragamba's flood of August 2020
BUCKET_MM = 0.2  # a tipping bucket counts whole tips
NOISE_M = {"reservoir_level": 0.0015, "stream_level": 0.002}  # waves, wind set-up; rounding to 1 mm comes on top
DECIMALS = {"reservoir_level": 3, "stream_level": 3, "rainfall": 2}
GARBAGE = {
    "reservoir_level": ("-86.895", "0.000", "999.090"),
    "stream_level": ("999.090", "-0.412", "0.000"),
    "rainfall": ("", "0.00", "-99.00"),
}
"""Numbers published with a code for "unavailable"."""

WASHED_OUT_M, WASHED_OUT = 3.0, 0.15  # stage above which a stream gauge fails with this probability per day


class LevelFault(NamedTuple):
    """A period of wrong levels or unlisted codes; `offset_m` is the size of a spike."""

    first: date
    last: date
    kind: str
    offset_m: float = 0.0


LEVEL_FAULTS = (
    LevelFault(date(2011, 3, 4), date(2011, 3, 7), "spike", -9.6),
    LevelFault(date(2013, 8, 19), date(2013, 8, 19), "spike", 4.25),
    LevelFault(date(2015, 12, 2), date(2015, 12, 25), "stuck"),
    LevelFault(date(2018, 11, 10), date(2018, 11, 11), "spike", -2.3),
    LevelFault(date(2021, 6, 27), date(2021, 7, 8), "unlisted"),
    LevelFault(date(2023, 11, 14), date(2023, 11, 15), "spike", 6.1),
    LevelFault(date(2024, 7, 9), date(2024, 7, 30), "stuck"),
)
"""Faults of the level with good (or unlisted) codes; the dam file excludes the dates of those in scored years."""


@dataclass(frozen=True)
class GaugeFaults:
    """Faults of a dam's gauges.

    Attributes
    ----------
    unavailable, outage, spike
        Mean number of a gauge's faults per year, by kind; an outage has no rows. The level has no random spike.
    level
        Faults of the level on fixed dates.
    """

    unavailable: float = 0.8
    outage: float = 0.25
    spike: float = 0.3
    level: tuple[LevelFault, ...] = ()


DEMO_FAULTS = GaugeFaults(level=LEVEL_FAULTS)


@dataclass(frozen=True)
class Truth:
    """True values and readings of a simulated dam.

    Attributes
    ----------
    days
        One row per day, as `simulation.simulate_nature`: weather, the lake's balance, true values at each gauge.
    gauges
        One row per gauge and day: `station`, `date`, `true_value` (mm or m, daily total or mean), `fault` (null,
        spike, stuck, unlisted, unavailable, outage), `raw_value` and `quality_code` as published (null in an outage).
    """

    days: pl.DataFrame
    gauges: pl.DataFrame


def simulate(
    seed: int, first_day: date, last_day: date, catchment: Catchment = DEMO, faults: GaugeFaults = DEMO_FAULTS
) -> Truth:
    """Truth and readings from `first_day` to `last_day`, both included.

    The simulation starts on 1 January of the first day's year, with moist ground and the lake at 80%. Two calls with
    the same seed and first year agree bit for bit on their common days.

    Examples
    --------
    >>> truth = simulate(7, date(2010, 1, 1), date(2010, 1, 31))
    >>> truth.days.height, truth.gauges["station"].n_unique()
    (31, 8)
    """
    if last_day < first_day:
        raise ConfigError(f"the simulation's last day {last_day} must not be before its first, {first_day}")
    whole = _whole_years(seed, first_day.year, last_day.year, catchment, faults)
    in_period = pl.col("date").is_between(first_day, last_day)
    return Truth(whole.days.filter(in_period), whole.gauges.filter(in_period))


@lru_cache(maxsize=4)
def _whole_years(seed: int, first: int, last: int, catchment: Catchment, faults: GaugeFaults) -> Truth:
    """Truth of the whole years `first` … `last`, so that a year's arithmetic never depends on the requested days."""
    days = [date.fromordinal(n) for n in range(date(first, 1, 1).toordinal(), date(last, 12, 31).toordinal() + 1)]
    nature = simulate_nature(seed, days, catchment)
    readings = []
    for number, (station, variable) in enumerate(station_variables(catchment).items()):
        true = nature.select(
            pl.lit(station).alias("station"), "date", pl.col("level_m" if number == 0 else station).alias("true_value")
        )
        readings.append(_read_gauge(seed, number, variable, true, faults))
    return Truth(nature, pl.concat(readings))


def _read_gauge(seed: int, number: int, variable: str, true: pl.DataFrame, faults: GaugeFaults) -> pl.DataFrame:
    """One gauge's rows of `Truth.gauges` from its station and its true daily values."""
    days: list[date] = true["date"].to_list()
    chance = _chance(seed, number, days)
    value = true["true_value"].to_numpy()
    readings = _instrument(variable, value, normals(chance[:, 5]))
    kind: list[str | None] = [None] * len(days)
    code = [GOOD_CODE] * len(days)
    garbage: dict[int, str] = {}
    for fault in _spells(variable, days, chance, value, faults):
        span = slice(fault.start, fault.stop)
        kind[span] = [fault.kind] * len(days[span])
        code[span] = [fault.code] * len(days[span])
        if fault.kind == "stuck":
            # A worn float: it moves by some millimetres, so no two readings need be equal.
            readings[span] = readings[fault.start] + np.round(0.0015 * normals(chance[span, 6]), 3)
        readings[span] += fault.offset
        if fault.kind == "unavailable":
            garbage.update(dict.fromkeys(range(fault.start, fault.stop), GARBAGE[variable][fault.garbage]))
    text = [f"{v:.{DECIMALS[variable]}f}" for v in readings.tolist()]
    raw = [None if k == "outage" else garbage[i] if k == "unavailable" else text[i] for i, k in enumerate(kind)]
    codes = [None if k == "outage" else c for k, c in zip(kind, code, strict=True)]
    columns = {"fault": kind, "raw_value": raw, "quality_code": codes}
    published = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String()))
    return true.hstack(published)


def _chance(seed: int, number: int, days: Sequence[date]) -> Floats:
    """Seven uniform numbers a day that belong to gauge `number`.

    Columns: start of a spike, of unavailable values, of an outage; size or duration; code; noise; garbage or stuck.
    """
    years = range(days[0].year, days[-1].year + 1)
    blocks = [draws(seed, year, 100 + number, 7)[: (date(year, 12, 31) - date(year, 1, 1)).days + 1] for year in years]
    return np.concatenate(blocks)


def _instrument(variable: str, value: Floats, noise: Floats) -> Floats:
    """Readings of a gauge without faults: rain in whole tips of its bucket, levels with noise, rounded to 1 mm."""
    if variable == "rainfall":
        tips = np.floor(np.cumsum(value) / BUCKET_MM)  # the rest in the bucket counts on the next day
        return np.diff(tips, prepend=0.0) * BUCKET_MM
    return np.round(value + NOISE_M[variable] * noise, DECIMALS[variable])


class _Fault(NamedTuple):
    kind: str
    start: int  # position of the first day
    stop: int  # and of the one after the last
    code: str = GOOD_CODE
    offset: float = 0.0
    garbage: int = 0


def _spells(
    variable: str, days: Sequence[date], chance: Floats, value: Floats, faults: GaugeFaults
) -> Iterator[_Fault]:
    """Faults of one gauge; a later one overwrites an earlier one."""
    if variable == "reservoir_level":
        for fault in faults.level:
            start, stop = (fault.first - days[0]).days, (fault.last - days[0]).days + 1
            if stop > 0 and start < len(days):
                code = UNLISTED_CODE if fault.kind == "unlisted" else GOOD_CODE
                yield _Fault(fault.kind, max(0, start), stop, code, fault.offset_m)
    else:
        for t in _starts(chance[:, 0], faults.spike):
            size = 80 + 300 * chance[t, 3] if variable == "rainfall" else 1.5 + 6 * chance[t, 3]
            yield _Fault("spike", t, t + 1, GOOD_CODE, float(np.round(size / BUCKET_MM) * BUCKET_MM))
    washed_out = (value > WASHED_OUT_M) & (chance[:, 4] < WASHED_OUT) if variable == "stream_level" else value < -np.inf
    for t in sorted({*_starts(chance[:, 1], faults.unavailable), *np.flatnonzero(washed_out).tolist()}):
        code = "255" if chance[t, 4] < 0.6 else "201"
        garbage = int(chance[t, 6] * len(GARBAGE[variable]))
        yield _Fault("unavailable", t, t + _duration(chance[t, 3], 6.0), code, 0.0, garbage)
    for t in _starts(chance[:, 2], faults.outage):
        yield _Fault("outage", t, t + _duration(chance[t, 3], 3.0))


def _starts(uniform: Floats, per_year: float) -> list[int]:
    return [int(t) for t in np.flatnonzero(uniform < per_year / 365.25)]


def _duration(uniform: float, median_days: float) -> int:
    """Days until the repair of a gauge: log-normal, from one day to eight months."""
    spread = 1.5 * float(normals(np.array([uniform]))[0])
    return int(np.clip(round(median_days * np.exp(spread)), 1, 240))


def fetch_readings(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> pl.DataFrame:
    """Readings of a simulated gauge; see `forebay.sources.Fetch`.

    The record starts on `FIRST_DAY` and ends on the day before `now`, on the dam's clock. There is no service, so
    `settings` has no effect.

    Raises
    ------
    ConfigError
        If the station does not exist, or its variable, unit or day differs from the gauge's.
    """
    _check_gauge(gauge)
    first, last = max(since or FIRST_DAY, FIRST_DAY), min(until, local_date(now, dam.time_zone) - timedelta(days=1))
    if last < first:
        return READINGS.empty()
    rows = simulate(SEED, FIRST_DAY, last).gauges.filter(
        pl.col("station") == gauge.station, pl.col("date") >= first, pl.col("raw_value").is_not_null()
    )
    quality = grade(pl.col("quality_code"), QUALITY_CODES)
    readings = rows.select(
        *(pl.lit(gauge.series[key]).alias(key) for key in ("source", "station", "variable", "aggregate", "rules")),
        to_utc(pl.col("date"), dam.time_zone).alias("time"),
        pl.lit(DAY_S, pl.Int32).alias("interval"),
        pl.when(quality != MISSING).then(pl.col("raw_value").replace("", None)).cast(pl.Float64).alias("value"),
        "raw_value",
        quality.alias("quality"),
        "quality_code",
    )
    return READINGS.check(readings, unique=True)


def plan_requests(
    gauge: Gauge, dam: Dam, since: date | None, until: date, *, settings: Settings, now: datetime
) -> list[PlannedRequest]:
    """A simulated gauge needs no request; see `forebay.sources.Plan`."""
    return plan_local_read(f"{gauge.source}: no service", since, until)


def _check_gauge(gauge: Gauge) -> None:
    variable = VARIABLE_OF.get(gauge.station)
    if variable is None:
        raise ConfigError(f"simulated station {gauge.station!r} does not exist; allowed are {', '.join(VARIABLE_OF)}")
    if gauge.variable != variable:
        raise ConfigError(
            f"simulated station {gauge.station!r} measures {variable}, not {gauge.variable}; correct the gauge"
        )
    daily = gauge.interval == "day" and gauge.day_start == time(0) and gauge.reading == gauge.kind.aggregate
    if not daily:
        raise ConfigError(
            f"simulated station {gauge.station!r} gives the {gauge.kind.aggregate} of days from 00:00, "
            f"not the {gauge.reading} by {gauge.interval} from {gauge.day_start:%H:%M}; leave these keys out"
        )
    if len(gauge.conversions(gauge.unit)) > 1 or (gauge.scale, gauge.offset) != (1, 0):
        raise ConfigError(
            f"simulated station {gauge.station!r} needs no scale, offset or readings_from; leave these keys out"
        )
    if gauge.unit != gauge.kind.unit:
        raise ConfigError(
            f"simulated station {gauge.station!r} gives {variable} in {gauge.kind.unit}, not in {gauge.unit!r}"
        )
