"""A fleet of simulated dams: climate, size, operating rule and gauges of each one, from a seed and its number.

The figures are ours. They cover usual sizes and rules, and are no statistics of real dams. A dam does not depend on how
many others there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

from forebay.sources.catchment import Catchment, Climate, Lake, River, Rule, Site
from forebay.sources.simulated import GaugeFaults, LevelFault
from forebay.sources.simulation import draws

_PURPOSE, _FAULT_PURPOSE = 500, 501  # of the random numbers; those of weather and gauges are lower
_NUMBERS = 160


class Zone(NamedTuple):
    """A climate zone: boxes of positions, the clock of its dams, and its climate."""

    latitude: tuple[float, float]
    longitude: tuple[float, float]
    time_zone: str
    climate: Climate


ZONES = {
    "subtropical coast": Zone((-36, -32), (148, 151), "+10:00", Climate()),
    "semi-arid": Zone(
        (-32, -26), (142, 148), "+10:00",
        Climate(0.09, 0.42, 0.30, (0.10, 30), (2.0, 14.0), (0.40, 30), 0.8, 40, (20.0, 35.0), (5.2, 2.8, 5)),
    ),
    "Mediterranean": Zone(
        (37, 41), (-6, -1), "+01:00",
        Climate(0.14, 0.58, 0.20, (0.55, 15), (1.8, 10.0), (0.35, 330), 0.9, 310, (20.0, 30.0), (3.6, 2.6, 190)),
    ),
    "monsoon": Zone(
        (15, 22), (75, 80), "+05:30",
        Climate(0.20, 0.66, 0.12, (0.85, 215), (2.5, 15.0), (0.55, 215), 1.6, 215, (30.0, 45.0), (4.8, 1.4, 130)),
    ),
    "oceanic": Zone(
        (43, 50), (0, 8), "+01:00",
        Climate(0.32, 0.68, 0.12, (0.15, 345), (1.6, 7.0), (0.15, 300), 0.6, 330, (15.0, 20.0), (2.2, 1.9, 190)),
    ),
    "humid continental": Zone(
        (32, 36), (-90, -82), "-06:00",
        Climate(0.24, 0.50, 0.15, (0.12, 60), (2.5, 14.0), (0.20, 90), 1.2, 250, (25.0, 35.0), (3.6, 2.4, 190)),
    ),
}  # fmt: skip
"""Name → zone; snow is not simulated."""
RESTRICTIONS = ((0.06, 0.0), (0.12, 0.25), (0.20, 0.50), (0.35, 0.70), (0.50, 0.82), (0.60, 0.92))
"""As `Lake.restrictions`: near the bed there is no demand, so that evaporation alone can empty a lake."""
RULES: tuple[Rule, ...] = ("water supply", "irrigation", "hydropower", "flood control")


@dataclass(frozen=True)
class FleetDam:
    """Parameters of one dam of a fleet.

    Attributes
    ----------
    number
        From 1.
    seed
        Of its weather, gauges and faults.
    zone, rule
        Name of its climate zone, and its operating rule.
    """

    number: int
    seed: int
    zone: str
    rule: Rule
    latitude: float
    longitude: float
    catchment: Catchment
    fault_rate: float

    @property
    def id(self) -> str:
        """Id of the dam: "sim-00001"."""
        return f"sim-{self.number:05d}"

    @property
    def name(self) -> str:
        """Name of the dam, which states that it is simulated."""
        return f"Dam {self.number:05d} (simulated)"

    @property
    def time_zone(self) -> str:
        """Clock of the dam."""
        return ZONES[self.zone].time_zone

    def faults(self, first_year: int, last_year: int) -> GaugeFaults:
        """Faults of its gauges; those of a year do not depend on the other years."""
        level = [fault for year in range(first_year, last_year + 1) for fault in _level_faults(self, year)]
        rate = self.fault_rate
        return GaugeFaults(0.8 * rate, 0.25 * rate, 0.3 * rate, tuple(level))


def fleet_dam(seed: int, number: int) -> FleetDam:
    """Parameters of the dam with a number, which do not depend on the number of dams.

    >>> fleet_dam(1, 3).id, fleet_dam(1, 3) == fleet_dam(1, 3), fleet_dam(2, 3) == fleet_dam(1, 3)
    ('sim-00003', True, False)
    """
    own_seed = int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    uniform = iter(draws(own_seed, 0, _PURPOSE, _NUMBERS)[0].tolist())
    zone_name = list(ZONES)[int(next(uniform) * len(ZONES))]
    rule = RULES[int(next(uniform) * len(RULES))]
    zone = ZONES[zone_name]
    latitude, longitude = (round(_between(next(uniform), *ends), 2) for ends in (zone.latitude, zone.longitude))
    fault_rate = round(_log_between(next(uniform), 0.3, 2.5), 3)
    climate = _climate(zone.climate, uniform)
    sites, rivers = _rivers(climate, uniform)
    lake = _lake(climate, sum(river.area_km2 for river in rivers), rule, uniform)
    catchment = Catchment(sites, rivers, climate, lake)
    return FleetDam(number, own_seed, zone_name, rule, latitude, longitude, catchment, fault_rate)


def mean_rain_mm(climate: Climate) -> float:
    """Mean rain a year without the seasons' effects: wet days and storms."""
    wet = climate.wet_after_dry / (1 + climate.wet_after_dry - climate.wet_after_wet)
    least, scale = climate.storm_mm
    days = 365.25 * wet * (0.6 * climate.amount_mm[0] + 0.4 * climate.amount_mm[1])
    return days + climate.storms * (least + scale / (1 - 0.22))


def mean_runoff_mm(climate: Climate) -> float:
    """Mean runoff a year by the formula of Turc and Pike: rain − rain / √(1 + (rain / evaporation)²)."""
    rain, evaporation = mean_rain_mm(climate), 365.25 * climate.evaporation_mm[0]
    return rain - rain / math.sqrt(1 + (rain / evaporation) ** 2)


def _between(uniform: float, low: float, high: float) -> float:
    return low + uniform * (high - low)


def _log_between(uniform: float, low: float, high: float) -> float:
    return low * math.exp(uniform * math.log(high / low))


def _climate(zone: Climate, uniform: Iterator[float]) -> Climate:
    """A climate near that of the zone."""
    wetter, heavier, drier = (_log_between(next(uniform), 0.85, 1.18) for _ in range(3))
    open_water, swing, peak = zone.evaporation_mm
    return Climate(
        round(zone.wet_after_dry * wetter, 4),
        zone.wet_after_wet,
        round(zone.wetness * _log_between(next(uniform), 0.7, 1.4), 4),
        zone.season,
        (zone.amount_mm[0], round(zone.amount_mm[1] * heavier, 3)),
        zone.amount_season,
        round(zone.storms * _log_between(next(uniform), 0.5, 1.6), 3),
        zone.storm_peak,
        zone.storm_mm,
        (round(open_water * drier, 3), round(swing * drier, 3), peak),
    )


def _rivers(climate: Climate, uniform: Iterator[float]) -> tuple[tuple[Site, ...], tuple[River, ...]]:
    """Sites and rivers of one to three sub-catchments with 1 to 5 rain gauges and 0 to 2 stream gauges."""
    area = _log_between(next(uniform), 60.0, 6000.0)
    count = 1 + int(next(uniform) * 3)
    gauged_rivers = min(count, int(next(uniform) * 3))
    rain_gauges = 1 + int(next(uniform) * 5)
    reach = math.sqrt(area)
    places = [(0.0, 0.0), *((_between(next(uniform), -1, 1), _between(next(uniform), -1, 1)) for _ in range(7))]
    sites = tuple(
        Site(
            round(reach * east, 2),
            round(reach * north, 2),
            round(_between(next(uniform), 0.85, 1.25), 3),
            f"SIM-RAIN-{number}" if number <= rain_gauges else None,
        )
        for number, (east, north) in enumerate(places, start=1)
    )
    weights = [_between(next(uniform), 0.5, 1.5) for _ in range(count)]
    rivers = []
    for number, weight in enumerate(weights, start=1):
        part = round(area * weight / sum(weights), 1)
        of_river = tuple(sorted({(number + 2 * k) % len(sites) for k in range(3)}))
        x1, x3 = round(_log_between(next(uniform), 150, 700), 1), round(_log_between(next(uniform), 20, 90), 1)
        x2, x4 = round(_between(next(uniform), -2.0, 0.3), 2), round(_between(next(uniform), 1.05, 3.5), 2)
        rating = (0.1, round(34 * (part / 2000) ** 0.6, 3), round(_between(next(uniform), 1.5, 2.0), 2))
        station = f"SIM-RIVER-{number}" if number <= gauged_rivers else None
        travel = round(_between(next(uniform), 0.1, 0.9), 2)
        rivers.append(River(station, part, of_river, (x1, x2, x3, x4), rating, travel))
    return sites, tuple(rivers)


def _lake(climate: Climate, area_km2: float, rule: Rule, uniform: Iterator[float]) -> Lake:
    """A lake whose storage and demand fit the runoff of its catchment, with the figures of its operating rule."""
    runoff_ml = mean_runoff_mm(climate) * area_km2
    ends = {"hydropower": (0.1, 0.8), "flood control": (0.3, 1.5)}.get(rule, (0.4, 2.5))
    storage_years = _log_between(next(uniform), *ends)
    depth = round(_log_between(next(uniform), 14.0, 85.0), 1)
    bed = round(_between(next(uniform), 20.0, 600.0), 1)
    use = _between(next(uniform), 0.35, 0.95)
    peak = (climate.evaporation_mm[2] + int(_between(next(uniform), -20, 20))) % 365
    amplitude = {"irrigation": 0.85, "hydropower": 0.05}.get(rule, 0.16)
    storage = round(max(2000.0, storage_years * runoff_ml), -2)
    flood_pool = round(_between(next(uniform), 0.15, 0.45), 3) if rule == "flood control" else 0.0
    return Lake(
        full_supply_m=round(bed + depth, 1),
        bed_m=bed,
        full_storage_ml=storage,
        shape=round(_between(next(uniform), 1.9, 3.0), 2),
        crest_m=round(max(15.0, 200.0 * math.sqrt(area_km2 / 3600) * _log_between(next(uniform), 0.6, 1.6)), 1),
        demand_ml=round(use * runoff_ml / 365.25, 2),
        demand_season=(amplitude, peak),
        release_ml=round(_between(next(uniform), 0.02, 0.15) * runoff_ml / 365.25, 2),
        restrictions=RESTRICTIONS,
        weekend_share=round(_between(next(uniform), 0.3, 0.7), 2) if rule == "hydropower" else 1.0,
        flood_pool=flood_pool,
        outlet_ml=round(3.0 * runoff_ml / 365.25, 1) if rule == "flood control" else 0.0,
        start_share=round(_between(next(uniform), 0.5, 0.9), 2),
        curve_digits=3,
    )


def _level_faults(dam: FleetDam, year: int) -> Iterator[LevelFault]:
    """Faults of the level that begin in a year: spikes of some days, and spells in which the gauge is stuck."""
    uniform = draws(dam.seed, year, _FAULT_PURPOSE, 8)[0].tolist()
    first = date(year, 1, 1)
    if uniform[0] < 0.25 * dam.fault_rate:
        day = first + timedelta(days=int(uniform[1] * 330))
        size = round(_between(uniform[2], 2.0, 9.0) * (1 if uniform[3] < 0.5 else -1), 2)
        yield LevelFault(day, day + timedelta(days=int(uniform[4] * 3)), "spike", size)
    if uniform[5] < 0.12 * dam.fault_rate:
        day = first + timedelta(days=int(uniform[6] * 330))
        yield LevelFault(day, day + timedelta(days=5 + int(uniform[7] * 25)), "stuck")
