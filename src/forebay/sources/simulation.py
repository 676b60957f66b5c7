"""A simulated catchment and its reservoir: weather → rivers → lake, day by day, from a seed.

Every step is a published model, named at its function; docs/simulation.md gives the equations and parameters.

A day depends only on the seed, the first year and the days before it, so a longer simulation never changes a shorter
one. Random numbers come in blocks of one calendar year, from the raw bits of a counter-based generator. These bits are
the same in every numpy version; numpy's normal and exponential variates may not be (NEP 19).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forebay.sources.catchment import DEMO, Catchment, Lake, Site

Floats = NDArray[np.float64]

DAYS = 366  # rows of a year's block; the last stays unused in common years
S_PER_DAY = 86_400.0
ML_PER_MM_KM2 = 1.0  # a millimetre over a square kilometre is a megalitre
STEPS_PER_SPILL_DAY = 24


WEIR_C = 2.1  # m^0.5/s, ogee crest


def draws(seed: int, year: int, purpose: int, columns: int) -> Floats:
    """Uniform numbers in (0, 1), 366 × `columns`, a function of (seed, year, purpose)."""
    bits = np.random.Philox(np.random.SeedSequence([seed, year, purpose])).random_raw(DAYS * columns)
    whole: Floats = (bits >> np.uint64(11)).astype(np.float64)
    return ((whole + 0.5) * 2.0**-53).reshape(DAYS, columns)


def normals(uniform: Floats) -> Floats:
    """Standard normal quantiles of these probabilities."""
    quantile = NormalDist().inv_cdf
    return np.array([quantile(p) for p in uniform.ravel()]).reshape(uniform.shape)


def _probabilities(normal: Floats) -> Floats:
    return np.array([0.5 * math.erfc(-z * math.sqrt(0.5)) for z in normal.ravel()]).reshape(normal.shape)


def _season(peak: int) -> Floats:
    """Cosine over the year's block, 1 on day `peak` of the year."""
    season: Floats = np.cos(2 * np.pi * (np.arange(DAYS) + 1 - peak) / 365.25)
    return season


def _correlated(normal: Floats, reach_km: float, sites: Sequence[Site]) -> Floats:
    """Standard normal numbers, one column per site, whose correlation is exp(−distance/`reach_km`)."""
    place = np.array([(site.east_km, site.north_km) for site in sites])
    distance = np.sqrt(((place[:, None, :] - place[None, :, :]) ** 2).sum(axis=2))
    return normal @ np.linalg.cholesky(np.exp(-distance / reach_km)).T


@dataclass(frozen=True)
class RandomYear:
    """Random numbers of one year, before the days are chained: rows are days, columns sites.

    `occurrence` and `amount` are for the rain (probability; mm if wet), `storm` is (start probability, random number,
    duration d, depth mm), `pattern` the factor per site of the day's storm rain, `evaporation` mm/d on dry days.
    """

    wetness: Floats
    demand: Floats
    occurrence: Floats
    amount: Floats
    storm: Floats
    pattern: Floats
    evaporation: Floats


def random_year(seed: int, year: int, catchment: Catchment = DEMO) -> RandomYear:
    """Random numbers of one year's weather.

    Rain amounts are mixed exponential (Woolhiser & Roldán 1982; Wilks 1999 found it better than the gamma at all of 30
    stations), correlated between sites by normal copulas (Wilks 1998); one draw for the whole catchment picks the
    mixture's part, so that a day of heavy rain is one at every site. Storm depths are generalised Pareto.
    """
    climate, sites = catchment.climate, catchment.sites
    single = draws(seed, year, 0, 7)
    occurrence = _probabilities(_correlated(normals(draws(seed, year, 1, len(sites))), 700.0, sites))
    amount = _probabilities(_correlated(normals(draws(seed, year, 2, len(sites))), 300.0, sites))
    amplitude, peak = climate.amount_season
    season = (1 + amplitude * _season(peak))[:, None]
    mean = np.where(single[:, :1] < 0.60, *climate.amount_mm) * season
    ratio = np.array([site.rain_ratio for site in sites])
    pattern = np.exp(0.25 * _correlated(normals(draws(seed, year, 3, len(sites))), 40.0, sites) - 0.25**2 / 2)
    least, scale = climate.storm_mm
    depth = least + scale / 0.22 * (single[:, 1] ** -0.22 - 1)
    starts = climate.storms / 365.25 * (1 + 0.5 * _season(climate.storm_peak))
    storm = np.column_stack([starts, single[:, 2], 2 + np.floor(3 * single[:, 3]), depth])
    noise = normals(single[:, 4:7])
    open_water, swing, peak = climate.evaporation_mm
    evaporation = np.maximum(0.3, (open_water + swing * _season(peak)) * (1 + 0.15 * noise[:, 2]))
    return RandomYear(noise[:, 0], noise[:, 1], occurrence, -mean * ratio * np.log(amount), storm, pattern, evaporation)


@dataclass(frozen=True)
class Weather:
    """Rain (mm, days × sites), evaporation of open water (mm) and the scatter of demand (standard normal)."""

    rain: Floats
    evaporation: Floats
    demand: Floats


def weather(seed: int, days: Sequence[date], catchment: Catchment = DEMO) -> Weather:
    """Daily weather of whole years.

    Wet or dry is a two-state Markov chain at each site, seasonal, with correlated draws (Richardson 1981; Wilks 1998).
    A slow wetness index (AR(1), e-folding 240 days) shifts its probabilities and the storms', because daily models
    without one have too few droughts (Katz & Parlange 1998) and floods there follow ENSO (Power & Callaghan 2016).
    """
    years = range(days[0].year, days[-1].year + 1)
    climate, sites = catchment.climate, catchment.sites
    random_years = {year: random_year(seed, year, catchment) for year in years}
    row = [(random_years[day.year], day.timetuple().tm_yday - 1) for day in days]
    amplitude, peak = climate.season
    season = _season(peak)
    rain = np.zeros((len(days), len(sites)))
    evaporation, demand = np.zeros(len(days)), np.zeros(len(days))
    wet = np.zeros(len(sites), dtype=bool)
    ratio = np.array([site.rain_ratio for site in sites])
    storms: list[tuple[int, int, float]] = []  # first day, days, depth in mm
    index, scatter = 0.0, 0.0
    keep = math.exp(-1 / 240)
    for t, (year, i) in enumerate(row):
        index = keep * index + math.sqrt(1 - keep**2) * float(year.wetness[i])
        scatter = 0.7 * scatter + math.sqrt(1 - 0.7**2) * float(year.demand[i])
        shift = math.exp(climate.wetness * index) * (1 + amplitude * season[i])
        wet = year.occurrence[i] < np.where(
            wet, climate.wet_after_wet * min(1.5, math.sqrt(shift)), min(0.6, climate.wet_after_dry * shift)
        )
        rain[t] += np.where(wet, year.amount[i], 0.0)
        start, number, length, depth = year.storm[i]
        if number < start * math.exp(0.6 * index):
            storms.append((t, int(length), float(depth)))
        storms = [storm for storm in storms if t < storm[0] + storm[1]]
        for first, duration, depth_mm in storms:
            rain[t] += depth_mm * _storm_share(t - first, duration) * ratio * year.pattern[i]
        evaporation[t] = year.evaporation[i] * (0.65 if rain[t].mean() > 1.0 else 1.0)
        demand[t] = scatter
    return Weather(rain, evaporation, demand)


def _storm_share(day: int, length: int) -> float:
    """Share of an east coast low's depth on `day` of `length`: most of it in the middle.

    >>> [round(_storm_share(day, 4), 2) for day in range(4)]
    [0.07, 0.43, 0.43, 0.07]
    """
    weights = [math.sin(math.pi * (k + 0.5) / length) ** 2 for k in range(length)]
    return weights[day] / sum(weights)


def unit_hydrographs(x4: float) -> tuple[list[float], list[float]]:
    """Ordinates of GR4J's two unit hydrographs, of time base x4 and 2·x4 days."""

    def first(t: float) -> float:
        return math.pow(min(1.0, t / x4), 2.5)

    def second(t: float) -> float:
        return 0.5 * math.pow(t / x4, 2.5) if t <= x4 else 1 - 0.5 * math.pow(max(0.0, 2 - t / x4), 2.5)

    quick = [first(k + 1) - first(k) for k in range(math.ceil(x4))]
    return quick, [second(k + 1) - second(k) for k in range(math.ceil(2 * x4))]


def gr4j(rain: Sequence[float], evaporation: Sequence[float], parameters: tuple[float, float, float, float]) -> Floats:
    """Runoff (mm/d) by GR4J (Perrin, Michel & Andréassian 2003, J. Hydrol. 279, 275–289).

    Parameters
    ----------
    rain, evaporation
        Areal rain and potential evapotranspiration, mm/d.
    parameters
        X1 capacity of the production store (mm), X2 exchange with the ground (mm/d), X3 capacity of the routing store
        (mm), X4 time base of the unit hydrograph (d).
    """
    x1, x2, x3, x4 = parameters
    quick, slow = unit_hydrographs(x4)
    to_store, direct = [0.0] * (len(rain) + len(slow)), [0.0] * (len(rain) + len(slow))
    production, routing = 0.5 * x1, 0.4 * x3
    runoff = np.empty(len(rain))
    for t, (p, e) in enumerate(zip(rain, evaporation, strict=True)):
        fill = production / x1
        if p >= e:
            wet = math.tanh((p - e) / x1)
            stored = x1 * (1 - fill**2) * wet / (1 + fill * wet)
            effective = p - e - stored
        else:
            dry = math.tanh((e - p) / x1)
            stored = -production * (2 - fill) * dry / (1 + (1 - fill) * dry)
            effective = 0.0
        production += stored
        percolation = production * (1 - (1 + (4 / 9 * production / x1) ** 4) ** -0.25)
        production -= percolation
        effective += percolation
        for k, share in enumerate(quick):
            to_store[t + k] += 0.9 * share * effective
        for k, share in enumerate(slow):
            direct[t + k] += 0.1 * share * effective
        exchange = x2 * (routing / x3) ** 3.5
        routing = max(0.0, routing + to_store[t] + exchange)
        out = routing * (1 - (1 + (routing / x3) ** 4) ** -0.25)
        routing -= out
        runoff[t] = out + max(0.0, direct[t] + exchange)
    return runoff


def _segment(lake: Lake, storage_ml: float) -> int:
    """Index of the storage curve's point above `storage_ml`."""
    return min(max(bisect_right(lake.curve_ml, storage_ml), 1), len(lake.curve_ml) - 1)


def level_of(storage_ml: float, lake: Lake = DEMO.lake) -> float:
    """Reservoir level (m) by the storage curve, linear between its points."""
    levels, storages, i = lake.curve_m, lake.curve_ml, _segment(lake, storage_ml)
    share = (storage_ml - storages[i - 1]) / (storages[i] - storages[i - 1])
    return levels[i - 1] + share * (levels[i] - levels[i - 1])


def _area_km2(lake: Lake, storage_ml: float) -> float:
    """Area of the lake: the slope of the storage curve (a megalitre per metre is 0.001 km²)."""
    i = _segment(lake, storage_ml)
    return (lake.curve_ml[i] - lake.curve_ml[i - 1]) / (lake.curve_m[i] - lake.curve_m[i - 1]) / 1000


def _over_the_weir(lake: Lake, storage: float, net: float) -> tuple[float, float, float]:
    """(storage at the day's end, spill, mean level) of a day with a net gain of `net` ML before spill, in hourly steps.

    Free flow over an ungated ogee crest, Q = C·B·h^1.5 (USBR 1987, Design of Small Dams, 3rd ed., ch. 9).
    """
    spill, levels = 0.0, 0.0
    for _ in range(STEPS_PER_SPILL_DAY):
        storage += net / STEPS_PER_SPILL_DAY
        head = max(0.0, level_of(storage, lake) - lake.full_supply_m)
        flow = WEIR_C * lake.crest_m * head**1.5 * S_PER_DAY / 1000 / STEPS_PER_SPILL_DAY
        over = min(flow, max(0.0, storage - lake.full_storage_ml))
        storage -= over
        spill += over
        levels += level_of(storage, lake)
    return storage, spill, levels / STEPS_PER_SPILL_DAY


def _demand(lake: Lake, day: date, share: float, scatter: float) -> float:
    """Demand (ML) of a day: seasonal, restricted where the lake has a low share of its storage, less on weekends."""
    allowed = next((part for below, part in lake.restrictions if share < below), 1.0)
    amplitude, peak = lake.demand_season
    season = 1 + amplitude * math.cos(2 * math.pi * (day.timetuple().tm_yday - peak) / 365.25)
    demand = lake.demand_ml * season * allowed * math.exp(0.25 * scatter)
    return demand * lake.weekend_share if day.weekday() >= 5 else demand


def reservoir(
    inflow_ml: Floats, lake_rain_mm: Floats, air: Weather, days: Sequence[date], lake: Lake = DEMO.lake
) -> pl.DataFrame:
    """The lake's daily water balance.

    storage(d) = storage(d−1) + inflow + rain on the lake − evaporation − demand − release − spill. Demand is seasonal,
    varies randomly, and is restricted in steps as the storage falls. The release is the inflow up to `release_ml`, and
    what the outlet releases from the flood pool.
    Columns are in ML, except `level_end_m` (at the day's end) and `level_m` (the day's mean).
    """
    names = ("inflow_ml", "lake_rain_ml", "lake_evaporation_ml", "demand_ml", "release_ml", "spill_ml", "storage_ml")
    rows: list[tuple[float, ...]] = []
    storage = lake.start_share * lake.full_storage_ml
    for t, day in enumerate(days):
        area = _area_km2(lake, storage) * ML_PER_MM_KM2
        gain = float(lake_rain_mm[t]) * area
        inflow = float(inflow_ml[t])
        demand = _demand(lake, day, storage / lake.full_storage_ml, float(air.demand[t]))
        release = min(inflow, lake.release_ml)
        loss = min(float(air.evaporation[t]) * area, 0.5 * storage)
        demand = min(demand, max(0.0, storage + inflow + gain - loss - release))
        if lake.outlet_ml:
            above = storage + inflow + gain - loss - demand - release - (1 - lake.flood_pool) * lake.full_storage_ml
            release += min(lake.outlet_ml, max(0.0, above))
        net = inflow + gain - loss - demand - release
        before, after, spill = level_of(storage, lake), storage + net, 0.0
        mean = (before + level_of(after, lake)) / 2
        if max(after, storage) > lake.full_storage_ml:
            after, spill, mean = _over_the_weir(lake, storage, net)
        storage = after
        rows.append((inflow, gain, loss, demand, release, spill, storage, level_of(storage, lake), mean))
    return pl.DataFrame(rows, schema=[*names, "level_end_m", "level_m"], orient="row")


def simulate_nature(seed: int, days: Sequence[date], catchment: Catchment = DEMO) -> pl.DataFrame:
    """True values on `days` (whole calendar years): one row per day, without observation faults.

    Columns: `date`; `catchment_rain_mm`, `evaporation_mm`; the balance of `reservoir`; for each gauge, a column
    named by its station: rain in mm, stage in m (daily mean).
    """
    air = weather(seed, days, catchment)
    evaporation = air.evaporation.tolist()
    inflow, areal = np.zeros(len(days)), np.zeros(len(days))
    stages: dict[str, list[float]] = {}
    for river in catchment.rivers:
        rain = sum((air.rain[:, site] for site in river.sites), np.zeros(len(days))) / len(river.sites)
        flow = gr4j(rain.tolist(), evaporation, river.gr4j) * river.area_km2 * ML_PER_MM_KM2
        zero, c, exponent = river.rating
        if river.station:
            stages[river.station] = [zero + (q * 1000 / S_PER_DAY / c) ** (1 / exponent) for q in flow.tolist()]
        inflow += (1 - river.travel_days) * flow + river.travel_days * np.concatenate([flow[:1], flow[:-1]])
        areal += rain * river.area_km2
    balance = reservoir(inflow, air.rain[:, 0], air, days, catchment.lake)
    gauged = {site.station: air.rain[:, i] for i, site in enumerate(catchment.sites) if site.station}
    return pl.DataFrame(
        {
            "date": days,
            "catchment_rain_mm": areal / catchment.area_km2,
            "evaporation_mm": air.evaporation,
            **{name: balance[name] for name in balance.columns},
            **gauged,
            **stages,
        }
    )
